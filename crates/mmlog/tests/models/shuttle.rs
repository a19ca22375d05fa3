//! The protocol's verbs under random schedules, with more writers than loom could bear.
//!
//! Guards: the same claims as `loom.rs`, in program order but without its bounds, and progress: nobody is stuck.
//!
//! ```text
//! cargo test -p mmlog --release --features shuttle --test shuttle
//! SHUTTLE_RANDOM_SEED=7 cargo test -p mmlog --release --features shuttle --test shuttle -- --nocapture
//! ```
//!
//! Half of the schedules are uniformly random, half are PCT of depth 3. Both begin at a fixed seed, which is
//! printed; `SHUTTLE_RANDOM_SEED` replaces it.

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

    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

    pub(crate) use shuttle::thread::{JoinHandle, spawn, yield_now};

    /// What it says of a model in which nobody goes on.
    pub(crate) const STUCK: &str = "exceeded max_steps bound";

    const SEED: u64 = 20_260_101;
    const RANDOM: usize = 10_000;
    const PCT: usize = 10_000;

    fn check(model: impl Fn() + Sync + Send + 'static) -> (usize, std::thread::Result<()>) {
        let mut config = Config::new();
        config.failure_persistence = FailurePersistence::None;
        config.max_steps = MaxSteps::FailAfter(20_000);
        config.silence_warnings = true;
        let runs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&runs);
        let model = Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            model();
        });
        let begun = std::time::Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let (random, pct) = (Arc::clone(&model), model);
            Runner::new(RandomScheduler::new_from_seed(SEED, RANDOM), config.clone()).run(move || random());
            Runner::new(PctScheduler::new_from_seed(SEED, 3, PCT), config).run(move || pct());
        }));
        let runs = runs.load(Ordering::Relaxed);
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        eprintln!("{name}: seed {SEED}, {runs} schedules, {:?}", begun.elapsed());
        (runs, ended)
    }

    /// Claims that no schedule violates anything.
    pub(crate) fn holds(_: usize, model: impl Fn() + Sync + Send + 'static) {
        if let (_, Err(violation)) = check(model) {
            std::panic::resume_unwind(violation);
        }
    }

    /// Claims that some schedule violates one of these.
    pub(crate) fn caught(_: usize, violations: &[&str], model: impl Fn() + Sync + Send + 'static) {
        let (runs, ended) = check(model);
        let Err(violation) = ended else { panic!("not caught in {runs} schedules") };
        crate::world::expect_one_of(violations, &*violation);
    }
}

// ---- more of everything than loom could bear

use actors::{Dies, TrimDies};
use checker::holds;
use claims::{
    append_and_follow, dying_writer, exit_against_follower, gate_against_append, slot_claim, two_gates,
};
use mutants::Variant::AsShipped;

#[test]
fn four_writers_and_a_follower_while_the_file_grows() {
    holds(0, || append_and_follow(&[1, 2, 3, 1], 1, 3, AsShipped));
}

#[test]
fn four_writers_against_a_gate() {
    holds(0, || gate_against_append(&[2, 1, 3, 1], AsShipped, TrimDies::Never));
}

#[test]
fn four_writers_against_a_trimmer_that_dies() {
    for dies in TrimDies::ALL {
        holds(0, move || gate_against_append(&[2, 1, 3, 1], AsShipped, dies));
    }
}

#[test]
fn four_writers_against_two_gates() {
    holds(0, || two_gates(&[1, 2, 1, 3], AsShipped));
}

#[test]
fn four_claimers_of_one_dead_slot() {
    holds(0, || slot_claim(4, AsShipped));
}

#[test]
fn three_successors_of_a_writer_that_exits() {
    holds(0, || exit_against_follower(3, AsShipped));
}

#[test]
fn a_writer_dies_among_three() {
    for dies in Dies::ALL {
        holds(0, move || dying_writer(&[1, 3, 2], dies));
    }
}
