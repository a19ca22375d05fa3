//! `check --deep` beside writers, trims and kills: no false alarm.

use std::time::Duration;

use mmlog::{Log, Options};

use crate::check;
use crate::cli::mmlogctl;
use crate::common::{self, Actor, Random, log_path, message, parameter, scene};

/// How many logs, and how often each is checked; each time something has died since.
const LOGS: u64 = 4;
const ROUNDS: u64 = 12;

fn options() -> Options {
    Log::options().chunk_size(16384).ring_chunks(2)
}

/// Appends until it is killed.
pub(super) fn victim() {
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let (id, mut random) = (parameter("ID"), Random::new(parameter("SEED")));
    for number in 0.. {
        let len = if random.below(50) == 0 { 25 + random.below(20_000) } else { 25 + random.below(200) };
        writer.append(&message(id, number, len as usize)).unwrap();
        if number == 0 {
            common::say("begun");
        }
        // A check reads all that there is: it must not grow faster than that.
        if number % 16 == 0 {
            std::thread::sleep(Duration::from_micros(500 + random.below(3000)));
        }
    }
}

pub(super) fn trimmer() {
    let log = options().open_or_create(log_path()).unwrap();
    common::say("begun");
    loop {
        let _ = log.trim(Duration::from_millis(200));
        std::thread::yield_now();
    }
}

#[test]
fn a_busy_log_whose_writers_and_trimmers_are_killed_is_never_said_to_be_violated() {
    let seed = common::seed();
    let mut random = Random::new(seed);
    for log in 0..LOGS {
        storm(seed + log, &mut random);
    }
}

fn storm(seed: u64, random: &mut Random) {
    let scene = scene();
    options().open_or_create(&scene.log).unwrap();
    let path = scene.log.display().to_string();
    let start = |role: &str, id: u64| {
        let parameters = [("LOG", path.clone()), ("ID", id.to_string()), ("SEED", (seed ^ id).to_string())];
        let mut actor = Actor::new(role, &parameters);
        assert_eq!(actor.hear(), "begun");
        actor
    };
    let mut victims: Vec<Actor> = (0..4).map(|id| start("victim", id)).collect();
    let mut trimmer = start("trimmer", 99);
    for round in 0..ROUNDS {
        let chosen = random.below(victims.len() as u64) as usize;
        victims.swap_remove(chosen).kill();
        if round % 4 == 0 {
            trimmer.kill();
            trimmer = start("trimmer", 99);
        }
        // While one is dead, and with a new one that takes a slot in the middle of the check.
        let checking = mmlogctl("check", &scene.log).arg("--deep").start();
        victims.push(start("victim", 100 + round));
        let during = checking.end();
        let after = check(&scene.log, &["--deep"]);
        for ended in [during, after] {
            assert!(ended.code == 0 && ended.stderr.is_empty(), "seed {seed}, round {round}: {ended:?}");
        }
    }
    victims.into_iter().chain([trimmer]).for_each(|actor| drop(actor.kill()));
    let ended = check(&scene.log, &["--deep"]);
    assert_eq!(ended.code, 0, "seed {seed}, at the end: {ended:?}");
}
