//! The fields of the header, by offset and size.

use std::mem::offset_of;

use mmlog::layout::*;

/// A field of a metadata file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) offset: usize,
    pub(super) size: usize,
}

/// Size of the field that `_field` borrows.
const fn size_of_field<S, F>(_field: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

macro_rules! fields {
    ($($part:ident: $type:ty { $($field:ident),* $(,)? }),* $(,)?) => {
        &[$($(Field {
            offset: offset_of!(Header, $part) + offset_of!($type, $field),
            size: size_of_field(|part: &$type| &part.$field),
        }),*),*]
    };
}

/// All but the entries of the segments and what is spare.
pub(super) const FIELDS: &[Field] = fields! {
    control: Control {
        version, is_ready, is_locked, is_panicked, spare, file_size, cursor, page_size, chunk_size, limit, base,
        gate_at, gate_ms,
    },
    data_wake: Wake { seq, want },
    space_wake: Wake { seq, want },
    identity: Identity {
        magic, byte_order, features_required, features_optional, uuid, epoch, boot_id, device, inode, generation,
        created_ns,
    },
    tables: Tables { max_writers, holes_max, followers_max, spare, followers_at, holes_at, slots_at, total_len },
    high_water: HighWater { slots },
    kept: Kept { first },
    checkpoint: Checkpoint { synced, synced_ns, sync_error_at, sync_errno, recovered_ns, recovered_end, lost },
    lock_owner: Owner { pid, operation, start_time, pid_namespace, since_ns, command },
    maintenance_owner: Owner { pid, operation, start_time, pid_namespace, since_ns, command },
    journal: Journal { kind, old_inode, new_inode, generation, at_ns, old_base, new_size },
    panic: Panic { state, errno, pid, spare, at_ns, command, reason },
    hole_counts: HoleCounts { noted, forgotten, unplaced, not_zeroed },
    following: Following { at, len },
    policy: Policy { rotate_size },
    overdue_log: Overdue { retry, since_ns, at_ns, kind, errno, pid, uid, pid_namespace, command },
    policies: Policies { number, free_retry, unfreed_since_ns },
    times: Times { count, last_ns, booted_ns, up_ns, steps, epoch, set_up_ns },
};
