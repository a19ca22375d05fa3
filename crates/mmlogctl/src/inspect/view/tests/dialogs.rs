//! What lies over the screen.

use super::*;

#[test]
fn help_shows_the_table_of_keys() {
    for (size, name) in SIZES {
        let mut model = model(&stalled(), size);
        press(&mut model, "?");
        let text = text(&model);
        assert_eq!(text.contains("PgDn: more"), size == SMALL, "from 80x24 on all keys are there: {text}");
        // A heading has its keys below it, where all are there.
        let mut rows =
            text.lines().filter(|line| line.starts_with('│')).map(|line| line.trim_matches(['│', ' ']));
        let last = rows.rfind(|row| !row.is_empty()).unwrap_or_default();
        assert!(size == SMALL || !last.ends_with(':'), "{text}");
        insta::assert_snapshot!(format!("help-{name}"), text);
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
        insta::assert_snapshot!(format!("trim-not-done-{name}"), text(&model));
        press(&mut model, "\x1b");
        assert!(model.dialog.is_none());
    }
}

#[test]
fn what_was_done_in_silence_is_said() {
    let mut model = model(&stalled(), LARGE);
    let ended = || Some(Ended { code: Some(0), words: "exit status: 0".to_owned() });
    press(&mut model, "T");
    model.update(Event::Job(News { said: b"app.log: would cut the data file\n".to_vec(), ended: ended() }));
    press(&mut model, "trim\n");
    model.update(Event::Job(News { said: Vec::new(), ended: ended() }));
    insta::assert_snapshot!("trim-done", text(&model));
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
fn a_healthy_log_is_not_asked_to_be_repaired() {
    let mut model = model(&stalled(), LARGE);
    press(&mut model, "X");
    let ended = Some(Ended { code: Some(0), words: String::new() });
    model.update(Event::Job(News { said: b"/var/log/app.log: nothing to repair\n".to_vec(), ended }));
    assert!(model.entry.is_none() && text(&model).contains("nothing to do"), "{}", text(&model));
}
