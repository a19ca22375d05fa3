//! A group of contenders at one size and number of processes: calibrated to take about the same time each, then run in
//! turns, then once more with a clock at every append.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::company::Company;
use super::engines::Kind;
use super::harness::{self, Run};
use super::job::{Cores, Job, Policy, Purpose};
use super::message::Form;
use super::peers::Peer;
use super::place::Place;
use super::verify::Verdict;
use crate::signals;

/// Timed appends of a row, of all workers together.
const SAMPLES: u64 = 400_000;
/// What a first try appends in each worker.
const FIRST_TRY: u64 = 1000;
/// Of durable messages.
const FIRST_DURABLE_TRY: u64 = 16;
/// What a process appends that is killed then.
const KILLED: u64 = 20_000;
/// How often that is tried, unless rows have fewer runs.
const KILLS: usize = 3;

/// What one row is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Contender {
    pub(super) kind: Kind,
    pub(super) policy: Policy,
    pub(super) company: Company,
}

impl Contender {
    pub(super) fn name(self) -> String {
        match (self.policy, self.company) {
            (Policy::Never, Company::Nobody) => self.kind.name(),
            (Policy::Never, company) => format!("{}+{}", self.kind.name(), company.name()),
            (policy, _) => format!("{}:{}", self.kind.name(), policy.name()),
        }
    }
}

/// What the rows of a group have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Group {
    pub(super) size: usize,
    pub(super) processes: usize,
    pub(super) threads: usize,
}

impl Group {
    /// How many append.
    pub(super) const fn workers(self) -> u64 {
        (self.processes * self.threads) as u64
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, processes, threads } = self;
        let (es, s) = (if *processes == 1 { "" } else { "es" }, if *threads == 1 { "" } else { "s" });
        write!(f, "{size} B, {processes} process{es}, {threads} thread{s} each")
    }
}

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub(super) cores: Cores,
    pub(super) form: Form,
    /// As many as the size wants, if it is not said.
    pub(super) runs: Option<usize>,
    /// Of each worker; as many as take [`How::time`], if it is not said.
    pub(super) messages: Option<u64>,
    /// Each run is of bursts, and says what single appends take.
    pub(super) bursts: bool,
}

impl How {
    /// Short messages are measured in more and shorter rounds: their ratios are what noise disturbs most.
    pub(super) fn runs(self, group: Group) -> usize {
        self.runs.unwrap_or(if group.size <= 16 { 15 } else { 7 })
    }

    fn time(group: Group) -> Duration {
        Duration::from_millis(if group.size <= 16 { 90 } else { 250 })
    }
}

/// One contender's figures.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) group: Group,
    /// Nanoseconds a message, of each run.
    pub(super) ns: Vec<f64>,
    /// What was lost, doubled or torn, in all runs together; nobody knows of what is not ours.
    pub(super) verdict: Option<Verdict>,
    /// A message.
    pub(super) calls: Option<f64>,
    /// Nanoseconds of single appends, sorted.
    pub(super) samples: Vec<u64>,
    /// What is not ours.
    pub(super) peer: Option<&'static Peer>,
    /// Of one process's messages, those that are not in the file when it was killed behind the last one: the most of some
    /// tries. Only beside peers.
    pub(super) lost_at_kill: Option<u64>,
}

impl Row {
    /// Nothing is measured yet.
    pub(super) fn new(name: String, group: Group) -> Self {
        let (ns, samples) = (Vec::new(), Vec::new());
        Self { name, group, ns, verdict: None, calls: None, samples, peer: None, lost_at_kill: None }
    }

    /// A quantile of single appends.
    pub(super) fn quantile(&self, q: f64) -> Option<u64> {
        let last = self.samples.len().checked_sub(1)?;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index below the length of a vector"
        )]
        let at = (last as f64 * q).ceil() as usize;
        self.samples.get(at.min(last)).copied()
    }

    /// By how much it takes longer than another row: the median of the ratios of each round.
    pub(super) fn ratio_to(&self, other: &Self) -> Option<f64> {
        median(&self.ns.iter().zip(&other.ns).map(|(mine, theirs)| mine / theirs).collect::<Vec<_>>())
    }
}

/// The middle one, or the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// Measures a group; tells `at` what it is at, and ends early, with nothing, when that answers false.
pub(super) struct Measuring<'a> {
    pub(super) place: &'a Place,
    pub(super) how: How,
    pub(super) group: Group,
    pub(super) at: &'a mut dyn FnMut(&str) -> bool,
}

/// A contender that is being measured.
struct Lane {
    contender: Contender,
    messages: u64,
    row: Row,
}

impl Lane {
    fn found(&mut self, verdict: Verdict) {
        self.row.verdict = Some(self.row.verdict.unwrap_or_default().and(verdict));
    }

    fn take_samples(&mut self, run: Run) {
        self.row.samples.extend(run.workers.into_iter().flat_map(|w| w.samples));
        self.row.samples.sort_unstable();
    }
}

/// A row that could not be measured.
pub(super) struct Failed {
    pub(super) name: String,
    pub(super) why: String,
}

/// The signal to end came.
pub(super) struct Interrupted;

impl Measuring<'_> {
    /// Rows in the order of the contenders; those that fail, with the reason.
    pub(super) fn rows(&mut self, contenders: &[Contender]) -> Result<Vec<Result<Row, Failed>>, Interrupted> {
        let mut lanes: Vec<Result<Lane, Failed>> = Vec::new();
        for &contender in contenders {
            let name = contender.name();
            self.say(&name, "how many messages")?;
            lanes.push(self.calibrated(contender).map_err(|why| Failed { name, why }));
        }
        let runs = self.how.runs(self.group);
        for round in 0..runs {
            // Another one begins each round: nobody always has the same one before it.
            for n in 0..lanes.len() {
                let lane = (n + round) % lanes.len();
                self.round(&mut lanes[lane], &format!("run {} of {runs}", round + 1))?;
            }
        }
        for lane in &mut lanes {
            if !self.how.bursts {
                self.single(lane)?;
            }
            self.traced(lane);
            self.killed(lane)?;
        }
        Ok(lanes.into_iter().map(|lane| lane.map(|lane| lane.row)).collect())
    }

    fn say(&mut self, name: &str, what: &str) -> Result<(), Interrupted> {
        let goes_on = (self.at)(&format!("{}: {name}, {what}", self.group));
        if goes_on { Ok(()) } else { Err(Interrupted) }
    }

    fn job(&self, contender: Contender, purpose: Purpose, messages: u64) -> Job {
        Job {
            dir: self.place.path().to_owned(),
            kind: contender.kind,
            policy: contender.policy,
            company: contender.company,
            purpose,
            cores: self.how.cores,
            form: self.how.form,
            size: self.group.size,
            process: 0,
            threads: self.group.threads,
            messages,
        }
    }

    fn run(&self, contender: Contender, purpose: Purpose, messages: u64) -> Result<Run, String> {
        harness::run(self.place, &self.job(contender, purpose, messages), self.group.processes)
    }

    /// Tries more and more messages, until they take long enough for a guess.
    fn calibrated(&self, contender: Contender) -> Result<Lane, String> {
        let bytes = self.place.below_dirty_limits().map_err(|e| e.to_string())?;
        let most = (bytes / self.group.size as u64 / self.group.workers()).max(1);
        let mut verdict = Verdict::default();
        let mut messages = match (self.how.messages, contender.policy) {
            (Some(messages), _) => messages.max(1),
            (None, Policy::Never) => FIRST_TRY.min(most),
            (None, _) => FIRST_DURABLE_TRY.min(most),
        };
        while self.how.messages.is_none() {
            let run = self.run(contender, Purpose::Throughput, messages)?;
            verdict = verdict.and(run.verdict);
            let (took, wanted) = (run.nanoseconds().max(1), How::time(self.group).as_nanos() as u64);
            // Much less says more of what starting costs than of a message.
            let enough = took >= wanted / 2 || messages == most;
            let more = if enough { 100 * wanted / took } else { (100 * wanted / took).clamp(200, 2000) };
            messages = (messages * more / 100).clamp(1, most);
            if enough {
                break;
            }
        }
        let mut row = Row::new(contender.name(), self.group);
        row.verdict = Some(verdict);
        row.peer = if let Kind::Peer(peer) = contender.kind { Some(peer) } else { None };
        Ok(Lane { contender, messages, row })
    }

    fn round(&mut self, slot: &mut Result<Lane, Failed>, what: &str) -> Result<(), Interrupted> {
        let Ok(lane) = slot else { return Ok(()) };
        self.say(&lane.row.name, what)?;
        match self.run(lane.contender, self.purpose(), lane.messages) {
            Ok(run) => {
                lane.found(run.verdict);
                lane.row.calls = run.calls().map(|calls| a_message(calls, run.messages()));
                if self.how.bursts {
                    let all: u64 = run.workers.iter().flat_map(|w| &w.samples).sum();
                    lane.row.ns.push(a_message(all, run.messages()));
                    lane.take_samples(run);
                } else {
                    lane.row.ns.push(run.ns_per_message());
                }
            }
            Err(why) => *slot = Err(Failed { name: lane.row.name.clone(), why }),
        }
        Ok(())
    }

    /// What its runs are for.
    const fn purpose(&self) -> Purpose {
        if self.how.bursts { Purpose::Bursts } else { Purpose::Throughput }
    }

    /// Single appends.
    fn single(&mut self, slot: &mut Result<Lane, Failed>) -> Result<(), Interrupted> {
        let Ok(lane) = slot else { return Ok(()) };
        self.say(&lane.row.name, "single appends")?;
        let messages = lane.messages.min(SAMPLES / self.group.workers()).max(1);
        let timed = match self.run(lane.contender, Purpose::Latency, messages) {
            Ok(run) => run,
            Err(why) => {
                *slot = Err(Failed { name: lane.row.name.clone(), why });
                return Ok(());
            }
        };
        lane.found(timed.verdict);
        lane.take_samples(timed);
        Ok(())
    }

    /// The calls of who does not count them itself.
    fn traced(&self, slot: &mut Result<Lane, Failed>) {
        let Ok(lane) = slot else { return };
        if lane.contender.kind.is_log() && has_strace(self.place.path()) {
            let job = self.job(lane.contender, self.purpose(), lane.messages);
            // A sandbox without ptrace has no figure.
            if let Ok((run, calls)) = harness::run_traced(self.place, &job, self.group.processes) {
                lane.found(run.verdict);
                lane.row.calls = Some(a_message(calls, run.messages()));
            }
        }
    }

    /// One process, killed when its last append has returned.
    fn killed(&mut self, slot: &mut Result<Lane, Failed>) -> Result<(), Interrupted> {
        let Ok(lane) = slot else { return Ok(()) };
        if self.how.form == Form::Noise {
            return Ok(());
        }
        self.say(&lane.row.name, "killed behind the last append")?;
        let job = Job { threads: 1, ..self.job(lane.contender, Purpose::Kill, KILLED) };
        let kill = |_| harness::run(self.place, &job, 1).map(|run| run.verdict);
        let tries = KILLS.min(self.how.runs(self.group));
        match (0..tries).map(kill).collect::<Result<Vec<_>, _>>() {
            Ok(found) => lane.row.lost_at_kill = found.iter().map(|verdict| verdict.lost).max(),
            Err(why) => *slot = Err(Failed { name: lane.row.name.clone(), why }),
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn a_message(calls: u64, messages: u64) -> f64 {
    calls as f64 / messages.max(1) as f64
}

fn has_strace(dir: &Path) -> bool {
    let output = dir.join("strace");
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(output).arg("true");
    signals::as_called(|| strace.output()).is_ok_and(|o| o.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ns: &[f64], samples: Vec<u64>) -> Row {
        let group = Group { size: 1, processes: 1, threads: 1 };
        Row { ns: ns.to_vec(), samples, ..Row::new(String::new(), group) }
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let (one, other) = (row(&[10.0, 200.0, 30.0], vec![]), row(&[1.0, 100.0, 3.0], vec![]));
        assert_eq!(one.ratio_to(&other), Some(10.0));
    }

    #[test]
    fn quantiles_are_of_what_was_seen() {
        let row = row(&[], (1..=1000).collect());
        assert_eq!([0.5, 0.99, 0.999, 1.0].map(|q| row.quantile(q)), [501, 991, 1000, 1000].map(Some));
        assert_eq!(super::tests::row(&[], vec![]).quantile(0.5), None);
    }
}
