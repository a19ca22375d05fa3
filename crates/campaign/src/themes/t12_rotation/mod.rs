//! T12: rotation under load. Writers append numbered lines, paced and as fast as they can; somebody rotates every
//! 20 ms; real `mmlogctl tail -F` read, one late, one restarted from its cursor-file, one through a slow pipe. Then the
//! segments, by name, and the current file are every line exactly once, and so is what each reader printed. The same
//! with kill -9 of writers and rotators, with `rotate --compress` beside it, and with `prune` beside it: then readers may
//! miss what they were told of, and nothing else. The same where nobody rotates or prunes but the writers, by a policy.
//! Beside that `rotate --run`, killed at any time, and `prune
//! --keep-unrun`.

mod actors;
mod hooks;
mod judge;
mod readers;
mod stage;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use mmlog::{Log, Policy, Rotation};

use super::Theme;
use crate::actor::Actor;
use crate::children::Role;
use crate::oracle::{Seals, Segments};
use crate::run::{Place, Run};
use actors::options;
use judge::{ARCHIVE, Found, Wants, judge};
use readers::Readers;
use stage::Stage;

pub(crate) const THEME: Theme = Theme { id: "T12", about: "rotation", run };

pub(crate) const ROLES: &[Role] = &[
    ("t12-writer", actors::writer),
    ("t12-rotator", actors::rotator),
    ("t12-archivist", actors::archivist),
    ("t12-beside", actors::beside),
    ("t12-many", actors::many),
];

const WRITERS: u64 = 8;
/// Bytes a second, of all writers.
const PACE: u64 = 4_000_000;
const ROTATIONS: u64 = 10_000;
/// Bytes of a segment that the policy rotates.
const SEGMENT: u64 = 128 << 10;
/// Between two kills.
const KILL_EVERY: Duration = Duration::from_millis(25);

/// One run.
struct Play {
    name: &'static str,
    place: Place,
    /// At CI size.
    seconds: f64,
    paced: bool,
    beside: Beside,
}

/// What goes on beside writers, readers and the rotator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Kills,
    Compress,
    /// Keeps so many segments.
    Prune(u32),
    /// Writers keep so many, and rotate, by the log's policy. In place of the rotator somebody copies what is final.
    Policy(u64),
}

const PLAYS: &[Play] = &[
    Play { name: "paced", place: Place::Disk, seconds: 60.0, paced: true, beside: Beside::Compress },
    Play { name: "unpaced", place: Place::Memory, seconds: 5.0, paced: false, beside: Beside::Nothing },
    Play { name: "paced, kills", place: Place::Memory, seconds: 60.0, paced: true, beside: Beside::Kills },
    Play { name: "unpaced, kills", place: Place::Disk, seconds: 5.0, paced: false, beside: Beside::Kills },
    Play { name: "paced, pruned", place: Place::Disk, seconds: 20.0, paced: true, beside: Beside::Prune(20) },
    Play {
        name: "paced, bounded",
        place: Place::Disk,
        seconds: 20.0,
        paced: true,
        beside: Beside::Policy(3),
    },
];

fn run(run: &mut Run) -> anyhow::Result<()> {
    controls(run)?;
    for play in PLAYS {
        let scene = Scene::new(play.place)?;
        let seconds = Duration::from_secs_f64((play.seconds * run.size.0).max(0.5));
        let found = scene.play(run, play, seconds)?;
        scene.say_pauses(play);
        run.count("lines", found.lines);
        run.count("KiB", found.bytes >> 10);
        run.count("rotations", found.segments);
        run.count("segments compared", found.seals);
        run.count("not acknowledged, whole", found.unacknowledged);
        run.count("KiB pruned before they were read", found.pruned >> 10);
        found.wrong.into_iter().for_each(|wrong| run.violation(format!("{}: {wrong}", play.name)));
    }
    hooks::run(run)?;
    many(run)
}

/// A log, and in memory what is known of it.
struct Scene {
    log: PathBuf,
    notes: PathBuf,
    stage: Stage,
    _directories: [tempfile::TempDir; 2],
}

impl Scene {
    fn new(place: Place) -> anyhow::Result<Self> {
        let (directory, notes) = (place.directory()?, Place::Memory.directory()?);
        let (log, at) = (directory.path().join("app.log"), notes.path().to_path_buf());
        let stage = Stage::create(&at.join("stage"))?;
        Ok(Self { log, notes: at, stage, _directories: [directory, notes] })
    }

    fn writer(&self, id: u64, play: &Play) -> anyhow::Result<Actor> {
        let (log, stage) = (self.log.display(), self.notes.join("stage"));
        let rate = if play.paced { PACE / WRITERS } else { 0 };
        Actor::start("t12-writer", &[&log, &stage.display(), &id, &rate])
    }

    /// Or who copies what writers have rotated.
    fn rotator(&self, beside: Beside) -> anyhow::Result<Actor> {
        let role = if matches!(beside, Beside::Policy(_)) { "t12-archivist" } else { "t12-rotator" };
        let archive = self.archive(beside).map_or_else(String::new, |path| path.display().to_string());
        Actor::start(role, &[&self.log.display(), &self.notes.join("stage").display(), &archive])
    }

    /// Where pruned segments are kept, on the log's file system.
    fn archive(&self, beside: Beside) -> Option<PathBuf> {
        matches!(beside, Beside::Prune(_) | Beside::Policy(_)).then(|| self.log.with_file_name(ARCHIVE))
    }

    fn beside(&self, beside: Beside) -> anyhow::Result<Option<Actor>> {
        let (log, stage) = (self.log.display().to_string(), self.notes.join("stage").display().to_string());
        let start = |command: &[&str]| {
            let arguments = [&[log.as_str(), stage.as_str()], command].concat();
            let arguments: Vec<&dyn std::fmt::Display> =
                arguments.iter().map(|a| a as &dyn std::fmt::Display).collect();
            Actor::start("t12-beside", &arguments).map(Some)
        };
        match beside {
            Beside::Nothing | Beside::Kills | Beside::Policy(_) => Ok(None),
            Beside::Compress => start(&["rotate", "--if-size=1T", "--compress=zstd"]),
            Beside::Prune(keep) => start(&["prune", "--keep", &keep.to_string()]),
        }
    }

    fn seals(&self) -> anyhow::Result<Seals> {
        Ok(Seals::beside(&self.notes.join("stage"))?)
    }

    /// Lets them write, rotate and read for so long, and judges what is left.
    fn play(&self, run: &mut Run, play: &Play, seconds: Duration) -> anyhow::Result<Found> {
        let policy = match play.beside {
            Beside::Policy(keep) => {
                Policy { rotate_size: Some(SEGMENT), keep: Some(keep), ..Policy::default() }
            }
            _ => Policy::default(),
        };
        let log = options().policy(&policy).open_or_create(&self.log)?;
        let archive = self.archive(play.beside);
        archive.iter().try_for_each(fs::create_dir)?;
        if let (Beside::Policy(_), Some(archive)) = (play.beside, &archive) {
            // Before anything is final: it is held from now on.
            actors::archive(&log, archive)?;
        }
        let mut readers = Readers::new(&self.log, &self.notes)?;
        let mut writers = (0..WRITERS).map(|id| self.writer(id, play)).collect::<anyhow::Result<Vec<_>>>()?;
        let (mut rotator, mut next_id) = (self.rotator(play.beside)?, WRITERS);
        let mut beside = self.beside(play.beside)?;
        let begun = Instant::now();
        while begun.elapsed() < seconds {
            std::thread::sleep(KILL_EVERY);
            if readers.all.len() < 3 && begun.elapsed() > seconds / 2 {
                readers.start("late")?;
            }
            readers.restart()?;
            if play.beside == Beside::Kills {
                let chosen = run.random.below(WRITERS + 2) as usize;
                run.count("kills", 1);
                if let Some(writer) = writers.get_mut(chosen) {
                    *writer = self.writer(next_id, play)?;
                    next_id += 1;
                } else {
                    drop(rotator);
                    self.stage.forget_rotation();
                    rotator = self.rotator(play.beside)?;
                }
            }
        }
        self.stage.close();
        for actor in writers.iter_mut().chain([&mut rotator]).chain(&mut beside) {
            let status = actor.end()?;
            ensure!(status.success(), "one of the actors ended with {status}");
        }
        // What a killed rotator has left goes with the next rotation, what killed writers have left before it.
        if let (Some(rotated), Some(archive)) = (log.rotate(&Rotation::default())?, &archive) {
            fs::copy(&rotated.path, archive.join(rotated.path.file_name().unwrap_or_default()))?;
        }
        let mut wrong = bounded(&log, archive.as_deref())?;
        log.close()?;
        wrong.extend(readers.finish()?);
        run.count("restarts of a reader", readers.restarts);
        let outputs: Vec<(&str, &Path)> = readers.all.iter().map(|r| (r.name, r.output.as_path())).collect();
        ensure!(outputs.len() == 3, "{} readers", outputs.len());
        let wants = match &archive {
            Some(archive) => Wants::Pruned(archive),
            None if play.beside == Beside::Kills => Wants::Killed,
            None => Wants::Everything,
        };
        let mut found = judge(&self.log, &self.stage, &self.seals()?, &outputs, &wants)?;
        found.wrong.extend(wrong);
        Ok(found)
    }

    /// A figure, no claim.
    fn say_pauses(&self, play: &Play) {
        for (what, beside) in [("beside a rotation", true), ("otherwise", false)] {
            let took = self.stage.times(beside);
            println!(
                "T12  {}: {} appends {what}: p50 {:?}, p99 {:?}, longest {:?}",
                play.name, took.appends, took.median, took.p99, took.longest
            );
        }
    }
}

/// Once nobody holds anything any more, writers have left no more segments than the policy keeps.
fn bounded(log: &Log, archive: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let (Some(keep), Some(archive)) = (log.policy().rules().keep, archive) else { return Ok(Vec::new()) };
    actors::archive(log, archive)?;
    log.forget(actors::ARCHIVIST)?;
    log.housekeep()?;
    let left = Segments::look(log.path())?.finals.len() as u64;
    Ok((left > keep)
        .then(|| format!("{left} final segments are left, {keep} are kept"))
        .into_iter()
        .collect())
}

/// Many rotations in one directory leave segments and nothing else.
fn many(run: &mut Run) -> anyhow::Result<()> {
    let scene = Scene::new(Place::Memory)?;
    let rotations = run.size.of(ROTATIONS);
    let begun = Instant::now();
    let mut actor = Actor::start("t12-many", &[&scene.log.display(), &rotations])?;
    ensure!(actor.ended()?.success(), "many rotations failed");
    println!("T12  {rotations} rotations in one directory: {:?}", begun.elapsed());
    scene.stage.acknowledge(1, rotations);
    let found = judge(&scene.log, &scene.stage, &scene.seals()?, &[], &Wants::Everything)?;
    run.count("rotations", found.segments);
    let all = found.segments == rotations;
    found.wrong.into_iter().for_each(|wrong| run.violation(format!("many rotations: {wrong}")));
    if !all {
        run.violation(format!("{rotations} rotations have left {} segments", found.segments));
    }
    Ok(())
}

type Tamper = fn(&Scene) -> anyhow::Result<()>;

/// What is done to the result of a short run, and a word of the judge's complaint.
const TAMPERING: &[(&str, &str, Tamper)] = &[
    ("a segment is lost", "follows", |scene| Ok(fs::remove_file(&scene.middle()?)?)),
    ("a segment is doubled", "follows", |scene| {
        let (bytes, mut file) = (fs::read(scene.middle()?)?, File::options().append(true).open(&scene.log)?);
        Ok(file.write_all(&bytes)?)
    }),
    ("a final segment has grown", "was final and has changed", |scene| {
        let mut file = File::options().append(true).open(scene.middle()?)?;
        Ok(file.write_all(b"late\n")?)
    }),
    ("a line is split over segments", "or split", |scene| {
        let file = File::options().write(true).open(scene.middle()?)?;
        Ok(file.set_len(file.metadata()?.len() - 3)?)
    }),
    ("a temporary file is left", "temporary", |scene| {
        let mut next = scene.log.clone().into_os_string();
        next.push(".mmlog-next");
        Ok(fs::write(next, "")?)
    }),
    ("a line was not acknowledged", "were acknowledged", |scene| {
        scene.stage.acknowledge(1, scene.stage.acknowledged(1) - 2);
        Ok(())
    }),
    ("a reader has missed a line", "the slow reader", |scene| {
        let output = fs::read(scene.notes.join("slow"))?;
        let end = output.iter().position(|&b| b == b'\n').context("a line")?;
        Ok(fs::write(scene.notes.join("slow"), &output[end + 1..])?)
    }),
];

impl Scene {
    /// A final segment with others around it.
    fn middle(&self) -> anyhow::Result<PathBuf> {
        let finals = Segments::look(&self.log)?.finals;
        Ok(finals.get(finals.len() / 2).context("no segment")?.path.clone())
    }
}

fn controls(run: &mut Run) -> anyhow::Result<()> {
    let play =
        Play { name: "control", place: Place::Memory, seconds: 0.3, paced: true, beside: Beside::Nothing };
    for (name, word, tamper) in TAMPERING {
        let scene = Scene::new(play.place)?;
        let sound = scene.play(run, &play, Duration::from_secs_f64(play.seconds))?;
        sound.wrong.into_iter().for_each(|wrong| run.violation(format!("before a control: {wrong}")));
        tamper(&scene)?;
        let slow = scene.notes.join("slow");
        let found = judge(&scene.log, &scene.stage, &scene.seals()?, &[("slow", &slow)], &Wants::Everything);
        let said = found.map_or_else(|e| format!("{e:#}"), |found| found.wrong.join("; "));
        run.control(name, said.contains(word));
    }
    not_told(run)
}

/// The control of the play beside prune: a reader that was not told.
fn not_told(run: &mut Run) -> anyhow::Result<()> {
    let beside = Beside::Prune(2);
    let play = Play { name: "control", place: Place::Memory, seconds: 0.5, paced: true, beside };
    let scene = Scene::new(play.place)?;
    let sound = scene.play(run, &play, Duration::from_secs_f64(play.seconds))?;
    sound.wrong.into_iter().for_each(|wrong| run.violation(format!("before a control: {wrong}")));
    let (slow, archive) = (scene.notes.join("slow"), scene.archive(beside).context("an archive")?);
    fs::write(slow.with_extension("told"), "")?;
    let wants = Wants::Pruned(&archive);
    let found = judge(&scene.log, &scene.stage, &scene.seals()?, &[("slow", &slow)], &wants)?;
    run.control("a reader was not told what was pruned", found.wrong.join("; ").contains("the slow reader"));
    Ok(())
}
