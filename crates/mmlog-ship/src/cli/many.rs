//! Many logs by one process: a thread each, and this one, which finds new logs and says what keeps others from being shipped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mmlog::units::counted;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;

use super::config::{Config, Logs, Named};
use super::{Say, check, notice, print, ship_as};
use crate::trouble::{Trouble, shown};

/// How often it is looked for new logs. A scan misses nothing, on any file system, and needs no watch.
const SCAN: Duration = Duration::from_secs(1);
/// A signal is heard that late.
const NAP: Duration = Duration::from_millis(100);
/// A log that needs a person, or that another shipper has, is tried again so much later.
const AGAIN: Duration = Duration::from_secs(30);
/// So many logs at a time where each is shipped once.
const AT_ONCE: usize = 8;
/// A log has about so many descriptors: of its files, its checkpoint and its connection.
const DESCRIPTORS: u64 = 12;

/// A log that is shipped.
struct Job {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Trouble>>>,
    /// What kept it from being shipped, which is said once.
    trouble: Option<String>,
    again: Instant,
}

struct Jobs {
    config: Config,
    running: BTreeMap<PathBuf, Job>,
    /// What was said of logs that are not shipped, or are not there.
    wrong: BTreeSet<String>,
    status: String,
    /// So many descriptors may be open.
    descriptors: u64,
}

/// Ships what the file names until `stop` is raised; reads the file again when `reload` is.
pub(super) fn follow(file: &Path, stop: &AtomicBool, reload: &AtomicBool) -> Result<(), Trouble> {
    let config = Config::read(file)?;
    let mut jobs = Jobs {
        config,
        running: BTreeMap::new(),
        wrong: BTreeSet::new(),
        status: String::new(),
        descriptors: descriptors(),
    };
    jobs.scan();
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let mut scanned = Instant::now();
    while !stop.load(Ordering::Acquire) {
        if reload.swap(false, Ordering::AcqRel) {
            match Config::read(file) {
                Ok(config) if config == jobs.config => {}
                Ok(config) => {
                    jobs.end();
                    jobs.config = config;
                    jobs.scan();
                }
                Err(trouble) => notice(&format!("{trouble}; what was read before is still done")),
            }
        }
        if scanned.elapsed() >= SCAN {
            scanned = Instant::now();
            jobs.scan();
        }
        jobs.look();
        thread::sleep(NAP);
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    jobs.end();
    Ok(())
}

/// Of what shells and service managers give a process at first, some hundred logs have too little. More is there for whoever asks, and
/// nothing here goes by `select`, for which they keep it low. Says how many may be open.
fn descriptors() -> u64 {
    let given = getrlimit(Resource::Nofile);
    let all = Rlimit { current: given.maximum, ..given };
    let has = if setrlimit(Resource::Nofile, all).is_ok() { given.maximum } else { given.current };
    has.unwrap_or(u64::MAX)
}

impl Jobs {
    fn scan(&mut self) {
        let Logs { all: logs, wrong, unseen, mut notes } = self.config.logs();
        let need = logs.len() as u64 * DESCRIPTORS;
        if need > self.descriptors {
            notes.push(format!(
                "{} need about {need} descriptors, and no more than {} may be open here: where some are not shipped, raise that (ulimit -n, LimitNOFILE=)",
                counted(logs.len() as u64, "log"),
                self.descriptors
            ));
        }
        let wrong: BTreeSet<String> = wrong.into_iter().chain(unseen).chain(notes).collect();
        wrong.difference(&self.wrong).for_each(|text| notice(text));
        self.wrong = wrong;
        for named in &logs {
            let job = self.running.get(&named.log);
            if job.is_none_or(|job| job.thread.is_none() && Instant::now() >= job.again) {
                self.start(named, logs.len());
            }
        }
        // One that is gone is shipped to its end by the thread that has it open; one that cannot be is no trouble any more.
        let is_named = |log: &PathBuf| logs.iter().any(|named| named.log == *log);
        self.running.retain(|log, job| job.thread.is_some() || is_named(log));
    }

    fn start(&mut self, named: &Named, logs: usize) {
        let stop = Arc::new(AtomicBool::new(false));
        let said = self.running.remove(&named.log).and_then(|job| job.trouble);
        let (args, theirs, log) = (self.config.args(named, logs), Arc::clone(&stop), named.log.clone());
        let thread =
            thread::Builder::new().name("ship".to_owned()).spawn(move || ship_as(&*args?, &theirs, of(&log)));
        let (thread, again) = match thread {
            Ok(thread) => (Some(thread), Instant::now()),
            Err(e) => {
                notice(&format!("{}: no thread for it: {e}; it is tried again", shown(&named.log)));
                (None, Instant::now() + AGAIN)
            }
        };
        self.running.insert(named.log.clone(), Job { stop, thread, trouble: said, again });
    }

    /// Hears what ended by itself.
    fn look(&mut self) {
        for (log, job) in &mut self.running {
            let Some(thread) = job.thread.take_if(|thread| thread.is_finished()) else { continue };
            job.again = Instant::now() + AGAIN;
            match ended(thread) {
                // The log was removed: another one is shipped as soon as it is there.
                Ok(()) => (job.trouble, job.again) = (None, Instant::now()),
                Err(trouble) => {
                    let text = trouble.to_string();
                    if job.trouble.as_ref() != Some(&text) {
                        notice(&format!("{}: {text}", shown(log)));
                    }
                    job.trouble = Some(text);
                }
            }
        }
        self.tell();
    }

    /// Tells the service manager how many logs there are, and how many are in trouble.
    fn tell(&mut self) {
        let waits = self.running.values().filter(|job| job.thread.is_none() && job.trouble.is_some()).count();
        let status = match waits {
            0 => counted(self.running.len() as u64, "log"),
            _ => format!(
                "{}, {waits} not shipped: the journal says why",
                counted(self.running.len() as u64, "log")
            ),
        };
        if status != self.status {
            let _ = sd_notify::notify(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// All at once, and each waits for what is on its way.
    fn end(&mut self) {
        for job in self.running.values() {
            job.stop.store(true, Ordering::Release);
        }
        for (log, job) in std::mem::take(&mut self.running) {
            if let Some(Err(trouble)) = job.thread.map(ended) {
                notice(&format!("{}: {trouble}", shown(&log)));
            }
        }
    }
}

fn ended(thread: JoinHandle<Result<(), Trouble>>) -> Result<(), Trouble> {
    thread.join().unwrap_or_else(|_| Err(Trouble::Failed("a fault of this program ended it".to_owned())))
}

/// Says whose it is.
fn of(log: &Path) -> Say {
    let log = shown(log);
    Arc::new(move |text| notice(&format!("{log}: {text}")))
}

/// Ships what each log has, and ends; or says what would happen. What is worst of all ends it.
pub(super) fn once(file: &Path, is_check: bool, stop: &Arc<AtomicBool>) -> Result<(), Trouble> {
    let config = Config::read(file)?;
    let Logs { all: logs, wrong, unseen, notes } = config.logs();
    wrong.iter().chain(&unseen).chain(&notes).for_each(|text| notice(text));
    let count = logs.len();
    let waiting = Mutex::new(VecDeque::from(logs));
    let troubles = Mutex::new(Vec::new());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(if is_check { 1 } else { count }) {
            scope.spawn(|| {
                while let Some(named) = next() {
                    let ended = config.args(&named, count).and_then(|mut args| {
                        args.until_now = true;
                        let say = of(&named.log);
                        if is_check {
                            print(&format!("{}\n", shown(&named.log)))?;
                            return check(&args, stop, say);
                        }
                        ship_as(&args, stop, say)
                    });
                    if let Err(trouble) = ended {
                        notice(&format!("{}: {trouble}", shown(&named.log)));
                        troubles.lock().unwrap_or_else(PoisonError::into_inner).push(trouble);
                    }
                }
            });
        }
    });
    let troubles = troubles.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failed = troubles.len() + wrong.len();
    let of_all = format!("{failed} of {} logs were not shipped", count + wrong.len());
    // Each was said; the code is that of the worst.
    match troubles.iter().map(Trouble::code).max() {
        Some(4) => Err(Trouble::Decide(of_all)),
        Some(3) => Err(Trouble::Busy(of_all)),
        None if failed == 0 && unseen.is_empty() => Ok(()),
        None if failed == 0 => {
            Err(Trouble::Failed("there may be logs where this user may not look".to_owned()))
        }
        None | Some(2) => Err(Trouble::Usage(of_all)),
        Some(_) => Err(Trouble::Failed(of_all)),
    }
}
