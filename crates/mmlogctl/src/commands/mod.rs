//! The commands, one file each: clap's arguments and `run(args, out) -> Result<Exit, Failure>`.

use std::process::ExitCode;

use crate::cli::Command;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::signals;

pub mod append;
pub mod bench;
pub mod cat;
pub mod check;
pub mod drill;
pub mod exec;
pub mod grep;
pub mod init;
pub mod inspect;
pub mod ls;
pub mod policy;
pub mod prune;
pub mod repair;
pub mod rm;
pub mod rotate;
pub mod segments;
pub mod ship;
pub mod stats;
pub mod status;
pub mod tail;
pub mod trim;

/// Runs the command that was typed. Its exit code is one of [`Exit`], for `check` one of
/// [`Verdict`](crate::exit::Verdict) (as for `--exit-code` of `status` and `ls`), for `grep` one of
/// [`Found`](crate::exit::Found), for `exec` that of the program.
///
/// # Errors
/// What the command could not do.
pub fn run(command: &Command, out: &mut Output) -> Result<ExitCode, Failure> {
    // The others end by signals in their own ways: they have input, output, a program or a screen to see to.
    if matches!(
        command,
        Command::Init(_)
            | Command::Cat(_)
            | Command::Ls(_)
            | Command::Stats(_)
            | Command::Status(_)
            | Command::Check(_)
            | Command::Repair(_)
            | Command::Trim(_)
            | Command::Policy(_)
            | Command::Rotate(_)
            | Command::Prune(_)
            | Command::Segments(_)
            | Command::Rm(_)
    ) {
        signals::end_by_them();
    }
    let exit: Exit = match command {
        Command::Init(args) => init::run(args, out)?,
        Command::Append(args) => append::run(args, out)?,
        Command::Exec(args) => return Ok(exec::run(args, out)),
        Command::Cat(args) => cat::run(args, out)?,
        Command::Tail(args) => tail::run(args, out)?,
        Command::Grep(args) => return Ok(grep::run(args, out)),
        Command::Ls(args) => return ls::run(args, out),
        Command::Stats(args) => stats::run(args, out)?,
        Command::Status(args) => return status::run(args, out),
        Command::Check(args) => return Ok(check::run(args, out).into()),
        Command::Inspect(args) => inspect::run(args, out)?,
        Command::Repair(args) => repair::run(args, out)?,
        Command::Trim(args) => trim::run(args, out)?,
        Command::Policy(args) => policy::run(args, out)?,
        Command::Rotate(args) => rotate::run(args, out)?,
        Command::Prune(args) => prune::run(args, out)?,
        Command::Segments(args) => segments::run(args, out)?,
        Command::Rm(args) => rm::run(args, out)?,
        Command::Ship(args) => ship::ship(args)?,
        Command::Receive(args) => ship::receive(args)?,
        Command::Drill(args) => drill::run(args, out)?,
        Command::Bench(args) => bench::run(args, out)?,
    };
    Ok(exit.into())
}
