//! What of a log can be given up for space, and who keeps it from being given up.

use std::path::Path;

use super::output::reads_on;
use super::who::{Loses, Person};
use super::{Status, quoted};
use crate::status::HoldStatus;
use crate::units::{counted, size};

const MIB: u64 = 1 << 20;

/// What a command gives up.
struct Oldest<'a> {
    /// With the log in the place of LOG.
    command: String,
    /// What goes, as it is said behind "removes" or "gives back".
    goes: String,
    /// What keeps all of it.
    kept_by: Option<&'a HoldStatus>,
}

impl Status {
    /// The half of it that is oldest, as far as holds let it go.
    fn oldest(&self) -> Option<Oldest<'_>> {
        let hold = self.holds.iter().min_by_key(|hold| hold.position);
        let from = hold.map_or(u64::MAX, |hold| hold.position);
        let mut old: Vec<_> = self.segments.iter().filter(|s| s.generation < self.generation).collect();
        old.sort_unstable_by_key(|s| s.generation);
        if old.is_empty() {
            let start = self.base.max(self.first_kept);
            let all = self.cursor.saturating_sub(start);
            let half = all / MIB / 2;
            let goes = (all - half * MIB).min(from.saturating_sub(start));
            // Less is not worth it.
            let is_kept = goes < MIB;
            let goes = if is_kept { all - half * MIB } else { goes };
            return (half > 0).then(|| Oldest {
                command: format!("prune --punch --keep-bytes {half}M"),
                goes: format!("the oldest {} of the log", size(goes)),
                kept_by: hold.filter(|_| is_kept),
            });
        }
        let half = old.len() - old.len() / 2;
        let free = old.iter().take_while(|s| s.end <= from).count().min(half);
        let going = if free == 0 { half } else { free };
        let bytes = old.iter().take(going).map(|s| s.allocated).sum();
        Some(Oldest {
            command: format!("prune --keep {}", old.len() - going),
            goes: format!("{} ({})", counted(going as u64, "old segment"), size(bytes)),
            kept_by: hold.filter(|_| free == 0),
        })
    }

    /// Said of the hold that keeps from going what could be given up.
    pub(super) fn kept_back(&self) -> String {
        match self.oldest() {
            Some(Oldest { goes, kept_by: Some(hold), .. }) => format!("; hold {} keeps {goes}", hold.name),
            _ => String::new(),
        }
    }

    /// The oldest of the log's own bytes, if there are old ones that nobody keeps; else others'.
    pub(super) fn make_room(&self) -> String {
        let full = format!("`df -h {}` tells how full it is", self.directory());
        let has_writers = self.writers.iter().any(|w| w.alive != Ok(false)) || self.slot_waiters.is_some();
        let rest = if has_writers { "; appends that wait go on by themselves" } else { "" };
        let Some(oldest) = self.oldest() else {
            return format!("{full}; the log has no old segments to give up, so free something else{rest}");
        };
        let (prune, goes) = (self.command(&oldest.command), &oldest.goes);
        let is_one_file = oldest.command.contains("--punch");
        let own = match (oldest.kept_by, is_one_file) {
            (Some(hold), _) => self.let_go(hold, &oldest),
            (None, true) => format!("{prune} gives up {goes}, which has no old segments"),
            (None, false) => format!("{prune} removes {goes}; {} lists them", self.command("segments")),
        };
        format!("{own}; or free something else, {full}{rest}")
    }

    /// What has a hold keep it no longer.
    fn let_go(&self, hold: &HoldStatus, oldest: &Oldest<'_>) -> String {
        let rule = oldest.command.trim_start_matches("prune ");
        let forget = self.command(&format!("prune --forget {} {rule}", quoted(Path::new(&hold.name))));
        let (prune, goes) = (self.command(&oldest.command), &oldest.goes);
        if hold.process.is_over() {
            return format!(
                "{forget} gives up {goes}, if nobody needs hold {}, whose process {} is gone, any more; else start that consumer again",
                hold.name, hold.pid
            );
        }
        let look = match hold.process.is_held() {
            true => self.resume(&[Person::from(hold)], Loses::AReader),
            false => reads_on(hold.seat.pid, hold.reader.as_ref()).0,
        };
        format!(
            "{look}; once hold {} has moved on, {prune} removes {goes}; {forget} does not wait for it",
            hold.name
        )
    }
}
