//! Appends that wait, and what they wait for.

use std::time::Duration;

use super::gone;
use super::policy::is_for_space;
use super::who::{self, Person};
use super::{critical, info, quoted, warning};
use crate::error::{too_large, with_log};
use crate::status::{
    Finding, FindingId, ReadOnly, Severity, State, Status, Thresholds, WhyReadOnly, WriterStatus,
};
use crate::units::{agree, counted, lasting, size};
use crate::waiting::{SlotWaiters, Waiting, Want};

/// From when on an append that waits is somebody's trouble now.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// Writers that wait for the same, or whose programs drop what comes for want of it.
pub(super) struct Held<'a> {
    count: usize,
    /// Of those that drop, where there are some.
    longest: (&'a WriterStatus, Waiting),
    /// How many drop, and how much that is so far.
    dropping: (usize, u64),
    /// The same of those that are not among these, and have dropped what came until they tried for the last time.
    dropped: (usize, u64),
}

impl Held<'_> {
    /// `1 append, of writer 4312 (web), has waited 29 s for 56 KiB`.
    fn words(&self) -> String {
        let (w, waiting) = self.longest;
        let (who, len) = (Person::from(w).named(), size(waiting.len));
        let time = lasting(who::until_now(Some(waiting.since)).unwrap_or_default());
        let (drop, bytes) = (self.dropping.0, size(self.dropping.1));
        let others = match self.count - drop {
            0 => String::new(),
            n => format!(", {} {}", counted(n as u64, "other"), agree(n as u64, "waits", "wait")),
        };
        match (self.count, drop) {
            (1, 0) => format!("writer {who} has waited {time} to append {len}"),
            (n, 0) => format!("{n} writers wait, the longest of them, {who}, for {time} to append {len}"),
            (_, 1) => format!("writer {who} drops what comes, {bytes} in {time}{others}"),
            (_, n) => {
                format!(
                    "{n} writers drop what comes, {bytes}, the longest of them, {who}, for {time}{others}"
                )
            }
        }
    }

    /// Said of input that waits, and of what is lost without that: what was dropped earlier, by who appends again, is in the log only.
    fn not_lost(&self) -> String {
        let waits = if self.dropping.0 == 0 { "; what waits is not lost" } else { "" };
        match self.dropped {
            (0, _) => waits.to_owned(),
            (n, bytes) => {
                format!("{waits}; {} dropped {} before", counted(n as u64, "other writer"), size(bytes))
            }
        }
    }

    fn is_long(&self) -> bool {
        who::until_now(Some(self.longest.1.since)).is_some_and(|time| time >= LONG)
    }
}

/// `process 4313 (web) has waited 29 s to open it`.
fn opening(w: &SlotWaiters) -> String {
    let time = lasting(who::until_now(Some(w.since)).unwrap_or_default());
    match w.count {
        1 => format!("process {} ({}) has waited {time} to open it", w.pid, w.command),
        n => format!("{n} programs wait to open it, for {time}, the last of them {} ({})", w.pid, w.command),
    }
}

impl Status {
    /// Those that live, want one of these, and still try.
    pub(super) fn held_up(&self, wants: &[Want]) -> Option<Held<'_>> {
        let all = self.writers.iter().filter(|w| w.alive != Ok(false));
        let waiting = all.filter_map(|w| w.waiting.map(|waiting| (w, waiting)));
        // One that cannot try is not one that has given up.
        let is_one = |(w, waiting): &(&WriterStatus, Waiting)| {
            let cannot = w.process.stands() && !waiting.has_enough(self.file.free.as_ref().ok().copied());
            wants.contains(&waiting.want) && (self.is_trying(waiting) || cannot)
        };
        let (all, others): (Vec<_>, Vec<_>) = waiting.partition(is_one);
        let longest = *all.iter().min_by_key(|(_, waiting)| (waiting.dropped.is_none(), waiting.since))?;
        let [dropping, dropped] = [&all, &others].map(|them| {
            let bytes = them.iter().filter_map(|(_, waiting)| waiting.dropped);
            bytes.fold((0, 0_u64), |(count, sum), bytes| (count + 1, sum.saturating_add(bytes)))
        });
        Some(Held { count: all.len(), longest, dropping, dropped })
    }

    fn is_trying(&self, waiting: &Waiting) -> bool {
        waiting.is_trying_with(self.file.free.as_ref().ok().copied())
    }

    /// What waiting for somebody costs: the words, and how bad that is.
    pub(super) fn cost_of(&self, wants: &[Want]) -> (String, Severity) {
        let held = self.held_up(wants);
        let openers = self.slot_waiters.as_ref().filter(|_| wants.contains(&Want::Lock) && !self.is_taken());
        let is_long = |w: &SlotWaiters| who::until_now(Some(w.since)).is_some_and(|time| time >= LONG);
        let words = [held.as_ref().map(Held::words), openers.map(opening)];
        let words = words.into_iter().flatten().map(|words| format!("; {words}")).collect();
        let is_long = held.is_some_and(|held| held.is_long()) || openers.is_some_and(is_long);
        (words, if is_long { Severity::Critical } else { Severity::Warning })
    }

    /// Whether every slot has an owner.
    pub(super) fn is_taken(&self) -> bool {
        self.writers.iter().filter(|w| w.alive != Ok(false)).count() >= self.max_writers as usize
    }

    /// Nothing can be written where it lies.
    pub(super) fn read_only(&self) -> Option<Finding> {
        let ReadOnly { at, why } = self.file.read_only.as_ref()?;
        let (at, shown) = (quoted(at), at.display());
        let by_mount = |how: &str| format!("`mount -o {how} {at}` lets everybody write again");
        Some(match why {
            WhyReadOnly::Error => {
                let sentence = format!(
                    "its file system, mounted at {shown}, had an error and takes no writes any more: what is appended now is in memory alone"
                );
                let next = "`dmesg --level=err` has its errors; copy the log to another disk with cat, which still prints all of it, then stop its programs, unmount that one, mend it with fsck, and mount it again".to_owned();
                critical(FindingId::ReadOnly, State::Damaged, sentence, next)
            }
            WhyReadOnly::FileSystem => {
                let sentence =
                    format!("its file system, mounted at {shown}, is read-only: nobody can append");
                let next = format!(
                    "{}; if it became so by itself, look for why first (`dmesg --level=err`)",
                    by_mount("remount,rw")
                );
                critical(FindingId::ReadOnly, State::Full, sentence, next)
            }
            WhyReadOnly::Mount => {
                let sentence = format!(
                    "it is looked at through a read-only mount, {shown}: from here nobody can append, where its writers are it may be otherwise"
                );
                info(FindingId::ReadOnly, sentence, by_mount("remount,bind,rw"))
            }
        })
    }

    pub(super) fn space(&self, thresholds: &Thresholds) -> Option<Finding> {
        let (slack, free) = (self.limit.saturating_sub(self.cursor), *self.file.free.as_ref().ok()?);
        let soon = thresholds.free.unwrap_or(2 * u64::from(self.chunk_size));
        let waits = self.held_up(&[Want::Space]);
        let page = u64::from(self.page_size);
        let left = format!("{} free on its file system, {} allocated ahead", size(free), size(slack));
        let goes_on =
            |(w, waiting): &(&WriterStatus, Waiting)| waiting.has_enough(Some(free)) && !w.process.stands();
        if let Some(held) = waits.as_ref().filter(|held| goes_on(&held.longest)) {
            let sentence =
                format!("space is free again, {}, and tries again within a second; {left}", held.words());
            let next = format!(
                "{} tells in a second whether it goes on; else its disk has space and does not give it (`dmesg --level=err`)",
                self.command("status")
            );
            return Some(critical(FindingId::DiskFull, State::Full, sentence, next));
        }
        if let Some(held) = &waits {
            // Who and since when are in the first clause: it is what a small screen has room for.
            let sentence =
                format!("no space left, {}{}; {left}{}", held.words(), self.kept_back(), held.not_lost());
            return Some(critical(FindingId::DiskFull, State::Full, sentence, self.make_room()));
        }
        if let Some(gives) = self.gives_way()
            && thresholds.free.is_none()
        {
            let said = || {
                let next = format!("nothing to do; `df -h {}` tells what else takes it", self.directory());
                info(FindingId::DiskNearlyFull, format!("{left}; {gives}"), next)
            };
            return (free < soon && self.policy.prunes > 0).then(said);
        }
        if free < page && slack < page {
            let sentence =
                format!("no space left ({left}); nobody can append another page{}", self.kept_back());
            return Some(critical(FindingId::DiskFull, State::Full, sentence, self.make_room()));
        }
        let sentence = || left + &self.kept_back();
        let is_soon = free < soon && (thresholds.free.is_some() || !self.fits(free));
        is_soon.then(|| warning(FindingId::DiskNearlyFull, State::FullSoon, sentence(), self.make_room()))
    }

    /// Where appends make their own space: by the policy the oldest segments go for it, and they may.
    pub(super) fn gives_way(&self) -> Option<String> {
        let policy = &self.policy;
        let has_rule = policy.state.rules().keep_free.is_some();
        let old = self.segments.iter().filter(|s| s.generation < self.generation).count() as u64;
        (has_rule && old > 0 && self.is_pruned()).then(|| {
            format!(
                "appends remove the oldest of {} for it, as keep-free of the policy says",
                counted(old, "old segment")
            )
        })
    }

    /// What keeps one writer, or one user's, from going on while there is space.
    pub(super) fn limits(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(held) = self.held_up(&[Want::FileSize]) {
            let limit = held.longest.0.file_size_limit;
            let is = limit.map_or_else(String::new, |limit| format!(", {},", size(limit)));
            let sentence = format!(
                "{}: its own file size limit (ulimit -f){is} is reached, the file has {}",
                held.words(),
                size(self.file_size)
            );
            // Segments that are shorter have not helped: it is one message that is longer.
            let now = self.policy.state.rules().rotate_size;
            let helps = limit.filter(|limit| now.is_none_or(|now| now >= *limit));
            let next = with_log(&too_large(true, helps), &self.path);
            found.push(
                critical(FindingId::FileSizeLimit, State::Full, sentence, next).at(held.longest.0.seat),
            );
        }
        if let Some(held) = self.held_up(&[Want::Quota]) {
            let kept = self.kept_back();
            let sentence = format!("a disk quota is used up: {}{kept}{}", held.words(), held.not_lost());
            let next = format!("`quota -v` tells whose; {}", self.make_room());
            found.push(critical(FindingId::QuotaFull, State::Full, sentence, next).at(held.longest.0.seat));
        }
        if let Some(held) = self.held_up(&[Want::Storage]) {
            let reason = std::io::Error::from_raw_os_error(held.longest.1.errno);
            let sentence = format!("bytes cannot be stored ({reason}): {}", held.words());
            let next =
                "`dmesg --level=err` has the disk's errors; appends that wait go on by themselves".to_owned();
            found
                .push(critical(FindingId::StorageFails, State::Full, sentence, next).at(held.longest.0.seat));
        }
        found
    }

    /// More than anybody needs where the file system counts none.
    pub(super) fn inodes_left(&self) -> u64 {
        self.file.inodes.filter(|(_, all)| *all > 0).map_or(u64::MAX, |(free, _)| free)
    }

    /// No inode: appends go on, and no segment or log can be begun.
    pub(super) fn inodes(&self) -> Option<Finding> {
        let (free, all) = self.file.inodes.filter(|(free, all)| *free == 0 && *all > 0)?;
        let directory = self.directory();
        // What tried to make one knows since when there is none.
        let tried = self.policy.undone.iter().filter(|undone| is_for_space(undone));
        let lasts = gone::lasts(tried.filter_map(|undone| undone.since).min());
        let sentence = format!(
            "no inode is left on its file system ({free} of {all} free){lasts}: appends go on, and neither a rotation nor a new log can make its file"
        );
        let next =
            format!("`df -i {directory}` tells; remove files that nobody needs, many small ones first");
        Some(warning(FindingId::InodesUsedUp, State::Warning, sentence, next))
    }

    /// Those that failed, and have not tried again.
    pub(super) fn given_up(&self) -> Option<Finding> {
        let gave = |w: &&WriterStatus| {
            w.alive != Ok(false)
                && !w.process.stands()
                && w.waiting.is_some_and(|waiting| !self.is_trying(&waiting))
        };
        let w = self.writers.iter().filter(gave).max_by_key(|w| w.waiting.map(|waiting| waiting.tried))?;
        let waiting = w.waiting?;
        let why = match waiting.errno {
            0 => format!("for want of the {}", waiting.want),
            errno => std::io::Error::from_raw_os_error(errno).to_string(),
        };
        let could_not = match waiting.dropped {
            None => format!("could not append {}", size(waiting.len)),
            Some(bytes) => format!("has dropped {} and tried again in vain", size(bytes)),
        };
        let sentence = format!(
            "writer {} {could_not} {} ago ({why}), and has not tried again since",
            Person::from(w).named(),
            lasting(who::until_now(Some(waiting.tried)).unwrap_or_default())
        );
        let next = "nothing to do; its program was told, and decides".to_owned();
        Some(info(FindingId::AppendFailed, sentence, next).at(w.seat))
    }
}
