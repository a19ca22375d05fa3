//! Opens a log for one message ([`Options::brief`](mmlog::Options::brief)), appends it and closes it, again and again, and prints the microseconds that takes: of a log that is there,
//! and of one that is not.
//!
//! ```text
//! cargo run --release -p mmlog --example opens -- DIR [COUNT]
//! ```
#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use mmlog::{Force, Log};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let directory = Path::new(arguments.get(1).ok_or("which directory?")?);
    let count = arguments.get(2).map_or(Ok(1000), |n| n.parse())?;
    let (kept, fresh) = (directory.join("opens.log"), directory.join("opens.new.log"));
    once(&kept)?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..count {
        times[0].push(once(&kept)?);
        times[1].push(once(&fresh)?);
        mmlog::remove(&fresh, Force::IfUnused, &Log::options())?;
    }
    mmlog::remove(&kept, Force::IfUnused, &Log::options())?;
    for (what, times) in ["existing", "new"].iter().zip(&mut times) {
        times.sort_unstable();
        let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100].as_secs_f64() * 1e6;
        println!("{what}: median {:.0} us, from {:.0} to {:.0} (p5, p95)", at(50), at(5), at(95));
    }
    Ok(())
}

fn once(path: &Path) -> mmlog::Result<Duration> {
    let begun = Instant::now();
    let log = Log::options().brief(true).open_or_create(path)?;
    let mut writer = log.writer()?;
    writer.append(b"one line\n")?;
    drop(writer);
    log.close()?;
    Ok(begun.elapsed())
}
