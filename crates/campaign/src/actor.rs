//! A child process in a role, talked to in lines: what it says comes over its stdout, what it is told over its stdin.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::children;

/// Catches a hang, measures nothing.
const DEADLINE: Duration = Duration::from_secs(120);

/// A running child; killed when dropped.
pub(crate) struct Actor {
    role: String,
    child: Child,
    stdin: Option<ChildStdin>,
    said: Receiver<String>,
}

impl Actor {
    pub(crate) fn start(role: &str, arguments: &[&dyn Display]) -> anyhow::Result<Self> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let mut child = children::role(role, &arguments)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {role}"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (sender, said) = channel();
        std::thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
            lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(Self { role: role.to_string(), child, stdin, said })
    }

    /// The next line that it says; `None` when it has ended.
    pub(crate) fn hear(&mut self) -> anyhow::Result<Option<String>> {
        match self.said.recv_timeout(DEADLINE) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("{} (process {}) hangs", self.role, self.child.id()),
        }
    }

    /// One that has ended does not hear it; what became of it shows at the next line that it does not say.
    pub(crate) fn tell(&mut self, line: &str) {
        let _ = self.stdin.as_mut().map(|stdin| writeln!(stdin, "{line}"));
    }

    /// Ends its input and waits for its end.
    pub(crate) fn end(&mut self) -> anyhow::Result<ExitStatus> {
        drop(self.stdin.take());
        self.ended()
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.has_ended()? {
                return Ok(status);
            }
            if begun.elapsed() > DEADLINE {
                bail!("{} (process {}) does not end", self.role, self.child.id());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Everything that it says until its end.
    pub(crate) fn rest(mut self) -> anyhow::Result<(Vec<String>, ExitStatus)> {
        drop(self.stdin.take());
        let mut lines = Vec::new();
        while let Some(line) = self.hear()? {
            lines.push(line);
        }
        Ok((lines, self.ended()?))
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// For a role: end when the campaign ends, however it ends.
pub(crate) fn end_with_parent() -> anyhow::Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("set the parent death signal")
}

/// For a role: says a line.
pub(crate) fn say(line: impl Display) {
    println!("{line}");
}

/// For a role: the next line that it is told; `None` at the end.
pub(crate) fn listen() -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end().to_string()))
}
