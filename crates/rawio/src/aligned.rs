//! Memory that `O_DIRECT` takes.

/// What every disk is content with.
pub const ALIGNMENT: usize = 4096;

/// Bytes that begin at a multiple of [`ALIGNMENT`] and are as many as were asked for.
#[derive(Debug)]
pub struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// All zero.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let bytes = vec![0; len + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { bytes, start, len }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_aligned_and_as_many_as_asked_for() {
        for len in [0, 1, ALIGNMENT, 3 * ALIGNMENT] {
            let mut aligned = Aligned::zeroed(len);
            assert_eq!(aligned.bytes().as_ptr().align_offset(ALIGNMENT), 0);
            assert_eq!(aligned.bytes_mut().len(), len);
        }
    }
}
