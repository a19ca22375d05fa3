//! Where a server runs: a directory that its workers may read, a port of the loopback device, and its configuration as the page has it.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::blocks::of_markdown;
use crate::cli::{Scratch, mmlogctl, wait_for};
use crate::client::Requests;

const PAGE: &str = "doc/servers.md";

/// How long a server may run. That is no claim: it only ends what would go on for ever.
const LIMIT: Duration = Duration::from_secs(150);

/// The block of the page in that language that has this in it.
pub(crate) fn of_page(language: &str, holds: &str) -> String {
    let blocks = of_markdown(PAGE).into_iter().filter(|block| block.language == language);
    let mut found = blocks.filter(|block| block.text.contains(holds)).map(|block| block.text);
    let block = found.next().unwrap_or_else(|| panic!("{PAGE} has no {language} with {holds:?}"));
    assert!(found.next().is_none(), "{PAGE} has several {language} with {holds:?}");
    block
}

pub(crate) struct Place {
    scratch: Scratch,
    pub(crate) port: u16,
}

impl Place {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(scratch.file("htdocs")).unwrap();
        fs::write(scratch.file("htdocs/index.html"), "hi\n").unwrap();
        // More than the buffers of both ends of a connection take.
        fs::write(scratch.file("htdocs/large"), vec![b'x'; 64 << 20]).unwrap();
        // Free now; a server that finds it taken says so, and the test with it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { scratch, port }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.scratch.file(name)
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.file("access.log")
    }

    /// A text of the page with its paths in this place.
    pub(crate) fn rooted(&self, text: &str) -> String {
        let here = self.scratch.path().display().to_string();
        let mut rooted = text.replace("/usr/bin/mmlogctl", env!("CARGO_BIN_EXE_mmlogctl"));
        for directory in ["/var/log/apache2", "/var/log/nginx", "/run"] {
            rooted = rooted.replace(&format!("{directory}/"), &format!("{here}/"));
        }
        assert!(!rooted.contains("/var/"), "{rooted}");
        rooted
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.file("said")).unwrap_or_default()
    }

    /// Starts a server, by a line of a shell; what it says goes to a file.
    pub(crate) fn start(&self, line: &str) -> Server {
        let said = fs::File::create(self.file("said")).unwrap();
        // However the test ends, also by a signal.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "sh", "-c", &format!("exec {line}")]);
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        // A group of its own: servers send signals to all of theirs.
        let child = command.process_group(0).spawn().unwrap();
        let group = Pid::from_raw(child.id().cast_signed());
        let (over, end) = mpsc::channel::<()>();
        thread::spawn(move || {
            if end.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = killpg(group, Signal::SIGKILL);
            }
        });
        Server { child, _over: over }
    }

    /// Waits until the server answers.
    pub(crate) fn until_up(&self, server: &mut Server) -> Requests {
        wait_for("the server answers", || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended, {ended:?}: {}", self.said());
            Requests::begin(self.port)
        })
    }

    /// Waits until it has a line for each request that was answered.
    pub(crate) fn until_holds(&self, requests: &Requests) {
        wait_for("their lines", || {
            let stored = mmlogctl("cat", &self.log()).run().text();
            (stored.lines().count() >= requests.answered()).then_some(())
        });
    }

    /// Every request that was answered has one line, no line is of anything else, and the log is at rest.
    #[track_caller]
    pub(crate) fn holds(&self, requests: &Requests) {
        requests.are_all_in(&mmlogctl("cat", &self.log()).run().text());
        let status = mmlogctl("status", &self.log()).run().text();
        assert!(status.starts_with("OK ") && status.contains("slack 0 "), "{status}");
        assert!(status.contains("  writers      none\n"), "{status}");
    }
}

/// A server and all that it has started, ended whatever becomes of the test.
pub(crate) struct Server {
    child: Child,
    _over: Sender<()>,
}

impl Server {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Its exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        wait_for("the server ends", || self.child.try_wait().unwrap()).code()
    }

    /// Processes that it has started and that have this in their command line, oldest first.
    pub(crate) fn children(&self, holds: &str) -> Vec<Pid> {
        let of = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = fs::read_to_string(of).unwrap_or_default();
        let has = |pid: &&str| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").contains(holds)
        };
        children.split_whitespace().filter(has).map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
