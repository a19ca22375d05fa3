//! `--sustain`: appending past the kernel's dirty limits, where writers are made to wait for the disk.
//!
//! ```text
//! 4096 B, 4 processes, 1 thread each, 60 s; the kernel holds writers back from 4.4 GiB of dirty pages on
//! ENGINE              MiB/s  first s  worst s   last s    written    cached     dirty  longest append   lost
//! mmlog               812.0   1920.0     55.0    310.0   47.5 GiB  18.1 GiB   4.4 GiB          813 ms      0
//! ```

use std::fs;
use std::time::Duration;

use mmlog::units;
use rawio::cache::Cached;
use rustix::param::page_size;
use serde_json::{Value, json};

use super::company::Company;
use super::engines::Kind;
use super::harness::{self, Run};
use super::job::{Job, Policy, Purpose};
use super::measure::Group;
use super::{Bench, interrupted};
use crate::exit::Failure;
use crate::output::Output;

/// What the verifier can keep count of.
const MOST_MESSAGES: u64 = 100_000_000;

/// Runs each engine once in each group; a JSON object for each row.
pub(super) fn rows(
    bench: &mut Bench<'_>,
    time: Duration,
    groups: &[Group],
    kinds: &[Kind],
    out: &mut Output,
) -> Result<Vec<Value>, Failure> {
    let mut rows = Vec::new();
    for &group in groups {
        if !bench.args.json {
            head(group, time).iter().try_for_each(|line| out.line(line))?;
        }
        for &kind in kinds {
            if bench.signals.raised() {
                return Err(interrupted());
            }
            if out.error_is_terminal() {
                out.progress(&format!("{} B: {}, {} s", group.size, kind.name(), time.as_secs_f32()));
            }
            let ended = run(bench, time, group, kind);
            out.clear_progress();
            match ended {
                Ok(run) => {
                    bench.judge(&kind.name(), group, run.verdict, out);
                    if !bench.args.json {
                        out.line(&line(kind, group, &run))?;
                    }
                    rows.push(object(kind, group, &run));
                }
                Err(_) if bench.signals.raised() => return Err(interrupted()),
                Err(why) => bench.failed(&kind.name(), group, &why, out),
            }
        }
    }
    Ok(rows)
}

fn run(bench: &Bench<'_>, time: Duration, group: Group, kind: Kind) -> Result<Run, String> {
    // What the engine before left is still there.
    bench.place.fresh().map_err(|e| e.to_string())?;
    let space = bench.place.free().map_err(|e| e.to_string())? / 2;
    let messages = (space / group.size as u64).min(MOST_MESSAGES) / group.workers();
    let job = Job {
        dir: bench.place.path().to_owned(),
        kind,
        policy: Policy::Never,
        company: Company::Nobody,
        purpose: Purpose::Sustain(time),
        cores: bench.how().cores,
        form: bench.how().form,
        size: group.size,
        process: 0,
        threads: group.threads,
        messages: messages.max(1),
    };
    harness::run(bench.place, &job, group.processes)
}

fn head(group: Group, time: Duration) -> [String; 2] {
    let vmstat = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let pages = vmstat.lines().find_map(|line| line.strip_prefix("nr_dirty_threshold ")?.parse::<u64>().ok());
    let limit = pages.map_or_else(|| "?".to_owned(), |pages| units::size(pages * page_size() as u64));
    [
        format!(
            "{group}, {} s; the kernel holds writers back from {limit} of dirty pages on",
            time.as_secs_f32()
        ),
        format!(
            "{:<16} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10} {:>10} {:>15} {:>6}",
            "ENGINE",
            "MiB/s",
            "first s",
            "worst s",
            "last s",
            "written",
            "cached",
            "dirty",
            "longest append",
            "lost"
        ),
    ]
}

/// Bytes in each whole second, of all workers.
fn seconds(run: &Run, group: Group) -> Vec<u64> {
    let longest = run.workers.iter().map(|w| w.seconds.len()).max().unwrap_or(0);
    let of = |n: usize| run.workers.iter().filter_map(|w| w.seconds.get(n)).sum::<u64>() * group.size as u64;
    // The last one is hardly ever whole.
    (0..longest.saturating_sub(1).max(1)).map(of).collect()
}

fn line(kind: Kind, group: Group, run: &Run) -> String {
    let seconds = seconds(run, group);
    let bytes = run.messages() * group.size as u64;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let rate = u128::from(bytes) * 1_000_000_000 / u128::from(run.nanoseconds().max(1));
    let longest = run.workers.iter().map(|w| w.longest).max().unwrap_or(0);
    let bad = run.verdict.lost + run.verdict.doubled + run.verdict.torn;
    let cached = |of: fn(Cached) -> u64| {
        run.cached.map_or_else(|| "-".to_owned(), |c| units::size(of(c) * page_size() as u64))
    };
    format!(
        "{:<16} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10} {:>10} {:>15} {:>6}",
        kind.name(),
        mib(u64::try_from(rate).unwrap_or(u64::MAX)),
        mib(seconds.first().copied().unwrap_or(0)),
        mib(seconds.iter().copied().min().unwrap_or(0)),
        mib(seconds.last().copied().unwrap_or(0)),
        units::size(bytes),
        cached(|c| c.pages),
        cached(|c| c.dirty),
        format!("{:?}", Duration::from_micros(longest / 1000)),
        bad
    )
}

fn object(kind: Kind, group: Group, run: &Run) -> Value {
    let calls = run.calls().map(|calls| calls as f64 / run.messages().max(1) as f64);
    json!({
        "engine": kind.name(),
        "size_bytes": group.size,
        "processes": group.processes,
        "threads": group.threads,
        "ns_per_message": run.ns_per_message(),
        "ns_min": run.ns_per_message(),
        "ns_max": run.ns_per_message(),
        "runs": 1,
        "lost_messages": run.verdict.lost,
        "syscalls_per_message": calls,
        "p50_ns": null,
        "p99_ns": null,
        "p999_ns": null,
        "max_ns": run.workers.iter().map(|w| w.longest).max(),
        "bytes_in_each_second": seconds(run, group),
        "cached_bytes": run.cached.map(|c| c.pages * page_size() as u64),
        "dirty_bytes": run.cached.map(|c| c.dirty * page_size() as u64),
    })
}
