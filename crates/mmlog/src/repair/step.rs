//! What a step is about, for those who do not want to read its sentence.

use super::plan::Step;
use crate::holes::HoleKind;

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
