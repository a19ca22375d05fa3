//! Where an incident is staged: a log in a directory of its own, processes, mounts. All of it goes with its guard.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use mmlog::{FindingId, Log, Observer, Status};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::actor::Actor;
use super::mounts::Mount;
use super::role::{self, Role};
use super::sight::{self, Found};
use super::undo::Undo;
use crate::exit::Failure;
use crate::reading::metadata_of;
use crate::signals::{self, Signals};

/// Catches a hang, measures nothing.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks.
const SLICE: Duration = Duration::from_millis(2);
/// Somebody who is not root.
pub(super) const NOBODY: u32 = 65534;

/// Why a drill does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// It cannot be staged here.
    Skipped(String),
    Failed(String),
    /// TERM, INT or HUP.
    Interrupted,
    /// Nobody reads what it says.
    Output(Failure),
}

pub(super) type Done<T = ()> = Result<T, Stop>;

impl From<std::io::Error> for Stop {
    fn from(e: std::io::Error) -> Self {
        Self::Failed(e.to_string())
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Output(failure)
    }
}

impl From<Errno> for Stop {
    fn from(e: Errno) -> Self {
        Self::Failed(e.to_string())
    }
}

impl From<mmlog::Error> for Stop {
    fn from(e: mmlog::Error) -> Self {
        Self::Failed(e.to_string())
    }
}

/// The directory of all drills of this run.
pub(super) struct Theatre {
    root: TempDir,
    tool: PathBuf,
    pub(super) signals: Signals,
}

impl Theatre {
    /// In `place`, or where temporary directories are.
    pub(super) fn open(place: Option<&Path>, keep: bool, signals: Signals) -> Done<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("mmlogctl-drill-").disable_cleanup(keep);
        let place = place.map_or_else(std::env::temp_dir, Path::to_path_buf);
        // Whoever has another working directory is told these paths, too.
        let place = place.canonicalize().map_err(|e| Stop::Failed(format!("{}: {e}", place.display())))?;
        let root =
            builder.tempdir_in(&place).map_err(|e| Stop::Failed(format!("{}: {e}", place.display())))?;
        // Some incidents are of another user.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
        let bin = root.path().join("bin");
        directory(&bin)?;
        let tool = bin.join("mmlogctl");
        std::os::unix::fs::symlink(std::env::current_exe()?, &tool)?;
        Ok(Self { root, tool, signals })
    }

    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn stage(&self, name: &str) -> Done<Stage<'_>> {
        let dir = self.root().join(name);
        directory(&dir)?;
        let log = dir.join("app.log");
        let (undone, actors, mounts) = (Vec::new(), Vec::new(), Vec::new());
        let (looks, group, descriptor) = (Looks::Plainly, None, None);
        Ok(Stage { theatre: self, undone, actors, mounts, looks, group, descriptor, dir, log })
    }
}

/// One in which a log may lie, whatever the umask.
pub(super) fn directory(path: &Path) -> Done {
    fs::create_dir(path)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// How the status of an incident is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    Plainly,
    /// By another user.
    As(u32),
    /// From where the kernel does not answer everything.
    Blindly,
}

/// One incident's. Processes end before file systems go.
pub(super) struct Stage<'a> {
    /// A frozen process cannot end.
    undone: Vec<Undo>,
    actors: Vec<Actor>,
    mounts: Vec<Mount>,
    theatre: &'a Theatre,
    pub(super) dir: PathBuf,
    /// Where its log is looked at.
    pub(super) log: PathBuf,
    pub(super) looks: Looks,
    /// The control group that is frozen.
    pub(super) group: Option<PathBuf>,
    /// By which somebody has a file open that has no name any more.
    pub(super) descriptor: Option<PathBuf>,
}

/// How a command ended.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Ended {
    pub(super) fn or_fail(self, what: &str) -> Done<Self> {
        match self.code {
            Some(0) => Ok(self),
            _ => Err(Stop::Failed(format!("{what}: {}", self.stderr.trim_end()))),
        }
    }
}

impl Stage<'_> {
    /// A log at rest with these bytes, which whole lines are.
    pub(super) fn log(&self, options: &[&str], content: &[u8]) -> Done {
        self.tool("init").args(options).arg(&self.log).finish(b"")?.or_fail("init")?;
        if content.is_empty() { Ok(()) } else { self.append(content) }
    }

    pub(super) fn append(&self, content: &[u8]) -> Done {
        let append = self.tool("append").args(["--on-full", "fail"]).arg(&self.log);
        append.finish(content)?.or_fail("append").map(drop)
    }

    /// A command of this program.
    pub(super) fn tool(&self, command: &str) -> Line<'_> {
        self.line(&self.theatre.tool).args([command])
    }

    /// Another program.
    pub(super) fn program(&self, name: &str) -> Line<'_> {
        self.line(Path::new(name))
    }

    fn line(&self, program: &Path) -> Line<'_> {
        let mut command = Command::new(program);
        let bin = self.theatre.root().join("bin");
        let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let rest = std::env::var_os("PATH").filter(|path| !path.is_empty()).unwrap_or_else(|| usual.into());
        let path = [bin].into_iter().chain(std::env::split_paths(&rest));
        // A directory with a colon in its name cannot stand there.
        command.env("PATH", std::env::join_paths(path).unwrap_or(rest)).current_dir(&self.dir);
        Line { stage: self, command }
    }

    /// A command line, as somebody types it in the directory of the log.
    pub(super) fn shell(&self, line: &str) -> Done<Ended> {
        self.line(Path::new("sh")).args(["-c", line]).finish(b"")
    }

    pub(super) fn start(&mut self, role: Role, size: usize) -> Done<usize> {
        let words = self.words();
        self.actors.push(Actor::start(&self.theatre.tool, role, &self.log, size, &words)?);
        Ok(self.actors.len() - 1)
    }

    fn words(&self) -> PathBuf {
        self.theatre.root().join("words")
    }

    pub(super) fn actor(&mut self, index: usize) -> &mut Actor {
        &mut self.actors[index]
    }

    pub(super) fn end_actors(&mut self) {
        self.actors.clear();
    }

    /// Starts a role that ends by itself; its pid.
    pub(super) fn play(&mut self, role: Role) -> Done<u32> {
        let index = self.start(role, 0)?;
        let pid = self.actors[index].pid();
        self.until("the end of the role", |stage| Ok(stage.actors[index].has_ended()?.then_some(())))?;
        let said = fs::read_to_string(self.words())?;
        if said.is_empty() { Ok(pid) } else { Err(of_role(&said)) }
    }

    /// When this ends, however it does, so does what that undoes.
    pub(super) fn undo(&mut self, line: &str, what: &Path) -> Done {
        self.undone.push(Undo::by(line, what)?);
        Ok(())
    }

    pub(super) fn mount(&mut self, mount: Mount) {
        self.mounts.push(mount);
    }

    pub(super) fn remount_read_only(&self) -> Done {
        self.mounts.iter().try_for_each(Mount::make_read_only)
    }

    /// Looks until there is something.
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Done<Option<T>>,
    ) -> Done<T> {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            self.go_on(begun, what)?;
            thread::sleep(SLICE);
        }
    }

    fn go_on(&self, begun: Instant, what: &str) -> Done {
        match begun.elapsed() < DEADLINE {
            _ if self.theatre.signals.raised() => Err(Stop::Interrupted),
            true => Ok(()),
            false => Err(Stop::Failed(format!("this did not come within {} s: {what}", DEADLINE.as_secs()))),
        }
    }

    /// One look at the log by the library.
    pub(super) fn look(&self) -> Done<Status> {
        Ok(Observer::open(&self.log, &Log::options())?.look()?)
    }

    /// Stops the actor, and lets it go on, until it stands where it is wanted.
    pub(super) fn catch(&mut self, index: usize, what: &str, wanted: impl Fn(&Status) -> bool) -> Done {
        let mut tries = 0;
        self.until(what, |stage| {
            stage.actors[index].signal(Signal::STOP)?;
            stage.until("the stop", |stage| Ok(stage.actors[index].is_stopped().then_some(())))?;
            if wanted(&stage.look()?) {
                return Ok(Some(()));
            }
            stage.actors[index].signal(Signal::CONT)?;
            // Not always at the same place of its loop.
            tries = (tries + 7) % 23;
            thread::sleep(Duration::from_micros(100 * tries));
            Ok(None)
        })
    }

    /// What the tool says of the log.
    pub(super) fn says(&self, id: FindingId) -> Done<Option<Found>> {
        let status = match self.looks {
            Looks::Plainly => self.tool("status").args(["--json"]).arg(&self.log),
            Looks::As(uid) => self.tool("status").args(["--json"]).arg(&self.log).by(uid),
            Looks::Blindly => {
                let drill = std::process::id().to_string();
                self.tool(role::NAME).args([&drill, Role::Blind.name()]).arg(&self.log).args(["0"])
            }
        };
        let ended = match status.finish(b"") {
            // Another user may not run this program, or there is no other user.
            Err(Stop::Failed(why)) if self.looks != Looks::Plainly => return Err(Stop::Skipped(why)),
            ended => ended?,
        };
        match (self.looks, ended.code) {
            (Looks::Blindly, Some(1)) => Err(of_role(&ended.stderr)),
            _ => sight::finding(&ended, &self.log, id),
        }
    }

    /// Writes into a file of this directory as an outsider does.
    pub(super) fn poke(&self, file: &Path, at: usize, bytes: &[u8]) -> Done {
        Ok(File::options().write(true).open(file)?.write_all_at(bytes, at as u64)?)
    }

    /// The log is of another boot now.
    pub(super) fn reboot(&self) -> Done {
        let file = File::options().read(true).write(true).open(self.metadata())?;
        Ok(mmlog::pretend_reboot(&file)?)
    }

    pub(super) fn metadata(&self) -> PathBuf {
        metadata_of(&self.log)
    }
}

/// That time, as metadata has it.
pub(super) fn before_now(ago: Duration) -> [u8; 8] {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(ago).as_nanos()).unwrap_or(0).to_ne_bytes()
}

/// What a role did not do; without a filter of system calls it could not.
fn of_role(said: &str) -> Stop {
    let said = said.trim_end().to_owned();
    if said.contains(role::NO_FILTER) { Stop::Skipped(said) } else { Stop::Failed(said) }
}

/// A command line in the making.
pub(super) struct Line<'a> {
    stage: &'a Stage<'a>,
    command: Command,
}

impl Line<'_> {
    pub(super) fn args<A: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn arg(mut self, path: &Path) -> Self {
        self.command.arg(path);
        self
    }

    fn by(mut self, uid: u32) -> Self {
        self.command.uid(uid).gid(uid);
        self
    }

    /// Runs it to its end, or to ours. What goes in and comes out are files: nobody waits for a reader.
    pub(super) fn finish(mut self, input: &[u8]) -> Done<Ended> {
        let Stage { theatre, .. } = self.stage;
        let file = || tempfile::tempfile_in(theatre.root());
        let (mut stdin, stdout, stderr) = (file()?, file()?, file()?);
        stdin.write_all(input)?;
        std::io::Seek::rewind(&mut stdin)?;
        // A group of its own, so that all of a shell's line can be ended; a Ctrl-C is for us.
        self.command.process_group(0).stdin(stdin);
        self.command.stdout(Stdio::from(stdout.try_clone()?)).stderr(Stdio::from(stderr.try_clone()?));
        let program = self.command.get_program().to_string_lossy().into_owned();
        let spawned = signals::as_called(|| self.command.spawn());
        let mut child = spawned.map_err(|e| Stop::Failed(format!("{program} does not start: {e}")))?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if let Err(stop) = self.stage.go_on(begun, &format!("the end of {program}")) {
                let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
                let _ = child.wait();
                return Err(stop);
            }
            thread::sleep(SLICE);
        };
        let stderr = String::from_utf8_lossy(&read(&stderr)?).into_owned();
        Ok(Ended { code: status.code(), stdout: read(&stdout)?, stderr })
    }
}

fn read(file: &File) -> Done<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
