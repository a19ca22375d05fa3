//! A process's logs, for whoever appends without a [`Writer`](mmlog::Writer) in his hands: a program in C, a logger.
//!
//! - A path is opened once for the process ([`open`]), and found again in a forked child: nothing of a log is locked across
//!   `fork`.
//! - Each thread has a writer of its own, up to a number; further ones share some ([`append`]).
//! - A process that ends without closing leaves an exact file.

mod ending;
mod exit;
mod registry;
mod seats;

pub use registry::{Entry, How, open};
pub use seats::{append, close};
