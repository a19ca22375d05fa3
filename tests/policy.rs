//! Guards the policy that a log carries: changed for all or not at all, kept by what comes after, and never taken for another
//! where somebody scribbled.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::mem::offset_of;
use std::time::Duration;

use common::surgeon::Surgeon;
use common::{Scene, scene};
use mmlog::layout::{FEATURE_POLICY, Header};
use mmlog::repair::{self, Wish};
use mmlog::{
    Compression, Fault, Free, HoleKind, Log, Next, Policy, PolicyState, Position, Pruning, Retention,
    Rotation, Rule, Start,
};

const WAIT: Duration = Duration::from_secs(10);
const GROWTH: usize = offset_of!(Header, policy.rotate_size);
const BASE: usize = offset_of!(Header, control.base);
const NUMBER: usize = offset_of!(Header, policies.number);

fn all_rules() -> Policy {
    Policy {
        rotate_size: Some(64 << 20),
        rotate_age: Some(Duration::from_secs(86_400)),
        keep: Some(10),
        keep_bytes: Some(10 << 30),
        keep_age: Some(Duration::from_secs(30 * 86_400)),
        keep_free: Some(Free::Percent(10)),
        hold_max: Some(20 << 30),
        compress: Some(Compression::Zstd),
    }
}

fn log_with(scene: &Scene, policy: &Policy) -> Log {
    Log::options().policy(policy).open_or_create(&scene.log).unwrap()
}

#[test]
fn a_policy_is_there_for_every_handle_and_only_the_rules_that_are_named_change() {
    let scene = scene();
    let (log, other) = (Log::options().open_or_create(&scene.log).unwrap(), || {
        Log::options().open_reader(&scene.log).unwrap().policy()
    });
    assert_eq!(other(), PolicyState::Unset);
    log.set_policy(|policy| *policy = all_rules(), WAIT).unwrap();
    assert_eq!(other(), PolicyState::Set(all_rules()));
    for free in [Free::Bytes(5 << 30), Free::Percent(99)] {
        log.set_policy(|policy| policy.keep_free = Some(free), WAIT).unwrap();
        assert_eq!(other(), PolicyState::Set(Policy { keep_free: Some(free), ..all_rules() }));
    }
    log.set_policy(|policy| (policy.keep, policy.rotate_size) = (None, Some(1 << 20)), WAIT).unwrap();
    let changed = other().rules();
    assert_eq!(
        (changed.keep, changed.rotate_size, changed.keep_age),
        (None, Some(1 << 20), all_rules().keep_age)
    );
    assert_eq!(Surgeon::new(&scene.log).get(GROWTH), 1 << 20);
    log.set_policy(|policy| *policy = Policy::default(), WAIT).unwrap();
    assert_eq!((other(), Surgeon::new(&scene.log).get(GROWTH)), (PolicyState::Unset, 0));
}

#[test]
fn a_log_that_is_there_keeps_its_own_policy_and_says_so() {
    let scene = scene();
    let bounded = Policy { rotate_size: Some(100_000), keep: Some(3), ..Policy::default() };
    let log = log_with(&scene, &bounded);
    let page = rustix::param::page_size() as u64;
    assert_eq!(log.policy().rules().rotate_size, Some(100_000 / page * page), "whole pages");
    assert_eq!(log.policy_kept(), None);
    assert_eq!(log_with(&scene, &bounded).policy_kept(), None, "the same");
    assert_eq!(log_with(&scene, &all_rules()).policy_kept(), Some(log.policy()));
    assert_eq!(Log::options().open(&scene.log).unwrap().policy_kept(), None, "nothing was asked for");
}

#[test]
fn a_rule_out_of_its_range_changes_nothing_and_the_range_is_said() {
    let scene = scene();
    let log = log_with(&scene, &all_rules());
    let refused = |change: fn(&mut Policy), words: &str| {
        let error = log.set_policy(|policy| (policy.keep = Some(1), change(policy)).1, WAIT).unwrap_err();
        assert!(
            matches!(error.fault(), Fault::Policy { .. }) && error.to_string().contains(words),
            "{error}"
        );
        assert_eq!(log.policy(), PolicyState::Set(all_rules()));
        let mut policy = Policy::default();
        change(&mut policy);
        let error =
            Log::options().policy(&policy).open_or_create(scene.log.with_extension("other")).err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(|p| p.rotate_size = Some(0), "rotate-size 0 B is out of its range, 64 KiB to 2 EiB");
    refused(|p| p.rotate_size = Some(u64::MAX), "64 KiB to 2 EiB");
    refused(|p| p.rotate_age = Some(Duration::ZERO), "rotate-age 0 ms is out of its range, 1 s to 100y");
    refused(|p| p.rotate_age = Some(Duration::MAX), "1 s to 100y");
    refused(|p| p.keep = Some(u64::MAX), "0 to 1000000000");
    refused(|p| p.keep_bytes = Some(u64::MAX), "0 B to 2 EiB");
    refused(|p| p.keep_age = Some(Duration::ZERO), "1 s to 100y");
    refused(
        |p| p.keep_free = Some(Free::Percent(100)),
        "keep-free 100% is out of its range, 1 B to 2 EiB, or 1% to 99%",
    );
    refused(|p| p.keep_free = Some(Free::Bytes(u64::MAX)), "1% to 99%");
    refused(|p| p.hold_max = Some(0), "hold-max 0 B is out of its range, 1 B to 2 EiB");
    assert!(!scene.log.with_extension("other").exists());
}

#[test]
fn scribbled_rules_are_none_until_somebody_sets_a_policy() {
    let scene = scene();
    let log = log_with(&scene, &all_rules());
    let surgeon = Surgeon::new(&scene.log);
    let copy = offset_of!(Header, policies.copies) + 128 * (surgeon.get(NUMBER) as usize % 2);
    for word in (0..128).step_by(8) {
        let before = surgeon.get(copy + word);
        surgeon.set(copy + word, before ^ 1 << 40);
        assert_eq!(log.policy(), PolicyState::Damaged, "word at {word}");
        surgeon.set(copy + word, before);
        assert_eq!(log.policy(), PolicyState::Set(all_rules()));
    }
    surgeon.set(copy + 24, 0);
    let policy = log.set_policy(|policy| policy.rotate_size = Some(1 << 20), WAIT).unwrap();
    assert_eq!(
        policy,
        Policy { rotate_size: Some(1 << 20), ..Policy::default() },
        "nothing of the damaged one"
    );
    surgeon.set(NUMBER, u64::MAX);
    log.set_policy(|policy| *policy = all_rules(), WAIT).unwrap();
    assert_eq!((log.policy(), surgeon.get(NUMBER)), (PolicyState::Set(all_rules()), 2));
}

#[test]
fn who_died_before_growth_knew_is_finished_by_the_next_maintenance() {
    let scene = scene();
    let log = log_with(&scene, &all_rules());
    let surgeon = Surgeon::new(&scene.log);
    for left in [0, 1 << 20, u64::MAX] {
        surgeon.set(GROWTH, left);
        log.writer().unwrap().append(b"something to rotate\n").unwrap();
        log.rotate(&Rotation::default()).unwrap();
        assert_eq!(surgeon.get(GROWTH), 64 << 20);
    }
}

#[test]
fn metadata_that_is_made_anew_keeps_a_policy_that_is_whole_and_says_of_another_that_it_is_gone() {
    for damage in [false, true] {
        let scene = scene();
        let log = log_with(&scene, &all_rules());
        log.writer().unwrap().append(b"hello\n").unwrap();
        log.close().unwrap();
        let surgeon = Surgeon::new(&scene.log);
        if damage {
            surgeon.set(offset_of!(Header, policies.copies) + 128 + 24, 1);
        }
        surgeon.set(BASE, u64::MAX);
        repair::examine(&scene.log, &Log::options()).unwrap().plan(&[Wish::Rebuild]).apply().unwrap();
        let log = Log::options().open(&scene.log).unwrap();
        let expected = if damage { PolicyState::Damaged } else { PolicyState::Set(all_rules()) };
        assert_eq!(log.policy(), expected);
        let surgeon = Surgeon::new(&scene.log);
        assert_eq!(surgeon.get(GROWTH), if damage { 0 } else { 64 << 20 });
        assert_ne!(surgeon.get32(offset_of!(Header, identity.features_optional)) & FEATURE_POLICY, 0);
    }
}

/// A log of so many final segments of a line each, and a current one.
fn segmented(scene: &Scene, policy: &Policy, finals: usize) -> Log {
    let log = log_with(scene, policy);
    let mut writer = log.writer().unwrap();
    for _ in 0..finals {
        writer.append(b"ten bytes\n").unwrap();
        log.rotate(&Rotation::default()).unwrap().unwrap();
    }
    writer.append(b"ten bytes\n").unwrap();
    log
}

fn by_policy(log: &Log) -> Pruning {
    log.prune(&Retention::of(&log.policy().rules())).unwrap()
}

#[test]
fn what_the_policy_does_not_keep_goes_and_a_damaged_one_takes_nothing() {
    let scene = scene();
    let log = segmented(&scene, &Policy { keep: Some(2), ..Policy::default() }, 5);
    let surgeon = Surgeon::new(&scene.log);
    let keep = offset_of!(Header, policies.copies) + 128 + 24;
    surgeon.set(keep, 0);
    assert!(by_policy(&log).is_empty());
    surgeon.set(keep, 2);
    let pruned = by_policy(&log);
    assert_eq!((pruned.segments.len(), pruned.first_kept), (3, 30));
    assert!(pruned.segments.iter().all(|s| s.rule == Rule::Count && s.allocated > 0));
    assert!(by_policy(&log).is_empty());
}

#[test]
fn a_hold_that_lags_too_much_keeps_nothing_stays_and_its_consumer_is_told_what_it_missed() {
    let scene = scene();
    let policy = Policy { keep: Some(0), hold_max: Some(25), ..Policy::default() };
    let log = segmented(&scene, &policy, 5);
    let [late, fresh] =
        [("late", 10), ("fresh", 40)].map(|(name, at)| log.hold(name, Position::new(at)).unwrap());
    let mut reader = log.follow(Start::At(Position::new(10))).unwrap();
    let pruned = by_policy(&log);
    assert_eq!((pruned.first_kept, &pruned.passed_over[..]), (40, &["late".to_owned()][..]));
    assert_eq!(pruned.held_by.as_deref(), Some("fresh"));
    let mut buf = [0; 100];
    let Next::Hole(hole) = reader.next(&mut buf).unwrap() else { panic!("it is not told") };
    assert_eq!((hole.kind, hole.start, hole.end()), (HoleKind::Pruned, 10, 40));
    assert_eq!(reader.next(&mut buf).unwrap(), Next::Rotated(4));
    assert_eq!(reader.next(&mut buf).unwrap(), Next::Bytes(40..50));
    assert_eq!(log.holds().len(), 2, "it is not ended");
    late.advance(Position::new(45)).unwrap();
    fresh.advance(Position::new(60)).unwrap();
    let pruned = by_policy(&log);
    assert_eq!((pruned.segments.len(), pruned.held_by.as_deref()), (0, Some("late")), "it is obeyed again");
}

#[test]
fn a_policy_takes_nothing_while_it_is_not_sure_which_file_is_the_segment() {
    let scene = scene();
    let log = segmented(&scene, &Policy { keep: Some(0), ..Policy::default() }, 3);
    let twin = scene.log.with_file_name("app.log.0000000001-0000000000000000011");
    std::fs::write(&twin, "nine more").unwrap();
    let pruned = by_policy(&log);
    assert_eq!((pruned.segments.len(), pruned.first_kept, pruned.twins), (0, 0, Some(1)));
    std::fs::remove_file(&twin).unwrap();
    assert_eq!(by_policy(&log).segments.len(), 3);
}

#[test]
fn free_space_takes_the_oldest_also_of_those_that_other_rules_keep_and_never_the_current_one() {
    let scene = scene();
    let all = Policy { keep: Some(10), keep_free: Some(Free::Bytes(1 << 61)), ..Policy::default() };
    let log = segmented(&scene, &all, 3);
    let pruned = by_policy(&log);
    assert_eq!(pruned.segments.iter().map(|s| s.rule).collect::<Vec<_>>(), [Rule::Free; 3]);
    assert_eq!((pruned.first_kept, log.cursor().unwrap().get()), (30, 40));
    log.set_policy(|policy| policy.keep_free = Some(Free::Bytes(1)), WAIT).unwrap();
    log.rotate(&Rotation::default()).unwrap().unwrap();
    assert!(by_policy(&log).is_empty(), "there is a byte");
}
