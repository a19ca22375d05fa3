//! The messages of a run: each says whose it is and which one, and every byte of it is known. None is zero, as in text:
//! a log takes zeros for what a power failure may have left.
//!
//! Beside peers they are lines of text (`lines.rs`), elsewhere noise, which ends in a newline and has no other where there
//! is room for it:
//!
//! ```text
//! byte 0                worker + 1, behind 9 + 2: a message of 1 byte is this
//! bytes 1 to 7          sequence number, 7 bits a byte, low ones first; shorter messages have its low bits
//! from byte 8 on        noise, another one for each worker
//! every 4096 bytes      a word of worker, sequence number and place: no page fits another message
//! the last 8 bytes      such a word too, or as much of it as fits behind byte 8, and the newline
//! ```

/// Workers that can be told apart.
pub(super) const MAX_WORKERS: usize = 254;

const WORD: usize = 8;
const PAGE: usize = 4096;

/// What messages are made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Noise,
    Lines,
}

/// The messages of one worker, and what there is to know of any.
pub(super) trait Messages {
    /// Of `size` bytes each.
    fn new(worker: usize, size: usize) -> Self;

    /// The message with this number.
    fn message(&mut self, sequence: u64) -> &[u8];

    /// Worker and sequence number that a message claims; of short messages only the low bytes of the number.
    fn claimed(message: &[u8]) -> Option<(usize, u64)>;

    /// How many numbers messages of `size` bytes can tell apart.
    fn distinct(size: usize) -> u64;

    /// How many of `bytes` are one message, or what is left of one; `None` when the next bytes are needed to know.
    fn first(bytes: &[u8], size: usize) -> Option<usize>;
}

/// Messages of any size from 1 on; making one costs two words and one more for each page.
pub(super) struct Noise {
    bytes: Vec<u8>,
    id: u8,
}

impl Noise {
    #[inline]
    fn put(&mut self, at: usize, word: u64) {
        self.bytes[at..at + WORD].copy_from_slice(&word.to_le_bytes());
    }
}

impl Messages for Noise {
    fn new(worker: usize, size: usize) -> Self {
        // No newline.
        let id = u8::try_from(worker + 1 + usize::from(worker >= 9)).unwrap_or(u8::MAX);
        let noise = |n: usize| mix(u64::from(id) << 56 | (n / WORD) as u64).to_le_bytes()[n % WORD];
        Self { bytes: (0..size).map(noise).collect(), id }
    }

    #[inline]
    fn message(&mut self, sequence: u64) -> &[u8] {
        let header = spread(sequence) << 8 | u64::from(self.id);
        let len = self.bytes.len();
        if len < WORD {
            self.bytes.copy_from_slice(&header.to_le_bytes()[..len]);
            return &self.bytes;
        }
        self.put(0, header);
        for page in 1..len.div_ceil(PAGE) {
            if page * PAGE + WORD <= len {
                self.put(page * PAGE, mix(header ^ (page as u64) << 56));
            }
        }
        if len >= 2 * WORD {
            self.put(len - WORD, mix(!header));
        } else {
            self.bytes[WORD..].copy_from_slice(&mix(!header).to_le_bytes()[..len - WORD]);
        }
        if len > WORD {
            self.bytes[len - 1] = b'\n';
        }
        &self.bytes
    }

    fn claimed(message: &[u8]) -> Option<(usize, u64)> {
        let mut header = [0; WORD];
        let len = message.len().min(WORD);
        header[..len].copy_from_slice(&message[..len]);
        let id = usize::from(header[0]);
        let worker = id.checked_sub(1 + usize::from(id > 9))?;
        Some((worker, gather(u64::from_le_bytes(header) >> 8)))
    }

    fn distinct(size: usize) -> u64 {
        1 << (7 * (size.min(WORD) - 1))
    }

    fn first(bytes: &[u8], size: usize) -> Option<usize> {
        (bytes.len() >= size).then_some(size)
    }
}

/// 7 bits of `n` in each byte, whose highest bit is set.
#[inline]
const fn spread(n: u64) -> u64 {
    let n = n & 0x0fff_ffff | (n & 0xff_ffff_f000_0000) << 4;
    let n = n & 0x3fff_0000_3fff | (n & 0xfff_c000_0fff_c000) << 2;
    let n = n & 0x7f_007f_007f_007f | (n & 0x3f80_3f80_3f80_3f80) << 1;
    n | 0x8080_8080_8080_8080
}

/// Undoes [`spread`].
const fn gather(n: u64) -> u64 {
    let n = n & 0x7f_007f_007f_007f | (n & 0x7f00_7f00_7f00_7f00) >> 1;
    let n = n & 0x3fff_0000_3fff | (n & 0x3fff_0000_3fff_0000) >> 2;
    n & 0x0fff_ffff | (n & 0x0fff_ffff_0000_0000) >> 4
}

/// Splitmix64, every bit of which depends on every bit of `n`, with no byte 0.
const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (n ^ n >> 31) | 0x0101_0101_0101_0101
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_whose_it_is_and_which_one_as_far_as_its_size_allows() {
        for size in [1, 2, 7, 8, 9, 23, 24, 128, 4095, 4096, 4100, 9000] {
            let mut messages = Noise::new(4, size);
            let message = messages.message(0x1_2345_6789);
            assert_eq!(message.len(), size);
            assert_eq!(Noise::claimed(message), Some((4, 0x1_2345_6789 % Noise::distinct(size))), "{size}");
        }
        assert_eq!(Noise::claimed(&[0; 100]), None);
    }

    #[test]
    fn numbers_come_back_and_no_byte_is_zero() {
        for n in [0, 1, 127, 128, 0x3fff, 0x4000, 0x1f_ffff, 1 << 40, (1 << 49) - 1] {
            assert_eq!(gather(spread(n)), n);
            assert!(!Noise::new(7, 9001).message(n).contains(&0), "{n}");
        }
    }

    #[test]
    fn noise_of_any_worker_ends_in_its_only_newline() {
        for worker in 0..MAX_WORKERS {
            for size in [9, 12, 16, 4096, 4104] {
                let mut messages = Noise::new(worker, size);
                let message = messages.message(10);
                assert_eq!(Noise::claimed(message), Some((worker, 10)));
                assert_eq!(message.iter().position(|byte| *byte == b'\n'), Some(size - 1), "{worker} {size}");
            }
        }
    }

    #[test]
    fn no_page_of_a_message_is_in_another_one() {
        let (mut mine, mut other) = (Noise::new(0, 9000), Noise::new(1, 9000));
        let all = [mine.message(1).to_vec(), mine.message(2).to_vec(), other.message(1).to_vec()];
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            for (of_a, of_b) in all[a].chunks(PAGE).zip(all[b].chunks(PAGE)) {
                assert_ne!(of_a, of_b);
            }
        }
    }
}
