//! Writers at full speed on a log that bounds itself, and a follower: what their appends take, which files are there
//! meanwhile, and whether the follower has every message or was told that it is gone.
//!
//! ```text
//! cargo run --release -p mmlog --example bounded -- LOG SECONDS WRITERS ROTATE_SIZE KEEP [BYTES [calm|kill|stop]]
//! ```
//!
//! `ROTATE_SIZE` 0: without a policy, to compare with. `kill`: a writer is killed every 50 ms, and another one comes. `stop`:
//! one is stopped in the middle of an append for 10 s.
#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]

mod follow;
mod looks;
mod times;
mod trouble;

use std::error::Error;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mmlog::{Log, Policy};

use looks::Looks;
use times::Times;
use trouble::Trouble;

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize| arguments.get(at).map_or("", String::as_str);
    let number = |at: usize, default: u64| match word(at) {
        "" => Ok(default),
        text => text.parse::<u64>(),
    };
    if word(1) == "write" {
        return write(word(0), number(2, 0)?, number(3, 0)?, number(4, 128)?);
    }
    let path = arguments.first().ok_or("which log?")?;
    let (span, writers) = (Duration::from_secs(number(1, 5)?), number(2, 4)?);
    let (size, keep, bytes) = (number(3, 1 << 20)?, number(4, 3)?, number(5, 128)?.max(32));
    let policy = match size {
        0 => Policy::default(),
        _ => Policy { rotate_size: Some(size), keep: Some(keep), ..Policy::default() },
    };
    let log = Log::options().policy(&policy).open_or_create(path)?;
    let mut crew = Crew::new(path, span, bytes)?;
    for _ in 0..writers {
        crew.start()?;
    }
    // What was in flight when it filled: a message of each.
    let mut looks = Looks::new(path.as_ref(), size + writers * bytes);
    let mut trouble = Trouble::new(word(6), &log, span)?;
    let begun = Instant::now();
    let has_ended = AtomicBool::new(false);
    let (followed, times, took) = std::thread::scope(|scope| {
        let following = scope.spawn(|| follow::all(&log, &has_ended));
        let watched = (|| {
            let mut asked = begun;
            while begun.elapsed() < span {
                looks.look()?;
                if size != 0 && asked.elapsed() > BETWEEN_QUESTIONS {
                    asked = Instant::now();
                    looks.ask(&log)?;
                }
                trouble.make(&mut crew, begun.elapsed())?;
                std::thread::sleep(BETWEEN_LOOKS);
            }
            let times = crew.finish(trouble.stopped())?;
            let took = if size == 0 { None } else { looks.until_kept(keep)? };
            Ok::<_, Box<dyn Error + Send + Sync>>((times, took))
        })();
        // Also where that failed: the follower waits for it.
        has_ended.store(true, Ordering::Release);
        let followed = following.join().map_err(|_| "the follower panicked")??;
        let (times, took) = watched?;
        Ok::<_, Box<dyn Error + Send + Sync>>((followed, times, took))
    })?;
    let status = log.status()?;
    println!("rotate-size {size}: {times}; {} rotations", status.generation);
    if size != 0 {
        println!("  {}", looks.summary(keep + 4));
        let took = took.map_or("not within 5 s".to_owned(), |took| format!("after {} ms", took.as_millis()));
        println!("  {keep} and the current one {took}; {} failures noted", status.policy.failures);
    }
    println!("  follower: {followed}");
    println!("{trouble}");
    if followed.end != status.cursor {
        Err("the follower is not at the end".into())
    } else {
        followed.check()
    }
}

/// The writers, each a process.
pub(crate) struct Crew {
    path: String,
    end_ms: u64,
    bytes: u64,
    /// How many there were.
    started: u64,
    pub(crate) running: Vec<Child>,
}

impl Crew {
    fn new(path: &str, span: Duration, bytes: u64) -> Result<Self> {
        let end = SystemTime::now().duration_since(UNIX_EPOCH)? + span;
        let end_ms = u64::try_from(end.as_millis())?;
        Ok(Self { path: path.to_owned(), end_ms, bytes, started: 0, running: Vec::new() })
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        let numbers = [self.started, self.end_ms, self.bytes].map(|number| number.to_string());
        command.args([&self.path, "write"]).args(numbers).stdout(Stdio::piped());
        self.running.push(command.spawn()?);
        self.started += 1;
        Ok(())
    }

    /// What the appends of all that ended took, but for those of one that was stopped.
    fn finish(&mut self, stopped: Option<u32>) -> Result<Times> {
        let mut all = Times::default();
        for mut child in self.running.drain(..) {
            let mut text = String::new();
            child.stdout.take().ok_or("no output")?.read_to_string(&mut text)?;
            if !child.wait()?.success() {
                return Err("a writer failed".into());
            }
            if stopped != Some(child.id()) {
                all.add(&text)?;
            }
        }
        Ok(all)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Appends messages that say whose they are and count up; prints what that took.
fn write(path: &str, id: u64, end_ms: u64, bytes: u64) -> Result<()> {
    let log = Log::options().open(path)?;
    let mut writer = log.writer()?;
    let mut message = vec![b'.'; usize::try_from(bytes)?];
    let mut times = Times::default();
    let mut number = 0;
    let end = UNIX_EPOCH + Duration::from_millis(end_ms);
    while SystemTime::now() < end {
        for _ in 0..64 {
            follow::stamp(&mut message, id, number);
            number += 1;
            let before = Instant::now();
            writer.append(&message)?;
            times.took(before.elapsed());
        }
    }
    drop(writer);
    times.print();
    Ok(())
}
