//! For each finding, whatever makes the diagnosis say it, in all of its words.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use mmlog::{
    Damage, Distrust, Fault, FeederStopped, Finding, FindingId, FollowerStatus, Freezer, HoldStatus, Hole,
    HoleKind, InFlight, Opener, OutputFull, OutputReader, OutsideBytes, PanicRecord, Phase, PolicyState,
    ProcessState, ReadOnly, Recovered, RemovedHeld, Rights, Seat, SegmentFlaw, Severity, SlotWaiters, State,
    Status, StillOpen, Thresholds, Unrecovered, Version1Flags, Waiting, Want, WhyReadOnly, WriterStatus,
    with_log,
};

use super::shippers::hold;
use super::{outside, policies, shippers};

const HERE: Seat = Seat { namespace: None, pid: Some(4312), uid: None };
const PROCESSES: [ProcessState; 8] = [
    ProcessState::Running,
    ProcessState::Sleeping,
    ProcessState::DiskSleep,
    ProcessState::Stopped,
    ProcessState::Traced,
    ProcessState::CoreDumping,
    ProcessState::Hidden,
    ProcessState::Unknown,
];
/// Control groups that freeze: somebody's own, a service's, a container's.
pub(crate) const GROUPS: [&str; 3] = ["a group's", "web.service", "docker-0123456789ab.scope"];

/// All that is said of a log under that name, where `groups` has those directories; a finding without a row here has
/// nothing.
pub(crate) fn of(id: FindingId, well: &Status, groups: &Path) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Status)| {
        let mut status = well.clone();
        change(&mut status);
        all.extend(status.diagnose(&Thresholds::default()).into_iter().filter(|finding| finding.id == id));
    };
    match id {
        FindingId::Panicked => with(&|s| s.panic = Some(panic_record())),
        FindingId::Unreadable => return refused(well),
        FindingId::DataGone => {
            damaged(id, &mut with);
            with(&|s| s.damage = vec![moved(id, s)]);
            open_still(id, &mut with);
        }
        FindingId::MetadataCopied => {
            damaged(id, &mut with);
            outside::strays(&mut with);
        }
        FindingId::DataTruncated
        | FindingId::OverlayView
        | FindingId::OwnersDiffer
        | FindingId::Positions
        | FindingId::UnknownOperation => damaged(id, &mut with),
        FindingId::DataReplaced => {
            damaged(id, &mut with);
            open_still(id, &mut with);
            with(&|s| s.damage = vec![moved(id, s)]);
            with(&|s| {
                s.file.len = 0;
                s.damage = vec![moved(id, s)];
            });
            with(&|s| {
                s.file.len = 0;
                s.damage = vec![damage(id)];
            });
        }
        FindingId::SegmentMissing
        | FindingId::SegmentDamaged
        | FindingId::SegmentUnreadable
        | FindingId::SegmentSurplus
        | FindingId::Leftover => flawed(id, well, &mut with),
        FindingId::SyncFailed => with(&|s| s.durability.error = Some((3, 5))),
        FindingId::Version1Flag => {
            for (is_locked, is_panicked) in [(true, false), (false, true)] {
                for holders in [vec![], vec![(4312, "old".to_owned())]] {
                    with(&|s| {
                        s.version_1 = Some(Version1Flags { is_locked, is_panicked, holders: holders.clone() })
                    });
                }
            }
        }
        FindingId::Version1 => with(&|s| {
            s.version_1 = Some(Version1Flags { is_locked: false, is_panicked: false, holders: Vec::new() });
        }),
        FindingId::ReadOnly => {
            for why in [WhyReadOnly::Mount, WhyReadOnly::FileSystem, WhyReadOnly::Error] {
                with(&|s| s.file.read_only = Some(ReadOnly { at: "/a disk's".into(), why }));
            }
        }
        FindingId::DiskFull => {
            with(&|s| full(s));
            with(&|s| {
                full(s);
                s.segments.drain(..2);
            });
            for free in [0, 1 << 30] {
                with(&|s| (s.file.free, s.writers) = (Ok(free), vec![waits(Want::Space, 28, 29)]));
            }
        }
        FindingId::DiskNearlyFull => with(&|s| s.file.free = Ok(1 << 16)),
        FindingId::LockHeld => by_all(&mut with, groups, &|s, w| {
            (s.lock.held, s.lock.for_at_least) = (Ok(true), Duration::from_secs(1));
            (s.lock.pid, s.lock.seat, s.lock.process) = (w.pid, w.seat, w.process);
            s.lock.frozen_by.clone_from(&w.frozen_by);
        }),
        FindingId::MaintenanceHeld => by_all(&mut with, groups, &|s, w| {
            (s.maintenance.held, s.maintenance.for_at_least) = (Ok(true), Duration::from_secs(1));
            (s.maintenance.pid, s.maintenance.seat, s.maintenance.process) = (w.pid, w.seat, w.process);
            s.maintenance.frozen_by.clone_from(&w.frozen_by);
        }),
        FindingId::GateClosed => {
            with(&|s| (s.gate, s.gate_for_at_least) = (Some(4), Duration::from_secs(1)));
            by_all(&mut with, groups, &|s, w| {
                (s.gate, s.gate_for_at_least) = (Some(4), Duration::from_secs(1));
                (s.lock.held, s.lock.pid, s.lock.seat, s.lock.process) = (Ok(true), w.pid, w.seat, w.process);
                s.lock.frozen_by.clone_from(&w.frozen_by);
            });
        }
        FindingId::WriterStalled => by_all(&mut with, groups, &|s, w| {
            let flight = in_flight();
            s.writers = vec![
                WriterStatus { in_flight: Some(flight.clone()), ..w.clone() },
                WriterStatus { in_flight: Some(flight), slot: 1, ..w.clone() },
            ];
        }),
        FindingId::WriterStopped => {
            by_all(&mut with, groups, &|s, w| s.writers = vec![w.clone()]);
            let by = FeederStopped { pid: 4242, command_line: "web".into(), lasts: None };
            with(&|s| s.writers = vec![WriterStatus { feeder_stopped: Some(by.clone()), ..writer() }]);
            for reader in readers() {
                by_all(&mut with, groups, &|s, w| {
                    let full =
                        OutputFull { lasts: Duration::from_secs(60), is_known: true, reader: reader.clone() };
                    s.writers = vec![WriterStatus { output_full: Some(full), ..w.clone() }];
                });
            }
        }
        FindingId::DeadWriter => {
            let keeper = |pid: u32| {
                let (what, command) =
                    ("slot 3 of process 7 (web), which is dead".to_owned(), "web".to_owned());
                mmlog::Blocker { what, pid, command, process: "sleeping".to_owned() }
            };
            for kept_by in [None, Some(keeper(0)), Some(keeper(4242))] {
                with(&|s| {
                    let (alive, in_flight) = (Ok(false), Some(in_flight()));
                    s.writers = vec![WriterStatus { alive, in_flight, kept_by: kept_by.clone(), ..writer() }];
                });
            }
        }
        FindingId::LockStale => {
            with(&|s| (s.lock.is_stale, s.lock.held) = (true, Ok(false)));
            with(&|s| (s.maintenance.is_stale, s.maintenance.held) = (true, Ok(false)));
        }
        FindingId::WritersFull => {
            with(&|s| (s.max_writers, s.writers) = (1, vec![writer()]));
            with(&|s| {
                (s.max_writers, s.writers) = (2, vec![writer(), WriterStatus { slot: 1, ..writer() }]);
                let (count, pid, command) = (2, 9, "web".to_owned());
                s.slot_waiters = Some(SlotWaiters { count, pid, command, since: long_ago() });
            });
        }
        FindingId::FollowerBehind => by_all(&mut with, groups, &|s, w| {
            s.cursor = 1 << 40;
            s.holds = vec![hold(w)];
        }),
        FindingId::HoldKeeps => {
            with(&|s| {
                s.holds = vec![HoldStatus { process: ProcessState::Gone, ..hold(&writer()) }];
            });
            by_all(&mut with, groups, &|s, w| {
                s.holds = vec![HoldStatus { not_run_for: Some(Duration::from_secs(60)), ..hold(w) }];
            });
            for reader in readers() {
                by_all(&mut with, groups, &|s, w| {
                    let (stands_for, reader) = (Some(Duration::from_secs(60)), reader.clone());
                    s.holds = vec![HoldStatus { stands_for, reader, ..hold(w) }];
                });
            }
        }
        FindingId::SinkAway | FindingId::SinkRefuses | FindingId::ShipperEnded => {
            shippers::all(id, &mut with)
        }
        FindingId::ReaderBehind => by_all(&mut with, groups, &|s, w| {
            s.cursor = 1 << 40;
            s.followers = vec![follower(w), FollowerStatus { name: None, ..follower(w) }];
        }),
        FindingId::ReaderStands => by_all(&mut with, groups, &|s, w| {
            let stands_for = Some(Duration::from_secs(600));
            let late = FollowerStatus { lag: 9, stands_for, ..follower(w) };
            let stopped = FollowerStatus { not_run_for: stands_for, ..late.clone() };
            let read = |reader| FollowerStatus { reader, ..late.clone() };
            s.followers = readers().map(read).into_iter().chain([stopped]).collect();
        }),
        FindingId::FollowersFull => with(&|s| s.followers_seen = 256),
        FindingId::Unseen => with(&|s| s.lock.held = Err("not here".to_owned())),
        FindingId::Idle => with(&|s| s.file.changed = Some(SystemTime::UNIX_EPOCH)),
        FindingId::Recovered => with(&|s| {
            s.durability.recovered = Some(Recovered { at: SystemTime::now(), end: 9, lost: 5 });
        }),
        FindingId::NotRecovered => {
            for by_append in [true, false] {
                with(&|s| s.unrecovered = Some(Unrecovered { synced: 4, end: 9, by_append }));
            }
        }
        FindingId::SpaceHeld => with(&|s| {
            s.removed_held = vec![RemovedHeld { pid: 4312, command: "r".into(), inode: 3, allocated: 4096 }];
        }),
        FindingId::FormerLog => outside::former(&mut with),
        FindingId::Holes => with(&|s| {
            let (pid, command, at) = (4312, "web".to_owned(), Some(SystemTime::now()));
            s.holes = vec![Hole { start: 4, len: 9, pid, command, kind: HoleKind::Torn, is_noted: true, at }];
        }),
        FindingId::Slack => with(&|s| s.limit = s.cursor + 4096),
        FindingId::OutsideBytes => with(&|s| s.outside = OutsideBytes { waiting: 9, ..s.outside }),
        FindingId::OutsideCut => with(&|s| {
            s.outside = OutsideBytes { cut: 9, cut_at: Some(SystemTime::now()), ..s.outside };
        }),
        FindingId::OutsideLive => outside::live(&mut with),
        FindingId::HooksUnrun => with(&|s| s.unrun.segments = 0..2),
        FindingId::NameTooLong => {
            for most in [20, 50] {
                with(&|s| s.file.longest_name = most);
            }
        }
        FindingId::FileSizeLimit => {
            for file_size_limit in [None, Some(64 << 10), Some(2 << 20)] {
                with(&|s| {
                    s.writers = vec![WriterStatus { file_size_limit, ..waits(Want::FileSize, 27, 40) }];
                });
            }
        }
        FindingId::QuotaFull => with(&|s| s.writers = vec![waits(Want::Quota, 122, 40)]),
        FindingId::StorageFails => with(&|s| s.writers = vec![waits(Want::Storage, 5, 40)]),
        FindingId::InodesUsedUp => with(&|s| s.file.inodes = Some((0, 64))),
        FindingId::AppendFailed => with(&|s| {
            let mut w = waits(Want::Space, 28, 40);
            w.waiting.as_mut().unwrap().tried = long_ago();
            s.writers = vec![w];
        }),
        FindingId::RotationOverdue => policies::rotation_overdue(&mut with),
        FindingId::PruningOverdue => policies::pruning_overdue(&mut with),
        FindingId::PolicyNotTrusted => {
            for distrust in
                [Distrust::Owner, Distrust::Group, Distrust::Others, Distrust::GroupAndOthers, Distrust::List]
            {
                with(&|s| s.policy.distrust = Some(distrust));
            }
        }
        FindingId::FreeSpaceNotFreed => {
            let (pid, command) = (4312, "reader".to_owned());
            let held = RemovedHeld { pid, command, inode: 3, allocated: 4096 };
            for held in [vec![], vec![held]] {
                with(&|s| {
                    s.policy.unfreed_since = Some(long_ago());
                    s.removed_held = held.clone();
                });
            }
        }
        FindingId::PolicyDamaged => with(&|s| s.policy.state = PolicyState::Damaged),
        _ => {}
    }
    all
}

pub(super) type With<'a> = &'a mut dyn FnMut(&dyn Fn(&mut Status));

fn panic_record() -> PanicRecord {
    PanicRecord { reason: "no".to_owned(), errno: 5, pid: 4312, command: "web".to_owned(), at: None }
}

pub(super) fn long_ago() -> SystemTime {
    SystemTime::now() - Duration::from_secs(40)
}

fn full(s: &mut Status) {
    (s.file.free, s.limit) = (Ok(0), s.cursor);
}

fn in_flight() -> InFlight {
    InFlight { phase: Phase::Copying, start: 4, end: 12, for_at_least: Duration::from_secs(192) }
}

pub(super) fn writer() -> WriterStatus {
    WriterStatus {
        slot: 0,
        pid: 4312,
        seat: HERE,
        command: "web".to_owned(),
        command_line: Some("web --log `app`".to_owned()),
        feeder: None,
        feeder_stopped: None,
        feeder_waits: None,
        process: ProcessState::Sleeping,
        process_for_at_least: Duration::from_secs(9),
        not_run_for: None,
        frozen_by: None,
        stuck_in: None,
        alive: Ok(true),
        in_flight: None,
        kept_by: None,
        waiting: None,
        file_size_limit: None,
        output_full: None,
        messages: 1,
        bytes: 1,
        since: None,
    }
}

/// Nobody who can be seen, one that runs, one that is stopped.
fn readers() -> [Option<OutputReader>; 3] {
    let reader =
        |is_stopped| Some(OutputReader { pid: 4313, command_line: "sleep 90".to_owned(), is_stopped });
    [None, reader(false), reader(true)]
}

fn waits(want: Want, errno: i32, seconds: u64) -> WriterStatus {
    let now = SystemTime::now();
    let since = now - Duration::from_secs(seconds);
    let waiting = Waiting { want, errno, len: 57_344, dropped: None, since, tried: now, seen: now };
    WriterStatus { waiting: Some(waiting), ..writer() }
}

fn follower(w: &WriterStatus) -> FollowerStatus {
    let (position, lag, is_beyond) = (0, 1 << 40, false);
    FollowerStatus {
        not_run_for: None,
        stuck_in: None,
        reader: None,
        name: Some("the `night` shift's\n".to_owned()),
        pid: w.pid,
        seat: w.seat,
        command: w.command.clone(),
        command_line: w.command_line.clone(),
        process: w.process,
        frozen_by: w.frozen_by.clone(),
        position,
        lag,
        is_beyond,
        since: None,
        last_seen: None,
        stands_for: None,
    }
}

/// By a process in each state, here and in another PID namespace, and by one that nobody knows.
fn by_all(with: With<'_>, groups: &Path, change: &dyn Fn(&mut Status, &WriterStatus)) {
    let elsewhere = |pid| Seat { namespace: Some(4_026_531_999), pid, uid: None };
    for process in PROCESSES {
        for (pid, seat) in
            [(4312, HERE), (1, elsewhere(Some(77))), (1, elsewhere(None)), (0, Seat::default())]
        {
            with(&|s| change(s, &WriterStatus { pid, seat, process, ..writer() }));
        }
    }
    let stuck_in = Some("percpu_rwsem_wait".to_owned());
    with(&|s| {
        let process = ProcessState::DiskSleep;
        change(s, &WriterStatus { process, stuck_in: stuck_in.clone(), ..writer() });
    });
    for group in GROUPS {
        let group = groups.join(group);
        let frozen_by = Some(Freezer { thawed_by: (group.join("freezer.state"), "THAWED"), group });
        with(&|s| {
            change(
                s,
                &WriterStatus { process: ProcessState::Frozen, frozen_by: frozen_by.clone(), ..writer() },
            );
        });
    }
}

fn damage(id: FindingId) -> Damage {
    Damage::new(id, "it is not as it was".to_owned())
}

/// The data file, a moment later beside it under another name.
fn moved(id: FindingId, s: &Status) -> Damage {
    let moved_to = Some(s.path.with_file_name("app's old.log"));
    Damage { moved_to, ..damage(id) }
}

/// The file that was there, by whoever has it open, as far as one may see.
fn open_still(id: FindingId, with: With<'_>) {
    let opener = Opener { pid: 4312, command: "web --log `app`".to_owned(), fd: 7 };
    for (by, is_saved) in [(2, false), (1, false), (1, true), (0, false)] {
        with(&|s| {
            let save_as = s.path.with_file_name("app's.saved");
            let saved = is_saved.then(|| save_as.clone());
            let gone_since = SystemTime::now().checked_sub(Duration::from_secs(60));
            let by = vec![opener.clone(); by];
            let still_open = StillOpen { by, is_unseen: true, save_as, saved, saved_at: None, gone_since };
            s.damage = vec![Damage { still_open: Some(still_open), ..damage(id) }];
            s.writers = vec![writer()];
        });
    }
}

fn damaged(id: FindingId, with: With<'_>) {
    with(&|s| s.damage = vec![damage(id)]);
}

/// A flaw of an old segment, of what is none, and of what says itself what to do.
fn flawed(id: FindingId, well: &Status, with: With<'_>) {
    let segment = well.segments[0].path.clone();
    let directory = match well.path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut copy = segment.clone().into_os_string();
    copy.push(".zst");
    let of = |path: &Path, problem: &str| {
        let (path, problem) = (path.to_path_buf(), problem.to_owned());
        vec![SegmentFlaw { id, path, positions: 0..4, problem, since: None, lies_at: None }]
    };
    for path in [&segment, Path::new(&copy), directory, &directory.join("no segment")] {
        with(&|s| s.flaws = of(path, "it is not as it was"));
    }
    let own = [FindingId::SegmentSurplus, FindingId::SegmentUnreadable];
    if own.contains(&id) {
        with(&|s| s.flaws = of(directory, "it is not as it was; move it away"));
    }
    let aside = Path::new(&copy).with_extension("it's old");
    with(&|s| {
        s.flaws = of(&segment, "it is missing");
        s.flaws[0].lies_at = Some((aside.clone(), segment.clone()));
    });
}

/// What a log that cannot be opened is refused with, as `explain` parts it.
fn refused(well: &Status) -> Vec<Finding> {
    let io = |errno| io::Error::from_raw_os_error(errno);
    let (operation, name) = ("open the metadata", "app.log-1".to_owned());
    let mut faults = vec![
        Fault::Symlink { target: "elsewhere.log".into() },
        Fault::NoLog,
        Fault::Denied { operation, rights: Rights { uid: 0, gid: 0, mode: 0o600 }, uid: 1001 },
        Fault::Metadata(well.path.clone()),
        Fault::Segment { log: well.path.clone(), reads: "`cat LOG` reads this part of it", is_there: true },
        Fault::NotMetadata { why: "too short".to_owned() },
        Fault::Version { found: 1 },
        Fault::Geometry { field: "chunk_size", value: 1, min: 2, max: 3, multiple: 1 },
        Fault::BootUnknown,
        Fault::NoData,
        Fault::OutOfRange { field: "cursor", value: 1, min: 2, max: 3 },
        Fault::Truncated { expected: 9, found: 1 },
        Fault::Foreign { recorded: 1, found: 2 },
        Fault::Copied { recorded: 1, found: 2 },
        Fault::Emptied { recorded: 1, found: 2 },
        Fault::OtherMount { recorded: 1, found: 2, why: "it is mounted twice".to_owned() },
        Fault::Journal { kind: 9 },
        Fault::UnsafeDirectory { directory: "/tmp".into() },
        Fault::HardLinked { links: 2 },
        Fault::OwnersDiffer { data_uid: 1, metadata_uid: 2 },
        Fault::NameTooLong { name: 250, what: "metadata", needed: 257, most: 255, fits: 196, exists: true },
        Fault::SyncFailed { from: 3, source: io(5) },
        Fault::Poisoned(panic_record()),
        Fault::Unsound { violation: "cursor".to_owned() },
        Fault::HoldsFull { max: 64 },
        Fault::NoHold { name },
        Fault::UserChanged { operation, opened_as: 0, now: 9 },
    ];
    for errno in [2, 5, 1, 13, 24, 12, 27, 30, 36, 37, 122, 28] {
        faults.push(Fault::Io { operation, source: io(errno) });
        faults.push(Fault::NoSpace { needed: 1, free: 54 << 20, source: io(errno) });
    }
    for (ends_in_nuls, unfit) in [(true, None), (false, None), (false, Some("x; y"))] {
        let fault = |(reads, segments)| Fault::NoMetadata { len: 9999, ends_in_nuls, segments, reads, unfit };
        faults.extend([(false, 0), (true, 0), (true, 2)].map(fault));
    }
    let explained = |fault: Fault| {
        let text = with_log(&fault.to_string(), &well.path);
        let said = text.split_once("; ").map(|(sentence, next)| (sentence.to_owned(), next.to_owned()));
        let (sentence, next_step) = said.expect("what to do");
        let (id, severity, state) = (FindingId::Unreadable, Severity::Critical, State::Ok);
        Finding { id, severity, state, sentence, next_step, pid: None }
    };
    faults.into_iter().map(explained).collect()
}
