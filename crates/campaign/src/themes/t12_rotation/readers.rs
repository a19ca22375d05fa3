//! Readers beside the rotations: real `mmlogctl tail -F`, each with its output in a file, each in a situation of its
//! own. They end by `--pid`: when a process that stands for the writers has ended, behind everything.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::children;
use crate::tool::mmlogctl;

/// Bytes a second that the slow one's output is taken at while writers write.
const SLOW: u64 = 64 << 10;
/// Catches a hang.
const DEADLINE: Duration = Duration::from_secs(300);

/// One reader, and where its output is.
pub(super) struct Reader {
    pub(super) name: &'static str,
    pub(super) output: PathBuf,
    child: Child,
    /// Takes its output through a pipe.
    taker: Option<JoinHandle<std::io::Result<()>>>,
}

pub(super) struct Readers {
    mmlogctl: PathBuf,
    log: PathBuf,
    home: PathBuf,
    /// Ends when its input does.
    writers: Child,
    /// Whether the slow one may hurry.
    hurry: Arc<AtomicBool>,
    restarted: Instant,
    pub(super) restarts: u64,
    pub(super) all: Vec<Reader>,
}

impl Readers {
    pub(super) fn new(log: &Path, home: &Path) -> anyhow::Result<Self> {
        let writers = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let mut readers = Self {
            mmlogctl: mmlogctl()?,
            log: log.to_path_buf(),
            home: home.to_path_buf(),
            writers,
            hurry: Arc::default(),
            restarted: Instant::now(),
            restarts: 0,
            all: Vec::new(),
        };
        readers.start_slow()?;
        readers.start("restarted")?;
        Ok(readers)
    }

    fn tail(&self, name: &str) -> anyhow::Result<Command> {
        let told =
            File::options().append(true).create(true).open(self.home.join(name).with_extension("told"))?;
        let mut tail = Command::new(&self.mmlogctl);
        tail.args(["tail", "-F", "--from=0", "--pid"])
            .arg(self.writers.id().to_string())
            .stdin(Stdio::null());
        if name == "restarted" {
            tail.arg("--cursor-file").arg(self.home.join("cursor"));
        }
        tail.arg(&self.log).stderr(told);
        Ok(tail)
    }

    /// One whose output goes to a file, behind what is there.
    pub(super) fn start(&mut self, name: &'static str) -> anyhow::Result<()> {
        let output = self.home.join(name);
        let file = File::options().append(true).create(true).open(&output)?;
        let child = self.tail(name)?.stdout(file).spawn().context("mmlogctl tail")?;
        self.all.push(Reader { name, output, child, taker: None });
        Ok(())
    }

    fn start_slow(&mut self) -> anyhow::Result<()> {
        let output = self.home.join("slow");
        let mut child = self.tail("slow")?.stdout(Stdio::piped()).spawn().context("mmlogctl tail")?;
        let (pipe, file) = (child.stdout.take().context("a pipe")?, File::create(&output)?);
        let hurry = Arc::clone(&self.hurry);
        let taker = std::thread::spawn(move || take(pipe, file, &hurry));
        self.all.push(Reader { name: "slow", output, child, taker: Some(taker) });
        Ok(())
    }

    /// Ends the one with the cursor-file now and then, and starts it again.
    pub(super) fn restart(&mut self) -> anyhow::Result<()> {
        if self.restarted.elapsed() < Duration::from_secs(1) {
            return Ok(());
        }
        let index = self.all.iter().position(|r| r.name == "restarted").context("a reader")?;
        let mut reader = self.all.swap_remove(index);
        kill(Pid::from_raw(reader.child.id().cast_signed()), Signal::SIGTERM)?;
        let ended = children::wait(&mut reader.child, DEADLINE)?;
        ensure!(ended.is_some(), "the restarted reader does not end");
        self.start("restarted")?;
        (self.restarted, self.restarts) = (Instant::now(), self.restarts + 1);
        Ok(())
    }

    /// Everything is written: lets them read to the end. What each has to say of itself.
    pub(super) fn finish(&mut self) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        self.hurry.store(true, Ordering::Relaxed);
        drop(self.writers.stdin.take());
        self.writers.wait()?;
        for reader in &mut self.all {
            match children::wait(&mut reader.child, DEADLINE)? {
                Some(status) if status.success() => {}
                Some(status) => wrong.push(format!("the {} reader ended with {status}", reader.name)),
                None => wrong.push(format!("the {} reader does not end", reader.name)),
            }
            if let Some(taker) = reader.taker.take().filter(|_| wrong.is_empty()) {
                taker.join().map_err(|_| anyhow!("a thread panicked"))??;
            }
        }
        Ok(wrong)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        for child in self.all.iter_mut().map(|r| &mut r.child).chain([&mut self.writers]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn take(mut from: impl Read, mut to: File, hurry: &AtomicBool) -> std::io::Result<()> {
    let (mut buf, begun, mut taken) = (vec![0; 1 << 16], Instant::now(), 0);
    loop {
        let most = if hurry.load(Ordering::Relaxed) { buf.len() } else { 4096 };
        let read = from.read(&mut buf[..most])?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buf[..read])?;
        taken += read as u64;
        let due = Duration::from_nanos(taken * 1_000_000_000 / SLOW);
        while !hurry.load(Ordering::Relaxed) && begun.elapsed() < due {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
