//! Writers that wait for whoever reads their output: with nothing in flight, and appending nothing until then.
//!
//! `append --tee` says so in its slot. Of others, what a process waits in costs a look at `/proc`. So only those are asked that have appended nothing since the look before,
//! some at each look, and those that wait for nobody not again soon.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use super::{OutputReader, WriterStatus};
use crate::sys::last_run;
use crate::sys::process::{self, ProcessState};

/// So many are asked at a look; the others at the next ones.
const AT_ONCE: usize = 256;
/// One that does not wait, and has appended since, is asked again after so long.
const AGAIN: Duration = Duration::from_secs(5);
/// One that has not: it would have appended before it copied that.
const SELDOM: Duration = Duration::from_secs(60);

/// The pipe that a process writes its output to is full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputFull {
    /// For how long it has waited; at least, unless that is known.
    pub lasts: Duration,
    /// The kernel knows since when.
    pub is_known: bool,
    /// Who reads it: [`diagnose`](super::Status::diagnose) names it. `None` unless whoever shows the status has looked for it:
    /// the library does not.
    pub reader: Option<OutputReader>,
}

/// A process is stopped whose output a writer appends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeederStopped {
    /// Its id.
    pub pid: u32,
    /// How it was called.
    pub command_line: String,
    /// For how long, if that is known.
    pub lasts: Option<Duration>,
}

impl OutputFull {
    /// As it says itself.
    pub(super) fn since(since: SystemTime) -> Option<Self> {
        Some(Self { lasts: since.elapsed().ok()?, is_known: true, reader: None })
    }
}

/// Processes that write, as they were at the last look.
#[derive(Default)]
pub(super) struct Outputs(HashMap<u32, Known>);

#[derive(Clone, Copy)]
struct Known {
    /// Of all of its writers.
    messages: u64,
    /// Each of them could wait for a reader: it lives and sleeps, and nothing of it is in flight.
    is_idle: bool,
    asked: Option<Instant>,
    /// It has appended since.
    is_news: bool,
    /// Since when it was seen to wait.
    full: Option<Instant>,
}

impl Outputs {
    /// Notes which of them wait.
    pub(super) fn look(&mut self, writers: &mut [WriterStatus]) {
        let before = std::mem::replace(&mut self.0, by_process(writers));
        let mut quiet: Vec<(u32, &mut Known)> = Vec::new();
        for (pid, known) in &mut self.0 {
            let Some(was) = before.get(pid) else { continue };
            let is_quiet = was.messages == known.messages;
            (known.asked, known.is_news) = (was.asked, was.is_news || !is_quiet);
            known.full = was.full.filter(|_| is_quiet);
            let rest = if known.is_news { AGAIN } else { SELDOM };
            let is_due = known.asked.is_none_or(|asked| asked.elapsed() >= rest);
            if is_quiet && known.is_idle && (is_due || known.full.is_some()) {
                quiet.push((*pid, known));
            }
        }
        // Those that were seen to wait first: they may have gone on.
        quiet.sort_by_key(|(_, known)| (known.full.is_none(), known.asked));
        let now = Instant::now();
        let mut waits = HashMap::new();
        for (pid, known) in quiet.into_iter().take(AT_ONCE) {
            (known.asked, known.is_news) = (Some(now), false);
            let found = process::waits_to_write(pid);
            known.full = found.as_ref().map(|_| known.full.unwrap_or(now));
            if let (Some(found), Some(since)) = (found, known.full) {
                let (seen, stood) = (since.elapsed(), last_run::thread_not_run_for(&found.thread));
                let known = stood.filter(|stood| *stood >= seen);
                let (lasts, is_known) = (known.unwrap_or(seen), known.is_some());
                waits.insert(pid, OutputFull { lasts, is_known, reader: None });
            }
        }
        for writer in writers.iter_mut().filter(|writer| writer.output_full.is_none()) {
            writer.output_full = writer.seat.pid.and_then(|pid| waits.get(&pid)).cloned();
        }
    }
}

/// The processes that can be asked.
fn by_process(writers: &[WriterStatus]) -> HashMap<u32, Known> {
    let mut all: HashMap<u32, Known> = HashMap::new();
    for writer in writers {
        let Some(pid) = writer.seat.pid else { continue };
        let is_idle = writer.alive == Ok(true)
            && writer.process == ProcessState::Sleeping
            && writer.in_flight.is_none()
            && writer.waiting.is_none()
            && writer.output_full.is_none();
        let new = Known { messages: 0, is_idle: true, asked: None, is_news: false, full: None };
        let known = all.entry(pid).or_insert(new);
        known.messages = known.messages.wrapping_add(writer.messages);
        known.is_idle &= is_idle;
    }
    all
}
