//! Which boot the metadata is of. After a reboot it is what the disk happened to have, and nobody of before lives.
//!
//! 1. The boot ids can both be read and are the same: this one.
//! 2. Somebody has a slot, or syncs: this one, whatever the ids say. Who has come so far has opened the log, and
//!    recovered it if that was needed. (The kernel's locks are shared by containers.) The log's lock alone proves
//!    nothing, nor does maintenance: its owner may be about to recover.
//! 3. The clocks decide. The wall clock less the time since the boot is the same throughout a boot, but for what
//!    somebody sets the clock by, or a leap second; the time since the boot only grows, and so does the wall clock. What
//!    was recorded of them is believed only of the boot id that it was recorded with: earlier software stores the id
//!    alone.
//!
//!    Where both ids can be read and differ (containers have ids of their own, and take turns with their host), that is
//!    believed only as far as no two boots can have the same boot time: of a clock that runs through a reboot, whose date
//!    can be true, of a boot that was older than such a clock is exact, and to a few microseconds, since a volume may have
//!    been moved to a machine that was started together with the one before. Otherwise it is another boot.
//! 4. A log without an id and without clocks is of earlier software, and taken for another boot's, once. Where this
//!    process cannot read its own id and the log has no clocks, nobody knows, and nobody may write.
//!
//! What is recorded stays as it is as long as the log is of this boot, whoever opens it: earlier software goes by the id
//! alone, and recovers the log after each change of it.
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
use crate::sys::{clock, fs, lock, process};

/// By how much the boot time may seem to change within a boot: a leap second, and reading two clocks.
pub(super) const TOLERANCE_NS: u64 = 2_000_000_000;

/// By how much the readings of an unchanged boot time differ. Clocks that are kept right by running faster or slower are
/// one clock to both.
const EXACT_NS: u64 = 10_000;

/// How old a boot was at least when its boot time was recorded, for the next one's to differ by more than the tolerance,
/// although hardware clocks count whole seconds.
const OLD_ENOUGH_NS: u64 = 2 * TOLERANCE_NS;

/// No clock is right that shows a time before this software was written, 2025: those without a battery begin there.
const WRITTEN_NS: u64 = 1_735_689_600_000_000_000;

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
    pub(super) fn boot(&self, header: &Header, locks: Option<BorrowedFd<'_>>) -> Result<Boot, Fault> {
        if self.is_found() {
            return Ok(Boot::This);
        }
        let mut boot = by_record(header);
        if boot != Boot::This && work(locks)? == Work::Going {
            boot = Boot::This;
        }
        if boot == Boot::This {
            self.is_this();
        }
        Ok(boot)
    }

    #[inline]
    fn is_found(&self) -> bool {
        self.is_this.load(Ordering::Relaxed)
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
fn by_record(header: &Header) -> Boot {
    Record::of(header).judge(process::boot_id(), &Clocks::now(), clock::runs_through_reboots)
}

/// What the metadata says of its boot.
struct Record {
    /// Zeros if it could not be read.
    boot_id: [u64; 2],
    /// None were recorded with the boot id.
    clocks: Option<Clocks>,
    /// The newest time by the wall clock.
    last_ns: u64,
}

impl Record {
    fn of(header: &Header) -> Self {
        let (identity, checkpoint) = (&header.identity, &header.checkpoint);
        let boot_id = identity.boot_id.each_ref().map(load);
        let clocks = Clocks { booted_ns: load(&identity.booted_ns), up_ns: load(&identity.up_ns) };
        let times = [&header.maintenance_owner.since_ns, &checkpoint.synced_ns, &checkpoint.recovered_ns];
        Self {
            boot_id,
            clocks: (load(&identity.clocks_of) == tag(boot_id)).then_some(clocks),
            last_ns: times.into_iter().map(load).max().unwrap_or(0),
        }
    }

    /// `mine`: this boot's id, zeros if it cannot be read. `runs_through`: whether the wall clock runs through a reboot.
    fn judge(&self, mine: [u64; 2], now: &Clocks, runs_through: impl FnOnce() -> bool) -> Boot {
        let [knows_mine, knows_its] = [mine, self.boot_id].map(|id| id != [0; 2]);
        if knows_mine && mine == self.boot_id {
            return Boot::This;
        }
        let Some(then) = &self.clocks else {
            return if knows_its && !knows_mine { Boot::Unknown } else { Boot::Another };
        };
        let ids_differ = knows_mine && knows_its;
        let within_ns = if ids_differ { EXACT_NS } else { TOLERANCE_NS };
        let fits =
            now.is_boot_of(then, within_ns) && self.last_ns <= now.wall_ns().saturating_add(TOLERANCE_NS);
        if fits && (!ids_differ || then.is_of_one_boot() && runs_through()) {
            Boot::This
        } else {
            Boot::Another
        }
    }
}

/// When this boot was, by the wall clock as it went when the metadata was made or recovered in it.
/// (By another id it is of this boot only where the clock was not set.)
pub(super) fn booted_ns(header: &Header) -> Option<u64> {
    let (mine, record) = (process::boot_id(), Record::of(header));
    let then = record.clocks.filter(|_| mine == record.boot_id && mine != [0; 2])?;
    (then.up_ns <= process::up_ns()).then_some(then.booted_ns)
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
        // Of several looks the one at which least time went by between the clocks.
        let look = |_| {
            let (up_ns, wall_ns) = (process::up_ns(), process::now_ns());
            let took_ns = process::up_ns().saturating_sub(up_ns);
            (took_ns, Self { booted_ns: wall_ns.saturating_sub(up_ns), up_ns })
        };
        let first = look(0);
        (1..8).map(look).fold(first, |best, next| if next.0 < best.0 { next } else { best }).1
    }

    fn wall_ns(&self) -> u64 {
        self.booted_ns.saturating_add(self.up_ns)
    }

    fn is_boot_of(&self, then: &Self, within_ns: u64) -> bool {
        self.booted_ns.abs_diff(then.booted_ns) <= within_ns && self.up_ns >= then.up_ns
    }

    /// Whether no other boot has that boot time, if the wall clock runs through reboots.
    fn is_of_one_boot(&self) -> bool {
        self.booted_ns >= WRITTEN_NS && self.up_ns > OLD_ENOUGH_NS
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
    locks: Option<LockFile>,
}

impl Quiet {
    /// Lets others have slots again: the log is of this boot, and whoever opens it now does not wait for its lock. Versions
    /// that do not know how a recovery keeps writers out would say that there is no slot.
    pub(super) fn give_slots_back(&self) {
        self.unlock(SLOT_BYTES, WORKING.0 + WORKING.1 - SLOT_BYTES);
    }

    fn unlock(&self, start: u64, len: u64) {
        if let Some(fd) = self.locks.as_ref().and_then(LockFile::fd) {
            let _ = lock::unlock_range(fd, start, len);
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.unlock(WORKING.0, WORKING.1);
    }
}

impl Files {
    /// Which boot the metadata is of.
    #[inline]
    pub(crate) fn boot(&self) -> Result<Boot, Fault> {
        // At every look of a follower.
        if self.known.is_found() { Ok(Boot::This) } else { self.ask_boot() }
    }

    #[cold]
    fn ask_boot(&self) -> Result<Boot, Fault> {
        if self.is_version_1() {
            return Ok(Boot::This);
        }
        self.known.boot(self.meta.header(), self.lock_file.fd())
    }

    /// Whether what the metadata says is of this boot, when in doubt. If not, only what lies below the checkpoint is
    /// certain.
    #[inline]
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

    pub(super) fn another_description(&self) -> std::io::Result<File> {
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
            return Ok(Quieted::Mine(Quiet { locks: Some(locks) }));
        }
        // A read lock is nobody's who works with the log, and must not keep it from being recovered.
        match work(Some(fd))? {
            Work::None => Ok(Quieted::Mine(Quiet { locks: None })),
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

    const MINE: [u64; 2] = [1, 2];
    const OTHER: [u64; 2] = [7, 8];
    const NONE: [u64; 2] = [0; 2];
    const HOUR_NS: u64 = 3_600_000_000_000;

    /// An hour after the boot, when the log was used last.
    const THEN: Clocks = Clocks { booted_ns: WRITTEN_NS + HOUR_NS, up_ns: HOUR_NS };

    fn of(boot_id: [u64; 2]) -> Record {
        Record { boot_id, clocks: Some(THEN), last_ns: THEN.wall_ns() }
    }

    fn without_clocks(boot_id: [u64; 2]) -> Record {
        Record { clocks: None, ..of(boot_id) }
    }

    /// A minute later, in the same boot.
    fn later() -> Clocks {
        Clocks { up_ns: THEN.up_ns + HOUR_NS / 60, ..THEN }
    }

    #[test]
    fn the_same_id_is_this_boot_whatever_the_clocks_say() {
        let elsewhere = Clocks { booted_ns: 0, up_ns: 0 };
        assert_eq!(of(MINE).judge(MINE, &elsewhere, || false), Boot::This);
        assert_eq!(without_clocks(MINE).judge(MINE, &elsewhere, || false), Boot::This);
    }

    #[test]
    fn ids_that_differ_are_one_boot_only_by_a_clock_that_runs_through_reboots() {
        assert_eq!(of(OTHER).judge(MINE, &later(), || true), Boot::This);
        // Two boots of a board without a clock have the same boot time.
        assert_eq!(of(OTHER).judge(MINE, &later(), || false), Boot::Another);
        assert_eq!(without_clocks(OTHER).judge(MINE, &later(), || true), Boot::Another);
    }

    #[test]
    fn where_an_id_is_missing_any_clock_decides() {
        for (its, mine) in [(OTHER, NONE), (NONE, MINE), (NONE, NONE)] {
            assert_eq!(of(its).judge(mine, &later(), || false), Boot::This);
            let another = Clocks { booted_ns: THEN.booted_ns + HOUR_NS, ..later() };
            assert_eq!(of(its).judge(mine, &another, || true), Boot::Another);
        }
        assert_eq!(without_clocks(OTHER).judge(NONE, &later(), || true), Boot::Unknown);
        assert_eq!(without_clocks(NONE).judge(NONE, &later(), || true), Boot::Another);
        assert_eq!(without_clocks(NONE).judge(MINE, &later(), || true), Boot::Another);
    }

    #[test]
    fn another_boot_time_a_time_up_that_fell_or_a_time_to_come_is_another_boot() {
        for (its, within_ns) in [(OTHER, EXACT_NS), (NONE, TOLERANCE_NS)] {
            let judged = |record: &Record, booted_ns: u64, up_ns: u64| {
                record.judge(MINE, &Clocks { booted_ns, up_ns }, || true)
            };
            let (then, at_rest) = (THEN, Record { last_ns: 0, ..of(its) });
            assert_eq!(judged(&at_rest, then.booted_ns + within_ns, then.up_ns), Boot::This);
            assert_eq!(judged(&at_rest, then.booted_ns - within_ns, then.up_ns), Boot::This);
            assert_eq!(judged(&at_rest, then.booted_ns + within_ns + 1, then.up_ns), Boot::Another);
            assert_eq!(judged(&at_rest, then.booted_ns - within_ns - 1, then.up_ns), Boot::Another);
            assert_eq!(judged(&at_rest, then.booted_ns, then.up_ns - 1), Boot::Another);
            let in_use = |last_ns| Record { last_ns, ..of(its) };
            let now_ns = then.wall_ns();
            assert_eq!(judged(&in_use(now_ns + TOLERANCE_NS), then.booted_ns, then.up_ns), Boot::This);
            assert_eq!(judged(&in_use(now_ns + TOLERANCE_NS + 1), then.booted_ns, then.up_ns), Boot::Another);
        }
    }

    #[test]
    fn a_boot_time_that_two_boots_can_have_says_nothing_of_ids_that_differ() {
        let judged = |clocks: Clocks| {
            let record = Record { clocks: Some(clocks), last_ns: 0, ..of(OTHER) };
            let now = Clocks { up_ns: clocks.up_ns + HOUR_NS, ..clocks };
            record.judge(MINE, &now, || true)
        };
        // Recorded so early that the next boot's is within the tolerance.
        assert_eq!(judged(Clocks { up_ns: OLD_ENOUGH_NS, ..THEN }), Boot::Another);
        assert_eq!(judged(Clocks { up_ns: OLD_ENOUGH_NS + 1, ..THEN }), Boot::This);
        // By a clock that began anew.
        assert_eq!(judged(Clocks { booted_ns: WRITTEN_NS - 1, ..THEN }), Boot::Another);
        assert_eq!(judged(Clocks { booted_ns: 0, ..THEN }), Boot::Another);
    }

    #[test]
    fn clocks_are_believed_only_of_the_boot_id_that_they_were_recorded_with() {
        let header = Header::default();
        record(&header.identity);
        assert!(Record::of(&header).clocks.is_some());
        header.identity.boot_id[1].fetch_add(1, Ordering::Relaxed);
        assert!(Record::of(&header).clocks.is_none());
    }
}
