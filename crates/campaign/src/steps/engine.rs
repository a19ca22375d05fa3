//! One traced child: brought to a point of its operation instruction by instruction, then killed or let go on.

use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;

use anyhow::{Context, bail, ensure};
use nix::errno::Errno;
use nix::libc::c_long;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::registers;
use crate::children;

/// The role that every victim plays.
pub(crate) const ROLE: &str = "step-victim";

/// A point of an operation: that many system calls behind its origin, then that many instructions. Counted so,
/// because a child runs from one system call to the next at full speed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Point {
    pub(crate) calls: u32,
    pub(crate) steps: u32,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.calls, self.steps)
    }
}

impl FromStr for Point {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (calls, steps) = text.split_once('+').context("a point is CALLS+STEPS")?;
        Ok(Self { calls: calls.parse()?, steps: steps.parse()? })
    }
}

/// A quicker way to a point: behind the system calls, `hits` times past the instruction at `address` (from where
/// the program is loaded), then the rest of the instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Landmark {
    pub(crate) address: u64,
    pub(crate) hits: u32,
    pub(crate) rest: u32,
}

/// Where a victim is after it was let go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum At {
    /// Inside its operation.
    Inside,
    /// Behind it: it has raised its second mark.
    Mark,
}

/// A child that stops itself before its operation and after it.
pub(crate) struct Victim {
    pid: Pid,
    loaded_at: u64,
    reaped: bool,
}

impl Victim {
    /// Starts the child and lets it run to its first mark.
    pub(crate) fn start(operation: &str, log: &Path, first_message: u64) -> anyhow::Result<Self> {
        let log = log.to_str().context("the path is text")?;
        let arguments = [operation, log, &first_message.to_string()].map(String::from);
        let mut command = children::role(ROLE, &arguments)?;
        let child = children::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
        let mut victim = Self { pid: Pid::from_raw(child.id().cast_signed()), loaded_at: 0, reaped: false };
        match waitpid(victim.pid, None)? {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {
                let options = Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACESYSGOOD;
                ptrace::setoptions(victim.pid, options)?;
                victim.loaded_at = loaded_at(victim.pid)?;
                Ok(victim)
            }
            WaitStatus::Exited(_, code) => {
                victim.reaped = true;
                bail!("its preparations ended early, exit code {code}")
            }
            other => bail!("its preparations ended early: {other:?}"),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// One instruction. One that makes a system call ends behind the call; filling memory is one, however much.
    pub(crate) fn step(&mut self) -> anyhow::Result<At> {
        let before = self.address()?;
        ptrace::step(self.pid, None)?;
        let at = self.stopped()?;
        if at == At::Mark || self.address()? != before {
            return Ok(at);
        }
        match registers::length_of_fill(self.word_at(before)?) {
            Some(length) => self.run_to(before + length),
            None => Ok(at),
        }
    }

    /// At full speed to the instruction at `address`, or to the system call or the mark that comes before.
    pub(crate) fn run_to(&mut self, address: u64) -> anyhow::Result<At> {
        let word = self.word_at(address)?;
        let place = address.wrapping_add(self.loaded_at);
        ptrace::write(self.pid, place as ptrace::AddressType, registers::with_breakpoint(word))?;
        ptrace::syscall(self.pid, None)?;
        let at = self.stopped()?;
        ptrace::write(self.pid, place as ptrace::AddressType, word)?;
        registers::leave_breakpoint(self.pid, place)?;
        Ok(at)
    }

    /// At full speed to behind the next system call.
    fn call(&mut self) -> anyhow::Result<At> {
        ptrace::syscall(self.pid, None)?;
        match self.stopped()? {
            At::Mark => return Ok(At::Mark),
            At::Inside => ptrace::syscall(self.pid, None)?,
        }
        self.stopped()
    }

    fn stopped(&mut self) -> anyhow::Result<At> {
        match waitpid(self.pid, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) | WaitStatus::PtraceSyscall(_) => Ok(At::Inside),
            WaitStatus::Stopped(_, Signal::SIGSTOP) => Ok(At::Mark),
            WaitStatus::Stopped(_, Signal::SIGALRM) => bail!("the victim hangs"),
            gone @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => {
                self.reaped = true;
                bail!("the victim ended inside its operation: {gone:?}")
            }
            other => bail!("the victim stopped unexpectedly: {other:?}"),
        }
    }

    /// To a point, or one nearby: no two runs are quite the same.
    pub(crate) fn go_to(&mut self, point: Point, landmark: Option<Landmark>) -> anyhow::Result<At> {
        for _ in 0..point.calls {
            if self.call()? == At::Mark {
                return Ok(At::Mark);
            }
        }
        let steps = match landmark {
            Some(landmark) => {
                for hit in 0..landmark.hits {
                    // From the breakpoint it has come to, on.
                    if hit > 0 && self.step()? == At::Mark {
                        return Ok(At::Mark);
                    }
                    if self.run_to(landmark.address)? == At::Mark {
                        return Ok(At::Mark);
                    }
                }
                landmark.rest
            }
            None => point.steps,
        };
        for _ in 0..steps {
            if self.step()? == At::Mark {
                return Ok(At::Mark);
            }
        }
        Ok(At::Inside)
    }

    /// Lets it finish its operation and end, which it must do well. Signals that it gets are delivered.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        let mut signal = None;
        loop {
            ptrace::cont(self.pid, signal.take())?;
            match waitpid(self.pid, None)? {
                WaitStatus::Stopped(_, Signal::SIGSTOP) => {}
                WaitStatus::Stopped(_, Signal::SIGALRM) => bail!("the victim hangs"),
                WaitStatus::Stopped(_, other) => signal = Some(other),
                ended => {
                    self.reaped = true;
                    ensure!(matches!(ended, WaitStatus::Exited(_, 0)), "the victim ended badly: {ended:?}");
                    return Ok(());
                }
            }
        }
    }

    /// kill -9; the kernel has given its locks back when this returns.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        kill(self.pid, Signal::SIGKILL)?;
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Signaled(..)) => {
                    self.reaped = true;
                    return Ok(());
                }
                Ok(WaitStatus::Exited(..)) => {
                    self.reaped = true;
                    bail!("killed, but it had ended");
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Where its next instruction is, from where the program is loaded.
    pub(crate) fn address(&self) -> anyhow::Result<u64> {
        Ok(registers::instruction(self.pid)?.wrapping_sub(self.loaded_at))
    }

    /// Whether the instruction at that address is a system call.
    pub(crate) fn is_call(&self, address: u64) -> anyhow::Result<bool> {
        Ok(registers::is_call(self.word_at(address)?))
    }

    fn word_at(&self, address: u64) -> anyhow::Result<c_long> {
        let at = address.wrapping_add(self.loaded_at);
        Ok(ptrace::read(self.pid, at as ptrace::AddressType)?)
    }
}

/// Where the kernel has put the program: the address of its program headers.
fn loaded_at(pid: Pid) -> anyhow::Result<u64> {
    const AT_PHDR: u64 = 3;
    let auxiliary = std::fs::read(format!("/proc/{pid}/auxv"))?;
    let words: Vec<u64> =
        auxiliary.chunks_exact(8).filter_map(|b| Some(u64::from_ne_bytes(b.try_into().ok()?))).collect();
    let found = words.chunks_exact(2).find(|entry| entry[0] == AT_PHDR);
    Ok(found.context("no AT_PHDR")?[1])
}

impl Drop for Victim {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.kill();
        }
    }
}
