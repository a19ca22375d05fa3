//! Pruning: final segments that nobody needs any more go, the oldest first; of a log that never rotates the oldest part
//! of the data file gives its blocks back, while it is in use.
//!
//! 1. Lock, so that nothing is half done. Sync up to what will be kept: a checkpoint below which nothing is needed for a
//!    recovery after a reboot. Nothing is held meanwhile: a slow disk is nobody else's wait.
//! 2. Maintenance byte, so that no segment becomes final, or compressed, from here on; once more from 1 if one has.
//! 3. Lock; decide (a pure function) with the holds as they are now; publish `first_kept`, forget the holes below.
//! 4. Make that durable; from here on what lies below it is gone for everybody, whatever is there.
//! 5. Unlink, oldest first; lock, give blocks back. Who finds less than that done, the next time, does the rest.
//!
//! Positions do not change. Followers look at `first_kept` after each read, and report what they missed as one range.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::durable::{self, Need};
use crate::error::{Blocker, Fault};
use crate::files::Files;
use crate::files::owner::Operation;
use crate::files::segments::Named;
use crate::holds;
use crate::hooks;
use crate::position::Position;

/// Whether prune keeps what holds keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Holds {
    /// It does.
    #[default]
    Obey,
    /// It does not: their consumers are told what they missed.
    Override,
}

/// What is kept. Of several rules the one that keeps least holds; without any, nothing is pruned.
#[derive(Clone, Debug)]
pub struct Retention {
    wait: Duration,
    keep: Option<u64>,
    bytes: Option<u64>,
    age: Option<Duration>,
    from: Option<u64>,
    holds: Holds,
    unrun: bool,
}

impl Default for Retention {
    fn default() -> Self {
        let (keep, bytes, age, from) = (None, None, None, None);
        Self { wait: Duration::from_secs(2), keep, bytes, age, from, holds: Holds::Obey, unrun: false }
    }
}

impl Retention {
    /// How long to wait for another maintenance operation.
    pub fn wait(mut self, longest: Duration) -> Self {
        self.wait = longest;
        self
    }

    /// The newest so many final segments.
    pub fn keep(mut self, segments: u64) -> Self {
        self.keep = Some(segments);
        self
    }

    /// As many of the newest final segments as fit these bytes of disk.
    pub fn keep_bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Final segments that became so less than that long ago.
    pub fn keep_age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Everything from this position on, also within the current segment: whole pages of its data file that lie below
    /// give their blocks back.
    pub fn keep_from(mut self, position: Position) -> Self {
        self.from = Some(position.get());
        self
    }

    /// Whether also those are kept with which something is still to be done, see
    /// [`Rotation::with_hook`](crate::Rotation::with_hook), and all behind them.
    pub fn keep_unrun(mut self, keep: bool) -> Self {
        self.unrun = keep;
        self
    }

    /// Whether holds are obeyed; they are if not set.
    pub fn holds(mut self, holds: Holds) -> Self {
        self.holds = holds;
        self
    }
}

/// Why a segment goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// There are more than [`Retention::keep`].
    Count,
    /// They take more than [`Retention::keep_bytes`].
    Bytes,
    /// It is older than [`Retention::keep_age`].
    Age,
    /// It lies below [`Retention::keep_from`].
    Position,
    /// An earlier prune gave it up and did not come to its end.
    Unfinished,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Position => "position",
            Self::Unfinished => "unfinished prune",
        })
    }
}

/// A final segment that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedSegment {
    /// Its number.
    pub generation: u64,
    /// Position of its first byte.
    pub base: u64,
    /// First position behind it.
    pub end: u64,
    /// Bytes of disk that it takes.
    pub allocated: u64,
    /// Why it goes.
    pub rule: Rule,
    /// Its file, and its compressed copy if there are both.
    pub paths: Vec<PathBuf>,
}

/// What a prune does, or has done.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Pruning {
    /// Final segments that go, oldest first.
    pub segments: Vec<PrunedSegment>,
    /// Positions of the current data file whose blocks are given back.
    pub punched: Option<Range<u64>>,
    /// What is kept begins there.
    pub first_kept: u64,
    /// The hold that keeps more than the rules do.
    pub held_by: Option<String>,
    /// Final segments that go although something is still to be done with them, by number.
    pub unrun: Vec<u64>,
    /// The segment that is kept, with all behind it, because something is still to be done with it.
    pub waits_for_hook: Option<u64>,
    /// Positions are given up, with files or without: old segments may be missing.
    pub gives_up: bool,
}

impl Pruning {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.punched.is_none() && !self.gives_up
    }
}

/// A final segment as the directory has it.
struct Final {
    generation: u64,
    base: u64,
    end: u64,
    allocated: u64,
    /// Since it became final, at the least; none where that was at a time that has not come.
    age: Option<Duration>,
    names: Vec<Named>,
}

/// What a decision rests on, besides holds and rules.
struct Facts {
    /// Oldest first.
    finals: Vec<Final>,
    /// Of the current segment.
    base: u64,
    /// What an earlier prune has published.
    first_kept: u64,
}

impl Facts {
    fn gather(files: &Files) -> Result<Self, Fault> {
        let base = files.meta.header().current().base;
        let clock = files.clock();
        let mut finals: Vec<Final> = Vec::new();
        for n in files.final_names()? {
            let found = n.find().map_err(Fault::io("stat a final segment"))?;
            let Some(found) = found else { continue };
            match finals.last_mut().filter(|f| f.generation == n.says.generation) {
                Some(twin) => {
                    twin.allocated += found.allocated;
                    twin.names.push(n);
                }
                None => finals.push(Final {
                    generation: n.says.generation,
                    base: n.says.base,
                    end: base,
                    allocated: found.allocated,
                    age: clock.age_of_file(files.final_since(n.says.generation, found.changed)),
                    names: vec![n],
                }),
            }
        }
        let ends: Vec<u64> = finals.iter().skip(1).map(|f| f.base).collect();
        finals.iter_mut().zip(ends).for_each(|(f, end)| f.end = end);
        files.intact()?;
        Ok(Self { finals, base, first_kept: files.first_kept() })
    }
}

/// How much goes: so many of the oldest final segments, each with its rule, and everything below a position.
#[derive(PartialEq, Eq, Debug)]
struct Decision {
    rules: Vec<Rule>,
    first_kept: u64,
    held_by: Option<String>,
}

/// The whole decision, and nothing but it. `holds`: names and positions, the one that keeps most first.
fn decide(facts: &Facts, how: &Retention, holds: &[(String, u64)]) -> Decision {
    let held = holds.first().filter(|(name, _)| how.holds == Holds::Obey || name.is_empty());
    let held_from = held.map_or(u64::MAX, |(_, position)| *position);
    let mut decision = Decision { rules: Vec::new(), first_kept: facts.first_kept, held_by: None };
    let mut is_held = false;
    for (index, segment) in facts.finals.iter().enumerate() {
        let unfinished = (segment.end <= facts.first_kept).then_some(Rule::Unfinished);
        let Some(rule) = unfinished.or_else(|| rule_against(facts, how, index)) else { break };
        if unfinished.is_none() && held_from < segment.end {
            is_held = true;
            break;
        }
        decision.rules.push(rule);
        decision.first_kept = decision.first_kept.max(segment.end);
    }
    // What is older than the newest so many segments is given up, also where its file is missing.
    let oldest_kept = facts.finals.get(decision.rules.len()).map_or(facts.base, |f| f.base);
    if how.keep == Some((facts.finals.len() - decision.rules.len()) as u64) && held_from >= oldest_kept {
        decision.first_kept = decision.first_kept.max(oldest_kept);
    }
    if let Some(from) = how.from.filter(|&from| from > facts.base) {
        is_held |= held_from < from;
        let from = from.min(held_from);
        if from > facts.base {
            decision.first_kept = decision.first_kept.max(from);
        }
    }
    decision.held_by = held.filter(|_| is_held).map(|(name, _)| name.clone());
    decision
}

/// The rule that does not keep that segment, if one does not.
fn rule_against(facts: &Facts, how: &Retention, index: usize) -> Option<Rule> {
    let (segment, from_here) = (&facts.finals[index], &facts.finals[index..]);
    let bytes = from_here.iter().fold(0u64, |sum, f| sum.saturating_add(f.allocated));
    // It is older than the next.
    let age = from_here.iter().find_map(|f| f.age).unwrap_or_default();
    let against = [
        (how.keep.is_some_and(|keep| from_here.len() as u64 > keep), Rule::Count),
        (how.bytes.is_some_and(|most| bytes > most), Rule::Bytes),
        (how.age.is_some_and(|most| age > most), Rule::Age),
        (how.from.is_some_and(|from| segment.end <= from), Rule::Position),
    ];
    against.into_iter().find(|(goes, _)| *goes).map(|(_, rule)| rule)
}

/// Names and positions of what keeps more than the rules do, the one that keeps most first: a segment with which something
/// is still to be done has no name.
fn held(files: &Files, facts: &Facts, how: &Retention) -> Vec<(String, u64)> {
    let mut held = match how.holds {
        Holds::Obey => holds::positions(files),
        Holds::Override => Vec::new(),
    };
    if how.unrun {
        let pending = hooks::pending(files);
        let first = facts.finals.iter().find(|f| pending.contains(&f.generation));
        held.extend(first.map(|f| (String::new(), f.base)));
        held.sort_by_key(|(_, position)| *position);
    }
    held
}

/// What the decision means for the files.
fn pruning(files: &Files, facts: &Facts, how: &Retention, decision: Decision) -> Result<Pruning, Fault> {
    let Decision { rules, first_kept: decided, held_by } = decision;
    let segment = |(f, rule): (&Final, Rule)| PrunedSegment {
        generation: f.generation,
        base: f.base,
        end: f.end,
        allocated: f.allocated,
        rule,
        paths: f.names.iter().map(Named::path).collect(),
    };
    let segments: Vec<_> = facts.finals.iter().zip(rules).map(segment).collect();
    let pending = hooks::pending(files);
    let unrun = segments.iter().map(|s| s.generation).filter(|g| pending.contains(g)).collect();
    let waits_for_hook = held_by.as_ref().filter(|name| name.is_empty()).map(|_| pending.start);
    let held_by = held_by.filter(|name| !name.is_empty());
    let punched = match how.from {
        Some(_) => files.blocks_below(decided)?,
        None => None,
    };
    // Less than a page below it is not worth announcing.
    let first_kept = match &punched {
        None => decided.min(facts.base).max(facts.first_kept),
        Some(_) => decided,
    };
    let gives_up = first_kept > facts.first_kept;
    Ok(Pruning { segments, punched, first_kept, held_by, unrun, waits_for_hook, gives_up })
}

/// What a prune would do now.
pub(crate) fn plan(files: &Files, how: &Retention) -> Result<Pruning, Fault> {
    let max = files.control().look().start;
    if let Some(value) = how.from.filter(|&from| from > max) {
        return Err(Fault::NoPosition { value, min: files.first_kept(), max });
    }
    let facts = Facts::gather(files)?;
    let decision = decide(&facts, how, &held(files, &facts, how));
    let planned = pruning(files, &facts, how, decision)?;
    files.intact().map(|()| planned)
}

pub(crate) fn prune(files: &Files, how: &Retention) -> Result<Pruning, Fault> {
    files.writable()?;
    files.poisoned()?;
    let planned = plan(files, how)?;
    if planned.is_empty() {
        return Ok(planned);
    }
    let deadline = files.deadline(how.wait);
    drop(files.lock(Operation::Prune, &deadline)?);
    let needed = || how.from.unwrap_or(0).max(files.meta.header().current().base);
    let _maintenance = loop {
        durable::sync_to(files, needed(), Need::Checkpoint, &deadline)?;
        crash_point("prune:synced");
        let maintenance = files.maintenance(Operation::Prune, &deadline)?;
        drop(files.lock(Operation::Prune, &deadline)?);
        if files.meta.header().commit.checkpointed() >= needed() {
            break maintenance;
        }
        // Rotated meanwhile.
        deadline.check(|| Blocker::unknown("the maintenance byte, by turns"))?;
    };
    // Another one may have been at it.
    let planned = plan(files, how)?;
    if planned.is_empty() {
        return Ok(planned);
    }
    let facts = Facts::gather(files)?;
    let planned = announce(files, &facts, how, &deadline)?;
    files.sync_metadata().map_err(Fault::io("make durable what is kept"))?;
    crash_point("prune:durable");
    let going = facts.finals.iter().take(planned.segments.len());
    for (segment, gone) in going.zip(0..) {
        files.waits().go_on("segments were removed", gone, planned.segments.len() as u64)?;
        for name in &segment.names {
            files.remove_final(name)?;
            crash_point("prune:removed");
        }
    }
    if let Some(&last) = planned.unrun.last() {
        files.meta.header().hooks.done(last);
    }
    files.remove_dead_parts();
    if let Some(range) = &planned.punched {
        files.lock(Operation::Prune, &deadline)?.punch(range)?;
        crash_point("prune:punched");
    }
    Ok(planned)
}

/// Step 3: nobody claims or moves a hold meanwhile.
fn announce(files: &Files, facts: &Facts, how: &Retention, deadline: &Deadline) -> Result<Pruning, Fault> {
    let guard = files.lock(Operation::Prune, deadline)?;
    let decision = decide(facts, how, &held(files, facts, how));
    let planned = pruning(files, facts, how, decision)?;
    files.intact()?;
    if planned.punched.is_some() {
        guard.can_punch()?;
    }
    if !planned.is_empty() {
        guard.keep_from(planned.first_kept)?;
    }
    Ok(planned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of 100 positions and 4096 bytes each, a minute apart, the newest a minute old.
    fn facts(segments: u64) -> Facts {
        let segment = |generation| Final {
            generation,
            base: generation * 100,
            end: generation * 100 + 100,
            allocated: 4096,
            age: Some(Duration::from_secs(60 * (segments - generation))),
            names: Vec::new(),
        };
        Facts { finals: (0..segments).map(segment).collect(), base: segments * 100, first_kept: 0 }
    }

    fn rules(how: &Retention, holds: &[(&str, u64)]) -> (Vec<Rule>, u64, Option<String>) {
        let holds: Vec<_> = holds.iter().map(|(name, at)| (String::from(*name), *at)).collect();
        let Decision { rules, first_kept, held_by } = decide(&facts(5), how, &holds);
        (rules, first_kept, held_by)
    }

    fn keep() -> Retention {
        Retention::default()
    }

    #[test]
    fn each_rule_lets_the_oldest_go_and_the_first_that_bites_is_named() {
        let minutes = |n: u64| Duration::from_secs(60 * n + 30);
        assert_eq!(rules(&keep(), &[]), (vec![], 0, None));
        assert_eq!(rules(&keep().keep(3), &[]), (vec![Rule::Count; 2], 200, None));
        assert_eq!(rules(&keep().keep_bytes(3 * 4096), &[]), (vec![Rule::Bytes; 2], 200, None));
        assert_eq!(rules(&keep().keep_bytes(4095), &[]), (vec![Rule::Bytes; 5], 500, None));
        assert_eq!(rules(&keep().keep_age(minutes(3)), &[]), (vec![Rule::Age; 2], 200, None));
        let both = keep().keep(4).keep_age(minutes(2));
        assert_eq!(rules(&both, &[]), (vec![Rule::Count, Rule::Age, Rule::Age], 300, None));
    }

    #[test]
    fn a_segment_of_unknown_age_is_as_old_as_the_next() {
        let how = keep().keep_age(Duration::from_secs(60 * 3 + 30));
        let of = |unknown: &[usize]| {
            let mut facts = facts(5);
            unknown.iter().for_each(|&index| facts.finals[index].age = None);
            decide(&facts, &how, &[]).rules.len()
        };
        assert_eq!([of(&[0]), of(&[1]), of(&[0, 1]), of(&[3, 4])], [2, 1, 0, 2]);
        assert_eq!(of(&[0, 1, 2, 3, 4]), 0);
    }

    #[test]
    fn a_segment_that_a_hold_has_not_passed_stays_with_all_behind_it() {
        let how = keep().keep(0);
        assert_eq!(rules(&how, &[("a", 250), ("b", 400)]), (vec![Rule::Count; 2], 200, Some("a".into())));
        assert_eq!(rules(&how, &[("a", 300)]).0.len(), 3, "it has passed what ends where it is");
        assert_eq!(rules(&how, &[("a", 500)]), (vec![Rule::Count; 5], 500, None));
        assert_eq!(rules(&how.holds(Holds::Override), &[("a", 0)]), (vec![Rule::Count; 5], 500, None));
    }

    #[test]
    fn a_position_in_the_current_segment_takes_all_final_ones_and_obeys_holds() {
        let how = keep().keep_from(Position::new(777));
        assert_eq!(rules(&how, &[]), (vec![Rule::Position; 5], 777, None));
        assert_eq!(rules(&how, &[("a", 600)]), (vec![Rule::Position; 5], 600, Some("a".into())));
        assert_eq!(rules(&how, &[("a", 250)]), (vec![Rule::Position; 2], 200, Some("a".into())));
        assert_eq!(rules(&keep().keep_from(Position::new(250)), &[]), (vec![Rule::Position; 2], 200, None));
    }

    #[test]
    fn what_is_missing_before_the_newest_so_many_is_given_up() {
        let mut facts = facts(5);
        facts.finals.drain(..2);
        let first_kept = |keep, held| decide(&facts, &Retention::default().keep(keep), held).first_kept;
        assert_eq!((first_kept(3, &[]), first_kept(4, &[])), (200, 0));
        assert_eq!(first_kept(3, &[("a".into(), 100)]), 0, "a hold keeps it");
        facts.finals.clear();
        assert_eq!(decide(&facts, &Retention::default().keep(0), &[]).first_kept, 500);
    }

    #[test]
    fn what_an_earlier_prune_gave_up_goes_whatever_rules_and_holds_say() {
        let mut facts = facts(5);
        facts.first_kept = 200;
        let decision = decide(&facts, &keep().keep(9), &[("late".into(), 50)]);
        assert_eq!((decision.rules, decision.first_kept), (vec![Rule::Unfinished; 2], 200));
    }
}
