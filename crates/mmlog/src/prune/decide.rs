//! What goes: a pure function of what the directory, the file system and the holds say.

use std::time::{Duration, SystemTime};

use super::{Free, Holds, Retention, Rule};
use crate::error::Fault;
use crate::files::Files;
use crate::files::segments::Named;
use crate::files::times::read_clocks;
use crate::sys::fs;

/// The most segments that a writer takes away at a time.
const MOST_BY_WRITERS: usize = 2;

/// A final segment as the directory has it.
pub(super) struct Final {
    pub(super) generation: u64,
    pub(super) base: u64,
    pub(super) end: u64,
    /// 0 where no rule asks for it.
    pub(super) allocated: u64,
    /// Since it became final, at the least; none where no rule asks for it, or that was at a time that has not come.
    age: Option<Duration>,
    pub(super) names: Vec<Named>,
}

/// What a decision rests on, besides holds and rules.
pub(super) struct Facts {
    /// Oldest first.
    pub(super) finals: Vec<Final>,
    /// Of the current segment.
    pub(super) base: u64,
    /// What an earlier prune has published.
    pub(super) first_kept: u64,
    /// Bytes that the file system lacks, by the rule for free space.
    lacking: u64,
    /// A generation whose files begin at different positions: which of them is the log's is not sure enough for a policy.
    pub(super) twins: Option<u64>,
    /// The clock was set lately: one that was set a year on makes nothing a year old for a policy.
    doubts_ages: bool,
}

impl Final {
    /// Bytes of disk that it takes now.
    pub(super) fn on_disk(&self) -> Result<u64, Fault> {
        self.names.iter().try_fold(0u64, |sum, n| {
            let found = n.find().map_err(Fault::io("stat a final segment"))?;
            Ok(sum.saturating_add(found.map_or(0, |found| found.allocated)))
        })
    }
}

impl Facts {
    pub(super) fn gather(files: &Files, how: &Retention) -> Result<Self, Fault> {
        let base = files.meta.header().current().base;
        let (clock, listing) = (files.clock(), files.finals()?);
        let since = files.final_times();
        let mut finals: Vec<Final> = Vec::new();
        for n in listing.named {
            let found = match how.asks_files() {
                false => None,
                true => match n.find().map_err(Fault::io("stat a final segment"))? {
                    None => continue,
                    found => found,
                },
            };
            let allocated = found.as_ref().map_or(0, |found| found.allocated);
            if let Some(twin) = finals.last_mut().filter(|f| f.generation == n.says.generation) {
                twin.allocated += allocated;
                twin.names.push(n);
                continue;
            }
            finals.push(Final {
                generation: n.says.generation,
                base: n.says.base,
                end: base,
                allocated,
                age: found.filter(|_| how.age.is_some()).and_then(|found| {
                    clock.age_of_file(since.since(n.says.generation, n.says.base, found.changed))
                }),
                names: vec![n],
            });
        }
        let ends: Vec<u64> = finals.iter().skip(1).map(|f| f.base).collect();
        finals.iter_mut().zip(ends).for_each(|(f, end)| f.end = end);
        let lacking = how.free.map_or(0, |least| lacking(files, least));
        files.intact()?;
        let (first_kept, doubts_ages) = (files.first_kept(), doubts_ages(files, how));
        Ok(Self { finals, base, first_kept, lacking, twins: listing.twins, doubts_ages })
    }
}

/// A final segment, as somebody has listed it.
pub(crate) struct Listed {
    pub(crate) generation: u64,
    pub(crate) base: u64,
    pub(crate) end: u64,
    pub(crate) allocated: u64,
    pub(crate) final_since: Option<SystemTime>,
}

/// What would go of such now.
pub(crate) struct Outlook {
    /// So many of the oldest.
    pub(crate) segments: u64,
    /// The hold that keeps more.
    pub(crate) held_by: Option<String>,
    /// The age of the oldest that stays, if it is known.
    pub(crate) oldest: Option<Duration>,
}

/// Decides without looking at the directory again. `holds`: as [`decide`] has them; `end`: of the log.
pub(crate) fn outlook(
    files: &Files,
    how: &Retention,
    listed: impl Iterator<Item = Listed>,
    holds: Vec<(String, u64)>,
    end: u64,
) -> Outlook {
    let clock = files.clock();
    let of = |s: Listed| Final {
        generation: s.generation,
        base: s.base,
        end: s.end,
        allocated: s.allocated,
        age: s.final_since.and_then(|since| clock.age_of_file(since)),
        names: Vec::new(),
    };
    let facts = Facts {
        finals: listed.map(of).collect(),
        base: files.meta.header().current().base,
        first_kept: files.first_kept(),
        lacking: how.free.map_or(0, |least| lacking(files, least)),
        twins: None,
        doubts_ages: doubts_ages(files, how),
    };
    let Decision { rules, held_by, .. } = decide(&facts, how, &how.without_lagging(holds, end).0);
    let oldest = facts.finals.get(rules.len()).filter(|_| !facts.doubts_ages).and_then(|f| f.age);
    Outlook { segments: rules.len() as u64, held_by, oldest }
}

impl Retention {
    /// The holds that are obeyed, and the names of those that lag too much.
    pub(super) fn without_lagging(
        &self,
        holds: Vec<(String, u64)>,
        end: u64,
    ) -> (Vec<(String, u64)>, Vec<String>) {
        let lags = |at: u64| self.hold_max.is_some_and(|most| end.saturating_sub(at) > most);
        let (lagging, obeyed): (Vec<_>, Vec<_>) = holds.into_iter().partition(|(_, at)| lags(*at));
        (obeyed, lagging.into_iter().map(|(name, _)| name).collect())
    }
}

/// Whoever names an age himself knows what time it is.
fn doubts_ages(files: &Files, how: &Retention) -> bool {
    how.by_policy && how.age.is_some() && files.doubts_clock(&read_clocks()).is_some()
}

/// Bytes that the file system has too little of; none where it does not say what it has.
fn lacking(files: &Files, least: Free) -> u64 {
    let Ok(has) = fs::ask_file_system(files.place.directory_fd()) else { return 0 };
    if has.all == 0 {
        return 0;
    }
    let least = match least {
        Free::Bytes(bytes) => bytes,
        Free::Percent(share) => has.all / 100 * u64::from(share),
    };
    least.saturating_sub(has.free)
}

/// How much goes: so many of the oldest final segments, each with its rule, and everything below a position.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Decision {
    pub(super) rules: Vec<Rule>,
    pub(super) first_kept: u64,
    pub(super) held_by: Option<String>,
}

/// The whole decision, and nothing but it. `holds`: names and positions, the one that keeps most first.
pub(super) fn decide(facts: &Facts, how: &Retention, holds: &[(String, u64)]) -> Decision {
    let held = holds.first().filter(|(name, _)| how.holds == Holds::Obey || name.is_empty());
    let held_from = held.map_or(u64::MAX, |(_, position)| *position);
    let mut decision = Decision { rules: Vec::new(), first_kept: facts.first_kept, held_by: None };
    if how.by_policy && facts.twins.is_some() {
        return decision;
    }
    let mut is_held = false;
    let most = if how.gently { MOST_BY_WRITERS } else { usize::MAX };
    for (index, segment) in facts.finals.iter().enumerate().take(most) {
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
    let before = facts.finals[..index].iter().fold(0u64, |sum, f| sum.saturating_add(f.allocated));
    let against = [
        (how.keep.is_some_and(|keep| from_here.len() as u64 > keep), Rule::Count),
        (how.bytes.is_some_and(|most| bytes > most), Rule::Bytes),
        (how.age.is_some_and(|most| age > most && !facts.doubts_ages), Rule::Age),
        (how.from.is_some_and(|from| segment.end <= from), Rule::Position),
        // What a writer takes may not become free: whoever sleeps with it open keeps it. So one at a time.
        (before < facts.lacking && !(how.gently && index > 0), Rule::Free),
    ];
    against.into_iter().find(|(goes, _)| *goes).map(|(_, rule)| rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;

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
        let finals = (0..segments).map(segment).collect();
        Facts { finals, base: segments * 100, first_kept: 0, lacking: 0, twins: None, doubts_ages: false }
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

    #[test]
    fn free_space_takes_as_many_as_it_lacks_whatever_else_would_be_kept_and_obeys_holds() {
        let of = |how: &Retention, lacking, held: &[(String, u64)]| {
            let facts = Facts { lacking, ..facts(5) };
            decide(&facts, how, held).rules
        };
        assert_eq!(of(&keep().keep(9), 0, &[]), []);
        assert_eq!(of(&keep().keep(9), 1, &[]), [Rule::Free]);
        assert_eq!(of(&keep(), 4096, &[]), [Rule::Free]);
        assert_eq!(of(&keep(), 4097, &[]), [Rule::Free; 2]);
        assert_eq!(of(&keep(), u64::MAX, &[]), [Rule::Free; 5], "never the current one");
        assert_eq!(of(&keep(), u64::MAX, &[("a".into(), 250)]), [Rule::Free; 2]);
        assert_eq!(of(&keep().keep(4), 4097, &[]), [Rule::Count, Rule::Free]);
    }

    #[test]
    fn a_writer_takes_two_at_a_time_and_one_for_free_space() {
        let of = |how: &Retention, lacking| decide(&Facts { lacking, ..facts(5) }, how, &[]).rules;
        assert_eq!(of(&Retention { gently: true, ..keep().keep(0) }, 0), [Rule::Count; 2]);
        assert_eq!(of(&Retention { gently: true, ..keep() }, u64::MAX), [Rule::Free]);
        assert_eq!(of(&Retention { gently: true, ..keep().keep(4) }, u64::MAX), [Rule::Count]);
        assert_eq!(decide(&facts(5), &Retention { gently: true, ..keep().keep(0) }, &[]).first_kept, 200);
    }

    #[test]
    fn while_the_clock_is_doubted_nothing_goes_because_of_its_age() {
        let of = |how: &Retention, doubts_ages| decide(&Facts { doubts_ages, ..facts(5) }, how, &[]).rules;
        let minute = keep().keep_age(Duration::from_secs(60));
        assert_eq!(of(&minute, false), [Rule::Age; 4]);
        assert_eq!(of(&minute, true), []);
        assert_eq!(of(&minute.keep(3), true), [Rule::Count; 2]);
    }

    #[test]
    fn by_policy_nothing_goes_while_a_generation_begins_at_two_positions() {
        let facts = Facts { twins: Some(3), ..facts(5) };
        assert_eq!(decide(&facts, &keep().keep(0), &[]).rules.len(), 5);
        let decision = decide(&facts, &Retention { by_policy: true, ..keep().keep(0) }, &[]);
        assert_eq!((decision.rules, decision.first_kept), (vec![], 0));
    }
}
