//! Apache, whose piped log is `append`.

use std::fs::{self, File};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::io::ioctl_fionread;

use crate::cli::{IGNORED, is_ignored, skipped, wait_for};
use crate::client::Requests;
use crate::place::{Place, Server, of_page};

const MODULES: &str = "/usr/lib/apache2/modules";
const PROGRAM: &str = "/usr/sbin/apache2";
/// One process with threads, and one process a connection, which sends signals to all of its group.
const KINDS: [&str; 2] = ["event", "prefork"];

fn start(place: &Place, kind: &str) -> Server {
    let here = place.file("");
    let (here, port) = (here.display(), place.port);
    let ours = format!(
        "ServerName localhost\nServerRoot {here}\nDefaultRuntimeDir {here}\nPidFile {here}apache.pid\n\
         Mutex file:{here}\nListen 127.0.0.1:{port}\nDocumentRoot {here}htdocs\nErrorLog {here}error.log\n\
         LoadModule mpm_{kind}_module {MODULES}/mod_mpm_{kind}.so\n\
         LoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
         User #65534\nGroup #65534\nKeepAliveTimeout 60\n"
    );
    let page = place.rooted(&of_page("apache", "CustomLog"));
    fs::write(place.file("apache.conf"), format!("{ours}{page}\n")).unwrap();
    place.start(&format!("{PROGRAM} -f {here}apache.conf -DFOREGROUND"))
}

fn is_missing(claim: &str) -> bool {
    let why = if !Path::new(PROGRAM).exists() || !Path::new(MODULES).exists() {
        "no apache2"
    } else if is_ignored(Signal::SIGHUP) {
        IGNORED
    } else {
        return false;
    };
    skipped(claim, why);
    true
}

/// The logger of a server that has one, once it can be sent signals.
fn logger(server: &Server) -> Pid {
    wait_for("one logger", || {
        let all = server.children("mmlogctl append");
        let [only] = all[..] else { return None };
        catches(only).then_some(only)
    })
}

/// Whether it has come to catch SIGTERM.
fn catches(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    u64::from_str_radix(caught.trim(), 16).is_ok_and(|mask| mask >> (Signal::SIGTERM as i32 - 1) & 1 == 1)
}

/// Ends as `apachectl graceful-stop` has it, and waits for the last logger, which nobody else does.
fn stop(server: &mut Server) {
    let logger = logger(server);
    server.signal(Signal::SIGWINCH);
    assert_eq!(server.end(), Some(0));
    until_gone(logger);
}

fn until_gone(pid: Pid) {
    wait_for("the logger ends", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
}

#[test]
fn apache_that_is_restarted_gracefully_under_load_loses_no_access_line() {
    let claim = "Apache under graceful restarts loses no access line";
    if is_missing(claim) {
        return;
    }
    for kind in KINDS {
        let place = Place::new();
        let mut server = start(&place, kind);
        let requests = place.until_up(&mut server);
        requests.during(|| {
            for _ in 0..4 {
                requests.until_answered(200);
                let before = logger(&server);
                server.signal(Signal::SIGUSR1);
                until_gone(before);
            }
            requests.until_answered(200);
        });
        stop(&mut server);
        place.holds(&requests);
    }
}

#[test]
fn a_download_that_outlasts_a_graceful_restart_has_its_line() {
    let claim = "a download that outlasts a graceful restart of Apache has its line";
    if is_missing(claim) {
        return;
    }
    for kind in KINDS {
        let place = Place::new();
        let mut server = start(&place, kind);
        let requests = place.until_up(&mut server);
        let slow = requests.slow();
        let old = logger(&server);
        server.signal(Signal::SIGUSR1);
        wait_for("another logger", || server.children("mmlogctl append").into_iter().find(|pid| *pid != old));
        wait_for("the old one to go on", || {
            let said = fs::read_to_string(place.file("error.log")).unwrap();
            said.contains("a signal came; standard input is still open, and is read to its end").then_some(())
        });
        requests.ask();
        slow.finish();
        until_gone(old);
        stop(&mut server);
        place.holds(&requests);
    }
}

/// Apache writes the line of an answer behind the answer: one that is in the pipe is what a hard restart must not lose.
#[test]
fn a_hard_restart_of_apache_loses_no_line_that_lies_in_the_pipe() {
    let claim = "a hard restart of Apache loses no line in the pipe";
    if is_missing(claim) {
        return;
    }
    for kind in KINDS {
        let place = Place::new();
        let mut server = start(&place, kind);
        let requests = place.until_up(&mut server);
        let old = logger(&server);
        // What lies in the pipe then is of the next request.
        place.until_holds(&requests);
        let stopped = Stopped::with_a_line(&requests, old);
        server.signal(Signal::SIGHUP);
        wait_for("another logger", || server.children("mmlogctl append").into_iter().find(|pid| *pid != old));
        drop(stopped);
        until_gone(old);
        stop(&mut server);
        place.holds(&requests);
    }
}

#[test]
fn a_logger_that_is_killed_is_followed_by_one_that_reads_what_lies_in_the_pipe() {
    let claim = "a logger of Apache that is killed costs no line in the pipe";
    if is_missing(claim) {
        return;
    }
    for kind in KINDS {
        let place = Place::new();
        let mut server = start(&place, kind);
        let requests = place.until_up(&mut server);
        let old = logger(&server);
        place.until_holds(&requests);
        let _stopped = Stopped::with_a_line(&requests, old);
        kill(old, Signal::SIGKILL).unwrap();
        until_gone(old);
        place.until_holds(&requests);
        stop(&mut server);
        place.holds(&requests);
    }
}

/// A signal to all of the server's group and another to the logger would be two for it, and the second would end it where it is: then
/// the log would not be at rest.
#[test]
fn a_stop_of_apache_leaves_its_logger_the_time_to_end_well() {
    let claim = "a stop of Apache leaves its logger the time to end well";
    if is_missing(claim) {
        return;
    }
    for kind in KINDS {
        let place = Place::new();
        let mut server = start(&place, kind);
        let requests = place.until_up(&mut server);
        place.until_holds(&requests);
        let logger = logger(&server);
        server.signal(Signal::SIGTERM);
        assert_eq!(server.end(), Some(0));
        until_gone(logger);
        place.holds(&requests);
    }
}

/// A logger that is stopped, and goes on when this is dropped.
struct Stopped(Pid);

impl Stopped {
    /// Stops it, and has a line lie in its pipe.
    fn with_a_line(requests: &Requests, logger: Pid) -> Self {
        kill(logger, Signal::SIGSTOP).unwrap();
        let stopped = Self(logger);
        let stat = format!("/proc/{logger}/stat");
        wait_for("it is stopped", || fs::read_to_string(&stat).ok()?.contains(") T ").then_some(()));
        requests.ask();
        let pipe = File::open(format!("/proc/{logger}/fd/0")).unwrap();
        wait_for("a line in the pipe", || (ioctl_fionread(&pipe).unwrap() > 0).then_some(()));
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}
