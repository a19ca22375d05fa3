//! The list of logs: which come first, and how many there are of each state.

use std::cmp::Reverse;

use mmlog::{Severity, State};

use super::Model;
use super::log::Log;
use crate::exit::shown;

impl Model {
    /// The logs of the list: the worst first, without those that the filter leaves out.
    #[must_use]
    pub fn in_order(&self) -> Vec<usize> {
        let wanted = self.filter.to_lowercase();
        let has = |log: &Log| {
            let words = [shown(&log.path), log.word(), log.diagnosis().0];
            wanted.is_empty() || words.iter().any(|word| word.to_lowercase().contains(&wanted))
        };
        let mut order: Vec<usize> = (0..self.logs.len()).filter(|log| has(&self.logs[*log])).collect();
        order.sort_by_key(|log| (rank(&self.logs[*log]), Reverse(self.logs[*log].findings().len())));
        order
    }

    /// `1 DAMAGED, 10 OK`.
    #[must_use]
    pub fn tally(&self) -> String {
        let mut all: Vec<_> = self.logs.iter().map(|log| (rank(log), log.word())).collect();
        all.sort();
        let same = all.chunk_by(|a, b| a.1 == b.1);
        let parts: Vec<String> = same.map(|logs| format!("{} {}", logs.len(), logs[0].1)).collect();
        parts.join(", ")
    }
}

/// What is worse is less.
fn rank(log: &Log) -> (Severity, State) {
    let state = match &log.look {
        Some(Ok(status)) => status.state,
        Some(Err(finding)) => finding.state,
        None => State::Ok,
    };
    (log.severity(), state)
}
