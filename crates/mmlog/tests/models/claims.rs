//! The claims, for both checkers. Those of one checker alone are in its own file.

use std::sync::Arc;

use mmlog::sync::{Ordering, fence};

use crate::actors::*;
use crate::checker::{JoinHandle, STUCK, caught, holds, spawn};
use crate::mutants::Variant::{self, *};
use crate::mutants::{cut, size_and_length};
use crate::world::*;

fn world(cursor: u64, file_size: u64, live: usize) -> Arc<World> {
    Arc::new(World::new(&Begin { cursor, file_size, live }))
}

/// A thread for each length, each with a slot of its own.
fn spawn_writers(world: &Arc<World>, lens: &[u64], variant: Variant) -> Vec<JoinHandle<Appended>> {
    let append = |(slot, &len): (usize, &u64)| {
        let world = Arc::clone(world);
        spawn(move || Writer { slot, value: slot as u64 + 1 }.append(&world, len, variant))
    };
    lens.iter().enumerate().map(append).collect()
}

fn spawn_follower(world: &Arc<World>, looks: usize, variant: Variant) -> JoinHandle<()> {
    let world = Arc::clone(world);
    spawn(move || {
        let mut follower = Follower::default();
        for _ in 0..looks {
            follower.look(&world, variant);
            follower.check(&world);
        }
    })
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Everybody has ended: every append that returned is there, and everything below the cursor is final.
fn at_rest(world: &World, appended: &[Appended]) {
    let mut follower = Follower::default();
    follower.look(world, AsShipped);
    assert_eq!(follower.watermark, world.control.look().start, "the watermark at rest");
    follower.check(world);
    for &Appended { start, len, value } in appended {
        for at in start..start + len {
            assert_eq!(world.file.read(at), value, "the byte at {at}");
        }
    }
}

/// A trim leaves exactly what was appended.
fn trimmed(world: &World, appended: &[Appended]) {
    trim(world, AsShipped, TrimDies::Never);
    assert_eq!(world.file.len(), world.control.look().start, "the file at rest");
    at_rest(world, appended);
}

// ---- 1. append and follow

pub(crate) fn append_and_follow(lens: &[u64], file_size: u64, looks: usize, variant: Variant) {
    let world = world(0, file_size, lens.len());
    let writers = spawn_writers(&world, lens, variant);
    join([spawn_follower(&world, looks, variant)]);
    at_rest(&world, &join(writers));
}

#[test]
fn the_watermark_passes_only_what_is_written() {
    holds(3, || append_and_follow(&[2], 4, 2, AsShipped));
    holds(1, || append_and_follow(&[1, 2], 4, 2, AsShipped));
    holds(2, || append_and_follow(&[1, 1], 4, 1, AsShipped));
}

#[test]
fn the_watermark_passes_only_what_is_written_while_the_file_grows() {
    holds(3, || append_and_follow(&[1], 0, 1, AsShipped));
    holds(1, || append_and_follow(&[1, 1], 1, 1, AsShipped));
}

#[test]
fn scanning_slots_before_the_cursor_is_caught() {
    caught(2, &[NOT_WRITTEN], || append_and_follow(&[1], 4, 1, SlotsBeforeCursor));
}

#[test]
fn reserving_before_the_slot_says_so_is_caught() {
    caught(2, &[NOT_WRITTEN], || append_and_follow(&[1], 4, 1, ReserveBeforeBegin));
}

#[test]
fn settling_before_the_copy_is_caught() {
    caught(2, &[NOT_WRITTEN], || append_and_follow(&[1], 4, 1, SettleBeforeCopy));
}

// ---- 2. a gate against an append

pub(crate) fn gate_against_append(lens: &[u64], variant: Variant, dies: TrimDies) {
    let world = world(1, 4, lens.len());
    let writers = spawn_writers(&world, lens, variant);
    let trimmer = Arc::clone(&world);
    join([spawn(move || {
        trim(&trimmer, variant, dies);
    })]);
    trimmed(&world, &join(writers));
}

#[test]
fn a_file_is_cut_only_when_nobody_copies_and_nobody_stores_behind_the_cut() {
    holds(3, || gate_against_append(&[1], AsShipped, TrimDies::Never));
}

#[test]
fn whoever_waits_finishes_what_a_dead_trimmer_began() {
    for dies in TrimDies::ALL {
        holds(2, move || gate_against_append(&[1], AsShipped, dies));
    }
}

#[test]
fn loading_the_limit_before_the_reservation_is_caught() {
    caught(2, &[BEYOND, UNDER_A_WRITER], || gate_against_append(&[1], LimitBeforeReserve, TrimDies::Never));
}

#[test]
fn reserving_before_the_slot_says_so_is_caught_by_a_gate() {
    caught(2, &[BEYOND, UNDER_A_WRITER], || gate_against_append(&[1], ReserveBeforeBegin, TrimDies::Never));
}

#[test]
fn cutting_without_a_drain_is_caught() {
    caught(2, &[BEYOND, UNDER_A_WRITER], || gate_against_append(&[1], NoDrain, TrimDies::Never));
}

#[test]
fn opening_the_gate_before_the_lower_limit_is_published_is_caught() {
    let model = || gate_against_append(&[1], GateOpenedBeforePublish, TrimDies::Never);
    caught(2, &[BEYOND, UNDER_A_WRITER], model);
}

// ---- 3. two gates in a row

pub(crate) fn two_gates(lens: &[u64], variant: Variant) {
    let world = world(1, 4, lens.len());
    let writers = spawn_writers(&world, lens, variant);
    let trimmer = Arc::clone(&world);
    join([spawn(move || {
        trim(&trimmer, variant, TrimDies::Never);
        trim(&trimmer, variant, TrimDies::Never);
    })]);
    trimmed(&world, &join(writers));
}

#[test]
fn a_writer_at_one_gate_and_the_drain_of_the_next_do_not_wait_for_each_other() {
    holds(2, || two_gates(&[1], AsShipped));
}

#[test]
fn a_gate_that_is_not_announced_is_caught() {
    caught(2, &[STUCK], || two_gates(&[1], NoAnnounce));
}

#[test]
fn draining_without_growing_is_caught() {
    caught(2, &[STUCK], || two_gates(&[1], DrainWithoutGrowth));
}

#[test]
fn a_writer_in_flight_that_blocks_on_the_lock_is_caught() {
    caught(2, &[STUCK], || two_gates(&[1], WaiterBlocksOnTheLock));
}

// ---- 4. claims of a dead writer's slot

/// Slot 0 is what a writer left that died when it had stored one byte of two.
pub(crate) fn slot_claim(claimers: u64, variant: Variant) {
    let world = world(0, 8, 0);
    let start = world.control.reserve(2).start;
    world.slots[0].len.store(2, Ordering::Relaxed);
    world.slots[0].pending.store(COPYING | start, Ordering::Relaxed);
    world.high_water.slots.store(1, Ordering::Relaxed);
    world.file.store(start, 99);
    world.truth.abandon(start, 2);
    let claim_and_append = |value| {
        let world = Arc::clone(&world);
        spawn(move || {
            let writer = claim(&world, value, variant);
            let appended = writer.append(&world, 1, AsShipped);
            writer.exit(&world);
            appended
        })
    };
    let writers: Vec<_> = (1..=claimers).map(claim_and_append).collect();
    join([spawn_follower(&world, 1, variant)]);
    let appended = join(writers);
    assert_eq!(world.counts.noted.load(Ordering::Relaxed), 1, "{SETTLED_TWICE}");
    at_rest(&world, &appended);
}

#[test]
fn a_dead_writers_slot_is_settled_once_and_its_hole_is_never_missed() {
    holds(2, || slot_claim(1, AsShipped));
    holds(1, || slot_claim(2, AsShipped));
}

#[test]
fn settling_before_noting_the_hole_is_caught() {
    caught(2, &[TORN_SHOWN], || slot_claim(1, SettleBeforeNote));
}

#[test]
fn settling_without_the_slots_byte_is_caught() {
    caught(2, &[INHERITED, TWO_OWNERS, SETTLED_TWICE, NOT_WRITTEN], || slot_claim(2, SettleWithoutTheByte));
}

#[test]
fn claiming_a_slot_without_looking_is_caught() {
    caught(2, &[INHERITED], || slot_claim(1, ClaimWithoutLook));
}

#[test]
fn reading_the_holes_before_the_slots_is_caught() {
    caught(2, &[TORN_SHOWN], || slot_claim(1, HolesBeforeSlots));
}

// ---- 5. exits against a follower that may only read

pub(crate) fn exit_against_follower(successors: u64, variant: Variant) {
    let world = world(0, 8, 1);
    let first = spawn({
        let world = Arc::clone(&world);
        move || {
            let writer = Writer { slot: 0, value: 99 };
            let appended = writer.append(&world, 1, variant);
            writer.exit(&world);
            appended
        }
    });
    let succeed = |value| {
        let world = Arc::clone(&world);
        spawn(move || claim(&world, value, AsShipped).append(&world, 1, AsShipped))
    };
    let writers: Vec<_> = [first].into_iter().chain((1..=successors).map(succeed)).collect();
    join([spawn_follower(&world, 1, variant)]);
    at_rest(&world, &join(writers));
}

/// The successor is there at once: one thread is both.
fn exit_and_claim_against_follower(looks: usize) {
    let world = world(0, 8, 1);
    let writers = spawn({
        let world = Arc::clone(&world);
        move || {
            let first = Writer { slot: 0, value: 99 };
            let appended = first.append(&world, 1, AsShipped);
            first.exit(&world);
            [appended, claim(&world, 1, AsShipped).append(&world, 2, AsShipped)]
        }
    });
    join([spawn_follower(&world, looks, AsShipped)]);
    at_rest(&world, &writers.join().unwrap());
}

#[test]
fn a_follower_takes_no_finished_or_live_append_for_dead() {
    holds(2, || exit_and_claim_against_follower(1));
    holds(1, || exit_and_claim_against_follower(2));
    holds(1, || exit_against_follower(1, AsShipped));
}

#[test]
fn probing_without_a_second_load_is_caught() {
    caught(2, &[NO_HOLE], || exit_against_follower(0, ProbeWithoutSecondLoad));
}

#[test]
fn giving_the_byte_back_before_settling_is_caught() {
    caught(2, &[NO_HOLE, NOT_WRITTEN], || exit_against_follower(0, ByteFreedBeforeSettle));
}

// ---- a writer that dies, and a follower that looks meanwhile

pub(crate) fn dying_writer(live: &[u64], dies: Dies) {
    let world = world(0, 8, live.len() + 1);
    let die = spawn({
        let (world, slot) = (Arc::clone(&world), live.len());
        move || Writer { slot, value: 99 }.append_or_die(&world, 2, AsShipped, dies)
    });
    let writers = spawn_writers(&world, live, AsShipped);
    join([spawn_follower(&world, 1, AsShipped)]);
    assert_eq!(die.join().unwrap(), None);
    trimmed(&world, &join(writers));
}

#[test]
fn a_writer_may_die_at_any_step() {
    for dies in Dies::ALL {
        holds(3, move || dying_writer(&[], dies));
    }
}

// ---- wakes

/// How a follower goes to sleep and a writer wakes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sleep {
    AsShipped,
    LookBeforeAsk,
    TakeBeforeAppend,
    #[cfg_attr(feature = "shuttle", allow(dead_code, reason = "no difference in program order"))]
    NoBarrier,
}

/// `membarrier`, seen from either side: one fence here, one there.
fn barrier(sleep: Sleep) {
    if sleep != Sleep::NoBarrier {
        fence(Ordering::SeqCst);
    }
}

pub(crate) fn wake(sleep: Sleep) {
    let world = world(0, 4, 1);
    let writer = spawn({
        let world = Arc::clone(&world);
        move || {
            if sleep == Sleep::TakeBeforeAppend {
                world.data_wake.take();
            }
            let appended = Writer { slot: 0, value: 1 }.append(&world, 1, AsShipped);
            barrier(sleep);
            if sleep != Sleep::TakeBeforeAppend {
                world.data_wake.take();
            }
            appended
        }
    });
    let follower = spawn({
        let world = Arc::clone(&world);
        move || {
            let mut follower = Follower::default();
            if sleep == Sleep::LookBeforeAsk {
                follower.look(&world, AsShipped);
            }
            let expected = world.data_wake.ask();
            barrier(sleep);
            if sleep != Sleep::LookBeforeAsk {
                follower.look(&world, AsShipped);
            }
            // Nothing there: it sleeps until the word differs from what it expects.
            (follower.watermark == 0).then_some(expected)
        }
    });
    let sleeps_on = follower.join().unwrap();
    let appended = writer.join().unwrap();
    assert_ne!(sleeps_on, Some(world.data_wake.word().load(Ordering::Acquire)), "{LOST_WAKE}");
    at_rest(&world, &[appended]);
}

#[test]
fn a_follower_that_asks_before_it_looks_misses_no_wake() {
    holds(3, || wake(Sleep::AsShipped));
}

#[test]
fn looking_before_asking_is_caught() {
    caught(2, &[LOST_WAKE], || wake(Sleep::LookBeforeAsk));
}

#[test]
fn waking_before_the_append_is_final_is_caught() {
    caught(2, &[LOST_WAKE], || wake(Sleep::TakeBeforeAppend));
}

// ---- the length of the file against what is published

/// A trim and a growth beside somebody who looks whether the file was cut from outside.
pub(crate) fn judge_length(variant: Variant) {
    let world = world(1, 4, 0);
    let operator = spawn({
        let world = Arc::clone(&world);
        move || {
            cut(&world, 1, variant);
            world.file.allocate(4);
            world.control.publish_size(4);
        }
    });
    let (expected, found) = size_and_length(&world, variant);
    assert!(found >= expected, "{FALSE_DAMAGE}: {found} bytes of {expected}");
    operator.join().unwrap();
}

#[test]
fn a_file_that_is_cut_and_grows_again_is_never_taken_for_one_cut_from_outside() {
    holds(3, || judge_length(AsShipped));
}

#[test]
fn counting_a_cut_before_its_size_is_published_is_caught() {
    caught(3, &[FALSE_DAMAGE], || judge_length(CountBeforePublish));
}
