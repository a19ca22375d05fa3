//! Error codes, their texts, and the errno beside each. Written out, never renumbered: a class has a hundred.

use std::error::Error as _;
use std::ffi::CStr;
use std::io;

use libc::c_int;
use mmlog::{Class, Error, Fault};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $errno:ident, $text:literal;)*) => {
        $($(#[$doc])* pub const $name: c_int = $code;)*

        /// All of them, by name.
        pub const ALL: &[(&str, c_int)] = &[$((stringify!($name), $code)),*];

        /// What the code means; the last text is of numbers that are none.
        pub(crate) fn text(code: c_int) -> &'static CStr {
            match code {
                $($code => $text,)*
                _ => c"not an error code of mmlog",
            }
        }

        fn default_errno(code: c_int) -> c_int {
            match code {
                $($code => libc::$errno,)*
                _ => libc::EIO,
            }
        }
    };
}

/// Success has no errno.
const OK: c_int = 0;

codes! {
    /// No space, quota or file size left: free some, and try again.
    MMLOG_NO_SPACE = 101, ENOSPC, c"no space left for the log; free some, then try again";
    /// The operation, or an earlier one, is waiting for another process: try again later.
    MMLOG_BUSY = 201, EBUSY, c"somebody else is at it; try again later";
    /// Every slot for a writer is taken.
    MMLOG_WRITERS_FULL = 202, EBUSY, c"too many writers have the log open";
    /// Nothing came in the time that was given.
    MMLOG_TIMED_OUT = 203, ETIMEDOUT, c"nothing came in time";
    /// The log needs repair, or its files are not what they were.
    MMLOG_DAMAGED = 301, EIO, c"the log is damaged; see mmlogctl status, then mmlogctl repair";
    /// Somebody set the panic flag: nobody may write.
    MMLOG_PANICKED = 302, EIO, c"writing is stopped by the log's panic flag; see mmlogctl status";
    /// A sync failed, now or before: what was appended is not durable.
    MMLOG_NOT_DURABLE = 303, EIO, c"what was appended is not durable; see mmlogctl status";
    /// An argument that cannot be: a null pointer, a size, a handle that is closed.
    MMLOG_INVALID = 401, EINVAL, c"invalid argument";
    /// There is no log, or a part of it is not there.
    MMLOG_NO_LOG = 402, ENOENT, c"no such log, or its data file is gone";
    /// A permission is missing, or the log was opened for reading.
    MMLOG_DENIED = 403, EACCES, c"permission denied, or opened for reading only";
    /// The message is longer than a message may be.
    MMLOG_TOO_LARGE = 404, EMSGSIZE, c"the message is too large";
    /// The log does not have that position.
    MMLOG_NO_POSITION = 405, ERANGE, c"the log does not have this position";
    /// The log cannot be used so: its path, file system, format, or options.
    MMLOG_REFUSED = 406, EINVAL, c"the log cannot be used so";
    /// A system call failed.
    MMLOG_IO = 407, EIO, c"a system call failed";
    /// The buffer is too small for what it should hold.
    MMLOG_NO_ROOM = 408, ENOBUFS, c"the buffer is too small";
    /// A bug in libmmlog: the handle refuses from then on.
    MMLOG_INTERNAL = 501, EIO, c"internal error of libmmlog; open the log again";
}

/// A failed call. One word, so that a call that works carries nothing about.
pub(crate) struct Failure(Box<Facts>);

/// The code, the errno for it, and the whole sentence.
pub(crate) struct Facts {
    pub(crate) code: c_int,
    pub(crate) errno: c_int,
    pub(crate) text: String,
}

pub(crate) type Outcome<T> = std::result::Result<T, Failure>;

impl Failure {
    #[cold]
    #[inline(never)]
    pub(crate) fn new(code: c_int, text: impl Into<String>) -> Self {
        Self(Box::new(Facts { code, errno: default_errno(code), text: text.into() }))
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(MMLOG_INVALID, text)
    }

    /// With the errno of a system call, or one that says more.
    pub(crate) fn errno(mut self, errno: c_int) -> Self {
        self.0.errno = errno;
        self
    }

    pub(crate) fn facts(self) -> Facts {
        *self.0
    }
}

impl From<Error> for Failure {
    #[cold]
    #[inline(never)]
    fn from(error: Error) -> Self {
        let code = code_of(error.fault());
        let errno = errno_of(&error).unwrap_or_else(|| default_errno(code));
        Self::new(code, error.to_string()).errno(errno)
    }
}

fn code_of(fault: &Fault) -> c_int {
    match fault {
        Fault::NoSpace { .. } | Fault::NoInode { .. } => MMLOG_NO_SPACE,
        Fault::WritersFull { .. } => MMLOG_WRITERS_FULL,
        Fault::Poisoned(_) => MMLOG_PANICKED,
        Fault::SyncFailed { .. } | Fault::NotDurable { .. } => MMLOG_NOT_DURABLE,
        Fault::NoLog | Fault::NoData | Fault::Replaced | Fault::DirectoryGone => MMLOG_NO_LOG,
        Fault::Denied { .. } | Fault::ReadOnly | Fault::UserChanged { .. } => MMLOG_DENIED,
        Fault::EmptyMessage | Fault::Geometry { .. } | Fault::Policy { .. } => MMLOG_INVALID,
        Fault::TooLarge { .. } => MMLOG_TOO_LARGE,
        Fault::NoPosition { .. } | Fault::Pruned { .. } => MMLOG_NO_POSITION,
        Fault::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => MMLOG_DENIED,
        Fault::Io { .. } => MMLOG_IO,
        other => match other.class() {
            Class::Retry => MMLOG_NO_SPACE,
            Class::Busy => MMLOG_BUSY,
            Class::Damaged => MMLOG_DAMAGED,
            Class::Refused => MMLOG_REFUSED,
        },
    }
}

/// The kernel's, where a system call is behind it.
fn errno_of(error: &Error) -> Option<c_int> {
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(errno) = source.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(errno);
        }
        cause = source.source();
    }
    None
}

/// The constant text of a code; 0 is success.
pub(crate) fn constant(code: c_int) -> &'static CStr {
    if code == OK { c"success" } else { text(code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_call_that_a_permission_is_missing_for_is_denied_and_others_have_their_own_code() {
        let code = |errno| {
            let source = io::Error::from_raw_os_error(errno);
            code_of(&Fault::Io { operation: "create the metadata file", source })
        };
        assert_eq!([libc::EACCES, libc::EPERM, libc::EIO].map(code), [MMLOG_DENIED, MMLOG_DENIED, MMLOG_IO]);
    }
}
