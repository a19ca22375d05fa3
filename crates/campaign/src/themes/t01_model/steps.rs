//! Where a process or the follower stands: one step is one shared-memory operation or one system call.

/// An enum that fits a few bits.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])* #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum $name { $($(#[$vdoc])* $variant),* }
        impl $name {
            pub(super) const ALL: &[Self] = &[$(Self::$variant),*];
            pub(super) fn of(number: u8) -> Self {
                Self::ALL[number as usize]
            }
        }
    };
}
pub(super) use coded;

/// As `coded`, with words for a trace.
macro_rules! worded {
    ($(#[$doc:meta])* $name:ident { $($step:ident $words:literal)* }) => {
        coded! { $(#[$doc])* $name { $($step),* } }
        impl $name {
            pub(super) fn words(self) -> &'static str {
                match self { $(Self::$step => $words),* }
            }
        }
    };
}

/// As `worded`, with the registers that mean something at that step; the others are zeroed on entering it, so
/// that states which differ in nothing are one.
macro_rules! steps {
    ($(#[$doc:meta])* $name:ident { $($step:ident [$($kept:ident)*] $words:literal)* }) => {
        worded! { $(#[$doc])* $name { $($step $words)* } }
        impl $name {
            pub(super) fn keeps(self) -> u8 {
                match self { $(Self::$step => 0 $(| keep::$kept)*),* }
            }
        }
    };
}

/// Registers of a process.
pub(super) mod keep {
    pub(crate) const X: u8 = 1;
    pub(crate) const END: u8 = 2;
    pub(crate) const C: u8 = 4;
    pub(crate) const I: u8 = 8;
    pub(crate) const FULL: u8 = 16;
    pub(crate) const BACK: u8 = 32;
}

steps! {
    /// What a process does next.
    Step {
        Ready [] "begins its next task"
        Done [] "has done everything"
        Dead [] "is dead"

        // A slot.
        ClaimLock [] "tries the lock, to settle what is in its new slot"
        ClaimSettle [] "settles its new slot"

        // An append.
        LookLimit [X] "look: loads limit; no space: takes the lock"
        LookBase [X] "look: loads base"
        LookOpen [C] "look: opens the file at the path"
        LookGrow [] "look, with the lock: loads the cursor again"
        StoreLen [X] "slot: len"
        StoreReserving [X] "slot: RESERVING"
        Reserve [X] "reserves (fetch_add)"
        CheckLimit [X] "loads limit"
        CheckBase [] "loads base"
        SayWaiting [] "slot: WAITING"
        WaitGate [] "waits: gate open, or gate_at above its start? or takes the lock"
        WaitLimit [] "waits: limit reaches its end? or takes the lock"
        WaitGrow [] "waits, with the lock: loads limit"
        RefreshBase [] "loads base again"
        RefreshOpen [C] "opens the file at the path"
        SayCopying [] "slot: COPYING"
        Copy [X] "stores a byte"
        Acknowledge [] "slot: IDLE, the append returns Ok"
        Abandon [] "the append returns an error: gives its slot byte back"
        AbandonLock [] "tries the lock, to settle what it abandoned"

        // With the lock.
        Recover [X BACK C] "recovers"
        TakeOver [X BACK C] "takes bytes from outside over: moves the cursor (compare_exchange)"
        Unlock [BACK] "unlocks"
        Allocate [X END BACK C] "fallocate"
        CutBack [X END BACK C] "gives a part of an allocation back"
        GrowSize [END BACK C] "grown: publishes file_size"
        GrowLimit [END BACK C] "grown: publishes limit"
        SettleAll [I] "takes the byte of a dead writer's slot"
        SettleNote [I C FULL BACK] "settles: reads the slot, notes the hole"
        SettleZero [X I C FULL BACK] "settles: zeroes a byte"
        SettleIdle [I C FULL BACK] "settles: slot IDLE"
        SettleRelease [X I C FULL BACK] "settles: gives the slot byte back"

        // Closing, trimming, rotating.
        CloseLock [X] "close: takes the lock"
        CloseProbe [] "close: is any slot byte held?"
        TrimLock [] "trim: takes the lock"
        TrimPlan [X] "trim: journal"
        CloseGate [] "closes the gate (fetch_or)"
        Announce [C] "gate_at, wake"
        Drain [I C FULL] "drains: looks at a slot"
        SparseCut [C] "extends the file sparsely over holes"
        SparseSize [C] "extended: publishes file_size"
        SparseLimit [C] "extended: publishes limit"
        ShrinkSize [X C] "trim: publishes file_size"
        Finish [] "unlocks, its task is done"
        RotateTemp [] "rotate: removes a stray temporary file, or makes a new one"
        RotateJournal [C] "rotate: journal J1"
        RotateNote [C] "rotate: journal J2"
        Link [C] "rotate: links the stable name"
        Rename [C] "rotate: renames the temporary file to the path"
        DropTemp [] "rotate, undone: removes the temporary file"

        // A policy.
        SetKeep [I] "policy: stores how many are kept, and the check"
        SetNumber [I] "policy: stores which copy is in force"
        Maintain [] "policy: takes the maintenance byte, or finds space"
        RotateLock [] "policy: takes the lock, so that nothing is half done"
        RotateLook [] "policy: unlocks, to make the next file"
        RotateAgain [C] "policy: takes the lock, to rotate"
        PruneBegin [] "prune: takes the maintenance byte, if it is free"
        PruneLook [] "prune: looks, with nothing held, whether anything goes"
        PruneNames [] "prune: fsync of the directory"
        PruneLock [] "prune: takes the lock"
        PruneDecide [] "prune: decides, and publishes first_kept"
        PruneSync [END] "prune: fdatasync of the metadata"
        PruneUnlink [END] "prune: unlinks the oldest"
        Release [] "policy: gives the maintenance byte back"

        // A repairer without the lock.
        LooseBase [I C BACK] "loads base"
        LooseOpen [X I C BACK] "opens the file at the path"
    }
}

worded! {
    /// What the follower does next.
    Following {
        Idle "loads the cursor"
        Scan "loads a slot"
        Probe "probes the slot's byte"
        Again "loads the slot again"
        Table "reads the table of holes"
        Generation "loads the generation"
        Entry "loads the generation's entry"
        EntryAgain "loads the generation again"
        EndName "looks the next segment up by its stable name"
        OpenPath "opens the file at the path"
        OpenName "opens the stable name"
        Read "reads"
        Cuts "nothing there: loads the count of cuts"
        Length "nothing there: loads file_size"
        Stat "nothing there: fstat"
        CutsAgain "nothing there: loads the count of cuts again"
        Inode "nothing there: loads the inode in use"
    }
}
