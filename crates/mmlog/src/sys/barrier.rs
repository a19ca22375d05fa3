//! A memory barrier on other processes' behalf (`membarrier(2)`), so that appends need none of their own.
//!
//! A kernel without it costs followers a lost wake-up now and then, which their sleep's limit bounds.

use rustix::thread::{MembarrierCommand, membarrier};

/// Lets [`force_on_writers`] reach this process. Once a process is enough; again is cheap.
pub(crate) fn take_part() {
    let _ = membarrier(MembarrierCommand::RegisterGlobalExpedited);
}

/// Does ahead what opening the first log to write does once in a process, and what the kernel does at once only as long as
/// the process has one thread: with several, registering with `membarrier(2)` waits for all processors, some 30 ms. For
/// programs that start threads first and open logs then, and for which that counts; nothing else changes.
///
/// ```
/// mmlog::prepare_before_threads();
/// std::thread::spawn(|| ()).join().unwrap();
/// ```
pub fn prepare_before_threads() {
    take_part();
    take_part_privately();
}

/// Every thread of a process that takes part, running now, passes a full memory barrier before this returns.
pub(crate) fn force_on_writers() {
    let _ = membarrier(MembarrierCommand::GlobalExpedited);
}

/// Lets [`force_on_this_process`] work; false where the kernel refuses it.
pub(crate) fn take_part_privately() -> bool {
    membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
}

/// Every thread of this process, running now, passes a full memory barrier before this returns. It cannot fail after
/// [`take_part_privately`] was true.
pub(crate) fn force_on_this_process() {
    let _ = membarrier(MembarrierCommand::PrivateExpedited);
}
