//! Who is in the way, and what to do about it.

use std::fmt;

/// A live process that holds an operation up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// What it holds: "the log's lock", "slot 3".
    pub what: String,
    /// Process id in its own namespace; 0 when it had no time to say.
    pub pid: u32,
    /// How the process was called, where that can be seen, else its name.
    pub command: String,
    /// Its state in words: running, sleeping, stopped.
    pub process: String,
}

impl Blocker {
    /// Nobody knows who.
    pub(crate) fn unknown(what: &str) -> Self {
        Self { what: what.into(), pid: 0, command: "unknown".into(), process: "alive".into() }
    }

    /// What ends the wait for it: a command that can be pasted, where there is one.
    pub fn next_step(&self) -> String {
        match self {
            Self { pid: 0, .. } => "continue or kill it".into(),
            Self { pid, process, .. } if process == "stopped" => {
                format!("`kill -CONT {pid}` lets it go on, `kill -9 {pid}` ends it")
            }
            Self { pid, process, .. } if process == "traced" => {
                format!("a debugger has stopped it: let that detach, or `kill -9 {pid}` ends it")
            }
            Self { process, .. } if process == "unknown" => {
                "it is in another PID namespace, or not to be seen: continue or end it there".into()
            }
            Self { pid, .. } => format!("try again later, or end it: `kill {pid}`"),
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blocker { what, pid, command, process } = self;
        if *pid == 0 {
            return write!(f, "a process that has not said who it is holds {what}");
        }
        write!(f, "process {pid} ({command}, {process}) holds {what}")
    }
}
