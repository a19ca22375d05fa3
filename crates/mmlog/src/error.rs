//! What can go wrong.

mod at;
mod blocker;
mod class;
mod fault;
mod rights;
mod words;

pub(crate) use at::At;
pub use at::Error;
pub use blocker::Blocker;
pub use class::Class;
pub use fault::Fault;
pub use rights::Rights;
pub(crate) use rights::as_whom;
pub(crate) use words::{GONE, moves_aside, numbers, quoted_directory, set_aside, shown, too_large};
pub use words::{quoted, reason, with_log};

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Who poisoned the log, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanicRecord {
    /// In the words of whoever set the flag.
    pub reason: String,
    /// The errno that goes with it, 0 if none.
    pub errno: i32,
    /// Process id in its own namespace.
    pub pid: u32,
    /// Name of the process.
    pub command: String,
    /// When, by that host's clock.
    pub at: Option<std::time::SystemTime>,
}
