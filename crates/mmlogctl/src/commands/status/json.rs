//! The machine's view of a log: `"schema": 1`, a contract. Keys are added, never changed.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use mmlog::{
    ClockDoubt, ClockSet, Damage, Durability, FileFacts, Finding, FollowerStatus, HoldStatus, Hole, InFlight,
    Lock, Opener, PanicRecord, PolicyUndone, SegmentFlaw, SegmentStatus, Severity, ShipperStatus,
    SlotWaiters, State, Status, Undone, Version1Flags, Waiting, WriterStatus,
};
use serde_json::{Value, json};

use crate::commands::policy::object_of;
use crate::metrics::slack;
use crate::output::json_line;
use crate::text::with_path;

/// One object on one line.
pub(crate) fn line(object: &Value) -> String {
    let mut line = json_line(&object.to_string());
    line.push('\n');
    line
}

/// A log that cannot even be looked at: what is known of it, under the keys of [`object`].
pub(crate) fn explained(path: &Path, found: &Finding) -> Value {
    let object = json!({
        "schema": 1,
        "path": null,
        "state": word(found),
        "problem": found.sentence,
        "next_step": found.next_step,
        "findings": [finding(found)],
    });
    with_path(object, "path", path)
}

/// Everything that a look has seen.
pub(crate) fn object(s: &Status) -> Value {
    let object = json!({
        "schema": 1,
        "path": null,
        "format": s.format,
        "id": s.id.to_string(),
        "epoch": s.id.epoch,
        "state": s.state.to_string(),
        "problem": s.problem,
        "next_step": s.next_step,
        "findings": s.findings.iter().map(finding).collect::<Vec<_>>(),
        "damage": s.damage.iter().map(damage).collect::<Vec<_>>(),
        "version_1": s.version_1.as_ref().map(version_1),
        "cursor": s.cursor,
        "watermark": s.watermark,
        "file_size": s.file_size,
        "slack": slack(s),
        "base": s.base,
        "limit": s.limit,
        "outside": outside(s),
        "unrun": unrun(s),
        "policy": object_of(&s.policy),
        "clock": s.clock.as_ref().map(clock),
        "generation": s.generation,
        "gate": s.gate,
        "gate_for_at_least_ms": s.gate.map(|_| ms(s.gate_for_at_least)),
        "unfinished": s.unfinished,
        "idle_s": s.idle_for().map(|idle| idle.as_secs()),
        "created": time(s.created),
        "page_size": s.page_size,
        "chunk_size": s.chunk_size,
        "max_writers": s.max_writers,
        "gate_ms": s.gate_ms,
        "lock": lock(&s.lock),
        "maintenance": lock(&s.maintenance),
        "writers": s.writers.iter().map(writer).collect::<Vec<_>>(),
        "slot_waiters": s.slot_waiters.as_ref().map(slot_waiters),
        "holes": s.holes.iter().map(hole).collect::<Vec<_>>(),
        "holes_total": s.holes_total,
        "holes_forgotten": s.holes_forgotten,
        "segments": s.segments.iter().map(segment).collect::<Vec<_>>(),
        "flaws": s.flaws.iter().map(flaw).collect::<Vec<_>>(),
        "first_kept": s.first_kept,
        "holds": s.holds.iter().map(|h| hold(h, s.cursor)).collect::<Vec<_>>(),
        "followers": s.followers.iter().map(follower).collect::<Vec<_>>(),
        "followers_full": s.followers_full(),
        "panic": s.panic.as_ref().map(panic),
        "file": file(&s.file),
        "durability": durability(&s.durability),
    });
    with_path(object, "path", &s.path)
}

/// Somebody set the clock.
fn clock(doubt: &ClockDoubt) -> Value {
    let set = |set: ClockSet| json!({ "from": time(Some(set.from)), "to": time(Some(set.to)), "position": set.position });
    json!({ "set": doubt.set.map(set), "doubted_s": doubt.lasts.as_secs_f64() })
}

/// Something that the policy asks for and that could not be done.
pub(crate) fn undone(u: &PolicyUndone) -> Value {
    json!({
        "what": u.what.map(Undone::name),
        "since": time(u.since),
        "tried": time(u.tried),
        "errno": u.errno,
        "whose": if u.of_log { "log" } else { "process" },
        "pid": u.pid,
        "uid": u.uid,
        "command": u.command,
    })
}

fn outside(s: &Status) -> Value {
    let bytes = s.outside;
    json!({
        "waiting": bytes.waiting,
        "beside": bytes.beside,
        "open_by": s.strangers.iter().map(opener).collect::<Vec<_>>(),
        "cut": bytes.cut,
        "cut_at": time(bytes.cut_at),
    })
}

fn opener(o: &Opener) -> Value {
    json!({ "pid": o.pid, "command": o.command, "fd": o.fd })
}

fn unrun(s: &Status) -> Value {
    let (count, first) = (s.unrun.count(), s.unrun.segments.start);
    json!({ "count": count, "first": (count > 0).then_some(first), "at_work": s.unrun.at_work })
}

fn file(f: &FileFacts) -> Value {
    json!({
        "len": f.len,
        "allocated": f.allocated,
        "mode": format!("{:04o}", f.mode),
        "uid": f.uid,
        "gid": f.gid,
        "inode": f.inode,
        "device": f.device,
        "free": f.free.as_ref().ok(),
        "unseen": f.free.as_ref().err(),
        "inodes_free": f.inodes.map(|(free, _)| free),
        "inodes": f.inodes.map(|(_, all)| all),
    })
}

/// The state of the log by that; where only the looking failed, nobody knows it.
pub(crate) fn word(f: &Finding) -> String {
    let is_known = f.state != State::Ok || f.severity == Severity::Info;
    if is_known { f.state.to_string() } else { "UNKNOWN".to_owned() }
}

/// `command` is the one of `next_step` to try first. `pid` is the culprit's in this PID namespace, if it is one process's doing.
pub(crate) fn finding(f: &Finding) -> Value {
    json!({
        "id": f.id.name(),
        "severity": f.severity.to_string(),
        "state": word(f),
        "sentence": f.sentence,
        "next_step": f.next_step,
        "command": f.command(),
        "pid": f.pid,
    })
}

fn damage(d: &Damage) -> Value {
    let openers = d.still_open.iter().flat_map(|open| &open.by);
    let open_by: Vec<Value> = openers.map(opener).collect();
    let object = json!({
        "id": d.id.name(),
        "problem": d.problem,
        "moved_to": null,
        "metadata_of": null,
        "open_by": open_by,
    });
    match (&d.moved_to, &d.metadata_of) {
        (Some(path), _) => with_path(object, "moved_to", path),
        (None, Some(stray)) => with_path(object, "metadata_of", stray.log()),
        (None, None) => object,
    }
}

/// Something wrong with an old segment, and the positions that cannot be read because of it.
pub(crate) fn flaw(f: &SegmentFlaw) -> Value {
    let object = json!({
        "id": f.id.name(),
        "path": null,
        "from": f.positions.start,
        "to": f.positions.end,
        "problem": f.problem,
        "since": time(f.since),
    });
    with_path(object, "path", &f.path)
}

fn version_1(flags: &Version1Flags) -> Value {
    let holder = |(pid, command): &(u32, String)| json!({ "pid": pid, "command": command });
    json!({
        "is_locked": flags.is_locked,
        "is_panicked": flags.is_panicked,
        "holders": flags.holders.iter().map(holder).collect::<Vec<_>>(),
    })
}

fn durability(d: &Durability) -> Value {
    json!({
        "synced": d.synced,
        "synced_at": time(d.synced_at),
        "error": d.error.map(|(from, errno)| json!({ "from": from, "errno": errno })),
        "recovered": d.recovered.map(|r| json!({ "at": time(Some(r.at)), "end": r.end, "lost": r.lost })),
    })
}

/// A lock that nobody holds still remembers its last holder, which is nobody's business here.
fn lock(lock: &Lock) -> Value {
    let held = (lock.held == Ok(true)).then_some(lock);
    json!({
        "held": lock.held.as_ref().ok(),
        "unseen": lock.held.as_ref().err(),
        "pid": held.map(|l| l.pid),
        "command": held.map(|l| &l.command),
        "operation": held.map(|l| &l.operation),
        "since": held.and_then(|l| time(l.since)),
        "process": held.map(|l| l.process.to_string()),
        "command_line": held.and_then(|l| l.command_line.as_ref()),
        "stuck_in": held.and_then(|l| l.stuck_in.as_ref()),
        "frozen_by": held.and_then(|l| l.frozen_by.as_ref()).map(|by| by.group.to_string_lossy()),
        "namespace": held.and_then(|l| l.seat.namespace),
        "pid_here": held.and_then(|l| l.seat.pid),
        "for_at_least_ms": held.map(|l| ms(l.for_at_least)),
        "stale": lock.is_stale,
    })
}

pub(crate) fn writer(w: &WriterStatus) -> Value {
    json!({
        "slot": w.slot,
        "pid": w.pid,
        "namespace": w.seat.namespace,
        "pid_here": w.seat.pid,
        "command": w.command,
        "process": w.process.to_string(),
        "process_for_at_least_ms": ms(w.process_for_at_least),
        "not_run_for_ms": w.not_run_for.map(ms),
        "stuck_in": w.stuck_in,
        "command_line": w.command_line,
        "frozen_by": w.frozen_by.as_ref().map(|by| by.group.to_string_lossy()),
        "alive": w.alive.as_ref().ok(),
        "unseen": w.alive.as_ref().err(),
        "in_flight": w.in_flight.as_ref().map(in_flight),
        "waiting": w.waiting.as_ref().map(waiting),
        "feeder_stopped": w.feeder_stopped.as_ref().map(|by| by.pid),
        "feeder_waits_ms": w.feeder_waits.map(ms),
        "output_full_ms": w.output_full.as_ref().map(|full| ms(full.lasts)),
        "messages": w.messages,
        "bytes": w.bytes,
        "since": time(w.since),
    })
}

fn waiting(w: &Waiting) -> Value {
    json!({
        "for": w.want.to_string(),
        "errno": w.errno,
        "len": w.len,
        "dropped": w.dropped,
        "since": time(Some(w.since)),
        "tried": time(Some(w.tried)),
        "is_trying": w.is_trying(),
    })
}

fn slot_waiters(w: &SlotWaiters) -> Value {
    json!({ "count": w.count, "pid": w.pid, "command": w.command, "since": time(Some(w.since)) })
}

fn in_flight(f: &InFlight) -> Value {
    json!({
        "phase": f.phase.to_string(),
        "start": f.start,
        "end": f.end,
        "for_at_least_ms": ms(f.for_at_least),
    })
}

fn hole(h: &Hole) -> Value {
    json!({
        "start": h.start,
        "len": h.len,
        "kind": h.kind.to_string(),
        "pid": h.pid,
        "command": h.command,
        "at": time(h.at),
    })
}

fn segment(s: &SegmentStatus) -> Value {
    let object =
        json!({ "generation": s.generation, "base": s.base, "end": s.end, "inode": s.inode, "path": null });
    with_path(object, "path", &s.path)
}

fn hold(h: &HoldStatus, cursor: u64) -> Value {
    json!({
        "name": h.name,
        "position": h.position,
        "lag": cursor.saturating_sub(h.position),
        "pid": h.pid,
        "process": h.process.to_string(),
        "since": time(h.since),
        "last_seen": time(h.last_seen),
        "stands_ms": h.stands_for.map(ms),
        "shipper": h.shipper.as_ref().map(|s| shipper(s, cursor)),
    })
}

fn shipper(s: &ShipperStatus, cursor: u64) -> Value {
    json!({
        "sink": s.sink,
        "promise": s.promise,
        "state": s.state.word(),
        "since": time(s.since),
        "why": (!s.why.is_empty()).then_some(&s.why),
        "acked": s.acked,
        "lag": s.acked.map(|acked| cursor.saturating_sub(acked)),
        "waits_ms": ms(s.waits_for(cursor)),
        "bytes": s.bytes,
        "resent": s.resent,
        "gaps": s.gaps,
        "troubles": s.troubles,
        "said": time(s.said),
    })
}

/// `position` is what it says, also where the log does not have that.
fn follower(f: &FollowerStatus) -> Value {
    json!({
        "name": f.name,
        "command": f.command,
        "command_line": f.command_line,
        "pid": f.pid,
        "namespace": f.seat.namespace,
        "pid_here": f.seat.pid,
        "process": f.process.to_string(),
        "frozen_by": f.frozen_by.as_ref().map(|by| by.group.to_string_lossy()),
        "position": f.position,
        "lag": f.lag,
        "beyond": f.is_beyond,
        "since": time(f.since),
        "seen": time(f.last_seen),
    })
}

fn panic(p: &PanicRecord) -> Value {
    json!({
        "reason": p.reason,
        "errno": p.errno,
        "pid": p.pid,
        "command": p.command,
        "at": time(p.at),
    })
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339, or null.
pub(crate) fn time(at: Option<SystemTime>) -> Option<String> {
    super::human::timestamp(at).map(|t: Timestamp| t.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_keys_of_schema_1_are_there() {
        let status = object(&sample::worst());
        for key in [
            "schema",
            "state",
            "cursor",
            "watermark",
            "file_size",
            "base",
            "generation",
            "lock",
            "writers",
            "holes",
            "segments",
            "holds",
            "followers",
            "first_kept",
            "next_step",
        ] {
            assert!(!status[key].is_null(), "{key}");
        }
        for key in ["held", "pid", "command", "operation", "since"] {
            assert!(!status["lock"][key].is_null(), "lock.{key}");
        }
        assert_eq!(status["schema"], 1);
        assert_eq!(status["lock"]["since"], "2027-01-15T08:00:00.123456Z");
        assert_eq!(status["writers"][1]["in_flight"]["for_at_least_ms"], 1);
    }

    #[test]
    fn a_free_lock_has_no_holder() {
        let mut status = sample::worst();
        status.lock.held = Ok(false);
        assert!(object(&status)["lock"]["pid"].is_null());
    }

    #[test]
    fn what_could_not_be_seen_is_null_and_says_why() {
        let mut status = sample::worst();
        status.lock.held = Err("no".to_owned());
        status.file.free = Err("no".to_owned());
        let object = object(&status);
        for (part, key) in [("lock", "held"), ("file", "free")] {
            assert_eq!((&object[part][key], &object[part]["unseen"]), (&Value::Null, &json!("no")), "{part}");
        }
    }

    #[test]
    fn an_object_is_one_line() {
        assert_eq!(line(&object(&sample::worst())).matches('\n').count(), 1);
    }
}
