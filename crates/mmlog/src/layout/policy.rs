//! The policy of rotation and retention, where final segments are, and what the policy could not do.

use super::{AtomicU32, AtomicU64, Shared, Text};

/// Bit of `features_optional`: [`Policies`] was ever filled.
pub const FEATURE_POLICY: u32 = 8;

shared! {
    /// The one word of the policy that growth reads, and where final segments are moved to.
    pub struct Policy align 64 {
        /// As the copy that holds has it, stored behind it; 0: no segment has a longest length.
        pub rotate_size: AtomicU64,
        /// Nothing: earlier software said that something would be here.
        pub spare_words: [AtomicU64; 5],
        pub olddir_changes: AtomicU64,
        pub olddir: Text<24>,
        pub spare: AtomicU64,
    }
}

shared! {
    /// What the policy asks for and nobody could do.
    pub struct Overdue align 64 {
        /// When somebody may try again, and how often it failed.
        pub retry: AtomicU64,
        /// Since when it is overdue; 0: nothing is.
        pub since_ns: AtomicU64,
        /// When it was last tried.
        pub at_ns: AtomicU64,
        /// What could not be done.
        pub kind: AtomicU32,
        pub errno: AtomicU32,
        /// Who last tried.
        pub pid: AtomicU32,
        pub uid: AtomicU32,
        pub pid_namespace: AtomicU64,
        pub command: Text<2>,
    }
}

shared! {
    /// A policy. A field counts if its bit of `set` is set.
    pub struct PolicyCopy align 64 {
        /// Bit 0 is of `rotate_size`, and so on, in this order.
        pub set: AtomicU64,
        pub rotate_size: AtomicU64,
        pub rotate_age_ns: AtomicU64,
        pub keep: AtomicU64,
        pub keep_bytes: AtomicU64,
        pub keep_age_ns: AtomicU64,
        /// Bytes, or with bit 63 per cent of the file system.
        pub keep_free: AtomicU64,
        pub hold_max: AtomicU64,
        /// 1: Zstandard, 2: gzip.
        pub compress: AtomicU64,
        pub set_ns: AtomicU64,
        pub spare_words: [AtomicU64; 5],
        /// Of the words before, the number that they were stored for, and the log's uuid.
        pub check: AtomicU64,
    }
}

shared! {
    /// The policy that holds is copy `number` mod 2; 0: none was ever set.
    pub struct Policies align 64 {
        pub copies: [PolicyCopy; 2],
        pub number: AtomicU64,
        /// When somebody may remove more for free space, as in [`Overdue`], but up to an hour ahead.
        pub free_retry: AtomicU64,
        /// Since when nothing becomes free by it; 0: it does.
        pub unfreed_since_ns: AtomicU64,
        /// How often something was tried and not done.
        pub failures: AtomicU64,
        pub spare: [AtomicU64; 4],
    }
}
