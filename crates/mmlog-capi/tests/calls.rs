//! Guards the functions of `mmlog.h`: one program calls all of them, compiled as C and as C++.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking")]

mod programs;

use std::sync::OnceLock;

use programs::Program;

/// As C, and as C++: what both leave and print, once it is the same but for the process.
fn both(part: &str) -> Option<(Vec<u8>, String)> {
    static BUILT: OnceLock<[Option<Program>; 2]> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        [
            Program::build("gcc", &["-std=c11"], "tests/c/calls.c"),
            Program::build("g++", &["-std=c++17"], "tests/c/calls.c"),
        ]
    });
    let runs: Vec<_> = built.iter().flatten().map(|program| program.run(part)).collect();
    // Threads leave their lines in any order.
    let sorted = |left: &[u8]| {
        let mut lines: Vec<Vec<u8>> = left.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    assert!(runs.iter().all(|(left, _)| sorted(left) == sorted(&runs[0].0)));
    runs.into_iter().next()
}

#[test]
fn what_is_opened_with_options_and_closed_is_exact_and_opens_again() {
    let Some((left, _)) = both("cycle") else { return };
    assert_eq!(left, b"line\n".repeat(3));
}

#[test]
fn parts_are_one_message_and_what_is_synced_is_said() {
    let Some((left, _)) = both("parts") else { return };
    assert_eq!(left, b"hello world\nsafe\nend\n");
}

#[test]
fn a_program_rotates_prunes_and_changes_the_policy() {
    let Some((left, _)) = both("bounded") else { return };
    assert_eq!(left, b"last\n");
}

#[test]
fn a_follower_waits_and_goes_on_where_another_was() {
    let Some((left, _)) = both("follows") else { return };
    assert_eq!(left, b"before\nnow\n");
}

#[test]
fn structs_of_older_and_newer_programs_are_understood_or_refused() {
    let Some((left, _)) = both("sizes") else { return };
    assert_eq!(left, b"");
}

#[test]
fn threads_that_open_and_close_for_each_line_lose_none() {
    let Some((left, _)) = both("crowd") else { return };
    let text = String::from_utf8(left).unwrap();
    assert_eq!(text.lines().count(), 800);
    for writer in 0..4 {
        let head = format!("writer {writer} line ");
        let numbers =
            text.lines().filter_map(|line| line.strip_prefix(&head)).map(|n| n.parse::<usize>().unwrap());
        assert!(numbers.eq(0..200), "{head}");
    }
}

#[test]
fn the_status_is_json_with_the_keys_of_the_tool() {
    let Some((_, printed)) = both("status") else { return };
    let status: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let page = std::fs::read_to_string(programs::here("../../man/mmlog.3")).unwrap();
    let objects = [&status, &status["writers"][0], &status["segments"][0], &status["durability"]];
    for key in objects.into_iter().flat_map(|object| object.as_object().unwrap().keys()) {
        assert!(
            page.contains(&format!(" {key} ")) || page.contains(&format!(" {key}\n")),
            "mmlog(3) has no {key}"
        );
    }
    assert_eq!(status["schema"], 1);
    assert!(status["path"].as_str().unwrap().ends_with("app.log"));
    assert_eq!((&status["state"], &status["cursor"]), (&"OK".into(), &7.into()));
    assert_eq!(status["writers"][0]["messages"], 1);
    assert_eq!(status["segments"][0]["end"], 7);
    assert!(status["findings"].is_array() && status["holds"].is_array() && status["problem"].is_null());
}
