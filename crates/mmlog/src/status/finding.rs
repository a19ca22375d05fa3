//! The words of the diagnosis: what can be found, how bad it is, from which thresholds on.

use std::fmt;
use std::time::Duration;

use super::State;

macro_rules! findings {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal),* $(,)?) => {
        /// What can be found. Its name, in small letters and dashes, is a contract: names are added, never changed.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum FindingId { $($(#[doc = $doc])* $variant),* }

        impl FindingId {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii()),* }
            }
        }
    };
}

findings! {
    /// The panic flag is set.
    Panicked = "panicked",
    /// The log cannot be opened, not even to look at it.
    Unreadable = "unreadable",
    /// There is no data file at the path.
    DataGone = "data-gone",
    /// The data file is not the one that the metadata describes.
    DataReplaced = "data-replaced",
    /// The data file is shorter than its metadata says.
    DataTruncated = "data-truncated",
    /// The metadata file was made for another log: it is a copy.
    MetadataCopied = "metadata-copied",
    /// The files are another view of an overlay's.
    OverlayView = "overlay-view",
    /// The two files belong to different users.
    OwnersDiffer = "owners-differ",
    /// Positions that are kept have no file: an old segment is missing.
    SegmentMissing = "segment-missing",
    /// An old segment does not hold what it should.
    SegmentDamaged = "segment-damaged",
    /// The metadata's positions contradict each other, or what was appended.
    Positions = "positions",
    /// A half-done operation that this build does not know.
    UnknownOperation = "unknown-operation",
    /// A sync failed: durability is lost.
    SyncFailed = "sync-failed",
    /// A log of the original's format with a flag set that nobody may ever clear.
    Version1Flag = "version-1-flag",
    /// Nothing can be written there: the file system is mounted read-only, or had an error.
    ReadOnly = "read-only",
    /// There is no space for another page.
    DiskFull = "disk-full",
    /// A live process keeps the log's lock.
    LockHeld = "lock-held",
    /// A stopped process keeps the maintenance byte.
    MaintenanceHeld = "maintenance-held",
    /// A live writer stands in the middle of an append.
    WriterStalled = "writer-stalled",
    /// The gate stays closed.
    GateClosed = "gate-closed",
    /// Little space is left.
    DiskNearlyFull = "disk-nearly-full",
    /// A dead writer's append is still in flight.
    DeadWriter = "dead-writer",
    /// Somebody ended with the log's lock.
    LockStale = "lock-stale",
    /// Every slot has a live owner.
    WritersFull = "writers-full",
    /// A follower that runs is far behind.
    FollowerBehind = "follower-behind",
    /// A consumer that does not run, or does not read on, keeps old bytes from being pruned.
    HoldKeeps = "hold-keeps",
    /// An old segment could not be looked at.
    SegmentUnreadable = "segment-unreadable",
    /// A file, or bytes, beside the old segments that readers do not take.
    SegmentSurplus = "segment-surplus",
    /// A file that a killed operation left, and that is nobody's.
    Leftover = "leftover",
    /// Something could not be seen.
    Unseen = "unseen",
    /// Nothing was appended for long.
    Idle = "idle",
    /// A log of the original's format.
    Version1 = "version-1",
    /// Bytes were lost at a reboot.
    Recovered = "recovered",
    /// Nobody has recovered the log since the reboot.
    NotRecovered = "not-recovered",
    /// Processes keep the blocks of segments that were removed.
    SpaceHeld = "space-held",
    /// Processes append to a log that was at this path before, and was removed.
    FormerLog = "former-log",
    /// Ranges that writers reserved and never finished.
    Holes = "holes",
    /// Zeros behind the last byte, which no writer owns: the last one ended without closing the log.
    Slack = "slack",
    /// Bytes that somebody who is no writer put behind the log at rest.
    OutsideBytes = "outside-bytes",
    /// Bytes that somebody who is no writer put behind a log in use were cut off.
    OutsideCut = "outside-cut",
    /// Segments wait for the command of a rotation, and nobody is at it.
    HooksUnrun = "hooks-unrun",
    /// The log's name is too long for those of its old segments.
    NameTooLong = "name-too-long",
    /// A writer that stands, waits for whoever reads its output, or whose program is stopped, with nothing in flight.
    WriterStopped = "writer-stopped",
    /// Writers wait for a larger file: their own limit.
    FileSizeLimit = "file-size-limit",
    /// Writers wait for a disk quota.
    QuotaFull = "quota-full",
    /// Writers wait for a disk that takes their bytes.
    StorageFails = "storage-fails",
    /// The file system has no inode left.
    InodesUsedUp = "inodes-used-up",
    /// An append failed, and its program has not tried again.
    AppendFailed = "append-failed",
    /// A follower for which nothing is kept is far behind.
    ReaderBehind = "reader-behind",
    /// A follower for which nothing is kept is stopped, or has not read on for long, and bytes wait for it.
    ReaderStands = "reader-stands",
    /// All places for followers are taken.
    FollowersFull = "followers-full",
    /// A segment is longer or older than the policy says, and could not be rotated.
    RotationOverdue = "rotation-overdue",
    /// Who may write the metadata could not delete old segments, so nobody does by the policy.
    PolicyNotTrusted = "policy-not-trusted",
    /// Old segments should have gone by the policy, and could not be removed.
    PruningOverdue = "pruning-overdue",
    /// Removing the oldest segments makes no space.
    FreeSpaceNotFreed = "free-space-not-freed",
    /// The log had a policy, and nobody knows which.
    PolicyDamaged = "policy-damaged",
    /// Somebody who is no writer has put bytes behind a log in use, which can still be saved, or has it open for writing.
    OutsideLive = "outside-live",
    /// A shipper cannot reach its sink, or is refused for a while, and bytes wait for it.
    SinkAway = "sink-away",
    /// A shipper is not let in by its sink, and bytes wait for it.
    SinkRefuses = "sink-refuses",
    /// A shipper was killed, has failed or waits for a decision, and bytes wait for it.
    ShipperEnded = "shipper-ended",
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How soon somebody should look at it; worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Now: somebody cannot write, or bytes are at stake.
    Critical,
    /// Today.
    Warning,
    /// Worth knowing.
    Info,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

/// One thing that is the case, in words for whoever is on call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What it is.
    pub id: FindingId,
    /// How soon somebody should look at it.
    pub severity: Severity,
    /// What it makes of the log; [`State::Ok`] where everybody can go on.
    pub state: State,
    /// What is the case, with who and the numbers.
    pub sentence: String,
    /// What to do; commands are in backquotes, the first one is the one to try.
    pub next_step: String,
    /// Whose doing it is, if one process's: its id in this PID namespace.
    pub pid: Option<u32>,
}

impl Finding {
    /// The command to try first, as it may be pasted into a shell; `None` where there is none.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        self.next_step.split('`').nth(1)
    }
}

/// From when on something is worth a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thresholds {
    /// A lock, a gate or an append is called held or stalled after standing still for so long.
    pub standstill: Duration,
    /// Free bytes below which a disk is nearly full; two chunks if `None`.
    pub free: Option<u64>,
    /// Bytes behind the cursor from which a follower is far behind; 16 chunks if `None`.
    pub behind: Option<u64>,
    /// Nothing appended for so long is said.
    pub idle: Duration,
    /// A writer with nothing in flight is called stopped after standing for so long.
    pub stopped: Duration,
    /// A follower for which bytes wait is said to stand after it has not read on for so long: what it writes to may be slow.
    pub unread: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        let (standstill, idle) = (Duration::from_millis(40), Duration::from_secs(24 * 3600));
        let (stopped, unread) = (Duration::from_secs(1), Duration::from_secs(300));
        Self { standstill, free: None, behind: None, idle, stopped, unread }
    }
}
