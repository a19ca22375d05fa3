//! The operator's view of a log: the state first, at most 24 lines of 80 columns.
//!
//! ```text
//! STALLED  app.log
//!   problem      a stopped writer holds the watermark
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
//!     4713 (web, sleeping) 120 messages, 14.1 KiB
//!   holes        none
//!   holds        shipper at 1200000, 33.8 KiB behind, seen 3 s ago (4714, sleeping)
//!   next         continue process 4712 (kill -CONT 4712) or end it
//! ```

use std::cmp::Reverse;
use std::time::SystemTime;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use mmlog::{Durability, HoldStatus, Hole, Lock, Status, WriterStatus};

use crate::exit::{printable, shown};
use crate::metrics::slack;
use crate::progress::human;

const COLUMNS: usize = 80;
/// Where values begin.
const INDENT: usize = 15;
const LINES: usize = 24;
/// Lines that the lists may take, if they can be had.
const WRITERS: usize = 5;
const HOLES: usize = 3;
const HOLDS: usize = 3;
/// Lines that a sentence may take.
const SENTENCE: usize = 2;

pub(super) fn text(s: &Status) -> String {
    let mut page = Page::default();
    page.line(&format!("{}  {}", s.state, shown(&s.path)));
    if let Some(problem) = &s.problem {
        page.sentence("problem", problem);
    }
    if let Some(p) = &s.panic {
        let who = format!("by {} ({}), errno {}{}", p.pid, p.command, p.errno, since(", at", p.at));
        page.field("panic", &format!("{who}: {}", p.reason));
    }
    let not_final = s.cursor.saturating_sub(s.watermark);
    let (cursor, file_size, slack) = (human(s.cursor), human(s.file_size), slack(s));
    let watermark = format!("watermark {}, {not_final} bytes not final", s.watermark);
    page.field("cursor", &format!("{} ({cursor}), {watermark}", s.cursor));
    page.field("file_size", &format!("{} ({file_size}), slack {slack} ({})", s.file_size, human(slack)));
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
    let mut end = Page::default();
    if s.segments.len() > 1 || s.first_kept > s.base {
        end.field("segments", &segments(s));
    }
    end.sentence("next", &s.next_step);
    // Each list has a line of its own before it.
    let room = LINES - page.lines() - end.lines() - 2 - usize::from(!s.holds.is_empty());
    let most_holes = HOLES.min(room / 3);
    let most_holds = s.holds.len().saturating_sub(1).min(HOLDS).min(room / 3);
    writers(&mut page, &s.writers, WRITERS.min(room - most_holes - most_holds));
    holes(&mut page, s, most_holes);
    holds(&mut page, s, most_holds);
    page.0 + &end.0
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
        Ok(free) => format!("{} free on its disk", human(*free)),
        Err(reason) => format!("free space could not be seen: {reason}"),
    };
    format!("mode {:04o}, owner {}:{}, inode {}, {free}", f.mode, f.uid, f.gid, f.inode)
}

fn durable(page: &mut Page, d: &Durability) {
    let below = format!("below {} ({})", d.synced, human(d.synced));
    let text = match (d.error, d.synced_at) {
        (Some((from, errno)), _) => format!("{below}, lost from {from} on: a sync failed (errno {errno})"),
        (None, Some(at)) => format!("{below}, synced {}", ago(at, SystemTime::now())),
        (None, None) => "nothing yet, nobody has asked for a sync".to_owned(),
    };
    page.field("durable", &text);
    if let Some(r) = d.recovered {
        let at = since(", at", Some(r.at));
        page.field("recovered", &format!("{} bytes lost, went on at {}{at}", r.lost, r.end));
    }
}

fn ago(at: SystemTime, now: SystemTime) -> String {
    let seconds = now.duration_since(at).unwrap_or_default().as_secs();
    match seconds {
        0 => "just now".to_owned(),
        1..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn lock(lock: &Lock) -> String {
    match &lock.held {
        Ok(true) => {}
        Ok(false) => return "free".to_owned(),
        Err(reason) => return format!("could not be seen: {reason}"),
    }
    let operation = if lock.operation.is_empty() { "unknown operation" } else { &lock.operation };
    let Lock { pid, command, process, .. } = lock;
    format!("held by {pid} for {operation}{} ({command}, {process})", since(" since", lock.since))
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
            let (len, ms) = (f.end.saturating_sub(f.start), f.for_at_least.as_millis());
            format!("{} {len} bytes for >= {ms} ms at {}", f.phase, f.start)
        }
        None => format!("{} messages, {}{}", w.messages, human(w.bytes), since(", since", w.since)),
    };
    format!("{} ({}, {process}) {doing}", w.pid, w.command)
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
    format!("{} bytes at {}, {}, left by {who}{}", h.len, h.start, h.kind, since(", at", h.at))
}

/// Consumers that prune keeps bytes for; nothing where there is none.
fn holds(page: &mut Page, s: &Status, most: usize) {
    let Some(last) = s.holds.first() else { return };
    let count = if s.holds.len() > 1 { format!("{}, farthest back ", s.holds.len()) } else { String::new() };
    page.field("holds", &(count + &hold(last, s.cursor)));
    page.list(most, s.holds.iter().skip(1).map(|h| hold(h, s.cursor)));
}

fn hold(h: &HoldStatus, cursor: u64) -> String {
    let behind = human(cursor.saturating_sub(h.position));
    let seen = h.last_seen.map_or_else(String::new, |at| format!(", seen {}", ago(at, SystemTime::now())));
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

/// Lines that fit.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn lines(&self) -> usize {
        self.0.lines().count()
    }

    fn line(&mut self, text: &str) {
        self.0.push_str(&clip(&printable(text), COLUMNS));
        self.0.push('\n');
    }

    fn field(&mut self, name: &str, value: &str) {
        self.line(&format!("  {name:width$}{value}", width = INDENT - 2));
    }

    /// A value that may take two lines.
    fn sentence(&mut self, name: &str, text: &str) {
        for (nth, line) in wrap(&printable(text), COLUMNS - INDENT, SENTENCE).iter().enumerate() {
            self.field(if nth == 0 { name } else { "" }, line);
        }
    }

    /// At most `most` lines, the last of which says how many are missing.
    fn list(&mut self, most: usize, items: impl ExactSizeIterator<Item = String>) {
        let all = items.len();
        let shown = if all > most { most - 1 } else { all };
        for item in items.take(shown) {
            self.line(&format!("    {item}"));
        }
        if all > shown {
            self.line(&format!("    ... and {} more", all - shown));
        }
    }
}

fn clip(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut clipped: String = text.chars().take(columns - 3).collect();
    clipped.push_str("...");
    clipped
}

/// Words on at most `most` lines; what does not fit is clipped.
fn wrap(text: &str, columns: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let fits = |line: &String| line.chars().count() + 1 + word.chars().count() <= columns;
        let full = lines.len() == most;
        match lines.last_mut() {
            Some(line) if full || fits(line) => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| clip(line, columns)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[test]
    fn who_holds_others_up_longest_comes_first() {
        let page = text(&sample::worst());
        let first = page.lines().skip_while(|line| !line.starts_with("  writers")).nth(1);
        let expected = "    4000097 (a-long-command, disk sleep) copying 1000 bytes for >= 97 ms";
        assert!(first.is_some_and(|line| line.starts_with(expected)), "{page}");
    }

    #[test]
    fn how_long_ago_is_said_in_the_largest_unit_that_tells() {
        let at = |seconds| ago(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(
            [0, 119, 3600, 7200, 200_000].map(at),
            ["just now", "119 s ago", "60 min ago", "2 h ago", "2 days ago"]
        );
        assert_eq!(ago(SystemTime::now() + Duration::from_secs(99), SystemTime::now()), "just now");
    }

    #[test]
    fn a_long_line_is_clipped_to_the_width() {
        assert_eq!(clip("short", 80), "short");
        assert_eq!(clip("0123456789", 8), "01234...");
    }

    #[test]
    fn a_sentence_takes_two_lines_at_most() {
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "three ..."]);
        assert_eq!(wrap("one two", 9, 2), ["one two"]);
    }

    #[test]
    fn a_long_list_says_how_many_are_missing() {
        let mut page = Page::default();
        page.list(3, (1..=9).map(|n| n.to_string()).collect::<Vec<_>>().into_iter());
        assert_eq!(page.0, "    1\n    2\n    ... and 7 more\n");
        let mut page = Page::default();
        page.list(3, vec!["a".to_owned(); 3].into_iter());
        assert_eq!(page.0.lines().count(), 3);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut page = Page::default();
        page.field("lock", "held by 1 (\x1b[31mevil\n)");
        assert_eq!(page.0.matches(|c: char| c.is_control()).count(), 1);
    }
}
