//! What it takes to be let in by a server.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::trouble::{Trouble, shown};

/// What is said where an address has one.
pub(super) const TYPED: &str =
    "a password in a command line is seen by everybody; put it into a file, and name that with --credentials";

/// Files, read again at each connection.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// What it takes: lines `user NAME` and `password WORD`, or whatever else the server knows.
    pub credentials: Option<PathBuf>,
    /// Certificates of who signs for the servers; the system's, if none.
    pub ca: Option<PathBuf>,
}

/// What a text makes of a secret; the path is for what is said of it.
type Made<T> = dyn Fn(&str, &Path) -> Result<T, Trouble>;

impl Secrets {
    /// Whether they are there, and what they should be.
    pub(super) fn check(&self, made: &Made<()>) -> Result<(), Trouble> {
        if let Some(path) = &self.credentials {
            made(&text(path)?, path)?;
        }
        if let Some(ca) = &self.ca {
            fs::File::open(ca).map_err(unreadable(ca))?;
        }
        Ok(())
    }

    /// Read again, since secrets are replaced: who finds half of one tries again.
    pub(super) fn read<T>(&self, made: &Made<T>) -> Result<Option<T>, Trouble> {
        let Some(path) = &self.credentials else { return Ok(None) };
        let made = text(path).and_then(|text| made(&text, path));
        made.map(Some).map_err(|trouble| Trouble::Away(trouble.to_string()))
    }
}

fn text(path: &Path) -> Result<String, Trouble> {
    let stat = fs::metadata(path).map_err(unreadable(path))?;
    if stat.mode() & 0o007 != 0 {
        return Err(Trouble::Usage(format!("{}: everybody may read this secret; chmod o= {0}", shown(path))));
    }
    fs::read_to_string(path).map_err(unreadable(path))
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Trouble + '_ {
    move |e| Trouble::Usage(format!("{}: cannot read: {e}", shown(path)))
}

/// What a line of that name has.
pub(super) fn word(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(key, _)| *key == name).map(|(_, word)| word.trim().to_owned())
}
