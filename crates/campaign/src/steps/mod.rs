//! Stepping one child through one operation of the library, instruction by instruction, and judging what others
//! make of it when it is killed or stopped there.
//!
//! The child ([`operations`]) prepares, stops itself, does the operation, and stops itself again. The tracer
//! ([`engine`]) brings it to a [`Point`](engine::Point) in between. Which points matter is known from a reference run
//! ([`trace`]): those around instructions that other processes can tell from their effects. Around the child is a
//! [`scene`]: the log, who else has it open, and a [`ledger`] of all appends, against which every byte is held when
//! somebody has gone on ([`aftermath`]).

mod aftermath;
mod arrange;
pub(crate) mod damage;
pub(crate) mod engine;
pub(crate) mod ledger;
pub(crate) mod metadata;
pub(crate) mod operations;
pub(crate) mod others;
pub(crate) mod pool;
mod registers;
pub(crate) mod sabotage;
pub(crate) mod scene;
pub(crate) mod situation;
pub(crate) mod trace;

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use mmlog::{Log, Options};

use crate::children::Role;
use crate::run::{Place, Run};

/// Bytes of a chunk: small, so that growing and crossing are near; a message this long goes by `pwrite`.
pub(crate) const CHUNK: u64 = 16384;
/// Slots. Few, so that the metadata is small.
pub(crate) const WRITERS: u32 = 8;
/// Catches a hang, measures nothing.
pub(crate) const HANG: Duration = Duration::from_secs(120);
/// What a victim, and whoever comes after it, waits for others: nothing that works takes nearly as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const ROLES: &[Role] = &[(engine::ROLE, operations::play)];

/// How everybody opens the log.
pub(crate) fn options() -> Options {
    Log::options().chunk_size(CHUNK).max_writers(WRITERS).ring_chunks(2).gate_ms(2).wait(PATIENCE)
}

/// Says why nothing can be stepped here, if nothing can.
pub(crate) fn is_possible(run: &mut Run) -> bool {
    if !cfg!(target_arch = "x86_64") {
        run.skipped("instructions are stepped on x86_64 only");
        return false;
    }
    let probed = engine::Victim::start(operations::PROBE, Path::new("/"), 0).and_then(|mut victim| {
        victim.step()?;
        let here = victim.address()?;
        victim.run_to(here)?;
        ensure!(victim.address()? == here, "it goes on at a breakpoint");
        victim.finish()
    });
    if let Err(e) = &probed {
        run.skipped(format!("ptrace is not permitted here: {e:#}"));
    }
    probed.is_ok()
}

/// Plays one case again, from a violation's text.
pub(crate) fn replay(play: impl FnOnce(&Path) -> anyhow::Result<String>) -> anyhow::Result<()> {
    let directory = Place::Memory.directory()?;
    println!("{}", play(directory.path())?);
    Ok(())
}
