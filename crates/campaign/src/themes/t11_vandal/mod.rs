//! T11: somebody who knows nothing of the log is at its files while four writers and a follower are at work: he
//! truncates, overwrites, punches, unlinks, renames, links, chmods and touches data and metadata file.
//!
//! What is harmless costs nothing: everybody goes on, and the log holds what was acknowledged. What is not gives
//! everybody a clear error, at the latest at the next growth; `status` says what is wrong at once; after `repair`, or
//! when the files are removed, the log can be used again. Nobody hangs, or dies of a signal.
//!
//! Then he takes, cuts and replaces old segments: each way is named, and readers never take the damage for the end. And
//! he links them to a neighbour's, which root's commands on his log neither show nor touch.

mod acts;
mod crew;
mod episode;
mod links;
mod old;

use std::time::Duration;

use crate::children::{self, Role};
use crate::run::{Place, Run};
use crate::themes::Theme;

pub(crate) const THEME: Theme = Theme { id: "T11", about: "outside vandal", run };
pub(crate) const ROLES: &[Role] = &[("vandal", episode::direct)];

const ACTS: u64 = 2200;
/// Catches a hang of the director itself; one of an actor is found by the director.
const DEADLINE: Duration = Duration::from_secs(1200);

/// What a director counts.
const COUNTS: &[&str] = &[
    "acts",
    "acts that did harm",
    "controls caught",
    "episodes",
    "messages",
    "clear errors",
    "cuts that a growth hid",
    "logs repaired",
    "messages whose last NULs were lost with the cursor",
    "logs removed and made anew",
];

fn run(run: &mut Run) -> anyhow::Result<()> {
    for place in [Place::Memory, Place::Disk] {
        let (directory, notes) = (run.directory(place)?, run.directory(Place::Memory)?);
        let text = |path: &std::path::Path| path.display().to_string();
        let seed = run.random.next();
        let acts = run.size.of(ACTS / 2);
        let arguments = [text(directory.path()), text(notes.path()), seed.to_string(), acts.to_string()];
        let director = children::role("vandal", &arguments)?;
        run.delegate(&format!("{place:?}, vandal {seed}"), director, DEADLINE, COUNTS)?;
    }
    old::segments(run)?;
    links::links(run)
}
