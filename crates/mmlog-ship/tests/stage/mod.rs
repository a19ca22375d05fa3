//! A log, a directory to ship to, and a reader of such directories that knows nothing of the crate's own.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use mmlog::{Log, Options, Rotation};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A log and a sink in a directory of their own.
pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) log: PathBuf,
    pub(crate) sink: PathBuf,
}

pub(crate) fn options() -> Options {
    Log::options().chunk_size(64 << 10).max_writers(16)
}

impl Stage {
    pub(crate) fn new() -> Self {
        Stage::at(tempfile::tempdir().unwrap())
    }

    pub(crate) fn at(dir: tempfile::TempDir) -> Self {
        let (log, sink) = (dir.path().join("app.log"), dir.path().join("sink"));
        Stage { dir, log, sink }
    }

    pub(crate) fn append(&self, bytes: &[u8]) {
        let log = options().open_or_create(&self.log).unwrap();
        log.writer().unwrap().append(bytes).unwrap();
        log.close().unwrap();
    }

    /// Lines of that number, so many; what they are.
    pub(crate) fn lines(&self, from: u64, to: u64) -> Vec<u8> {
        let log = options().open_or_create(&self.log).unwrap();
        let mut writer = log.writer().unwrap();
        let mut all = Vec::new();
        for number in from..to {
            let line = format!("line {number} of some length\n");
            writer.append(line.as_bytes()).unwrap();
            all.extend_from_slice(line.as_bytes());
        }
        all
    }

    pub(crate) fn rotate(&self) -> PathBuf {
        let log = options().open(&self.log).unwrap();
        log.rotate(&Rotation::default()).unwrap().unwrap().path
    }

    pub(crate) fn open(&self) -> Log {
        options().open(&self.log).unwrap()
    }

    pub(crate) fn to(&self) -> String {
        format!("file:{}", self.sink.display())
    }

    pub(crate) fn command(&self, more: &[&str]) -> Command {
        self.shipping(&self.to(), more)
    }

    /// Ships to that address.
    pub(crate) fn shipping(&self, to: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
        command.arg("ship").arg(&self.log).arg("--to").arg(to).args(more);
        command
    }

    /// Ships what there is to that address.
    pub(crate) fn shipped_to(&self, to: &str, more: &[&str]) -> Ended {
        Ended::of(&self.shipping(to, more).arg("--until-now").output().unwrap())
    }

    /// Receives from that address, into a directory of that name.
    pub(crate) fn receiving(&self, from: &str, into: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
        command.args(["receive", from, "--into"]).arg(self.dir.path().join(into)).args(more);
        command.stderr(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// The one log in that directory.
    pub(crate) fn received(&self, into: &str) -> Vec<u8> {
        self.received_yet(into).unwrap()
    }

    /// The same, where a receiver that was begun may not have made it yet.
    pub(crate) fn received_yet(&self, into: &str) -> Option<Vec<u8>> {
        let files = fs::read_dir(self.dir.path().join(into)).ok()?.map(|entry| entry.unwrap().path());
        let logs: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
        assert!(logs.len() < 2, "{logs:?}");
        Some(fs::read(logs.first()?).unwrap())
    }

    /// Ships what there is.
    pub(crate) fn ship(&self, more: &[&str]) -> Ended {
        Ended::of(&self.command(more).arg("--until-now").output().unwrap())
    }

    pub(crate) fn start(&self, more: &[&str]) -> Shipper {
        Shipper(Some(self.command(more).stderr(Stdio::piped()).spawn().unwrap()))
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.checkpoint_of("file-sink")
    }

    /// That of the shipper of that name.
    pub(crate) fn checkpoint_of(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("app.log.mmlog-ship-{name}"))
    }

    /// A field of the checkpoint.
    pub(crate) fn written(&self, name: &str) -> u64 {
        let text = fs::read_to_string(self.checkpoint()).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
        value.parse().unwrap()
    }

    /// All bytes in the sink's units, the chain checked.
    pub(crate) fn shipped(&self) -> Vec<u8> {
        units(&self.sink).into_iter().flat_map(|unit| unit.payload).collect()
    }
}

/// What an actor says until it is ended, or says that it has.
pub(crate) fn said_to_the_end(mut actor: crate::common::Actor) -> Vec<String> {
    let mut said = Vec::new();
    loop {
        match actor.hear() {
            line if line.is_empty() || line == "ended" => return said,
            line => said.push(line),
        }
    }
}

/// How a shipper ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) said: String,
    pub(crate) printed: String,
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        Ended {
            code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap()),
            said: String::from_utf8(output.stderr.clone()).unwrap(),
            printed: String::from_utf8(output.stdout.clone()).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn is(self, code: i32, says: &str) -> Self {
        assert!(self.code == code && self.said.contains(says), "not {code}, {says:?}: {self:?}");
        self
    }
}

/// One that follows; a test that fails leaves none behind.
pub(crate) struct Shipper(Option<Child>);

impl Shipper {
    pub(crate) fn of(command: &mut Command) -> Self {
        Shipper(Some(command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub(crate) fn kill(self) {}

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self) {
        kill(Pid::from_raw(self.pid().cast_signed()), Signal::SIGTERM).unwrap();
    }

    pub(crate) fn end(self) -> Ended {
        self.signal();
        self.wait()
    }

    pub(crate) fn wait(mut self) -> Ended {
        Ended::of(&self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A unit as its fields say.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) coordinate: u64,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
}

impl Unit {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.field(name).parse().unwrap()
    }
}

pub(crate) fn unit_files(sink: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(sink).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("units-"));
    files.sort();
    files
}

fn first_of(file: &Path) -> u64 {
    file.file_name().unwrap().to_str().unwrap()["units-".len()..].parse().unwrap()
}

/// All units that count, in order: their coordinates, chain and lengths are checked.
pub(crate) fn units(sink: &Path) -> Vec<Unit> {
    let files = unit_files(sink);
    let mut found: Vec<Unit> = Vec::new();
    for (i, file) in files.iter().enumerate() {
        let end = files.get(i + 1).map_or(u64::MAX, |next| first_of(next));
        let bytes = fs::read(file).unwrap();
        let mut rest = &bytes[..];
        let mut next = first_of(file);
        while let Some((unit, behind)) = unit(rest).filter(|(unit, _)| unit.coordinate == next && next < end)
        {
            check(&unit, found.last());
            found.push(unit);
            (rest, next) = (behind, next + 1);
        }
        assert!(end == u64::MAX || next == end, "{}: units are missing", file.display());
    }
    found
}

fn unit(bytes: &[u8]) -> Option<(Unit, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    let words: Vec<&str> = line.split(' ').collect();
    let ["unit", coordinate, fields, payload] = words[..] else { return None };
    let (fields, payload) = (fields.parse::<usize>().ok()?, payload.parse::<usize>().ok()?);
    let bytes = bytes.get(end + 1..)?;
    let text = std::str::from_utf8(bytes.get(..fields)?).ok()?;
    let pair = |line: &str| line.split_once(": ").map(|(key, value)| (key.to_owned(), value.to_owned()));
    let unit = Unit {
        coordinate: coordinate.parse().ok()?,
        fields: text.lines().filter_map(pair).collect(),
        payload: bytes.get(fields..fields + payload)?.to_vec(),
    };
    bytes.get(fields + payload).filter(|byte| **byte == b'\n')?;
    Some((unit, &bytes[fields + payload + 1..]))
}

fn check(unit: &Unit, before: Option<&Unit>) {
    let (from, to) = (unit.number("mm-from"), unit.number("mm-to"));
    if unit.field("mm-kind") == "content" {
        assert_eq!(unit.payload.len() as u64, to - from, "{unit:?}");
    }
    assert_eq!(
        mmlog_ship::sum::extend(0, &unit.payload),
        u64::from_str_radix(unit.field("mm-sum"), 16).unwrap()
    );
    let Some(before) = before else { return };
    assert_eq!(unit.field("mm-after"), before.field("mm-id"), "the chain is broken at {}", unit.coordinate);
    assert!(
        unit.field("mm-kind") == "begin"
            || unit.number("mm-from") == before.number("mm-to")
            || unit.field("mm-kind") == "opening"
    );
}

/// Everything that is kept of the log, holes left out.
pub(crate) fn committed(log: &Path) -> Vec<u8> {
    let log = Log::options().open_reader(log).unwrap();
    let mut follower = log.follow(mmlog::Start::Oldest).unwrap();
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match follower.next(&mut buffer).unwrap() {
            mmlog::Next::Bytes(range) => {
                bytes.extend_from_slice(&buffer[..(range.end - range.start) as usize])
            }
            mmlog::Next::CaughtUp => return bytes,
            _ => {}
        }
    }
}

/// A copy of a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
