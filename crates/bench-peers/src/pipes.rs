//! Programs that read a pipe: one of them, the standard error of all writers.

use std::fs::{self, File};
use std::io::{self, PipeWriter};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::peer::{in_path, package};
use crate::writer::now;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Behind {
    S6Log,
    Svlogd,
    Multilog,
    SystemdCat,
    Logger,
}

/// The socket of a journald that runs.
const JOURNALD: &str = "/run/systemd/journal/stdout";

impl Behind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::S6Log => "s6-log",
            Self::Svlogd => "svlogd",
            Self::Multilog => "multilog",
            Self::SystemdCat => "systemd-cat",
            Self::Logger => "logger",
        }
    }

    /// Debian's.
    const fn package(self) -> &'static str {
        match self {
            Self::S6Log => "s6",
            Self::Svlogd => "runit",
            Self::Multilog => "daemontools",
            Self::SystemdCat => "systemd",
            Self::Logger => "bsdutils",
        }
    }

    const fn is_journal(self) -> bool {
        matches!(self, Self::SystemdCat | Self::Logger)
    }

    /// With a directory of its own, and a name in the journal. Room for all that is written, so that nothing is rotated away.
    fn command(self, dir: &Path, name: &str) -> io::Result<Command> {
        let mut command = Command::new(self.name());
        match self {
            Self::S6Log => command.args(["n1000", "s268435455"]).arg(dir),
            Self::Svlogd => {
                fs::create_dir(dir)?;
                fs::write(dir.join("config"), "s0\nn0\n")?;
                command.arg(dir)
            }
            Self::Multilog => command.args(["n1000", "s16777215"]).arg(dir),
            Self::SystemdCat => command.args(["-t", name, "cat"]),
            Self::Logger => command.args(["-t", name]),
        };
        Ok(command)
    }
}

/// Version and way; a journal keeps what it is given, so it is asked for by name.
pub(crate) fn here(behind: Behind, is_named: bool) -> Result<String, String> {
    let name = behind.name();
    in_path(name).ok_or_else(|| format!("{name} is not in PATH; Debian has it in {}", behind.package()))?;
    let version = package(behind.package());
    if !behind.is_journal() {
        return Ok(format!("{version}: one of it behind the pipe of all writers"));
    }
    if !Path::new(JOURNALD).exists() || in_path("journalctl").is_none() {
        return Err(format!("no journald takes its lines: there is no {JOURNALD}, or no journalctl"));
    }
    if !is_named {
        return Err(format!(
            "its lines stay in the journal of this host; name it if they may: --peers={name}"
        ));
    }
    let journald = if behind == Behind::Logger { format!(", {}", package("systemd")) } else { String::new() };
    Ok(format!("{version}{journald}: one of it behind the pipe of all writers, to journald"))
}

/// One that was started.
pub(crate) struct Reader {
    behind: Behind,
    child: Child,
    pipe: Option<PipeWriter>,
    dir: PathBuf,
    name: String,
}

impl Reader {
    pub(crate) fn start(behind: Behind, run: &Path) -> Result<Self, String> {
        let told = |e: io::Error| format!("{}: {e}", behind.name());
        let dir = run.join("log");
        let name = format!("mmlog-bench-{}", std::process::id());
        let (end, pipe) = io::pipe().map_err(told)?;
        let mut command = behind.command(&dir, &name).map_err(told)?;
        let child = command.stdin(end).stdout(Stdio::null()).spawn().map_err(told)?;
        Ok(Self { behind, child, pipe: Some(pipe), dir, name })
    }

    /// For a writer.
    pub(crate) fn pipe(&self) -> io::Result<PipeWriter> {
        self.pipe.as_ref().ok_or(io::ErrorKind::BrokenPipe)?.try_clone()
    }

    /// This process writes nothing.
    pub(crate) fn let_go(&mut self) {
        self.pipe = None;
    }

    /// Waits until it has written everything, and puts that into one file. When that was.
    pub(crate) fn end(mut self, data: &Path) -> Result<u64, String> {
        let told = |e: io::Error| format!("{}: {e}", self.behind.name());
        let status = self.child.wait().map_err(told)?;
        if !status.success() {
            return Err(format!("{} ended with {status}", self.behind.name()));
        }
        if self.behind.is_journal() {
            succeeds(Command::new("journalctl").arg("--sync"))?;
            let ended = now();
            let file = File::create(data).map_err(told)?;
            succeeds(Command::new("journalctl").args(["-q", "-o", "cat", "-t", &self.name]).stdout(file))?;
            return Ok(ended);
        }
        let ended = now();
        collect(&self.dir, data).map_err(told)?;
        Ok(ended)
    }
}

fn succeeds(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(e) => Err(format!("{command:?}: {e}")),
    }
}

/// Old files, whose names are times, and the current one.
fn collect(dir: &Path, data: &Path) -> io::Result<()> {
    let mut old: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    old.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('@')));
    old.sort();
    let current = dir.join("current");
    let Some((first, rest)) = old.split_first() else { return fs::rename(current, data) };
    fs::rename(first, data)?;
    let mut data = File::options().append(true).open(data)?;
    for path in rest.iter().chain([&current]) {
        io::copy(&mut File::open(path)?, &mut data)?;
    }
    Ok(())
}
