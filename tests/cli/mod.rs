//! Runs `mmlogctl` as users do: as a process, with bytes on its standard input, and looks at everything it leaves.
//!
//! Nothing here sleeps to let something happen: what is waited for is looked for, and [`DEADLINE`] only catches hangs.

#![allow(dead_code, unused_imports, reason = "each test file uses the part it needs")]

mod files;
mod process;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;
use tempfile::TempDir;

pub(crate) use files::{
    Bytes, Held, at, became_final, finals, forget_final, messages, metadata_of, poke, raw, reboot, slot,
    write_hole, write_hole_time, write_owner, write_slot,
};
pub(crate) use process::{Ended, Ends, Running, Tool, mmlogctl, succeeds};

/// No test needs a fraction of it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// A uid and gid that own nothing here.
pub(crate) const NOBODY: u32 = 65534;

/// Every command that takes a log, with nothing but its path; not `check` and `repair`, which say what is wrong with it.
pub(crate) const COMMANDS: [&str; 8] = ["init", "append", "cat", "tail", "status", "segments", "trim", "rm"];

/// Those of them that write to the log's files.
pub(crate) const WRITING: [&str; 3] = ["init", "append", "trim"];

/// A directory of its own for a test, gone afterwards.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// On a disk also where other temporary directories are in memory: of a log there nobody knows how long it was idle.
    pub(crate) fn on_disk() -> Self {
        Self(tempfile::tempdir_in("/var/tmp").unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A log with this content at rest; its chunks are small, so that growing is frequent.
    pub(crate) fn log(&self, content: &[u8]) -> PathBuf {
        let log = self.file("app.log");
        let made = ["--raw", "--chunk-size=64K", "--max-writers=8"];
        mmlogctl("append", &log).args(made).input(content).run().is_success();
        log
    }
}

/// Says on the terminal, past the test harness, that a claim was not tried.
pub(crate) fn skipped(claim: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {claim}: {why}");
}

/// Why what such a signal does cannot be tried.
pub(crate) const IGNORED: &str = "whoever started the tests ignores it (nohup, a job in the background)";

/// Whether this process ignores the signal, as under nohup, and so does what it starts.
pub(crate) fn is_ignored(signal: nix::sys::signal::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal as i32 - 1) & 1 == 1
}

pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Looks again and again until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "this did not come: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Runs `rm`, in one way or another, on files that this process has had open: again while they are said to be in use.
/// Whatever other tests are just starting has copies of our descriptors until it is started.
pub(crate) fn when_out_of_use(rm: impl Fn() -> Ended) -> Ended {
    wait_for("the log is out of use", || Some(rm()).filter(|ended| ended.code != 3))
}

/// Gives this thread, and the processes it starts, mounts of their own: they end with the test, however it ends.
/// False when the system does not let us.
pub(crate) fn own_mounts() -> bool {
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    is_root()
        && unshare(CloneFlags::CLONE_NEWNS).is_ok()
        && mount(None::<&str>, "/", None::<&str>, private, None::<&str>).is_ok()
}

/// A tmpfs of that size; where none can be had, that the claim was skipped is said.
pub(crate) fn small_disk(scratch: &Scratch, size: &str, claim: &str) -> Option<PathBuf> {
    let disk = mounted(scratch, "tmpfs", &format!("size={size}"));
    if disk.is_none() {
        skipped(claim, "mounting a small tmpfs needs root");
    }
    disk
}

/// Leaves no space there, until the file is removed.
pub(crate) fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut filler = File::create(&path).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    path
}

/// Mounts a small file system at a new directory; nothing when the system does not let us.
pub(crate) fn mounted(scratch: &Scratch, kind: &str, options: &str) -> Option<PathBuf> {
    let place = scratch.file(kind);
    std::fs::create_dir(&place).unwrap();
    let done = own_mounts() && mount(Some(kind), &place, Some(kind), MsFlags::empty(), Some(options)).is_ok();
    done.then_some(place)
}

/// A FUSE file system whose daemon does not answer; gone with this.
pub(crate) struct Hung {
    pub(crate) place: PathBuf,
    _daemon: File,
    /// Where the kernel says how many calls wait for the daemon.
    waiting: PathBuf,
    /// How many do without anybody else's: the one that begins the connection.
    at_rest: u32,
}

impl Hung {
    /// Mounts one at a new directory; nothing when the system does not let us.
    pub(crate) fn mount(scratch: &Scratch) -> Option<Self> {
        let [place, control] = ["fuse", "fusectl"].map(|name| scratch.file(name));
        std::fs::create_dir(&place).unwrap();
        std::fs::create_dir(&control).unwrap();
        let daemon =
            File::options().read(true).write(true).open("/dev/fuse").ok().filter(|_| own_mounts())?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", daemon.as_raw_fd());
        mount(Some("hung"), &place, Some("fuse"), MsFlags::empty(), Some(options.as_str())).ok()?;
        mount(Some("fusectl"), &control, Some("fusectl"), MsFlags::empty(), None::<&str>).ok()?;
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let ours = format!(" {} ", place.display());
        let device = mounts.lines().find(|line| line.contains(&ours))?.split(' ').nth(2)?;
        let waiting = control.join(device.strip_prefix("0:")?).join("waiting");
        let mut hung = Self { place, _daemon: daemon, waiting, at_rest: 0 };
        hung.at_rest = hung.calls();
        Some(hung)
    }

    /// How many calls wait for the daemon.
    fn calls(&self) -> u32 {
        std::fs::read_to_string(&self.waiting).unwrap().trim().parse().unwrap()
    }

    /// Whether somebody stands in a call to it, where no handler of a signal runs.
    pub(crate) fn is_called(&self) -> bool {
        self.calls() > self.at_rest
    }
}
