//! `--run`: what is done with a new segment.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, ExitStatus};

use mmlog::Rotated;

use crate::exit::{Exit, Failure, printable, shown};

/// Runs `command` with the segment in its environment, and waits for it.
///
/// # Errors
/// When it fails.
pub(crate) fn run(command: &OsStr, log: &Path, new: &Rotated) -> Result<(), Failure> {
    // It may go to another directory.
    let whole = |path: &Path| absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell.env("MMLOG_SEGMENT", whole(&new.path)).env("MMLOG_LOG", whole(log));
    let numbers = [
        ("MMLOG_GENERATION", new.generation),
        ("MMLOG_BASE", new.base),
        ("MMLOG_END", new.end),
        ("MMLOG_BYTES", new.bytes()),
    ];
    shell.envs(numbers.map(|(name, value)| (name, value.to_string())));
    let problem = match shell.status() {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => ended(status),
        Err(e) => format!("cannot be run: {e}"),
    };
    let (log, segment) = (shown(log), shown(&new.path));
    let command = printable(&command.to_string_lossy());
    let text = format!(
        "{log}: --run `{command}` {problem}; {segment} is final all the same, and it is not run again"
    );
    Err(Failure::new(Exit::Failed, text))
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => format!("ended with {status}"),
    }
}
