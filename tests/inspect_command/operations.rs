//! Operations from the screen: plan, typed word, done by the tool itself.

use mmlog::Log;

use crate::tmux::Pane;

#[test]
fn a_trim_shows_its_plan_and_is_done_after_the_word() {
    let Some(pane) = Pane::new("a_trim_shows_its_plan_and_is_done_after_the_word") else { return };
    let path = pane.scratch.log(b"one\n");
    let log = Log::options().open(&path).unwrap();
    log.writer().unwrap().append(b"two\n").unwrap();
    let allocated = std::fs::metadata(&path).unwrap().len();
    assert!(allocated > 8);
    pane.inspects("", &[&path]);
    pane.types("T");
    // The plan is shown while its command still ends; only then is the word asked for.
    let plan = pane.until("type trim or app.log");
    assert!(plan.contains("would cut the data file"), "{plan}");
    pane.runs("yes");
    pane.until("not done: type trim");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), allocated);
    pane.runs("trim");
    let done = pane.until("Enter closes");
    assert!(done.contains("would cut the data file") && done.contains("done, as planned above"), "{done}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 8);
    pane.press("Escape");
    pane.until_screen("no dialog", |screen| !screen.contains("Enter closes"));
}

#[test]
fn a_rotation_is_confirmed_by_the_file_s_name() {
    let Some(pane) = Pane::new("a_rotation_is_confirmed_by_the_file_s_name") else { return };
    let path = pane.scratch.log(b"one\n");
    pane.inspects("", &[&path]);
    pane.types("R");
    pane.until("type rotate or app.log");
    pane.runs("app.log");
    pane.until("Enter closes");
    pane.press("Escape");
    pane.until("segments 2");
    let status = Log::options().open_reader(&path).unwrap().status().unwrap();
    assert_eq!(status.maintenance.command, "mmlogctl", "not the name of the link that it was called by");
}

#[test]
fn a_damaged_log_is_repaired_from_the_screen() {
    let Some(pane) = Pane::new("a_damaged_log_is_repaired_from_the_screen") else { return };
    let path = pane.scratch.log(&b"line\n".repeat(1000));
    std::fs::File::options().write(true).open(&path).unwrap().set_len(4000).unwrap();
    pane.inspects("", &[&path]);
    assert!(pane.screen().starts_with("DAMAGED"), "{}", pane.screen());
    pane.press("Tab");
    pane.until("LINES");
    pane.types("X");
    pane.until("or repair --OPTION");
    pane.runs("repair --nonsense");
    pane.until("not done: type repair");
    pane.runs("repair");
    pane.until("Enter closes");
    pane.press("Escape");
    pane.until_screen("OK", |screen| screen.starts_with("OK ") && screen.contains("holes 1"));
}

#[test]
fn a_log_whose_data_file_is_gone_is_made_anew_with_an_option() {
    let Some(pane) = Pane::new("a_log_whose_data_file_is_gone_is_made_anew_with_an_option") else { return };
    let path = pane.scratch.log(b"one\n");
    std::fs::remove_file(&path).unwrap();
    pane.inspects("", &[&path]);
    pane.types("X");
    pane.until("type repair or app.log");
    pane.runs("repair --recreate");
    pane.until("repair --recreate app.log: the plan");
    pane.runs("repair");
    pane.until("Enter closes");
    pane.press("Escape");
    pane.until_screen("OK", |screen| screen.starts_with("OK "));
    assert!(path.exists());
}

#[test]
fn escape_leaves_a_plan_undone() {
    let Some(pane) = Pane::new("escape_leaves_a_plan_undone") else { return };
    let path = pane.scratch.log(b"one\n");
    pane.inspects("", &[&path]);
    pane.types("R");
    pane.until("type rotate or app.log");
    pane.press("Escape");
    pane.until_screen("no dialog", |screen| !screen.contains("type rotate"));
    pane.types("X");
    let screen = pane.until("Enter closes");
    assert!(screen.contains("nothing to repair") && !screen.contains("type repair"), "{screen}");
    pane.press("Escape");
    let screen = pane.until("segments 1");
    assert!(screen.starts_with("OK "), "{screen}");
}

#[test]
fn read_only_has_no_operations() {
    let Some(pane) = Pane::new("read_only_has_no_operations") else { return };
    let path = pane.scratch.log(b"one\n");
    pane.inspects("--read-only", &[&path]);
    pane.types("TRX");
    pane.types("f");
    let screen = pane.until("FINDINGS");
    assert!(!screen.contains("the plan") && !screen.contains("planning"), "{screen}");
    assert!(screen.contains("read-only"), "{screen}");
}
