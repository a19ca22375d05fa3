//! Writers at full speed on a log that bounds itself: what their appends take, and what is there meanwhile.
//!
//! ```text
//! cargo run --release -p mmlog --example bounded -- LOG SECONDS WRITERS ROTATE_SIZE KEEP [BYTES]
//! ```
//!
//! `ROTATE_SIZE` 0: without a policy, to compare with.
#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mmlog::{Log, Policy};

/// Buckets of a histogram: 16 to each doubling.
const BUCKETS: usize = 64 * 16;

fn bucket_of(ns: u64) -> usize {
    let octave = ns.max(16).ilog2();
    octave as usize * 16 + (ns.max(16) >> (octave - 4)) as usize % 16
}

fn least_of(bucket: usize) -> u64 {
    (16 + bucket as u64 % 16) << (bucket / 16 - 4)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |n| n.parse::<u64>());
    let path = arguments.get(1).ok_or("which log?")?;
    let (seconds, writers, size, keep) = (number(2, 5)?, number(3, 4)?, number(4, 1 << 20)?, number(5, 3)?);
    let bytes = number(6, 128)?;
    let span = Duration::from_secs(seconds);
    if arguments.get(7).is_some_and(|a| a == "write") {
        return write(path, span, bytes as usize);
    }
    let policy = match size {
        0 => Policy::default(),
        _ => Policy { rotate_size: Some(size), keep: Some(keep), ..Policy::default() },
    };
    let log = Log::options().policy(&policy).open_or_create(path)?;
    let start = |_| {
        let mut command = Command::new(&arguments[0]);
        command.args([path, &seconds.to_string(), "1", "0", "0", &bytes.to_string(), "write"]);
        command.stdout(Stdio::piped()).spawn()
    };
    let mut children: Vec<Child> = (0..writers).map(start).collect::<Result<_, _>>()?;
    let (begun, mut most, mut longest) = (Instant::now(), 0, 0);
    while begun.elapsed() < span {
        let lengths = finals(Path::new(path))?;
        most = most.max(lengths.len());
        longest = longest.max(lengths.into_iter().max().unwrap_or(0));
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut histogram = vec![0_u64; BUCKETS];
    let mut max = 0;
    for child in &mut children {
        let mut text = String::new();
        child.stdout.take().ok_or("no output")?.read_to_string(&mut text)?;
        child.wait()?;
        let mut lines = text.lines().map(str::parse::<u64>);
        max = max.max(lines.next().ok_or("a writer said nothing")??);
        for (count, line) in histogram.iter_mut().zip(lines) {
            *count += line?;
        }
    }
    let appends: u64 = histogram.iter().sum();
    let at = |share: f64| {
        let rank = (appends as f64 * share) as u64;
        let mut below = 0;
        let found = histogram.iter().position(|count| {
            below += count;
            below > rank
        });
        found.map_or(0, least_of)
    };
    let status = log.status()?;
    println!(
        "rotate-size {size}: {appends} appends, p50 {} ns, p99 {} ns, p99.9 {} ns, max {} us; {} rotations; \
         at most {most} final segments, the longest {longest} bytes; {} failures",
        at(0.5),
        at(0.99),
        at(0.999),
        max / 1000,
        status.generation,
        status.policy.failures
    );
    Ok(())
}

/// Lengths of the final segments that are there, as the directory has them.
fn finals(log: &Path) -> std::io::Result<Vec<u64>> {
    let name = format!("{}.0", log.file_name().unwrap_or_default().to_string_lossy());
    let directory = log.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut lengths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&name)
            && let Ok(stat) = entry.metadata()
        {
            lengths.push(stat.len());
        }
    }
    Ok(lengths)
}

/// Appends; prints the longest time, and how many appends took what, in nanoseconds.
fn write(path: &str, span: Duration, bytes: usize) -> Result<(), Box<dyn Error>> {
    let log = Log::options().open(path)?;
    let mut writer = log.writer()?;
    let mut message = vec![b'x'; bytes];
    if let Some(last) = message.last_mut() {
        *last = b'\n';
    }
    let (mut histogram, mut max) = (vec![0_u64; BUCKETS], 0);
    let begun = Instant::now();
    while begun.elapsed() < span {
        for _ in 0..64 {
            let before = Instant::now();
            writer.append(&message)?;
            let took = u64::try_from(before.elapsed().as_nanos())?;
            max = max.max(took);
            histogram[bucket_of(took)] += 1;
        }
    }
    println!("{max}");
    histogram.iter().for_each(|count| println!("{count}"));
    Ok(())
}
