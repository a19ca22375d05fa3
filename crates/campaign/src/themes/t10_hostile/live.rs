//! Live mutation: the metadata is scribbled on under writers, who sync, too, followers, a trimmer and an observer. Somebody
//! who may only read it keeps the bytes of some slots locked: whoever dies there cannot be settled.
//!
//! What a scribble may do to them: errors, lost bytes, and SIGBUS where a believed limit lies beyond the file. What it
//! may not: any other signal, a panic, a hang, a write to other files.

use std::fs::{self, File};
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use mmlog::layout::{Control, HighWater, SLOT_BYTES, SLOTS_AT, Slot, SlotHot};
use mmlog::{Next, Observer, Options, Start, check, repair};
use nix::fcntl::{FcntlArg, fcntl};

use super::bench::{Neighbours, metadata_of};
use super::exercise::{Progress, confine};
use super::fields::{FIELDS, Field};
use super::spoil::value;
use crate::children;
use crate::random::Random;
use crate::run::{Place, Run};
use crate::surgeon::{Surgeon, word};

const ROUNDS: u64 = 150;
const SCRIBBLES: u64 = 40;
const TRAPS: u64 = 20;
/// Only catches a hang: a turn has five syncs, each of which has a patience of 50 ms.
const TRAPPED: Duration = Duration::from_secs(60);
/// Who is there.
const CAST: &[&str] =
    &["writer", "writer", CHECKED, "syncer", "keeper", "follower", "follower", "trimmer", "observer"];
/// A writer of a build in which an addition or a subtraction that does not fit is a panic.
const CHECKED: &str = "checked writer";
/// The slots that the keeper keeps, of eight.
const KEPT: std::ops::Range<u64> = 5..8;
/// Each of them does so many things between two rounds, if only to be refused.
const TURNS: u64 = 3;
/// Only catches a hang.
const DEADLINE: Duration = Duration::from_secs(180);
const WAIT: Duration = Duration::from_millis(50);

fn options() -> Options {
    mmlog::Log::options().chunk_size(16_384).max_writers(8).gate_ms(5).ring_chunks(2).wait(WAIT)
}

/// The role: what it plays, the log, and where it shows its progress. Goes on until it is killed.
pub(super) fn play(arguments: &[String]) -> Result<()> {
    let [part, log, progress] = arguments else { bail!("three arguments") };
    confine()?;
    let (log, mut progress) = (PathBuf::from(log), Progress::create(Path::new(progress))?);
    let mut random = Random::new(std::process::id().into());
    let mut keeper = Keeper::default();
    for turn in 1.. {
        // What becomes of it is nobody's business but a signal's.
        let _ = match part.as_str() {
            "writer" | CHECKED => write(&log, &mut random),
            "syncer" => sync(&log, &mut random),
            "keeper" => {
                keeper.keep(&log);
                Ok(())
            }
            "follower" => follow(&log),
            "trimmer" => options().open(&log).and_then(|log| log.trim(WAIT)).map(drop),
            _ => observe(&log),
        };
        progress.at(turn, 0)?;
    }
    Ok(())
}

fn write(log: &Path, random: &mut Random) -> mmlog::Result<()> {
    let log = options().open_or_create(log)?;
    let mut writer = log.writer()?;
    for _ in 0..200 {
        let len = if random.below(10) == 0 { random.below(40_000) } else { random.below(300) };
        writer.append(&vec![b'w'; len as usize + 1])?;
    }
    drop(writer);
    log.close()
}

/// Appends a little, and waits until it is durable.
fn sync(log: &Path, random: &mut Random) -> mmlog::Result<()> {
    let log = options().open_or_create(log)?;
    let mut writer = log.writer()?;
    for _ in 0..5 {
        writer.append(&vec![b's'; random.below(300) as usize + 1])?;
        // A target that a spoiled cursor does not reach, a slot that cannot be settled: an error, in the end.
        let synced = writer.sync();
        log.sync()?;
        synced?;
    }
    drop(writer);
    log.close()
}

/// Locks for reading on the bytes of some slots, of the metadata that is at the path.
#[derive(Default)]
struct Keeper(Option<File>);

impl Keeper {
    /// The next one is had before this one is let go: there is no moment without.
    fn keep(&mut self, log: &Path) {
        let lock = nix::libc::flock {
            l_type: nix::libc::F_RDLCK as nix::libc::c_short,
            l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
            l_start: (SLOT_BYTES + KEPT.start).cast_signed(),
            l_len: (KEPT.end - KEPT.start).cast_signed(),
            l_pid: 0,
        };
        if let Ok(next) = File::open(metadata_of(log)) {
            let _ = fcntl(&next, FcntlArg::F_OFD_SETLK(&lock));
            self.0 = Some(next);
        }
        std::thread::sleep(WAIT / 10);
    }
}

fn follow(log: &Path) -> mmlog::Result<()> {
    let log = options().open_reader(log)?;
    let mut follower = log.follow(Start::Oldest)?;
    let mut buf = vec![0; 8192];
    for _ in 0..200 {
        if follower.next(&mut buf)? == Next::CaughtUp {
            follower.wait(Duration::from_millis(2))?;
        }
    }
    Ok(())
}

fn observe(log: &Path) -> mmlog::Result<()> {
    let mut observer = Observer::open(log, &options())?;
    observer.look()?;
    observer.look()?;
    let plan = repair::examine(log, &options())?.plan(&[]);
    check::deep(log, &options())?;
    plan.apply().map(drop)
}

/// One of the cast.
struct Actor {
    part: &'static str,
    child: Child,
    progress: PathBuf,
}

impl Actor {
    fn start(part: &'static str, log: &Path, progress: PathBuf) -> Result<Self> {
        let _ = fs::remove_file(&progress);
        let arguments = [part.into(), log.display().to_string(), progress.display().to_string()];
        let said = fs::File::create(progress.with_extension("stderr"))?;
        let mut command = children::role("scribbled", &arguments)?;
        if part == CHECKED
            && let Some(checked) = children::checked()
        {
            command = children::role_of(&checked, "scribbled", &arguments);
        }
        let child = command.stdin(Stdio::null()).stderr(said).spawn()?;
        Ok(Self { part, child, progress })
    }

    /// Where the kernel sees it: its state and processor time, the system call it is in, what it waits for there.
    fn stands(&self) -> String {
        let of = |name| fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default();
        ["stat", "syscall", "wchan", "stack"].map(of).join("; ").replace('\n', " ")
    }

    fn turns(&self) -> u64 {
        Progress::read(&self.progress).ok().and_then(|words| words.first().copied()).unwrap_or(0)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn run(run: &mut Run) -> Result<()> {
    if children::checked().is_none() {
        run.skipped("a writer with overflow checks: no such build (`cargo build -p campaign`)");
    }
    let dir = run.directory(Place::Memory)?;
    let place = dir.path().join("place");
    fs::create_dir(&place)?;
    let (log, neighbours) = (place.join("app.log"), Neighbours::new(&place)?);
    let start = |i: usize, part| Actor::start(part, &log, dir.path().join(format!("actor{i}")));
    let mut cast: Vec<Actor> =
        CAST.iter().enumerate().map(|(i, part)| start(i, part)).collect::<Result<_>>()?;
    for round in 0..run.size.of(ROUNDS) {
        renew(&log)?;
        let turns: Vec<u64> = cast.iter().map(Actor::turns).collect();
        let mut scribbles = Vec::new();
        let begun = Instant::now();
        for number in 0.. {
            let behind = cast.iter().zip(&turns).find(|(actor, before)| actor.turns() < **before + TURNS);
            match behind {
                _ if number < SCRIBBLES => scribbles.extend(scribble(&log, &mut run.random)),
                Some((actor, _)) if begun.elapsed() > DEADLINE => {
                    let (part, stands) = (actor.part, actor.stands());
                    run.violation(format!(
                        "live round {round}: the {part} stands still ({stands}) after {scribbles:x?}"
                    ));
                    return Ok(());
                }
                Some(_) => std::thread::sleep(Duration::from_millis(1)),
                None => break,
            }
            for (i, actor) in cast.iter_mut().enumerate() {
                if let Some(status) = actor.child.try_wait()? {
                    let part = actor.part;
                    use std::os::unix::process::ExitStatusExt;
                    if status.signal() == Some(nix::libc::SIGBUS) {
                        run.count("SIGBUS by a believed limit", 1);
                    } else {
                        let said =
                            fs::read_to_string(actor.progress.with_extension("stderr")).unwrap_or_default();
                        let said = said.lines().next().unwrap_or_default();
                        run.violation(format!(
                            "live round {round}: a {part} ended with {status}: {said}; {scribbles:x?}"
                        ));
                    }
                    *actor = start(i, part)?;
                }
            }
        }
        run.count("scribbles", scribbles.len() as u64);
        if let Some(path) = neighbours.spilled()? {
            run.violation(format!("live round {round}: {path} is not what it was; {scribbles:x?}"));
            return Ok(());
        }
    }
    run.count("turns under scribbles", cast.iter().map(Actor::turns).sum());
    Ok(())
}

/// A new log at the path; whoever has the old one open notices.
fn renew(log: &Path) -> Result<()> {
    for path in [log.to_path_buf(), metadata_of(log)] {
        match fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
    }
    // Somebody else may have been first, or may be at it.
    let _ = options().open_or_create(log);
    Ok(())
}

/// Changes one word, if there is metadata; what it was that was stored, and where.
fn scribble(log: &Path, random: &mut Random) -> Option<(u64, u64)> {
    let metadata = Surgeon::open(log).ok()?;
    let slot = SLOTS_AT + random.below(8) as usize * size_of::<Slot>();
    let choices = [
        *random.pick(FIELDS),
        *random.pick(&FIELDS[..13]),
        Field { offset: slot + 8 * random.below(2) as usize, size: 8 },
        Field { offset: random.below(SLOTS_AT as u64 / 8) as usize * 8, size: 8 },
    ];
    let field = *random.pick(&choices);
    // A drain that waits for a minute is what was asked for, and a test that waits for it is of no use.
    if field.offset as u64 == word!(control: Control, gate_ms) {
        return None;
    }
    let at = field.offset as u64;
    let old = metadata.get(at).ok()?;
    let others = [random.next(), metadata.get(word!(control: Control, cursor)).ok()?];
    let new = value(random, old, &others);
    metadata.put(at, &new.to_ne_bytes()[..field.size.min(8)]).ok()?;
    Some((at, new))
}

/// Who syncs, alone with what a sync could wait for in vain: a cursor below what was appended, a dead writer's slot whose
/// byte is kept. Nobody else is there who would mend it.
pub(super) fn trapped(run: &mut Run) -> Result<()> {
    let dir = run.directory(Place::Memory)?;
    let log = dir.path().join("app.log");
    for round in 0..run.size.of(TRAPS) {
        renew(&log)?;
        let actor = Actor::start("syncer", &log, dir.path().join("syncer"))?;
        let mut keeper = Keeper::default();
        keeper.keep(&log);
        for trap in [dead_slot, spoiled_cursor] {
            let (before, begun) = (actor.turns(), Instant::now());
            while actor.turns() < before + TURNS {
                trap(&Surgeon::open(&log)?)?;
                if begun.elapsed() > TRAPPED {
                    let stands = actor.stands();
                    run.violation(format!("trap {round}: a sync waits for ever ({stands})"));
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        run.count("syncs let go of", 2);
    }
    Ok(())
}

fn spoiled_cursor(metadata: &Surgeon) -> std::io::Result<()> {
    let at = word!(control: Control, cursor);
    metadata.put(at, &(metadata.get(at)? / 2).to_ne_bytes())
}

fn dead_slot(metadata: &Surgeon) -> std::io::Result<()> {
    let cursor = metadata.get(word!(control: Control, cursor))?;
    let slot = SLOTS_AT as u64 + KEPT.start * size_of::<Slot>() as u64;
    metadata.put(word!(high_water: HighWater, slots), &8u32.to_ne_bytes())?;
    metadata.put(slot + offset_of!(SlotHot, len) as u64, &1u64.to_ne_bytes())?;
    metadata
        .put(slot + offset_of!(SlotHot, pending) as u64, &(3 << 62 | cursor.saturating_sub(1)).to_ne_bytes())
}
