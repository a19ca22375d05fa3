//! Fork detection. A forked child shares its parent's lock descriptions, so the kernel would take the child for
//! a living owner of the parent's slots. A `pthread_atfork` handler closes the descriptors in the child (close
//! only: an unlock would take the parent's locks) and counts the fork, which makes every handle stale.
//!
//! Raw `clone` without `exec` does not run the handlers: a documented limit.
#![allow(unsafe_code, reason = "pthread_atfork, and closing descriptors in the child")]

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::time::Duration;

use nix::libc;

use super::events;

static CELLS: AtomicPtr<Cell> = AtomicPtr::new(std::ptr::null_mut());
/// Held while a lock descriptor is opened or closed, and across fork.
static BUSY: AtomicBool = AtomicBool::new(false);

/// How often somebody yields for another thread's open or close before he sleeps.
const LOOKS: u32 = 64;
const PAUSE: Duration = Duration::from_micros(50);

/// Where the child's handler finds a descriptor. Cells are linked once and reused, never freed.
struct Cell {
    fd: AtomicI32,
    next: *mut Cell,
}

fn enter() {
    let mut looks = 0u32;
    while BUSY.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        looks += 1;
        // Yielding lets nobody of a lower real-time priority run: sleeping does.
        if looks < LOOKS { std::thread::yield_now() } else { std::thread::sleep(PAUSE) }
    }
}

extern "C" fn prepare() {
    enter();
}

extern "C" fn leave() {
    BUSY.store(false, Ordering::Release);
}

extern "C" fn child() {
    events::forked();
    let mut at = CELLS.load(Ordering::Acquire);
    while !at.is_null() {
        // SAFETY: cells are leaked boxes, never freed.
        let cell = unsafe { &*at };
        let fd = cell.fd.swap(-1, Ordering::AcqRel);
        if fd >= 0 {
            // SAFETY: the cell owned the descriptor, and has just given it up.
            unsafe { libc::close(fd) };
        }
        at = cell.next;
    }
    leave();
}

fn install() -> io::Result<()> {
    static ONCE: Once = Once::new();
    static ERROR: AtomicI32 = AtomicI32::new(0);
    ONCE.call_once(|| {
        // SAFETY: the handlers are `extern "C"` functions that call only async-signal-safe functions.
        let e = unsafe { libc::pthread_atfork(Some(prepare), Some(leave), Some(child)) };
        ERROR.store(e, Ordering::Relaxed);
    });
    match ERROR.load(Ordering::Relaxed) {
        0 => Ok(()),
        e => Err(io::Error::from_raw_os_error(e)),
    }
}

/// A descriptor that a forked child closes, and that nobody maps.
pub(crate) struct LockFile {
    cell: &'static Cell,
    forks: u64,
}

// SAFETY: the cell's only shared mutable part is atomic; `next` is written before the cell is published.
unsafe impl Send for LockFile {}
// SAFETY: as above.
unsafe impl Sync for LockFile {}

impl LockFile {
    /// Runs `open` so that no fork falls between it and the registration.
    pub(crate) fn open(open: impl FnOnce() -> io::Result<File>) -> io::Result<Self> {
        install()?;
        enter();
        let opened = open().map(|file| Self { cell: cell_for(file.into_raw_fd()), forks: events::forks() });
        leave();
        opened
    }

    /// The descriptor, or `None` in a forked child.
    #[inline]
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        let fd: RawFd = self.cell.fd.load(Ordering::Acquire);
        // SAFETY: while this process is the one that opened it, the cell keeps the descriptor open until
        // `self` is dropped.
        (fd >= 0 && self.forks == events::forks()).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // In a forked child the handler has closed it, and the cell may serve somebody else.
        if self.forks != events::forks() {
            return;
        }
        enter();
        let fd = self.cell.fd.swap(-1, Ordering::AcqRel);
        if fd >= 0 {
            // SAFETY: the cell owned the descriptor, and has just given it up.
            unsafe { libc::close(fd) };
        }
        // A child forked before the close would inherit what no cell names any more.
        leave();
    }
}

/// Called between `enter` and `leave`.
fn cell_for(fd: RawFd) -> &'static Cell {
    let first = CELLS.load(Ordering::Acquire);
    let mut at = first;
    while !at.is_null() {
        // SAFETY: cells are leaked boxes, never freed.
        let cell: &'static Cell = unsafe { &*at };
        if cell.fd.compare_exchange(-1, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return cell;
        }
        at = cell.next;
    }
    let cell: &'static mut Cell = Box::leak(Box::new(Cell { fd: AtomicI32::new(fd), next: first }));
    CELLS.store(cell, Ordering::Release);
    cell
}
