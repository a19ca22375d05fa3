//! Guards every step that others can see: a process is killed at each named crash point of each operation, and the
//! next one goes on by itself, without losing what was acknowledged. (The campaign does the same at instructions.)
#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::mem::offset_of;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::original::Original;
use common::surgeon::{COPYING, Surgeon};
use common::{Actor, log_path, parameter, say, scene};
use mmlog::layout::{Header, Times};
use mmlog::repair::{self, Wish};
use mmlog::{Compress, Compression, Log, Options, check};

/// Words of the times in the metadata file.
const LAST_NS: usize = offset_of!(Header, times) + offset_of!(Times, last_ns);
const BOOTED_NS: usize = offset_of!(Header, times) + offset_of!(Times, booted_ns);
const TIMES_EPOCH: usize = offset_of!(Header, times) + offset_of!(Times, epoch);

#[test]
fn role() {
    common::play(&[("act", act), ("before", before), ("late", late), ("recovers", recovers)]);
}

fn options() -> Options {
    Log::options().chunk_size(4096).max_writers(8)
}

/// One operation: what is there before, what the victim does, and what people do again before they go on.
struct Scenario {
    name: &'static str,
    prepare: fn(&Path),
    act: fn(&Path),
    again: fn(&Path),
}

const fn heals(name: &'static str, prepare: fn(&Path), act: fn(&Path)) -> Scenario {
    Scenario { name, prepare, act, again: |_| {} }
}

/// Not done by itself: an interrupted one is asked for again.
const fn asked(name: &'static str, prepare: fn(&Path), act: fn(&Path)) -> Scenario {
    Scenario { name, prepare, act, again: act }
}

const SCENARIOS: &[Scenario] = &[
    heals("create", |_| {}, |log| drop(options().open_or_create(log))),
    heals("append", acknowledged, append),
    heals("append one message to a log at rest", at_rest, append_one),
    heals("grow", acknowledged, grow),
    heals("trim", acknowledged, trim),
    heals("rotate", acknowledged, rotate),
    heals("rotate with a hook", acknowledged, |log| {
        drop(options().open(log).unwrap().rotate(&mmlog::Rotation::default().with_hook()).unwrap());
    }),
    Scenario { name: "rotate, then repair", prepare: acknowledged, act: rotate, again: |log| mend(log, &[]) },
    asked("prune", segments, prune),
    heals("policy", bounded, grow),
    asked("punch", long, punch),
    asked("hold", acknowledged, hold),
    asked("follow", acknowledged, follow),
    asked("set a policy", acknowledged, set_policy),
    heals("places for followers", without_places, |log| drop(options().open(log).unwrap())),
    heals("close", acknowledged, close),
    heals("settle", dead_writer, trim),
    heals("sync", acknowledged, sync),
    heals("reboot", rebooted, append),
    heals("note a time, and that the clock was set", clock_set, append),
    heals("times of another epoch", other_epoch, append),
    asked("compress", rotated, compress),
    asked("olddir", rotated, move_segments),
    heals("outside", outside, append),
    heals("outside, a dead writer", outside_dead, append),
    asked("truncation", truncated, |log| mend(log, &[])),
    asked("recreate", gone, |log| mend(log, &[Wish::Recreate])),
    asked("rebuild", torn, |log| mend(log, &[Wish::Rebuild])),
    asked("upgrade", version_1, |log| mend(log, &[Wish::Upgrade])),
    asked("remove", acknowledged, remove),
    asked("remove all", segments, remove_all),
];

fn acknowledged(log: &Path) {
    let mut before = Actor::new("before", &[("LOG", log.display().to_string())]);
    assert_eq!(before.hear(), "ready");
    before.kill();
}

fn at_rest(log: &Path) {
    let opened = options().open_or_create(log).unwrap();
    opened.writer().unwrap().append(b"acknowledged\n").unwrap();
}

fn append_one(log: &Path) {
    let opened = options().brief(true).open(log).unwrap();
    opened.writer().unwrap().append(b"in flight\n").unwrap();
}

fn before() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"acknowledged\n").unwrap();
    log.sync().unwrap();
    say("ready");
    common::listen();
}

/// As earlier software makes metadata.
fn without_places(log: &Path) {
    acknowledged(log);
    let surgeon = Surgeon::new(log);
    [0xd0, 0x8c0, 0x8c8].into_iter().for_each(|at| surgeon.set(at, 0));
    let metadata = File::options().write(true).open(log.with_extension("log.mmlog")).unwrap();
    metadata.set_len(mmlog::layout::total_len(8) as u64).unwrap();
}

fn follow(log: &Path) {
    let log = Log::options().open_reader(log).unwrap();
    log.follow(mmlog::Start::Oldest).unwrap().announce("shipper");
}

fn dead_writer(log: &Path) {
    acknowledged(log);
    Surgeon::new(log).append_in_flight(2, COPYING, 100);
}

fn rebooted(log: &Path) {
    dead_writer(log);
    Surgeon::new(log).reboot();
}

/// A pair is due, and the clock has gone an hour forward since the last one.
fn clock_set(log: &Path) {
    acknowledged(log);
    let surgeon = Surgeon::new(log);
    surgeon.set(LAST_NS, 0);
    surgeon.set(BOOTED_NS, surgeon.get(BOOTED_NS) - 3_600_000_000_000);
}

/// As software leaves it that recovers a log and knows nothing of times.
fn other_epoch(log: &Path) {
    acknowledged(log);
    Surgeon::new(log).set(TIMES_EPOCH, 77);
}

/// At rest, with something that `>>` put there.
fn outside(log: &Path) {
    at_rest(log);
    put_behind(log);
}

/// The same behind the space that a dead writer has left.
fn outside_dead(log: &Path) {
    acknowledged(log);
    put_behind(log);
}

const OUTSIDE: &[u8] = b"from outside\n";

fn put_behind(log: &Path) {
    File::options().append(true).open(log).unwrap().write_all(OUTSIDE).unwrap();
}

fn truncated(log: &Path) {
    dead_writer(log);
    File::options().write(true).open(log).unwrap().set_len(13).unwrap();
}

fn gone(log: &Path) {
    acknowledged(log);
    fs::remove_file(log).unwrap();
}

fn torn(log: &Path) {
    acknowledged(log);
    Surgeon::new(log).set(0xc0, 0);
}

fn version_1(log: &Path) {
    Original::new(log, 4096).append(b"acknowledged\n");
}

fn append(log: &Path) {
    let log = options().open(log).unwrap();
    let mut writer = log.writer().unwrap();
    // The second one finds its chunk mapped.
    for _ in 0..2 {
        writer.append(b"in flight\n").unwrap();
    }
}

fn grow(log: &Path) {
    let message = [vec![b'x'; 9999], b"\n".to_vec()].concat();
    let log = options().open(log).unwrap();
    log.writer().unwrap().append(&message).unwrap();
}

fn trim(log: &Path) {
    options().open(log).unwrap().trim(Duration::from_secs(10)).unwrap();
}

fn rotate(log: &Path) {
    options().open(log).unwrap().rotate(&mmlog::Rotation::default()).unwrap();
}

/// The acknowledged message in the current segment, behind two final ones.
fn segments(log: &Path) {
    let opened = options().open_or_create(log).unwrap();
    for line in ["pruned\n", "pruned, too\n"] {
        opened.writer().unwrap().append(line.as_bytes()).unwrap();
        opened.rotate(&mmlog::Rotation::default()).unwrap();
    }
    drop(opened);
    acknowledged(log);
}

/// How many files beside the log have the name of a final segment.
fn finals(log: &Path) -> usize {
    let names = fs::read_dir(log.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name());
    names.filter(|n| n.to_str().unwrap().starts_with("app.log.0")).count()
}

fn prune(log: &Path) {
    let opened = options().open(log).unwrap();
    let pruned = opened.prune(&mmlog::Retention::default().keep(0)).unwrap();
    assert_eq!(finals(log), 0, "{pruned:?}");
}

/// The same almost as long as a policy lets it be, which keeps one final segment.
fn bounded(log: &Path) {
    segments(log);
    (0..6).for_each(|_| grow(log));
    bound(log);
}

fn bound(log: &Path) {
    let set = |policy: &mut mmlog::Policy| (policy.rotate_size, policy.keep) = (Some(65536), Some(1));
    options().open(log).unwrap().set_policy(set, Duration::from_secs(10)).unwrap();
}

/// The acknowledged message behind three pages.
fn long(log: &Path) {
    let opened = options().open_or_create(log).unwrap();
    opened.writer().unwrap().append(&[[b'p'; 12287].as_slice(), b"\n"].concat()).unwrap();
    drop(opened);
    acknowledged(log);
}

fn punch(log: &Path) {
    let opened = options().open(log).unwrap();
    let from = mmlog::Position::new(12288);
    opened.prune(&mmlog::Retention::default().keep_from(from)).unwrap();
    let plan = opened.plan_prune(&mmlog::Retention::default().keep_from(from)).unwrap();
    assert!(plan.is_empty(), "{plan:?}");
}

fn hold(log: &Path) {
    let opened = options().open(log).unwrap();
    opened.hold("shipper", opened.oldest().unwrap()).unwrap().advance(opened.cursor().unwrap()).unwrap();
    opened.forget("shipper").unwrap();
    assert_eq!(opened.holds(), []);
}

/// Another one than before: whoever was killed has set all of it or nothing, and left it readable.
fn set_policy(log: &Path) {
    let opened = options().open(log).unwrap();
    let first = mmlog::Policy { keep: Some(7), ..mmlog::Policy::default() };
    let second = mmlog::Policy { rotate_size: Some(1 << 20), ..first.clone() };
    let before = opened.policy();
    let known = [
        mmlog::PolicyState::Unset,
        mmlog::PolicyState::Set(first.clone()),
        mmlog::PolicyState::Set(second.clone()),
    ];
    assert!(known.contains(&before), "{before:?}");
    for policy in [first, second] {
        opened.set_policy(|old| *old = policy.clone(), Duration::from_secs(10)).unwrap();
        assert_eq!(opened.policy(), mmlog::PolicyState::Set(policy));
    }
}

fn rotated(log: &Path) {
    acknowledged(log);
    rotate(log);
}

fn compress(log: &Path) {
    let log = options().open(log).unwrap();
    log.compress(&Compress::new(Compression::Zstd), |_| {}).unwrap();
    let status = log.status().unwrap();
    assert_eq!(status.segments[0].compression, Some(Compression::Zstd));
}

fn move_segments(log: &Path) {
    let _ = fs::create_dir(log.with_file_name("old"));
    let log = options().open(log).unwrap();
    log.move_segments(Path::new("old"), Duration::from_secs(10)).unwrap();
}

fn close(log: &Path) {
    let log = options().open(log).unwrap();
    log.writer().unwrap().append(b"in flight\n").unwrap();
    log.close().unwrap();
}

fn sync(log: &Path) {
    let log = options().open(log).unwrap();
    log.writer().unwrap().append_durable(b"in flight\n").unwrap();
    log.sync().unwrap();
}

fn remove(log: &Path) {
    gone_by(|| mmlog::remove(log, mmlog::Force::IfUnused, &mmlog::Log::options()));
}

fn remove_all(log: &Path) {
    gone_by(|| mmlog::remove_all(log, mmlog::Force::IfUnused, &mmlog::Log::options()));
    assert_eq!(finals(log), 0);
}

fn gone_by(remove: impl Fn() -> mmlog::Result<mmlog::Removed>) {
    common::until("the removal", || {
        let removed = remove();
        match removed {
            Err(e) if matches!(e.fault(), mmlog::Fault::NoLog) => Some(()),
            removed => removed.ok().map(drop),
        }
    });
}

fn mend(log: &Path, wishes: &[Wish]) {
    // Another test's child may hold a copy of a descriptor until it executes its program.
    common::until("the repair", || repair::examine(log, &options()).unwrap().plan(wishes).apply().ok());
}

static PASSED: AtomicU64 = AtomicU64::new(0);

/// Plays a scenario; dies at crash point number `POINT`, counted from 1.
fn act() {
    mmlog::crash::set_hook(|name| {
        let number = PASSED.fetch_add(1, Ordering::Relaxed) + 1;
        if number == parameter("POINT") {
            say(name);
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap();
        }
    });
    let scenario = SCENARIOS.iter().find(|s| s.name == parameter::<String>("SCENARIO")).unwrap();
    (scenario.act)(&log_path());
    say("end");
}

/// The victim's only message is whole or absent; the acknowledged one is there unless somebody took the file.
fn check_after(scenario: &Scenario, at: &str, log: &Path) {
    let context = format!("{} killed at {at}", scenario.name);
    // A removal takes the metadata last: what is left says what it may be, and that it can be gone on with.
    if scenario.name.starts_with("remove") && common::metadata_of(log).exists() {
        for opened in [options().open_or_create(log), options().open_reader(log)] {
            let said = opened.err().unwrap_or_else(|| panic!("{context}: there is no data")).to_string();
            let step = format!("if the log was to be removed, `mmlogctl rm {}`", log.display());
            assert!(said.contains("data file is gone") && said.contains(&step), "{context}: {said}");
        }
    }
    (scenario.again)(log);
    let opened = options().open_or_create(log).unwrap_or_else(|e| panic!("{context}: {e}"));
    let appended = opened.writer().unwrap().append(b"goes on\n");
    assert!(appended.is_ok(), "{context}: {appended:?}");
    let found = check::deep(log, &options()).unwrap();
    assert!(found.holds(), "{context}: {:?}", found.violations);
    opened.close().unwrap();
    let bytes = common::committed(log);
    // What a take-over leaves out is a hole, also of who died in it.
    assert!(!scenario.name.starts_with("outside") || !bytes.contains(&0), "{context}: NULs are shown");
    let text = String::from_utf8(bytes).unwrap().replace('\0', "");
    let whole = |l: &&str| l.len() == 9999 && l.bytes().all(|b| b == b'x');
    // How many segments are left is for the next one who rotates.
    let is_kept = |l: &&str| scenario.name == "policy" && l.starts_with("pruned");
    let rest: Vec<&str> = text.lines().filter(|l| !whole(l) && *l != "in flight" && !is_kept(l)).collect();
    let expected: &[&str] = match scenario.name {
        "create" | "recreate" | "remove" | "remove all" => &["goes on"],
        "outside" | "outside, a dead writer" => &["acknowledged", "from outside", "goes on"],
        _ => &["acknowledged", "goes on"],
    };
    assert_eq!(rest, expected, "{context}");
    let len = fs::metadata(log).unwrap().len();
    let status = mmlog::Observer::open(log, &options()).unwrap().look().unwrap();
    assert_eq!(len, status.cursor - status.base, "{context}: at rest the file is what was appended");
    assert!(repair::examine(log, &options()).unwrap().plan(&[]).is_healthy(), "{context}");
}

#[test]
fn whoever_is_killed_at_a_crash_point_of_any_operation_the_next_one_goes_on() {
    let mut names = BTreeSet::new();
    for scenario in SCENARIOS {
        let mut points = 0;
        loop {
            let scene = scene();
            (scenario.prepare)(&scene.log);
            let mut actor = Actor::new(
                "act",
                &[
                    ("LOG", scene.log.display().to_string()),
                    ("SCENARIO", scenario.name.into()),
                    ("POINT", (points + 1).to_string()),
                ],
            );
            let at = actor.hear();
            drop(actor);
            if at == "end" {
                break;
            }
            assert!(!at.is_empty(), "{} failed before point {}", scenario.name, points + 1);
            check_after(scenario, &at, &scene.log);
            names.insert(at);
            points += 1;
        }
        println!("{}: {points} crash points", scenario.name);
        assert!(points > 0, "{} passes none", scenario.name);
    }
    // These need a disk that is full behind a hole; tests/full_disk.rs has such.
    names.extend(["extend:sparse", "extend:published"].map(String::from));
    assert_eq!(names, declared(), "each name in the sources stands once, and is passed");
}

/// `>>` behind the space that is allocated ahead, when the log is about to be cut at its end.
fn late() {
    acknowledged(&log_path());
    let log = options().open(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"mine\n").unwrap();
    mmlog::crash::set_hook(|name| {
        if name == "shrink:published" {
            put_behind(&log_path());
        }
    });
    log.trim(common::DEADLINE).unwrap();
    let outside = log.status().unwrap().outside;
    assert_eq!((outside.cut, outside.waiting), (OUTSIDE.len() as u64, 0));
}

#[test]
fn what_is_put_behind_a_log_while_it_is_cut_at_its_end_is_counted() {
    let scene = scene();
    Actor::on(&scene.log, "late").finish();
    assert_eq!(common::committed(&scene.log), b"acknowledged\nmine\n");
}

fn declared() -> BTreeSet<String> {
    let mut declared = BTreeSet::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../mmlog/src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                for call in text.split("crash_point(\"").skip(1) {
                    let name = call.split('"').next().unwrap().to_string();
                    assert!(declared.insert(name.clone()), "{name} stands twice");
                }
            }
        }
    }
    declared
}

/// Recovers a log, and waits when it is of this boot.
fn recovers() {
    mmlog::crash::set_hook(|name| {
        if name == "reboot:noted" {
            say(name);
            common::listen();
        }
    });
    append(&log_path());
}

/// Versions that know nothing of a recovery's hold on the slots would say that all are taken.
#[test]
fn whoever_has_recovered_a_log_keeps_no_slot_from_others_while_that_becomes_durable() {
    let scene = scene();
    acknowledged(&scene.log);
    // Of before the ids changed: in another container, say. It need not take the log's lock to have a slot.
    let log = options().wait(Duration::from_millis(200)).open(&scene.log).unwrap();
    rebooted(&scene.log);
    let mut recovers = Actor::on(&scene.log, "recovers");
    assert_eq!(recovers.hear(), "reboot:noted");
    let mut writer = log.writer().unwrap();
    recovers.tell("go on");
    recovers.finish();
    writer.append(b"goes on\n").unwrap();
}
