//! Guards against what a compiler does not see: the programs run under the sanitizers, and under valgrind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking")]

mod programs;

use programs::{Program, is_there};

/// Programs, how they are compiled, and their parts that take no long.
const PARTS: [(&str, &str, &str, &[&str]); 4] = [
    ("gcc", "-std=c11", "tests/c/life.c", &["opens", "both_sides", "contents", "refused"]),
    (
        "gcc",
        "-std=c11",
        "tests/c/calls.c",
        &["cycle", "parts", "bounded", "follows", "crowd", "status", "sizes"],
    ),
    ("gcc", "-std=c11", "tests/c/ends.c", &["killed", "adopts"]),
    ("g++", "-std=c++17", "tests/cpp/layer.cpp", &["layer"]),
];

/// There, each takes seconds.
const UNDER_VALGRIND: [&str; 4] = ["both_sides", "bounded", "follows", "layer"];

#[test]
fn the_sanitizers_find_nothing() {
    for (compiler, standard, source, parts) in PARTS {
        let arguments = [standard, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
        let Some(program) = Program::build(compiler, &arguments, source) else { return };
        parts.iter().for_each(|part| drop(program.run(part)));
    }
}

#[test]
fn valgrind_finds_nothing() {
    if !is_there("valgrind") {
        return;
    }
    for (compiler, standard, source, parts) in PARTS {
        let Some(program) = Program::build(compiler, &[standard, "-g"], source) else {
            return;
        };
        // Children too; what is leaked is an error, what is kept to the end is none.
        let valgrind = ["valgrind", "-q", "--trace-children=yes", "--leak-check=full", "--error-exitcode=99"];
        let parts = parts.iter().filter(|part| UNDER_VALGRIND.contains(part));
        parts.for_each(|part| drop(program.run_under(&valgrind, part)));
    }
}
