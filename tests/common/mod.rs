//! What the process tests share: actors in processes of their own, and an oracle that knows every byte.
//!
//! A test binary runs itself again as an actor: `play` in the test named `role` looks at the environment.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part")]

pub mod disk;
pub mod original;
pub mod surgeon;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Catches a hang, measures nothing.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// A directory for one log.
pub struct Scene {
    pub dir: tempfile::TempDir,
    pub log: PathBuf,
}

pub fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("app.log");
    Scene { dir, log }
}

/// A process of its own that plays a role of this test binary.
pub struct Actor {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: BufReader<ChildStdout>,
}

impl Actor {
    pub fn new(role: &str, parameters: &[(&str, String)]) -> Self {
        Self::spawn(Command::new(std::env::current_exe().unwrap()), role, parameters)
    }

    /// One that needs nothing but the log.
    pub fn on(log: &Path, role: &str) -> Self {
        Self::new(role, &[("LOG", log.display().to_string())])
    }

    /// Under a wrapper such as strace, whose command line ends before the program.
    pub fn under(mut wrapper: Command, role: &str, parameters: &[(&str, String)]) -> Self {
        wrapper.arg(std::env::current_exe().unwrap());
        Self::spawn(wrapper, role, parameters)
    }

    fn spawn(mut command: Command, role: &str, parameters: &[(&str, String)]) -> Self {
        command
            .args(["--exact", "role", "--nocapture", "--test-threads=1", "--quiet"])
            .env("MMLOG_ROLE", role);
        for (name, value) in parameters {
            command.env(format!("MMLOG_{name}"), value);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        // The test harness prints before the role does.
        let mut line = String::new();
        while line.trim_end() != "on stage" {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "{role} ended before it began");
        }
        Self { child, stdin, stdout }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The next line that the role says.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ends the role's input, waits for its end and requires success.
    pub fn finish(mut self) -> String {
        self.end_input();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = wait(&mut self.child);
        assert!(status.success(), "{status}: {rest}");
        rest
    }

    pub fn end_input(&mut self) {
        drop(self.stdin.take());
    }

    /// Kills it; what it had said is returned.
    pub fn kill(mut self) -> Vec<u8> {
        self.child.kill().unwrap();
        let mut rest = Vec::new();
        self.stdout.read_to_end(&mut rest).unwrap();
        self.child.wait().unwrap();
        rest
    }
}

/// A test that fails leaves no actor behind.
impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn wait(child: &mut Child) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(begun.elapsed() < DEADLINE, "process {} hangs", child.id());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for something that must come.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// In the test named `role`: plays the role that the environment asks for, if any.
pub fn play(roles: &[(&str, fn())]) {
    let Ok(name) = std::env::var("MMLOG_ROLE") else { return };
    let (_, role) = roles.iter().find(|(n, _)| *n == name).expect("a role of this file");
    // A test that is killed leaves no actor behind either.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).unwrap();
    say("\non stage");
    role();
    std::process::exit(0);
}

/// Says a line to the test, at once.
pub fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").unwrap();
    stdout.flush().unwrap();
}

/// Waits for a line from the test; false at its end.
pub fn listen() -> bool {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap() > 0
}

pub fn parameter<T: std::str::FromStr>(name: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    std::env::var(format!("MMLOG_{name}")).unwrap().parse().unwrap()
}

pub fn log_path() -> PathBuf {
    parameter("LOG")
}

/// The seed of this run: fixed, or `MMLOG_SEED`. Printed, so that a failure can be replayed.
pub fn seed() -> u64 {
    let seed = std::env::var("MMLOG_SEED").map_or(0x6d6d_6c6f_6731, |s| s.parse().unwrap());
    println!("MMLOG_SEED={seed}");
    seed
}

/// xorshift64*: small, repeatable.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % n
    }
}

/// Least bytes of a line that says who wrote it.
const HEAD: usize = 25;

/// One message: a lone newline when `len` is below the head's length, else `writer number length filling`,
/// binary, NULs included, no newline inside.
pub fn message(writer: u64, number: u64, len: usize) -> Vec<u8> {
    if len < HEAD {
        return vec![b'\n'];
    }
    let mut line = format!("{writer:05} {number:08} {len:08} ").into_bytes();
    line.extend((line.len()..len - 1).map(|i| filling(writer, number, i)));
    line.push(b'\n');
    line
}

fn filling(writer: u64, number: u64, at: usize) -> u8 {
    match (writer * 31 + number * 17 + at as u64) as u8 {
        b'\n' => 0,
        byte => byte,
    }
}

/// What a log holds: for each writer the numbers of its lines in order, and how many lone newlines there are.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Content {
    pub lines: HashMap<u64, Vec<u64>>,
    pub newlines: u64,
}

/// Reads a log's bytes; anything that is not a whole message of somebody is a failure.
pub fn parse(bytes: &[u8]) -> Content {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "the last line is torn");
    let mut content = Content::default();
    for (i, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
        if line == b"\n" {
            content.newlines += 1;
            continue;
        }
        let head = line.get(..HEAD - 2).and_then(|h| std::str::from_utf8(h).ok());
        let numbers: Vec<u64> =
            head.into_iter().flat_map(|h| h.split(' ')).filter_map(|n| n.parse().ok()).collect();
        let [writer, number, len] = numbers[..] else {
            panic!("line {i} is nobody's: {:?}", &line[..line.len().min(60)])
        };
        assert_eq!(line.len() as u64, len, "line {i} of writer {writer}, number {number}");
        assert!(line == message(writer, number, len as usize), "line {i} of writer {writer} is damaged");
        content.lines.entry(writer).or_default().push(number);
    }
    content
}

/// `bytes` without runs of NULs where a line should begin, and how many those were: the holes of unknown place that
/// writers leave who are killed between taking a range and knowing it.
pub fn without_unplaced(bytes: &[u8]) -> (Vec<u8>, u64) {
    let (mut rest, mut runs) = (Vec::with_capacity(bytes.len()), 0);
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        let nuls = line.iter().take_while(|&&b| b == 0).count();
        runs += u64::from(nuls > 0);
        rest.extend_from_slice(&line[nuls..]);
    }
    (rest, runs)
}

/// Every line of every writer, once, in its writer's order.
pub fn assert_complete(content: &Content, writers: u64, each: u64) {
    assert_eq!(content.lines.len() as u64, writers);
    for (writer, numbers) in &content.lines {
        let in_order = numbers.windows(2).all(|w| w[0] < w[1]);
        assert!(in_order, "writer {writer} out of order");
    }
    let lines: u64 = content.lines.values().map(|n| n.len() as u64).sum();
    assert_eq!(lines + content.newlines, writers * each);
}

/// Everything that the log has now, by a follower; holes left out.
pub fn committed(log: &Path) -> Vec<u8> {
    let log = mmlog::Log::options().open_reader(log).unwrap();
    rest(&mut log.follow(mmlog::Start::Oldest).unwrap())
}

/// Everything from where the follower is to the end; holes left out.
pub fn rest(follower: &mut mmlog::Follower) -> Vec<u8> {
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match follower.next(&mut buf).unwrap() {
            mmlog::Next::Bytes(range) => bytes.extend_from_slice(&buf[..(range.end - range.start) as usize]),
            mmlog::Next::CaughtUp => return bytes,
            _ => {}
        }
    }
}

/// The next line from the test; `None` at its end.
pub fn heard() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).unwrap();
    (read > 0).then(|| line.trim_end().to_string())
}

/// The metadata file of a log.
pub fn metadata_of(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_os_string();
    path.push(mmlog::METADATA_SUFFIX);
    path.into()
}

/// strace with these arguments, or `None` and one line where it does not work.
pub fn strace(arguments: &[&str]) -> Option<Command> {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success()) {
        println!("SKIPPED: strace is missing or may not trace");
        return None;
    }
    let mut strace = Command::new("strace");
    strace.arg("-f").args(arguments);
    Some(strace)
}

/// A role: copies the log to `OUT`, holes left out, until it has as many bytes as the test then tells; `RATE` KiB/s
/// until that is told, 0 for as fast as it goes.
pub fn follower() {
    let log = mmlog::Log::options().open_reader(log_path()).unwrap();
    let mut follower = log.follow(mmlog::Start::Oldest).unwrap();
    let mut out = std::fs::File::create(parameter::<String>("OUT")).unwrap();
    let rate: u64 = parameter("RATE");
    let total = std::sync::OnceLock::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            total.set(line.trim().parse::<u64>().unwrap()).unwrap();
        });
        let (mut buf, mut copied) = (vec![0; 1 << 16], 0);
        while total.get().is_none_or(|&t| copied < t) {
            let throttled = rate > 0 && total.get().is_none();
            let most = if throttled { 4096 } else { buf.len() };
            match follower.next(&mut buf[..most]).unwrap() {
                mmlog::Next::Bytes(range) => {
                    let len = range.end - range.start;
                    out.write_all(&buf[..len as usize]).unwrap();
                    copied += len;
                    if throttled {
                        std::thread::sleep(Duration::from_micros(len * 1_000_000 / (rate * 1024)));
                    }
                }
                mmlog::Next::Hole(_) => {}
                _ => assert!(follower.wait(Duration::from_millis(50)).is_ok()),
            }
        }
    });
}
