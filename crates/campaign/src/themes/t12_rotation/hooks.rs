//! `rotate --run`, killed at any time, and `prune --keep-unrun` beside it: no segment goes before its command has come to
//! its end, and in the end it has for each.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::ensure;

use super::actors::options;
use crate::oracle::Segments;
use crate::random::Random;
use crate::run::{Place, Run};
use crate::tool::mmlogctl;

const ROUNDS: u64 = 600;
/// Longer than a rotation and its command take.
const KILLED_WITHIN: u64 = 25_000;
/// Notes the segment at its end, with one write.
const SHIP: &str = "sleep 0.003; echo $MMLOG_GENERATION >> shipped";

pub(super) fn run(run: &mut Run) -> anyhow::Result<()> {
    let rounds = run.size.of(ROUNDS);
    let (wrong, kills) = play(&mut run.random, rounds, &["--keep-unrun"])?;
    run.count("kills", kills);
    run.count("rotations with a command", rounds);
    wrong.into_iter().for_each(|wrong| run.violation(wrong));
    // A kill has to come between a rotation and the end of its command, and prune before the next one: in one game of so few
    // rounds none may do so.
    let mut is_caught = false;
    for _ in 0..10 {
        is_caught = is_caught || !play(&mut run.random, 60, &[])?.0.is_empty();
    }
    run.control("prune takes what was not shipped", is_caught);
    Ok(())
}

/// What was wrong, and how many rotations were killed.
fn play(random: &mut Random, rounds: u64, prune: &[&str]) -> anyhow::Result<(Vec<String>, u64)> {
    let directory = Place::Memory.directory()?;
    let (log, tool) = (directory.path().join("app.log"), mmlogctl()?);
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&tool);
        command.args(arguments).arg(&log).current_dir(directory.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let (mut wrong, mut kills) = (Vec::new(), 0);
    for round in 0..rounds {
        let opened = options().chunk_size(4096).open_or_create(&log)?;
        opened.writer()?.append(format!("line {round}\n").as_bytes())?;
        opened.close()?;
        let compress = if random.below(4) == 0 { &["--compress=zstd"][..] } else { &[] };
        let mut rotating = command(&[&["rotate", "--wait=20s", "--run", SHIP], compress].concat()).spawn()?;
        if random.below(3) > 0 {
            std::thread::sleep(Duration::from_micros(random.below(KILLED_WITHIN)));
            rotating.kill()?;
            kills += 1;
        }
        rotating.wait()?;
        if random.below(4) == 0 {
            let status = command(&[&["prune", "--keep=0"], prune].concat()).status()?;
            ensure!(status.success(), "prune ended with {status}");
            wrong.extend(
                missing(&log)?
                    .map(|which| format!("round {round}: pruned before they were shipped: {which}")),
            );
        }
    }
    let last: ExitStatus = command(&["rotate", "--wait=20s", "--run", SHIP]).status()?;
    ensure!(last.success(), "the last rotation ended with {last}");
    for generation in 0..options().open_reader(&log)?.generation() {
        if !shipped(&log)?.contains(&generation) {
            wrong.push(format!("segment {generation} was never shipped"));
        }
    }
    Ok((wrong, kills))
}

/// The segments whose command has come to its end.
fn shipped(log: &Path) -> anyhow::Result<BTreeSet<u64>> {
    let file = log.with_file_name("shipped");
    File::options().append(true).create(true).open(&file)?;
    Ok(fs::read_to_string(file)?.lines().map(str::parse).collect::<Result<_, _>>()?)
}

/// Those that are neither there nor shipped.
fn missing(log: &Path) -> anyhow::Result<Option<String>> {
    let there: BTreeSet<u64> = Segments::look(log)?.finals.iter().map(|s| s.generation).collect();
    let (shipped, current) = (shipped(log)?, options().open_reader(log)?.generation());
    let gone: Vec<u64> = (0..current).filter(|g| !there.contains(g) && !shipped.contains(g)).collect();
    Ok((!gone.is_empty()).then(|| format!("{gone:?}")))
}
