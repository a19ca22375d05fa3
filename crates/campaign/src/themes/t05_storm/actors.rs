//! Who takes part in a storm, and what each does until it is killed, or the table of acknowledgements is closed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mmlog::{Class, Log, Next, Options, Policy, PolicyState, Rotation, Start, repair};

use crate::oracle::{Acks, HEAD, Scribe, Seal, Seals, Sightings, Watcher};
use crate::random::Random;

/// Nobody is stopped for nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all actors of a storm have in common.
pub(super) struct Stage {
    pub(super) log: PathBuf,
    pub(super) options: Options,
    pub(super) chunk: u64,
    /// Whether the log has a policy: writers rotate and prune.
    pub(super) bounded: bool,
    pub(super) acks: Acks,
    pub(super) sightings: Sightings,
    /// Final segments, as they were when their rotations returned.
    pub(super) seals: Seals,
}

/// One kind of actor.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// How many there are at a time.
    pub(super) crew: usize,
    /// Its share of the kills, of `SHARES`.
    pub(super) share: u64,
    /// The number is unlike that of any actor before.
    pub(super) act: fn(&Stage, u32, &mut Random) -> anyhow::Result<()>,
}

pub(super) const WRITERS: usize = 8;
/// The last one where the log has a policy.
const KINDS: &[Kind] = &[
    Kind { name: "writer", crew: WRITERS, share: 80, act: writer },
    Kind { name: "operator", crew: 1, share: 6, act: operator },
    Kind { name: "rotator", crew: 2, share: 4, act: rotator },
    Kind { name: "opener", crew: 1, share: 6, act: opener },
    Kind { name: "follower", crew: 2, share: 4, act: follower },
    Kind { name: "setter", crew: 1, share: 6, act: setter },
];

/// The control: acknowledges before it appends, so a kill between the two loses what was acknowledged.
pub(super) const HASTY: &[Kind] = &[Kind { name: "hasty writer", crew: 1, share: 1, act: hasty }];

type Operation = fn(&Log, &mut Random) -> anyhow::Result<()>;

/// What operators do beside the writers, at random; a line each.
const OPERATIONS: &[Operation] = &[
    |log, random| unless_busy(log.trim(Duration::from_millis(random.below(100)))),
    |log, _| Ok(log.status().map(drop)?),
    |log, _| unless_busy(repair::examine(log.path(), &Options::new()).and_then(|e| e.plan(&[]).apply())),
    // Seldom: on a disk it takes long.
    |log, random| if random.below(16) == 0 { Ok(log.sync().map(drop)?) } else { Ok(()) },
    |log, random| if random.below(4) == 0 { sound(log) } else { Ok(()) },
    |log, _| Ok(log.housekeep()?),
];

/// The fewest final segments that any policy keeps which is set here.
pub(super) const KEPT: u64 = 3;

/// One that is whole tells by its other half what each half has to be.
fn policy(number: u64) -> Policy {
    Policy { rotate_size: Some((1 + number) << 16), keep: Some(KEPT + number), ..Policy::default() }
}

/// Whether the log has a policy that somebody has set, and not halves of two.
pub(super) fn is_whole(state: &PolicyState) -> anyhow::Result<()> {
    let known = (0..4).any(|number| *state == PolicyState::Set(policy(number)));
    anyhow::ensure!(known, "nobody has set that policy: {state:?}");
    Ok(())
}

/// Somebody stopped, or another operator, is no fault.
fn unless_busy<T>(done: mmlog::Result<T>) -> anyhow::Result<()> {
    match done {
        Err(e) if e.fault().class() != Class::Busy => Err(e.into()),
        _ => Ok(()),
    }
}

/// The invariants hold also while everybody is at it.
fn sound(log: &Log) -> anyhow::Result<()> {
    let found = mmlog::check::deep(log.path(), &Options::new())?;
    anyhow::ensure!(found.holds(), "a live log: {:?}", found.violations);
    Ok(())
}

impl Stage {
    /// In the directory of that log; the round's seed chooses the shape of the log.
    pub(super) fn new(
        log: &Path,
        acks: &Path,
        sightings: &Path,
        (seed, bounded): (u64, bool),
    ) -> anyhow::Result<Self> {
        let mut random = Random::new(seed);
        let chunk = *random.pick(&[4096, 16384, 65536]);
        let ring = *random.pick(&[2, 3, 4]);
        let gate_ms = *random.pick(&[5, 20, 50]);
        let options = Log::options()
            .chunk_size(chunk)
            .ring_chunks(ring)
            .gate_ms(gate_ms)
            .max_writers(64)
            .wait(PATIENCE);
        let options = if bounded { options.policy(&policy(0)) } else { options };
        let seals = Seals::beside(acks)?;
        let (acks, sightings) = (Acks::open(acks)?, Sightings::open(sightings)?);
        Ok(Self { log: log.to_path_buf(), options, chunk, bounded, acks, sightings, seals })
    }

    /// Who takes part.
    pub(super) fn kinds(&self) -> &'static [Kind] {
        if self.bounded { KINDS } else { &KINDS[..KINDS.len() - 1] }
    }

    fn open(&self) -> mmlog::Result<Log> {
        self.options.open(&self.log)
    }

    /// 1 byte to 3 chunks, most of them short: the large ones are as many bytes as the others together.
    fn len(&self, random: &mut Random) -> usize {
        let chunk = self.chunk;
        let len = match random.below(100) {
            0..30 => 1 + random.below(HEAD as u64 - 1),
            30..75 => HEAD as u64 + random.below(200),
            75..95 => HEAD as u64 + random.below(1000),
            _ if random.below(chunk) < 2048 => 1 + random.below(chunk),
            _ if random.below(chunk) < 2048 => chunk + random.below(2 * chunk + 1),
            _ => HEAD as u64 + random.below(2000),
        };
        len as usize
    }
}

/// One handle; in one process of four two threads, which share it.
fn writer(stage: &Stage, id: u32, random: &mut Random) -> anyhow::Result<()> {
    let log = stage.open()?;
    let write = |id: u32, mut random: Random| -> anyhow::Result<()> {
        let mut writer = log.writer()?;
        let mut scribe = Scribe::new(&stage.acks, id);
        while !stage.acks.is_closed() {
            scribe.append(&mut writer, stage.len(&mut random))?;
        }
        Ok(())
    };
    let (first, second) = (Random::new(random.next()), Random::new(random.next()));
    if random.below(4) > 0 {
        return write(2 * id, first);
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(|| write(2 * id + 1, second));
        let done = write(2 * id, first);
        let other = other.join().map_err(|_| anyhow::anyhow!("a writer's thread panicked"))?;
        done.and(other)
    })
}

fn hasty(stage: &Stage, id: u32, random: &mut Random) -> anyhow::Result<()> {
    let log = stage.open()?;
    let mut writer = log.writer()?;
    let mut scribe = Scribe::new(&stage.acks, id);
    while !stage.acks.is_closed() {
        let (ticket, message) = scribe.announce(stage.len(random));
        // Exact: there is no other writer.
        stage.acks.acknowledge(ticket, log.cursor()?);
        writer.append(message)?;
    }
    Ok(())
}

fn operator(stage: &Stage, _: u32, random: &mut Random) -> anyhow::Result<()> {
    let log = stage.open()?;
    while !stage.acks.is_closed() {
        random.pick(OPERATIONS)(&log, random)?;
        // Not to hold the writers up all the time.
        std::thread::sleep(Duration::from_millis(random.below(8)));
    }
    Ok(())
}

/// With a handle that it keeps for some rotations. What it made final is noted.
fn rotator(stage: &Stage, _: u32, random: &mut Random) -> anyhow::Result<()> {
    while !stage.acks.is_closed() {
        let log = stage.open()?;
        for _ in 0..1 + random.below(6) {
            match log.rotate(&Rotation::default().wait(Duration::from_millis(random.below(60)))) {
                Err(e) if e.fault().class() != Class::Busy => return Err(e.into()),
                Ok(Some(rotated)) => match Seal::of(&rotated.path) {
                    Err(_) if stage.bounded && !rotated.path.exists() => {}
                    seal => stage.seals.note(&seal?)?,
                },
                Ok(None) | Err(_) => {}
            }
            std::thread::sleep(Duration::from_millis(random.below(4)));
        }
        log.close()?;
    }
    Ok(())
}

/// Changes the policy again and again, beside writers who go by it.
fn setter(stage: &Stage, _: u32, random: &mut Random) -> anyhow::Result<()> {
    let log = stage.open()?;
    while !stage.acks.is_closed() {
        let wanted = policy(random.below(4));
        let wait = Duration::from_millis(random.below(60));
        unless_busy(log.set_policy(|policy| *policy = wanted, wait))?;
        is_whole(&log.policy())?;
        std::thread::sleep(Duration::from_millis(random.below(8)));
    }
    Ok(())
}

/// Comes and goes: some handles only look, some write a few messages.
fn opener(stage: &Stage, id: u32, random: &mut Random) -> anyhow::Result<()> {
    let mut scribe = Scribe::new(&stage.acks, 2 * id);
    while !stage.acks.is_closed() {
        let log = stage.open()?;
        if random.below(3) > 0 {
            let mut writer = log.writer()?;
            for _ in 0..random.below(4) {
                scribe.append(&mut writer, stage.len(random))?;
            }
        }
        log.close()?;
        std::thread::sleep(Duration::from_micros(random.below(4000)));
    }
    Ok(())
}

/// Some from the start, some from a place on the way, some from now.
fn follower(stage: &Stage, _: u32, random: &mut Random) -> anyhow::Result<()> {
    let log = Options::new().open_reader(&stage.log)?;
    let some = random.below(log.watermark()?.get() + 1);
    let start = *random.pick(&[Start::Oldest, Start::Newest, Start::At(mmlog::Position::new(some))]);
    let mut follower = log.follow(start)?;
    let mut watcher = Watcher::new(follower.position().get());
    let mut buf = vec![0; 1 << 16];
    loop {
        // Asked before looking: what comes later is not waited for.
        let closed = stage.acks.is_closed();
        let most = 1 + random.below(buf.len() as u64) as usize;
        let next = follower.next(&mut buf[..most])?;
        watcher.see(&next, &buf, &stage.sightings)?;
        if next == Next::CaughtUp {
            if closed && follower.position() == log.cursor()? {
                return Ok(());
            }
            follower.wait(Duration::from_millis(20))?;
        }
    }
}
