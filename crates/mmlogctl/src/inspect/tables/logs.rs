//! What there is to say of each of several logs, besides its state and path: `ls` and the list of `inspect`.

use serde_json::{Value, json};

use crate::inspect::model::log::Log;
use crate::rules;
use crate::text::{bytes, count, rounded};

/// What a column has of a log; nothing where it is not known.
pub enum Figure {
    /// Bytes.
    Bytes(fn(&Log) -> Option<u64>),
    /// Bytes a second.
    Rate(fn(&Log) -> Option<u64>),
    /// A count.
    Count(fn(&Log) -> Option<u64>),
    /// Words.
    Words(fn(&Log) -> Option<String>),
}

/// A column of the table.
pub struct Column {
    /// Its title, in capitals, and its key.
    pub name: &'static str,
    figure: Figure,
}

/// The columns, in their order.
pub const COLUMNS: &[Column] = &[
    Column {
        name: "kept",
        figure: Figure::Bytes(|log| log.status().map(|s| s.cursor.saturating_sub(s.first_kept))),
    },
    Column {
        name: "disk",
        figure: Figure::Bytes(|log| {
            Some(log.status()?.segments.iter().map(|segment| segment.allocated).sum())
        }),
    },
    Column {
        name: "rate",
        figure: Figure::Rate(|log| log.history.rates().map(|rates| rounded(rates.bytes))),
    },
    Column { name: "writers", figure: Figure::Count(|log| log.status().map(|s| s.writers.len() as u64)) },
    Column {
        name: "followers",
        figure: Figure::Count(|log| log.status().map(|s| (s.holds.len() + s.followers.len()) as u64)),
    },
    Column { name: "lag", figure: Figure::Bytes(lag) },
    Column { name: "policy", figure: Figure::Words(|log| rules::short(&log.status()?.policy.state)) },
    Column { name: "free", figure: Figure::Bytes(|log| log.status()?.file.free.as_ref().ok().copied()) },
];

/// How far the follower is behind that is farthest back.
fn lag(log: &Log) -> Option<u64> {
    let status = log.status()?;
    let holds = status.holds.iter().map(|hold| status.cursor.saturating_sub(hold.position));
    holds.chain(status.followers.iter().map(|follower| follower.lag)).max()
}

impl Column {
    /// For people, in a few characters.
    #[must_use]
    pub fn cell(&self, log: &Log) -> String {
        let cell = match self.figure {
            Figure::Bytes(of) => of(log).map(bytes),
            Figure::Rate(of) => of(log).map(|rate| bytes(rate) + "/s"),
            Figure::Count(of) => of(log).map(count),
            Figure::Words(of) => of(log),
        };
        cell.unwrap_or_else(|| "-".to_owned())
    }

    /// For programs: bytes, bytes a second, a count, words, or null.
    #[must_use]
    pub fn value(&self, log: &Log) -> Value {
        match self.figure {
            Figure::Bytes(of) | Figure::Rate(of) | Figure::Count(of) => json!(of(log)),
            Figure::Words(of) => json!(of(log)),
        }
    }
}
