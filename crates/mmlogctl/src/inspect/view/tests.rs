//! What each view draws, checked in beside this file, and that no size and no status makes it draw anything else.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mmlog::{Finding, FindingId, Severity, State, Status};
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

const LARGE: Size = Size::new(80, 24);
const SMALL: Size = Size::new(40, 10);

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
    for (segment, name) in s.segments.iter_mut().zip(["app.log.0-0", "app.log"]) {
        (segment.base, segment.end, segment.path) = (0, 4096, name.into());
    }
    (s.lock.held, s.maintenance.held) = (Ok(false), Ok(false));
    s.writers.truncate(3);
    for (nth, (writer, name)) in (0..).zip(s.writers.iter_mut().zip(["web", "nginx-log", "cron"])) {
        (writer.pid, writer.command) = (4311 + nth, name.to_owned());
        (writer.messages, writer.bytes) = (1000 * u64::from(nth), 100_000 * u64::from(nth));
        (writer.process, writer.since) = (mmlog::ProcessState::Sleeping, at(u64::from(nth)));
    }
    s.writers[1].process = mmlog::ProcessState::Stopped;
    if let Some(flight) = &mut s.writers[1].in_flight {
        (flight.start, flight.end, flight.for_at_least) = (10_485_760, 10_485_888, Duration::from_secs(192));
    }
    s.writers[2].seat.namespace = Some(4_026_532_000);
    s.findings = vec![finding(
        State::Stalled,
        Severity::Warning,
        "writer 4312 (nginx-log) is stopped with 128 bytes in flight at 10485760 (copying, for at least 3m12s); \
         followers cannot pass it",
        "`kill -CONT 4312`, or `kill -9 4312`: it heals by itself, at most its one append is lost",
    )];
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
    s.segments.clear();
    s.findings.clear();
    s
}

fn looked(model: &mut Model, log: usize, seconds: u64, look: Look) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds);
    model.update(Event::Looked { log, at: Duration::from_secs(seconds), now, look });
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
        looked(&mut model, 0, second, Ok(Box::new(then)));
    }
    model
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
    let bytes = (0..40).fold(String::new(), |all, n| all + &format!("GET /{n} 200 \x1b[31mred\n"));
    let hole = stalled().holes[0].clone();
    let pieces =
        vec![Piece::Start(0), Piece::Bytes(bytes.into()), Piece::Hole(hole), Piece::Bytes("last\n".into())];
    model.update(Event::Read { log: 0, pieces });
}

#[test]
fn every_pane_is_drawn_in_both_forms() {
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
fn every_kind_of_log_is_drawn() {
    let of = |status: &Status| text(&model(status, LARGE));
    insta::assert_snapshot!("empty", of(&empty()));
    let mut worst = sample::worst();
    insta::assert_snapshot!("worst", of(&worst));
    let advice =
        "`mmlogctl repair /var/log/app.log`; `mmlogctl repair --dry-run /var/log/app.log` shows the plan";
    let problem = "the data file has 4096 bytes, its metadata says 16777216";
    worst.findings = vec![finding(State::Damaged, Severity::Critical, problem, advice)];
    worst.state = State::Damaged;
    insta::assert_snapshot!("damaged", of(&worst));
}

#[test]
fn a_log_that_cannot_be_looked_at_is_explained() {
    let gone = finding(State::Ok, Severity::Critical, "no such log", "`mmlogctl init` or `append` makes it");
    for (size, name) in [(LARGE, "80x24"), (SMALL, "40x10")] {
        let mut model = Model::new(&[PathBuf::from("/var/log/app.log")], Access::Operate, size);
        insta::assert_snapshot!(format!("not-looked-at-{name}"), text(&model));
        looked(&mut model, 0, 1, Err(Box::new(gone.clone())));
        insta::assert_snapshot!(format!("unreadable-{name}"), text(&model));
    }
}

#[test]
fn several_logs_are_a_list() {
    for (size, name) in [(LARGE, "80x24"), (SMALL, "40x10")] {
        let paths =
            ["/var/log/a.log", "/var/log/a-directory-with-a-long-name/b.log", "c.log"].map(PathBuf::from);
        let mut model = Model::new(&paths, Access::Operate, size);
        looked(&mut model, 0, 1, Ok(Box::new(empty())));
        looked(&mut model, 1, 1, Ok(Box::new(stalled())));
        press(&mut model, "j");
        insta::assert_snapshot!(format!("list-{name}"), text(&model));
        assert_eq!(press(&mut model, "\n"), Some(Request::Look));
        assert!(text(&model).starts_with("STALLED"), "{}", text(&model));
        press(&mut model, "\x1b");
        assert!(text(&model).starts_with("3 logs"));
    }
}

#[test]
fn help_shows_the_table_of_keys() {
    for (size, name) in [(LARGE, "80x24"), (SMALL, "40x10")] {
        let mut model = model(&stalled(), size);
        press(&mut model, "?");
        insta::assert_snapshot!(format!("help-{name}"), text(&model));
    }
}

#[test]
fn an_operation_shows_its_plan_and_asks_for_a_word() {
    let ended = |code: i32| Some(Ended { code: Some(code), words: format!("exit status: {code}") });
    let news = |said: &str, ended| Event::Job(News { said: said.into(), ended });
    for (size, name) in [(LARGE, "80x24"), (SMALL, "40x10")] {
        let mut model = model(&stalled(), size);
        assert!(
            matches!(press(&mut model, "T"), Some(Request::Run(order)) if order.log.ends_with("app.log"))
        );
        model.update(news(
            "app.log: would cut the data file \x1b[31m from 16777216 to 12582912 bytes\n",
            ended(0),
        ));
        assert_eq!(press(&mut model, "tri\n"), None);
        insta::assert_snapshot!(format!("trim-wrong-word-{name}"), text(&model));
        press(&mut model, "tri");
        insta::assert_snapshot!(format!("trim-plan-{name}"), text(&model));
        assert!(matches!(press(&mut model, "m\n"), Some(Request::Run(_))));
        model.update(news("mmlogctl: app.log: another process is in the way\n", ended(3)));
        insta::assert_snapshot!(format!("trim-done-{name}"), text(&model));
        press(&mut model, "\x1b");
        assert!(model.dialog.is_none());
    }
}

#[test]
fn a_plan_of_nothing_is_not_asked_about() {
    let mut model = model(&stalled(), LARGE);
    press(&mut model, "R");
    press(&mut model, "\x1b");
    assert!(model.dialog.is_some(), "what runs is not left alone");
    model.update(Event::Job(News {
        said: Vec::new(),
        ended: Some(Ended { code: Some(0), words: String::new() }),
    }));
    assert!(model.entry.is_none() && text(&model).contains("nothing to do"), "{}", text(&model));
}

#[test]
fn the_log_s_file_name_confirms_too() {
    let mut model = model(&stalled(), LARGE);
    press(&mut model, "X");
    let ended = Some(Ended { code: Some(0), words: String::new() });
    model.update(Event::Job(News { said: b"plan\n".to_vec(), ended }));
    assert!(matches!(press(&mut model, "app.log\n"), Some(Request::Run(_))));
}

#[test]
fn a_repair_can_be_planned_again_with_an_option() {
    let mut model = model(&stalled(), LARGE);
    press(&mut model, "X");
    let left = |code| Some(Ended { code: Some(code), words: format!("exit status: {code}") });
    model.update(Event::Job(News { said: b"left: `repair --clear-panic`\n".to_vec(), ended: left(4) }));
    assert_eq!(press(&mut model, "repair --all\n"), None, "no option of repair");
    let Some(Request::Run(order)) = press(&mut model, "repair --clear-panic\n") else { unreachable!() };
    assert_eq!((order.extent, order.options), (Extent::Plan, vec!["--clear-panic".to_owned()]));
    model.update(Event::Job(News { said: b"plan: take the flag away\n".to_vec(), ended: left(0) }));
    insta::assert_snapshot!("repair-plan", text(&model));
    let Some(Request::Run(order)) = press(&mut model, "repair\n") else { unreachable!() };
    assert_eq!((order.extent, order.options), (Extent::All, vec!["--clear-panic".to_owned()]));
}

#[test]
fn who_may_only_read_sees_no_operations() {
    let mut model = model(&stalled(), LARGE);
    model.access = Access::ReadOnly;
    assert_eq!(press(&mut model, "TRX"), None);
    assert!(model.dialog.is_none() && text(&model).contains("read-only"));
    press(&mut model, "?");
    assert!(!text(&model).contains("confirm"), "{}", text(&model));
}

#[test]
fn a_filter_works_while_it_is_typed_and_escape_forgets_it() {
    let mut model = model(&stalled(), LARGE);
    press(&mut model, "/NGI");
    let filtered = text(&model);
    assert!(filtered.contains("4312 nginx-log") && !filtered.contains("4311 web"), "{filtered}");
    press(&mut model, "\n");
    assert!(!text(&model).contains("4311 web"));
    press(&mut model, "\x1b");
    assert!(text(&model).contains("4311 web"));
}

#[test]
fn writers_are_sorted_by_any_column_both_ways() {
    let mut model = model(&stalled(), LARGE);
    let order = |model: &Model| {
        let text = text(model);
        let mut found: Vec<_> =
            ["web ", "nginx-log  ", "cron "].map(|name| (text.find(&format!(" {name}")), name)).into();
        found.sort();
        found.into_iter().map(|(_, name)| name.trim()).collect::<Vec<_>>()
    };
    assert_eq!(order(&model), ["nginx-log", "web", "cron"], "who holds others up comes first");
    press(&mut model, "ss");
    assert_eq!(order(&model), ["cron", "nginx-log", "web"], "{}", text(&model));
    press(&mut model, "o");
    assert_eq!(order(&model), ["web", "nginx-log", "cron"], "{}", text(&model));
}

#[test]
fn a_search_goes_from_match_to_match_and_the_end_is_followed_again() {
    let mut model = model(&stalled(), LARGE);
    lines(&mut model);
    show(&mut model, Pane::Lines);
    press(&mut model, "/get /1\n");
    assert!(text(&model).contains("> GET /19 200 \\u{1b}[31mred"), "{}", text(&model));
    press(&mut model, "N");
    assert!(
        text(&model).contains("> GET /18 200") && text(&model).contains("* GET /19 200"),
        "{}",
        text(&model)
    );
    press(&mut model, "nn");
    assert!(text(&model).contains("no more matches"), "{}", text(&model));
    press(&mut model, "G");
    assert!(text(&model).contains("\nlast\n"), "{}", text(&model));
    assert_eq!(model.shown.line, None);
}

#[test]
fn paused_it_wants_no_looks_and_says_so() {
    let mut model = model(&stalled(), LARGE);
    press(&mut model, " ");
    assert!(!model.wants(0) && text(&model).contains("PAUSED"));
    assert_eq!(press(&mut model, " "), Some(Request::Look));
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
        for width in 1..=300 {
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
    (s.findings[0].sentence, s.findings[0].next_step) = (evil.into(), evil.into());
    let mut model = model(&s, LARGE);
    model.logs[0].path = evil.into();
    for pane in Pane::ALL {
        show(&mut model, pane);
        let text = text(&model);
        let hidden = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(hidden), "{text:?}");
    }
}

/// Prints what a frame takes; `cargo test --release -p mmlogctl --lib -- --ignored --nocapture frame`.
#[test]
#[ignore = "measures, asserts nothing"]
fn how_long_a_frame_of_1024_writers_takes() {
    let mut status = stalled();
    let writer = status.writers[1].clone();
    status.writers =
        (0..1024).map(|slot| mmlog::WriterStatus { slot, pid: 9000 + slot, ..writer.clone() }).collect();
    for size in [LARGE, Size::new(300, 100)] {
        let model = model(&status, size);
        let begun = std::time::Instant::now();
        for _ in 0..100 {
            drawn(&model, &COLOURS);
        }
        let each = begun.elapsed() / 100;
        let mut out = crate::output::Output::standard();
        out.notice(&format!("{size}, 1024 writers: {each:?} a frame"));
    }
}
