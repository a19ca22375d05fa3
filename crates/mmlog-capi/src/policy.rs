//! The rules of a log that bounds itself, as C has them.
#![allow(unsafe_code, reason = "functions that C calls, with C's pointers")]
#![allow(non_camel_case_types, reason = "the names that C programs know")]

use std::time::Duration;

use libc::c_int;
use mmlog::{Compression, Free, Policy, Retention};

use crate::border;
use crate::codes::{Failure, Outcome};
use crate::sized;
use crate::ticket::log_handle_t;

/// No final segment is kept.
pub const MMLOG_KEEP_NONE: u64 = u64::MAX;
/// Final segments stay as they are.
pub const MMLOG_COMPRESS_NONE: u32 = 0;
/// Tools compress final segments with Zstandard.
pub const MMLOG_COMPRESS_ZSTD: u32 = 1;
/// Tools compress final segments with gzip.
pub const MMLOG_COMPRESS_GZIP: u32 = 2;

/// How long setting a policy, a rotation or a prune waits for another operation.
pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// How a log bounds itself. A field that is 0 is no rule.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mmlog_policy_t {
    /// sizeof(mmlog_policy_t).
    pub size: usize,
    /// No segment is longer.
    pub rotate_size: u64,
    /// The first append after that age begins a new segment.
    pub rotate_age_ms: u64,
    /// Final segments that are kept.
    pub keep: u64,
    /// Bytes of disk that the kept ones may take.
    pub keep_bytes: u64,
    /// For how long they are kept.
    pub keep_age_ms: u64,
    /// Bytes that the file system keeps free.
    pub keep_free_bytes: u64,
    /// A hold that lags by more bytes keeps nothing.
    pub hold_max: u64,
    /// Per cent that the file system keeps free.
    pub keep_free_percent: u32,
    /// `MMLOG_COMPRESS_...`.
    pub compress: u32,
}

// SAFETY: numbers, the size first.
unsafe impl sized::SaysItsSize for mmlog_policy_t {}

fn rule(value: u64) -> Option<u64> {
    (value > 0).then_some(value)
}

fn age(ms: u64) -> Option<Duration> {
    rule(ms).map(Duration::from_millis)
}

fn kept(value: u64) -> Option<u64> {
    rule(value).map(|value| if value == MMLOG_KEEP_NONE { 0 } else { value })
}

fn of_kept(value: Option<u64>) -> u64 {
    value.map_or(0, |value| if value == 0 { MMLOG_KEEP_NONE } else { value })
}

fn ms(age: Option<Duration>) -> u64 {
    age.map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

impl mmlog_policy_t {
    fn of(policy: &Policy) -> Self {
        let (bytes, percent) = match policy.keep_free {
            Some(Free::Bytes(bytes)) => (bytes, 0),
            Some(Free::Percent(percent)) => (0, u32::from(percent)),
            None => (0, 0),
        };
        Self {
            size: size_of::<Self>(),
            rotate_size: policy.rotate_size.unwrap_or(0),
            rotate_age_ms: ms(policy.rotate_age),
            keep: of_kept(policy.keep),
            keep_bytes: of_kept(policy.keep_bytes),
            keep_age_ms: ms(policy.keep_age),
            keep_free_bytes: bytes,
            hold_max: policy.hold_max.unwrap_or(0),
            keep_free_percent: percent,
            compress: match policy.compress {
                None => MMLOG_COMPRESS_NONE,
                Some(Compression::Zstd) => MMLOG_COMPRESS_ZSTD,
                Some(Compression::Gzip) => MMLOG_COMPRESS_GZIP,
            },
        }
    }

    fn rules(&self) -> Outcome<Policy> {
        let keep_free = match (self.keep_free_bytes, self.keep_free_percent) {
            (0, 0) => None,
            (bytes, 0) => Some(Free::Bytes(bytes)),
            (0, percent) => Some(Free::Percent(u8::try_from(percent).map_err(|_| {
                Failure::invalid(format!("keep_free_percent is {percent}, which is no percentage"))
            })?)),
            _ => return Err(Failure::invalid("keep_free_bytes and keep_free_percent: one of them is 0")),
        };
        let compress = match self.compress {
            MMLOG_COMPRESS_NONE => None,
            MMLOG_COMPRESS_ZSTD => Some(Compression::Zstd),
            MMLOG_COMPRESS_GZIP => Some(Compression::Gzip),
            other => return Err(Failure::invalid(format!("compress is {other}, which is no compression"))),
        };
        let policy = Policy {
            rotate_size: rule(self.rotate_size),
            rotate_age: age(self.rotate_age_ms),
            keep: kept(self.keep),
            keep_bytes: kept(self.keep_bytes),
            keep_age: age(self.keep_age_ms),
            keep_free,
            hold_max: rule(self.hold_max),
            compress,
        };
        policy.check().map_err(|fault| Failure::invalid(fault.to_string()))?;
        Ok(policy)
    }
}

/// A caller's policy; none of null.
///
/// # Safety
/// Null, or as long as its first field says.
pub(crate) unsafe fn given(policy: *const mmlog_policy_t) -> Outcome<Option<Policy>> {
    if policy.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, and the caller's promise.
    let policy = unsafe { sized::read(policy) }?;
    policy.rules().map(Some)
}

/// The policy that the log carries.
///
/// # Safety
/// `handle` is null or open; `policy` is null or as long as its first field says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_policy_get(handle: *mut log_handle_t, policy: *mut mmlog_policy_t) -> c_int {
    // SAFETY: the caller's promise.
    let handle = unsafe { log_handle_t::entry(handle) };
    border::on(handle, |entry| {
        if policy.is_null() {
            return Err(Failure::invalid("policy is null"));
        }
        let found = mmlog_policy_t::of(&entry.log()?.policy().rules());
        // SAFETY: not null, and the caller's promise.
        unsafe { sized::write(policy, &found) }
    })
}

/// Changes the policy of the log for every process, durably. NULL, or one without rules, ends it.
///
/// # Safety
/// As [`mmlog_policy_get`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_policy_set(handle: *mut log_handle_t, policy: *const mmlog_policy_t) -> c_int {
    // SAFETY: the caller's promise.
    let handle = unsafe { log_handle_t::entry(handle) };
    border::on(handle, |entry| {
        // SAFETY: the caller's promise.
        let new = unsafe { given(policy) }?.unwrap_or_default();
        entry.log()?.set_policy(|policy| *policy = new, WAIT)?;
        Ok(())
    })
}

/// Removes final segments that no rule of `keep` keeps, oldest first; by NULL, none that the log's own policy keeps. Where
/// the log begins then is left in `first_kept`, unless that is NULL.
///
/// # Safety
/// As [`mmlog_policy_get`]; `first_kept` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_prune(
    handle: *mut log_handle_t,
    keep: *const mmlog_policy_t,
    first_kept: *mut u64,
) -> c_int {
    // SAFETY: the caller's promise.
    let handle = unsafe { log_handle_t::entry(handle) };
    border::on(handle, |entry| {
        // SAFETY: the caller's promise.
        let keep = unsafe { given(keep) }?;
        let log = entry.log()?;
        let rules = keep.unwrap_or_else(|| log.policy().rules());
        let done = log.prune(&Retention::of(&rules).wait(WAIT))?;
        // SAFETY: the caller's promise.
        unsafe { border::give(first_kept, done.first_kept) };
        Ok(())
    })
}

/// Does what the policy of the log asks for now, as appends do a little at a time.
///
/// # Safety
/// `handle` is null or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmlog_housekeep(handle: *mut log_handle_t) -> c_int {
    // SAFETY: the caller's promise.
    let handle = unsafe { log_handle_t::entry(handle) };
    border::on(handle, |entry| Ok(entry.log()?.housekeep()?))
}
