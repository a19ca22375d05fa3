//! T8: the power is cut while writers append, with and without sync.
//!
//! Two engines. *Snapshots*: the disk is a file on an xfs, and `cp --reflink` of it is what had reached the disk at
//! one instant. *Recordings*: the disk is a file of ours ([`recorder`]), and a cut is everything up to the last
//! flush with a random part of what was written later ([`cuts`]).
//!
//! Each cut is mounted (its file system recovers), "rebooted", and handed to the oracle ([`check`]): what a sync
//! that had returned by then promised must be there. What was promised is noted outside the disk ([`notes`]).

mod check;
mod cuts;
mod notes;
mod recorder;
mod writers;

use std::fs;
use std::path::{Path, PathBuf};

use super::Theme;
use crate::actor::Actor;
use crate::children::Role;
use crate::disks::{self, Disk, Kind, Mounted, reflink};
use crate::run::Run;
use cuts::{Cutter, Grain};
use notes::{Stage, Word};
use recorder::RecordedDisk;
use writers::{Crew, Subject, Syncs};

pub(crate) const THEME: Theme = Theme { id: "T8", about: "power cuts", run };

pub(crate) const ROLES: &[Role] =
    &[("t08-writer", writers::role), ("t08-check", check::role), ("t08-disk", recorder::role)];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Engine {
    Snapshots,
    Recordings,
}

/// What is expected of a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expect {
    /// Nothing is lost; if every watermark had been synced, something would be.
    Kept,
    /// The syncs are faked: something is lost.
    Loss,
}

struct Round {
    engine: Engine,
    kind: Kind,
    subject: Subject,
    writers: &'static [Syncs],
    expect: Expect,
    /// At CI size.
    cuts: u64,
}

const MIXED: &[Syncs] = &[Syncs::Often, Syncs::Rarely, Syncs::Own, Syncs::Never];
const ROUNDS: &[Round] = &[
    round(Engine::Snapshots, Kind::Ext4, 60),
    round(Engine::Snapshots, Kind::Xfs, 30),
    round(Engine::Recordings, Kind::Ext4, 60),
    round(Engine::Recordings, Kind::Ext4, 60),
    round(Engine::Recordings, Kind::Xfs, 30),
    Round { subject: Subject::Plain, writers: &[Syncs::Often], ..round(Engine::Snapshots, Kind::Ext4, 15) },
    Round { subject: Subject::Plain, writers: &[Syncs::Often], ..round(Engine::Recordings, Kind::Ext4, 15) },
    Round {
        writers: &[Syncs::Faked, Syncs::Never],
        expect: Expect::Loss,
        ..round(Engine::Recordings, Kind::Ext4, 15)
    },
];

const fn round(engine: Engine, kind: Kind, cuts: u64) -> Round {
    Round { engine, kind, subject: Subject::Log, writers: MIXED, expect: Expect::Kept, cuts }
}

/// Messages between two cuts of a snapshot round, and for each cut of a recording.
const MESSAGES_A_CUT: u64 = 50;

fn run(run: &mut Run) -> anyhow::Result<()> {
    if let Some(why) = disks::missing(&[Kind::Ext4, Kind::Xfs]) {
        run.skipped(why);
        return Ok(());
    }
    for (index, round) in ROUNDS.iter().enumerate() {
        if round.engine == Engine::Recordings && !Path::new("/dev/fuse").exists() {
            run.skipped("recordings: no /dev/fuse");
            continue;
        }
        // All images of a round lie on one host, which can share their blocks.
        let host = Disk::new(Kind::Xfs, 8 << 30)?;
        Scene { host: &host, round, number: index }.play(run)?;
    }
    Ok(())
}

/// A cut that waits to be checked.
struct Cut {
    image: PathBuf,
    time: u64,
    /// How it was made, for people.
    how: String,
}

struct Scene<'a> {
    host: &'a Disk,
    round: &'a Round,
    number: usize,
}

impl Scene<'_> {
    fn play(&self, run: &mut Run) -> anyhow::Result<()> {
        let round = self.round;
        let stage_at = self.host.beside().join("stage");
        fs::create_dir(&stage_at)?;
        let stage = Stage::create(&stage_at)?;
        let base = self.host.path().join("base.img");
        disks::make_image(&base, round.kind, round.kind.least_bytes().max(64 << 20))?;
        let cuts = run.size.of(round.cuts);
        let made = match round.engine {
            Engine::Snapshots => self.snapshots(run, &stage, &base, cuts)?,
            Engine::Recordings => self.recordings(run, &stage, &base, cuts)?,
        };
        let (mut losses, mut losses_of_control) = (0, 0);
        for (index, cut) in made.into_iter().enumerate() {
            let again = cut.image.with_extension("again");
            let control = index % 4 == 0 && round.expect == Expect::Kept;
            if control {
                reflink(&cut.image, &again)?;
                losses_of_control += self.check(run, &stage, &again, &cut, true)?.len();
            }
            let found = self.check(run, &stage, &cut.image, &cut, false)?;
            run.count("images", 1);
            losses += found.len();
            if round.expect == Expect::Kept {
                found.into_iter().for_each(|text| run.violation(self.describe(&cut, &text)));
            }
        }
        let name = format!("{:?} of {:?} on {}", round.engine, round.subject, round.kind.name());
        match round.expect {
            Expect::Kept => run.control(&format!("{name}: watermarks as if synced"), losses_of_control > 0),
            Expect::Loss => run.control(&format!("{name}: syncs faked"), losses > 0),
        }
        Ok(())
    }

    fn describe(&self, cut: &Cut, text: &str) -> String {
        let Round { engine, kind, subject, .. } = self.round;
        format!("round {} ({engine:?}, {subject:?}, {}), {}: {text}", self.number, kind.name(), cut.how)
    }

    fn crew<'s>(&self, run: &mut Run, stage: &'s Stage, at: &Path) -> anyhow::Result<Crew<'s>> {
        let Round { subject, writers, .. } = *self.round;
        Crew::start(&at.join("app.log"), stage, subject, run.random.next(), writers)
    }

    /// Only a log goes on when one of its writers is killed.
    fn kill_some(&self, run: &mut Run, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        if self.round.subject == Subject::Log && run.random.below(3) == 0 {
            run.count("kills", 1);
            crew.kill_one(&mut run.random)?;
        }
        Ok(())
    }

    fn mount_point(&self, name: &str) -> anyhow::Result<PathBuf> {
        let at = self.host.beside().join(name);
        fs::create_dir_all(&at)?;
        Ok(at)
    }

    fn snapshots(&self, run: &mut Run, stage: &Stage, live: &Path, cuts: u64) -> anyhow::Result<Vec<Cut>> {
        stage.set(Word::End, cuts * MESSAGES_A_CUT);
        let mounted = Mounted::image(live, self.round.kind, &self.mount_point("live")?)?;
        let mut crew = self.crew(run, stage, mounted.path())?;
        let mut made = Vec::new();
        for number in 0..cuts {
            // The cut falls anywhere into these messages, and writers go on meanwhile.
            let first = number * MESSAGES_A_CUT;
            stage.set(Word::Permits, first + MESSAGES_A_CUT);
            crew.until_taken(first + run.random.below(MESSAGES_A_CUT))?;
            // A sync that was noted with this number, or an earlier one, had returned before the copy began.
            stage.set(Word::Clock, number + 1);
            let image = self.host.path().join(format!("cut-{number}.img"));
            reflink(live, &image)?;
            made.push(Cut { image, time: number, how: format!("snapshot {number}") });
            self.kill_some(run, &mut crew)?;
        }
        crew.finish()?;
        Ok(made)
    }

    fn recordings(&self, run: &mut Run, stage: &Stage, base: &Path, cuts: u64) -> anyhow::Result<Vec<Cut>> {
        let end = cuts * MESSAGES_A_CUT;
        stage.set(Word::End, end);
        stage.set(Word::Permits, end);
        let image = self.host.beside().join("recorded.img");
        disks::run("cp", &["--sparse=always".as_ref(), base.as_os_str(), image.as_os_str()])?;
        let disk = RecordedDisk::attach(&image, &self.mount_point("served")?, stage)?;
        let mounted = Mounted::image(disk.image(), self.round.kind, &self.mount_point("live")?)?;
        let mut crew = self.crew(run, stage, mounted.path())?;
        let mut taken = 0;
        while taken < end {
            taken += 1 + run.random.below(2 * MESSAGES_A_CUT);
            crew.until_taken(taken.min(end))?;
            self.kill_some(run, &mut crew)?;
        }
        crew.finish()?;
        drop(mounted);
        let records = disk.finish()?;
        run.count("records", records.len() as u64);
        let mut times: Vec<usize> =
            (0..cuts).map(|_| run.random.below(records.len() as u64 + 1) as usize).collect();
        times.sort_unstable();
        let mut cutter = Cutter::new(&records, base.to_path_buf())?;
        let mut made = Vec::new();
        for (number, time) in times.into_iter().enumerate() {
            let image = self.host.path().join(format!("cut-{number}.img"));
            let grain = *run.random.pick(&[Grain::Whole, Grain::Torn(512), Grain::Torn(4096)]);
            let (kept, dropped) = cutter.cut(time, grain, &mut run.random, &image)?;
            let how =
                format!("cut at {time} of {}, {grain:?}, {kept} kept, {dropped} dropped", records.len());
            made.push(Cut { image, time: time as u64, how });
        }
        Ok(made)
    }

    /// Mounts the image, asks the oracle, and removes the image. The violations.
    fn check(
        &self,
        run: &mut Run,
        stage: &Stage,
        image: &Path,
        cut: &Cut,
        watermarks: bool,
    ) -> anyhow::Result<Vec<String>> {
        let at = self.mount_point("cut")?;
        let mounted = match Mounted::image(image, self.round.kind, &at) {
            Ok(mounted) => mounted,
            Err(e) => return Ok(vec![format!("the image cannot be mounted: {e:#}")]),
        };
        let log = at.join("app.log");
        let (log, directory) = (log.display(), stage.directory().display());
        let actor =
            Actor::start("t08-check", &[&log, &directory, &cut.time, &self.round.subject, &watermarks])?;
        let (lines, status) = actor.rest()?;
        drop(mounted);
        fs::remove_file(image)?;
        let mut found = Vec::new();
        for line in lines {
            match line.split_once(' ') {
                Some(("violation", text)) => found.push(text.to_string()),
                Some(("fact", fact)) if !watermarks => {
                    let (name, count) = fact.split_once(' ').unwrap_or((fact, "0"));
                    let count = count.parse().unwrap_or(0);
                    match name {
                        "promised" => run.count("promised messages", count),
                        _ => run.count("unsynced logs refused", count),
                    }
                }
                Some(("note", text)) if !watermarks => println!("T8 note: {}", self.describe(cut, text)),
                _ => {}
            }
        }
        if !status.success() {
            found.push(format!("the oracle ended with {status}"));
        }
        Ok(found)
    }
}
