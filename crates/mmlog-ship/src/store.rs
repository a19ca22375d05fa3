//! A small file of what is known, the checkpoint: replaced as a whole, under a lock that names its holder.
//!
//! The new text goes into a spare file, which has its space already, so that a full disk does not stop it; that is synced, the two
//! names are exchanged, and the directory is synced. What was the checkpoint is the next spare.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mmlog::crash::crash_point;
use nix::libc;
use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with};

use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::trouble::{Trouble, failed, shown};
use crate::turn::Turn;

/// What the spare has, at least. A checkpoint is shorter.
const SPACE: u64 = 4096;

/// A file that nobody else writes.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    _turn: Turn,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No file.
    Nothing,
    /// A checkpoint, and how long ago it was written, as far as clocks tell.
    Whole(Checkpoint, Duration),
    /// What cannot be read is as good as no file, and that is said.
    Unreadable(String),
}

/// Where the checkpoint of a log is, if nobody says otherwise: beside it.
pub fn beside(log: &Path, name: &str) -> PathBuf {
    with(log, &format!(".mmlog-ship-{name}"))
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut whole = path.as_os_str().to_owned();
    whole.push(suffix);
    PathBuf::from(whole)
}

/// Reads the checkpoint at `path`.
///
/// # Errors
/// When there is one and it cannot be opened; when it is of a later version.
pub fn load(path: &Path) -> Result<Found, Trouble> {
    let Some((text, age)) = read(path)? else { return Ok(Found::Nothing) };
    match Checkpoint::read(&text) {
        Ok(whole) => Ok(Found::Whole(whole, age)),
        Err(later @ Error::Later { .. }) => Err(Trouble::Decide(format!("{}: {later}", shown(path)))),
        Err(e) => {
            Ok(Found::Unreadable(format!("{}: {e}; taken for none: what the sink has decides", shown(path))))
        }
    }
}

/// The text of such a file, and how long ago it was written, as far as clocks tell.
pub(crate) fn read(path: &Path) -> Result<Option<(String, Duration)>, Trouble> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(path, "open")(e)),
    };
    let mut bytes = vec![0; 2 * SPACE as usize];
    let got = file.read_at(&mut bytes, 0).map_err(failed(path, "read"))?;
    let written = file.metadata().and_then(|found| found.modified());
    let age = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    Ok(Some((String::from_utf8_lossy(&bytes[..got]).into_owned(), age.unwrap_or_default())))
}

impl Store {
    /// Takes the lock; `whose` says who else has it, if somebody has: "another shipper".
    ///
    /// # Errors
    /// [`Trouble::Busy`] when another process has it.
    pub fn open(path: &Path, whose: &str) -> Result<Store, Trouble> {
        let turn = Turn::take(&with(path, ".lock"), whose)?;
        let store = Store { path: path.to_owned(), _turn: turn };
        // A full disk now may not be one later.
        let _ = store.spare();
        Ok(store)
    }

    fn spare_path(&self) -> PathBuf {
        with(&self.path, ".spare")
    }

    fn spare(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o640).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(self.spare_path())?;
        match fallocate(&file, FallocateFlags::empty(), 0, SPACE) {
            // Where it cannot be had ahead, writing will say so.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(file),
            allocated => allocated.map(|()| file).map_err(io::Error::from),
        }
    }

    /// Puts a text in the place of the one before, durably.
    ///
    /// # Errors
    /// What the system says; the one before is there then.
    pub fn save(&self, text: &str) -> io::Result<()> {
        let spare = self.spare()?;
        spare.write_all_at(text.as_bytes(), 0)?;
        spare.set_len(text.len() as u64)?;
        spare.sync_all()?;
        crash_point("ship:checkpoint-written");
        self.exchange()?;
        crash_point("ship:checkpoint-named");
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        crash_point("ship:checkpoint-durable");
        Ok(())
    }

    fn exchange(&self) -> io::Result<()> {
        let spare = self.spare_path();
        match renameat_with(CWD, &spare, CWD, &self.path, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(()),
            // Nothing to exchange it with, or a file system that cannot.
            Err(_) => {
                fs::rename(&spare, &self.path)?;
                let _ = self.spare();
                Ok(())
            }
        }
    }
}
