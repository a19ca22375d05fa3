//! What is to be said of consumers: holds, and followers for which nothing is kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use super::output::reads_on;
use super::who::{Loses, Person, all_are, ids_of};
use super::{Finding, FindingId, State, Status, Thresholds, info, quoted, warning};
use crate::layout::FOLLOWING_MAX;
use crate::status::followers::LOOKED_AT;
use crate::status::{FollowerStatus, HoldStatus, OutputReader};
use crate::sys::holders::tells_lockers_of;
use crate::sys::process::{self, FULL_PIPE, ProcessState};
use crate::units::{ago, counted, lasting, size};

impl Status {
    /// A consumer that runs is behind; one that does not keeps what it has not read.
    pub(super) fn hold(&self, hold: &HoldStatus, thresholds: &Thresholds) -> Option<Finding> {
        let behind = self.cursor.saturating_sub(hold.position);
        let most = thresholds.behind.unwrap_or(16 * u64::from(self.chunk_size));
        let is_gone = hold.process.is_over();
        let is_stopped = hold.not_run_for.is_some_and(|time| time >= thresholds.stopped);
        if !is_gone && behind >= most {
            return Some(self.far_behind(hold, behind));
        }
        let kept =
            self.segments.iter().filter(|g| g.generation < self.generation && self.is_kept_by(g, hold));
        let (count, bytes) = kept.fold((0, 0), |(n, sum), g| (n + 1, sum + g.allocated));
        let kept = (count > 0).then(|| format!("{} ({})", counted(count, "old segment"), size(bytes)));
        let stands = if halts(hold.reader.as_ref()).is_some() { thresholds.stopped } else { LOOKED_AT };
        match kept {
            kept if hold.stands_for.is_some_and(|time| time >= stands) && behind > 0 => {
                Some(self.consumer_stands(hold, behind, kept, thresholds))
            }
            Some(kept) if is_gone => Some(self.left_behind(hold, behind, &kept)),
            kept if is_stopped && behind > 0 => Some(self.consumer_stopped(hold, behind, kept)),
            _ => None,
        }
    }

    fn far_behind(&self, hold: &HoldStatus, behind: u64) -> Finding {
        let (at, pid) = (where_it_is(hold, behind), hold.pid);
        let sentence = format!("follower {} (process {pid}, {}) is {at}", hold.name, hold.process);
        let look = match (hold.process, hold.seat.pid) {
            (state, _) if state.is_held() => self.resume(&[Person::from(hold)], Loses::AReader),
            (ProcessState::Hidden, Some(pid)) => {
                let me = process::effective_user();
                format!("look as root: process {pid} is not visible to uid {me} (hidepid)")
            }
            (_, pid) => reads_on(pid, hold.reader.as_ref()).0,
        };
        let next = match self.passes_over(hold) {
            true => format!("{look}; {}", self.keeps_none(hold)),
            false => format!("{look}; old segments are kept until it has passed"),
        };
        warning(FindingId::FollowerBehind, State::Ok, sentence, next).at(hold.seat)
    }

    /// Why an old segment is not kept.
    fn keeps_none(&self, hold: &HoldStatus) -> String {
        match self.policy.state.rules().hold_max.filter(|_| self.passes_over(hold)) {
            Some(most) => format!("keeps nothing while it is more than {} behind (hold-max)", size(most)),
            None => "keeps no old segment yet".to_owned(),
        }
    }

    /// Its process is gone.
    fn left_behind(&self, hold: &HoldStatus, behind: u64, kept: &str) -> Finding {
        let (at, pid) = (where_it_is(hold, behind), hold.pid);
        let sentence = format!("hold {} {at} keeps {kept}; its process {pid} is gone", hold.name);
        let forget = self.command(&format!("prune --forget {}", quoted(Path::new(&hold.name))));
        let next = format!("start that consumer again, or {forget} if nobody needs it any more");
        warning(FindingId::HoldKeeps, State::Ok, sentence, next).of(pid)
    }

    /// What it keeps is what it costs: without an old segment, bytes only wait for it.
    fn consumer_stopped(&self, hold: &HoldStatus, behind: u64, kept: Option<String>) -> Finding {
        let who = Person::from(hold);
        let (costs, made): (_, fn(_, _, _, _) -> _) = match kept {
            Some(kept) => (format!("keeps {kept}"), warning),
            None => (self.keeps_none(hold), |id, _, said, next| info(id, said, next)),
        };
        let sentence = format!(
            "the consumer of hold {}, process {}, is {}, for {}{}; it is {} and {costs}",
            hold.name,
            who.named(),
            who.doing(),
            lasting(hold.not_run_for.unwrap_or_default()),
            who.done_by(),
            where_it_is(hold, behind),
        );
        let next = self.resume(&[who], Loses::AReader);
        made(FindingId::HoldKeeps, State::Ok, sentence, next).at(hold.seat)
    }

    /// It runs, and does not move on: whoever reads from it may be why.
    fn consumer_stands(
        &self,
        hold: &HoldStatus,
        behind: u64,
        kept: Option<String>,
        thresholds: &Thresholds,
    ) -> Finding {
        let stands = hold.stands_for.unwrap_or_default();
        let is_long =
            halts(hold.reader.as_ref()).is_some() || (kept.is_some() && stands >= thresholds.unread);
        let costs = kept.map_or_else(|| self.keeps_none(hold), |kept| format!("keeps {kept}"));
        let who = Person::from(hold);
        let sentence = format!(
            "the consumer of hold {}, process {}, has not moved on for {}, {}; it is {} and {costs}",
            hold.name,
            who.named(),
            lasting(stands),
            why(&who, hold.reader.as_ref()),
            where_it_is(hold, behind),
        );
        let (next, pid) = reads_on(hold.seat.pid, hold.reader.as_ref());
        let found = match is_long {
            true => warning(FindingId::HoldKeeps, State::Ok, sentence, next),
            false => info(FindingId::HoldKeeps, sentence, next),
        };
        Finding { pid, ..found }
    }

    /// Those for which bytes wait and that cannot read: as writers that stand, somebody has to let them go on.
    pub(super) fn readers_stopped(&self, thresholds: &Thresholds) -> Vec<Finding> {
        let mut groups: BTreeMap<String, Vec<&FollowerStatus>> = BTreeMap::new();
        for follower in self.followers.iter().filter(|f| is_stopped(f, thresholds)) {
            let who = Person::from(follower);
            groups.entry(who.doing() + &who.done_by()).or_default().push(follower);
        }
        let finding = |them: Vec<&FollowerStatus>| {
            let people: Vec<Person<'_>> = them.iter().map(|f| Person::from(*f)).collect();
            let longest = them.iter().filter_map(|f| f.not_run_for).max().unwrap_or_default();
            let most = them.iter().map(|f| f.lag).max().unwrap_or_default();
            let it = if people.len() > 1 { "them" } else { "it" };
            let sentence = format!(
                "{}, for {}{}; {}{} wait for {it}; nothing is kept for {it}",
                all_are("follower", &people, self.followers.len()),
                lasting(longest),
                people[0].done_by(),
                if people.len() > 1 { "up to " } else { "" },
                size(most),
            );
            let next = self.resume(&people, Loses::AReader);
            warning(FindingId::ReaderStands, State::Warning, sentence, next).at(people[0].seat)
        };
        groups.into_values().map(finding).collect()
    }

    /// Its own business, as long as nobody asks for more: prune does not wait for it.
    pub(super) fn reader_behind(&self, thresholds: &Thresholds) -> Option<Finding> {
        let most = thresholds.behind.unwrap_or(16 * u64::from(self.chunk_size));
        let is_far = |f: &&FollowerStatus| {
            let is_said =
                is_stopped(f, thresholds) || stands(f, thresholds) || halts(f.reader.as_ref()).is_some();
            f.lag >= most && !f.is_beyond && !is_said
        };
        let far: Vec<&FollowerStatus> = self.followers.iter().filter(is_far).collect();
        let first = *far.first()?;
        let is_late = first.stands_for.is_some_and(|time| time >= LOOKED_AT);
        let sentence = if is_late { has_not_read(&far) } else { is_behind(&far) };
        Some(info(FindingId::ReaderBehind, sentence, self.reads_on(first)).at(first.seat))
    }

    /// It is not slow: it has not come back to read at all. A pager that waits for a key does so, too; where whoever reads from
    /// it is stopped, somebody has to let that one go on, also while the pipe has room.
    pub(super) fn readers_stand(&self, thresholds: &Thresholds) -> Vec<Finding> {
        let could = self.followers.iter().filter(|f| !f.is_beyond && !is_stopped(f, thresholds));
        let (halted, others): (Vec<_>, Vec<_>) = could.partition(|f| halts(f.reader.as_ref()).is_some());
        let (late, mut fed): (Vec<_>, Vec<_>) = halted.into_iter().partition(|f| stands(f, thresholds));
        // Of a whole job that is stopped, it is the follower that may be said to be.
        fed.retain(|f| !f.process.is_held());
        let of = |them: &[&FollowerStatus], said: fn(&[&FollowerStatus]) -> String| {
            let first = them.first()?;
            let (next, pid) = reads_on(first.seat.pid, first.reader.as_ref());
            let found = warning(FindingId::ReaderStands, State::Warning, said(them), next);
            Some(Finding { pid, ..found })
        };
        let standing: Vec<&FollowerStatus> = others.into_iter().filter(|f| stands(f, thresholds)).collect();
        let slow = standing.first().map(|first| {
            let next = self.reads_on(first);
            info(FindingId::ReaderStands, has_not_read(&standing), next).at(first.seat)
        });
        [of(&late, has_not_read), of(&fed, is_not_read), slow].into_iter().flatten().collect()
    }

    /// What has a follower read on.
    fn reads_on(&self, follower: &FollowerStatus) -> String {
        if follower.pid == 0 {
            return format!(
                "{} tells as root who has its place; nothing is kept for it",
                tells_lockers_of(&self.metadata_path)
            );
        }
        match follower.process.is_held() {
            true => self.resume(&[Person::from(follower)], Loses::AReader),
            false => reads_on(follower.seat.pid, follower.reader.as_ref()).0,
        }
    }

    pub(super) fn places_taken(&self) -> Option<Finding> {
        let sentence = format!("{FOLLOWING_MAX} places for followers are taken; others are not seen");
        let next = format!(
            "nothing to do, all of them follow; {} lists those that are seen",
            self.command("status --json")
        );
        self.followers_full().then(|| info(FindingId::FollowersFull, sentence, next))
    }
}

/// `at 4096, 12 KiB behind, last seen 5 s ago`.
fn where_it_is(hold: &HoldStatus, behind: u64) -> String {
    let seen =
        hold.last_seen.map_or_else(String::new, |at| format!(", last seen {}", ago(at, SystemTime::now())));
    format!("at {}, {} behind{seen}", hold.position, size(behind))
}

fn is_stopped(follower: &FollowerStatus, thresholds: &Thresholds) -> bool {
    let is_long = follower.not_run_for.is_some_and(|time| time >= thresholds.stopped);
    follower.lag > 0 && !follower.is_beyond && follower.process.is_held() && is_long
}

fn stands(follower: &FollowerStatus, thresholds: &Thresholds) -> bool {
    let long = if halts(follower.reader.as_ref()).is_some() { thresholds.stopped } else { thresholds.unread };
    follower.lag > 0 && follower.stands_for.is_some_and(|time| time >= long)
}

/// Who reads from it, and is stopped.
fn halts(reader: Option<&OutputReader>) -> Option<&OutputReader> {
    reader.filter(|reader| reader.is_stopped)
}

/// The one farthest behind, and that there are others.
fn is_behind(them: &[&FollowerStatus]) -> String {
    let Some(first) = them.first() else { return String::new() };
    let who = Person::from(*first);
    let seen =
        first.last_seen.map_or_else(String::new, |at| format!(", last seen {}", ago(at, SystemTime::now())));
    format!(
        "follower {} is {} at {}, {} behind{seen}{}; nothing is kept for it{}",
        called(first),
        who.doing(),
        first.position,
        size(first.lag),
        who.done_by(),
        and_others(&them[1..])
    )
}

/// Why it does not read: that it sleeps says less than what it waits for.
fn why(who: &Person<'_>, reader: Option<&OutputReader>) -> String {
    let is_full = who.stuck_in.is_some_and(|place| place.contains(FULL_PIPE));
    match (reader, is_full) {
        (Some(reader), true) if !reader.is_stopped => {
            format!("its output, read by {}, is full", reader.named())
        }
        (Some(reader), _) => format!("its output is read by {}", reader.read()),
        (None, true) => "its output is full".to_owned(),
        (None, false) => format!("it is {}{}", who.doing(), who.done_by()),
    }
}

/// The same of one that does not come back to read.
fn has_not_read(them: &[&FollowerStatus]) -> String {
    let Some(first) = them.first() else { return String::new() };
    let why = why(&Person::from(*first), first.reader.as_ref());
    format!(
        "follower {} has read nothing for {}, {why}; {} wait for it at {}; nothing is kept for it{}",
        called(first),
        lasting(first.stands_for.unwrap_or_default()),
        size(first.lag),
        first.position,
        and_others(&them[1..])
    )
}

/// The same of one that reads, and prints to somebody who does not.
fn is_not_read(them: &[&FollowerStatus]) -> String {
    let Some(first) = them.first() else { return String::new() };
    let reader = first.reader.as_ref().map(OutputReader::read).unwrap_or_default();
    format!(
        "what follower {} prints is read by {reader}; it waits in the pipe, and nothing is kept for it{}",
        called(first),
        and_others(&them[1..])
    )
}

/// By its name, if it has one.
fn called(follower: &FollowerStatus) -> String {
    let name = follower.name.as_ref().map_or_else(String::new, |name| format!("{name}, process "));
    name + &Person::from(follower).named()
}

fn and_others(them: &[&FollowerStatus]) -> String {
    let ids = || ids_of(them.iter().map(|f| Person::from(*f)));
    match them.len() as u64 {
        0 => String::new(),
        more => format!("; {} like it: {}", counted(more, "other"), ids()),
    }
}
