//! Text in words that others may write at any time.

use super::Text;
use crate::sync::{AtomicU64, Ordering};

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Text<N> {
    /// Stores as much of `text` as fits, cut at a character.
    pub fn store(&self, text: &str) {
        let end = (0..=text.len().min(N * 8)).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        let mut bytes = text.as_bytes()[..end].iter().copied();
        for word in &self.0 {
            word.store(
                u64::from_ne_bytes(std::array::from_fn(|_| bytes.next().unwrap_or(0))),
                Ordering::Relaxed,
            );
        }
    }

    /// The text up to the first NUL; bytes that are no UTF-8 are replaced.
    pub fn load(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().flat_map(|w| w.load(Ordering::Relaxed).to_ne_bytes()).collect();
        let len = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }
}
