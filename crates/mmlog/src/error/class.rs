//! Faults by what the caller can do about them.

use super::Fault;

/// What the caller can do about a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Free space, then try again.
    Retry,
    /// Somebody else is at it, or this program was told to stop: later.
    Busy,
    /// Needs repair.
    Damaged,
    /// The input, a permission or a limit has to change.
    Refused,
}

impl Fault {
    /// What the caller can do about it.
    pub fn class(&self) -> Class {
        match self {
            Fault::NotDurable { cause, .. } => cause.class(),
            Fault::NoSpace { .. } | Fault::NoInode { .. } => Class::Retry,
            Fault::Busy(_)
            | Fault::Stalled { .. }
            | Fault::Stopped { .. }
            | Fault::Interrupted { .. }
            | Fault::InUse { .. }
            | Fault::WritersFull { .. } => Class::Busy,
            Fault::NoData
            | Fault::MetadataMoved { .. }
            | Fault::NoMetadata { segments: 1.., .. }
            | Fault::OldSegmentsUnnamed(_)
            | Fault::OutOfRange { .. }
            | Fault::Truncated { .. }
            | Fault::Foreign { .. }
            | Fault::Copied { .. }
            | Fault::OtherMount { .. }
            | Fault::Emptied { .. }
            | Fault::Journal { .. }
            | Fault::SyncFailed { .. }
            | Fault::Unsound { .. }
            | Fault::Undecodable { .. }
            | Fault::SegmentShort { .. }
            | Fault::SegmentLong { .. }
            | Fault::Poisoned(_) => Class::Damaged,
            _ => Class::Refused,
        }
    }

    /// Whether there is no log at the path, where there may be one later: nothing, or a file that has no metadata beside it.
    pub fn is_no_log(&self) -> bool {
        matches!(self, Fault::NoLog | Fault::NoMetadata { .. } | Fault::MetadataMoved { .. })
    }
}
