//! Durability: one sync serves everybody who waits for one, in all processes (group commit).
//!
//! 1. What is below the checkpoint is durable. A sync that failed once has failed for good: afterwards the kernel
//!    reports success although data is gone. Only the errors that mean that are noted for all: what else a call fails
//!    with (no descriptor, no memory, a sandbox) is its caller's.
//! 2. Otherwise whoever takes the sync byte syncs for all; the others sleep until the checkpoint has passed them, or
//!    it is their turn.
//! 3. Who syncs first lets those come whom the sync before has set free: for a fraction of the time that one took,
//!    and only while the cursor moves.
//! 4. The watermark is W. `fdatasync` the data file: what waits for bytes without NULs is served. Then, if somebody
//!    needs it, the checkpoint is raised to W and the metadata (once the directory, too) synced: in this order, a
//!    checkpoint on the disk is true whatever else reached it.
//! 5. Until the checkpoint has passed the base, as in a new log and after a rotation, final segments are synced before
//!    the current one, each of the length that its positions have, and nobody is served before the names and the metadata are
//!    durable too: from them a recovery knows the base, whatever of later rotations reached the disk.
//!
//! Why bytes without NULs need the data file alone: recovery after a reboot goes from the checkpoint to the last byte
//! that is not NUL, takes whole pages of NULs for lost, and an append in flight for done if no byte of its range is
//! NUL (space is zeros before it is stored to). For content with NULs it needs the checkpoint. What a writer promises
//! is its own: others' NULs, and holes, between its messages take nothing from them. So it looks at what it appends since
//! it was first asked for durability; what came before may be anything.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::chunks::Segment;
use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::error::{Blocker, Fault};
use crate::files::content::next_nuls;
use crate::files::owner::Operation;
use crate::files::turn::Turn;
use crate::files::{Files, SLICE};
use crate::layout::POSITION_END;
use crate::sys::place::Names;
use crate::sys::{fs, process};

/// Part of the last sync's duration that the next one waits for company.
const GATHER_PART: u64 = 8;
/// How often the cursor has to be seen unmoved for nobody else to be on the way.
const GATHER_LOOKS: u32 = 4;
/// The longest of that.
const GATHER_MOST: Duration = Duration::from_millis(1);
/// How long to spin for an append in flight below the target, which takes microseconds, before asking who it is.
const IN_FLIGHT: Duration = Duration::from_millis(1);

/// How old a checkpoint gets while only data is synced, so that a recovery has little to read.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// How far it is behind then at most, so that whoever looks can tell what is durable, see [`told`].
const CHECKPOINT_WITHIN: u64 = 4 << 20;

/// What has to be durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// Bytes none of which is NUL.
    Data,
    /// Any content.
    Checkpoint,
}

/// Returns when the disk has the final segments that there are now, and knows where the next one begins: until then a power cut
/// may bring an older file back to the path. (Not: when there is a checkpoint at the base. It may be of before the rotation.)
pub(crate) fn sync_finals(files: &Files, deadline: &Deadline) -> Result<(), Fault> {
    sync_to(files, files.meta.header().current().base, Need::Checkpoint, deadline)?;
    sync_names(files)?;
    if !is_base_durable(files) {
        files.sync_metadata().map_err(Fault::io("make durable where the current segment begins"))?;
    }
    Ok(())
}

/// The names alone: what they said before is not found at the path any more.
pub(crate) fn sync_names(files: &Files) -> Result<(), Fault> {
    if is_base_durable(files) {
        return Ok(());
    }
    let current = files.renew()?;
    files.place.sync_names(current.file()).map_err(Fault::io("make the names of the log's files durable"))
}

/// A checkpoint at the base is of before the rotation, or of before there was any.
fn is_base_durable(files: &Files) -> bool {
    let header = files.meta.header();
    header.commit.checkpointed() > header.current().base
}

/// Returns when every byte below `target`, a position that the cursor has passed, is durable.
pub(crate) fn sync_to(files: &Files, target: u64, need: Need, deadline: &Deadline) -> Result<(), Fault> {
    files.writable()?;
    // Bytes that the file does not have cannot be durable: dead writers reserved them, or the cursor was changed under us.
    files.meta.check_positions()?;
    let target = target.min(files.control().limit());
    let (checkpoint, commit) = (&files.meta.header().checkpoint, &files.meta.header().commit);
    if need == Need::Checkpoint {
        commit.want(target);
    }
    let durable = || match files.intact().map(|()| checkpoint.failed())? {
        Some((from, errno)) => {
            let source = std::io::Error::from_raw_os_error(errno.cast_signed());
            Err(Fault::SyncFailed { from, source })
        }
        None if commit.checkpointed() >= target => Ok(Some(())),
        None => Ok((need == Need::Data && commit.data_synced() >= target).then_some(())),
    };
    let mut pause = SLICE / 16;
    loop {
        // Nobody will ever append what lies between the two: the cursor was changed under us.
        let cursor = files.control().look().start;
        if cursor < target {
            files.intact()?;
            let max = POSITION_END - 1;
            return Err(Fault::OutOfRange { field: "cursor", value: cursor, min: target, max });
        }
        let held = match files.sync_turn(deadline, durable)? {
            Turn::Ready(()) => return Ok(()),
            Turn::Locked(held) => held,
        };
        gather(files, deadline);
        let holder = sync_all(files, target, deadline);
        drop(held);
        files.wake_syncers();
        if let Some(holder) = holder? {
            deadline.check(|| holder)?;
            std::thread::sleep(pause);
            pause = SLICE.min(2 * pause);
        }
    }
}

/// Lets others append what they want durable too.
fn gather(files: &Files, deadline: &Deadline) {
    let part = Duration::from_nanos(files.sync_took_ns.load(Ordering::Relaxed) / GATHER_PART);
    let gathered = deadline.within(part.min(GATHER_MOST));
    let (mut last, mut unmoved) = (files.control().look().start, 0);
    while unmoved < GATHER_LOOKS && !gathered.is_over() {
        std::thread::yield_now();
        let now = files.control().look().start;
        unmoved = if now == last { unmoved + 1 } else { 0 };
        last = now;
    }
}

/// Syncs what is final. What keeps the target from being final, if something does.
fn sync_all(files: &Files, target: u64, deadline: &Deadline) -> Result<Option<Blocker>, Fault> {
    let (final_below, holder) = settled(files, target, deadline)?;
    let begun = Instant::now();
    let to_sync = ToSync::of(files, deadline)?;
    let limit = files.control().limit();
    let holder =
        holder.or_else(|| (limit < target).then(|| Blocker::unknown("a length that somebody changed")));
    match to_sync.sync(files, final_below.min(limit)) {
        Ok(()) => {}
        Err(e) if fs::means_loss(&e) => {
            let errno = e.raw_os_error().unwrap_or(nix::libc::EIO);
            files.meta.header().checkpoint.fail(errno.unsigned_abs());
            return Ok(None);
        }
        // This process's own trouble: nothing is lost, and the next one may do it.
        Err(e) => return Err(Fault::io("sync the log")(e)),
    }
    let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    files.sync_took_ns.store(took, Ordering::Relaxed);
    Ok(holder)
}

/// Below what everything is final and settled, once dead writers' slots have been: with who is in the way if that is
/// not the target.
fn settled(files: &Files, target: u64, deadline: &Deadline) -> Result<(u64, Option<Blocker>), Fault> {
    let in_flight = deadline.within(IN_FLIGHT);
    let mut tried = false;
    loop {
        let scan = files.scan(files.control().look().start)?;
        files.intact()?;
        if !scan.dead.is_empty() && !tried {
            files.lock(Operation::Settle, deadline)?.settle(&scan.dead);
            tried = true;
            continue;
        }
        // Only just dead, or somebody keeps the slot's byte from everybody.
        let dead = scan.dead.iter().min_by_key(|dead| dead.pending.position());
        let dead = dead.filter(|dead| dead.pending.position() < scan.watermark);
        let final_below = dead.map_or(scan.watermark, |dead| dead.pending.position());
        if final_below < target && !in_flight.is_over() {
            std::thread::yield_now();
            continue;
        }
        let holder = (final_below < target).then(|| match dead.or(scan.holder.as_ref()) {
            Some(holder) => files.slot_blocker(holder.slot),
            None => Blocker::unknown("what is not recovered since a reboot"),
        });
        return Ok((final_below, holder));
    }
}

/// The files between the checkpoint and a watermark that was looked at before.
struct ToSync {
    generation: u64,
    /// Oldest first, each with its base.
    finals: Vec<(File, u64)>,
    current: Arc<Segment>,
    /// The directory, as long as its names are not durable; for old segments, too, where they cannot be opened.
    names: Option<Names>,
    /// What lies between is given up in part.
    is_given_up: bool,
}

impl ToSync {
    fn of(files: &Files, deadline: &Deadline) -> Result<Self, Fault> {
        let generation = files.meta.header().generation();
        let current = files.renew()?;
        let checkpointed = files.meta.header().commit.checkpointed();
        // Also the one that ends there, if that is not known to be durable.
        let finals = match checkpointed <= current.base() && generation > 0 {
            true => files.open_finals(checkpointed),
            false => Ok(Vec::new()),
        };
        if finals.as_ref().is_ok_and(|finals| are_longer(finals, current.base())) {
            // Whoever rotates cuts it while he has the lock.
            files.lock(Operation::Settle, deadline)?.cut_finals(checkpointed)?;
        }
        // Had before anything is synced: what it takes to open a directory has nothing to do with the disk.
        let (finals, names) = match finals {
            // Who may not open them has the whole file system synced.
            Err(fault) if fault.is_denied() => (Vec::new(), Some(Names::unseen())),
            Ok(finals) if files.names_synced.load(Ordering::Relaxed) <= generation => {
                let names = files.place.open_names().map_err(Fault::io("open the directory to sync it"))?;
                (finals, Some(names))
            }
            finals => (finals?, None),
        };
        let is_given_up = files.first_kept() > checkpointed;
        Ok(Self { generation, finals, current, names, is_given_up })
    }

    fn sync(&self, files: &Files, watermark: u64) -> std::io::Result<()> {
        let commit = &files.meta.header().commit;
        if watermark <= commit.checkpointed() {
            return Ok(());
        }
        // A checkpoint at the base is of before the rotation, or of before there was any.
        let base_is_durable = commit.checkpointed() > self.current.base();
        let full = needs_checkpoint(files, watermark) || !base_is_durable;
        if !full && watermark <= commit.data_synced() {
            return Ok(());
        }
        // Not synced, so no checkpoint may reach the disk above it before the word that says so.
        if self.is_given_up {
            files.sync_metadata()?;
        }
        self.finals.iter().try_for_each(|(file, _)| fs::fdatasync(file))?;
        fs::fdatasync(self.current.file())?;
        crash_point("sync:data");
        if base_is_durable {
            commit.raise(watermark);
            files.wake_syncers();
        }
        if full { self.sync_checkpoint(files, watermark) } else { Ok(()) }
    }

    fn sync_checkpoint(&self, files: &Files, watermark: u64) -> std::io::Result<()> {
        let header = files.meta.header();
        if let Some(names) = &self.names {
            names.sync(self.current.file())?;
            files.names_synced.store(self.generation + 1, Ordering::Relaxed);
        }
        let noted = header.hole_counts.noted.load(Ordering::Acquire);
        header.checkpoint.raise(watermark, process::now_ns());
        crash_point("sync:checkpoint");
        files.sync_metadata()?;
        crash_point("sync:metadata");
        header.commit.noted.store(noted, Ordering::Relaxed);
        header.commit.raise_checkpoint(watermark);
        Ok(())
    }
}

/// Whether one of the final segments has more than its positions.
fn are_longer(finals: &[(File, u64)], base: u64) -> bool {
    let ends = finals.iter().skip(1).map(|(_, next)| *next).chain([base]);
    let mut with_ends = finals.iter().zip(ends);
    with_ends
        .any(|((file, from), end)| file.metadata().is_ok_and(|stat| stat.len() > end.saturating_sub(*from)))
}

fn needs_checkpoint(files: &Files, watermark: u64) -> bool {
    let header = files.meta.header();
    let checkpoint = &header.checkpoint;
    // One of the future is of before somebody set the clock back: nobody knows how old it is.
    let age = process::now_ns().checked_sub(checkpoint.synced_ns.load(Ordering::Relaxed));
    header.commit.wanted() > header.commit.checkpointed()
        || watermark.saturating_sub(header.commit.checkpointed()) > CHECKPOINT_WITHIN
        || age.is_none_or(|age| Duration::from_nanos(age) >= CHECKPOINT_EVERY)
        || header.hole_counts.noted.load(Ordering::Acquire) != header.commit.noted.load(Ordering::Relaxed)
}

/// Below what everything is durable, for people: above the checkpoint where only data was synced since, and no byte between
/// is NUL, whoever it is of.
pub(crate) fn told(files: &Files) -> u64 {
    let header = files.meta.header();
    let (checkpoint, data) = (header.checkpoint.synced(), header.commit.data_synced());
    // What the data was synced to in another boot says nothing.
    let may_be_above = (1..=CHECKPOINT_WITHIN).contains(&data.saturating_sub(checkpoint));
    if may_be_above && files.is_of_this_boot() && is_text(files, checkpoint, data) {
        data
    } else {
        checkpoint
    }
}

/// Whether the current segment has all these positions, and none is NUL.
fn is_text(files: &Files, from: u64, to: u64) -> bool {
    let Ok(segment) = files.renew() else { return false };
    let Some(from) = from.checked_sub(segment.base()) else { return false };
    let to = to - segment.base();
    let has_all = segment.file().metadata().is_ok_and(|stat| stat.len() >= to);
    has_all && matches!(next_nuls(segment.file(), from, to), Ok(None))
}
