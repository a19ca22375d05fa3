//! At exit: a program that ends without closing leaves an exact file, unless another process writes to the log: the last of
//! them sees to it. Nothing is unmapped or freed, since other threads may be appending still.
#![allow(unsafe_code, reason = "atexit, which std does not have")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::registry;

/// A program that ends does not wait longer for one log.
const PATIENCE: Duration = Duration::from_millis(200);

/// Has the logs trimmed when the process ends. Once.
pub(crate) fn expect() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) {
        // SAFETY: the function takes nothing and lives as long as the library, which is never unloaded. Where there is no
        // memory for it, files keep their slack.
        unsafe { libc::atexit(trim_all) };
    }
}

extern "C" fn trim_all() {
    // A panic may not leave an `extern "C"` function: the file keeps its slack then.
    let _ = std::panic::catch_unwind(|| {
        for log in registry::open_here() {
            let _ = log.trim_if_last(PATIENCE);
        }
    });
}
