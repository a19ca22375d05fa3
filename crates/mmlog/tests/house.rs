//! Guards the house: the floors of ARCHITECTURE.md, and the rules that go with them, as the sources keep them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// A source file: its path below the directory it was looked for in, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// What the compiler sees, more or less: no comments, no tests.
    fn code(&self) -> String {
        let text = self.text.split("#[cfg(test)]").next().unwrap();
        text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
    }

    /// `files/open.rs` is of the module `files`.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }
}

fn sources(below: &str) -> Vec<Source> {
    let top = root().join(below);
    let (mut found, mut directories) = (Vec::new(), vec![top.clone()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            // Not a link: what it leads to is looked at where it is.
            if entry.file_type().unwrap().is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(&top).unwrap().display().to_string(), text });
            }
        }
    }
    found
}

fn library() -> Vec<Source> {
    let found = sources("crates/mmlog/src");
    assert!(!found.is_empty());
    found
}

/// First cells of the rows under a heading of ARCHITECTURE.md, without their backticks.
fn table(heading: &str, column: usize) -> Vec<String> {
    let page = architecture();
    let section =
        page.split("\n## ").find(|s| s.starts_with(heading)).unwrap_or_else(|| panic!("no {heading}"));
    let rows = section.lines().filter(|l| l.starts_with('|')).skip(2);
    let cells: Vec<_> = rows.map(|l| l.split('|').nth(column).unwrap().trim().replace('`', "")).collect();
    assert!(!cells.is_empty(), "{heading} has no table");
    cells
}

/// Modules that the code names by `crate::`, also in a list in braces.
fn used_modules(code: &str) -> BTreeSet<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            used.insert(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut at_name = true;
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_name = true,
                c if at_name && !c.is_whitespace() => {
                    used.insert(name(&list[i..]));
                    at_name = false;
                }
                _ => {}
            }
        }
    }
    used
}

fn holders_of(sources: &[Source], needles: &[&str]) -> BTreeSet<String> {
    let has = |s: &&Source| needles.iter().any(|needle| s.code().contains(needle));
    sources.iter().filter(has).map(|s| s.path.clone()).collect()
}

#[test]
fn a_module_uses_only_what_stands_before_it_in_the_table_of_floors() {
    let (floors, modules) = (table("The floors", 1), table("The floors", 2));
    assert!(floors.is_sorted(), "the table goes up: {floors:?}");
    for source in library().iter().filter(|s| s.module() != "lib") {
        let mine = modules.iter().position(|m| m == source.module());
        let mine = mine.unwrap_or_else(|| panic!("{} is on no floor", source.path));
        for used in used_modules(&source.code()) {
            let other = modules.iter().position(|m| *m == used);
            let other =
                other.unwrap_or_else(|| panic!("{} uses crate::{used}, which is on no floor", source.path));
            assert!(
                other <= mine,
                "{} (floor {}) uses {used} (floor {})",
                source.path,
                floors[mine],
                floors[other]
            );
        }
    }
}

#[test]
fn braces_and_paths_are_both_read() {
    let code = "use crate::{error::{At, Fault}, layout::*,\n    sys};\nlet x = crate::slots::scan();";
    assert_eq!(used_modules(code), ["error", "layout", "slots", "sys"].map(String::from).into());
}

#[test]
fn architecture_names_every_file_of_the_library_once() {
    let mut named = table("The files of the library", 1);
    let mut there: Vec<String> = library().into_iter().map(|s| s.path).collect();
    named.sort();
    there.sort();
    assert_eq!(named, there);
}

/// Files right below a directory, without what is below its directories.
fn at_the_top_of(below: &str) -> Vec<Source> {
    sources(below).into_iter().filter(|s| !s.path.contains('/')).collect()
}

#[test]
fn architecture_names_every_process_test_and_every_file_that_commands_share() {
    let page = architecture();
    let section = |heading: &str| page.split("\n## ").find(|s| s.starts_with(heading)).unwrap().to_owned();
    let (tool, tests) = (section("The tool"), section("Tests"));
    for source in at_the_top_of("crates/mmlogctl/src").iter().filter(|s| s.path != "lib.rs") {
        assert!(tool.contains(&format!("`{}`", source.path)), "\"The tool\" does not name {}", source.path);
    }
    for source in at_the_top_of("tests") {
        let name = source.module();
        assert!(tests.contains(&format!("`{name}`")), "the row of `tests/*.rs` does not name `{name}`");
    }
}

/// What stands twice in a page: a line, or a row of one table (by its first cell, numbers aside).
fn twice(page: &str) -> Vec<String> {
    let (mut lines, mut rows, mut is_code) = (BTreeSet::new(), BTreeSet::new(), false);
    let mut found = Vec::new();
    for line in page.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if is_code {
            continue;
        }
        if let Some(row) = line.strip_prefix('|') {
            let key = row.split('|').next().unwrap().trim();
            if key.contains(char::is_alphabetic) && !rows.insert(key) {
                found.push(line.to_owned());
            }
        } else {
            rows.clear();
        }
        let is_said = line.contains(char::is_alphabetic) && !line.starts_with('#');
        if is_said && !lines.insert(line.trim()) {
            found.push(line.to_owned());
        }
    }
    found
}

#[test]
fn no_page_says_anything_twice() {
    for page in ["ARCHITECTURE.md", "CHANGELOG.md", "RELIABILITY.md", "README.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        assert_eq!(twice(&text), [""; 0], "{page}");
    }
}

#[test]
fn what_stands_twice_in_a_page_is_found() {
    let page = "| a | b |\n|---|---|\n| `x.rs` | one |\n| `x.rs` | two |\n| 0 | q |\n| 0 | r |\n\nsaid\n| `x.rs` | 3 |\n\nsaid";
    assert_eq!(twice(page), ["| `x.rs` | two |", "said"]);
    assert_eq!(twice("```\nsaid\n```\nsaid"), [""; 0]);
}

#[test]
fn unsafe_code_is_only_in_the_named_files() {
    let named: BTreeSet<String> = table("Unsafe code", 1).into_iter().collect();
    assert_eq!(holders_of(&library(), &["allow(unsafe_code"]), named);
    assert_eq!(holders_of(&library(), &["unsafe {", "unsafe impl", "unsafe fn"]), named);
    assert_eq!(holders_of(&sources("crates/mmlogctl"), &["allow(unsafe_code", "unsafe {"]), [].into());
    let c = ["border.rs", "calls.rs", "following.rs", "original.rs", "policy.rs", "sized.rs", "ticket.rs"];
    assert_eq!(
        holders_of(&sources("crates/mmlog-capi/src"), &["allow(unsafe_code", "unsafe {"]),
        c.map(String::from).into()
    );
    let process = ["ending.rs", "exit.rs", "registry.rs"].map(String::from);
    assert_eq!(
        holders_of(&sources("crates/mmlog-process/src"), &["allow(unsafe_code", "unsafe {"]),
        process.into()
    );
    let raw = ["aio.rs", "cache.rs", "map.rs", "streams.rs", "uring.rs"].map(String::from);
    assert_eq!(holders_of(&sources("crates/rawio/src"), &["allow(unsafe_code", "unsafe {"]), raw.into());
}

#[test]
fn the_library_prints_nothing_starts_no_thread_and_never_exits() {
    let needles = [
        "println!",
        "print!(",
        "eprint",
        "dbg!",
        "io::stdout",
        "io::stderr",
        "process::exit",
        "abort(",
        "thread::spawn",
        "thread::scope",
        "thread::Builder",
    ];
    assert_eq!(holders_of(&library(), &needles), [].into());
}

/// Functions of the library that sleep, yield or spin, and what in them says that this has an end. Whoever waits for
/// others asks a `Deadline`, which hears the stop flag; the rest is bounded by a count or a constant.
const WAITS: [(&str, &str, &str); 27] = [
    ("append/others.rs", "rest", "Instant::now() < until"),
    ("carry_out.rs", "grow", "deadline.check("),
    ("check.rs", "claim", "LOOKS"),
    ("check.rs", "check_segments", "LOOKS"),
    ("durable.rs", "gather", "gathered.is_over()"),
    ("durable.rs", "settled", "in_flight.is_over()"),
    ("durable.rs", "sync_to", "deadline.check("),
    ("files/writers.rs", "claim", "deadline.check("),
    ("files/behind.rs", "silent_holder", "over.is_over()"),
    ("files/open.rs", "pause", "self.deadline.check("),
    ("files/segments.rs", "open_current", "looks < LOOKS"),
    ("files/turn.rs", "maintenance", "deadline.check("),
    ("files/turn.rs", "wait_for", "deadline.check("),
    ("follow.rs", "new", "PATIENCE"),
    ("follow.rs", "wait", "deadline.is_over()"),
    ("hooks.rs", "turn", "deadline.check("),
    ("repair/apply.rs", "behind_a_gate", "deadline.check("),
    ("repair/facts.rs", "confirmed", "LOOKS"),
    ("rotate.rs", "rotate", "deadline.check("),
    ("status.rs", "to_readers", "SETTLED"),
    ("status/segments.rs", "data_file", "looks == LOOKS"),
    // Another thread of this process opens or closes a descriptor, or forks.
    ("sys/fork.rs", "enter", "BUSY"),
    ("sys/fs.rs", "past_leases", "< LEASED"),
    ("sys/futex.rs", "wait", "timeout"),
    // Gives its turn away once.
    ("sys/last_run.rs", "now_on", "last_ran("),
    ("trim.rs", "trim", "deadline.check("),
    ("trim.rs", "wait_until_final", "closed.is_over()"),
];

/// Name and text of each function.
fn functions(code: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in code.lines() {
        let words = line.trim_start().split("fn ").collect::<Vec<_>>();
        let heads = ["", "pub ", "pub(crate) ", "pub(super) ", "extern \"C\" ", "pub const ", "const "];
        if words.len() > 1 && heads.contains(&words[0]) {
            let name = words[1].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push((name, String::new()));
        }
        if let Some((_, text)) = found.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    found
}

#[test]
fn whatever_waits_in_the_library_has_an_end_that_is_named_here() {
    let calls = ["sleep(", "futex::wait(", "yield_now(", "spin_loop(", "poll(", "park", "Condvar"];
    let mut waits = BTreeSet::new();
    for source in library() {
        for (name, text) in functions(&source.code()) {
            if !calls.iter().any(|call| text.contains(call)) {
                continue;
            }
            let wait = WAITS.iter().find(|(path, function, _)| *path == source.path && *function == name);
            let (_, _, end) =
                wait.unwrap_or_else(|| panic!("what ends the wait in {} of {}?", name, source.path));
            assert!(text.contains(end), "{name} of {} no longer looks at {end}", source.path);
            waits.insert((source.path.clone(), name));
        }
    }
    let named = WAITS.map(|(path, name, _)| (path.to_owned(), name.to_owned()));
    assert_eq!(waits, BTreeSet::from(named), "what no longer waits is not named");
}

#[test]
fn no_function_of_the_library_adds_to_a_time() {
    // Any Duration may come from outside: an addition that does not fit is a panic.
    let needles = ["Instant::now() +", "SystemTime::now() +", "Instant::now().add"];
    assert_eq!(holders_of(&library(), &needles), [].into());
}

#[test]
fn the_tool_asks_for_the_time_where_every_clock_is_right() {
    // Panics where the year has five digits.
    assert_eq!(holders_of(&sources("crates/mmlogctl/src"), &["Timestamp::now()", "Zoned::now()"]), [].into());
}

#[test]
fn only_files_changes_a_length_or_a_name() {
    let needles = ["set_len", "remove_file", "fs::rename", "hard_link", "alloc::allocate", "ftruncate"];
    let outside = |path: &String| !path.starts_with("files/");
    let found: Vec<_> = holders_of(&library(), &needles).into_iter().filter(outside).collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn the_verbs_of_the_protocol_know_no_files_and_one_door_to_atomics() {
    let pure = |s: &Source| ["layout", "metadata", "slots", "places", "times"].contains(&s.module());
    let verbs: Vec<Source> = library().into_iter().filter(pure).collect();
    assert!(verbs.len() >= 3);
    let needles = ["std::fs", "std::io", "std::os", "nix::", "rustix::", "sync::atomic", "crate::sys"];
    assert_eq!(holders_of(&verbs, &needles), [].into());
}

#[test]
fn only_the_tool_knows_command_lines_and_json() {
    let manifest = fs::read_to_string(root().join("crates/mmlog/Cargo.toml")).unwrap();
    for package in ["clap", "serde", "anyhow", "ratatui", "crossterm"] {
        assert!(!manifest.contains(&format!("\n{package}")), "mmlog depends on {package}");
    }
    assert_eq!(holders_of(&library(), &["clap::", "serde_json", "ExitCode"]), [].into());
}

#[test]
fn no_file_has_more_than_500_lines() {
    let long: Vec<String> = ["crates", "tests"]
        .iter()
        .flat_map(|below| sources(below))
        .filter(|s| s.text.lines().count() > 500)
        .map(|s| s.path)
        .collect();
    assert_eq!(long, [""; 0]);
}

#[test]
fn every_process_test_is_a_target_and_says_what_it_guards() {
    let targets = root().join("crates/mmlogctl/tests").canonicalize().unwrap();
    assert_eq!(targets, root().join("tests").canonicalize().unwrap(), "cargo finds them by this link");
    for test in at_the_top_of("tests") {
        assert!(test.text.starts_with("//! "), "{} does not say what it guards", test.path);
    }
}

#[test]
fn every_release_of_the_protocol_has_the_label_of_an_acquire() {
    let all = library();
    let labels = [
        "cursor-order",
        "limit",
        "size",
        "cuts",
        "gate-at",
        "panic",
        "ready",
        "journal",
        "slot",
        "hole",
        "kept",
        "held",
    ];
    for label in labels {
        let lines = |order: &str| {
            let labelled = |l: &str| l.trim_end().ends_with(&format!("// {label}"));
            all.iter().any(|s| s.text.lines().any(|l| labelled(l) && l.contains(order)))
        };
        assert!(lines("Release") || lines("AcqRel"), "no release has the label {label}");
        // A long statement has its label on a line of its own, above it.
        let above = all.iter().any(|s| s.text.lines().any(|l| l.trim() == format!("// {label}")));
        assert!(lines("Acquire") || above, "no acquire has the label {label}");
    }
}

#[test]
fn ci_runs_the_two_commands_of_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(readme.contains("seq 1000000 | cargo run --release -- append demo.log"));
    assert!(readme.contains("cargo test --workspace"));
    assert!(ci.contains("seq 1000000") && ci.contains("cargo run --release -- append demo.log"));
    assert!(ci.contains("cargo test --workspace"));
}
