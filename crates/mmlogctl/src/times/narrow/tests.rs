//! Logs made up at random, against a model that knows when each line was appended.

use std::fmt::Write as _;

use jiff::ToSpan as _;

use super::*;
use crate::reading::stretch::mock::{Mock, Part};

/// Central Europe, whose clocks go forward on 29 March and back on 25 October 2026.
fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap_or(TimeZone::UTC)
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Fixed, or `MMLOG_SEED`; a failure says it.
fn seed() -> u64 {
    let given = std::env::var("MMLOG_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or(0x6d6d_6c6f_6731)
}

/// A line of the model.
#[derive(Clone, Debug)]
struct Made {
    start: u64,
    end: u64,
    /// What it is of: what it says, but exactly; when it was appended, where it says nothing.
    of: Timestamp,
    /// The last instant that what it says may mean.
    latest: Option<Timestamp>,
    earliest: Option<Timestamp>,
}

/// How lines look.
#[derive(Copy, Clone, Debug)]
enum Form {
    Rfc3339,
    Local,
    Syslog,
    Common,
}

impl Form {
    fn line(self, of: Timestamp) -> String {
        let zoned = of.to_zoned(zone());
        match self {
            Self::Rfc3339 => format!("{of:.3} x"),
            Self::Local => zoned.strftime("%Y-%m-%d %H:%M:%S,%3f INFO x").to_string(),
            Self::Syslog => zoned.strftime("%b %e %H:%M:%S host x: y").to_string(),
            Self::Common => zoned.strftime("::1 - - [%d/%b/%Y:%H:%M:%S %z] \"GET /\"").to_string(),
        }
    }
}

/// A stretch of a log, all of it the edge.
struct Stretch {
    log: Mock,
    lines: Vec<Made>,
    edge: Edge,
    times: (Timestamp, Timestamp),
}

/// How a log is made.
#[derive(Copy, Clone, Debug)]
struct Making {
    form: Form,
    from: Timestamp,
    lines: u64,
    /// At most so much between two lines, milliseconds.
    gap: u64,
    /// A line is at most so much older or newer than its append, milliseconds.
    held: u64,
    /// One in so many lines has no time; 0: none.
    untimed: u64,
}

fn making(random: &mut Random, is_sorted: bool) -> Making {
    const FROM: [&str; 4] =
        ["2026-11-28T12:00:00Z", "2026-10-25T00:10:00Z", "2026-03-29T00:50:00Z", "2026-12-31T22:50:00Z"];
    let forms = [Form::Rfc3339, Form::Local, Form::Syslog, Form::Common];
    let from: Timestamp = FROM[random.below(4) as usize].parse().unwrap_or_default();
    Making {
        form: forms[random.below(4) as usize],
        from: from.saturating_add((random.below(1_000_000) as i64).microseconds()).unwrap_or(from),
        lines: 1 + random.below(400),
        gap: [1, 100, 3000, 60_000][random.below(4) as usize],
        held: if is_sorted { 0 } else { [0, 9_000, 9_000][random.below(3) as usize] },
        untimed: if is_sorted { 0 } else { [0, 2, 3][random.below(3) as usize] },
    }
}

fn made(how: &Making, random: &mut Random) -> Stretch {
    let (mut text, mut parts, mut lines, mut at) = (String::new(), Vec::new(), Vec::new(), 1000);
    let mut appended = how.from;
    for _ in 0..how.lines {
        let step = (random.below(how.gap * 1000) as i64).microseconds();
        appended = appended.saturating_add(step).unwrap_or(appended);
        let held = (random.below(how.held * 2000 + 1) as i64 - how.held as i64 * 1000).microseconds();
        let of = appended.saturating_sub(held).unwrap_or(appended);
        let is_timed = how.untimed == 0 || !random.one_in(how.untimed);
        let mut line = if is_timed { how.form.line(of) } else { "\tat x.y.z".to_owned() };
        let _ = writeln!(line, "{}", "z".repeat(random.below(90) as usize));
        let unsaid = Unsaid { zone: zone(), before: appended };
        let says = line::of(line.as_bytes(), &unsaid);
        assert_eq!(says.is_some(), is_timed, "{line}");
        let instant = |ns| Timestamp::from_nanosecond(ns).unwrap_or_default();
        lines.push(Made {
            start: at,
            end: at + line.len() as u64,
            of: if is_timed { of } else { appended },
            latest: says.map(|says| instant(says.latest)),
            earliest: says.map(|says| instant(says.earliest)),
        });
        at += line.len() as u64;
        text.push_str(&line);
        if how.held > 0 && random.one_in(50) {
            parts.push(Part::Data(std::mem::take(&mut text).into_bytes()));
            parts.push(Part::Hole(9));
            at += 9;
        }
    }
    parts.push(Part::Data(text.into_bytes()));
    let edge = Edge { positions: 1000..at, times: how.from.into()..appended.into() };
    let log = Mock::new(1000, 1 + random.below(600) as usize, &parts);
    Stretch { log, lines, edge, times: (how.from, appended) }
}

fn narrowed(stretch: &mut Stretch, asked: Asked, most: u64) -> Option<u64> {
    let mut finder = Finder { most, ..Finder::new(&mut stretch.log, b'\n', zone()) };
    match finder.narrow(&stretch.edge, asked) {
        Ok(found) => found,
        Err(e) => unreachable!("{e}"),
    }
}

/// A time in the stretch, or just beside it.
fn asked(stretch: &Stretch, random: &mut Random) -> Timestamp {
    let (from, to) = stretch.times;
    let whole = to.as_microsecond() - from.as_microsecond() + 1;
    let at = from.as_microsecond() + random.below(whole as u64) as i64;
    Timestamp::from_microsecond(at).unwrap_or(from)
}

#[test]
fn no_line_that_is_asked_for_is_dropped_and_sorted_lines_are_cut_exactly() {
    let seed = seed();
    let mut random = Random(seed);
    let (mut narrower, mut halved) = (0, 0);
    for round in 0..300 {
        let is_sorted = random.one_in(2);
        let how = making(&mut random, is_sorted);
        let mut stretch = made(&how, &mut random);
        let at = asked(&stretch, &mut random);
        let most = if random.one_in(2) { MOST } else { 1000 };
        let what = format!("seed {seed}, round {round}, {how:?}, at {at}, most {most}");

        let found = narrowed(&mut stretch, Asked::Since(at), most);
        let begin = found.unwrap_or(1000);
        let lost = stretch.lines.iter().find(|line| line.of >= at && line.start < begin);
        assert!(lost.is_none(), "since, begins at {begin}: {lost:?}; {what}");
        assert!(begin == 1000 || stretch.lines.iter().any(|l| l.start == begin || l.end == begin), "{what}");
        let end = narrowed(&mut stretch, Asked::Until(at), most).unwrap_or(stretch.edge.positions.end);
        let lost = stretch.lines.iter().find(|line| line.of <= at && line.end > end);
        assert!(lost.is_none(), "until, ends at {end}: {lost:?}; {what}");
        narrower += usize::from(begin > 1000) + usize::from(end < stretch.edge.positions.end);
        halved += usize::from(most < MOST && found.is_some() && stretch.edge.positions.end > 2000);

        if is_sorted && most == MOST {
            let first = stretch.lines.iter().find(|line| line.latest.is_some_and(|latest| latest >= at));
            assert_eq!(begin, first.map_or(stretch.edge.positions.end, |line| line.start), "since, {what}");
            let last = stretch.lines.iter().rfind(|line| line.earliest.is_some_and(|first| first <= at));
            assert_eq!(end, last.map_or(1000, |line| line.end), "until, {what}");
        }
    }
    assert!(narrower > 150 && halved > 10, "{narrower} ends were narrowed, {halved} by samples; seed {seed}");
}

fn stretch(parts: &[Part], from: &str, to: &str) -> Stretch {
    let log = Mock::new(1000, 77, parts);
    let times: (Timestamp, Timestamp) = (from.parse().unwrap_or_default(), to.parse().unwrap_or_default());
    let edge = Edge { positions: 1000..log.end().get(), times: times.0.into()..times.1.into() };
    Stretch { edge, log, lines: Vec::new(), times }
}

fn text(lines: &[&str]) -> Vec<Part> {
    vec![Part::Data(lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect())]
}

fn since(at: &str) -> Asked {
    Asked::Since(at.parse().unwrap_or_default())
}

fn until(at: &str) -> Asked {
    Asked::Until(at.parse().unwrap_or_default())
}

#[test]
fn what_belongs_to_a_line_stays_with_it() {
    let lines =
        ["2026-11-28T14:00:00Z a", "2026-11-28T14:00:20Z b", "\tat b", "2026-11-28T14:00:40Z c", "\tat c"];
    let mut log = stretch(&text(&lines), "2026-11-28T14:00:00Z", "2026-11-28T14:01:00Z");
    // "\tat b" may have been appended when c was, so b goes with it.
    assert_eq!(narrowed(&mut log, since("2026-11-28T14:00:30Z"), MOST), Some(1023));
    // All of these lie far before it.
    assert_eq!(narrowed(&mut log, since("2026-11-28T14:00:55Z"), MOST), Some(1052));
    assert_eq!(narrowed(&mut log, until("2026-11-28T14:00:20Z"), MOST), Some(1052));
    assert_eq!(narrowed(&mut log, until("2026-11-28T14:00:00Z"), MOST), Some(1023));
}

#[test]
fn what_somebody_holds_back_for_seconds_is_in_the_answer_for_when_it_was_appended() {
    // Each of a second, 5 s before it was appended: the first at 14:00:00.
    let second = |n: i64| {
        format!(
            "2026-11-28T{}Z x",
            if n < 5 { format!("13:59:{:02}", 55 + n) } else { format!("14:00:{:02}", n - 5) }
        )
    };
    let lines: Vec<String> = (0..50).map(second).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let len = lines[0].len() as u64 + 1;
    let mut late = stretch(&text(&lines), "2026-11-28T14:00:00Z", "2026-11-28T14:00:50Z");
    let begin = narrowed(&mut late, since("2026-11-28T14:00:30Z"), MOST).unwrap_or(1000);
    assert!((1000 + len..=1000 + 30 * len).contains(&begin), "{begin}");
    // As long as that is seen at the stretch's beginning, it need not be where the answer begins.
    assert!(narrowed(&mut late, since("2026-11-28T14:00:30Z"), 200).is_none_or(|at| at <= 1000 + 30 * len));
    // Of a clock that is 5 s ahead, the end.
    let mut early = stretch(&text(&lines), "2026-11-28T13:59:50Z", "2026-11-28T14:00:40Z");
    let end = narrowed(&mut early, until("2026-11-28T14:00:10Z"), MOST).unwrap_or(u64::MAX);
    assert!(end >= 1000 + 21 * len, "{end}");
}

#[test]
fn lines_of_another_time_than_they_were_appended_at_are_left_alone() {
    // Old lines put in, a clock of another zone: neither tells when it was appended.
    for lines in [
        ["2025-11-28T14:00:00Z a", "2025-11-28T14:00:01Z b", "2025-11-28T14:00:02Z c"],
        ["2026-11-28 14:00:00 a", "2026-11-28 14:00:30 b", "2026-11-28 14:00:50 c"],
    ] {
        let mut log = stretch(&text(&lines), "2026-11-28T14:00:00Z", "2026-11-28T14:01:00Z");
        let end = log.log.end().get();
        assert_eq!(narrowed(&mut log, since("2026-11-28T14:00:45Z"), MOST), Some(1000));
        assert_eq!(narrowed(&mut log, until("2026-11-28T14:00:15Z"), MOST), Some(end));
    }
}

#[test]
fn a_long_stretch_whose_lines_are_in_disorder_keeps_its_ends() {
    let line = |n: u64, minute: u64| format!("2026-11-28T14:{minute:02}:00Z {n:0100}");
    let sorted: Vec<String> = (0..600).map(|n| line(n, n / 10)).collect();
    let mut mixed = sorted.clone();
    mixed.rotate_left(300);
    let cut = |lines: &[String]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut log = stretch(&text(&lines), "2026-11-28T14:00:00Z", "2026-11-28T15:00:00Z");
        let asked = [since("2026-11-28T14:45:00Z"), until("2026-11-28T14:15:30Z")];
        asked.map(|asked| narrowed(&mut log, asked, 4096))
    };
    let len = sorted[0].len() as u64 + 1;
    assert_eq!(cut(&sorted), [Some(1000 + 450 * len), Some(1000 + 160 * len)]);
    assert_eq!(cut(&mixed), [None, None]);
}

#[test]
fn both_ends_are_those_of_lines() {
    let parts = [Part::Data(b"one\ntwo\nth".to_vec()), Part::Hole(5), Part::Data(b"ree\nfour".to_vec())];
    let mut log = Mock::new(1000, 3, &parts);
    let mut finder = Finder::new(&mut log, b'\n', zone());
    let mut ends = |at| (finder.start_of_line(at, 1000).ok(), finder.end_of_line(at, 1000).ok());
    let both = |a, b| (Some(a), Some(b));
    assert_eq!(ends(1000), both(1000, 1000));
    assert_eq!(ends(1004), both(1004, 1004));
    assert_eq!(ends(1006), both(1004, 1008));
    assert_eq!(ends(1009), both(1008, 1010));
    assert_eq!(ends(1015), both(1015, 1015));
    assert_eq!(ends(1020), both(1019, 1023));
    assert_eq!(ends(1023), both(1019, 1023));
}
