//! A server of the tests' own that takes logs in all three ways, is strict in what it takes, and fails in every way.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::web::{self, Head, Identity, Stream, head};

mod parsed;

pub(crate) use parsed::Record;

/// How records come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Otlp,
    Lines,
    Bulk,
}

pub(crate) const WAYS: [Way; 3] = [Way::Otlp, Way::Lines, Way::Bulk];

/// How a request is answered that is not answered well.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// With that status, that line of a header, and that body; nothing is done.
    Says(u16, &'static str, &'static str),
    /// Not: the connection is cut before anything is done.
    Refuses,
    /// Not, though it is done.
    Forgets,
    /// In half, though it is done.
    Breaks,
    /// Not as long as the connection is there.
    Hangs,
    /// With half of the items, the others are to come again: the whole, where there are no items.
    Half,
    /// That so many seconds nothing is to come.
    Rest(u64),
    /// With a body without an end.
    Endless,
}

#[derive(Default)]
pub(crate) struct State {
    /// In the order in which they were taken.
    pub(crate) records: Vec<Record>,
    ids: HashSet<String>,
    /// Where they are kept, too.
    file: Option<File>,
    faults: VecDeque<Fault>,
    /// Longer requests are not read.
    most: Option<usize>,
    /// What a request has to have to be let in.
    secret: Option<(&'static str, &'static str)>,
    resting: Option<Instant>,
    pub(crate) wrong: Vec<String>,
    pub(crate) requests: usize,
    pub(crate) compressed: usize,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) state: Arc<Mutex<State>>,
}

struct Request {
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Server::serving(TcpListener::bind("127.0.0.1:0").unwrap(), State::default(), None)
    }

    /// One that is encrypted.
    pub(crate) fn start_as(identity: &[PathBuf; 2]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Server::serving(listener, State::default(), Some(web::identity(identity)))
    }

    /// There, with what the file has.
    pub(crate) fn at(port: u16, file: &Path) -> Self {
        let listener = loop {
            // The one before may have been killed a moment ago.
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                break listener;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let (records, whole) = Record::stored(file);
        // What a kill has torn goes.
        let _ = OpenOptions::new().write(true).open(file).map(|file| file.set_len(whole).unwrap());
        let file = OpenOptions::new().append(true).create(true).open(file).unwrap();
        let ids = records.iter().map(|record| record.id.clone()).collect();
        Server::serving(listener, State { records, ids, file: Some(file), ..State::default() }, None)
    }

    fn serving(listener: TcpListener, state: State, identity: Option<Identity>) -> Self {
        let server =
            Server { port: listener.local_addr().unwrap().port(), state: Arc::new(Mutex::new(state)) };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, stream) = (serving.clone(), web::accepted(stream, identity.as_ref()));
                thread::spawn(move || serving.serve(stream));
            }
        });
        server
    }

    pub(crate) fn address(&self, way: Way) -> String {
        address(self.port, way)
    }

    pub(crate) fn fail(&self, faults: &[Fault]) {
        self.state.lock().unwrap().faults = faults.iter().cloned().collect();
    }

    pub(crate) fn takes(&self, most: usize) {
        self.state.lock().unwrap().most = Some(most);
    }

    pub(crate) fn wants(&self, header: &'static str, value: &'static str) {
        self.state.lock().unwrap().secret = Some((header, value));
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{:?}", state.wrong);
        state.records.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    fn serve(&self, mut stream: Box<dyn Stream>) {
        while let Some(request) = self.read(&mut *stream) {
            let fault = {
                let mut state = self.state.lock().unwrap();
                state.requests += 1;
                state.faults.pop_front()
            };
            let mut answer = match &fault {
                Some(Fault::Refuses) => return,
                Some(Fault::Hangs) => {
                    // Until whoever asked goes away.
                    let _ = stream.read(&mut [0]);
                    return;
                }
                Some(Fault::Says(status, header, body)) => answer(*status, header, body),
                Some(Fault::Rest(seconds)) => {
                    let until = Instant::now() + Duration::from_secs(*seconds);
                    self.state.lock().unwrap().resting = Some(until);
                    answer(429, &format!("Retry-After: {seconds}"), "slowly")
                }
                Some(Fault::Endless) => {
                    let head = "HTTP/1.1 200 X\r\ncontent-type: text/plain\r\n\r\n";
                    let _ = stream.write_all(head.as_bytes());
                    while stream.write_all(&[b'x'; 65536]).is_ok() {}
                    return;
                }
                Some(Fault::Half) => self.taken(&request, true),
                _ => self.taken(&request, false),
            };
            match fault {
                Some(Fault::Forgets) => return,
                Some(Fault::Breaks) => answer.truncate(answer.len() / 2),
                _ => {}
            }
            if stream.write_all(&answer).is_err() || matches!(fault, Some(Fault::Breaks)) {
                return;
            }
        }
    }

    fn taken(&self, request: &Request, is_half: bool) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        if state.resting.is_some_and(|until| Instant::now() < until) {
            state.wrong.push("it does not rest".to_owned());
        }
        if let Some((name, value)) = state.secret
            && request.headers.get(name).map(String::as_str) != Some(value)
        {
            return answer(401, "x: y", "who is there?");
        }
        state.compressed += usize::from(request.headers.contains_key("content-encoding"));
        let path = request.target.split('?').next().unwrap();
        let way = match path {
            "/v1/logs" => Way::Otlp,
            "/lines" => Way::Lines,
            "/index/_bulk" => Way::Bulk,
            _ => return answer(404, "x: y", "nothing here"),
        };
        let kind = if way == Way::Otlp { "application/x-protobuf" } else { "application/x-ndjson" };
        if request.headers.get("content-type").map(String::as_str) != Some(kind) {
            state.wrong.push(format!("{:?}", request.headers));
        }
        if way != Way::Otlp && request.body.trim_ascii().is_empty() {
            return answer(400, "x: y", "a body is required");
        }
        let records = match way {
            Way::Otlp => parsed::otlp(&request.body),
            _ => parsed::lines(&request.body, way == Way::Bulk),
        };
        match way {
            _ if is_half && way != Way::Bulk => answer(503, "x: y", "busy"),
            Way::Otlp => {
                state.store(&records);
                answer(200, "content-type: application/x-protobuf", "")
            }
            Way::Lines => {
                state.store(&records);
                answer(204, "x: y", "")
            }
            Way::Bulk => state.items(&records, is_half),
        }
    }

    /// The next request, where it is not too long.
    fn read(&self, stream: &mut dyn Stream) -> Option<Request> {
        let Head { method, target, headers } = head(stream)?;
        assert_eq!(method, "POST");
        let len: usize = headers["content-length"].parse().unwrap();
        if self.state.lock().unwrap().most.is_some_and(|most| len > most) {
            // It says so, and reads nothing of it.
            let _ = stream.write_all(&answer(413, "connection: close", "too long"));
            return None;
        }
        if headers.contains_key("expect") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        let mut body = vec![0; len];
        stream.read_exact(&mut body).ok()?;
        if headers.contains_key("content-encoding") {
            let packed = std::mem::take(&mut body);
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut body).unwrap();
        }
        Some(Request { target, headers, body })
    }
}

impl State {
    fn store(&mut self, records: &[Record]) {
        for record in records {
            if let Some(file) = &mut self.file {
                file.write_all(record.line().as_bytes()).unwrap();
            }
            self.ids.insert(record.id.clone());
            self.records.push(record.clone());
        }
    }

    /// An id is taken once.
    fn items(&mut self, records: &[Record], is_half: bool) -> Vec<u8> {
        let mut items = Vec::new();
        for (number, record) in records.iter().enumerate() {
            let status = if self.ids.contains(&record.id) {
                409
            } else if is_half && number >= records.len() / 2 {
                429
            } else {
                self.store(std::slice::from_ref(record));
                201
            };
            let error = if status == 201 { "" } else { ",\"error\":{\"type\":\"as told\"}" };
            items.push(format!("{{\"create\":{{\"_id\":\"{}\",\"status\":{status}{error}}}}}", record.id));
        }
        let body = format!("{{\"took\":1,\"errors\":true,\"items\":[{}]}}", items.join(","));
        answer(200, "content-type: application/json; charset=UTF-8", &body)
    }
}

pub(crate) fn address(port: u16, way: Way) -> String {
    match way {
        Way::Otlp => format!("otlp+http://127.0.0.1:{port}"),
        Way::Lines => format!("http://127.0.0.1:{port}/lines?format=ndjson&theirs=1"),
        Way::Bulk => format!("http://127.0.0.1:{port}/index/_bulk?format=bulk"),
    }
}

fn answer(status: u16, header: &str, body: &str) -> Vec<u8> {
    let len = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("HTTP/1.1 {status} X\r\n{header}\r\n{len}\r\n{body}").into_bytes()
}
