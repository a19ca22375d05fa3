//! Guards against what a race to create a log could do: two logs under one name, lost first lines, a log that a dead
//! creator blocks, an existing file that is clobbered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Actor, Content, Random, Scene, heard, log_path, message, metadata_of, parse, scene};
use mmlog::layout::{LOCK_BYTE, total_len};
use mmlog::{Adopt, Fault, Log, Options, Origin, Start};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

#[test]
fn role() {
    common::play(&[("racer", racer), ("creator", creator), ("holder", holder)]);
}

/// The starting line of a race: racers wait for a shared lock on a file until the test gives its own back.
struct Barrier(File);

impl Barrier {
    fn at(path: &Path) -> Self {
        Self(File::options().create(true).truncate(false).write(true).open(path).unwrap())
    }
}

const RACERS: u64 = 32;

/// For each path it hears: waits at the barrier, opens the log there, appends a line and leaves. Says how it went.
fn racer() {
    let (id, adopt): (u64, u8) = (common::parameter("ID"), common::parameter("ADOPT"));
    let barrier = PathBuf::from(common::parameter::<String>("BARRIER"));
    // Everybody wants another log; the first one's wishes are what all get.
    let options = Log::options().chunk_size(4096 * (1 + id % 5)).max_writers(40 + id as u32);
    let options = if adopt == 1 { options.adopt(Adopt::Existing) } else { options };
    for round in 0.. {
        let Some(path) = heard() else { return };
        let barrier = Barrier::at(&barrier);
        common::say("set");
        barrier.0.lock_shared().unwrap();
        common::say(&enter(&options, &path, &message(id, round, 25 + id as usize * 7)));
    }
}

fn enter(options: &Options, path: &str, line: &[u8]) -> String {
    let log = match options.open_or_create(path) {
        Ok(log) => log,
        Err(error) => return format!("refused {error}"),
    };
    log.writer().unwrap().append(line).unwrap();
    let id = log.follow(Start::Oldest).unwrap().log_id();
    let said = format!("{id} {} {} {:?}", log.chunk_size(), log.max_writers(), log.origin());
    log.close().unwrap();
    said
}

struct Race {
    scene: Scene,
    barrier: PathBuf,
    adopt: u8,
    racers: Vec<Actor>,
}

impl Race {
    fn new(racers: u64, adopt: u8) -> Self {
        let scene = scene();
        let barrier = scene.dir.path().join("barrier");
        let mut race = Self { scene, barrier, adopt, racers: Vec::new() };
        race.racers = (0..racers).map(|id| race.racer(id)).collect();
        race
    }

    fn racer(&self, id: u64) -> Actor {
        let barrier = self.barrier.display().to_string();
        Actor::new(
            "racer",
            &[("ID", id.to_string()), ("ADOPT", self.adopt.to_string()), ("BARRIER", barrier)],
        )
    }

    /// Where the log of that round is made, in a directory of its own.
    fn path(&self, round: u64) -> PathBuf {
        let dir = self.scene.dir.path().join(round.to_string());
        fs::create_dir(&dir).unwrap();
        dir.join("app.log")
    }

    /// Lets all of them loose at once.
    fn start(&mut self, log: &Path) {
        let barrier = Barrier::at(&self.barrier);
        barrier.0.lock().unwrap();
        for racer in &mut self.racers {
            racer.tell(&log.display().to_string());
        }
        for racer in &mut self.racers {
            assert_eq!(racer.hear(), "set");
        }
    }

    fn results(&mut self) -> Vec<String> {
        self.racers.iter_mut().map(Actor::hear).collect()
    }
}

fn rounds() -> u64 {
    if std::env::var_os("MMLOG_LONG").is_some() { 5000 } else { 200 }
}

/// Log id, chunk size and writers are the same for all; returns them.
fn agreed(results: &[String]) -> String {
    let log_of = |result: &String| result.rsplitn(2, ' ').last().unwrap().to_string();
    let first = log_of(&results[0]);
    assert!(results.iter().all(|r| log_of(r) == first), "not one log: {results:#?}");
    first
}

fn files_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn lines_of(content: &Content) -> Vec<u64> {
    let mut writers: Vec<u64> = content.lines.keys().copied().collect();
    writers.sort_unstable();
    assert!(content.lines.values().all(|numbers| numbers.len() == 1), "a line is there twice: {content:?}");
    writers
}

#[test]
fn of_thirty_two_racers_one_creates_and_all_append_to_the_same_log() {
    let mut race = Race::new(RACERS, 0);
    for round in 0..rounds() {
        let log = race.path(round);
        race.start(&log);
        let results = race.results();
        agreed(&results);
        let creators = results.iter().filter(|r| r.ends_with(" Created")).count();
        assert_eq!(creators, 1, "{results:#?}");
        // All have left, so the file is what they put in, to the byte.
        assert_eq!(lines_of(&parse(&fs::read(&log).unwrap())), (0..RACERS).collect::<Vec<_>>());
        assert_eq!(files_in(log.parent().unwrap()), ["app.log", "app.log.mmlog"]);
        fs::remove_dir_all(log.parent().unwrap()).unwrap();
    }
}

#[test]
fn a_racer_killed_at_any_moment_costs_the_others_nothing() {
    let mut random = Random::new(common::seed());
    let mut race = Race::new(RACERS, 0);
    let mut lasted = Duration::from_millis(5);
    for round in 0..rounds() {
        let log = race.path(round);
        let victim = random.below(RACERS) as usize;
        race.start(&log);
        let begun = Instant::now();
        // Somewhere within what the round before took.
        let moment = Duration::from_nanos(random.below(lasted.as_nanos() as u64));
        while begun.elapsed() < moment {
            std::thread::yield_now();
        }
        race.racers.remove(victim).kill();
        let results = race.results();
        lasted = begun.elapsed();
        let survivors = agreed(&results);
        // Somebody comes later, which settles what the victim has left.
        let last = 999;
        let later = enter(&Log::options(), &log.display().to_string(), &message(last, 0, 100));
        assert!(later.starts_with(&survivors), "{later} after {results:#?}");
        let mut there = lines_of(&parse(&common::committed(&log)));
        there.retain(|&id| id != victim as u64);
        let all = (0..RACERS).filter(|&id| id != victim as u64).chain([last]).collect::<Vec<_>>();
        assert_eq!(there, all, "round {round}");
        let cursor = Log::options().open_reader(&log).unwrap().cursor().unwrap().get();
        assert_eq!(fs::metadata(&log).unwrap().len(), cursor, "the last to close has trimmed");
        race.racers.insert(victim, race.racer(victim as u64));
        fs::remove_dir_all(log.parent().unwrap()).unwrap();
    }
}

/// A file to adopt, never open for writing in this process: a child that another test starts at that moment would
/// have it open too, until it runs its own program.
fn put(path: &Path, bytes: &[u8]) {
    let model = path.with_extension("model");
    fs::write(&model, bytes).unwrap();
    assert!(Command::new("cp").arg(&model).arg(path).status().unwrap().success());
    fs::remove_file(model).unwrap();
}

#[test]
fn of_many_adopters_one_adopts_and_the_bytes_stay_in_front() {
    let mut race = Race::new(8, 1);
    let before = message(77, 0, 5000);
    for round in 0..rounds() {
        let log = race.path(round);
        put(&log, &before);
        race.start(&log);
        let results = race.results();
        assert!(results.iter().all(|r| !r.starts_with("refused")), "{results:#?}");
        let adopters = results.iter().filter(|r| r.contains("Adopted")).count();
        assert_eq!(adopters, 1, "{results:#?}");
        let bytes = fs::read(&log).unwrap();
        assert!(bytes.starts_with(&before));
        assert_eq!(lines_of(&parse(&bytes)), (0..8).chain([77]).collect::<Vec<_>>());
        fs::remove_dir_all(log.parent().unwrap()).unwrap();
    }
}

#[test]
fn a_plain_file_with_bytes_is_refused_to_every_racer_and_stays_as_it_is() {
    let mut race = Race::new(8, 0);
    for round in 0..rounds() / 4 {
        let log = race.path(round);
        fs::write(&log, "not a log\n").unwrap();
        race.start(&log);
        for result in race.results() {
            assert!(result.starts_with("refused ") && result.contains("no metadata"), "{result}");
        }
        assert_eq!(fs::read(&log).unwrap(), b"not a log\n");
        assert_eq!(files_in(log.parent().unwrap()), ["app.log"]);
    }
}

/// Creates the log and is gone.
fn creator() {
    drop(Log::options().max_writers(3).open_or_create(log_path()).unwrap());
}

#[test]
fn a_creator_killed_at_any_of_its_system_calls_blocks_nobody() {
    let mut kills = 0;
    for call in 1.. {
        let scene = scene();
        let (log, metadata) =
            (scene.log.display().to_string(), metadata_of(&scene.log).display().to_string());
        let inject = format!("inject=all:signal=KILL:when={call}");
        let Some(strace) = common::strace(&["-o", "/dev/null", "-P", &log, "-P", &metadata, "-e", &inject])
        else {
            return;
        };
        let mut actor = Actor::under(strace, "creator", &[("LOG", log)]);
        actor.end_input();
        let survived = common::wait(&mut actor.child).success();
        let opened = Log::options().wait(Duration::from_secs(60)).open_or_create(&scene.log).unwrap();
        assert_eq!(opened.writer().unwrap().append(b"hello\n").unwrap().get(), 0, "after call {call}");
        opened.close().unwrap();
        assert_eq!(fs::read(&scene.log).unwrap(), b"hello\n");
        if survived {
            break;
        }
        kills += 1;
    }
    println!("{kills} kills");
    assert!(kills > 8, "only {kills} of its calls were seen");
}

/// A metadata file as a creator that died has left it.
fn unfinished(scene: &Scene, state: &str) {
    let metadata = metadata_of(&scene.log);
    match state {
        "empty" => fs::write(metadata, "").unwrap(),
        "empty, with a data file" => {
            fs::write(&scene.log, "").unwrap();
            fs::write(metadata, "").unwrap();
        }
        "allocated" => fs::write(metadata, vec![0; total_len(1024)]).unwrap(),
        "filled" | "versioned" => {
            drop(Log::options().open_or_create(&scene.log).unwrap());
            let zeros: &[u8] = if state == "filled" { &[0; 5] } else { &[2, 0, 0, 0, 0] };
            File::options().write(true).open(metadata).unwrap().write_all_at(zeros, 0).unwrap();
        }
        _ => unreachable!(),
    }
}

const UNFINISHED: [&str; 5] = ["empty", "empty, with a data file", "allocated", "filled", "versioned"];

#[test]
fn what_a_dead_creator_left_is_made_anew() {
    for state in UNFINISHED {
        let scene = scene();
        unfinished(&scene, state);
        let reader = Log::options().open_reader(&scene.log).err().expect("nothing to read");
        assert!(matches!(reader.fault(), Fault::NoLog), "{state}: {reader}");
        let begun = Instant::now();
        let log = loop {
            match Log::options().chunk_size(8192).open_or_create(&scene.log) {
                // A child that another test forks has the files open until it executes its program.
                Err(e) if matches!(e.fault(), Fault::InUse { .. }) && begun.elapsed().as_secs() < 60 => {
                    std::thread::yield_now();
                }
                made => break made.unwrap(),
            }
        };
        assert_eq!((log.origin(), log.chunk_size()), (Origin::Created, 8192), "{state}");
        log.writer().unwrap().append(b"hello\n").unwrap();
        log.close().unwrap();
        assert_eq!(fs::read(&scene.log).unwrap(), b"hello\n", "{state}");
    }
}

/// Takes or gives back the log's lock as a creator does, on a description of its own.
fn lock_byte(metadata: &File, kind: i32) {
    let range = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: LOCK_BYTE.cast_signed(),
        l_len: 1,
        l_pid: 0,
    };
    fcntl(metadata, FcntlArg::F_OFD_SETLK(&range)).unwrap();
}

#[test]
fn a_live_creator_is_waited_for_and_never_robbed() {
    for state in UNFINISHED {
        let scene = scene();
        unfinished(&scene, state);
        let metadata = metadata_of(&scene.log);
        let before = fs::read(&metadata).unwrap();
        let creator = File::options().read(true).write(true).open(&metadata).unwrap();
        lock_byte(&creator, libc::F_WRLCK);
        let options = Log::options().wait(Duration::from_millis(30));
        for error in [options.open_or_create(&scene.log).err(), options.open_reader(&scene.log).err()] {
            let error = error.expect("the creator lives");
            assert!(matches!(error.fault(), Fault::Stalled { .. }), "{state}: {error}");
        }
        assert!(fs::read(&metadata).unwrap() == before, "{state}: nothing was changed");
        let path = scene.log.clone();
        let waiting = std::thread::spawn(move || Log::options().open_or_create(path).unwrap().origin());
        lock_byte(&creator, libc::F_UNLCK);
        assert_eq!(waiting.join().unwrap(), Origin::Created, "{state}");
    }
}

#[test]
fn adopted_bytes_stay_and_appends_go_behind_them() {
    // Around the end of a page, and of a chunk.
    for len in [25, 4095, 4096, 4097, 8191, 70_001] {
        let scene = scene();
        let before = message(1, 0, len as usize);
        put(&scene.log, &before);
        let log = Log::options().chunk_size(8192).adopt(Adopt::Existing).open_or_create(&scene.log).unwrap();
        assert_eq!(log.origin(), Origin::Adopted { len });
        assert_eq!(log.writer().unwrap().append(&message(1, 1, 500)).unwrap().get(), len);
        let expected = [before, message(1, 1, 500)].concat();
        assert!(common::committed(&scene.log) == expected, "what a follower reads behind {len} bytes");
        log.close().unwrap();
        assert!(fs::read(&scene.log).unwrap() == expected, "what the file holds behind {len} bytes");
    }
}

/// Has the file open, to write to it.
fn holder() {
    let _file = File::options().write(true).open(log_path()).unwrap();
    common::say("open");
    while common::listen() {}
}

#[test]
fn a_file_that_somebody_writes_to_is_not_adopted() {
    let scene = scene();
    put(&scene.log, b"first\n");
    let mut holder = Actor::on(&scene.log, "holder");
    assert_eq!(holder.hear(), "open");
    let options = Log::options().adopt(Adopt::Existing);
    let error = options.open_or_create(&scene.log).err().expect("it is in use");
    let Fault::InUse { who } = error.fault() else { panic!("{error}") };
    assert!(who.contains(&holder.pid().to_string()), "{error}");
    assert_eq!(fs::read(&scene.log).unwrap(), b"first\n");
    assert_eq!(files_in(scene.dir.path()), ["app.log"]);
    holder.finish();
    assert_eq!(options.open_or_create(&scene.log).unwrap().origin(), Origin::Adopted { len: 6 });
}

#[test]
fn the_options_of_an_existing_log_win() {
    let scene = scene();
    let first = Log::options().chunk_size(8192).max_writers(7).mode(0o640).gate_ms(9);
    let made = first.open_or_create(&scene.log).unwrap();
    let other = Log::options().chunk_size(1 << 20).max_writers(99).mode(0o600).gate_ms(1000);
    let log = other.open_or_create(&scene.log).unwrap();
    let options = |log: &Log| (log.chunk_size(), log.max_writers(), log.mode().unwrap(), log.gate_ms());
    assert_eq!(options(&log), (8192, 7, 0o640, 9));
    assert_eq!((options(&made), log.origin()), (options(&log), Origin::Opened));
}

fn owner_and_mode(path: &Path) -> (u32, u32, u32) {
    let m = fs::metadata(path).unwrap();
    (m.uid(), m.gid(), m.mode() & 0o7777)
}

#[test]
fn the_metadata_has_the_owner_and_mode_of_the_data() {
    let scene = scene();
    drop(Log::options().mode(0o604).open_or_create(&scene.log).unwrap());
    assert_eq!(owner_and_mode(&scene.log).2, 0o604);
    assert_eq!(owner_and_mode(&metadata_of(&scene.log)), owner_and_mode(&scene.log));
    let adopted = scene.dir.path().join("old.log");
    put(&adopted, b"old\n");
    fs::set_permissions(&adopted, fs::Permissions::from_mode(0o646)).unwrap();
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&adopted, Some(1234), Some(4321)).unwrap();
    }
    let before = owner_and_mode(&adopted);
    drop(Log::options().adopt(Adopt::Existing).open_or_create(&adopted).unwrap());
    assert_eq!(owner_and_mode(&adopted), before);
    assert_eq!(owner_and_mode(&metadata_of(&adopted)), before);
}
