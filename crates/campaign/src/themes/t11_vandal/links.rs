//! The vandal owns a log beside a [neighbour](crate::neighbour)'s: his old segments, the directory that has them, and the
//! names at which files are made become links to the neighbour's, before root's commands and while they run.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use nix::fcntl::{RenameFlags, renameat2};

use crate::neighbour::{Pair, own};
use crate::random::Random;
use crate::run::Run;

/// Pairs of logs, for each way, at the CI size.
const PAIRS: u64 = 6;
/// Where he has his segments.
const OLD: &str = "old";

type Way = (&'static str, fn(&Pair) -> Result<()>);

/// Each can be done again to what a command has left.
const WAYS: &[Way] = &[
    ("a link for the directory", |pair| {
        let old = pair.mallory.join(OLD);
        if !old.is_symlink() {
            symlink(&pair.victim, old)?;
        }
        pair.name_directory(OLD)
    }),
    ("a link on the way to the directory", |pair| {
        let way = pair.mallory.join("way");
        if !way.is_symlink() {
            symlink(pair.above(), way)?;
        }
        pair.name_directory("way/victim")
    }),
    ("an absolute directory", |pair| pair.name_directory(&pair.victim.to_string_lossy())),
    ("a directory by ..", |pair| pair.name_directory("../victim")),
    ("links for segments", |pair| at_segments(pair, &pair.mallory, |theirs, name| symlink(theirs, name))),
    ("hard links for segments", |pair| {
        at_segments(pair, &pair.mallory, |theirs, name| fs::hard_link(theirs, name))
    }),
    ("links for segments in the directory", |pair| {
        at_segments(pair, &his_directory(pair)?, |theirs, name| symlink(theirs, name))
    }),
    ("hard links for segments in the directory", |pair| {
        at_segments(pair, &his_directory(pair)?, |theirs, name| fs::hard_link(theirs, name))
    }),
    ("links where files are made", |pair| {
        let theirs = pair.victim.join("app.log");
        let mut names = vec![pair.mallory.join("app.log.mmlog-next")];
        for segment in Pair::segments(&pair.mallory)? {
            names.extend([".mmlog-part", ".zst", ".gz"].map(|suffix| with(&segment, suffix)));
        }
        names.into_iter().try_for_each(|name| match symlink(&theirs, name) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e.into()),
            _ => own(&pair.mallory),
        })
    }),
];

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_os_string();
    path.push(suffix);
    path.into()
}

/// The names of the neighbour's segments, which are those of his, become the neighbour's files.
fn at_segments(pair: &Pair, directory: &Path, link: fn(&Path, &Path) -> std::io::Result<()>) -> Result<()> {
    for theirs in Pair::segments(&pair.victim)? {
        let name = directory.join(theirs.file_name().unwrap_or_default());
        match fs::remove_file(&name) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
            _ => link(&theirs, &name)?,
        }
    }
    own(directory)
}

/// A directory of his own for old segments.
fn his_directory(pair: &Pair) -> Result<PathBuf> {
    let old = pair.mallory.join(OLD);
    fs::create_dir_all(&old)?;
    pair.name_directory(OLD)?;
    own(&pair.mallory)?;
    Ok(old)
}

pub(super) fn links(run: &mut Run) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        run.skipped("links to a neighbour's segments: needs root");
        return Ok(());
    }
    let mut random = Random::new(run.seed ^ 0x6c69_6e6b);
    for _ in 0..run.size.of(PAIRS) {
        for &(name, way) in WAYS {
            let pair = Pair::new(run, &mut random)?;
            for wrong in pair.suffer(run, &mut random, name, &[], way)? {
                run.violation(wrong);
            }
        }
        for wrong in exchanged(run, &mut random)? {
            run.violation(wrong);
        }
    }
    let pair = Pair::new(run, &mut random)?;
    let taken = pair
        .suffer(run, &mut random, "any path", &["--trust-path"], |pair| pair.name_directory("../victim"))?;
    run.control("a neighbour's segments taken by a directory's name", !taken.is_empty());
    Ok(())
}

/// Between any two looks of a command the directory becomes a link, or the segments in it do, and back.
fn exchanged(run: &mut Run, random: &mut Random) -> Result<Vec<String>> {
    let pair = Pair::new(run, random)?;
    let old = his_directory(&pair)?;
    let mut names = Vec::new();
    for segment in Pair::segments(&pair.mallory)? {
        let name = segment.file_name().unwrap_or_default().to_os_string();
        fs::rename(&segment, old.join(&name))?;
        symlink(pair.victim.join(&name), pair.mallory.join(&name))?;
        names.push(name);
    }
    symlink(&pair.victim, pair.mallory.join("link"))?;
    own(&pair.mallory)?;
    own(&old)?;
    // By descriptors: not in the neighbour's directory, whatever stands at the name.
    let (here, within) = (File::open(&pair.mallory)?, File::open(&old)?);
    let exchange = |a: (&File, &OsStr), b: (&File, &OsStr)| {
        // What a command has taken away stays away.
        let _ = renameat2(a.0, a.1, b.0, b.1, RenameFlags::RENAME_EXCHANGE);
    };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..2 {
                    exchange((&here, OLD.as_ref()), (&here, "link".as_ref()));
                }
                for _ in 0..2 {
                    names.iter().for_each(|name| exchange((&within, name), (&here, name)));
                }
            }
        });
        let name = "segments and their directory exchanged for links";
        let suffered = pair.suffer(run, random, name, &[], |_| Ok(()));
        is_over.store(true, Ordering::Relaxed);
        suffered
    })
}
