//! Writers at full speed, a rotation every few milliseconds: what the appends take that overlap one, and how long the
//! gate was closed.
//!
//! ```text
//! cargo run --release -p mmlog --example rotations -- LOG SECONDS WRITERS EVERY_MS [BYTES]
//! ```
#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mmlog::{Log, Rotation};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |n| n.parse::<u64>());
    let path = arguments.get(1).ok_or("which log?")?;
    let (seconds, writers, every) = (number(2, 10)?, number(3, 8)?, Duration::from_millis(number(4, 20)?));
    let bytes = number(5, 120)?;
    let span = Duration::from_secs(seconds);
    if arguments.get(6).is_some_and(|a| a == "write") {
        return write(path, span, bytes as usize);
    }
    let log = Log::options().open_or_create(path)?;
    let mut children: Vec<Child> = (0..writers)
        .map(|_| {
            let mut command = Command::new(&arguments[0]);
            command.args([path, &seconds.to_string(), "1", "0", &bytes.to_string(), "write"]);
            command.stdout(Stdio::piped()).spawn()
        })
        .collect::<Result<_, _>>()?;
    let (begun, mut pauses) = (Instant::now(), Vec::new());
    while begun.elapsed() < span {
        let next = Instant::now() + every;
        pauses.extend(log.rotate(&Rotation::default())?.map(|r| r.pause));
        if let Some(rotated) = log.plan_rotation(&Rotation::default())? {
            // Space for as many as come.
            let old = rotated.generation.saturating_sub(20);
            let name = format!("{path}.{old:010}-");
            remove_beginning_with(&name)?;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let (mut slow, mut appends) = (Vec::new(), 0);
    for child in &mut children {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut child.stdout.take().ok_or("no output")?, &mut text)?;
        child.wait()?;
        let mut lines = text.lines();
        appends += lines.next().ok_or("a writer said nothing")?.parse::<u64>()?;
        slow.extend(lines.map(str::parse::<u64>).collect::<Result<Vec<_>, _>>()?);
    }
    report("gate closed, us", pauses.iter().map(|p| p.as_micros() as u64).collect());
    report("appends that met a rotation, us", slow.iter().map(|ns| ns / 1000).collect());
    println!("{} rotations, {appends} appends", pauses.len());
    Ok(())
}

fn remove_beginning_with(prefix: &str) -> std::io::Result<()> {
    let directory = std::path::Path::new(prefix).parent().ok_or(std::io::ErrorKind::NotFound)?;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.to_string_lossy().starts_with(prefix) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn report(what: &str, mut values: Vec<u64>) {
    values.sort_unstable();
    let at = |part: f64| values.get((values.len() as f64 * part) as usize).copied().unwrap_or(0);
    let max = values.last().copied().unwrap_or(0);
    println!("{what}: {} times, p50 {} p90 {} p99 {} max {max}", values.len(), at(0.5), at(0.9), at(0.99));
}

/// Appends, and prints how many and the nanoseconds of those after which the segment was another one.
fn write(path: &str, span: Duration, bytes: usize) -> Result<(), Box<dyn Error>> {
    let log = Log::options().open(path)?;
    let mut writer = log.writer()?;
    let mut message = vec![b'x'; bytes];
    message[bytes - 1] = b'\n';
    let (begun, mut appends, mut met) = (Instant::now(), 0_u64, Vec::new());
    let mut generation = log.generation();
    while begun.elapsed() < span {
        let before = Instant::now();
        writer.append(&message)?;
        let took = before.elapsed();
        let now = log.generation();
        if now != generation {
            generation = now;
            met.push(took.as_nanos());
        }
        appends += 1;
    }
    println!("{appends}");
    met.iter().for_each(|ns| println!("{ns}"));
    Ok(())
}
