//! A client that knows which of its requests were answered, and how the access line of each looks.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const THREADS: u64 = 3;
/// How long an answer may take. That is no claim: it only ends what would go on for ever.
const LIMIT: Duration = Duration::from_secs(60);
const AGENT: &str = "servers.rs";

/// What was sent, and what of it was answered.
pub(crate) struct Requests {
    port: u16,
    sent: Mutex<BTreeSet<u64>>,
    answered: Mutex<BTreeSet<u64>>,
}

/// One connection, as long as the server keeps it.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn ask(&mut self, path: &str) -> io::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {AGENT}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())
    }

    /// The head of the answer: how long its body is.
    fn head(&mut self) -> io::Result<u64> {
        let (mut length, mut line) = (None, String::new());
        while self.0.read_line(&mut line)? > 0 && line != "\r\n" {
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
            line.clear();
        }
        length.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn body(&mut self, length: u64) -> io::Result<()> {
        let read = io::copy(&mut (&mut self.0).take(length), &mut io::sink())?;
        if read == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// An answer that has begun and is not read to its end.
pub(crate) struct Slow<'a> {
    requests: &'a Requests,
    connection: Connection,
    number: u64,
    length: u64,
}

impl Slow<'_> {
    pub(crate) fn finish(mut self) {
        self.connection.body(self.length).unwrap();
        self.requests.was_answered(self.number);
    }
}

/// What a request of that number asks for: lines of all lengths, some longer than what the kernel writes to a pipe in one piece would
/// be if there were several of them.
fn path(page: &str, number: u64) -> String {
    let pad = usize::try_from(number * 7919 % 1500).unwrap();
    format!("{page}?{number}.{}", "x".repeat(pad))
}

impl Requests {
    /// With one request that is answered; nothing where it is not.
    pub(crate) fn begin(port: u16) -> Option<Self> {
        let this = Self { port, sent: Mutex::default(), answered: Mutex::default() };
        this.one(&mut None).then_some(this)
    }

    fn next(&self) -> u64 {
        let mut sent = self.sent.lock().unwrap();
        let number = sent.len() as u64;
        sent.insert(number);
        number
    }

    fn was_answered(&self, number: u64) {
        self.answered.lock().unwrap().insert(number);
    }

    pub(crate) fn answered(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    /// One request, on this connection or a new one; whether it was answered.
    fn one(&self, connection: &mut Option<Connection>) -> bool {
        let Some(mut open) = connection.take().or_else(|| Connection::open(self.port).ok()) else {
            return false;
        };
        let number = self.next();
        let answer = open.ask(&path("/index.html", number)).and_then(|()| open.head());
        let answered = answer.and_then(|length| open.body(length)).is_ok();
        if answered {
            self.was_answered(number);
            *connection = Some(open);
        }
        answered
    }

    /// One request of its own.
    pub(crate) fn ask(&self) {
        assert!(self.one(&mut None));
    }

    /// A download that waits for its reader.
    pub(crate) fn slow(&self) -> Slow<'_> {
        let mut connection = Connection::open(self.port).unwrap();
        let number = self.next();
        connection.ask(&path("/large", number)).unwrap();
        let length = connection.head().unwrap();
        Slow { requests: self, connection, number, length }
    }

    /// Sends requests all the while, on connections that stay and on new ones.
    pub(crate) fn during<T>(&self, does: impl FnOnce() -> T) -> T {
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let over = Over(&over);
            for thread in 0..THREADS {
                let over = over.0;
                scope.spawn(move || {
                    let mut connection = None;
                    while !over.load(Ordering::Acquire) {
                        let _ = self.one(&mut connection);
                        if thread == 0 {
                            connection = None;
                        }
                    }
                });
            }
            let done = does();
            drop(over);
            done
        })
    }

    /// Waits until so many more were answered.
    pub(crate) fn until_answered(&self, more: usize) {
        let wanted = self.answered() + more;
        crate::cli::wait_for("answers", || (self.answered() >= wanted).then_some(()));
    }

    /// Each answered request is there once, and each line is a whole one of a request.
    #[track_caller]
    pub(crate) fn are_all_in(&self, stored: &str) {
        assert!(stored.ends_with('\n'));
        let mut found = BTreeSet::new();
        for line in stored.lines() {
            let number = number_of(line).unwrap_or_else(|| panic!("no whole access line: {line:?}"));
            assert!(found.insert(number), "twice: {line:?}");
        }
        let (sent, answered) = (self.sent.lock().unwrap(), self.answered.lock().unwrap());
        let lost: Vec<_> = answered.difference(&found).collect();
        assert!(lost.is_empty(), "lost {} of {}: {lost:?}", lost.len(), answered.len());
        assert!(found.is_subset(&sent), "lines of requests that nobody sent");
    }
}

/// `127.0.0.1 - - [TIME] "GET PATH HTTP/1.1" 200 BYTES "-" "AGENT"`
fn number_of(line: &str) -> Option<u64> {
    let parts: Vec<&str> = line.split('"').collect();
    let [before, request, status, "-", " ", AGENT, ""] = parts[..] else { return None };
    let bytes = status.strip_prefix(" 200 ")?.strip_suffix(' ')?;
    let time = before.strip_prefix("127.0.0.1 - - [")?.strip_suffix("] ")?;
    let asked = request.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
    let (page, query) = asked.split_once('?')?;
    let number = query.split_once('.')?.0.parse().ok()?;
    let whole = bytes.parse::<u64>().is_ok() && time.len() == 26 && path(page, number) == asked;
    whole.then_some(number)
}
