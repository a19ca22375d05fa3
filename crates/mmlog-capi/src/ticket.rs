//! What a program has in its hands: a small block of C's `malloc` that says which log it is of. Whoever gives it to `free`, or
//! never ends it, has left nothing behind but the block: the log belongs to the process.
#![allow(unsafe_code, reason = "C's malloc and free, and the caller's pointer")]
#![allow(non_camel_case_types, reason = "the names that C programs know")]

use std::ptr;

use mmlog_process::Entry;

use crate::codes::{self, Failure, Outcome};

/// An open log: give it to free(), or keep it until the process ends. Any thread may use it, also of a
/// forked child.
pub struct log_handle_t {
    magic: u64,
    entry: &'static Entry,
}

const MAGIC: u64 = u64::from_le_bytes(*b"mmlog-ti");

impl log_handle_t {
    pub(crate) fn issue(entry: &'static Entry) -> Outcome<*mut Self> {
        // SAFETY: any size may be asked for; null is looked at.
        let block = unsafe { libc::malloc(size_of::<Self>()) }.cast::<Self>();
        if block.is_null() {
            return Err(Failure::invalid("no memory for a handle").errno(libc::ENOMEM));
        }
        // SAFETY: as large as the value, and aligned for every C type.
        unsafe { ptr::write(block, Self { magic: MAGIC, entry }) };
        Ok(block)
    }

    /// The log of a caller's handle.
    ///
    /// # Safety
    /// Null, or what `issue` returned and nobody has freed.
    #[inline]
    pub(crate) unsafe fn entry(handle: *const Self) -> Outcome<&'static Entry> {
        // SAFETY: the caller's promise.
        let ticket = unsafe { handle.as_ref() };
        match ticket.filter(|ticket| ticket.magic == MAGIC) {
            Some(ticket) if ticket.entry.is_broken() => Err(Failure::new(
                codes::MMLOG_INTERNAL,
                "the handle refuses after an internal error; open the log again",
            )),
            Some(ticket) => Ok(ticket.entry),
            None => Err(Failure::invalid("the handle is null, or not of mmlog_open")),
        }
    }

    /// Ends the handle, and gives its block back.
    ///
    /// # Safety
    /// As [`entry`](Self::entry), and not null.
    pub(crate) unsafe fn end(handle: *mut Self) -> Outcome<&'static Entry> {
        // SAFETY: the caller's promise.
        let ticket = unsafe { &mut *handle };
        if std::mem::replace(&mut ticket.magic, 0) != MAGIC {
            return Err(Failure::invalid("the handle is closed, or not of mmlog_open"));
        }
        let entry = ticket.entry;
        // SAFETY: of `malloc`, and nobody uses it any more.
        unsafe { libc::free(handle.cast()) };
        Ok(entry)
    }
}
