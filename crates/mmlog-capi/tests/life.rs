//! Guards programs in C that were written for the original: each is compiled against the header, linked with `-lmmlog`, and leaves
//! every message in an exact file, however it opens, shares, forks and ends.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking")]

mod programs;

use std::sync::OnceLock;

use programs::Program;

/// Runs a part of it on a new log; what it leaves in the data file. `None` without a compiler.
fn left_by(part: &str) -> Option<Vec<u8>> {
    static BUILT: OnceLock<Option<Program>> = OnceLock::new();
    let program = BUILT.get_or_init(|| Program::build("gcc", &["-std=c11"], "tests/c/life.c"));
    program.as_ref().map(|program| program.run(part).0)
}

/// Each writer's lines in their order, none missing, nothing else.
fn assert_lines(left: &[u8], extra: &str, each: usize) -> usize {
    let text = std::str::from_utf8(left).unwrap();
    let mut seen: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let mut count = 0;
    for line in text.lines().filter(|line| extra.is_empty() || *line != extra) {
        let (who, number) = line.rsplit_once(" line ").unwrap();
        let next = seen.entry(who).or_default();
        if each > 0 {
            assert_eq!(number.parse::<usize>().unwrap(), *next, "{who}");
        }
        *next += 1;
        count += 1;
    }
    count
}

#[test]
fn children_that_free_their_handle_and_exit_lose_nothing() {
    let Some(left) = left_by("forks") else { return };
    assert_eq!(assert_lines(&left, "", 500), 2000);
}

#[test]
fn sixteen_opens_of_one_path_are_one_log_and_exit_leaves_it_exact() {
    let Some(left) = left_by("opens") else { return };
    assert_eq!(assert_lines(&left, "", 200), 3200);
}

#[test]
fn more_threads_than_have_writers_of_their_own_share_some() {
    let Some(left) = left_by("threads") else { return };
    assert_eq!(assert_lines(&left, "first", 50), 5000);
}

#[test]
fn a_handle_from_before_the_fork_works_on_both_sides_with_threads() {
    let Some(left) = left_by("both_sides") else { return };
    assert_eq!(assert_lines(&left, "", 0), 10 + 4 * 3 * 50);
}

#[test]
fn children_forked_while_other_threads_append_wait_for_none_of_their_locks() {
    let Some(left) = left_by("forks_beside") else { return };
    let text = std::str::from_utf8(&left).unwrap();
    assert_eq!(text.lines().filter(|line| *line == "child").count(), 200);
    assert!(text.lines().all(|line| ["child", "busy"].contains(&line)));
}

#[test]
fn a_thread_that_ends_gives_its_writer_back() {
    let Some(left) = left_by("short_lived") else { return };
    assert_eq!(left, b"line\n".repeat(1101));
}

#[test]
fn a_thread_that_appends_first_while_it_ends_gives_its_writer_back() {
    let Some(left) = left_by("last") else { return };
    assert_eq!(left, b"last\n".repeat(100));
}

#[test]
fn processes_that_exit_without_any_word_lose_no_message() {
    let Some(left) = left_by("messages") else { return };
    assert_eq!(left.len(), 4 * 10_000 * 4095);
    assert!(left.iter().all(|byte| *byte == b'x'));
}

#[test]
fn any_content_of_any_length_is_there_and_a_trim_keeps_the_place() {
    let Some(left) = left_by("contents") else { return };
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(left[..256], all);
    assert!(left[256..256 + 3 * 512 * 1024].iter().all(|byte| *byte == b'l'));
    assert_eq!(left[256 + 3 * 512 * 1024..], *b"end\n");
}

#[test]
fn what_cannot_be_is_refused_with_errno_and_words() {
    let Some(left) = left_by("refused") else { return };
    assert_eq!(left, b"a");
}
