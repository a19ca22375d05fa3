//! Compressing final segments as the log's policy says, beside whatever is stored: in a thread of its own at the lowest
//! priority, as `rotate` would. No input waits for it, and it may be ended anywhere: the plain segment stays until its copy is
//! whole, and the next one to compress goes on.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use mmlog::{Class, Compress, Compression, Compressions, Error, Log, Options};

use crate::commands::rotate::lower_priority;
use crate::exit::shown;
use crate::output::Output;

/// For so long a compression that was told to stop is waited for; then its copy goes, and it ends with the process: on a busy
/// machine its priority gives it no time.
const END: Duration = Duration::from_millis(500);

pub(super) struct Compressor {
    path: PathBuf,
    options: Options,
    stop: Arc<AtomicBool>,
    /// The log that the pass compresses by, until that is over.
    at_work: Arc<Mutex<Option<Arc<Log>>>>,
    /// What comes of the pass that is under way.
    pass: Option<Receiver<Result<Compressions, Error>>>,
    /// The generation below which all was looked at.
    looked_below: Option<u64>,
    /// What was said of a failure.
    said: Option<String>,
}

impl Compressor {
    pub(super) fn new(path: PathBuf, options: Options) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let options = options.stop(Arc::clone(&stop));
        Self { path, options, stop, at_work: Arc::default(), pass: None, looked_below: None, said: None }
    }

    /// Now and then: begins a pass where there are segments that nobody looked at.
    pub(super) fn attend(&mut self, log: &Log, out: &mut Output) {
        if let Some(pass) = &self.pass {
            match pass.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(ended) => self.ended(ended, out),
                Err(TryRecvError::Disconnected) => {}
            }
            self.pass = None;
        }
        let Some(codec) = log.policy().rules().compress else { return };
        let generation = log.generation();
        if self.looked_below != Some(generation) {
            self.looked_below = Some(generation);
            self.begin(codec);
        }
    }

    /// Without a thread there is no pass: the next generation has another.
    fn begin(&mut self, codec: Compression) {
        let (tell, pass) = mpsc::sync_channel(1);
        let (path, options, at_work) = (self.path.clone(), self.options.clone(), Arc::clone(&self.at_work));
        let set = move |log| *at_work.lock().unwrap_or_else(PoisonError::into_inner) = log;
        let work = move || {
            lower_priority();
            // By a handle of its own, which nobody appends to.
            let done = options.open(&path).and_then(|log| {
                let log = Arc::new(log);
                set(Some(Arc::clone(&log)));
                let done = log.compress(&Compress::new(codec), |_| {});
                set(None);
                done
            });
            let _ = tell.send(done);
        };
        self.pass = thread::Builder::new().name("compress".to_owned()).spawn(work).ok().map(|_| pass);
    }

    /// Says once what cannot be compressed.
    fn ended(&mut self, ended: Result<Compressions, Error>, out: &mut Output) {
        let failure = match ended {
            Ok(all) => all.failed.into_iter().next(),
            // Somebody else's work is in the way, or the log was replaced: the next look tries again.
            Err(e) if matches!(e.fault().class(), Class::Busy) => {
                self.looked_below = None;
                None
            }
            Err(e) => Some(e),
        };
        let Some(text) = failure.map(|e| e.to_string()) else { return };
        if self.said.as_ref() != Some(&text) {
            out.notice(&format!(
                "{}: a segment is not compressed: {text}; input is stored all the same",
                shown(&self.path)
            ));
            self.said = Some(text);
        }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(pass) = &self.pass
            && matches!(pass.recv_timeout(END), Err(RecvTimeoutError::Timeout))
        {
            let at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
            at_work.iter().for_each(|log| log.abandon_compression());
        }
    }
}
