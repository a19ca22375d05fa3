//! Durability: one sync serves everybody who waits for one, in all processes (group commit).
//!
//! 1. What is below the checkpoint is durable. A sync that failed once has failed for good: afterwards the kernel
//!    reports success although data is gone.
//! 2. Otherwise whoever takes the sync byte syncs for all; the others sleep until the checkpoint has passed them, or
//!    it is their turn.
//! 3. Who syncs first lets those come whom the sync before has set free: for a fraction of the time that one took,
//!    and only while the cursor moves.
//! 4. The watermark is W. `fdatasync` the data file: what waits for bytes without NULs is served. Then, if somebody
//!    needs it, the checkpoint is raised to W and the metadata (once the directory, too) synced: in this order, a
//!    checkpoint on the disk is true whatever else reached it.
//! 5. Until the checkpoint has passed the base, as in a new log and after a rotation, final segments are synced before
//!    the current one, and nobody is served before the names and the metadata are durable too: from them a recovery
//!    knows the base.
//!
//! Why bytes without NULs need the data file alone: recovery after a reboot goes from the checkpoint to the last byte
//! that is not NUL, takes whole pages of NULs for lost, and an append in flight for done if no byte of its range is
//! NUL (space is zeros before it is stored to). For content with NULs it needs the checkpoint.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::chunks::Segment;
use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::error::Fault;
use crate::files::owner::Operation;
use crate::files::turn::Turn;
use crate::files::{Files, SLICE};
use crate::sys::{fs, process};

/// Part of the last sync's duration that the next one waits for company.
const GATHER_PART: u64 = 8;
/// How often the cursor has to be seen unmoved for nobody else to be on the way.
const GATHER_LOOKS: u32 = 4;
/// How long to spin for an append in flight below the target, which takes microseconds, before asking who it is.
const IN_FLIGHT: Duration = Duration::from_millis(1);

/// How old a checkpoint gets while only data is synced, so that a recovery has little to read.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// What has to be durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// Bytes none of which is NUL.
    Data,
    /// Any content.
    Checkpoint,
}

/// Returns when every byte below `target`, a position that the cursor has passed, is durable.
pub(crate) fn sync_to(files: &Files, target: u64, need: Need, deadline: &Deadline) -> Result<(), Fault> {
    files.writable()?;
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
    loop {
        let held = match files.sync_turn(deadline, durable)? {
            Turn::Ready(()) => return Ok(()),
            Turn::Locked(held) => held,
        };
        gather(files);
        let holder = sync_all(files, target, deadline)?;
        drop(held);
        files.wake_syncers();
        if let Some(slot) = holder {
            deadline.check(|| files.slot_blocker(slot))?;
            std::thread::sleep(SLICE / 10);
        }
    }
}

/// Lets others append what they want durable too.
fn gather(files: &Files) {
    let most = Duration::from_nanos(files.sync_took_ns.load(Ordering::Relaxed) / GATHER_PART);
    let begun = Instant::now();
    let (mut last, mut unmoved) = (files.control().look().start, 0);
    while unmoved < GATHER_LOOKS && begun.elapsed() < most {
        std::thread::yield_now();
        let now = files.control().look().start;
        unmoved = if now == last { unmoved + 1 } else { 0 };
        last = now;
    }
}

/// Syncs what is final. The live writer's slot that keeps the target from being final, if one does.
fn sync_all(files: &Files, target: u64, deadline: &Deadline) -> Result<Option<u32>, Fault> {
    let begun = Instant::now();
    let (watermark, holder) = loop {
        let scan = files.scan(files.control().look().start);
        if !scan.dead.is_empty() {
            files.lock(Operation::Settle, deadline)?.settle(&scan.dead);
            continue;
        }
        if scan.watermark >= target || begun.elapsed() >= IN_FLIGHT {
            break (scan.watermark, scan.holder.filter(|_| scan.watermark < target));
        }
        std::thread::yield_now();
    };
    let begun = Instant::now();
    let to_sync = ToSync::of(files)?;
    if let Err(e) = to_sync.sync(files, watermark) {
        let checkpoint = &files.meta.header().checkpoint;
        checkpoint.fail(e.raw_os_error().unwrap_or(nix::libc::EIO).unsigned_abs());
        return Ok(None);
    }
    let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    files.sync_took_ns.store(took, Ordering::Relaxed);
    Ok(holder.map(|h| h.slot))
}

/// The files between the checkpoint and a watermark that was looked at before.
struct ToSync {
    generation: u64,
    /// Oldest first.
    finals: Vec<(File, u64)>,
    current: Arc<Segment>,
}

impl ToSync {
    fn of(files: &Files) -> Result<Self, Fault> {
        let generation = files.meta.header().generation();
        let current = files.renew()?;
        let checkpointed = files.meta.header().commit.checkpointed();
        let finals = match checkpointed < current.base() {
            true => files.open_finals(checkpointed)?,
            false => Vec::new(),
        };
        Ok(Self { generation, finals, current })
    }

    fn sync(&self, files: &Files, watermark: u64) -> std::io::Result<()> {
        let commit = &files.meta.header().commit;
        if watermark <= commit.checkpointed() {
            return Ok(());
        }
        // A checkpoint at the base is of before the rotation, or of before there was any.
        let base_is_durable = commit.checkpointed() > self.current.base();
        let full = needs_checkpoint(files) || !base_is_durable;
        if !full && watermark <= commit.data_synced() {
            return Ok(());
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
        if files.names_synced.load(Ordering::Relaxed) <= self.generation {
            files.place.sync_names(self.current.file())?;
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

fn needs_checkpoint(files: &Files) -> bool {
    let header = files.meta.header();
    let checkpoint = &header.checkpoint;
    let age = process::now_ns().saturating_sub(checkpoint.synced_ns.load(Ordering::Relaxed));
    header.commit.wanted() > header.commit.checkpointed()
        || Duration::from_nanos(age) >= CHECKPOINT_EVERY
        || header.hole_counts.noted.load(Ordering::Acquire) != header.commit.noted.load(Ordering::Relaxed)
}
