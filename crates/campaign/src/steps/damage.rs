//! What is no process's doing and needs a recovery or a repair, which may be killed too.

use std::fs::File;
use std::path::Path;

use mmlog::repair::{self, Wish};
use mmlog::sync::Ordering;

use super::ledger::{Fate, Left};
use super::metadata::path_of;
use super::scene::{BEFORE, Scene};
use super::{CHUNK, options};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    /// The metadata is of before a reboot; the next opener recovers.
    Rebooted,
    /// The panic flag is set.
    Panic,
    /// A sync has failed.
    SyncFailed,
    /// The cursor is none.
    WildCursor,
    /// Somebody has cut the data file: the last message is gone.
    Truncated,
    /// There is no metadata.
    NoMetadata,
    /// There is no data file.
    NoData,
    /// It is a log of the original's format.
    Original,
}

impl Damage {
    /// What somebody has to ask for.
    pub(crate) fn wishes(self) -> &'static [Wish] {
        match self {
            Self::Rebooted | Self::WildCursor | Self::Truncated => &[],
            Self::Panic => &[Wish::ClearPanic],
            Self::SyncFailed => &[Wish::AcceptLoss],
            Self::NoMetadata => &[Wish::Rebuild],
            Self::NoData => &[Wish::Recreate],
            Self::Original => &[Wish::Upgrade],
        }
    }

    /// To a log at rest, which holds two messages.
    pub(crate) fn inflict(self, scene: &mut Scene) -> anyhow::Result<()> {
        let metadata = scene.ready()?;
        let (header, cursor) = (metadata.header(), metadata.cursor());
        match self {
            Self::Rebooted => {
                let file = File::options().read(true).write(true).open(path_of(&scene.log))?;
                mmlog::pretend_reboot(&file)?;
            }
            Self::Panic => options().open(&scene.log)?.poison("a control room on fire", 5)?,
            Self::SyncFailed => header.checkpoint.fail(5),
            Self::WildCursor => header.control.cursor.store(1 << 50, Ordering::Relaxed),
            Self::Truncated => {
                File::options().write(true).open(&scene.log)?.set_len(cursor - BEFORE)?;
                scene.ledger.revise_last(Fate::Killed(Left::Hole(cursor - BEFORE)));
            }
            Self::NoMetadata => std::fs::remove_file(path_of(&scene.log))?,
            Self::NoData => {
                std::fs::remove_file(&scene.log)?;
                scene.ledger.forget_all();
                scene.base = cursor;
            }
            Self::Original => std::fs::write(path_of(&scene.log), original(cursor))?,
        }
        Ok(())
    }
}

/// The 32 bytes of the original's metadata: version, is_ready, is_locked, is_panicked, file_size, cursor, page_size,
/// chunk_size.
fn original(cursor: u64) -> Vec<u8> {
    let mut head = vec![0; 32];
    (head[0], head[4]) = (1, 1);
    head[8..16].copy_from_slice(&cursor.to_ne_bytes());
    head[16..24].copy_from_slice(&cursor.to_ne_bytes());
    head[24..28].copy_from_slice(&4096u32.to_ne_bytes());
    head[28..32].copy_from_slice(&(CHUNK as u32).to_ne_bytes());
    head
}

/// What `mmlogctl repair` does, with these wishes.
pub(crate) fn mend(log: &Path, wishes: &[Wish]) -> mmlog::Result<()> {
    repair::examine(log, &options())?.plan(wishes).apply().map(drop)
}
