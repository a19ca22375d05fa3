//! What is done with a hostile log, in a process of its own that a parent watches.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mmlog::repair::{self, Wish};
use mmlog::{Follower, Next, Observer, Options, Position, Start, check};
use nix::sys::resource::{Resource, setrlimit};

use super::bench::{Bench, options};
use super::forge::{Expect, Forged};
use super::tooled;
use crate::random::Random;

/// What a child is doing, and what it has done, in a file that its parent reads.
pub(super) struct Progress {
    file: File,
    words: [u64; WORDS],
}

const WORDS: usize = 2 + COUNTS.len();
/// The counts behind the number and the stage.
pub(super) const COUNTS: &[&str] = &[
    "headers",
    "looks",
    "refused looks",
    "follows",
    "writes",
    "refused writes",
    "repairs",
    "refused repairs",
    "repaired, not sound",
    "deep checks",
    "mmlogctl runs",
    "metadata removed",
];

/// The stages, by the number that the progress names.
pub(super) const STAGES: &[&str] = &["prepare", "look", "follow", "write", "repair", "check", "mmlogctl"];

impl Progress {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let progress = Self { file, words: [0; WORDS] };
        progress.show()?;
        Ok(progress)
    }

    /// What a child says: number, stage, counts.
    pub(super) fn read(path: &Path) -> Result<Vec<u64>> {
        let bytes = std::fs::read(path)?;
        Ok(bytes
            .chunks_exact(8)
            .map(|c| c.iter().rev().fold(0, |word, &b| word << 8 | u64::from(b)))
            .collect())
    }

    fn show(&self) -> Result<()> {
        let bytes: Vec<u8> = self.words.iter().flat_map(|w| w.to_le_bytes()).collect();
        Ok(self.file.write_all_at(&bytes, 0)?)
    }

    pub(super) fn at(&mut self, number: u64, stage: u64) -> Result<()> {
        (self.words[0], self.words[1]) = (number, stage);
        self.show()
    }

    fn count(&mut self, what: &str, n: u64) {
        if let Some(i) = COUNTS.iter().position(|c| *c == what) {
            self.words[2 + i] += n;
        }
    }
}

/// In place of a control: the logs are given to `mmlogctl`.
pub(super) const TOOLED: &str = "mmlogctl";

/// How often the dearer stages come: one in so many headers.
const WRITE_EACH: u64 = 8;
const REPAIR_EACH: u64 = 64;
const CHECK_EACH: u64 = 512;
const SLOW_EACH: u64 = 400;
const NEIGHBOURS_EACH: u64 = 4096;
const WAIT: Duration = Duration::from_millis(20);

const ALL_WISHES: &[Wish] =
    &[Wish::ClearPanic, Wish::Rebuild, Wish::Recreate, Wish::Upgrade, Wish::AcceptLoss];

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Dies with its parent, and lets an absurd allocation, mapping or file length show.
pub(super) fn confine() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    let limits = [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_DATA, 256 << 20),
        (Resource::RLIMIT_AS, 5 << 30),
        (Resource::RLIMIT_FSIZE, 4 << 20),
    ];
    Ok(limits.into_iter().try_for_each(|(what, limit)| setrlimit(what, limit, limit))?)
}

/// The role: seed, first number, how many, directory, and what a control spoils.
pub(super) fn play(arguments: &[String]) -> Result<()> {
    let [seed, first, count, directory, control] = arguments else { bail!("five arguments") };
    let (seed, first, count): (u64, u64, u64) = (seed.parse()?, first.parse()?, count.parse()?);
    let directory = PathBuf::from(directory);
    confine()?;
    panic::set_hook(Box::new(|info| {
        PANIC.with_borrow_mut(|text| *text = info.to_string().replace('\n', " "));
    }));
    let mut progress = Progress::create(&directory.join("progress"))?;
    let place = directory.join("place");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir(&place)?;
    let mut bench = Bench::new(&place)?;
    for number in first..first + count {
        progress.at(number, 0)?;
        let forged = bench.prepare(seed, number).context("prepare")?;
        let kind = forged.kind;
        let mut one = One { bench: &mut bench, forged, number, progress: &mut progress, control };
        match panic::catch_unwind(AssertUnwindSafe(|| one.run())) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => println!("{number} ({kind}): {why:#}"),
            Err(_) => {
                let text = PANIC.with_borrow(String::clone);
                let stage = STAGES[progress.words[1] as usize];
                println!("{number} ({kind}): panics in {stage}: {text}");
                bench.let_change();
            }
        }
        let removed = bench.renew().context("renew")?;
        progress.count("metadata removed", removed.into());
        progress.count("headers", 1);
        if (number.is_multiple_of(NEIGHBOURS_EACH) || number + 1 == first + count)
            && let Some(path) = bench.spilled()?
        {
            bail!("{path} is not what it was, at {number} or up to {NEIGHBOURS_EACH} before");
        }
    }
    progress.at(first + count, 0)
}

/// One header.
struct One<'a> {
    bench: &'a mut Bench,
    forged: Forged,
    number: u64,
    progress: &'a mut Progress,
    control: &'a str,
}

impl One<'_> {
    fn run(&mut self) -> Result<()> {
        let options = options().wait(WAIT);
        let log = self.bench.log.clone();
        if self.control == TOOLED {
            self.stage(6)?;
            self.bench.let_go();
            self.progress.count("mmlogctl runs", tooled::run_all(&log)?);
            return Ok(());
        }
        let thorough = !self.forged.is_slow || self.forged.random.below(SLOW_EACH) == 0;
        self.stage(1)?;
        let looked = look(&log, &options, thorough);
        self.progress.count(if looked.is_ok() { "looks" } else { "refused looks" }, 1);
        self.stage(2)?;
        if thorough {
            let followed = follow(&log, &options, &mut self.forged.random);
            self.progress.count("follows", followed.is_ok().into());
            self.expected(&looked, &followed)?;
        }
        let all = self.number.is_multiple_of(256) || self.control == "store";
        if !self.bench.is_unchanged(&self.forged, all)? {
            bail!("looking or following changed the files");
        }
        if self.forged.random.below(REPAIR_EACH) == 0 {
            self.examine(&log, &options)?;
            // Whatever it was, it may be something else now.
            self.forged.expect = Expect::Survival;
        }
        if self.forged.random.below(WRITE_EACH) == 0 || self.forged.expect == Expect::Good {
            self.stage(3)?;
            self.bench.let_change();
            let wrote = write(&log, &options, &mut self.forged);
            self.progress.count(if wrote.is_ok() { "writes" } else { "refused writes" }, 1);
            match (self.forged.expect, &wrote) {
                (Expect::Good, Err(e)) => bail!("good, but cannot be written: {e}"),
                (Expect::Refused, Ok(())) => bail!("must be refused, but can be written"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes the stage; a control goes wrong at its start.
    fn stage(&mut self, stage: u64) -> Result<()> {
        self.progress.at(self.number, stage)?;
        if stage == 2 && !self.control.is_empty() {
            self.sabotage()?;
        }
        Ok(())
    }

    /// What the watcher must notice.
    fn sabotage(&mut self) -> Result<()> {
        match self.control {
            "expect good" => self.forged.expect = Expect::Good,
            "expect refused" => self.forged.expect = Expect::Refused,
            _ if self.number % 1000 != 700 => return Ok(()),
            "panic" => drop(self.control.split_at(99)),
            "abort" => std::process::abort(),
            "stall" => loop {
                std::thread::park();
            },
            "memory" => drop(std::hint::black_box(vec![1u8; 1 << 30])),
            "spill" => return Ok(std::fs::write(self.bench.log.with_file_name("plain"), "spilled")?),
            "store" => {
                let file =
                    File::options().write(true).open(self.bench.log.with_file_name("app.log.mmlog"))?;
                return Ok(file.write_all_at(b"!", 0x500)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn expected(
        &self,
        looked: &Result<(), mmlog::Error>,
        followed: &Result<Vec<u8>, mmlog::Error>,
    ) -> Result<()> {
        match (self.forged.expect, looked, followed) {
            (Expect::Survival, ..) | (Expect::Refused, Err(_), Err(_)) => Ok(()),
            (Expect::Good, Ok(()), Ok(bytes)) if bytes == self.bench.content() => Ok(()),
            (Expect::Refused, ..) => bail!("must be refused, but can be opened"),
            (Expect::Good, Ok(()), Ok(bytes)) => bail!("good, but {} other bytes are read", bytes.len()),
            (Expect::Good, looked, followed) => {
                bail!("good, but {:?} {:?}", looked.as_ref().err(), followed.as_ref().err())
            }
        }
    }

    fn examine(&mut self, log: &Path, options: &Options) -> Result<()> {
        self.stage(4)?;
        let random = &mut self.forged.random;
        let wishes: Vec<Wish> = ALL_WISHES.iter().copied().filter(|_| random.below(2) == 0).collect();
        let plan = repair::examine(log, options).map(|found| found.plan(&wishes));
        if random.below(CHECK_EACH / REPAIR_EACH) == 0 {
            self.stage(5)?;
            let found = check::deep(log, options);
            self.progress.count("deep checks", found.is_ok().into());
        }
        if !self.bench.is_unchanged(&self.forged, true)? {
            bail!("an examination changed the files");
        }
        self.stage(4)?;
        // Making metadata anew takes a lease: nobody else may have the data file open for writing.
        self.bench.let_go();
        let whole = plan.as_ref().is_ok_and(|plan| plan.left.is_empty());
        let done = plan.and_then(|plan| plan.apply());
        self.progress.count(if done.is_ok() { "repairs" } else { "refused repairs" }, 1);
        match done {
            Ok(steps) if whole => {
                let sound = repaired(log, options).with_context(|| format!("after {steps:?}"))?;
                self.progress.count("repaired, not sound", (!sound).into());
            }
            _ => {}
        }
        Ok(())
    }
}

/// Repairs come to an end: at last nothing is left to do. Whether the invariants hold as well: repair does not know all
/// of them.
fn repaired(log: &Path, options: &Options) -> Result<bool> {
    let mut last = Vec::new();
    for _ in 0..3 {
        let plan = repair::examine(log, options)?.plan(ALL_WISHES);
        if plan.is_healthy() {
            return Ok(check::deep(log, options)?.holds());
        }
        if !plan.left.is_empty() {
            return Ok(false);
        }
        last = plan.apply()?;
    }
    bail!("done again and again: {last:?}")
}

fn look(log: &Path, options: &Options, thorough: bool) -> mmlog::Result<()> {
    let mut observer = Observer::open(log, options)?;
    if thorough {
        observer.look()?;
    }
    Ok(())
}

/// At most so many steps of a follower.
const STEPS: usize = 64;

fn follow(log: &Path, options: &Options, random: &mut Random) -> mmlog::Result<Vec<u8>> {
    let log = options.open_reader(log)?;
    let _ = log.watermark();
    let read = steps(&mut log.follow(Start::Oldest)?)?;
    let (oldest, newest) = (log.oldest()?.get(), log.cursor()?.get());
    let at = oldest.saturating_add(random.below(newest.saturating_sub(oldest).saturating_add(2)));
    if let Ok(mut follower) = log.follow(Start::At(Position::new(at))) {
        let _ = steps(&mut follower);
        if random.below(8) == 0 {
            let _ = follower.wait(Duration::ZERO);
        }
    }
    let _ = log.plan_trim();
    Ok(read)
}

fn steps(follower: &mut Follower) -> mmlog::Result<Vec<u8>> {
    let (mut read, mut buf) = (Vec::new(), [0; 1024]);
    for _ in 0..STEPS {
        match follower.next(&mut buf)? {
            Next::Bytes(range) => read.extend_from_slice(&buf[..(range.end - range.start) as usize]),
            Next::CaughtUp => break,
            _ => {}
        }
    }
    Ok(read)
}

fn write(path: &Path, options: &Options, forged: &mut Forged) -> mmlog::Result<()> {
    let random = &mut forged.random;
    // What must be refused may still be made anew.
    let log = if forged.expect != Expect::Refused && random.below(8) == 0 {
        options.open_or_create(path)?
    } else {
        options.open(path)?
    };
    let mut writer = log.writer()?;
    let first = writer.append(b"a line behind whatever there is\n");
    if random.below(4) == 0 {
        let _ = writer.append(&[b'x'; 20_000]);
    }
    if let Ok(at) = first
        && let Ok(mut follower) = log.follow(Start::At(at))
    {
        let _ = steps(&mut follower);
    }
    let _ = log.trim(WAIT);
    if random.below(16) == 0 {
        let _ = log.sync();
    }
    let _ = log.status();
    drop(writer);
    first.and(log.close())
}
