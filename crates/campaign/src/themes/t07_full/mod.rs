//! T7: full disks and limits, on real file systems. Each is an error value, never a signal; the log stays usable,
//! space that comes back is used by the same writer, and nothing acknowledged is lost.

mod dropping;
mod roles;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use mmlog::{Log, check};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::signal::Signal;
use nix::sys::statvfs::statvfs;
use nix::unistd::syncfs;

use super::Theme;
use crate::actor::Actor;
use crate::children::Role;
use crate::disks::{self, Disk, Kind};
use crate::oracle::{self, Acks, Segments};
use crate::run::Run;
use dropping::Feed;
use roles::options;

pub(crate) const THEME: Theme = Theme { id: "T7", about: "full disks", run };

pub(crate) const ROLES: &[Role] = &[
    ("t07-writer", roles::writer),
    ("t07-creator", roles::creator),
    ("t07-file-size", roles::file_size),
    ("t07-file-size-rotated", roles::file_size_rotated),
    ("t07-confined", roles::confined),
    ("t07-descriptors", roles::descriptors),
    ("t07-address-space", roles::address_space),
];

/// Most messages of a cell.
const MESSAGES: usize = 200_000;
const CHUNK: u64 = 1 << 20;

type Cell = fn(&mut Scene) -> anyhow::Result<()>;

const EVERYWHERE: &[(&str, Cell)] = &[
    ("fill", Scene::fill),
    ("race", Scene::race),
    ("RLIMIT_FSIZE", |scene| scene.alone("t07-file-size")),
    ("RLIMIT_FSIZE beside others", Scene::confined),
    ("rotated", Scene::rotated),
    ("rotating race", Scene::rotating_race),
    ("dropping", Scene::dropping),
    ("RLIMIT_FSIZE, rotated", |scene| scene.alone("t07-file-size-rotated")),
    ("RLIMIT_NOFILE", |scene| scene.alone("t07-descriptors")),
    ("RLIMIT_AS", |scene| scene.alone("t07-address-space")),
];
const XFS_ALONE: &[(&str, Cell)] = &[("reflinked", Scene::reflinked)];
const BTRFS_ALONE: &[(&str, Cell)] =
    &[("reflinked", Scene::reflinked), ("quota", Scene::quota), ("sessions", Scene::sessions)];

const CELLS: &[(Kind, &[(&str, Cell)])] = &[
    (Kind::Ext4, EVERYWHERE),
    (Kind::Xfs, EVERYWHERE),
    (Kind::Btrfs, EVERYWHERE),
    (Kind::Tmpfs, EVERYWHERE),
    (Kind::Xfs, XFS_ALONE),
    (Kind::Btrfs, BTRFS_ALONE),
];

fn run(run: &mut Run) -> anyhow::Result<()> {
    for (kind, cells) in CELLS {
        if let Some(why) = disks::missing(&[*kind]) {
            run.skipped(format!("{}: {why}", kind.name()));
            continue;
        }
        for (name, cell) in *cells {
            let mut scene = Scene::new(*kind, run.random.next())?;
            run.count("cells", 1);
            if let Err(e) = cell(&mut scene).and_then(|()| scene.account(run)) {
                run.violation(format!("{} {name}: {e:#}", kind.name()));
            }
        }
    }
    if disks::missing(&[Kind::Xfs]).is_none() {
        // Without the guard, the reflinked cell meets what it guards against.
        let killed = Scene::new(Kind::Xfs, run.random.next())?.reflinked_bare()?;
        run.control("xfs reflinked without the guard", killed);
    }
    Ok(())
}

/// A disk with a log on it, and the table of what was acknowledged.
struct Scene {
    // Dropped first: nobody keeps the disk busy.
    actors: Vec<Actor>,
    acks: PathBuf,
    log: PathBuf,
    disk: Disk,
    seed: u64,
    /// Bytes that `--on-full drop` dropped, and lines of logs that say so.
    dropped: [u64; 2],
}

impl Scene {
    fn new(kind: Kind, seed: u64) -> anyhow::Result<Self> {
        let disk = Disk::new(kind, kind.least_bytes())?;
        let acks = disk.beside().join("acks");
        Acks::create(&acks, seed, MESSAGES)?;
        Ok(Self { actors: Vec::new(), acks, log: disk.path().join("app.log"), disk, seed, dropped: [0; 2] })
    }

    /// Starts another writer; its number.
    fn writer(&mut self, chunk: u64) -> anyhow::Result<usize> {
        self.start(chunk, "bare")
    }

    /// `guard`: `guarded` for one that takes SIGBUS for an error, else `bare`.
    fn start(&mut self, chunk: u64, guard: &str) -> anyhow::Result<usize> {
        let id = self.actors.len();
        let (log, acks) = (self.log.display(), self.acks.display());
        self.actors.push(Actor::start("t07-writer", &[&log, &acks, &id, &chunk, &guard])?);
        self.hear(id, "open")?;
        Ok(id)
    }

    fn tell(&mut self, writer: usize, what: &str) {
        self.actors[writer].tell(what);
    }

    fn hear(&mut self, writer: usize, what: &str) -> anyhow::Result<String> {
        match self.actors[writer].hear()? {
            Some(line) => Ok(line),
            None => {
                let ended = died(self.actors[writer].ended()?);
                anyhow::bail!("writer {writer} ended while it was told to {what}: {ended}")
            }
        }
    }

    /// Tells a writer, and waits until it has done it; how many of its messages were acknowledged by then.
    fn ask(&mut self, writer: usize, what: &str) -> anyhow::Result<u64> {
        self.tell(writer, what);
        self.hear(writer, what)?.parse().context("a number")
    }

    /// Takes some space that will come back.
    fn spare(&self, len: i64) -> anyhow::Result<PathBuf> {
        let path = self.disk.path().join("spare");
        fallocate(File::create(&path)?, FallocateFlags::empty(), 0, len)?;
        Ok(path)
    }

    /// Takes space until about `left` bytes are left.
    fn ballast(&self, name: &str, left: u64) -> anyhow::Result<PathBuf> {
        let path = self.disk.path().join(name);
        let file = File::create(&path)?;
        let mut len = 0;
        // In steps that fit: what a file system says that it has, it does not always give.
        let mut step = 1 << 26;
        while step >= 4096 {
            let vfs = statvfs(self.disk.path())?;
            let free = vfs.blocks_available() * vfs.fragment_size();
            let fits = free >= left.saturating_add(step);
            let flags = FallocateFlags::empty();
            if (left == 0 || fits) && fallocate(&file, flags, len, step.cast_signed()).is_ok() {
                len += step.cast_signed();
            } else {
                step /= 2;
            }
        }
        file.sync_all()?;
        Ok(path)
    }

    /// Gives space back, and waits until it can be had.
    fn free(&self, ballast: &Path) -> anyhow::Result<()> {
        let file = File::options().write(true).open(ballast)?;
        file.set_len(0)?;
        file.sync_all()?;
        fs::remove_file(ballast)?;
        Ok(syncfs(&file)?)
    }

    /// Readers, status and the deep check work, also on a full disk.
    fn look(&self) -> anyhow::Result<()> {
        let log = options(CHUNK).open_reader(&self.log).context("a reader")?;
        let mut follower = log.follow(mmlog::Start::Oldest)?;
        follower.next(&mut [0; 4096]).context("a reader")?;
        log.status().context("status")?;
        let deep = check::deep(&self.log, &options(CHUNK)).context("check")?;
        ensure!(deep.violations.is_empty(), "check: {:?}", deep.violations);
        Ok(())
    }

    /// Two writers, one after the other; the disk is filled, freed, filled again.
    fn fill(&mut self) -> anyhow::Result<()> {
        let first = self.writer(CHUNK)?;
        let freed = self.spare(4 << 20)?;
        self.ballast("ballast", 4 << 20)?;
        let filled = self.ask(first, "fill 20")?;
        ensure!(filled > 100, "full after {filled} messages");
        self.look()?;
        let second = self.writer(CHUNK)?;
        self.ask(second, "fill 20")?;
        self.alone_at("t07-creator", "other.log", &CHUNK)?;
        self.ask(first, "trim 0")?;
        self.ask(first, "fill 20")?;
        self.free(&freed)?;
        let again = self.ask(first, "fill 20")?;
        ensure!(again > filled + 100, "{filled} messages before space came back, {again} after");
        self.ask(second, "fill 20")?;
        self.look()
    }

    /// A rotation needs a page; without one it is refused, and the log goes on in its old file.
    fn rotated(&mut self) -> anyhow::Result<()> {
        const CHUNK: u64 = 1 << 20;
        let writer = self.writer(CHUNK)?;
        self.ask(writer, "append 50")?;
        self.ask(writer, "surely-rotate 0")?;
        let freed = self.spare(4 << 20)?;
        let sliver = self.disk.path().join("sliver");
        fallocate(File::create(&sliver)?, FallocateFlags::empty(), 0, 256 << 10)?;
        // On a full xfs no file can be made.
        File::create(self.disk.path().join("the rest"))?;
        self.ballast("ballast", 2 << 20)?;
        self.ask(writer, "fill 20")?;
        self.ballast("the rest", 0)?;
        self.ask(writer, "rotate 3")?;
        self.look()?;
        // Room for the next file, not for a chunk.
        self.free(&sliver)?;
        self.ask(writer, "surely-rotate 0")?;
        let before = self.ask(writer, "fill 20")?;
        self.ask(writer, "rotate 3")?;
        self.free(&freed)?;
        let after = self.ask(writer, "append 500")?;
        ensure!(after >= before + 500, "{before} messages before, {after} after space came back");
        self.ask(writer, "surely-rotate 0")?;
        self.look()
    }

    /// Writers and rotators for the last space.
    fn rotating_race(&mut self) -> anyhow::Result<()> {
        let actors: Vec<usize> = (0..6).map(|_| self.writer(64 << 10)).collect::<anyhow::Result<_>>()?;
        let freed = self.spare(3 << 20)?;
        self.ballast("ballast", 3 << 20)?;
        for round in 0..2 {
            for (index, &actor) in actors.iter().enumerate() {
                self.tell(actor, if index < 2 { "rotate 100" } else { "fill 50" });
            }
            if round == 0 {
                self.look()?;
                self.free(&freed)?;
            }
            actors.iter().try_for_each(|&actor| self.hear(actor, "fill or rotate").map(drop))?;
        }
        self.look()
    }

    /// `append` and `exec` that do not wait for space; it comes back twice.
    fn dropping(&mut self) -> anyhow::Result<()> {
        let writer = self.writer(CHUNK)?;
        self.ask(writer, "append 50")?;
        for command in dropping::COMMANDS {
            let name = command.0;
            let spares = ["one", "two"].map(|spare| self.disk.path().join(spare));
            for spare in &spares {
                fallocate(File::create(spare)?, FallocateFlags::empty(), 0, 5 << 19)?;
            }
            let log = self.disk.path().join(format!("{name}.log"));
            // There is no space to make the log in at first.
            let ballast = self.ballast("ballast", 0)?;
            let mut feed = Feed::start(command, &log, self.disk.beside().join(name), self.seed)?;
            for (round, spare) in spares.iter().enumerate() {
                feed.until("(dropping what comes", round + 1)?;
                self.free(spare)?;
                feed.until("goes on after", round + 1)?;
            }
            let account = feed.finish().with_context(|| name)?;
            ensure!(account.dropped > 0 && account.told > 0, "{name}: nothing was dropped");
            self.dropped = [self.dropped[0] + account.dropped, self.dropped[1] + account.told];
            self.free(&ballast)?;
        }
        Ok(())
    }

    /// One writer may not write where the others have made the file long: that is its own trouble, and takes no range.
    fn confined(&mut self) -> anyhow::Result<()> {
        let other = self.writer(CHUNK)?;
        self.ask(other, "append 50")?;
        self.alone("t07-confined")?;
        let holes = options(CHUNK).open_reader(&self.log)?.status()?.holes_total;
        ensure!(holes == 0, "{holes} holes of messages that were refused");
        self.ask(other, "append 50")?;
        self.look()
    }

    /// Several writers for the last space, in small steps.
    fn race(&mut self) -> anyhow::Result<()> {
        let writers: Vec<usize> = (0..6).map(|_| self.writer(64 << 10)).collect::<anyhow::Result<_>>()?;
        let freed = self.spare(3 << 20)?;
        self.ballast("ballast", 3 << 20)?;
        for round in 0..2 {
            writers.iter().for_each(|&writer| self.tell(writer, "fill 50"));
            if round == 0 {
                self.look()?;
                self.free(&freed)?;
            }
            writers.iter().try_for_each(|&writer| self.hear(writer, "fill 50").map(drop))?;
        }
        self.look()
    }

    /// Stores into blocks that a copy shares need new space, although the file was allocated.
    fn reflinked(&mut self) -> anyhow::Result<()> {
        // On btrfs nothing is stored through a mapping, and no guard needed.
        let guard = if self.disk.kind() == Kind::Btrfs { "bare" } else { "guarded" };
        let writer = self.start(4 << 20, guard)?;
        let before = self.ask(writer, "append 100")?;
        let ballast = self.share_and_fill()?;
        self.ask(writer, "fill 20")?;
        self.look()?;
        self.free(&ballast)?;
        let after = self.ask(writer, "append 500")?;
        ensure!(after >= before + 500, "{before} messages before, {after} after space came back");
        Ok(())
    }

    /// The same without the guard: says whether SIGBUS was the end of it.
    fn reflinked_bare(&mut self) -> anyhow::Result<bool> {
        let writer = self.start(4 << 20, "bare")?;
        self.ask(writer, "append 100")?;
        self.share_and_fill()?;
        self.tell(writer, "fill 20");
        Ok(self.actors[writer].hear()?.is_none()
            && self.actors[writer].ended()?.signal() == Some(Signal::SIGBUS as i32))
    }

    fn share_and_fill(&self) -> anyhow::Result<PathBuf> {
        let copy = self.disk.path().join("copy");
        File::create(&copy)?;
        if self.disk.kind() == Kind::Btrfs {
            disks::run("chattr", &["+C".as_ref(), copy.as_os_str()])?;
        }
        disks::reflink(&self.log, &copy)?;
        self.ballast("ballast", 0)
    }

    /// A quota of the log's subvolume.
    fn quota(&mut self) -> anyhow::Result<()> {
        let at = self.disk.path().join("volume");
        let btrfs = |arguments: &[&str], path: &Path| {
            let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).chain([path.as_os_str()]).collect();
            disks::run("btrfs", &arguments)
        };
        btrfs(&["quota", "enable"], self.disk.path())?;
        btrfs(&["subvolume", "create"], &at)?;
        btrfs(&["qgroup", "limit", "8M"], &at)?;
        self.log = at.join("app.log");
        let writer = self.writer(CHUNK)?;
        let filled = self.ask(writer, "fill 20")?;
        ensure!(filled > 100, "full after {filled} messages");
        self.look()?;
        btrfs(&["qgroup", "limit", "none"], &at)?;
        self.ask(writer, "append 2000").map(drop)
    }

    /// What a session had allocated and not used comes back when it ends, although btrfs gives back whole extents only.
    fn sessions(&mut self) -> anyhow::Result<()> {
        const EACH: u64 = 8 << 20;
        let free = |scene: &Self| -> anyhow::Result<u64> {
            syncfs(File::open(scene.disk.path())?)?;
            let vfs = statvfs(scene.disk.path())?;
            Ok(vfs.blocks_free() * vfs.fragment_size())
        };
        let before = free(self)?;
        for _ in 0..20 {
            let writer = self.writer(EACH)?;
            self.ask(writer, "append 5")?;
            ensure!(self.actors[writer].end()?.success(), "a session failed");
        }
        // The file system's own doings move that by some MiB.
        let used = before.saturating_sub(free(self)?);
        ensure!(used < 3 * EACH, "20 sessions that grew by {EACH} bytes each have taken {used}");
        Ok(())
    }

    /// A role that does it all by itself, with the log and the table.
    fn alone(&mut self, role: &str) -> anyhow::Result<()> {
        let (name, acks) = ("app.log", self.acks.display().to_string());
        self.alone_at(role, name, &acks)?;
        self.look()
    }

    fn alone_at(&self, role: &str, name: &str, with: &dyn std::fmt::Display) -> anyhow::Result<()> {
        let path = self.disk.path().join(name);
        let (_, status) = Actor::start(role, &[&path.display(), with])?.rest()?;
        ensure!(status.success(), "{role}: {}", died(status));
        Ok(())
    }

    /// Ends the writers, and compares the log with what was acknowledged.
    fn account(&mut self, run: &mut Run) -> anyhow::Result<()> {
        for (id, mut writer) in self.actors.drain(..).enumerate() {
            let status = writer.end()?;
            ensure!(status.success(), "writer {id} at its end: {}", died(status));
        }
        let (found, _) = oracle::check(&self.log, &Acks::open(&self.acks)?)?;
        run.count("messages", found.acknowledged);
        run.count("refused", found.refused);
        run.count("bytes dropped", self.dropped[0]);
        run.count("lines that tell it", self.dropped[1]);
        run.count("holes", found.holes);
        ensure!(found.violations.is_empty(), "{}", found.violations.join("; "));
        let segments = Segments::look(&self.log)?;
        ensure!(!segments.has_next, "a rotation has left a temporary file");
        run.count("segments", segments.finals.len() as u64);
        let len = segments.bytes()?.len() as u64;
        let log = Log::options().open(&self.log).context("open in the end")?;
        ensure!(log.cursor()?.get() == len, "{len} bytes at rest, the cursor is {}", log.cursor()?.get());
        Ok(())
    }
}

/// How a process ended, in words.
fn died(status: std::process::ExitStatus) -> String {
    match status.signal().and_then(|signal| Signal::try_from(signal).ok()) {
        Some(signal) => format!("killed by {signal}"),
        None => status.to_string(),
    }
}
