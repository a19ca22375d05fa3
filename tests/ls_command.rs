//! Guards `mmlogctl ls`: every log that somebody has open, or that lies below a directory, once, with what it is; and that
//! nothing that others put there leads it anywhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod cli;
mod common;
#[path = "ls_command/odd.rs"]
mod odd;
#[path = "ls_command/others.rs"]
mod others;
#[path = "ls_command/strays.rs"]
mod strays;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cli::{Ended, Running, Scratch, Tool, is_root, metadata_of, mmlogctl, small_disk, wait_for};
use serde_json::Value;

#[test]
fn role() {
    common::play(&[("appends", odd::appends)]);
}

/// `mmlogctl ls` with these arguments.
fn ls<'a>(args: impl IntoIterator<Item = &'a str>) -> Tool {
    Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg("ls").args(args)
}

/// What it says of the logs, and of itself.
fn objects(ended: &Ended) -> (Vec<Value>, Value) {
    let text = ended.text();
    let mut all: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = all.pop().unwrap()["summary"].take();
    assert_eq!(summary["logs"], all.len());
    (all, summary)
}

/// All that it says of the logs of that path, of all logs of the host.
fn of(log: &Path) -> Vec<Value> {
    let (all, _) = objects(&ls(["--json"]).run());
    all.into_iter().filter(|object| object["path"] == log.to_str().unwrap()).collect()
}

/// The processes that have it open.
fn open_by(object: &Value) -> Vec<u32> {
    let holders = object["open_by"].as_array().unwrap();
    holders.iter().map(|holder| u32::try_from(holder["pid"].as_u64().unwrap()).unwrap()).collect()
}

/// A log that a process has open.
fn in_use(log: &Path) -> Running {
    mmlogctl("init", log).run().is_success();
    let writer = mmlogctl("append", log).start();
    writer.until_open(&metadata_of(log));
    writer
}

/// A process that has a file open, and knows nothing of logs.
struct Holder(Child);

impl Holder {
    fn of(file: File) -> Self {
        Self::called(Path::new("sleep"), file)
    }

    fn called(sleep: &Path, file: File) -> Self {
        Self(Command::new(sleep).arg("600").stdin(file).spawn().unwrap())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_a_process_has_open_is_found_wherever_it_lies() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let writer = in_use(&log);
    let found = of(&log);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["sight"], &found[0]["state"]), (&"here".into(), &"OK".into()));
    assert!(open_by(&found[0]).contains(&writer.pid()), "{found:?}");
    assert_eq!(found[0]["figures"]["writers"], 1);
    writer.end().is_success();
    wait_for("nobody has it open", || of(&log).is_empty().then_some(()));
}

#[test]
fn who_only_looks_at_a_log_does_not_use_it() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let looking = mmlogctl("inspect", &log).args(["--batch", "-d", "50ms"]).start();
    looking.until_open(&metadata_of(&log));
    looking.until_stdout(|text| !text.is_empty());
    // Whoever else lists all logs at this moment is just opening it, perhaps.
    wait_for("the list without it", || of(&log).is_empty().then_some(()));
}

#[test]
fn logs_below_a_directory_are_listed_the_worst_first() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.file("a/b")).unwrap();
    for name in ["z.log", "a/one.log", "a/b/two.log"] {
        mmlogctl("append", &scratch.file(name)).input(b"some bytes\n").run().is_success();
    }
    fs::remove_file(scratch.file("z.log")).unwrap();
    let below = |more: &[&str]| {
        ls(["--only-below"]).args(more).arg(".").with(|command| command.current_dir(scratch.path())).run()
    };
    let ended = below(&[]);
    let text = ended.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((ended.code, lines[0]), (0, "3 logs: 1 DAMAGED, 2 OK"), "{text}");
    assert!(lines[1].starts_with("STATE ") && lines[1].ends_with("  LOG"), "{text}");
    assert!(lines[2].starts_with("DAMAGED ") && lines[2].ends_with("  ./z.log"), "{text}");
    assert!(lines[3].starts_with("  the data file is gone"), "{text}");
    let (step, others) = lines[4..].split_at(lines.len() - 6);
    assert!(step[0].starts_with("  next ") && step.iter().any(|line| line.contains("mmlogctl ")), "{text}");
    assert!(others[0].starts_with("OK ") && others[0].ends_with("  ./a/b/two.log"), "{text}");
    assert!(others[1].ends_with("  ./a/one.log") && others.len() == 2, "{text}");
    assert_eq!(below(&["--exit-code"]).code, 2);
    fs::remove_file(metadata_of(&scratch.file("z.log"))).unwrap();
    assert_eq!(below(&["--exit-code"]).code, 0);
    let (all, summary) = objects(&below(&["--json"]));
    assert_eq!(summary["states"]["OK"], 2);
    assert_eq!((&all[0]["open_by"], &all[0]["figures"]["kept"]), (&Value::Null, &11.into()));
}

#[test]
fn where_there_is_no_log_it_says_where_it_has_looked() {
    let scratch = Scratch::new();
    let ended = ls(["--only-below"]).arg(scratch.path()).run();
    ended.printed(format!("no logs below {}\n", scratch.path().display()).as_bytes());
}

#[test]
fn a_log_that_is_open_below_a_directory_is_listed_once_by_the_path_below_it() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let writer = in_use(&log);
    let link = Scratch::new();
    symlink(scratch.path(), link.file("link")).unwrap();
    let (all, _) = objects(&ls(["--json"]).arg(link.file("link")).run());
    let ours: Vec<&Value> = all.iter().filter(|o| o["path"].as_str().unwrap().ends_with("app.log")).collect();
    let ours: Vec<&&Value> = ours.iter().filter(|o| open_by(o).contains(&writer.pid())).collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0]["path"], link.file("link/app.log").to_str().unwrap());
}

/// Ends a thread, also where the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_rate_is_what_is_appended_meanwhile() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut writer = mmlog::Log::options().open_or_create(&log).unwrap().writer().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                writer.append(b"some bytes\n").unwrap();
                thread::yield_now();
            }
        });
        let _stopped = Stop(&stop);
        wait_for("a rate", || {
            let (all, _) = objects(&ls(["--json", "--only-below"]).arg(scratch.path()).run());
            all.first().and_then(|log| log["figures"]["rate"].as_u64()).filter(|rate| *rate > 0)
        });
    });
}

#[test]
fn links_and_what_is_mounted_below_are_left_alone() {
    let scratch = Scratch::new();
    let other = Scratch::new();
    mmlogctl("init", &other.file("other.log")).run().is_success();
    let tree = scratch.file("tree");
    fs::create_dir(&tree).unwrap();
    mmlogctl("init", &tree.join("app.log")).run().is_success();
    symlink(other.path(), tree.join("directory")).unwrap();
    symlink(other.file("other.log.mmlog"), tree.join("file.log.mmlog")).unwrap();
    symlink(&tree, tree.join("loop")).unwrap();
    let paths = |more: &[&str]| -> Vec<String> {
        let (all, _) = objects(&ls(["--json", "--only-below"]).args(more).arg(&tree).run());
        all.iter().map(|object| object["path"].as_str().unwrap().to_owned()).collect()
    };
    let app = tree.join("app.log").to_str().unwrap().to_owned();
    assert_eq!(paths(&[]), [&*app]);
    let Some(place) = small_disk(&scratch, "256M", "what is mounted is left alone") else { return };
    mmlogctl("init", &place.join("mounted.log")).run().is_success();
    fs::create_dir(tree.join("mount")).unwrap();
    let bind = nix::mount::MsFlags::MS_BIND;
    nix::mount::mount(Some(&place), &tree.join("mount"), None::<&str>, bind, None::<&str>).unwrap();
    assert_eq!(paths(&[]), [&*app]);
    let mounted = tree.join("mount/mounted.log").to_str().unwrap().to_owned();
    assert_eq!(paths(&["--cross-mounts"]), [app, mounted]);
}

#[test]
fn few_descriptors_are_enough_for_many_logs() {
    let scratch = Scratch::new();
    for i in 0..40 {
        mmlogctl("init", &scratch.file(&format!("{i}.log"))).run().is_success();
    }
    // Some logs together.
    let tool = ls(["--only-below"]).arg(scratch.path()).through("prlimit", &["--nofile=80:80"]);
    let ended = tool.run();
    assert_eq!((ended.code, ended.text().lines().next().unwrap()), (0, "40 logs: 40 OK"), "{ended:?}");
}

#[test]
fn what_is_no_directory_is_said_and_the_rest_is_listed() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let ended = ls(["--only-below"]).arg(scratch.file("none")).arg(&log).arg(scratch.path()).run();
    assert_eq!((ended.code, ended.text().lines().next().unwrap()), (1, "1 log: 1 OK"));
    let said = &ended.stderr;
    assert!(said.contains("none: no such directory; correct the path"), "{said}");
    let one =
        format!("app.log: not a directory, which this lists; `mmlogctl status {}` shows", log.display());
    assert!(said.contains(&one), "{said}");
    let ended = ls(["--only-below"]).arg(scratch.file("none")).run();
    assert_eq!((ended.code, ended.text().as_str()), (1, ""), "that there is no log is not known");
    assert_eq!(ls(["--only-below"]).run().code, 2, "it needs a DIR");
}

#[test]
fn the_exit_code_is_another_where_a_log_is_damaged() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let of = |args: &[&str]| ls(args.iter().copied()).arg(scratch.path()).run().code;
    assert_eq!(of(&["--only-below"]), 0);
    std::fs::write(cli::metadata_of(&log), [7; 8192]).unwrap();
    assert_eq!([of(&["--only-below"]), of(&["--only-below", "--exit-code"])], [4, 2]);
}

#[test]
fn each_log_has_its_policy_in_a_column() {
    let scratch = Scratch::new();
    let bounds = ["--rotate-size=64M", "--keep=10", "--keep-age=30d", "--keep-free=5%", "--compress=zstd"];
    let (bounded, free) = (scratch.file("bounded.log"), scratch.file("free.log"));
    mmlogctl("init", &bounded).args(bounds).run().is_success();
    mmlogctl("init", &free).run().is_success();
    let list = |args: &[&str]| ls(args.iter().copied()).arg("--only-below").arg(scratch.path()).run();
    let text = list(&[]).text();
    let row = |log: &Path| text.lines().find(|line| line.ends_with(log.to_str().unwrap())).unwrap();
    assert!(
        text.contains("POLICY") && row(&bounded).contains("  64M keep 10 keep 30d free 5% zstd  "),
        "{text}"
    );
    assert!(!row(&free).contains("keep"), "{text}");
    let (all, _) = objects(&list(&["--json"]));
    let of = |log: &Path| all.iter().find(|object| object["path"] == log.to_str().unwrap()).unwrap();
    assert_eq!(of(&free)["figures"]["policy"], Value::Null);
    assert_eq!(of(&bounded)["figures"]["policy"], "64M keep 10 keep 30d free 5% zstd");
    let rules = &of(&bounded)["policy"]["rules"];
    assert_eq!((&rules["rotate_size"], &rules["keep"]), (&(64 << 20).into(), &10.into()));
}

#[test]
fn the_list_of_inspect_without_a_log_is_that_of_ls() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let writer = in_use(&log);
    let tool = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(["inspect", "--once"]);
    let text = tool.arg("--json").run().text();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ours: Vec<Value> = all.filter(|object| object["path"] == log.to_str().unwrap()).collect();
    assert_eq!(ours.len(), 1);
    assert!(open_by(&ours[0]).contains(&writer.pid()), "{ours:?}");
    assert_eq!((&ours[0]["state"], ours[0]["rates"]["bytes_per_second"].as_f64()), (&"OK".into(), Some(0.0)));
}
