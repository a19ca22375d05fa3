//! The end of a thread, for one that appends first while it ends: in the destructor of a `pthread_key`, say. What std calls then, it
//! has called already; keys have another round.
#![allow(unsafe_code, reason = "pthread_key_create, which std does not have")]

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use libc::{c_void, pthread_key_t};

use crate::seats;

/// One more than the key, 0 without one. No lock: a child may be forked meanwhile.
static KEY: AtomicU64 = AtomicU64::new(0);

/// Makes the key. Once; where the process has none left, such threads keep their writers.
pub(crate) fn expect() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut key: pthread_key_t = 0;
    // SAFETY: the place is valid, and the function lives as long as the library, which is never unloaded.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(end)) } == 0 {
        KEY.store(u64::from(key) + 1, Ordering::Release);
    }
}

/// Has this thread's writers given back when it ends.
pub(crate) fn expect_of_this_thread() {
    if let Some(key) =
        KEY.load(Ordering::Acquire).checked_sub(1).and_then(|key| pthread_key_t::try_from(key).ok())
    {
        // Anything but null: it says that the destructor is to be called.
        let value = ptr::from_ref(&KEY).cast::<c_void>();
        // SAFETY: the key was made and is never deleted; nobody follows the value.
        unsafe { libc::pthread_setspecific(key, value) };
    }
}

extern "C" fn end(_: *mut c_void) {
    // A panic may not leave an `extern "C"` function.
    let _ = std::panic::catch_unwind(seats::leave);
}
