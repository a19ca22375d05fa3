//! A segment's entry: which data file has which positions.

use crate::layout::Segment;
use crate::sync::Ordering;

/// A segment's entry, loaded once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its number.
    pub generation: u64,
    /// Position of its first byte.
    pub base: u64,
    /// Its data file.
    pub inode: u64,
    /// When it began, nanoseconds since the epoch.
    pub began_ns: u64,
    /// When its data file was made, nanoseconds since the epoch; 0: not said. An inode number is given again as soon as nobody
    /// has the removed file open that had it.
    pub born_ns: u64,
}

impl Entry {
    /// Whether a file with that number that was made then is its data file; `None` where the file system does not say when.
    pub fn is(&self, inode: u64, born_ns: Option<u64>) -> bool {
        self.inode == inode && (self.born_ns == 0 || born_ns.is_none_or(|born| born == self.born_ns))
    }

    /// Whether a file has the number of its data file, which is gone: it was made at another time. (Not to be believed through an
    /// overlay, where the first who writes to a file of a lower layer has it made anew, under the same number.)
    pub fn is_given_again(&self, inode: u64, born_ns: Option<u64>) -> bool {
        self.inode == inode && !self.is(inode, born_ns)
    }

    /// What says whose `born_ns` it is.
    const fn key(&self) -> u64 {
        self.inode ^ self.generation.rotate_left(32)
    }
}

impl Segment {
    /// Names a data file; the caller has the log's lock. By halves, as a power cut may find it, it names none.
    pub fn set(&self, entry: Entry) {
        self.inode.store(0, Ordering::Relaxed);
        self.generation.store(entry.generation, Ordering::Release);
        self.base.store(entry.base, Ordering::Release);
        self.began_ns.store(entry.began_ns, Ordering::Release);
        self.born_ns.store(entry.born_ns, Ordering::Release);
        self.born_of.store(entry.key(), Ordering::Release);
        self.inode.store(entry.inode, Ordering::Release);
    }

    /// What it says now.
    pub fn get(&self) -> Entry {
        let born_ns = self.born_ns.load(Ordering::Relaxed);
        let entry = Entry {
            generation: self.generation.load(Ordering::Relaxed),
            base: self.base.load(Ordering::Relaxed),
            inode: self.inode.load(Ordering::Relaxed),
            began_ns: self.began_ns.load(Ordering::Relaxed),
            born_ns,
        };
        let is_its = self.born_of.load(Ordering::Relaxed) == entry.key();
        Entry { born_ns: if is_its { born_ns } else { 0 }, ..entry }
    }
}
