//! How a log is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Log;
use crate::deadline::Waits;
use crate::error::{At, Blocker, Result};
use crate::files::{self, Adopt, Config, Files, Intent, Trust};
use crate::layout::{RING_LEN, ring_at};
use crate::policy::Policy;
use crate::status::Observer;
use crate::sys::together::Together;

/// Bytes of a chunk unless [`Options::chunk_size`] says otherwise: 16 MiB.
pub const DEFAULT_CHUNK_SIZE: u64 = 16 << 20;
/// Chunks a handle keeps mapped unless [`Options::ring_chunks`] says otherwise.
pub const DEFAULT_RING_CHUNKS: usize = 4;
/// Slots for writers unless [`Options::max_writers`] says otherwise.
pub const DEFAULT_MAX_WRITERS: u32 = 1024;
/// How long a drain may hold writers up unless [`Options::gate_ms`] says otherwise.
pub const DEFAULT_GATE_MS: u32 = 50;

/// How to open a log. What is fixed at creation (chunk size, writers, mode, gate) is taken from an existing log.
#[derive(Clone, Debug)]
pub struct Options(pub(crate) Config);

impl Default for Options {
    fn default() -> Self {
        Self(Config {
            chunk_size: DEFAULT_CHUNK_SIZE,
            ring_chunks: DEFAULT_RING_CHUNKS,
            max_writers: DEFAULT_MAX_WRITERS,
            mode: None,
            gate_ms: DEFAULT_GATE_MS,
            wait: Duration::from_secs(10),
            waits: Waits::default(),
            trust: Trust::Strict,
            adopt: Adopt::Refuse,
            old_directory: None,
            policy: None,
            carries_out_policy: std::env::var_os("MMLOG_NO_POLICY").is_none(),
            drop_behind: 0,
            writes_long: false,
            brief: false,
            looks: false,
            together: None,
        })
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that the file grows by, behind the first 64 KiB, and that are mapped at a time: a multiple of the page size, 4 KiB to
    /// 1 GiB.
    pub fn chunk_size(mut self, bytes: u64) -> Self {
        self.0.chunk_size = bytes;
        self
    }

    /// Chunks that this handle keeps mapped, 2 to 1024: fewer are taken for 2, more for 1024. What is far behind the last message is mapped without memory:
    /// a process lets go of it, 2 MiB at a time.
    pub fn ring_chunks(mut self, chunks: usize) -> Self {
        self.0.ring_chunks = chunks.clamp(2, 1024);
        self
    }

    /// Writers at a time, 1 to 16384; each takes 128 bytes of metadata.
    pub fn max_writers(mut self, slots: u32) -> Self {
        self.0.max_writers = slots;
        self
    }

    /// Bytes of the metadata of a log that is created so; all of them are allocated.
    #[must_use]
    pub fn metadata_len(&self) -> u64 {
        (ring_at(self.0.max_writers) + RING_LEN) as u64
    }

    /// Permission bits of a created log, in spite of the umask; unset, 0666 less the umask.
    pub fn mode(mut self, bits: u32) -> Self {
        self.0.mode = Some(bits & 0o7777);
        self
    }

    /// How long a trim or rotation may hold writers up before it gives way, 1 to 60000 milliseconds.
    pub fn gate_ms(mut self, milliseconds: u32) -> Self {
        self.0.gate_ms = milliseconds;
        self
    }

    /// Readers that are opened so only look at the log for somebody, as an [`Observer`] does: [`open_logs`](crate::open_logs)
    /// leaves them out.
    pub fn only_to_look(mut self) -> Self {
        self.0.looks = true;
        self
    }

    /// Logs that are opened with the same one are looked at together.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// use mmlog::{Log, Observer, Together};
    /// let together = Together::default();
    /// for name in ["a.log", "b.log"] {
    ///     Log::options().open_or_create(dir.path().join(name))?;
    ///     let options = Log::options().together(&together);
    ///     assert_eq!(Observer::open(dir.path().join(name), &options)?.look()?.cursor, 0);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn together(mut self, with: &Together) -> Self {
        self.0.together = Some(with.clone());
        self
    }

    /// How long an append or an open waits for a live process that holds the log up; 10 s if not set. Of any length:
    /// what no clock can say is for ever.
    pub fn wait(mut self, longest: Duration) -> Self {
        self.0.wait = longest;
        self
    }

    /// Ends the waits of this handle sooner: once `raised` is true, whoever waits for another process goes on for at most
    /// 0.2 s (what a healthy log makes anybody wait is over by then) and returns
    /// [`Fault::Stopped`](crate::Fault::Stopped); so does whoever begins to wait from then on. Long work on many pieces
    /// (pruning, compressing, moving or removing segments, looking at every byte) ends behind the piece in hand with
    /// [`Fault::Interrupted`](crate::Fault::Interrupted). What need not wait is done as ever. Raise it once, from a signal handler or any thread, with [`Ordering::Release`](std::sync::atomic::Ordering).
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
    /// let stop = Arc::new(AtomicBool::new(false));
    /// let log = mmlog::Log::options().stop(Arc::clone(&stop)).open_or_create(&path)?;
    /// stop.store(true, Ordering::Release); // as a handler of SIGTERM would
    /// log.writer()?.append(b"nobody is in the way\n")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop(mut self, raised: Arc<AtomicBool>) -> Self {
        self.0.waits.stop_at(raised);
        self
    }

    /// Calls `tell` from within a wait that has taken 1 s, once, with whoever is waited for, and how long by then.
    /// It is called in the thread that waits, and should be quick.
    pub fn tell(mut self, tell: impl Fn(&Blocker, Duration) + Send + Sync + 'static) -> Self {
        self.0.waits.tell(Arc::new(tell));
        self
    }

    /// Whether paths are taken as they come.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.0.trust = trust;
        self
    }

    /// Says that `directory`, relative to the log's, is where old segments are, if the metadata names one: needed for one
    /// that is not below the log's directory, or across a link, where it is not wholly the log owner's, or others may write
    /// the metadata; and for one below with another log of that name in it. Metadata is the word of whoever may write it,
    /// and that alone is not followed there.
    pub fn old_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.0.old_directory = Some(directory.into());
        self
    }

    /// What to do with a data file that has bytes but no metadata.
    pub fn adopt(mut self, adopt: Adopt) -> Self {
        self.0.adopt = adopt;
        self
    }

    /// The policy of a log that is created: each value within the range that [`Policy`] says. A log that is there keeps its
    /// own, which [`Log::policy_kept`] then says; [`Log::set_policy`] changes it.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// use mmlog::{Log, Policy, PolicyState};
    ///
    /// let bounded = Policy { rotate_size: Some(64 << 20), keep: Some(10), ..Policy::default() };
    /// let log = Log::options().policy(&bounded).open_or_create(&path)?;
    /// assert_eq!(log.policy_kept(), None);
    ///
    /// let smaller = Policy { keep: Some(3), ..bounded.clone() };
    /// let log = Log::options().policy(&smaller).open_or_create(&path)?;
    /// assert_eq!(log.policy_kept(), Some(PolicyState::Set(bounded)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn policy(mut self, policy: &Policy) -> Self {
        self.0.policy = Some(policy.words());
        self
    }

    /// Whether appends of this handle do what the log's [`Policy`] asks for, as they do if not set: rotate, and remove
    /// final segments. For a program in a sandbox that ends it at a system call it did not expect (`linkat`, `fchown`,
    /// `fsetxattr`, `unlinkat`): with `false` its segments grow beyond their size until somebody else rotates, and
    /// status names it. The environment variable `MMLOG_NO_POLICY`, of any value, does the same for all handles.
    pub fn carry_out_policy(mut self, does: bool) -> Self {
        self.0.carries_out_policy &= does;
        self
    }

    /// Leaves the page cache to other programs: what lies more than `bytes` behind the newest message is written to the
    /// disk and dropped. 0, the default, leaves all that to the kernel. Whole chunks (of 1 MiB at least) are kept, no
    /// fewer than the handle has mapped ([`ring_chunks`](Self::ring_chunks)), and those where another writer has
    /// appended last.
    ///
    /// It is of this handle's writers; set it for all of a log. The writer whose message begins a chunk does the
    /// work: a few system calls, and where the disk is more than `bytes` behind, a wait for it: `bytes` is what
    /// a burst may have. No other writer waits. Followers that lag further behind read from the disk; nothing is lost. A
    /// write to the disk that failed is noted as a failed [`sync`](Log::sync). On tmpfs nothing happens.
    pub fn drop_behind(mut self, bytes: u64) -> Self {
        self.0.drop_behind = bytes;
        self
    }

    /// Whether messages of 16 KiB and more are written by a system call also where several append; no if not set. This handle's
    /// alone.
    ///
    /// Through the mapping each process copies while the others do; writing takes one at a time, and less of the processors:
    /// it is for whoever passes on what other programs make meanwhile, as `mmlogctl append` does.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// let log = mmlog::Log::options().write_long(true).open_or_create(&path)?;
    /// log.writer()?.append(&[b'x'; 100_000])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_long(mut self, yes: bool) -> Self {
        self.0.writes_long = yes;
        self
    }

    /// Whether this handle is most likely for one message, as of a program that runs now and then to log a line; no if not set.
    ///
    /// The first message of each of its writers is then written by a system call, without space allocated ahead where the log
    /// was at rest: nothing is mapped, and there is nothing to cut off at the end. What comes after it is appended as
    /// always.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// let log = mmlog::Log::options().brief(true).open_or_create(&path)?;
    /// log.writer()?.append(b"backup done\n")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn brief(mut self, yes: bool) -> Self {
        self.0.brief = yes;
        self
    }

    /// Opens the log at `path` for appending, and makes it if it is missing. Any number of processes may race.
    ///
    /// # Errors
    /// [`Fault::NoMetadata`](crate::Fault::NoMetadata) for a data file with bytes that may not be adopted,
    /// [`Fault::Geometry`](crate::Fault::Geometry) and [`Fault::Policy`](crate::Fault::Policy) for options out of range,
    /// and whatever the file system says.
    pub fn open_or_create(&self, path: impl AsRef<Path>) -> Result<Log> {
        self.open_for(path.as_ref(), Intent::Create)
    }

    /// Opens the log at `path` for appending.
    ///
    /// # Errors
    /// [`Fault::NoLog`](crate::Fault::NoLog) when it is missing; else as [`open_or_create`](Self::open_or_create).
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Log> {
        self.open_for(path.as_ref(), Intent::Write)
    }

    /// Opens the log at `path` for following and looking. Uses permission to write the metadata, if there is any,
    /// only to announce that somebody sleeps; without it, a follower looks every 20 ms.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_reader(&self, path: impl AsRef<Path>) -> Result<Log> {
        let log = self.open_for(path.as_ref(), Intent::Read)?;
        if self.0.looks {
            log.files.only_looks();
        }
        Ok(log)
    }

    fn open_for(&self, path: &Path, intent: Intent) -> Result<Log> {
        self.0.policy.as_ref().map_or(Ok(()), files::policy::check).at(path)?;
        Files::open(path, &self.0, intent).map(Log::of)
    }
}

impl Observer {
    /// Opens the log at `path` only to look at it, also a damaged one.
    ///
    /// # Errors
    /// When there is no metadata that says anything.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        Self::open_with(path.as_ref(), &options.0)
    }
}
