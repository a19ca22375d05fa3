//! What of a log can be given up for space, and who keeps it from being given up.

use std::path::Path;

use super::output::reads_on;
use super::who::{Loses, Person};
use super::{Status, quoted};
use crate::metadata::overdue::Undone;
use crate::status::HoldStatus;
use crate::units::{counted, size};

const MIB: u64 = 1 << 20;

/// In which steps so much of a log is halved, how many bytes are worth it, and what the step is called in a command.
const fn steps(all: u64) -> (u64, u64, char) {
    if all >= 2 * MIB { (MIB, MIB, 'M') } else { (1 << 10, 64 << 10, 'K') }
}

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
    /// The half of it that is oldest, as far as holds let it go: whole old segments, of those the newest stays if it can. Where the
    /// current one is more than half, its oldest part with them.
    fn oldest(&self) -> Option<Oldest<'_>> {
        let hold = self.holds.iter().min_by_key(|hold| hold.position);
        let from = hold.map_or(u64::MAX, |hold| hold.position);
        let mut old: Vec<_> = self.segments.iter().filter(|s| s.generation < self.generation).collect();
        old.sort_unstable_by_key(|s| s.generation);
        let bytes_of = |count: usize| old.iter().take(count).map(|s| s.allocated).sum::<u64>();
        let start = self.base.max(self.first_kept);
        let (of_old, of_current) = (bytes_of(old.len()), self.cursor.saturating_sub(start));
        let all = of_old + of_current;
        let (step, least, letter) = steps(all);
        let stays = all / step / 2;
        let free = old.iter().take_while(|s| s.end <= from).count();
        if stays * step >= least && of_old < all / 2 && free == old.len() {
            let goes = (all - stays * step).min(of_old + from.saturating_sub(start));
            // Less is not worth it.
            let is_kept = goes < least;
            if !is_kept || old.is_empty() {
                let goes = if is_kept { all - stays * step } else { goes };
                return Some(Oldest {
                    command: format!("prune --punch --keep-bytes {stays}{letter}"),
                    goes: format!("the oldest {} of the log", size(goes)),
                    kept_by: hold.filter(|_| is_kept),
                });
            }
        }
        let as_much_as = |most: u64| (1..old.len()).find(|count| bytes_of(*count) >= most);
        let wanted = as_much_as(all / 2).or_else(|| as_much_as(all / 4)).unwrap_or(old.len());
        let going = if free == 0 { wanted } else { free.min(wanted) };
        (going > 0).then(|| Oldest {
            command: format!("prune --keep {}", old.len() - going),
            goes: format!("{} ({})", counted(going as u64, "old segment"), size(bytes_of(going))),
            kept_by: hold.filter(|_| free == 0),
        })
    }

    /// Whether its policy keeps it within what is free, but for one message that is longer than a segment.
    pub(super) fn fits(&self, free: u64) -> bool {
        let (policy, rules) = (&self.policy, self.policy.state.rules());
        let Some(segment) = rules.rotate_size else { return false };
        let kept = rules.keep.map(|count| count.saturating_mul(segment));
        let Some(kept) = kept.into_iter().chain(rules.keep_bytes).min() else { return false };
        // The current one; and the one before it, until what is too much is removed.
        let most = kept.saturating_add(segment.saturating_mul(2));
        let has = self.segments.iter().map(|s| s.allocated).sum();
        self.is_pruned() && policy.undone.is_empty() && most.saturating_sub(has) <= free
    }

    /// Whether its policy keeps it from filling its disk, as far as is known: old segments go before that.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.file.free.as_ref().is_ok_and(|free| self.fits(*free)) || self.gives_way().is_some()
    }

    /// Whether old segments go when the policy says so, as far as is known.
    pub(super) fn is_pruned(&self) -> bool {
        let policy = &self.policy;
        let is_kept = policy.distrust.is_some() || policy.unfreed_since.is_some() || policy.held_by.is_some();
        !is_kept && policy.undone.iter().all(|u| u.what != Some(Undone::Pruning))
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
            (None, true) => format!("{prune} gives up {goes}"),
            (None, false) => {
                let lists = format!("{} lists them", self.command("segments"));
                match oldest.command.ends_with(" 0") {
                    // The mildest there is: a part of an old segment cannot be given back.
                    true => format!(
                        "{prune} removes {goes}, all but the current one; {lists}: copy elsewhere first what is needed"
                    ),
                    false => format!("{prune} removes {goes}; {lists}"),
                }
            }
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
