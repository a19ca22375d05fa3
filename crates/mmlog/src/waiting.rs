//! What a writer waits for, told to whoever looks: in its slot, or, while it has none, in the header.
//!
//! Stored off the straight way of an append only, and decides nothing. An append that cannot go on says so at every
//! attempt; a program that no longer tries is told from one that waits by how long ago that was.

use std::fmt;
use std::time::{Duration, SystemTime};

use nix::libc;

use crate::error::Fault;
use crate::layout::{Control, SlotHot, SlotWait};
use crate::metadata::Gate;
use crate::sync::Ordering;
use crate::sys::page_size;
use crate::sys::process::{self, time_of};

/// Who has not tried for so long has given up, or cannot. Those that wait try at least once a second.
const TRYING: Duration = Duration::from_secs(5);
/// The same where what was wanted is there: then nobody else keeps it from trying.
const WOULD_HAVE_TRIED: Duration = Duration::from_secs(2);

/// What keeps a writer from appending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Want {
    /// Space on the file system.
    Space,
    /// A larger file: its own limit (`ulimit -f`).
    FileSize,
    /// Space within its user's quota.
    Quota,
    /// A gate that somebody has closed.
    Gate,
    /// The log's lock.
    Lock,
    /// A disk, or a file system, that takes its bytes.
    Storage,
}

const WANTS: [Want; 6] = [Want::Space, Want::FileSize, Want::Quota, Want::Gate, Want::Lock, Want::Storage];

/// Behind those: nothing of the log, but that somebody reads what its program writes elsewhere.
const READER: u32 = WANTS.len() as u32 + 1;

/// Behind that: a want, told by the errno, of a program that does not wait. It drops what comes.
const DROPPING: u32 = READER + 1;

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Space => "space",
            Self::FileSize => "file-size-limit",
            Self::Quota => "quota",
            Self::Gate => "gate",
            Self::Lock => "lock",
            Self::Storage => "storage",
        })
    }
}

impl Want {
    /// What an append that failed so would need, and the errno. `None` where waiting does not help.
    fn of(fault: &Fault, control: &Control) -> Option<(Self, i32)> {
        Some(match fault {
            Fault::NoSpace { source, .. } | Fault::Io { source, .. } => {
                let errno = source.raw_os_error()?;
                (Self::of_errno(errno), errno)
            }
            Fault::Stalled { .. } | Fault::Stopped { .. } => (Self::here(control), 0),
            _ => return None,
        })
    }

    fn of_errno(errno: i32) -> Self {
        match errno {
            libc::ENOSPC => Self::Space,
            libc::EFBIG => Self::FileSize,
            libc::EDQUOT => Self::Quota,
            _ => Self::Storage,
        }
    }

    /// What whoever waits in an append waits for.
    fn here(control: &Control) -> Self {
        if control.look().gate == Gate::Closed { Self::Gate } else { Self::Lock }
    }
}

/// What a writer's next append waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// What it needs.
    pub want: Want,
    /// Why it cannot be had; 0 where no system call failed.
    pub errno: i32,
    /// Bytes of the append; 0 where its program drops what comes.
    pub len: u64,
    /// So many bytes its program has dropped since, where it does not wait; see [`Writer::drops`](crate::Writer::drops).
    pub dropped: Option<u64>,
    /// Since when no append of this writer has worked.
    pub since: SystemTime,
    /// When it last tried.
    pub tried: SystemTime,
    /// When that was read: a reader may be held up before it looks at it.
    pub seen: SystemTime,
}

impl Waiting {
    /// Whether it has tried within five seconds before this was read: else it has given up, or cannot.
    #[must_use]
    pub fn is_trying(&self) -> bool {
        is_recent(self.tried, self.seen, TRYING)
    }

    /// The same, where there is so much free space: who wants no more has tried within two seconds, or has given up.
    pub(crate) fn is_trying_with(&self, free: Option<u64>) -> bool {
        is_recent(self.tried, self.seen, if self.has_enough(free) { WOULD_HAVE_TRIED } else { TRYING })
    }

    /// Whether it wants space, and there is as much as it wants. Who drops what comes does not say how much that is.
    pub(crate) fn has_enough(&self, free: Option<u64>) -> bool {
        let needed = self.len.max(1).next_multiple_of(page_size());
        self.want == Want::Space && self.dropped.is_none() && free.is_some_and(|free| free >= needed)
    }
}

fn is_recent(tried: SystemTime, seen: SystemTime, time: Duration) -> bool {
    // A clock that was set is not believed either way.
    seen.duration_since(tried).unwrap_or_else(|e| e.duration()) < time
}

impl SlotHot {
    fn wants(&self, want: Want, errno: i32, len: u64, since_ns: u64) {
        let kind = WANTS.iter().position(|known| *known == want).map_or(0, |at| at as u32 + 1);
        self.says(kind, errno, len, since_ns);
    }

    /// It has nothing to append until somebody reads what its program writes elsewhere.
    pub(crate) fn wants_a_reader(&self) {
        self.says(READER, 0, 0, process::now_ns());
    }

    fn says(&self, kind: u32, errno: i32, bytes: u64, since_ns: u64) {
        self.wait_errno.store(errno.cast_unsigned(), Ordering::Relaxed);
        self.wait_len.store(bytes, Ordering::Relaxed);
        self.wait_since_ns.store(since_ns, Ordering::Relaxed);
        self.wait_tried_ns.store(process::now_ns(), Ordering::Relaxed);
        // Release: whoever sees the kind sees the rest.
        self.wait_kind.store(kind, Ordering::Release); // want
    }

    /// Its program does not wait for what it said it wants.
    fn drops(&self, bytes: u64) {
        self.wait_len.store(bytes, Ordering::Relaxed);
        self.wait_kind.store(DROPPING, Ordering::Release); // want
    }

    /// The last append worked, or the slot is somebody else's.
    pub(crate) fn wants_nothing(&self) {
        self.wait_kind.store(0, Ordering::Relaxed);
    }

    /// What its owner waits for, which has had it since then: earlier software leaves what the owner before said.
    pub(crate) fn waiting_for(&self, owned_since_ns: u64) -> Option<Waiting> {
        let kind = self.wait_kind.load(Ordering::Acquire); // want
        let errno = self.wait_errno.load(Ordering::Relaxed).cast_signed();
        let bytes = self.wait_len.load(Ordering::Relaxed);
        let (want, len, dropped) = match kind {
            DROPPING => (Want::of_errno(errno), 0, Some(bytes)),
            kind => (*WANTS.get((kind as usize).checked_sub(1)?)?, bytes, None),
        };
        let tried_ns = self.wait_tried_ns.load(Ordering::Relaxed);
        (tried_ns >= owned_since_ns).then_some(Waiting {
            want,
            errno,
            len,
            dropped,
            since: time_of(self.wait_since_ns.load(Ordering::Relaxed))?,
            tried: time_of(tried_ns)?,
            seen: SystemTime::now(),
        })
    }

    /// Since when its owner, which has had it since then, waits for whoever reads what its program writes.
    pub(crate) fn wants_a_reader_since(&self, owned_since_ns: u64) -> Option<SystemTime> {
        let is_one = self.wait_kind.load(Ordering::Acquire) == READER; // want
        let is_its = self.wait_tried_ns.load(Ordering::Relaxed) >= owned_since_ns;
        time_of(self.wait_since_ns.load(Ordering::Relaxed)).filter(|_| is_one && is_its)
    }
}

/// Since when a writer's appends have not worked.
#[derive(Clone, Copy, Default)]
pub(crate) struct HeldUp {
    since_ns: u64,
    /// What its program has dropped since, if it does that.
    dropped: Option<u64>,
}

impl HeldUp {
    fn since(&mut self) -> u64 {
        if self.since_ns == 0 {
            self.since_ns = process::now_ns();
        }
        self.since_ns
    }

    /// An append of that length failed: whether another try may help. Its slot, if it has one, says so.
    pub(crate) fn failed(
        &mut self,
        control: &Control,
        hot: Option<&SlotHot>,
        fault: &Fault,
        len: u64,
    ) -> bool {
        let Some((want, errno)) = Want::of(fault, control) else { return false };
        let since = self.since();
        match (hot, self.dropped) {
            (Some(hot), Some(bytes)) if errno != 0 => hot.says(DROPPING, errno, bytes, since),
            (Some(hot), _) => hot.wants(want, errno, len, since),
            (None, _) => {}
        }
        true
    }

    /// Its program drops what comes, while appends do not work.
    pub(crate) fn drops(&mut self, hot: Option<&SlotHot>, bytes: u64) {
        if self.since_ns != 0 {
            self.dropped = Some(bytes);
            hot.into_iter().for_each(|hot| hot.drops(bytes));
        }
    }

    /// The append goes on.
    #[inline]
    pub(crate) fn goes_on(&mut self, hot: &SlotHot) {
        if self.since_ns != 0 {
            hot.wants_nothing();
            *self = Self::default();
        }
    }

    /// For the looks of a wait within an append: from the first sleep on, each of them says that it waits.
    pub(crate) fn looks<'a>(
        &'a mut self,
        control: &'a Control,
        hot: &'a SlotHot,
        len: u64,
    ) -> impl FnMut() + 'a {
        let mut looks = 0_u32;
        move || {
            looks = looks.saturating_add(1);
            // One look before it asks to be woken, one behind that.
            if looks > 2 {
                hot.wants(Want::here(control), 0, len, self.since());
            }
        }
    }
}

/// Programs that wait for a slot, or for the log's lock, without which they cannot open it and have one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotWaiters {
    /// How many; too many if one of them died.
    pub count: u32,
    /// Who came last, by its own namespace's id.
    pub pid: u32,
    /// Name of that process.
    pub command: String,
    /// Since when somebody waits.
    pub since: SystemTime,
}

impl SlotWait {
    /// Who waits now.
    pub(crate) fn now(&self) -> Option<SlotWaiters> {
        let count = self.count.load(Ordering::Relaxed);
        let tried = time_of(self.tried_ns.load(Ordering::Relaxed))?;
        // One that has given up just now, for the only one, may be back at once: 0 is none once somebody has got his.
        is_recent(tried, SystemTime::now(), TRYING).then_some(SlotWaiters {
            count: count.max(1),
            pid: self.pid.load(Ordering::Relaxed),
            command: self.command.load(),
            since: time_of(self.since_ns.load(Ordering::Relaxed))?,
        })
    }
}
