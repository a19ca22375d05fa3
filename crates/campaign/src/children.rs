//! Child processes: this program again, in a role of a theme; or a fork of a role.
#![allow(unsafe_code, reason = "fork")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork as fork_process, getppid};

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

/// Waits for its end; `None` when that takes longer.
pub(crate) fn wait(child: &mut Child, deadline: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    while begun.elapsed() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(None)
}

/// A copy of this process, a role's, which does `act` and ends, with 0 unless it failed; killed when its parent dies.
/// Cheap: a storm makes and kills hundreds in a second.
pub(crate) fn fork(act: impl FnOnce() -> anyhow::Result<()>) -> nix::Result<Pid> {
    let parent = nix::unistd::getpid();
    // SAFETY: the callers are roles without threads, or with some that only append and allocate: the child, which lacks
    // them, uses nothing that they may have locked but the allocator, which the C library makes usable.
    match unsafe { fork_process() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            // From within a PID namespace of its own the parent has no number.
            let family = [parent, Pid::from_raw(0)];
            let orphaned = set_pdeathsig(Signal::SIGKILL).is_err() || !family.contains(&getppid());
            let done = catch_unwind(AssertUnwindSafe(|| if orphaned { Ok(()) } else { act() }));
            let code = match done {
                Ok(Ok(())) => 0,
                Ok(Err(e)) => {
                    eprintln!("{e:#}");
                    1
                }
                Err(_) => 101,
            };
            // SAFETY: ends this copy without running what its parent has registered for its own end.
            unsafe { nix::libc::_exit(code) }
        }
    }
}
