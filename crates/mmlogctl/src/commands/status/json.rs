//! The machine's view of a log: `"schema": 1`, a contract. Keys are added, never changed.

use std::time::SystemTime;

use jiff::Timestamp;
use mmlog::{
    Durability, FileFacts, Finding, HoldStatus, Hole, InFlight, Lock, PanicRecord, SegmentStatus, Status,
    WriterStatus,
};
use serde_json::{Value, json};

use crate::output::json_line;

/// One object on one line.
pub(super) fn text(status: &Status) -> String {
    let mut line = json_line(&object(status).to_string());
    line.push('\n');
    line
}

fn object(s: &Status) -> Value {
    json!({
        "schema": 1,
        "path": s.path.to_string_lossy(),
        "format": s.format,
        "id": s.id.to_string(),
        "epoch": s.id.epoch,
        "state": s.state.to_string(),
        "problem": s.problem,
        "next_step": s.next_step,
        "findings": s.findings.iter().map(finding).collect::<Vec<_>>(),
        "cursor": s.cursor,
        "watermark": s.watermark,
        "file_size": s.file_size,
        "slack": super::human::slack(s),
        "base": s.base,
        "limit": s.limit,
        "generation": s.generation,
        "gate": s.gate,
        "created": time(s.created),
        "page_size": s.page_size,
        "chunk_size": s.chunk_size,
        "max_writers": s.max_writers,
        "gate_ms": s.gate_ms,
        "lock": lock(&s.lock),
        "maintenance": lock(&s.maintenance),
        "writers": s.writers.iter().map(writer).collect::<Vec<_>>(),
        "holes": s.holes.iter().map(hole).collect::<Vec<_>>(),
        "holes_total": s.holes_total,
        "holes_forgotten": s.holes_forgotten,
        "segments": s.segments.iter().map(segment).collect::<Vec<_>>(),
        "first_kept": s.first_kept,
        "holds": s.holds.iter().map(|h| hold(h, s.cursor)).collect::<Vec<_>>(),
        "panic": s.panic.as_ref().map(panic),
        "file": file(&s.file),
        "durability": durability(&s.durability),
    })
}

/// `pid` is the culprit's in this PID namespace, if it is one process's doing.
fn finding(f: &Finding) -> Value {
    json!({
        "id": f.id.name(),
        "severity": f.severity.to_string(),
        "state": f.state.to_string(),
        "sentence": f.sentence,
        "next_step": f.next_step,
        "pid": f.pid,
    })
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
    })
}

fn writer(w: &WriterStatus) -> Value {
    json!({
        "slot": w.slot,
        "pid": w.pid,
        "command": w.command,
        "process": w.process.to_string(),
        "alive": w.alive.as_ref().ok(),
        "unseen": w.alive.as_ref().err(),
        "in_flight": w.in_flight.as_ref().map(in_flight),
        "messages": w.messages,
        "bytes": w.bytes,
        "since": time(w.since),
    })
}

fn in_flight(f: &InFlight) -> Value {
    json!({
        "phase": f.phase.to_string(),
        "start": f.start,
        "end": f.end,
        "for_at_least_ms": u64::try_from(f.for_at_least.as_millis()).unwrap_or(u64::MAX),
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
    json!({
        "generation": s.generation,
        "base": s.base,
        "end": s.end,
        "inode": s.inode,
        "path": s.path.to_string_lossy(),
    })
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

/// RFC 3339, or null.
fn time(at: Option<SystemTime>) -> Option<String> {
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
            "first_kept",
            "next_step",
            "findings",
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
        assert_eq!(text(&sample::worst()).matches('\n').count(), 1);
    }
}
