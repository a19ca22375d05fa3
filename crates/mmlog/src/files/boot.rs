//! Which boot the metadata is of. After a reboot it is what the disk happened to have, and nobody of before lives.
//!
//! 1. The boot ids can both be read and are the same: this one.
//! 2. Somebody has a slot, or syncs: this one, whatever the ids say. Who has come so far has opened the log, and
//!    recovered it if that was needed. (Containers have boot ids of their own; the kernel's locks are shared.) The log's
//!    lock alone proves nothing, nor does maintenance: its owner may be about to recover.
//! 3. Both ids can be read and differ: another one. (Not: the same boot time is the same boot. Where no clock runs
//!    through a reboot, two boots have the same one.)
//! 4. An id is missing: the clocks decide. The wall clock less the time since the boot is the same throughout a boot,
//!    but for what somebody sets the clock by, or a leap second; and the time since the boot only grows. What was
//!    recorded of them is believed only of the boot id that it was recorded with: earlier software stores the id alone.
//! 5. A log without an id and without clocks is of earlier software, and taken for another boot's, once. Where this
//!    process cannot read its own id and the log has no clocks, nobody knows, and nobody may write.
//!
//! A process does not outlive a boot, so a handle that once found the log to be of this one need not ask again.

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicBool;

use super::Files;
use crate::error::Fault;
use crate::layout::{Header, Identity, SLOT_BYTES, SYNC_BYTE, WRITERS_RANGE};
use crate::sync::Ordering;
use crate::sys::fork::LockFile;
use crate::sys::place::{Access, Part};
use crate::sys::{fs, lock, process};

/// By how much the boot time may seem to change within a boot: a leap second, and reading two clocks.
const TOLERANCE_NS: u64 = 2_000_000_000;

/// The bytes that writers and syncers have; whoever recovers has all of them at once.
const WORKING: (u64, u64) = (SYNC_BYTE, SLOT_BYTES + WRITERS_RANGE.1 as u64 - SYNC_BYTE);

/// Which boot the metadata is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Boot {
    /// This one: what the metadata says is true.
    This,
    /// Another: only what was durable is certain.
    Another,
    /// It cannot be told.
    Unknown,
}

/// What a handle knows.
#[derive(Default)]
pub(super) struct Known {
    is_this: AtomicBool,
}

impl Known {
    /// Asks, if it has to. `locks`: a descriptor of the metadata file.
    pub(super) fn boot(&self, identity: &Identity, locks: Option<BorrowedFd<'_>>) -> Result<Boot, Fault> {
        if self.is_this.load(Ordering::Relaxed) {
            return Ok(Boot::This);
        }
        let mut boot = by_record(identity);
        if boot != Boot::This && work(locks)? == Work::Going {
            boot = Boot::This;
        }
        if boot == Boot::This {
            self.is_this();
        }
        Ok(boot)
    }

    /// It was found out, or made so.
    pub(super) fn is_this(&self) {
        self.is_this.store(true, Ordering::Relaxed);
    }
}

/// What the lock bytes say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    None,
    /// Somebody recovers the log: it may be of another boot still.
    Recovery,
    Going,
}

fn work(locks: Option<BorrowedFd<'_>>) -> Result<Work, Fault> {
    let Some(fd) = locks else { return Ok(Work::None) };
    let found = lock::blocking(fd, WORKING.0, WORKING.1).map_err(Fault::io("ask who works with the log"))?;
    Ok(match found {
        None => Work::None,
        Some(WORKING) => Work::Recovery,
        Some(_) => Work::Going,
    })
}

/// By ids and clocks alone.
fn by_record(identity: &Identity) -> Boot {
    let (mine, recorded) = (process::boot_id(), identity.boot_id.each_ref().map(load));
    let none = [0; 2];
    if mine == recorded && mine != none {
        return Boot::This;
    }
    if mine != none && recorded != none {
        return Boot::Another;
    }
    match Clocks::recorded(identity, recorded) {
        Some(then) if Clocks::now().is_boot_of(&then) => Boot::This,
        Some(_) => Boot::Another,
        None if recorded == none => Boot::Another,
        None => Boot::Unknown,
    }
}

/// Whether by the clocks the metadata is of this boot, although the ids differ: containers and their host take turns.
/// It does not keep the log from being recovered, since where no clock runs through a reboot it may be wrong; but
/// nothing that was read need then be doubted. (There time goes back, which is seen if it goes far enough.)
pub(super) fn is_of_this_boot_by_clocks(header: &Header) -> bool {
    let identity = &header.identity;
    let then = Clocks::recorded(identity, identity.boot_id.each_ref().map(load));
    let times =
        [&header.maintenance_owner.since_ns, &header.checkpoint.synced_ns, &header.checkpoint.recovered_ns];
    let last = times.into_iter().map(load).max().unwrap_or(0);
    then.is_some_and(|then| Clocks::now().is_boot_of(&then)) && process::now_ns() >= last
}

fn load(word: &crate::sync::AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// Two clocks, read together.
#[derive(Clone, Copy)]
struct Clocks {
    /// When the boot was, by the wall clock.
    booted_ns: u64,
    /// How long it has been up, including suspend.
    up_ns: u64,
}

impl Clocks {
    fn now() -> Self {
        let up_ns = process::up_ns();
        Self { booted_ns: process::now_ns().saturating_sub(up_ns), up_ns }
    }

    /// None when they were not recorded together with this boot id.
    fn recorded(identity: &Identity, boot_id: [u64; 2]) -> Option<Self> {
        let said = load(&identity.clocks_of) == tag(boot_id);
        said.then(|| Self { booted_ns: load(&identity.booted_ns), up_ns: load(&identity.up_ns) })
    }

    fn is_boot_of(&self, then: &Self) -> bool {
        self.booted_ns.abs_diff(then.booted_ns) <= TOLERANCE_NS && self.up_ns >= then.up_ns
    }
}

/// Which boot id clocks were recorded with; not 0, which is "not recorded".
fn tag(boot_id: [u64; 2]) -> u64 {
    (boot_id[0] ^ boot_id[1].rotate_left(32)) | 1
}

/// Records this boot. `boot_id` last: until then the log is another boot's, or one without clocks.
pub(super) fn record(identity: &Identity) {
    let (now, boot_id) = (Clocks::now(), process::boot_id());
    identity.booted_ns.store(now.booted_ns, Ordering::Relaxed);
    identity.up_ns.store(now.up_ns, Ordering::Relaxed);
    identity.clocks_of.store(tag(boot_id), Ordering::Relaxed);
    for (word, value) in identity.boot_id.iter().zip(boot_id) {
        word.store(value, Ordering::Relaxed);
    }
}

/// Makes a metadata file what another boot has left, an hour before: for who tries what a reboot does, under the same
/// kernel. Once more before anybody has recovered the log, it is of yet another boot.
///
/// # Errors
/// When the file cannot be read and written, or is shorter than metadata.
#[doc(hidden)]
pub fn pretend_reboot(metadata: &File) -> io::Result<()> {
    const IDENTITY: usize = offset_of!(Header, identity);
    const BOOT_ID: usize = IDENTITY + offset_of!(Identity, boot_id);
    const CLOCKS_OF: usize = IDENTITY + offset_of!(Identity, clocks_of);
    const BOOTED: usize = IDENTITY + offset_of!(Identity, booted_ns);
    let get = |offset: usize| {
        let mut word = [0; 8];
        metadata.read_exact_at(&mut word, offset as u64).map(|()| u64::from_ne_bytes(word))
    };
    let set = |offset: usize, word: u64| metadata.write_all_at(&word.to_ne_bytes(), offset as u64);
    let id = [get(BOOT_ID)?, get(BOOT_ID + 8)?];
    set(BOOTED, get(BOOTED)?.wrapping_sub(3_600_000_000_000))?;
    // One that could not be read cannot be read after a reboot either.
    if id != [0; 2] {
        let other = [id[0].wrapping_add(0x0101_0101_0101_0101), id[1]];
        if get(CLOCKS_OF)? == tag(id) {
            set(CLOCKS_OF, tag(other))?;
        }
        set(BOOT_ID, other[0])?;
    }
    Ok(())
}

/// Whether others are kept out.
pub(super) enum Quieted {
    Mine(Quiet),
    /// Somebody works with the log, which is of this boot then.
    Working,
    /// Somebody who recovers it has all bytes still; perhaps he is dying.
    Recovering,
}

/// While this is had, nobody begins an append or a sync.
pub(super) struct Quiet {
    _locks: Option<LockFile>,
}

impl Files {
    /// Which boot the metadata is of.
    pub(crate) fn boot(&self) -> Result<Boot, Fault> {
        if self.is_version_1() {
            return Ok(Boot::This);
        }
        self.known.boot(&self.meta.header().identity, self.lock_file.fd())
    }

    /// Whether what the metadata says is of this boot, when in doubt. If not, only what lies below the checkpoint is
    /// certain.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        !matches!(self.boot(), Ok(Boot::Another | Boot::Unknown))
    }

    /// Whether somebody is recovering the log.
    pub(super) fn is_being_recovered(&self) -> bool {
        matches!(work(self.lock_file.fd()), Ok(Work::Recovery))
    }

    /// The metadata file, opened once more, for locks that are not this handle's.
    pub(crate) fn open_for_locks(&self) -> Result<File, Fault> {
        self.another_description().map_err(cannot_lock)
    }

    fn another_description(&self) -> io::Result<File> {
        let file = self.place.open(Part::Metadata, Access::Write)?;
        let same = fs::identity(&file.metadata()?) == self.metadata_id;
        if same { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Keeps others from beginning anything, unless somebody has. The caller has the log's lock.
    ///
    /// By a description of its own: a handle's own locks do not keep its threads out.
    pub(super) fn quiet(&self) -> Result<Quieted, Fault> {
        let locks = LockFile::open(|| self.another_description()).map_err(cannot_lock)?;
        let Some(fd) = locks.fd() else { return Err(Fault::Replaced) };
        if lock::try_lock_range(fd, WORKING.0, WORKING.1).map_err(Fault::io("keep writers out"))? {
            return Ok(Quieted::Mine(Quiet { _locks: Some(locks) }));
        }
        // A read lock is nobody's who works with the log, and must not keep it from being recovered.
        match work(Some(fd))? {
            Work::None => Ok(Quieted::Mine(Quiet { _locks: None })),
            Work::Recovery => Ok(Quieted::Recovering),
            Work::Going => Ok(Quieted::Working),
        }
    }
}

fn cannot_lock(e: io::Error) -> Fault {
    match e.kind() {
        io::ErrorKind::NotFound => Fault::Replaced,
        _ => Fault::io("open the metadata file for locks")(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(boot_id: [u64; 2]) -> Identity {
        let identity = Identity::default();
        record(&identity);
        for (word, value) in identity.boot_id.iter().zip(boot_id) {
            word.store(value, Ordering::Relaxed);
        }
        identity.clocks_of.store(tag(boot_id), Ordering::Relaxed);
        identity
    }

    #[test]
    fn clocks_decide_only_where_an_id_is_missing() {
        let mine = process::boot_id();
        assert_ne!(mine, [0; 2], "these tests need /proc");
        assert_eq!(by_record(&of(mine)), Boot::This);
        // The same boot time, as two boots of a board without a clock have it.
        assert_eq!(by_record(&of([7, 8])), Boot::Another);
        assert_eq!(by_record(&of([0; 2])), Boot::This);
    }

    #[test]
    fn clocks_of_another_boot_id_say_nothing() {
        let earlier_software = of([0; 2]);
        earlier_software.clocks_of.store(0, Ordering::Relaxed);
        assert_eq!(by_record(&earlier_software), Boot::Another);
        assert!(Clocks::recorded(&of([7, 8]), [7, 9]).is_none());
    }

    #[test]
    fn a_clock_that_was_set_or_a_time_since_the_boot_that_fell_is_another_boot() {
        let then = Clocks { booted_ns: 1_000_000_000_000, up_ns: 50 };
        let boot = |booted_ns, up_ns| Clocks { booted_ns, up_ns }.is_boot_of(&then);
        assert!(boot(then.booted_ns + TOLERANCE_NS, 50));
        assert!(boot(then.booted_ns - TOLERANCE_NS, 51));
        assert!(!boot(then.booted_ns + TOLERANCE_NS + 1, 51));
        assert!(!boot(then.booted_ns, 49));
    }
}
