//! Guards what processes leave that are killed, exit in the middle, or unload the library: at most the append in flight is missing,
//! and nobody is in the way of those who come after.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking")]

mod programs;

use std::sync::OnceLock;

use programs::Program;

fn ends(part: &str) -> Option<(Vec<u8>, String)> {
    static BUILT: OnceLock<Option<Program>> = OnceLock::new();
    let program = BUILT.get_or_init(|| Program::build("gcc", &["-std=c11"], "tests/c/ends.c"));
    program.as_ref().map(|program| program.run(part))
}

/// Each writer's lines from 0 on, all that it had stored and at most one more, then the line of who came after.
fn assert_all_but_what_was_in_flight(left: &[u8], printed: &str) {
    // What a killed process had reserved and not stored reads as NULs.
    let text: Vec<u8> = left.iter().copied().filter(|byte| *byte != 0).collect();
    let text = String::from_utf8(text).unwrap();
    assert!(text.ends_with("after\n"));
    let lines: Vec<&str> =
        text.lines().filter_map(|line| line.split_once(" writer ")).map(|(_, rest)| rest).collect();
    assert_eq!(lines.len(), text.lines().count() - 1);
    for (writer, stored) in printed.lines().enumerate() {
        let stored: usize = stored.parse().unwrap();
        let found: Vec<&str> =
            lines.iter().filter_map(|line| line.strip_prefix(&format!("{writer} line "))).collect();
        assert!(stored >= 500 && (stored..=stored + 1).contains(&found.len()), "{stored}: {}", found.len());
        for (number, line) in found.iter().enumerate() {
            assert_eq!(line.parse::<usize>().unwrap(), number);
        }
    }
}

#[test]
fn of_processes_that_are_killed_at_most_the_append_in_flight_is_missing() {
    let Some((left, printed)) = ends("killed") else { return };
    assert_all_but_what_was_in_flight(&left, &printed);
}

#[test]
fn a_process_may_exit_while_its_threads_append() {
    let Some((left, printed)) = ends("exits") else { return };
    assert_all_but_what_was_in_flight(&left, &printed);
}

#[test]
fn a_log_that_is_closed_while_threads_are_idle_is_exact_also_when_it_is_opened_again() {
    let Some((left, _)) = ends("reopened") else { return };
    assert_eq!(left, b"idle\n".repeat(4));
}

#[test]
fn of_processes_that_close_with_idle_threads_and_end_later_the_last_leaves_an_exact_file() {
    let Some((left, _)) = ends("closed_together") else { return };
    assert_eq!(left, b"idle\n".repeat(2));
}

#[test]
fn a_log_whose_data_file_was_removed_is_not_opened_and_errno_says_so() {
    let Some((left, _)) = ends("data_gone") else { return };
    assert_eq!(left, b"its end");
}

#[test]
fn what_a_program_without_standard_streams_prints_goes_into_no_file_of_the_log() {
    let Some((left, _)) = ends("streamless") else { return };
    assert_eq!(left, b"one\ntwo\n");
}

#[test]
fn a_plain_file_becomes_the_beginning_of_the_log() {
    let Some((left, _)) = ends("adopts") else { return };
    assert_eq!(left, b"it was here before\nit came later\n");
}

#[test]
fn a_log_that_the_original_made_is_left_alone_and_the_text_says_how_to_convert_it() {
    let Some((left, printed)) = ends("original_format") else { return };
    assert!(left.starts_with(b"old\n") && left.len() == 65536);
    assert!(printed.contains("mmlogctl repair --upgrade"), "{printed}");
}

#[test]
fn threads_end_well_after_the_library_was_unloaded() {
    let arguments = ["-std=c11", "-Wno-pedantic", "-Wl,--as-needed"];
    let Some(program) = Program::build("gcc", &arguments, "tests/c/unloads.c") else { return };
    assert_eq!(program.run("unloads").0, b"main\nthread\n".repeat(3));
}
