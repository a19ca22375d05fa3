//! `append` and `exec` with `--on-full drop`: every byte of their input is in the log, at its place, or counted there by a
//! line of theirs; what no line could tell by the end is counted on standard error.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use crate::children;
use crate::random::Random;
use crate::tool;

/// Each with what makes it store its standard input.
pub(super) const COMMANDS: [(&str, &[&str]); 2] = [("append", &[]), ("exec", &["--", "cat"])];

/// Catches a hang.
const DEADLINE: Duration = Duration::from_secs(120);

/// Digits of the place that each line begins with.
const DIGITS: usize = 12;

/// One of the commands, fed until it is told to finish.
pub(super) struct Feed {
    child: Child,
    feeder: Option<JoinHandle<u64>>,
    stop: Arc<AtomicBool>,
    log: PathBuf,
    said: PathBuf,
}

/// What a log says of its input.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) dropped: u64,
    pub(super) told: u64,
}

impl Feed {
    /// What it says goes to a file `said`, which is not on the disk that gets full.
    pub(super) fn start(command: (&str, &[&str]), log: &Path, said: PathBuf, seed: u64) -> Result<Self> {
        let mut tool = Command::new(tool::mmlogctl()?);
        tool.arg(command.0)
            .args(["--on-full=drop", "--chunk-size=64K", "--max-writers=8"])
            .arg(log)
            .args(command.1);
        tool.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(File::create(&said)?);
        let mut child = tool.spawn().with_context(|| format!("mmlogctl {}", command.0))?;
        let (mut input, stop) = (child.stdin.take().context("a pipe")?, Arc::new(AtomicBool::new(false)));
        let (told, mut random) = (Arc::clone(&stop), Random::new(seed));
        let feeder = thread::spawn(move || {
            let mut place = 0;
            while !told.load(Ordering::Relaxed) {
                let block = lines(place, 1 + random.below(100), &mut random);
                if input.write_all(block.as_bytes()).is_err() {
                    break;
                }
                place += block.len() as u64;
                // The disk is filled by others in between.
                thread::sleep(Duration::from_millis(1));
            }
            // A last line without its newline.
            let last = format!("{place:0DIGITS$} last");
            place + input.write_all(last.as_bytes()).map_or(0, |()| last.len() as u64)
        });
        Ok(Self { child, feeder: Some(feeder), stop, log: log.into(), said })
    }

    /// Until it has said this so often.
    pub(super) fn until(&mut self, words: &str, times: usize) -> Result<()> {
        let begun = Instant::now();
        loop {
            let said = fs::read_to_string(&self.said)?;
            if said.matches(words).count() >= times {
                return Ok(());
            }
            ensure!(self.child.try_wait()?.is_none(), "it ended: {said}");
            ensure!(begun.elapsed() < DEADLINE, "it did not say {words:?} {times} times: {said}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends its input, and holds the log against it.
    pub(super) fn finish(mut self) -> Result<Account> {
        self.stop.store(true, Ordering::Relaxed);
        let feeder = self.feeder.take().context("a feeder")?;
        let input = feeder.join().map_err(|_| anyhow!("a thread panicked"))?;
        let status = children::wait(&mut self.child, DEADLINE)?.context("it does not end")?;
        let said = fs::read_to_string(&self.said)?;
        tool::speaks_plainly(&said).map_err(|ugly| anyhow!(ugly))?;
        let untold: Option<u64> = said.lines().rev().find_map(|line| {
            let line = line.strip_suffix("; the log does not say so")?;
            dropped(&line[line.find(": mmlogctl: ")? + 2..])
        });
        let code = i32::from(untold.is_some());
        ensure!(status.code() == Some(code), "it ended with {status}: {said}");
        let content = Command::new(tool::mmlogctl()?).arg("cat").arg(&self.log).output()?.stdout;
        let content = String::from_utf8(content)?;
        let account = account(&content, input, untold.unwrap_or(0))?;
        // One line less is seen.
        let shorter = content.split_once('\n').map_or("", |(_, rest)| rest);
        ensure!(self::account(shorter, input, untold.unwrap_or(0)).is_err(), "a missing line is not seen");
        Ok(account)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Some lines; each begins with its place in all the input.
fn lines(mut place: u64, count: u64, random: &mut Random) -> String {
    let mut block = String::new();
    for _ in 0..count {
        let len = if random.below(200) == 0 { 20_000 } else { random.below(300) } as usize;
        let line = format!("{place:0DIGITS$} {:x<len$}\n", "");
        place += line.len() as u64;
        block.push_str(&line);
    }
    block
}

/// How many bytes a line says were dropped, if it is one that does.
fn dropped(line: &str) -> Option<u64> {
    let (bytes, rest) = line.strip_prefix("mmlogctl: ")?.split_once(" bytes (")?;
    rest.contains(" dropped, ").then(|| bytes.parse().ok())?
}

/// Whether each line is where it was in the input, and what is missing between them is told.
fn account(content: &str, input: u64, untold: u64) -> Result<Account> {
    let (mut next, mut found) = (0, Account { dropped: untold, told: 0 });
    for line in content.lines() {
        if let Some(bytes) = dropped(line) {
            next += bytes;
            found.dropped += bytes;
            found.told += 1;
            continue;
        }
        let place: u64 = line.get(..DIGITS).and_then(|digits| digits.parse().ok()).context("a torn line")?;
        ensure!(place == next, "the line of {place} is where that of {next} belongs");
        // The last newline is append's.
        next += line.len() as u64 + u64::from(!line.ends_with(" last"));
    }
    ensure!(next + untold == input, "{next} bytes are stored or told, {untold} said, of {input}");
    Ok(found)
}
