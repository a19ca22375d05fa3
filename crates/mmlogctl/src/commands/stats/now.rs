//! Who appends how much now: two looks at the slots.

use std::time::Duration;

use mmlog::{Status, WriterStatus};

use crate::who;

/// Between the two looks.
pub(super) const APART: Duration = Duration::from_millis(500);

/// What was appended between two looks.
#[derive(Clone, Debug)]
pub(super) struct Now {
    pub(super) seconds: f64,
    /// Bytes a second, of all.
    pub(super) bytes: f64,
    /// Who is in trouble comes first, then who appends most.
    pub(super) writers: Vec<Rate>,
}

/// A writer, and what it appends in a second.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    pub(super) writer: WriterStatus,
    pub(super) bytes: f64,
    pub(super) messages: f64,
}

impl Now {
    pub(super) fn between(before: &Status, after: &Status, apart: Duration) -> Self {
        let seconds = apart.as_secs_f64().max(1e-3);
        let same = |a: &WriterStatus, b: &WriterStatus| (a.slot, a.pid, a.since) == (b.slot, b.pid, b.since);
        let rate = |writer: &WriterStatus| {
            let old = before.writers.iter().find(|old| same(old, writer));
            let (bytes, messages) = old.map_or((0, 0), |old| (old.bytes, old.messages));
            Rate {
                bytes: per(writer.bytes.saturating_sub(bytes), seconds),
                messages: per(writer.messages.saturating_sub(messages), seconds),
                writer: writer.clone(),
            }
        };
        let mut writers: Vec<Rate> = after.writers.iter().map(rate).collect();
        writers.sort_by(|a, b| {
            let by_trouble = who::trouble(&b.writer).cmp(&who::trouble(&a.writer));
            let by_rate = || b.bytes.total_cmp(&a.bytes);
            by_trouble.then_with(by_rate).then_with(|| a.writer.slot.cmp(&b.writer.slot))
        });
        Self { seconds, bytes: per(after.cursor.saturating_sub(before.cursor), seconds), writers }
    }

    pub(super) fn messages(&self) -> f64 {
        self.writers.iter().fold(0.0, |all, rate| all + rate.messages)
    }

    /// Messages and bytes of those that have the log open, since each of them began.
    pub(super) fn counted(&self) -> (u64, u64) {
        let add = |(n, bytes): (u64, u64), rate: &Rate| (n + rate.writer.messages, bytes + rate.writer.bytes);
        self.writers.iter().fold((0, 0), add)
    }

    /// Has those that are shown name who feeds them.
    pub(super) fn introduce(&mut self, status: &mut Status, most: usize) {
        let shown: Vec<who::Key> =
            self.writers.iter().take(most).filter_map(|r| who::person(&r.writer)).collect();
        who::introduce(std::iter::once(&mut *status), |_| shown.clone());
        for rate in self.writers.iter_mut().take(most) {
            let told = status.writers.iter().find(|told| told.slot == rate.writer.slot);
            let Some(told) = told else { continue };
            (rate.writer.feeder, rate.writer.command_line) = (told.feeder.clone(), told.command_line.clone());
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per(n: u64, seconds: f64) -> f64 {
    n as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn who_is_in_trouble_comes_before_who_appends_most() {
        let mut before = sample::worst();
        for writer in &mut before.writers {
            (writer.process, writer.in_flight, writer.bytes) = (mmlog::ProcessState::Sleeping, None, 0);
            writer.alive = Ok(true);
        }
        let mut after = before.clone();
        after.writers[9].bytes = 1000;
        after.writers[57].process = mmlog::ProcessState::Stopped;
        let now = Now::between(&before, &after, APART);
        let slots: Vec<u32> = now.writers.iter().take(3).map(|rate| rate.writer.slot).collect();
        assert_eq!(slots, [57, 9, 0]);
    }
}
