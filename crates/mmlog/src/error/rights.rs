//! Whose a file is, and who may do what with it.

use std::fmt;

/// Whose a file or a directory is, and who may do what with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rights {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Rights {
    /// Who may do what others may not: `as root or as uid 1001`.
    pub(crate) fn who(&self) -> String {
        as_whom(self.uid)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mode {:04o}, owner {}:{}", self.mode, self.uid, self.gid)
    }
}

/// `as root or as uid 1001`: who may do what is that user's.
pub(crate) fn as_whom(uid: u32) -> String {
    match uid {
        0 => "as root".to_owned(),
        uid => format!("as root or as uid {uid}"),
    }
}
