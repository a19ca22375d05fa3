//! The figures of a log; labels are the names of its fields.
//!
//! ```text
//! cursor 10485760 (10.0M)  watermark 10485632  lag 128B
//! file_size 16777216 [##########..........] slack 6291456 (37%)
//! generation 0  base 0  growth 1.2M/s  free 41.2G  disk full in 9h12m
//! rate 1.2M/s 9.0k msgs/s  ........,,,,----====####  5 min
//! lock free, last append by 4312 (nginx-log)  waiting 0
//! gate open  maintenance free, last trim by 4400 (mmlogctl)
//! [======================>>==x=====.............................]
//!  = written  > in flight  x hole  . slack  _ punched
//! ```

use std::time::Duration;

use mmlog::{Lock, Phase, Status};

use super::Form;
use super::canvas::Canvas;
use super::strip::{LEGEND, bar, sparkline, strip};
use crate::inspect::model::Model;
use crate::inspect::model::log::Log;
use crate::text::{bytes, count, lasting, rounded};

/// Rows that the figures take.
pub(super) const fn height(form: Form, height: u16) -> usize {
    match (form, height) {
        (Form::Full, 20..) => 8,
        (Form::Full, _) => 5,
        (_, 14..) => 3,
        (_, 12..) => 2,
        (_, 6..) => 1,
        _ => 0,
    }
}

pub(super) fn draw(model: &Model, form: Form, canvas: &mut Canvas) {
    let log = model.log();
    let Some(status) = log.status() else {
        canvas.line(0, "no figures: the log cannot be looked at", canvas.styles.plain);
        return;
    };
    match form {
        Form::Full => full(log, status, canvas),
        _ => small(log, status, canvas),
    }
}

fn full(log: &Log, s: &Status, canvas: &mut Canvas) {
    positions(s, 0, canvas);
    size(s, 1, canvas);
    growth(log, s, 2, canvas);
    rates(log, 3, canvas);
    let x = canvas.field(0, 4, "lock", &log_lock(s));
    canvas.field(x, 4, "waiting", &waiting(s).to_string());
    let x = canvas.field(0, 5, "gate", &gate(s));
    canvas.field(x, 5, "maintenance", &lock(&s.maintenance));
    let cells = canvas.width().saturating_sub(2);
    canvas.line(6, &format!("[{}]", strip(s, cells)), canvas.styles.plain);
    canvas.line(7, &format!(" {LEGEND}"), canvas.styles.label);
}

fn small(log: &Log, s: &Status, canvas: &mut Canvas) {
    let x = canvas.field(0, 0, "cursor", &bytes(s.cursor));
    let x = canvas.field(x, 0, "lag", &bytes(s.cursor.saturating_sub(s.watermark)));
    canvas.field(x, 0, "lock", held(&s.lock));
    let rate = log.history.rates().map_or_else(|| "-".to_owned(), |r| bytes(rounded(r.bytes)) + "/s");
    let x = canvas.field(0, 1, "rate", &rate);
    canvas.field(x, 1, "disk full", &full_when(log, "-"));
    canvas.line(2, &format!("[{}]", strip(s, canvas.width().saturating_sub(2))), canvas.styles.plain);
}

fn positions(s: &Status, y: u16, canvas: &mut Canvas) {
    let x = canvas.field(0, y, "cursor", &format!("{} ({})", s.cursor, bytes(s.cursor)));
    let x = canvas.field(x, y, "watermark", &s.watermark.to_string());
    canvas.field(x, y, "lag", &bytes(s.cursor.saturating_sub(s.watermark)));
}

fn size(s: &Status, y: u16, canvas: &mut Canvas) {
    let used = s.cursor.saturating_sub(s.base).min(s.file_size);
    let slack = s.file_size - used;
    let percent = (u128::from(slack) * 100).checked_div(u128::from(s.file_size)).unwrap_or(0);
    let text = format!("slack {} ({percent}%)", bytes(slack));
    let x = canvas.field(0, y, "file_size", &format!("{} ({})", s.file_size, bytes(s.file_size)));
    let room = canvas.width().saturating_sub(x + u16::try_from(text.len()).unwrap_or(0) + 3);
    let x = canvas.put(x, y, u16::MAX, &bar(used, s.file_size, room.min(40)), canvas.styles.plain);
    canvas.put(x + 1, y, u16::MAX, &text, canvas.styles.plain);
}

fn growth(log: &Log, s: &Status, y: u16, canvas: &mut Canvas) {
    let x = canvas.field(0, y, "generation", &s.generation.to_string());
    let x = canvas.field(x, y, "base", &s.base.to_string());
    let growth = log.history.rates().map_or_else(|| "-".to_owned(), |r| bytes(rounded(r.growth)) + "/s");
    let x = canvas.field(x, y, "growth", &growth);
    let free = s.file.free.as_ref().map_or_else(|why| format!("not seen: {why}"), |free| bytes(*free));
    let x = canvas.field(x, y, "free", &free);
    canvas.field(x, y, "disk full", &full_when(log, "never at this rate"));
}

fn rates(log: &Log, y: u16, canvas: &mut Canvas) {
    let rates = log.history.rates();
    let text = rates.map_or_else(
        || "-".to_owned(),
        |r| format!("{}/s {} msgs/s", bytes(rounded(r.bytes)), count(rounded(r.messages))),
    );
    canvas.field(0, y, "rate", &format!("{text:<24}"));
    const AT: u16 = 31;
    let cells = canvas.width().saturating_sub(AT + 7).min(60);
    canvas.put(AT, y, cells, &sparkline(&log.history.sparkline(cells)), canvas.styles.plain);
    canvas.put(AT + cells + 1, y, u16::MAX, "5 min", canvas.styles.label);
}

fn full_when(log: &Log, never: &str) -> String {
    match log.full_in() {
        None => never.to_owned(),
        Some(Duration::ZERO) => "now".to_owned(),
        Some(left) => format!("in {}", lasting(left)),
    }
}

/// The original's format has a flag without an owner.
pub(super) fn log_lock(s: &Status) -> String {
    let flag = |is_locked| if is_locked { "is_locked is set" } else { "is_locked is not set" };
    s.version_1.as_ref().map_or_else(|| lock(&s.lock), |flags| flag(flags.is_locked).to_owned())
}

/// `free`, `held`, or that it cannot be seen.
const fn held(lock: &Lock) -> &'static str {
    match lock.held {
        Ok(true) => "held",
        Ok(false) => "free",
        Err(_) => "not seen",
    }
}

/// Who has it, or had it last.
pub(super) fn lock(lock: &Lock) -> String {
    let operation = if lock.operation.is_empty() { "something" } else { &lock.operation };
    let who = format!("{operation} by {} ({})", lock.pid, lock.command);
    match &lock.held {
        Ok(true) => format!("held for {} for {who}, {}", lasting(lock.for_at_least), lock.process),
        Ok(false) if lock.pid == 0 => "free".to_owned(),
        Ok(false) => format!("free, last {who}"),
        Err(why) => format!("not seen: {why}"),
    }
}

/// Where the gate is closed.
pub(super) fn gate(s: &Status) -> String {
    let closed = |at| format!("closed at {at} for {}", lasting(s.gate_for_at_least));
    s.gate.map_or_else(|| "open".to_owned(), closed)
}

/// Writers that wait for space or for the gate.
pub(super) fn waiting(s: &Status) -> usize {
    let waits = |phase: Phase| phase == Phase::Waiting;
    s.writers.iter().filter(|w| w.in_flight.as_ref().is_some_and(|f| waits(f.phase))).count()
}
