//! Many processes append, rotate and follow at once.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{is_sound, names, options, segments};
use crate::common::{self, Actor, Random, assert_complete, message, parameter, parse, scene, seed};
use mmlog::{Fault, Observer, Retention, Rotation, Start};

/// Appends `EACH` messages of 1 byte to 2 chunks.
pub(crate) fn writer() {
    let (id, each): (u64, u64) = (parameter("ID"), parameter("EACH"));
    let mut random = Random::new(parameter::<u64>("SEED") ^ id);
    let log = options().open_or_create(common::log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    for number in 0..each {
        let len = match random.below(1000) {
            0..100 => 1,
            100..980 => 25 + random.below(300),
            _ => 25 + random.below(2 * 65536),
        };
        writer.append(&message(id, number, len as usize)).unwrap();
    }
    drop(writer);
    log.close().unwrap();
    common::say("done");
}

/// Rotates until its input ends; says the path of each segment, and the checksum it had at once.
pub(crate) fn rotator() {
    let log = options().open_or_create(common::log_path()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while common::listen() {}
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            match log.rotate(&Rotation::default().wait(Duration::from_secs(100))) {
                Ok(Some(rotated)) => {
                    let bytes = fs::read(&rotated.path).unwrap();
                    assert_eq!(bytes.len() as u64, rotated.bytes());
                    common::say(&format!("{} {}", rotated.generation, checksum(&bytes)));
                }
                Ok(None) => std::thread::yield_now(),
                Err(e) => assert!(matches!(e.fault(), Fault::Busy(_) | Fault::Stalled { .. }), "{e}"),
            }
        }
    });
    common::say("done");
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &b| (sum ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn writers_and_followers_go_on_while_two_processes_rotate_as_fast_as_they_can() {
    const WRITERS: u64 = 6;
    const EACH: u64 = 4000;
    let (scene, seed) = (scene(), seed());
    println!("seed {seed}");
    let log = scene.log.display().to_string();
    let parameters = |id: u64| {
        [("LOG", log.clone()), ("ID", id.to_string()), ("EACH", EACH.to_string()), ("SEED", seed.to_string())]
    };
    options().open_or_create(&scene.log).unwrap();
    let out = |rate: u64| scene.dir.path().join(format!("out{rate}"));
    let mut followers: Vec<_> = [0, 200]
        .map(|rate| {
            let to = out(rate).display().to_string();
            Actor::new("follower", &[("LOG", log.clone()), ("OUT", to), ("RATE", rate.to_string())])
        })
        .into();
    let mut rotators: Vec<_> = (0..2).map(|_| Actor::new("rotator", &parameters(0)[..1])).collect();
    let mut writers: Vec<_> = (0..WRITERS).map(|id| Actor::new("writer", &parameters(id))).collect();
    for writer in &mut writers {
        assert_eq!(writer.hear(), "done");
    }
    let mut rotations = 0;
    for rotator in &mut rotators {
        rotator.end_input();
        loop {
            let said = rotator.hear();
            let Some((generation, sum)) = said.split_once(' ') else {
                assert_eq!(said, "done");
                break;
            };
            let generation: usize = generation.parse().unwrap();
            let path = &segments(&scene.log)[generation];
            assert_eq!(checksum(&fs::read(path).unwrap()).to_string(), sum, "{} has changed", path.display());
            rotations += 1;
        }
    }
    let mut whole = Vec::new();
    for path in segments(&scene.log) {
        let bytes = fs::read(&path).unwrap();
        assert!(path.display().to_string().ends_with(&format!("-{:019}", whole.len())), "{}", path.display());
        assert!(bytes.ends_with(b"\n"), "split in the middle of a message");
        whole.extend(bytes);
    }
    whole.extend(fs::read(&scene.log).unwrap());
    assert_complete(&parse(&whole), WRITERS, EACH);
    assert!(rotations > 10, "only {rotations} rotations");
    assert_eq!(names(&scene.log).len(), rotations + 2, "no temporary file is left");
    for (follower, rate) in followers.iter_mut().zip([0, 200]) {
        follower.tell(&whole.len().to_string());
        common::wait(&mut follower.child);
        assert!(fs::read(out(rate)).unwrap() == whole, "what the follower at rate {rate} has seen");
    }
    is_sound(&scene.log);
    println!("{rotations} rotations, {} bytes", whole.len());
}

#[test]
fn threads_of_one_handle_append_and_rotate_at_once() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let (threads, each) = (4, 3000);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let rotator = scope.spawn(|| {
            let mut rotations = 0;
            while !done.load(Ordering::Relaxed) {
                rotations += usize::from(log.rotate(&Rotation::default()).unwrap().is_some());
            }
            rotations
        });
        let writers: Vec<_> = (0..threads)
            .map(|id| {
                let log = &log;
                scope.spawn(move || {
                    let mut writer = log.writer().unwrap();
                    for number in 0..each {
                        writer.append(&message(id, number, 100)).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|w| w.join().unwrap());
        done.store(true, Ordering::Relaxed);
        assert!(rotator.join().unwrap() > 0);
    });
    assert_complete(&parse(&common::committed(&scene.log)), threads, each);
}

#[test]
fn at_every_instant_there_is_a_file_at_the_path() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            let (mut inodes, mut looks) = (std::collections::HashSet::new(), 0_u64);
            while !done.load(Ordering::Relaxed) {
                inodes.insert(fs::metadata(&scene.log).expect("a file at the path").ino());
                looks += 1;
            }
            (inodes.len(), looks)
        });
        let mut writer = log.writer().unwrap();
        for _ in 0..300 {
            writer.append(b"line\n").unwrap();
            super::rotate(&log);
        }
        done.store(true, Ordering::Relaxed);
        let (inodes, looks) = looker.join().unwrap();
        assert!(inodes > 1 && looks > 1, "{inodes} files seen in {looks} looks");
    });
}

#[test]
fn a_look_beside_rotations_that_come_one_after_the_other_finds_no_damage() {
    let scene = scene();
    let log = options().open_or_create(&scene.log).unwrap();
    let mut observer = Observer::open(&scene.log, &options()).unwrap();
    let mut follower = options().open_reader(&scene.log).unwrap().follow(Start::Oldest).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            let mut writer = log.writer().unwrap();
            while !done.load(Ordering::Relaxed) {
                writer.append(b"a line\n").unwrap();
                log.rotate(&Rotation::default()).unwrap();
                // The more there are, the longer a look takes.
                if log.generation().is_multiple_of(100) {
                    log.prune(&Retention::default().keep(50)).unwrap();
                }
            }
        });
        let mut looks = 0;
        let found = loop {
            let status = observer.look().unwrap();
            let is_odd = !status.damage.is_empty() || status.cursor < status.base;
            let of_reader = follower.damage().unwrap();
            looks += 1;
            if is_odd || !of_reader.is_empty() || !status.flaws.is_empty() || looks == 300 {
                break (status.damage, status.flaws, status.cursor, status.base, of_reader);
            }
        };
        done.store(true, Ordering::Relaxed);
        rotating.join().unwrap();
        let (damage, flaws, cursor, base, of_reader) = found;
        assert!(damage.is_empty() && of_reader.is_empty(), "look {looks}: {damage:?} {of_reader:?}");
        assert!(flaws.is_empty(), "look {looks}: {flaws:?}");
        assert!(base <= cursor, "look {looks}: the segment begins at {base}, the end is {cursor}");
    });
    assert!(log.generation() > 10);
    is_sound(&scene.log);
}
