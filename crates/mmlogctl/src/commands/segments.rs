//! `mmlogctl segments LOG...`: the files of a log, oldest first.
//!
//! ```text
//! GEN  BASE   END  BYTES     ON DISK   CHANGED               STATE
//!   0     0  4000  3.9 KiB   4.0 KiB   2026-11-21T09:30:00Z  compressed zst
//!   1  4000  9000  4.9 KiB   8.0 KiB   2026-11-21T09:40:00Z  final, held by shipper
//!   2  9000  9100  100 B     64.0 KiB  2026-11-21T09:41:00Z  current
//! ```
//!
//! Asked for a time, when each one's bytes were appended, in place of the less telling columns:
//!
//! ```text
//! GEN  BASE  BYTES    FIRST                 LAST                  STATE
//!   1  4000  4.9 KiB  2026-11-21T09:30:00Z  2026-11-21T09:40:00Z  final, held by shipper
//! ```

use std::path::Path;
use std::time::SystemTime;

use clap::Args;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use mmlog::{FindingId, Observer, SegmentFlaw, SegmentStatus, Status, units};
use serde_json::{Value, json};

use crate::arguments::{Access, OldSegments};
use crate::commands::status::json::flaw;
use crate::each::Logs;
use crate::exit::{Exit, Failure, printable, shown};
use crate::output::{Output, json_line};
use crate::text::{clipped, ending, with_path};
use crate::times::{TimeRange, ToCome};

const COLUMNS: usize = 80;

/// List the segments of a log, oldest first.
///
/// The current one is the last. A final one is the file LOG.GENERATION-POSITION, its compressed copy has .zst or .gz
/// behind that. A hold keeps prune from a segment that its consumer has not passed.
/// CHANGED of a final one is when it became final, which is what prune --keep-age counts from.
/// END and BYTES are what each file has, as far as its length or its headers tell; an old segment that is missing has a
/// line of its own. With --since and --until only those are listed that have bytes of that time, with FIRST and LAST, between which
/// they were appended (in JSON began and final_since). What is wrong with old ones is said on standard error too: exit 4 when one is missing or damaged, 1
/// when one could not be looked at.
#[derive(Args, Debug)]
pub struct SegmentsArgs {
    #[command(flatten)]
    logs: Logs,
    /// One JSON object for each log, one per line: {"schema":1,"path":LOG,"segments":[...]}: generation, base, end, bytes, allocated, began, changed, final_since, state,
    /// compression, held_by, first_kept, path, flaw; and "flaws":[...], what is wrong with old ones: id, path, from, to,
    /// problem.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    times: TimeRange,
    #[command(flatten)]
    old: OldSegments,
    #[command(flatten)]
    access: Access,
}

/// Lists them.
///
/// # Errors
/// When standard output fails.
pub fn run(args: &SegmentsArgs, out: &mut Output) -> Result<Exit, Failure> {
    args.times.check(ToCome::Mistake)?;
    for remark in args.times.remarks() {
        out.notice(&remark);
    }
    let mut gap = "";
    args.logs.each(out, |log, out| {
        let mut status = Observer::open(log, &args.old.options(&args.access, log))?.look()?;
        if let Some(failure) = Failure::of_positions(log, &status) {
            return Err(failure);
        }
        let columns = if args.times.is_given() { BY_TIME } else { PLAIN };
        only_touched(&mut status, args, log, out)?;
        if args.json {
            let segments: Vec<Value> = status.segments.iter().map(|s| object(s, &status)).collect();
            let flaws: Vec<Value> = status.flaws.iter().map(flaw).collect();
            let object = json!({ "schema": 1, "path": null, "segments": segments, "flaws": flaws });
            out.line(&json_line(&with_path(object, "path", log).to_string()))?;
            return Ok(wrong(log, &status, out));
        }
        if args.logs.are_several() {
            out.text(&format!("{gap}{}:\n", shown(log)))?;
            gap = "\n";
        }
        for line in table(&status, columns) {
            out.line(&line)?;
        }
        Ok(wrong(log, &status, out))
    })
}

/// Leaves those out that have nothing of the asked time.
fn only_touched(
    status: &mut Status,
    args: &SegmentsArgs,
    path: &Path,
    out: &mut Output,
) -> Result<(), Failure> {
    if !args.times.is_given() {
        return Ok(());
    }
    let log = args.old.options(&args.access, path).open_reader(path)?;
    let found = args.times.touched(&log)?;
    found.said(false).for_each(|text| out.notice(&format!("{}: {text}", shown(path))));
    let (from, to) = (found.from.unwrap_or(0), found.to.unwrap_or(u64::MAX));
    status.segments.retain(|s| s.base < to && s.end > from);
    status.flaws.retain(|flaw| flaw.positions.start < to && flaw.positions.end > from);
    Ok(())
}

/// Says what is wrong with old segments.
fn wrong(log: &Path, status: &Status, out: &mut Output) -> Exit {
    let of_segments = |id| status.flaws.iter().any(|flaw| flaw.id == id);
    let mut exit = Exit::Done;
    for finding in status.findings.iter().filter(|f| of_segments(f.id)) {
        let of_this = match finding.id {
            FindingId::SegmentSurplus | FindingId::Leftover => Exit::Done,
            FindingId::SegmentUnreadable => Exit::Failed,
            _ => Exit::Damaged,
        };
        exit = exit.max(of_this);
        out.notice(&format!("{}: {}; {}", shown(log), printable(&finding.sentence), finding.next_step));
    }
    exit
}

/// What it is in one word.
fn state(s: &SegmentStatus, status: &Status) -> &'static str {
    match s.compression {
        _ if s.generation == status.generation => "current",
        _ if s.end <= status.first_kept => "pruned",
        Some(_) => "compressed",
        None => "final",
    }
}

/// Names of the holds that keep it, the one that is farthest back first.
fn holders<'a>(s: &SegmentStatus, status: &'a Status) -> Vec<&'a str> {
    let keeps = status.holds.iter().filter(|h| status.is_kept_by(s, h));
    keeps.map(|h| h.name.as_str()).collect()
}

/// Where its bytes begin, if prune has taken some of them.
fn kept(s: &SegmentStatus, status: &Status) -> Option<u64> {
    (s.base < status.first_kept).then(|| status.first_kept.min(s.end))
}

fn object(s: &SegmentStatus, status: &Status) -> Value {
    let time = |at: Option<SystemTime>| at.and_then(|at| Timestamp::try_from(at).ok()).map(|t| t.to_string());
    let object = json!({
        "generation": s.generation,
        "base": s.base,
        "end": s.end,
        "bytes": s.end.saturating_sub(s.base),
        "allocated": s.allocated,
        "began": time(s.began),
        "changed": time(s.changed),
        "final_since": time(s.final_since),
        "state": state(s, status),
        "compression": s.compression.map(|c| c.suffix().trim_start_matches('.')),
        "held_by": holders(s, status),
        "first_kept": kept(s, status),
        "path": null,
        "flaw": s.flaw.map(FindingId::name),
    });
    with_path(object, "path", &s.path)
}

/// The cells of a line, by the columns of `HEAD`.
type Row = [String; HEAD.len()];

const HEAD: [&str; 9] = ["GEN", "BASE", "END", "BYTES", "ON DISK", "CHANGED", "FIRST", "LAST", "STATE"];
/// Those that are figures, to the right.
const FIGURES: usize = 3;
const STATE: usize = HEAD.len() - 1;
/// Before the name of a hold.
const HELD_BY: &str = ", held by ";
/// The columns, and those where a time was asked for. Where they are too wide, the third goes.
const PLAIN: &[usize] = &[0, 1, 2, 3, 4, 5, STATE];
const BY_TIME: &[usize] = &[0, 1, 3, 6, 7, STATE];

/// Lines of equal columns.
fn table(status: &Status, columns: &[usize]) -> Vec<String> {
    let missing = status.flaws.iter().filter(|flaw| flaw.id == FindingId::SegmentMissing);
    let mut all: Vec<(u64, Row)> = missing.map(|flaw| (flaw.positions.start, gap(flaw))).collect();
    all.extend(status.segments.iter().map(|s| (s.base, row(s, status))));
    // What is missing begins where the file before it ends.
    all.sort_by_key(|(base, _)| *base);
    let rows: Vec<Row> =
        [HEAD.map(str::to_owned)].into_iter().chain(all.into_iter().map(|(_, row)| row)).collect();
    let width = |&c: &usize| rows.iter().map(|row| row[c].len()).max().filter(|_| c != STATE).unwrap_or(0);
    let mut columns = columns.to_vec();
    if columns.iter().map(|c| width(c) + 2).sum::<usize>() + "compressed".len() > COLUMNS + 2 {
        columns.remove(2);
    }
    let line = |row: &Row| {
        let cell = |c: &usize| match *c {
            c if c < FIGURES => format!("{:>w$}", row[c], w = width(&c)),
            c => format!("{:<w$}", row[c], w = width(&c)),
        };
        let before = columns.iter().filter(|c| **c != STATE).map(cell).collect::<Vec<_>>().join("  ");
        let room = COLUMNS.saturating_sub(before.len() + 2);
        format!("{before}  {}", shortened(&row[STATE], room))
    };
    rows.iter().map(line).collect()
}

/// Of holds' names the end tells them apart.
fn shortened(state: &str, columns: usize) -> String {
    let name = state.find(HELD_BY).map_or(0, |at| at + HELD_BY.len());
    match columns.checked_sub(name) {
        Some(room @ 7..) => state[..name].to_owned() + &ending(&state[name..], room),
        _ => clipped(state, columns),
    }
}

fn gap(flaw: &SegmentFlaw) -> Row {
    let (from, to) = (flaw.positions.start, flaw.positions.end);
    let mut row = HEAD.map(|_| "-".to_owned());
    (row[1], row[2], row[3]) = (from.to_string(), to.to_string(), units::size(to - from));
    "missing".clone_into(&mut row[STATE]);
    row
}

fn row(s: &SegmentStatus, status: &Status) -> Row {
    let seconds = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc);
    let time = |at: Option<SystemTime>| {
        let at = at.and_then(|at| Timestamp::try_from(at).ok()?.round(seconds).ok());
        at.map_or_else(|| "-".to_owned(), |at| at.to_string())
    };
    let mut said = state(s, status).to_owned();
    match s.flaw {
        Some(FindingId::SegmentUnreadable) => said.push_str(", unreadable"),
        Some(_) => said.push_str(", damaged"),
        None => {}
    }
    if let Some(kept) = kept(s, status).filter(|kept| *kept < s.end) {
        said.push_str(&format!(" from {kept}"));
    }
    match holders(s, status).as_slice() {
        [] => {}
        [name] => said.push_str(&format!("{HELD_BY}{}", printable(name))),
        [name, more @ ..] => said.push_str(&format!("{HELD_BY}{} +{}", printable(name), more.len())),
    }
    [
        s.generation.to_string(),
        s.base.to_string(),
        s.end.to_string(),
        units::size(s.end.saturating_sub(s.base)),
        units::size(s.allocated),
        time(s.final_since.or(s.changed)),
        time(s.began),
        time(s.final_since),
        said,
    ]
}
