//! T8: the power is cut while writers append, with and without sync.
//!
//! Two engines. *Snapshots*: the disk is a file on an xfs, and `cp --reflink` of it is what had reached the disk at
//! one instant. *Recordings*: the disk is a file of ours ([`recorder`]), and a cut is everything up to the last
//! flush with a random part of what was written later ([`cuts`]).
//!
//! Each cut is mounted (its file system recovers), "rebooted", and handed to the oracle ([`check`]): what a sync
//! that had returned by then promised must be there. What was promised is noted outside the disk ([`notes`]).
//!
//! Some rounds are of logs that bound themselves: what lies below the oldest position is pruned, and not asked for.
//!
//! That there was a reboot is told by the boot id, by the clocks, or by neither ([`Recorded`]); who writes, and who comes
//! after the cut, can read the id of his boot or not.

mod check;
mod content;
mod cuts;
mod notes;
mod promise;
mod recorder;
mod writers;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::Theme;
use crate::actor::Actor;
use crate::children::Role;
use crate::disks::{self, Disk, Kind, Mounted, reflink};
use crate::run::Run;
use check::Recorded;
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

/// How a cut is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Judged {
    AsIs,
    /// As if every watermark had been synced.
    Watermarks,
    /// As by who takes the boot that the cut ended for his own.
    ThisBoot,
}

impl Judged {
    fn words(self) -> &'static str {
        match self {
            Self::AsIs => "as it is",
            Self::Watermarks => "watermarks as if synced",
            Self::ThisBoot => "another boot taken for this one",
        }
    }
}

struct Round {
    engine: Engine,
    kind: Kind,
    subject: Subject,
    writers: &'static [Syncs],
    /// Whether messages have no NULs.
    text: bool,
    expect: Expect,
    /// One of the cuts of each life is what the next begins with.
    lives: u64,
    /// Of each life, at CI size.
    cuts: u64,
}

impl Round {
    const fn new(engine: Engine, kind: Kind) -> Self {
        let subject = Subject::Log;
        Self { engine, kind, subject, writers: MIXED, text: false, expect: Expect::Kept, lives: 3, cuts: 20 }
    }

    const fn text(engine: Engine, kind: Kind) -> Self {
        Self {
            writers: &[Syncs::Each, Syncs::Own, Syncs::Own, Syncs::Never],
            text: true,
            ..Self::new(engine, kind)
        }
    }

    /// The engine itself loses nothing.
    const fn plain(engine: Engine) -> Self {
        let writers = &[Syncs::Rarely];
        Self { subject: Subject::Plain, writers, lives: 1, ..Self::new(engine, Kind::Ext4) }
    }

    /// Writers rotate and prune by a policy.
    const fn bounded(kind: Kind, subject: Subject) -> Self {
        Self { subject, lives: 2, ..Self::text(Engine::Recordings, kind) }
    }

    /// Syncs that are none are found out.
    const fn faked(engine: Engine) -> Self {
        let writers = &[Syncs::Faked, Syncs::Never];
        Self { writers, expect: Expect::Loss, lives: 1, ..Self::new(engine, Kind::Ext4) }
    }
}

const MIXED: &[Syncs] = &[Syncs::Often, Syncs::Rarely, Syncs::Own, Syncs::Each, Syncs::Never];

const ROUNDS: &[Round] = &[
    Round::plain(Engine::Snapshots),
    Round::new(Engine::Snapshots, Kind::Ext4),
    Round::text(Engine::Snapshots, Kind::Ext4),
    Round::new(Engine::Snapshots, Kind::Xfs),
    Round::plain(Engine::Recordings),
    Round::faked(Engine::Recordings),
    Round::new(Engine::Recordings, Kind::Ext4),
    Round::text(Engine::Recordings, Kind::Ext4),
    Round::new(Engine::Recordings, Kind::Xfs),
    Round::text(Engine::Recordings, Kind::Xfs),
    Round::bounded(Kind::Ext4, Subject::KeepsNone),
    Round::bounded(Kind::Xfs, Subject::KeepsOne),
];

/// Of syncs that are faked, a life of two cuts finds out one in four: who is not found out in so many lives will never be.
const LIVES_FOR_CONTROLS: u64 = 100;

/// Messages between two cuts of a snapshot round, and for each cut of a recording.
const MESSAGES_A_CUT: u64 = 50;

fn run(run: &mut Run) -> anyhow::Result<()> {
    if let Some(why) = disks::missing(&[Kind::Ext4, Kind::Xfs]) {
        run.skipped(why);
        return Ok(());
    }
    let hides = ["-m", "mount", "-t", "proc", "-o", "subset=pid", "proc", "/proc"].map(OsStr::new);
    let hides = disks::run("unshare", &hides);
    if let Err(e) = &hides {
        run.skipped(format!("who can read no boot id: {e:#}"));
    }
    for (index, round) in ROUNDS.iter().enumerate() {
        if round.engine == Engine::Recordings && !Path::new("/dev/fuse").exists() {
            run.skipped("recordings: no /dev/fuse");
            continue;
        }
        // All images of a round lie on one host, which can share their blocks.
        let host = Disk::new(Kind::Xfs, 8 << 30)?;
        Scene { host: &host, round, number: index, hides: hides.is_ok() }.play(run)?;
    }
    Ok(())
}

/// A cut that waits to be checked.
struct Cut {
    image: PathBuf,
    time: u64,
    grain: Option<Grain>,
    recorded: Recorded,
    /// Whether who looks at it can read no boot id.
    blind: bool,
    /// How it was made, for people.
    how: String,
}

/// A life of a round's disk.
struct Life {
    number: u64,
    stage: Stage,
    /// The disk when it begins.
    image: PathBuf,
}

struct Scene<'a> {
    host: &'a Disk,
    round: &'a Round,
    number: usize,
    /// Whether boot ids can be hidden here.
    hides: bool,
}

impl Scene<'_> {
    fn play(&self, run: &mut Run) -> anyhow::Result<()> {
        let round = self.round;
        let mut image = self.host.path().join("empty.img");
        disks::make_image(&image, round.kind, round.kind.least_bytes().max(64 << 20))?;
        let mut past = Vec::new();
        let controls: &[Judged] = match (round.expect, round.subject) {
            (Expect::Kept, Subject::Plain) => &[Judged::Watermarks],
            (Expect::Kept, _) => &[Judged::Watermarks, Judged::ThisBoot],
            (Expect::Loss, _) => &[Judged::AsIs],
        };
        let mut controls: Vec<(Judged, usize)> = controls.iter().map(|&judged| (judged, 0)).collect();
        for number in 0..round.lives + LIVES_FOR_CONTROLS {
            // Where a cut falls is chance: a control that no cut has caught yet gets more lives.
            if number >= round.lives && controls.iter().all(|(_, found)| *found > 0) {
                break;
            }
            let stage_at = self.directory(&format!("stage-{number}"))?;
            let stage = Stage::create(&stage_at)?;
            let cuts = run.size.of(round.cuts);
            stage.set(Word::End, cuts * MESSAGES_A_CUT);
            stage.set(Word::Text, round.text.into());
            let life = Life { number, stage, image };
            let made = match round.engine {
                Engine::Snapshots => self.snapshots(run, &life, cuts)?,
                Engine::Recordings => self.recordings(run, &life, cuts)?,
            };
            image = self.host.path().join(format!("life-{}.img", number + 1));
            let next = self.begin_next(run, &made, &image)?;
            for cut in &made {
                let mut lives = past.clone();
                lives.push((stage_at.clone(), cut.time));
                self.judge(run, cut, &lives, &mut controls)?;
            }
            past.push((stage_at, next));
        }
        let name = format!("{:?} of {:?} on {}", round.engine, round.subject, round.kind.name());
        for (judged, found) in controls {
            let what = if round.expect == Expect::Loss { "syncs faked" } else { judged.words() };
            run.control(&format!("{name}: {what}"), found > 0);
        }
        Ok(())
    }

    /// Asks the oracle about a cut, as each control that is not caught yet has it and as it is; the image is gone then.
    fn judge(
        &self,
        run: &mut Run,
        cut: &Cut,
        lives: &[(PathBuf, u64)],
        controls: &mut [(Judged, usize)],
    ) -> anyhow::Result<()> {
        for (judged, found) in
            controls.iter_mut().filter(|(judged, found)| *judged != Judged::AsIs && *found == 0)
        {
            let again = cut.image.with_extension("again");
            reflink(&cut.image, &again)?;
            *found += self.check(run, &again, cut, lives, *judged)?.len();
        }
        let lost = self.check(run, &cut.image, cut, lives, Judged::AsIs)?;
        run.count("images", 1);
        if self.round.expect == Expect::Kept {
            lost.into_iter().for_each(|text| run.violation(self.describe(cut, &text)));
        } else {
            controls.iter_mut().for_each(|(_, found)| *found += lost.len());
        }
        Ok(())
    }

    /// Makes one of the cuts, of which the file system has left something, the image of the next life. Its time.
    fn begin_next(&self, run: &mut Run, made: &[Cut], image: &Path) -> anyhow::Result<u64> {
        let at = self.directory("cut")?;
        let mut left: Vec<&Cut> = made.iter().collect();
        while !left.is_empty() {
            let cut = left.swap_remove(run.random.below(left.len() as u64) as usize);
            reflink(&cut.image, image)?;
            if Mounted::image(image, self.round.kind, &at).is_ok() {
                return Ok(cut.time);
            }
        }
        bail!("no cut of {} can be mounted", made.len())
    }

    fn describe(&self, cut: &Cut, text: &str) -> String {
        let Round { engine, kind, subject, .. } = self.round;
        format!("round {} ({engine:?}, {subject:?}, {}), {}: {text}", self.number, kind.name(), cut.how)
    }

    /// Starts the writers; the power is back.
    fn crew<'s>(&self, run: &mut Run, life: &'s Life, at: &Path) -> anyhow::Result<Crew<'s>> {
        let Round { subject, writers, .. } = *self.round;
        let log = at.join("app.log");
        check::reboot(&log, Recorded::AsWritten)?;
        let (first, blind) = (life.number * 1_000_000, self.hides && life.number % 2 == 1);
        Crew::start(&log, &life.stage, (subject, writers), run.random.next(), first, blind)
    }

    /// Only a log goes on when one of its writers is killed.
    fn kill_some(&self, run: &mut Run, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        if self.round.subject != Subject::Plain && run.random.below(3) == 0 {
            run.count("kills", 1);
            crew.kill_one(&mut run.random)?;
        }
        Ok(())
    }

    /// A cut that is looked at by whoever it may be.
    fn cut(&self, run: &mut Run, image: PathBuf, time: u64, grain: Option<Grain>, how: &str) -> Cut {
        let recorded = *run.random.pick(&[Recorded::AsWritten, Recorded::ClocksOnly, Recorded::Nothing]);
        let blind = self.hides && run.random.below(2) == 0;
        let hidden = if blind { ", own boot id hidden" } else { "" };
        Cut { image, time, grain, recorded, blind, how: format!("{how}, boot {recorded}{hidden}") }
    }

    fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let at = self.host.beside().join(name);
        fs::create_dir_all(&at)?;
        Ok(at)
    }

    fn snapshots(&self, run: &mut Run, life: &Life, cuts: u64) -> anyhow::Result<Vec<Cut>> {
        let Life { number: life_number, stage, image: live } = life;
        let mounted = Mounted::image(live, self.round.kind, &self.directory("live")?)?;
        let mut crew = self.crew(run, life, mounted.path())?;
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
            let how = format!("life {life_number}, snapshot {number}");
            made.push(self.cut(run, image, number, None, &how));
            self.kill_some(run, &mut crew)?;
        }
        crew.finish()?;
        Ok(made)
    }

    fn recordings(&self, run: &mut Run, life: &Life, cuts: u64) -> anyhow::Result<Vec<Cut>> {
        let Life { number: life_number, stage, image: base } = life;
        let end = stage.get(Word::End);
        stage.set(Word::Permits, end);
        let served = self.host.beside().join("served.img");
        disks::run("cp", &["--sparse=always".as_ref(), base.as_os_str(), served.as_os_str()])?;
        let disk = RecordedDisk::attach(&served, &self.directory("served")?, stage)?;
        let mounted = Mounted::image(disk.image(), self.round.kind, &self.directory("live")?)?;
        let mut crew = self.crew(run, life, mounted.path())?;
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
        // Some of them while the log is recovered from the cut before.
        let mut time = |early: bool| {
            let span = if early { records.len() / 10 } else { records.len() };
            run.random.below(span as u64 + 1) as usize
        };
        let mut times: Vec<usize> = (0..cuts).map(|number| time(number % 3 == 0)).collect();
        times.sort_unstable();
        let mut cutter = Cutter::new(&records, base.clone())?;
        let mut made = Vec::new();
        for (number, time) in times.into_iter().enumerate() {
            let image = self.host.path().join(format!("cut-{number}.img"));
            let grain = *run.random.pick(&[Grain::Whole, Grain::Torn(512), Grain::Torn(4096)]);
            let (kept, dropped) = cutter.cut(time, grain, &mut run.random, &image)?;
            let of = records.len();
            let how = format!(
                "life {life_number}, cut at {time} of {of}, {grain:?}, {kept} kept, {dropped} dropped"
            );
            made.push(self.cut(run, image, time as u64, Some(grain), &how));
        }
        Ok(made)
    }

    /// Mounts the image, asks the oracle, and removes the image. The violations.
    fn check(
        &self,
        run: &mut Run,
        image: &Path,
        cut: &Cut,
        lives: &[(PathBuf, u64)],
        judged: Judged,
    ) -> anyhow::Result<Vec<String>> {
        let at = self.directory("cut")?;
        let mounted = match Mounted::image(image, self.round.kind, &at) {
            Ok(mounted) => mounted,
            // Journals have parts that a disk may not tear; 512 bytes are the least that some promise.
            Err(_) if cut.grain == Some(Grain::Torn(512)) => {
                run.count("disks that their file system lost", 1);
                return Ok(Vec::new());
            }
            Err(e) => return Ok(vec![format!("the image cannot be mounted: {e:#}")]),
        };
        let recorded = if judged == Judged::ThisBoot { Recorded::ThisBoot } else { cut.recorded };
        let mut arguments = vec![
            at.join("app.log").display().to_string(),
            self.round.subject.to_string(),
            (judged == Judged::Watermarks).to_string(),
            recorded.to_string(),
            cut.blind.to_string(),
        ];
        for (stage, time) in lives {
            arguments.extend([stage.display().to_string(), time.to_string()]);
        }
        let arguments: Vec<&dyn std::fmt::Display> = arguments.iter().map(|argument| argument as _).collect();
        let (lines, status) = Actor::start("t08-check", &arguments)?.rest()?;
        drop(mounted);
        fs::remove_file(image)?;
        let mut found = Vec::new();
        for line in lines {
            match line.split_once(' ') {
                Some(("violation", text)) => found.push(text.to_string()),
                Some(("promised", number)) if judged == Judged::AsIs => {
                    run.count("promised messages", number.parse().unwrap_or(0));
                }
                Some(("refused", text)) if judged == Judged::AsIs => {
                    run.count("unsynced logs refused", 1);
                    println!("T8 note: {}", self.describe(cut, text));
                }
                _ => {}
            }
        }
        if !status.success() {
            found.push(format!("the oracle ended with {status}"));
        }
        Ok(found)
    }
}
