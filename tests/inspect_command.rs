//! Guards `mmlogctl inspect`: the real screen in a real terminal, which is given back however it ends; frames and objects
//! for scripts; and logs in any state, which it explains instead of failing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod cli;
mod common;
#[path = "inspect_command/operations.rs"]
mod operations;
#[path = "inspect_command/screen.rs"]
mod screen;
#[path = "inspect_command/scripts.rs"]
mod scripts;
#[path = "inspect_command/terminal.rs"]
mod terminal;
#[path = "inspect_command/tmux.rs"]
mod tmux;

#[test]
fn role() {
    common::play(&[("writer", screen::writer), ("panics", terminal::panics)]);
}
