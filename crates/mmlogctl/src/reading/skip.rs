//! What `-n +N` and `-c +N` leave out, counted while the log goes by.
//!
//! A filter and not a search, so that it also holds for lines that are not there yet.

/// What is still left out.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Skip {
    /// So many lines, each with that byte at its end.
    Lines(u64, u8),
    /// So many bytes.
    Bytes(u64),
}

impl Skip {
    /// Leaves nothing out.
    pub const NOTHING: Self = Self::Bytes(0);

    /// Whether everything from here on is printed.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Lines(0, _) | Self::Bytes(0))
    }

    /// How many of `bytes` are left out.
    pub fn of(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Lines(0, _) | Self::Bytes(0) => 0,
            Self::Bytes(left) => {
                let cut = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= cut as u64;
                cut
            }
            Self::Lines(left, end) => {
                for newline in memchr::memchr_iter(*end, bytes) {
                    *left -= 1;
                    if *left == 0 {
                        return newline + 1;
                    }
                }
                bytes.len()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(mut skip: Skip, reads: &[&[u8]]) -> Vec<u8> {
        reads.iter().flat_map(|read| read[skip.of(read)..].to_vec()).collect()
    }

    #[test]
    fn lines_are_counted_across_reads() {
        assert_eq!(kept(Skip::Lines(2, b'\n'), &[b"a\nb", b"b\nc\n", b"d\n"]), b"c\nd\n");
        assert_eq!(kept(Skip::Lines(0, b'\n'), &[b"a\n"]), b"a\n");
        assert_eq!(kept(Skip::Lines(9, b'\n'), &[b"a\nb\n"]), b"");
    }

    #[test]
    fn bytes_are_counted_across_reads() {
        assert_eq!(kept(Skip::Bytes(3), &[b"ab", b"cd", b"ef"]), b"def");
        assert_eq!(kept(Skip::NOTHING, &[b"ab"]), b"ab");
    }
}
