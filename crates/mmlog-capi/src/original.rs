//! `libmmlog.h`: the five functions of the original, under their names.
#![allow(unsafe_code, reason = "functions that C calls, with C's pointers")]
#![allow(non_camel_case_types, reason = "the names that C programs know")]

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{c_char, c_int, c_void};
use mmlog::{Adopt, Log};
use mmlog_process::How;

use crate::border;
use crate::codes::{self, Failure, Outcome};
pub use crate::ticket::log_handle_t;

/// A name of the original's; nothing is of this type.
pub struct log_metadata_t {
    _private: (),
}

/// A name of the original's; nothing is of this type.
pub struct chunk_info_t {
    _private: (),
}

/// A name of the original's; nothing is of this type.
pub struct log_range_t {
    _private: (),
}

/// Smaller steps would be taken every few messages.
const LEAST_CHUNK: u64 = 1 << 20;
const MOST_CHUNK: u64 = 1 << 30;
/// More chunks than that are address space and nothing else.
const MOST_CHUNKS: u32 = 64;
const PAGE: usize = 4096;

/// Opens the log at `filename` for appending, and makes it if it is missing; a plain file there becomes the log's first bytes. A log
/// that this process has open already is not opened twice.
///
/// `chunk_size` is a multiple of 4096, what the file grows by: at least 1 MiB is taken. `max_chunks`, at least 2, is how many
/// chunks stay mapped. NULL on failure, with errno set.
///
/// # Safety
/// `filename` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_open(
    filename: *const c_char,
    chunk_size: usize,
    max_chunks: u32,
) -> *mut log_handle_t {
    let open = || {
        // SAFETY: the caller's promise.
        let path = unsafe { path(filename) }?;
        if chunk_size == 0 || !chunk_size.is_multiple_of(PAGE) || max_chunks < 2 {
            return Err(Failure::invalid(
                "chunk_size has to be a multiple of 4096, and max_chunks at least 2",
            ));
        }
        let options = Log::options()
            .chunk_size((chunk_size as u64).clamp(LEAST_CHUNK, MOST_CHUNK))
            .ring_chunks(max_chunks.min(MOST_CHUNKS) as usize)
            .adopt(Adopt::Existing);
        log_handle_t::issue(mmlog_process::open(path, How { options, has_to_exist: false })?)
    };
    border::call(open, || {}).unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// Null or a C string that outlives the use.
pub(crate) unsafe fn path<'a>(name: *const c_char) -> Outcome<&'a Path> {
    if name.is_null() {
        return Err(Failure::invalid("the path is null"));
    }
    // SAFETY: not null, and the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    match name.is_empty() {
        true => Err(Failure::invalid("the path is empty")),
        false => Ok(Path::new(OsStr::from_bytes(name.to_bytes()))),
    }
}

/// # Safety
/// Null, or that many bytes that nobody changes during the call.
#[inline]
pub(crate) unsafe fn bytes<'a>(data: *const c_void, len: usize) -> Outcome<&'a [u8]> {
    if data.is_null() || len == 0 || isize::try_from(len).is_err() {
        return Err(Failure::invalid(
            "a message has at least 1 byte and at most SSIZE_MAX, and data may not be null",
        ));
    }
    // SAFETY: not null, no longer than any object, and the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// Appends `len` bytes as one message: all of them, or, when it returns false, none.
///
/// # Safety
/// `handle` is null or open; `data` is null or has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_insert(handle: *mut log_handle_t, data: *const c_void, len: usize) -> bool {
    // SAFETY: the caller's promise.
    let handle = unsafe { log_handle_t::entry(handle) };
    let insert = |entry| {
        // SAFETY: the caller's promise.
        let message = unsafe { bytes(data, len) }?;
        mmlog_process::append(entry, |writer| writer.append(message))?;
        Ok(())
    };
    border::on(handle, insert) == 0
}

/// How long a trim waits for those in the way.
const TRIM_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Cuts the data file to exactly the bytes that were appended, so that anybody can read it. Others may append meanwhile. Whether
/// it worked, mmlog_strerror_cur() says.
///
/// # Safety
/// `handle` is null or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_trim(handle: *mut log_handle_t) {
    // SAFETY: the caller's promise.
    let handle = unsafe { log_handle_t::entry(handle) };
    border::on(handle, |entry| Ok(entry.log()?.trim(TRIM_WAIT).map(|_| ())?));
}

/// What an error code means, in a constant text; 0 is success.
#[unsafe(no_mangle)]
pub extern "C" fn mmlog_strerror(code: c_int) -> *const c_char {
    codes::constant(code).as_ptr()
}

/// What was wrong with this thread's last call, and what to do; after a success it says so. Valid until the thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn mmlog_strerror_cur() -> *const c_char {
    border::last_text()
}
