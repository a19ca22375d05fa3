//! A line: who wrote it, which one it is, dots, and both again, so that no two halves of lines make another one.
//!
//! ```text
//! 003 0000000041 ......................... 003 0000000041
//! ```
//!
//! Three digits of the writer's number, ten of the line's, both from 0; so many dots that the line has its size with
//! the newline. `spdlog.cpp` makes the same, and `mmlogctl` knows them when it sees them (`commands/bench/lines.rs`).

/// The size of the shortest, with one dot.
pub(crate) const LEAST: usize = 2 * TAG + 4;

/// Both numbers.
const TAG: usize = 14;

/// The lines of one writer, one after the other.
pub(crate) struct Line(String);

impl Line {
    /// The first one.
    pub(crate) fn new(worker: usize, size: usize) -> Self {
        let tag = format!("{worker:03} {:010}", 0);
        Self(format!("{tag} {} {tag}\n", ".".repeat(size.saturating_sub(LEAST) + 1)))
    }

    /// With the newline.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Without it, as loggers want it.
    pub(crate) fn text(&self) -> &str {
        self.0.trim_end_matches('\n')
    }

    /// The next one.
    pub(crate) fn go_on(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        let len = bytes.len();
        count(&mut bytes[TAG - 10..TAG]);
        count(&mut bytes[len - 11..len - 1]);
        self.0 = String::from_utf8(bytes).unwrap_or_default();
    }
}

/// One more, in digits.
fn count(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}
