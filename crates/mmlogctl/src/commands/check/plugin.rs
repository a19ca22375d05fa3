//! The line of a monitoring plugin: `STATE - LOG: what is the case; what to do | figures`.

use std::fmt::Write as _;
use std::path::Path;

use mmlog::{Finding, FindingId, State, Status};

use super::limits::{self, Limits, Passed};
use crate::commands::status::json::word;
use crate::exit::{Verdict, printable, shown};
use crate::metrics::{ALL, Bad, Kind, Metric, Unit};

pub(super) fn line(s: &Status, limits: &Limits<'_>) -> (Verdict, String) {
    let (found, passed) = (Verdict::of(&s.findings), limits.passed(s));
    let verdict = worst(found, &passed);
    // The state of the log says more than a word of monitoring's, where it is what counts.
    let state =
        if found == verdict && s.state != State::Ok { s.state.to_string() } else { verdict.word().into() };
    let next = next(s, found, &passed);
    let as_bad = passed.partition_point(|one| found.or_worse(one.verdict) == one.verdict);
    let mut said: Vec<&str> = passed.iter().map(|one| one.said.as_str()).collect();
    // A finding that begins with what a threshold has said is no news.
    let is_said = |problem: &&str| !passed.iter().any(|one| problem.starts_with(&one.value));
    said.splice(as_bad..as_bad, s.problem.as_deref().filter(is_said));
    // Nothing that somebody has to look at, and yet not as it will be.
    let waits = s.findings.iter().find(|f| f.id == FindingId::NotRecovered && said.is_empty());
    said.extend(waits.map(|f| f.sentence.as_str()));
    said.push(waits.map_or(next, |f| &f.next_step));
    let said = one_line(&said.join("; "));
    (verdict, format!("{state} - {}: {said} | {}\n", one_line(&shown(&s.path)), figures(s, limits)))
}

/// What a diagnosis and thresholds mean together.
pub(super) fn worst(found: Verdict, passed: &[Passed]) -> Verdict {
    passed.iter().fold(found, |worst, one| worst.or_worse(one.verdict))
}

/// What to do: for what is worst.
pub(super) fn next<'a>(s: &'a Status, found: Verdict, passed: &'a [Passed]) -> &'a str {
    let worse = passed.first().filter(|_| found != worst(found, passed));
    worse.map_or(&s.next_step, |one| &one.next)
}

/// A log that cannot be looked at, and what is known of it.
pub(super) fn unread(log: &Path, finding: &Finding) -> (Verdict, String) {
    let said = format!("{}: {}; {}", shown(log), finding.sentence, finding.next_step);
    (Verdict::of_unread(finding), format!("{} - {}\n", word(finding), one_line(&said)))
}

/// Figures begin at the first bar.
fn one_line(text: &str) -> String {
    printable(text).replace('|', "/")
}

/// `name=value[unit];warning;critical;least;most`, what is empty at the end left out; U is not known.
fn figures(s: &Status, limits: &Limits<'_>) -> String {
    let mut text = String::new();
    for metric in ALL {
        let Metric { name, unit, value, most, .. } = metric;
        let value = value(s).map_or_else(|| "U".to_owned(), |value| unit.number(value) + uom(metric));
        let [warning, critical] =
            [limits.warning, limits.critical].map(|set| limits::of(set, name).map(|at| range(metric, at)));
        let most = most.map(|most| format!(";{}", most(s)));
        let (warning, critical) = (warning.unwrap_or_default(), critical.unwrap_or_default());
        let gap = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{gap}{name}={value};{warning};{critical};0{}", most.unwrap_or_default());
    }
    text
}

fn uom(metric: &Metric) -> &'static str {
    match (metric.unit, metric.kind) {
        (Unit::Bytes, _) => "B",
        (Unit::Seconds, _) => "s",
        (Unit::Count, Kind::Counter) => "c",
        (Unit::Count, Kind::Gauge) => "",
    }
}

/// What is fine, as the plugins write it: up to 64, or from 64 on (`64:`).
fn range(metric: &Metric, at: u64) -> String {
    let from = metric.judged.as_ref().is_some_and(|judged| judged.bad == Bad::TooLittle);
    metric.unit.number(at) + if from { ":" } else { "" }
}
