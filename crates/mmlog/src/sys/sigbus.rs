//! The SIGBUS guard: a store that the file has no room for is an error of its append, not the end of the process.
//!
//! The kernel sends SIGBUS for an access to a mapped page behind the end of a file that somebody cut, or whose blocks
//! are shared (copy-on-write) when the disk has no block left. The handler looks the address up among this
//! process's mappings of logs, marks the mapping as cut, puts a private page of zeros there, and returns: the
//! access is repeated and goes nowhere. Whoever stores into a mapping looks at the mark afterwards.
//!
//! The mark is there before the page. So a thread whose store went to the private page finds the mark: it got the
//! signal itself, or the store found the page that another thread's handler had put there. That handler forced a
//! memory barrier on every thread between mark and page: a load that missed the mark was over by then, and so was
//! the store before it.
//!
//! Mappings are registered whether the guard is on or not, so that it may be switched on later. The registry is
//! lock-free; its records are leaked and reused, never freed.
#![allow(unsafe_code, reason = "a signal handler, and the page that it maps")]

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::libc::{self, c_int, c_void, siginfo_t};

use super::{barrier, events};

static REGIONS: AtomicPtr<Region> = AtomicPtr::new(std::ptr::null_mut());
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(4096);
/// What SIGBUS did before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// `range` of a record that nobody uses.
const FREE: u64 = 0;
/// `range` of a record that somebody is filling in: no address.
const CLAIMED: u64 = 1 << COUNT_BITS;
/// A range is one word, so that it is never seen half changed: number of the first 4 KiB, and how many.
const COUNT_BITS: u32 = 19;
const UNIT: usize = 4096;

/// One mapping of this process.
struct Region {
    range: AtomicU64,
    cut: AtomicBool,
    next: AtomicPtr<Region>,
}

/// Turns the SIGBUS guard on for this process. To call it again changes nothing.
///
/// Without it, a writer dies of SIGBUS when somebody truncates a log under it, or when a file system that writes
/// elsewhere what is stored (btrfs; xfs for reflinked files; snapshots) has no block left. With it, that append
/// returns an error, [`Fault::Truncated`](crate::Fault::Truncated) or [`Fault::NoSpace`](crate::Fault::NoSpace),
/// and a cut metadata file is [`Fault::NotMetadata`](crate::Fault::NotMetadata).
///
/// The handler acts only on addresses of this library's own mappings. Every other SIGBUS goes to the handler that
/// was there, or to the default, which ends the process. A handler that is installed later has to do likewise, or
/// the guard is off. A thread that blocks SIGBUS is not guarded: the kernel ends its process.
///
/// # Errors
/// When the system refuses the handler.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("app.log");
/// mmlog::guard_against_sigbus()?;
/// let log = mmlog::Log::options().open_or_create(&path)?;
/// let mut writer = log.writer()?;
/// writer.append(b"hello\n")?;
/// std::fs::File::create(&path)?; // cuts the file under the writer
/// let error = writer.append(b"world\n").unwrap_err();
/// assert!(matches!(error.fault(), mmlog::Fault::Truncated { .. }));
/// # Ok(())
/// # }
/// ```
pub fn guard_against_sigbus() -> io::Result<()> {
    static ERROR: OnceLock<i32> = OnceLock::new();
    match *ERROR.get_or_init(|| install().err().and_then(|e| e.raw_os_error()).unwrap_or(0)) {
        0 => Ok(()),
        e => Err(io::Error::from_raw_os_error(e)),
    }
}

fn install() -> io::Result<()> {
    PAGE_SIZE.store(rustix::param::page_size(), Ordering::Relaxed);
    // SAFETY: all zeros is a valid sigaction: the default action, no flags, an empty mask.
    let mut previous: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: no new action is given, and `previous` is live.
    Errno::result(unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut previous) })?;
    // Whoever was there goes on to run under the mask and the flags that it asked for.
    let mut ours = *PREVIOUS.get_or_init(|| previous);
    ours.sa_flags =
        libc::SA_SIGINFO | libc::SA_ONSTACK | previous.sa_flags & (libc::SA_NODEFER | libc::SA_RESTART);
    ours.sa_sigaction = on_sigbus as *const () as usize;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and calls only what a handler may call.
    Errno::result(unsafe { libc::sigaction(libc::SIGBUS, &ours, std::ptr::null_mut()) })?;
    Ok(())
}

/// A mapping that the handler knows. Dropped before it is unmapped: its addresses may be anybody's afterwards.
pub(crate) struct Registered(&'static Region);

impl Registered {
    /// `len` bytes from `start`, mapped and not yet stored to.
    pub(crate) fn new(start: *const u8, len: usize) -> Self {
        let claim =
            |r: &Region| r.range.compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed);
        let region = regions().find(|r| claim(r).is_ok()).unwrap_or_else(add);
        region.cut.store(false, Ordering::Relaxed);
        let range = ((start.addr() / UNIT) as u64) << COUNT_BITS | len.div_ceil(UNIT) as u64;
        region.range.store(range, Ordering::Release);
        Self(region)
    }

    /// Whether a page of it is not the file's any more.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::Relaxed)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if self.is_cut() {
            events::uncut();
        }
        self.0.range.store(FREE, Ordering::Release);
    }
}

fn regions() -> impl Iterator<Item = &'static Region> {
    let mut at = REGIONS.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: null, or a leaked box that was complete when it was published.
        let region = unsafe { at.as_ref() }?;
        at = region.next.load(Ordering::Relaxed);
        Some(region)
    })
}

fn add() -> &'static Region {
    let next = AtomicPtr::new(REGIONS.load(Ordering::Acquire));
    let region: &'static Region =
        Box::leak(Box::new(Region { range: AtomicU64::new(CLAIMED), cut: AtomicBool::new(false), next }));
    let mine = std::ptr::from_ref(region).cast_mut();
    loop {
        let next = region.next.load(Ordering::Relaxed);
        match REGIONS.compare_exchange(next, mine, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return region,
            Err(now) => region.next.store(now, Ordering::Relaxed),
        }
    }
}

impl Region {
    fn contains(&self, address: usize) -> bool {
        let range = self.range.load(Ordering::Acquire);
        let (first, count) = (range >> COUNT_BITS, range & ((1 << COUNT_BITS) - 1));
        ((address / UNIT) as u64).checked_sub(first).is_some_and(|n| n < count)
    }

    /// Marks it, then puts a page of zeros at the address. The count of cuts is never 0 while a mark stands, also
    /// between two handlers that mark the same region.
    fn give_way(&self, address: usize) -> bool {
        events::cut();
        if self.cut.swap(true, Ordering::SeqCst) {
            events::uncut();
        }
        barrier::force_on_writers();
        let page_size = PAGE_SIZE.load(Ordering::Relaxed);
        let page = std::ptr::with_exposed_provenance_mut::<c_void>(address / page_size * page_size);
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: the page is inside a mapping of ours, which the access that trapped keeps from being unmapped;
        // no reference points into it except to atomics, for which any bytes are valid.
        unsafe { libc::mmap(page, page_size, protection, flags, -1, 0) != libc::MAP_FAILED }
    }
}

/// Only async-signal-safe calls from here on: atomics and system calls.
extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    // SAFETY: with SA_SIGINFO the kernel passes a live siginfo.
    let facts = unsafe { &*info };
    // SAFETY: a SIGBUS of the kernel has an address; of any other signal it is some number, used only if the code
    // says that the kernel found no file behind an address.
    let address = unsafe { facts.si_addr() }.addr();
    let given_way = facts.si_code == libc::BUS_ADRERR
        && regions().find(|r| r.contains(address)).is_some_and(|r| r.give_way(address));
    if !given_way {
        pass_on(signal, info, context, facts.si_code);
    }
    Errno::set_raw(errno);
}

/// Not ours: what would have happened without the guard.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void, code: c_int) {
    let Some(previous) = PREVIOUS.get() else { return };
    // The kernel's own, for an instruction that will trap again; others are sent, and come once.
    let traps_again = (libc::BUS_ADRALN..=libc::BUS_MCEERR_AR).contains(&code);
    match previous.sa_sigaction {
        libc::SIG_IGN if !traps_again => {}
        // The kernel lets nobody ignore a trap.
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: the default action is always valid.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            if !traps_again {
                // SAFETY: raise takes any number, and may be called in a handler.
                unsafe { libc::raise(signal) };
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: whoever installed it said by SA_SIGINFO that it takes these three.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: whoever installed it said, without SA_SIGINFO, that it takes the signal's number.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}
