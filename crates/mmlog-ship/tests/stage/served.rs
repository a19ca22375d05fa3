//! A server of the tests' own, in a process that they kill, and what was shipped to it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::stage::copy;

/// A program of PATH, or of where programs of the system are.
pub(crate) fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = places.map(|directory| directory.join(program)).find(|program| program.is_file());
    if found.is_none() {
        println!("SKIPPED: no {program} here");
    }
    found
}

/// A certificate of one's own for 127.0.0.1, and its key; none where nothing makes one.
pub(crate) fn certificate(dir: &Path, name: &str) -> Option<[PathBuf; 2]> {
    found("openssl")?;
    let [certificate, key] = ["pem", "key"].map(|end| dir.join(format!("{name}.{end}")));
    let mut make = Command::new("openssl");
    make.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    make.args(["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]);
    make.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    make.arg("-out").arg(&certificate).arg("-keyout").arg(&key);
    assert!(make.output().unwrap().status.success());
    Some([certificate, key])
}

/// One that was good for a day of years ago, and its key.
pub(crate) fn expired(dir: &Path, name: &str) -> [PathBuf; 2] {
    let dir = dir.join(format!("{name}-made"));
    std::fs::create_dir(&dir).unwrap();
    let text = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n\
        x509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";
    std::fs::write(dir.join("conf"), text).unwrap();
    std::fs::write(dir.join("index"), "").unwrap();
    let openssl = |words: &str| {
        let done = Command::new("openssl").current_dir(&dir).args(words.split(' ')).output().unwrap();
        assert!(done.status.success(), "{words}: {done:?}");
    };
    openssl(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -keyout key -out asked",
    );
    openssl(
        "ca -batch -selfsign -config conf -keyfile key -in asked -startdate 20200101000000Z -enddate 20200102000000Z -notext -out pem",
    );
    ["pem", "key"].map(|name| dir.join(name))
}

/// A port that nobody has.
pub(crate) fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server's process; its store is in a directory of its own.
pub(crate) struct Process {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    command: Command,
    child: Option<Child>,
}

impl Process {
    /// As `command` says, which is told the directory and the port.
    pub(crate) fn start(command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), port());
        std::fs::create_dir(dir.path().join("store")).unwrap();
        let command = command(dir.path(), port);
        let mut process = Process { dir, port, command, child: None };
        process.go_on();
        process
    }

    /// Starts it where it was.
    pub(crate) fn go_on(&mut self) {
        let log = File::create(self.dir.path().join("out")).unwrap();
        let command = self.command.stdin(Stdio::null());
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.go_on();
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn save(&self, to: &Path) {
        copy(&self.store(), to);
    }

    pub(crate) fn put_back(&self, from: &Path) {
        self.wipe();
        copy(from, &self.store());
    }

    pub(crate) fn wipe(&self) {
        std::fs::remove_dir_all(self.store()).unwrap();
        std::fs::create_dir(self.store()).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The bytes of units in their order, the chain checked.
#[derive(Default)]
pub(crate) struct Chain {
    pub(crate) bytes: Vec<u8>,
    /// Whether older ones were removed.
    pub(crate) is_part: bool,
    end: Option<u64>,
    id: String,
}

impl Chain {
    /// The next one, with its fields and bytes.
    pub(crate) fn add(&mut self, at: u64, field: impl Fn(&str) -> String, payload: &[u8]) {
        let number = |name: &str| field(name).parse::<u64>().unwrap();
        let kind = field("mm-kind");
        if kind != "opening" && kind != "begin" {
            let is_first = self.is_part && self.end.is_none();
            assert!(is_first || self.end == Some(number("mm-from")), "message {at}: not at {:?}", self.end);
            let length = if kind == "content" { number("mm-to") - number("mm-from") } else { 0 };
            assert_eq!(length, payload.len() as u64, "message {at}");
        }
        if kind == "begin" {
            self.bytes.clear();
        }
        if kind != "opening" {
            self.end = Some(number("mm-to"));
        }
        let before = if self.id.is_empty() && !self.is_part { "0".repeat(16) } else { self.id.clone() };
        assert!(before.is_empty() || field("mm-after") == before, "the chain is broken at {at}");
        self.id = field("mm-id");
        self.bytes.extend_from_slice(payload);
    }
}
