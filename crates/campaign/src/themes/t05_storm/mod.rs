//! T5: a storm. Eight writer processes, followers, operators, a rotator and openers on one log; any of them is killed or
//! stopped at any moment, and replaced at once. Each round has a fresh log, in memory or on disk, and an oracle that
//! the log knows nothing of (`crate::oracle`). Nothing acknowledged may be lost, torn or doubled. Every second log has a
//! policy, which writers carry out and somebody changes all the time: then whole old segments go, and no more of them
//! than it lets go.

mod actors;
mod controls;
mod director;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::children::{self, Role};
use crate::oracle::{Acks, Found, Seal, Seals, Segments, Sightings, check_bounded};
use crate::run::{Place, Run};
use crate::themes::Theme;
use actors::KEPT;

pub(crate) const THEME: Theme = Theme { id: "T5", about: "storm", run };
pub(crate) const ROLES: &[Role] = &[("storm", director::direct)];

const KILLS: u64 = 100_000;
const MESSAGES: u64 = 20_000_000;
/// Few enough kills for the log's table of holes.
const ROUNDS: u64 = 100;
/// Catches a hang; a round takes 2 to 3 s.
const DEADLINE: Duration = Duration::from_secs(120);

fn run(run: &mut Run) -> anyhow::Result<()> {
    controls::run(run)?;
    for round in 0..run.size.of(ROUNDS) {
        let place = if round % 2 == 0 { Place::Memory } else { Place::Disk };
        let seed = run.random.next();
        let scene = Scene::new(run, place, seed)?;
        // With a policy and without, in memory and on a disk.
        let bounded = matches!(round % 4, 1 | 2);
        let order = Order { seed, kills: KILLS / ROUNDS, messages: MESSAGES / ROUNDS, hasty: false, bounded };
        let outcome = scene.play(&order)?;
        outcome.count(run);
        for wrong in &outcome.violations {
            run.violation(format!("round {round}, {place:?}, storm {seed}: {wrong}"));
        }
    }
    Ok(())
}

/// What a director is to do.
struct Order {
    seed: u64,
    kills: u64,
    /// To be acknowledged, about.
    messages: u64,
    hasty: bool,
    /// Whether the log has a policy: writers rotate and prune, and somebody changes it.
    bounded: bool,
}

impl Order {
    fn arguments(&self) -> [String; 5] {
        [self.seed, self.kills, self.messages, self.hasty.into(), self.bounded.into()].map(|n| n.to_string())
    }

    fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let numbers = arguments.iter().map(|a| a.parse()).collect::<Result<Vec<u64>, _>>()?;
        let [seed, kills, messages, hasty, bounded] = numbers[..] else {
            anyhow::bail!("an order: {arguments:?}")
        };
        Ok(Self { seed, kills, messages, hasty: hasty != 0, bounded: bounded != 0 })
    }
}

/// One log, and beside it, in memory, what the oracle knows.
struct Scene {
    log: PathBuf,
    notes: PathBuf,
    acks: Acks,
    sightings: Sightings,
    _directories: [tempfile::TempDir; 2],
}

/// What a storm did, and what it left.
#[derive(Default)]
struct Outcome {
    kills: u64,
    stops: u64,
    seen: u64,
    /// Rotations that returned.
    finals: u64,
    found: Found,
    violations: Vec<String>,
}

impl Scene {
    fn new(run: &Run, place: Place, seed: u64) -> anyhow::Result<Self> {
        let (directory, notes) = (run.directory(place)?, run.directory(Place::Memory)?);
        let acks = Acks::create(&notes.path().join("acks"), seed, 1 << 22)?;
        let sightings = Sightings::create(&notes.path().join("sightings"), 1 << 32)?;
        let (log, path) = (directory.path().join("storm.log"), notes.path().to_path_buf());
        Ok(Self { log, notes: path, acks, sightings, _directories: [directory, notes] })
    }

    /// Lets the storm pass, and looks at what it has left.
    fn play(&self, order: &Order) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let said = self.notes.join("said");
        let text = |path: &Path| path.display().to_string();
        let paths = [text(&self.log), text(&self.notes.join("acks")), text(&self.notes.join("sightings"))];
        let arguments: Vec<String> = paths.into_iter().chain(order.arguments()).collect();
        let did = self.notes.join("did");
        let mut director = children::role("storm", &arguments)?
            .stdout(File::create(&did)?)
            .stderr(File::create(&said)?)
            .spawn()?;
        match children::wait(&mut director, DEADLINE)? {
            Some(status) if status.success() => {}
            Some(status) => outcome.violations.push(format!("the director ended with {status}")),
            None => {
                outcome.violations.push(format!("hangs: {}", self.state()));
                director.kill()?;
                director.wait()?;
            }
        }
        outcome.violations.extend(fs::read_to_string(said)?.lines().map(String::from));
        if !outcome.violations.is_empty() {
            return Ok(outcome);
        }
        let did = fs::read_to_string(did)?;
        let counts: Vec<u64> = did.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [kills, stops] = counts[..] else { anyhow::bail!("the director said {did:?}") };
        let (found, content) = check_bounded(&self.log, &self.acks, order.bounded.then_some(KEPT))?;
        outcome.finals = self.check_seals(&mut outcome.violations, order.bounded)?;
        outcome.seen = self.sightings.compare(&content, &mut outcome.violations);
        outcome.violations.extend(found.violations.iter().cloned());
        Ok(Outcome { kills, stops, found, ..outcome })
    }

    fn seals(&self) -> anyhow::Result<Seals> {
        Ok(Seals::beside(&self.notes.join("acks"))?)
    }

    /// Nothing that was final has changed; of a log with a policy, nothing that is left.
    fn check_seals(&self, violations: &mut Vec<String>, bounded: bool) -> anyhow::Result<u64> {
        let (seals, segments) = (self.seals()?.all()?, Segments::look(&self.log)?);
        let is_left = |seal: &&Seal| !bounded || segments.finals.iter().any(|kept| kept.path == seal.path);
        let left = seals.iter().filter(is_left);
        violations.extend(left.filter_map(|seal| Some(format!("{:#}", seal.holds().err()?))));
        Ok(seals.len() as u64)
    }

    /// What the log says of itself when nothing goes on.
    fn state(&self) -> String {
        let look = || mmlog::Observer::open(&self.log, &mmlog::Options::new())?.look();
        look().map_or_else(|e| e.to_string(), |s| format!("{}: {:?}; {}", s.state, s.problem, s.next_step))
    }
}

impl Outcome {
    fn count(&self, run: &mut Run) {
        let found = &self.found;
        run.count("kills", self.kills);
        run.count("stops", self.stops);
        run.count("messages", found.acknowledged);
        run.count("not acknowledged, whole", found.unacknowledged);
        run.count("not acknowledged, gone", found.lost);
        run.count("holes", found.holes);
        run.count("runs of NULs", found.runs);
        run.count("rotations", self.finals);
        run.count("messages pruned by the policy", found.pruned);
        run.count("KiB", found.bytes >> 10);
        run.count("blocks compared with followers", self.seen);
    }
}
