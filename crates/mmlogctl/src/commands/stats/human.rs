//! What people see.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mmlog::units;

use super::chart::Chart;
use super::common::{Entry, MOST};
use super::json::safe;
use super::now::Rate;
use super::read::Lines;
use super::report::Report;
use super::shape::LEVELS;
use super::timeline::{Origin, Points, Row, nanoseconds};
use crate::arguments::exact_duration;
use crate::commands::status::page::Page;
use crate::commands::status::{called, seated};
use crate::exit::shown;
use crate::inspect::style::Styles;
use crate::text::{clipped, count, rounded};
use crate::times::told;
use crate::who::{self, Trouble};

/// How many writers are shown, and how many shapes.
pub(super) const WRITERS: usize = 10;
pub(super) const SHAPES: usize = 20;
/// Where nobody says how wide it is.
const COLUMNS: usize = 80;
/// In a pipe a value is one line.
const UNBROKEN: usize = 1 << 20;

/// `columns`: of the terminal; `None` where it is none.
pub(super) fn text(report: &Report, columns: Option<usize>, zone: &TimeZone) -> String {
    let mut page = Page::new(columns);
    page.line(&shown(&report.path));
    facts(&mut page, report);
    rates(&mut page, report);
    if let Some(lines) = &report.lines {
        read(&mut page, lines, &report.points);
    }
    chart(&mut page, report, columns.unwrap_or(COLUMNS), zone);
    if let Some(lines) = &report.lines {
        shapes(&mut page, lines, &report.points, columns.unwrap_or(UNBROKEN));
    }
    page.text
}

fn when(at_ns: u64) -> String {
    Timestamp::from_nanosecond(at_ns.into()).map_or_else(|_| "?".to_owned(), told)
}

/// To the second.
fn at_about(at_ns: u64) -> String {
    when(at_ns / 1_000_000_000 * 1_000_000_000)
}

fn facts(page: &mut Page, report: &Report) {
    let (oldest, end) = (report.oldest, report.status.watermark);
    let kept = units::size(end.saturating_sub(oldest));
    if report.status.cursor == 0 {
        page.field("kept", "nothing: nothing was appended yet");
        return;
    }
    page.field("kept", &format!("{kept}, positions {oldest} to {end}"));
    if oldest > 0 && report.points.begin() < oldest {
        page.field("pruned", &format!("{} below; the intervals have them", units::size(oldest)));
    }
    if let Some((from, to)) = report.untimed() {
        let bytes = units::size(to - from);
        let why = "from before the log noted times (made by an earlier version, rebuilt, or adopted)";
        page.field("not timed", &format!("{bytes}, positions {from} to {to}: {why}"));
    }
    if report.points.origin == Origin::Segments {
        page.field("times", "before the log noted any, those at which its segments began and ended");
    }
    if let Some(since) = report.idle_since {
        let ago = report.points.all.last().map_or(0, |now| now.at_ns.saturating_sub(since));
        let ago = units::lasting(Duration::from_nanos(ago));
        page.field("idle", &format!("nothing was appended since {}, for {ago}", at_about(since)));
    }
    for jump in &report.jumps {
        let (from, to) = (nanoseconds(jump.from), nanoseconds(jump.to));
        page.field(
            "clock",
            &format!("set from {} to {} at position {}", when(from), when(to), jump.position),
        );
    }
}

fn a_second(bytes: f64) -> String {
    format!("{}/s", units::size(rounded(bytes)))
}

fn rates(page: &mut Page, report: &Report) {
    let now = &report.now;
    let window = |row: &Row| {
        let about = if row.is_about() && row.bytes > 0 { "about " } else { "" };
        let over = units::lasting(Duration::from_secs_f64(row.seconds().round()));
        format!("{about}{} in the last {over}", a_second(row.rate()))
    };
    if !report.windows.is_empty() {
        page.field("rate", &report.windows.iter().map(window).collect::<Vec<_>>().join(", "));
    }
    let writers = units::counted(now.writers.len() as u64, "writer");
    let (messages, bytes) = now.counted();
    if now.writers.is_empty() {
        page.field("now", "no writer; how many messages there were, only writers that have it open know");
        return;
    }
    let of_all = format!("{}, {} messages/s", a_second(now.bytes), count(rounded(now.messages())));
    page.field("now", &format!("{writers}: {of_all}"));
    page.list(WRITERS, now.writers.iter().map(writer));
    let mean =
        bytes.checked_div(messages).map_or_else(String::new, |mean| format!(", {} each", units::size(mean)));
    let told = format!("{} by these writers since they began{mean}", units::counted(messages, "message"));
    page.field("messages", &format!("{told}; those of others are not counted"));
}

fn writer(rate: &Rate) -> String {
    let w = &rate.writer;
    let (pid, home) = seated(w.pid, w.seat);
    let all = format!("{}, {}", units::counted(w.messages, "message"), units::size(w.bytes));
    let began = w
        .since
        .map_or_else(String::new, |at| format!(", began {}", units::ago(at, std::time::SystemTime::now())));
    let messages = count(rounded(rate.messages));
    let trouble = match who::trouble(w) {
        Trouble::Much => format!(", {}", w.process),
        _ => String::new(),
    };
    format!(
        "{pid} ({}{trouble}{home}) {}, {messages} messages/s; {all}{began}",
        called(w),
        a_second(rate.bytes)
    )
}

fn read(page: &mut Page, lines: &Lines, points: &Points) {
    let at = |at: u64| points.time_of(at).map_or_else(String::new, |ns| format!(", about {}", at_about(ns)));
    let bytes = units::size(lines.bytes);
    let cut = if lines.is_cut { ", the last one without its end" } else { "" };
    page.field(
        "read",
        &format!(
            "{}, {bytes}, positions {} to {}{cut}",
            units::counted(lines.lines, "line"),
            lines.from,
            lines.to
        ),
    );
    if lines.missing.0 > 0 {
        let ranges = units::counted(lines.missing.0, "range");
        let what = "holes, and what standard error names";
        page.field("left out", &format!("{} in {ranges}: {what}", units::size(lines.missing.1)));
    }
    if let (Some(mean), Some((len, position))) = (lines.mean(), lines.longest) {
        let longest = format!("the longest {} at position {position}{}", units::size(len), at(position));
        let empty = match lines.empty {
            0 => String::new(),
            empty => format!(", {empty} empty"),
        };
        page.field("line", &format!("{} on average, {longest}{empty}", units::size(mean)));
    }
    let levels = LEVELS.iter().zip(lines.levels).filter(|(_, n)| *n > 0);
    let told = levels.map(|((name, _), n)| format!("{name} {n} ({})", share(n, lines.lines)));
    let told: Vec<String> = told.collect();
    let told = if told.is_empty() { "no words for them".to_owned() } else { told.join(", ") };
    page.field("levels", &told);
}

/// Per cent.
fn share(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn chart(page: &mut Page, report: &Report, columns: usize, zone: &TimeZone) {
    if report.rows.is_empty() {
        if report.status.cursor > 0 {
            page.line("");
            page.line("Nothing is known to have been appended in that time.");
        }
        return;
    }
    let glyphs = Styles::with(false).glyphs;
    let has_lines = report.lines.is_some();
    let (rows, by_ns) = (report.rows.as_slice(), report.by_ns);
    let (from, to) = (rows[0].from_ns, rows[rows.len() - 1].to_ns);
    page.line("");
    let by = exact_duration(Duration::from_nanos(by_ns));
    let figures = if has_lines { "bytes, lines" } else { "bytes" };
    let head = format!("{figures} by {by}, {} to {}:", at_about(from), at_about(to));
    crate::text::wrapped(&head, columns, 3).iter().for_each(|line| page.line(line));
    Chart { rows, by_ns, zone, columns, glyphs, has_lines }.lines().iter().for_each(|line| page.line(line));
}

fn shapes(page: &mut Page, lines: &Lines, points: &Points, columns: usize) {
    if lines.lines == 0 {
        return;
    }
    let top = lines.common.top(SHAPES);
    page.line("");
    let shown = top.len();
    let head = match lines.common.distinct() {
        Some(all) if all == shown => format!("{} of lines:", units::counted(all as u64, "shape")),
        Some(all) => format!("The {shown} commonest of {all} shapes of lines:"),
        None => format!(
            "The {shown} commonest of more than {MOST} shapes of lines; a count with ~ or <= may be too high, by {} at most:",
            lines.lines / MOST as u64
        ),
    };
    crate::text::wrapped(&head, columns, 4).iter().for_each(|line| page.line(line));
    let counts: Vec<String> = top.iter().map(|entry| number(entry)).collect();
    let width = counts.iter().map(String::len).max().unwrap_or(0);
    for (entry, n) in top.iter().zip(&counts) {
        let share = share(entry.count, lines.lines);
        let front = format!("  {n:>width$} {share:>7}  ");
        let shape = if entry.shape.is_empty() { "(empty)".to_owned() } else { safe(&entry.shape) };
        page.line(&(front.clone() + &clipped(&shape, columns.saturating_sub(front.len()).max(10))));
        let place = |at: u64| {
            points.time_of(at).map_or_else(|| at.to_string(), |ns| format!("{at} ({})", at_about(ns)))
        };
        let indent = " ".repeat(6);
        let places = format!("first at {}, last at {}", place(entry.first), place(entry.last));
        for line in crate::text::wrapped(&places, columns - indent.len(), 2) {
            page.line(&format!("{indent}{line}"));
        }
        if entry.shape != entry.example {
            page.line(&format!("{indent}{}", clipped(&safe(&entry.example), columns - indent.len())));
        }
    }
}

/// How often it came: exactly, about, or at most.
fn number(entry: &Entry) -> String {
    match entry.error {
        0 => entry.count.to_string(),
        error if error <= entry.count / 20 => format!("~{}", entry.count),
        _ => format!("<={}", entry.count),
    }
}
