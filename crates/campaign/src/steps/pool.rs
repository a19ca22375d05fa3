//! Cases side by side, one worker a processor: a victim and its tracer run best on the same one.

use std::convert::Infallible;
use std::fmt::Display;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::HANG;

struct Worker {
    processor: Option<usize>,
    /// The case it has begun, and when.
    doing: Mutex<Option<(usize, Instant)>>,
}

/// What `act` makes of each case, in the order of the cases.
pub(crate) fn run<C: Sync + Display, R: Send>(cases: &[C], act: impl Fn(&C) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let workers: Vec<Worker> =
        processors().into_iter().map(|processor| Worker { processor, doing: Mutex::new(None) }).collect();
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let (busy, all_done) = mpsc::channel();
        let start = |worker| {
            let (busy, next, act) = (busy.clone(), &next, &act);
            scope.spawn(move || Worker::work(worker, cases, next, act, busy))
        };
        let threads: Vec<_> = workers.iter().map(start).collect();
        drop(busy);
        watch(cases, &workers, &all_done);
        threads.into_iter().flat_map(|t| t.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

impl Worker {
    /// Takes cases until there are no more, and drops `_busy` then.
    fn work<C, R>(
        &self,
        cases: &[C],
        next: &AtomicUsize,
        act: impl Fn(&C) -> R,
        _busy: Sender<Infallible>,
    ) -> Vec<(usize, R)> {
        stay_on(self.processor);
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else { return done };
            self.does(Some((index, Instant::now())));
            done.push((index, act(case)));
            self.does(None);
        }
    }

    fn does(&self, what: Option<(usize, Instant)>) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }
}

/// Until all workers are done. A case that hangs cannot be ended from here, only said.
fn watch<C: Display>(cases: &[C], workers: &[Worker], all_done: &Receiver<Infallible>) {
    while all_done.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        for worker in workers {
            match *worker.doing.lock().unwrap_or_else(PoisonError::into_inner) {
                Some((index, since)) if since.elapsed() > 3 * HANG => {
                    println!("VIOLATION: it hangs: {}", cases[index]);
                    std::process::abort();
                }
                _ => {}
            }
        }
    }
}

/// One worker for each; at least one.
fn processors() -> Vec<Option<usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let found: Vec<_> =
        (0..CpuSet::count()).filter(|&i| allowed.is_set(i).unwrap_or(false)).map(Some).collect();
    if found.is_empty() { vec![None] } else { found }
}

/// This thread and the children it starts from now on.
fn stay_on(processor: Option<usize>) {
    let mut set = CpuSet::new();
    // Only speed depends on it.
    if processor.is_some_and(|processor| set.set(processor).is_ok()) {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}
