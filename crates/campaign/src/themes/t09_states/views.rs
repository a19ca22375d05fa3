//! Overlays: two views of what looks like one log.

use std::fs;
use std::path::{Path, PathBuf};

use mmlog::{Fault, Log, Options};
use nix::mount::{MsFlags, mount};

use super::containers::own_mounts;
use super::{Case, Scene, in_child, kill_and_wait, needs};
use crate::oracle::{Acks, check};

pub(super) const CASES: &[Case] =
    &[("an overlay over a log", over_a_log), ("a log in an overlay", in_an_overlay)];

pub(super) struct Overlay {
    /// The highest one first.
    lower: Vec<PathBuf>,
    upper: PathBuf,
    work: PathBuf,
    merged: PathBuf,
}

impl Overlay {
    pub(super) fn directories(scene: &Scene) -> std::io::Result<Self> {
        let make = |name: &str| {
            let path = scene.directory.join(name);
            fs::create_dir(&path).map(|()| path)
        };
        Ok(Self {
            lower: vec![make("lower")?],
            upper: make("upper")?,
            work: make("work")?,
            merged: make("merged")?,
        })
    }

    pub(super) fn mount_at(&self, at: &Path) -> anyhow::Result<()> {
        let show = |path: &PathBuf| path.display().to_string();
        let lower = self.lower.iter().map(show).collect::<Vec<_>>().join(":");
        let options = format!("lowerdir={lower},upperdir={},workdir={}", show(&self.upper), show(&self.work));
        needs("overlay", mount(Some("overlay"), at, Some("overlay"), MsFlags::empty(), Some(&*options)))
    }

    /// While it is not mounted: the upper directory becomes a lower one, under a new one.
    pub(super) fn commit(&mut self) -> std::io::Result<()> {
        let new = |path: &Path| {
            let path = path.with_extension("new");
            fs::create_dir(&path).map(|()| path)
        };
        let upper = new(&self.upper)?;
        self.lower.insert(0, std::mem::replace(&mut self.upper, upper));
        self.work = new(&self.work)?;
        Ok(())
    }
}

/// Appends are refused as those of a copy.
pub(super) fn is_foreign(path: &Path) -> anyhow::Result<()> {
    match Log::options().open(path) {
        Ok(_) => anyhow::bail!("a writer was let in at {}", path.display()),
        Err(e) => anyhow::ensure!(
            matches!(e.fault(), Fault::Foreign { .. } | Fault::OtherMount { .. }),
            "refused with {e}"
        ),
    }
    Ok(())
}

fn reads(path: &Path, acks: &Acks) -> anyhow::Result<()> {
    let (found, _) = check(path, acks)?;
    anyhow::ensure!(found.acknowledged > 0, "{} has nothing", path.display());
    let wrong: Vec<_> = found.violations.iter().filter(|v| !v.contains("data-file")).cloned().collect();
    anyhow::ensure!(wrong.is_empty(), "at {}: {}", path.display(), wrong.join("; "));
    Ok(())
}

/// The lower log is used by those who know it. Through the overlay, before and after a copy-up, it can only be read.
fn over_a_log(scene: &mut Scene) -> anyhow::Result<()> {
    own_mounts()?;
    let overlay = Overlay::directories(scene)?;
    scene.log = overlay.lower[0].join("odd.log");
    let merged = overlay.merged.join("odd.log");
    drop(scene.create()?);
    overlay.mount_at(&overlay.merged)?;
    let path = scene.log.clone();
    let writer = scene.writer(&path)?;
    scene.get_on(100)?;
    kill_and_wait(writer)?;
    scene.judge()?;
    reads(&merged, &scene.acks)?;
    let early = Options::new().open_reader(&merged)?;
    // To be opened for writing, the files are copied up.
    is_foreign(&merged)?;
    is_foreign(&merged)?;
    reads(&merged, &scene.acks)?;
    anyhow::ensure!(early.watermark()? == early.cursor()?, "the reader that was there before the copy-up");
    let writer = scene.writer(&path)?;
    scene.get_on(100)?;
    kill_and_wait(writer)?;
    scene.judge()
}

/// The log is the overlay's; who finds its files in the upper directory may only read.
fn in_an_overlay(scene: &mut Scene) -> anyhow::Result<()> {
    own_mounts()?;
    let overlay = Overlay::directories(scene)?;
    overlay.mount_at(&overlay.merged)?;
    scene.log = overlay.merged.join("odd.log");
    let upper = overlay.upper.join("odd.log");
    drop(scene.create()?);
    let path = scene.log.clone();
    let writers = [scene.writer(&path)?, scene.writer(&path)?];
    for _ in 0..scene.rounds {
        let killed = scene.writer(&path)?;
        scene.get_on(100)?;
        is_foreign(&upper)?;
        let seen = in_child(|| Ok(Options::new().open_reader(&upper)?.watermark()?.to_string()))?;
        anyhow::ensure!(seen != "0", "the upper view is empty");
        kill_and_wait(killed)?;
    }
    scene.count(scene.rounds, "kills");
    scene.close(&writers)?;
    scene.judge()?;
    reads(&upper, &scene.acks)
}
