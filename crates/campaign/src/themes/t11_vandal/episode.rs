//! One log's life with a vandal: a few acts that do no harm, mostly one that does, what everybody says of it, and the
//! way back to a log that can be used. The director plays many, in a process of its own without threads.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mmlog::repair::{self, Wish};
use mmlog::{Force, Observer, Options, State, Status};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::acts::{Act, Harm, LIE, ON_DATA, ON_METADATA, Target};
use super::crew::{self, CREW, Stage};
use crate::children;
use crate::oracle::{Acks, FROM_A_SHELL, Sightings, check};
use crate::random::Random;

/// Catches a hang.
const DEADLINE: Duration = Duration::from_secs(60);

struct Director {
    directory: PathBuf,
    notes: PathBuf,
    random: Random,
    counts: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Data,
    Metadata,
}

/// What was done to a log, and what may come of it.
#[derive(Default)]
struct Done {
    acts: Vec<&'static Act>,
    /// The files they were done to.
    names: Vec<String>,
    spoilt: Vec<Range<u64>>,
}

/// The role: `directory notes seed acts`.
pub(super) fn direct(arguments: &[String]) -> anyhow::Result<()> {
    let [directory, notes, seed, acts] = arguments else { anyhow::bail!("arguments: {arguments:?}") };
    let random = Random::new(seed.parse()?);
    let (directory, notes) = (directory.into(), notes.into());
    let mut director = Director { directory, notes, random, counts: BTreeMap::new() };
    let acts: u64 = acts.parse()?;
    if director.episode(Some(&LIE))?.is_empty() {
        println!("control not caught: {}", LIE.name);
    } else {
        director.count("controls caught", 1);
    }
    while director.counts.get("acts").is_none_or(|&done| done < acts) {
        for wrong in director.episode(None)? {
            println!("{wrong}");
        }
    }
    director.counts.iter().for_each(|(what, n)| println!("count {n} {what}"));
    Ok(())
}

impl Director {
    fn count(&mut self, what: &'static str, n: u64) {
        *self.counts.entry(what).or_default() += n;
    }

    /// Returns what was wrong.
    fn episode(&mut self, lie: Option<&'static Act>) -> anyhow::Result<Vec<String>> {
        let number = self.counts.get("episodes").copied().unwrap_or_default();
        self.count("episodes", 1);
        let log = self.directory.join(format!("{number}.log"));
        let acks = Acks::create(&self.notes.join("acks"), number, 1 << 18)?;
        let sightings = Sightings::create(&self.notes.join("sightings"), 1 << 30)?;
        drop(crew::options().open_or_create(&log)?);
        let (mut said, pids) = self.begin(&Stage { log: &log, acks: &acks, sightings: &sightings })?;
        // While it is empty, a creator makes anew what was moved away for a moment.
        while acks.acknowledged().next().is_none() {
            std::thread::sleep(Duration::from_micros(100));
        }
        let (mut done, mut wrong, mut reach) = (Done::default(), Vec::new(), None);
        if let Some(lie) = lie {
            while acks.handed_out() < 100 {
                self.get_on(&acks);
            }
            self.do_to(Part::Data, lie, &log, &mut done)?;
        } else {
            for _ in 0..self.random.below(4) {
                self.act(&log, &acks, &mut done, |act| !act.harm.lasts())?;
            }
            if self.random.below(4) > 0 {
                self.act(&log, &acks, &mut done, |act| act.harm.lasts())?;
                self.count("acts that did harm", 1);
                reach = self.judge_status(&log, &done, &mut wrong);
            }
        }
        self.get_on(&acks);
        acks.close();
        let ends = self.ends(&log, pids, &mut wrong)?;
        let mut lines = String::new();
        said.read_to_string(&mut lines)?;
        self.judge_ends(&done, &ends, &lines, &mut wrong);
        let acknowledged: Vec<(u64, Vec<u8>)> = acks.acknowledged().collect();
        self.count("messages", acknowledged.len() as u64);
        // Unless the damage is hidden by now, which a growth that was under way could do.
        if let Some(reach) = reach.filter(|_| is_damaged(&look(&log)))
            && let Some((at, _)) = acknowledged.iter().find(|(at, _)| *at > reach)
        {
            wrong.push(format!("acknowledged at {at}, where nobody who looked could come to ({reach})"));
        }
        if !done.damaged() {
            wrong.extend(judge_content(&log, &acks, &sightings, &done));
        }
        wrong.extend(self.judge_data(&log, &acknowledged, &done));
        self.use_again(&log, &done, &mut wrong);
        for entry in fs::read_dir(&self.directory)? {
            fs::remove_file(entry?.path())?;
        }
        fs::remove_file(self.notes.join("acks"))?;
        fs::remove_file(self.notes.join("sightings"))?;
        let names = done.names.join(", ");
        Ok(wrong.into_iter().map(|wrong| format!("episode {number} ({names}): {wrong}")).collect())
    }

    fn begin(&mut self, stage: &Stage<'_>) -> anyhow::Result<(std::io::PipeReader, Vec<Pid>)> {
        let (said, say) = std::io::pipe()?;
        let mut pids = Vec::new();
        for (id, (name, act)) in (1u32..).zip(CREW) {
            let mut random = Random::new(self.random.next());
            pids.push(children::fork(|| {
                mmlog::guard_against_sigbus()?;
                crew::report(say.try_clone()?, name, act(stage, id, &mut random))
            })?);
        }
        Ok((said, pids))
    }

    /// Lets the crew get somewhere, if it can.
    fn get_on(&mut self, acks: &Acks) {
        let (goal, begun) = (acks.handed_out() + 8 + self.random.below(500), Instant::now());
        while acks.handed_out() < goal && begun.elapsed() < Duration::from_millis(5) {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// One of the acts that are wanted, when the crew has got somewhere.
    fn act(
        &mut self,
        log: &Path,
        acks: &Acks,
        done: &mut Done,
        wanted: fn(&Act) -> bool,
    ) -> anyhow::Result<()> {
        self.get_on(acks);
        let (part, table) = *self.random.pick(&[(Part::Data, ON_DATA), (Part::Metadata, ON_METADATA)]);
        let acts: Vec<&'static Act> = table.iter().filter(|act| wanted(act)).collect();
        let act = *self.random.pick(&acts);
        self.do_to(part, act, log, done)
    }

    fn do_to(&mut self, part: Part, act: &'static Act, log: &Path, done: &mut Done) -> anyhow::Result<()> {
        let file = if part == Part::Data { log.to_path_buf() } else { metadata_of(log) };
        let target = Target { file: &file, aside: file.with_extension("aside") };
        let name = format!("{} on the {part:?}", act.name);
        let spoilt = (act.act)(&target, &mut self.random)
            .map_err(|e| anyhow::anyhow!("the act itself, {name}, {}: {e:#}", log.display()))?;
        self.count("acts", 1);
        done.names.push(name);
        done.acts.push(act);
        if part == Part::Data {
            done.spoilt.push(spoilt);
        }
        Ok(())
    }

    /// `status` says at once what is wrong. Returns how far anybody can still come, if the log says how far it goes.
    fn judge_status(&mut self, log: &Path, done: &Done, wrong: &mut Vec<String>) -> Option<u64> {
        let act = done.acts.last()?;
        let said = look(log);
        let text = match &said {
            Ok(status) => format!("{} {}", status.state, status.problem.clone().unwrap_or_default()),
            Err(e) => e.to_string(),
        };
        let nothing = fs::metadata(log).is_ok_and(|data| data.len() == 0) && text.contains("no such log");
        if is_damaged(&said) && (nothing || act.status.iter().any(|word| text.contains(word))) {
            // A copy of the metadata says how far the log went when it was made; the data file was allocated since.
            return said
                .ok()
                .map(|status| crew::reach(status.limit.max(status.base.saturating_add(status.file.len))));
        }
        match said {
            // A grower that had looked before allocates behind the cut, or pwrite fills it: the length is right again.
            Ok(status) if act.cuts && status.file.len >= status.file_size => {
                self.count("cuts that a growth hid", 1);
                return None;
            }
            Ok(status) if act.harm == Harm::Curable && status.state >= State::FullSoon => return None,
            _ => {}
        }
        wrong.push(format!("status says {text:?}, not one of {:?}", act.status));
        None
    }

    /// How everybody ended.
    fn ends(
        &mut self,
        log: &Path,
        mut pids: Vec<Pid>,
        wrong: &mut Vec<String>,
    ) -> anyhow::Result<Vec<WaitStatus>> {
        let (mut ends, begun) = (Vec::new(), Instant::now());
        while !pids.is_empty() {
            match waitpid(None, Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive if begun.elapsed() > DEADLINE => {
                    let said = look(log).map(|s| (s.state, s.problem));
                    wrong.push(format!("{} of the crew hang; status: {said:?}", pids.len()));
                    pids.iter().try_for_each(|pid| kill(*pid, Signal::SIGKILL))?;
                    ends.extend(pids.drain(..).map(|pid| waitpid(pid, None)).collect::<Result<Vec<_>, _>>()?);
                }
                WaitStatus::StillAlive => std::thread::sleep(Duration::from_micros(200)),
                ended => {
                    pids.retain(|pid| Some(*pid) != ended.pid());
                    ends.push(ended);
                }
            }
        }
        Ok(ends)
    }

    fn judge_ends(&mut self, done: &Done, ends: &[WaitStatus], lines: &str, wrong: &mut Vec<String>) {
        for end in ends {
            match end {
                WaitStatus::Exited(_, 0) => {}
                other => wrong.push(format!("one of the crew ended with {other:?}")),
            }
        }
        for line in lines.lines() {
            let mut parts = line.splitn(3, '\t');
            let (name, fault, text) =
                (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            if fault == "fine" {
                continue;
            }
            self.count("clear errors", 1);
            if !done.acts.iter().any(|act| act.faults.contains(&fault)) {
                wrong.push(format!("a {name} ended with {fault}: {text}"));
            }
        }
    }

    /// Whatever was done to the metadata, the data file has every byte that nobody touched. Where its cursor is gone, the
    /// log goes on behind the last byte that is not NUL: of the last message before that, NULs at its end are lost.
    fn judge_data(&mut self, log: &Path, acknowledged: &[(u64, Vec<u8>)], done: &Done) -> Option<String> {
        let is_spoilt =
            |at: u64, end: u64| done.spoilt.iter().any(|range| range.start < end && at < range.end);
        let untouched = |at: u64, bytes: &[u8]| !is_spoilt(at, at + bytes.len() as u64);
        let mut expected = acknowledged.iter().filter(|(at, bytes)| untouched(*at, bytes)).peekable();
        expected.peek()?;
        let data = fs::read(log).unwrap_or_default();
        let is_there = |at: u64, bytes: &[u8]| data[data.len().min(at as usize)..].starts_with(bytes);
        let mut lost: Vec<_> = expected.filter(|(at, bytes)| !is_there(*at, bytes)).collect();
        if let [(at, bytes)] = lost[..]
            && done.acts.iter().any(|act| act.harm == Harm::Curable)
            && is_there(*at, without_last_nuls(bytes))
        {
            self.count("messages whose last NULs were lost with the cursor", 1);
            lost.clear();
        }
        let ((first, _), len) = (lost.first()?, data.len());
        Some(format!("{} messages are not in the data file ({len} bytes), the first at {first}", lost.len()))
    }

    /// Mends the log, or removes it, and uses it.
    fn use_again(&mut self, log: &Path, done: &Done, wrong: &mut Vec<String>) {
        let wishes = [Wish::ClearPanic, Wish::Rebuild, Wish::Recreate];
        let mend = || repair::examine(log, &crew::options())?.plan(&wishes).apply();
        let mended = if self.random.below(2) == 0 { Some(mend()) } else { None };
        match mended {
            Some(Ok(_)) => self.count("logs repaired", 1),
            Some(Err(e)) if !done.damaged() => wrong.push(format!("repair of a sound log: {e}")),
            _ => {
                let removed = mmlog::remove(log, Force::IfUnused, &Options::new());
                if let Err(e) = &removed
                    && !done.damaged()
                {
                    wrong.push(format!("remove of a sound log that nobody uses: {e}"));
                }
                let _ = (fs::remove_file(log), fs::remove_file(metadata_of(log)));
                self.count("logs removed and made anew", 1);
            }
        }
        if let Err(e) = try_out(log) {
            wrong.push(format!("cannot be used again: {e:#}"));
        }
    }
}

impl Done {
    fn damaged(&self) -> bool {
        self.acts.iter().any(|act| act.harm.lasts())
    }
}

fn metadata_of(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_os_string();
    path.push(mmlog::METADATA_SUFFIX);
    path.into()
}

fn look(log: &Path) -> mmlog::Result<Status> {
    Observer::open(log, &Options::new())?.look()
}

fn is_damaged(said: &mmlog::Result<Status>) -> bool {
    said.as_ref().map_or(true, |status| status.state == State::Damaged)
}

/// What did no harm leaves the log as everybody was told.
fn judge_content(log: &Path, acks: &Acks, sightings: &Sightings, done: &Done) -> Vec<String> {
    if done.spoilt.iter().any(|range| !range.is_empty()) {
        return Vec::new();
    }
    match check(log, acks) {
        Ok((found, content)) => {
            let mut wrong = found.violations;
            sightings.compare(&content, &mut wrong);
            wrong
        }
        Err(e) => vec![format!("cannot be checked: {e:#}")],
    }
}

fn without_last_nuls(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
}

/// At rest it is a plain file: what is put there comes before what is appended next.
fn try_outside(log: &Path) -> anyhow::Result<()> {
    let (before, message) = (fs::read(log)?.len(), b"behind it");
    fs::File::options().append(true).open(log)?.write_all(FROM_A_SHELL)?;
    let handle = crew::options().open(log)?;
    handle.writer()?.append(message)?;
    handle.close()?;
    let there = fs::read(log)?;
    let there = there.get(before..).unwrap_or_default();
    anyhow::ensure!(there == [FROM_A_SHELL, message].concat(), "what >> put behind the log is {there:?}");
    Ok(())
}

fn try_out(log: &Path) -> anyhow::Result<()> {
    let handle = crew::options().open_or_create(log)?;
    let message = b"as if nothing had happened";
    let at = handle.writer()?.append(message)?;
    let mut follower = handle.follow(mmlog::Start::At(at))?;
    let mut buf = [0; 64];
    let next = follower.next(&mut buf)?;
    let expected = mmlog::Next::Bytes(at.get()..at.get() + message.len() as u64);
    anyhow::ensure!(next == expected && buf.starts_with(message), "{next:?} follows, not {expected:?}");
    drop(follower);
    handle.close()?;
    try_outside(log)?;
    let status = look(log)?;
    anyhow::ensure!(status.state >= State::FullSoon, "{}: {:?}", status.state, status.problem);
    Ok(())
}
