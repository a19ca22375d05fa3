//! Requests, each signed, and what was answered: as it is, or as what it means for whoever asked.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusty_s3::actions::{ListObjectsV2, S3Action};
use rusty_s3::{Credentials, Method};
use ureq::http::{HeaderMap, Request};
use ureq::{Agent, Body, SendBody};

use super::super::web::{self, Sent, of_http, plain};
use super::location::Location;
use crate::trouble::Trouble;

/// A signature is good for so long.
const SIGNED: Duration = Duration::from_secs(900);
/// More is no answer.
const ANSWER: u64 = 16 << 20;

/// A bucket, as long as its secret is the same.
pub(super) struct Wire {
    pub(super) location: Location,
    pub(super) credentials: Credentials,
    agent: Agent,
    /// Grows with what is sent and what is answered.
    pub(super) progress: Arc<AtomicU64>,
}

/// What was answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What went wrong, by the store's own word, also where that says that all is well and then does not.
    pub(super) fn code(&self) -> Option<&str> {
        text(text(&self.body, "Error").unwrap_or_default(), "Code")
    }

    pub(super) fn is_done(&self) -> bool {
        self.status / 100 == 2 && self.code().is_none()
    }

    /// There is such an object.
    pub(super) fn is_taken(&self) -> bool {
        self.status == 412 || self.code() == Some("PreconditionFailed")
    }

    /// Somebody else is at it.
    pub(super) fn is_contested(&self) -> bool {
        self.status == 409 || self.code() == Some("ConditionalRequestConflict")
    }
}

impl Wire {
    /// With the secret as it is now.
    pub(super) fn new(location: &Location, progress: &Arc<AtomicU64>) -> Result<Wire, Trouble> {
        // Who finds half of one tries again.
        let passes = |trouble: Trouble| Trouble::Away(trouble.to_string());
        let credentials = location.secret()?;
        let agent = web::agent(location.roots().map_err(passes)?, location.patience.wait);
        let progress = Arc::clone(progress);
        Ok(Wire { location: location.clone(), credentials, agent, progress })
    }

    /// Asks, with headers that are signed, too, and has the answer without its body.
    pub(super) fn open<'a, A: S3Action<'a>>(
        &self,
        mut action: A,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<(u16, HeaderMap, Body), Trouble> {
        for (name, value) in headers {
            action.headers_mut().insert(name.clone(), value.clone());
        }
        let url = action.sign(SIGNED);
        let mut request = Request::builder().method(A::METHOD.to_str()).uri(url.as_str());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let unmade = |_| Trouble::Failed("no request".to_owned());
        let answer = if matches!(A::METHOD, Method::Put | Method::Post) {
            let mut sent = Sent { bytes: body, progress: &self.progress, is_left: None };
            let request = request.header("content-length", body.len());
            self.agent.run(request.body(SendBody::from_reader(&mut sent)).map_err(unmade)?)
        } else {
            self.agent.run(request.body(SendBody::none()).map_err(unmade)?)
        };
        let answer = answer.map_err(|e| of_http(&e))?;
        self.progress.fetch_add(1, Ordering::Relaxed);
        let (parts, body) = answer.into_parts();
        Ok((parts.status.as_u16(), parts.headers, body))
    }

    /// The same, with its body as text.
    pub(super) fn ask<'a, A: S3Action<'a>>(
        &self,
        action: A,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<Answer, Trouble> {
        let (status, headers, body) = self.open(action, headers, body)?;
        let mut bytes = Vec::new();
        let mut reader = body.into_reader().take(ANSWER);
        let mut slice = [0; 8192];
        loop {
            match reader.read(&mut slice) {
                Ok(0) => break,
                Ok(got) => {
                    bytes.extend_from_slice(&slice[..got]);
                    self.progress.fetch_add(1, Ordering::Relaxed);
                }
                Err(e) => return Err(Trouble::Away(format!("the answer was cut: {e}"))),
            }
        }
        Ok(Answer { status, headers, body: String::from_utf8_lossy(&bytes).into_owned() })
    }

    /// A page of keys behind that one, and whether there are more.
    pub(super) fn page(&self, prefix: &str, behind: &str, is_flat: bool) -> Result<Page, Trouble> {
        let mut list = ListObjectsV2::new(&self.location.bucket, Some(&self.credentials));
        list.with_prefix(prefix);
        if !behind.is_empty() {
            list.with_start_after(behind);
        }
        if !is_flat {
            list.with_delimiter("/");
        }
        let answer = self.ask(list, &[], &[])?;
        if !answer.is_done() {
            return Err(self.refused("list what it has", &answer));
        }
        let parsed = ListObjectsV2::parse_response(&answer.body);
        let parsed = parsed.map_err(|_| Trouble::Away("its list of objects cannot be read".to_owned()))?;
        Ok(Page {
            keys: parsed.contents.into_iter().map(|object| object.key).collect(),
            logs: parsed.common_prefixes.into_iter().map(|common| common.prefix).collect(),
            has_more: parsed.next_continuation_token.is_some(),
        })
    }

    /// What an answer means that is no good one.
    pub(super) fn refused(&self, doing: &str, answer: &Answer) -> Trouble {
        let bucket = self.location.bucket();
        let code = answer.code().unwrap_or_default();
        let message = text(&answer.body, "Message").unwrap_or_default();
        let said = plain(&format!("{} {code} {message}", answer.status));
        let region = answer.header("x-amz-bucket-region").or_else(|| text(&answer.body, "Region"));
        let elsewhere = region.filter(|region| *region != self.location.bucket.region());
        match (answer.status, code) {
            (300..=400, _) if elsewhere.is_some() => Trouble::Decide(format!(
                "the bucket {bucket} is in another region: ship to s3://...?region={}",
                plain(elsewhere.unwrap_or_default())
            )),
            (300..400, _) => Trouble::Away(format!("it says that the bucket is elsewhere: {said}")),
            (404, "NoSuchBucket") => {
                Trouble::Decide(format!("there is no bucket {bucket}: make it, or name another one"))
            }
            (501, _) => Trouble::Decide(format!(
                "the store cannot {doing}: {said}; it has to know If-None-Match; ship to another one"
            )),
            (403, "RequestTimeTooSkewed") => Trouble::Denied(format!(
                "this host and the store have other clocks, and it does not let us {doing}: {said}"
            )),
            (401 | 403, _) => Trouble::Denied(format!(
                "it does not let us {doing}: {said}; who may, --credentials says, which is read again each time"
            )),
            _ => Trouble::Away(format!("cannot {doing}: {said}")),
        }
    }
}

/// Keys of a list.
pub(super) struct Page {
    pub(super) keys: Vec<String>,
    /// What keys begin with up to the next `/`, where those were asked for.
    pub(super) logs: Vec<String>,
    pub(super) has_more: bool,
}

/// What is in the first element of that name.
pub(super) fn text<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let begin = xml.find(&format!("<{name}>")).map(|at| at + name.len() + 2)?;
    let end = xml[begin..].find(&format!("</{name}>"))?;
    Some(&xml[begin..begin + end])
}
