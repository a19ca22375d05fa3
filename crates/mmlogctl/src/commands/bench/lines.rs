//! Messages that are lines, for what cannot keep anything else: who wrote it, which one it is, dots, and both again, so
//! that no two halves of lines make another one. `mmlogctl-bench-peers` makes the same (its `line.rs`).
//!
//! ```text
//! 003 0000000041 ......................... 003 0000000041
//! ```
//!
//! Where lines are torn, others do not stand at multiples of their size: one ends where its newline is.

use super::message::Messages;

/// The size of the shortest, with one dot.
pub(super) const LEAST: usize = 2 * TAG + 4;

/// Both numbers: three digits and ten.
const TAG: usize = 14;
const DIGITS: usize = 10;

pub(super) struct Lines {
    bytes: Vec<u8>,
    at: u64,
}

impl Messages for Lines {
    fn new(worker: usize, size: usize) -> Self {
        let tag = format!("{worker:03} {:010}", 0);
        let dots = ".".repeat(size.saturating_sub(LEAST) + 1);
        Self { bytes: format!("{tag} {dots} {tag}\n").into_bytes(), at: 0 }
    }

    #[inline]
    fn message(&mut self, sequence: u64) -> &[u8] {
        let last = self.bytes.len() - 1 - DIGITS;
        for at in [TAG - DIGITS, last] {
            let digits = &mut self.bytes[at..at + DIGITS];
            if self.at + 1 == sequence { count(digits) } else { spell(digits, sequence) }
        }
        self.at = sequence;
        &self.bytes
    }

    fn claimed(message: &[u8]) -> Option<(usize, u64)> {
        let tag = str::from_utf8(message.get(..TAG)?).ok()?;
        let (worker, number) = tag.split_once(' ')?;
        Some((worker.parse().ok()?, number.parse().ok()?))
    }

    fn distinct(_size: usize) -> u64 {
        10_u64.pow(DIGITS as u32)
    }

    fn first(bytes: &[u8], _size: usize) -> Option<usize> {
        memchr::memchr(b'\n', bytes).map(|at| at + 1)
    }
}

/// One more: cheaper than spelling it.
#[inline]
fn count(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

fn spell(digits: &mut [u8], mut n: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(n % 10).unwrap_or(0);
        n /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_whose_it_is_and_which_one_at_both_ends() {
        for size in [LEAST, 120, 128, 9000] {
            let mut lines = Lines::new(41, size);
            for n in [0, 1, 2, 9_999_999_999, 7, 8, 9, 10, 99, 100] {
                let line = lines.message(n).to_vec();
                let tag = format!("041 {n:010}");
                let end = format!(" {tag}\n");
                assert!(
                    line.len() == size && line.starts_with(tag.as_bytes()) && line.ends_with(end.as_bytes())
                );
                assert_eq!((Lines::claimed(&line), Lines::first(&line, size)), (Some((41, n)), Some(size)));
            }
        }
    }
}
