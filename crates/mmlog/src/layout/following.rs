//! The places of followers, and where they are: behind all other tables, so that earlier software, which checks where
//! those end, finds them as it knows them.

use super::{AtomicU32, AtomicU64, LOCK_BYTE, Shared, Text, total_len};

/// Bit of `features_optional`: [`Following`] says where the followers' places are.
pub const FEATURE_FOLLOWING: u32 = 2;
/// Places for followers.
pub const FOLLOWING_MAX: usize = 256;
/// Bytes of all places.
pub const FOLLOWING_LEN: usize = FOLLOWING_MAX * size_of::<FollowingPlace>();
/// Lock bytes of place 0: whoever has byte `FOLLOWING_BYTES + 2 i` fills place `i`, and has filled it once he has the
/// next byte, too.
pub const FOLLOWING_BYTES: u64 = LOCK_BYTE + 0x8000;
/// No place begins before: the slots of a log with the usual number of writers end here. Metadata that is rebuilt has
/// that many, whatever it had before, and must not have slots where a follower that saw none of it stores.
pub const FOLLOWING_FIRST: usize = total_len(1024);

/// Where the places begin in a metadata file with that many slots.
pub const fn following_at(max_writers: u32) -> usize {
    let end = total_len(max_writers).next_multiple_of(4096);
    if end > FOLLOWING_FIRST { end } else { FOLLOWING_FIRST }
}

shared! {
    /// Where the followers' places are, if `features_optional` says that there are any.
    pub struct Following align 64 {
        pub at: AtomicU64,
        pub len: AtomicU64,
        pub spare: [AtomicU64; 6],
    }
}

shared! {
    /// What a follower says of itself, for people; it keeps nothing from being pruned, see `following`.
    pub struct FollowingPlace align 64 {
        /// Since when; 0 while it is being filled.
        pub since_ns: AtomicU64,
        /// What it reads next.
        pub position: AtomicU64,
        pub seen_ns: AtomicU64,
        pub start_time: AtomicU64,
        pub pid_namespace: AtomicU64,
        pub pid: AtomicU32,
        /// At `seen_ns`, so many seconds had passed since it last read or waited; 0 where it did, and where nothing is said.
        pub stands_s: AtomicU32,
        pub command: Text<2>,
        pub name: Text<8>,
    }
}
