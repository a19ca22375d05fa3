//! What people use instead: a program of its own has it, `mmlogctl-bench-peers`, so that this one needs none of it. It tells which
//! peers are there, and runs one of them as a worker is run; timing and judging are done here.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::job::{Cores, Job};
use super::place::Place;
use crate::commands::ship::program;
use crate::exit::{Exit, Failure, limited, shown};
use crate::output::Output;
use crate::signals;

/// The program.
const NAME: &str = "mmlogctl-bench-peers";

/// One that works here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Peer {
    pub(super) name: String,
    /// And the way it is used.
    pub(super) version: String,
    program: PathBuf,
    /// Where the program keeps what it made.
    work: PathBuf,
}

impl Peer {
    /// Runs its writers, all of one run.
    pub(super) fn command(&self, job: &Job, dir: &Path, processes: usize) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["run", &self.name]).args([&self.work, dir]).arg(job.purpose.name());
        command.args([processes.to_string(), job.size.to_string(), job.messages.to_string()]);
        command.arg(if job.cores == Cores::Pinned { "pinned" } else { "free" });
        command
    }
}

/// The peers that work here, of those that are named, or of all; of the others, why not. They are kept for as long as this process
/// lives, which is as long as the bench.
pub(super) fn find(names: &[String], place: &Place, out: &mut Output) -> Result<Vec<&'static Peer>, Failure> {
    let program =
        program(NAME, "it is built from the same source: cargo install --locked --path crates/bench-peers")?;
    let work = place.path().to_owned();
    let mut list = Command::new(&program);
    list.arg("list").arg(&work).args(names);
    let failed = |exit, why: &str| Failure::new(exit, format!("{}: {why}", shown(&program)));
    if out.error_is_terminal() {
        // One of them is compiled first.
        out.progress("which peers are here");
    }
    let said = signals::as_called(|| list.output());
    out.clear_progress();
    let said = said.map_err(|e| failed(Exit::Failed, &limited(&e)))?;
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr);
        let why = why.trim().trim_start_matches(NAME).trim_start_matches(": ");
        let exit = if said.status.code() == Some(2) { Exit::Usage } else { Exit::Failed };
        return Err(failed(exit, if why.is_empty() { "it cannot tell which peers are here" } else { why }));
    }
    let mut found = Vec::new();
    for line in String::from_utf8_lossy(&said.stdout).lines() {
        let (name, version) =
            line.split_once('\t').ok_or_else(|| failed(Exit::Failed, "it is of another version"))?;
        if name.starts_with("SKIPPED ") {
            out.notice(&format!("{name}: {version}"));
            continue;
        }
        let (name, version) = (name.to_owned(), version.to_owned());
        let peer = Peer { name, version, program: program.clone(), work: work.clone() };
        found.push(&*Box::leak(Box::new(peer)));
    }
    Ok(found)
}
