//! Operations on a log, done by this very program as a child: what it says and how it ends is what the command does
//! anywhere, and a screen that breaks breaks no operation. First its dry run, which is the plan.

use std::io::{self, PipeReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mmlog::Trust;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::signals;

/// What can be done to a log from the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Cut the slack off.
    Trim,
    /// Begin a new data file.
    Rotate,
    /// Mend what nobody heals by himself.
    Repair,
}

impl Operation {
    /// The command.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trim => "trim",
            Self::Rotate => "rotate",
            Self::Repair => "repair",
        }
    }
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Say what would be done.
    Plan,
    /// Do it.
    All,
}

/// This program, also after its file was replaced.
pub const OURSELVES: &str = "/proc/self/exe";

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which command.
    pub operation: Operation,
    /// The plan, or all of it.
    pub extent: Extent,
    /// Options of the command.
    pub options: Vec<String>,
    /// On which log.
    pub log: PathBuf,
}

impl Order {
    fn command(&self, program: &Path, trust: Trust) -> Command {
        let mut command = Command::new(program);
        command.arg(self.operation.name());
        if self.extent == Extent::Plan {
            command.arg("--dry-run");
        }
        if trust == Trust::AnyPath {
            command.arg("--trust-path");
        }
        command.args(&self.options).arg("--").arg(&self.log);
        command
    }
}

/// What came from the child since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// What it said, on either stream.
    pub said: Vec<u8>,
    /// How it ended.
    pub ended: Option<Ended>,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None` when it never started, or a signal ended it.
    pub code: Option<i32>,
    /// The same in words.
    pub words: String,
}

/// A child that runs.
#[derive(Debug)]
pub struct Job {
    child: Child,
    output: PipeReader,
}

impl Job {
    /// Starts it.
    ///
    /// # Errors
    /// When there can be no other process.
    pub fn start(program: &Path, order: &Order, trust: Trust) -> io::Result<Self> {
        let (output, theirs) = io::pipe()?;
        fcntl_setfl(&output, fcntl_getfl(&output)? | OFlags::NONBLOCK)?;
        let mut command = order.command(program, trust);
        command.stdin(Stdio::null()).stdout(theirs.try_clone()?).stderr(theirs);
        Ok(Self { child: signals::as_called(|| command.spawn())?, output })
    }

    /// What is new; never waits.
    pub fn poll(&mut self) -> News {
        // Before its output is read: what it said last is there by then.
        let status = self.child.try_wait();
        let mut said = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = self.output.read(&mut piece) {
            said.extend_from_slice(&piece[..n]);
        }
        let ended = match status {
            Ok(None) => None,
            Ok(Some(status)) => Some(Ended { code: status.code(), words: status.to_string() }),
            Err(e) => Some(Ended { code: None, words: e.to_string() }),
        };
        News { said, ended }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_an_option_is_a_path() {
        let (extent, options) = (Extent::Plan, Vec::new());
        let order = Order { operation: Operation::Rotate, extent, options, log: "--all".into() };
        let command = order.command(Path::new(OURSELVES), Trust::AnyPath);
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args, ["rotate", "--dry-run", "--trust-path", "--", "--all"]);
    }

    #[test]
    fn what_a_child_said_and_how_it_ended_is_told() -> io::Result<()> {
        let order =
            Order { operation: Operation::Trim, extent: Extent::All, options: Vec::new(), log: "x".into() };
        let mut job = Job::start(Path::new("/bin/echo"), &order, Trust::Strict)?;
        let (mut said, mut ended) = (Vec::new(), None);
        while ended.is_none() {
            let news = job.poll();
            said.extend(news.said);
            ended = news.ended;
            std::thread::yield_now();
        }
        assert_eq!(said, b"trim -- x\n");
        assert_eq!(ended.and_then(|ended| ended.code), Some(0));
        Ok(())
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let order =
            Order { operation: Operation::Trim, extent: Extent::All, options: Vec::new(), log: "x".into() };
        assert!(Job::start(Path::new("/nonexistent"), &order, Trust::Strict).is_err());
    }
}
