//! The list of logs: which come first, and how many there are of each state.

use std::cmp::Reverse;

use mmlog::{Severity, Sight, units};

use super::Model;
use super::log::Log;
use crate::exit::{Verdict, shown};

impl Model {
    /// The logs of the list: the worst first, without those that the filter leaves out.
    #[must_use]
    pub fn in_order(&self) -> Vec<usize> {
        let wanted = self.filter.to_lowercase();
        let is_in = |word: String| word.to_lowercase().contains(&wanted);
        let has = |log: &Log| {
            wanted.is_empty() || is_in(shown(&log.path)) || is_in(log.word()) || is_in(log.diagnosis().0)
        };
        let mut order: Vec<usize> = (0..self.logs.len()).filter(|log| has(&self.logs[*log])).collect();
        order.sort_by(|a, b| self.logs[*a].rank().cmp(&self.logs[*b].rank()));
        order
    }
}

impl Log {
    /// What is worse is less; those of another place come last.
    #[must_use]
    pub fn rank(&self) -> impl Ord + '_ {
        let state = self.status().map(|status| status.state);
        // Of what cannot be looked at nobody knows how bad it is.
        let least = if self.verdict() == Verdict::Unknown { Severity::Warning } else { Severity::Info };
        let is_elsewhere = self.sight == Sight::Elsewhere;
        let findings = Reverse(self.findings().len());
        (self.severity().min(least), is_elsewhere, state.is_none(), state, findings, &self.path)
    }
}

/// `11 logs: 1 DAMAGED, 10 OK`, the worst first.
#[must_use]
pub fn heading(logs: &[Log]) -> String {
    let mut order: Vec<&Log> = logs.iter().collect();
    order.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let mut words: Vec<(String, usize)> = Vec::new();
    for word in order.into_iter().map(Log::word) {
        match words.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => words.push((word, 1)),
        }
    }
    let words: Vec<String> = words.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    match logs.len() {
        0 => "no logs".to_owned(),
        all => format!("{}: {}", units::counted(all as u64, "log"), words.join(", ")),
    }
}
