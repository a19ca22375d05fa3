//! `--ack`: only what the consumer says it is done with is kept.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::cli::{Ended, Running, Scratch, wait_for};
use crate::{append, tail};

struct Scene {
    scratch: Scratch,
    log: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        append(&log, b"one\ntwo\nthree\nfour");
        mkfifo(&scratch.file("acks"), Mode::S_IRWXU).unwrap();
        Self { scratch, log }
    }

    /// The tool, which has printed everything, and the end of the FIFO that acknowledgements go into.
    fn tail(&self, options: &[&str], objects: usize) -> (Running, File) {
        let place = format!("--cursor-file={}", self.scratch.file("place").display());
        let acks = self.scratch.file("acks");
        let running = tail(&self.log, &["-ojson", "--ack=3", "--hold=h", &place])
            .args(options)
            .through("sh", &["-c", "exec \"$@\" 3<\"$ACKS\"", "sh"])
            .with(|command| command.env("ACKS", &acks))
            .start();
        let acks = File::options().write(true).open(&acks).unwrap();
        running.until_stdout(|printed| printed.iter().filter(|byte| **byte == b'\n').count() == objects);
        (running, acks)
    }

    fn until(&self, position: &str) {
        wait_for("the place", || (place(&self.scratch.file("place")) == position).then_some(()));
    }

    /// How it ends when the consumer says this after it was done with two lines.
    fn told(&self, what: &str) -> Ended {
        let (running, mut acks) = self.tail(&["-F", "-n+1"], 3);
        acks.write_all(b"8\n").unwrap();
        self.until("8");
        acks.write_all(what.as_bytes()).unwrap();
        running.end()
    }
}

fn place(file: &Path) -> String {
    let line = std::fs::read_to_string(file).unwrap_or_default();
    line.split_ascii_whitespace().nth(2).unwrap_or_default().to_owned()
}

#[test]
fn only_what_was_acknowledged_is_kept() {
    let scene = Scene::new();
    let (running, mut acks) = scene.tail(&["-F", "-n+1"], 3);
    assert_eq!(place(&scene.scratch.file("place")), "0");
    for (ack, position) in [("4\n", "4"), ("4\n8\n1", "8"), ("4\n", "14")] {
        acks.write_all(ack.as_bytes()).unwrap();
        scene.until(position);
    }
    // More comes, and is not acknowledged.
    append(&scene.log, b"-\nfive\n");
    running.until_stdout(|printed| printed.ends_with(b"\"five\"}\n"));
    drop(acks);
    running.signal(Signal::SIGTERM);
    running.end();
    assert_eq!(place(&scene.scratch.file("place")), "14");
}

#[test]
fn at_its_end_it_waits_for_the_last_acknowledgement() {
    let scene = Scene::new();
    let (running, mut acks) = scene.tail(&["--until-now"], 4);
    acks.write_all(b"14\n").unwrap();
    scene.until("14");
    // The line without an end, too.
    acks.write_all(b"18\n").unwrap();
    assert_eq!(running.end().code, 0);
    assert_eq!(place(&scene.scratch.file("place")), "18");
}

#[test]
fn who_acknowledges_no_more_gets_the_rest() {
    let scene = Scene::new();
    let (running, mut acks) = scene.tail(&["--until-now"], 4);
    acks.write_all(b"4\n").unwrap();
    drop(acks);
    assert_eq!(running.end().code, 0);
    assert_eq!(place(&scene.scratch.file("place")), "4");
}

#[test]
fn a_number_that_was_not_printed_or_is_smaller_is_an_error() {
    for (wrong, said) in [("5\n", "5 is the end of no object"), ("4\n", "smaller"), ("x\n", "no position")] {
        let scene = Scene::new();
        let ended = scene.told(wrong);
        assert!(ended.code == 1 && ended.stderr.contains(said), "{ended:?}");
        assert_eq!(place(&scene.scratch.file("place")), "8");
    }
    let scene = Scene::new();
    let place = scene.scratch.file("place");
    let text = tail(&scene.log, &["--ack=3", "--cursor-file", place.to_str().unwrap()]).run();
    assert_eq!(text.code, 2, "{text:?}");
    let none = tail(&scene.log, &["-ojson", "--ack=77", "--cursor-file", place.to_str().unwrap()]).run();
    assert!(none.code == 1 && none.stderr.contains("--ack: cannot read descriptor 77"), "{none:?}");
}
