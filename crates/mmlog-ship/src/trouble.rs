//! What keeps a shipper from going on, by what comes of it.

use std::fmt::Display;
use std::io;
use std::path::Path;

use mmlog::Class;

/// Why something could not be done, in a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// What is wrong may pass: it is tried again.
    #[error("{0}")]
    Away(String),
    /// This user may not do it, or is not let in: it is tried again, since secrets and permissions change, but seldom.
    #[error("{0}")]
    Denied(String),
    /// The sink took something else meanwhile, or has lost something: its tail is read again.
    #[error("{0}")]
    Refused(String),
    /// Somebody else does it: exit 3.
    #[error("{0}")]
    Busy(String),
    /// A person has to decide, or to mend something: exit 4.
    #[error("{0}")]
    Decide(String),
    /// The command line is wrong: exit 2.
    #[error("{0}")]
    Usage(String),
    /// Anything else: exit 1.
    #[error("{0}")]
    Failed(String),
}

impl Trouble {
    /// What the shell sees.
    pub fn code(&self) -> u8 {
        match self {
            Trouble::Away(_) | Trouble::Denied(_) | Trouble::Refused(_) | Trouble::Failed(_) => 1,
            Trouble::Usage(_) => 2,
            Trouble::Busy(_) => 3,
            Trouble::Decide(_) => 4,
        }
    }

    /// Whether another try may help.
    pub fn passes(&self) -> bool {
        matches!(self, Trouble::Away(_) | Trouble::Denied(_) | Trouble::Refused(_))
    }
}

/// A log that is damaged needs a person; one that somebody has for a moment does not.
impl From<mmlog::Error> for Trouble {
    fn from(error: mmlog::Error) -> Self {
        let text = error.to_string();
        match error.fault().class() {
            Class::Damaged => Trouble::Decide(text),
            Class::Busy => Trouble::Away(text),
            Class::Retry | Class::Refused => Trouble::Failed(text),
        }
    }
}

/// A server was not reached: of one that nobody vouches for, as of one that lets nobody in, a person has to hear.
#[cfg(any(feature = "http", feature = "kafka", feature = "nats", feature = "redis", feature = "s3"))]
pub(crate) fn unreached(text: String) -> Trouble {
    if text.contains("certificate") { Trouble::Denied(text) } else { Trouble::Away(text) }
}

/// `doing` is what was done to it: "read", "write".
pub(crate) fn away<'a>(path: &'a Path, doing: &'a str) -> impl Fn(io::Error) -> Trouble + 'a {
    move |e| Trouble::Away(of_file(path, doing, e))
}

pub(crate) fn failed<'a>(path: &'a Path, doing: &'a str) -> impl Fn(io::Error) -> Trouble + 'a {
    move |e| Trouble::Failed(of_file(path, doing, e))
}

fn of_file(path: &Path, doing: &str, e: impl Display) -> String {
    format!("{}: cannot {doing}: {e}", shown(path))
}

/// A path on one line, whatever is in it.
pub(crate) fn shown(path: &Path) -> String {
    one_line(&path.display().to_string())
}

/// A text on one line, whatever is in it.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}
