//! The one door to atomics: `std`'s, or a model checker's under the features `loom` and `shuttle`.
//!
//! The protocol's verbs (`metadata`, `slots`) use nothing else for shared words, so the models run the code
//! that ships.

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, compiler_fence, fence};

#[cfg(feature = "loom")]
pub use self::touched::{AtomicU8, AtomicU32, AtomicU64};
#[cfg(feature = "loom")]
pub use loom::sync::atomic::{Ordering, fence};

#[cfg(feature = "shuttle")]
pub use shuttle::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// The models execute statements in program order, so a compiler fence says nothing to them.
#[cfg(any(feature = "loom", feature = "shuttle"))]
pub fn compiler_fence(_: Ordering) {}

/// Loom's atomics, each with a second one that every access changes first (relaxed: it orders nothing).
///
/// Loom 0.7 remembers one access to a word, the last. A thread that loads a word and then stores it hides the load
/// of another thread before, and the schedules in which that load comes last are never tried: without this most
/// of the mutants in `tests/models` pass. Among read-modify-writes nothing is hidden.
#[cfg(feature = "loom")]
#[allow(missing_docs)]
mod touched {
    use super::Ordering::{self, Relaxed};
    use loom::sync::atomic;

    macro_rules! touched {
        ($($name:ident: $int:ty { $($op:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)?;)* })*) => {$(
            #[derive(Default)]
            pub struct $name {
                touches: atomic::AtomicU8,
                word: atomic::$name,
            }

            impl $name {
                pub fn new(value: $int) -> Self {
                    Self { word: atomic::$name::new(value), ..Self::default() }
                }

                $(pub fn $op(&self, $($arg: $ty),*) $(-> $out)? {
                    self.touches.fetch_add(1, Relaxed);
                    self.word.$op($($arg),*)
                })*
            }
        )*};
        ($($name:ident: $int:ty),* $(,)?) => { touched! {$($name: $int {
            load(order: Ordering) -> $int;
            store(value: $int, order: Ordering);
            swap(value: $int, order: Ordering) -> $int;
            compare_exchange(old: $int, new: $int, ok: Ordering, failed: Ordering) -> Result<$int, $int>;
            fetch_add(value: $int, order: Ordering) -> $int;
            fetch_and(value: $int, order: Ordering) -> $int;
            fetch_or(value: $int, order: Ordering) -> $int;
            fetch_max(value: $int, order: Ordering) -> $int;
            fetch_min(value: $int, order: Ordering) -> $int;
        })*} };
    }
    touched!(AtomicU8: u8, AtomicU32: u32, AtomicU64: u64);
}
