//! Measures `mmlogctl tail -f`: from `append` returning to the line being read from its stdout, and from its reader
//! closing the pipe to its end, both on a log that is idle otherwise.
//!
//! ```text
//! cargo build --release && cargo run --release -p mmlogctl --example latency -- [LINES]
//! ```
#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mmlog::Log;

fn main() -> Result<(), Box<dyn Error>> {
    let lines: usize = std::env::args().nth(1).map_or(Ok(2000), |n| n.parse())?;
    // target/release/examples/latency -> target/release/mmlogctl
    let here = std::env::current_exe()?;
    let tool = here.parent().and_then(|p| p.parent()).ok_or("no target directory")?.join("mmlogctl");
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("latency.log");
    let log = Log::options().open_or_create(&path)?;
    let mut writer = log.writer()?;

    let mut tail =
        Command::new(tool).args(["tail", "-f", "-n", "+1"]).arg(&path).stdout(Stdio::piped()).spawn()?;
    let mut output = BufReader::new(tail.stdout.take().ok_or("no pipe")?);
    let mut line = String::new();
    let mut latencies = Vec::with_capacity(lines);
    for i in 0..=lines {
        // Long enough for the follower to have gone to sleep, uneven so that nothing falls into step.
        std::thread::sleep(Duration::from_micros(300 + (i as u64 * 7919) % 1700));
        let message = format!("line {i} {:080}\n", 0);
        writer.append(message.as_bytes())?;
        let appended = Instant::now();
        line.clear();
        output.read_line(&mut line)?;
        let latency = appended.elapsed();
        if line != message {
            return Err(format!("expected {message:?}, read {line:?}").into());
        }
        // The first line waits for the process to start.
        if i > 0 {
            latencies.push(latency);
        }
    }
    latencies.sort();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "append to stdout of tail -f, {} lines: median {:.1} us, p90 {:.1} us, p99 {:.1} us, max {:.1} us",
        latencies.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    let closed = Instant::now();
    drop(output);
    let status = tail.wait()?;
    println!("closed pipe, idle log: {status} after {:.0} ms", closed.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
