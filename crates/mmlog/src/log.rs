//! The facade: each method is one call down.

mod discovery;
mod keeping;
mod options;
mod policy;
mod removal;
mod span;

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::append::Writer;
#[cfg(feature = "compressed")]
use crate::compress;
use crate::durable::{self, Need};
use crate::error::{At, Fault, Result};
use crate::files::segment_dir::LeftOut;
use crate::files::{Files, Origin};
use crate::follow::{self, Follower, Start};
use crate::holds::{self, Hold};
use crate::hooks::{self, HookTurn};
use crate::olddir::{self, Moved};
use crate::position::Position;
use crate::prune::{self, Pruning, Retention};
use crate::rotate::{self, Rotated, Rotation};
use crate::status::{HoldStatus, Observer, ReadOnly, Status};
use crate::sys::mounts;
use crate::trim::{self, Trimmed};
pub use discovery::{is_answered_elsewhere, open_logs};
pub use options::{DEFAULT_CHUNK_SIZE, DEFAULT_GATE_MS, DEFAULT_MAX_WRITERS, DEFAULT_RING_CHUNKS, Options};
pub use removal::{remove, remove_all};

/// An open log. Clones are the same handle; it may be shared by threads, each with a [`Writer`] of its own.
///
/// When the last clone, writer and follower of a writing handle is gone, and no other writer is open anywhere, the
/// data file is trimmed to exactly what was appended.
///
/// Whoever may not search the log's directory any more (its mode was changed, rights were given up) goes on with the files
/// that are open: appending, growing, trimming, syncing, settling what the dead left, advancing holds. What has to be opened or
/// made there is an error before anything is taken: the next segment after a rotation, a rotation, pruning, compressing,
/// recovering after a reboot, anything in a forked child.
///
/// ```
/// # fn main() -> mmlog::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.log");
/// let log = mmlog::Log::options().chunk_size(1 << 20).open_or_create(&path)?;
/// log.writer()?.append(b"hello\n")?;
/// log.close()?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"hello\n");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Log {
    files: Arc<Files>,
}

impl Log {
    fn of(files: Files) -> Self {
        Self { files: Arc::new(files) }
    }

    /// The log that this writer's last append went to: another one than before where the log was made anew.
    pub fn of_writer(writer: &Writer) -> Self {
        Self { files: Arc::clone(writer.files()) }
    }

    /// Whether that is this one, by the same opening.
    pub fn is_of(&self, writer: &Writer) -> bool {
        Arc::ptr_eq(&self.files, writer.files())
    }

    /// The defaults, to be changed and opened.
    pub fn options() -> Options {
        Options::new()
    }

    /// How this handle came to be.
    pub fn origin(&self) -> Origin {
        self.files.origin
    }

    /// Path of the data file, as it was given: for messages. All work is relative to the directory that was opened.
    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// Bytes of a chunk.
    pub fn chunk_size(&self) -> u64 {
        self.files.meta.geometry().chunk_size
    }

    /// Slots for writers.
    pub fn max_writers(&self) -> u32 {
        self.files.meta.geometry().max_writers
    }

    /// How long a drain may hold writers up, milliseconds.
    pub fn gate_ms(&self) -> u32 {
        self.files.meta.geometry().gate_ms
    }

    /// Permission bits of the data file.
    ///
    /// # Errors
    /// When the file cannot be asked.
    pub fn mode(&self) -> Result<u32> {
        self.files.mode().at(self.path())
    }

    /// Whether the path still leads to this log, from the directory that was the working directory when it was opened; it
    /// does not after the log, or a directory on the way, was removed or replaced. Where that cannot be told, it does.
    pub fn is_current(&self) -> bool {
        self.files.is_at_its_path()
    }

    /// Whether the data file that is appended to is at its path still, and not removed, moved or replaced under its writers: they
    /// go on in it until they need space. Where that cannot be told, it is.
    pub fn has_its_data_file(&self) -> bool {
        self.files.is_data_at_its_path()
    }

    /// That nothing can be written any more where the log lies, if so: appends go on, in memory alone, until they need space.
    pub fn read_only(&self) -> Option<ReadOnly> {
        mounts::read_only(self.files.place.directory_fd())
    }

    /// The log that this handle's writers go on in: this one, or what was made in its place, in the directory that was
    /// opened.
    ///
    /// # Errors
    /// [`Fault::NoLog`](crate::Fault::NoLog) when it was removed.
    pub fn renewed(&self) -> Result<Self> {
        let current = !self.files.is_stale() && self.files.is_current().at(self.path())?;
        if current { Ok(self.clone()) } else { self.files.open_there().map(Self::of) }
    }

    /// Claims a slot for a thread that appends.
    ///
    /// # Errors
    /// [`Fault::WritersFull`](crate::Fault::WritersFull), [`Fault::Poisoned`](crate::Fault::Poisoned),
    /// [`Fault::ReadOnly`](crate::Fault::ReadOnly).
    pub fn writer(&self) -> Result<Writer> {
        match self.files.of_this_process() {
            // As a writer would, which the parent had opened.
            Err(e) if matches!(e.fault(), Fault::Replaced) && self.files.is_stale() => {
                Writer::new(Arc::new(self.files.open_or_make_there()?))
            }
            files => Writer::new(files?),
        }
    }

    /// Reads from `start` on.
    ///
    /// # Errors
    /// [`Fault::NoPosition`](crate::Fault::NoPosition) for a position that the log does not have.
    pub fn follow(&self, start: Start) -> Result<Follower> {
        Follower::new(self.files.of_this_process()?, start)
    }

    /// Every byte below is final: written, or a hole.
    ///
    /// # Errors
    /// As [`cursor`](Self::cursor); and in a forked child, when the log cannot be opened again.
    pub fn watermark(&self) -> Result<Position> {
        let files = self.files.of_this_process()?;
        let look = || {
            files.refresh()?;
            files.scan(files.end()?)
        };
        Ok(Position::new(look().at(self.path())?.watermark))
    }

    /// Makes everything durable that is final now, and returns the position below which that holds. Syncs are shared:
    /// whoever waits while another process syncs is served by the next one, together with all who wait.
    ///
    /// A power cut loses nothing below. What was appended since may be lost, torn bytes are not shown.
    ///
    /// # Errors
    /// [`Fault::SyncFailed`](crate::Fault::SyncFailed), which stays until somebody accepts the loss;
    /// [`Fault::Stalled`](crate::Fault::Stalled) when a sync takes longer than [`Options::wait`].
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// let log = mmlog::Log::options().open_or_create(&path)?;
    /// let at = log.writer()?.append(b"hello\n")?;
    /// assert_eq!(log.sync()?, at + 6);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync(&self) -> Result<Position> {
        let files = self.files.of_this_process()?;
        let watermark = files.scan(files.control().look().start).at(self.path())?.watermark;
        durable::sync_to(&files, watermark, Need::Checkpoint, &files.patience()).at(self.path())?;
        Ok(Position::new(watermark))
    }

    /// Everything below is durable, whatever its content: the checkpoint. [`sync`](Self::sync) raises it, those of
    /// [`Writer`] once a second while they need not; [`status`](Self::status) tells what they have synced since.
    pub fn synced(&self) -> Position {
        Position::new(self.files.meta.header().commit.checkpointed())
    }

    /// Where the next append goes. Bytes below it may still be in flight.
    ///
    /// # Errors
    /// For readers, when the data file tells that and cannot be looked at: that of a log that nobody has recovered since
    /// the reboot, or of version 1.
    pub fn cursor(&self) -> Result<Position> {
        let end = self.files.refresh().and_then(|()| self.files.end());
        end.map(Position::new).at(self.path())
    }

    /// The last byte that readers are given, in whichever segment it is: what the next append goes behind. `None` for a log
    /// without bytes, while somebody is storing the last one, and where it is in an old segment that is gone, cannot be read,
    /// or is compressed and holds more than 256 MiB (it would have to be decoded to its end).
    ///
    /// # Errors
    /// [`Fault::Io`] when the data file cannot be read.
    pub fn last_byte(&self) -> Result<Option<u8>> {
        follow::last_byte(&self.files).at(self.path())
    }

    /// The first position that still has bytes, in the oldest segment that is there.
    ///
    /// # Errors
    /// When the log's directory cannot be read.
    pub fn oldest(&self) -> Result<Position> {
        follow::oldest(&self.files).map(Position::new).at(self.path())
    }

    /// Everything there is to know, from one look. For "since when", look twice with an [`Observer`].
    ///
    /// # Errors
    /// When the files cannot be asked.
    pub fn status(&self) -> Result<Status> {
        Observer::of(self.files.of_this_process()?).look()
    }

    /// Whether that is open on one of the log's files: the metadata, the data file or an old segment.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// use mmlog::Log;
    /// let log = Log::options().open_or_create(&path)?;
    /// assert!(log.has_file(std::fs::File::open(&path).unwrap())?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Fault::Io`] when `file`, or the directory of the log, cannot be asked.
    pub fn has_file(&self, file: impl AsFd) -> Result<bool> {
        self.files.has_file(file.as_fd()).at(self.path())
    }

    /// What [`trim`](Self::trim) would do now. Changes nothing.
    pub fn plan_trim(&self) -> Trimmed {
        trim::plan(&self.files)
    }

    /// Cuts the data file to what was appended. Safe at any time, also under load; doing it again does nothing.
    ///
    /// # Errors
    /// After `wait`: [`Fault::Busy`](crate::Fault::Busy) when another maintenance operation runs,
    /// [`Fault::Stalled`](crate::Fault::Stalled) when a live writer does not finish its append.
    pub fn trim(&self, wait: Duration) -> Result<Trimmed> {
        let files = self.files.of_this_process()?;
        trim::trim(&files, &files.deadline(wait)).at(self.path())
    }

    /// What [`rotate`](Self::rotate) would make final now; `None` when it would do nothing. Changes nothing.
    ///
    /// # Errors
    /// [`Fault::NameTooLong`](crate::Fault::NameTooLong) when the segment cannot have its name.
    pub fn plan_rotation(&self, how: &Rotation) -> Result<Option<Rotated>> {
        rotate::plan(&self.files, how).at(self.path())
    }

    /// Makes the data file a final segment with a name of its own, and goes on in a new one; `None` when there was
    /// nothing to do: no byte in the segment, or not due. Safe at any time and under any load: no message is lost,
    /// doubled or split, writers and followers go on by themselves, and whoever dies in the middle is finished or
    /// undone by the next one.
    ///
    /// # Errors
    /// After [`Rotation::wait`]: [`Fault::Busy`](crate::Fault::Busy), [`Fault::Stalled`](crate::Fault::Stalled), with
    /// nothing changed. [`Fault::Io`](crate::Fault::Io) when the new file cannot be made like the old one,
    /// [`Fault::NameTooLong`](crate::Fault::NameTooLong) when the segment cannot have its name.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// let log = mmlog::Log::options().open_or_create(&path)?;
    /// let mut writer = log.writer()?;
    /// writer.append(b"old\n")?;
    /// let segment = log.rotate(&mmlog::Rotation::default())?.expect("it has bytes");
    /// assert_eq!(std::fs::read(&segment.path).unwrap(), b"old\n");
    /// let at = writer.append(b"new\n")?;
    /// assert_eq!(at.get(), segment.end);
    /// # Ok(())
    /// # }
    /// ```
    pub fn rotate(&self, how: &Rotation) -> Result<Option<Rotated>> {
        let files = self.files.of_this_process()?;
        rotate::rotate(&files, how).at(self.path())
    }

    /// The numbers of final segments with which something is still to be done: noted by [`Rotation::with_hook`].
    pub fn waiting_for_hook(&self) -> std::ops::Range<u64> {
        hooks::pending(&self.files)
    }

    /// The turn to do what is to be done with final segments, for one at a time in all processes; waits for it.
    ///
    /// # Errors
    /// [`Fault::Busy`] when somebody else has it after `wait`.
    pub fn hook_turn(&self, wait: Duration) -> Result<HookTurn> {
        let files = self.files.of_this_process()?;
        hooks::turn(files, wait).at(self.path())
    }

    /// The number of the current segment, from 0.
    pub fn generation(&self) -> u64 {
        self.files.meta.header().generation()
    }

    /// What [`prune`](Self::prune) would do now. Changes nothing.
    ///
    /// # Errors
    /// When the log's directory cannot be read.
    pub fn plan_prune(&self, how: &Retention) -> Result<Pruning> {
        prune::plan(&self.files, how).at(self.path())
    }

    /// Removes final segments, oldest first, and perhaps gives the oldest blocks of the current one back, as far as the
    /// rules say and the holds let. Positions stay as they are. Safe at any time; one that was interrupted is finished
    /// by the next.
    ///
    /// # Errors
    /// After [`Retention::wait`]: [`Fault::Busy`](crate::Fault::Busy), with nothing changed.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// let log = mmlog::Log::options().open_or_create(&path)?;
    /// for line in ["old\n", "new\n"] {
    ///     log.writer()?.append(line.as_bytes())?;
    ///     log.rotate(&mmlog::Rotation::default())?;
    /// }
    /// let hold = log.hold("shipper", log.oldest()?)?;
    /// assert!(log.prune(&mmlog::Retention::default().keep(1))?.is_empty());
    /// hold.advance(log.cursor()?)?;
    /// assert_eq!(log.prune(&mmlog::Retention::default().keep(1))?.first_kept, 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn prune(&self, how: &Retention) -> Result<Pruning> {
        let files = self.files.of_this_process()?;
        prune::prune(&files, how).at(self.path())
    }

    /// Keeps prune from everything at or behind `position`, under a name, until [`forget`](Self::forget): also when this
    /// process ends. Who claims a name again takes its hold over, at the position given, unless the [`Hold`] of before lives.
    ///
    /// # Errors
    /// [`Fault::Busy`](crate::Fault::Busy) when it does, in this process or another;
    /// [`Fault::Pruned`](crate::Fault::Pruned) when it is too late; [`Fault::HoldsFull`](crate::Fault::HoldsFull),
    /// [`Fault::HoldName`](crate::Fault::HoldName), [`Fault::NoPosition`](crate::Fault::NoPosition).
    pub fn hold(&self, name: &str, position: Position) -> Result<Hold> {
        Hold::claim(self.files.of_this_process()?, name, position)
    }

    /// Every hold, the one that keeps most first.
    pub fn holds(&self) -> Vec<HoldStatus> {
        Observer::of(Arc::clone(&self.files)).holds(&self.files)
    }

    /// Ends the hold of that name, whoever has it.
    ///
    /// # Errors
    /// [`Fault::NoHold`](crate::Fault::NoHold).
    pub fn forget(&self, name: &str) -> Result<()> {
        let files = self.files.of_this_process()?;
        holds::forget(&files, name).at(self.path())
    }

    /// Compresses every final segment that is not compressed, oldest first, in the calling thread: minutes for a large
    /// one, in which nobody waits for it, not even a rotation. Each takes its plain file's place when it was read back,
    /// compared, and is durable. Segments that another process compresses are left to it.
    ///
    /// Whoever dies in the middle leaves the plain file; the next one compresses it.
    ///
    /// # Errors
    /// [`Fault::Busy`](crate::Fault::Busy) and [`Fault::NoSpace`](crate::Fault::NoSpace) end it at once, with what was
    /// compressed so far. A segment that cannot be compressed keeps none from it: it is among those that
    /// [`failed`](compress::Compressions::failed).
    #[cfg(feature = "compressed")]
    pub fn compress(
        &self,
        how: &compress::Compress,
        mut progress: impl FnMut(compress::Compressing<'_>),
    ) -> Result<compress::Compressions> {
        let files = self.files.of_this_process()?;
        compress::compress(&files, how, &mut progress).at(self.path())
    }

    /// For a program that ends while another of its threads compresses by this handle: the copy in the making goes, and that
    /// thread fails. What is whole stays.
    #[cfg(feature = "compressed")]
    pub fn abandon_compression(&self) {
        self.files.abandon_copy();
    }

    /// Makes `directory`, relative to the log's, the one that [`move_segments`](Self::move_segments) moves final segments
    /// to, and that everybody looks for them in. It is this log's alone, on the same mount, owned by root or the
    /// log's owner, below the log's directory with no link on the way; one elsewhere, which earlier versions took, stays.
    ///
    /// # Errors
    /// [`Fault::OldDirectory`](crate::Fault::OldDirectory), also while another one has segments still.
    pub fn set_old_directory(&self, directory: &Path, wait: Duration) -> Result<()> {
        let files = self.files.of_this_process()?;
        olddir::set(&files, directory, wait).at(self.path())
    }

    /// Renames every final segment to `directory`, when it is durable. Readers find them in either
    /// place. Those that are being compressed stay for the next time; so do all when this is interrupted.
    ///
    /// # Errors
    /// As [`set_old_directory`](Self::set_old_directory), which it does first.
    pub fn move_segments(&self, directory: &Path, wait: Duration) -> Result<Moved> {
        let files = self.files.of_this_process()?;
        olddir::move_there(&files, directory, wait).at(self.path())
    }

    /// What has the name of a segment of this log, and is not taken for one: readers leave it out, maintenance leaves it
    /// alone. Nothing, where this user may not list the directory.
    ///
    /// # Errors
    /// When the directory of old segments cannot be read, or is not looked in.
    pub fn left_out(&self) -> Result<Vec<LeftOut>> {
        match self.files.finals() {
            Err(fault) if fault.is_denied() => Ok(Vec::new()),
            finals => finals.map(|listing| listing.left_out).at(self.path()),
        }
    }

    /// When the current segment began, as the metadata has it.
    pub fn segment_began(&self) -> Option<SystemTime> {
        rotate::began(&self.files)
    }

    /// Sets the panic flag: every writing operation of every process refuses from now on, and names the reason.
    /// The first reason stays. Readers still read.
    ///
    /// # Errors
    /// [`Fault::ReadOnly`](crate::Fault::ReadOnly).
    #[doc(alias = "panic")]
    pub fn poison(&self, reason: &str, errno: i32) -> Result<()> {
        let files = self.files.of_this_process()?;
        files.writable().at(self.path())?;
        files.poison(reason, errno);
        Ok(())
    }

    /// Ends this clone of the handle; the last one trims if no other writer is open. Dropping does the same, but
    /// cannot say what went wrong.
    ///
    /// # Errors
    /// Those of [`Writer::append`] where a writer of this handle was dropped before and could not append what it held back:
    /// that is lost. Otherwise as [`trim`](Self::trim), after 1 s at most. Nothing is lost then: the file is longer than what was
    /// appended, until a trim or the next one that closes the log.
    pub fn close(self) -> Result<()> {
        let path = self.path().to_path_buf();
        let not_appended = self.files.not_appended();
        let closed = Arc::into_inner(self.files).map_or(Ok(()), Files::close);
        not_appended.and(closed).at(&path)
    }
}
