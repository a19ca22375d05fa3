//! Whether what was received is what a log has.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use mmlog::{HoleKind, Next, Options, Position, Start};

use super::received::Received;
use super::state::State;
use super::state_path;
use crate::source::content_within;
use crate::store;
use crate::trouble::{Trouble, shown};

const SLICE: usize = 256 << 10;

/// Compares, byte by byte, as far as the log has what was received. Says how much that was.
///
/// # Errors
/// [`Trouble::Decide`] with the first position that differs, also where a unit says of bytes that the log has that there are none.
pub fn verify(into: &Path, log: &Path, options: &Options, stop: &AtomicBool) -> Result<String, Trouble> {
    let path = state_path(into);
    let Some((text, _)) = store::read(&path)? else {
        return Err(Trouble::Failed(format!("{}: nothing was received there", shown(into))));
    };
    let state = State::read(&text, &path)?;
    let Some(chain) = state.chain else {
        return Err(Trouble::Failed(format!("{}: nothing was received there", shown(into))));
    };
    let reader = options.open_reader(log)?;
    let mut follower = reader.follow(Start::Oldest)?;
    if u128::from_be_bytes(follower.log_id().uuid) != chain.log {
        return Err(Trouble::Decide(format!(
            "{}: it is another log than {} was received of",
            shown(log),
            chain.file
        )));
    }
    let received = Received::open(into, &chain)?;
    let differs = |at: u64, why: &str| {
        let (ours, theirs) = (shown(&received.path), shown(log));
        Trouble::Decide(format!("{ours}: it differs from {theirs} at position {at}{why}"))
    };
    // What was never there is no difference.
    let base = received.gap(0).filter(|gap| gap.from == 0 && !gap.is_told).map_or(chain.base, |gap| gap.to);
    let mut at = base.max(reader.oldest()?.get());
    let (from, mut compared, mut gone, mut missing) = (at, 0, at - base, 0);
    follower.seek(Position::new(at))?;
    let mut theirs = vec![0; SLICE];
    while at < chain.to {
        if stop.load(Ordering::Acquire) {
            let rest = chain.to - at;
            return Err(Trouble::Failed(format!(
                "{}: told to end: {compared} bytes are as there, {rest} positions were not compared",
                shown(log)
            )));
        }
        let gap = received.gap(at);
        if let Some(gap) = gap.filter(|gap| gap.from <= at) {
            let end = gap.to.min(chain.to);
            if !gap.is_told {
                missing += end - at;
            } else if let Some(other) = content_within(&mut follower, at, end)? {
                return Err(differs(other, ": it was told that there are no bytes, and the log has some"));
            }
            at = end;
            follower.seek(Position::new(at))?;
            continue;
        }
        let end = gap.map_or(chain.to, |gap| gap.from.min(chain.to));
        let want = usize::try_from(end - at).unwrap_or(SLICE).min(SLICE);
        match follower.next(&mut theirs[..want])? {
            Next::Bytes(range) => {
                let got = (range.end - range.start) as usize;
                if let Some(other) = received.differs(at, &theirs[..got])? {
                    return Err(differs(other, ""));
                }
                (at, compared) = (range.end, compared + got as u64);
            }
            Next::Rotated(_) => {}
            Next::Hole(hole) if hole.kind == HoleKind::Pruned => {
                (gone, at) = (gone + hole.end() - at, hole.end());
            }
            _ => return Err(differs(at, "")),
        }
    }
    let mut rest = String::new();
    if gone > 0 {
        rest.push_str(&format!("; the log keeps {gone} bytes of what was received no more"));
    }
    if missing > 0 {
        rest.push_str(&format!("; {missing} positions were gone from the sink before they were received"));
    }
    Ok(format!("{compared} bytes from position {from} to {} are as in {}{rest}\n", chain.to, shown(log)))
}
