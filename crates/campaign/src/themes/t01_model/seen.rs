//! The states that were met, each once, numbered in the order in which they were met.

const EMPTY: u64 = u64::MAX;

pub(super) struct Seen {
    /// Words of one state.
    width: usize,
    words: Vec<u64>,
    /// Open addressing: a state's number, and above it as many bits of its hash, so that few others are
    /// compared.
    table: Vec<u64>,
}

impl Seen {
    pub(super) fn new(width: usize) -> Self {
        Self { width, words: Vec::new(), table: vec![EMPTY; 1 << 12] }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len() / self.width
    }

    pub(super) fn get(&self, number: usize) -> &[u64] {
        &self.words[number * self.width..][..self.width]
    }

    /// The state's number, and whether it is new.
    pub(super) fn insert(&mut self, state: &[u64]) -> (u32, bool) {
        debug_assert_eq!(state.len(), self.width);
        if self.len() * 3 > self.table.len() * 2 {
            self.grow();
        }
        let hash = hash(state);
        let mut at = self.place(hash);
        loop {
            let found = self.table[at];
            if found == EMPTY {
                let number = self.len() as u32;
                assert!(number < u32::MAX, "more states than numbers");
                self.table[at] = entry(hash, number);
                self.words.extend_from_slice(state);
                return (number, true);
            }
            if found == entry(hash, found as u32) && self.get(found as u32 as usize) == state {
                return (found as u32, false);
            }
            at = (at + 1) & (self.table.len() - 1);
        }
    }

    fn place(&self, hash: u64) -> usize {
        (hash >> (64 - self.table.len().trailing_zeros())) as usize
    }

    fn grow(&mut self) {
        self.table = vec![EMPTY; self.table.len() * 2];
        for number in 0..self.len() {
            let hash = hash(self.get(number));
            let mut at = self.place(hash);
            while self.table[at] != EMPTY {
                at = (at + 1) & (self.table.len() - 1);
            }
            self.table[at] = entry(hash, number as u32);
        }
    }
}

fn entry(hash: u64, number: u32) -> u64 {
    hash << 32 | u64::from(number)
}

/// Multiplies and folds, word by word. The upper bits say where in the table, the lower ones are kept there.
fn hash(state: &[u64]) -> u64 {
    state.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, &word| {
        let wide = u128::from(hash ^ word) * 0x2d35_8dcc_aa6c_78a5;
        (wide >> 64) as u64 ^ wide as u64
    })
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn each_state_is_kept_once_and_found_again() {
        let mut seen = Seen::new(2);
        for round in 0..2 {
            for n in 0..20_000_u64 {
                assert_eq!(seen.insert(&[n, n << 40]), (n as u32, round == 0));
            }
        }
        assert_eq!(seen.get(777), [777, 777 << 40]);
    }
}
