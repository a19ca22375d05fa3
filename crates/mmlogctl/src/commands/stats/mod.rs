//! `mmlogctl stats LOG...`: how much was appended when, who appends how much now, and, read, what the lines are like.
//!
//! ```text
//! app.log
//!   kept         3.2 GiB, positions 0 to 3435973836
//!   rate         68.1 KiB/s in the last 1m00s, 71.4 KiB/s in the last 10m00s, 70.2 KiB/s in the last 1h00m
//!   now          2 writers: 70.1 KiB/s, 712 messages/s
//!     4712 (web --port 80) 60.0 KiB/s, 600 messages/s; 21600 messages, 2.1 MiB, began 36m00s ago
//!     4713 (sh -c job, through mmlogctl) 10.1 KiB/s, 112 messages/s; ...
//!   messages     22000 messages by these writers since they began, 98 B each; those of others are not counted
//!
//! bytes by 30m, 2026-11-29 00:00:03Z to 2026-11-29 12:05:10Z:
//!   00:00 <   118M  67.2K/s  #######################
//!   00:30     123M  69.9K/s  ########################
//! ```
//!
//! `timeline` has what the log knows of times, `edges` which intervals there are, `report` brings both together with
//! `now`, `human` with `chart` and `json` show it. `read` goes over the lines: `shape` makes them alike,
//! `common` counts the commonest.

mod chart;
mod common;
mod edges;
mod human;
mod json;
mod now;
mod read;
mod report;
mod shape;
mod timeline;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use jiff::Timestamp;
use mmlog::{Log, Status};

use crate::arguments::{Access, OldSegments, duration};
use crate::commands::status::json::line;
use crate::each::Logs;
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::reading;
use crate::times::{TimeRange, ToCome, local};
use now::{APART, Now};
use report::{Asked, Report};
use timeline::{Points, nanoseconds};

/// Say how much was appended when, and who appends how much now; with --read, what the lines are like.
///
/// Without --read no byte of a log is read, however long it is: whoever appends notes once a second which positions were reached, and
/// the bytes of each interval come from that, also those that are pruned by now. Such notes become rarer with age, to 0.4 % of it, so an
/// interval that is short against that is marked with ~ (about), and --json has the least and the most that it can be. An interval that is cut
/// off by the ends of what is asked or known has < or >, one in which the clock was set has !. Of logs without such notes (made by
/// an earlier version, or before metadata was rebuilt) the times of segments are taken; what has none is said.
///
/// Messages are counted by writers for themselves, so only those of writers that have the log open are known. How much each of them appends now is
/// measured over half a second.
///
/// --read reads all that is kept, or the asked time, through rotations and compressed segments, as cat does. It counts lines, levels (words
/// such as ERROR or WARN in capitals, level=error, "level":"error", error in brackets; the first of a line) and the commonest shapes: lines in which times, numbers, hexadecimal numbers,
/// ids, UUIDs, addresses and quoted texts are replaced by placeholders; 512 bytes of each line count for that. The memory for it is bounded: 8192 shapes have a count
/// (space saving, Metwally et al. 2005), which is exact as long as there are no more, and else too high by at most one 8192th of the lines. The exit codes are those of cat.
#[derive(Args, Debug)]
pub struct StatsArgs {
    #[command(flatten)]
    logs: Logs,
    /// How long an interval is: 1h, 30s, 1d. Without it some 20 to 40 of them fit the time that there is.
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    by: Option<Duration>,
    #[command(flatten)]
    times: TimeRange,
    /// Read the log, too: lines, the longest, levels, the 20 commonest shapes.
    #[arg(long)]
    read: bool,
    /// One JSON object for each log, one per line.
    ///
    /// {"schema":1,"path":LOG}, and: oldest, end, bytes: what is kept; times: what the intervals are from, noted, segments or none; untimed (from, to, bytes), positions of
    /// which no time is known, or null; by_s; intervals: from, to, bytes, at_least, at_most, bytes_per_second, partial, clock_set, lines (with --read); idle_since, where
    /// nothing was appended since the last interval; clock_set: position, from, to; rates (over_s, bytes, at_least, at_most, bytes_per_second) of the last
    /// minute, 10 minutes and hour, as far as known; now: over_s, bytes_per_second, messages_per_second, messages, bytes, writers (the keys
    /// that they have in status, feeder, bytes_per_second, messages_per_second), the fastest first; read, null without --read: from, to, bytes,
    /// missing_ranges, missing_bytes, lines, empty_lines, last_line_is_cut, mean_line, longest_line (bytes, position, time), levels (name to number of lines), shapes (shape, count, count_at_least, share, first and
    /// last with position and time, example), shapes_distinct (null: more than are counted), shapes_counted.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    old: OldSegments,
    #[command(flatten)]
    access: Access,
}

fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        by if by < Duration::from_secs(1) => Err("shorter than 1s".to_owned()),
        by if by > Duration::from_secs(366 * 86_400 * 100) => Err("longer than 100 years".to_owned()),
        by => Ok(by),
    }
}

/// A log, as it was at a first look.
struct Looked {
    log: Log,
    status: Status,
    at: Instant,
}

impl Looked {
    fn at(path: &Path, args: &StatsArgs) -> Result<Self, Failure> {
        let log = reading::open(path, args.access.trust(), &args.old)?;
        let status = log.status()?;
        Ok(Self { log, status, at: Instant::now() })
    }
}

/// Tells of each log.
///
/// # Errors
/// When standard output fails.
pub fn run(args: &StatsArgs, out: &mut Output) -> Result<Exit, Failure> {
    args.times.check(ToCome::Mistake)?;
    for remark in args.times.remarks() {
        out.notice(&remark);
    }
    let looked: Vec<_> = args.logs.paths().iter().map(|path| Looked::at(path, args)).collect();
    if looked.iter().flatten().any(|looked| !looked.status.writers.is_empty()) {
        thread::sleep(APART);
    }
    let (mut looked, mut gap) = (looked.into_iter(), "");
    args.logs.each(out, |path, out| {
        let Some(looked) = looked.next() else { return Ok(Exit::Done) };
        let (report, exit) = told(path, looked?, args, out)?;
        out.clear_progress();
        if args.json {
            out.text(&line(&json::object(&report)))?;
        } else {
            let text = human::text(&report, out.columns(), &local());
            out.text(&format!("{gap}{text}"))?;
            gap = "\n";
        }
        Ok(exit)
    })
}

fn told(path: &Path, looked: Looked, args: &StatsArgs, out: &mut Output) -> Result<(Report, Exit), Failure> {
    let Looked { log, status: before, at } = looked;
    let mut status = log.status()?;
    let (apart, now_ns) = (at.elapsed(), nanoseconds(SystemTime::now()));
    let mut now = Now::between(&before, &status, apart);
    now.introduce(&mut status, human::WRITERS);
    let points = Points::of(&log, &status, now_ns)?;
    let (oldest, jumps) = (log.oldest()?.get(), log.jumps()?);
    let (since, until) = args.times.asked();
    let ns = |at: Timestamp| u64::try_from(at.as_nanosecond()).unwrap_or(0);
    let by_ns = args.by.and_then(|by| u64::try_from(by.as_nanos()).ok());
    let asked = Asked { since_ns: since.map(ns), until_ns: until.map(ns), by_ns };
    let known = (points, oldest, jumps);
    let mut report = Report::new(path, (status, now), known, &asked, &local())?;
    let found = match args.read {
        true => args.times.find(&log, b'\n')?,
        false if args.times.is_given() => Some(args.times.touched(&log)?),
        false => None,
    };
    for text in found.iter().flat_map(|found| found.said(false)) {
        out.notice(&format!("{}: {text}", shown(path)));
    }
    if !args.read {
        return Ok((report, Exit::Done));
    }
    let range = found.map_or((None, None), |found| (found.from, found.to));
    let (lines, exit) = read::read(path, &log, range, &report.parts, out)?;
    report.add(lines);
    Ok((report, exit))
}
