//! What each view draws, checked in beside this file, and that no size and no status makes it draw anything else.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use mmlog::{Finding, FindingId, Severity, ShipperState, ShipperStatus, State, Status};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::{Color, Modifier};

use super::{draw, plain};
use crate::inspect::action::{Ended, Extent, News};
use crate::inspect::keys::Access;
use crate::inspect::model::{Event, Model, Pane, Request};
use crate::inspect::source::Look;
use crate::inspect::style::{COLOURS, Styles, WORDS};
use crate::inspect::tail::Piece;
use crate::sample;
use crate::who::{Feeder, Who, person};

mod acting;
mod census;
mod dialogs;
mod first_lines;
mod pictures;

const LARGE: Size = Size::new(80, 24);
const SMALL: Size = Size::new(40, 10);
const SIZES: [(Size, &str); 4] =
    [(SMALL, "40x10"), (LARGE, "80x24"), (Size::new(120, 40), "120x40"), (Size::new(200, 60), "200x60")];

/// A log that somebody is about to be called for.
fn stalled() -> Status {
    let mut s = sample::worst();
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds));
    (s.state, s.panic, s.gate, s.unfinished) = (State::Stalled, None, None, None);
    (s.cursor, s.watermark, s.file_size, s.limit) = (12_582_912, 10_485_760, 16_777_216, 16_777_216);
    (s.generation, s.first_kept, s.chunk_size) = (1, 1 << 20, 1 << 22);
    (s.holes_total, s.holes_forgotten, s.file.free) = (1, 0, Ok(41 << 30));
    s.holes.truncate(1);
    (s.holes[0].start, s.holes[0].len, s.holes[0].pid) = (5_000_000, 128, 4312);
    s.holes[0].command = "nginx-log".to_owned();
    s.holds.truncate(1);
    (s.holds[0].name, s.holds[0].position) = ("shipper".to_owned(), 12_000_000);
    s.followers.truncate(1);
    let tail = &mut s.followers[0];
    (tail.name, tail.command_line, tail.pid) = (None, Some("mmlogctl tail -f app.log".to_owned()), 4400);
    (tail.seat.pid, tail.position, tail.lag) = (Some(4400), 12_345_000, 237_912);
    for (segment, name) in s.segments.iter_mut().zip(["app.log.0-0", "app.log"]) {
        (segment.base, segment.end, segment.path) = (0, 4096, name.into());
    }
    (s.lock.held, s.maintenance.held) = (Ok(false), Ok(false));
    s.writers.truncate(3);
    for (nth, (writer, name)) in (0..).zip(s.writers.iter_mut().zip(["web", "nginx-log", "cron"])) {
        (writer.pid, writer.command) = (4311 + nth, name.to_owned());
        writer.seat.pid = Some(writer.pid);
        (writer.messages, writer.bytes) = (1000 * u64::from(nth), 100_000 * u64::from(nth));
        (writer.process, writer.since) = (mmlog::ProcessState::Sleeping, at(u64::from(nth)));
    }
    s.writers[1].process = mmlog::ProcessState::Stopped;
    if let Some(flight) = &mut s.writers[1].in_flight {
        (flight.start, flight.end, flight.for_at_least) = (10_485_760, 10_485_888, Duration::from_secs(192));
    }
    s.writers[2].seat.namespace = Some(4_026_532_000);
    s.findings = vec![
        finding(
            State::Stalled,
            Severity::Warning,
            "writer 4312 (nginx-log) is stopped with 128 bytes in flight at 10485760 (copying), for at least 3m12s; \
             followers see nothing behind it; 2 appends wait for it, the first for 12 s",
            "`kill -CONT 4312`, or `kill -9 4312`: it heals; what is not yet appended, pipe included, is lost",
        ),
        Finding {
            id: FindingId::Holes,
            ..finding(State::Ok, Severity::Info, "1 hole of 128 bytes at 5000000, torn", "nothing to do")
        },
    ];
    s
}

/// One that works: many writers, and nothing to say of it.
fn busy() -> Status {
    let mut s = stalled();
    (s.state, s.watermark, s.problem) = (State::Ok, s.cursor, None);
    s.findings.clear();
    let writer = s.writers[0].clone();
    let one = |slot: u32| mmlog::WriterStatus {
        slot,
        pid: 4300 + slot,
        seat: mmlog::Seat { namespace: None, pid: Some(4300 + slot), uid: None },
        command: "web".to_owned(),
        messages: 30_000 + u64::from(slot) * 1000,
        bytes: 3_000_000 + u64::from(slot) * 100_000,
        ..writer.clone()
    };
    s.writers = (0..16).map(one).collect();
    s
}

fn finding(state: State, severity: Severity, sentence: &str, next: &str) -> Finding {
    let (sentence, next_step) = (sentence.to_owned(), next.to_owned());
    Finding { id: FindingId::WriterStalled, severity, state, sentence, next_step, pid: None }
}

fn empty() -> Status {
    let mut s = stalled();
    (s.state, s.cursor, s.watermark, s.file_size, s.limit, s.chunk_size) = (State::Ok, 0, 0, 0, 0, 0);
    (s.problem, s.next_step) = (None, "nothing to do".to_owned());
    s.writers.clear();
    s.holes.clear();
    s.holds.clear();
    s.followers.clear();
    s.segments.clear();
    s.findings.clear();
    s
}

fn looked(model: &mut Model, log: usize, seconds: u64, look: Look) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds);
    model.update(Event::Looked { log, at: Duration::from_secs(seconds), look });
    model.update(Event::Round(now));
}

/// One log, after it was looked at for some seconds.
fn model(status: &Status, size: Size) -> Model {
    let mut model = Model::new(&[PathBuf::from("/var/log/app.log")], Access::Operate, size);
    for second in 0..20_u64 {
        let mut then = status.clone();
        let missing = (19 - second) * 10_000;
        then.cursor = then.cursor.saturating_sub(missing);
        for (nth, writer) in (1..).zip(&mut then.writers) {
            writer.bytes = writer.bytes.saturating_sub(missing / nth);
            writer.messages = writer.messages.saturating_sub(missing / nth / 100);
        }
        for follower in &mut then.followers {
            follower.position = follower.position.saturating_sub(missing / 2);
        }
        looked(&mut model, 0, second, Ok(Box::new(then)));
    }
    introduce(&mut model);
    model
}

/// Says who some of the writers are.
fn introduce(model: &mut Model) {
    let writers = model.log().status().map(|status| status.writers.clone()).unwrap_or_default();
    let all = [("nginx -g daemon off;", "nginx.service"), ("node worker.js --queue mail", "mail.service")];
    let who = |(command_line, unit): (&str, &str)| Who {
        command_line: "mmlogctl append /var/log/app.log".to_owned(),
        user: "www-data".to_owned(),
        unit: Some("session.service".to_owned()),
        feeder: Some(Feeder {
            pid: 4000,
            command_line: command_line.to_owned(),
            unit: Some(unit.to_owned()),
        }),
        line: Vec::new(),
    };
    let people = writers.iter().skip(1).zip(all.iter().cycle());
    let people = people.filter_map(|(writer, of)| Some((person(writer)?, who(*of)))).collect();
    model.update(Event::Introduced { log: 0, people });
}

fn press(model: &mut Model, keys: &str) -> Option<Request> {
    let event = |c| match c {
        '\n' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '\x1b' => KeyCode::Esc,
        c => KeyCode::Char(c),
    };
    let mut request = None;
    for key in keys.chars() {
        request = model.update(Event::Key(KeyEvent::new(event(key), KeyModifiers::NONE)));
    }
    request
}

fn show(model: &mut Model, pane: Pane) {
    while model.shown.pane != pane {
        press(model, "\t");
    }
}

/// Drawn as the screen does it.
fn drawn(model: &Model, styles: &Styles) -> Buffer {
    let backend = TestBackend::new(model.size.width, model.size.height);
    let mut terminal = Terminal::new(backend).unwrap_or_else(|never| match never {});
    let done = terminal.draw(|frame| draw(model, styles, frame.buffer_mut()));
    done.unwrap_or_else(|never| match never {}).buffer.clone()
}

fn text(model: &Model) -> String {
    plain(&drawn(model, &WORDS))
}

fn lines(model: &mut Model) {
    let bytes = (0..70).fold(String::new(), |all, n| all + &format!("GET /{n} 200 \x1b[31mred\n"));
    let bytes = bytes + "2027-01-15 ERROR upstream timed out\n2027-01-15 WARN retry\n";
    let hole = stalled().holes[0].clone();
    let pieces =
        vec![Piece::Start(0), Piece::Bytes(bytes.into()), Piece::Hole(hole), Piece::Bytes("last\n".into())];
    model.update(Event::Read { log: 0, pieces });
}

/// Prints what `tests/measure.sh frame` shows: the median of 201 frames of each size, from a model to the cells that differ.
#[test]
#[ignore = "a measurement, not a claim"]
#[allow(clippy::print_stdout)]
fn how_long_a_frame_takes() {
    for (size, name) in SIZES {
        let mut model = model(&sample::worst(), size);
        lines(&mut model);
        let backend = TestBackend::new(size.width, size.height);
        let mut terminal = Terminal::new(backend).unwrap_or_else(|never| match never {});
        let mut frame = || {
            let begun = Instant::now();
            let done = terminal.draw(|frame| draw(&model, &COLOURS, frame.buffer_mut()));
            done.unwrap_or_else(|never| match never {});
            begun.elapsed()
        };
        let mut took: Vec<Duration> = (0..201).map(|_| frame()).collect();
        took.sort_unstable();
        println!(
            "a frame of inspect at {name}: {} us, the longest {} us",
            took[100].as_micros(),
            took[200].as_micros()
        );
    }
}

#[test]
fn every_pane_is_drawn_on_small_screens() {
    for (size, name) in [(LARGE, "80x24"), (SMALL, "40x10")] {
        for pane in Pane::ALL {
            let mut model = model(&stalled(), size);
            lines(&mut model);
            show(&mut model, pane);
            insta::assert_snapshot!(format!("{}-{name}", pane.name()), text(&model));
        }
    }
}

#[test]
fn every_kind_of_log_is_drawn_at_every_size() {
    let mut damaged = sample::worst();
    let advice =
        "`mmlogctl repair /var/log/app.log`; `mmlogctl repair --dry-run /var/log/app.log` shows the plan";
    let problem = "the data file has 4096 bytes, its metadata says 16777216";
    damaged.findings = vec![finding(State::Damaged, Severity::Critical, problem, advice)];
    damaged.state = State::Damaged;
    let all = [
        ("stalled", stalled()),
        ("busy", busy()),
        ("empty", empty()),
        ("worst", sample::worst()),
        ("damaged", damaged),
    ];
    for (kind, status) in all {
        for (size, name) in SIZES {
            let mut model = model(&status, size);
            if kind != "empty" {
                lines(&mut model);
            }
            insta::assert_snapshot!(format!("{kind}-{name}"), text(&model));
        }
    }
}

#[test]
fn a_large_screen_has_no_empty_row() {
    for status in [stalled(), busy(), empty()] {
        for (size, _) in &SIZES[2..] {
            let mut model = model(&status, *size);
            lines(&mut model);
            let text = text(&model);
            let blank = |line: &&str| line.trim_matches(['\u{2502}', ' ', '\u{2800}']).is_empty();
            assert_eq!(text.lines().filter(blank).count(), 0, "{text}");
        }
    }
}

#[test]
fn a_log_that_cannot_be_looked_at_is_explained() {
    let gone = finding(State::Ok, Severity::Critical, "no such log", "`mmlogctl init` or `append` makes it");
    for (size, name) in SIZES {
        let mut model = Model::new(&[PathBuf::from("/var/log/app.log")], Access::Operate, size);
        insta::assert_snapshot!(format!("not-looked-at-{name}"), text(&model));
        looked(&mut model, 0, 1, Err(Box::new(gone.clone())));
        insta::assert_snapshot!(format!("unreadable-{name}"), text(&model));
    }
}

fn list(size: Size) -> Model {
    let paths = ["/var/log/a.log", "/var/log/a-directory-with-a-long-name/b.log", "c.log"].map(PathBuf::from);
    let mut model = Model::new(&paths, Access::Operate, size);
    looked(&mut model, 0, 1, Ok(Box::new(busy())));
    looked(&mut model, 0, 3, Ok(Box::new(busy())));
    looked(&mut model, 1, 1, Ok(Box::new(stalled())));
    looked(&mut model, 2, 1, Ok(Box::new(empty())));
    model
}

#[test]
fn several_logs_are_a_list_with_the_worst_first() {
    for (size, name) in SIZES {
        let mut model = list(size);
        insta::assert_snapshot!(format!("list-{name}"), text(&model));
        assert!(text(&model).starts_with("3 logs: 1 STALLED, 2 OK"));
        press(&mut model, "j");
        assert_eq!(press(&mut model, "\n"), Some(Request::Look));
        assert!(text(&model).starts_with("OK  /var/log/a.log"), "{}", text(&model));
        press(&mut model, "\x1bk");
        assert_eq!(press(&mut model, "\n"), Some(Request::Look));
        assert!(text(&model).starts_with("STALLED"), "{}", text(&model));
    }
}

#[test]
fn a_list_is_filtered_and_never_opens_what_is_not_there() {
    let mut model = list(LARGE);
    press(&mut model, "/C.LOG\n");
    assert!(text(&model).contains("c.log") && !text(&model).contains("a.log"), "{}", text(&model));
    press(&mut model, "/nothing\n");
    assert_eq!(press(&mut model, "\n"), None);
    press(&mut model, "\x1b");
    assert!(text(&model).contains("a.log"));
}

#[test]
fn where_the_locale_has_no_more_only_ascii_is_drawn() {
    for (size, _) in SIZES {
        let mut model = model(&stalled(), size);
        lines(&mut model);
        for _ in Pane::ALL {
            press(&mut model, "\t");
            let text = plain(&drawn(&model, &COLOURS.in_ascii()));
            assert!(text.is_ascii(), "{text}");
        }
        press(&mut model, "?");
        assert!(plain(&drawn(&model, &WORDS.in_ascii())).is_ascii());
    }
}

#[test]
fn colours_say_nothing_that_words_do_not() {
    let mut model = model(&stalled(), LARGE);
    assert_eq!(plain(&drawn(&model, &COLOURS)), plain(&drawn(&model, &WORDS)));
    press(&mut model, "?");
    for cell in drawn(&model, &WORDS).content() {
        assert!(
            cell.fg == Color::Reset && cell.bg == Color::Reset && !cell.modifier.contains(Modifier::BOLD)
        );
    }
}

#[test]
fn no_size_makes_it_panic_or_draw_anything_unprintable() {
    let heights = [1, 2, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 19, 20, 24, 30, 57, 100];
    for status in [sample::worst(), empty()] {
        let mut model = model(&status, LARGE);
        lines(&mut model);
        for width in (1..=120).chain((121..=300).step_by(13)) {
            // Every pane and dialog comes by.
            press(&mut model, ["\t", "?", "?", "l", "j", "G"][usize::from(width) % 6]);
            for height in heights {
                let size = Size::new(width, height);
                model.update(Event::Size(size));
                let mut buffer = Buffer::empty(Rect::from((Position::ORIGIN, size)));
                draw(&model, &WORDS, &mut buffer);
                let text = plain(&buffer);
                let clean =
                    |line: &str| !line.chars().any(char::is_control) && line.chars().count() <= width.into();
                assert!(text.lines().all(clean), "{size}: {text}");
                assert_eq!(text.lines().count(), usize::from(height));
            }
        }
    }
}

#[test]
fn metadata_from_anywhere_is_only_text() {
    let mut s = stalled();
    let evil = "\x1b]0;owned\x07\u{202e}\u{9b}2J\u{1f9e8}\u{4e2d}\u{6587}";
    s.writers.iter_mut().for_each(|w| w.command = evil.to_owned());
    (s.holes[0].command, s.holds[0].name, s.lock.command) = (evil.into(), evil.into(), evil.into());
    (s.followers[0].name, s.followers[0].command_line) = (Some(evil.into()), Some(evil.into()));
    (s.findings[0].sentence, s.findings[0].next_step) = (evil.into(), evil.into());
    s.holds[0].shipper = Some(away(evil));
    let mut model = model(&s, LARGE);
    model.logs[0].path = evil.into();
    for pane in Pane::ALL {
        show(&mut model, pane);
        let text = text(&model);
        let hidden = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(hidden), "{text:?}");
    }
}

#[test]
fn of_a_segments_name_that_has_no_room_the_end_is_shown() {
    let mut s = stalled();
    s.segments[0].path =
        "/var/log/the-name-of-a-program.log.00000000000000000007-00000000000000004096".into();
    let mut model = model(&s, LARGE);
    show(&mut model, Pane::Segments);
    let text = text(&model);
    assert!(text.contains(" ...000007-00000000000000004096"), "{text}");
}

/// As a shipper says it of itself.
fn away(why: &str) -> ShipperStatus {
    let mut shipper = ShipperStatus::default();
    (shipper.sink, shipper.why) = ("nats://n1/logs".to_owned(), why.to_owned());
    (shipper.state, shipper.acked) = (ShipperState::Away, Some(12_582_912 - 4096));
    shipper
}

#[test]
fn of_a_shipper_the_state_is_shown_and_its_sink_and_what_keeps_it_and_how_far_that_sink_is() {
    let mut s = stalled();
    s.holds[0].shipper = Some(away("connection refused"));
    let mut model = model(&s, (200, 60).into());
    show(&mut model, Pane::Followers);
    model.zoomed = true;
    let text = text(&model);
    let row = text.lines().find(|line| line.contains("nats://n1/logs")).unwrap_or(&text);
    for part in ["shipper", "  4K", "12578816", "away", "nats://n1/logs: connection refused"] {
        assert!(row.contains(part), "{part}: {text}");
    }
}
