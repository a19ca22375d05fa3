//! Guards the functions of `mmlog.h`: one program calls all of them, compiled as C and as C++.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking")]

mod programs;

use std::sync::OnceLock;

use programs::Program;

/// As C, and as C++: what each leaves and prints; nothing of a compiler that is not there.
fn both(part: &str) -> Vec<(Vec<u8>, String)> {
    static BUILT: OnceLock<[Option<Program>; 2]> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        [
            Program::build("gcc", &["-std=c11"], "tests/c/calls.c"),
            Program::build("g++", &["-std=c++17"], "tests/c/calls.c"),
        ]
    });
    built.iter().flatten().map(|program| program.run(part)).collect()
}

#[test]
fn what_is_opened_with_options_and_closed_is_exact_and_opens_again() {
    for (left, _) in both("cycle") {
        assert_eq!(left, b"line\n".repeat(3));
    }
}

#[test]
fn parts_are_one_message_and_what_is_synced_is_said() {
    for (left, _) in both("parts") {
        assert_eq!(left, b"hello world\nsafe\nend\n");
    }
}

#[test]
fn a_program_rotates_prunes_and_changes_the_policy() {
    for (left, _) in both("bounded") {
        assert_eq!(left, b"last\n");
    }
}

#[test]
fn a_follower_waits_and_goes_on_where_another_was() {
    for (left, _) in both("follows") {
        assert_eq!(left, b"before\nnow\n");
    }
}

#[test]
fn structs_of_older_and_newer_programs_are_understood_or_refused() {
    for (left, _) in both("sizes") {
        assert_eq!(left, b"");
    }
}

#[test]
fn threads_that_open_and_close_for_each_line_lose_none() {
    for (left, _) in both("crowd") {
        let text = String::from_utf8(left).unwrap();
        assert_eq!(text.lines().count(), 800);
        for writer in 0..4 {
            let head = format!("writer {writer} line ");
            let numbers =
                text.lines().filter_map(|line| line.strip_prefix(&head)).map(|n| n.parse::<usize>().unwrap());
            assert!(numbers.eq(0..200), "{head}");
        }
    }
}

#[test]
fn children_forked_while_others_open_and_close_wait_for_nobody() {
    for (left, _) in both("forks") {
        let text = String::from_utf8(left).unwrap();
        assert_eq!(text.lines().filter(|line| *line == "child").count(), 100);
        assert!(text.lines().all(|line| ["child", "busy"].contains(&line)));
    }
}

#[test]
fn the_status_is_json_with_the_keys_of_the_tool() {
    for (_, printed) in both("status") {
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
}
