//! Messages that can be checked from their own head.
//!
//! First byte | what
//! -----------|------
//! 0          | no message: a hole of unknown place
//! 1 to 0x7f  | a message shorter than a head, of such bytes only
//! `MARK`     | a head: mark, check (3 bytes), number, writer, length (4 bytes each); the body has any bytes, its second
//!            | half only NULs if the writer's number has the bit `ENDS_IN_NULS`

/// Bytes of a head.
pub(crate) const HEAD: usize = 16;
const MARK: u8 = 0xa7;
/// What such a writer appends, a recovery after a reboot may take for space that nobody filled: where the log ends, and
/// what the pages within it hold, only the metadata of this boot knows.
pub(crate) const ENDS_IN_NULS: u32 = 1 << 31;

/// Who, which, how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Label {
    pub(super) writer: u32,
    pub(super) number: u32,
    pub(super) len: u32,
}

/// A word that looks like nothing, the same for the same `x` (SplitMix64's last steps).
pub(super) fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

impl Label {
    fn origin(self, seed: u64) -> u64 {
        mix(mix(seed ^ u64::from(self.writer) << 32 ^ u64::from(self.number)) ^ u64::from(self.len))
    }

    /// The message, into `to`.
    pub(super) fn write(self, seed: u64, to: &mut Vec<u8>) {
        let (origin, len) = (self.origin(seed), self.len as usize);
        to.clear();
        to.resize(len, 0);
        if len < HEAD {
            let bytes = u128::from(mix(origin)) << 64 | u128::from(mix(!origin));
            to.iter_mut().zip(bytes.to_le_bytes()).for_each(|(to, byte)| *to = 1 + byte % 0x7f);
            return;
        }
        let (head, body) = to.split_at_mut(HEAD);
        let fields = [origin as u32 & !0xff | u32::from(MARK), self.number, self.writer, self.len];
        for (to, field) in head.chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&field.to_le_bytes());
        }
        let filled = if self.writer & ENDS_IN_NULS == 0 { body.len() } else { body.len() / 2 };
        let body = &mut body[..filled];
        let mut word = origin;
        for to in body.chunks_mut(8) {
            word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
            to.copy_from_slice(&(word ^ word >> 29).to_le_bytes()[..to.len()]);
        }
    }

    /// The label that the head of `bytes` bears, if it is one of this run.
    pub(super) fn read(seed: u64, bytes: &[u8]) -> Option<Self> {
        let field = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let label = Self { number: field(4)?, writer: field(8)?, len: field(12)? };
        let expected = label.origin(seed) as u32 & !0xff | u32::from(MARK);
        (field(0)? == expected && label.len as usize >= HEAD).then_some(label)
    }
}

/// Whether a message shorter than a head may have that byte.
pub(super) fn is_tiny(byte: u8) -> bool {
    (1..0x80).contains(&byte)
}
