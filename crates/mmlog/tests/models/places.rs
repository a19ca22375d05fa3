//! Places of followers, claimed after their owners' death, and whoever looks meanwhile.
//!
//! A byte that is found held is found behind what its owner stored before he took it: here taking one is a release, too.

use std::sync::Arc;

use mmlog::layout::FollowingPlace;
use mmlog::sync::{AtomicU32, Ordering, fence};

use crate::checker::{caught, holds, spawn};

const MIXED: &str = "a place shows two followers as one";
const DEAD_SHOWN: &str = "a dead follower is shown as alive";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    AsShipped,
    OneByte,
    #[cfg_attr(feature = "shuttle", allow(dead_code, reason = "no difference in program order"))]
    NotEmptiedFirst,
    NoSecondLoad,
    ByteBeforeFill,
}
use Way::*;

#[derive(Default)]
struct World {
    place: FollowingPlace,
    bytes: [AtomicU32; 2],
}

impl World {
    fn take(&self, byte: usize) -> bool {
        self.bytes[byte].compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// As the kernel does for the dead.
    fn give_back(&self) {
        self.bytes.iter().rev().for_each(|byte| byte.store(0, Ordering::Release));
    }

    /// Follower `who` begins.
    fn claim(&self, who: u64, way: Way) {
        assert!(self.take(0));
        if way == ByteBeforeFill {
            self.take(1);
        }
        let rest = |place: &FollowingPlace| {
            place.pid.store(who as u32, Ordering::Relaxed);
            place.position.store(who, Ordering::Relaxed);
        };
        if way == NotEmptiedFirst {
            rest(&self.place);
            self.place.since_ns.store(who, Ordering::Release);
        } else {
            self.place.fill(who, rest);
        }
        self.take(1);
    }

    fn look(&self, way: Way) -> Option<[u64; 3]> {
        let rest = |place: &FollowingPlace| {
            [u64::from(place.pid.load(Ordering::Relaxed)), place.position.load(Ordering::Relaxed)]
        };
        let asked = if way == OneByte { &self.bytes[0] } else { &self.bytes[1] };
        let lives = || asked.load(Ordering::Acquire) != 0;
        let (since, [pid, position]) = if way == NoSecondLoad {
            let since = self.place.since_ns.load(Ordering::Acquire);
            let found = rest(&self.place);
            fence(Ordering::Acquire);
            lives().then_some((since, found))?
        } else {
            self.place.read(rest, lives)?
        };
        Some([since, pid, position])
    }
}

/// Follower 1 has died in the place before, or dies now; follower 2 takes it.
fn place_changes_hands(dies_now: bool, way: Way) {
    let world = Arc::new(World::default());
    world.claim(1, AsShipped);
    if !dies_now {
        world.give_back();
    }
    let heir = spawn({
        let world = Arc::clone(&world);
        move || {
            if dies_now {
                world.give_back();
            }
            world.claim(2, way);
        }
    });
    if let Some([since, pid, position]) = world.look(way) {
        assert!(pid == since && position == since, "{MIXED}: {since} {pid} {position}");
        assert!(dies_now || pid == 2, "{DEAD_SHOWN}");
    }
    heir.join().unwrap();
    assert_eq!(world.look(AsShipped), Some([2, 2, 2]));
}

#[test]
fn a_place_shows_one_follower_and_none_that_is_dead() {
    holds(3, || place_changes_hands(false, AsShipped));
    holds(3, || place_changes_hands(true, AsShipped));
}

#[test]
fn asking_for_the_byte_that_is_taken_first_is_caught() {
    caught(2, &[DEAD_SHOWN], || place_changes_hands(false, OneByte));
}

#[test]
fn taking_the_second_byte_before_the_place_is_filled_is_caught() {
    caught(2, &[DEAD_SHOWN], || place_changes_hands(false, ByteBeforeFill));
}

#[test]
fn looking_once_at_since_when_is_caught() {
    caught(2, &[MIXED, DEAD_SHOWN], || place_changes_hands(false, NoSecondLoad));
}

/// Only a checker of memory orders sees it: what is asked in between may be old.
#[cfg(feature = "loom")]
#[test]
fn filling_a_place_that_is_not_emptied_first_is_caught() {
    caught(3, &[MIXED], || place_changes_hands(true, NotEmptiedFirst));
}
