//! The times' ring: when which positions were reached. It lies behind the followers' places, where earlier software never
//! looks.

use super::{AtomicU64, FOLLOWING_LEN, Shared, following_at};

/// Bit of `features_optional`: [`Tables`](super::Tables) says where the times' ring is.
pub const FEATURE_TIMES: u32 = 4;
/// Levels of pairs, each with pairs twice as far apart as the one before.
pub const TIME_LEVELS: usize = 16;
/// Pairs of a level.
pub const LEVEL_PAIRS: usize = 256;
/// Pairs altogether.
pub const PAIRS_MAX: usize = TIME_LEVELS * LEVEL_PAIRS;
/// Times at which somebody set the clock.
pub const STEPS_MAX: usize = 64;
/// Final segments whose times are known.
pub const FINALS_MAX: usize = 1024;
/// Where the steps begin in the ring: behind the pairs.
pub const STEPS_AT: usize = PAIRS_MAX * size_of::<TimePair>();
/// Where the times of final segments begin in the ring.
pub const FINALS_AT: usize = STEPS_AT + STEPS_MAX * size_of::<TimeStep>();
/// Bytes of the ring.
pub const RING_LEN: usize = FINALS_AT + FINALS_MAX * size_of::<TimeFinal>();

/// Where the ring begins in a metadata file with that many slots.
pub const fn ring_at(max_writers: u32) -> usize {
    following_at(max_writers) + FOLLOWING_LEN
}

shared! {
    /// What those who note times tell each other. Also of logs without a ring.
    pub struct Times align 64 {
        /// Pairs that were begun.
        pub count: AtomicU64,
        /// When the last one was.
        pub last_ns: AtomicU64,
        /// The wall clock less the time since the boot, as long as nobody sets the clock.
        pub booted_ns: AtomicU64,
        /// The time since the boot of the last pair.
        pub up_ns: AtomicU64,
        /// Steps that were begun.
        pub steps: AtomicU64,
        /// The epoch that the ring is right for. In another one, software that does not know it has recovered the log.
        pub epoch: AtomicU64,
        /// The time since the boot when a step of more than a minute was noted; 0: none in this boot.
        pub set_up_ns: AtomicU64,
        pub spare: AtomicU64,
    }
}

shared! {
    /// Whatever lies below `settled` was appended before that time, whatever lies at or behind `reserved` was reserved later.
    pub struct TimePair {
        pub at_ns: AtomicU64,
        pub settled: AtomicU64,
        pub reserved: AtomicU64,
        pub check: AtomicU64,
    }
}

shared! {
    /// The clock was set since the pair before.
    pub struct TimeStep align 64 {
        pub settled: AtomicU64,
        pub reserved: AtomicU64,
        /// The latest that it can have said before.
        pub before_ns: AtomicU64,
        /// The earliest that it can have said afterwards.
        pub after_ns: AtomicU64,
        /// Which, from 0.
        pub number: AtomicU64,
        pub spare: [AtomicU64; 2],
        pub check: AtomicU64,
    }
}

shared! {
    /// When a final segment began and ended; the last three are a pair.
    pub struct TimeFinal align 64 {
        pub generation: AtomicU64,
        pub base: AtomicU64,
        pub began_ns: AtomicU64,
        pub at_ns: AtomicU64,
        pub settled: AtomicU64,
        pub reserved: AtomicU64,
        pub spare: AtomicU64,
        pub check: AtomicU64,
    }
}
