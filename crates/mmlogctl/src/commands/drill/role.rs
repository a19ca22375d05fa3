//! `mmlogctl drill-role`: what the processes on stage do. Not for people: a drill starts them.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use mmlog::{Log, Next, Retention, Rotation, Start};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use crate::cli::{self, Command};
use crate::commands::status;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The word that makes this program one of these.
pub(super) const NAME: &str = "drill-role";
/// The name under which the consumers on stage are known.
pub(super) const CONSUMER: &str = "rehearsal";
/// Said where the kernel takes no filter.
pub(super) const NO_FILTER: &str = "no system call can be made to fail here";
/// So many bytes, then the log starts over: a drill takes little space.
const ENOUGH: usize = 16 << 20;
/// A file size limit that is soon reached.
const LIMIT: u64 = 512 << 10;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// What a process on stage is told.
#[derive(Parser, Debug)]
#[command(name = NAME)]
pub struct RoleArgs {
    /// The drill: when it ends, so does this.
    drill: i32,
    #[arg(value_enum)]
    role: Role,
    log: PathBuf,
    /// Bytes of a message, or how many writers or followers.
    size: usize,
}

impl RoleArgs {
    /// From a whole command line, if it is one of these.
    pub fn asked(line: impl Iterator<Item = OsString>) -> Option<Self> {
        let line: Vec<OsString> = line.skip(1).collect();
        line.first().filter(|word| *word == NAME)?;
        Self::try_parse_from(line).ok()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// Appends for ever.
    Append,
    /// Appends a line now and then.
    Pace,
    /// Appends a line and trims, for ever.
    Trim,
    /// Sets the panic flag.
    Poison,
    /// Is so many writers, which do nothing.
    Write,
    /// Has the data file open, as a program of the original's does.
    Original,
    /// Reads for ever, with a hold.
    Follow,
    /// Is so many followers, which read for ever, without a hold.
    Read,
    /// Reads to the end, without a hold, and then no more.
    Linger,
    /// Takes a hold, and ends.
    Hold,
    /// Has the hold of a shipper.
    Ship,
    /// Appends, and its disk does not take it.
    Sync,
    /// Appends until its own file size limit, and waits for a larger file.
    Limited,
    /// The same, and drops what comes.
    Dropping,
    /// Appends until its user's quota is used up, and waits for some.
    Quota,
    /// Appends, and waits for a disk that takes it.
    Failing,
    /// Appends until there is no space, and does not try again.
    GiveUp,
    /// Looks at the log, and may not ask the kernel about locks.
    Blind,
}

impl Role {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Pace => "pace",
            Self::Trim => "trim",
            Self::Poison => "poison",
            Self::Write => "write",
            Self::Original => "original",
            Self::Follow => "follow",
            Self::Read => "read",
            Self::Linger => "linger",
            Self::Hold => "hold",
            Self::Ship => "ship",
            Self::Sync => "sync",
            Self::Limited => "limited",
            Self::Dropping => "dropping",
            Self::Quota => "quota",
            Self::Failing => "failing",
            Self::GiveUp => "give-up",
            Self::Blind => "blind",
        }
    }
}

/// Plays the role.
///
/// # Errors
/// When the log cannot be had, or the kernel takes no filter.
pub fn run(args: &RoleArgs, out: &mut Output) -> Result<Exit, Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| failed("prctl", &e.into()))?;
    if getppid().is_none_or(|parent| parent.as_raw_pid() != args.drill) {
        return Err(Failure::new(Exit::Usage, "drill-role is started by `mmlogctl drill`; use that"));
    }
    let (log, size) = (&args.log, args.size);
    match args.role {
        Role::Append => append(log, size),
        Role::Pace => pace(log),
        Role::Trim => trim(log),
        Role::Poison => Ok(Log::options()
            .open(log)?
            .poison("a drill: the disk gave an error", Errno::IO.raw_os_error())?),
        Role::Write => {
            let log = Log::options().open(log)?;
            let _writers = (0..size).map(|_| log.writer()).collect::<Result<Vec<_>, _>>()?;
            wait_for_end()
        }
        Role::Original => {
            let _data = File::options().write(true).open(log).map_err(|e| Failure::io(log, "open", &e))?;
            wait_for_end()
        }
        Role::Follow => follow(log),
        Role::Read => read(log, size),
        Role::Linger => {
            let mut follower = Log::options().open_reader(log)?.follow(Start::Newest)?;
            follower.announce("");
            wait_for_end()
        }
        Role::Hold => {
            let log = Log::options().open(log)?;
            let oldest = log.oldest()?;
            log.hold(CONSUMER, oldest)?;
            Ok(())
        }
        Role::Ship => {
            let log = Log::options().open(log)?;
            let _hold = log.hold(&format!("ship:{CONSUMER}"), log.oldest()?)?;
            wait_for_end()
        }
        Role::Sync => sync(log),
        Role::Limited => limit().and_then(|()| fill(log, size, Afterwards::TryAgain)),
        Role::Dropping => limit().and_then(|()| fill(log, size, Afterwards::Drop)),
        Role::Quota => refuse(libc::SYS_fallocate, Vec::new(), Errno::DQUOT)
            .and_then(|()| fill(log, size, Afterwards::TryAgain)),
        Role::Failing => refuse(libc::SYS_fallocate, Vec::new(), Errno::IO)
            .and_then(|()| fill(log, size, Afterwards::TryAgain)),
        Role::GiveUp => refuse(libc::SYS_fallocate, Vec::new(), Errno::NOSPC)
            .and_then(|()| fill(log, size, Afterwards::GiveUp)),
        Role::Blind => return look_blindly(log, out),
    }?;
    Ok(Exit::Done)
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{what}: {error}"))
}

/// Until the drill closes its end.
fn wait_for_end() -> Result<(), Failure> {
    let read = io::stdin().read_to_end(&mut Vec::new());
    read.map(drop).map_err(|e| failed("standard input", &e))
}

fn append(path: &Path, size: usize) -> Result<(), Failure> {
    let log = Log::options().open(path)?;
    let mut writer = log.writer()?;
    let mut message = vec![b'm'; size.max(1)];
    message[size.max(1) - 1] = b'\n';
    loop {
        for _ in 0..ENOUGH.div_ceil(message.len()) {
            writer.append(&message)?;
        }
        start_over(&log)?;
    }
}

/// Of the size of this process's files.
fn limit() -> Result<(), Failure> {
    let most = Rlimit { current: Some(LIMIT), maximum: Some(LIMIT) };
    setrlimit(Resource::Fsize, most).map_err(|e| failed("setrlimit", &e.into()))
}

/// What a writer does that could not append.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    TryAgain,
    /// As if more came at each try.
    Drop,
    GiveUp,
}

/// Appends until that fails, and once more when it works again.
fn fill(path: &Path, size: usize, afterwards: Afterwards) -> Result<(), Failure> {
    let mut writer = Log::options().open(path)?.writer()?;
    let message = vec![b'm'; size.max(1)];
    while writer.append(&message).is_ok() {}
    let mut dropped = 0;
    while afterwards != Afterwards::GiveUp && writer.append(&message).is_err() {
        if afterwards == Afterwards::Drop {
            dropped += message.len() as u64;
            writer.drops(dropped);
        }
        thread::sleep(PAUSE);
    }
    wait_for_end()
}

fn start_over(log: &Log) -> Result<(), Failure> {
    log.rotate(&Rotation::default())?;
    log.prune(&Retention::default().keep(0))?;
    Ok(())
}

fn pace(path: &Path) -> Result<(), Failure> {
    let mut writer = Log::options().open(path)?.writer()?;
    loop {
        // Whose files somebody takes away has them open still, also when it has found that out.
        let _ = writer.append(b"a line\n");
        thread::sleep(PAUSE);
    }
}

fn trim(path: &Path) -> Result<(), Failure> {
    let log = Log::options().open(path)?;
    let mut writer = log.writer()?;
    loop {
        writer.append(b"a line\n")?;
        log.trim(Duration::from_secs(2))?;
    }
}

fn follow(path: &Path) -> Result<(), Failure> {
    let log = Log::options().open(path)?;
    let hold = log.hold(CONSUMER, log.oldest()?)?;
    let mut follower = log.follow(Start::Oldest)?;
    let mut buf = vec![0; 64 << 10];
    loop {
        if follower.next(&mut buf)? == Next::CaughtUp {
            hold.advance(follower.position())?;
            follower.wait(Duration::from_secs(1))?;
        }
    }
}

fn read(path: &Path, count: usize) -> Result<(), Failure> {
    let log = Log::options().open_reader(path)?;
    let followers = (0..count).map(|_| {
        let mut follower = log.follow(Start::Oldest)?;
        follower.announce("");
        Ok(follower)
    });
    let mut followers = followers.collect::<Result<Vec<_>, mmlog::Error>>()?;
    let mut buf = vec![0; 64 << 10];
    loop {
        for follower in &mut followers {
            while follower.next(&mut buf)? != Next::CaughtUp {}
        }
        thread::sleep(PAUSE);
    }
}

/// As on a disk that fails: the errno is the kernel's, only its reason is ours.
fn sync(path: &Path) -> Result<(), Failure> {
    let log = Log::options().open(path)?;
    log.writer()?.append(b"not durable\n")?;
    refuse(libc::SYS_fdatasync, Vec::new(), Errno::IO)?;
    match log.sync() {
        Ok(_) => Err(Failure::new(Exit::Failed, "the sync did not fail")),
        Err(_) => Ok(()),
    }
}

fn look_blindly(log: &Path, out: &mut Output) -> Result<Exit, Failure> {
    let asks = u64::from(libc::F_OFD_GETLK.unsigned_abs());
    let is = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, asks);
    let rule = is.and_then(|condition| SeccompRule::new(vec![condition])).map_err(no_filter)?;
    refuse(libc::SYS_fcntl, vec![rule], Errno::PERM)?;
    let line = ["mmlogctl", "status", "--json"].map(PathBuf::from);
    match cli::parse(line.iter().map(PathBuf::as_path).chain([log]).map(OsString::from)) {
        Ok(Command::Status(args)) => status::report(&args, out).map(|(exit, _)| exit),
        _ => Err(Failure::new(Exit::Usage, "status: its arguments have changed")),
    }
}

fn no_filter(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("{NO_FILTER}: {error}"))
}

/// From now on that system call of this thread fails.
fn refuse(call: i64, rules: Vec<SeccompRule>, errno: Errno) -> Result<(), Failure> {
    let arch = std::env::consts::ARCH.try_into().map_err(no_filter)?;
    let errno = SeccompAction::Errno(errno.raw_os_error().unsigned_abs());
    let filter = SeccompFilter::new([(call, rules)].into(), SeccompAction::Allow, errno, arch);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(no_filter)?;
    apply_filter(&program).map_err(no_filter)
}
