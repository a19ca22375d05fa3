//! The commonest of a stream of texts in bounded memory: the algorithm "space saving" (Metwally, Agrawal and El Abbadi,
//! Efficient Computation of Frequent and Top-k Elements in Data Streams, 2005).
//!
//! So many texts have a count. A text that has none takes that of the rarest, and goes on from there: so a count is too high by
//! at most what it took over, which it remembers, and never too low. Whatever came more often than one time in [`MOST`] has
//! one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

/// So many have a count.
pub(super) const MOST: usize = 8192;
/// Bytes of an example that are kept.
pub(super) const EXAMPLE: usize = 200;

/// A text that is among the commonest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    key: u64,
    pub(super) shape: Vec<u8>,
    /// How often it came, at most.
    pub(super) count: u64,
    /// By how much that may be too high.
    pub(super) error: u64,
    /// Where it came first since it has a count, and last.
    pub(super) first: u64,
    pub(super) last: u64,
    /// The line that came first.
    pub(super) example: Vec<u8>,
}

impl Entry {
    /// How often it came, at least.
    pub(super) const fn at_least(&self) -> u64 {
        self.count - self.error
    }
}

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Common {
    hash: RandomState,
    /// By hash: two texts of one are as unlikely as a broken memory.
    places: HashMap<u64, usize>,
    entries: Vec<Entry>,
    /// Each entry once, with a count that it had.
    rarest: BinaryHeap<Reverse<(u64, usize)>>,
    /// Some lost their counts.
    is_full: bool,
}

impl Common {
    /// One more.
    pub(super) fn note(&mut self, shape: &[u8], position: u64, line: &[u8]) {
        let key = self.hash.hash_one(shape);
        if let Some(place) = self.places.get(&key) {
            let entry = &mut self.entries[*place];
            entry.count += 1;
            entry.last = position;
            return;
        }
        let place = match self.entries.len() {
            MOST => self.emptied(),
            place => {
                self.entries.push(Entry::default());
                place
            }
        };
        let entry = &mut self.entries[place];
        entry.error = entry.count;
        entry.count += 1;
        (entry.key, entry.first, entry.last) = (key, position, position);
        for (kept, text) in [(&mut entry.shape, shape), (&mut entry.example, line)] {
            kept.clear();
            kept.extend_from_slice(text);
        }
        self.rarest.push(Reverse((entry.count, place)));
        self.places.insert(key, place);
    }

    /// The place of the rarest, which loses it.
    fn emptied(&mut self) -> usize {
        self.is_full = true;
        loop {
            let Some(Reverse((count, place))) = self.rarest.pop() else { return 0 };
            let entry = &self.entries[place];
            if entry.count == count {
                self.places.remove(&entry.key);
                return place;
            }
            // It came more often since.
            self.rarest.push(Reverse((entry.count, place)));
        }
    }

    /// How many different ones there were, if all of them have a count.
    pub(super) fn distinct(&self) -> Option<usize> {
        (!self.is_full).then_some(self.entries.len())
    }

    /// The commonest: who came certainly most often first.
    pub(super) fn top(&self, most: usize) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.entries.iter().collect();
        all.sort_unstable_by_key(|entry| (Reverse(entry.at_least()), entry.first));
        all.truncate(most);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_as_long_as_all_have_one() {
        let mut common = Common::default();
        for (n, text) in (0..).zip(["a", "b", "a", "c", "a", "b"]) {
            common.note(text.as_bytes(), n, text.as_bytes());
        }
        let told: Vec<_> =
            common.top(2).iter().map(|e| (e.shape.clone(), e.count, e.error, e.first, e.last)).collect();
        assert_eq!(told, [(b"a".to_vec(), 3, 0, 0, 4), (b"b".to_vec(), 2, 0, 1, 5)]);
        assert_eq!(common.distinct(), Some(3));
    }

    #[test]
    fn among_a_million_others_the_common_ones_are_found_with_counts_that_are_never_too_low() {
        let mut common = Common::default();
        let all = 1_000_000;
        for n in 0..all {
            let text = if n % 100 == 0 { "common".to_owned() } else { format!("rare {n}") };
            common.note(text.as_bytes(), n, text.as_bytes());
        }
        assert_eq!((common.entries.len(), common.places.len(), common.rarest.len()), (MOST, MOST, MOST));
        assert_eq!(common.distinct(), None);
        let first = common.top(1)[0];
        assert_eq!(first.shape, b"common");
        assert!(first.count >= 10_000 && first.at_least() <= 10_000, "{first:?}");
        assert!(common.entries.iter().all(|entry| entry.error <= all / MOST as u64));
    }
}
