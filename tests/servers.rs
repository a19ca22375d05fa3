//! The recipes of doc/servers.md, as they stand there: with servers under reload, no access line is lost and each is whole; as
//! the first process of a container, `exec` sends signals on and waits for orphans.
//!
//! Servers listen on the loopback device, have all their files in a directory of the test, and end with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "servers/apache.rs"]
mod apache;
#[path = "documents/blocks.rs"]
#[allow(dead_code, reason = "what reads the manual is not needed here")]
mod blocks;
mod cli;
#[path = "servers/client.rs"]
mod client;
#[path = "servers/nginx.rs"]
mod nginx;
#[path = "servers/place.rs"]
mod place;

use std::fs;
use std::process::Command;

use cli::{IGNORED, Scratch, Tool, is_ignored, mmlogctl, skipped, succeeds, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn units_of_the_page_are_valid() {
    let claim = "units of doc/servers.md are valid";
    if !succeeds(Command::new("systemd-analyze").arg("--version")) {
        return skipped(claim, "no systemd-analyze");
    }
    let scratch = Scratch::new();
    let (service, socket) = (scratch.file("nginx-access.service"), scratch.file("nginx-access.socket"));
    let rooted = |text: String| text.replace("/usr/bin/mmlogctl", env!("CARGO_BIN_EXE_mmlogctl"));
    fs::write(&service, rooted(place::of_page("ini", "StandardInput=socket"))).unwrap();
    fs::write(&socket, place::of_page("ini", "ListenFIFO=")).unwrap();
    let verify = Tool::new("systemd-analyze").args(["verify", "--man=no"]);
    let ended = verify.arg(&socket).arg(&service).run();
    assert!(ended.code == 0 && !ended.stderr.contains("nginx-access"), "{ended:?}");
}

#[test]
fn as_the_first_process_of_a_container_exec_waits_for_orphans_and_sends_signals_on() {
    const UNSHARE: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let claim = "exec as the first process of a container";
    if !succeeds(Command::new("unshare").args(UNSHARE).arg("true")) {
        return skipped(claim, "no PID namespace can be made");
    }
    // Nobody but the first process waits for them.
    let orphans = "for i in 1 2 3 4; do (sh -c 'echo orphan' &); done";
    let gone = "while grep -q '^State:.Z' /proc/[0-9]*/status 2>/dev/null; do :; done";
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGWINCH, "WINCH"),
    ] {
        if is_ignored(signal) {
            skipped(&format!("{claim}: {name}"), IGNORED);
            continue;
        }
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let ready = format!("trap 'echo {name} came; exit 7' {name}; {orphans}; {gone}; echo ready");
        // The parent of the program is the first process there is.
        let script = format!("{ready} under $PPID; while :; do sleep 0.01; done");
        let exec = mmlogctl("exec", &log).args(["--tee", "--", "sh", "-c", &script]);
        let running = exec.through("unshare", &UNSHARE).start();
        running.until_stdout(|said| String::from_utf8_lossy(said).contains("ready under 1\n"));
        kill(first_child(running.pid()), signal).unwrap();
        let ended = running.end();
        assert_eq!((ended.code, ended.stderr.as_str()), (7, ""), "{name}");
        let stored = mmlogctl("cat", &log).run().text();
        assert_eq!(stored, ended.text());
        assert_eq!(stored.matches("orphan\n").count(), 4, "{stored}");
        assert!(stored.ends_with(&format!("{name} came\n")), "{stored}");
    }
}

fn first_child(pid: u32) -> Pid {
    let children = format!("/proc/{pid}/task/{pid}/children");
    wait_for("its child", || {
        let pid = fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok()?;
        Some(Pid::from_raw(pid))
    })
}
