//! `mmlog.h`: opening with options, appending, and what is done with an open log.
#![allow(unsafe_code, reason = "functions that C calls, with C's pointers")]
#![allow(non_camel_case_types, reason = "the names that C programs know")]

use std::ffi::CStr;
use std::io::IoSlice;
use std::ptr;
use std::time::Duration;

use libc::{c_char, c_int, c_void, iovec};
use mmlog::{Adopt, Log, Position, Rotation};
use mmlog_process::{Entry, How};

use crate::border;
use crate::codes::{self, Failure, Outcome};
use crate::json;
use crate::original::{bytes, path};
use crate::policy::{self, mmlog_policy_t};
use crate::sized;
use crate::ticket::log_handle_t;

/// The log has to be there: none is made.
pub const MMLOG_MUST_EXIST: u32 = 1;
/// A plain file without metadata becomes the first bytes of the log.
pub const MMLOG_ADOPT: u32 = 2;
/// Appends of this process do not carry the policy of the log out.
pub const MMLOG_NO_POLICY: u32 = 4;
const FLAGS: u32 = MMLOG_MUST_EXIST | MMLOG_ADOPT | MMLOG_NO_POLICY;
/// Longer than any clock says.
pub const MMLOG_FOREVER: u64 = u64::MAX;

/// How a log is opened. A field that is 0 is the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mmlog_options_t {
    /// sizeof(mmlog_options_t).
    pub size: usize,
    /// Bytes that the file grows by.
    pub chunk_size: u64,
    /// How long a call waits for somebody who holds the log up.
    pub wait_ms: u64,
    /// What lies so many bytes behind the newest message is dropped from the page cache.
    pub drop_behind: u64,
    /// The policy of a log that is made, or NULL.
    pub policy: *const mmlog_policy_t,
    /// Where old segments are, or NULL.
    pub old_directory: *const c_char,
    /// Chunks that stay mapped.
    pub ring_chunks: u32,
    /// Writers at a time.
    pub max_writers: u32,
    /// Permission bits of a log that is made.
    pub mode: u32,
    /// How long a trim or rotation may hold writers up.
    pub gate_ms: u32,
    /// `MMLOG_MUST_EXIST`, ...
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: numbers and pointers, the size first.
unsafe impl sized::SaysItsSize for mmlog_options_t {}

/// # Safety
/// Null, or as long as its first field says, with pointers that are null or valid.
unsafe fn given(options: *const mmlog_options_t) -> Outcome<How> {
    let mut to = Log::options();
    if options.is_null() {
        return Ok(How { options: to, has_to_exist: false });
    }
    // SAFETY: not null, and the caller's promise.
    let from = unsafe { sized::read(options) }?;
    if from.reserved != 0 {
        return Err(Failure::invalid("reserved has to be 0"));
    }
    if from.flags & !FLAGS != 0 {
        return Err(Failure::invalid(format!(
            "flags are {:#x}, which this libmmlog does not know",
            from.flags
        )));
    }
    if from.chunk_size > 0 {
        to = to.chunk_size(from.chunk_size);
    }
    if from.wait_ms > 0 {
        to = to.wait(if from.wait_ms == MMLOG_FOREVER {
            Duration::MAX
        } else {
            Duration::from_millis(from.wait_ms)
        });
    }
    if from.ring_chunks > 0 {
        to = to.ring_chunks(from.ring_chunks as usize);
    }
    if from.max_writers > 0 {
        to = to.max_writers(from.max_writers);
    }
    if from.mode > 0o7777 {
        return Err(Failure::invalid("mode has to be permission bits, as 0640"));
    }
    if from.mode > 0 {
        to = to.mode(from.mode);
    }
    if from.gate_ms > 0 {
        to = to.gate_ms(from.gate_ms);
    }
    // SAFETY: the caller's promise.
    if let Some(policy) = unsafe { policy::given(from.policy) }? {
        to = to.policy(&policy);
    }
    if !from.old_directory.is_null() {
        // SAFETY: not null, and the caller's promise.
        to = to.old_directory(unsafe { path(from.old_directory) }?);
    }
    if from.flags & MMLOG_ADOPT != 0 {
        to = to.adopt(Adopt::Existing);
    }
    to = to.drop_behind(from.drop_behind).carry_out_policy(from.flags & MMLOG_NO_POLICY == 0);
    Ok(How { options: to, has_to_exist: from.flags & MMLOG_MUST_EXIST != 0 })
}

/// Opens the log at `filename` for appending, and makes it if it is missing. NULL for `options` are the defaults.
///
/// # Safety
/// `filename` is null or a C string; `options` is null or as long as its first field says; `handle` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_open_with(
    filename: *const c_char,
    options: *const mmlog_options_t,
    handle: *mut *mut log_handle_t,
) -> c_int {
    let open = || {
        // SAFETY: the caller's promise.
        unsafe { border::empty(handle, "handle is null") }?;
        // SAFETY: the caller's promise.
        let path = unsafe { path(filename) }?;
        // SAFETY: the caller's promise.
        let how = unsafe { given(options) }?;
        let opened = log_handle_t::issue(mmlog_process::open(path, how)?)?;
        // SAFETY: as above.
        unsafe { ptr::write(handle, opened) };
        Ok(())
    };
    border::code(border::call(open, || {}))
}

/// How long closing waits for those in the way of the trim.
const CLOSING: Duration = Duration::from_secs(1);

/// Ends a handle and frees it. With the last one of the process, the log is given up, and the file trimmed if nobody else
/// writes.
///
/// # Safety
/// `handle` is null, or open and not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_close(handle: *mut log_handle_t) -> c_int {
    if handle.is_null() {
        return border::code(border::call(|| Ok(()), || {}));
    }
    let close = || {
        // SAFETY: the caller's promise.
        let entry = unsafe { log_handle_t::end(handle) }?;
        Ok(mmlog_process::close(entry, CLOSING)?)
    };
    border::code(border::call(close, || {}))
}

/// Appends, and leaves the position in `position`, unless that is null.
///
/// # Safety
/// `handle` is null or open; `position` is null or valid.
#[inline]
unsafe fn appended(
    handle: *mut log_handle_t,
    position: *mut u64,
    append: impl FnOnce(&'static Entry) -> Outcome<Position>,
) -> c_int {
    // SAFETY: the caller's promise.
    let handle = unsafe { log_handle_t::entry(handle) };
    border::on(handle, |entry| {
        let at = append(entry)?;
        // SAFETY: the caller's promise.
        unsafe { border::give(position, at.get()) };
        Ok(())
    })
}

/// Appends `len` bytes as one message. The position of the first is left in `position`, unless that is NULL.
///
/// # Safety
/// `handle` is null or open; `data` is null or has `len` bytes; `position` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_append(
    handle: *mut log_handle_t,
    data: *const c_void,
    len: usize,
    position: *mut u64,
) -> c_int {
    let append = |entry| {
        // SAFETY: the caller's promise.
        let message = unsafe { bytes(data, len) }?;
        Ok(mmlog_process::append(entry, |writer| writer.append(message))?)
    };
    // SAFETY: the caller's promise.
    unsafe { appended(handle, position, append) }
}

/// Appends, and returns when the message is durable, and what this thread appended before.
///
/// # Safety
/// As [`mmlog_append`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_append_durable(
    handle: *mut log_handle_t,
    data: *const c_void,
    len: usize,
    position: *mut u64,
) -> c_int {
    let append = |entry| {
        // SAFETY: the caller's promise.
        let message = unsafe { bytes(data, len) }?;
        Ok(mmlog_process::append(entry, |writer| writer.append_durable(message))?)
    };
    // SAFETY: the caller's promise.
    unsafe { appended(handle, position, append) }
}

/// Appends `count` parts as one message.
///
/// # Safety
/// As [`mmlog_append`]; `parts` is null or has `count` parts, each null or as long as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_appendv(
    handle: *mut log_handle_t,
    parts: *const iovec,
    count: c_int,
    position: *mut u64,
) -> c_int {
    let append = |entry| {
        let count = usize::try_from(count).unwrap_or(0);
        if parts.is_null() || count == 0 {
            return Err(Failure::invalid("a message has at least one part, and parts may not be null"));
        }
        // SAFETY: not null, and the caller's promise.
        let parts = unsafe { std::slice::from_raw_parts(parts, count) };
        let mut slices = Vec::with_capacity(count);
        for part in parts.iter().filter(|part| part.iov_len > 0) {
            // SAFETY: the caller's promise.
            slices.push(IoSlice::new(unsafe { bytes(part.iov_base, part.iov_len) }?));
        }
        Ok(mmlog_process::append(entry, |writer| writer.append_vectored(&slices))?)
    };
    // SAFETY: the caller's promise.
    unsafe { appended(handle, position, append) }
}

/// Makes everything durable that was appended before, by anybody. The position below which that holds is left in `position`.
///
/// # Safety
/// `handle` is null or open; `position` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_sync(handle: *mut log_handle_t, position: *mut u64) -> c_int {
    // SAFETY: the caller's promise.
    let handle = unsafe { log_handle_t::entry(handle) };
    border::on(handle, |entry| {
        let synced = entry.log()?.sync()?;
        // SAFETY: the caller's promise.
        unsafe { border::give(position, synced.get()) };
        Ok(())
    })
}

/// Makes the data file a final segment, and goes on in a new one, unless it has no byte. Where the current segment begins then
/// is left in `begin`.
///
/// # Safety
/// `handle` is null or open; `begin` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_rotate(handle: *mut log_handle_t, begin: *mut u64) -> c_int {
    // SAFETY: the caller's promise.
    let handle = unsafe { log_handle_t::entry(handle) };
    border::on(handle, |entry| {
        let log = entry.log()?;
        let at = match log.rotate(&Rotation::default().wait(policy::WAIT))? {
            Some(rotated) => rotated.end,
            // It has no byte: it begins where the next append goes.
            None => log.cursor()?.get(),
        };
        // SAFETY: the caller's promise.
        unsafe { border::give(begin, at) };
        Ok(())
    })
}

/// What there is to know of the log, as one JSON object in `buffer`, with a NUL behind it. Its length is left in `len`, also
/// when it does not fit.
///
/// # Safety
/// `handle` is null or open; `buffer` is null or has `size` bytes; `len` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_status_json(
    handle: *mut log_handle_t,
    buffer: *mut c_char,
    size: usize,
    len: *mut usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let handle = unsafe { log_handle_t::entry(handle) };
    border::on(handle, |entry| {
        let text = json::of(&entry.log()?.status()?);
        // SAFETY: the caller's promise.
        unsafe { border::give(len, text.len()) };
        if buffer.is_null() || size <= text.len() {
            return Err(Failure::new(
                codes::MMLOG_NO_ROOM,
                format!("the buffer has {size} bytes, and the status needs {}", text.len() + 1),
            ));
        }
        // SAFETY: the caller's promise.
        let to = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), text.len() + 1) };
        to.iter_mut().zip(text.bytes().chain([0])).for_each(|(to, byte)| *to = byte);
        Ok(())
    })
}

/// Has an append to a file that somebody cut, or that the disk has no block for, fail instead of ending the program.
#[unsafe(no_mangle)]
pub extern "C" fn mmlog_guard_against_sigbus() -> c_int {
    let guard = || {
        mmlog::guard_against_sigbus().map_err(|e| {
            let failure = Failure::new(codes::MMLOG_IO, format!("the handler of SIGBUS cannot be set: {e}"));
            failure.errno(e.raw_os_error().unwrap_or(libc::EIO))
        })
    };
    border::code(border::call(guard, || {}))
}

/// The code of this thread's last call; 0 is success.
#[unsafe(no_mangle)]
pub extern "C" fn mmlog_last_error() -> c_int {
    border::last_code()
}

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// The version of the library that runs.
#[unsafe(no_mangle)]
pub extern "C" fn mmlog_version() -> *const c_char {
    VERSION.as_ptr()
}
