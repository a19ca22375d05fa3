//! What the processes of a run share, in memory that the log knows nothing of: who has appended how much, and how
//! long it took.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::oracle::Words;

/// Writers, the killed and their successors together.
pub(super) const MOST_WRITERS: usize = 1 << 14;

const CLOSED: usize = 0;
/// Calls of `rotate`.
const BEGUN: usize = 1;
const ENDED: usize = 2;
/// The longest append without and beside a rotation, nanoseconds.
const LONGEST: usize = 4;
const COUNTS: usize = 8;
/// Eight to an octave.
const BUCKETS: usize = 64 * 8;
const ACKNOWLEDGED: usize = COUNTS + 2 * BUCKETS;

pub(super) struct Stage(Words);

/// Appends of one kind by how long they took.
pub(super) struct Took {
    pub(super) appends: u64,
    pub(super) median: Duration,
    pub(super) p99: Duration,
    pub(super) longest: Duration,
}

impl Stage {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Words::create(path, ACKNOWLEDGED + MOST_WRITERS).map(Self)
    }

    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Words::open(path).map(Self)
    }

    pub(super) fn close(&self) {
        self.0.get(CLOSED).store(1, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.get(CLOSED).load(Ordering::Relaxed) != 0
    }

    pub(super) fn acknowledge(&self, writer: u32, lines: u64) {
        self.0.get(ACKNOWLEDGED + writer as usize).store(lines, Ordering::Release);
    }

    /// Lines that this writer was told are there.
    pub(super) fn acknowledged(&self, writer: u32) -> u64 {
        self.0.get(ACKNOWLEDGED + writer as usize).load(Ordering::Acquire)
    }

    pub(super) fn rotates<T>(&self, rotate: impl FnOnce() -> T) -> T {
        self.0.get(BEGUN).fetch_add(1, Ordering::SeqCst);
        let done = rotate();
        self.0.get(ENDED).fetch_add(1, Ordering::SeqCst);
        done
    }

    /// A rotator was killed: what it had begun has ended.
    pub(super) fn forget_rotation(&self) {
        self.0.get(ENDED).store(self.0.get(BEGUN).load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Rotations begun, and ended: equal in between.
    pub(super) fn rotations(&self) -> (u64, u64) {
        let load = |word| self.0.get(word).load(Ordering::SeqCst);
        (load(BEGUN), load(ENDED))
    }

    pub(super) fn took(&self, beside_rotation: bool, time: Duration) {
        let nanoseconds = time.as_nanos() as u64;
        let kind = usize::from(beside_rotation);
        self.0.get(COUNTS + kind * BUCKETS + bucket(nanoseconds)).fetch_add(1, Ordering::Relaxed);
        self.0.get(LONGEST + kind).fetch_max(nanoseconds, Ordering::Relaxed);
    }

    pub(super) fn times(&self, beside_rotation: bool) -> Took {
        let kind = usize::from(beside_rotation);
        let load = |word| self.0.get(word).load(Ordering::Relaxed);
        let counts: Vec<u64> = (0..BUCKETS).map(|i| load(COUNTS + kind * BUCKETS + i)).collect();
        let appends: u64 = counts.iter().sum();
        let longest = Duration::from_nanos(load(LONGEST + kind));
        let part = |part: f64| {
            let mut left = (appends as f64 * part) as u64;
            let bucket = counts.iter().position(|&count| {
                let here = left < count;
                left = left.saturating_sub(count);
                here
            });
            bucket.map_or(longest, |bucket| Duration::from_nanos(end_of(bucket)).min(longest))
        };
        Took { appends, median: part(0.5), p99: part(0.99), longest }
    }
}

fn bucket(nanoseconds: u64) -> usize {
    let octave = nanoseconds.max(8).ilog2();
    (octave as usize - 3) * 8 + (nanoseconds.max(8) >> (octave - 3)) as usize - 8
}

/// The first number behind a bucket.
fn end_of(bucket: usize) -> u64 {
    (bucket as u64 % 8 + 9) << (bucket / 8)
}

/// Line `number` of that writer; nobody has to remember it.
pub(super) fn line(writer: u32, number: u64, to: &mut Vec<u8>) {
    use std::io::Write;
    to.clear();
    // Writing to a vector cannot fail.
    let _ = write!(to, "w{writer:05} {number:09} ");
    let fill = (u64::from(writer) * 31 + number * 17) % 150;
    to.resize(to.len() + fill as usize, b'a' + (number % 26) as u8);
    to.push(b'\n');
}

/// Whose line it is, and which; `None` unless it is exactly that line.
pub(super) fn read_line(text: &[u8]) -> Option<(u32, u64)> {
    let field = |from: usize, to: usize| std::str::from_utf8(text.get(from..to)?).ok()?.parse().ok();
    let (writer, number) = (field(1, 6)?, field(7, 16)?);
    let mut expected = Vec::new();
    line(writer as u32, number, &mut expected);
    (expected == text).then_some((writer as u32, number))
}
