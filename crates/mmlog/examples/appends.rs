//! Appends from one thread, or from one a writer, and prints nanoseconds an append.
//!
//! ```text
//! cargo run --release -p mmlog --example appends -- LOG COUNT BYTES [CHUNK_SIZE [THREADS]]
//! ```
#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::time::Instant;

use mmlog::{DEFAULT_CHUNK_SIZE, Log};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |n| n.parse::<u64>());
    let path = arguments.get(1).ok_or("which log?")?;
    let (count, bytes, threads) = (number(2, 1_000_000)?, number(3, 128)?, number(5, 1)?);
    let log = Log::options().chunk_size(number(4, DEFAULT_CHUNK_SIZE)?).open_or_create(path)?;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> mmlog::Result<()> {
                    let mut writer = log.writer()?;
                    let mut message = vec![b'x'; bytes as usize];
                    message[bytes as usize - 1] = b'\n';
                    (0..count).try_for_each(|_| writer.append(&message).map(drop))
                })
            })
            .collect();
        writers
            .into_iter()
            .try_for_each(|w| w.join().map_err(|_| "a writer panicked")?.map_err(|e| e.to_string()))
    })?;
    let each = begun.elapsed().as_nanos() as f64 / (count * threads) as f64;
    log.close()?;
    println!("{each:.1}");
    Ok(())
}
