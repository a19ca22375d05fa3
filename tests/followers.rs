//! Guards followers that are seen: who reads a log is listed with what it has not read, never a dead one, and never at
//! the cost of anybody; nothing is kept for it, and one that cannot say that it follows, follows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
#[path = "followers/held.rs"]
mod held;

use std::collections::HashSet;
use std::fs::{self, OpenOptions, Permissions};
use std::mem::offset_of;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use cli::{
    Bytes, Held, NOBODY, Running, Scratch, Tool, at, is_root, metadata_of, mmlogctl, poke, skipped, wait_for,
};
use mmlog::layout::{
    FOLLOWING_BYTES, FOLLOWING_MAX, FollowingPlace, Header, SLOTS_AT, Slot, following_at, total_len,
};
use mmlog::repair::Wish;
use mmlog::{FindingId, FollowerStatus, Log, Next, ProcessState, Severity, Start, Status};
use nix::sys::signal::Signal;
use serde_json::Value;

const WRITERS: u32 = 8;

fn new_log(scratch: &Scratch, content: &[u8]) -> std::path::PathBuf {
    let log = scratch.file("app.log");
    append(&log, content);
    log
}

fn append(log: &Path, content: &[u8]) {
    let small = ["--raw", "--chunk-size=4K", "--max-writers=8"];
    mmlogctl("append", log).args(small).input(content).run().is_success();
}

fn tail(log: &Path, options: &[&str]) -> Tool {
    mmlogctl("tail", log).arg("-f").args(options)
}

fn status(log: &Path) -> Status {
    Log::options().open_reader(log).unwrap().status().unwrap()
}

/// Waits until that process is seen as a follower, as wanted.
fn seen(log: &Path, process: &Running, wanted: impl Fn(&FollowerStatus) -> bool) -> FollowerStatus {
    wait_for("it is seen", || status(log).followers.into_iter().find(|f| f.pid == process.pid() && wanted(f)))
}

fn place(index: usize, field: usize) -> usize {
    following_at(WRITERS) + index * size_of::<FollowingPlace>() + field
}

/// As earlier software makes metadata.
fn without_places(log: &Path) {
    poke(log, offset_of!(Header, identity.features_optional), &[0; 4]);
    poke(log, offset_of!(Header, following), &[0; 64]);
    let metadata = OpenOptions::new().write(true).open(metadata_of(log)).unwrap();
    metadata.set_len(total_len(WRITERS) as u64).unwrap();
}

#[test]
fn a_tail_is_listed_with_what_it_has_not_read_until_it_ends() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let running = tail(&log, &["-n", "+1"]).start();
    let at_first = seen(&log, &running, |f| f.position == 9);
    assert_eq!((at_first.lag, at_first.name.as_deref(), at_first.is_beyond), (0, None, false));
    assert!(at_first.command_line.unwrap().starts_with("mmlogctl tail"), "as it was called");
    append(&log, b"another\n");
    assert_eq!(seen(&log, &running, |f| f.position == 17).since, at_first.since);

    let shown = mmlogctl("status", &log).run().text();
    let line = shown.lines().find(|line| line.starts_with("  followers")).unwrap();
    assert!(line.contains("mmlogctl tail") && line.contains(" at 17, 0 B behind"), "{line}");
    let screen = mmlogctl("inspect", &log)
        .arg("--once")
        .with(|command| command.env("COLUMNS", "120").env("LINES", "40"));
    let screen = screen.run().text();
    assert!(screen.contains("followers 1") && screen.contains("mmlogctl tail"), "{screen}");
    let json: Value = serde_json::from_slice(&mmlogctl("status", &log).arg("--json").run().stdout).unwrap();
    let follower = &json["followers"][0];
    let figures = ["position", "lag", "pid", "pid_here"].map(|key| follower[key].as_u64().unwrap());
    assert_eq!(figures, [17, 0, u64::from(running.pid()), u64::from(running.pid())]);
    assert!(follower["seen"].is_string() && json["followers_full"] == false, "{follower}");
    let metrics = mmlogctl("check", &log).args(["--prom", "-"]).run().text();
    let sample = format!("follower=\"mmlogctl\",pid=\"{}\"}} 0\n", running.pid());
    assert!(metrics.contains("mmlog_follower_lag_bytes{") && metrics.contains(&sample), "{metrics}");
    assert!(metrics.contains(&format!("mmlog_followers{{log=\"{}\"}} 1\n", log.display())), "{metrics}");

    running.signal(Signal::SIGTERM);
    running.end();
    assert_eq!(status(&log).followers.len(), 0);
}

#[test]
fn the_place_of_a_killed_follower_is_the_next_ones_and_never_shows_the_dead_one() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let mut last = tail(&log, &[]).start();
    seen(&log, &last, |_| true);
    for _ in 0..8 {
        last.signal(Signal::SIGKILL);
        let dead = last.pid();
        last.end();
        assert!(status(&log).followers.is_empty(), "the kernel knows");
        last = tail(&log, &[]).start();
        let all = wait_for("the next one", || Some(status(&log).followers).filter(|all| !all.is_empty()));
        assert!(all.iter().all(|f| f.pid == last.pid() && f.pid != dead), "{all:?}");
        let bytes = fs::read(metadata_of(&log)).unwrap();
        let pid = |index| bytes[place(index, offset_of!(FollowingPlace, pid))..][..4].try_into().unwrap();
        assert_eq!([0, 1].map(|i| u32::from_ne_bytes(pid(i))), [last.pid(), 0], "it took the first place");
    }
}

/// Somebody has taken the place of a dead follower, and stands before it has said who he is.
#[test]
fn who_has_taken_a_place_and_not_filled_it_is_not_shown_as_the_one_before() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let dead = tail(&log, &[]).start();
    seen(&log, &dead, |_| true);
    dead.signal(Signal::SIGKILL);
    dead.end();
    let _stands = Held::byte(&log, FOLLOWING_BYTES);
    assert!(status(&log).followers.is_empty());
    let next = tail(&log, &[]).start();
    seen(&log, &next, |_| true);
    assert_eq!(status(&log).followers.len(), 1);
}

#[test]
fn a_follower_that_nobody_reads_from_is_seen_to_fall_behind_and_keeps_nothing() {
    let scratch = Scratch::new();
    // More than the pipe and the buffer that it reads into.
    let log = new_log(&scratch, &b"more than a pipe holds\n".repeat(1 << 17));
    let blocked = tail(&log, &["-n", "+1"]).start_unread();
    let follower = seen(&log, &blocked, |f| f.lag >= 16 * 4096);
    assert!(follower.process == ProcessState::Sleeping || follower.process == ProcessState::Running);
    let now = status(&log);
    let finding = now.findings.iter().find(|f| f.id == FindingId::ReaderBehind).unwrap();
    assert_eq!((finding.severity, finding.pid), (Severity::Info, Some(blocked.pid())));
    assert!(finding.sentence.contains("behind") && now.problem.is_none(), "{finding:?}");
    // Its own business, unless somebody says how far is too far.
    assert_eq!(mmlogctl("check", &log).run().code, 0);
    assert_eq!(mmlogctl("check", &log).args(["-w", "behind=1K"]).run().code, 0, "that is of holds");
    let asked = mmlogctl("check", &log).args(["-c", "reader_lag=1K"]).run();
    assert_eq!(asked.code, 2, "{asked:?}");

    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("prune", &log).arg("--keep=0").run().is_success();
    let segments = fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(segments, 2, "the log and its metadata: nothing is kept for it");
}

/// Whether it goes on following or not, and however soon its reader stood.
#[test]
fn a_reader_that_nobody_reads_from_is_seen_after_a_second() {
    let scratch = Scratch::new();
    let content = b"more than a pipe holds\n".repeat(1 << 17);
    let log = new_log(&scratch, &content);
    for (command, options) in [("cat", &[][..]), ("tail", &["-n", "+1"])] {
        let blocked = mmlogctl(command, &log).args(options).start_unread();
        let follower = seen(&log, &blocked, |f| f.lag >= 16 * 4096);
        assert_eq!(follower.position + follower.lag, content.len() as u64);
        assert_eq!(status(&log).followers.len(), 1);
        blocked.signal(Signal::SIGKILL);
        blocked.end();
        assert!(status(&log).followers.is_empty());
    }
}

#[test]
fn a_consumer_with_a_hold_is_listed_once() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let cursor_file = format!("--cursor-file={}", scratch.file("place").display());
    let running = tail(&log, &["--hold=shipper", &cursor_file]).start();
    let now = wait_for("both", || {
        let now = status(&log);
        (now.followers_seen == 1 && now.holds.len() == 1).then_some(now)
    });
    assert_eq!((now.holds[0].name.as_str(), now.followers.len()), ("shipper", 0));
    let shown = mmlogctl("status", &log).run().text();
    assert!(shown.contains("\n  holds        shipper") && !shown.contains("\n  followers"), "{shown}");
    running.signal(Signal::SIGTERM);
    running.end();
}

#[test]
fn more_followers_than_places_follow_all_the_same_and_that_is_said() {
    let scratch = Scratch::new();
    let path = new_log(&scratch, b"one line\n");
    let log = Log::options().open_reader(&path).unwrap();
    let mut followers: Vec<_> = (0..=FOLLOWING_MAX).map(|_| log.follow(Start::Oldest).unwrap()).collect();
    followers.iter_mut().for_each(|follower| follower.announce("one of many"));
    let now = status(&path);
    assert_eq!(
        (now.followers.len(), now.followers_full(), now.problem.is_none()),
        (FOLLOWING_MAX, true, true)
    );
    let said = "256 places for followers are taken; others are not seen";
    assert!(mmlogctl("status", &path).run().text().contains(said));
    let mut buf = [0; 64];
    for follower in &mut followers {
        assert_eq!(follower.next(&mut buf).unwrap(), Next::Bytes(0..9));
    }
    followers.pop();
    followers.pop();
    assert!(!status(&path).followers_full());
}

#[test]
fn a_library_follower_is_listed_once_it_has_followed_for_a_second_unless_it_stays_unseen() {
    let scratch = Scratch::new();
    let path = new_log(&scratch, b"one line\n");
    let log = Log::options().open_reader(&path).unwrap();
    let mut unseen = log.follow(Start::Oldest).unwrap();
    unseen.stay_unseen();
    let mut follower = log.follow(Start::Newest).unwrap();
    let begun = Instant::now();
    follower.wait(Duration::ZERO).unwrap();
    let early = status(&path).followers.len();
    assert!(early == 0 || begun.elapsed() >= Duration::from_secs(1));
    wait_for("it is listed", || {
        follower.wait(Duration::from_millis(10)).unwrap();
        unseen.wait(Duration::ZERO).unwrap();
        (status(&path).followers_seen == 1).then_some(())
    });
    assert_eq!(status(&path).followers[0].position, 9);
}

#[test]
fn a_follower_stores_at_most_four_times_a_second() {
    let scratch = Scratch::new();
    let path = new_log(&scratch, b"");
    let log = Log::options().open(&path).unwrap();
    let (mut writer, mut follower) = (log.writer().unwrap(), log.follow(Start::Oldest).unwrap());
    let metadata = fs::File::open(metadata_of(&path)).unwrap();
    let begun = Instant::now();
    follower.announce("");
    let (mut stored, mut buf) = (HashSet::new(), [0; 64]);
    while stored.len() < 4 {
        writer.append(b"x").unwrap();
        assert!(matches!(follower.next(&mut buf).unwrap(), Next::Bytes(_)));
        let mut seen = [0; 8];
        metadata.read_exact_at(&mut seen, place(0, offset_of!(FollowingPlace, seen_ns)) as u64).unwrap();
        stored.insert(seen);
    }
    assert!(begun.elapsed() >= Duration::from_millis(3 * 250), "{:?}", begun.elapsed());
}

#[test]
fn a_copy_of_a_log_has_none_of_its_followers_and_who_reads_it_is_not_one() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let running = tail(&log, &[]).start();
    seen(&log, &running, |_| true);
    let copy = scratch.file("copy.log");
    for (from, to) in [(log.clone(), copy.clone()), (metadata_of(&log), metadata_of(&copy))] {
        fs::copy(from, to).unwrap();
    }
    let before = Bytes::of(&copy);
    let reader = Log::options().open_reader(&copy).unwrap();
    let mut follower = reader.follow(Start::Oldest).unwrap();
    follower.announce("");
    assert_eq!(follower.next(&mut [0; 64]).unwrap(), Next::Bytes(0..9));
    assert!(status(&copy).followers.is_empty());
    before.are_still_in(&copy);
    assert_eq!(status(&log).followers.len(), 1);
}

#[test]
fn metadata_that_repair_makes_has_places() {
    let scratch = Scratch::new();
    let original = scratch.file("original.log");
    fs::write(&original, b"one line\n").unwrap();
    // Of the original's format: version, flags, size, cursor, page, chunk.
    let words: [u64; 4] = [1 | 1 << 32, 9, 9, 4096 | 65536 << 32];
    fs::write(metadata_of(&original), words.map(u64::to_le_bytes).concat()).unwrap();
    let gone = new_log(&scratch, b"one line\n");
    fs::remove_file(&gone).unwrap();
    for (log, wish) in [(&original, "--upgrade"), (&gone, "--recreate")] {
        mmlogctl("repair", log).arg(wish).run().is_success();
        let running = tail(log, &[]).start();
        seen(log, &running, |f| f.lag == 0);
    }
}

#[test]
fn a_log_at_rest_that_is_read_in_less_than_a_second_is_not_changed() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let (before, changed) = (Bytes::of(&log), fs::metadata(metadata_of(&log)).unwrap().mtime_nsec());
    let begun = Instant::now();
    mmlogctl("cat", &log).run().printed(b"one line\n");
    if begun.elapsed() < Duration::from_secs(1) {
        before.are_still_in(&log);
        assert_eq!(fs::metadata(metadata_of(&log)).unwrap().mtime_nsec(), changed);
    }
}

#[test]
fn metadata_of_earlier_software_gets_places_from_who_writes_and_until_then_followers_are_not_seen() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    without_places(&log);
    let before = Bytes::of(&log);
    let running = tail(&log, &["-n", "+1"]).start();
    running.until_stdout(|printed| printed == b"one line\n");
    assert!(status(&log).followers.is_empty());
    assert_eq!(fs::metadata(metadata_of(&log)).unwrap().len(), total_len(WRITERS) as u64);
    running.signal(Signal::SIGTERM);
    running.end();
    drop(before);
    append(&log, b"another\n");
    let running = tail(&log, &[]).start();
    seen(&log, &running, |f| f.position == 17);
    mmlogctl("check", &log).arg("--deep").run().is_success();
}

#[test]
fn nobody_is_told_to_continue_a_process_that_does_not_have_the_log_open() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, &b"one line\n".repeat(1 << 20));
    let mut bystander = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(bystander.id().cast_signed()), Signal::SIGSTOP)
        .unwrap();
    let field = |field| place(3, field);
    poke(&log, field(offset_of!(FollowingPlace, since_ns)), &7_u64.to_ne_bytes());
    poke(&log, field(offset_of!(FollowingPlace, pid)), &bystander.id().to_ne_bytes());
    poke(&log, field(offset_of!(FollowingPlace, command)), b"bystander\0");
    let _held = [0, 1].map(|which| Held::byte(&log, FOLLOWING_BYTES + 6 + which));
    let named = bystander.id().to_string();
    let shown = mmlogctl("status", &log).run().text();
    assert!(shown.contains("reader-behind") && !shown.contains(&named), "{shown}");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn what_anybody_stored_there_is_shown_escaped_and_believed_by_nobody() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let field = |field| place(3, field);
    let evil = b"\x1b[31m\xff\"\\\n\xe2\x80\xaeevil";
    let store = |since: u64, position: u64| {
        poke(&log, field(offset_of!(FollowingPlace, since_ns)), &since.to_ne_bytes());
        poke(&log, field(offset_of!(FollowingPlace, position)), &position.to_ne_bytes());
    };
    poke(&log, field(offset_of!(FollowingPlace, name)), evil);
    poke(&log, field(offset_of!(FollowingPlace, seen_ns)), &[0xff; 8]);
    store(u64::MAX, u64::MAX);
    assert!(status(&log).followers.is_empty(), "its bytes are free");
    let _held = [0, 1].map(|which| Held::byte(&log, FOLLOWING_BYTES + 6 + which));
    for position in [u64::MAX, 10] {
        store(7, position);
        let now = status(&log);
        let follower = &now.followers[0];
        assert_eq!((follower.lag, follower.is_beyond, follower.position), (0, true, position));
        let ended = mmlogctl("status", &log).run();
        let shown = ended.text();
        assert!(shown.contains("which the log does not have"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
        for options in [&["--json"][..], &[][..]] {
            let ended = mmlogctl("status", &log).args(options).run();
            assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
        }
        let metrics = mmlogctl("check", &log).args(["--prom", "-"]).run();
        assert_eq!(metrics.code, 0, "{metrics:?}");
    }
    // Wherever the header says that places are, nobody looks or stores there.
    let slots = SLOTS_AT as u64;
    for (begin, len) in
        [(slots, 32768), (0, 32768), (u64::MAX - 7, 32768), (following_at(WRITERS) as u64, 1 << 40)]
    {
        poke(&log, offset_of!(Header, following.at), &u64::to_ne_bytes(begin));
        poke(&log, offset_of!(Header, following.len), &u64::to_ne_bytes(len));
        let running = tail(&log, &["-n", "+1"]).start();
        running.until_stdout(|printed| printed == b"one line\n");
        assert!(status(&log).followers.is_empty());
        running.signal(Signal::SIGKILL);
        running.end();
    }
    assert_eq!(fs::read(metadata_of(&log)).unwrap()[SLOTS_AT..][..size_of::<Slot>()][..8], [0; 8]);
}

#[test]
fn a_follower_that_may_not_write_the_metadata_follows_and_is_not_seen() {
    let claim = "a follower that may not write the metadata follows";
    if !is_root() {
        skipped(claim, "not root, who alone can be somebody else");
        return;
    }
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    for file in [&log, &metadata_of(&log)] {
        fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    }
    let as_nobody = |tool: Tool| tool.with(|command| command.uid(NOBODY).gid(NOBODY));
    let program = scratch.file("mmlogctl");
    fs::copy(env!("CARGO_BIN_EXE_mmlogctl"), &program).unwrap();
    let running = as_nobody(Tool::new(&program).args(["tail", "-f", "-n", "+1"]).arg(&log)).start();
    running.until_stdout(|printed| printed == b"one line\n");
    append(&log, b"another\n");
    running.until_stdout(|printed| printed == b"one line\nanother\n");
    assert!(status(&log).followers.is_empty());
    // He sees those that can be seen.
    let seen_by_all = tail(&log, &[]).start();
    seen(&log, &seen_by_all, |_| true);
    let ended = as_nobody(Tool::new(&program).args(["status", "--json"]).arg(&log)).run();
    let json: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(json["followers"][0]["pid"].as_u64(), Some(u64::from(seen_by_all.pid())), "{json}");
}

#[test]
fn metadata_that_is_cut_behind_the_slots_costs_a_follower_its_place_and_nobody_else_anything() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let running = tail(&log, &["-n", "+1"]).start();
    seen(&log, &running, |f| f.position == 9);
    let metadata = OpenOptions::new().write(true).open(metadata_of(&log)).unwrap();
    metadata.set_len(total_len(WRITERS) as u64).unwrap();
    assert!(status(&log).followers.is_empty());
    append(&log, b"another\n");
    running.until_stdout(|printed| printed == b"one line\nanother\n");
    mmlogctl("check", &log).arg("--deep").run().is_success();
    running.signal(Signal::SIGTERM);
    running.end();
}

/// As a copy that is put back in its place leaves it.
#[test]
fn a_follower_whose_place_was_emptied_takes_another() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let running = tail(&log, &["-n", "+1"]).start();
    seen(&log, &running, |f| f.position == 9);
    let metadata = OpenOptions::new().write(true).open(metadata_of(&log)).unwrap();
    let len = metadata.metadata().unwrap().len();
    metadata.set_len(total_len(WRITERS) as u64).unwrap();
    metadata.set_len(len).unwrap();
    assert!(status(&log).followers.is_empty());
    append(&log, b"another\n");
    assert_eq!(seen(&log, &running, |f| f.position == 17).lag, 0);
    assert_eq!(status(&log).followers.len(), 1);
    running.signal(Signal::SIGTERM);
    running.end();
}

/// A follower that stands must not come back to slots that are where its place was.
#[test]
fn metadata_is_not_rebuilt_with_slots_where_a_follower_may_store() {
    let scratch = Scratch::new();
    let log = new_log(&scratch, b"one line\n");
    let running = tail(&log, &["-n", "+1"]).start();
    seen(&log, &running, |f| f.position == 9);
    let rebuild = |writers| {
        let options = Log::options().max_writers(writers);
        mmlog::repair::examine(&log, &options).unwrap().plan(&[Wish::Rebuild]).apply()
    };
    let torn = || poke(&log, at::MAGIC, &[0; 8]);
    torn();
    let before = Bytes::of(&log);
    let refused = rebuild(4096).unwrap_err().to_string();
    assert!(refused.contains(&running.pid().to_string()), "it names who: {refused}");
    before.are_still_in(&log);
    rebuild(1024).unwrap();
    torn();
    running.signal(Signal::SIGTERM);
    running.end();
    rebuild(4096).unwrap();
    assert_eq!(status(&log).max_writers, 4096);
    assert_eq!(mmlogctl("cat", &log).run().text(), "one line\n");
}
