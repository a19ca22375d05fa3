//! What must not be: each mutant has one step in the wrong place, or none where one belongs, and must be
//! caught.

use super::broken::Kind;
use super::models::{Configuration, PLAIN, Records, Task::*};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mutant {
    // Appends.
    ReserveBeforeBegin,
    LimitBeforeReserve,
    SettleBeforeCopy,
    BlocksOnTheLock,
    GateInFlight,
    CursorTakenBack,
    AbandonWithoutHole,
    BaseNotChecked,
    FileBeforeBase,
    LimitBeforeAllocation,
    NotesInDoubt,
    // Settling.
    SettleBeforeNote,
    SettleWithoutTheByte,
    FileOfBefore,
    // Gates, trim, close.
    GateBeforeJournal,
    NoAnnounce,
    NoDrain,
    DrainWithoutGrowth,
    DrainsForEver,
    SparseUnderTheLiving,
    CutBeforePublish,
    GateBeforeCut,
    StaleHandle,
    ProbeBeforeRelease,
    // What comes from outside.
    CutsWithoutALook,
    CursorStored,
    CursorBeforeSize,
    // Older metadata that comes back.
    NobodyLooks,
    TakesOwnOver,
    // Rotation.
    NoEmptyCheck,
    OldBaseFromMetadata,
    SizeRuleFirst,
    RenameBeforeLink,
    UndoAfterCommit,
    JournalEmptiedFirst,
    GenerationBeforeEntry,
    GateBeforeBase,
    GrowBeforeRecovery,
    // The policy.
    DrainCapped,
    ChunkNext,
    LimitAboveCap,
    DueBySize,
    RotatesInFlight,
    HalfRecord,
    CheckpointRaised,
    UnlinkBeforeSync,
    UnlinkBeforeNames,
    TriesOnce,
    NoMaintenance,
    RotatesFirst,
    NobodySettlesUp,
    // Followers.
    SlotsBeforeCursor,
    HolesBeforeSlots,
    ProbeWithoutSecondLoad,
    GenerationBeforeWatermark,
    StableNameFirst,
    LengthWithoutInode,
    JudgeByFileSize,
    PreviousEntry,
}
use Mutant::*;

/// A mutant, where it shows, and as what.
pub(super) struct Control {
    pub(super) configuration: Configuration,
    pub(super) expected: &'static [Kind],
}

const fn of(mutant: Mutant, configuration: Configuration, expected: &'static [Kind]) -> Control {
    Control {
        configuration: Configuration { mutant: Some(mutant), most: 3_200_000, ..configuration },
        expected,
    }
}

const TRIM: Configuration =
    Configuration { programs: &[&[Append(1), Append(1)], &[Append(1)], &[Trim]], ..PLAIN };
const TRIM_DEATH: Configuration = Configuration { crashes: 1, ..TRIM };
const TWO_TRIMS: Configuration =
    Configuration { programs: &[&[Append(1)], &[Append(1)], &[Trim], &[Trim]], size: 0, ..PLAIN };
const READ: Configuration =
    Configuration { programs: &[&[Append(1)], &[Append(1)]], follower: true, ..PLAIN };
const READ_DEATH: Configuration =
    Configuration { programs: &[&[Append(1)], &[Append(1)], &[Repair]], crashes: 1, ..READ };
const FULL: Configuration =
    Configuration { programs: &[&[Append(2)], &[Append(2)], &[Trim]], disk: Some(1), ..PLAIN };
const LATE: Configuration = Configuration {
    programs: &[&[Append(1)], &[Append(1)], &[Trim]],
    deadlines: true,
    gives_up: true,
    follower: true,
    ..PLAIN
};
const LOOSE: Configuration = Configuration {
    programs: &[&[Append(1), Append(1)], &[Append(1)], &[RepairLoosely], &[Repair]],
    crashes: 1,
    ..PLAIN
};
const LOOSE_ROTATE: Configuration = Configuration {
    programs: &[&[Append(1)], &[Append(2)], &[Rotate], &[RepairLoosely]],
    crashes: 1,
    ..PLAIN
};
const ROTATE: Configuration =
    Configuration { programs: &[&[Append(1)], &[Append(1)], &[Rotate]], crashes: 1, ..PLAIN };
const ROTATE_READ: Configuration =
    Configuration { programs: &[&[Append(1), Append(1)], &[Rotate]], slots: 1, follower: true, ..PLAIN };
const ROTATE_READ_DEATH: Configuration =
    Configuration { programs: &[&[Append(1)], &[Append(1)], &[Rotate]], slots: 2, crashes: 1, ..ROTATE_READ };
const ROTATE_TWICE: Configuration =
    Configuration { programs: &[&[Append(1), Append(1)], &[Append(1)], &[Rotate, Rotate]], ..PLAIN };
const ROTATE_TRIM: Configuration =
    Configuration { programs: &[&[Append(1)], &[Append(1)], &[Rotate], &[Trim]], ..PLAIN };
const CLOSE: Configuration =
    Configuration { programs: &[&[Append(1), Close], &[Append(1), Close]], size: 4, ..PLAIN };
const THREE: Configuration = Configuration { records: Records::Three, ..ROTATE };

const CAP: Configuration = Configuration { cap: 2, ..Configuration { chunk: 4, ..PLAIN } };
const CAP_TWO: Configuration = Configuration { programs: &[&[Append(1), Append(1)], &[Append(2)]], ..CAP };
const CAP_ALONE: Configuration = Configuration { programs: &[&[Append(1), Append(1), Append(1)]], ..CAP };
const CAP_GROWS: Configuration =
    Configuration { programs: &[&[Append(1), Append(2), Append(1)]], cap: 3, ..CAP };
const PRUNED: Configuration = Configuration { cap: 1, size: 1, keep: Some(1), ..CAP_ALONE };

const PRUNED_TWO: Configuration =
    Configuration { programs: &[&[Append(1), Append(1)], &[Append(1)]], keep: Some(0), ..PRUNED };

const ROTATE_THRICE: Configuration = Configuration {
    programs: &[&[Append(1), Append(1), Append(1)], &[Rotate, Rotate, Rotate]],
    ..ROTATE_READ
};
const JUDGE: Configuration = Configuration {
    programs: &[&[Append(1), Append(2)], &[Append(2)], &[Trim]],
    crashes: 1,
    follower: true,
    judges: true,
    ..PLAIN
};

const OUTSIDE: Configuration =
    Configuration { programs: &[&[Append(2), Append(1)], &[Append(1)], &[Trim], &[AppendsOutside]], ..PLAIN };

const BACK: Configuration = Configuration {
    programs: &[&[Append(1), Append(1)], &[Append(1)], &[Trim], &[ComesBack]],
    size: 0,
    ..PLAIN
};

pub(super) const CONTROLS: &[Control] = &[
    of(ReserveBeforeBegin, READ, &[Kind::Watermark]),
    of(LimitBeforeReserve, TRIM, &[Kind::Beyond]),
    of(SettleBeforeCopy, READ, &[Kind::Watermark]),
    of(BlocksOnTheLock, TRIM, &[Kind::Deadlock, Kind::Stuck]),
    of(GateInFlight, TRIM, &[Kind::Deadlock]),
    of(CursorTakenBack, LATE, &[Kind::Watermark, Kind::Robbed]),
    of(AbandonWithoutHole, LATE, &[Kind::Reader]),
    of(BaseNotChecked, ROTATE, &[Kind::FinalSegment, Kind::Misplaced]),
    of(FileBeforeBase, ROTATE_TWICE, &[Kind::FinalSegment, Kind::Misplaced]),
    of(LimitBeforeAllocation, Configuration { size: 0, ..TRIM }, &[Kind::Beyond]),
    of(
        NotesInDoubt,
        Configuration { programs: &[&[Append(2), Append(2)], &[Append(2)]], ..PLAIN },
        &[Kind::Robbed],
    ),
    of(SettleBeforeNote, READ_DEATH, &[Kind::Reader]),
    of(SettleWithoutTheByte, LOOSE, &[Kind::Robbed]),
    of(FileOfBefore, LOOSE_ROTATE, &[Kind::FinalSegment, Kind::Misplaced]),
    of(GateBeforeJournal, TRIM, &[Kind::Unexplained]),
    of(NoAnnounce, TWO_TRIMS, &[Kind::Deadlock, Kind::Stuck]),
    of(NoDrain, FULL, &[Kind::Beyond]),
    of(NoDrain, ROTATE, &[Kind::Undecided]),
    of(DrainWithoutGrowth, TRIM, &[Kind::Deadlock, Kind::Stuck]),
    of(DrainsForEver, LATE, &[Kind::Stuck]),
    of(SparseUnderTheLiving, FULL, &[Kind::Beyond]),
    of(CutBeforePublish, TRIM_DEATH, &[Kind::FalseDamage]),
    of(GateBeforeCut, TRIM_DEATH, &[Kind::Beyond, Kind::Lost]),
    of(StaleHandle, ROTATE_TRIM, &[Kind::Lost, Kind::FalseDamage]),
    of(ProbeBeforeRelease, CLOSE, &[Kind::Incomplete]),
    of(CutsWithoutALook, OUTSIDE, &[Kind::Lost]),
    of(CursorStored, OUTSIDE, &[Kind::Overlap, Kind::Lost, Kind::FalseDamage]),
    of(
        CursorBeforeSize,
        Configuration { crashes: 1, ..OUTSIDE },
        &[Kind::Lost, Kind::Incomplete, Kind::Reader],
    ),
    of(NobodyLooks, BACK, &[Kind::Lost, Kind::Overlap, Kind::Reader, Kind::Watermark]),
    of(TakesOwnOver, BACK, &[Kind::Lost, Kind::Overlap, Kind::Reader, Kind::Watermark]),
    of(NoEmptyCheck, ROTATE_TWICE, &[Kind::FinalSegment, Kind::Misplaced]),
    of(OldBaseFromMetadata, ROTATE, &[Kind::Lost]),
    of(SizeRuleFirst, ROTATE, &[Kind::FalseDamage, Kind::Incomplete]),
    of(RenameBeforeLink, ROTATE, &[Kind::Lost]),
    of(UndoAfterCommit, THREE, &[Kind::Unexplained]),
    of(JournalEmptiedFirst, ROTATE, &[Kind::Unexplained]),
    of(GenerationBeforeEntry, ROTATE_READ, &[Kind::Reader]),
    of(GateBeforeBase, ROTATE, &[Kind::FinalSegment, Kind::Misplaced, Kind::Unexplained]),
    of(
        GrowBeforeRecovery,
        Configuration { programs: &[&[Append(1), Append(2)], &[Append(1)], &[Rotate]], ..ROTATE },
        &[Kind::Lost, Kind::FalseDamage, Kind::Beyond],
    ),
    of(DrainCapped, CAP_TWO, &[Kind::Deadlock, Kind::Stuck, Kind::Beyond]),
    of(ChunkNext, Configuration { cap: 1, size: 1, ..CAP_ALONE }, &[Kind::TooLong]),
    of(LimitAboveCap, CAP_GROWS, &[Kind::TooLong]),
    of(DueBySize, Configuration { programs: &[&[Append(1), Append(2)]], ..CAP }, &[Kind::Stuck]),
    of(RotatesInFlight, CAP_TWO, &[Kind::Deadlock, Kind::Stuck]),
    of(
        HalfRecord,
        Configuration {
            programs: &[&[Append(1), Append(1), Append(1)], &[SetKeep(2)]],
            keep: None,
            ..PRUNED
        },
        &[Kind::Unwanted],
    ),
    of(CheckpointRaised, PRUNED, &[Kind::FalseDamage]),
    of(UnlinkBeforeSync, PRUNED, &[Kind::Lost]),
    of(UnlinkBeforeNames, PRUNED, &[Kind::Lost]),
    of(TriesOnce, PRUNED_TWO, &[Kind::TooLong]),
    of(NoMaintenance, PRUNED_TWO, &[Kind::FalseDamage]),
    of(RotatesFirst, PRUNED_TWO, &[Kind::TooMany]),
    of(NobodySettlesUp, PRUNED, &[Kind::TooMany]),
    of(SlotsBeforeCursor, READ, &[Kind::Watermark]),
    of(HolesBeforeSlots, READ_DEATH, &[Kind::Reader]),
    of(ProbeWithoutSecondLoad, Configuration { ..READ_DEATH }, &[Kind::Reader, Kind::Watermark]),
    of(GenerationBeforeWatermark, ROTATE_READ, &[Kind::Reader]),
    of(StableNameFirst, ROTATE_READ, &[Kind::Reader]),
    of(LengthWithoutInode, Configuration { judges: true, ..ROTATE_READ_DEATH }, &[Kind::FalseDamage]),
    of(JudgeByFileSize, JUDGE, &[Kind::FalseDamage]),
    of(PreviousEntry, ROTATE_THRICE, &[Kind::Reader]),
];
