//! What a log must hold: everything that was acknowledged, exactly once, whole, where it said.
//!
//! - A message says whose it is, its number, its length; its body follows from these and the run's seed
//!   ([`message`]). One shorter than its head is known by the table alone.
//! - Each is announced in a table before its append and acknowledged there after it ([`Acks`]). The table lies in
//!   memory that the processes share and the log knows nothing of. A writer that is killed between the two leaves
//!   a "maybe": whole, or absent.
//! - [`check()`] reads the log once, in order of positions, across all segments, and accounts for every byte.
//! - What lies in the directory, and that a final segment never changes, is [`Segments`]' to say.
//! - What followers read while it was going on is compared by [`Sightings`] with what was there in the end.

mod acks;
mod check;
mod content;
mod gap;
mod message;
mod segments;
mod sightings;
mod words;

pub(crate) use acks::{Acks, Scribe};
pub(crate) use check::{Found, check, check_bounded};
pub(crate) use gap::FROM_A_SHELL;
pub(crate) use message::{ENDS_IN_NULS, HEAD};
pub(crate) use segments::{Final, Seal, Seals, Segments, open};
pub(crate) use sightings::{Sightings, Watcher};
pub(crate) use words::Words;
