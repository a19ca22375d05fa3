//! libmmlog: the C functions of `libmmlog.h` and `mmlog.h`, on the library `mmlog`. mmlog(3) is their manual.
//!
//! - A handle is a small block of C's `malloc`, so that `free` and never closing are both harmless (`ticket`). It leads to the
//!   process's one opening of the log (`registry`).
//! - Each thread has a writer of its own, up to a number; further ones share some (`seats`).
//! - Nothing of a log is locked across `fork`: a child opens its own where it finds its parent's.
//! - A program that ends without closing leaves an exact file (`exit`).
//! - Every function is run in `border`: no panic leaves it, and what was wrong is kept for the thread.

mod border;
pub mod calls;
pub mod codes;
mod exit;
pub mod following;
mod json;
pub mod original;
pub mod policy;
mod registry;
mod seats;
mod sized;
mod ticket;
