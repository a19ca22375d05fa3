//! `mmlogctl-bench-peers`: what people log with instead of mmlog, for `mmlogctl bench --peers`, which starts it, times it,
//! looks at every line it wrote, and prints what came of it.
//!
//! ```text
//! list WORK [NAME...]     makes in WORK what has to be made; for each peer a line NAME<TAB>VERSION AND WAY, or
//!                         SKIPPED NAME<TAB>REASON
//! run NAME WORK DIR PURPOSE PROCESSES SIZE MESSAGES CORES
//! ```
//!
//! `run` starts so many writers. It says `ready`; the end of standard input, which all of them read, is the beginning. The
//! writers log MESSAGES lines of SIZE bytes each, and then `run` answers as a worker of the bench does: a JSON array
//! with an object for each writer, by number, and one for the program behind their pipe, if there is one. The lines are
//! in DIR/data then. PURPOSE is `throughput`, `latency` (each call is timed) or `kill` (each writer ends by SIGKILL
//! when its last call has returned). CORES is `pinned` or `free`.
//!
//! What a line is made of is in `line.rs`.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod line;
mod loggers;
mod peer;
mod pipes;
mod run;
mod spdlog;
mod writer;

use peer::Peer;

/// What `run` is told, and hands on to its writers.
struct Job {
    peer: Peer,
    work: PathBuf,
    dir: PathBuf,
    purpose: Purpose,
    processes: usize,
    size: usize,
    messages: u64,
    is_pinned: bool,
    /// As it came.
    told: Vec<OsString>,
}

impl Job {
    /// How many words it has.
    const WORDS: usize = 8;

    fn heard(told: &[OsString]) -> Option<Self> {
        let words: Vec<&str> = told.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
        let [name, work, dir, purpose, processes, size, messages, cores] = words.as_slice() else {
            return None;
        };
        Some(Self {
            peer: Peer::named(name)?,
            work: work.into(),
            dir: dir.into(),
            purpose: Purpose::named(purpose)?,
            processes: processes.parse().ok()?,
            size: size.parse().ok().filter(|&size| size >= line::LEAST)?,
            messages: messages.parse().ok()?,
            is_pinned: *cores == "pinned",
            told: told.to_vec(),
        })
    }

    /// Where the lines are in the end.
    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    Throughput,
    Latency,
    Kill,
}

impl Purpose {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "throughput" => Self::Throughput,
            "latency" => Self::Latency,
            "kill" => Self::Kill,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::Kill => "kill",
        }
    }
}

fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is_run = line.first().is_some_and(|role| role == "run" || role == writer::ROLE);
    let done = match line.split_first() {
        Some((role, rest)) if role == "list" => list(rest),
        Some((role, rest)) if role == "run" => {
            Job::heard(rest).ok_or_else(misheard).and_then(|job| run::run(&job))
        }
        Some((role, rest)) if role == writer::ROLE => {
            writer::heard(rest).ok_or_else(misheard).and_then(writer::run)
        }
        _ => Err(misheard()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "mmlogctl-bench-peers: {why}");
            // What `list` cannot do, it was told wrongly.
            ExitCode::from(if is_run { 1 } else { 2 })
        }
    }
}

fn misheard() -> String {
    "is started by `mmlogctl bench --peers`; use that, of the same version".to_owned()
}

fn list(told: &[OsString]) -> Result<(), String> {
    let (work, names) = told.split_first().ok_or_else(misheard)?;
    let named = |name: &OsString| {
        let name = name.to_string_lossy();
        let all = Peer::ALL.map(Peer::name).join(", ");
        Peer::named(&name).ok_or_else(|| format!("{name} is no peer; there are {all}"))
    };
    let asked = names.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    let (peers, is_named) = if asked.is_empty() { (Peer::ALL.to_vec(), false) } else { (asked, true) };
    let mut out = io::stdout().lock();
    for peer in peers {
        let said = match peer.here(Path::new(work), is_named) {
            Ok(says) => writeln!(out, "{}\t{says}", peer.name()),
            Err(why) => writeln!(out, "SKIPPED {}\t{}", peer.name(), why.replace('\n', " ")),
        };
        said.map_err(|e| e.to_string())?;
    }
    Ok(())
}
