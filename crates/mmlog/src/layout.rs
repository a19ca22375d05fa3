//! The bytes of a metadata file, version 2: every field, its offset and its size, asserted.
//!
//! Integers are in the byte order of the host (`byte_order` tells a foreign file); every field is naturally
//! aligned and atomic. The first 32 bytes keep the fields and offsets of version 1.
//!
//! | offset | bytes | field | who stores, when |
//! |---|---|---|---|
//! | 0x0000 | 4 | `version` = 2 | creation |
//! | 0x0004 | 1 | `is_ready` | creation, its last store |
//! | 0x0005 | 1 | `is_locked`: for people, the lock byte is the truth | owner of the log's lock |
//! | 0x0006 | 1 | `is_panicked` | [`poison`](crate::Log::poison) |
//! | 0x0008 | 8 | `file_size` of the data file, bytes | owner of the log's lock |
//! | 0x0010 | 8 | `cursor`: position of the next reservation, bit 63 is the gate | every append (`fetch_add`) |
//! | 0x0018 | 4 | `page_size`, bytes | creation |
//! | 0x001c | 4 | `chunk_size`, bytes: mapping unit and growth step | creation |
//! | 0x0040 | 8 | `limit` = base + file_size | owner of the log's lock |
//! | 0x0048 | 8 | `base`: position of the data file's first byte | rotation |
//! | 0x0050 | 8 | `gate_at`: position at which the gate last closed | whoever closes the gate |
//! | 0x0058 | 4 | `gate_ms`: how long a drain may hold writers up | creation |
//! | 0x005c | 4 | `cuts`: raised between storing a shorter `file_size` and each cut of the data file | owner of the log's lock |
//! | 0x0080 | 64 | space wake: `seq` u32 (futex), `want` u32 | waiting writers, woken by growth and gates |
//! | 0x00c0 | 128 | identity: magic, byte order, features, uuid, epoch, boot id, device, inode, generation, created, inode of the metadata itself, clocks of the boot | creation, recovery, rotation |
//! | 0x0140 | 64 | geometry: `max_writers`, `holes_max`, `followers_max`, spare, `followers_at`, `holes_at`, `slots_at`, `total_len`, `ring_at`, `ring_len` | creation |
//! | 0x0180 | 64 | `high_water`: slots ever used | slot claims |
//! | 0x01c0 | 64 | `first_kept`: first position that prune kept; the segment in use when nothing else was left | prune |
//! | 0x0200 | 64 | checkpoint: `synced`, `synced_ns`, `sync_error_at`, `sync_errno`; the last recovery after a reboot: `recovered_ns`, `recovered_end`, `lost` | owner of the sync byte; first opener after a reboot |
//! | 0x0240 | 64 | owner of the log's lock: pid, operation, start time, pid namespace, since, command | owner of the log's lock |
//! | 0x0280 | 64 | owner of the maintenance byte, the same fields | owner of the maintenance byte |
//! | 0x02c0 | 64 | journal: `kind`, old inode, new inode, generation, time, old base, new size | owner of the log's lock |
//! | 0x0300 | 320 | panic record: `state`, `errno`, `pid`, spare, `at_ns`, command, reason | first to poison |
//! | 0x0440 | 128 | two segment entries, that of generation g at index g mod 2: generation, base, inode, when it began | rotation |
//! | 0x04c0 | 64 | hole counters: noted, forgotten, unplaced, not zeroed | owner of the log's lock |
//! | 0x0500 | 256 | policy: `rotate_size`, which growth reads; where old segments are | owner of the maintenance byte |
//! | 0x0600 | 64 | sync wake: `seq` u32 (futex), `want` u32 | who waits for a sync, woken by who did it |
//! | 0x0640 | 64 | owner of the sync byte, the fields of the other owners | owner of the sync byte |
//! | 0x0680 | 64 | commit: `data_synced`, `wanted`, `noted`, `checkpointed` | owner of the sync byte; who wants a sync |
//! | 0x06c0 | 64 | data wake: `seq` u32 (futex), `want` u32 | followers, woken by appends |
//! | 0x0700 | 192 | epochs: the checkpoint when each of the last eight began; the file system | first opener after a reboot; creation |
//! | 0x07c0 | 64 | who has the turn for hooks, the fields of the other owners | who has it |
//! | 0x0800 | 64 | hooks: `from`, `to` | rotation; who has the turn for hooks |
//! | 0x0840 | 64 | outside: `taken`, `cut`, `cuts`, `cut_ns`, `from` | owner of the log's lock |
//! | 0x0880 | 64 | slot wait: `count`, `pid`, `since_ns`, `tried_ns`, `pid_namespace`, command | who waits for a slot |
//! | 0x08c0 | 64 | following: `at`, `len` of the followers' places | first writer that opens the log |
//! | 0x0900 | 512 | went on: where the log ended when each of the last 32 epochs began | first opener after a reboot |
//! | 0x0b00 | 64 | overdue, of the log: what the policy asks for and nobody could do | who could not |
//! | 0x0b40 | 64 | overdue, of a process, the same fields: what others may be able to do | who could not |
//! | 0x0b80 | 320 | policies: two copies of the policy of rotation and retention, and the number of the one that holds | owner of the maintenance byte; creation |
//! | 0x0cc0 | 64 | times: `count`, `last_ns`, `booted_ns`, `up_ns`, `steps`, `epoch`, `set_up_ns` | appends, once a second; first opener after a reboot |
//! | 0x0d00 | 64 | made: when the metadata file was, beside its inode | creation; the first writer that finds it not said |
//! | 0x0d40 | 704 | spare, zero | |
//! | 0x1000 | 64 × 128 | follower records: name, pid, hold, last seen | owner of the log's lock |
//! | 0x3000 | 1024 × 64 | holes: start + 1 (0: free), length, pid, kind, time, command | owner of the log's lock |
//! | 0x13000 | max_writers × 128 | slots: a hot line (pending, len, messages, bytes, what the next append waits for) and a cold one (who) | the slot's owner |
//!
//! Behind `total_len`, at `following.at`, 256 × 128 bytes: followers' places (who, position, last seen), each stored by
//! its follower. At `ring_at` the times' ring: 4096 × 32 bytes of pairs, 64 × 64 of steps, 1024 × 64 of final segments.
//!
//! Lock bytes (OFD locks) lie beyond the file's end: [`LOCK_BYTE`], [`MAINTENANCE_BYTE`], [`SYNC_BYTE`], [`HOOK_BYTE`],
//! [`SLOT_BYTES`] + slot, [`FOLLOWING_BYTES`] + 2 × place and the next one, [`HOLD_BYTES`] + follower record.
#![allow(missing_docs, reason = "the table says what each field is")]
#![allow(unsafe_code, reason = "the one unsafe impl is made by `shared!`, which checks every field")]

use crate::sync::{AtomicU8, AtomicU32, AtomicU64};

/// First eight bytes of the identity, in this order on every host.
pub const MAGIC: [u8; 8] = *b"mmlog\x00v2";
/// Stored in the host's byte order; reads differently on a foreign host.
pub const BYTE_ORDER: u32 = 0x0102_0304;
/// The version of the format that this module describes.
pub const VERSION: u32 = 2;

/// Bit 63 of the cursor: nobody starts a copy while it is set.
pub const GATE: u64 = 1 << 63;
/// Positions have 62 bits, since a slot's word also holds two bits of state.
pub const POSITION_BITS: u32 = 62;
/// The first value that is not a position.
pub const POSITION_END: u64 = 1 << POSITION_BITS;

/// Lock byte of the log's lock.
pub const LOCK_BYTE: u64 = 1 << 40;
/// Lock byte of maintenance: trim, rotate, repair, prune.
pub const MAINTENANCE_BYTE: u64 = LOCK_BYTE + 1;
/// Lock byte of who syncs for everybody.
pub const SYNC_BYTE: u64 = LOCK_BYTE + 2;
/// Lock byte of who does what is to be done with final segments.
pub const HOOK_BYTE: u64 = LOCK_BYTE + 3;
/// Lock byte of slot 0; slot `i` has byte `SLOT_BYTES + i`.
pub const SLOT_BYTES: u64 = LOCK_BYTE + 4096;
/// Lock byte of follower record 0.
pub const HOLD_BYTES: u64 = LOCK_BYTE + 0x9000;

/// Bit of `features_optional`: segments were noted in [`Hooks`].
pub const FEATURE_HOOKS: u32 = 1;

/// Bit of an owner's `operation`: the record is the holder's. Without it, it is of who had the byte last.
pub const HELD: u32 = 1 << 31;

/// Entries in the table of holes.
pub const HOLES_MAX: usize = 1024;
/// Epochs of which is known where they went on.
pub const WENT_ON: usize = 32;
/// Records for named followers.
pub const FOLLOWERS_MAX: usize = 64;
/// Least and most slots.
pub const WRITERS_RANGE: (u32, u32) = (1, 16384);
/// Least and largest chunk, bytes.
pub const CHUNK_RANGE: (u64, u64) = (4096, 1 << 30);
/// The most bytes that one message may have: 1 GiB.
pub const MAX_MESSAGE: u64 = 1 << 30;
/// Where the tables begin.
pub const FOLLOWERS_AT: usize = 0x1000;
/// Where the holes begin.
pub const HOLES_AT: usize = 0x3000;
/// Where the slots begin.
pub const SLOTS_AT: usize = HOLES_AT + HOLES_MAX * 64;

/// Length of a metadata file with that many slots.
pub const fn total_len(max_writers: u32) -> usize {
    SLOTS_AT + max_writers as usize * size_of::<Slot>()
}

/// Types that may be borrowed from memory which other processes write: atomics all through.
///
/// # Safety
/// Every field must be an atomic integer, or an array or struct of such, and every bit pattern valid.
pub unsafe trait Shared {}
// SAFETY: atomic integers, any bit pattern is valid.
unsafe impl Shared for AtomicU8 {}
// SAFETY: as above.
unsafe impl Shared for AtomicU32 {}
// SAFETY: as above.
unsafe impl Shared for AtomicU64 {}
// SAFETY: an array of shared elements has nothing else in it.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

macro_rules! shared {
    ($(#[$doc:meta])* pub struct $name:ident $(align $align:literal)? { $($(#[$fdoc:meta])* pub $field:ident: $ty:ty),* $(,)? }) => {
        $(#[$doc])* #[repr(C $(, align($align))?)] #[derive(Default)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty),* }
        // SAFETY: the `const` below compiles only if every field is `Shared`.
        unsafe impl Shared for $name {}
        const _: fn() = || { fn shared<T: Shared>() {} $(shared::<$ty>();)* };
    };
}

/// UTF-8 text of at most `N * 8` bytes, padded with NULs; readable while it is rewritten (perhaps mixed up).
#[repr(C)]
pub struct Text<const N: usize>(pub [AtomicU64; N]);

// SAFETY: an array of atomics.
unsafe impl<const N: usize> Shared for Text<N> {}

shared! {
    /// The hot line, with the one word that appends contend for, and one that they only load: what is loaded behind the
    /// reservation would bring the hot line back from whoever reserved next.
    pub struct Control align 64 {
        pub version: AtomicU32,
        pub is_ready: AtomicU8,
        pub is_locked: AtomicU8,
        pub is_panicked: AtomicU8,
        pub spare: AtomicU8,
        pub file_size: AtomicU64,
        pub cursor: AtomicU64,
        pub page_size: AtomicU32,
        pub chunk_size: AtomicU32,
        pub spare_line: [AtomicU64; 4],
        pub limit: AtomicU64,
        pub base: AtomicU64,
        pub gate_at: AtomicU64,
        pub gate_ms: AtomicU32,
        pub cuts: AtomicU32,
    }
}

shared! {
    /// All of a metadata file of version 1: the front of [`Control`], with no more behind it.
    pub struct Version1 {
        pub version: AtomicU32,
        pub is_ready: AtomicU8,
        pub is_locked: AtomicU8,
        pub is_panicked: AtomicU8,
        pub spare: AtomicU8,
        pub file_size: AtomicU64,
        pub cursor: AtomicU64,
        pub page_size: AtomicU32,
        pub chunk_size: AtomicU32,
    }
}

shared! {
    /// A futex and whether somebody sleeps on it.
    pub struct Wake align 64 {
        pub seq: AtomicU32,
        pub want: AtomicU32,
    }
}

shared! {
    /// Which log this is.
    pub struct Identity align 64 {
        pub magic: AtomicU64,
        pub byte_order: AtomicU32,
        /// Bits that a reader must know, or refuse.
        pub features_required: AtomicU32,
        /// Bits that a reader may ignore.
        pub features_optional: AtomicU32,
        pub spare: AtomicU32,
        pub uuid: [AtomicU64; 2],
        pub epoch: AtomicU64,
        pub boot_id: [AtomicU64; 2],
        pub device: AtomicU64,
        pub inode: AtomicU64,
        pub generation: AtomicU64,
        pub created_ns: AtomicU64,
        /// Of this metadata file: a copy of it is not the log's.
        pub own_inode: AtomicU64,
        /// Which `boot_id` the clocks were recorded with; 0: none were.
        pub clocks_of: AtomicU64,
        /// The wall clock less the time since the boot.
        pub booted_ns: AtomicU64,
        /// The time since the boot, suspend included.
        pub up_ns: AtomicU64,
    }
}

shared! {
    /// Of this metadata file, beside its inode number, which another one may get.
    pub struct Made align 64 {
        /// When it was made, as its file system says.
        pub born_ns: AtomicU64,
        /// Of which metadata that is said.
        pub born_of: AtomicU64,
    }
}

shared! {
    /// Where the tables lie.
    pub struct Tables align 64 {
        pub max_writers: AtomicU32,
        pub holes_max: AtomicU32,
        pub followers_max: AtomicU32,
        pub spare: AtomicU32,
        pub followers_at: AtomicU64,
        pub holes_at: AtomicU64,
        pub slots_at: AtomicU64,
        pub total_len: AtomicU64,
        pub ring_at: AtomicU64,
        pub ring_len: AtomicU64,
    }
}

shared! {
    /// One more than the highest slot ever claimed.
    pub struct HighWater align 64 { pub slots: AtomicU32 }
}

shared! {
    /// What prune has left.
    pub struct Kept align 64 {
        pub first: AtomicU64,
        /// Of the data file that was in use when the last final segment went, when its name was on the disk: no name says
        /// where it begins. 0: none did.
        pub inode: AtomicU64,
        pub generation: AtomicU64,
        pub base: AtomicU64,
    }
}

shared! {
    /// The last sync, the first one that failed, and what the last recovery after a reboot found.
    pub struct Checkpoint align 64 {
        /// Everything below is durable.
        pub synced: AtomicU64,
        pub synced_ns: AtomicU64,
        /// Durability is lost from here on, if `sync_errno` is not 0.
        pub sync_error_at: AtomicU64,
        pub sync_errno: AtomicU32,
        pub spare: AtomicU32,
        pub recovered_ns: AtomicU64,
        /// Where the log went on.
        pub recovered_end: AtomicU64,
        /// Bytes that the reboot cost, as far as can be told.
        pub lost: AtomicU64,
    }
}

shared! {
    /// What writers that wait for durability tell each other, see `durable`.
    pub struct Commit align 64 {
        /// The data file's bytes below are durable; its metadata perhaps only up to the checkpoint.
        pub data_synced: AtomicU64,
        /// Somebody needs the metadata durable as well up to here.
        pub wanted: AtomicU64,
        /// The holes that had been noted when the metadata was last made durable.
        pub noted: AtomicU64,
        /// The checkpoint that is on the disk for sure; `synced` is raised before it is written there.
        pub checkpointed: AtomicU64,
    }
}

shared! {
    /// A lock's owner, for people; the lock byte is the truth.
    pub struct Owner align 64 {
        pub pid: AtomicU32,
        pub operation: AtomicU32,
        pub start_time: AtomicU64,
        pub pid_namespace: AtomicU64,
        pub since_ns: AtomicU64,
        pub command: Text<4>,
    }
}

shared! {
    /// The operation under way, from which a successor finishes or undoes it. `kind` is stored last.
    pub struct Journal align 64 {
        pub kind: AtomicU64,
        pub old_inode: AtomicU64,
        pub new_inode: AtomicU64,
        pub generation: AtomicU64,
        pub at_ns: AtomicU64,
        pub old_base: AtomicU64,
        pub new_size: AtomicU64,
    }
}

shared! {
    /// Why the log refuses to be written. `state`: 0 free, 1 being filled, 2 filled.
    pub struct Panic align 64 {
        pub state: AtomicU32,
        pub errno: AtomicU32,
        pub pid: AtomicU32,
        pub spare: AtomicU32,
        pub at_ns: AtomicU64,
        pub command: Text<4>,
        pub reason: Text<30>,
    }
}

shared! {
    /// A data file and the position of its first byte.
    pub struct Segment align 64 {
        pub generation: AtomicU64,
        pub base: AtomicU64,
        pub inode: AtomicU64,
        pub began_ns: AtomicU64,
        /// When the data file was made, as its file system says.
        pub born_ns: AtomicU64,
        /// Of which file and segment that is said: software that does not know of it leaves it as it was.
        pub born_of: AtomicU64,
    }
}

shared! {
    /// Counters over the table of holes.
    pub struct HoleCounts align 64 {
        /// Raised after each note; followers look at the table when it has moved.
        pub noted: AtomicU64,
        pub forgotten: AtomicU64,
        pub unplaced: AtomicU64,
        pub not_zeroed: AtomicU64,
    }
}

shared! {
    /// Where an epoch began: the checkpoint in one table, the end of the log in the other.
    pub struct Epoch {
        /// Which; 0: not said, since none begins the epoch 0.
        pub epoch: AtomicU64,
        pub from: AtomicU64,
    }
}

shared! {
    /// The last epochs, that of epoch e at index e mod 8; and what tells file systems with the same device apart.
    pub struct Epochs align 64 {
        /// Positions below the checkpoint mean what they meant in the epoch before.
        pub began: [Epoch; 8],
        /// What `statvfs` calls the data file's file system; 0: not said.
        pub file_system: AtomicU64,
        pub spare: [AtomicU64; 7],
    }
}

shared! {
    /// The final segments with which something is still to be done: generations from `from` up to `to`.
    pub struct Hooks align 64 {
        pub from: AtomicU64,
        pub to: AtomicU64,
        pub spare: [AtomicU64; 6],
    }
}

shared! {
    /// Bytes that somebody who is no writer put behind the log.
    pub struct Outside align 64 {
        /// How many became the log's.
        pub taken: AtomicU64,
        /// How many were cut off.
        pub cut: AtomicU64,
        /// How often that was.
        pub cuts: AtomicU64,
        /// When it last was.
        pub cut_ns: AtomicU64,
        /// One more than the cursor of before a take-over that leaves a hole; 0 for none.
        pub from: AtomicU64,
        pub spare: [AtomicU64; 3],
    }
}

shared! {
    /// The first page: everything that there is once.
    pub struct Header align 4096 {
        pub control: Control,
        pub space_wake: Wake,
        pub identity: Identity,
        pub tables: Tables,
        pub high_water: HighWater,
        pub kept: Kept,
        pub checkpoint: Checkpoint,
        pub lock_owner: Owner,
        pub maintenance_owner: Owner,
        pub journal: Journal,
        pub panic: Panic,
        pub segments: [Segment; 2],
        pub hole_counts: HoleCounts,
        pub policy: Policy,
        pub sync_wake: Wake,
        pub sync_owner: Owner,
        pub commit: Commit,
        pub data_wake: Wake,
        pub epochs: Epochs,
        pub hook_owner: Owner,
        pub hooks: Hooks,
        pub outside: Outside,
        pub slot_wait: SlotWait,
        pub following: Following,
        /// Where the log went on: that of epoch e at index e mod 32. Earlier software does not say it.
        pub went_on: [Epoch; WENT_ON],
        /// For people; the one of the log also says when somebody may try again.
        pub overdue_log: Overdue,
        pub overdue_process: Overdue,
        pub policies: Policies,
        pub times: Times,
        pub made: Made,
        pub spare: [[AtomicU64; 22]; 4],
    }
}

shared! {
    /// A follower that has a name, and keeps prune from what it has not read. Published by its `state`, see `holds`.
    pub struct FollowerRecord align 64 {
        /// 0 free, 1 in use.
        pub state: AtomicU32,
        pub pid: AtomicU32,
        pub since_ns: AtomicU64,
        /// The first position that prune keeps for it.
        pub hold: AtomicU64,
        pub last_seen_ns: AtomicU64,
        pub start_time: AtomicU64,
        pub pid_namespace: AtomicU64,
        pub name: Text<8>,
        pub moved_ns: AtomicU64,
    }
}

shared! {
    /// A range that was reserved and abandoned. Published by its `start`, see `holes`.
    pub struct HoleEntry align 64 {
        /// Position + 1; 0 is a free entry.
        pub start: AtomicU64,
        pub len: AtomicU64,
        pub pid: AtomicU32,
        pub kind: AtomicU32,
        pub at_ns: AtomicU64,
        pub command: Text<4>,
    }
}

mod following;
pub use following::*;
mod policy;
pub use policy::{FEATURE_POLICY, Overdue, Policies, Policy, PolicyCopy};
mod times;
pub use times::*;
mod slot;
mod text;
pub use slot::{Slot, SlotCold, SlotHot, SlotWait};

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
mod asserts;
