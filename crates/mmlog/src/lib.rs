//! An append-only log that many processes write through shared memory.
//!
//! A log is one plain data file, `app.log`, and a small metadata file beside it, `app.log.mmlog`. An append is an
//! atomic add on a cursor in the metadata and a copy into a mapped chunk of the data file: no daemon, no system
//! call, no lock on the way. Any process may be killed or stopped at any instruction; nobody else loses a byte.
//!
//! ```
//! # fn main() -> mmlog::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("app.log");
//! use mmlog::{Log, Start};
//!
//! let log = Log::options().open_or_create(&path)?; // Clone + Send + Sync
//! let mut writer = log.writer()?; // one a thread
//! let at = writer.append(b"hello\n")?;
//! let mut follower = log.follow(Start::At(at))?; // exact, live
//! let mut buf = [0; 4096];
//! assert_eq!(follower.next(&mut buf)?, mmlog::Next::Bytes(0..6));
//! # Ok(())
//! # }
//! ```
//!
//! What to know:
//!
//! - While a log is open its data file is longer than what was appended (64 KiB, then whole chunks are allocated ahead, zeros).
//!   Read it through a [`Follower`] or `mmlogctl cat`; the last writer to close trims it to exactly the bytes.
//! - A process that dies while it appends leaves a [`Hole`]; a stopped one is waited for, named, never robbed.
//! - A handle goes by the directory that was opened, whatever becomes of the working directory, the root or names on the
//!   way. A forked child may go on using its parent's handles. A raw `clone` without `exec` may not, and a signal
//!   handler may not fork: POSIX does not let it, since what it interrupted may be half done.
//! - The library prints nothing, starts no threads, and neither exits nor panics on input.
//!
//! # Threads
//!
//! A [`Log`] is `Send` and `Sync`: clone it, or lend it to any number of threads. A [`Writer`] and a [`Follower`] are `Send`: they go on
//! in whichever thread has them, as tasks of an async program do. Both change with each call, so one is used by one thread at a time:
//! each thread that appends has a writer of its own, and needs no lock.
//!
//! ```compile_fail,E0499
//! # fn main() -> mmlog::Result<()> {
//! let mut writer = mmlog::Log::options().open_or_create("app.log")?.writer()?;
//! std::thread::scope(|threads| {
//!     threads.spawn(|| writer.append(b"one\n"));
//!     threads.spawn(|| writer.append(b"two\n")); // second mutable borrow: `log.writer()?` once more
//! });
//! # Ok(())
//! # }
//! ```
//!
//! [`Follower::wait`] blocks the thread that it is called in. An async program has a thread of its runtime's do that (`spawn_blocking`),
//! with a short time-out, after which it looks whether to go on: `examples/follow_async.rs` makes a `Stream` of it.
//!
//! The bytes of the metadata file are in [`layout`]; the protocol is in the module docs of the source, each
//! beside the code that keeps it.

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod append;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod carry_out;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub mod check;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod chunks;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod codec;
#[cfg(all(feature = "compressed", not(any(feature = "loom", feature = "shuttle"))))]
mod compress;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
#[doc(hidden)]
pub mod crash;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod deadline;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod durable;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod error;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod files;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod follow;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod following;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod holds;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod holes;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod hooks;
pub mod layout;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod log;
#[doc(hidden)]
pub mod metadata;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod names;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod olddir;
#[doc(hidden)]
pub mod places;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod policy;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod position;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod prune;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub mod repair;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod rotate;
#[doc(hidden)]
pub mod slots;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod span;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod status;
#[doc(hidden)]
pub mod sync;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod sys;
#[doc(hidden)]
pub mod times;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod trim;
pub mod units;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod waiting;

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod door {
    pub use crate::append::{LINE_BUFFER, MAX_BATCH, Writer};
    pub use crate::carry_out::trust::Distrust;
    #[cfg(feature = "compressed")]
    pub use crate::compress::{Compress, Compressed, Compressing, Compressions};
    pub use crate::error::{Blocker, Class, Error, Fault, PanicRecord, Result, quoted, reason, with_log};
    pub use crate::files::absent::logs_named_by;
    #[doc(hidden)]
    pub use crate::files::boot::pretend_reboot;
    pub use crate::files::moved::{Stray, stray_metadata};
    pub use crate::files::reboot::foreseen::Unrecovered;
    pub use crate::files::remove::{Force, Removed};
    pub use crate::files::segment_dir::LeftOut;
    pub use crate::files::{Adopt, METADATA_SUFFIX, Origin, Trust};
    pub use crate::follow::{Follower, LONGEST_SLEEP, Next, Standing, Start, Wait};
    pub use crate::following::Teller;
    pub use crate::holds::Hold;
    pub use crate::holes::{Hole, HoleKind};
    pub use crate::hooks::{Due, HookTurn};
    pub use crate::layout::MAX_MESSAGE;
    pub use crate::log::{
        DEFAULT_CHUNK_SIZE, DEFAULT_GATE_MS, DEFAULT_MAX_WRITERS, DEFAULT_RING_CHUNKS, Log, Options,
        is_answered_elsewhere, open_logs, remove, remove_all,
    };
    pub use crate::metadata::overdue::Undone;
    pub use crate::names::{Compression, Stamp};
    pub use crate::olddir::Moved;
    pub use crate::policy::{Policy, PolicyState};
    pub use crate::position::Position;
    pub use crate::prune::{Free, Holds, PrunedSegment, Pruning, Retention, Rule};
    pub use crate::rotate::{Rotated, Rotation};
    pub use crate::slots::Phase;
    pub use crate::span::{Edge, Jump, Pair, Span};
    pub use crate::status::{
        ClockDoubt, ClockSet, Damage, Durability, FeederStopped, FileFacts, Finding, FindingId,
        FollowerStatus, HoldStatus, InFlight, Lock, LogId, Medium, Observer, OutputFull, OutputReader,
        OutsideBytes, PolicyStatus, PolicyUndone, ReadOnly, Recovered, RemovedHeld, Rights, Seat, Seen,
        SegmentFlaw, SegmentStatus, Severity, ShipperState, ShipperStatus, State, Status, StillOpen,
        Thresholds, UnrunHooks, Version1Flags, WhyReadOnly, WriterStatus, explain, explain_removed,
        saved_copy, shipper_file,
    };
    pub use crate::sys::barrier::prepare_before_threads;
    pub use crate::sys::cgroup::Freezer;
    pub use crate::sys::events::forks;
    pub use crate::sys::holders::Opener;
    pub use crate::sys::last_run::{kept_by_a_full_pipe, not_run_for};
    pub use crate::sys::open_logs::{FileKey, Holder, OpenLog, OpenLogs, Sight, file_keys};
    pub use crate::sys::process::ProcessState;
    #[doc(hidden)]
    pub use crate::sys::process::processes;
    pub use crate::sys::sigbus::guard_against_sigbus;
    pub use crate::sys::together::Together;
    pub use crate::trim::Trimmed;
    pub use crate::waiting::{SlotWaiters, Waiting, Want};
}
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub use door::*;

/// The programs of doc/library.md, which are compiled as examples are.
#[cfg(doctest)]
#[doc = include_str!("../../../doc/library.md")]
mod library_page {}
