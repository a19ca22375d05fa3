//! `mmlogctl bench-worker`, one worker process of a run. Not for people: a bench starts them. It opens everything, says that it is ready, and begins when its standard input ends,
//! which all workers of the run share.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use mmlog::Log;
use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::company;
use super::engines::{self, Engine, Kind, Site};
use super::job::{Cores, Job, Outcome, Policy, Purpose};
use super::lines::Lines;
use super::message::{Form, Messages, Noise};
use super::processors;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The word that makes this program one of these.
pub(super) const NAME: &str = "bench-worker";
/// What a worker says when everything is open.
pub(super) const READY: &str = "ready";

/// The messages of a burst, and how long after its beginning the next one begins.
pub(super) const BURST: u64 = 64;
const BURST_EVERY: Duration = Duration::from_millis(2);

/// What it is told, if a whole command line is a worker's.
pub fn asked(line: impl Iterator<Item = OsString>) -> Option<String> {
    let line: Vec<OsString> = line.skip(1).collect();
    match line.as_slice() {
        [name, told] if name == NAME => told.to_str().map(str::to_owned),
        _ => None,
    }
}

/// Does what it was told.
///
/// # Errors
/// When it was told nothing that makes sense, or its engine failed.
pub fn run(told: &str, out: &mut Output) -> Result<Exit, Failure> {
    let Some(job) = Job::heard(told) else {
        return Err(Failure::new(Exit::Usage, "bench-worker is started by `mmlogctl bench`; use that"));
    };
    // Which engine it was, and where, says whoever started us.
    let failed = |e: io::Error| Failure::new(Exit::Failed, e.to_string());
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| failed(e.into()))?;
    if job.purpose == Purpose::Follow {
        return company::follow(&job, out);
    }
    let log = match job.kind.options(job.company.options()) {
        Some(options) => Some(options.open_or_create(engines::data(&job.dir))?),
        None => None,
    };
    let cores = processors::allowed().map_err(failed)?;
    let (opened, begin) = (Barrier::new(job.threads + 1), Barrier::new(job.threads + 1));
    let outcomes = thread::scope(|scope| {
        let threads: Vec<_> = (0..job.threads)
            .map(|n| {
                let worker = job.process * job.threads + n;
                let (job, log, opened, begin) = (&job, log.as_ref(), &opened, &begin);
                let core = (job.cores == Cores::Pinned).then(|| cores[worker % cores.len()]);
                scope.spawn(move || Turn { job, log, worker, core, opened, begin }.of_form())
            })
            .collect();
        opened.wait();
        let said = out.line(READY);
        // Ends when the process that started us lets go of it; nothing is ever in it.
        let told = io::stdin().lock().read_to_end(&mut Vec::new());
        begin.wait();
        let outcomes: Vec<io::Result<Outcome>> = threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Err(io::Error::other("a thread of it panicked"))))
            .collect();
        said.and(told.map(|_| outcomes).map_err(failed))
    })?;
    let outcomes = outcomes.into_iter().collect::<io::Result<Vec<_>>>().map_err(failed)?;
    if let Some(log) = log {
        log.close()?;
    }
    let told: Vec<Value> = outcomes.iter().map(Outcome::told).collect();
    out.line(&json!(told).to_string())?;
    Ok(Exit::Done)
}

/// One thread's part.
struct Turn<'a> {
    job: &'a Job,
    log: Option<&'a Log>,
    worker: usize,
    core: Option<usize>,
    opened: &'a Barrier,
    begin: &'a Barrier,
}

impl Turn<'_> {
    fn of_form(&self) -> io::Result<Outcome> {
        match self.job.form {
            Form::Noise => self.of_kind::<Noise>(),
            Form::Lines => self.of_kind::<Lines>(),
        }
    }

    fn of_kind<M: Messages>(&self) -> io::Result<Outcome> {
        match self.job.kind {
            Kind::Mmlog | Kind::MmlogDrop => self.take::<engines::Logged, M>(),
            Kind::Batched => self.take::<engines::Batched, M>(),
            Kind::Write => self.take::<engines::Write, M>(),
            Kind::Writev => self.take::<engines::Writev, M>(),
            Kind::Stdio => self.take::<engines::Stdio, M>(),
            Kind::Buffered => self.take::<engines::Buffered, M>(),
            Kind::Direct => self.take::<engines::Direct, M>(),
            Kind::Aio => self.take::<engines::NativeAio, M>(),
            Kind::Uring => self.take::<engines::Ring, M>(),
            Kind::Pwrite => self.take::<engines::Pwrite, M>(),
            Kind::Floor => self.take::<engines::Floor, M>(),
            Kind::SharedFloor => self.take::<engines::SharedFloor, M>(),
            // Its program is no worker of ours.
            Kind::Peer(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn take<E: Engine, M: Messages>(&self) -> io::Result<Outcome> {
        let site = Site { dir: &self.job.dir, worker: self.worker, size: self.job.size, log: self.log };
        let opened = self.pin().and_then(|()| E::open(&site));
        let mut messages = M::new(self.worker, self.job.size);
        // Touched once: the pages of the messages are no part of what is measured.
        messages.message(0);
        self.opened.wait();
        self.begin.wait();
        let mut engine = opened?;
        let before = engine.calls();
        let mut outcome = Outcome { begun: now(), ..Outcome::default() };
        match self.job.purpose {
            Purpose::Throughput => self.all(&mut engine, &mut messages)?,
            Purpose::Latency | Purpose::Bursts => self.each(&mut engine, &mut messages, &mut outcome)?,
            Purpose::Sustain(time) => sustain(&mut engine, &mut messages, self.job, time, &mut outcome)?,
            Purpose::Kill => {
                self.all(&mut engine, &mut messages)?;
                kill_process(getpid(), Signal::KILL)?;
            }
            Purpose::Follow => {}
        }
        engine.finish()?;
        outcome.ended = now();
        outcome.calls = engine.calls().zip(before).map(|(after, before)| after - before);
        if !matches!(self.job.purpose, Purpose::Sustain(_)) {
            outcome.appended = self.job.messages;
        }
        Ok(outcome)
    }

    fn pin(&self) -> io::Result<()> {
        self.core.map_or(Ok(()), processors::pin)
    }

    fn all<E: Engine>(&self, engine: &mut E, messages: &mut impl Messages) -> io::Result<()> {
        if self.job.policy == Policy::Never {
            return (0..self.job.messages).try_for_each(|n| engine.append(messages.message(n)));
        }
        let mut durable = Durable::new(self.job.policy);
        (0..self.job.messages).try_for_each(|n| durable.append(engine, messages.message(n)))?;
        durable.end(engine)
    }

    fn each<E: Engine>(
        &self,
        engine: &mut E,
        messages: &mut impl Messages,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        let mut durable = Durable::new(self.job.policy);
        outcome.samples.reserve_exact(usize::try_from(self.job.messages).unwrap_or(0));
        let mut burst = Instant::now();
        for n in 0..self.job.messages {
            if self.job.purpose == Purpose::Bursts && n > 0 && n % BURST == 0 {
                thread::sleep(BURST_EVERY.saturating_sub(burst.elapsed()));
                burst = Instant::now();
            }
            let message = messages.message(n);
            let begun = Instant::now();
            if self.job.policy == Policy::Never {
                engine.append(message)?;
            } else {
                durable.append(engine, message)?;
            }
            outcome.samples.push(nanoseconds(begun.elapsed()));
        }
        durable.end(engine)
    }
}

/// Appends until the time is over or all messages are appended, and counts by the second.
fn sustain<E: Engine>(
    engine: &mut E,
    messages: &mut impl Messages,
    job: &Job,
    time: Duration,
    outcome: &mut Outcome,
) -> io::Result<()> {
    let begun = Instant::now();
    let mut last = Duration::ZERO;
    while last < time && outcome.appended < job.messages {
        engine.append(messages.message(outcome.appended))?;
        let now = begun.elapsed();
        outcome.longest = outcome.longest.max(nanoseconds(now - last));
        last = now;
        outcome.appended += 1;
        let second = usize::try_from(now.as_secs()).unwrap_or(usize::MAX);
        if second >= outcome.seconds.len() {
            outcome.seconds.resize(second + 1, 0);
        }
        outcome.seconds[second] += 1;
    }
    Ok(())
}

/// Appends under a policy.
struct Durable {
    policy: Policy,
    /// Appended and not synced.
    open: u64,
    synced: Instant,
}

impl Durable {
    fn new(policy: Policy) -> Self {
        Self { policy, open: 0, synced: Instant::now() }
    }

    fn append<E: Engine>(&mut self, engine: &mut E, message: &[u8]) -> io::Result<()> {
        match self.policy {
            Policy::Never => return engine.append(message),
            Policy::Each => return engine.append_durable(message),
            Policy::Batch(_) | Policy::Every(_) => engine.append(message)?,
        }
        self.open += 1;
        let due = match self.policy {
            Policy::Batch(n) => self.open >= n,
            Policy::Every(ms) => self.synced.elapsed() >= Duration::from_millis(ms),
            _ => false,
        };
        if due { self.end(engine) } else { Ok(()) }
    }

    fn end<E: Engine>(&mut self, engine: &mut E) -> io::Result<()> {
        if self.open > 0 {
            engine.sync()?;
            self.open = 0;
            self.synced = Instant::now();
        }
        Ok(())
    }
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Of the monotonic clock.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
