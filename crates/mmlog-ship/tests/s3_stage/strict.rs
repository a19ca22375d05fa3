//! A store of the tests' own, which is strict and fails in every way: it wants what has to be signed signed, compares sums, lists two keys at
//! a time, and answers as it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::common::Random;
use crate::web::{self, Head, Identity, Stream, head};

/// How a request is answered that is not answered well.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// With that status, and the code in its body; nothing is done.
    Says(u16, &'static str),
    /// From another region.
    Elsewhere(&'static str),
    /// Not: the connection is cut before anything is done.
    Refuses,
    /// Not, though it is done.
    Forgets,
    /// In half.
    Breaks,
    /// Not as long as the connection is there.
    Hangs,
    /// That it is done, and in its body that it is not.
    Lies,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Upload {
    key: String,
    object: Object,
    parts: BTreeMap<u32, Vec<u8>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
    faults: VecDeque<Fault>,
    /// One of so many requests fails, somehow.
    random: Option<(Random, u64)>,
    /// Of the last request.
    pub(crate) token: Option<String>,
    /// What was wrong with a request.
    pub(crate) wrong: Vec<String>,
    pub(crate) writes: u64,
    /// The longest body of a request.
    pub(crate) longest: usize,
    has_no_bucket: bool,
}

#[derive(Clone)]
pub(crate) struct Strict {
    pub(crate) port: u16,
    pub(crate) state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

impl Strict {
    pub(crate) fn start() -> Self {
        Strict::serving(None)
    }

    /// One that is encrypted.
    pub(crate) fn start_as(identity: &[PathBuf; 2]) -> Self {
        Strict::serving(Some(web::identity(identity)))
    }

    fn serving(identity: Option<Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let strict = Strict { port, state: Arc::default() };
        let serving = strict.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, stream) = (serving.clone(), web::accepted(stream, identity.as_ref()));
                thread::spawn(move || serving.serve(stream));
            }
        });
        strict
    }

    pub(crate) fn fail(&self, faults: &[Fault]) {
        self.state.lock().unwrap().faults = faults.iter().cloned().collect();
    }

    pub(crate) fn fail_at_random(&self, random: Option<(Random, u64)>) {
        self.state.lock().unwrap().random = random;
    }

    pub(crate) fn remove_bucket(&self) {
        *self.state.lock().unwrap() = State { has_no_bucket: true, ..State::default() };
    }

    /// As if so many uploads of that key had been begun, and left.
    pub(crate) fn leave_uploads(&self, key: &str, count: u64) {
        let mut state = self.state.lock().unwrap();
        for n in 0..count {
            let upload = Upload { key: key.to_owned(), ..Upload::default() };
            state.uploads.insert(format!("{key}&{n}"), upload);
        }
    }

    pub(crate) fn uploads(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    fn serve(&self, mut stream: Box<dyn Stream>) {
        while let Some(request) = read(&mut *stream) {
            let fault = self.fault();
            let (status, headers, body) = match &fault {
                Some(Fault::Refuses) => return,
                Some(Fault::Hangs) => {
                    // Until whoever asked goes away.
                    let _ = stream.read(&mut [0]);
                    return;
                }
                Some(Fault::Says(status, code)) => (*status, vec![], error(code)),
                Some(Fault::Elsewhere(region)) => {
                    let headers = vec![("x-amz-bucket-region".to_owned(), (*region).to_owned())];
                    (301, headers, error("PermanentRedirect"))
                }
                Some(Fault::Lies) if request.method == "POST" => (200, vec![], error("InternalError")),
                _ => self.answer(&request),
            };
            if matches!(fault, Some(Fault::Forgets)) {
                return;
            }
            let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            text.push_str("\r\n");
            let mut bytes = text.into_bytes();
            if request.method != "HEAD" {
                bytes.extend_from_slice(&body);
            }
            if matches!(fault, Some(Fault::Breaks)) {
                let _ = stream.write_all(&bytes[..bytes.len() / 2]);
                return;
            }
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    }

    fn fault(&self) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        if let Some(fault) = state.faults.pop_front() {
            return Some(fault);
        }
        let (random, often) = state.random.as_mut()?;
        if random.below(*often) > 0 {
            return None;
        }
        Some(match random.below(7) {
            0 => Fault::Says(503, "SlowDown"),
            1 => Fault::Says(500, "InternalError"),
            2 => Fault::Says(409, "ConditionalRequestConflict"),
            3 => Fault::Refuses,
            4 => Fault::Breaks,
            5 => Fault::Lies,
            _ => Fault::Forgets,
        })
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut state = self.state.lock().unwrap();
        if let Some(wrong) = wrong(request) {
            state.wrong.push(format!("{} {}: {wrong}", request.method, request.key));
            return (400, vec![], error("InvalidRequest"));
        }
        if state.has_no_bucket {
            return (404, vec![], error("NoSuchBucket"));
        }
        state.token = request.query.get("X-Amz-Security-Token").cloned();
        state.longest = state.longest.max(request.body.len());
        state.writes += u64::from(!matches!(&request.method[..], "GET" | "HEAD"));
        let id = request.query.get("uploadId").cloned();
        match (&request.method[..], id) {
            ("GET", _) if request.query.contains_key("uploads") => state.list_uploads(request),
            ("GET", _) if request.key.is_empty() => state.list(request),
            ("GET" | "HEAD", _) => match state.objects.get(&request.key) {
                None => (404, vec![], error("NoSuchKey")),
                Some(object) => (200, object.headers.clone().into_iter().collect(), object.bytes.clone()),
            },
            ("PUT", None) => state.store(&request.key, request, Object::of(request, request.body.clone())),
            ("PUT", Some(id)) => {
                let number = request.query["partNumber"].parse().unwrap();
                let Some(upload) = state.uploads.get_mut(&id) else {
                    return (404, vec![], error("NoSuchUpload"));
                };
                upload.parts.insert(number, request.body.clone());
                (200, vec![("etag".to_owned(), format!("\"{number}\""))], vec![])
            }
            ("POST", None) => {
                let id = format!("id&{}", state.writes);
                let (key, object) = (request.key.clone(), Object::of(request, vec![]));
                state.uploads.insert(id.clone(), Upload { key, object, parts: BTreeMap::new() });
                let id = id.replace('&', "&amp;");
                (200, vec![], format!("<R><UploadId>{id}</UploadId></R>").into_bytes())
            }
            ("POST", Some(id)) => state.complete(&id, request),
            ("DELETE", Some(id)) => {
                state.uploads.remove(&id);
                (204, vec![], vec![])
            }
            _ => (405, vec![], error("MethodNotAllowed")),
        }
    }
}

impl Object {
    fn of(request: &Request, bytes: Vec<u8>) -> Object {
        let headers = request.headers.iter().filter(|(name, _)| name.starts_with("x-amz-meta-"));
        Object { headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(), bytes }
    }
}

impl State {
    fn store(&mut self, key: &str, request: &Request, object: Object) -> Answer {
        if request.headers.get("if-none-match").map(String::as_str) != Some("*") {
            self.wrong.push(format!("{key}: it could take the place of another"));
        }
        if self.objects.contains_key(key) {
            return (412, vec![], error("PreconditionFailed"));
        }
        self.objects.insert(key.to_owned(), object);
        (200, vec![("etag".to_owned(), "\"1\"".to_owned())], b"<R/>".to_vec())
    }

    fn complete(&mut self, id: &str, request: &Request) -> Answer {
        let Some(upload) = self.uploads.get(id) else { return (404, vec![], error("NoSuchUpload")) };
        let (key, mut object) = (upload.key.clone(), upload.object.clone());
        for (number, bytes) in &upload.parts {
            let sum = format!("<ChecksumSHA256>{}</ChecksumSHA256>", base64(&Sha256::digest(bytes)));
            if !String::from_utf8_lossy(&request.body).contains(&sum) {
                self.wrong.push(format!("{key}: part {number} is not said, or has another sum"));
            }
            if bytes.len() < 5 << 20 && *number as usize != upload.parts.len() {
                self.wrong.push(format!("{key}: part {number} is too small"));
            }
            object.bytes.extend_from_slice(bytes);
        }
        let answer = self.store(&key, request, object);
        if answer.0 == 200 {
            self.uploads.remove(id);
        }
        answer
    }

    /// One at a time.
    fn list_uploads(&self, request: &Request) -> Answer {
        let of = |name: &str| request.query.get(name).cloned().unwrap_or_default();
        let (prefix, behind) = (of("prefix"), (of("key-marker"), of("upload-id-marker")));
        let mut found: Vec<_> =
            self.uploads.iter().map(|(id, upload)| (upload.key.clone(), id.clone())).collect();
        found.retain(|(key, id)| key.starts_with(&prefix) && (key, id) > (&behind.0, &behind.1));
        found.sort();
        let is_cut = found.len() > 1;
        let said = found.first().map_or_else(String::new, |(key, id)| {
            let id = id.replace('&', "&amp;");
            format!("<NextKeyMarker>{key}</NextKeyMarker><NextUploadIdMarker>{id}</NextUploadIdMarker><Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>")
        });
        (200, vec![], format!("<R><IsTruncated>{is_cut}</IsTruncated>{said}</R>").into_bytes())
    }

    /// Two at a time.
    fn list(&self, request: &Request) -> Answer {
        let of = |name: &str| request.query.get(name).cloned().unwrap_or_default();
        let (prefix, behind, is_flat) = (of("prefix"), of("start-after"), of("delimiter").is_empty());
        let mut found: Vec<(String, bool)> = Vec::new();
        for key in self.objects.keys().filter(|key| key.starts_with(&prefix)) {
            let entry = match key[prefix.len()..].find('/').filter(|_| !is_flat) {
                Some(at) => (key[..prefix.len() + at + 1].to_owned(), true),
                None => (key.clone(), false),
            };
            if entry.0 > behind && found.last() != Some(&entry) {
                found.push(entry);
            }
        }
        let is_cut = found.len() > 2;
        found.truncate(2);
        let found: String = found
            .iter()
            .map(|(key, is_prefix)| match is_prefix {
                true => format!("<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"),
                false => format!("<Contents><Key>{key}</Key></Contents>"),
            })
            .collect();
        let token = if is_cut { "<NextContinuationToken>t</NextContinuationToken>" } else { "" };
        let text = format!(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>{is_cut}</IsTruncated>{token}{found}</ListBucketResult>"
        );
        (200, vec![], text.into_bytes())
    }
}

/// What is not signed that has to be, or has another sum than it says.
fn wrong(request: &Request) -> Option<String> {
    if !request.query.contains_key("X-Amz-Signature") {
        return Some("it is not signed".to_owned());
    }
    let signed: Vec<&str> = request.query["X-Amz-SignedHeaders"].split(';').collect();
    let has_to_be = |name: &str| name.starts_with("x-amz-") || name == "if-none-match" || name == "host";
    if let Some(name) = request.headers.keys().find(|name| has_to_be(name) && !signed.contains(&&name[..])) {
        return Some(format!("{name} is not signed"));
    }
    if let Some(name) = signed.iter().find(|name| !request.headers.contains_key(**name)) {
        return Some(format!("{name} is signed, and is not there"));
    }
    if request.method == "PUT" {
        let sum = base64(&Sha256::digest(&request.body));
        if request.headers.get("x-amz-checksum-sha256") != Some(&sum) {
            return Some("its sum is another".to_owned());
        }
    }
    None
}

fn error(code: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>as told</Message></Error>")
        .into_bytes()
}

fn read(stream: &mut dyn Stream) -> Option<Request> {
    let Head { method, target, headers } = head(stream)?;
    let mut body = vec![0; headers.get("content-length").map_or(0, |len| len.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key).to_owned();
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (decoded(name), decoded(value)));
    Some(Request { method, key, query: query.split('&').filter_map(pair).collect(), headers, body })
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(&behind[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &behind[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = behind;
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let digit = |six: &[u8]| (0..6).fold(0, |all, at| all << 1 | six.get(at).copied().unwrap_or(0) as usize);
    let mut text: String = bits.chunks(6).map(|six| char::from(DIGITS[digit(six)])).collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}
