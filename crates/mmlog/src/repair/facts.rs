//! What a look says, as plain data.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::{At, Blocker, Fault, PanicRecord, Result};
use crate::files::moved::{self, Stray};
use crate::files::{Config, Files, Intent, behind, content, olddir, owner, policy};
use crate::holes::Hole;
use crate::layout::{LOCK_BYTE, Owner, Slot};
use crate::metadata::policy::Said;
use crate::policy::PolicyState;
use crate::slots::Phase;
use crate::status::{self, flaws};
use crate::sys::place::{Access, Part, Place};
use crate::sys::process::{self, ProcessState, Who};

/// How often what looks abandoned is looked at again.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(2);

/// What the metadata file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataFact {
    /// Metadata of this format.
    Sound,
    /// There is no such file.
    Missing,
    /// Creation has not finished, and nobody is at it.
    Unfinished,
    /// It says nothing that could be believed.
    Torn(String),
    /// Of the original's format.
    Version1,
}

/// The data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFact {
    /// Its length, bytes.
    pub len: u64,
    /// Its inode.
    pub inode: u64,
}

/// A slot whose writer is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadSlot {
    /// Index.
    pub slot: u32,
    /// Process id of its writer, in its own namespace.
    pub pid: u32,
    /// Name of that process.
    pub command: String,
    /// How far it had come.
    pub phase: Phase,
    /// What it leaves; `None` when the place cannot be told, or the slot holds nothing that the log can have.
    pub hole: Option<Hole>,
}

/// A live process that holds something, and may be stopped. Never touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Who, and what it holds.
    pub blocker: Blocker,
    /// What the kernel says it is doing.
    pub process: ProcessState,
}

impl Suspect {
    /// Somebody who is no writer.
    fn keeping(blocker: Blocker) -> Self {
        let pid = Some(blocker.pid).filter(|&pid| pid != 0);
        Self { process: process::state_at(&Who::default(), pid), blocker }
    }
}

/// Everything that a decision rests on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The metadata file.
    pub metadata: MetadataFact,
    /// The data file, if there is one.
    pub data: Option<DataFact>,
    /// `is_locked` is set and nobody has the lock: who had it.
    pub stale_lock: Option<Blocker>,
    /// The gate is closed there and nobody has the lock.
    pub stale_gate: Option<u64>,
    /// Kind of the operation in the journal, with nobody at it; 0 for none.
    pub stale_journal: u64,
    /// Slots of dead writers.
    pub dead: Vec<DeadSlot>,
    /// Stopped processes that hold something.
    pub suspects: Vec<Suspect>,
    /// How many slots have a live owner.
    pub live_writers: usize,
    /// Bytes that the metadata promises.
    pub file_size: u64,
    /// Of those behind them, bytes that somebody who is no writer put there at rest.
    pub outside: u64,
    /// Such bytes that were cut off since the log was made, where it is told that there were some.
    pub outside_cut: Option<u64>,
    /// Position of the data file's first byte.
    pub base: u64,
    /// Where the next append goes.
    pub cursor: u64,
    /// Position fields that contradict each other, in words.
    pub positions: Option<String>,
    /// The limit does not fit base and size, with nobody at it.
    pub wrong_limit: bool,
    /// The segment's entry names another base than the header, with nobody at it: that one.
    pub other_base: Option<u64>,
    /// An invariant that does not hold, if somebody [looked deeper](super::Examination::look_deeper).
    pub violation: Option<String>,
    /// Whose metadata it is, where that is another log's, and there is no data file.
    pub stray: Option<Stray>,
    /// The inode that the metadata names, when the data file is another.
    pub foreign: Option<u64>,
    /// The metadata file is a copy, in words.
    pub copied: Option<String>,
    /// The log was used by another mount, and this may be another one, in words.
    pub other_mount: Option<String>,
    /// The metadata was last used before a reboot.
    pub rebooted: bool,
    /// Everything below is durable.
    pub synced: u64,
    /// Where durability was lost, and the errno.
    pub sync_failed: Option<(u64, i32)>,
    /// Where the metadata says nothing and the caller names no directory of old segments: those in the log's directory that have
    /// files with the names of its segments.
    pub unnamed_directories: Option<Vec<PathBuf>>,
    /// The log's policy, which new metadata keeps; `None` where nothing says whether it had one.
    pub policy: Option<PolicyState>,
    /// Positions of old segments that are missing.
    pub missing: Vec<Range<u64>>,
    /// Files that killed operations left, and the bytes of disk that each takes.
    pub leftovers: Vec<(PathBuf, u64)>,
    /// Why such files could not be looked for, in words, with what to do.
    pub unseen: Option<String>,
    /// Why the log refuses to be written.
    pub panic: Option<PanicRecord>,
}

pub(super) fn gather(place: &Arc<Place>, config: &Config) -> Result<Facts> {
    let path = place.path();
    let data = place.find(Part::Data).map_err(Fault::io("stat the data file")).at(path)?;
    let data = data.map(|found| DataFact { len: found.len, inode: found.id.1 });
    let without = |metadata| {
        let unnamed_directories = olddir::unnamed(place, config);
        Ok(Facts { metadata, unnamed_directories, policy: policy_left(place), ..Facts::nothing(data) })
    };
    let files = match Files::open_in(place, config, Intent::Look) {
        Ok(files) => files,
        Err(e) => {
            let present = place.find(Part::Metadata).map_err(Fault::io("stat the metadata file")).at(path)?;
            return match e.fault() {
                Fault::NoMetadata { .. } | Fault::OldSegmentsUnnamed(_) if present.is_none() => {
                    without(MetadataFact::Missing)
                }
                // An empty data file is that of a log, where the caller names its old segments.
                Fault::NoLog if present.is_none() && data.is_some() && config.old_directory.is_some() => {
                    without(MetadataFact::Missing)
                }
                Fault::NoMetadata { .. } | Fault::NoLog | Fault::OldSegmentsUnnamed(_)
                    if present.is_some() =>
                {
                    without(MetadataFact::Unfinished)
                }
                Fault::NotMetadata { .. } | Fault::Geometry { .. } => {
                    without(MetadataFact::Torn(e.fault().problem()))
                }
                _ => Err(e),
            };
        }
    };
    if files.is_version_1() {
        let policy = Some(PolicyState::Unset);
        return Ok(Facts { metadata: MetadataFact::Version1, policy, ..Facts::nothing(data) });
    }
    of_files(&files, data).at(path)
}

impl Facts {
    fn nothing(data: Option<DataFact>) -> Self {
        Self {
            metadata: MetadataFact::Sound,
            data,
            stale_lock: None,
            stale_gate: None,
            stale_journal: 0,
            dead: Vec::new(),
            suspects: Vec::new(),
            live_writers: 0,
            file_size: 0,
            outside: 0,
            outside_cut: None,
            base: 0,
            cursor: 0,
            positions: None,
            wrong_limit: false,
            other_base: None,
            violation: None,
            stray: None,
            foreign: None,
            copied: None,
            other_mount: None,
            rebooted: false,
            synced: 0,
            sync_failed: None,
            unnamed_directories: None,
            policy: None,
            missing: Vec::new(),
            leftovers: Vec::new(),
            unseen: None,
            panic: None,
        }
    }
}

/// The policy that metadata keeps which says nothing else that could be believed: also not that it never had one.
fn policy_left(place: &Place) -> Option<PolicyState> {
    let file = place.open(Part::Metadata, Access::Read).ok()?;
    let said = policy::said(&file).ok().filter(|said| *said != Said::Nothing);
    said.map(PolicyState::of)
}

/// What may be half done at one moment, and is nobody's when it stands still.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Standing {
    lock_since: Option<u64>,
    gate: Option<u64>,
    journal: u64,
    wrong_limit: bool,
    other_base: Option<u64>,
    len: Option<u64>,
    misfit: bool,
}

impl Standing {
    fn look(files: &Files) -> std::result::Result<Self, Fault> {
        let (header, control) = (files.meta.header(), files.control());
        let file_size = control.file_size();
        let data = files.place.find(Part::Data).map_err(Fault::io("stat the data file"))?;
        let len = data.map(|found| found.len);
        // Then the lock's next owner makes the words fit the file.
        let fits = data.is_some_and(|found| header.is_exchanged_for(found.id.1));
        let cursor = control.look();
        let seen = Self {
            lock_since: (control.is_locked.load(Ordering::Relaxed) != 0)
                .then(|| header.lock_owner.since_ns.load(Ordering::Relaxed)),
            gate: control.closed_at(&cursor),
            journal: header.journal.kind(),
            wrong_limit: !fits && control.limit() != control.base().saturating_add(file_size),
            other_base: Some(header.current().base).filter(|&b| !fits && b != control.base()),
            len,
            misfit: !fits && len.is_some_and(|len| len != file_size) && control.file_size() == file_size,
        };
        // Asked last: whoever was at it has finished, or still holds the lock.
        Ok(if files.ask_held(LOCK_BYTE)? { Self::default() } else { seen })
    }

    /// The same at several looks.
    fn confirmed(files: &Files) -> std::result::Result<Self, Fault> {
        let first = Self::look(files)?;
        let nothing = |s: &Self| *s == Self { len: s.len, ..Self::default() };
        for _ in 0..LOOKS {
            if nothing(&first) {
                return Ok(first);
            }
            std::thread::sleep(PAUSE);
            let again = Self::look(files)?;
            if again != first {
                return Ok(Self { len: again.len, ..Self::default() });
            }
        }
        Ok(first)
    }
}

fn of_files(files: &Files, data: Option<DataFact>) -> std::result::Result<Facts, Fault> {
    let (header, control) = (files.meta.header(), files.control());
    let standing = Standing::confirmed(files)?;
    let file_size = control.file_size();
    let len = if standing.misfit { standing.len.unwrap_or(0) } else { file_size };
    let data = data.map(|d| DataFact { len, ..d });
    let (leftovers, unseen) = match files.leftovers() {
        Ok(left) => (left.iter().map(|left| (left.path(), left.allocated())).collect(), None),
        Err(fault) => (Vec::new(), Some(fault.to_string())),
    };
    let mut facts = Facts {
        stale_lock: standing.lock_since.map(|_| owner::last("the log's lock", &header.lock_owner)),
        stale_gate: standing.gate,
        stale_journal: standing.journal,
        file_size,
        outside: if standing.misfit { files.waiting_outside()? } else { 0 },
        outside_cut: Some(&header.outside)
            .filter(|counts| counts.cut_ns.load(Ordering::Relaxed) != 0)
            .map(|counts| counts.cut.load(Ordering::Relaxed)),
        base: control.base(),
        cursor: control.look().start,
        positions: positions(files, standing.misfit)?,
        wrong_limit: standing.wrong_limit,
        // After a reboot the files say which is right.
        other_base: standing.other_base.filter(|_| files.is_of_this_boot()),
        foreign: data.and_then(|_| status::facts::foreign(files)).map(|(recorded, _)| recorded),
        stray: Some(files).filter(|_| data.is_none()).and_then(|f| moved::stray(&f.place, header)),
        copied: files.is_copied().map(|fault| fault.problem()),
        other_mount: Some(files)
            .filter(|f| data.is_some() && f.is_of_this_boot())
            .map(Files::other_mount)
            .transpose()?
            .flatten()
            .map(|f| f.problem()),
        rebooted: !files.is_of_this_boot(),
        synced: header.checkpoint.synced(),
        sync_failed: header.checkpoint.failed().map(|(from, errno)| (from, errno.cast_signed())),
        policy: Some(PolicyState::of(files.meta.policy())),
        // What a recovery is going to find is not known before it.
        missing: if files.is_of_this_boot() { flaws::missing(files)? } else { Vec::new() },
        leftovers,
        unseen,
        panic: control.is_panicked().then(|| files.panic_record()),
        ..Facts::nothing(data)
    };
    if files.ask_held(LOCK_BYTE)? {
        facts.suspects.extend(stopped(
            files,
            files.blocker("the log's lock", &header.lock_owner, LOCK_BYTE),
            &header.lock_owner,
        ));
    }
    for (index, slot) in (0u32..).zip(files.meta.slots()) {
        look_at_slot(files, index, slot, &mut facts);
    }
    Ok(facts)
}

/// What position fields say that cannot be.
fn positions(files: &Files, misfit: bool) -> std::result::Result<Option<String>, Fault> {
    if let Err(fault) = files.meta.check_positions() {
        return Ok(Some(fault.problem()));
    }
    // A grower that died leaves zeros there, since nobody stores beyond the limit.
    let (base, size) = (files.control().base(), files.control().file_size());
    let Ok(segment) = files.segment() else { return Ok(None) };
    let cursor = files.control().look().start;
    let at = match files.behind(&segment, cursor..files.ours_until(&segment))? {
        None if misfit => files.came_after(&segment)?,
        at => at,
    };
    if let Some(at) = at {
        return Ok(Some(behind::older(cursor, at)));
    }
    if !misfit {
        return Ok(None);
    }
    let appended = content::first_byte(segment.file(), size, cursor.saturating_sub(base));
    Ok(appended
        .map_err(Fault::io("read the data file"))?
        .map(|at| format!("file_size is {size}, and there is a byte at {}, below the cursor", base + at)))
}

fn stopped(files: &Files, blocker: Blocker, owner: &Owner) -> Option<Suspect> {
    let (_, process) = files.holder(owner);
    process.stands().then_some(Suspect { blocker, process })
}

fn look_at_slot(files: &Files, index: u32, slot: &Slot, facts: &mut Facts) {
    let pending = slot.hot.pending();
    let len = slot.hot.len.load(Ordering::Acquire);
    let free = files.is_free(index);
    if !free {
        facts.live_writers += 1;
    }
    let Some(phase) = pending.phase() else { return };
    if slot.hot.pending() != pending {
        return;
    }
    if !free {
        facts.suspects.extend(stopped(files, files.slot_blocker(index), &slot.cold));
        return;
    }
    // A lock for reading, which is no writer's: nobody can settle it.
    if files.is_kept(index) {
        facts.suspects.push(Suspect::keeping(files.slot_blocker(index)));
        return;
    }
    let who = owner::of(&slot.cold);
    let hole = files.hole_of(&crate::slots::InFlight { slot: index, pending, len });
    let hole = hole.filter(|h| h.start >= facts.base && h.end() <= files.control().look().start);
    facts.dead.push(DeadSlot { slot: index, pid: who.pid, command: who.command, phase, hole });
}
