//! Guards `ship` and `receive` of the tool: they become the program that has them, wherever it lies, with the words as they were typed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cli::Scratch;

/// A tool in a directory of its own, so that nothing lies beside it.
fn tool(scratch: &Scratch) -> PathBuf {
    let tool = scratch.file("bin/mmlogctl");
    fs::create_dir_all(tool.parent().unwrap()).unwrap();
    fs::hard_link(env!("CARGO_BIN_EXE_mmlogctl"), &tool)
        .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_mmlogctl"), &tool).map(drop))
        .unwrap();
    tool
}

/// A program that says how it was called.
fn install(directory: &Path, name: &str) {
    fs::create_dir_all(directory).unwrap();
    let file = directory.join("mmlogctl-ship");
    fs::write(&file, format!("#!/bin/sh\necho {name}; printf '<%s>' \"$@\"; exit 4\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(tool: &Path, path: &Path, words: &[&str]) -> Output {
    Command::new(tool).args(words).env("PATH", format!("{}:/usr/bin:/bin", path.display())).output().unwrap()
}

#[test]
fn the_program_is_found_beside_the_tool_in_libexec_and_in_the_path() {
    let scratch = Scratch::new();
    let (tool, elsewhere) = (tool(&scratch), scratch.file("elsewhere"));
    let said = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    for (directory, name) in [
        (elsewhere.clone(), "path"),
        (scratch.file("libexec/mmlog"), "libexec"),
        (scratch.file("bin"), "beside"),
    ] {
        install(&directory, name);
        let output =
            run(&tool, &elsewhere, &["ship", "app.log", "--to", "file:x y", "--check", "--help", "--", "-a"]);
        assert_eq!(
            said(&output),
            format!("{name}\n<ship><app.log><--to><file:x y><--check><--help><--><-a>")
        );
        assert_eq!(output.status.code(), Some(4));
    }
    let output = run(&tool, &elsewhere, &["receive", "--trust-path", "file:x"]);
    assert_eq!(said(&output), "beside\n<receive><--trust-path><file:x>");
    assert_eq!(said(&run(&tool, &elsewhere, &["help", "ship"])), "beside\n<ship><--help>");
}

#[test]
fn where_it_is_missing_the_tool_says_what_has_it() {
    let scratch = Scratch::new();
    let output = run(&tool(&scratch), Path::new("/nowhere"), &["ship", "app.log", "--to", "file:x"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in ["mmlogctl-ship", "the package mmlog-ship", "cargo install --locked --path crates/mmlog-ship"]
    {
        assert!(said.contains(word), "{said}");
    }
}
