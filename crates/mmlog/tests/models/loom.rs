//! The protocol's verbs under every schedule and every memory order that C11 allows, within bounds.
//!
//! Guards: invariants 1 to 3 of the protocol (nothing overlaps, the watermark passes only what is final, no store
//! beyond the end), and the labels in `metadata` and `slots`: each release with the acquire that it is for.
//!
//! ```text
//! cargo test -p mmlog --release --features loom --test loom
//! ```
//!
//! Each model is exhaustive up to a number of preemptions, the first argument of `holds` and `caught`: switches
//! away from a thread that could go on. `LOOM_MAX_PREEMPTIONS` replaces it for all. Loom takes `SeqCst` for `AcqRel`,
//! fences excepted, and is not fair: with two threads that wait for a third it never ends, so models of more than
//! one waiting writer are in `shuttle.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod actors;
mod claims;
mod mutants;
mod places;
mod policy;
mod times;
mod world;

/// What `claims` and `actors` need of a checker.
mod checker {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    pub(crate) use loom::thread::{JoinHandle, spawn, yield_now};

    /// What it says of a model in which nobody goes on.
    pub(crate) const STUCK: &str = "Model exceeded maximum number of branches";

    fn check(
        preemptions: usize,
        model: impl Fn() + Sync + Send + 'static,
    ) -> (usize, std::thread::Result<()>) {
        let runs = Arc::new(AtomicUsize::new(0));
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound.get_or_insert(preemptions);
        builder.max_branches = 5000;
        let count = Arc::clone(&runs);
        let begun = std::time::Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            builder.check(move || {
                count.fetch_add(1, Ordering::Relaxed);
                model();
            });
        }));
        let runs = runs.load(Ordering::Relaxed);
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        eprintln!("{name}: {runs} executions, {preemptions} preemptions, {:?}", begun.elapsed());
        (runs, ended)
    }

    /// Claims that no execution violates anything.
    pub(crate) fn holds(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
        if let (_, Err(violation)) = check(preemptions, model) {
            std::panic::resume_unwind(violation);
        }
    }

    /// Claims that some execution violates one of these.
    pub(crate) fn caught(preemptions: usize, violations: &[&str], model: impl Fn() + Sync + Send + 'static) {
        let (runs, ended) = check(preemptions, model);
        let Err(violation) = ended else { panic!("not caught in {runs} executions") };
        crate::world::expect_one_of(violations, &*violation);
    }
}

// ---- orderings: only loom tells these from what ships

use actors::TrimDies;
use checker::caught;
use claims::{Sleep, append_and_follow, gate_against_append, judge_length, slot_claim, wake};
use mutants::Variant::*;
use world::{BEYOND, FALSE_DAMAGE, LOST_WAKE, NOT_WRITTEN, TORN_SHOWN, UNDER_A_WRITER};

#[test]
fn settling_without_release_is_caught() {
    caught(2, &[NOT_WRITTEN], || append_and_follow(&[1], 4, 1, RelaxedSettle));
}

#[test]
fn scanning_without_acquire_is_caught() {
    caught(2, &[NOT_WRITTEN], || append_and_follow(&[1], 4, 1, RelaxedScan));
}

#[test]
fn reserving_without_release_is_caught() {
    caught(2, &[NOT_WRITTEN], || append_and_follow(&[1], 4, 1, RelaxedReserve));
}

#[test]
fn looking_at_the_cursor_without_acquire_is_caught() {
    caught(2, &[NOT_WRITTEN], || append_and_follow(&[1], 4, 1, RelaxedLook));
}

#[test]
fn closing_the_gate_without_acquire_is_caught() {
    caught(2, &[BEYOND, UNDER_A_WRITER], || gate_against_append(&[1], RelaxedClose, TrimDies::Never));
}

#[test]
fn opening_the_gate_without_release_is_caught() {
    caught(2, &[BEYOND, UNDER_A_WRITER], || gate_against_append(&[1], RelaxedOpen, TrimDies::Never));
}

#[test]
fn scanning_a_settled_slot_without_acquire_misses_its_hole() {
    caught(2, &[TORN_SHOWN], || slot_claim(1, RelaxedScan));
}

#[test]
fn loading_the_length_without_acquire_mistakes_the_next_owners_for_the_dead_ones() {
    caught(2, &[TORN_SHOWN], || slot_claim(1, RelaxedLen));
}

#[test]
fn without_the_barrier_a_wake_can_be_lost() {
    caught(2, &[LOST_WAKE], || wake(Sleep::NoBarrier));
}

#[test]
fn cutting_without_a_fence_behind_the_count_is_caught() {
    caught(3, &[FALSE_DAMAGE], || judge_length(NoFenceBeforeCut));
}

#[test]
fn counting_again_without_a_fence_behind_the_length_is_caught() {
    caught(3, &[FALSE_DAMAGE], || judge_length(NoFenceAfterLength));
}

// ---- three switches at the right places: shuttle does not come across them

#[test]
fn judging_by_the_same_size_before_and_after_is_caught() {
    caught(3, &[FALSE_DAMAGE], || judge_length(SameSizeTwice));
}
