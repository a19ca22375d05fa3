//! What could not be stored, until the log says so. Atomics alone: a lock could be held by a thread that a forked child does not
//! have. Where threads lose events while one says so, a time may be that of a neighbouring loss; the counts are exact.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mmlog::{Class, Error, forks, units};

use crate::time::Utc;

/// Of one process, and one sink.
pub(crate) struct Lost {
    /// The process, by its forks.
    forks: AtomicU64,
    /// Since the sink was opened, or the process forked.
    all: AtomicU64,
    /// Of which the log says nothing yet.
    untold: AtomicU64,
    /// The bytes of those.
    bytes: AtomicU64,
    /// When the first of them came, and the last, in nanoseconds.
    first: AtomicU64,
    last: AtomicU64,
    /// Why the last one is.
    why: AtomicU8,
}

/// What the log is to say.
pub(crate) struct Untold {
    count: u64,
    bytes: u64,
    first: u64,
    last: u64,
    why: u8,
}

const WHY: [&str; 4] = [
    "no space",
    "somebody held the log up, or its slots were taken",
    "the log needs repair",
    "the log refused them",
];

impl Lost {
    pub(crate) fn nothing() -> Self {
        Self {
            forks: AtomicU64::new(forks()),
            all: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            first: AtomicU64::new(u64::MAX),
            last: AtomicU64::new(0),
            why: AtomicU8::new(0),
        }
    }

    /// Another event; says whether it is the first that the log says nothing of, and how many bytes those have.
    #[cold]
    pub(crate) fn add(&self, bytes: usize, error: &Error) -> (bool, u64) {
        self.leave_to_the_parent();
        let now = since_1970(SystemTime::now());
        self.first.fetch_min(now, Ordering::Relaxed);
        self.last.fetch_max(now, Ordering::Relaxed);
        self.why.store(why(error), Ordering::Relaxed);
        self.all.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        (self.untold.fetch_add(1, Ordering::Release) == 0, bytes)
    }

    #[inline]
    pub(crate) fn is_untold(&self) -> bool {
        self.untold.load(Ordering::Relaxed) > 0
    }

    /// What the log is to say; the caller has it stored, or gives it back.
    #[cold]
    pub(crate) fn take(&self) -> Option<Untold> {
        self.leave_to_the_parent();
        let count = self.untold.swap(0, Ordering::Acquire);
        let why = self.why.load(Ordering::Relaxed);
        let last = self.last.load(Ordering::Relaxed);
        (count > 0).then(|| Untold {
            count,
            bytes: self.bytes.swap(0, Ordering::Relaxed),
            first: self.first.swap(u64::MAX, Ordering::Relaxed).min(last),
            last,
            why,
        })
    }

    /// It was not stored.
    #[cold]
    pub(crate) fn give_back(&self, untold: &Untold) {
        self.first.fetch_min(untold.first, Ordering::Relaxed);
        self.bytes.fetch_add(untold.bytes, Ordering::Relaxed);
        self.untold.fetch_add(untold.count, Ordering::Release);
    }

    pub(crate) fn all(&self) -> u64 {
        self.leave_to_the_parent();
        self.all.load(Ordering::Relaxed)
    }

    /// What a forked child finds here, its parent says.
    fn leave_to_the_parent(&self) {
        if self.forks.swap(forks(), Ordering::AcqRel) != forks() {
            for of_the_parent in [&self.all, &self.untold, &self.bytes] {
                of_the_parent.store(0, Ordering::Relaxed);
            }
            self.first.store(u64::MAX, Ordering::Relaxed);
        }
    }
}

impl Untold {
    /// As the log has it and people read it.
    pub(crate) fn line(&self) -> String {
        let at = |time| Utc(UNIX_EPOCH + Duration::from_nanos(time));
        let (events, why) = (units::counted(self.count, "event"), WHY[usize::from(self.why)]);
        let (first, last) = (at(self.first), at(self.last));
        format!("mmlog-logging: {events} not stored between {first} and {last}: {why}\n")
    }
}

fn why(error: &Error) -> u8 {
    match error.fault().class() {
        Class::Retry => 0,
        Class::Busy => 1,
        Class::Damaged => 2,
        Class::Refused => 3,
    }
}

fn since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
