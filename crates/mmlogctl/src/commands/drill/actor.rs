//! A process on stage: another one of this program, in a role. It ends with its guard, and with us.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::role::{self, Role};
use super::stage::{Done, Stop};
use crate::{signals, who};

#[derive(Debug)]
pub(super) struct Actor {
    child: Child,
    role: Role,
}

impl Actor {
    /// `tool` is this program; `words` is where it says what went wrong.
    pub(super) fn start(tool: &Path, role: Role, log: &Path, size: usize, words: &Path) -> Done<Self> {
        let mut command = Command::new(tool);
        command.args([role::NAME, &std::process::id().to_string(), role.name()]);
        command.arg(log).arg(size.to_string());
        // A Ctrl-C is for us; we end it. It waits for its input, if for anything.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(File::create(words)?);
        Ok(Self { child: signals::as_called(|| command.spawn())?, role })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn signal(&mut self, signal: Signal) -> Done {
        if self.has_ended()? {
            return Err(Stop::Failed(format!("the {} role ended by itself", self.role.name())));
        }
        // Not waited for yet, so the id is still its own.
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    pub(super) fn has_ended(&mut self) -> Done<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Whether the stop signal has arrived.
    pub(super) fn is_stopped(&self) -> bool {
        who::is_stopped(self.pid())
    }

    /// Ends it at once, wherever it is.
    pub(super) fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.end();
    }
}
