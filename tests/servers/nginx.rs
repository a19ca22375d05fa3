//! nginx, as the program of `exec`, and with a FIFO before `append`.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc::O_NONBLOCK;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::cli::{IGNORED, Running, Tool, is_ignored, metadata_of, skipped, wait_for};
use crate::client::Requests;
use crate::place::{Place, Server, of_page};

const PROGRAM: &str = "/usr/sbin/nginx";

fn is_missing(claim: &str) -> bool {
    let why = if !Path::new(PROGRAM).exists() {
        "no nginx"
    } else if is_ignored(Signal::SIGHUP) {
        IGNORED
    } else {
        return false;
    };
    skipped(claim, why);
    true
}

/// Its configuration, with the line of the page that has this in it.
fn configured(place: &Place, access_log: &str) -> String {
    let (here, port) = (place.file(""), place.port);
    let here = here.display();
    let access_log = place.rooted(&of_page("nginx", access_log));
    let user = if crate::cli::is_root() { "user nobody nogroup;" } else { "" };
    let kept =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|of| format!("{of}_temp_path {here}{of};"));
    let text = format!(
        "{user}\npid {here}nginx.pid;\nerror_log {here}error.log notice;\nworker_processes 2;\nevents {{}}\n\
         http {{\n{access_log}\n{}\nserver {{ listen 127.0.0.1:{port}; root {here}htdocs; }}\n}}\n",
        kept.concat()
    );
    let file = place.file("nginx.conf");
    fs::write(&file, text).unwrap();
    format!("-c {} -e {here}error.log", file.display())
}

/// Reloads, and waits until none of the workers is one of before.
fn reload(server: &Server, master: Pid) {
    let workers = || {
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        children.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = wait_for("its workers", || Some(workers()).filter(|all| !all.is_empty()));
    server.signal(Signal::SIGHUP);
    wait_for("other workers", || {
        let now = workers();
        (!now.is_empty() && !now.iter().any(|pid| before.contains(pid))).then_some(())
    });
}

fn master(place: &Place) -> Pid {
    wait_for("the master's pid", || {
        Some(Pid::from_raw(fs::read_to_string(place.file("nginx.pid")).ok()?.trim().parse().ok()?))
    })
}

/// Gracefully; where that signal is ignored, as soon as it can.
fn quit() -> Signal {
    if is_ignored(Signal::SIGQUIT) { Signal::SIGTERM } else { Signal::SIGQUIT }
}

#[test]
fn nginx_under_exec_that_is_reloaded_under_load_loses_no_access_line() {
    let claim = "nginx under exec loses no access line";
    if is_missing(claim) {
        return;
    }
    let place = Place::new();
    let arguments = configured(&place, "/dev/stdout");
    let unit = place.rooted(&of_page("ini", "/usr/sbin/nginx"));
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/")).unwrap();
    let mut server = place.start(&format!("/{line} {arguments}"));
    let requests = place.until_up(&mut server);
    let master = master(&place);
    let slow = requests.slow();
    requests.during(|| {
        for _ in 0..4 {
            requests.until_answered(200);
            // The workers that answer the download stay; all others are new.
            server.signal(Signal::SIGHUP);
            server.signal(Signal::SIGUSR1);
        }
        requests.until_answered(200);
    });
    slow.finish();
    reload(&server, master);
    requests.ask();
    server.signal(quit());
    assert_eq!(server.end(), Some(0), "{}", place.said());
    assert_eq!(place.said(), "");
    place.holds(&requests);
}

/// As systemd does for a socket unit with `ListenFIFO=`: it has the FIFO open for reading and writing all the while.
#[test]
fn nginx_before_a_fifo_loses_no_access_line_under_reloads_and_new_loggers() {
    let claim = "nginx before a FIFO loses no access line";
    if is_missing(claim) {
        return;
    }
    let place = Place::new();
    let arguments = configured(&place, ".fifo");
    mkfifo(&place.file("nginx-access.fifo"), Mode::S_IRWXU).unwrap();
    let mut options = fs::File::options();
    let held = options.read(true).write(true).custom_flags(O_NONBLOCK);
    let held = held.open(place.file("nginx-access.fifo")).unwrap();
    let unit = place.rooted(&of_page("ini", "StandardInput=socket"));
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap().to_owned();
    let words: Vec<&str> = line.split_whitespace().collect();
    let logger = || -> Running {
        let tool = Tool::new(words[0]).args(&words[1..]).stdin(held.try_clone().unwrap()).start();
        tool.until_open(&metadata_of(&place.log()));
        tool
    };
    let ended = |logger: Running| {
        logger.signal(Signal::SIGTERM);
        logger.end().is_success();
    };
    let mut now = Some(logger());
    let mut server = place.start(&format!("{PROGRAM} -g 'daemon off;' {arguments}"));
    let requests: Requests = place.until_up(&mut server);
    let master = master(&place);
    requests.during(|| {
        for _ in 0..4 {
            requests.until_answered(200);
            reload(&server, master);
            server.signal(Signal::SIGUSR1);
            now.replace(logger()).map(ended).unwrap();
        }
        // None for a moment: lines lie in the FIFO.
        now.take().map(ended).unwrap();
        requests.until_answered(2);
        now = Some(logger());
        requests.until_answered(200);
    });
    server.signal(quit());
    assert_eq!(server.end(), Some(0), "{}", place.said());
    now.map(ended).unwrap();
    place.holds(&requests);
}
