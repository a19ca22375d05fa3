//! A fault with its path.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Fault, shown, with_log};

/// An error: which file, and what is wrong with it. Displays as `PATH: problem; what to do`.
#[derive(Debug)]
pub struct Error(Box<(PathBuf, Fault)>);

impl Error {
    /// What is wrong.
    pub fn fault(&self) -> &Fault {
        &self.0.1
    }

    pub(crate) fn into_fault(self) -> Fault {
        self.0.1
    }

    /// The file concerned, usually the log's data file.
    pub fn path(&self) -> &Path {
        &self.0.0
    }

    /// What is wrong and what to do, without the path in front, and with it in the commands.
    pub fn words(&self) -> String {
        with_log(&self.fault().to_string(), self.path())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(self.path()), self.words())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.fault())
    }
}

impl Fault {
    pub(crate) fn at(self, path: &Path) -> Error {
        Error(Box::new((path.to_path_buf(), self)))
    }
}

/// Adds the path to a fault.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> super::Result<T>;
}

impl<T> At<T> for std::result::Result<T, Fault> {
    fn at(self, path: &Path) -> super::Result<T> {
        self.map_err(|fault| fault.at(path))
    }
}
