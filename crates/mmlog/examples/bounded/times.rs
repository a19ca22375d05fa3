//! How long appends took.

use std::fmt;
use std::time::Duration;

use super::Result;

/// Buckets of a histogram: 16 to each doubling.
const BUCKETS: usize = 64 * 16;

fn bucket_of(ns: u64) -> usize {
    let octave = ns.max(16).ilog2();
    octave as usize * 16 + (ns.max(16) >> (octave - 4)) as usize % 16
}

fn least_of(bucket: usize) -> u64 {
    (16 + bucket as u64 % 16) << (bucket / 16 - 4)
}

pub(crate) struct Times {
    histogram: Vec<u64>,
    longest: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self { histogram: vec![0; BUCKETS], longest: 0 }
    }
}

impl Times {
    pub(crate) fn took(&mut self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.longest = self.longest.max(ns);
        self.histogram[bucket_of(ns)] += 1;
    }

    pub(crate) fn print(&self) {
        println!("{}", self.longest);
        self.histogram.iter().for_each(|count| println!("{count}"));
    }

    /// What another process printed.
    pub(crate) fn add(&mut self, printed: &str) -> Result<()> {
        let mut lines = printed.lines().map(str::parse::<u64>);
        self.longest = self.longest.max(lines.next().ok_or("a writer said nothing")??);
        for (count, line) in self.histogram.iter_mut().zip(lines) {
            *count += line?;
        }
        Ok(())
    }

    fn at(&self, share: f64) -> u64 {
        let appends: u64 = self.histogram.iter().sum();
        let rank = (appends as f64 * share) as u64;
        let mut below = 0;
        let found = self.histogram.iter().position(|count| {
            below += count;
            below > rank
        });
        found.map_or(0, least_of)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let appends: u64 = self.histogram.iter().sum();
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| self.at(share));
        let longest = self.longest as f64 / 1e6;
        write!(f, "{appends} appends, p50 {p50} ns, p99 {p99} ns, p99.9 {p999} ns, longest {longest:.1} ms")
    }
}
