//! The worst status one can think of, for the tests of all views.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mmlog::{
    ClockDoubt, ClockSet, Compression, Distrust, Durability, FileFacts, FindingId, FollowerStatus, Free,
    HoldStatus, Hole, HoleKind, InFlight, Lock, LogId, Medium, PanicRecord, Phase, Policy, PolicyState,
    PolicyStatus, PolicyUndone, ProcessState, Recovered, Seat, SegmentFlaw, SegmentStatus, State, Status,
    Undone, WriterStatus,
};

fn at() -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_000))
}

fn lock(operation: &str) -> Lock {
    let (operation, command) = (operation.to_owned(), "a-long-command".to_owned());
    Lock {
        held: Ok(true),
        pid: 4_000_001,
        seat: Seat { namespace: None, pid: Some(4_000_001), uid: None },
        command,
        operation,
        since: at(),
        command_line: None,
        process: ProcessState::Stopped,
        frozen_by: None,
        stuck_in: None,
        for_at_least: Duration::from_secs(99),
        is_stale: false,
    }
}

fn writer(slot: u32) -> WriterStatus {
    let in_flight = (slot % 2 == 1).then(|| InFlight {
        phase: Phase::Copying,
        start: 1 << 50,
        end: (1 << 50) + 1000,
        for_at_least: Duration::from_millis(u64::from(slot)),
    });
    let (command, process) = ("a-long-command".to_owned(), ProcessState::DiskSleep);
    let (pid, messages, bytes) = (4_000_000 + slot, u64::MAX, u64::MAX);
    WriterStatus {
        slot,
        pid,
        seat: Seat { namespace: None, pid: Some(pid), uid: None },
        command,
        command_line: None,
        feeder: None,
        feeder_stopped: None,
        feeder_waits: None,
        process,
        process_for_at_least: Duration::from_secs(9),
        not_run_for: None,
        frozen_by: None,
        stuck_in: None,
        alive: Ok(slot != 3),
        in_flight,
        kept_by: None,
        waiting: None,
        file_size_limit: None,
        output_full: None,
        messages,
        bytes,
        since: at(),
    }
}

fn hole(start: u64) -> Hole {
    let (command, kind) = (String::new(), HoleKind::Torn);
    Hole { start, len: 9, pid: 0, command, kind, is_noted: true, at: at() }
}

fn hold(position: u64) -> HoldStatus {
    let (name, process) = ("a-long-name-of-a-consumer".repeat(2), ProcessState::Gone);
    HoldStatus {
        name,
        position,
        pid: 4_000_001,
        seat: Seat { namespace: None, pid: Some(4_000_001), uid: None },
        command_line: None,
        process,
        not_run_for: None,
        frozen_by: None,
        stuck_in: None,
        since: at(),
        last_seen: at(),
        moved: None,
        stands_for: None,
        reader: None,
        shipper: None,
    }
}

fn follower(lag: u64) -> FollowerStatus {
    FollowerStatus {
        not_run_for: None,
        stuck_in: None,
        reader: None,
        name: lag.is_multiple_of(2).then(|| "a-long-name-of-a-follower".repeat(2)),
        pid: 4_000_001,
        seat: Seat { namespace: None, pid: Some(4_000_001), uid: None },
        command: "a-long-command".to_owned(),
        command_line: Some("a-long-command --with arguments".repeat(5)),
        process: ProcessState::Sleeping,
        frozen_by: None,
        position: (1 << 61) - lag,
        lag,
        is_beyond: false,
        since: at(),
        last_seen: at(),
        stands_for: None,
    }
}

fn policy(words: &str) -> PolicyStatus {
    let rules = Policy {
        rotate_size: Some((1 << 61) - 4096),
        rotate_age: Some(Duration::from_secs(86_399)),
        keep: Some(999_999_999),
        keep_bytes: Some((1 << 60) + 1),
        keep_age: Some(Duration::from_secs(3_153_599_999)),
        keep_free: Some(Free::Percent(99)),
        hold_max: Some((1 << 60) + 1),
        compress: Some(Compression::Zstd),
    };
    let undone = |of_log| PolicyUndone {
        what: Some(Undone::Rotation),
        since: at(),
        tried: at(),
        errno: 13,
        of_log,
        pid: 4_000_001,
        uid: 4_000_001,
        command: "a-long-command".to_owned(),
    };
    PolicyStatus {
        state: PolicyState::Set(rules),
        set_at: at(),
        rotates_in: Some(1 << 60),
        rotates_after: Some(Duration::from_secs(86_398)),
        prunes: 1 << 40,
        held_by: Some(words.to_owned()),
        prunes_after: Some(Duration::from_secs(99_999_999)),
        undone: vec![undone(true), undone(false)],
        failures: u64::MAX,
        distrust: Some(Distrust::Others),
        unfreed_since: at(),
    }
}

pub(crate) fn worst() -> Status {
    let words = "many words that go on and on ".repeat(20);
    let policy = policy(&words);
    let path: PathBuf = "/a-long-directory-name".repeat(9).into();
    let segment = |generation| SegmentStatus {
        generation,
        base: 1,
        end: 2,
        len: 1,
        allocated: 4096,
        compression: None,
        began: at(),
        changed: at(),
        final_since: at(),
        inode: 3,
        path: path.clone(),
        flaw: Some(FindingId::SegmentDamaged),
    };
    let flaw = SegmentFlaw {
        id: FindingId::SegmentDamaged,
        path: path.clone(),
        positions: 0..u64::MAX,
        problem: words.clone(),
        since: at(),
        lies_at: None,
    };
    let holes: Vec<Hole> = (0..1024).map(hole).collect();
    let reason = words.clone();
    Status {
        path: path.clone(),
        metadata_path: path.clone(),
        format: 2,
        state: State::FullSoon,
        problem: Some(words.clone()),
        next_step: words.clone(),
        findings: Vec::new(),
        damage: Vec::new(),
        version_1: None,
        cursor: 1 << 61,
        watermark: 1 << 60,
        file_size: (1 << 61) + 5,
        base: 0,
        generation: u64::MAX,
        limit: u64::MAX,
        outside: mmlog::OutsideBytes::default(),
        strangers: Vec::new(),
        unrun: mmlog::UnrunHooks::default(),
        gate: Some(1 << 61),
        gate_for_at_least: Duration::from_secs(99),
        unfinished: Some("trim"),
        page_size: 4096,
        chunk_size: 1 << 30,
        max_writers: 16384,
        gate_ms: u32::MAX,
        id: LogId { uuid: [7; 16], epoch: 2 },
        created: at(),
        lock: lock("append"),
        maintenance: lock("trim"),
        writers: (0..99).map(writer).collect(),
        slot_waiters: None,
        holes,
        holes_total: 2000,
        holes_forgotten: 976,
        policy,
        clock: at().map(|at| ClockDoubt {
            set: Some(ClockSet { from: at, to: at, position: 1 << 61 }),
            lasts: Duration::from_secs(3599),
        }),
        segments: vec![segment(1), segment(0)],
        flaws: vec![flaw],
        removed_held: Vec::new(),
        former: None,
        first_kept: 1 << 60,
        holds: (0..64).map(hold).collect(),
        followers: (0..256).rev().map(|n| follower(n << 32)).collect(),
        followers_seen: 256,
        panic: Some(PanicRecord { reason, errno: 5, pid: 1, command: "\x1b[31m".to_owned(), at: at() }),
        file: FileFacts {
            len: 1,
            allocated: 1,
            mode: 0o640,
            uid: 1,
            gid: 1,
            inode: 1,
            device: 1,
            changed: at(),
            born: None,
            medium: Medium::Disk,
            free: Ok(1),
            longest_name: 255,
            inodes: Some((1, 1)),
            read_only: None,
            directory: None,
        },
        durability: Durability {
            synced: u64::MAX,
            synced_at: at(),
            error: Some((u64::MAX, i32::MAX)),
            recovered: at().map(|at| Recovered { at, end: u64::MAX, lost: u64::MAX }),
        },
        unrecovered: None,
        unseen: Vec::new(),
    }
}
