//! A run: the writers, the program behind their pipe, and what came of all of them.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::peer::Peer;
use crate::pipes::Reader;
use crate::writer::{self, READY, now, outcome, say};
use crate::{Job, Purpose, spdlog};

pub(crate) fn run(job: &Job) -> Result<(), String> {
    let told = |e: io::Error| e.to_string();
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| told(e.into()))?;
    let mut reader = match job.peer {
        Peer::Pipe(behind) => Some(Reader::start(behind, &job.dir)?),
        _ => None,
    };
    let cores = if job.is_pinned { allowed().map_err(told)? } else { Vec::new() };
    let mut writers = Vec::new();
    for worker in 0..job.processes {
        let core = cores.get(worker % cores.len().max(1)).copied();
        writers.push(Writer::start(job, worker, core, reader.as_ref()).map_err(told)?);
    }
    if let Some(reader) = &mut reader {
        // It sees the end when the writers have left.
        reader.let_go();
    }
    writers.iter_mut().try_for_each(Writer::is_ready)?;
    say(READY).map_err(told)?;
    let mut outcomes = writers.iter_mut().map(|writer| writer.outcome(job)).collect::<Result<Vec<_>, _>>()?;
    if let Some(reader) = reader {
        let ended = reader.end(&job.data())?;
        outcomes.push(outcome(ended, ended, 0, &[]));
    }
    say(&format!("[{}]", outcomes.join(","))).map_err(told)
}

/// The cores that this process may use.
fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// A writer that was started. It ends with this process.
struct Writer {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Writer {
    fn start(job: &Job, worker: usize, core: Option<usize>, reader: Option<&Reader>) -> io::Result<Self> {
        let own = [worker.to_string(), core.map_or_else(|| "-".to_owned(), |core| core.to_string())];
        let mut command = if let Peer::Spdlog(mode) = job.peer {
            spdlog::writer(mode, job)
        } else {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(writer::ROLE).args(job.told.iter().map(OsString::as_os_str));
            command
        };
        command.args(own).stdout(Stdio::piped());
        if let Some(reader) = reader {
            command.stderr(reader.pipe()?);
        }
        let mut child = command.spawn()?;
        let said = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, said: BufReader::new(said) })
    }

    fn is_ready(&mut self) -> Result<(), String> {
        let mut line = String::new();
        match self.said.read_line(&mut line) {
            Ok(_) if line.trim_end() == READY => Ok(()),
            _ => Err(self.ended()),
        }
    }

    fn outcome(&mut self, job: &Job) -> Result<String, String> {
        let mut text = String::new();
        self.said.read_to_string(&mut text).map_err(|e| e.to_string())?;
        let status = self.child.wait().map_err(|e| e.to_string())?;
        let is_killed = status.signal() == Some(Signal::KILL.as_raw());
        if job.purpose == Purpose::Kill && is_killed {
            return Ok(outcome(now(), now(), job.messages, &[]));
        }
        if status.success() {
            Ok(text.trim_end().to_owned())
        } else {
            Err(format!("a writer ended with {status}"))
        }
    }

    fn ended(&mut self) -> String {
        match self.child.wait() {
            Ok(status) => format!("a writer ended with {status} before it was ready"),
            Err(e) => e.to_string(),
        }
    }
}
