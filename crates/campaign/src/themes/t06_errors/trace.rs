//! What a traced run says: which system calls there are to spoil, and how each can fail.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// One call to spoil, once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Target {
    pub(super) call: String,
    /// Only calls that touch the log's files or directory are counted.
    pub(super) of_log: bool,
    /// Counted from 1 in each thread.
    pub(super) number: u32,
    pub(super) fault: Fault,
}

/// What is done to it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fault {
    Errno(&'static str),
    /// This call and all later ones of its name fail.
    From(&'static str),
    /// The process is killed as it makes the call.
    Kill,
    /// Nothing is done, and success is said: only for controls.
    Pretend(i64),
}

/// Calls that cannot fail as they are made (a futex wake among them), end the thread, or are the allocator's, for
/// which Rust aborts.
const SPARED: &[&str] = &[
    "arch_prctl",
    "brk",
    "execve",
    "exit",
    "exit_group",
    "futex",
    "getpid",
    "gettid",
    "madvise",
    "mprotect",
    "munmap",
    "prlimit64",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
];

/// Whether it asks what other processes have open: of these there are as many as the machine has processes.
fn is_of_others(line: &str) -> bool {
    line.split("/proc/").skip(1).any(|rest| {
        let of_process = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        ["/fd", "/maps", "/mountinfo", "/comm"].iter().any(|file| of_process.starts_with(file))
    })
}

/// How a call can fail.
fn errnos(call: &str, line: &str) -> &'static [&'static str] {
    match call {
        "openat" | "open" if line.contains("O_CREAT") => {
            &["ENOSPC", "EIO", "EINTR", "EMFILE", "ENOMEM", "EACCES"]
        }
        "openat" | "open" => &["EIO", "EINTR", "EMFILE", "ENOMEM", "EACCES"],
        "statx" | "newfstatat" | "fstat" | "lstat" | "stat" | "readlink" | "readlinkat" => {
            &["EIO", "ENOMEM", "EACCES"]
        }
        "read" | "pread64" | "readv" | "preadv" => &["EIO", "EINTR", "ENOMEM"],
        "write" | "pwrite64" | "writev" | "pwritev" | "ftruncate" | "fallocate" => {
            &["ENOSPC", "EIO", "EINTR", "ENOMEM"]
        }
        "rename" | "renameat" | "renameat2" | "unlink" | "unlinkat" | "link" | "linkat" => {
            &["ENOSPC", "EIO", "EACCES", "ENOMEM"]
        }
        "fsync" | "fdatasync" | "msync" => &["ENOSPC", "EIO", "EINTR"],
        "fchmod" | "fchown" => &["EIO", "EACCES", "ENOSPC"],
        "mmap" => &["ENOMEM", "EACCES"],
        "fcntl" if line.contains("F_OFD_SETLK") => &["EIO", "EINTR", "EACCES", "ENOLCK", "ENOMEM"],
        "fcntl" if line.contains("F_DUPFD") => &["EMFILE"],
        // The descriptor is gone whatever the kernel says of it; one that a spoiled call keeps, a pipe's end that somebody
        // waits for, is no failure that there is.
        "close" => &[],
        "fcntl" | "ioctl" => &["EIO", "EINTR"],
        "fstatfs" | "statfs" => &["EIO", "EINTR", "ENOMEM"],
        "clock_nanosleep" | "nanosleep" | "getrandom" | "sendto" | "recvfrom" => &["EINTR"],
        "membarrier" => &["ENOSYS", "ENOMEM"],
        "prctl" => &["EINVAL"],
        "poll" | "ppoll" | "epoll_wait" | "epoll_pwait" => &["EINTR", "ENOMEM"],
        "socketpair" | "pipe2" | "pidfd_open" | "signalfd4" | "inotify_init1" | "epoll_create1"
        | "eventfd2" => &["EMFILE", "ENOMEM"],
        "inotify_add_watch" => &["ENOSPC", "ENOMEM", "EACCES"],
        "clone3" | "clone" => &["ENOMEM", "EAGAIN"],
        "lseek" => &["EIO"],
        _ => &["EIO", "EINTR", "ENOMEM"],
    }
}

/// A call of a thread, as `strace -y` prints it.
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) line: &'a str,
    pub(super) of_log: bool,
    /// Among the calls of its name in its thread, from 1; and among those of them that touch the log.
    pub(super) number: u32,
    pub(super) number_of_log: u32,
}

/// The calls of one thread.
pub(super) fn calls<'a>(thread: &'a str, directory: &Path) -> Vec<Call<'a>> {
    let directory = directory.to_string_lossy().into_owned();
    let mut numbers: HashMap<(&str, bool), u32> = HashMap::new();
    let mut next = |name: &'a str, of_log| {
        let number = numbers.entry((name, of_log)).or_default();
        *number += 1;
        *number
    };
    let parse = |line: &'a str| {
        let (name, _) = line.split_once('(')?;
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        // The program's own path and arguments are no access to the log.
        let of_log = name != "execve" && line.contains(&directory);
        is_name.then(|| Call {
            name,
            line,
            of_log,
            number: next(name, false),
            number_of_log: if of_log { next(name, true) } else { 0 },
        })
    };
    thread.lines().filter_map(parse).collect()
}

/// Of calls in a row that differ in numbers only, the first and the last: a thousand slots are asked in one way.
fn ends_of_rows<'a, 'b>(thread: &'b [Call<'a>]) -> impl Iterator<Item = &'b Call<'a>> {
    let shape = |call: &Call<'a>| call.line.replace(|c: char| c.is_ascii_digit(), "");
    let shapes: Vec<String> = thread.iter().map(shape).collect();
    thread.iter().enumerate().filter_map(move |(i, call)| {
        let is = |other: Option<usize>| other.and_then(|o| shapes.get(o)) == Some(&shapes[i]);
        let inside = is(i.checked_sub(1)) && is(Some(i + 1));
        (!inside).then_some(call)
    })
}

/// Everything that can be done to the calls that these threads made after the program's start. One that `waits` for
/// space is not given a disk that stays full.
pub(super) fn targets(threads: &[String], directory: &Path, waits: bool) -> BTreeSet<Target> {
    let threads: Vec<_> = threads.iter().map(|thread| calls(thread, directory)).collect();
    let is_main = |thread: &[Call<'_>]| thread.first().is_some_and(|call| call.name == "execve");
    let main = threads.iter().find(|thread| is_main(thread)).map_or(&[][..], |thread| thread);
    // The last thing that Rust's runtime does before `main`.
    let is_start =
        |call: &Call<'_>| call.name == "rt_sigaction" && call.line.contains("SIGBUS, {sa_handler=0x");
    let started = main.iter().position(is_start).map_or(0, |at| at + 1);
    let mut start_up: HashMap<&str, u32> = HashMap::new();
    main[..started].iter().for_each(|call| *start_up.entry(call.name).or_default() += 1);
    let mut targets = BTreeSet::new();
    for call in threads.iter().flat_map(|thread| ends_of_rows(thread)) {
        let spared =
            SPARED.contains(&call.name) || (call.name == "mmap" && call.line.contains("MAP_ANONYMOUS"));
        // A number counts in each thread: in the main one it would be a call of the start-up.
        let too_early = !call.of_log && call.number <= start_up.get(call.name).copied().unwrap_or(0);
        if spared || too_early || is_of_others(call.line) {
            continue;
        }
        let number = if call.of_log { call.number_of_log } else { call.number };
        let errnos = errnos(call.name, call.line);
        // A `write` that fails for good says nothing on standard error either.
        let lasts = call.name != "write";
        let lasting = errnos
            .iter()
            .filter(|_| lasts)
            .find(|e| !matches!((**e, waits), ("EINTR", _) | ("ENOSPC", true)));
        let faults = errnos.iter().map(|errno| Fault::Errno(errno));
        let faults = faults.chain(lasting.map(|errno| Fault::From(errno)));
        targets.extend(faults.chain([Fault::Kill]).map(|fault| Target {
            call: call.name.into(),
            of_log: call.of_log,
            number,
            fault,
        }));
    }
    targets
}
