//! What `mmlogctl bench` asks of the kernel and no safe crate has: shared words and mapped windows of files, native
//! AIO, `io_uring`, what is in the page cache. Everything behind safe calls: offsets are checked, and the kernel only ever gets memory that
//! lives until it has answered.
//!
//! The log itself uses none of it.

pub mod aio;
pub mod aligned;
pub mod cache;
pub mod map;
pub mod uring;
