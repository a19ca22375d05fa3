//! The figures of a log on one line, those that are asked for most first; and what is only worth a line while it is not as
//! usual: a closed gate, a lock that somebody keeps, where in the file something stands.

use std::time::{Duration, SystemTime};

use mmlog::{Lock, Phase, Status, units};

use super::strip::{LEGEND, strip};
use crate::inspect::model::log::Log;
use crate::inspect::style::{Kind, Line, line as one};
use crate::inspect::tables::ago;
use crate::text::{bytes, count, lasting, rounded};

/// What works does not keep a lock or a gate for so long.
const LONG: Duration = Duration::from_secs(1);

/// As many as fit.
pub(super) fn line(log: &Log, s: &Status, now: SystemTime, width: usize) -> Line {
    let rates = log.history.rates();
    let per_second = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let used = s.cursor.saturating_sub(s.base).min(s.file_size);
    let percent = (u128::from(s.file_size - used) * 100).checked_div(u128::from(s.file_size)).unwrap_or(0);
    let mut fields = vec![
        ("", per_second(rates.map(|r| bytes(rounded(r.bytes)))) + "/s"),
        ("", per_second(rates.map(|r| count(rounded(r.messages)))) + " msgs/s"),
        ("not final", bytes(s.cursor.saturating_sub(s.watermark))),
        ("free", free(log, s)),
        ("size", bytes(s.cursor.saturating_sub(s.first_kept))),
        ("file", format!("{}, {percent}% slack", bytes(s.file_size))),
        ("cursor", s.cursor.to_string()),
        ("generation", s.generation.to_string()),
        ("watermark", s.watermark.to_string()),
        ("base", s.base.to_string()),
    ];
    if s.durability.synced_at.is_some() {
        fields.insert(fields.len() - 3, ("synced", ago(s.durability.synced_at, now)));
    }
    if let n @ 1.. = waiting(s) {
        fields.insert(2, ("waiting", n.to_string()));
    }
    if let Some(rates) = rates.filter(|_| log.history.is_early()) {
        fields.insert(2, ("over", format!("{:.1} s", rates.over.as_secs_f64())));
    }
    let (mut line, mut used) = (Line::new(), 0);
    for (label, value) in fields {
        let gap = if line.is_empty() { 0 } else { 2 };
        let needed = gap + label.len() + usize::from(!label.is_empty()) + value.chars().count();
        if used + needed > width {
            break;
        }
        used += needed;
        line.push((Kind::Plain, " ".repeat(gap)));
        if !label.is_empty() {
            line.push((Kind::Label, format!("{label} ")));
        }
        line.push((Kind::Plain, value));
    }
    line
}

/// What the disk has, and for how long that is enough if that is soon.
fn free(log: &Log, s: &Status) -> String {
    let Ok(free) = &s.file.free else { return "not seen".to_owned() };
    match log.full_soon() {
        None => bytes(*free),
        Some(Duration::ZERO) => format!("{}, full", bytes(*free)),
        Some(left) => format!("{}, full in {}", bytes(*free), lasting(left)),
    }
}

/// What is not as usual.
pub(super) fn matters(log: &Log, s: &Status, now: SystemTime, width: usize) -> Vec<Line> {
    let field = |name: &str, value: String| vec![(Kind::Label, format!("{name} ")), (Kind::Plain, value)];
    let is_kept =
        |l: &Lock| l.held != Ok(false) && (l.for_at_least >= LONG || l.process.stands() || l.held.is_err());
    let mut lines = Vec::new();
    if s.gate.is_some() && s.gate_for_at_least >= LONG {
        lines.push(field("gate", gate(s)));
    }
    if is_kept(&s.lock) && s.version_1.is_none() {
        lines.push(field("lock", lock(&s.lock, now)));
    }
    if is_kept(&s.maintenance) {
        lines.push(field("maintenance", lock(&s.maintenance, now)));
    }
    let stands = s.writers.iter().filter_map(|w| w.in_flight.as_ref()).any(|f| f.for_at_least >= LONG);
    if stands && log.severity() < mmlog::Severity::Info && width >= 60 {
        lines.extend(map(s, width));
    }
    lines
}

/// Where in the file something is, and what is what.
pub(super) fn map(s: &Status, width: usize) -> [Line; 2] {
    let cells = u16::try_from(width.saturating_sub(2)).unwrap_or(u16::MAX);
    [one(Kind::Plain, format!("[{}]", strip(s, cells))), one(Kind::Label, format!(" {LEGEND}"))]
}

/// The original's format has a flag without an owner.
pub(super) fn log_lock(s: &Status, now: SystemTime) -> String {
    let flag = |is_locked| if is_locked { "is_locked is set" } else { "is_locked is not set" };
    s.version_1.as_ref().map_or_else(|| lock(&s.lock, now), |flags| flag(flags.is_locked).to_owned())
}

/// Who has it.
pub(super) fn lock(lock: &Lock, now: SystemTime) -> String {
    let operation = if lock.operation.is_empty() { "something" } else { &lock.operation };
    match &lock.held {
        Ok(true) => {
            let (pid, command) = (lock.pid, lock.command_line.as_ref().unwrap_or(&lock.command));
            let seen = lock.for_at_least;
            let since = lock.since.and_then(|since| units::passed(since, now)).filter(|known| *known >= seen);
            format!(
                "held for {} for {operation} by {pid} ({command}), {}",
                lasting(since.unwrap_or(seen)),
                lock.process
            )
        }
        Ok(false) => "free".to_owned(),
        Err(why) => format!("not seen: {why}"),
    }
}

/// Where the gate is closed.
pub(super) fn gate(s: &Status) -> String {
    let closed = |at| format!("closed at {at} for {}", lasting(s.gate_for_at_least));
    s.gate.map_or_else(|| "open".to_owned(), closed)
}

/// Writers that wait for something.
pub(super) fn waiting(s: &Status) -> usize {
    let waits = |phase: Phase| phase == Phase::Waiting;
    let in_flight = |w: &mmlog::WriterStatus| w.in_flight.as_ref().is_some_and(|f| waits(f.phase));
    s.writers.iter().filter(|w| w.waiting.is_some_and(|w| w.is_trying()) || in_flight(w)).count()
}
