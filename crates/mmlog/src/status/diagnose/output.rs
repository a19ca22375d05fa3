//! Processes whose output nobody reads: writers that append nothing until somebody does, and the words for whoever should. And
//! writers to which nobody writes, since whoever does is stopped.

use std::collections::BTreeMap;

use super::stuck::{appends_nothing, held_up, since};
use super::who::{ELSEWHERE, Person, ids_of};
use super::{Finding, FindingId, State, Status, Thresholds, warning};
use crate::status::followers::LOOKED_AT;
use crate::status::{FeederStopped, OutputFull, OutputReader, WriterStatus};
use crate::units::{agree, counted, lasting};

impl Status {
    /// Those of one reader together. A reader that is stopped is somebody's to continue, as a stopped writer is; one that is
    /// slow may be a pager.
    pub(super) fn writers_unread(&self, thresholds: &Thresholds) -> Vec<Finding> {
        let is_long = |full: &OutputFull| {
            let is_stopped = full.reader.as_ref().is_some_and(|reader| reader.is_stopped);
            full.lasts >= if is_stopped { thresholds.stopped } else { LOOKED_AT }
        };
        let mut groups: BTreeMap<Option<u32>, Vec<(&WriterStatus, &OutputFull)>> = BTreeMap::new();
        for w in self.writers.iter().filter(|w| w.alive == Ok(true)) {
            let Some(full) = w.output_full.as_ref().filter(|full| is_long(full)) else { continue };
            let them = groups.entry(full.reader.as_ref().map(|reader| reader.pid)).or_default();
            // A process with several slots waits once.
            if them.iter().all(|(one, _)| one.seat.pid != w.seat.pid) {
                them.push((w, full));
            }
        }
        groups.into_values().filter_map(|them| self.unread(&them)).collect()
    }

    fn unread(&self, them: &[(&WriterStatus, &OutputFull)]) -> Option<Finding> {
        let (first, full) = them.iter().copied().max_by_key(|(_, full)| full.lasts)?;
        let people = || them.iter().map(|(w, _)| Person::from(*w));
        let lasts = since(full.is_known.then_some(full.lasts), full.lasts);
        let by = full.reader.as_ref().map_or_else(String::new, |reader| format!(" by {}", reader.read()));
        let hangs = them.iter().filter_map(|(w, _)| w.feeder_waits).max();
        let waits = held_up(them.len(), hangs);
        let sentence = match them.len() {
            1 => format!(
                "writer {} has waited {lasts} for its output, which is full, to be read{by}; {waits}",
                Person::from(first).named()
            ),
            n => format!(
                "{n} of {} have waited, one of them {lasts}, for their outputs, which are full, to be read{by}: {}; {waits}",
                counted(self.writers.len() as u64, "writer"),
                ids_of(people()),
            ),
        };
        let (next, pid) = reads_on(first.seat.pid, full.reader.as_ref());
        Some(Finding { pid, ..appends_nothing(hangs, sentence, next) })
    }
}

impl Status {
    /// Those who feed writers, and are stopped, each with its writers.
    pub(super) fn writers_unfed(&self, thresholds: &Thresholds) -> Vec<Finding> {
        let mut groups: BTreeMap<u32, Vec<(&WriterStatus, &FeederStopped)>> = BTreeMap::new();
        // Of a writer that is stopped, too, that is said.
        for w in self.writers.iter().filter(|w| w.alive == Ok(true) && !w.process.is_held()) {
            let is_long = |by: &&FeederStopped| by.lasts.is_none_or(|lasts| lasts >= thresholds.stopped);
            if let Some(by) = w.feeder_stopped.as_ref().filter(is_long) {
                groups.entry(by.pid).or_default().push((w, by));
            }
        }
        groups.into_values().filter_map(|them| unfed(&them)).collect()
    }
}

fn unfed(them: &[(&WriterStatus, &FeederStopped)]) -> Option<Finding> {
    let (_, FeederStopped { pid, command_line, lasts }) = them.first()?;
    let time = lasts.map_or_else(String::new, |lasts| format!(" for {}", lasting(lasts)));
    let ids = ids_of(them.iter().map(|(w, _)| Person::from(*w)));
    let writers = agree(them.len() as u64, "writer", "writers");
    let sentence = format!(
        "process {pid} ({command_line}), whose output {writers} {ids} {}, is stopped{time}; until it goes on, nothing comes into the log from it",
        agree(them.len() as u64, "appends", "append")
    );
    let next = format!("`kill -CONT {pid}` lets it go on");
    Some(Finding { pid: Some(*pid), ..warning(FindingId::WriterStopped, State::Warning, sentence, next) })
}

/// What has a process go on whose output should be read, and whose doing it is that it does not.
pub(super) fn reads_on(pid: Option<u32>, reader: Option<&OutputReader>) -> (String, Option<u32>) {
    match (pid, reader) {
        (Some(pid), Some(OutputReader { pid: reads, is_stopped: true, .. })) => {
            (format!("`kill -CONT {reads}` lets it read on, and so process {pid}"), Some(*reads))
        }
        (Some(pid), Some(reader)) => {
            (format!("look at {}, which reads from it, and at process {pid}", reader.named()), Some(pid))
        }
        (Some(pid), None) => (format!("look at process {pid} and at whoever reads from it"), Some(pid)),
        (None, _) => (ELSEWHERE.to_owned(), None),
    }
}

impl OutputReader {
    /// `4313 (less +F)`.
    pub(super) fn named(&self) -> String {
        format!("{} ({})", self.pid, self.command_line)
    }

    /// The same, and why it does not read.
    pub(super) fn read(&self) -> String {
        self.named() + if self.is_stopped { ", which is stopped" } else { "" }
    }
}
