//! For how long a process has not run, by what the kernel says of its threads.
//!
//! `se.exec_start` is when a thread last ran, by the clock of the processor that it ran on. Such a clock leaves out what
//! interrupts and other guests of the host took, so those of two processors differ, by seconds after hours. What time it is has
//! to be asked on the same processor.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use super::process::{Stat, waits_to_write};

/// For how long no thread of a process of this PID namespace has run, which is since when one that stands does so.
/// `None` where the kernel does not say, or of one with very many threads.
pub fn not_run_for(pid: u32) -> Option<Duration> {
    const THREADS: usize = 64;
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.take(THREADS + 1);
    let mut clocks = BTreeMap::new();
    let mut stood = Vec::new();
    for one in threads {
        let at = one.ok()?.path();
        let (ran, processor) = (last_ran(&at)?, Stat::read(&at).ok()?.processor()?);
        let now = match clocks.get(&processor) {
            Some(now) => *now,
            None => *clocks.entry(processor).or_insert(now_on(processor)?),
        };
        stood.push(now.saturating_sub(ran));
    }
    stood.iter().min().copied().filter(|_| stood.len() <= THREADS)
}

/// For how long a process has waited to write into a full pipe, if it does and that is known.
pub fn kept_by_a_full_pipe(pid: u32) -> Option<Duration> {
    thread_not_run_for(&waits_to_write(pid)?.thread)
}

/// For how long a thread has not run, by its directory in `/proc`.
pub(crate) fn thread_not_run_for(thread: &Path) -> Option<Duration> {
    let (ran, processor) = (last_ran(thread)?, Stat::read(thread).ok()?.processor()?);
    Some(now_on(processor)?.saturating_sub(ran))
}

/// The time of a processor's clock. This thread moves there for the question; where it may not, it asks where it is.
fn now_on(processor: usize) -> Option<Duration> {
    // What is read of a thread that runs is as old as its last turn, a tick at most: take a new one.
    let ask = || {
        thread::yield_now();
        last_ran("/proc/thread-self".as_ref())
    };
    let is_here = || sched_getcpu() == Ok(processor);
    if is_here()
        && let Some(now) = ask()
        && is_here()
    {
        return Some(now);
    }
    let me = Pid::from_raw(0);
    let mut only = CpuSet::new();
    only.set(processor).ok()?;
    let Ok(allowed) = sched_getaffinity(me) else { return ask() };
    if sched_setaffinity(me, &only).is_err() {
        return ask();
    }
    let now = ask();
    let _ = sched_setaffinity(me, &allowed);
    now
}

/// By the clock of the thread's processor.
fn last_ran(thread: &Path) -> Option<Duration> {
    let text = fs::read_to_string(thread.join("sched")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("se.exec_start"))?;
    let (ms, rest) = line.trim_start_matches([' ', ':']).split_once('.')?;
    let fraction = rest.get(..6)?.parse().ok()?;
    Some(Duration::from_millis(ms.parse().ok()?) + Duration::from_nanos(fraction))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::process::{Child, Command, Stdio};

    use nix::sys::signal::{Signal, kill};

    use super::*;

    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn how_long_it_stands_never_goes_back_whichever_processor_asks() {
        let child = Killed(Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap());
        let pid = Pid::from_raw(child.0.id().cast_signed());
        kill(pid, Signal::SIGSTOP).unwrap();
        let stat = format!("/proc/{pid}/stat");
        while !fs::read_to_string(&stat).unwrap().contains(") T ") {
            thread::yield_now();
        }
        let me = Pid::from_raw(0);
        let allowed = sched_getaffinity(me).unwrap();
        let processors: Vec<usize> =
            (0..CpuSet::count()).filter(|n| allowed.is_set(*n).unwrap()).take(4).collect();
        let mut before = Duration::ZERO;
        for processor in processors.iter().cycle().take(40) {
            let mut only = CpuSet::new();
            only.set(*processor).unwrap();
            sched_setaffinity(me, &only).unwrap();
            // Not every kernel tells.
            let Some(stood) = not_run_for(child.0.id()) else { break };
            assert!(stood >= before, "{stood:?} on processor {processor}, {before:?} before");
            assert_eq!(sched_getaffinity(me).unwrap(), only, "it goes back to where it may run");
            before = stood;
        }
        sched_setaffinity(me, &allowed).unwrap();
    }
}
