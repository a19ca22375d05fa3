//! Which file a metadata file was made as. Whoever appends by a copy has a cursor of his own, and appends over what others
//! appended since.

use crate::layout::Header;
use crate::sync::Ordering;

/// What a file system says of a metadata file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MadeAs {
    /// Its inode. A number is given again as soon as nobody has the removed file open that had it.
    pub inode: u64,
    /// When it was made, nanoseconds since the epoch, where that is said.
    pub born_ns: Option<u64>,
}

impl Header {
    /// The inode that the metadata was made as, where that file is not the one that was made.
    pub fn copied_from(&self, file: MadeAs) -> Option<u64> {
        let recorded = self.identity.own_inode.load(Ordering::Relaxed);
        let is_it = recorded == file.inode && self.born_ns().zip(file.born_ns).is_none_or(|(a, b)| a == b);
        (!is_it).then_some(recorded)
    }

    /// Says when it was made, unless that is said; the caller has the log's lock.
    pub fn note_made(&self, file: MadeAs) {
        if let (None, Some(born_ns)) = (self.born_ns(), file.born_ns) {
            self.made.born_ns.store(born_ns, Ordering::Relaxed);
            self.made.born_of.store(self.made_key(), Ordering::Release); // made
        }
    }

    fn born_ns(&self) -> Option<u64> {
        let is_its = self.made.born_of.load(Ordering::Acquire) == self.made_key(); // made
        is_its.then(|| self.made.born_ns.load(Ordering::Relaxed))
    }

    /// Of which metadata it is said: software that does not know of it, and makes metadata anew, leaves it as it was.
    fn made_key(&self) -> u64 {
        let identity = &self.identity;
        identity.own_inode.load(Ordering::Relaxed) ^ identity.uuid[0].load(Ordering::Relaxed)
    }
}
