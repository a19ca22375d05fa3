//! `mmlogctl`, the operations tool of mmlog.
//!
//! One file a command under [`commands`], each with clap's arguments and `run(args, out)`.
//! [`output`] is the only module that prints, [`exit`] the only one that knows exit codes.
// For `json!`, which needs one for each key of `status --json`.
#![recursion_limit = "256"]

use std::process::ExitCode;

pub mod arguments;
pub mod cli;
pub mod colours;
pub mod commands;
pub mod discovery;
pub mod each;
pub mod exit;
pub mod inspect;
mod link;
mod metrics;
pub mod output;
pub mod progress;
pub mod reading;
mod replace;
pub mod rules;
#[cfg(test)]
mod sample;
pub mod signals;
pub mod storing;
pub mod text;
pub mod times;
pub mod typed;
mod unmade;
mod waits;
pub mod who;

use commands::bench::worker;
use commands::drill::role::{self, RoleArgs};
use exit::{Exit, Failure};
use output::{Output, Standard};

/// Parses the command line, runs the command, reports its failure.
#[must_use]
pub fn main() -> ExitCode {
    // On the stage of a drill, in a run of a bench; no commands, so that no page and no completion has them.
    if let Some(role) = RoleArgs::asked(std::env::args_os()) {
        return finish(|out| role::run(&role, out).map(ExitCode::from));
    }
    if let Some(told) = worker::asked(std::env::args_os()) {
        return finish(|out| worker::run(&told, out).map(ExitCode::from));
    }
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(help_or_usage) => {
            // clap prints help to stdout and errors to stderr; a closed pipe is none of our business.
            let printed = help_or_usage.print();
            if help_or_usage.use_stderr() {
                return exit::of_usage(std::env::args_os());
            }
            return finish(|_| {
                printed.map_err(|e| Failure::of_stream(Standard::Output, &e)).map(|()| Exit::Done.into())
            });
        }
    };
    finish(|out| commands::run(&command, out))
}

fn finish(run: impl FnOnce(&mut Output) -> Result<ExitCode, Failure>) -> ExitCode {
    let mut out = Output::standard();
    // As a child of our own we are called by a link of /proc, whose name would stand in the log's records.
    let _ = rustix::thread::set_name(c"mmlogctl");
    if let Err(e) = mmlog::guard_against_sigbus() {
        out.notice(&format!("SIGBUS stays deadly: {e}; do not truncate logs that are open"));
    }
    // Without the handler the limit ends us, as it does others.
    let _ = signals::survive_size_limit();
    let ended = run(&mut out);
    out.clear_progress();
    let exit = ended.unwrap_or_else(|failure| {
        out.report(&failure);
        failure.exit().into()
    });
    match signals::ended_by() {
        Some(signal) if exit != ExitCode::SUCCESS => signals::die_of(signal),
        _ => exit,
    }
}
