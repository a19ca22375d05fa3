//! What people are told, and which option decides.

use crate::decide::{Decision, Stop};
use crate::machine::Exit;
use crate::trouble::Trouble;
use crate::unit::{Header, Why};

/// What a decision means, where that is worth a line. Of a sink that cannot be asked nothing is ever proven.
pub(crate) fn of_decision(decision: &Decision, sink: &str, is_provable: bool) -> Option<String> {
    match *decision {
        Decision::Begin { from, gap: None } => Some(format!("{sink}: a chain begins at position {from}")),
        Decision::Begin { from, gap: Some(to) } => Some(format!(
            "{sink}: a chain begins at position {from}; bytes {from} to {to} were pruned, which is announced"
        )),
        Decision::Resume { place, unrecorded, resent, is_proven, gap } => {
            let mut said = Vec::new();
            if unrecorded > 0 {
                said.push(format!("{unrecorded} bytes had arrived unrecorded"));
            }
            if resent > 0 {
                said.push(format!(
                    "the sink lost {resent} bytes that it had acknowledged: they are sent again"
                ));
            }
            if !is_proven && is_provable {
                said.push("what it has was not compared with the log".to_owned());
            }
            if let Some(to) = gap {
                said.push(format!("bytes {} to {to} were pruned, which is announced", place.to));
            }
            (!said.is_empty())
                .then(|| format!("{sink}: goes on at position {}; {}", place.to, said.join("; ")))
        }
        Decision::Stop(_) => None,
    }
}

/// What is to be decided, and by which option.
pub(crate) fn of_stop(stop: Stop, sink: &str) -> String {
    match stop {
        Stop::Gap { from, to } => format!(
            "{sink}: the log has no bytes {from} to {to} any more, which were not shipped; --accept-gap announces the gap there and goes on"
        ),
        Stop::SinkIsNew => format!(
            "{sink}: it is not the one that acknowledged before, or it has forgotten everything; --sink-is-new restart sends all that the log keeps, --sink-is-new continue what was not acknowledged"
        ),
        Stop::TailGone => format!(
            "{sink}: its last units are gone, and some of them this shipper never saw; --sink-is-new continue goes on behind what was acknowledged, --sink-is-new restart sends all that the log keeps"
        ),
        Stop::Fork => format!(
            "{sink}: it has another history than the log: one of them is a copy, or was put back to an earlier state; --accept-fork begins a new chain behind what is there"
        ),
        Stop::OtherLog(log) => format!(
            "{sink}: what it has last is of another log, {log:032x}, of which no checkpoint is here; ship to another place, or, where this log follows that one, --accept-fork begins a new chain behind it"
        ),
        Stop::Foreign => {
            format!(
                "{sink}: what it has last is no unit: somebody else writes there; see that nobody does, and remove that alone, or ship to another place"
            )
        }
        Stop::Later(version) => format!(
            "{sink}: it has units of version {version}, and this program writes {}: use the later one",
            crate::unit::VERSION
        ),
    }
}

/// Why it ended.
pub(crate) fn of_exit(exit: Exit, sink: &str) -> Result<(), Trouble> {
    Err(match exit {
        Exit::Stopped => return Ok(()),
        Exit::Decision(stop) => Trouble::Decide(of_stop(stop, sink)),
        Exit::Second(run) => Trouble::Busy(format!(
            "{sink}: another shipper is at it, of another host or with another checkpoint (run {run:016x}); end one of them"
        )),
        Exit::Unsaved => Trouble::Failed(format!(
            "{sink}: the first checkpoint could not be saved, and without it nothing is sent; free space, or make the directory writable"
        )),
    })
}

/// What a sink of final segments has not got yet.
pub(crate) fn of_open(from: u64, to: u64) -> String {
    format!(
        "bytes {from} to {to} are not final yet, and not shipped: `mmlogctl rotate` makes them so, or --rotate-after here"
    )
}

/// A gap that is announced.
pub(crate) fn of_gap(why: Why, unit: &Header) -> String {
    let why = match why {
        Why::Hole => "a writer ended in the middle (`mmlogctl status` says who)",
        Why::Pruned => "they were pruned before they were shipped",
        Why::Lost => "somebody took them from the log's files",
    };
    format!("bytes {} to {} have no content: {why}; the sink is told so", unit.from, unit.to)
}
