//! Policies and times that nobody can have meant, in metadata that is sound otherwise. Appends go on; nobody rotates more
//! often than the least size says, nor deletes by a policy that is not whole, or for somebody who could not delete there
//! himself. A policy that is cleared is gone.

use std::fs;
use std::mem::offset_of;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail, ensure};
use mmlog::layout::{
    Header, Identity, Kept, PAIRS_MAX, Policies, Policy as Growth, PolicyCopy, RING_LEN, STEPS_AT, STEPS_MAX,
    Times, ring_at,
};
use mmlog::metadata::policy::{FIRST_RULE, RULES, Words, mix};
use mmlog::times::{Pair, Step};
use mmlog::{Log, Next, Observer, Options, Policy, PolicyState, Rotation, Start, Trust, check};

use super::bench::metadata_of;
use super::exercise::confine;
use crate::children;
use crate::oracle::Segments;
use crate::random::Random;
use crate::run::{Place, Run};
use crate::surgeon::{Surgeon, word};

/// Logs at the CI size.
const LOGS: u64 = 600;
/// Those that are shared with a group.
const SHARED: u64 = 60;
const WRITERS: u32 = 4;
/// Final segments that there are before.
const BEFORE: u64 = 3;
/// Messages that are appended under a policy, and again behind it.
const MESSAGES: u64 = 200;
const MESSAGE: usize = 1000;
/// The least bytes of a segment that a size rotates: half of the least size.
const LEAST: u64 = 32 << 10;
/// Only catches a hang.
const DEADLINE: Duration = Duration::from_secs(300);
const COUNTS: &[&str] = &["hostile policies", "policies that are none", "rotations under hostile policies"];
const YEAR_NS: u64 = 365 * 86_400 * 1_000_000_000;
/// A group that nobody here is in.
const OTHERS: u32 = 65534;

pub(super) fn run(run: &mut Run) -> Result<()> {
    let directory = run.directory(Place::Memory)?;
    let arguments = [run.seed, run.size.of(LOGS)].map(|n| n.to_string());
    let arguments = [arguments.as_slice(), &[directory.path().display().to_string()]].concat();
    run.delegate("hostile policies", children::role("hostile-policy", &arguments)?, DEADLINE, COUNTS)?;
    shared(run)
}

/// The role: seed, how many, directory.
pub(super) fn play(arguments: &[String]) -> Result<()> {
    let [seed, count, directory] = arguments else { bail!("three arguments") };
    let (seed, count): (u64, u64) = (seed.parse()?, count.parse()?);
    confine()?;
    for number in 0..count {
        let mut random = Random::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let place = PathBuf::from(directory).join(number.to_string());
        fs::create_dir(&place)?;
        let mut case = Case::new(&place, &mut random)?;
        if let Err(why) = case.suffer(&mut random) {
            println!("log {number}: {why:#}; {:x?}", case.said);
        }
        fs::remove_dir_all(&place)?;
    }
    println!("count {count} hostile policies");
    Ok(())
}

fn options() -> Options {
    Log::options().chunk_size(16_384).max_writers(WRITERS).gate_ms(50).ring_chunks(2).wait(DEADLINE)
}

/// One log, and what its metadata was made to say.
struct Case {
    log: PathBuf,
    /// Open since before it was spoiled, or opened behind that.
    handle: Option<Log>,
    said: Vec<(&'static str, u64)>,
    /// Positions of the messages, in order.
    at: Vec<u64>,
}

impl Case {
    fn new(directory: &Path, random: &mut Random) -> Result<Self> {
        let log = directory.join("app.log");
        let handle = segments(&log, options())?;
        let handle = (random.below(2) == 0).then_some(handle);
        Ok(Self { log, handle, said: Vec::new(), at: Vec::new() })
    }

    fn suffer(&mut self, random: &mut Random) -> Result<()> {
        let is_whole = self.spoil(random)?;
        let log = match self.handle.take() {
            Some(handle) => handle,
            None => options().open(&self.log)?,
        };
        let state = log.policy();
        ensure!(is_whole != (state == PolicyState::Damaged), "it is said to be {state:?}");
        let (before, begun) = (log.status()?.generation, Instant::now());
        self.append(&log)?;
        log.housekeep()?;
        self.look(&log, random)?;
        let rotations = log.status()?.generation - before;
        let most = MESSAGES * MESSAGE as u64 / LEAST + 1 + begun.elapsed().as_secs();
        ensure!(rotations <= most, "{rotations} rotations for {MESSAGES} messages of {MESSAGE} bytes");
        println!("count {rotations} rotations under hostile policies");
        if !is_whole {
            let finals = Segments::look(&self.log)?.finals.len() as u64;
            ensure!(
                finals == BEFORE + rotations,
                "{finals} final segments of {} are left",
                BEFORE + rotations
            );
            println!("count 1 policies that are none");
        }
        self.clear(&log)?;
        log.close()?;
        self.read()?;
        let found = check::deep(&self.log, &options())?;
        ensure!(found.holds(), "{:?}", found.violations);
        Ok(())
    }

    fn append(&mut self, log: &Log) -> Result<()> {
        let mut writer = log.writer()?;
        for _ in 0..MESSAGES {
            self.at.push(writer.append(&message(self.at.len()))?.get());
        }
        Ok(())
    }

    /// Whoever looks sees nothing that cannot be.
    fn look(&self, log: &Log, random: &mut Random) -> Result<()> {
        let (oldest, cursor) = (log.oldest()?.get(), log.cursor()?.get());
        let pairs = log.pairs()?;
        let wrong = pairs.iter().find(|pair| pair.settled > pair.reserved || pair.reserved > cursor);
        ensure!(wrong.is_none(), "{wrong:?}, the cursor is {cursor}");
        let times = [0, 1, random.next() >> 2, random.next() >> 34].map(|secs| {
            let secs = Duration::from_secs(secs);
            SystemTime::UNIX_EPOCH.checked_add(secs).unwrap_or(SystemTime::UNIX_EPOCH)
        });
        for (since, until) in [(None, Some(0)), (Some(1), None), (Some(2), Some(3)), (Some(3), Some(2))] {
            let at = |index: Option<usize>| index.map(|index| times[index]);
            let span = log.span(at(since), at(until))?;
            let is_range = span.to.is_none_or(|to| span.from <= to && to <= cursor);
            ensure!(is_range && (oldest..=cursor).contains(&span.from), "{span:?}, {oldest} to {cursor}");
        }
        Observer::open(&self.log, &options())?.look()?;
        Ok(())
    }

    /// Whoever owns the log ends it.
    fn clear(&mut self, log: &Log) -> Result<()> {
        log.set_policy(|policy| *policy = Policy::default(), Duration::from_secs(20))?;
        ensure!(log.policy() == PolicyState::Unset, "cleared, it is {:?}", log.policy());
        let (before, segments) = (log.status()?.generation, Segments::look(&self.log)?.finals);
        self.append(log)?;
        log.housekeep()?;
        let after = log.status()?.generation;
        ensure!(after == before, "rotated to {after} after it was cleared");
        ensure!(Segments::look(&self.log)?.finals == segments, "deleted something after it was cleared");
        Ok(())
    }

    /// Every message that is not pruned, at its position.
    fn read(&self) -> Result<()> {
        let log = options().open_reader(&self.log)?;
        let oldest = log.oldest()?.get();
        let (mut follower, mut buf, mut bytes) = (log.follow(Start::Oldest)?, vec![0; 1 << 16], Vec::new());
        loop {
            match follower.next(&mut buf)? {
                Next::Bytes(range) => bytes.extend_from_slice(&buf[..(range.end - range.start) as usize]),
                Next::Rotated(_) => {}
                Next::CaughtUp => break,
                other => bail!("a reader was given {other:?}"),
            }
        }
        for (number, at) in self.at.iter().enumerate().filter(|(_, at)| **at >= oldest) {
            let from = (at - oldest) as usize;
            ensure!(
                bytes.get(from..from + MESSAGE) == Some(&message(number)),
                "message {number} is not at {at}"
            );
        }
        Ok(())
    }

    fn set(&mut self, surgeon: &Surgeon, what: &'static str, at: u64, value: u64) -> Result<()> {
        self.said.push((what, value));
        Ok(surgeon.set(at, value)?)
    }

    /// Whether the policy is one.
    fn spoil(&mut self, random: &mut Random) -> Result<bool> {
        let surgeon = Surgeon::open(&self.log)?;
        let uuid = [0, 1].map(|i| surgeon.get(word!(identity: Identity, uuid) + 8 * i));
        let [Ok(first), Ok(second)] = uuid else { bail!("no uuid") };
        let now = nanoseconds();
        let is_whole = self.spoil_policy(&surgeon, random, [first, second])?;
        // What could not be done: next tries that nobody can have meant.
        let header = [offset_of!(Header, overdue_log), offset_of!(Header, overdue_process)];
        let ahead = ((now + 10 * YEAR_NS) / 1_000_000) << 8;
        for record in header {
            for at in (record as u64..record as u64 + 64).step_by(8) {
                let noise = random.next();
                let value = *random.pick(&[0, u64::MAX, ahead, noise]);
                self.set(&surgeon, "overdue", at, value)?;
            }
        }
        let noise = random.next();
        let free_retry = *random.pick(&[0, u64::MAX, ahead, noise]);
        self.set(&surgeon, "free_retry", word!(policies: Policies, free_retry), free_retry)?;
        for at in
            (0..size_of::<Times>() as u64).step_by(8).filter(|_| random.below(3) == 0).collect::<Vec<_>>()
        {
            let noise = random.next();
            let value = *random.pick(&[0, 1, u64::MAX, now + 10 * YEAR_NS, now - 10 * YEAR_NS, noise]);
            self.set(&surgeon, "times", offset_of!(Header, times) as u64 + at, value)?;
        }
        spoil_ring(&surgeon, random, now, [first, second])?;
        Ok(is_whole)
    }

    fn spoil_policy(&mut self, surgeon: &Surgeon, random: &mut Random, uuid: [u64; 2]) -> Result<bool> {
        let mut words: Words = [0; 15];
        let noise = random.next();
        words[0] = *random.pick(&[1, 3, 5, 0xff, noise & 0xff, noise]);
        let values = [
            0,
            1,
            2,
            1 << 16,
            65_537,
            1 << 20,
            1 << 61,
            (1 << 61) + 1,
            1 << 63,
            1 << 63 | 50,
            1 << 63 | 100,
            1_000_000_000,
            100 * YEAR_NS,
            u64::MAX,
            noise,
        ];
        for word in &mut words[FIRST_RULE..] {
            *word = *random.pick(&values);
        }
        // Else one that is out of its range spoils nearly all.
        if random.below(2) == 0 {
            let values: Vec<u64> = values.to_vec();
            for (word, rule) in words[FIRST_RULE..].iter_mut().zip(RULES) {
                let allowed: Vec<u64> = values.iter().copied().filter(|value| rule.allows(*value)).collect();
                *word = *random.pick(&allowed);
            }
        }
        let number = *random.pick(&[1, 2, 77, u64::MAX]);
        let right = mix(words.iter().copied().chain([number]).chain(uuid));
        let check = if random.below(4) == 0 { right ^ 1 << (noise % 64) } else { right };
        let copy = offset_of!(Policies, copies) as u64 + number % 2 * size_of::<PolicyCopy>() as u64;
        let copy = offset_of!(Header, policies) as u64 + copy;
        for (at, word) in (copy..).step_by(8).zip(words) {
            self.set(surgeon, "policy", at, word)?;
        }
        self.set(surgeon, "check", copy + offset_of!(PolicyCopy, check) as u64, check)?;
        self.set(surgeon, "number", word!(policies: Policies, number), number)?;
        let said = if random.below(2) == 0 { words[FIRST_RULE] } else { *random.pick(&values) };
        self.set(surgeon, "rotate_size", word!(policy: Growth, rotate_size), said)?;
        let in_range =
            (0..8).all(|rule| words[0] >> rule & 1 == 0 || RULES[rule].allows(words[FIRST_RULE + rule]));
        Ok(check == right && in_range)
    }
}

/// Pairs and steps with right checks, and anything in them.
fn spoil_ring(surgeon: &Surgeon, random: &mut Random, now: u64, uuid: [u64; 2]) -> Result<()> {
    let ring = ring_at(WRITERS) as u64;
    let cursor = 100;
    let one = |random: &mut Random, likely: [u64; 5]| match random.below(6) {
        5 => random.next(),
        index => likely[index as usize],
    };
    let position = |random: &mut Random| one(random, [0, 1, cursor, 1 << 40, u64::MAX]);
    let time = |random: &mut Random| one(random, [0, 1, now, now + 10 * YEAR_NS, u64::MAX]);
    for _ in 0..random.below(300) {
        let place = random.below(PAIRS_MAX as u64) as usize;
        let pair = Pair { at_ns: time(random), settled: position(random), reserved: position(random) };
        put(surgeon, ring + place as u64 * 32, &pair.words(place, uuid))?;
    }
    for number in 0..random.below(STEPS_MAX as u64) {
        let (settled, reserved) = (position(random), position(random));
        let step = Step { settled, reserved, before_ns: time(random), after_ns: time(random), number };
        put(surgeon, ring + STEPS_AT as u64 + number * 64, &step.words(uuid))?;
    }
    for _ in 0..random.below(100) {
        let at = random.below(RING_LEN as u64 / 8) * 8;
        surgeon.set(ring + at, random.next())?;
    }
    Ok(())
}

fn put(surgeon: &Surgeon, at: u64, words: &[u64]) -> std::io::Result<()> {
    (at..).step_by(8).zip(words).try_for_each(|(at, word)| surgeon.set(at, *word))
}

fn nanoseconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

fn message(number: usize) -> [u8; MESSAGE] {
    [b'a' + (number % 26) as u8; MESSAGE]
}

/// A log with some final segments.
fn segments(log: &Path, options: Options) -> Result<Log> {
    let opened = options.open_or_create(log)?;
    for _ in 0..BEFORE {
        opened.writer()?.append(b"in a final segment\n")?;
        opened.rotate(&Rotation::default())?;
    }
    Ok(opened)
}

/// Logs of root's to which a group may append, in a directory that it may not write to.
fn shared(run: &mut Run) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        run.skipped("a group that scribbles over root's metadata: needs root");
        return Ok(());
    }
    let mut random = Random::new(run.seed ^ 0x7368_6172);
    for _ in 0..run.size.of(SHARED) {
        if let Some(wrong) = deletes_for_others(run, &mut random, Trust::Strict)? {
            run.violation(wrong);
        }
        run.count("policies of a group", 1);
    }
    let caught = deletes_for_others(run, &mut random, Trust::AnyPath)?.is_some();
    run.control("deleted by the policy of somebody who may not", caught);
    Ok(())
}

/// What root's writer deletes because others stored that it may go.
fn deletes_for_others(run: &Run, random: &mut Random, trust: Trust) -> Result<Option<String>> {
    let place = run.directory(Place::Memory)?;
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))?;
    let log = place.path().join("app.log");
    let options = options().trust(trust);
    drop(segments(&log, options.clone())?);
    let files = Segments::look(&log)?.finals.into_iter().map(|found| found.path);
    for path in files.chain([log.clone(), metadata_of(&log)]) {
        chown(&path, None, Some(OTHERS))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664))?;
    }
    let opened = options.open(&log)?;
    // What whoever may write the metadata can store.
    let by_first_kept = trust == Trust::Strict && random.below(2) == 0;
    let keep = if by_first_kept { 1000 } else { random.below(3) };
    let set = |policy: &mut Policy| (policy.rotate_size, policy.keep) = (Some(1 << 16), Some(keep));
    opened.set_policy(set, Duration::from_secs(20))?;
    if by_first_kept {
        Surgeon::open(&log)?.set(word!(kept: Kept, first), opened.cursor()?.get())?;
    }
    let mut writer = opened.writer()?;
    let before = opened.status()?.generation;
    for number in 0..MESSAGES {
        writer.append(&message(number as usize))?;
    }
    opened.housekeep()?;
    let names =
        fs::read_dir(place.path())?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
    let names = names.collect::<std::io::Result<Vec<String>>>()?;
    let finals = names.iter().filter(|name| name.starts_with("app.log.0")).count() as u64;
    let there = BEFORE + opened.status()?.generation - before;
    let how = if by_first_kept { "first_kept".into() } else { format!("keep = {keep}") };
    Ok((finals != there).then(|| format!("by {how} of a group, {} of {there} segments went", there - finals)))
}
