//! What a worker process is told on its command line, and what it answers on its standard output: JSON, one line each.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::company::Company;
use super::engines::Kind;
use super::message::Form;

/// When messages are made durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Policy {
    /// Never: what everything but `--durable` measures.
    Never,
    /// Each message; a log's by whichever process's sync covers it.
    Each,
    /// So many at a time.
    Batch(u64),
    /// Whatever came in so many milliseconds.
    Every(u64),
}

impl Policy {
    /// As it is shown, and told to a worker.
    pub(super) fn name(self) -> String {
        match self {
            Self::Never => "never".to_owned(),
            Self::Each => "each".to_owned(),
            Self::Batch(n) => format!("batch-{n}"),
            Self::Every(ms) => format!("{ms}ms"),
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "never" => Self::Never,
            "each" => Self::Each,
            _ => match name.strip_prefix("batch-") {
                Some(n) => Self::Batch(n.parse().ok()?),
                None => Self::Every(name.strip_suffix("ms")?.parse().ok()?),
            },
        })
    }
}

/// What a run is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// How long all messages take together; no clock in between.
    Throughput,
    /// How long each one takes.
    Latency,
    /// How long each one takes of those that come many at a time, with nothing between.
    Bursts,
    /// What happens in a long time.
    Sustain(Duration),
    /// Each process ends by SIGKILL when its last append has returned.
    Kill,
    /// Nothing is appended: a follower that others are measured beside.
    Follow,
}

impl Purpose {
    /// As it is told to a worker.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::Bursts => "bursts",
            Self::Kill => "kill",
            Self::Follow => "follow",
            Self::Sustain(_) => "sustain",
        }
    }
}

/// Whether workers stay on one core each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cores {
    /// Worker i on core i, modulo their number.
    Pinned,
    /// Wherever the kernel puts them.
    Free,
}

/// One worker process's part of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Job {
    pub(super) dir: PathBuf,
    pub(super) kind: Kind,
    pub(super) policy: Policy,
    pub(super) company: Company,
    pub(super) purpose: Purpose,
    pub(super) cores: Cores,
    pub(super) form: Form,
    pub(super) size: usize,
    /// Its number.
    pub(super) process: usize,
    pub(super) threads: usize,
    /// Of each thread.
    pub(super) messages: u64,
}

impl Job {
    pub(super) fn told(&self) -> String {
        let ms = match self.purpose {
            Purpose::Sustain(time) => u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            _ => 0,
        };
        json!({
            "dir": self.dir.to_string_lossy(),
            "engine": self.kind.name(),
            "policy": self.policy.name(),
            "company": self.company.name(),
            "purpose": self.purpose.name(),
            "ms": ms,
            "pinned": self.cores == Cores::Pinned,
            "lines": self.form == Form::Lines,
            "size": self.size,
            "process": self.process,
            "threads": self.threads,
            "messages": self.messages,
        })
        .to_string()
    }

    /// `None` when nobody of ours told it.
    pub(super) fn heard(text: &str) -> Option<Self> {
        let told: Value = serde_json::from_str(text).ok()?;
        let number = |key: &str| usize::try_from(told[key].as_u64()?).ok();
        Some(Self {
            dir: told["dir"].as_str()?.into(),
            kind: Kind::named(told["engine"].as_str()?)?,
            policy: Policy::named(told["policy"].as_str()?)?,
            company: Company::named(told["company"].as_str()?)?,
            purpose: match told["purpose"].as_str()? {
                "throughput" => Purpose::Throughput,
                "latency" => Purpose::Latency,
                "bursts" => Purpose::Bursts,
                "kill" => Purpose::Kill,
                "follow" => Purpose::Follow,
                _ => Purpose::Sustain(Duration::from_millis(told["ms"].as_u64()?)),
            },
            cores: if told["pinned"].as_bool()? { Cores::Pinned } else { Cores::Free },
            form: if told["lines"].as_bool()? { Form::Lines } else { Form::Noise },
            size: number("size").filter(|&size| size > 0)?,
            process: number("process")?,
            threads: number("threads")?,
            messages: told["messages"].as_u64()?,
        })
    }
}

/// What one worker has done. Times are nanoseconds of the monotonic clock, which processes share.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Outcome {
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) appended: u64,
    pub(super) calls: Option<u64>,
    /// Of single appends, when they were timed.
    pub(super) samples: Vec<u64>,
    /// Messages in each second of a sustained run.
    pub(super) seconds: Vec<u64>,
    /// The longest append of a sustained run.
    pub(super) longest: u64,
}

impl Outcome {
    pub(super) fn told(&self) -> Value {
        json!({
            "begun": self.begun,
            "ended": self.ended,
            "appended": self.appended,
            "calls": self.calls,
            "samples": self.samples,
            "seconds": self.seconds,
            "longest": self.longest,
        })
    }

    pub(super) fn heard(told: &Value) -> Option<Self> {
        let list = |key: &str| told[key].as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>();
        Some(Self {
            begun: told["begun"].as_u64()?,
            ended: told["ended"].as_u64()?,
            appended: told["appended"].as_u64()?,
            calls: told["calls"].as_u64(),
            samples: list("samples")?,
            seconds: list("seconds")?,
            longest: told["longest"].as_u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let policies = [Policy::Never, Policy::Each, Policy::Batch(64), Policy::Every(10)];
        let sustain = Purpose::Sustain(Duration::from_millis(1500));
        let purposes = [Purpose::Kill, Purpose::Bursts, sustain, Purpose::Follow];
        let companies = [Company::Nobody, Company::Base(60), Company::Idle(1000), Company::Stopped];
        for (n, policy) in policies.into_iter().enumerate() {
            let job = Job {
                dir: "/a dir/\"x\"".into(),
                kind: Kind::SharedFloor,
                policy,
                company: companies[n],
                purpose: purposes[n],
                cores: [Cores::Pinned, Cores::Free][n % 2],
                form: [Form::Lines, Form::Noise][n % 2],
                size: 128,
                process: 3,
                threads: 2,
                messages: 1 << 40,
            };
            assert_eq!(Job::heard(&job.told()), Some(job));
        }
        assert_eq!(Job::heard("{}"), None);
        let outcome =
            Outcome { begun: 1, ended: u64::MAX, appended: 3, samples: vec![4, 5], ..Outcome::default() };
        assert_eq!(Outcome::heard(&outcome.told()), Some(outcome));
    }
}
