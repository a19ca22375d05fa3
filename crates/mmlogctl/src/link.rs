//! A log that was named by a symbolic link (`--trust-path`), which may come to lead elsewhere.

use std::path::{Path, PathBuf};

use crate::exit::shown;

/// Where a link led when the log was opened.
#[derive(Debug)]
pub(crate) struct Link {
    path: PathBuf,
    /// `None`: it was no link, or it was said where it leads now.
    led_to: Option<PathBuf>,
}

impl Link {
    /// The log that was named `path` and found at `opened`.
    pub(crate) fn at(path: &Path, opened: &Path) -> Self {
        let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
        Self { path: path.to_owned(), led_to: is_link.then(|| opened.to_owned()) }
    }

    /// What to say, once, when it leads elsewhere.
    pub(crate) fn moved(&mut self) -> Option<String> {
        let now = self.path.canonicalize().ok().filter(|now| Some(now) != self.led_to.as_ref())?;
        let before = self.led_to.take()?;
        Some(format!(
            "the link leads to {} now; this goes on with {}, to which it led before: restart it to follow the link",
            shown(&now),
            shown(&before)
        ))
    }
}
