//! `mmlog.h`: reading a log in order of positions.
#![allow(unsafe_code, reason = "functions that C calls, with C's pointers")]
#![allow(non_camel_case_types, reason = "the names that C programs know")]

use std::ptr;
use std::time::Duration;

use libc::{c_char, c_int, c_void};
use mmlog::{Follower, HoleKind, Log, Next, Position, Start, Wait};

use crate::border;
use crate::codes::{self, Failure, Outcome};
use crate::original::path;
use crate::sized;

/// From the first byte that is kept on.
pub const MMLOG_OLDEST: u64 = u64::MAX - 1;
/// Only what comes.
pub const MMLOG_NEWEST: u64 = u64::MAX;

/// Nothing more is there now.
pub const MMLOG_CAUGHT_UP: u32 = 0;
/// The buffer begins with the bytes of these positions.
pub const MMLOG_BYTES: u32 = 1;
/// These positions have no bytes: a writer died, or they were lost.
pub const MMLOG_HOLE: u32 = 2;
/// These positions were given up by a prune.
pub const MMLOG_PRUNED: u32 = 3;
/// What follows lies in another segment.
pub const MMLOG_ROTATED: u32 = 4;

/// What comes next in a log.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mmlog_event_t {
    /// sizeof(mmlog_event_t).
    pub size: usize,
    /// `MMLOG_BYTES`, ...
    pub kind: u32,
    /// Of a hole: the process that left it, 0 if that is not known.
    pub pid: u32,
    /// First position.
    pub start: u64,
    /// First position behind it.
    pub end: u64,
}

// SAFETY: numbers, the size first.
unsafe impl sized::SaysItsSize for mmlog_event_t {}

/// Reads a log. One thread uses it at a time.
pub struct mmlog_follower_t {
    follower: Follower,
    is_broken: bool,
}

/// # Safety
/// Null, or open, and nobody else uses it.
unsafe fn given<'a>(follower: *mut mmlog_follower_t) -> Outcome<&'a mut mmlog_follower_t> {
    // SAFETY: the caller's promise.
    match unsafe { follower.as_mut() } {
        Some(mine) if !mine.is_broken => Ok(mine),
        Some(_) => Err(Failure::new(
            codes::MMLOG_INTERNAL,
            "the follower refuses after an internal error; open another",
        )),
        None => Err(Failure::invalid("the follower is null")),
    }
}

/// Runs a call on a follower; after a panic it refuses.
///
/// # Safety
/// As [`given`].
unsafe fn on(
    follower: *mut mmlog_follower_t,
    what: impl FnOnce(&mut mmlog_follower_t) -> Outcome<()>,
) -> c_int {
    let call = || {
        // SAFETY: the caller's promise.
        what(unsafe { given(follower) }?)
    };
    let broken = || {
        // SAFETY: the caller's promise.
        if let Ok(mine) = unsafe { given(follower) } {
            mine.is_broken = true;
        }
    };
    border::code(border::call(call, broken))
}

/// Opens the log at `filename` for reading, from a position, `MMLOG_OLDEST` or `MMLOG_NEWEST` on.
///
/// # Safety
/// `filename` is null or a C string; `follower` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_follow_open(
    filename: *const c_char,
    from: u64,
    follower: *mut *mut mmlog_follower_t,
) -> c_int {
    let open = || {
        // SAFETY: the caller's promise.
        unsafe { border::empty(follower, "follower is null") }?;
        // SAFETY: the caller's promise.
        let path = unsafe { path(filename) }?;
        let start = match from {
            MMLOG_OLDEST => Start::Oldest,
            MMLOG_NEWEST => Start::Newest,
            position => Start::At(Position::new(position)),
        };
        let opened = Log::options().open_reader(path)?.follow(start)?;
        let boxed = Box::into_raw(Box::new(mmlog_follower_t { follower: opened, is_broken: false }));
        // SAFETY: as above.
        unsafe { ptr::write(follower, boxed) };
        Ok(())
    };
    border::code(border::call(open, || {}))
}

/// What comes next, at most `size` bytes of it, in `buffer` and `event`. Never waits.
///
/// # Safety
/// `follower` is null or open; `buffer` is null or has `size` bytes; `event` is null or as long as its first field says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_follow_next(
    follower: *mut mmlog_follower_t,
    buffer: *mut c_void,
    size: usize,
    event: *mut mmlog_event_t,
) -> c_int {
    let next = |mine: &mut mmlog_follower_t| {
        if buffer.is_null() || size == 0 || isize::try_from(size).is_err() || event.is_null() {
            return Err(Failure::invalid(
                "a buffer has at least 1 byte and at most SSIZE_MAX, and neither it nor event may be null",
            ));
        }
        // SAFETY: not null, no longer than any object, and the caller's promise.
        let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), size) };
        let next = mine.follower.next(buffer)?;
        let at = mine.follower.position().get();
        let (kind, pid, start, end) = match next {
            Next::Bytes(range) => (MMLOG_BYTES, 0, range.start, range.end),
            Next::Hole(hole) => {
                let kind = if hole.kind == HoleKind::Pruned { MMLOG_PRUNED } else { MMLOG_HOLE };
                (kind, hole.pid, hole.start, hole.end())
            }
            Next::CaughtUp => (MMLOG_CAUGHT_UP, 0, at, at),
            // Nothing to hand out, and more may be there.
            _ => (MMLOG_ROTATED, 0, at, at),
        };
        let found = mmlog_event_t { size: size_of::<mmlog_event_t>(), kind, pid, start, end };
        // SAFETY: not null, and the caller's promise.
        unsafe { sized::write(event, &found) }
    };
    // SAFETY: the caller's promise.
    unsafe { on(follower, next) }
}

/// Sleeps until something may be there; `MMLOG_TIMED_OUT` when nothing came for `timeout_ms`.
///
/// # Safety
/// `follower` is null or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_follow_wait(follower: *mut mmlog_follower_t, timeout_ms: u64) -> c_int {
    let wait = |mine: &mut mmlog_follower_t| match mine.follower.wait(Duration::from_millis(timeout_ms))? {
        Wait::Moved => Ok(()),
        Wait::TimedOut => {
            Err(Failure::new(codes::MMLOG_TIMED_OUT, format!("nothing came for {timeout_ms} ms")))
        }
    };
    // SAFETY: the caller's promise.
    unsafe { on(follower, wait) }
}

/// Goes to a position, forwards or backwards.
///
/// # Safety
/// `follower` is null or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_follow_seek(follower: *mut mmlog_follower_t, position: u64) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { on(follower, |mine| Ok(mine.follower.seek(Position::new(position))?)) }
}

/// The position that comes next; 0 of NULL.
///
/// # Safety
/// `follower` is null or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_follow_position(follower: *const mmlog_follower_t) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { follower.as_ref() }.map_or(0, |mine| mine.follower.position().get())
}

/// Ends a follower and frees it.
///
/// # Safety
/// `follower` is null, or open and not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_follow_close(follower: *mut mmlog_follower_t) {
    let close = || {
        if !follower.is_null() {
            // SAFETY: made by mmlog_follow_open, and the caller's promise.
            drop(unsafe { Box::from_raw(follower) });
        }
        Ok(())
    };
    let _ = border::call(close, || {});
}
