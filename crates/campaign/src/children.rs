//! Child processes: this program again, in a role of a theme.

use std::process::{Command, ExitCode};

use crate::themes::ROLES;

/// What a child does; its arguments are those after the role's name.
pub(crate) type Role = (&'static str, fn(&[String]) -> anyhow::Result<()>);

/// This program, ready to be started in that role.
pub(crate) fn role(name: &str, arguments: &[String]) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("role").arg(name).arg("--").args(arguments);
    Ok(command)
}

/// Plays a role; the exit code is 0 unless it failed.
pub(crate) fn play(name: &str, arguments: &[String]) -> ExitCode {
    let Some((_, act)) = ROLES.iter().flat_map(|roles| roles.iter()).find(|(known, _)| *known == name) else {
        eprintln!("no role {name}");
        return ExitCode::FAILURE;
    };
    match act(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{name}: {e:#}");
            ExitCode::FAILURE
        }
    }
}
