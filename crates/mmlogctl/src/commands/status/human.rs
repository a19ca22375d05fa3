//! The operator's view of a log: the state first, at most 24 lines of 80 columns.
//!
//! ```text
//! STALLED  app.log
//!   problem      writer 4712 (web) is stopped with 567 bytes in flight at 1234000
//!                (copying, for at least 50 ms); followers cannot pass it
//!   next         `kill -CONT 4712`, or `kill -9 4712`: it heals by itself, at
//!                most its one append is lost
//!   also         follower-behind: follower shipper (process 4714, sleeping) is...
//!   cursor       1234567 (1.2 MiB), watermark 1234000, 567 bytes not final
//!   file_size    16777216 (16.0 MiB), slack 15542649 (14.8 MiB)
//!   generation   0, base 0, limit 16777216, gate open
//!   file         mode 0640, owner 1000:1000, inode 123, 41.2 GiB free on its disk
//!   settings     chunk_size 16777216, max_writers 1024, gate_ms 50
//!   durable      below 1230000 (1.2 MiB), synced 3 s ago
//!   lock         free
//!   maintenance  held by 4711 for trim since 2026-01-02T03:04:05Z (mmlogctl, sleeping)
//!   writers      2, 1 with an append in flight
//!     4712 (web, stopped) copying 567 bytes for >= 50 ms at 1234000
//!     4713 (web, sleeping, 7 in PID namespace 4026532281) 120 messages, 14.1 KiB
//!   holes        none
//!   holds        shipper at 1200000, 33.8 KiB behind, seen 3 s ago (4714, sleeping)
//! ```

use std::cmp::Reverse;
use std::time::SystemTime;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use mmlog::{Durability, Finding, HoldStatus, Hole, Lock, Seat, Status, WriterStatus, units};

use super::page::Page;
use crate::exit::shown;
use crate::metrics::slack;

const LINES: usize = 24;
/// Lines that the lists may take, if they can be had.
const FINDINGS: usize = 6;
const WRITERS: usize = 5;
const HOLES: usize = 3;
const HOLDS: usize = 3;
/// Lines that a sentence may take, and where there is too much to say.
const SENTENCE: usize = 3;
const SHORT: usize = 2;

pub(super) fn text(s: &Status) -> String {
    let facts = facts(s);
    let mut end = Page::default();
    if s.segments.len() > 1 || s.first_kept > s.base {
        end.field("segments", &segments(s));
    }
    // Writers, holes and holds have a line of their own before the list, and some of each is shown.
    let listed_holds = s.holds.len().saturating_sub(1);
    let lists = s.writers.len().min(2) + s.holes.len().min(1) + listed_holds.min(1);
    let room = LINES - facts.lines() - end.lines() - 2 - usize::from(!s.holds.is_empty());
    let further = further(s);
    let mut page = diagnosis(s, SENTENCE);
    if page.lines() + lists + further.len().min(2) > room {
        page = diagnosis(s, SHORT);
    }
    let room = room - page.lines();
    let findings = further.len().min(FINDINGS).min(room - lists);
    also(&mut page, further, findings);
    page.0.push_str(&facts.0);
    let room = room - findings;
    let share = (room / 3).max(1);
    let most_holes = s.holes.len().min(HOLES).min(share);
    let most_holds = listed_holds.min(HOLDS).min(share);
    writers(&mut page, &s.writers, WRITERS.min(room - most_holes - most_holds));
    holes(&mut page, s, most_holes);
    holds(&mut page, s, most_holds);
    page.0 + &end.0
}

/// How it is, why, and what to do.
fn diagnosis(s: &Status, sentence: usize) -> Page {
    let mut page = Page::default();
    page.line(&format!("{}  {}", s.state, shown(&s.path)));
    if let Some(problem) = &s.problem {
        page.sentence("problem", problem, sentence);
    }
    page.sentence("next", &s.next_step, sentence);
    page
}

/// Findings beyond the one that is the problem.
fn further(s: &Status) -> &[Finding] {
    s.findings.get(usize::from(s.problem.is_some())..).unwrap_or_default()
}

/// At most `most` lines, the last of which names those that are missing.
fn also(page: &mut Page, findings: &[Finding], most: usize) {
    let shown = if findings.len() > most { most.saturating_sub(1) } else { findings.len() };
    let (said, missing) = findings.split_at(shown);
    let mut lines: Vec<String> = said.iter().map(|f| format!("{}: {}", f.id, f.sentence)).collect();
    if !missing.is_empty() {
        let mut ids: Vec<&str> = missing.iter().map(|f| f.id.name()).collect();
        ids.dedup();
        lines.push(format!("... and {} more: {}", missing.len(), ids.join(", ")));
    }
    for (nth, line) in lines.iter().enumerate() {
        page.field(if nth == 0 { "also" } else { "" }, line);
    }
}

fn facts(s: &Status) -> Page {
    let mut page = Page::default();
    if let Some(p) = &s.panic {
        let who = format!("by {} ({}), errno {}{}", p.pid, p.command, p.errno, since(", at", p.at));
        page.field("panic", &format!("{who}: {}", p.reason));
    }
    let not_final = s.cursor.saturating_sub(s.watermark);
    let (cursor, file_size, slack) = (units::size(s.cursor), units::size(s.file_size), slack(s));
    let watermark = format!("watermark {}, {} not final", s.watermark, units::size(not_final));
    page.field("cursor", &format!("{} ({cursor}), {watermark}", s.cursor));
    page.field(
        "file_size",
        &format!("{} ({file_size}), slack {slack} ({})", s.file_size, units::size(slack)),
    );
    let gate = s.gate.map_or_else(|| "open".to_owned(), |at| format!("closed at {at}"));
    page.field("generation", &format!("{}, base {}, limit {}, gate {gate}", s.generation, s.base, s.limit));
    page.field("file", &file(s));
    let format = if s.format == 2 { String::new() } else { format!(", format {}", s.format) };
    let settings =
        format!("chunk_size {}, max_writers {}, gate_ms {}", s.chunk_size, s.max_writers, s.gate_ms);
    page.field("settings", &(settings + &format));
    durable(&mut page, &s.durability);
    page.field("lock", &lock(&s.lock));
    page.field("maintenance", &lock(&s.maintenance));
    page
}

pub(super) fn timestamp(at: Option<SystemTime>) -> Option<Timestamp> {
    Timestamp::try_from(at?).ok()
}

fn since(word: &str, at: Option<SystemTime>) -> String {
    let seconds = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Trunc);
    let rounded = timestamp(at).and_then(|t| t.round(seconds).ok());
    rounded.map_or_else(String::new, |t| format!("{word} {t}"))
}

fn file(s: &Status) -> String {
    let f = &s.file;
    let free = match &f.free {
        Ok(free) => format!("{} free on its disk", units::size(*free)),
        Err(reason) => format!("free space could not be seen: {reason}"),
    };
    format!("mode {:04o}, owner {}:{}, inode {}, {free}", f.mode, f.uid, f.gid, f.inode)
}

fn durable(page: &mut Page, d: &Durability) {
    let below = format!("below {} ({})", d.synced, units::size(d.synced));
    let text = match (d.error, d.synced_at) {
        (Some((from, errno)), _) => format!("{below}, lost from {from} on: a sync failed (errno {errno})"),
        (None, Some(at)) => format!("{below}, synced {}", units::ago(at, SystemTime::now())),
        (None, None) => "nothing yet, nobody has asked for a sync".to_owned(),
    };
    page.field("durable", &text);
    if let Some(r) = d.recovered {
        let at = since(", at", Some(r.at));
        page.field(
            "recovered",
            &format!("{} lost, went on at {}{at}", units::counted(r.lost, "byte"), r.end),
        );
    }
}

fn lock(lock: &Lock) -> String {
    match &lock.held {
        Ok(true) => {}
        Ok(false) => return "free".to_owned(),
        Err(reason) => return format!("could not be seen: {reason}"),
    }
    let operation = if lock.operation.is_empty() { "unknown operation" } else { &lock.operation };
    let (pid, home) = seated(lock.pid, lock.seat);
    let (command, process) = (&lock.command, lock.process);
    format!("held by {pid} for {operation}{} ({command}, {process}{home})", since(" since", lock.since))
}

fn writers(page: &mut Page, writers: &[WriterStatus], most: usize) {
    let in_flight = writers.iter().filter(|w| w.in_flight.is_some()).count();
    let dead = writers.iter().filter(|w| w.alive == Ok(false)).count();
    let mut summary = match writers.len() {
        0 => "none".to_owned(),
        n => n.to_string(),
    };
    if in_flight > 0 {
        summary.push_str(&format!(", {in_flight} with an append in flight"));
    }
    if dead > 0 {
        summary.push_str(&format!(", {dead} dead"));
    }
    page.field("writers", &summary);
    // Who holds others up comes first.
    let mut order: Vec<&WriterStatus> = writers.iter().collect();
    order.sort_by_key(|w| Reverse(w.in_flight.as_ref().map(|f| f.for_at_least)));
    page.list(most, order.into_iter().map(writer));
}

fn writer(w: &WriterStatus) -> String {
    let process = if w.alive == Ok(false) { "dead".to_owned() } else { w.process.to_string() };
    let doing = match &w.in_flight {
        Some(f) => {
            let len = units::counted(f.end.saturating_sub(f.start), "byte");
            format!("{} {len} for >= {} at {}", f.phase, units::lasting(f.for_at_least), f.start)
        }
        None => format!(
            "{}, {}{}",
            units::counted(w.messages, "message"),
            units::size(w.bytes),
            since(", since", w.since)
        ),
    };
    let (pid, home) = seated(w.pid, w.seat);
    format!("{pid} ({}, {process}{home}) {doing}", w.command)
}

/// The id that finds a process from here, and where it is if that is another container.
fn seated(pid: u32, seat: Seat) -> (u32, String) {
    match (seat.namespace, seat.pid) {
        (None, _) => (pid, String::new()),
        (Some(namespace), Some(here)) => (here, format!(", {pid} in PID namespace {namespace}")),
        (Some(namespace), None) => (pid, format!(", of PID namespace {namespace}")),
    }
}

fn holes(page: &mut Page, s: &Status, most: usize) {
    let mut summary = match s.holes_total {
        0 => "none".to_owned(),
        n => n.to_string(),
    };
    if s.holes_forgotten > 0 {
        summary.push_str(&format!(", {} of them forgotten: their bytes read as NULs", s.holes_forgotten));
    }
    page.field("holes", &summary);
    // The latest are the ones somebody asks about.
    page.list(most, s.holes.iter().rev().map(hole));
}

fn hole(h: &Hole) -> String {
    let who = match h.pid {
        0 => "unknown".to_owned(),
        pid => format!("{pid} ({})", h.command),
    };
    format!(
        "{} at {}, {}, left by {who}{}",
        units::counted(h.len, "byte"),
        h.start,
        h.kind,
        since(", at", h.at)
    )
}

/// Consumers that prune keeps bytes for; nothing where there is none.
fn holds(page: &mut Page, s: &Status, most: usize) {
    let Some(last) = s.holds.first() else { return };
    let count = if s.holds.len() > 1 { format!("{}, farthest back ", s.holds.len()) } else { String::new() };
    page.field("holds", &(count + &hold(last, s.cursor)));
    page.list(most, s.holds.iter().skip(1).map(|h| hold(h, s.cursor)));
}

fn hold(h: &HoldStatus, cursor: u64) -> String {
    let behind = units::size(cursor.saturating_sub(h.position));
    let seen =
        h.last_seen.map_or_else(String::new, |at| format!(", seen {}", units::ago(at, SystemTime::now())));
    format!("{} at {}, {behind} behind{seen} ({}, {})", h.name, h.position, h.pid, h.process)
}

fn segments(s: &Status) -> String {
    let oldest = s.segments.iter().min_by_key(|g| g.generation);
    let pruned = match s.first_kept {
        kept if kept > s.base => format!(", kept from {kept} on"),
        _ => String::new(),
    };
    match oldest {
        Some(g) if s.segments.len() > 1 => {
            format!("{}{pruned}, the oldest from {} in {}", s.segments.len(), g.base, shown(&g.path))
        }
        _ => format!("1{pruned}"),
    }
}

#[cfg(test)]
mod tests {

    use mmlog::Thresholds;

    use super::*;
    use crate::sample;

    #[test]
    fn the_worst_status_fits_24_lines_of_80_columns() {
        let page = text(&sample::worst());
        assert!(page.lines().count() <= 24, "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
        assert!(page.starts_with("FULL SOON  /a-long"), "{page}");
        assert!(page.contains("    ... and 97 more\n"), "{page}");
        assert!(page.contains("    ... and 1024 more\n"), "{page}");
        assert!(page.contains("    ... and 63 more\n"), "{page}");
    }

    /// With what is diagnosed of it.
    fn diagnosed() -> Status {
        let mut status = sample::worst();
        status.findings = status.diagnose(&Thresholds::default());
        status
    }

    #[test]
    fn the_worst_status_fits_with_all_its_findings_too() {
        let status = diagnosed();
        let page = text(&status);
        assert_eq!(page.lines().count(), 24, "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
        let also = format!(
            "  also         ... and {} more: sync-failed, segment-damaged",
            status.findings.len() - 1
        );
        assert!(page.contains(&also), "{page}");
    }

    #[test]
    fn whatever_there_is_to_say_fits() {
        let full = diagnosed();
        for nth in 0..4_usize.pow(5) {
            let digit = |place: u32| [0, 1, 2, 50][nth / 4_usize.pow(place) % 4];
            let mut status = full.clone();
            status.findings.truncate(digit(0));
            status.writers.truncate(digit(1));
            status.holes.truncate(digit(2));
            status.holds.truncate(digit(3));
            if digit(4) == 0 {
                status.panic = None;
            }
            if digit(4) == 1 {
                status.problem = None;
            }
            let page = text(&status);
            assert!(page.lines().count() <= 24, "{page}");
            let some = status.findings.len() > usize::from(status.problem.is_some());
            assert_eq!(page.contains("  also  "), some, "{page}");
        }
    }

    #[test]
    fn what_is_to_be_done_comes_before_the_facts_and_further_findings_after_it() {
        let mut status = diagnosed();
        (status.panic, status.durability.recovered) = (None, None);
        status.holds.clear();
        status.writers.truncate(1);
        status.holes.clear();
        status.segments.clear();
        status.flaws.clear();
        status.findings = status.diagnose(&Thresholds::default());
        let page = text(&status);
        let places = ["FULL SOON", "  problem", "  next", "  also         lock-held: process", "  cursor"];
        let places = places.map(|words| page.find(words));
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted() && page.lines().count() <= 24,
            "{page}"
        );
        assert!(page.contains("               disk-nearly-full: 1 B free on the file"), "{page}");
    }

    #[test]
    fn a_process_in_another_container_is_named_as_it_is_found_from_here() {
        let mut writer = sample::worst().writers.remove(0);
        let mut said = |namespace, pid| {
            writer.seat = Seat { namespace, pid };
            super::writer(&writer).split(')').next().map(str::to_owned)
        };
        let here = said(Some(4_026_532_281), Some(77));
        let expected = "77 (a-long-command, disk sleep, 4000000 in PID namespace 4026532281";
        assert_eq!(here.as_deref(), Some(expected));
        let nowhere = said(Some(4_026_532_281), None);
        let expected = "4000000 (a-long-command, disk sleep, of PID namespace 4026532281";
        assert_eq!(nowhere.as_deref(), Some(expected));
    }

    #[test]
    fn who_holds_others_up_longest_comes_first() {
        let page = text(&sample::worst());
        let first = page.lines().skip_while(|line| !line.starts_with("  writers")).nth(1);
        let expected = "    4000097 (a-long-command, disk sleep) copying 1000 bytes for >= 97 ms";
        assert!(first.is_some_and(|line| line.starts_with(expected)), "{page}");
    }
}
