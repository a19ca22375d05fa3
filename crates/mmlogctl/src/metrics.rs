//! What can be measured of a log: one table, from which thresholds, performance data and Prometheus's families come.

#[cfg(test)]
mod tests;
mod unit;

use std::time::{Duration, SystemTime};

use mmlog::{FindingId, Lock, ShipperStatus, Status, Waiting};

pub(crate) use unit::Unit;

/// A type of Prometheus's.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// Which side of a threshold is bad.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Bad {
    TooMuch,
    TooLittle,
}

/// What a passed threshold means.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) bad: Bad,
    /// Findings that know better what to do.
    pub(crate) findings: &'static [FindingId],
    /// What to do where none of them was found; LOG stands for the path.
    pub(crate) next: &'static str,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Metric {
    /// On the command line and in performance data.
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) kind: Kind,
    /// Name for Prometheus.
    pub(crate) family: &'static str,
    /// What it is.
    pub(crate) help: &'static str,
    /// `None` when it could not be seen.
    pub(crate) value: fn(&Status) -> Option<u64>,
    /// It cannot be more.
    pub(crate) most: Option<fn(&Status) -> u64>,
    /// `None` where no value is a bad one.
    pub(crate) judged: Option<Judged>,
}

/// All that can be measured, in the order in which it is said.
pub(crate) const ALL: &[Metric] = &[
    Metric {
        name: "cursor",
        unit: Unit::Bytes,
        kind: Kind::Counter,
        family: "mmlog_appended_bytes_total",
        help: "Bytes appended since the log was made: its cursor.",
        value: |s| Some(s.cursor),
        most: None,
        judged: None,
    },
    Metric {
        name: "watermark",
        unit: Unit::Bytes,
        kind: Kind::Counter,
        family: "mmlog_final_bytes_total",
        help: "Bytes that are final, all that readers may see: the watermark.",
        value: |s| Some(s.watermark),
        most: None,
        judged: None,
    },
    Metric {
        name: "file_size",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_file_size_bytes",
        help: "Bytes of the data file, those allocated ahead included.",
        value: |s| Some(s.file_size),
        most: None,
        judged: too_much(&[], "`mmlogctl rotate LOG` begins a new file"),
    },
    Metric {
        name: "writers",
        unit: Unit::Count,
        kind: Kind::Gauge,
        family: "mmlog_writers",
        help: "Writers that have the log open.",
        value: |s| Some(s.writers.iter().filter(|w| w.alive != Ok(false)).count() as u64),
        most: Some(|s| u64::from(s.max_writers)),
        judged: too_much(
            &[FindingId::WritersFull],
            "`mmlogctl status --json LOG` lists them; end those that are not needed",
        ),
    },
    Metric {
        name: "holes",
        unit: Unit::Count,
        kind: Kind::Gauge,
        family: "mmlog_holes",
        help: "Ranges that writers reserved and never finished, in what is kept of the log.",
        value: |s| Some(s.holes_total),
        most: None,
        judged: too_much(
            &[FindingId::Holes],
            "`mmlogctl cat --holes say LOG > /dev/null` names whose they are; find out what ends these writers",
        ),
    },
    Metric {
        name: "lag",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_lag_bytes",
        help: "Bytes between watermark and cursor: appended, and not final yet.",
        value: |s| Some(s.cursor.saturating_sub(s.watermark)),
        most: None,
        judged: too_much(STANDING, "`mmlogctl status LOG` names the writers with appends in flight"),
    },
    Metric {
        name: "in_flight",
        unit: Unit::Count,
        kind: Kind::Gauge,
        family: "mmlog_appends_in_flight",
        help: "Appends that were announced and are not finished.",
        value: |s| Some(s.writers.iter().filter(|w| w.in_flight.is_some()).count() as u64),
        most: Some(|s| u64::from(s.max_writers)),
        judged: too_much(STANDING, "`mmlogctl status LOG` names the writers with appends in flight"),
    },
    Metric {
        name: "waiting",
        unit: Unit::Count,
        kind: Kind::Gauge,
        family: "mmlog_appends_waiting",
        help: "Appends that wait: for space, a limit, a quota, a gate, the log's lock, or to open it and have a slot.",
        value: |s| {
            let without_slot = s.slot_waiters.as_ref().map_or(0, |w| w.count.into());
            Some(waiting(s).count() as u64 + without_slot)
        },
        most: Some(|s| u64::from(s.max_writers)),
        judged: too_much(WAITING, "`mmlogctl status LOG` names what they wait for"),
    },
    Metric {
        name: "waited",
        unit: Unit::Seconds,
        kind: Kind::Gauge,
        family: "mmlog_append_wait_seconds",
        help: "Seconds for which the append that waits longest has waited; 0 when none waits.",
        value: |s| {
            let without_slot = s.slot_waiters.iter().map(|w| w.since);
            let longest = waiting(s).map(|w| w.since).chain(without_slot).min();
            Some(longest.map_or(0, |since| ms(since.elapsed().unwrap_or_default())))
        },
        most: None,
        judged: too_much(WAITING, "`mmlogctl status LOG` names what they wait for"),
    },
    Metric {
        name: "dropped",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_dropped_bytes",
        help: "Bytes that programs which do not wait for space (--on-full drop) have dropped so far; 0 once they append again.",
        value: |s| Some(waiting(s).filter_map(|w| w.dropped).fold(0, u64::saturating_add)),
        most: None,
        judged: too_much(WAITING, "`mmlogctl status LOG` names who drops, and for want of what"),
    },
    Metric {
        name: "slack",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_slack_bytes",
        help: "Bytes of the data file that are allocated ahead.",
        value: |s| Some(slack(s)),
        most: None,
        judged: too_much(&[], "`mmlogctl trim LOG` gives them back"),
    },
    Metric {
        name: "free",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_disk_free_bytes",
        help: "Bytes that the file system of the log has left for this user.",
        value: |s| s.file.free.as_ref().ok().copied(),
        most: None,
        judged: Some(Judged {
            bad: Bad::TooLittle,
            findings: &[FindingId::DiskFull, FindingId::DiskNearlyFull],
            next: "free space on its file system: `mmlogctl segments LOG` lists old segments, `mmlogctl prune --keep 5 LOG` takes all but the newest 5",
        }),
    },
    Metric {
        name: "inodes",
        unit: Unit::Count,
        kind: Kind::Gauge,
        family: "mmlog_inodes_free",
        help: "Inodes that the file system of the log has left for this user; not known where it does not count them.",
        value: |s| s.file.inodes.map(|(free, _)| free),
        most: None,
        judged: Some(Judged {
            bad: Bad::TooLittle,
            findings: &[FindingId::InodesUsedUp],
            next: "remove files that nobody needs from its file system, many small ones first",
        }),
    },
    Metric {
        name: "idle",
        unit: Unit::Seconds,
        kind: Kind::Gauge,
        family: "mmlog_idle_seconds",
        help: "Seconds since the last append, within about a minute; not known of a log in memory.",
        value: |s| s.idle_for().map(ms),
        most: None,
        judged: too_much(
            &[],
            "see whether the programs that should write still run; `mmlogctl status LOG` lists who has it open",
        ),
    },
    Metric {
        name: "behind",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_behind_bytes",
        help: "Bytes between the hold that is farthest back and the cursor.",
        value: |s| Some(s.holds.iter().map(|h| s.cursor.saturating_sub(h.position)).max().unwrap_or(0)),
        most: None,
        judged: too_much(
            &[FindingId::FollowerBehind, FindingId::HoldKeeps],
            "`mmlogctl status LOG` names that consumer; start it again, or `mmlogctl prune --forget NAME LOG`",
        ),
    },
    Metric {
        name: "ship_lag",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_ship_lag_bytes",
        help: "Bytes that the sink of the shipper farthest behind has not acknowledged; 0 without a shipper.",
        value: |s| {
            Some(shippers(s).filter_map(|ship| Some(s.cursor.saturating_sub(ship.acked?))).max().unwrap_or(0))
        },
        most: None,
        judged: too_much(SHIPPING, SHIPPER),
    },
    Metric {
        name: "ship_age",
        unit: Unit::Seconds,
        kind: Kind::Gauge,
        family: "mmlog_ship_wait_seconds",
        help: "Seconds for which bytes have waited for an acknowledgement, of the shipper that waits longest; 0 where none waits.",
        value: |s| Some(shippers(s).map(|ship| ms(ship.waits_for(s.cursor))).max().unwrap_or(0)),
        most: None,
        judged: too_much(SHIPPING, SHIPPER),
    },
    Metric {
        name: "ship_resent",
        unit: Unit::Bytes,
        kind: Kind::Counter,
        family: "mmlog_ship_resent_bytes_total",
        help: "Bytes that shippers sent again, since a sink had lost what it acknowledged.",
        value: |s| Some(shippers(s).fold(0, |sum, ship| sum.saturating_add(ship.resent))),
        most: None,
        judged: None,
    },
    Metric {
        name: "ship_gaps",
        unit: Unit::Bytes,
        kind: Kind::Counter,
        family: "mmlog_ship_gap_bytes_total",
        help: "Bytes in gaps that shippers announced: what they could not send, since the log had it no more.",
        value: |s| Some(shippers(s).fold(0, |sum, ship| sum.saturating_add(ship.gaps))),
        most: None,
        judged: None,
    },
    Metric {
        name: "followers",
        unit: Unit::Count,
        kind: Kind::Gauge,
        family: "mmlog_followers",
        help: "Followers without a hold that say where they are: tail -f, long cats, programs.",
        value: |s| Some(s.followers.len() as u64),
        most: None,
        judged: too_much(
            &[FindingId::FollowersFull],
            "`mmlogctl status --json LOG` lists them; end those that are not needed",
        ),
    },
    Metric {
        name: "reader_lag",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_reader_lag_bytes",
        help: "Bytes between the cursor and the follower without a hold that is farthest back; 0 when none is seen.",
        value: |s| Some(s.followers.iter().map(|f| f.lag).max().unwrap_or(0)),
        most: None,
        judged: too_much(
            &[FindingId::ReaderBehind, FindingId::ReaderStands],
            "`mmlogctl status LOG` names that follower; look at whoever reads from it",
        ),
    },
    Metric {
        name: "segments",
        unit: Unit::Count,
        kind: Kind::Gauge,
        family: "mmlog_segments",
        help: "Data files, the current one included.",
        value: |s| Some(s.segments.len() as u64),
        most: None,
        judged: too_much(&[FindingId::HoldKeeps], PRUNE),
    },
    Metric {
        name: "size",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_segments_allocated_bytes",
        help: "Bytes of disk that all data files take.",
        value: |s| Some(s.segments.iter().map(|segment| segment.allocated).sum()),
        most: None,
        judged: too_much(&[FindingId::HoldKeeps], PRUNE),
    },
    Metric {
        name: "generation",
        unit: Unit::Count,
        kind: Kind::Counter,
        family: "mmlog_rotations_total",
        help: "Rotations since the log was made: the number of the current segment.",
        value: |s| Some(s.generation),
        most: None,
        judged: None,
    },
    Metric {
        name: "beyond",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_policy_beyond_bytes",
        help: "Bytes that the current segment has more than the rotate-size of the log's policy; 0 without one.",
        value: |s| {
            let most = s.policy.state.rules().rotate_size.unwrap_or(u64::MAX);
            Some(s.cursor.saturating_sub(s.base).saturating_sub(most))
        },
        most: None,
        judged: too_much(&[], OVERDUE),
    },
    Metric {
        name: "surplus",
        unit: Unit::Count,
        kind: Kind::Gauge,
        family: "mmlog_policy_surplus_segments",
        help: "Old segments that the log's policy does not keep, and that are there still; 0 without one.",
        value: |s| Some(s.policy.prunes),
        most: None,
        judged: too_much(&[], OVERDUE),
    },
    Metric {
        name: "overdue",
        unit: Unit::Seconds,
        kind: Kind::Gauge,
        family: "mmlog_policy_overdue_seconds",
        help: "Seconds for which nobody could do what the log's policy asks for; 0 when nothing is overdue.",
        value: |s| {
            let first = s.policy.undone.iter().filter_map(|undone| undone.since).min();
            Some(first.map_or(0, |since| ms(since.elapsed().unwrap_or_default())))
        },
        most: None,
        judged: too_much(&[], OVERDUE),
    },
    Metric {
        name: "lock",
        unit: Unit::Seconds,
        kind: Kind::Gauge,
        family: "mmlog_lock_held_seconds",
        help: "Seconds since the log's lock was taken; 0 when it is free.",
        value: |s| held(&s.lock),
        most: None,
        judged: too_much(&[FindingId::LockHeld], "`mmlogctl status LOG` names its holder"),
    },
    Metric {
        name: "maintenance",
        unit: Unit::Seconds,
        kind: Kind::Gauge,
        family: "mmlog_maintenance_held_seconds",
        help: "Seconds since a trim, rotate, prune or repair began; 0 when none runs.",
        value: |s| held(&s.maintenance),
        most: None,
        judged: too_much(&[FindingId::MaintenanceHeld], "`mmlogctl status LOG` names its holder"),
    },
    Metric {
        name: "unsynced",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        family: "mmlog_unsynced_bytes",
        help: "Bytes that no sync has made durable.",
        value: |s| Some(s.cursor.saturating_sub(s.durability.synced)),
        most: None,
        judged: too_much(
            &[FindingId::SyncFailed],
            "see whether what should sync still runs, such as a program that appends with --sync always",
        ),
    },
];

const WAITING: &[FindingId] = &[
    FindingId::DiskFull,
    FindingId::FileSizeLimit,
    FindingId::QuotaFull,
    FindingId::StorageFails,
    FindingId::LockHeld,
    FindingId::GateClosed,
];
const STANDING: &[FindingId] =
    &[FindingId::WriterStalled, FindingId::GateClosed, FindingId::LockHeld, FindingId::DeadWriter];
const OVERDUE: &str = "`mmlogctl policy LOG` says what is due, and what keeps it from being done";
const SHIPPING: &[FindingId] = &[
    FindingId::SinkRefuses,
    FindingId::ShipperEnded,
    FindingId::SinkAway,
    FindingId::FollowerBehind,
    FindingId::HoldKeeps,
];
const SHIPPER: &str = "`mmlogctl status LOG` says what its sink, and the shipper, are at";
const PRUNE: &str =
    "`mmlogctl segments LOG` lists them, `mmlogctl prune --keep 5 LOG` takes all but the newest 5";

const fn too_much(findings: &'static [FindingId], next: &'static str) -> Option<Judged> {
    Some(Judged { bad: Bad::TooMuch, findings, next })
}

fn shippers(s: &Status) -> impl Iterator<Item = &ShipperStatus> {
    s.holds.iter().filter_map(|hold| hold.shipper.as_ref())
}

/// Those that still try.
fn waiting(s: &Status) -> impl Iterator<Item = &Waiting> {
    let alive = s.writers.iter().filter(|w| w.alive != Ok(false));
    alive.filter_map(|w| w.waiting.as_ref().filter(|waiting| waiting.is_trying() || w.process.stands()))
}

/// Allocated and not yet appended to.
pub(crate) fn slack(s: &Status) -> u64 {
    s.file_size.saturating_sub(s.cursor.saturating_sub(s.base))
}

/// A holder that has said since when is believed, else what was seen.
fn held(lock: &Lock) -> Option<u64> {
    let said = lock.since.and_then(|at| SystemTime::now().duration_since(at).ok());
    lock.held.as_ref().ok().map(|held| if *held { ms(said.unwrap_or(lock.for_at_least)) } else { 0 })
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Metric {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|metric| metric.name == name)
    }
}
