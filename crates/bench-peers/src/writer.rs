//! One writer process: opens its logger, says that it is ready, begins when standard input ends, tells what came of it.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::time::Instant;

use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::line::Line;
use crate::loggers::{Fern, Logger, Pipe, Tracing};
use crate::peer::Peer;
use crate::{Job, Purpose};

/// The word that makes this program one of these.
pub(crate) const ROLE: &str = "writer";
/// What a writer says when everything is open.
pub(crate) const READY: &str = "ready";

/// What `run` tells one.
pub(crate) struct Writer {
    job: Job,
    worker: usize,
    core: Option<usize>,
}

/// The job, the writer's number, and its core or a minus sign.
pub(crate) fn heard(told: &[OsString]) -> Option<Writer> {
    let (job, own) = told.split_at_checked(Job::WORDS)?;
    let [worker, core] = own else { return None };
    let core = core.to_str()?;
    let core = if core == "-" { None } else { Some(core.parse().ok()?) };
    Some(Writer { job: Job::heard(job)?, worker: worker.to_str()?.parse().ok()?, core })
}

pub(crate) fn run(writer: Writer) -> Result<(), String> {
    let turn = || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let file = writer.job.data();
        match writer.job.peer {
            Peer::Fern => writer.turn(Fern::open(&file)?),
            Peer::Rolling => writer.turn(Tracing::blocking(&file)?),
            Peer::NonBlocking => writer.turn(Tracing::non_blocking(&file)?),
            Peer::Pipe(_) => writer.turn(Pipe),
            Peer::Spdlog(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    };
    turn().map_err(|e: io::Error| e.to_string())
}

impl Writer {
    fn turn(&self, mut logger: impl Logger) -> io::Result<()> {
        // Not before the logger was opened: its thread goes where it likes.
        if let Some(core) = self.core {
            let mut set = CpuSet::new();
            set.set(core);
            sched_setaffinity(None, &set)?;
        }
        let mut line = Line::new(self.worker, self.job.size);
        let mut samples = Vec::new();
        say(READY)?;
        io::stdin().lock().read_to_end(&mut Vec::new())?;
        let begun = now();
        for _ in 0..self.job.messages {
            if self.job.purpose == Purpose::Latency {
                let called = Instant::now();
                logger.log(&line)?;
                samples.push(called.elapsed().as_nanos());
            } else {
                logger.log(&line)?;
            }
            line.go_on();
        }
        if self.job.purpose == Purpose::Kill {
            kill_process(getpid(), Signal::KILL)?;
        }
        logger.finish()?;
        say(&outcome(begun, now(), self.job.messages, &samples))
    }
}

/// As a worker of the bench tells it.
pub(crate) fn outcome(begun: u64, ended: u64, appended: u64, samples: &[u128]) -> String {
    let samples: Vec<String> = samples.iter().map(u128::to_string).collect();
    format!(
        "{{\"begun\":{begun},\"ended\":{ended},\"appended\":{appended},\"calls\":null,\"samples\":[{}],\"seconds\":[],\"longest\":0}}",
        samples.join(",")
    )
}

pub(crate) fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Of the monotonic clock, which processes share.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
