//! The policy's record: set by one after the other, some of whom die in the middle, and loaded meanwhile.
//!
//! Loom, which tries each old value of each word, gets copies of two words without a check; shuttle whole ones.

use std::sync::Arc;

use mmlog::layout::{Policies, PolicyCopy};
use mmlog::sync::{Ordering, fence};

use crate::checker::{caught, holds, spawn};

const MIXED: &str = "two policies are shown as one";
const FALSE_DAMAGE: &str = "a policy that is whole is called damaged";
const BACK: &str = "an older policy is shown after a newer one";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    AsShipped,
    NumberFirst,
    OneCopy,
    NoSecondLoad,
    #[cfg_attr(feature = "shuttle", allow(dead_code, reason = "no difference in program order"))]
    NoFenceBeforeFill,
}
use Way::*;

#[cfg(feature = "shuttle")]
mod copy {
    use super::*;
    use mmlog::metadata::policy::{Said, Words};

    const UUID: [u64; 2] = [7, 8];

    /// Keeps `n` segments of `n` MiB at the most.
    fn words(n: u64) -> Words {
        let mut words = [0; 15];
        (words[0], words[1], words[3]) = (0b101, n << 20, n);
        words
    }

    pub(super) fn fill(copy: &PolicyCopy, n: u64, number: u64) {
        copy.fill(&words(n), number, UUID);
    }

    pub(super) fn get(copy: &PolicyCopy, number: u64) -> u64 {
        match copy.get(number, UUID) {
            Said::Whole(found) => {
                assert!(found == words(found[3]), "{MIXED}: {found:?}");
                found[3]
            }
            // Only what is found so and stays so is said.
            Said::Torn | Said::Nothing => u64::MAX,
        }
    }
}

#[cfg(feature = "loom")]
mod copy {
    use super::*;

    pub(super) fn fill(copy: &PolicyCopy, n: u64, _: u64) {
        copy.keep.store(n, Ordering::Relaxed);
        copy.rotate_size.store(n, Ordering::Relaxed);
    }

    pub(super) fn get(copy: &PolicyCopy, _: u64) -> u64 {
        let (keep, size) = (copy.keep.load(Ordering::Relaxed), copy.rotate_size.load(Ordering::Relaxed));
        if keep == size { keep } else { u64::MAX }
    }
}

/// Sets policy `n`, or dies when half of it is there.
fn set(policies: &Policies, n: u64, dies: bool, way: Way) {
    let number = policies.number.load(Ordering::Relaxed) + 1;
    let copy = policies.copy(if way == OneCopy { 0 } else { number });
    if way == NumberFirst {
        policies.number.store(number, Ordering::Release);
    }
    if dies {
        fence(Ordering::Release);
        copy.keep.store(n, Ordering::Relaxed);
        return;
    }
    match way {
        AsShipped | NoSecondLoad => policies.write(|copy, number| copy::fill(copy, n, number)),
        NumberFirst => copy::fill(copy, n, number),
        OneCopy | NoFenceBeforeFill => {
            copy::fill(copy, n, number);
            policies.number.store(number, Ordering::Release);
        }
    }
}

/// Which policy holds.
fn load(policies: &Policies, way: Way) -> u64 {
    let number = policies.number.load(Ordering::Acquire);
    let found = match way {
        OneCopy => copy::get(policies.copy(0), number),
        NoSecondLoad => copy::get(policies.copy(number), number),
        _ => policies.read(copy::get).unwrap().unwrap(),
    };
    assert!(found != u64::MAX, "{FALSE_DAMAGE}");
    found
}

/// Policy 1 holds; somebody sets 2, somebody who may die 3, somebody 4.
fn setters_and_a_reader(dies: bool, way: Way) {
    let policies = Arc::new(Policies::default());
    set(&policies, 1, false, way);
    let setter = spawn({
        let policies = Arc::clone(&policies);
        move || {
            set(&policies, 2, false, way);
            set(&policies, 3, dies, way);
            if dies {
                set(&policies, 4, false, way);
            }
        }
    });
    let first = load(&policies, way);
    let second = load(&policies, way);
    assert!(first <= second, "{BACK}: {first} {second}");
    assert!(!dies || (first != 3 && second != 3), "{MIXED}: of one who died");
    setter.join().unwrap();
    assert_eq!(load(&policies, way), if dies { 4 } else { 3 });
}

#[test]
fn a_policy_is_loaded_whole_whoever_sets_another_or_dies_while_he_does() {
    holds(2, || setters_and_a_reader(false, AsShipped));
    holds(2, || setters_and_a_reader(true, AsShipped));
}

#[test]
fn a_number_before_its_copy_is_caught() {
    caught(2, &[FALSE_DAMAGE, MIXED], || setters_and_a_reader(true, NumberFirst));
}

#[test]
fn one_copy_is_caught() {
    caught(2, &[FALSE_DAMAGE, MIXED], || setters_and_a_reader(true, OneCopy));
}

#[test]
fn looking_once_at_the_number_is_caught() {
    caught(3, &[FALSE_DAMAGE, MIXED, BACK], || setters_and_a_reader(false, NoSecondLoad));
}

/// Only a checker of memory orders sees it.
#[cfg(feature = "loom")]
#[test]
fn filling_a_copy_without_a_fence_before_it_is_caught() {
    caught(3, &[FALSE_DAMAGE, MIXED], || setters_and_a_reader(false, NoFenceBeforeFill));
}
