//! Hostile logs in the hands of `mmlogctl`: exit codes that are documented, lines that people can read.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tool::{mmlogctl, speaks_plainly};

/// The command lines, those that only look first.
const COMMANDS: &[&[&str]] = &[
    &["status"],
    &["status", "--json"],
    &["check"],
    &["check", "--deep"],
    &["cat", "--holes=say"],
    &["tail", "-n3", "-ojson"],
    &["repair", "--dry-run"],
    &["trim", "--wait=0.02s"],
    &["append", "--on-full=fail", "--no-create"],
    &["repair", "--wait=0.02s"],
    &["repair", "--rebuild", "--recreate", "--upgrade", "--clear-panic", "--accept-loss", "--json"],
    &["append", "--on-full=fail"],
];
/// What a log's own bytes are printed by.
const PRINTS_CONTENT: &[&str] = &["cat", "tail"];

/// Runs them all on the log; how many there were.
pub(super) fn run_all(log: &Path) -> Result<u64> {
    let mmlogctl = mmlogctl()?;
    // Nothing but a line for `append`.
    let line = log.with_file_name("plain");
    for arguments in COMMANDS {
        let mut command = Command::new(&mmlogctl);
        command.args(*arguments).arg(log);
        let input =
            if arguments[0] == "append" { Stdio::from(std::fs::File::open(&line)?) } else { Stdio::null() };
        let done = command.stdin(input).output().context("start mmlogctl")?;
        let stderr = String::from_utf8_lossy(&done.stderr);
        let Some(0..=4) = done.status.code() else {
            bail!("{arguments:?} ended with {}: {stderr}", done.status);
        };
        if let Err(why) = speaks_plainly(&stderr) {
            bail!("{arguments:?}: {why}");
        }
        let stdout = String::from_utf8_lossy(&done.stdout);
        let odd = |c: &char| c.is_control() && *c != '\n';
        if !PRINTS_CONTENT.contains(&arguments[0]) && stdout.chars().any(|c| odd(&c)) {
            bail!("{arguments:?} prints control characters: {stdout:?}");
        }
        // The worst of the usage errors: the command line is right.
        if done.status.code() == Some(2) && arguments[0] != "check" {
            bail!("{arguments:?} is called wrong: {stderr}");
        }
    }
    Ok(COMMANDS.len() as u64)
}
