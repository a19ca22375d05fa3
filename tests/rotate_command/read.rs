//! Reading through compressed segments.

use std::fs;

use crate::cli::{Scratch, mmlogctl};
use crate::{append, lines, mixed, rotate, segments};

#[test]
fn cat_gives_every_byte_of_plain_and_compressed_segments() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let all = mixed(&log);
    mmlogctl("cat", &log).run().printed(&all);
    mmlogctl("tail", &log).arg("-n+1").run().printed(&all);
}

#[test]
fn reading_begins_anywhere_in_a_compressed_segment() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let all = mixed(&log);
    for from in [1, all.len() / 8, all.len() / 4, all.len() / 3, all.len() / 2 + 1, all.len() - 1] {
        mmlogctl("cat", &log).arg(format!("--from={from}")).run().printed(&all[from..]);
        mmlogctl("tail", &log).arg(format!("-c{}", all.len() - from)).run().printed(&all[from..]);
    }
}

#[test]
fn the_last_lines_are_found_backwards_through_compressed_segments() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let all = mixed(&log);
    for n in [9_999, 10_001, 25_000, 39_999] {
        mmlogctl("tail", &log).arg(format!("-n{n}")).run().printed(&lines(40_000 - n, 40_000));
    }
    mmlogctl("tail", &log).arg("-n50000").run().printed(&all);
}

#[test]
fn a_consumer_with_a_cursor_file_goes_on_in_segments_that_were_compressed_meanwhile() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let place = scratch.file("place");
    let all = mixed(&log);
    let taken = || {
        let cursor = format!("--cursor-file={}", place.display());
        mmlogctl("tail", &log).args(["-n+1", "--until-now", &cursor]).run()
    };
    taken().printed(&all);
    rotate(&log, &["--compress=zstd"]).run().printed(b"");
    let line = fs::read_to_string(&place).unwrap();
    for at in (0..all.len()).step_by(all.len() / 9) {
        // One that was stopped there.
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        fs::write(&place, format!("{} {} {at}\n", words[0], words[1])).unwrap();
        taken().printed(&all[at..]);
        taken().printed(b"");
    }
}

#[test]
fn a_follower_goes_on_while_segments_are_compressed_under_it() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, &lines(0, 10_000));
    let tail = mmlogctl("tail", &log).args(["-n+1", "-f"]).start();
    for round in 1..8 {
        append(&log, &lines(round * 10_000, (round + 1) * 10_000));
        rotate(&log, &["--compress=gzip"]).run().printed(b"");
    }
    let all = lines(0, 80_000);
    tail.until_stdout(|printed| printed.len() >= all.len());
    assert!(tail.printed() == all);
}

#[test]
fn a_damaged_segment_is_an_error_that_names_it_and_the_position() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let all = mixed(&log);
    for segment in &segments(&log)[..2] {
        let whole = fs::read(segment).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 0x55;
        for damaged in [&whole[..0], &whole[..whole.len() - 1], &whole[..whole.len() / 2], &changed[..]] {
            fs::write(segment, damaged).unwrap();
            let ended = mmlogctl("cat", &log).run();
            let name = segment.file_name().unwrap().to_str().unwrap();
            ended.is_refused(4, &log, &[name, "cannot be decompressed at position"]);
            // Of a changed byte the checksum at the end may be the first to know.
            let same = all.iter().zip(&ended.stdout).take_while(|(a, b)| a == b).count();
            let behind = &ended.stdout[same..];
            assert!(all.ends_with(behind) || damaged == changed, "what is printed is right");
            assert!(ended.stdout.ends_with(&all[all.len() - 100..]), "it goes on behind the damage");
        }
        fs::write(segment, &whole).unwrap();
    }
    mmlogctl("cat", &log).run().printed(&all);
}

#[test]
fn a_segment_that_is_gone_is_a_hole_also_behind_a_compressed_one() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    mixed(&log);
    fs::remove_file(segments(&log).remove(1)).unwrap();
    let rest = [lines(0, 10_000), lines(20_000, 40_000)].concat();
    let ended = mmlogctl("cat", &log).run();
    assert!(ended.code == 4 && ended.stdout == rest, "{ended:?}");
    assert!(ended.stderr.contains("gone"), "{ended:?}");
}
