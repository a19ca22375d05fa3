//! Pruning by a log's policy, by somebody who has something else to do: no data is synced, nobody is waited for longer than
//! `gate_ms`, and a few segments go at a time. The caller has the maintenance byte.
//!
//! 1. Decide, with nothing held: nearly always nothing goes.
//! 2. Make the names of the log's files durable: what goes is not at the path any more after a power cut, where the next file
//!    may have its inode number. (Not: before the newest final segment goes alone.)
//! 3. Lock; decide with the holds as they are, publish `first_kept`.
//! 4. Make that durable. (Not: unlink first. A power cut would leave a log that begins at 0 and has no segment there.)
//! 5. Unlink, oldest first. Who has them open is looked for no longer than `gate_ms`, see `Files::remove_final`.
//!
//! The checkpoint stays where it is: `first_kept` says what went. (Not: raise it to there. Bytes behind it are not synced.)

use super::decide::Facts;
use super::{Free, Pruning, Retention, announce, decided, take_away};
use crate::crash::crash_point;
use crate::durable;
use crate::error::Fault;
use crate::files::Files;
use crate::files::guard::LogLock;
use crate::files::owner::Operation;

/// Takes away what may go.
pub(crate) fn prune_gently(files: &Files, how: &Retention) -> Result<Pruning, Fault> {
    go(files, &Retention { gently: true, ..how.clone() })
}

/// The same for somebody who has the lock, since an append found no space: with a rule for free space, the oldest segment
/// goes whatever else keeps it. The lock is given back before anything is synced: a slow disk is nobody else's wait.
pub(crate) fn give_way(files: &Files, guard: LogLock<'_>, how: &Retention) -> Result<Pruning, Fault> {
    drop(guard);
    let free = how.free.map(|_| Free::Bytes(u64::MAX));
    go(files, &Retention { gently: true, free, ..how.clone() })
}

fn go(files: &Files, how: &Retention) -> Result<Pruning, Fault> {
    let facts = Facts::gather(files, how)?;
    let planned = decided(files, &facts, how)?;
    if planned.is_empty() {
        return Ok(planned);
    }
    durable::sync_names(files)?;
    crash_point("prune:names");
    let guard = files.lock(Operation::Prune, &files.deadline(files.gate_time()))?;
    let planned = announce(files, &guard, &facts, how)?;
    drop(guard);
    files.sync_metadata().map_err(Fault::io("make durable what is kept"))?;
    crash_point("prune:gently");
    // A few, and given up already: who was told to stop, and appends what is left, bounds the log still.
    take_away(files, &facts, &planned, &files.deadline(files.gate_time()), |_, _| Ok(()))?;
    Ok(planned)
}
