//! The operator's view of a log: the state first, why, and what to do; then who and how much.
//!
//! ```text
//! STALLED  app.log
//!   problem      writer 4712 (web --port 80) is stopped with 567 B in flight
//!                at 1234000 (copying), for at least 1 s; followers see nothing
//!                behind it
//!   next
//!                kill -CONT 4712
//!                or `kill -9 4712`: it heals; what is not yet appended, pipe
//!                included, is lost
//!   note         2 holes, the latest of 9 B at 77, torn, left by 4711 (web)
//!                nothing is lost that was acknowledged; the command below names them all
//!                mmlogctl cat --holes say app.log > /dev/null
//!   cursor       1234567 (1.2 MiB), watermark 1234000, 567 B not final
//!   file_size    16777216 (16.0 MiB), slack 15542649 (14.8 MiB)
//!   generation   0, base 0, limit 16777216, gate open
//!   file         mode 0640, owner 1000:1000, inode 123, 41.2 GiB free on its disk
//!   settings     chunk_size 16777216, max_writers 1024, gate_ms 50
//!   policy       rotate-size=64M keep=10, set 3 s ago; a new segment after 62.8 MiB;
//!                nothing to remove
//!   clock        was set from 2026-01-02 05:00:00Z to 2026-01-02 03:00:00Z, seen at
//!                position 1200000; for 57m ages may be wrong; --since and --until leave
//!                nothing out, and may print more than was asked for
//!   durable      below 1230000 (1.2 MiB), synced 3 s ago
//!   lock         free
//!   maintenance  held by 4711 for trim since 2026-01-02T03:04:05Z (mmlogctl, sleeping)
//!   writers      2, 1 with an append in flight
//!     4712 (web, stopped) copying 567 B for >= 50 ms at 1234000
//!     4713 (cron, through mmlogctl, sleeping) 120 messages, 14.1 KiB, began 2h05m ago
//!   holes        none
//!   holds        shipper at 1200000, 33.8 KiB behind, seen 3 s ago (4714, sleeping)
//!   followers    mmlogctl tail -f app.log at 1234000, 567 bytes behind, seen 1 s ago
//!                (4715, sleeping)
//! ```

use std::cmp::Reverse;
use std::time::{Duration, SystemTime};

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use mmlog::{
    Durability, Finding, FollowerStatus, HoldStatus, Hole, Lock, PolicyState, Seat, Severity, Status,
    WriterStatus, quoted, units,
};

use super::page::{self, Page};
use crate::commands::policy::{next, overdue, said};
use crate::exit::shown;
use crate::metrics::slack;
use crate::text::clipped;
use crate::times::told;
use crate::who;

/// How many of each list are shown.
const WRITERS: usize = 5;
const HOLES: usize = 3;
const HOLDS: usize = 3;
const FOLLOWERS: usize = 3;
/// A follower that has not read for so long stands.
const STANDS: Duration = Duration::from_secs(10);
/// The most columns of how a process was called.
const TITLE: usize = 40;

/// `columns`: of the terminal; `None` where every value is to be one line.
pub(super) fn text(s: &Status, columns: Option<usize>) -> String {
    let mut page = Page::new(columns);
    page.line(&format!("{}  {}", s.state, shown(&s.path)));
    let problem = s.findings.first().filter(|first| first.severity < Severity::Info);
    match problem {
        Some(first) => {
            page.field("problem", &first.sentence);
            page.step("next", &first.next_step);
        }
        None => page.field("next", &s.next_step),
    }
    let others = &s.findings[usize::from(problem.is_some())..];
    others.iter().for_each(|finding| further(&mut page, s, finding, problem));
    // Where something is wrong, the first word is to stay on the screen: what is as usual leaves room for it.
    let is_brief = problem.is_some() && page.is_on_screen();
    facts(&mut page, s, is_brief);
    writers(&mut page, &s.writers, WRITERS);
    if s.holes_total > 0 || !is_brief {
        holes(&mut page, s, HOLES);
    }
    holds(&mut page, s, HOLDS);
    followers(&mut page, s, FOLLOWERS);
    if s.segments.len() > 1 || s.first_kept > s.base {
        page.field("segments", &segments(s));
    }
    if is_brief {
        page.field("more", &format!("`mmlogctl status {} | cat` shows all", quoted(&s.path)));
    }
    page.text
}

/// A finding beyond the one that is the problem. What was said there of the same process is not said again.
fn further(page: &mut Page, s: &Status, finding: &Finding, problem: Option<&Finding>) {
    let name = if finding.severity < Severity::Info { "also" } else { "note" };
    let is_known = problem.is_some_and(|first| finding.pid.is_some() && first.pid == finding.pid);
    let sentence = match is_known {
        true => s.with_short_names(&finding.sentence, 0),
        false => finding.sentence.clone(),
    };
    page.field(name, &format!("{}: {sentence}", finding.id));
    if problem.is_none_or(|first| first.next_step != finding.next_step) {
        page.step("", &finding.next_step);
    }
}

/// With `is_brief`, without what is as usual.
fn facts(page: &mut Page, s: &Status, is_brief: bool) {
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
    if !is_brief {
        settings(page, s);
    }
    policy(page, s);
    clock(page, s);
    if !is_brief || s.durability.error.is_some() {
        durable(page, &s.durability);
    }
    for (name, held) in [("lock", &s.lock), ("maintenance", &s.maintenance)] {
        if !is_brief || held.held != Ok(false) {
            page.field(name, &lock(held));
        }
    }
}

fn settings(page: &mut Page, s: &Status) {
    let gate = s.gate.map_or_else(|| "open".to_owned(), |at| format!("closed at {at}"));
    page.field("generation", &format!("{}, base {}, limit {}, gate {gate}", s.generation, s.base, s.limit));
    page.field("file", &file(s));
    let format = if s.format == 2 { String::new() } else { format!(", format {}", s.format) };
    let settings =
        format!("chunk_size {}, max_writers {}, gate_ms {}", s.chunk_size, s.max_writers, s.gate_ms);
    page.field("settings", &(settings + &format));
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
        page.field("recovered", &format!("{} lost, went on at {}{at}", units::size(r.lost), r.end));
    }
}

fn policy(page: &mut Page, s: &Status) {
    if s.policy.state == PolicyState::Unset {
        return;
    }
    let text = [Some(said(&s.policy)), next(&s.policy)].into_iter().flatten().collect::<Vec<_>>().join("; ");
    page.field("policy", &text);
    for late in overdue(&s.policy) {
        page.field("overdue", &late);
    }
}

fn clock(page: &mut Page, s: &Status) {
    let Some(doubt) = &s.clock else { return };
    let time = |at| timestamp(Some(at)).map_or_else(|| "?".to_owned(), told);
    let set = doubt.set.map_or_else(String::new, |set| {
        format!(" from {} to {}, seen at position {}", time(set.from), time(set.to), set.position)
    });
    let keeps = if s.policy.state.rules().keep_age.is_some() { " nothing goes by keep-age," } else { "" };
    page.field(
        "clock",
        &format!(
            "was set{set}; for {}{keeps} ages may be wrong; --since and --until leave nothing out, and may print more than was asked for",
            units::lasting(doubt.lasts)
        ),
    );
}

fn lock(lock: &Lock) -> String {
    match &lock.held {
        Ok(true) => {}
        Ok(false) => return "free".to_owned(),
        Err(reason) => return format!("could not be seen: {reason}"),
    }
    if lock.pid == 0 {
        return "held by a process that has not said who it is".to_owned();
    }
    let operation = if lock.operation.is_empty() { "unknown operation" } else { &lock.operation };
    let (pid, home) = seated(lock.pid, lock.seat);
    let command = clipped(lock.command_line.as_ref().unwrap_or(&lock.command), TITLE);
    let process = lock.process;
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
    page.list(most, in_order(writers).into_iter().map(writer));
}

/// Who is in trouble comes first; then who holds others up longest.
fn in_order(writers: &[WriterStatus]) -> Vec<&WriterStatus> {
    let mut order: Vec<&WriterStatus> = writers.iter().collect();
    order.sort_by_key(|w| Reverse((who::trouble(w), w.in_flight.as_ref().map(|f| f.for_at_least))));
    order
}

/// Those that have a line of their own.
pub(super) fn listed(s: &Status) -> Vec<who::Key> {
    in_order(&s.writers).into_iter().take(WRITERS).filter_map(who::person).collect()
}

fn writer(w: &WriterStatus) -> String {
    let process = if w.alive == Ok(false) { "dead".to_owned() } else { w.process.to_string() };
    let doing = match (&w.in_flight, &w.waiting, who::unread(w)) {
        (Some(f), ..) => {
            let len = units::size(f.end.saturating_sub(f.start));
            format!("{} {len} for >= {} at {}", f.phase, units::lasting(f.for_at_least), f.start)
        }
        (None, Some(waiting), _) => who::waits(waiting),
        (None, None, Some(lasts)) => {
            format!("has waited {} for its output to be read", units::lasting(lasts))
        }
        (None, None, None) => format!(
            "{}, {}{}",
            units::counted(w.messages, "message"),
            units::size(w.bytes),
            w.since.map_or_else(String::new, |at| format!(", began {}", units::ago(at, SystemTime::now())))
        ),
    };
    let (pid, home) = seated(w.pid, w.seat);
    format!("{pid} ({}, {process}{home}) {doing}", called(w))
}

/// How a writer is called, after who feeds it, if that is known.
pub(crate) fn called(w: &WriterStatus) -> String {
    match &w.feeder {
        Some(feeder) => format!("{feeder}, through {}", w.command),
        None => clipped(w.command_line.as_deref().unwrap_or(&w.command), TITLE),
    }
}

/// The id that finds a process from here, and where it is if that is another container.
pub(crate) fn seated(pid: u32, seat: Seat) -> (u32, String) {
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
    format!("{} at {}, {}, left by {who}{}", units::size(h.len), h.start, h.kind, since(", at", h.at))
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
    let seen = seen(h.last_seen);
    let shipper = h.shipper.as_ref().map_or_else(String::new, |s| format!("; {}", page::shipper(s, cursor)));
    format!("{} at {}, {behind} behind{seen} ({}, {}){shipper}", h.name, h.position, h.pid, h.process)
}

fn seen(at: Option<SystemTime>) -> String {
    at.map_or_else(String::new, |at| format!(", seen {}", units::ago(at, SystemTime::now())))
}

/// Followers without a hold; nothing where none is seen.
fn followers(page: &mut Page, s: &Status, most: usize) {
    let Some(last) = s.followers.first() else { return };
    let count = match s.followers.len() {
        1 => String::new(),
        count => format!("{count}, farthest back "),
    };
    page.field("followers", &(count + &follower(last)));
    page.list(most, s.followers.iter().skip(1).map(follower));
}

fn follower(f: &FollowerStatus) -> String {
    let where_it_is = match f.is_beyond {
        true => "which the log does not have".to_owned(),
        false => format!("{} behind", units::size(f.lag)),
    };
    // One for which another thread tells is seen, and does not read.
    let stands = f.stands_for.filter(|time| *time >= STANDS);
    let seen = stands
        .map_or_else(|| seen(f.last_seen), |time| format!(", has read nothing for {}", units::lasting(time)));
    let (pid, home) = seated(f.pid, f.seat);
    let title = f.name.as_deref().or(f.command_line.as_deref()).unwrap_or(&f.command);
    format!("{} at {}, {where_it_is}{seen} ({pid}, {}{home})", clipped(title, TITLE), f.position, f.process)
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

    /// With what is diagnosed of it.
    fn diagnosed() -> Status {
        let mut status = sample::worst();
        status.conclude(&Thresholds::default());
        status
    }

    #[test]
    fn every_finding_is_said_whole_with_its_step_at_any_width() {
        let status = diagnosed();
        for columns in [Some(40), Some(80), Some(200), None] {
            let page = text(&status, columns).replace('\n', " ");
            let page: String = page.split_whitespace().collect::<Vec<_>>().join(" ");
            let pid = status.findings[0].pid;
            for (nth, finding) in status.findings.iter().enumerate() {
                // Whoever is named already is told by his number.
                let is_known = nth > 0 && finding.pid.is_some() && finding.pid == pid;
                let most = if is_known { 0 } else { usize::MAX };
                let sentence = status.with_short_names(&finding.sentence, most);
                let sentence = crate::exit::printable(&sentence);
                let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(page.contains(&sentence), "{sentence}\n{page}");
                let command = finding.next_step.split('`').nth(1);
                assert!(command.is_none_or(|command| page.contains(command)), "{command:?}\n{page}");
            }
        }
    }

    /// One process that keeps the gate closed, with the maintenance byte.
    fn one_culprit() -> Status {
        let mut status = sample::worst();
        (status.path, status.cursor, status.watermark) = ("/var/log/app.log".into(), 900, 813);
        (status.panic, status.flaws, status.holds, status.followers) = Default::default();
        (status.followers_seen, status.holes, status.holes_total) = Default::default();
        (status.durability.error, status.durability.recovered, status.file.free) = (None, None, Ok(1 << 40));
        (status.policy.state, status.policy.undone) = (PolicyState::Unset, Vec::new());
        (status.segments, status.first_kept, status.gate) = (Vec::new(), 0, Some(813));
        (status.policy.distrust, status.policy.unfreed_since, status.chunk_size) = (None, None, 1 << 20);
        status.writers.truncate(1);
        status.clock = None;
        let pid = status.maintenance.pid;
        status.writers[0].process = mmlog::ProcessState::Sleeping;
        status.writers[0].in_flight = None;
        (status.lock.pid, status.lock.seat) = (pid, status.maintenance.seat);
        for held in [&mut status.lock, &mut status.maintenance] {
            held.command_line = Some("mmlogctl trim app.log".to_owned());
        }
        status.conclude(&Thresholds::default());
        status
    }

    #[test]
    fn what_one_process_holds_up_is_told_on_one_screen_and_nothing_of_it_twice() {
        let page = text(&one_culprit(), Some(80));
        assert!(page.lines().count() < 24, "{page}");
        assert!(page.starts_with("STALLED") && page.contains("  also         maintenance-held"), "{page}");
        assert_eq!(page.matches("kill -CONT 4000001").count(), 1, "{page}");
        assert!(page.lines().any(|line| line.trim() == "kill -CONT 4000001"), "{page}");
        let found = &page[..page.find("  cursor").unwrap_or_default()];
        assert_eq!(found.matches("trim app.log").count(), 1, "{page}");
        assert!(page.contains("status /var/log/app.log | cat` shows all") && !page.contains("  settings"));
        let piped = text(&one_culprit(), None);
        assert!(piped.contains("  settings") && piped.contains("  holes        none"), "{piped}");
    }

    #[test]
    fn a_writer_in_trouble_is_among_those_that_are_listed() {
        let mut status = sample::worst();
        for writer in &mut status.writers {
            (writer.process, writer.in_flight) = (mmlog::ProcessState::Sleeping, None);
            writer.alive = Ok(true);
        }
        status.writers[57].process = mmlog::ProcessState::Stopped;
        let page = text(&status, None);
        let first = page.lines().skip_while(|line| !line.starts_with("  writers")).nth(1);
        assert!(
            first.is_some_and(|line| line.starts_with("    4000057 (a-long-command, stopped)")),
            "{page}"
        );
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let page = text(&diagnosed(), Some(80));
        for missing in ["    ... and 95 more\n", "    ... and 1022 more\n", "    ... and 61 more\n"] {
            assert!(page.contains(missing), "{missing}{page}");
        }
    }

    #[test]
    fn what_is_to_be_done_comes_before_the_facts() {
        let page = text(&diagnosed(), Some(80));
        let places =
            ["PANICKED", "  problem", "  next", "  also", "  note", "  cursor"].map(|words| page.find(words));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}\n{page}");
    }

    #[test]
    fn a_process_in_another_container_is_named_as_it_is_found_from_here() {
        let mut writer = sample::worst().writers.remove(0);
        let mut said = |namespace, pid| {
            writer.seat = Seat { namespace, pid, uid: None };
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
        let page = text(&sample::worst(), None);
        let first = page.lines().skip_while(|line| !line.starts_with("  writers")).nth(1);
        let expected = "    4000097 (a-long-command, disk sleep) copying 1000 B for >= 97 ms";
        assert!(first.is_some_and(|line| line.starts_with(expected)), "{page}");
    }
}
