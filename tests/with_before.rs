//! Guards that the version before the spare fields of the format came into use, and this one, work on one log at the same
//! time, both ways. `MMLOGCTL_BEFORE` is the path of its `mmlogctl`; `.ci/run` builds it from the history.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cli::{Running, Scratch, Tool, reboot, skipped, succeeds, wait_for};
use nix::sys::signal::Signal;

/// A version of the tool.
#[derive(Clone, Debug)]
struct Version {
    name: &'static str,
    program: PathBuf,
}

impl Version {
    fn tool(&self, command: &str, log: &Path) -> Tool {
        Tool::new(&self.program).arg(command).arg(log)
    }

    fn content(&self, log: &Path) -> String {
        let ended = self.tool("cat", log).run();
        assert_eq!(ended.code, 0, "{self:?}: {ended:?}");
        ended.text()
    }

    fn says_it_is_sound(&self, log: &Path) {
        let ended = self.tool("check", log).arg("--deep").run();
        assert_eq!(ended.code, 0, "{self:?}: {ended:?}");
    }
}

/// The version before and this one, and the other way round; nothing where there is none.
fn both_ways(claim: &str) -> Vec<[Version; 2]> {
    let Some(program) = std::env::var_os("MMLOGCTL_BEFORE").map(PathBuf::from) else {
        skipped(claim, "MMLOGCTL_BEFORE does not name the tool of the version before");
        return Vec::new();
    };
    let before = Version { name: "before", program };
    let now = Version { name: "now", program: env!("CARGO_BIN_EXE_mmlogctl").into() };
    vec![[before.clone(), now.clone()], [now, before]]
}

fn appending(version: &Version, log: &Path) -> Running {
    let small = ["--chunk-size=64K", "--max-writers=16"];
    version.tool("append", log).args(small).start()
}

/// How often each line is there, in the order of each writer.
fn lines_of(text: &str) -> BTreeMap<&str, Vec<u32>> {
    let mut found: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for line in text.lines() {
        let (writer, number) = line.split_once(' ').unwrap_or_else(|| panic!("no line of ours: {line:?}"));
        found.entry(writer).or_default().push(number.parse().unwrap());
    }
    found
}

#[test]
fn both_append_follow_rotate_trim_and_read_one_log_at_the_same_time() {
    const ROUNDS: u32 = 12;
    const LINES: u32 = 500;
    for versions in both_ways("both work on one log at the same time") {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let mut writers: Vec<(String, Running)> = Vec::new();
        for version in versions.iter().chain(&versions) {
            let name = format!("{}-{}", version.name, writers.len());
            writers.push((name, appending(version, &log)));
            writers.last().unwrap().1.until_open(&cli::metadata_of(&log));
        }
        let tails: Vec<Running> =
            versions.iter().map(|v| v.tool("tail", &log).args(["-F", "-n", "+1"]).start()).collect();
        for round in 0..ROUNDS {
            for (name, writer) in &mut writers {
                let lines = (round * LINES..(round + 1) * LINES).map(|n| format!("{name} {n}\n"));
                writer.feed(lines.collect::<String>().as_bytes());
            }
            let version = &versions[(round % 2) as usize];
            let command = if round % 3 == 0 { "trim" } else { "rotate" };
            version.tool(command, &log).args(["--wait", "30s"]).run().is_success();
        }
        let names: Vec<String> = writers.iter().map(|(name, _)| name.clone()).collect();
        writers.into_iter().for_each(|(_, writer)| writer.end().is_success());
        let wanted: Vec<u32> = (0..ROUNDS * LINES).collect();
        let is_all = |text: &str| {
            let found = lines_of(text);
            found.len() == names.len() && names.iter().all(|name| found[name.as_str()] == wanted)
        };
        for version in &versions {
            assert!(is_all(&version.content(&log)), "{version:?} reads something else");
            version.says_it_is_sound(&log);
        }
        for tail in tails {
            tail.until_stdout(|seen| seen.iter().filter(|b| **b == b'\n').count() == 4 * wanted.len());
            assert!(is_all(&String::from_utf8(tail.printed()).unwrap()));
        }
        // Both prune, and both go on with what is left.
        versions[0].tool("prune", &log).args(["--keep", "3"]).run().is_success();
        versions[1].tool("prune", &log).args(["--keep", "1"]).run().is_success();
        let rest = versions.each_ref().map(|v| v.content(&log));
        assert!(rest[0] == rest[1] && !rest[0].is_empty());
        versions.iter().for_each(|v| v.says_it_is_sound(&log));
    }
}

#[test]
fn each_goes_on_where_the_other_was_killed() {
    for [victim, heir] in both_ways("each goes on where the other was killed") {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let mut wanted = String::new();
        for number in 0..5 {
            let mut append = appending(&victim, &log);
            append.feed(format!("victim {number}\n").as_bytes());
            wanted.push_str(&format!("victim {number}\n"));
            wait_for("the line", || (heir.tool("cat", &log).run().text() == wanted).then_some(()));
            append.signal(Signal::SIGKILL);
            append.end();
            heir.tool("append", &log).input(format!("heir {number}\n").as_bytes()).run().is_success();
            wanted.push_str(&format!("heir {number}\n"));
            if number % 2 == 0 {
                heir.tool("rotate", &log).run().is_success();
            }
        }
        assert_eq!((victim.content(&log), heir.content(&log)), (wanted.clone(), wanted));
        victim.says_it_is_sound(&log);
        heir.says_it_is_sound(&log);
    }
}

#[test]
fn each_recovers_after_a_reboot_what_the_other_has_written() {
    for [writer, heir] in both_ways("each recovers what the other has written") {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let mut append = appending(&writer, &log);
        append.feed(b"durable\n");
        wait_for("the line", || (writer.tool("cat", &log).run().text() == "durable\n").then_some(()));
        append.signal(Signal::SIGKILL);
        append.end();
        reboot(&log);
        heir.tool("append", &log).input(b"after the reboot\n").run().is_success();
        writer.tool("append", &log).input(b"and on\n").run().is_success();
        let status = mmlog::Options::new().open_reader(&log).unwrap().status().unwrap();
        assert_eq!(status.id.epoch, 1, "it was recovered, once");
        for version in [&writer, &heir] {
            assert_eq!(version.content(&log), "durable\nafter the reboot\nand on\n", "{version:?}");
            version.says_it_is_sound(&log);
        }
    }
}

#[test]
fn what_this_version_notes_does_not_trouble_the_one_before() {
    for versions in both_ways("what this version notes does not trouble the one before").into_iter().take(1) {
        let [before, now] = versions;
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let here = |tool: Tool| tool.with(|command| command.current_dir(scratch.path()));
        now.tool("append", &log).input(b"one\n").run().is_success();
        let failed = here(now.tool("rotate", &log).args(["--run", "exit 1"])).run();
        assert_eq!(failed.code, 1, "{failed:?}");
        OpenOptions::new().append(true).open(&log).unwrap().write_all(b"by a script\n").unwrap();
        now.tool("append", &log).input(b"two\n").run().is_success();
        before.tool("append", &log).input(b"three\n").run().is_success();
        here(before.tool("rotate", &log).args(["--run", "echo $MMLOG_GENERATION >> by_before"]))
            .run()
            .is_success();
        here(now.tool("rotate", &log).args(["--run", "echo $MMLOG_GENERATION >> by_now"])).run().is_success();
        let read = |name: &str| std::fs::read_to_string(scratch.file(name)).unwrap();
        assert_eq!((read("by_before").as_str(), read("by_now").as_str()), ("1\n", "0\n"));
        for version in [&before, &now] {
            assert_eq!(version.content(&log), "one\nby a script\ntwo\nthree\n", "{version:?}");
            version.says_it_is_sound(&log);
        }
    }
}

#[test]
fn what_is_dropped_right_now_does_not_trouble_the_version_before() {
    if !succeeds(Command::new("prlimit").arg("--version")) {
        return skipped("what is dropped does not trouble the version before", "there is no prlimit(1) here");
    }
    for [one, other] in both_ways("what is dropped right now does not trouble the version before") {
        let now = if one.name == "now" { &one } else { &other };
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        one.tool("append", &log).args(["--chunk-size=64K"]).input(b"one\n").run().is_success();
        let dropping = now.tool("append", &log).arg("--on-full=drop").through("prlimit", &["--fsize=65536:"]);
        let mut dropping = dropping.start();
        dropping.feed(&b"0123456789abcde\n".repeat(1 << 14));
        dropping.until_stderr("(dropping what comes, until there is space)");
        for version in [&one, &other] {
            version.tool("status", &log).run().is_success();
            version.tool("append", &log).input(b"two\n").run().is_success();
            version.says_it_is_sound(&log);
        }
        assert_eq!(one.content(&log), other.content(&log));
        dropping.signal(Signal::SIGKILL);
        dropping.end();
    }
}

#[test]
fn followers_that_only_this_version_sees_trouble_nobody() {
    for [one, other] in both_ways("followers that only this version sees trouble nobody") {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let mut writers = [&one, &other].map(|version| {
            let writer = appending(version, &log);
            writer.until_open(&cli::metadata_of(&log));
            writer
        });
        let tails: Vec<Running> =
            [&one, &other].map(|v| v.tool("tail", &log).args(["-F", "-n", "+1"]).start()).into();
        let now = tails.iter().zip([&one, &other]).find(|(_, v)| v.name == "now").unwrap().0.pid();
        let seen = || {
            let status = mmlog::Options::new().open_reader(&log).unwrap().status().unwrap();
            status.followers.iter().map(|f| (f.pid, f.lag)).collect::<Vec<_>>()
        };
        let mut wanted = String::new();
        for round in 0..4 {
            for (writer, version) in writers.iter_mut().zip([&one, &other]) {
                let line = format!("{} {round}\n", version.name);
                writer.feed(line.as_bytes());
                wanted.push_str(&line);
                tails.iter().for_each(|tail| tail.until_stdout(|printed| printed == wanted.as_bytes()));
            }
            wait_for("the one that says so", || (seen() == [(now, 0)]).then_some(()));
            let version = if round % 2 == 0 { &one } else { &other };
            version.tool("rotate", &log).args(["--wait", "30s"]).run().is_success();
        }
        for version in [&one, &other] {
            version.says_it_is_sound(&log);
            version.tool("status", &log).run().is_success();
        }
        // Neither keeps anything for it.
        writers.map(Running::end).iter().for_each(cli::Ended::is_success);
        other.tool("prune", &log).args(["--keep", "1"]).run().is_success();
        for tail in tails {
            tail.signal(Signal::SIGTERM);
            tail.end();
        }
    }
}

#[test]
fn metadata_of_the_version_before_gets_places_for_followers_and_stays_its_own() {
    for versions in both_ways("metadata of the version before gets places for followers").into_iter().take(1)
    {
        let [before, now] = versions;
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let metadata_len = || std::fs::metadata(cli::metadata_of(&log)).unwrap().len();
        let mut writer = appending(&before, &log);
        writer.feed(b"one\n");
        // Who follows starts faster than the one before makes the log.
        wait_for("the line", || {
            std::fs::read(&log).is_ok_and(|bytes| bytes.starts_with(b"one\n")).then_some(())
        });
        let tail = now.tool("tail", &log).args(["-f", "-n", "+1"]).start();
        tail.until_stdout(|printed| printed == b"one\n");
        let len = metadata_len();
        now.tool("append", &log).input(b"two\n").run().is_success();
        assert!(metadata_len() > len, "who writes makes them");
        let status = || mmlog::Options::new().open_reader(&log).unwrap().status().unwrap();
        wait_for("the follower that was there before", || {
            status().followers.iter().any(|f| f.pid == tail.pid()).then_some(())
        });
        writer.feed(b"three\n");
        tail.until_stdout(|printed| printed == b"one\ntwo\nthree\n");
        writer.end().is_success();
        // Rebuilt by the one before, it has none until this one writes again.
        cli::poke(&log, cli::at::MAGIC, &[0; 8]);
        before.tool("repair", &log).args(["--rebuild"]).run().is_success();
        assert!(status().followers.is_empty());
        now.tool("append", &log).input(b"four\n").run().is_success();
        let again = now.tool("tail", &log).args(["-f", "-n", "+1"]).start();
        wait_for("a follower", || status().followers.iter().any(|f| f.pid == again.pid()).then_some(()));
        for version in [&before, &now] {
            assert_eq!(version.content(&log), "one\ntwo\nthree\nfour\n");
            version.says_it_is_sound(&log);
        }
    }
}

#[test]
fn what_is_noted_of_times_is_right_whoever_made_recovered_or_appended_to_the_log() {
    use std::time::{Duration, SystemTime};
    let open = |log: &Path| mmlog::Options::new().open_reader(log).unwrap();
    for [maker, other] in both_ways("what is noted of times is right with the version before") {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let mut lines = Vec::new();
        let mut append = |version: &Version| {
            let (began, at) = (SystemTime::now(), std::fs::metadata(&log).map_or(0, |found| found.len()));
            let line = format!("{} {}\n", version.name, lines.len());
            version.tool("append", &log).args(["--max-writers=16"]).input(line.as_bytes()).run().is_success();
            lines.push((began, at, SystemTime::now(), line));
        };
        append(&maker);
        append(&other);
        let now_made_it = maker.name == "now";
        assert_eq!(
            !open(&log).pairs().unwrap().is_empty(),
            now_made_it,
            "a log of the one before has no ring"
        );
        // Recovered by the one before: positions may have come twice.
        reboot(&log);
        let before = if now_made_it { &other } else { &maker };
        append(before);
        assert!(open(&log).pairs().unwrap().is_empty());
        let now = if now_made_it { &maker } else { &other };
        append(now);
        append(before);
        append(now);
        assert_eq!(!open(&log).pairs().unwrap().is_empty(), now_made_it, "noted anew");
        // Recovered by this one.
        reboot(&log);
        append(now);
        append(before);
        assert_eq!(!open(&log).pairs().unwrap().is_empty(), now_made_it);
        let whole = lines.iter().map(|(.., line)| line.as_str()).collect::<String>();
        for version in [&maker, &other] {
            assert_eq!(version.content(&log), whole, "{version:?}");
            version.says_it_is_sound(&log);
        }
        for (began, at, ended, line) in &lines {
            let span = open(&log).span(Some(*began), Some(*ended)).unwrap();
            let end = at + line.len() as u64;
            assert!(span.from <= *at && span.to.is_none_or(|to| to >= end), "{line:?} {at}: {span:?}");
        }
        let future = open(&log).span(Some(SystemTime::now() + Duration::from_secs(3600)), None).unwrap();
        assert!(future.to.is_none());
    }
}

#[test]
fn appends_go_by_age_in_a_log_that_the_version_before_has_made() {
    for versions in both_ways("ages in a log of the version before").into_iter().take(1) {
        let [before, now] = versions;
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        before.tool("append", &log).input(b"one\n").run().is_success();
        before.tool("rotate", &log).run().is_success();
        now.tool("policy", &log).args(["--set", "keep-age=1s"]).run().is_success();
        // No clock was noted that it could differ from.
        wait_for("the old segment to go", || {
            now.tool("append", &log).input(b"two\n").run().is_success();
            (!now.content(&log).contains("one")).then_some(())
        });
    }
}

#[test]
fn a_policy_is_carried_out_by_this_version_and_neither_read_nor_lost_by_the_one_before() {
    for versions in both_ways("a policy does not trouble the version before").into_iter().take(1) {
        let [before, now] = versions;
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let mut appended = String::new();
        let mut append = |version: &Version, kib: usize, args: &[&str]| {
            let from = appended.len();
            (0..kib).for_each(|_| appended += &format!("{:>1023}\n", appended.len()));
            let input = &appended.as_bytes()[from..];
            version.tool("append", &log).args(args).input(input).run().is_success();
        };
        let finals = || {
            let names = std::fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_str().unwrap().starts_with("app.log.0")).count()
        };
        append(&now, 60, &["--max-writers=16", "--rotate-size=64K", "--keep=2"]);
        append(&before, 200, &[]);
        assert_eq!(finals(), 0, "the one before does not rotate");
        for _ in 0..4 {
            append(&now, 60, &[]);
        }
        assert_eq!(finals(), 2);
        before.tool("rotate", &log).run().is_success();
        append(&before, 10, &[]);
        assert_eq!(finals(), 3, "nor does it prune");
        for _ in 0..3 {
            append(&now, 60, &[]);
        }
        assert_eq!(finals(), 2);
        let policy = now.tool("policy", &log).run().text();
        assert!(policy.contains("rotate-size=64K keep=2, set"), "{policy}");
        for version in [&before, &now] {
            let left = version.content(&log);
            assert!(left.len() > 64 << 10 && appended.ends_with(&left), "{} bytes are left", left.len());
            version.says_it_is_sound(&log);
        }
    }
}
