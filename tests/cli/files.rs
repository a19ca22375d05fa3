//! The two files of a log, read and changed behind the tool's back.

use std::fs::{self, File, OpenOptions};
use std::mem::{offset_of, size_of};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use mmlog::layout::{
    FINALS_AT, HELD, HOLES_AT, Header, HoleEntry, LOCK_BYTE, MAINTENANCE_BYTE, Owner, SLOT_BYTES, SLOTS_AT,
    Slot, SlotHot, TimeFinal, ring_at,
};
use mmlog::times::Final;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait_for;

pub(crate) fn metadata_of(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_os_string();
    path.push(mmlog::METADATA_SUFFIX);
    path.into()
}

/// Offsets of fields in the metadata file.
pub(crate) mod at {
    use super::{Header, offset_of};

    pub(crate) const VERSION: usize = offset_of!(Header, control.version);
    pub(crate) const IS_READY: usize = offset_of!(Header, control.is_ready);
    pub(crate) const IS_PANICKED: usize = offset_of!(Header, control.is_panicked);
    pub(crate) const FILE_SIZE: usize = offset_of!(Header, control.file_size);
    pub(crate) const CURSOR: usize = offset_of!(Header, control.cursor);
    pub(crate) const CHUNK_SIZE: usize = offset_of!(Header, control.chunk_size);
    pub(crate) const BASE: usize = offset_of!(Header, control.base);
    pub(crate) const GATE_MS: usize = offset_of!(Header, control.gate_ms);
    pub(crate) const MAGIC: usize = offset_of!(Header, identity.magic);
    pub(crate) const BYTE_ORDER: usize = offset_of!(Header, identity.byte_order);
    pub(crate) const FEATURES: usize = offset_of!(Header, identity.features_required);
    pub(crate) const MAX_WRITERS: usize = offset_of!(Header, tables.max_writers);
    pub(crate) const HIGH_WATER: usize = offset_of!(Header, high_water.slots);
    pub(crate) const JOURNAL: usize = offset_of!(Header, journal.kind);
    pub(crate) const IS_LOCKED: usize = offset_of!(Header, control.is_locked);
    pub(crate) const LIMIT: usize = offset_of!(Header, control.limit);
    pub(crate) const BOOT_ID: usize = offset_of!(Header, identity.boot_id);
    pub(crate) const SYNCED: usize = offset_of!(Header, checkpoint.synced);
    /// Of the current data file: generation, base, inode.
    pub(crate) const SEGMENT: usize = offset_of!(Header, segments);
}

/// Stores bytes in the metadata file.
pub(crate) fn poke(log: &Path, offset: usize, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(metadata_of(log)).unwrap();
    file.write_all_at(bytes, offset as u64).unwrap();
}

/// The log is of another boot now.
pub(crate) fn reboot(log: &Path) {
    let file = OpenOptions::new().read(true).write(true).open(metadata_of(log)).unwrap();
    mmlog::pretend_reboot(&file).unwrap();
}

/// How many messages the last owner of slot 0 has appended.
pub(crate) fn messages(log: &Path) -> u64 {
    let mut word = [0; 8];
    let offset = SLOTS_AT + offset_of!(Slot, hot) + offset_of!(SlotHot, messages);
    File::open(metadata_of(log)).unwrap().read_exact_at(&mut word, offset as u64).unwrap();
    u64::from_ne_bytes(word)
}

/// A slot's word: a state (1 reserving, 2 waiting, 3 copying) and a position.
pub(crate) const fn slot(state: u64, position: u64) -> u64 {
    state << 62 | position
}

/// What a writer in slot `index` left when it died.
pub(crate) fn write_slot(log: &Path, index: usize, pending: u64, len: u64, pid: u32) {
    let slot = SLOTS_AT + index * size_of::<Slot>();
    let (hot, cold) = (slot + offset_of!(Slot, hot), slot + offset_of!(Slot, cold));
    poke(log, hot + offset_of!(SlotHot, len), &len.to_ne_bytes());
    poke(log, hot + offset_of!(SlotHot, pending), &pending.to_ne_bytes());
    write_owner(log, cold, pid, 0, "dead-writer");
    poke(log, at::HIGH_WATER, &(index as u32 + 1).to_ne_bytes());
}

/// What somebody stores beside a lock byte that he has.
pub(crate) fn write_owner(log: &Path, at: usize, pid: u32, operation: u32, command: &str) {
    poke(log, at, &[0; size_of::<Owner>()]);
    poke(log, at + offset_of!(Owner, pid), &pid.to_ne_bytes());
    poke(log, at + offset_of!(Owner, operation), &(HELD | operation).to_ne_bytes());
    poke(log, at + offset_of!(Owner, command), command.as_bytes());
}

/// Notes a torn hole in entry `index` of the table, as whoever settled its writer did.
pub(crate) fn write_hole(log: &Path, index: usize, start: u64, len: u64) {
    const TORN: u32 = 3;
    let entry = HOLES_AT + index * size_of::<HoleEntry>();
    poke(log, entry + offset_of!(HoleEntry, start), &(start + 1).to_ne_bytes());
    poke(log, entry + offset_of!(HoleEntry, len), &len.to_ne_bytes());
    poke(log, entry + offset_of!(HoleEntry, kind), &TORN.to_ne_bytes());
    write_hole_time(log, index, 1_700_000_000_000_000_000);
}

/// When the hole in entry `index` of the table was noted, by whoever's clock.
pub(crate) fn write_hole_time(log: &Path, index: usize, at_ns: u64) {
    poke(log, HOLES_AT + index * size_of::<HoleEntry>() + offset_of!(HoleEntry, at_ns), &at_ns.to_ne_bytes());
}

/// Both files, byte for byte.
pub(crate) fn raw(log: &Path) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    (content(log), content(&metadata_of(log)))
}

/// Of a regular file: reading a FIFO would wait for its writer.
fn content(file: &Path) -> Option<Vec<u8>> {
    fs::metadata(file).ok().filter(|m| m.is_file()).and_then(|_| fs::read(file).ok())
}

/// Both files of a log, to compare; what is only for people (who has, or had, a lock) left out.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Bytes {
    data: Option<Vec<u8>>,
    metadata: Option<Vec<u8>>,
}

impl Bytes {
    pub(crate) fn of(log: &Path) -> Self {
        let mut metadata = content(&metadata_of(log));
        if let Some(all) = &mut metadata {
            let locked = offset_of!(Header, control.is_locked);
            let owners = offset_of!(Header, lock_owner)..offset_of!(Header, journal);
            let wakes = offset_of!(Header, data_wake)..offset_of!(Header, identity);
            for people in [locked..locked + 1, owners, wakes] {
                // Hostile files may be shorter than that.
                all.iter_mut().take(people.end).skip(people.start).for_each(|byte| *byte = 0);
            }
        }
        Self { data: content(log), metadata }
    }

    #[track_caller]
    pub(crate) fn are_still_in(&self, log: &Path) {
        // Not `assert_eq`: nobody can read that much.
        assert!(*self == Self::of(log), "{} or its metadata has changed", log.display());
    }
}

/// Lock bytes, held by this process as another process of the log would hold them.
pub(crate) struct Held(File);

impl Held {
    pub(crate) fn byte(log: &Path, byte: u64) -> Self {
        Self::with(libc::F_WRLCK, log, byte)
    }

    /// As whoever may read the file can: a lock that no writer has, and that keeps others from the byte.
    pub(crate) fn slot_for_reading(log: &Path, index: u64) -> Self {
        Self::with(libc::F_RDLCK, log, SLOT_BYTES + index)
    }

    fn with(kind: i32, log: &Path, byte: u64) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(metadata_of(log)).unwrap();
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: byte.cast_signed(),
            l_len: 1,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
        Self(file)
    }

    /// The log's lock, held by another process, which is stopped, and stored as what it is for.
    pub(crate) fn by_a_stopped_process(log: &Path) -> Child {
        const GROW: u32 = 2;
        let Self(file) = Self::byte(log, LOCK_BYTE);
        // The lock goes with the open file: who has its descriptor holds it.
        let child = Command::new("sleep").arg("1d").stdin(file).spawn().unwrap();
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGSTOP).unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        wait_for("it is stopped", || fs::read_to_string(&stat).ok()?.contains(") T ").then_some(()));
        write_owner(log, offset_of!(Header, lock_owner), child.id(), GROW, "night-shift");
        child
    }

    /// The byte of a slot, as its live owner has it.
    pub(crate) fn slot(log: &Path, index: u64) -> Self {
        Self::byte(log, SLOT_BYTES + index)
    }

    /// The maintenance byte, with the name of this process beside it, as if for a trim.
    pub(crate) fn maintenance(log: &Path) -> Self {
        const TRIM: u32 = 4;
        let held = Self::byte(log, MAINTENANCE_BYTE);
        write_owner(log, offset_of!(Header, maintenance_owner), std::process::id(), TRIM, "night-shift");
        held
    }
}

/// Where the metadata notes when the segment of that number became final, and of which log.
fn noted_final(log: &Path, generation: u64) -> (usize, [u64; 2]) {
    let metadata = fs::read(metadata_of(log)).unwrap();
    let word = |at: usize| u64::from_ne_bytes(metadata[at..at + 8].try_into().unwrap());
    let uuid = offset_of!(Header, identity.uuid);
    let ring = ring_at(word(at::MAX_WRITERS) as u32);
    (ring + FINALS_AT + Final::place(generation) * size_of::<TimeFinal>(), [word(uuid), word(uuid + 8)])
}

/// Notes that a final segment became so at that time, in nanoseconds since the epoch.
pub(crate) fn became_final(log: &Path, generation: u64, at_ns: u64) {
    let (place, uuid) = noted_final(log, generation);
    let mut bytes = [0; size_of::<TimeFinal>()];
    File::open(metadata_of(log)).unwrap().read_exact_at(&mut bytes, place as u64).unwrap();
    let words = std::array::from_fn(|i| u64::from_ne_bytes(bytes[i * 8..i * 8 + 8].try_into().unwrap()));
    let mut noted = Final::of(words, Final::place(generation), uuid).unwrap();
    noted.ended.at_ns = at_ns;
    poke(log, place, &noted.words(uuid).map(u64::to_ne_bytes).concat());
}

/// The metadata knows no longer when that segment became final, as that of an earlier version never did.
pub(crate) fn forget_final(log: &Path, generation: u64) {
    poke(log, noted_final(log, generation).0, &[0; size_of::<TimeFinal>()]);
}

/// Final segments of `app.log`, oldest first.
pub(crate) fn finals(log: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(log.parent().unwrap()).unwrap().map(|e| e.unwrap().path());
    let mut finals: Vec<PathBuf> =
        entries.filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with("app.log.0")).collect();
    finals.sort();
    finals
}
