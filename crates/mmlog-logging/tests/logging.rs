//! Guards what programs log: every event stands whole and is there, however the program ends; what cannot be stored is said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::exit,
    reason = "a test fails by panicking, and roles say what they do and end"
)]
#![allow(unsafe_code, reason = "fork is what is tested; std has no safe one")]

#[path = "../../../tests/common/mod.rs"]
mod common;

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Duration;

use common::disk::Disk;
use common::{Actor, committed, log_path, parameter, scene, until};
use log::Log as _;
use mmlog::{Log, Policy, PolicyState};
use mmlog_logging::{OnFull, Sink};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

#[test]
fn role() {
    common::play(&[
        ("until_killed", until_killed),
        ("exits", exits),
        ("panics", panics),
        ("aborts", aborts),
        ("forks", forks),
        ("limited", limited),
    ]);
}

/// A never dropped sink, as a program has it.
fn sink() -> &'static Sink {
    static SINK: OnceLock<Sink> = OnceLock::new();
    SINK.get_or_init(|| Sink::open(log_path()).unwrap())
}

/// Lines of nothing but the message.
fn subscriber(sink: &Sink) -> impl tracing::Subscriber + Send + Sync + use<> {
    let lines = tracing_subscriber::fmt().without_time().with_level(false).with_target(false);
    lines.with_writer(sink.clone()).finish()
}

/// Of any length, and the same for the same numbers.
fn filling(writer: usize, number: usize) -> String {
    "abcdefgh".repeat((writer * 31 + number * 17) % 200)
}

fn event(writer: usize, number: usize) {
    tracing::info!("{writer} {number} {}", filling(writer, number));
}

/// How many events of that writer there are: each whole, in order, none missing or doubled.
fn counted(text: &str, writer: usize) -> usize {
    let own = text.lines().filter_map(|line| line.strip_prefix(&format!("{writer} ")));
    own.enumerate()
        .inspect(|(number, line)| assert_eq!(*line, format!("{number} {}", filling(writer, *number))))
        .count()
}

/// A log's bytes, which are whole lines.
fn text(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with('\n') && !text.contains('\0'));
    text
}

fn exact(path: &Path) -> String {
    text(fs::read(path).unwrap())
}

fn living_writers(path: &Path) -> usize {
    Log::options().open_reader(path).unwrap().status().unwrap().writers.len()
}

#[test]
fn events_of_eight_threads_stand_whole_and_in_order() {
    let scene = scene();
    let sink = Sink::open(&scene.log).unwrap();
    thread::scope(|scope| {
        for writer in 0..8 {
            let subscriber = subscriber(&sink);
            scope.spawn(move || {
                tracing::subscriber::with_default(subscriber, || {
                    (0..1000).for_each(|number| event(writer, number))
                });
            });
        }
    });
    drop(sink);
    let text = exact(&scene.log);
    assert_eq!((0..8).map(|writer| counted(&text, writer)).collect::<Vec<_>>(), [1000; 8]);
    assert_eq!(text.lines().count(), 8000);
}

#[test]
fn an_event_written_in_pieces_stands_whole_beside_others() {
    let scene = scene();
    let sink = Sink::open(&scene.log).unwrap();
    thread::scope(|scope| {
        for writer in 0..8 {
            let sink = &sink;
            scope.spawn(move || {
                for number in 0..500 {
                    let mut event = sink.event();
                    for piece in
                        [&writer.to_string(), " ", &number.to_string(), " ", &filling(writer, number), "\n"]
                    {
                        event.write_all(piece.as_bytes()).unwrap();
                        event.flush().unwrap();
                        thread::yield_now();
                    }
                }
            });
        }
    });
    drop(sink);
    let text = exact(&scene.log);
    assert_eq!((0..8).map(|writer| counted(&text, writer)).collect::<Vec<_>>(), [500; 8]);
}

#[test]
fn a_record_of_log_is_a_line_with_time_level_and_target() {
    let scene = scene();
    let logger = Sink::open(&scene.log).unwrap().logger();
    let record = |said: fmt::Arguments<'_>| {
        logger.log(&log::Record::builder().args(said).level(log::Level::Warn).target("a::b").build());
    };
    record(format_args!("one {}", 1));
    record(format_args!("two"));
    drop(logger);
    let text = exact(&scene.log);
    let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(
        lines.iter().map(|(_, rest)| *rest).collect::<Vec<_>>(),
        ["WARN  a::b: one 1", "WARN  a::b: two"]
    );
    for (time, _) in lines {
        assert!(
            time.len() == "2026-11-30T09:22:10.123456Z".len() && time.ends_with('Z') && time > "2026",
            "{time}"
        );
    }
}

/// Logs while it is formatted.
struct Talkative<'a>(&'a Sink);

impl fmt::Display for Talkative<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(self.0.event(), "inner").map_err(|_| fmt::Error)?;
        to.write_str("outer")
    }
}

/// Panics while it is formatted.
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a value that cannot be shown")
    }
}

#[test]
fn an_event_within_an_event_and_one_that_a_panic_cuts_off_tear_no_other() {
    let scene = scene();
    let sink = Sink::open(&scene.log).unwrap();
    writeln!(sink.event(), "{} is", Talkative(&sink)).unwrap();
    let cut_off = thread::scope(|scope| scope.spawn(|| writeln!(sink.event(), "half {Broken}")).join());
    assert!(cut_off.is_err());
    writeln!(sink.event(), "last").unwrap();
    drop(sink);
    assert_eq!(exact(&scene.log), "inner\nouter is\nlast\n");
}

#[test]
fn options_pass_through_and_the_log_carries_its_policy() {
    let scene = scene();
    let policy = Policy { rotate_size: Some(1 << 20), keep: Some(2), ..Policy::default() };
    let sink =
        Sink::builder(&scene.log).options(Log::options().policy(&policy).max_writers(8)).open().unwrap();
    writeln!(sink.event(), "a line").unwrap();
    let log = Log::options().open_reader(&scene.log).unwrap();
    assert_eq!((log.max_writers(), log.policy()), (8, PolicyState::Set(policy)));
}

/// Logs for ever; how many events have returned is in a file of its own.
fn until_killed() {
    let (writer, stored) =
        (parameter::<usize>("WRITER"), File::create(parameter::<String>("STORED")).unwrap());
    let said = |number: usize| stored.write_all_at(&(number + 1).to_le_bytes(), 0).unwrap();
    if writer.is_multiple_of(2) {
        let _default = tracing::subscriber::set_default(subscriber(sink()));
        (0..usize::MAX).for_each(|number| {
            event(writer, number);
            said(number);
        });
    }
    let plain = sink().logger().format(|to, record| write!(to, "{}", record.args()));
    plain.install(log::LevelFilter::Info).unwrap();
    (0..usize::MAX).for_each(|number| {
        log::info!("{writer} {number} {}", filling(writer, number));
        said(number);
    });
}

#[test]
fn of_four_processes_that_are_killed_at_most_the_event_in_flight_is_missing() {
    let scene = scene();
    let files: Vec<_> = (0..4).map(|writer| scene.dir.path().join(format!("stored-{writer}"))).collect();
    let actor = |writer: usize| {
        let parameters = [
            ("LOG", scene.log.display().to_string()),
            ("WRITER", writer.to_string()),
            ("STORED", files[writer].display().to_string()),
        ];
        Actor::new("until_killed", &parameters)
    };
    let actors: Vec<_> = (0..4).map(actor).collect();
    let stored = |file: &Path| Some(usize::from_le_bytes(fs::read(file).ok()?.try_into().ok()?));
    for file in &files {
        until("an event", || stored(file).filter(|stored| *stored > 1000));
    }
    actors.into_iter().for_each(|actor| drop(actor.kill()));
    let text = text(committed(&scene.log));
    for (writer, file) in files.iter().enumerate() {
        let (stored, found) = (stored(file).unwrap(), counted(&text, writer));
        assert!(
            (stored..=stored + 1).contains(&found),
            "writer {writer}: {stored} events returned, {found} are there"
        );
    }
}

/// 100 events a thread, of threads that stay, and of this one.
fn log_by_threads() {
    let done = Arc::new(Barrier::new(4));
    for writer in 1..4 {
        let done = Arc::clone(&done);
        thread::spawn(move || {
            tracing::subscriber::with_default(subscriber(sink()), || {
                (0..100).for_each(|number| event(writer, number))
            });
            done.wait();
            loop {
                thread::park();
            }
        });
    }
    tracing::subscriber::with_default(subscriber(sink()), || (0..100).for_each(|number| event(0, number)));
    done.wait();
}

fn exits() {
    log_by_threads();
    std::process::exit(0);
}

fn panics() {
    log_by_threads();
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::subscriber::with_default(subscriber(sink()), || event(0, 100));
        default(panic);
    }));
    panic!("as programs do");
}

fn aborts() {
    log_by_threads();
    std::process::abort();
}

#[test]
fn a_program_that_exits_with_a_static_sink_and_threads_leaves_an_exact_file() {
    let scene = scene();
    Actor::on(&scene.log, "exits").finish();
    let text = exact(&scene.log);
    assert_eq!((0..4).map(|writer| counted(&text, writer)).collect::<Vec<_>>(), [100; 4]);
}

#[test]
fn a_program_that_panics_leaves_an_exact_file_with_the_event_of_its_hook() {
    let scene = scene();
    let mut actor = Actor::on(&scene.log, "panics");
    assert!(!common::wait(&mut actor.child).success());
    let text = exact(&scene.log);
    assert_eq!((0..4).map(|writer| counted(&text, writer)).collect::<Vec<_>>(), [101, 100, 100, 100]);
}

#[test]
fn a_program_that_aborts_has_logged_everything() {
    let scene = scene();
    let mut actor = Actor::on(&scene.log, "aborts");
    assert!(!common::wait(&mut actor.child).success());
    let text = text(committed(&scene.log));
    assert_eq!((0..4).map(|writer| counted(&text, writer)).collect::<Vec<_>>(), [100; 4]);
}

#[test]
fn a_thousand_short_threads_leave_no_slot_and_two_hundred_at_once_take_few() {
    let scene = scene();
    let sink = Sink::open(&scene.log).unwrap();
    for _ in 0..10 {
        thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| writeln!(sink.event(), "short").unwrap());
            }
        });
    }
    let shared =
        until("the end of threads", || Some(living_writers(&scene.log)).filter(|writers| *writers <= 8));
    let (logged, seen) = (Barrier::new(201), Barrier::new(201));
    thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                writeln!(sink.event(), "long").unwrap();
                logged.wait();
                seen.wait();
            });
        }
        logged.wait();
        let writers = living_writers(&scene.log);
        seen.wait();
        assert!((64..=72).contains(&writers), "{writers} after {shared}");
    });
    drop(sink);
    let text = exact(&scene.log);
    assert_eq!(text.lines().filter(|line| *line == "short").count(), 1000);
    assert_eq!(text.lines().filter(|line| *line == "long").count(), 200);
}

#[test]
fn events_lost_on_a_full_disk_are_counted_told_once_and_told_in_the_log_afterwards() {
    let Some(disk) = Disk::new(8 << 20) else { return };
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let tell = move |_: &mmlog::Error| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    let sink = Sink::builder(disk.log()).on_lost(tell).open().unwrap();
    let ballast = disk.ballast("ballast", 6 << 20);
    let mut number = 0;
    while sink.lost() < 3 {
        writeln!(sink.event(), "{number} {:1000}", "").unwrap();
        number += 1;
    }
    assert_eq!(told.load(Ordering::Relaxed), 1);
    let status = Log::options().open_reader(disk.log()).unwrap().status().unwrap();
    assert!(status.writers.iter().any(|writer| writer.waiting.is_some()), "nobody sees it");
    fs::remove_file(ballast).unwrap();
    writeln!(sink.event(), "space again").unwrap();
    writeln!(sink.event(), "and on").unwrap();
    assert_eq!(sink.lost(), 3);
    drop(sink);
    let text = exact(&disk.log());
    let lines: Vec<_> = text.lines().skip(number - 3).collect();
    let [notice, "space again", "and on"] = lines[..] else { panic!("{lines:?}") };
    assert!(
        notice.starts_with("mmlog-logging: 3 events not stored between 20")
            && notice.ends_with("Z: no space"),
        "{notice}"
    );
}

/// Logs against a limit on the length of files, which is lifted then.
fn limited() {
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    writeln!(sink().event(), "{:1000}", "made").unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 200_000, hard).unwrap();
    let mut number = 0;
    while sink().lost() < 3 {
        writeln!(sink().event(), "{number} {:1000}", "").unwrap();
        number += 1;
    }
    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    writeln!(sink().event(), "room again").unwrap();
}

#[test]
fn events_lost_at_a_file_size_limit_are_told_and_end_no_program() {
    let scene = scene();
    Actor::on(&scene.log, "limited").finish();
    let text = exact(&scene.log);
    let lines: Vec<_> = text.lines().collect();
    let [_, stored @ .., notice, "room again"] = &lines[..] else { panic!("{lines:?}") };
    assert!(stored.iter().enumerate().all(|(number, line)| line.starts_with(&format!("{number} "))));
    assert!(
        notice.starts_with("mmlog-logging: 3 events not stored") && notice.ends_with("no space"),
        "{notice}"
    );
    assert!(stored.len() > 150 && stored.len() * 1000 < 200_000, "{}", stored.len());
}

#[test]
fn who_waits_on_a_full_disk_loses_nothing() {
    let Some(disk) = Disk::new(8 << 20) else { return };
    let dropping = Sink::open(disk.log()).unwrap();
    let waiting = Sink::builder(disk.log()).on_full(OnFull::Wait(Duration::MAX)).open().unwrap();
    let brief = Sink::builder(disk.log()).on_full(OnFull::Wait(Duration::from_millis(1))).open().unwrap();
    let ballast = disk.ballast("ballast", 6 << 20);
    while dropping.lost() == 0 {
        writeln!(dropping.event(), "{:1000}", "").unwrap();
    }
    writeln!(brief.event(), "{:1000}", "brief").unwrap();
    assert_eq!(brief.lost(), 1);
    thread::scope(|scope| {
        let waits = scope.spawn(|| writeln!(waiting.event(), "{:1000}", "patient").unwrap());
        let status = || Log::options().open_reader(disk.log()).unwrap().status().unwrap();
        until("the wait", || status().writers.iter().filter(|w| w.waiting.is_some()).nth(1).map(drop));
        assert!(!waits.is_finished());
        fs::remove_file(ballast).unwrap();
    });
    assert_eq!(waiting.lost(), 0);
    drop((dropping, brief, waiting));
    let text = exact(&disk.log());
    assert_eq!(text.lines().filter(|line| line.starts_with("patient")).count(), 1);
    assert_eq!(text.lines().filter(|line| line.contains("1 event not stored between")).count(), 2);
}

/// Forks while other threads log; children log too, and end as they like.
fn forks() {
    // Opened before: a child would wait for a thread that opens it, and that it does not have.
    sink();
    let others: Vec<_> = (0..3)
        .map(|writer| {
            thread::spawn(move || {
                tracing::subscriber::with_default(subscriber(sink()), || {
                    (0..2000).for_each(|number| event(writer, number))
                });
            })
        })
        .collect();
    for child in 0..20 {
        // SAFETY: the C library makes its allocator usable in the child, which logs and ends.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0))
            }
            ForkResult::Child => {
                for number in 0..50 {
                    writeln!(sink().event(), "{} {number} {}", 100 + child, filling(100 + child, number))
                        .unwrap();
                }
                // SAFETY: ends the process at once; what the parent will flush or drop is not this process's.
                unsafe { nix::libc::_exit(0) }
            }
        }
    }
    others.into_iter().for_each(|other| other.join().unwrap());
}

#[test]
fn children_forked_while_others_log_log_on_and_nothing_is_lost() {
    let scene = scene();
    Actor::on(&scene.log, "forks").finish();
    let text = exact(&scene.log);
    assert_eq!((0..3).map(|writer| counted(&text, writer)).collect::<Vec<_>>(), [2000; 3]);
    assert_eq!((100..120).map(|writer| counted(&text, writer)).collect::<Vec<_>>(), [50; 20]);
}
