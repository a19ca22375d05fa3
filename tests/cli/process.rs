//! A process of the tool, started, talked to, ended, and what it left.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Write as _, pipe};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{DEADLINE, wait_for};

/// Whether another program could be run, and was successful.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Another program's process, which ends whatever becomes of the test.
pub(crate) struct Ends(pub(crate) Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// A command line in the making.
pub(crate) struct Tool {
    command: Command,
    input: Vec<u8>,
    stdin: Stdio,
    stdout: Stdio,
}

/// `mmlogctl COMMAND LOG`.
pub(crate) fn mmlogctl(command: &str, log: &Path) -> Tool {
    Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg(command).arg(log)
}

impl Tool {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
        Self { command: Command::new(program), input: Vec::new(), stdin, stdout }
    }

    pub(crate) fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.with(|command| command.arg(arg))
    }

    pub(crate) fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        self.with(|command| command.args(args))
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        change(&mut self.command);
        self
    }

    /// What [`run`](Self::run) puts on standard input.
    pub(crate) fn input(mut self, bytes: &[u8]) -> Self {
        self.input = bytes.to_vec();
        self
    }

    /// Another standard input than a pipe.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Another standard output than the one that is collected.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = stdout.into();
        self
    }

    /// The same command line, run by another program: `prlimit --nofile=4 mmlogctl cat LOG`.
    pub(crate) fn through(self, program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args).arg(self.command.get_program()).args(self.command.get_args());
        Self { command, ..self }
    }

    /// Starts it, gives it all its input, waits for its end. What fits a pipe lies in it when the process starts.
    pub(crate) fn run(mut self) -> Ended {
        let input = std::mem::take(&mut self.input);
        let (read_end, mut write_end) = pipe().unwrap();
        let running = |tool: Self| tool.stdin(read_end).start();
        if input.len() <= 4096 {
            write_end.write_all(&input).unwrap();
            drop(write_end);
            return running(self).end();
        }
        let running = running(self);
        let feeder = thread::spawn(move || {
            // It may end without reading: that is not for this thread to judge.
            let _ = write_end.write_all(&input);
        });
        let ended = running.end();
        feeder.join().unwrap();
        ended
    }

    /// Starts it; its standard input stays open.
    pub(crate) fn start(self) -> Running {
        let mut running = self.start_unread();
        running.stdout = running.unread.take().map(Collected::of);
        running
    }

    /// Starts it; nobody reads its standard output but the test.
    pub(crate) fn start_unread(mut self) -> Running {
        self.command.stdin(self.stdin).stdout(self.stdout).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let stderr = child.stderr.take().map(Collected::of);
        let (stdin, unread) = (child.stdin.take(), child.stdout.take());
        Running { child, stdin, unread, stdout: None, stderr }
    }
}

/// A process of the tool.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    /// Standard output, where the test reads it itself.
    pub(crate) unread: Option<ChildStdout>,
    stdout: Option<Collected>,
    stderr: Option<Collected>,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Puts bytes on its standard input, which stays open.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }

    /// The process that a program which started it (unshare, strace) waits for; itself, if it is no such program.
    pub(crate) fn innermost(&self) -> Pid {
        let mut pid = self.pid();
        // `task/TID/children` of the one thread that such a program has.
        while let Ok(children) = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
            && let Some(child) = children.split_whitespace().next()
        {
            pid = child.parse().unwrap();
        }
        Pid::from_raw(pid.cast_signed())
    }

    /// Waits until its standard output so far is as wanted.
    pub(crate) fn until_stdout(&self, wanted: impl Fn(&[u8]) -> bool) {
        self.stdout.as_ref().unwrap().until(wanted);
    }

    /// Waits until its standard error so far contains this.
    pub(crate) fn until_stderr(&self, wanted: &str) {
        self.stderr.as_ref().unwrap().until(|bytes| String::from_utf8_lossy(bytes).contains(wanted));
    }

    /// Waits until its standard error so far contains this so many times.
    pub(crate) fn until_stderr_times(&self, wanted: &str, times: usize) {
        let stderr = self.stderr.as_ref().unwrap();
        stderr.until(|bytes| String::from_utf8_lossy(bytes).matches(wanted).count() >= times);
    }

    /// Its standard error so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.stderr.as_ref().unwrap().bytes()).into_owned()
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> Vec<u8> {
        self.stdout.as_ref().unwrap().bytes()
    }

    /// Waits until it has this file open.
    pub(crate) fn until_open(&self, file: &Path) {
        let file = wait_for("the file is there", || file.canonicalize().ok());
        let descriptors = format!("/proc/{}/fd", self.pid());
        wait_for("the file is open in the process", || {
            let mut open = std::fs::read_dir(&descriptors).ok()?.flatten();
            open.find(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == file))
        });
    }

    /// Closes its standard input and waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.stdin.take());
        let status = wait_for("the process ends", || self.child.try_wait().unwrap());
        let collected = |stream: &mut Option<Collected>| stream.take().map_or_else(Vec::new, Collected::all);
        Ended {
            code: status.code().unwrap_or_else(|| -status.signal().unwrap_or_default()),
            stdout: collected(&mut self.stdout),
            stderr: String::from_utf8_lossy(&collected(&mut self.stderr)).into_owned(),
        }
    }
}

impl Drop for Running {
    /// A test that failed leaves no process behind.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Collects a stream while the process runs, so that it never waits for us.
struct Collected {
    bytes: Arc<(Mutex<Vec<u8>>, Condvar)>,
    reader: JoinHandle<()>,
}

impl Collected {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let shared = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buf = vec![0; 64 << 10];
            while let Ok(n @ 1..) = stream.read(&mut buf) {
                shared.0.lock().unwrap().extend_from_slice(&buf[..n]);
                shared.1.notify_all();
            }
        });
        Self { bytes, reader }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.0.lock().unwrap().clone()
    }

    fn until(&self, wanted: impl Fn(&[u8]) -> bool) {
        let (bytes, came) = &*self.bytes;
        let held = bytes.lock().unwrap();
        let (held, timeout) = came.wait_timeout_while(held, DEADLINE, |bytes| !wanted(bytes)).unwrap();
        let end = &held[held.len().saturating_sub(300)..];
        assert!(!timeout.timed_out(), "only this came, at its end: {:?}", String::from_utf8_lossy(end));
    }

    fn all(self) -> Vec<u8> {
        self.reader.join().unwrap();
        std::mem::take(&mut self.bytes.0.lock().unwrap())
    }
}

/// How a process ended.
pub(crate) struct Ended {
    /// The exit code; a signal that ended it, negative.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}, {} bytes", self.code, self.stdout.len())?;
        let start = &self.stdout[..self.stdout.len().min(2000)];
        write!(f, "\n--- stdout\n{}\n--- stderr\n{}", String::from_utf8_lossy(start), self.stderr)
    }
}

impl Ended {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Exit code 0, and nothing to say about it.
    #[track_caller]
    pub(crate) fn is_success(&self) {
        assert!(self.code == 0 && self.stderr.is_empty(), "{self:?}");
    }

    /// Success that printed exactly this.
    #[track_caller]
    pub(crate) fn printed(&self, wanted: &[u8]) {
        self.is_success();
        if self.stdout != wanted {
            let same = self.stdout.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            let (got, len) = (self.stdout.len(), wanted.len());
            panic!("{got} bytes printed, {len} expected; they differ from byte {same} on");
        }
    }

    /// One line on standard error, `mmlogctl: PATH: problem; what to do` with all of these words, and this exit code.
    #[track_caller]
    pub(crate) fn is_refused(&self, code: i32, path: &Path, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains("; "), "what to do? {self:?}");
        self.says(path, words);
    }

    /// One line on standard error, `mmlogctl: PATH: ...` with all of these words.
    #[track_caller]
    pub(crate) fn says(&self, path: &Path, words: &[&str]) {
        let start = format!("mmlogctl: {}: ", path.display());
        assert!(self.stderr.starts_with(&start) && self.stderr.ends_with('\n'), "{self:?}");
        assert_eq!(self.stderr.matches(|c: char| c.is_control()).count(), 1, "{self:?}");
        for words in words {
            assert!(self.stderr.contains(words), "without {words:?}: {self:?}");
        }
    }
}
