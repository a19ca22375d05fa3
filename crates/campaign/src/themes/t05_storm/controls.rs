//! What the oracle must find: an acknowledged message that is lost, torn or doubled, bytes of nobody, a follower
//! that read something else, and writers that acknowledge too early.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use anyhow::{Context, bail};
use mmlog::Options;

use super::{Order, Scene};
use crate::oracle::{HEAD, Seal, Segments, check};
use crate::run::{Place, Run};

type Tamper = fn(&Scene, u64, &[u8]) -> anyhow::Result<()>;

/// What is done to a log at rest, with an acknowledged message of it, and a word of the oracle's complaint.
const TAMPERING: &[(&str, &str, Tamper)] = &[
    ("a message is lost", "lost", |scene, at, bytes| store(scene, at, &vec![0; bytes.len()])),
    ("a byte differs", "torn", |scene, at, bytes| store(scene, at + 7, &[bytes[7] ^ 1])),
    ("a message is doubled", "doubled", |scene, _, bytes| append(scene, bytes)),
    ("a short message is doubled", "no message's", |scene, _, bytes| append(scene, &bytes[..HEAD / 2])),
    ("bytes of nobody", "nobody's", |scene, _, _| append(scene, &[0xff; 20])),
];

/// What depends on whom the scheduler lets run is tried so often: once in two is enough.
const TRIES: u32 = 30;

/// In whatever segments have the positions.
fn store(scene: &Scene, at: u64, bytes: &[u8]) -> anyhow::Result<()> {
    let base = Options::new().open_reader(&scene.log)?.status()?.base;
    let segments = Segments::look(&scene.log)?;
    for (at, byte) in (at..).zip(bytes) {
        let (path, offset) = segments.locate(base, at);
        File::options().write(true).open(path)?.write_all_at(&[*byte], offset)?;
    }
    Ok(())
}

fn append(scene: &Scene, bytes: &[u8]) -> anyhow::Result<()> {
    Options::new().open(&scene.log)?.writer()?.append(bytes)?;
    Ok(())
}

pub(super) fn run(run: &mut Run) -> anyhow::Result<()> {
    for (name, word, tamper) in TAMPERING {
        let scene = small_storm(run)?;
        let short = word.starts_with("no ");
        let wanted = |bytes: &[u8]| if short { bytes.len() == HEAD / 2 } else { bytes.len() > HEAD };
        let (at, bytes) =
            scene.acks.acknowledged().filter(|(_, bytes)| wanted(bytes)).nth(4).context("no such message")?;
        tamper(&scene, at, &bytes)?;
        let (found, _) = check(&scene.log, &scene.acks)?;
        run.control(name, found.violations.iter().any(|v| v.contains(word)));
    }
    misread(run)?;
    reopened(run)?;
    hasty(run)
}

fn small_storm(run: &mut Run) -> anyhow::Result<Scene> {
    let seed = run.random.next();
    let scene = Scene::new(run, Place::Memory, seed)?;
    let outcome = scene.play(&Order { seed, kills: 30, messages: 2000, hasty: false, bounded: false })?;
    for wrong in outcome.violations {
        run.violation(format!("storm {seed}, before a control: {wrong}"));
    }
    Ok(scene)
}

/// One byte of every block is another than followers had read.
fn misread(run: &mut Run) -> anyhow::Result<()> {
    let scene = storm_with_followers(run)?;
    let bytes = Segments::look(&scene.log)?.bytes()?;
    for (at, byte) in bytes.iter().enumerate().step_by(1000) {
        store(&scene, at as u64, &[byte ^ 1])?;
    }
    let (_, content) = check(&scene.log, &scene.acks)?;
    let mut violations = Vec::new();
    scene.sightings.compare(&content, &mut violations);
    run.control("a follower read other bytes", !violations.is_empty());
    Ok(())
}

/// In a small storm the followers may all be killed before they have read a block.
fn storm_with_followers(run: &mut Run) -> anyhow::Result<Scene> {
    for _ in 0..TRIES {
        let scene = small_storm(run)?;
        let (_, content) = check(&scene.log, &scene.acks)?;
        if scene.sightings.compare(&content, &mut Vec::new()) > 0 {
            return Ok(scene);
        }
    }
    bail!("in {TRIES} storms no follower has read a block")
}

/// A byte more in a segment that was final.
fn reopened(run: &mut Run) -> anyhow::Result<()> {
    let scene = small_storm(run)?;
    let segments = Segments::look(&scene.log)?;
    let last = segments.finals.last().context("nobody has rotated")?;
    scene.seals()?.note(&Seal::of(&last.path)?)?;
    File::options().append(true).open(&last.path)?.write_all(b"!")?;
    let (mut violations, base) = (Vec::new(), Options::new().open_reader(&scene.log)?.status()?.base);
    scene.check_seals(&mut violations, false)?;
    run.control("a final segment has changed", !violations.is_empty());
    run.control("a final segment is too long", !segments.check(base).is_empty());
    Ok(())
}

/// One writer, so that the position that it acknowledges too early is right: only a kill gives it away.
fn hasty(run: &mut Run) -> anyhow::Result<()> {
    let mut caught = false;
    for _ in 0..TRIES {
        let seed = run.random.next();
        let scene = Scene::new(run, Place::Memory, seed)?;
        let outcome =
            scene.play(&Order { seed, kills: 200, messages: 10_000, hasty: true, bounded: false })?;
        caught = !outcome.found.violations.is_empty();
        if caught {
            break;
        }
    }
    run.control("acknowledged before the append", caught);
    Ok(())
}
