//! Requests, and what their answers mean.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use mmlog::crash::crash_point;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Request};
use ureq::{Agent, SendBody};

use super::super::web::{self, Sent, of_http, plain};
use super::address::{Address, Format};
use super::json::{self, Items};
use super::otlp;
use super::records::{Record, Unit};
use crate::trouble::Trouble;

/// The longest request, as servers take it that nobody set up for more.
const MOST: usize = 4 << 20;
/// More is no answer.
const ANSWER: u64 = 16 << 20;

/// A server, as long as its secret is the same.
pub(super) struct Wire {
    address: Arc<Address>,
    secret: Vec<(HeaderName, HeaderValue)>,
    agent: Agent,
    learnt: Arc<Learnt>,
}

/// What a server has taught, for all connections.
#[derive(Debug)]
pub(super) struct Learnt {
    /// The longest request that it takes, as far as that is known.
    most: AtomicUsize,
    /// The last request was cut while it was sent: the next one asks first whether it may come.
    asks_first: AtomicBool,
    /// Grows with what is sent, and with each request that is answered.
    pub(super) progress: AtomicU64,
    /// What it said of records that it took: the first of it, since such words may be others each time.
    pub(super) warning: OnceLock<String>,
}

impl Default for Learnt {
    fn default() -> Self {
        Learnt {
            most: AtomicUsize::new(MOST),
            asks_first: AtomicBool::new(false),
            progress: AtomicU64::new(0),
            warning: OnceLock::new(),
        }
    }
}

/// Why something is not there, and how long to wait.
pub(super) struct Refused {
    pub(super) trouble: Trouble,
    pub(super) rest: Option<Duration>,
    /// It is too much at once.
    is_too_long: bool,
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Refused { trouble, rest: None, is_too_long: false }
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn is(&self, kind: &str) -> bool {
        self.header("content-type").is_some_and(|it| it.trim().to_ascii_lowercase().starts_with(kind))
    }

    /// For people.
    fn said(&self) -> String {
        plain(&format!("{} {}", self.status, String::from_utf8_lossy(&self.body)))
    }
}

impl Wire {
    /// With the secret as it is now.
    pub(super) fn new(address: &Arc<Address>, learnt: &Arc<Learnt>) -> Result<Wire, Trouble> {
        // Who finds half of one tries again.
        let passes = |trouble: Trouble| Trouble::Away(trouble.to_string());
        let agent = web::agent(web::roots(&address.secrets).map_err(passes)?, address.patience.wait);
        let secret = address.secret()?;
        Ok(Wire { address: Arc::clone(address), secret, agent, learnt: Arc::clone(learnt) })
    }

    /// Sends nothing, and hears whether that would be taken.
    pub(super) fn knock(&self) -> Result<(), Trouble> {
        let nothing: &[u8] = if self.address.format == Format::Bulk { b"\n" } else { b"" };
        let answer = self.post(nothing, None)?;
        // Nothing may be too little for who takes logs.
        match answer.status {
            200..300 | 400 => Ok(()),
            _ => Err(self.refused(&answer).trouble),
        }
    }

    /// All of a unit, in as many requests as it takes.
    pub(super) fn deliver(&self, unit: &Unit, is_left: &AtomicBool) -> Result<(), Refused> {
        let records = unit.records();
        let mut rest = &records[..];
        while !rest.is_empty() {
            let most = self.learnt.most.load(Ordering::Relaxed);
            let (body, count) = self.request(rest, most);
            match self.send(&body, rest, count, is_left) {
                Ok(()) => {
                    crash_point("ship:http-taken");
                    rest = &rest[count..];
                }
                Err(refused) if refused.is_too_long && count > 1 => {
                    self.learnt.most.store(body.len() / 2, Ordering::Relaxed);
                }
                Err(refused) => return Err(refused),
            }
        }
        Ok(())
    }

    fn request(&self, records: &[Record<'_>], most: usize) -> (Vec<u8>, usize) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        match self.address.format {
            Format::Otlp => otlp::request(&self.address, records, now, most),
            Format::Lines => json::request(&self.address, records, now, most, false),
            Format::Bulk => json::request(&self.address, records, now, most, true),
        }
    }

    fn send(
        &self,
        body: &[u8],
        records: &[Record<'_>],
        count: usize,
        is_left: &AtomicBool,
    ) -> Result<(), Refused> {
        let answer = self.post(body, Some(is_left));
        // A server that takes no more may say so and cut, which is heard by who waits with what he has.
        self.learnt.asks_first.store(matches!(answer, Err(Trouble::Away(_))), Ordering::Relaxed);
        let answer = answer?;
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(&answer));
        }
        self.taken(&answer, records, count)?;
        self.learnt.progress.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn post(&self, body: &[u8], is_left: Option<&AtomicBool>) -> Result<Answer, Trouble> {
        let kind = match self.address.format {
            Format::Otlp => "application/x-protobuf",
            _ => "application/x-ndjson",
        };
        let mut request =
            Request::builder().method("POST").uri(&self.address.url).header("content-type", kind);
        for (name, value) in &self.secret {
            request = request.header(name, value);
        }
        if self.learnt.asks_first.load(Ordering::Relaxed) {
            request = request.header("expect", "100-continue");
        }
        let packed = if self.address.is_compressed && !body.is_empty() {
            request = request.header("content-encoding", "gzip");
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            let done = packed.write_all(body).and_then(|()| packed.finish());
            Some(done.map_err(|e| Trouble::Failed(format!("cannot compress: {e}")))?)
        } else {
            None
        };
        let bytes = packed.as_deref().unwrap_or(body);
        let mut sent = Sent { bytes, progress: &self.learnt.progress, is_left };
        let request = request.header("content-length", bytes.len()).body(SendBody::from_reader(&mut sent));
        let request = request.map_err(|_| Trouble::Failed("no request".to_owned()))?;
        let wait = Some(self.address.patience.wait);
        let request = self.agent.configure_request(request).timeout_recv_body(wait).build();
        let (parts, body) = self.agent.run(request).map_err(|e| of_http(&e))?.into_parts();
        let mut answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body: Vec::new() };
        let read = body.into_reader().take(ANSWER + 1).read_to_end(&mut answer.body);
        read.map_err(|e| Trouble::Away(format!("its answer was cut: {}", plain(&e.to_string()))))?;
        if answer.body.len() as u64 > ANSWER {
            return Err(Trouble::Decide(format!(
                "its answer is longer than {} MiB: whatever is there takes no logs; ship to another place",
                ANSWER >> 20
            )));
        }
        Ok(answer)
    }

    /// Whether an answer that says that all is well says that of each record.
    fn taken(&self, answer: &Answer, records: &[Record<'_>], count: usize) -> Result<(), Trouble> {
        let is_empty = answer.body.is_empty();
        let strange = |what: &str| {
            let said = answer.said();
            Trouble::Decide(format!(
                "it answers {said:?}, as no {what} does: name the path of one that takes logs"
            ))
        };
        let refused = |what: &str| {
            Trouble::Decide(format!(
                "it refuses {}: nothing is skipped; mend there what it names, then start again",
                plain(what)
            ))
        };
        match self.address.format {
            Format::Otlp if is_empty => Ok(()),
            Format::Otlp => {
                let partial = if answer.is("application/x-protobuf") {
                    otlp::answer(&answer.body)
                } else if answer.is("application/json") {
                    json::partial(&answer.body)
                } else {
                    None
                };
                let partial = partial.ok_or_else(|| strange("receiver of OTLP"))?;
                match partial.rejected {
                    0 if partial.message.is_empty() => Ok(()),
                    0 => {
                        self.learnt.warning.get_or_init(|| plain(&partial.message));
                        Ok(())
                    }
                    some => Err(refused(&format!("{some} of {count} records, {:?}", partial.message))),
                }
            }
            Format::Lines if answer.is("text/html") && !is_empty => Err(strange("door for logs")),
            Format::Lines => Ok(()),
            Format::Bulk => match json::items(&answer.body, count) {
                Items::Taken => Ok(()),
                Items::Busy(said) => {
                    Err(Trouble::Away(format!("it takes not all of it for now: {}", plain(&said))))
                }
                Items::Refused(at, said) => {
                    let id = records.get(at).map(Record::id).unwrap_or_default();
                    Err(refused(&format!("the record {id}, {said}")))
                }
                Items::None => Err(strange("answer to a bulk request")),
            },
        }
    }

    /// What an answer means that says that something is wrong.
    fn refused(&self, answer: &Answer) -> Refused {
        let said = answer.said();
        let away =
            |rest| Refused { trouble: Trouble::Away(format!("it answers {said}")), rest, is_too_long: false };
        match answer.status {
            // Vector's word for a place behind it that is away.
            500 if self.address.format == Format::Lines => away(None),
            429 | 502..=504 => {
                let seconds = answer.header("retry-after").and_then(|rest| rest.trim().parse().ok());
                away(seconds.map(Duration::from_secs))
            }
            401 | 403 => Trouble::Denied(format!(
                "it does not let us in: {said}; who may, --credentials says, which is read again each time"
            ))
            .into(),
            413 => Refused {
                is_too_long: true,
                ..Trouble::Decide(format!(
                    "a line is longer than it takes: {said}; have it take more, or cut lines by a smaller --unit"
                ))
                .into()
            },
            300..=399 => {
                let to = plain(answer.header("location").unwrap_or("nobody knows where"));
                Trouble::Decide(format!("it says that it is elsewhere, at {to}: ship there")).into()
            }
            404 | 405 => {
                Trouble::Decide(format!("nothing takes logs at that path: {said}; name another one")).into()
            }
            _ => Trouble::Decide(format!(
                "it refuses what is sent: {said}; nothing is skipped; mend there what it names, then start again"
            ))
            .into(),
        }
    }
}
