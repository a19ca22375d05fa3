//! Guards shipping many logs by one process: which logs, what keeps one of them from being shipped, and what is wrong with the file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
mod stage;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use common::until;
use mmlog::Log;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stage::{Ended, options, units};

/// Some logs, and a file that names them.
struct Many {
    dir: tempfile::TempDir,
}

impl Many {
    fn new(to: &str, more: &str) -> Self {
        let many = Many { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(many.path("out")).unwrap();
        many.write(to, more);
        many
    }

    fn write(&self, to: &str, more: &str) {
        let at = self.dir.path().display();
        let text = format!("[[ship]]\nlogs = [\"{at}/*.log\"]\nto = \"file:{at}/out/{to}\"\n{more}\n");
        fs::write(self.path("ship.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, log: &str, bytes: &[u8]) {
        let log: Log = options().open_or_create(self.path(log)).unwrap();
        log.writer().unwrap().append(bytes).unwrap();
        log.close().unwrap();
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
        command.arg("ship").arg("--config").arg(self.path("ship.toml")).args(more);
        command
    }

    fn run(&self, more: &[&str]) -> Ended {
        Ended::of(&self.command(more).output().unwrap())
    }

    fn start(&self) -> Running {
        Running::of(&mut self.command(&[]))
    }

    fn shipped(&self, sink: &str) -> Vec<u8> {
        let sink = self.path("out").join(sink);
        if !sink.exists() {
            return Vec::new();
        }
        units(&sink).into_iter().flat_map(|unit| unit.payload).collect()
    }

    fn until_shipped(&self, sink: &str, bytes: &[u8]) {
        until(&format!("{sink} with what was appended"), || (self.shipped(sink) == bytes).then_some(()));
    }
}

struct Running {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn of(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Running { child, said }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// The next line with that in it.
    fn says(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "it ended before it said {words:?}");
            if line.contains(words) {
                return line;
            }
        }
    }

    /// What else it says, and its exit code.
    fn end(mut self) -> (Vec<String>, Option<i32>) {
        self.signal(Signal::SIGTERM);
        let said = (&mut self.said).lines().map(Result::unwrap).collect();
        (said, self.child.wait().unwrap().code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn all_that_a_pattern_names_is_shipped_and_so_is_a_log_that_comes_later() {
    let many = Many::new("{log}", "");
    many.append("a.log", b"of a\n");
    many.append("b.log", b"of b\n");
    // None of these is a log.
    fs::write(many.path("plain.log"), "text\n").unwrap();
    let running = many.start();
    many.until_shipped("a", b"of a\n");
    many.until_shipped("b", b"of b\n");
    many.append("late.log", b"of another\n");
    many.until_shipped("late", b"of another\n");
    many.append("a.log", b"more of a\n");
    many.until_shipped("a", b"of a\nmore of a\n");
    let (_, code) = running.end();
    assert_eq!(code, Some(0));
    assert!(!many.path("out/plain").exists());
    assert!(many.path("a.log.mmlog-ship-file-a").exists());
}

#[test]
fn as_many_logs_are_shipped_as_the_hard_limit_has_descriptors_for_and_it_is_said_where_that_is_too_low() {
    let many = Many::new("{log}", "");
    let logs: Vec<_> = (0..12).map(|n| format!("n{n}")).collect();
    logs.iter().for_each(|log| many.append(&format!("{log}.log"), log.as_bytes()));
    let limited = |limit: &str| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit {limit}; exec \"$@\"")).arg("sh");
        command
            .arg(env!("CARGO_BIN_EXE_mmlogctl-ship"))
            .args(["ship", "--config"])
            .arg(many.path("ship.toml"));
        Running::of(&mut command)
    };
    let running = limited("-Sn 40");
    logs.iter().for_each(|log| many.until_shipped(log, log.as_bytes()));
    let (said, code) = running.end();
    assert_eq!(code, Some(0), "{said:?}");
    assert!(!said.iter().any(|line| line.contains("open files")), "{said:?}");
    let mut running = limited("-n 100");
    let said = running.says("descriptors");
    assert!(said.contains("12 logs need about 144") && said.contains("no more than 100"), "{said}");
}

#[test]
fn a_removed_log_is_shipped_to_its_end_and_let_go_of_and_another_one_of_its_name_is_shipped_behind_it() {
    let many = Many::new("{log}", "");
    many.append("a.log", b"of a\n");
    let running = many.start();
    many.until_shipped("a", b"of a\n");
    let log = options().open(many.path("a.log")).unwrap();
    log.writer().unwrap().append(b"the last of it\n").unwrap();
    fs::remove_file(many.path("a.log")).unwrap();
    fs::remove_file(many.path("a.log.mmlog")).unwrap();
    many.until_shipped("a", b"of a\nthe last of it\n");
    let has = |link: fs::DirEntry| {
        let target = fs::read_link(link.path()).unwrap_or_default();
        target.to_string_lossy().contains("a.log (deleted)")
    };
    let descriptors = format!("/proc/{}/fd", running.child.id());
    until("the file is let go of", || {
        (!fs::read_dir(&descriptors).unwrap().flatten().any(has)).then_some(())
    });
    many.append("a.log", b"of another a\n");
    many.until_shipped("a", b"of a\nthe last of it\nof another a\n");
    assert_eq!(running.end().1, Some(0));
}

#[test]
fn a_log_that_needs_a_person_is_said_once_and_keeps_no_other_one() {
    let many = Many::new("{log}", "");
    many.append("a.log", b"of a\n");
    many.append("b.log", b"of b\n");
    many.run(&["--until-now"]).is(0, "");
    // What a has there is of another log now.
    fs::remove_dir_all(many.path("out/a")).unwrap();
    stage::copy(&many.path("out/b"), &many.path("out/a"));
    many.append("b.log", b"more of b\n");
    let mut running = many.start();
    let said = running.says("a.log");
    assert!(said.contains("--sink-is-new") || said.contains("--accept-fork"), "{said}");
    many.until_shipped("b", b"of b\nmore of b\n");
    let (said, code) = running.end();
    assert!(code == Some(0) && !said.iter().any(|line| line.contains("a.log")), "{said:?}");
    // The code of a run that ends is that of the worst.
    let ended = many.run(&["--until-now"]).is(4, "1 of 2 logs were not shipped");
    assert!(ended.said.contains("a.log: "), "{ended:?}");
    many.run(&["--check"]).is(4, "1 of 2 logs were not shipped");
}

#[test]
fn two_logs_in_one_place_are_refused_and_checkpoints_may_be_elsewhere() {
    let many = Many::new("one", "");
    many.append("a.log", b"of a\n");
    many.append("b.log", b"of b\n");
    let ended = many.run(&["--until-now"]).is(2, "have {log} in \"to\"");
    assert!(ended.said.contains("b.log: not shipped") && ended.said.contains("1 of 2"), "{ended:?}");
    assert_eq!(many.shipped("one"), b"of a\n");
    fs::create_dir(many.path("state")).unwrap();
    many.write("new-{log}", &format!("checkpoint-dir = \"{}\"", many.path("state").display()));
    many.run(&["--until-now"]).is(0, "");
    let names = fs::read_dir(many.path("state")).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    let checkpoints: Vec<&String> =
        names.iter().filter(|name| name.contains(".log.mmlog-ship-file-new-")).collect();
    assert!(checkpoints.len() >= 2 && !many.path("a.log.mmlog-ship-file-new-a").exists(), "{names:?}");
}

#[test]
fn the_file_is_read_again_when_it_is_asked_to_and_a_wrong_one_changes_nothing() {
    let many = Many::new("{log}", "");
    many.append("a.log", b"of a\n");
    let mut running = many.start();
    many.until_shipped("a", b"of a\n");
    many.write("{log}", "unit = \"5G\"");
    running.signal(Signal::SIGHUP);
    running.says("what was read before is still done");
    many.append("a.log", b"more\n");
    many.until_shipped("a", b"of a\nmore\n");
    many.write("second-{log}", "");
    running.signal(Signal::SIGHUP);
    many.until_shipped("second-a", b"of a\nmore\n");
    assert_eq!(running.end().1, Some(0));
}

#[test]
fn what_is_wrong_with_the_file_is_said_before_anything_is_opened() {
    let many = Many::new("{log}", "");
    many.append("a.log", b"of a\n");
    for (text, says) in [
        ("", "it has no [[ship]]"),
        ("logs = \"/x\"", "each log begins with [[ship]]"),
        ("[[ship]]\nto = \"exec\"", "[[ship]] 1: \"logs\" and \"to\" are needed"),
        ("[[ship]]\nlogs = \"x.log\"\nto = \"file:/x\"", "begin with /"),
        ("[[ship]]\nlogs = \"/[\"\nto = \"file:/x\"", "logs: \"/[\": "),
        ("[[ship]]\nlogs = \"/x\"\nto = \"file:/x\"\nunit = \"5G\"", "not between 1 and 64M"),
        ("[[ship]]\nlogs = \"/x\"\nto = \"file:/x\"\nunit = true", "unit: a text or a number"),
        ("[[ship]]\nlogs = \"/x\"\nto = \"file:/x\"\ntrust-path = 1", "trust-path: true or false"),
        ("[[ship]]\nlogs = \"/x\"\nto = \"file:/x\"\nunits = 1", "\"units\" is none of its keys: "),
        ("[[ship]]\nlogs = \"/x\"\nto = \"file:/x\"\naccept-gap = true", "\"accept-gap\" is for one run"),
        ("[[ship]]\nlogs = \"/x\"\nto = \"nowhere:x\"", "no such sink"),
        ("[[ship]]\nlogs = \"/x\"\nto = \"exec\"", "--to exec needs a command"),
        ("[[ship]\n", "line 1: "),
        ("\n\n[[ship]]\nlogs = x\n", "line 4: "),
    ] {
        fs::write(many.path("ship.toml"), text).unwrap();
        let said = many.run(&[]).is(2, says).said;
        assert_eq!(said.lines().count(), 1, "{said}");
        many.run(&["--until-now"]).is(2, "ship.toml: ");
    }
    fs::remove_file(many.path("ship.toml")).unwrap();
    many.run(&[]).is(1, "cannot read");
    many.run(&["--unit", "1M"]).is(2, "cannot be used with");
    assert!(!many.path("out/a").exists());
}

#[test]
fn a_log_that_two_entries_name_and_a_pattern_that_names_none_are_said() {
    let many = Many::new("{log}", "");
    many.append("a.log", b"of a\n");
    let at = many.dir.path().display();
    let mut text = fs::read_to_string(many.path("ship.toml")).unwrap();
    text.push_str(&format!("[[ship]]\nlogs = \"{at}/a.log\"\nto = \"file:{at}/out/second\"\n"));
    text.push_str(&format!("[[ship]]\nlogs = \"{at}/none/*.log\"\nto = \"file:{at}/out/third\"\n"));
    fs::write(many.path("ship.toml"), text).unwrap();
    let said =
        many.run(&["--until-now"]).is(0, "a.log: shipped as [[ship]] 1 says, and [[ship]] 2 names it").said;
    assert!(said.contains("/none/*.log\" names"), "{said}");
    assert_eq!(many.shipped("a"), b"of a\n");
    assert!(!many.path("out/second").exists());
    let mut running = many.start();
    running.says("[[ship]] 2 names it, too");
    running.says("/none/*.log\" names");
    let (said, code) = running.end();
    assert!(code == Some(0) && said.is_empty(), "said once: {said:?}");
}

#[test]
fn where_this_user_may_not_look_for_logs_that_is_said_and_no_success() {
    let many = Many::new("{log}", "");
    let open = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir(many.path("closed")).unwrap();
    open(many.path("closed"), 0o700);
    open(many.path("."), 0o755);
    let at = many.dir.path().display();
    let text = format!("[[ship]]\nlogs = \"{at}/closed/*.log\"\nto = \"file:{at}/out/{{log}}\"\n");
    fs::write(many.path("ship.toml"), text).unwrap();
    open(many.path("ship.toml"), 0o644);
    let mut command = many.command(&["--until-now"]);
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    } else {
        open(many.path("closed"), 0);
    }
    match command.output() {
        Err(e) => println!("SKIPPED: another user cannot run it here: {e}"),
        Ok(output) => {
            let said = Ended::of(&output).is(1, "closed: cannot look for logs").said;
            assert!(said.contains("there may be logs where this user may not look"), "{said}");
        }
    }
    open(many.path("closed"), 0o700);
}

#[test]
fn a_service_manager_is_told_that_it_is_up_and_how_many_logs_there_are() {
    let many = Many::new("{log}", "");
    many.append("a.log", b"of a\n");
    let socket = UnixDatagram::bind(many.path("notify")).unwrap();
    let mut command = many.command(&[]);
    command.env("NOTIFY_SOCKET", many.path("notify"));
    let shipper = stage::Shipper::of(command.stderr(Stdio::piped()));
    let hears = || {
        let mut bytes = [0; 4096];
        let got = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..got]).into_owned()
    };
    assert_eq!(hears().trim(), "READY=1");
    assert_eq!(hears().trim(), "STATUS=1 log");
    shipper.end().is(0, "");
    assert_eq!(hears().trim(), "STOPPING=1");
}
