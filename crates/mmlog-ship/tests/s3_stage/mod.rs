//! Stores of the tests' own: one that is strict (`strict.rs`), and moto's, where it is to be had.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::common::until;

pub(crate) mod strict;

use strict::{Object, Strict};

const BUCKET: &str = "bucket";

/// A store.
pub(crate) enum Server {
    Strict(Strict),
    Moto(Moto),
}

/// moto's: it has all in memory, and checks neither signatures nor sums.
pub(crate) struct Moto {
    port: u16,
    child: Child,
}

/// Those that are to be had: MMLOG_MOTO is the directory where `pip install --target` has put `moto[server]`.
pub(crate) fn servers() -> Vec<Server> {
    let mut servers = vec![Server::Strict(Strict::start())];
    match Moto::start() {
        Some(moto) => servers.push(Server::Moto(moto)),
        None => println!("SKIPPED: moto: python3 has no moto.server here"),
    }
    servers
}

impl Moto {
    fn start() -> Option<Moto> {
        let python = |what: &[&str]| {
            let mut command = Command::new("python3");
            command.args(what).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if let Some(path) = std::env::var_os("MMLOG_MOTO") {
                command.env("PYTHONPATH", path);
            }
            command
        };
        let is_there = python(&["-c", "import moto.server"]).status().is_ok_and(|status| status.success());
        if !is_there {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child =
            python(&["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]).spawn().unwrap();
        let moto = Moto { port, child };
        until("moto answers", || TcpStream::connect(("127.0.0.1", port)).ok());
        assert_eq!(http(port, "PUT", &format!("/{BUCKET}"), &BTreeMap::new(), b"").0, 200);
        Some(moto)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn port(&self) -> u16 {
        match self {
            Server::Strict(strict) => strict.port,
            Server::Moto(moto) => moto.port,
        }
    }

    pub(crate) fn address(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}?endpoint=http://127.0.0.1:{}", self.port())
    }

    /// All objects, by their keys.
    pub(crate) fn objects(&self) -> BTreeMap<String, Object> {
        match self {
            Server::Strict(strict) => strict.state.lock().unwrap().objects.clone(),
            Server::Moto(moto) => {
                let (_, _, list) =
                    http(moto.port, "GET", &format!("/{BUCKET}?list-type=2"), &BTreeMap::new(), b"");
                let list = String::from_utf8(list).unwrap();
                let keys = list.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap());
                keys.map(|key| {
                    let path = format!("/{BUCKET}/{key}");
                    let (_, headers, bytes) = http(moto.port, "GET", &path, &BTreeMap::new(), b"");
                    (key.to_owned(), Object { headers, bytes })
                })
                .collect()
            }
        }
    }

    /// What somebody else puts there.
    pub(crate) fn put(&self, key: &str, object: &Object) {
        match self {
            Server::Strict(strict) => {
                strict.state.lock().unwrap().objects.insert(key.to_owned(), object.clone());
            }
            Server::Moto(moto) => {
                let path = format!("/{BUCKET}/{key}");
                let headers = object.headers.iter().filter(|(name, _)| name.starts_with("x-amz-meta-"));
                let headers = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
                assert_eq!(http(moto.port, "PUT", &path, &headers, &object.bytes).0, 200);
            }
        }
    }

    pub(crate) fn remove(&self, key: &str) {
        match self {
            Server::Strict(strict) => {
                strict.state.lock().unwrap().objects.remove(key);
            }
            Server::Moto(moto) => {
                http(moto.port, "DELETE", &format!("/{BUCKET}/{key}"), &BTreeMap::new(), b"");
            }
        }
    }

    pub(crate) fn wipe(&self) {
        for key in self.objects().keys() {
            self.remove(key);
        }
    }

    /// Nothing was wrong with any request.
    pub(crate) fn is_content(&self) {
        if let Server::Strict(strict) = self {
            assert_eq!(strict.state.lock().unwrap().wrong, Vec::<String>::new());
        }
    }
}

type Answered = (u16, BTreeMap<String, String>, Vec<u8>);

fn http(port: u16, method: &str, path: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> Answered {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // moto wants to know who it is, and believes whatever is said.
    let who =
        "AWS4-HMAC-SHA256 Credential=A/20261130/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let mut text = format!("{method} {path} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\nauthorization: {who}\r\n");
    text.push_str(&format!("content-length: {}\r\n", body.len()));
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let headers = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    (status, headers, answer[end + 4..].to_vec())
}
