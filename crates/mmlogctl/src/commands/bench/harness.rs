//! One run: worker processes that begin together, what they say of it, and a look at every byte they wrote.
//!
//! 1. An empty directory, the file system at rest.
//! 2. Workers are started (this executable again, or the peers' program, which starts its writers itself), open what they need, and say that they are ready.
//! 3. All read one pipe; its end is the beginning.
//! 4. From the first worker's beginning to the last one's end: growing and the last flush included.
//! 5. The files are verified.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rawio::cache::Cached;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::company::{Company, Guests};
use super::engines::Kind;
use super::job::{Job, Outcome, Purpose};
use super::place::Place;
use super::verify::{Rest, Verdict, verify};
use super::worker::{NAME, READY};
use crate::signals;

/// What came of a run.
pub(super) struct Run {
    pub(super) workers: Vec<Outcome>,
    pub(super) verdict: Verdict,
    /// What is in the page cache at the end; kernels before 6.5 do not say.
    pub(super) cached: Option<Cached>,
}

impl Run {
    pub(super) fn messages(&self) -> u64 {
        self.workers.iter().map(|w| w.appended).sum()
    }

    /// From the common beginning to the last end.
    pub(super) fn nanoseconds(&self) -> u64 {
        let begun = self.workers.iter().map(|w| w.begun).min().unwrap_or(0);
        let ended = self.workers.iter().map(|w| w.ended).max().unwrap_or(0);
        ended.saturating_sub(begun)
    }

    /// Of time, for each message of all workers.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(super) fn ns_per_message(&self) -> f64 {
        self.nanoseconds() as f64 / self.messages().max(1) as f64
    }

    /// System calls of all workers, if they know.
    pub(super) fn calls(&self) -> Option<u64> {
        self.workers.iter().map(|w| w.calls).sum()
    }
}

/// Runs `job` in so many processes; why not, if that failed.
pub(super) fn run(place: &Place, job: &Job, processes: usize) -> Result<Run, String> {
    let (run, _) = run_through(place, job, processes, &|_| None)?;
    Ok(run)
}

/// As [`run`], and how many system calls the processes made between their beginning and their end. Needs strace.
pub(super) fn run_traced(place: &Place, job: &Job, processes: usize) -> Result<(Run, u64), String> {
    let trace = |dir: &Path, process: usize| dir.join(format!("trace.{process}"));
    let strace = |dir: &Path, process: usize| -> Option<Vec<OsString>> {
        let mut line: Vec<OsString> =
            ["strace", "-f", "-qq", "-e", "signal=none", "-o"].map(Into::into).into();
        line.push(trace(dir, process).into());
        Some(line)
    };
    let (run, dir) = run_through(place, job, processes, &|(dir, process)| strace(dir, process))?;
    let mut calls = 0;
    for process in 0..processes {
        let text = fs::read_to_string(trace(&dir, process)).map_err(|e| e.to_string())?;
        calls += calls_between(&text).ok_or("its trace has no beginning or no end")?;
    }
    Ok((run, calls))
}

/// A program, with arguments, that runs a worker.
type Through<'a> = &'a dyn Fn((&Path, usize)) -> Option<Vec<OsString>>;

/// A hypervisor takes memory back that has been free for seconds; having it again costs up to ten times what the page
/// costs here. Who meets that is chance, and no engine's doing: all find memory that is there.
fn warm(job: &Job, processes: usize) -> Result<(), String> {
    if matches!(job.purpose, Purpose::Sustain(_)) {
        return Ok(());
    }
    let messages = job.messages * (processes * job.threads) as u64;
    let bytes = messages * job.size as u64;
    let memory = usize::try_from(bytes + bytes / 4 + MARGIN).map_err(|e| e.to_string())?;
    rawio::map::warm_memory(memory).map_err(|e| e.to_string())
}

/// For what is allocated beside the messages.
const MARGIN: u64 = 32 << 20;

fn run_through(
    place: &Place,
    job: &Job,
    processes: usize,
    through: Through<'_>,
) -> Result<(Run, PathBuf), String> {
    let told = |e: io::Error| e.to_string();
    let dir = place.fresh().map_err(told)?;
    let mut crew = Crew(Vec::new());
    let (end, begin) = io::pipe().map_err(told)?;
    let guests = Guests::arrive(job, &dir).map_err(told)?;
    let _follower = follower(job, &dir, &end)?;
    for command in commands(job, &dir, processes, through).map_err(told)? {
        crew.0.push(Worker::start(command, end.try_clone().map_err(told)?).map_err(told)?);
    }
    drop(end);
    crew.0.iter_mut().try_for_each(Worker::is_ready)?;
    warm(job, processes)?;
    drop(begin);
    let mut workers = Vec::new();
    for worker in &mut crew.0 {
        workers.extend(worker.outcomes(job)?);
    }
    guests.map_or(Ok(()), Guests::leave).map_err(told)?;
    let appended: Vec<u64> = workers.iter().map(|w| w.appended).collect();
    let mut written = job.kind.written(&dir, job.size, &appended);
    if job.purpose == Purpose::Kill {
        // Nobody cut off what was allocated ahead.
        written.iter_mut().for_each(|file| file.rest = Rest::Zeros);
    }
    // Before somebody reads them.
    let cached = written.iter().map(|w| Cached::of(&File::open(&w.path).ok()?).ok());
    let cached = cached.reduce(|all, one| Some(all?.and(one?))).flatten();
    let verdict = verify(job.form, &written, job.size, &appended).map_err(told)?;
    Ok((Run { workers, verdict, cached }, dir))
}

/// What is started for a run: a process each, or the program that starts them.
fn commands(job: &Job, dir: &Path, processes: usize, through: Through<'_>) -> io::Result<Vec<Command>> {
    if let Kind::Peer(peer) = job.kind {
        return Ok(vec![peer.command(job, dir, processes)]);
    }
    (0..processes)
        .map(|process| worker(&Job { dir: dir.to_owned(), process, ..job.clone() }, through((dir, process))))
        .collect()
}

/// This executable again, by another program if there is a line of one.
fn worker(job: &Job, through: Option<Vec<OsString>>) -> io::Result<Command> {
    let this = std::env::current_exe()?;
    let line = through.unwrap_or_default();
    let mut command = match line.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(this);
            command
        }
        None => Command::new(this),
    };
    command.args([NAME, &job.told()]);
    Ok(command)
}

/// The process that follows, where the job wants one; stopped, where it wants that.
fn follower(job: &Job, dir: &Path, end: &PipeReader) -> Result<Option<Crew>, String> {
    if !matches!(job.company, Company::Follower | Company::Stopped) {
        return Ok(None);
    }
    let told = |e: io::Error| e.to_string();
    let role = Job { dir: dir.to_owned(), purpose: Purpose::Follow, ..job.clone() };
    let command = worker(&role, None).map_err(told)?;
    let mut follower = Worker::start(command, end.try_clone().map_err(told)?).map_err(told)?;
    follower.is_ready()?;
    if job.company == Company::Stopped {
        kill_process(Pid::from_child(&follower.child), Signal::STOP).map_err(|e| told(e.into()))?;
    }
    Ok(Some(Crew(vec![follower])))
}

/// The worker processes of a run: none outlives it.
struct Crew(Vec<Worker>);

impl Drop for Crew {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            if let Ok(None) = worker.child.try_wait() {
                let _ = worker.child.kill();
                let _ = worker.child.wait();
            }
        }
    }
}

struct Worker {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Worker {
    fn start(mut command: Command, stdin: PipeReader) -> io::Result<Self> {
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = signals::as_called(|| command.spawn())?;
        let said = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, said: BufReader::new(said) })
    }

    fn is_ready(&mut self) -> Result<(), String> {
        let mut line = String::new();
        match self.said.read_line(&mut line) {
            Ok(_) if line.trim_end() == READY => Ok(()),
            _ => Err(self.why()),
        }
    }

    fn outcomes(&mut self, job: &Job) -> Result<Vec<Outcome>, String> {
        let mut text = String::new();
        self.said.read_to_string(&mut text).map_err(|e| e.to_string())?;
        if job.purpose == Purpose::Kill && text.is_empty() && self.was_killed() {
            // It died as it was told to, which is after the last message.
            return Ok(vec![Outcome { appended: job.messages, ..Outcome::default() }; job.threads]);
        }
        let told: Value = serde_json::from_str(&text).map_err(|_| self.why())?;
        let outcomes = told.as_array().and_then(|all| all.iter().map(Outcome::heard).collect());
        match (outcomes, self.child.wait()) {
            (Some(outcomes), Ok(status)) if status.success() => Ok(outcomes),
            _ => Err(self.why()),
        }
    }

    fn was_killed(&mut self) -> bool {
        self.child.wait().is_ok_and(|status| status.signal() == Some(Signal::KILL.as_raw()))
    }

    /// What it said on standard error, or how it ended.
    fn why(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        let text = text.trim();
        let text = ["mmlogctl: ", "mmlogctl-bench-peers: "]
            .iter()
            .fold(text, |text, who| text.trim_start_matches(who));
        match (text, self.child.wait()) {
            ("", Ok(status)) => format!("a worker ended with {status}"),
            (text, _) => text.to_owned(),
        }
    }
}

/// System calls of a trace, from the end of standard input (the beginning) to the first write to standard output
/// behind that.
fn calls_between(trace: &str) -> Option<u64> {
    let begins =
        |line: &str| (line.contains("read(0,") || line.contains("read resumed>")) && line.ends_with(" = 0");
    let mut lines = trace.lines().skip_while(|line| !begins(line)).skip(1);
    let calls = lines
        .by_ref()
        .take_while(|line| !line.contains(" write(1,") && !line.contains(" exit_group("))
        .filter(|line| !line.contains(" resumed>") && line.contains('('))
        .count();
    lines.next().map(|_| calls as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_from_the_beginning_to_the_end_and_once_each() {
        let trace = "7 openat(3) = 4\n7 write(1, \"ready\\n\", 6) = 6\n7 read(0,  <unfinished ...>\n\
                     8 futex(1 <unfinished ...>\n7 <... read resumed>\"\", 32) = 0\n8 <... futex resumed>) = 0\n\
                     8 mmap(0) = 5\n8 fallocate(4) = 0\n7 write(1, \"[]\", 2) = 2\n7 exit_group(0) = ?\n";
        assert_eq!(calls_between(trace), Some(2));
        assert_eq!(calls_between("7 mmap(0) = 5\n"), None);
    }
}
