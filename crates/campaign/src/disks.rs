//! Disks in files: an image, a file system in it, a mount. Everything is undone when its guard is dropped; all of it
//! lies in a mount namespace of this process, so that also a killed campaign leaves nothing mounted.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// A file system that a disk can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
    Btrfs,
    Tmpfs,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Tmpfs => "tmpfs",
        }
    }

    /// The least size that its mkfs takes, or what is enough to see something.
    pub(crate) fn least_bytes(self) -> u64 {
        match self {
            Self::Ext4 | Self::Tmpfs => 16 << 20,
            Self::Xfs => 300 << 20,
            Self::Btrfs => 256 << 20,
        }
    }
}

/// Why disks of these kinds cannot be had here; `None` when they can.
pub(crate) fn missing(kinds: &[Kind]) -> Option<String> {
    if let Err(why) = namespace() {
        return Some(why.clone());
    }
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    for kind in kinds {
        let name = kind.name();
        if !known.lines().any(|line| line.split_whitespace().last() == Some(name)) {
            return Some(format!("this kernel has no {name}"));
        }
        if *kind != Kind::Tmpfs && !has_program(&format!("mkfs.{name}")) {
            return Some(format!("no mkfs.{name}; install {}", package(*kind)));
        }
    }
    if kinds.iter().any(|&kind| kind != Kind::Tmpfs) {
        if !has_program("losetup") {
            return Some("no losetup; install util-linux".into());
        }
        if !Path::new("/dev/loop-control").exists() {
            return Some("this kernel has no loop devices".into());
        }
    }
    None
}

fn package(kind: Kind) -> &'static str {
    match kind {
        Kind::Ext4 => "e2fsprogs",
        Kind::Xfs => "xfsprogs",
        Kind::Btrfs => "btrfs-progs",
        Kind::Tmpfs => "util-linux",
    }
}

/// Whether there is such a program.
pub(crate) fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories.into_iter().any(|directory| directory.join(name).is_file())
}

/// Gives this process mounts of its own, once.
fn namespace() -> Result<(), &'static String> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let enter = || {
        unshare(CloneFlags::CLONE_NEWNS)
            .and_then(|()| mount_raw(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, ""))
            .map_err(|e| format!("cannot have mounts of its own ({e}); needs root"))
    };
    DONE.get_or_init(enter).as_ref().copied()
}

fn mount_raw(
    device: Option<&Path>,
    at: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    options: &str,
) -> nix::Result<()> {
    mount(device, at, kind, flags, Some(options))
}

/// Gives this process mounts of its own, and a procfs as units with `ProcSubset=pid` have it, in which no boot id can be
/// read; all of it goes with the process. For a role that has not used a log yet.
pub(crate) fn hide_boot_id() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount_raw(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, "")?;
    mount_raw(Some(Path::new("proc")), Path::new("/proc"), Some("proc"), MsFlags::empty(), "subset=pid")
}

/// Runs a program that has to succeed; what it said on stdout.
pub(crate) fn run(program: &str, arguments: &[&OsStr]) -> anyhow::Result<String> {
    let done = Command::new(program).args(arguments).output().with_context(|| format!("run {program}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!("{program} {arguments:?}: {}: {}", done.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_string())
}

/// Makes a sparse file of that many bytes with an empty file system in it.
pub(crate) fn make_image(image: &Path, kind: Kind, bytes: u64) -> anyhow::Result<()> {
    File::create(image)?.set_len(bytes)?;
    let quiet: &[&str] = match kind {
        // No work left for later: what reaches the disk afterwards is the log's.
        Kind::Ext4 => &["-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"],
        Kind::Xfs => &["-q", "-K", "-m", "reflink=1"],
        Kind::Btrfs => &["-q", "-K"],
        Kind::Tmpfs => bail!("a tmpfs lies in no image"),
    };
    let arguments: Vec<&OsStr> = quiet.iter().map(OsStr::new).chain([image.as_os_str()]).collect();
    run(&format!("mkfs.{}", kind.name()), &arguments).map(drop)
}

/// A file system that is mounted; unmounted when dropped.
pub(crate) struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// A tmpfs of that many bytes at an existing directory.
    pub(crate) fn memory(at: &Path, bytes: u64) -> anyhow::Result<Self> {
        mount_raw(Some(Path::new("tmpfs")), at, Some("tmpfs"), MsFlags::empty(), &format!("size={bytes}"))
            .context("mount a tmpfs")?;
        Ok(Self { at: at.to_path_buf() })
    }

    /// The file system in an image, at an existing directory, through a loop device that goes with the mount.
    /// Several copies of one image may be mounted, one after the other.
    pub(crate) fn image(image: &Path, kind: Kind, at: &Path) -> anyhow::Result<Self> {
        let device = Loop::attach(image)?;
        let options = if kind == Kind::Xfs { "nouuid" } else { "" };
        mount_raw(Some(&device.0), at, Some(kind.name()), MsFlags::MS_NOATIME, options)
            .with_context(|| format!("mount {} ({})", image.display(), kind.name()))?;
        Ok(Self { at: at.to_path_buf() })
    }

    /// What somebody else has mounted there, to be unmounted with the rest.
    pub(crate) fn by_other(at: &Path) -> Self {
        Self { at: at.to_path_buf() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A killed process may be about to let go of its files.
        let deadline = Instant::now() + Duration::from_secs(5);
        while umount2(&self.at, MntFlags::empty()) == Err(nix::Error::EBUSY) {
            if Instant::now() > deadline {
                let _ = umount2(&self.at, MntFlags::MNT_DETACH);
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A loop device. Detaching a mounted one takes effect when it is unmounted, so this lives only until the mount.
struct Loop(PathBuf);

impl Loop {
    fn attach(image: &Path) -> anyhow::Result<Self> {
        let device = run("losetup", &["--find".as_ref(), "--show".as_ref(), image.as_os_str()])?;
        Ok(Self(device.into()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = run("losetup", &["--detach".as_ref(), self.0.as_os_str()]);
    }
}

/// A disk of its own: a directory, an image in it, and the file system in that, mounted.
pub(crate) struct Disk {
    mounted: Mounted,
    home: tempfile::TempDir,
    kind: Kind,
}

impl Disk {
    /// An empty one, its image in memory.
    pub(crate) fn new(kind: Kind, bytes: u64) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("campaign").tempdir_in("/dev/shm")?;
        let at = home.path().join("mounted");
        fs::create_dir(&at)?;
        let mounted = if kind == Kind::Tmpfs {
            Mounted::memory(&at, bytes)?
        } else {
            let image = home.path().join("image");
            make_image(&image, kind, bytes)?;
            Mounted::image(&image, kind, &at)?
        };
        Ok(Self { mounted, home, kind })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.mounted.path()
    }

    /// A directory beside it, in memory.
    pub(crate) fn beside(&self) -> &Path {
        self.home.path()
    }
}

/// Shares all blocks of `from` with the new file `to`.
pub(crate) fn reflink(from: &Path, to: &Path) -> anyhow::Result<()> {
    run("cp", &["--reflink=always".as_ref(), from.as_os_str(), to.as_os_str()]).map(drop)
}
