//! What the log knows of times: from its segments, until the library has better.

use std::time::{Duration, SystemTime};

use mmlog::Log;

pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: Option<u64>,
    pub(super) jumped: Option<Jump>,
    pub(super) width: Width,
    pub(super) pruned_before: Option<u64>,
    pub(super) approximate: bool,
}

pub(super) struct Width {
    pub(super) early: Option<Duration>,
    pub(super) late: Option<Duration>,
}

pub(super) struct Jump {
    pub(super) position: u64,
    pub(super) from: SystemTime,
    pub(super) to: SystemTime,
}

pub(super) struct Pair {
    pub(super) at: SystemTime,
    pub(super) settled: u64,
    pub(super) reserved: u64,
}

pub(super) fn pairs(log: &Log) -> mmlog::Result<Vec<Pair>> {
    let status = log.status()?;
    let mut all = Vec::new();
    for s in &status.segments {
        let times = [(s.began, s.base), (s.final_since, s.end)];
        all.extend(
            times.into_iter().filter_map(|(at, to)| Some(Pair { at: at?, settled: to, reserved: to })),
        );
    }
    Ok(all)
}

pub(super) fn span(log: &Log, since: Option<SystemTime>, until: Option<SystemTime>) -> mmlog::Result<Span> {
    let all = pairs(log)?;
    let oldest = log.oldest()?.get();
    let first = since.map(|at| all.iter().position(|p| p.at >= at).unwrap_or(all.len()));
    let before = first.and_then(|first| all[..first].last());
    let last = until.map(|at| all.iter().rposition(|p| p.at <= at).map_or(0, |last| last + 1));
    let behind = last.and_then(|last| all[last..].first());
    let from = before.map_or(0, |p| p.settled);
    Ok(Span {
        from: from.max(oldest),
        to: behind.map(|p| p.reserved),
        jumped: None,
        width: Width {
            early: since.and_then(|at| at.duration_since(before?.at).ok()),
            late: until.and_then(|at| behind?.at.duration_since(at).ok()),
        },
        pruned_before: (from < oldest && since.is_some()).then_some(oldest),
        approximate: false,
    })
}
