//! Thresholds from the command line, and what passes them.

use std::time::Duration;

use mmlog::{Status, Thresholds, with_log};

use crate::exit::Verdict;
use crate::metrics::{ALL, Bad, Judged, Metric};

/// `METRIC=VALUE`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    metric: &'static Metric,
    judged: &'static Judged,
    at: u64,
}

/// All that was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits<'a> {
    pub(super) warning: &'a [Limit],
    pub(super) critical: &'a [Limit],
}

/// A threshold that is passed, or that nobody can tell of.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) verdict: Verdict,
    pub(super) metric: &'static str,
    /// Which, with its numbers.
    pub(super) said: String,
    /// The number, in words.
    pub(super) value: String,
    pub(super) next: String,
}

/// The metrics that thresholds can be set for.
fn judged() -> impl Iterator<Item = (&'static Metric, &'static Judged)> {
    ALL.iter().filter_map(|metric| Some((metric, metric.judged.as_ref()?)))
}

/// All names.
pub(super) fn names_of_all() -> Vec<&'static str> {
    judged().map(|(metric, _)| metric.name).collect()
}

fn names(bad: Bad) -> String {
    let of = judged().filter(|(_, judged)| judged.bad == bad).map(|(metric, _)| metric.name);
    of.collect::<Vec<_>>().join(", ")
}

/// What the option says of itself; the table has the names.
pub(super) fn help(verb: &str) -> String {
    format!(
        "{verb} when METRIC is above VALUE ({}), or below it ({}). Sizes as 64M (K is 1024, up to P and E), durations as 5m, 1d12h or 2w. May be given more than \
         once; of two for the same METRIC the last one counts",
        names(Bad::TooMuch),
        names(Bad::TooLittle)
    )
}

/// # Errors
/// When it is not `METRIC=VALUE`.
pub(super) fn parse(text: &str) -> Result<Limit, String> {
    let (name, value) = text.split_once('=').ok_or("not METRIC=VALUE, such as free=64M")?;
    let Some(metric) = Metric::find(name) else {
        return Err(format!("no such metric; those are {}, {}", names(Bad::TooLittle), names(Bad::TooMuch)));
    };
    let judged = metric.judged.as_ref().ok_or("no value of it is a bad one")?;
    let at = metric.unit.parse(value)?;
    Ok(Limit { metric, judged, at })
}

/// The one for that metric that counts.
pub(super) fn of(limits: &[Limit], name: &str) -> Option<u64> {
    limits.iter().rev().find(|limit| limit.metric.name == name).map(|limit| limit.at)
}

impl Limits<'_> {
    /// The status as these thresholds see it: they are the diagnosis's, too.
    pub(super) fn judge(&self, mut status: Status) -> Status {
        status.conclude(&self.thresholds(&status));
        status
    }

    /// Whatever is critical is worth a finding as well, and what is not has that of the default.
    fn thresholds(&self, status: &Status) -> Thresholds {
        let usual = Thresholds::default();
        let warns = |name| of(self.warning, name);
        let critical = |name| of(self.critical, name);
        let two_chunks = 2 * u64::from(status.chunk_size);
        let sixteen_chunks = 16 * u64::from(status.chunk_size);
        let free = warns("free").unwrap_or(two_chunks).max(critical("free").unwrap_or(0));
        let behind = warns("behind").unwrap_or(sixteen_chunks).min(critical("behind").unwrap_or(u64::MAX));
        let soonest = warns("idle").into_iter().chain(critical("idle")).min();
        let idle = soonest.map_or(usual.idle, Duration::from_millis);
        Thresholds { free: Some(free), behind: Some(behind), idle, ..usual }
    }

    /// What is passed, the worst first.
    pub(super) fn passed(&self, status: &Status) -> Vec<Passed> {
        let mut passed: Vec<Passed> =
            judged().filter_map(|(metric, _)| self.passes(metric, status)).collect();
        passed.sort_by_key(|p| match p.verdict {
            Verdict::Critical => 0,
            Verdict::Unknown => 1,
            Verdict::Warning | Verdict::Fine => 2,
        });
        passed
    }

    fn passes(&self, metric: &'static Metric, status: &Status) -> Option<Passed> {
        let last = |limits: &[Limit]| limits.iter().rev().find(|l| l.metric.name == metric.name).copied();
        let set = [(Verdict::Critical, last(self.critical)), (Verdict::Warning, last(self.warning))];
        let mut set = set.into_iter().filter_map(|(verdict, limit)| Some((verdict, limit?)));
        let Some(value) = (metric.value)(status) else {
            let (_, limit) = set.next()?;
            let said = format!("{} could not be seen", metric.name);
            return Some(Passed {
                verdict: Verdict::Unknown,
                metric: metric.name,
                said,
                value: "unknown".to_owned(),
                next: limit.unseen(),
            });
        };
        let (verdict, limit) = set.find(|(_, limit)| limit.is_passed_by(value))?;
        Some(Passed {
            verdict,
            metric: metric.name,
            said: limit.words(verdict, value),
            value: metric.unit.words(value),
            next: limit.next(status),
        })
    }
}

impl Limit {
    fn is_passed_by(&self, value: u64) -> bool {
        match self.judged.bad {
            Bad::TooMuch => value > self.at,
            Bad::TooLittle => value < self.at,
        }
    }

    fn words(&self, verdict: Verdict, value: u64) -> String {
        let unit = self.metric.unit;
        let side = match self.judged.bad {
            Bad::TooMuch => "above",
            Bad::TooLittle => "below",
        };
        let threshold = if verdict == Verdict::Critical { "--critical" } else { "--warning" };
        let (name, at) = (self.metric.name, unit.typed(self.at));
        // Two that differ do not read alike.
        let rounded = unit.words(value);
        let is = if rounded == unit.words(self.at) { unit.typed(value) } else { rounded };
        format!("{name} is {is}, {side} the {at} of {threshold}")
    }

    fn next(&self, status: &Status) -> String {
        let knows_better = status.findings.iter().find(|f| self.judged.findings.contains(&f.id));
        let own = || with_log(self.judged.next, &status.path);
        knows_better.map_or_else(own, |finding| finding.next_step.clone())
    }

    fn unseen(&self) -> String {
        let name = self.metric.name;
        format!("leave {name} out of the thresholds where the system does not tell it, or look again as root")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn limits(text: &[&str]) -> Vec<Limit> {
        text.iter().map(|one| parse(one)).collect::<Result<_, _>>().unwrap_or_default()
    }

    #[test]
    fn a_threshold_has_a_name_and_a_value_of_its_unit() {
        let at = |text| parse(text).map(|limit| limit.at);
        assert_eq!((at("free=64M"), at("idle=5m"), at("holes=3")), (Ok(64 << 20), Ok(300_000), Ok(3)));
        for wrong in ["free", "free=", "free=5s", "idle=5", "holes=1M", "nonsense=1", "=1", "cursor=1"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        assert!(at("nonsense=1").is_err_and(|said| said.contains("free") && said.contains("lag")));
    }

    #[test]
    fn a_threshold_itself_is_not_passed_and_the_critical_one_is_said() {
        let mut status = sample::worst();
        status.file.free = Ok(64 << 20);
        let passes = |w: &[&str], c: &[&str]| {
            let limits = Limits { warning: &limits(w), critical: &limits(c) };
            limits.passed(&status).first().map(|p| (p.verdict, p.said.clone()))
        };
        assert_eq!(passes(&["free=64M"], &[]), None);
        assert_eq!(passes(&["holes=2000"], &["holes=9999"]), None);
        let both = passes(&["free=1G"], &["free=65M"]);
        let said = "free is 64 MiB, below the 65M of --critical";
        assert_eq!(both, Some((Verdict::Critical, said.to_owned())));
        let said = "holes is 2000, above the 1999 of --warning";
        assert_eq!(passes(&["holes=9", "holes=1999"], &[]), Some((Verdict::Warning, said.to_owned())));
    }

    #[test]
    fn a_value_that_nobody_knows_is_unknown_where_a_threshold_needs_it() {
        let mut status = sample::worst();
        status.file.free = Err("no".to_owned());
        let verdicts = |w: &[&str]| {
            let passed = Limits { warning: &limits(w), critical: &[] }.passed(&status);
            passed.iter().map(|p| p.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(&["holes=1", "free=1M"]), [Verdict::Unknown, Verdict::Warning]);
        assert_eq!(verdicts(&[]), []);
    }

    #[test]
    fn the_diagnosis_uses_the_same_thresholds() {
        let of = |w: &[&str], c: &[&str]| {
            Limits { warning: &limits(w), critical: &limits(c) }.thresholds(&sample::worst())
        };
        let (usual, chunk) = (Thresholds::default(), 1 << 30);
        let none = of(&[], &[]);
        assert_eq!((none.free, none.behind, none.idle), (Some(2 * chunk), Some(16 * chunk), usual.idle));
        let some = of(&["free=1M", "behind=1K", "idle=2s"], &["idle=1s"]);
        assert_eq!((some.free, some.behind, some.idle), (Some(1 << 20), Some(1024), Duration::from_secs(1)));
        assert_eq!(of(&[], &["free=9G"]).free, Some(9 << 30));
    }
}
