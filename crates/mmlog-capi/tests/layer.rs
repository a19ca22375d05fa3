//! Guards the C++ layer: its classes do what the functions of `mmlog.h` do, with exceptions and without.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking")]

mod programs;

use programs::Program;

#[test]
fn the_classes_of_the_cpp_layer_own_what_they_open_and_say_what_is_wrong() {
    for arguments in [&["-std=c++17"][..], &["-std=c++20", "-fno-exceptions", "-fno-rtti"]] {
        let Some(program) = Program::build("g++", arguments, "tests/cpp/layer.cpp") else { return };
        assert_eq!(program.run("layer").0, b"six\nseven\neight\n");
    }
}
