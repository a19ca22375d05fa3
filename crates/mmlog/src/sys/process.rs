//! Facts about processes, for people. No decision of the protocol rests on them.

use std::fmt;
use std::fs;
use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{UsageWho, getrusage};

/// A process's state as the kernel tells it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProcessState {
    /// On a core, or ready.
    Running,
    /// Waiting for something.
    Sleeping,
    /// In an uninterruptible system call.
    DiskSleep,
    /// Stopped by a signal.
    Stopped,
    /// Stopped by a debugger or a tracer.
    Traced,
    /// Kept from running by a control group.
    Frozen,
    /// Dying, and its memory is being written to a core file.
    CoreDumping,
    /// Dead, not yet waited for.
    Zombie,
    /// There is no such process.
    Gone,
    /// It is there, and this user may not look at it (`hidepid`).
    Hidden,
    /// Cannot be told from here: another PID namespace, no permission.
    Unknown,
}

impl ProcessState {
    /// Whether it does nothing until somebody lets it go on.
    #[must_use]
    pub fn stands(self) -> bool {
        matches!(self, Self::Stopped | Self::Traced | Self::Frozen)
    }

    /// Whether it will never do anything again.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Gone | Self::Zombie)
    }

    /// Whether it stands, or is stuck in the kernel.
    pub(crate) fn is_held(self) -> bool {
        self.stands() || matches!(self, Self::DiskSleep | Self::CoreDumping)
    }
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Sleeping => "sleeping",
            Self::DiskSleep => "disk sleep",
            Self::Stopped => "stopped",
            Self::Traced => "traced",
            Self::Frozen => "frozen",
            Self::CoreDumping => "dumping core",
            Self::Zombie => "zombie",
            Self::Gone => "gone",
            Self::Hidden => "hidden",
            Self::Unknown => "unknown",
        })
    }
}

/// What a process writes of itself beside its locks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) pid: u32,
    pub(crate) start_time: u64,
    pub(crate) pid_namespace: u64,
    pub(crate) command: String,
}

/// Whether this process may do anything to any file.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The user whose rights this process has.
pub(crate) fn effective_user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// This process. Read once, and again after a fork.
pub(crate) fn me() -> Who {
    static ME: Mutex<Option<Who>> = Mutex::new(None);
    let pid = std::process::id();
    // A lock that a dead sibling held at fork time must not hang the child: then simply look again.
    let Ok(mut known) = ME.try_lock() else { return look_at_me(pid) };
    match &*known {
        Some(who) if who.pid == pid => who.clone(),
        _ => known.insert(look_at_me(pid)).clone(),
    }
}

fn look_at_me(pid: u32) -> Who {
    let stat = Stat::read("/proc/self".as_ref()).unwrap_or_default();
    Who {
        pid,
        start_time: stat.started().unwrap_or(0),
        pid_namespace: pid_namespace(),
        command: stat.name().to_owned(),
    }
}

/// What `/proc` tells of a process, or a thread, in one line. Not by the crate for it, which opens the directory, asks for the kernel's
/// version and parses fifty fields: this is asked often, and by each process that opens a log.
#[derive(Default)]
pub(crate) struct Stat {
    line: String,
    /// Where its name ends, in the parenthesis that closes it: a name may hold anything.
    name_end: usize,
}

impl Stat {
    /// By its directory.
    pub(crate) fn read(of: &Path) -> io::Result<Self> {
        let mut buffer = [0; 1024];
        let len = fs::File::open(of.join("stat"))?.read(&mut buffer)?;
        Ok(Self::of(String::from_utf8_lossy(&buffer[..len]).into_owned()))
    }

    fn of(line: String) -> Self {
        let name_end = line.rfind(')').unwrap_or(line.len());
        Self { line, name_end }
    }

    fn name(&self) -> &str {
        self.line[..self.name_end].split_once('(').map_or("", |(_, name)| name)
    }

    /// So many fields behind its state, which is the first one behind its name.
    fn field(&self, nth: usize) -> Option<&str> {
        self.line.get(self.name_end + 1..)?.split_ascii_whitespace().nth(nth)
    }

    pub(crate) fn state(&self) -> Option<&str> {
        self.field(0)
    }

    /// What the kernel has it marked as.
    pub(crate) fn flags(&self) -> Option<u64> {
        self.field(6)?.parse().ok()
    }

    /// When it began, in ticks of this boot.
    fn started(&self) -> Option<u64> {
        self.field(19)?.parse().ok()
    }

    /// The processor that it is on, or was.
    pub(crate) fn processor(&self) -> Option<usize> {
        self.field(36)?.parse().ok()
    }
}

/// Where `/proc` has a process.
pub(crate) fn directory_of(pid: u32) -> PathBuf {
    format!("/proc/{pid}").into()
}

fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino())
}

/// The state of the process that wrote `who`, if that can be told from this PID namespace.
pub(crate) fn state_of(who: &Who) -> ProcessState {
    match other_namespace(who) {
        Some(_) => ProcessState::Unknown,
        None => state_at(who, Some(who.pid)),
    }
}

/// The same for a process that has the id `here` in this PID namespace.
pub(crate) fn state_at(who: &Who, here: Option<u32>) -> ProcessState {
    let Some(pid) = here.filter(|pid| *pid != 0) else { return ProcessState::Unknown };
    let stat = match Stat::read(&directory_of(pid)) {
        Ok(stat) => stat,
        // Not there for this user.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return if exists(pid) { ProcessState::Hidden } else { ProcessState::Gone };
        }
        // It ended between the two calls.
        Err(e) if e.raw_os_error() == Some(nix::libc::ESRCH) => return ProcessState::Gone,
        Err(_) => return ProcessState::Unknown,
    };
    if other_namespace(who).is_none() && who.start_time != 0 && stat.started() != Some(who.start_time) {
        return ProcessState::Gone;
    }
    match stat.state() {
        Some("R") => ProcessState::Running,
        Some("S" | "I") => ProcessState::Sleeping,
        Some("D") if is_dumping(pid) => ProcessState::CoreDumping,
        Some("D") => ProcessState::DiskSleep,
        Some("T") => ProcessState::Stopped,
        Some("t") => ProcessState::Traced,
        Some("Z" | "X" | "x") => ProcessState::Zombie,
        _ => ProcessState::Unknown,
    }
}

/// A thread that waits in the kernel.
pub(crate) struct Waits {
    /// Its directory in `/proc`.
    pub(crate) thread: PathBuf,
    /// The kernel's name of where.
    pub(crate) place: String,
}

/// Which thread of a process waits to write into a full pipe, if one does, as far as this user may see it.
pub(crate) fn waits_to_write(pid: u32) -> Option<Waits> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.take(64).flatten();
    let mut all = threads.filter_map(|thread| {
        let thread = thread.path();
        Some(Waits { place: fs::read_to_string(thread.join("wchan")).ok()?, thread })
    });
    all.find(|waits| waits.place.contains(FULL_PIPE))
}

/// Whether somebody may read from a pipe what a process prints, as far as this user may see it.
pub(crate) fn prints_into_a_pipe(pid: u32) -> bool {
    let output = fs::read_link(format!("/proc/{pid}/fd/1")).unwrap_or_default();
    output.as_os_str().as_encoded_bytes().starts_with(b"pipe:")
}

/// Of the kernel's names of where it lets somebody wait, those of who writes to a full pipe.
pub(crate) const FULL_PIPE: &str = "pipe_write";

/// The function of the kernel that a process waits in, as far as this user may see it.
pub(crate) fn waits_in(pid: u32) -> Option<String> {
    let place = fs::read_to_string(format!("/proc/{pid}/wchan")).ok()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
    (place.len() > 1 && place.chars().all(is_name)).then_some(place)
}

/// How long a file may become by what a process writes, where it has such a limit and this user may see it.
pub(crate) fn file_size_limit(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let of_files = limits.lines().find_map(|line| line.strip_prefix("Max file size"))?;
    of_files.split_ascii_whitespace().next()?.parse().ok()
}

fn is_dumping(pid: u32) -> bool {
    said_of(pid, "CoreDumping:").is_some_and(|said| said == "1")
}

/// Who traces a process, a debugger or strace; `None` where nobody does, or he cannot be seen from here.
pub(crate) fn tracer_of(pid: u32) -> Option<u32> {
    let thread = said_of(pid, "TracerPid:")?.parse().ok().filter(|tracer| *tracer != 0)?;
    said_of(thread, "Tgid:")?.parse().ok()
}

/// What the kernel says of a process in that line of its status.
fn said_of(pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|said| said.trim().to_owned())
}

/// How a process was called, without the directory of its program, arguments apart by spaces; `None` when that cannot be
/// seen. At most 200 bytes.
pub(crate) fn command_line(pid: u32) -> Option<String> {
    let mut bytes = [0; 200];
    let len =
        fs::File::open(format!("/proc/{pid}/cmdline")).and_then(|mut file| file.read(&mut bytes)).ok()?;
    let text = String::from_utf8_lossy(&bytes[..len]).trim_end_matches('\0').replace('\0', " ");
    let program = text.split(' ').next().and_then(|path| path.rfind('/')).map_or(0, |slash| slash + 1);
    (!text.is_empty()).then(|| text[program..].to_owned())
}

/// The process ids in `/proc`.
///
/// # Errors
/// Where it cannot be read.
pub fn processes() -> io::Result<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// The user whose rights a process has, as far as it shows them.
pub(crate) fn user_of(pid: u32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{pid}")).ok().map(|found| found.uid())
}

/// Whether there is such a process, also one that `/proc` does not show.
fn exists(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    let asked = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
    asked != Err(nix::errno::Errno::ESRCH)
}

/// The PID namespace of a process, if it is not this one's.
pub(crate) fn other_namespace(who: &Who) -> Option<u64> {
    (who.pid_namespace != 0 && who.pid_namespace != me().pid_namespace).then_some(who.pid_namespace)
}

/// The id in this PID namespace of a process of another one, as far as this user may see it.
pub(crate) fn find_in_namespace(who: &Who) -> Option<u32> {
    processes().ok()?.find(|here| {
        let is_there =
            || fs::metadata(format!("/proc/{here}/ns/pid")).is_ok_and(|m| m.ino() == who.pid_namespace);
        is_there() && innermost_pid(*here) == Some(who.pid)
    })
}

/// What a process is called in its own PID namespace.
fn innermost_pid(here: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{here}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_ascii_whitespace().last()?.parse().ok()
}

/// This boot's id as two words, zeros if the kernel does not tell. No process outlives a boot: read once (or twice,
/// if two threads ask at the same time; a lock would hang a child forked meanwhile).
pub(crate) fn boot_id() -> [u64; 2] {
    static WORDS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
    static KNOWN: AtomicBool = AtomicBool::new(false);
    if !KNOWN.load(Ordering::Acquire) {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        // That no descriptor or memory was left is true of this moment alone.
        let is_none = |e: &io::Error| matches!(e.kind(), NotFound | NotADirectory | PermissionDenied);
        let is_known = text.as_ref().map_or_else(is_none, |_| true);
        for (word, value) in WORDS.iter().zip(hex_words(&text.unwrap_or_default())) {
            word.store(value, Ordering::Relaxed);
        }
        KNOWN.store(is_known, Ordering::Release);
    }
    [0, 1].map(|i: usize| WORDS[i].load(Ordering::Relaxed))
}

/// A random id as two words.
pub(crate) fn random_id() -> [u64; 2] {
    let mut bytes = [[0; 8]; 2];
    for half in &mut bytes {
        // So few bytes come at once, or the call does not exist; then the clock has to do.
        let filled = rustix::rand::getrandom(half.as_mut_slice(), rustix::rand::GetRandomFlags::empty());
        if filled != Ok(half.len()) {
            *half = now_ns().to_ne_bytes();
        }
    }
    bytes.map(u64::from_ne_bytes)
}

/// 32 hexadecimal digits, dashes between them: their bytes in reading order.
fn hex_words(text: &str) -> [u64; 2] {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let bytes = u128::from_str_radix(&digits, 16).unwrap_or(0).to_be_bytes();
    [0, 8].map(|half| u64::from_ne_bytes(std::array::from_fn(|i| bytes[half + i])))
}

/// Page faults of this thread so far.
pub(crate) fn page_faults() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).ok();
    usage.map_or(0, |u| (u.minor_page_faults() + u.major_page_faults()).unsigned_abs())
}

/// Wall clock, nanoseconds since 1970.
pub(crate) fn now_ns() -> u64 {
    nanos_of(SystemTime::now())
}

/// Nanoseconds since 1970; 0 of a time before.
pub(crate) fn nanos_of(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The same within a tick of the kernel's, at a fifth of the price.
pub(crate) fn coarse_now_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse))
}

/// How long this boot has been up, suspend included; nanoseconds. The same to everybody on the machine: a time namespace has a
/// clock of its own, which runs ahead or behind.
pub(crate) fn up_ns() -> u64 {
    // Who runs goes on in the namespace that he began in.
    static AHEAD_NS: OnceLock<i64> = OnceLock::new();
    let said = || fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    let ahead_ns = *AHEAD_NS.get_or_init(|| boot_clock_ahead_ns(&said()).unwrap_or(0));
    let here_ns = nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Boottime));
    here_ns.saturating_add_signed(ahead_ns.saturating_neg())
}

/// `boottime SECONDS NANOSECONDS`, the seconds perhaps negative.
fn boot_clock_ahead_ns(offsets: &str) -> Option<i64> {
    let line = offsets.lines().find_map(|line| line.strip_prefix("boottime"))?;
    let mut words = line.split_ascii_whitespace().map(str::parse::<i64>);
    let (seconds, nanos) = (words.next()?.ok()?, words.next()?.ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// The time that [`now_ns`] stored; 0 is "never". One before this software is not known either, unless the clock has not been
/// set since.
pub(crate) fn time_of(ns: u64) -> Option<SystemTime> {
    // 9 September 2001.
    const EARLIEST: u64 = 1_000_000_000_000_000_000;
    let is_known = ns >= EARLIEST || (ns != 0 && coarse_now_ns() < EARLIEST);
    is_known.then(|| UNIX_EPOCH + Duration::from_nanos(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_is_called_may_hold_anything() {
        let line = "7 (a) S (b) R 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 9 9";
        let stat = Stat::of(line.to_owned());
        assert_eq!((stat.name(), stat.state(), stat.flags()), ("a) S (b", Some("R"), Some(4_194_560)));
        assert_eq!((stat.started(), stat.processor()), (Some(12345), None));
        let mine = Stat::read("/proc/self".as_ref()).ok().and_then(|stat| stat.started());
        assert_eq!(Some(me().start_time), mine);
        for nothing in ["", "7 (a)", "7 (a"] {
            let stat = Stat::of(nothing.to_owned());
            assert_eq!((stat.state(), stat.started()), (None, None));
        }
    }

    #[test]
    fn a_time_namespace_says_by_how_much_its_clock_runs_ahead() {
        let said = |seconds: &str| {
            boot_clock_ahead_ns(&format!("monotonic           7         8\nboottime   {seconds}\n"))
        };
        assert_eq!(said("0         0"), Some(0));
        assert_eq!(said("5000000         1"), Some(5_000_000_000_000_001));
        assert_eq!(said("-3         999999999"), Some(-2_000_000_001));
        assert_eq!((said(""), said("9223372036854775807 0"), boot_clock_ahead_ns("")), (None, None, None));
    }
}
