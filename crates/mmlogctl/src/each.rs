//! What commands have in common that work on several logs, one after the other.

use std::path::{Path, PathBuf};

use clap::Args;
use mmlog::units;

use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::reading::report;
use crate::signals;

/// The logs of such a command. Flattened into its arguments.
#[derive(Args, Clone, Debug)]
pub struct Logs {
    /// The data files of the logs. One after the other is worked on, also where one before it failed; the exit code is the
    /// highest.
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
}

/// `-v`. Flattened into the commands that are silent off a terminal.
#[derive(Args, Copy, Clone, Debug, Default)]
pub struct Verbose {
    /// Say what was done, a line or more for each log, also where standard output is no terminal, and where there was
    /// nothing to do.
    #[arg(short, long)]
    verbose: bool,
}

impl Logs {
    /// Whether there are several, which have to be told apart.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.logs.len() > 1
    }

    /// Their paths.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.logs
    }

    /// Works on each.
    ///
    /// # Errors
    /// When nobody reads standard output any more.
    pub fn each(
        &self,
        out: &mut Output,
        mut work: impl FnMut(&Path, &mut Output) -> Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        let mut worst = Exit::Done;
        for (done, log) in self.logs.iter().enumerate() {
            if done > 0 && signals::came() {
                let rest: Vec<String> = self.logs[done..].iter().map(|log| shown(log)).collect();
                let (it, rest) = (units::agree(rest.len() as u64, "it", "them"), units::listed(&rest));
                let text = format!("{rest}: told to stop, and did not begin {it}; the same command does");
                return report(Failure::new(Exit::Failed, text), out).map(|exit| worst.max(exit));
            }
            let exit = work(log, out).or_else(|failure| report(failure, out))?;
            worst = worst.max(exit);
        }
        Ok(worst)
    }
}

impl Verbose {
    /// Whether it is said what was done.
    #[must_use]
    pub fn tells(self, out: &Output) -> bool {
        self.verbose || out.is_terminal()
    }

    /// Whether it is said, too, that there was nothing to do.
    #[must_use]
    pub const fn tells_of_nothing(self) -> bool {
        self.verbose
    }
}
