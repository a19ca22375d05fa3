//! Checking a log's invariants, also while it is written to.
//!
//! What is read is bounded by a snapshot of the cursor. Anything that looks wrong is looked at again: a claim counts
//! as violated only when it fails several times in a row, since each of them compares words that are stored one
//! after the other. What a dead process left half done is a fact, not a fault: the next lock finishes it.

mod data;
mod finals;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::{At, Fault, Result};
use crate::files::{Config, Files, Intent, open};
use crate::holes::{self, Hole, HoleKind};
use crate::layout::LOCK_BYTE;
use crate::log::Options;
use crate::metadata::Gate;
use crate::slots::Phase;
use crate::status::facts;
use crate::status::flaws::{Peeks, survey};
use crate::status::{FindingId, SegmentFlaw};
use crate::sys::place::{Part, Place};

/// How often something has to look wrong.
const LOOKS: u32 = 5;
/// Between two looks, so that an owner of the lock gets through what it does.
const PAUSE: Duration = Duration::from_millis(2);

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which: a word that scripts can test.
    pub invariant: &'static str,
    /// What was found, with the numbers.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.found)
    }
}

/// What [`deep`] found.
#[derive(Clone, Debug, Default)]
pub struct Deep {
    /// Empty when all invariants hold.
    pub violations: Vec<Violation>,
    /// What could not be looked at: whether all invariants hold is not known then.
    pub unseen: Vec<String>,
    /// What is worth knowing, and no fault.
    pub facts: Vec<String>,
    /// The cursor that bounded the check.
    pub cursor: u64,
    /// Every byte below was final.
    pub watermark: u64,
    /// Bytes of the segments that were read, those of compressed ones decoded.
    pub read: u64,
    /// NULs below the watermark that no hole explains. A text log has none, but for holes of unknown place; in a
    /// binary log they are content.
    pub nuls: u64,
    /// Holes, noted or in dead writers' slots.
    pub holes: u64,
}

impl Deep {
    /// Whether every invariant holds, and everything could be looked at.
    pub fn holds(&self) -> bool {
        self.violations.is_empty() && self.unseen.is_empty()
    }
}

/// Checks the invariants of the log at `path`, live or at rest. Changes nothing.
///
/// # Errors
/// When there is no log that could be checked.
///
/// ```
/// # fn main() -> mmlog::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.log");
/// let log = mmlog::Log::options().open_or_create(&path)?;
/// log.writer()?.append(b"hello\n")?;
/// let found = mmlog::check::deep(&path, &mmlog::Log::options())?;
/// assert!(found.holds() && found.nuls == 0);
/// # Ok(())
/// # }
/// ```
pub fn deep(path: impl AsRef<Path>, options: &Options) -> Result<Deep> {
    let (path, config) = (path.as_ref(), &options.0);
    deep_in(&Arc::new(open::resolve(path, config.trust).at(path)?), config)
}

/// The same for the log of these names in a directory that is open.
pub(crate) fn deep_in(place: &Arc<Place>, config: &Config) -> Result<Deep> {
    let files = Files::open_in(place, config, Intent::Look)?;
    of_files(&files).at(place.path())
}

pub(crate) fn of_files(files: &Files) -> std::result::Result<Deep, Fault> {
    if files.is_version_1() {
        return Err(Fault::Version { found: 1 });
    }
    let cursor = files.control().look().start;
    let scan = files.scan(cursor)?;
    let mut found = Deep { cursor, watermark: scan.watermark, ..Deep::default() };
    check_words(files, &mut found);
    check_segments(files, &mut found)?;
    // What a reboot left of the words is no fault: the recovery goes by the files.
    if files.is_of_this_boot() {
        check_slots(files, &mut found);
    }
    let dead = scan.dead.iter().filter_map(|dead| files.hole_of(dead));
    let known = holes::with_dead(holes::all(files.meta.holes()), dead);
    found.holes = known.len() as u64;
    check_holes(files, &known, &mut found);
    note_facts(files, scan.dead.len(), &mut found);
    data::check(files, &known, &mut found)?;
    finals::check(files, &known, &mut found)?;
    Ok(found)
}

/// Between two reads, so many bytes in.
fn go_on(files: &Files, read: u64) -> std::result::Result<(), Fault> {
    let all = files.control().look().start.saturating_sub(files.first_kept());
    files.waits().go_on("bytes were checked", read.min(all), all)
}

/// Adds a violation if `wrong` says so at each of several looks.
fn claim(found: &mut Deep, invariant: &'static str, mut wrong: impl FnMut() -> Option<String>) {
    let mut said = None;
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(PAUSE);
        }
        said = wrong();
        if said.is_none() {
            return;
        }
    }
    found.violations.extend(said.map(|found| Violation { invariant, found }));
}

/// The words of the header against each other and against the files.
fn check_words(files: &Files, found: &mut Deep) {
    let (header, control) = (files.meta.header(), files.control());
    // A rotation in the middle, perhaps of somebody dead: whoever gets the lock makes the words fit the file.
    let exchanged =
        || matches!(files.place.find(Part::Data), Ok(Some(there)) if header.is_exchanged_for(there.id.1));
    let believed = files.is_of_this_boot();
    claim(found, "positions", || {
        files.meta.check_positions().err().filter(|_| believed).map(|f| f.problem())
    });
    claim(found, "data-file", || {
        let (recorded, found) = facts::foreign(files)?;
        Some(Fault::Foreign { recorded, found }.problem())
    });
    claim(found, "data-file", || {
        let there = files.place.find(Part::Data);
        matches!(there, Ok(None)).then(|| Fault::NoData.problem())
    });
    claim(found, "metadata-file", || files.is_copied().map(|fault| fault.problem()));
    claim(found, "length", || {
        let (size, there) = control.size_and(|| files.place.find(Part::Data));
        let (expected, len) = (if believed { size } else { files.certain() }, there.ok()??.len);
        (len < expected && !exchanged()).then(|| Fault::Truncated { expected, found: len }.problem())
    });
    if !believed {
        return;
    }
    claim(found, "limit", || {
        let (limit, end) = (control.limit(), control.base().saturating_add(control.file_size()));
        let open = control.look().gate == Gate::Open;
        (limit > end && open)
            .then(|| format!("limit {limit} is beyond the file's end {end}, and the gate is open"))
    });
    claim(found, "gate", || {
        let closed = control.look().gate == Gate::Closed;
        (closed && header.journal.kind() == 0).then(|| "closed, and the journal is empty".into())
    });
    claim(found, "checkpoint", || {
        let (synced, cursor) = (header.checkpoint.synced(), control.look().start);
        (synced > cursor).then(|| format!("{synced} is beyond the cursor {cursor}"))
    });
    claim(found, "segment", || {
        let (entry, identity) = (header.segment(header.generation()), &header.identity);
        let pairs = [
            ("inode", entry.inode.load(Ordering::Relaxed), identity.inode.load(Ordering::Relaxed)),
            (
                "generation",
                entry.generation.load(Ordering::Relaxed),
                identity.generation.load(Ordering::Relaxed),
            ),
            ("base", entry.base.load(Ordering::Relaxed), control.base()),
        ];
        let differs = pairs.iter().find(|(_, a, b)| a != b).filter(|_| !exchanged())?;
        Some(format!("{} of the current segment is {}, the header says {}", differs.0, differs.1, differs.2))
    });
}

/// Each old segment is there, and has its positions by its length and headers. What readers do not take is a fact.
fn check_segments(files: &Files, found: &mut Deep) -> std::result::Result<(), Fault> {
    let survey = || {
        let current = files.current_segment()?;
        Ok(survey(files, &current, &mut Peeks::default()).1)
    };
    let costs = |flaw: &SegmentFlaw| !matches!(flaw.id, FindingId::SegmentSurplus | FindingId::Leftover);
    let mut all: Vec<SegmentFlaw> = survey()?;
    // Each that looks wrong again is wrong.
    for _ in 1..LOOKS {
        if all.is_empty() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
        let again = survey()?;
        all.retain(|flaw| again.contains(flaw));
    }
    for flaw in &all {
        match flaw.id {
            FindingId::SegmentUnreadable => found.unseen.push(finals::described(flaw)),
            _ if costs(flaw) => {
                found
                    .violations
                    .push(Violation { invariant: "final-segment", found: finals::described(flaw) });
            }
            _ => found.facts.push(finals::described(flaw)),
        }
    }
    Ok(())
}

struct InFlight {
    slot: u32,
    pending: crate::slots::Pending,
    start: u64,
    end: u64,
}

/// Ranges in flight lie below the cursor, inside the log, and apart from each other.
fn check_slots(files: &Files, found: &mut Deep) {
    let (control, slots) = (files.control(), files.meta.slots());
    let ranges = || {
        let mut ranges = Vec::new();
        for (slot, hot) in (0u32..).zip(slots.iter().map(|s| &s.hot)) {
            let pending = hot.pending();
            let Some(phase) = pending.phase() else { continue };
            let len = hot.len.load(Ordering::Acquire);
            if hot.pending() != pending {
                continue;
            }
            let start = pending.position();
            let len = if phase == Phase::Reserving { 0 } else { len };
            ranges.push(InFlight { slot, pending, start, end: start.saturating_add(len) });
        }
        ranges
    };
    claim(found, "slot-range", || {
        // The ranges first: the cursor and the number of slots only grow.
        let seen = ranges();
        let (base, cursor, used) = (control.base(), control.look().start, files.meta.used_slots().len());
        let bad = seen.iter().find(|r| r.end > cursor || r.start < base || r.slot as usize >= used)?;
        let InFlight { slot, start, end, .. } = bad;
        Some(format!(
            "slot {slot} has [{start}, {end}) in flight; the log has [{base}, {cursor}), {used} slots"
        ))
    });
    claim(found, "overlap", || {
        let mut seen = ranges();
        seen.retain(|r| r.end > r.start);
        seen.sort_by_key(|r| r.start);
        let clash = |pair: &&[InFlight]| {
            let still = |r: &InFlight| slots[r.slot as usize].hot.pending() == r.pending;
            pair[0].end > pair[1].start && pair.iter().all(still)
        };
        let pair = seen.windows(2).find(clash)?;
        let (a, b) = (&pair[0], &pair[1]);
        Some(format!(
            "slots {} and {} have [{}, {}) and [{}, {}) in flight",
            a.slot, b.slot, a.start, a.end, b.start, b.end
        ))
    });
}

fn check_holes(files: &Files, known: &[Hole], found: &mut Deep) {
    let base = files.control().base();
    let of_current = || known.iter().filter(|h| h.start >= base);
    let cursor = files.control().look().start;
    let is_wrong = |h: &&Hole| h.len == 0 || h.end() > cursor && files.is_of_this_boot();
    if let Some(hole) = of_current().find(is_wrong) {
        let said = format!("hole [{}, {}) is beyond the cursor {cursor}, or empty", hole.start, hole.end());
        found.violations.push(Violation { invariant: "hole-range", found: said });
    }
    // What was lost takes what had been abandoned there with it: earlier builds noted both.
    let is_in = |h: &Hole, lost: &Hole| lost.kind == HoleKind::Lost && h.end() <= lost.end();
    let mut before: Option<&Hole> = None;
    for hole in known {
        match before.filter(|before| before.end() > hole.start) {
            Some(before) if is_in(hole, before) => continue,
            Some(before) => {
                let said = format!("holes at {} and {} overlap", before.start, hole.start);
                found.violations.push(Violation { invariant: "hole-range", found: said });
            }
            None => {}
        }
        before = Some(hole);
    }
}

fn note_facts(files: &Files, dead: usize, found: &mut Deep) {
    let (header, control) = (files.meta.header(), files.control());
    let counts = &header.hole_counts;
    let counted = [
        (counts.unplaced.load(Ordering::Relaxed), "holes of unknown place (their bytes, if any, are NULs)"),
        (
            counts.not_zeroed.load(Ordering::Relaxed),
            "torn holes that could not be zeroed (readers skip them)",
        ),
        (counts.forgotten.load(Ordering::Relaxed), "holes forgotten, their bytes read as NULs"),
        (dead as u64, "dead writers' slots, settled by the next who needs it"),
    ];
    let counted = counted.into_iter().filter(|(n, _)| *n > 0);
    found.facts.extend(counted.map(|(n, what)| format!("{n} {what}")));
    if control.is_panicked() {
        found.facts.push("the panic flag is set".into());
    }
    match files.ask_held(LOCK_BYTE) {
        Ok(false) if header.journal.kind() != 0 => {
            found.facts.push("a dead process left an operation half done; the next lock finishes it".into())
        }
        Ok(_) => {}
        Err(fault) => found.unseen.push(format!("the owner of the log's lock: {}", fault.problem())),
    }
    match files.finals() {
        Ok(finals) => found.facts.extend(finals.left_out.iter().map(ToString::to_string)),
        Err(fault) => {
            let why = fault.at(files.path()).words();
            found.unseen.push(format!("old segments: {why}"));
        }
    }
    if let Err(e) = files.place.find(Part::Data) {
        found.unseen.push(format!("the data file: {e}"));
    }
    if !files.is_of_this_boot() {
        found.facts.push("not recovered since the reboot; the first writer does that".into());
    }
    if let Some((from, errno)) = header.checkpoint.failed() {
        found.facts.push(format!("a sync failed (errno {errno}): durability lost from {from} on"));
    }
}
