//! Guards the promise of shipping: `decide` and `machine`, as they ship, against every sink and every log that small numbers allow, step by
//! step and breadth first; and that this finds what is wrong, since each mutant, a fault of a kind that shippers have, must fail.
//!
//! `MMLOG_SHIP_MODEL=full` has a byte and a crash more, up to five million states a world; `MMLOG_SHIP_WORLD=put` those worlds alone whose names begin so.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "counts, for whoever runs it by hand")]

#[path = "model/carried.rs"]
mod carried;
#[path = "model/configurations.rs"]
mod configurations;
#[path = "model/faults.rs"]
mod faults;
#[path = "model/judge.rs"]
mod judge;
#[path = "model/lies.rs"]
mod lies;
#[path = "model/log.rs"]
mod log;
#[path = "model/mutants.rs"]
mod mutants;
#[path = "model/search.rs"]
mod search;
#[path = "model/sink.rs"]
mod sink;
#[path = "model/sink_faults.rs"]
mod sink_faults;
#[path = "model/world.rs"]
mod world;
