//! The states that were met, each once, numbered in the order in which they were met.

const EMPTY: u32 = u32::MAX;

pub(super) struct Seen {
    /// Words of one state.
    width: usize,
    words: Vec<u64>,
    /// Open addressing; numbers of states.
    table: Vec<u32>,
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
        let mut at = self.place(hash(state));
        loop {
            let number = self.table[at];
            if number == EMPTY {
                let number = self.len() as u32;
                self.table[at] = number;
                self.words.extend_from_slice(state);
                return (number, true);
            }
            if self.get(number as usize) == state {
                return (number, false);
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
            let mut at = self.place(hash(self.get(number)));
            while self.table[at] != EMPTY {
                at = (at + 1) & (self.table.len() - 1);
            }
            self.table[at] = number as u32;
        }
    }
}

/// Multiplies and folds, word by word; the upper bits are the good ones.
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
