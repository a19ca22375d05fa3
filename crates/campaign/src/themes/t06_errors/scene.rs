//! One run: the files before it, the command under `strace`, what came of it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mmlog::layout::{Control, HighWater, Journal, SLOTS_AT, SlotHot};
use mmlog::{Compress, Compression, Log, Options, Rotation, Writer};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::commands::{Before, Command, HELD, Input, PLAIN, TWO_LINES};
use super::trace::{Fault, Target};
use crate::children::{spawn, with_forks};
use crate::surgeon::{Surgeon, word};

/// Only catches a hang: the longest wait that a command may have is its 10 s for a lock.
const DEADLINE: Duration = Duration::from_secs(180);
/// Above any limit of the kernel's for process ids.
const NO_PID: &str = "2147483647";

/// What runs under test, and how.
pub(super) struct Tool {
    pub(super) mmlogctl: PathBuf,
    /// `strace` can stop at chosen calls only, which is ten times as fast.
    pub(super) by_seccomp: bool,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Code(i32),
    Signal(i32),
    Hung,
}

/// What a command left behind.
pub(super) struct Ran {
    pub(super) end: End,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    /// The call as it was spoiled, if it came.
    pub(super) spoiled: Option<String>,
    pub(super) command_line: String,
}

/// A directory with a log in it, and one beside it for everything else.
pub(super) struct Scene {
    _dir: tempfile::TempDir,
    pub(super) log: PathBuf,
    side: PathBuf,
    /// A writer of this process, see [`Before::Open`].
    open: Option<(Log, Writer)>,
}

fn options() -> Options {
    Log::options().chunk_size(4096).max_writers(4)
}

impl Scene {
    pub(super) fn new(dir: tempfile::TempDir, before: Before) -> Result<Self> {
        let root = dir.path().canonicalize()?;
        let (place, side) = (root.join("log"), root.join("side"));
        [&place, &side].into_iter().try_for_each(fs::create_dir)?;
        let mut scene = Self { _dir: dir, log: place.join("app.log"), side, open: None };
        match before {
            Before::Nothing => return Ok(scene),
            Before::Plain => return Ok(fs::write(&scene.log, PLAIN).map(|()| scene)?),
            Before::Version1 => return Ok(of_version_1(&scene.log).map(|()| scene)?),
            _ => {}
        }
        let log = options().open_or_create(&scene.log)?;
        let mut writer = log.writer()?;
        if before == Before::Old {
            for (n, line) in HELD.split_inclusive(|&b| b == b'\n').enumerate() {
                if n > 0 {
                    log.rotate(&Rotation::default())?;
                }
                writer.append(line)?;
                if n == 1 {
                    log.compress(&Compress::new(Compression::Zstd), |_| {})?;
                }
            }
        } else {
            writer.append(HELD)?;
        }
        if before == Before::Open {
            scene.open = Some((log, writer));
            return Ok(scene);
        }
        drop(writer);
        log.close()?;
        match before {
            Before::Wreck => wreck(&scene.log)?,
            Before::Rotating => rotating(&scene.log, false)?,
            Before::Exchanged => rotating(&scene.log, true)?,
            Before::Cut => File::options().write(true).open(&scene.log)?.set_len(TWO_LINES as u64)?,
            Before::Gone => fs::remove_file(&scene.log)?,
            _ => {}
        }
        Ok(scene)
    }

    pub(super) fn directory(&self) -> &Path {
        self.log.parent().unwrap_or(Path::new("/"))
    }

    pub(super) fn cursor_file(&self) -> PathBuf {
        self.side.join("cursor")
    }

    /// Ends this process's part.
    pub(super) fn let_go(&mut self) {
        self.open = None;
    }

    /// Runs the command with every call traced; what each of its threads did.
    pub(super) fn traced(&self, tool: &Tool, command: &Command) -> Result<(Ran, Vec<String>)> {
        let out = self.side.join("trace");
        let strace =
            ["-ff".into(), "-y".into(), "-s".into(), "16".into(), "-o".into(), out.display().to_string()];
        let ran = self.run(tool, command.arguments, command.input, Some(&strace))?;
        let is_trace =
            |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("trace."));
        let files: Vec<PathBuf> =
            fs::read_dir(&self.side)?.flatten().map(|e| e.path()).filter(is_trace).collect();
        let threads = files.iter().map(fs::read).collect::<std::io::Result<Vec<_>>>()?;
        Ok((ran, threads.iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect()))
    }

    /// Runs the command with one call spoiled.
    pub(super) fn spoiled(&self, tool: &Tool, command: &Command, target: &Target) -> Result<Ran> {
        let out = self.side.join("spoiled");
        let Target { call, number, .. } = target;
        let how = match target.fault {
            Fault::Errno(errno) | Fault::From(errno) => format!("error={errno}"),
            Fault::Kill => "signal=SIGKILL".into(),
            Fault::Pretend(value) => format!("retval={value}"),
        };
        let onwards = if matches!(target.fault, Fault::From(_)) { "+" } else { "" };
        let mut strace: Vec<String> = ["-f", "-qq", "-y", "-s", "16", "-o"].map(String::from).into();
        strace.push(out.display().to_string());
        // With it, strace 6.1 delivers no signal.
        strace.extend((tool.by_seccomp && target.fault != Fault::Kill).then(|| "--seccomp-bpf".into()));
        if target.of_log {
            let metadata = format!("{}.mmlog", self.log.display());
            for path in [self.directory().display().to_string(), self.log.display().to_string(), metadata] {
                strace.extend(["-P".into(), path]);
            }
        }
        strace.extend(["-e".into(), format!("trace={call}"), "-e".into(), "signal=none".into()]);
        strace.extend(["-e".into(), format!("inject={call}:{how}:when={number}{onwards}")]);
        let mut ran = self.run(tool, command.arguments, command.input, Some(&strace))?;
        let text = fs::read(&out).map(|t| String::from_utf8_lossy(&t).into_owned()).unwrap_or_default();
        ran.spoiled = match target.fault {
            Fault::Kill => {
                (ran.end == End::Signal(9)).then(|| text.lines().last().unwrap_or_default().into())
            }
            _ => text.lines().find(|line| line.contains("(INJECTED)")).map(String::from),
        };
        Ok(ran)
    }

    /// Runs the tool as a user would.
    pub(super) fn plainly(&self, tool: &Tool, arguments: &[&str], input: &[u8]) -> Result<Ran> {
        fs::write(self.side.join("input"), input)?;
        self.run(tool, arguments, Input::Nothing, None)
    }

    fn run(&self, tool: &Tool, arguments: &[&str], input: Input, strace: Option<&[String]>) -> Result<Ran> {
        let mut sleep = std::process::Command::new("sleep");
        let ends_soon = arguments.contains(&"SOON").then(|| spawn(sleep.arg("0.03")));
        let mut ends_soon = ends_soon.transpose()?;
        let fill = |argument: &&str| match *argument {
            "LOG" => self.log.display().to_string(),
            "CURSOR" => self.cursor_file().display().to_string(),
            "ENDED" => NO_PID.into(),
            "SOON" => ends_soon.as_ref().map_or(NO_PID.into(), |child| child.id().to_string()),
            plain => plain.into(),
        };
        let mut command = match strace {
            Some(arguments) => {
                let mut strace = std::process::Command::new("strace");
                strace.args(arguments).arg(&tool.mmlogctl);
                strace
            }
            None => std::process::Command::new(&tool.mmlogctl),
        };
        command.args(arguments.iter().map(fill)).process_group(0);
        let said = |name: &str| File::create(self.side.join(name));
        command.stdout(said("stdout")?).stderr(said("stderr")?);
        let bytes = input.bytes();
        match (input, strace) {
            (Input::Nothing, None) => command.stdin(File::open(self.side.join("input"))?),
            (Input::Nothing, _) => command.stdin(Stdio::null()),
            (Input::File(..), _) => {
                fs::write(self.side.join("input"), &bytes)?;
                command.stdin(File::open(self.side.join("input"))?)
            }
            (Input::Pipe(..), _) => command.stdin(filled_pipe(&bytes)?),
        };
        let command_line = format!("{command:?}").replace('"', "");
        let mut child = spawn(&mut command).context("start the command")?;
        // The pipe's end that the command has is not to stay open here.
        drop(command);
        let end = with_forks(|| wait(&mut child))?;
        if let Some(child) = &mut ends_soon {
            child.wait()?;
        }
        let stdout = fs::read(self.side.join("stdout"))?;
        let stderr = String::from_utf8_lossy(&fs::read(self.side.join("stderr"))?).into_owned();
        Ok(Ran { end, stdout, stderr, spoiled: None, command_line })
    }
}

/// A pipe that holds these bytes and nothing more.
fn filled_pipe(bytes: &[u8]) -> Result<std::io::PipeReader> {
    let (reader, mut writer) = std::io::pipe()?;
    writer.write_all(bytes)?;
    Ok(reader)
}

fn wait(child: &mut Child) -> Result<End> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code().map_or_else(|| End::Signal(status.signal().unwrap_or(0)), End::Code));
        }
        if begun.elapsed() > DEADLINE {
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
            child.wait()?;
            return Ok(End::Hung);
        }
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// What the original leaves: whole chunks, and 32 bytes of metadata.
fn of_version_1(log: &Path) -> std::io::Result<()> {
    const CHUNK: u64 = 4096;
    let mut data = HELD.to_vec();
    data.resize(CHUNK as usize, 0);
    fs::write(log, data)?;
    let words = [1 | 1 << 32, CHUNK, HELD.len() as u64, CHUNK | CHUNK << 32];
    fs::write(format!("{}{}", log.display(), mmlog::METADATA_SUFFIX), words.map(u64::to_le_bytes).concat())
}

/// Makes of a log what is left when a writer is killed in its copy, a grower before it could announce the space,
/// and a trimmer behind its closed gate.
fn wreck(log: &Path) -> Result<()> {
    const TORN: u64 = 100;
    let data = File::options().write(true).open(log)?;
    let metadata = Surgeon::open(log)?;
    let cursor = metadata.get(word!(control: Control, cursor))?;
    let slot = (SLOTS_AT + size_of::<mmlog::layout::Slot>()) as u64;
    metadata.set(slot + std::mem::offset_of!(SlotHot, len) as u64, TORN)?;
    metadata.set(slot + std::mem::offset_of!(SlotHot, pending) as u64, 3 << 62 | cursor)?;
    metadata.set32(word!(high_water: HighWater, slots), 2)?;
    metadata.set(word!(control: Control, file_size), 4096)?;
    metadata.set(word!(control: Control, limit), 4096)?;
    metadata.set(word!(journal: Journal, kind), mmlog::metadata::JOURNAL_TRIM)?;
    metadata.set(word!(control: Control, gate_at), cursor + TORN)?;
    metadata.set(word!(control: Control, cursor), (cursor + TORN) | mmlog::layout::GATE)?;
    data.set_len(8192)?;
    std::os::unix::fs::FileExt::write_all_at(&data, &[b'T'; TORN as usize / 2], cursor)?;
    Ok(())
}

/// Makes of a log what a killed rotator leaves: behind its closed gate, or when it has `exchanged` the files.
fn rotating(log: &Path, exchanged: bool) -> Result<()> {
    const SIZE: u64 = 4096;
    let metadata = Surgeon::open(log)?;
    let cursor = metadata.get(word!(control: Control, cursor))?;
    let beside = |suffix: &str| format!("{}{suffix}", log.display());
    let next = beside(".mmlog-next");
    fs::write(&next, vec![0; SIZE as usize])?;
    metadata.set(word!(journal: Journal, old_inode), fs::metadata(log)?.ino())?;
    metadata.set(word!(journal: Journal, new_inode), fs::metadata(&next)?.ino())?;
    metadata.set(word!(journal: Journal, generation), 1)?;
    metadata.set(word!(journal: Journal, old_base), 0)?;
    metadata.set(word!(journal: Journal, new_size), SIZE)?;
    metadata.set(word!(journal: Journal, kind), mmlog::metadata::JOURNAL_ROTATE)?;
    metadata.set(word!(control: Control, cursor), cursor | mmlog::layout::GATE)?;
    metadata.set(word!(control: Control, gate_at), cursor)?;
    if exchanged {
        fs::hard_link(log, beside(&format!(".{:010}-{:019}", 0, 0)))?;
        fs::rename(&next, log)?;
    }
    Ok(())
}
