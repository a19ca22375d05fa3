//! Follows a log from an async program, and prints what comes, with its positions, until Enter is pressed:
//!
//! ```text
//! cargo run -p mmlog --example follow_async -- LOG [POSITION]
//! ```
//!
//! A follower sleeps in the kernel, so the stream has each of its steps done on a thread that may block (`spawn_blocking`), and no
//! step takes longer than [`PAUSE`]. Between two of them the stream has the follower itself, wherever it is polled: a follower is
//! `Send`. So it may be one branch of a `select!`, be moved to another task, or be dropped at any time; the end of the last event is
//! where another one goes on.
#![allow(clippy::print_stdout, reason = "what it is for")]

use std::env;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::stdin;
use std::ops::Range;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use futures_core::Stream;
use mmlog::{Follower, Hole, Log, Next, Position, Start, Wait};
use tokio::task::{JoinHandle, spawn_blocking};

/// How long a step waits for more, and so what a stop costs at most.
const PAUSE: Duration = Duration::from_millis(250);

/// What came.
pub enum Event {
    /// The bytes at these positions: what was appended, in pieces of any length.
    Bytes(Range<u64>, Vec<u8>),
    /// Positions without content: a writer was killed there, or they were pruned.
    Hole(Hole),
}

/// What comes in a log. It ends when it is stopped, and after an error; a rotation is no event.
pub struct Events {
    state: State,
    stop: Arc<AtomicBool>,
    at: Position,
}

enum State {
    Resting(Box<Reader>),
    Reading(JoinHandle<(Box<Reader>, mmlog::Result<Option<Event>>)>),
    Ended,
}

struct Reader {
    follower: Follower,
    buf: Vec<u8>,
}

impl Events {
    /// From where the follower is, until the flag is raised.
    pub fn new(follower: Follower, stop: Arc<AtomicBool>) -> Self {
        let at = follower.position();
        Self { state: State::Resting(Box::new(Reader { follower, buf: vec![0; 64 << 10] })), stop, at }
    }

    /// Behind the last event that it gave: another stream goes on there, however this one ended.
    pub fn position(&self) -> Position {
        self.at
    }

    /// The next event; the same as `next` of futures-util or tokio-stream. Whoever drops the future loses nothing.
    pub async fn next(&mut self) -> Option<mmlog::Result<Event>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Events {
    type Item = mmlog::Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Resting(_) if self.stop.load(Ordering::Acquire) => {}
                State::Resting(mut reader) => {
                    self.state = State::Reading(spawn_blocking(move || {
                        let found = reader.step();
                        (reader, found)
                    }));
                }
                State::Reading(mut step) => {
                    let Poll::Ready(done) = Pin::new(&mut step).poll(cx) else {
                        self.state = State::Reading(step);
                        return Poll::Pending;
                    };
                    let (reader, found) = match done {
                        Ok(done) => done,
                        Err(e) if e.is_panic() => resume_unwind(e.into_panic()),
                        Err(_) => return Poll::Ready(None), // the runtime shuts down
                    };
                    let found = found?;
                    self.state = State::Resting(reader);
                    if let Some(event) = found {
                        self.at = event.end();
                        return Poll::Ready(Some(Ok(event)));
                    }
                }
            }
        }
    }
}

impl Event {
    fn end(&self) -> Position {
        Position::new(match self {
            Self::Bytes(range, _) => range.end,
            Self::Hole(hole) => hole.end(),
        })
    }
}

impl Reader {
    /// What comes next, or nothing within [`PAUSE`].
    fn step(&mut self) -> mmlog::Result<Option<Event>> {
        loop {
            match self.follower.next(&mut self.buf)? {
                Next::Bytes(range) => {
                    let bytes = self.buf[..(range.end - range.start) as usize].to_vec();
                    return Ok(Some(Event::Bytes(range, bytes)));
                }
                Next::Hole(hole) => return Ok(Some(Event::Hole(hole))),
                Next::CaughtUp if self.follower.wait(PAUSE)? == Wait::TimedOut => return Ok(None),
                _ => {} // there is more, or a rotation: it goes on
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or("which log?")?;
    let start = match arguments.next() {
        Some(position) => Start::At(Position::new(position.parse()?)),
        None => Start::Oldest,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let log = Log::options().stop(Arc::clone(&stop)).open_reader(&path)?;
    let mut events = Events::new(log.follow(start)?, Arc::clone(&stop));
    thread::spawn(move || {
        let _ = stdin().read_line(&mut String::new());
        stop.store(true, Ordering::Release);
    });
    tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
        while let Some(event) = events.next().await {
            match event? {
                Event::Bytes(range, bytes) => println!("{range:?} {:?}", String::from_utf8_lossy(&bytes)),
                Event::Hole(hole) => println!("{}..{} is a hole", hole.start, hole.end()),
            }
        }
        println!("the next one goes on at {}", events.position().get());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use std::fs;
    use std::path::Path;
    use std::sync::mpsc;
    use std::task::Waker;

    use mmlog::Rotation;
    use tempfile::TempDir;

    use super::*;

    /// What catches a hang; no claim.
    const HANGS: Duration = Duration::from_secs(60);

    /// Runs a test on a thread that may hang, with a log of its own.
    fn with_log(test: fn(Log, &Path)) {
        let (done, is_done) = mpsc::channel();
        let running = thread::spawn(move || {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join("app.log");
            let log = Log::options().open_or_create(&path).unwrap();
            test(log, &path);
            done.send(()).unwrap();
        });
        if is_done.recv_timeout(HANGS) == Err(mpsc::RecvTimeoutError::Timeout) {
            panic!("it hangs");
        }
        if let Err(why) = running.join() {
            resume_unwind(why);
        }
    }

    fn run<T>(of: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(of)
    }

    fn events(log: &Log, start: Start) -> (Events, Arc<AtomicBool>) {
        let stop = Arc::new(AtomicBool::new(false));
        (Events::new(log.follow(start).unwrap(), Arc::clone(&stop)), stop)
    }

    fn lines(of: Range<u32>) -> Vec<u8> {
        of.flat_map(|i| format!("line {i}\n").into_bytes()).collect()
    }

    /// Reads until there are so many bytes; each event begins where the one before ended.
    async fn read(events: &mut Events, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < len {
            let at = events.position().get();
            match events.next().await.unwrap().unwrap() {
                Event::Bytes(range, bytes) => {
                    assert_eq!(range, at..at + bytes.len() as u64);
                    all.extend(bytes);
                }
                Event::Hole(hole) => panic!("{hole:?}"),
            }
        }
        all
    }

    #[test]
    fn a_stream_gives_every_message_with_its_positions_and_goes_on_over_rotations() {
        with_log(|log, _| {
            let (mut events, _stop) = events(&log, Start::Oldest);
            let expected = lines(0..2000);
            let appending = thread::spawn(move || {
                let mut writer = log.writer().unwrap();
                for i in 0..2000 {
                    writer.append(&lines(i..i + 1)).unwrap();
                    if i % 400 == 0 {
                        log.rotate(&Rotation::default()).unwrap();
                    }
                }
            });
            assert_eq!(run(read(&mut events, expected.len())), expected);
            appending.join().unwrap();
        });
    }

    #[test]
    fn a_stopped_stream_ends_after_the_step_it_is_in_and_another_goes_on_behind_its_last_event() {
        with_log(|log, _| {
            let mut writer = log.writer().unwrap();
            writer.append(&lines(0..10)).unwrap();
            let (mut first, stop) = events(&log, Start::Oldest);
            let mut seen = run(read(&mut first, 1));
            log.rotate(&Rotation::default()).unwrap();
            writer.append(&lines(10..20)).unwrap();
            stop.store(true, Ordering::Release);
            run(async {
                // It was resting: not even one more.
                assert!(first.next().await.is_none());
                assert!(first.next().await.is_none());
            });
            let (mut second, stop) = events(&log, Start::At(first.position()));
            run(async {
                // It is in a step while it is stopped: what that finds is given.
                let mut cx = Context::from_waker(Waker::noop());
                while let Poll::Ready(event) = Pin::new(&mut second).poll_next(&mut cx) {
                    let Some(Ok(Event::Bytes(_, bytes))) = event else { panic!("no bytes") };
                    seen.extend(bytes);
                }
                writer.append(&lines(20..30)).unwrap();
                stop.store(true, Ordering::Release);
                if let Some(event) = second.next().await {
                    let Event::Bytes(_, bytes) = event.unwrap() else { panic!("a hole") };
                    seen.extend(bytes);
                    assert!(second.next().await.is_none());
                }
            });
            let (mut third, _stop) = events(&log, Start::At(second.position()));
            let expected = lines(0..30);
            seen.extend(run(read(&mut third, expected.len() - seen.len())));
            assert_eq!(seen, expected);
        });
    }

    #[test]
    fn a_stream_that_is_dropped_in_the_middle_of_a_step_lets_go_of_the_log() {
        with_log(|log, path| {
            log.writer().unwrap().append(&lines(0..10)).unwrap();
            let (mut events, _stop) = events(&log, Start::Newest);
            drop(log);
            run(async {
                let mut cx = Context::from_waker(Waker::noop());
                assert!(Pin::new(&mut events).poll_next(&mut cx).is_pending());
                drop(events);
            });
            // The runtime has waited for the step, which had the last handle: it closed the log.
            assert_eq!(fs::read(path).unwrap(), lines(0..10));
        });
    }
}
