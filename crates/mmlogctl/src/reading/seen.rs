//! Readers are seen also while they wait for their output: a thread of the process tells for them.

use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use mmlog::{Follower, Teller};

/// How often it is told.
const APART: Duration = Duration::from_millis(250);

/// Has it told where that follower is, until it is gone.
pub fn keep_seen(follower: &Follower) {
    static TO: OnceLock<Option<Sender<Teller>>> = OnceLock::new();
    let begin = || {
        let (to, came) = mpsc::channel();
        // Where no thread can be had, it is seen as it reads.
        thread::Builder::new().spawn(move || tell(&came)).ok().map(|_| to)
    };
    if let Some(to) = TO.get_or_init(begin) {
        // It is never gone.
        let _ = to.send(follower.teller());
    }
}

fn tell(came: &Receiver<Teller>) {
    let mut all: Vec<Teller> = Vec::new();
    loop {
        let next = match all.is_empty() {
            true => came.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => came.recv_timeout(APART),
        };
        match next {
            Ok(teller) => all.push(teller),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        all.retain(Teller::tell);
    }
}
