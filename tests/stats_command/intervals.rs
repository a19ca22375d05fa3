//! How much was appended when: from times that are forged, so that it is known what is right.

use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use mmlog::layout::{FINALS_AT, Header, PAIRS_MAX, RING_LEN, STEPS_AT, TimePair, ring_at};
use mmlog::times::{Pair, Step};
use serde_json::Value;

use crate::cli::{Scratch, at, metadata_of, mmlogctl, poke};
use crate::{object, stats, text};

const HOUR: u64 = 3600;
const SECOND_NS: u64 = 1_000_000_000;
/// 2026-01-05, midnight.
const DAY: u64 = 1_767_571_200;
const MAX_WRITERS: u32 = 8;

/// Replaces all that the log knows of times: seconds since that midnight, and positions. Steps: the same of before and after.
fn forge(log: &Path, pairs: &[(u64, u64)], steps: &[(u64, u64, u64)]) {
    let file = File::options().read(true).write(true).open(metadata_of(log)).unwrap();
    let word = |at: usize| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at as u64).unwrap();
        u64::from_ne_bytes(bytes)
    };
    let id = offset_of!(Header, identity.uuid);
    let uuid = [word(id), word(id + 8)];
    let ring = ring_at(MAX_WRITERS);
    file.write_all_at(&[0; RING_LEN], ring as u64).unwrap();
    let put = |at: usize, words: &[u64]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        file.write_all_at(&bytes, (ring + at) as u64).unwrap();
    };
    let ns = |seconds: u64| (DAY + seconds) * SECOND_NS;
    assert!(pairs.len() <= PAIRS_MAX && STEPS_AT < FINALS_AT);
    for (number, (at, position)) in (1..).zip(pairs) {
        let place = Pair::place(number);
        let pair = Pair { at_ns: ns(*at), settled: *position, reserved: *position };
        put(place * size_of::<TimePair>(), &pair.words(place, uuid));
    }
    for (number, (position, before, after)) in (0..).zip(steps) {
        let step = Step {
            settled: *position,
            reserved: *position,
            before_ns: ns(*before),
            after_ns: ns(*after),
            number,
        };
        put(STEPS_AT + step.place() * 64, &step.words(uuid));
    }
    poke(log, offset_of!(Header, times.count), &(pairs.len() as u64).to_ne_bytes());
    poke(log, offset_of!(Header, times.steps), &(steps.len() as u64).to_ne_bytes());
}

fn log_of(scratch: &Scratch, bytes: u64) -> PathBuf {
    scratch.log(&vec![b'x'; bytes as usize])
}

/// From, to, bytes.
fn intervals(object: &Value) -> Vec<(String, String, u64)> {
    let all = object["intervals"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|i| (text(&i["from"]), text(&i["to"]), i["bytes"].as_u64().unwrap())).collect()
}

/// A log of two hours, a pause of three, and another hour: 10 bytes a minute.
fn with_a_pause(scratch: &Scratch) -> PathBuf {
    let log = log_of(scratch, 1800);
    let minutes = (0..=120).chain(300..=360);
    let pairs: Vec<(u64, u64)> = minutes
        .map(|minute| (minute * 60, if minute <= 120 { minute * 10 } else { 1200 + (minute - 300) * 10 }))
        .collect();
    forge(&log, &pairs, &[]);
    log
}

#[test]
fn bytes_of_each_hour_are_those_that_were_appended_in_it() {
    let scratch = Scratch::new();
    let log = with_a_pause(&scratch);
    let object = object(&log, &["--by", "1h"]);
    let hour = |n: u64| format!("2026-01-05T0{n}:00:00Z");
    let expected: Vec<_> =
        [600, 600, 0, 0, 0, 600].iter().zip(0..).map(|(bytes, n)| (hour(n), hour(n + 1), *bytes)).collect();
    assert_eq!(intervals(&object), expected, "{object}");
    assert_eq!(
        (&object["bytes"], &object["end"], &object["by_s"]),
        (&1800.into(), &1800.into(), &3600.into())
    );
    assert_eq!((&object["times"], &object["untimed"]), (&"noted".into(), &Value::Null));
    for interval in object["intervals"].as_array().unwrap() {
        let [least, bytes, most] =
            ["at_least", "bytes", "at_most"].map(|key| interval[key].as_u64().unwrap());
        assert!(least <= bytes && bytes <= most && most - least <= 20, "{interval}");
        assert_eq!(interval["bytes_per_second"], bytes as f64 / 3600.0, "{interval}");
    }
}

#[test]
fn a_pause_is_one_line_between_bars_that_fit() {
    let scratch = Scratch::new();
    let log = with_a_pause(&scratch);
    let shown = text(&log, &["--by", "1h"]);
    let at = |label: &str| shown.lines().find(|line| line.trim_start().starts_with(label)).unwrap_or("");
    assert!(at("00:00").contains("600B") && at("00:00").ends_with("########"), "{shown}");
    assert!(at("02:00").ends_with("nothing for 3h00m") && at("03:00").is_empty(), "{shown}");
    assert!(shown.contains("idle         nothing was appended since 2026-01-05 06:00:00Z"), "{shown}");
    assert!(shown.is_ascii(), "{shown}");
    let drawn = stats(&log, &["--by", "1h"]).with(|c| c.env("LC_ALL", "C.UTF-8").env("TERM", "xterm")).run();
    assert!(drawn.text().contains("\u{2588}\u{2588}\u{2588}"), "{drawn:?}");
}

#[test]
fn the_first_and_the_last_interval_are_marked_where_they_are_cut_off() {
    let scratch = Scratch::new();
    let log = with_a_pause(&scratch);
    let args = ["--by", "1h", "--since", "2026-01-05 00:30", "--until", "2026-01-05 05:45"];
    let object = object(&log, &args);
    let all = intervals(&object);
    assert_eq!(all.first().unwrap().0, "2026-01-05T00:30:00Z", "{all:?}");
    assert_eq!(all.last().unwrap().1, "2026-01-05T05:45:00Z", "{all:?}");
    assert_eq!(all.iter().map(|i| i.2).collect::<Vec<_>>(), [300, 600, 0, 0, 0, 450]);
    let partial: Vec<bool> =
        object["intervals"].as_array().unwrap().iter().map(|i| i["partial"].as_bool().unwrap()).collect();
    assert_eq!(partial, [true, false, false, false, false, true]);
    let shown = text(&log, &args);
    assert!(shown.contains("00:30 <") && shown.contains("05:00 >"), "{shown}");
    assert!(shown.contains("< begins within it") && shown.contains("> ends within it"), "{shown}");
    let never = text(&log, &["--since", "2026-02-01"]);
    assert!(never.contains("Nothing is known to have been appended in that time."), "{never}");
}

#[test]
fn a_clock_that_was_set_is_said_and_marked_and_costs_no_bytes() {
    let scratch = Scratch::new();
    let log = log_of(&scratch, 200);
    // Ten bytes a minute; after ten minutes the clock goes back an hour.
    let before = (0..=10).map(|n| (2 * HOUR + n * 60, n * 10));
    let behind = (0..=10).map(|n| (HOUR + 600 + n * 60, 100 + n * 10));
    forge(&log, &before.chain(behind).collect::<Vec<_>>(), &[(100, 2 * HOUR + 600, HOUR + 600)]);
    let object = object(&log, &["--by", "10m"]);
    let set = &object["clock_set"];
    assert_eq!((set.as_array().unwrap().len(), &set[0]["position"]), (1, &100.into()), "{object}");
    assert_eq!(
        (&set[0]["from"], &set[0]["to"]),
        (&"2026-01-05T02:10:00Z".into(), &"2026-01-05T01:10:00Z".into())
    );
    let all = object["intervals"].as_array().unwrap();
    assert_eq!(all.iter().map(|i| i["bytes"].as_u64().unwrap()).sum::<u64>(), 200, "{object}");
    assert!(all[0]["clock_set"].as_bool().unwrap() && !all[2]["clock_set"].as_bool().unwrap(), "{object}");
    let shown = text(&log, &["--by", "10m"]);
    assert!(shown.contains("! the clock was set"), "{shown}");
    assert!(
        shown.contains("clock        set from 2026-01-05 02:10:00Z to 2026-01-05 01:10:00Z at position 100")
    );
}

#[test]
fn an_interval_is_chosen_that_fits_the_time_and_one_that_is_too_short_is_refused() {
    let scratch = Scratch::new();
    let log = with_a_pause(&scratch);
    let rows = intervals(&object(&log, &[])).len();
    assert!((20..=40).contains(&rows), "{rows}");
    let ended = stats(&log, &["--by", "1s"]).run();
    assert_eq!((ended.code, ended.stdout.len()), (2, 0), "{ended:?}");
    assert!(
        ended.stderr.contains("more than 10000 intervals") && ended.stderr.contains("--since"),
        "{ended:?}"
    );
    for wrong in ["10ms", "0s", "soon"] {
        assert_eq!(stats(&log, &["--by", wrong]).run().code, 2, "{wrong}");
    }
}

#[test]
fn no_byte_is_read_of_a_log_of_100_gib() {
    let scratch = Scratch::new();
    let log = log_of(&scratch, 0);
    const LEN: u64 = 100 << 30;
    File::options().write(true).open(&log).unwrap().set_len(LEN).unwrap();
    for word in [at::CURSOR, at::LIMIT, at::FILE_SIZE] {
        poke(&log, word, &LEN.to_ne_bytes());
    }
    let month: Vec<(u64, u64)> =
        (0..=720).map(|hour| (hour * HOUR, (u128::from(LEN) * u128::from(hour) / 720) as u64)).collect();
    forge(&log, &month, &[]);
    let object = object(&log, &["--by", "1d"]);
    let all = intervals(&object);
    assert_eq!((all.len(), all.iter().map(|i| i.2).sum::<u64>()), (30, LEN));
}

#[test]
fn of_a_log_without_noted_times_those_of_its_segments_are_taken() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    mmlogctl("rotate", &log).run().is_success();
    mmlogctl("append", &log).input(b"two\n").run().is_success();
    // As an earlier version leaves it.
    poke(&log, offset_of!(Header, tables.ring_len), &0_u64.to_ne_bytes());
    let object = object(&log, &[]);
    assert_eq!(object["times"], "segments", "{object}");
    assert_eq!(intervals(&object).iter().map(|i| i.2).sum::<u64>(), 8, "{object}");
    let shown = text(&log, &[]);
    assert!(
        shown.contains("times        before the log noted any, those at which its segments began and ended")
    );
}

#[test]
fn what_was_there_before_metadata_was_rebuilt_is_said_to_have_no_times() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    std::fs::remove_file(metadata_of(&log)).unwrap();
    mmlogctl("repair", &log).arg("--rebuild").run().is_success();
    let before = object(&log, &[]);
    assert!(before["untimed"]["bytes"] == 4 || before["times"] == "segments", "{before}");
    mmlogctl("append", &log).input(b"two two\n").run().is_success();
    let object = object(&log, &[]);
    let timed: u64 = intervals(&object).iter().map(|i| i.2).sum();
    assert_eq!(timed + object["untimed"]["bytes"].as_u64().unwrap_or(0), 12, "{object}");
}

#[test]
fn rates_up_to_now_are_those_of_what_was_just_appended() {
    let scratch = Scratch::new();
    let log = log_of(&scratch, 6000);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() - DAY;
    // A byte a second for 100 minutes.
    forge(&log, &(0..=100).map(|n| (now - 6000 + n * 60, n * 60)).collect::<Vec<_>>(), &[]);
    let object = object(&log, &[]);
    let rates: Vec<(f64, u64)> = object["rates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rate| (rate["over_s"].as_f64().unwrap(), rate["bytes"].as_u64().unwrap()))
        .collect();
    assert_eq!(rates.iter().map(|rate| rate.0).collect::<Vec<_>>(), [60.0, 600.0, 3600.0]);
    // However long this process took to look.
    assert!(rates.iter().all(|(over, bytes)| *bytes as f64 <= *over), "{rates:?}");
    assert!(text(&log, &[]).contains("/s in the last 1h00m"));
}
