//! What is in the pipe is not what the consumer has: the place in a cursor-file trails it, and so does the hold.

use std::collections::HashSet;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cli::{Running, Scratch, mmlogctl, wait_for};
use crate::{append, tail};

/// 20 bytes each; all of them fit a pipe as the tool widens it, none of them the pipes of before.
fn lines(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("line {i:014}\n")).collect()
}

fn position_in(place: &Path) -> u64 {
    let line = std::fs::read_to_string(place).unwrap();
    line.split_ascii_whitespace().nth(2).unwrap().parse().unwrap()
}

fn held(log: &Path) -> u64 {
    let status = mmlogctl("status", log).arg("--json").run();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    status["holds"][0]["position"].as_u64().unwrap()
}

struct Scene {
    _scratch: Scratch,
    log: PathBuf,
    place: PathBuf,
    lines: Vec<String>,
}

fn scene() -> Scene {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    let lines = lines(20_000);
    append(&log, lines.concat().as_bytes());
    Scene { _scratch: scratch, log, place, lines }
}

impl Scene {
    fn tail(&self, options: &[&str]) -> Running {
        let place = format!("--cursor-file={}", self.place.display());
        tail(&self.log, &["--hold=shipper", &place]).args(options).start_unread()
    }

    /// As a parent has it that is called a socket's: Node.js, systemd's StandardOutput=socket.
    fn tail_to_a_socket(&self, options: &[&str]) -> Running {
        let place = format!("--cursor-file={}", self.place.display());
        let (ours, theirs) = UnixStream::pair().unwrap();
        let tail = tail(&self.log, &["--hold=shipper", &place]).args(options);
        let mut running = tail.stdout(OwnedFd::from(theirs)).start_unread();
        running.unread = Some(OwnedFd::from(ours).into());
        running
    }
}

/// Reads so much of what it prints.
fn read(running: &mut Running, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    running.unread.as_mut().unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_the_pipe_or_socket_held_when_its_reader_died_comes_again() {
    for (form, to) in [("text", "a pipe"), ("json", "a pipe"), ("text", "a socket"), ("json", "a socket")] {
        for what in [&["-F", "-n+1"][..], &["--until-now"]] {
            let scene = scene();
            let form = format!("--output={form}");
            let options = [what, &[&form]].concat();
            let start = if to == "a pipe" { Scene::tail } else { Scene::tail_to_a_socket };
            let mut running = start(&scene, &options);
            let mut got = read(&mut running, 2000);
            drop(running.unread.take());
            assert_eq!(running.end().code, 0);
            let place = position_in(&scene.place);
            assert!(place <= 2000 && held(&scene.log) <= place, "{place}, {}", held(&scene.log));
            let mut rest = scene.tail(&["--until-now", &form]);
            rest.unread.as_mut().unwrap().read_to_end(&mut got).unwrap();
            rest.end().is_success();
            let got = String::from_utf8(got).unwrap();
            let got: HashSet<&str> = got.split(['\n', '"']).collect();
            for line in &scene.lines {
                assert!(got.contains(line.trim_end()), "{line} is missing, {form} {what:?} {to}");
            }
            assert_eq!(position_in(&scene.place), 20 * 20_000);
        }
    }
}

#[test]
fn the_place_is_what_a_living_reader_has_taken() {
    let scene = scene();
    let mut running = scene.tail(&["-F", "-n+1"]);
    read(&mut running, 20 * 700 + 3);
    wait_for("the place", || (position_in(&scene.place) == 20 * 700 + 3).then_some(()));
    wait_for("the hold", || (held(&scene.log) == 20 * 700 + 3).then_some(()));
    read(&mut running, 20 * 20_000 - 20 * 700 - 3);
    wait_for("the end", || (position_in(&scene.place) == 20 * 20_000).then_some(()));
    running.signal(Signal::SIGTERM);
    running.end().is_success();
    let mut json = scene.tail(&["-F", "--from=0", "-ojson"]);
    append(&scene.log, b"one\ntwo\n");
    let log = mmlog::Observer::open(&scene.log, &mmlog::Log::options()).unwrap().look().unwrap().id;
    let id = format!("{}:400000", log.to_string().replace('-', ""));
    let all = format!(
        "{{\"position\":400000,\"end\":400004,\"segment\":0,\"id\":\"{id}\",\"text\":\"one\"}}\n{{\"posi"
    );
    assert_eq!(String::from_utf8(read(&mut json, all.len())).unwrap(), all);
    wait_for("the place behind the last whole object", || {
        (position_in(&scene.place) == 400_004).then_some(())
    });
    json.signal(Signal::SIGTERM);
    json.end().is_success();
}

#[test]
fn at_its_end_it_waits_for_its_reader_and_a_signal_ends_that_with_the_place_behind() {
    for signal in [None, Some(Signal::SIGTERM)] {
        let scene = scene();
        let mut running = scene.tail(&["--until-now"]);
        let first = read(&mut running, 20);
        assert_eq!(first, scene.lines[0].as_bytes());
        wait_for("the first line", || (position_in(&scene.place) == 20).then_some(()));
        match signal {
            Some(signal) => {
                running.signal(signal);
                assert_eq!(running.end().code, 0);
                assert_eq!(position_in(&scene.place), 20);
            }
            None => {
                let mut rest = Vec::new();
                running.unread.as_mut().unwrap().read_to_end(&mut rest).unwrap();
                running.end().is_success();
                assert_eq!((rest.len() + 20) as u64, position_in(&scene.place));
            }
        }
    }
}

#[test]
fn a_file_has_what_is_written_to_it() {
    let scene = scene();
    let place = format!("--cursor-file={}", scene.place.display());
    let file = std::fs::File::create(scene.place.with_extension("out")).unwrap();
    tail(&scene.log, &["--until-now", &place]).stdout(file).start_unread().end().is_success();
    assert_eq!(position_in(&scene.place), 20 * 20_000);
}

#[test]
fn the_reader_of_a_socket_that_has_taken_everything_is_seen_to() {
    let scene = scene();
    let mut running = scene.tail_to_a_socket(&["-F", "-n+1"]);
    read(&mut running, 20 * 20_000);
    wait_for("the end", || (position_in(&scene.place) == 20 * 20_000).then_some(()));
    wait_for("the hold", || (held(&scene.log) == 20 * 20_000).then_some(()));
    running.signal(Signal::SIGTERM);
    running.end().is_success();
}

#[test]
fn to_a_socket_that_does_not_tell_what_was_taken_no_place_is_kept_but_by_acknowledgements() {
    let scene = scene();
    let place = format!("--cursor-file={}", scene.place.display());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = || OwnedFd::from(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let datagrams = || OwnedFd::from(UnixDatagram::pair().unwrap().0);
    for socket in [far(), datagrams()] {
        let refused = tail(&scene.log, &["--until-now", &place]).stdout(socket).start_unread().end();
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("does not tell what its reader has taken"), "{refused:?}");
        assert!(!scene.place.exists());
    }
    tail(&scene.log, &["--until-now", "-n1"]).stdout(far()).start_unread().end().is_success();
    let acks = tail(&scene.log, &["--until-now", "-ojson", "--ack=0", &place]).stdout(far());
    acks.stdin(std::process::Stdio::null()).start_unread().end().is_success();
    assert_eq!(position_in(&scene.place), 0, "nothing was acknowledged");
}

#[test]
fn a_closed_output_takes_nothing_and_the_place_stays() {
    let scene = scene();
    let place = format!("--cursor-file={}", scene.place.display());
    for options in [&["--until-now"][..], &["-F", "-n+1"]] {
        let closed = tail(&scene.log, &["--hold=shipper", &place]).args(options);
        let ended = closed.through("sh", &["-c", "exec \"$@\" >&-", "sh"]).run();
        assert!(ended.code == 1 && ended.stderr.contains("standard output is closed"), "{ended:?}");
        assert_eq!((position_in(&scene.place), held(&scene.log)), (0, 0));
    }
    // Wherever nothing is kept, too.
    for command in ["cat", "status", "segments"] {
        let ended = mmlogctl(command, &scene.log).through("sh", &["-c", "exec \"$@\" >&-", "sh"]).run();
        assert_eq!(ended.code, 1, "{command}: {ended:?}");
        assert!(ended.stderr.contains("standard output is closed"), "{ended:?}");
    }
    // What is closed for words only keeps nobody from working.
    let line = mmlogctl("append", &scene.log).input(b"more\n");
    line.through("sh", &["-c", "exec \"$@\" >&- 2>&-", "sh"]).run().is_success();
}
