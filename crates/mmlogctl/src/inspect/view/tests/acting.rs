//! What keys and the mouse do.

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::*;
use crate::inspect::model::{Mouse, Screen};

/// Uses the mouse at the place where some text begins.
fn point(model: &mut Model, kind: MouseEventKind, at: &str) -> Option<Request> {
    let text = text(model);
    let lines = (0..).zip(text.lines());
    let place = |(row, line): (u16, &str)| Some((row, line[..line.find(at)?].chars().count()));
    let (row, column) = lines.into_iter().find_map(place).unwrap_or_default();
    let column = u16::try_from(column).unwrap_or(0) + 1;
    model.update(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

const CLICK: MouseEventKind = MouseEventKind::Down(MouseButton::Left);

#[test]
fn a_click_chooses_panes_and_columns_and_the_wheel_scrolls_what_it_points_at() {
    for (size, _) in &SIZES[1..] {
        let mut model = model(&stalled(), *size);
        lines(&mut model);
        point(&mut model, MouseEventKind::ScrollUp, "GET /6");
        assert_eq!(model.shown.pane, Pane::Lines);
        assert!(model.shown.line.is_some(), "{}", text(&model));
        point(&mut model, CLICK, "who ");
        assert_eq!((model.shown.pane, model.sorting.column), (Pane::Writers, 0));
        point(&mut model, CLICK, "segments 2");
        assert_eq!(model.shown.pane, Pane::Segments);
    }
}

#[test]
fn a_click_chooses_a_log_and_another_one_opens_it() {
    let mut model = list(LARGE);
    assert_eq!(point(&mut model, CLICK, "c.log"), None);
    assert_eq!((model.chosen, model.screen), (2, Screen::List));
    assert_eq!(point(&mut model, CLICK, "c.log"), Some(Request::Look));
    assert_eq!(model.screen, Screen::Log);
}

#[test]
fn the_mouse_can_be_left_to_the_terminal_and_taken_again() {
    let mut model = model(&stalled(), LARGE);
    for mouse in [Mouse::Ours, Mouse::Terminals] {
        assert_eq!(press(&mut model, "m"), Some(Request::Mouse(mouse)));
    }
}

#[test]
fn the_command_of_the_next_step_can_be_copied() {
    let mut model = model(&stalled(), LARGE);
    assert_eq!(press(&mut model, "y"), Some(Request::Copy("kill -CONT 4312".to_owned())));
    let mut fine = self::model(&empty(), LARGE);
    assert_eq!(press(&mut fine, "y"), None);
}

#[test]
fn a_pane_can_have_the_whole_screen() {
    let mut model = model(&stalled(), Size::new(120, 40));
    lines(&mut model);
    press(&mut model, "\tz");
    let zoomed = text(&model);
    assert!(!zoomed.contains("messages/s") && zoomed.contains("GET /50"), "{zoomed}");
    press(&mut model, "\x1b");
    assert!(text(&model).contains("messages/s"));
}

#[test]
fn who_may_only_read_sees_no_operations() {
    let mut model = model(&stalled(), LARGE);
    model.access = Access::ReadOnly;
    assert_eq!(press(&mut model, "TRX"), None);
    assert!(model.dialog.is_none() && text(&model).contains("read-only"));
    press(&mut model, "?");
    assert!(!text(&model).contains("plan first"), "{}", text(&model));
}

#[test]
fn a_filter_works_while_it_is_typed_and_escape_forgets_it() {
    let mut model = model(&stalled(), LARGE);
    press(&mut model, "/NGI");
    let filtered = text(&model);
    assert!(filtered.contains("nginx -g") && !filtered.contains("node"), "{filtered}");
    press(&mut model, "\n");
    assert!(!text(&model).contains("node"));
    press(&mut model, "\x1b");
    assert!(text(&model).contains("node"));
}

#[test]
fn writers_are_sorted_by_any_column_both_ways() {
    let mut model = model(&stalled(), LARGE);
    let order = |model: &Model| {
        let text = text(model);
        let table = text.split_once("bytes/s").map_or("", |(_, table)| table);
        let mut found: Vec<_> = ["web", "nginx", "node"].map(|name| (table.find(name), name)).into();
        found.sort_unstable();
        found.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
    };
    assert_eq!(order(&model), ["nginx", "node", "web"], "who is in trouble first, then who appends most");
    press(&mut model, "S");
    assert_eq!(order(&model), ["nginx", "node", "web"], "{}", text(&model));
    press(&mut model, "o");
    assert_eq!(order(&model), ["web", "node", "nginx"], "{}", text(&model));
}

#[test]
fn a_search_goes_from_match_to_match_and_the_end_is_followed_again() {
    let mut model = model(&stalled(), LARGE);
    lines(&mut model);
    show(&mut model, Pane::Lines);
    press(&mut model, "/get /1\n");
    assert!(text(&model).contains("> GET /19 200 red"), "{}", text(&model));
    press(&mut model, "N");
    assert!(
        text(&model).contains("> GET /18 200") && text(&model).contains("* GET /19 200"),
        "{}",
        text(&model)
    );
    press(&mut model, "nn");
    assert!(text(&model).contains("no more matches"), "{}", text(&model));
    press(&mut model, "G");
    assert!(text(&model).contains("\n  last\n"), "{}", text(&model));
    assert_eq!(model.shown.line, None);
}

#[test]
fn paused_it_wants_no_looks_and_says_so() {
    let mut model = model(&stalled(), LARGE);
    press(&mut model, " ");
    assert!(!model.wants(0) && text(&model).contains("PAUSED"));
    assert_eq!(press(&mut model, " "), Some(Request::Look));
}
