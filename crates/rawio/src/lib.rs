//! What `mmlogctl` asks of the kernel and no safe crate has. For `bench`: shared words and mapped windows of files, native
//! AIO, `io_uring`, what is in the page cache; for all commands: what is known of standard streams. Everything behind safe calls: offsets are checked, and the kernel only ever gets memory that
//! lives until it has answered.
//!
//! The log itself uses none of it.

pub mod aio;
pub mod aligned;
pub mod cache;
pub mod map;
pub mod streams;
pub mod uring;
