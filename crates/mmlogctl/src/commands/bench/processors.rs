//! The processors of a bench, and how long a cache line takes from one to another: what processes that append to one log pay
//! each other.
//!
//! Two threads, each kept on its processor, hand a word to and fro; half of a round trip is one move. Medians of short series, since
//! other work may have a processor in between.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};

use super::measure::median;

/// Round trips of one series, and how many series a pair has.
const TRIPS: u64 = 200;
const SERIES: usize = 50;
/// Pairs of each kind that are measured.
const PAIRS: usize = 6;
/// A pair that does not come to its end, because other work has its processors, is given up.
const PATIENCE: Duration = Duration::from_millis(500);

/// What two processors have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kinship {
    Core,
    Cache,
    Package,
    Machine,
}

impl Kinship {
    fn words(self) -> &'static str {
        match self {
            Self::Core => "threads of one core",
            Self::Cache => "cores with a common L3",
            Self::Package => "cores of a package without a common L3",
            Self::Machine => "packages",
        }
    }
}

/// The processors that this process may use.
pub(super) fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&n| set.is_set(n)).collect();
    if processors.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(processors) }
}

/// Keeps this thread on one processor.
pub(super) fn pin(processor: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

/// The processors, and what was measured between them: nanoseconds a move, a figure for each pair.
#[derive(Debug, Default)]
pub(super) struct Processors {
    model: String,
    number: usize,
    moves: BTreeMap<Kinship, Vec<f64>>,
}

impl Processors {
    /// Looks, and measures: some 10 ms for each pair.
    pub(super) fn measured() -> io::Result<Self> {
        let all = allowed()?;
        let mut pairs: BTreeMap<Kinship, Vec<(usize, usize)>> = BTreeMap::new();
        for (n, &one) in all.iter().enumerate() {
            for &other in &all[n + 1..] {
                let of_kind = pairs.entry(kinship(one, other)).or_default();
                if of_kind.len() < PAIRS {
                    of_kind.push((one, other));
                }
            }
        }
        let mut moves = BTreeMap::new();
        for (kinship, pairs) in pairs {
            let measured: Vec<f64> =
                pairs.iter().filter_map(|&(one, other)| nanoseconds_of_a_move(one, other)).collect();
            if !measured.is_empty() {
                moves.insert(kinship, measured);
            }
        }
        Ok(Self { model: model(), number: all.len(), moves })
    }

    /// `2 processors, AMD EPYC; a cache line moves between cores with a common L3 in 62 ns`.
    pub(super) fn line(&self) -> String {
        let Self { model, number, moves } = self;
        let plural = if *number == 1 { "" } else { "s" };
        let between = |(kinship, ns): (&Kinship, &Vec<f64>)| {
            let figures = figures(ns)?;
            Some(format!("between {} in {figures} ns", kinship.words()))
        };
        let moves: Vec<String> = moves.iter().filter_map(between).collect();
        let moves = match (moves.is_empty(), number) {
            (false, _) => format!("a cache line moves {}", moves.join(", ")),
            (true, 1) => "no cache line moves".to_owned(),
            (true, _) => "what a cache line takes from one to the other could not be measured".to_owned(),
        };
        format!("{number} processor{plural}, {model}; {moves}")
    }

    pub(super) fn json(&self) -> Value {
        let moves: Vec<Value> = self
            .moves
            .iter()
            .map(|(kinship, ns)| {
                json!({
                    "between": kinship.words(),
                    "ns": median(ns).map(f64::round),
                    "ns_min": ns.iter().copied().min_by(f64::total_cmp).map(f64::round),
                    "ns_max": ns.iter().copied().max_by(f64::total_cmp).map(f64::round),
                })
            })
            .collect();
        json!({ "number": self.number, "model": self.model, "line_moves": moves })
    }
}

/// `62`, or `62 (58 - 70)` of several pairs.
fn figures(ns: &[f64]) -> Option<String> {
    let least = ns.iter().copied().min_by(f64::total_cmp)?;
    let most = ns.iter().copied().max_by(f64::total_cmp)?;
    let middle = median(ns)?;
    Some(if ns.len() == 1 { format!("{middle:.0}") } else { format!("{middle:.0} ({least:.0} - {most:.0})") })
}

fn model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // x86 has the one, some others the other.
    let named = |key: &str| {
        info.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start().strip_prefix(':')?.trim()))
    };
    named("model name").or_else(|| named("Model")).unwrap_or(std::env::consts::ARCH).to_owned()
}

fn kinship(one: usize, other: usize) -> Kinship {
    let shares = |file: &str| {
        let list = format!("/sys/devices/system/cpu/cpu{one}/{file}");
        fs::read_to_string(list).is_ok_and(|list| has(&list, other))
    };
    if shares("topology/thread_siblings_list") {
        Kinship::Core
    } else if shares("cache/index3/shared_cpu_list") {
        Kinship::Cache
    } else if shares("topology/core_siblings_list") {
        Kinship::Package
    } else {
        Kinship::Machine
    }
}

/// Whether a list of the kernel's, such as `0-3,8`, has that number.
fn has(list: &str, number: usize) -> bool {
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bounds = first.parse::<usize>().ok().zip(last.parse::<usize>().ok());
        bounds.is_some_and(|(first, last)| (first..=last).contains(&number))
    })
}

/// A word that shares its line, and the one that is fetched with it, with nothing.
#[repr(align(128))]
struct Line(AtomicU64);

/// None where one of the processors cannot be had.
fn nanoseconds_of_a_move(one: usize, other: usize) -> Option<f64> {
    let line = Line(AtomicU64::new(0));
    let end = Instant::now() + PATIENCE;
    // Two moves a trip: the even numbers are handed on by the first, the odd ones by the second.
    let hands = TRIPS * (SERIES as u64 + 1);
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            pin(other).ok()?;
            (0..hands).try_for_each(|n| hand_on(&line.0, 2 * n + 1, end))
        });
        let first = scope.spawn(|| {
            pin(one).ok()?;
            let mut series = Vec::with_capacity(SERIES);
            let mut begun = Instant::now();
            for n in 0..hands {
                hand_on(&line.0, 2 * n, end)?;
                if (n + 1) % TRIPS == 0 {
                    series.push(begun.elapsed().as_secs_f64() * 1e9 / (2 * TRIPS) as f64);
                    begun = Instant::now();
                }
            }
            // In the first one the threads found each other.
            median(&series[1..])
        });
        let (first, second) = (first.join().ok()?, second.join().ok()?);
        second.and(first)
    })
}

/// Waits for that number, and makes it the next one.
fn hand_on(word: &AtomicU64, number: u64, end: Instant) -> Option<()> {
    let mut looks = 0_u32;
    while word.load(Ordering::Acquire) != number {
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(4096) && Instant::now() > end {
            return None;
        }
    }
    word.store(number + 1, Ordering::Release);
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_the_kernels_has_its_numbers_and_no_others() {
        let has_it: Vec<usize> = (0..12).filter(|&n| has("0-2,5,8-9\n", n)).collect();
        assert_eq!(has_it, [0, 1, 2, 5, 8, 9]);
        assert!(!has("", 0) && !has("x-y", 0));
    }

    #[test]
    fn each_kind_of_pair_has_its_figure_and_one_pair_no_spread() {
        let mut processors = Processors { model: "X".to_owned(), number: 4, ..Processors::default() };
        processors.moves.insert(Kinship::Cache, vec![60.0, 70.4, 61.0]);
        processors.moves.insert(Kinship::Core, vec![8.0]);
        assert_eq!(
            processors.line(),
            "4 processors, X; a cache line moves between threads of one core in 8 ns, between cores with a common L3 in \
             61 (60 - 70) ns"
        );
        let alone = Processors { model: "X".to_owned(), number: 1, ..Processors::default() };
        assert_eq!(alone.line(), "1 processor, X; no cache line moves");
        assert_eq!(alone.json()["line_moves"], json!([]));
    }
}
