//! The machine's view: `"schema": 1`. Keys are added, never changed.

use std::time::SystemTime;

use mmlog::Jump;
use serde_json::{Value, json};

use super::common::{Entry, MOST};
use super::human::SHAPES;
use super::read::Lines;
use super::report::{Report, time};
use super::shape::LEVELS;
use super::timeline::{Origin, Points, Row, nanoseconds};
use crate::commands::status::json::writer;
use crate::reading::escape::Escaper;
use crate::text::with_path;

pub(super) fn object(report: &Report) -> Value {
    let Report { status, points, now, .. } = report;
    let object = json!({
        "schema": 1,
        "path": null,
        "oldest": report.oldest,
        "end": status.watermark,
        "bytes": status.watermark.saturating_sub(report.oldest),
        "times": match points.origin {
            Origin::Noted => "noted",
            Origin::Segments => "segments",
            Origin::Nothing => "none",
        },
        "untimed": report.untimed().map(|(from, to)| json!({ "from": from, "to": to, "bytes": to - from })),
        "by_s": (!report.rows.is_empty()).then_some(report.by_ns / 1_000_000_000),
        "intervals": report.rows.iter().map(|row| interval(row, report.lines.is_some())).collect::<Vec<_>>(),
        "idle_since": report.idle_since.map(time),
        "clock_set": report.jumps.iter().map(jump).collect::<Vec<_>>(),
        "rates": report.windows.iter().map(window).collect::<Vec<_>>(),
        "now": {
            "over_s": now.seconds,
            "bytes_per_second": now.bytes,
            "messages_per_second": now.messages(),
            "writers": now.writers.iter().map(|rate| {
                let mut object = writer(&rate.writer);
                object["feeder"] = json!(rate.writer.feeder);
                object["bytes_per_second"] = json!(rate.bytes);
                object["messages_per_second"] = json!(rate.messages);
                object
            }).collect::<Vec<_>>(),
            "messages": now.counted().0,
            "bytes": now.counted().1,
        },
        "read": report.lines.as_ref().map(|lines| read(lines, points)),
    });
    with_path(object, "path", &report.path)
}

fn interval(row: &Row, was_read: bool) -> Value {
    json!({
        "from": time(row.from_ns),
        "to": time(row.to_ns),
        "bytes": row.bytes,
        "at_least": row.at_least,
        "at_most": row.at_most,
        "bytes_per_second": row.rate(),
        "partial": row.begins_within || row.ends_within,
        "clock_set": row.clock_set,
        "lines": was_read.then_some(row.lines),
    })
}

fn jump(jump: &Jump) -> Value {
    let told = |at: SystemTime| time(nanoseconds(at));
    json!({ "position": jump.position, "from": told(jump.from), "to": told(jump.to) })
}

fn window(row: &Row) -> Value {
    json!({
        "over_s": row.seconds(),
        "bytes": row.bytes,
        "at_least": row.at_least,
        "at_most": row.at_most,
        "bytes_per_second": row.rate(),
    })
}

fn read(lines: &Lines, points: &Points) -> Value {
    let levels = LEVELS.iter().zip(lines.levels).filter(|(_, n)| *n > 0);
    json!({
        "from": lines.from,
        "to": lines.to,
        "bytes": lines.bytes,
        "missing_ranges": lines.missing.0,
        "missing_bytes": lines.missing.1,
        "lines": lines.lines,
        "empty_lines": lines.empty,
        "last_line_is_cut": lines.is_cut,
        "mean_line": lines.mean(),
        "longest_line": lines.longest.map(|(len, at)| json!({
            "bytes": len,
            "position": at,
            "time": points.time_of(at).map(time),
        })),
        "levels": levels.map(|((name, _), n)| (name.to_lowercase(), json!(n))).collect::<serde_json::Map<_, _>>(),
        "shapes": lines.common.top(SHAPES).into_iter().map(|e| shape(e, lines, points)).collect::<Vec<_>>(),
        "shapes_distinct": lines.common.distinct(),
        "shapes_counted": MOST,
    })
}

fn shape(entry: &Entry, lines: &Lines, points: &Points) -> Value {
    let place = |at: u64| json!({ "position": at, "time": points.time_of(at).map(time) });
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = entry.count as f64 / lines.lines.max(1) as f64;
    json!({
        "shape": safe(&entry.shape),
        "count": entry.count,
        "count_at_least": entry.at_least(),
        "share": share,
        "first": place(entry.first),
        "last": place(entry.last),
        "example": safe(&entry.example),
    })
}

/// Bytes of a log as text, with nothing in it that a terminal would obey.
pub(super) fn safe(bytes: &[u8]) -> String {
    let mut escaper = Escaper::default();
    let mut text = escaper.feed(bytes).to_vec();
    text.extend_from_slice(escaper.finish());
    String::from_utf8_lossy(&text).replace('\t', "\\t").replace('\n', "\\n")
}
