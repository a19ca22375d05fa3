//! The writers' slots, and who waits for one.

use super::{AtomicU32, AtomicU64, Owner, Shared, Text};

shared! {
    /// What a writer stores while it appends. Only its owner writes here.
    pub struct SlotHot align 64 {
        /// Two bits of state, 62 of position.
        pub pending: AtomicU64,
        /// Bytes of the append in flight; stored only while `pending` is idle.
        pub len: AtomicU64,
        pub messages: AtomicU64,
        pub bytes: AtomicU64,
        /// What its next append waits for, or that what comes is dropped, see mmlog(5); 0: nothing.
        pub wait_kind: AtomicU32,
        pub wait_errno: AtomicU32,
        pub wait_len: AtomicU64,
        pub wait_since_ns: AtomicU64,
        pub wait_tried_ns: AtomicU64,
    }
}

/// Whose slot it is, for people; the slot's lock byte is the truth. `operation` names none, only [`HELD`](super::HELD).
pub type SlotCold = Owner;

shared! {
    /// One writer's record, on cache lines of its own.
    pub struct Slot {
        pub hot: SlotHot,
        pub cold: SlotCold,
    }
}

shared! {
    /// Programs that wait for a slot: they have none to say so in.
    pub struct SlotWait align 64 {
        /// How many; more than that if one of them died.
        pub count: AtomicU32,
        /// Who came last.
        pub pid: AtomicU32,
        pub since_ns: AtomicU64,
        /// When one last tried: nobody waits if that is long ago.
        pub tried_ns: AtomicU64,
        pub pid_namespace: AtomicU64,
        pub command: Text<4>,
    }
}
