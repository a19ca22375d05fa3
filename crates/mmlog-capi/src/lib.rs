//! libmmlog: the C functions of `libmmlog.h` and `mmlog.h`, on the library `mmlog`. mmlog(3) is their manual.
//!
//! - A handle is a small block of C's `malloc`, so that `free` and never closing are both harmless (`ticket`). It leads to the
//!   process's one opening of the log, which threads and forked children share (`mmlog_process`).
//! - Every function is run in `border`: no panic leaves it, and what was wrong is kept for the thread.

mod border;
pub mod calls;
pub mod codes;
pub mod following;
mod json;
pub mod original;
pub mod policy;
mod sized;
mod ticket;
