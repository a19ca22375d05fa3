//! Whether what was received is what a log has.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use mmlog::{HoleKind, Next, Options, Position, Start};

use super::state::State;
use super::state_path;
use crate::store;
use crate::trouble::{Trouble, failed, shown};

const SLICE: usize = 256 << 10;

/// A range without content.
struct Gap {
    from: u64,
    to: u64,
}

/// Compares, byte by byte, as far as the log has what was received. Says how much that was.
///
/// # Errors
/// [`Trouble::Decide`] with the first position that differs.
pub fn verify(into: &Path, log: &Path, options: &Options) -> Result<String, Trouble> {
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
    let received = into.join(format!("{}.log", chain.file));
    let file = File::open(&received).map_err(failed(&received, "open"))?;
    let gaps = gaps(&into.join(format!("{}.gaps", chain.file)), chain.gaps)?;
    let mut at = chain.base.max(reader.oldest()?.get());
    let (from, mut compared, mut gone) = (at, 0, at - chain.base);
    follower.seek(Position::new(at))?;
    let (mut theirs, mut ours) = (vec![0; SLICE], vec![0; SLICE]);
    while at < chain.to {
        let differs = |at: u64| {
            Trouble::Decide(format!("{}: it differs from {} at position {at}", shown(&received), shown(log)))
        };
        let gap = gaps.iter().find(|gap| gap.to > at);
        if let Some(gap) = gap.filter(|gap| gap.from <= at) {
            at = gap.to.min(chain.to);
            follower.seek(Position::new(at))?;
            continue;
        }
        let end = gap.map_or(chain.to, |gap| gap.from.min(chain.to));
        let want = usize::try_from(end - at).unwrap_or(SLICE).min(SLICE);
        match follower.next(&mut theirs[..want])? {
            Next::Bytes(range) => {
                let got = (range.end - range.start) as usize;
                let before: u64 = gaps.iter().filter(|gap| gap.to <= at).map(|gap| gap.to - gap.from).sum();
                file.read_exact_at(&mut ours[..got], at - chain.base - before)
                    .map_err(failed(&received, "read"))?;
                if let Some(other) = (0..got).find(|i| ours[*i] != theirs[*i]) {
                    return Err(differs(at + other as u64));
                }
                (at, compared) = (range.end, compared + got as u64);
            }
            Next::Rotated(_) => {}
            Next::Hole(hole) if hole.kind == HoleKind::Pruned => {
                (gone, at) = (gone + hole.end() - at, hole.end());
            }
            _ => return Err(differs(at)),
        }
    }
    let rest = if gone > 0 {
        format!("; the log keeps {gone} bytes of what was received no more")
    } else {
        String::new()
    };
    Ok(format!("{compared} bytes from position {from} to {} are as in {}{rest}\n", chain.to, shown(log)))
}

fn gaps(path: &Path, length: u64) -> Result<Vec<Gap>, Trouble> {
    let text = fs::read_to_string(path).map_err(failed(path, "read"))?;
    let text = text.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(&text);
    let gap = |line: &str| {
        let mut words = line.split(' ').map(|word| word.parse().ok());
        Some(Gap { from: words.next()??, to: words.next()?? })
    };
    Ok(text.lines().filter_map(gap).collect())
}
