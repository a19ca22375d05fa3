//! A hostile owner and a neighbour whose log has the same name: whatever he has his metadata name, root's commands on his
//! log leave the neighbour's files as they are, and show none of them.

use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use mmlog::layout::Header;
use mmlog::{Log, Rotation};

use crate::random::Random;
use crate::run::{Place, Run};
use crate::surgeon::Surgeon;
use crate::tool::{mmlogctl, speaks_plainly};

/// Pairs of logs at the CI size.
const PAIRS: u64 = 24;
/// A uid and gid that own nothing here.
const MALLORY: u32 = 65534;
const SECRET: &[u8] = b"the neighbour's";

/// What root does with the log, each in any order.
const COMMANDS: &[&[&str]] = &[
    &["cat"],
    &["tail", "-n+1"],
    &["segments"],
    &["status"],
    &["check", "--deep"],
    &["prune", "--keep=0"],
    &["rotate", "--compress=zstd"],
    &["rotate", "--compress=gzip"],
    &["repair"],
    &["rm", "--all"],
];

pub(super) fn run(run: &mut Run) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        run.skipped("a hostile owner beside a neighbour: needs root");
        return Ok(());
    }
    let mut random = Random::new(run.seed ^ 0x6e65_6967);
    for _ in 0..run.size.of(PAIRS) {
        for wrong in pair(run, &mut random, false)? {
            run.violation(wrong);
        }
    }
    // Where the command line says that any path is to be taken, the neighbour loses: that is seen.
    let caught = !pair(run, &mut random, true)?.is_empty();
    run.control("a neighbour's segments taken", caught);
    Ok(())
}

/// Two logs, the one hostile; what root's commands on it did to the other.
fn pair(run: &mut Run, random: &mut Random, any_path: bool) -> Result<Vec<String>> {
    let scene = run.directory(Place::Memory)?;
    let (victim, mallory) = (scene.path().join("victim"), scene.path().join("mallory"));
    log_in(&victim, SECRET, random)?;
    let log = log_in(&mallory, b"his own", random)?;
    symlink(&victim, mallory.join("link"))?;
    symlink(scene.path(), mallory.join("up"))?;
    for entry in fs::read_dir(&mallory)? {
        std::os::unix::fs::lchown(entry?.path(), Some(MALLORY), Some(MALLORY))?;
    }
    chown(&mallory, Some(MALLORY), Some(MALLORY))?;
    let before = everything(&victim)?;
    let absolute = victim.to_string_lossy().into_owned();
    let names = [&absolute, "../victim", "./../victim", "up/victim", "link/.", "../mallory/../victim"];
    let name = if any_path { names[1] } else { random.pick(&names) };
    let mut wrong = Vec::new();
    let commands = (0..8).map(|_| *random.pick(COMMANDS)).chain([COMMANDS[0], COMMANDS[5], COMMANDS[9]]);
    for arguments in commands.collect::<Vec<_>>() {
        if !log.exists() {
            break;
        }
        // He does it again whenever a command has taken it away.
        let metadata = Surgeon::open(&log)?;
        let mut field = [0; 192];
        field[..name.len()].copy_from_slice(name.as_bytes());
        metadata.put(offset_of!(Header, policy.olddir) as u64, &field)?;
        metadata.set(offset_of!(Header, policy.olddir_changes) as u64, 2)?;
        let mut command = Command::new(mmlogctl()?);
        command.args(arguments).arg(&log).stdin(Stdio::null());
        if any_path {
            command.arg("--trust-path");
        }
        let done = command.output().context("start mmlogctl")?;
        run.count("commands of root on a hostile owner's log", 1);
        let stderr = String::from_utf8_lossy(&done.stderr);
        let said = format!("{arguments:?} with {name:?}, {}: {stderr}", done.status);
        if done.stdout.windows(SECRET.len()).any(|window| window == SECRET) {
            wrong.push(format!("shown to whoever reads a neighbour's log: {said}"));
        }
        if everything(&victim)? != before {
            wrong.push(format!("the neighbour's files have changed: {said}"));
            break;
        }
        if let Err(ugly) = speaks_plainly(&stderr) {
            wrong.push(ugly);
        }
    }
    Ok(wrong)
}

/// A log `app.log` of a few segments.
fn log_in(directory: &Path, content: &[u8], random: &mut Random) -> Result<PathBuf> {
    fs::create_dir(directory)?;
    let path = directory.join("app.log");
    let log = Log::options().chunk_size(65536).open_or_create(&path)?;
    for _ in 0..2 + random.below(4) {
        log.writer()?.append(content)?;
        log.rotate(&Rotation::default())?;
    }
    log.writer()?.append(content)?;
    log.close()?;
    Ok(path)
}

/// A file's name, owner, links and bytes.
type Seen = (PathBuf, u32, u64, Vec<u8>);

fn everything(directory: &Path) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let stat = fs::symlink_metadata(&path)?;
        all.push((path.clone(), stat.uid(), stat.nlink(), fs::read(&path)?));
    }
    all.sort();
    Ok(all)
}
