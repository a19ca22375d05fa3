//! Writers and rotators, a process each.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use mmlog::{Class, Log, Position, Rotation};

use super::stage::{Stage, line};
use crate::actor::{end_with_parent, say};
use crate::oracle::{Seal, Seals};
use crate::tool::mmlogctl;

/// A rotation, as long as nobody is in its way.
const EVERY: Duration = Duration::from_millis(20);
/// Catches a hang.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn options() -> mmlog::Options {
    Log::options().chunk_size(256 << 10).max_writers(64).wait(PATIENCE)
}

/// Role: `LOG STAGE ID RATE`; bytes a second, 0 for as fast as it goes. Appends numbered lines until the stage is
/// closed.
pub(super) fn writer(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, stage, id, rate] = arguments else { bail!("four arguments") };
    let (id, rate): (u32, u64) = (id.parse()?, rate.parse()?);
    let stage = Stage::open(Path::new(stage))?;
    let log = options().open(log)?;
    let mut writer = log.writer()?;
    let (begun, mut bytes, mut number, mut text) = (Instant::now(), 0, 0, Vec::new());
    while !stage.is_closed() {
        line(id, number, &mut text);
        let (before, generation) = (stage.rotations(), log.generation());
        let appending = Instant::now();
        writer.append(&text)?;
        let took = appending.elapsed();
        number += 1;
        stage.acknowledge(id, number);
        // Where writers rotate, nobody says when they begin: those count that saw the next segment come.
        let is_beside = before.0 != before.1 || stage.rotations() != before || log.generation() != generation;
        stage.took(is_beside, took);
        bytes += text.len() as u64;
        if let Some(due) = (bytes * 1_000_000_000).checked_div(rate) {
            std::thread::sleep(Duration::from_nanos(due).saturating_sub(begun.elapsed()));
        }
    }
    drop(writer);
    Ok(log.close()?)
}

/// Role: `LOG STAGE ARCHIVE`. Rotates all the time, and notes what a segment is when its rotation has returned;
/// puts a copy in the archive, if there is one: of a segment with a second name prune takes the name alone.
pub(super) fn rotator(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, stage, archive] = arguments else { bail!("three arguments") };
    let archive = Path::new(archive);
    let seals = Seals::beside(Path::new(stage))?;
    let stage = Stage::open(Path::new(stage))?;
    let log = options().open(log)?;
    let mut next = Instant::now();
    while !stage.is_closed() {
        match stage.rotates(|| log.rotate(&Rotation::default())) {
            Ok(Some(rotated)) => {
                if archive.is_dir() {
                    std::fs::copy(&rotated.path, archive.join(rotated.path.file_name().unwrap_or_default()))?;
                }
                seals.note(&Seal::of(&rotated.path)?)?;
            }
            Err(e) if e.fault().class() != Class::Busy => return Err(e.into()),
            Ok(None) | Err(_) => {}
        }
        next = (next + EVERY).max(Instant::now());
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(log.close()?)
}

/// The name of the hold of who copies segments.
pub(super) const ARCHIVIST: &str = "archivist";

/// Role: `LOG STAGE ARCHIVE`. Copies what is final; until then it holds it.
pub(super) fn archivist(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, stage, to] = arguments else { bail!("three arguments") };
    let (stage, log) = (Stage::open(Path::new(stage))?, options().open(log)?);
    while !stage.is_closed() {
        archive(&log, Path::new(to))?;
        std::thread::sleep(EVERY);
    }
    Ok(())
}

/// Copies the final segments that are not copied yet, and lets them go.
pub(super) fn archive(log: &Log, to: &Path) -> anyhow::Result<()> {
    let holds = log.holds();
    let held = holds.iter().find(|hold| hold.name == ARCHIVIST).map(|hold| Position::new(hold.position));
    let mut at = held.map_or_else(|| log.oldest(), Ok)?;
    let hold = log.hold(ARCHIVIST, at)?;
    let segments = log.status()?.segments;
    for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
        if segment.base < at.get() {
            continue;
        }
        std::fs::copy(&segment.path, to.join(segment.path.file_name().unwrap_or_default()))?;
        at = Position::new(next.base);
        hold.advance(at)?;
    }
    Ok(())
}

/// Role: `LOG STAGE COMMAND...`. Runs that command of `mmlogctl` again and again.
pub(super) fn beside(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, stage, command @ ..] = arguments else { bail!("two arguments, and a command") };
    let (stage, mmlogctl) = (Stage::open(Path::new(stage))?, mmlogctl()?);
    while !stage.is_closed() {
        let ended = std::process::Command::new(&mmlogctl).args(command).arg(log).status()?;
        // Busy is another one at it.
        anyhow::ensure!(matches!(ended.code(), Some(0 | 3)), "{command:?} ended with {ended}");
        std::thread::sleep(EVERY);
    }
    Ok(())
}

/// Role: `LOG ROTATIONS`. A line and a rotation, again and again.
pub(super) fn many(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, rotations] = arguments else { bail!("two arguments") };
    let log = options().chunk_size(4096).open_or_create(log)?;
    let (mut writer, mut text) = (log.writer()?, Vec::new());
    for number in 0..rotations.parse()? {
        line(1, number, &mut text);
        writer.append(&text)?;
        anyhow::ensure!(log.rotate(&Rotation::default())?.is_some(), "rotation {number} did nothing");
    }
    drop(writer);
    log.close()?;
    say("done");
    Ok(())
}
