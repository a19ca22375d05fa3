//! A hostile owner and a neighbour whose log has the same name and the same positions. Whatever the owner does to his
//! directory and his metadata, root's commands on his log leave the neighbour's files as they are, and show none of them.

use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::{MetadataExt as _, chown, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use mmlog::layout::Header;
use mmlog::{Log, Rotation};

use crate::oracle::Segments;
use crate::random::Random;
use crate::run::{Place, Run};
use crate::surgeon::Surgeon;
use crate::tool::{mmlogctl, speaks_plainly};

/// A uid and gid that own nothing here.
const MALLORY: u32 = 65534;
const SECRET: &[u8] = b"the neighbour's";
const HIS_OWN: &[u8] = b"mallory's words";

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
const CAT: usize = 0;
const PRUNE: usize = 5;
const RM: usize = 9;

/// The two logs.
pub(crate) struct Pair {
    scene: tempfile::TempDir,
    /// The neighbour's directory.
    pub(crate) victim: PathBuf,
    /// The hostile owner's.
    pub(crate) mallory: PathBuf,
    pub(crate) log: PathBuf,
}

impl Pair {
    pub(crate) fn new(run: &Run, random: &mut Random) -> Result<Self> {
        let scene = run.directory(Place::Memory)?;
        let (victim, mallory) = (scene.path().join("victim"), scene.path().join("mallory"));
        log_in(&victim, SECRET, random)?;
        let log = log_in(&mallory, HIS_OWN, random)?;
        own(&mallory)?;
        Ok(Self { scene, victim, mallory, log })
    }

    /// The directory in which both are.
    pub(crate) fn above(&self) -> &Path {
        self.scene.path()
    }

    /// The final segments of one of the two.
    pub(crate) fn segments(directory: &Path) -> Result<Vec<PathBuf>> {
        Ok(Segments::look(&directory.join("app.log"))?.finals.into_iter().map(|f| f.path).collect())
    }

    /// He has his metadata name a directory of old segments.
    pub(crate) fn name_directory(&self, name: &str) -> Result<()> {
        let metadata = Surgeon::open(&self.log)?;
        let mut field = [0; 192];
        field[..name.len()].copy_from_slice(name.as_bytes());
        metadata.put(offset_of!(Header, policy.olddir) as u64, &field)?;
        Ok(metadata.set(offset_of!(Header, policy.olddir_changes) as u64, 2)?)
    }

    /// What root's commands on his log did to the neighbour's. `act`, called `name`, is his; he does it again whenever a
    /// command may have undone it. `more`: arguments of each command.
    pub(crate) fn suffer(
        &self,
        run: &mut Run,
        random: &mut Random,
        name: &str,
        more: &[&str],
        act: impl Fn(&Self) -> Result<()>,
    ) -> Result<Vec<String>> {
        let original = everything(&self.victim)?;
        let mut wrong = Vec::new();
        let commands = (0..8).map(|_| *random.pick(COMMANDS));
        let commands = commands.chain([COMMANDS[CAT], COMMANDS[PRUNE], COMMANDS[RM]]).collect::<Vec<_>>();
        for arguments in commands {
            if !self.log.exists() {
                break;
            }
            act(self)?;
            let done = Command::new(mmlogctl()?)
                .args(arguments)
                .arg(&self.log)
                .args(more)
                .stdin(Stdio::null())
                .output()
                .context("start mmlogctl")?;
            run.count("commands of root on a hostile owner's log", 1);
            let stderr = String::from_utf8_lossy(&done.stderr);
            let said = format!("{arguments:?} with {name}, {}: {stderr}", done.status);
            if [&done.stdout, &done.stderr].iter().any(|said| said.windows(SECRET.len()).any(|w| w == SECRET))
            {
                wrong.push(format!("shown to whoever reads a neighbour's log: {said}"));
            }
            if everything(&self.victim)? != original {
                wrong.push(format!("the neighbour's files have changed: {said}"));
                break;
            }
            if let Err(ugly) = speaks_plainly(&stderr) {
                wrong.push(ugly);
            }
        }
        Ok(wrong)
    }
}

/// Makes a directory and everything in it his, but files that are somebody else's by another name.
pub(crate) fn own(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let stat = fs::symlink_metadata(&path)?;
        if !stat.is_file() || stat.nlink() == 1 {
            lchown(path, Some(MALLORY), Some(MALLORY))?;
        }
    }
    Ok(chown(directory, Some(MALLORY), Some(MALLORY))?)
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

/// A file's name, owner, group, mode and bytes.
type Seen = (PathBuf, [u32; 3], Vec<u8>);

fn everything(directory: &Path) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let stat = fs::symlink_metadata(&path)?;
        all.push((path.clone(), [stat.uid(), stat.gid(), stat.mode()], fs::read(&path)?));
    }
    all.sort();
    Ok(all)
}
