//! What a step is about: its sentence, and its parts for those who do not want to read that.

use std::fmt;

use super::plan::Step;
use crate::holes::HoleKind;
use crate::metadata::JOURNAL_ROTATE;
use crate::units::{counted, size};

/// Positions that a step touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Touched {
    /// First position.
    pub start: u64,
    /// First position behind it.
    pub end: u64,
    /// Whether the bytes there are zeroed.
    pub zeroed: bool,
}

impl Step {
    /// Replaces the metadata, with nobody at it.
    pub(super) fn makes_anew(&self) -> bool {
        matches!(self, Self::Rebuild { .. } | Self::Upgrade)
    }

    /// A word that scripts can test.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ClearLockFlag { .. } => "clear-lock-flag",
            Self::OpenGate { .. } => "open-gate",
            Self::FinishJournal { .. } => "finish-journal",
            Self::Settle { .. } => "settle",
            Self::PublishLimit { .. } => "publish-limit",
            Self::CutExcess { .. } => "cut-excess",
            Self::TakeOver { .. } => "take-over",
            Self::AcceptTruncation { .. } => "accept-truncation",
            Self::RecoverFromData { .. } => "recover-from-data",
            Self::Recreate { .. } => "recreate",
            Self::Rebuild { .. } => "rebuild",
            Self::Upgrade => "upgrade",
            Self::RemoveLeftover { .. } => "remove-leftover",
            Self::AcceptLoss { .. } => "accept-loss",
            Self::ForgetCut { .. } => "forget-cut",
            Self::ForgetMissing { .. } => "forget-missing",
            Self::ClearPanic(_) => "clear-panic",
        }
    }

    /// The positions that become a hole, as far as they are known before the step is done.
    pub fn touched(&self) -> Option<Touched> {
        match self {
            Self::Settle { hole: Some(hole), .. } => {
                Some(Touched { start: hole.start, end: hole.end(), zeroed: hole.kind == HoleKind::Torn })
            }
            Self::AcceptTruncation { lost: (start, end), .. } if start < end => {
                Some(Touched { start: *start, end: *end, zeroed: false })
            }
            Self::Recreate { from, at: to } | Self::ForgetMissing { from, to } => {
                Some(Touched { start: *from, end: *to, zeroed: false })
            }
            _ => None,
        }
    }

    /// Whose it was: process id and name.
    pub fn owner(&self) -> Option<(u32, &str)> {
        match self {
            Self::Settle { pid, command, .. } => Some((*pid, command)),
            Self::ClearPanic(record) => Some((record.pid, &record.command)),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClearLockFlag { who } => {
                write!(f, "clear is_locked: nobody has the lock any more, the last was {who}")
            }
            Self::OpenGate { at } => write!(f, "open the gate that a dead process closed at {at}"),
            Self::FinishJournal { kind: JOURNAL_ROTATE } => {
                f.write_str("finish or undo the rotation that a dead process began, by the file at the path")
            }
            Self::FinishJournal { kind } => {
                write!(f, "undo the operation of kind {kind} that a dead process began")
            }
            Self::Settle { slot, pid, command, hole: Some(hole) } => {
                let (start, end) = (hole.start, hole.end());
                let zeroed = if hole.kind == HoleKind::Torn { ", zeroed" } else { "" };
                write!(
                    f,
                    "settle slot {slot} of process {pid} ({command}, dead): [{start}, {end}) is a hole{zeroed}"
                )
            }
            Self::Settle { slot, pid, command, hole: None } => {
                write!(f, "settle slot {slot} of process {pid} ({command}, dead): no range of a known place")
            }
            Self::PublishLimit { limit } => write!(f, "set limit to {limit}"),
            Self::CutExcess { from, to } => {
                write!(f, "cut the data file from {from} to {to} bytes: nothing was appended there")
            }
            Self::TakeOver { at, bytes } => {
                let bytes = counted(*bytes, "byte");
                write!(f, "take over {bytes} that somebody put behind the log, from position {at} on")
            }
            Self::AcceptTruncation { expected, found, lost: (from, to) } if from == to => write!(
                f,
                "accept that the data file was cut from {expected} to {found} bytes: nothing was appended there"
            ),
            Self::AcceptTruncation { expected, found, lost: (from, to) } => write!(
                f,
                "accept that the data file was cut from {expected} to {found} bytes: positions [{from}, {to}) are lost and become a hole"
            ),
            Self::RecoverFromData { why, synced } => {
                write!(
                    f,
                    "set cursor and size by the data file, not below the checkpoint {synced}, and raise the epoch ({why})"
                )
            }
            Self::Recreate { from, at } => {
                write!(
                    f,
                    "make an empty data file whose first byte is position {at}: positions [{from}, {at}) are lost"
                )
            }
            Self::Rebuild { why } => write!(f, "make new metadata from the data file ({why})"),
            Self::RemoveLeftover { path, bytes } => {
                write!(f, "remove {}, which a killed operation left ({})", path.display(), size(*bytes))
            }
            Self::Upgrade => f.write_str("make the metadata of format 1 one of format 2"),
            Self::AcceptLoss { from, errno } => {
                write!(f, "forget the failed sync (errno {errno}, from position {from} on)")
            }
            Self::ForgetCut { bytes } => {
                write!(
                    f,
                    "tell no more of {} that somebody put behind the log, and that were cut off",
                    size(*bytes)
                )
            }
            Self::ForgetMissing { from, to } => {
                write!(f, "give up the positions [{from}, {to}), which no file has: they become a hole")
            }
            Self::ClearPanic(p) => {
                write!(
                    f,
                    "clear the panic flag (process {} ({}), errno {}: {})",
                    p.pid, p.command, p.errno, p.reason
                )
            }
        }
    }
}
