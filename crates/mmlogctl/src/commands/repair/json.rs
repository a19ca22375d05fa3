//! The machine's view of a repair: `"schema": 1`, a contract. Keys are added, never changed.

use std::path::{Path, PathBuf};

use mmlog::repair::{DeadSlot, Left, MetadataFact, Step, Suspect, Touched, Why};
use mmlog::{Blocker, Hole, PanicRecord, saved_copy, with_log};
use serde_json::{Value, json};

use super::{Report, of_policy, option_of};
use crate::exit::Failure;
use crate::rules;
use crate::text::with_path;

pub(super) fn object(log: &Path, report: &Report, error: Option<&Failure>) -> Value {
    let error = error.and_then(|failure| match failure {
        Failure::Said { text, .. } => Some(text),
        Failure::OutputClosed => None,
    });
    let object = json!({
        "schema": 1,
        "path": null,
        "facts": facts(log, report),
        "steps": report.steps.iter().map(step).collect::<Vec<_>>(),
        "left": report.left.iter().map(left).collect::<Vec<_>>(),
        "holes": report.holes.iter().map(hole).collect::<Vec<_>>(),
        "applied": report.applied,
        "error": error,
    });
    with_path(object, "path", log)
}

fn hole(h: &Hole) -> Value {
    let (start, end, kind) = (h.start, h.end(), h.kind.to_string());
    json!({ "start": start, "end": end, "kind": kind, "pid": h.pid, "command": h.command })
}

fn step(step: &Step) -> Value {
    let owner = step.owner();
    let range = |t: Touched| json!({ "start": t.start, "end": t.end, "zeroed": t.zeroed });
    json!({
        "kind": step.kind(),
        "what": step.to_string(),
        "ranges": step.touched().map(range).into_iter().collect::<Vec<_>>(),
        "pid": owner.map(|(pid, _)| pid),
        "command": owner.map(|(_, command)| command),
    })
}

fn left(left: &Left) -> Value {
    let (why, option) = match left.why {
        Why::Unasked(wish) => ("unasked", option_of(wish)),
        Why::Alive => ("alive", None),
        Why::Beyond => ("beyond", None),
        Why::Unseen => ("unseen", None),
    };
    json!({ "what": left.what, "why": why, "option": option })
}

fn facts(log: &Path, report: &Report) -> Value {
    let f = &report.facts;
    let (metadata, why) = match &f.metadata {
        MetadataFact::Sound => ("sound", None),
        MetadataFact::Missing => ("missing", None),
        MetadataFact::Unfinished => ("unfinished", None),
        MetadataFact::Torn(why) => ("torn", Some(why)),
        MetadataFact::Version1 => ("version 1", None),
    };
    let object = json!({
        "metadata": metadata,
        "metadata_problem": why,
        "data": f.data.map(|d| json!({ "len": d.len, "inode": d.inode })),
        "foreign": f.foreign,
        "copied": f.copied,
        "base": f.base,
        "other_base": f.other_base,
        "cursor": f.cursor,
        "file_size": f.file_size,
        "positions": f.positions,
        "wrong_limit": f.wrong_limit,
        "rebooted": f.rebooted,
        "stale_lock": f.stale_lock.as_ref().map(blocker),
        "stale_gate": f.stale_gate,
        "stale_journal": (f.stale_journal != 0).then_some(f.stale_journal),
        "live_writers": f.live_writers,
        "dead": f.dead.iter().map(dead).collect::<Vec<_>>(),
        "suspects": f.suspects.iter().map(suspect).collect::<Vec<_>>(),
        "synced": f.synced,
        "sync_error": f.sync_failed.map(|(from, errno)| json!({ "from": from, "errno": errno })),
        "unnamed_directories": f.unnamed_directories,
        "policy": policy(log, report),
        "leftovers": f.leftovers.iter().map(leftover).collect::<Vec<_>>(),
        "panic": f.panic.as_ref().map(panic),
        "saved": null,
        "violation": f.violation,
    });
    match saved_copy(log) {
        Some((path, _)) => with_path(object, "saved", &path),
        None => object,
    }
}

fn policy(log: &Path, report: &Report) -> Value {
    let state = report.facts.policy.as_ref();
    json!({
        "state": state.map(rules::state),
        "rules": state.map(|state| rules::object(&state.rules())),
        "what": of_policy(&report.facts, &report.steps, &report.left).map(|said| with_log(&said, log)),
    })
}

fn dead(d: &DeadSlot) -> Value {
    let range = d.hole.as_ref().map(|h| json!({ "start": h.start, "end": h.end() }));
    json!({ "slot": d.slot, "pid": d.pid, "command": d.command, "phase": d.phase.to_string(), "range": range })
}

fn leftover((path, bytes): &(PathBuf, u64)) -> Value {
    with_path(json!({ "path": null, "bytes": bytes }), "path", path)
}

fn suspect(s: &Suspect) -> Value {
    blocker(&s.blocker)
}

fn blocker(b: &Blocker) -> Value {
    json!({ "what": b.what, "pid": b.pid, "command": b.command, "process": b.process })
}

fn panic(p: &PanicRecord) -> Value {
    json!({ "reason": p.reason, "errno": p.errno, "pid": p.pid, "command": p.command })
}
