//! A log whose file system is unmounted and mounted again, with another device number and the same inodes: the overlay of
//! a container that is started again, a btrfs, a volume that is attached again. It is the log that it was.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::containers::{HOST, crew, identity};
use super::views::{Overlay, is_foreign};
use super::{Case, Scene, Skip};
use crate::disks::{self, Kind, Mounted};

pub(super) const CASES: &[Case] = &[
    ("a log in an overlay that is mounted again", overlay),
    ("a log in an image's layer, below a container's", layered),
    ("a log on a btrfs that is mounted again", |scene| volume(scene, Kind::Btrfs)),
    ("a log on an ext4 that is attached again", |scene| volume(scene, Kind::Ext4)),
    ("a log on an xfs that is attached again", |scene| volume(scene, Kind::Xfs)),
];

const VOLUME_BYTES: u64 = 512 << 20;

fn available(kinds: &[Kind]) -> anyhow::Result<()> {
    disks::missing(kinds).map_or(Ok(()), |why| Err(Skip(why).into()))
}

fn directory(scene: &Scene, name: &str) -> std::io::Result<PathBuf> {
    let path = scene.directory.join(name);
    fs::create_dir(&path).map(|()| path)
}

fn overlay(scene: &mut Scene) -> anyhow::Result<()> {
    available(&[Kind::Tmpfs])?;
    let overlay = Overlay::directories(scene)?;
    again(scene, Kind::Tmpfs, |_, at| overlay.mount_at(at).map(|()| Mounted::by_other(at)))
}

/// The first container's upper layer becomes an image's: the log is copied up from there by whoever writes next.
fn layered(scene: &mut Scene) -> anyhow::Result<()> {
    available(&[Kind::Tmpfs])?;
    let mut overlay = Overlay::directories(scene)?;
    again(scene, Kind::Tmpfs, |round, at| {
        if round == 1 {
            overlay.commit()?;
        }
        overlay.mount_at(at).map(|()| Mounted::by_other(at))
    })
}

fn volume(scene: &mut Scene, kind: Kind) -> anyhow::Result<()> {
    available(&[kind, Kind::Ext4])?;
    let image = scene.directory.join("image");
    disks::make_image(&image, kind, VOLUME_BYTES)?;
    let (copy, beside) = (scene.directory.join("copy"), directory(scene, "beside")?);
    // The number of a btrfs is no device's, but one of those that file systems in memory have, too.
    let decoy = if kind == Kind::Btrfs { Kind::Tmpfs } else { Kind::Ext4 };
    again(scene, decoy, |_, at| Mounted::image(&image, kind, at))?;
    if kind == Kind::Btrfs {
        return Ok(());
    }
    // A snapshot of it is another log while the original is there, whatever its numbers.
    let original = Mounted::image(&image, kind, &directory(scene, "original")?)?;
    nix::unistd::syncfs(File::open(original.path())?)?;
    disks::run("cp", &["--sparse=always".as_ref(), image.as_os_str(), copy.as_os_str()])?;
    let snapshot = Mounted::image(&copy, kind, &beside)?;
    let refused = is_foreign(&snapshot.path().join("odd.log"));
    drop((snapshot, original));
    refused
}

/// Writers come, are killed and leave; then the file system goes, and comes back at another place, under another number
/// since somebody (`decoy`) has its old one. Each time all of the log is there, in the same epoch.
fn again(
    scene: &mut Scene,
    decoy: Kind,
    mut mount: impl FnMut(u64, &Path) -> anyhow::Result<Mounted>,
) -> anyhow::Result<()> {
    let places = [directory(scene, "here")?, directory(scene, "there")?];
    let decoy = Decoy::new(scene, decoy)?;
    let (mut devices, mut first) = (BTreeSet::new(), None);
    for round in 0..=scene.rounds.max(3) {
        let occupied = if round % 2 == 1 { Some(decoy.mount()?) } else { None };
        let mounted = mount(round, &places[scene.random.below(2) as usize])?;
        scene.log = mounted.path().join("odd.log");
        if round == 0 {
            drop(scene.create()?);
        }
        let now = identity(scene, HOST)?;
        let first = first.get_or_insert_with(|| now.clone());
        anyhow::ensure!(now == *first, "the log was {first}, and is {now} on a new mount");
        crew(scene, HOST)?;
        let now = identity(scene, HOST)?;
        anyhow::ensure!(now == *first, "the log was {first}, and is {now} for who writes on a new mount");
        devices.insert(fs::metadata(&scene.log)?.dev());
        if round == scene.rounds.max(3) {
            scene.judge()?;
        }
        drop((mounted, occupied));
    }
    anyhow::ensure!(devices.len() > 1, "each mount has the device number {devices:?}");
    Ok(())
}

/// A file system that takes a device number which another had.
struct Decoy {
    kind: Kind,
    image: PathBuf,
    at: PathBuf,
}

impl Decoy {
    fn new(scene: &Scene, kind: Kind) -> anyhow::Result<Self> {
        let (image, at) = (scene.directory.join("decoy.img"), directory(scene, "decoy")?);
        if kind != Kind::Tmpfs {
            disks::make_image(&image, kind, kind.least_bytes())?;
        }
        Ok(Self { kind, image, at })
    }

    fn mount(&self) -> anyhow::Result<Mounted> {
        match self.kind {
            Kind::Tmpfs => Mounted::memory(&self.at, 1 << 20),
            kind => Mounted::image(&self.image, kind, &self.at),
        }
    }
}
