//! Every offset and size of the format, checked when the crate is compiled.

use super::*;
use std::mem::offset_of;

macro_rules! at {
    ($($ty:ident . $($field:ident).+ == $offset:literal),* $(,)?) => {
        $(const _: () = assert!(offset_of!($ty, $($field).+) == $offset);)*
    };
}
macro_rules! len {
    ($($ty:ty : $len:literal),* $(,)?) => { $(const _: () = assert!(size_of::<$ty>() == $len);)* };
}

const _: () = assert!(
    size_of::<Version1>() == 32
        && offset_of!(Version1, is_ready) == offset_of!(Control, is_ready)
        && offset_of!(Version1, is_locked) == offset_of!(Control, is_locked)
        && offset_of!(Version1, is_panicked) == offset_of!(Control, is_panicked)
        && offset_of!(Version1, file_size) == offset_of!(Control, file_size)
        && offset_of!(Version1, cursor) == offset_of!(Control, cursor)
        && offset_of!(Version1, page_size) == offset_of!(Control, page_size)
        && offset_of!(Version1, chunk_size) == offset_of!(Control, chunk_size)
);
len!(Control: 64, Wake: 64, Identity: 128, Tables: 64, HighWater: 64, Kept: 64, Checkpoint: 64, Commit: 64, Owner: 64,
    Journal: 64, Panic: 320, Segment: 64, HoleCounts: 64, Policy: 256, Header: 4096, FollowerRecord: 128,
    HoleEntry: 64, SlotHot: 64, SlotCold: 64, Slot: 128);
at!(
    Control.version == 0,
    Control.is_ready == 4,
    Control.is_locked == 5,
    Control.is_panicked == 6,
    Control.file_size == 8,
    Control.cursor == 16,
    Control.page_size == 24,
    Control.chunk_size == 28,
    Control.limit == 32,
    Control.base == 40,
    Control.gate_at == 48,
    Control.gate_ms == 56,
    Control.cuts == 60,
    Header.data_wake.seq == 0x40,
    Header.data_wake.want == 0x44,
    Header.space_wake.seq == 0x80,
    Header.space_wake.want == 0x84,
    Header.identity.magic == 0xc0,
    Header.identity.byte_order == 0xc8,
    Header.identity.features_required == 0xcc,
    Header.identity.features_optional == 0xd0,
    Header.identity.uuid == 0xd8,
    Header.identity.epoch == 0xe8,
    Header.identity.boot_id == 0xf0,
    Header.identity.device == 0x100,
    Header.identity.inode == 0x108,
    Header.identity.generation == 0x110,
    Header.identity.created_ns == 0x118,
    Header.identity.own_inode == 0x120,
    Header.tables.max_writers == 0x140,
    Header.tables.holes_max == 0x144,
    Header.tables.followers_max == 0x148,
    Header.tables.followers_at == 0x150,
    Header.tables.holes_at == 0x158,
    Header.tables.slots_at == 0x160,
    Header.tables.total_len == 0x168,
    Header.high_water.slots == 0x180,
    Header.kept.first == 0x1c0,
    Header.checkpoint.synced == 0x200,
    Header.checkpoint.synced_ns == 0x208,
    Header.checkpoint.sync_error_at == 0x210,
    Header.checkpoint.sync_errno == 0x218,
    Header.checkpoint.recovered_ns == 0x220,
    Header.checkpoint.recovered_end == 0x228,
    Header.checkpoint.lost == 0x230,
    Header.lock_owner == 0x240,
    Header.maintenance_owner == 0x280,
    Owner.pid == 0,
    Owner.operation == 4,
    Owner.start_time == 8,
    Owner.pid_namespace == 16,
    Owner.since_ns == 24,
    Owner.command == 32,
    Header.journal == 0x2c0,
    Journal.kind == 0,
    Journal.old_inode == 8,
    Journal.new_inode == 16,
    Journal.generation == 24,
    Journal.at_ns == 32,
    Journal.old_base == 40,
    Journal.new_size == 48,
    Header.panic == 0x300,
    Panic.state == 0,
    Panic.errno == 4,
    Panic.pid == 8,
    Panic.at_ns == 16,
    Panic.command == 24,
    Panic.reason == 56,
    Header.segments == 0x440,
    Segment.generation == 0,
    Segment.base == 8,
    Segment.inode == 16,
    Segment.began_ns == 24,
    Header.hole_counts == 0x4c0,
    HoleCounts.noted == 0,
    HoleCounts.forgotten == 8,
    HoleCounts.unplaced == 16,
    HoleCounts.not_zeroed == 24,
    Header.policy == 0x500,
    Policy.rotate_size == 0,
    Policy.rotate_age_ns == 8,
    Policy.keep_count == 16,
    Policy.keep_bytes == 24,
    Policy.keep_age_ns == 32,
    Policy.flags == 40,
    Header.sync_wake.seq == 0x600,
    Header.sync_wake.want == 0x604,
    Header.sync_owner == 0x640,
    Header.commit.data_synced == 0x680,
    Header.commit.wanted == 0x688,
    Header.commit.noted == 0x690,
    Header.commit.checkpointed == 0x698,
    Header.spare == 0x6c0,
    FollowerRecord.state == 0,
    FollowerRecord.pid == 4,
    FollowerRecord.since_ns == 8,
    FollowerRecord.hold == 16,
    FollowerRecord.last_seen_ns == 24,
    FollowerRecord.start_time == 32,
    FollowerRecord.pid_namespace == 40,
    FollowerRecord.name == 48,
    HoleEntry.start == 0,
    HoleEntry.len == 8,
    HoleEntry.pid == 16,
    HoleEntry.kind == 20,
    HoleEntry.at_ns == 24,
    HoleEntry.command == 32,
    SlotHot.pending == 0,
    SlotHot.len == 8,
    SlotHot.messages == 16,
    SlotHot.bytes == 24,
    SlotCold.pid == 0,
    SlotCold.start_time == 8,
    SlotCold.pid_namespace == 16,
    SlotCold.since_ns == 24,
    SlotCold.command == 32,
    Slot.hot == 0,
    Slot.cold == 64
);
const _: () = assert!(SLOTS_AT == 0x13000 && FOLLOWERS_AT + FOLLOWERS_MAX * 128 == HOLES_AT);
