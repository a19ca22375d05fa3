//! Which chunks are in use: each writer says so in a word of its own, and whoever would unmap a chunk looks at all of
//! them (hazard pointers: Maged M. Michael, "Hazard Pointers: Safe Memory Reclamation for Lock-Free Objects", 2004).
//!
//! 1. A writer stores the chunk's number in its word, then looks whether the entry still names the chunk.
//! 2. Who vacates an entry takes the name away, then looks at the words.
//!
//! One of the two sees the other, provided that neither's load passes its own store. Appends are many and vacated
//! entries few: the latter force a barrier on all threads of the process, and the former need none. Without
//! `membarrier(2)` each side has a fence.

use std::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::barrier;

/// Chunk + 1; 0 while nothing is pinned.
pub(super) type PinWord = AtomicU64;

/// One writer's word, on a line of its own.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Pins(pub(super) PinWord);

impl Pins {
    fn has(&self, name: u64) -> bool {
        // Acquire: pairs with the release that ends a pin; every copy under it has happened.
        self.0.load(Ordering::Acquire) == name
    }
}

/// The words of all writers of a segment in this process.
pub(super) struct Everybody {
    all: Mutex<Vec<Arc<Pins>>>,
    needs_fences: bool,
}

impl Everybody {
    pub(super) fn new() -> Self {
        Self { all: Mutex::new(Vec::new()), needs_fences: !barrier::take_part_privately() }
    }

    pub(super) fn join(&self) -> Arc<Pins> {
        let pins = Arc::new(Pins::default());
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|of| Arc::strong_count(of) > 1);
        all.push(Arc::clone(&pins));
        pins
    }

    /// Says that the chunk of that name is in use, before the caller looks whether an entry has it.
    #[inline]
    pub(super) fn pin(&self, word: &PinWord, name: u64) {
        word.store(name, Ordering::Relaxed);
        if self.needs_fences {
            fence(Ordering::SeqCst);
        } else {
            compiler_fence(Ordering::SeqCst);
        }
    }

    /// Between taking a name away and looking who uses it.
    pub(super) fn hear(&self) {
        if self.needs_fences {
            fence(Ordering::SeqCst);
        } else {
            barrier::force_on_this_process();
        }
    }

    pub(super) fn uses(&self, name: u64) -> bool {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|pins| pins.has(name))
    }
}
