//! Guards against lost, torn, doubled or reordered messages when many processes append at once, also with trims
//! and followers beside them, chunks of one page and a ring of two.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::time::Duration;

use common::{Actor, Random, Scene, assert_complete, log_path, message, parameter, parse, scene};
use mmlog::{Log, Options};

#[test]
fn role() {
    common::play(&[("writer", writer), ("trimmer", trimmer), ("follower", common::follower)]);
}

fn options() -> Options {
    Log::options().chunk_size(parameter("CHUNK")).ring_chunks(parameter("RING"))
}

/// Appends `EACH` messages of 1 byte to 3 chunks, mostly short, and says how many bytes.
fn writer() {
    let (id, each, chunk): (u64, u64, u64) = (parameter("ID"), parameter("EACH"), parameter("CHUNK"));
    let mut random = Random::new(parameter::<u64>("SEED") ^ id);
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let mut bytes = 0;
    for number in 0..each {
        let len = match random.below(100) {
            0..10 => 1,
            10..90 => 24 + random.below(300),
            90..98 => 24 + random.below(chunk),
            _ => 24 + random.below(3 * chunk - 24),
        };
        let message = message(id, number, len as usize);
        bytes += message.len();
        writer.append(&message).unwrap();
    }
    drop(writer);
    log.close().unwrap();
    common::say(&bytes.to_string());
}

/// Trims every 10 ms until its input ends; says how many times it did.
fn trimmer() {
    let log = options().open_or_create(log_path()).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut cuts = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while common::listen() {}
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            // A drain that a descheduled writer holds up gives way after gate_ms; the next one comes.
            if log.trim(Duration::from_millis(200)).is_ok() {
                cuts += 1;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    common::say(&cuts.to_string());
}

struct Setting {
    writers: u64,
    each: u64,
    chunk: u64,
    ring: u64,
}

impl Setting {
    fn parameters(&self, scene: &Scene, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
        let log = scene.log.display().to_string();
        let mut all = vec![("LOG", log), ("CHUNK", self.chunk.to_string()), ("RING", self.ring.to_string())];
        all.extend_from_slice(more);
        all
    }

    fn start_writers(&self, scene: &Scene) -> Vec<Actor> {
        let seed = common::seed();
        (0..self.writers)
            .map(|id| {
                let mine =
                    [("ID", id.to_string()), ("EACH", self.each.to_string()), ("SEED", seed.to_string())];
                Actor::new("writer", &self.parameters(scene, &mine))
            })
            .collect()
    }

    /// Waits for the writers, then checks every byte of the file; returns its length.
    fn check(&self, scene: &Scene, writers: Vec<Actor>) -> u64 {
        let put: u64 =
            writers.into_iter().map(|w| w.finish().lines().next().unwrap().parse::<u64>().unwrap()).sum();
        let bytes = std::fs::read(&scene.log).unwrap();
        assert_eq!(bytes.len() as u64, put, "the file is as long as what was put in");
        assert_complete(&parse(&bytes), self.writers, self.each);
        put
    }
}

#[test]
fn four_processes_lose_and_tear_nothing() {
    let (scene, setting) = (scene(), Setting { writers: 4, each: 4000, chunk: 65536, ring: 4 });
    let writers = setting.start_writers(&scene);
    setting.check(&scene, writers);
}

#[test]
fn thirty_two_writers_with_one_page_chunks_and_a_ring_of_two_lose_nothing() {
    let (scene, setting) = (scene(), Setting { writers: 32, each: 300, chunk: 4096, ring: 2 });
    let writers = setting.start_writers(&scene);
    setting.check(&scene, writers);
}

#[test]
fn trims_beside_the_writers_cut_no_byte() {
    let (scene, setting) = (scene(), Setting { writers: 32, each: 300, chunk: 4096, ring: 2 });
    let trimmer = Actor::new("trimmer", &setting.parameters(&scene, &[]));
    let writers = setting.start_writers(&scene);
    for mut writer in writers {
        writer.end_input();
        common::wait(&mut writer.child);
    }
    let cuts: u64 = trimmer.finish().lines().next().unwrap().parse().unwrap();
    assert!(cuts > 0, "no trim came through");
    // The trimmer had no slot, so the last writer's close has trimmed.
    assert_complete(&parse(&std::fs::read(&scene.log).unwrap()), setting.writers, setting.each);
}

#[test]
fn followers_see_exactly_the_bytes_of_the_file_however_slow_they_are() {
    let (scene, setting) = (scene(), Setting { writers: 32, each: 200, chunk: 4096, ring: 2 });
    Log::options().chunk_size(setting.chunk).open_or_create(&scene.log).unwrap();
    let mut followers: Vec<(Actor, std::path::PathBuf)> = ["0", "0", "64"]
        .iter()
        .enumerate()
        .map(|(i, rate)| {
            let out = scene.dir.path().join(format!("copy{i}"));
            let mine = [("OUT", out.display().to_string()), ("RATE", rate.to_string())];
            (Actor::new("follower", &setting.parameters(&scene, &mine)), out)
        })
        .collect();
    let trimmer = Actor::new("trimmer", &setting.parameters(&scene, &[]));
    let writers = setting.start_writers(&scene);
    let total = setting.check(&scene, writers);
    trimmer.finish();
    followers.iter_mut().for_each(|(follower, _)| follower.tell(&total.to_string()));
    let bytes = std::fs::read(&scene.log).unwrap();
    for (follower, out) in followers {
        follower.finish();
        assert!(std::fs::read(out).unwrap() == bytes, "a follower's copy differs from the file");
    }
}

/// How often the threads stop to be looked at.
const ROUNDS: u64 = 100;

/// Bytes to write through the ring; 1 GB with `MMLOG_LONG`.
fn volume() -> u64 {
    if std::env::var_os("MMLOG_LONG").is_some() { 1 << 30 } else { 128 << 20 }
}

#[test]
fn sixteen_threads_share_a_ring_of_two_that_never_grows() {
    let scene = scene();
    let log = Log::options().chunk_size(65536).ring_chunks(2).open_or_create(&scene.log).unwrap();
    let each = volume() / 16 / 1000;
    let path = scene.log.display().to_string();
    let mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.ends_with(&path)).count()
    };
    // Counted while nobody appends: the kernel lists mappings one by one, and shows one twice that moves meanwhile.
    let pause = std::sync::Barrier::new(17);
    let mut most = 0;
    std::thread::scope(|scope| {
        for id in 0..16 {
            let (log, pause) = (&log, &pause);
            scope.spawn(move || {
                let mut writer = log.writer().unwrap();
                for number in 0..each {
                    assert!(writer.append(&message(id, number, 1000)).is_ok());
                    if number % (each / ROUNDS) == 0 {
                        pause.wait();
                        pause.wait();
                    }
                }
            });
        }
        for _ in 0..each.div_ceil(each / ROUNDS) {
            pause.wait();
            most = most.max(mapped());
            pause.wait();
        }
    });
    assert!((1..=2).contains(&most), "{most} chunks were mapped");
    log.close().unwrap();
    assert_complete(&parse(&std::fs::read(&scene.log).unwrap()), 16, each);
}
