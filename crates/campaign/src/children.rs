//! Child processes: this program again, in a role of a theme; or a fork of a role.
#![allow(unsafe_code, reason = "fork")]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork as fork_process, getppid};

use crate::themes::ROLES;

/// What a child does; its arguments are those after the role's name.
pub(crate) type Role = (&'static str, fn(&[String]) -> anyhow::Result<()>);

/// This program, ready to be started in that role.
pub(crate) fn role(name: &str, arguments: &[String]) -> std::io::Result<Command> {
    Ok(role_of(&std::env::current_exe()?, name, arguments))
}

/// The same of another build.
pub(crate) fn role_of(program: &Path, name: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.arg("role").arg(name).arg("--").args(arguments);
    command
}

/// A build of this program with overflow checks: itself, or the one for development beside it.
pub(crate) fn checked() -> Option<PathBuf> {
    let me = std::env::current_exe().ok()?;
    if cfg!(debug_assertions) {
        return Some(me);
    }
    let beside = me.parent()?.parent()?.join("debug").join(me.file_name()?);
    beside.exists().then_some(beside)
}

/// Read by who must not have his files in a child, written by who makes one.
static FORKS: RwLock<()> = RwLock::new(());

thread_local! {
    static NO_FORKS: RefCell<Option<RwLockReadGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// As long as it lives, no other thread makes a child by [`spawn`]: until a child has become its program it has a copy
/// of every file that is open here, and whoever asks for a lease on one is told that it is in use.
pub(crate) struct WithoutForks(());

impl WithoutForks {
    pub(crate) fn begin() -> Self {
        NO_FORKS.set(Some(FORKS.read().unwrap_or_else(PoisonError::into_inner)));
        Self(())
    }
}

impl Drop for WithoutForks {
    fn drop(&mut self) {
        NO_FORKS.take();
    }
}

/// Lets others make children meanwhile; `act` uses no log.
pub(crate) fn with_forks<R>(act: impl FnOnce() -> R) -> R {
    match NO_FORKS.take() {
        Some(guard) => {
            drop(guard);
            let done = act();
            NO_FORKS.set(Some(FORKS.read().unwrap_or_else(PoisonError::into_inner)));
            done
        }
        None => act(),
    }
}

/// Starts it, while nobody else is at what is done [without forks](WithoutForks).
pub(crate) fn spawn(command: &mut Command) -> std::io::Result<Child> {
    with_forks(|| {
        let _alone = FORKS.write().unwrap_or_else(PoisonError::into_inner);
        command.spawn()
    })
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
