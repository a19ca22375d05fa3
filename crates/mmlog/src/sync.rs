//! The one door to atomics: `std`'s, or a model checker's under the features `loom` and `shuttle`.
//!
//! The protocol's verbs (`metadata`, `slots`) use nothing else for shared words, so the models run the code
//! that ships.

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, compiler_fence, fence};

#[cfg(feature = "loom")]
pub use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(feature = "shuttle")]
pub use shuttle::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// The models execute statements in program order, so a compiler fence says nothing to them.
#[cfg(any(feature = "loom", feature = "shuttle"))]
pub fn compiler_fence(_: Ordering) {}
