//! The texts of errors: who does literally what they say has a log that works.

use std::fs;
use std::path::Path;

use crate::cli::{Ended, Scratch, at, metadata_of, mmlogctl, poke, skipped, succeeds, write_hole};
use crate::{CONTENT, cut, poison, repair};

/// What is between backticks and mends the log, as arguments without its path: each can be pasted, so it has that.
#[track_caller]
fn commands(said: &str, log: &Path) -> Vec<Vec<String>> {
    let quoted = said.split('`').skip(1).step_by(2).filter(|text| !text.contains("--olddir"));
    let mending =
        quoted.filter(|text| ["repair", "init"].iter().any(|word| text.split(' ').any(|w| w == *word)));
    let path = log.to_str().unwrap();
    let words = |text: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        assert!(words[0] == "mmlogctl" && words.last() == Some(&path), "{text} cannot be pasted");
        words[1..words.len() - 1].iter().map(|word| (*word).to_owned()).collect()
    };
    mending.map(words).collect()
}

fn append(log: &Path) -> Ended {
    mmlogctl("append", log).input(b"next\n").run()
}

/// Does what an error says, and what that then says, until an append works. How it went.
#[track_caller]
fn follow(log: &Path, preferred: &str) -> Vec<String> {
    let (mut said, mut done) = (append(log).stderr, Vec::new());
    for _ in 0..5 {
        if said.is_empty() {
            return done;
        }
        let advised = commands(&said, log);
        let chosen = advised.iter().find(|words| words.join(" ") == preferred).or(advised.first());
        let Some(words) = chosen else { panic!("no advice in {said:?} after {done:?}") };
        let ended = mmlogctl(&words[0], log).args(&words[1..]).run();
        done.push(words.join(" "));
        said = match ended.code {
            0 => append(log).stderr,
            _ => ended.text().lines().filter(|line| line.starts_with("  left  ")).collect(),
        };
        assert!(ended.code == 0 || !said.is_empty(), "{done:?}: {ended:?}");
    }
    panic!("still {said:?} after {done:?}");
}

type Damage = (&'static str, fn(&Path), &'static [&'static str]);

const DAMAGES: &[Damage] = &[
    ("data without metadata", |log| fs::remove_file(metadata_of(log)).unwrap(), &["init --adopt"]),
    ("no data file", |log| fs::remove_file(log).unwrap(), &["repair --recreate"]),
    ("no magic", |log| poke(log, at::MAGIC, b"MMLOG"), &["repair --rebuild"]),
    ("short metadata", |log| cut(&metadata_of(log), 5000), &["repair --rebuild"]),
    ("an odd chunk size", |log| poke(log, at::CHUNK_SIZE, &[3, 0, 0, 0]), &["repair --rebuild"]),
    ("no writers", |log| poke(log, at::MAX_WRITERS, &[0; 4]), &["repair --rebuild"]),
    ("a wrong cursor", |log| poke(log, at::CURSOR, &[0x3f; 8]), &["repair"]),
    ("a wrong file_size", |log| poke(log, at::FILE_SIZE, &[0xff; 8]), &["repair"]),
    ("a wrong base", |log| poke(log, at::BASE, &[15]), &["repair", "repair --rebuild"]),
    ("a cut file", |log| cut(log, 5), &["repair"]),
    ("another file", |log| replace(log), &["repair --rebuild"]),
    ("another metadata file", |log| replace(&metadata_of(log)), &["repair --rebuild"]),
    ("a journal of another build", |log| poke(log, at::JOURNAL, &[77]), &["repair --rebuild"]),
    ("a panic flag", |log| poison(log), &["repair --clear-panic"]),
    ("a panic flag and a broken invariant", |log| broken(log), &["repair --clear-panic", "repair --rebuild"]),
    ("format 1", |log| version_1(log), &["repair --upgrade"]),
];

fn replace(log: &Path) {
    let copy = log.with_extension("copy");
    fs::copy(log, &copy).unwrap();
    fs::rename(copy, log).unwrap();
}

fn broken(log: &Path) {
    poison(log);
    write_hole(log, 0, 99, 100);
}

fn version_1(log: &Path) {
    let len = CONTENT.len() as u32;
    let words: [u32; 8] = [1, 1, len, 0, len, 0, 4096, 1 << 20];
    fs::write(metadata_of(log), words.map(u32::to_ne_bytes).concat()).unwrap();
}

#[test]
fn following_an_errors_advice_ends_in_a_log_that_works() {
    for (what, damage, expected) in DAMAGES {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        damage(&log);
        let done = follow(&log, expected[0]);
        assert_eq!(done, *expected, "{what}");
        let text = mmlogctl("cat", &log).run();
        assert!(text.text().ends_with("next\n"), "{what}: {text:?}");
        assert_eq!(mmlogctl("check", &log).arg("--deep").run().code, 0, "{what}");
    }
}

#[test]
fn following_the_advice_of_status_ends_there_too() {
    for (what, damage, _) in DAMAGES {
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        damage(&log);
        let status = mmlogctl("status", &log).arg("--json").run();
        // Where there is nothing to show, it says the same as every command.
        let Ok(status) = serde_json::from_slice::<serde_json::Value>(&status.stdout) else { continue };
        let next = status["next_step"].as_str().unwrap();
        // A log of format 1 is no damage.
        let advised = commands(next, &log);
        assert!(!advised.is_empty() || status["state"] == "OK", "{what}: {next}");
        for words in advised {
            let ended = mmlogctl(&words[0], &log).args(&words[1..]).run();
            assert!(ended.code == 0 || ended.text().contains("`mmlogctl repair --"), "{what}: {ended:?}");
        }
    }
}

#[test]
fn an_upgrade_that_cannot_read_the_old_metadata_leaves_it_as_it_is() {
    if !succeeds(std::process::Command::new("strace").args(["-o", "/dev/null", "true"])) {
        return skipped("reads that fail", "strace is missing or may not trace");
    }
    let mut failed = 0;
    for (call, error) in [("pread64", "EIO"), ("mmap", "ENOMEM")] {
        for nth in 1..=8 {
            let scratch = Scratch::new();
            let log = scratch.log(CONTENT);
            version_1(&log);
            let (path, metadata) = (log.to_str().unwrap(), metadata_of(&log));
            let inject = format!("inject={call}:error={error}:when={nth}+");
            let files = ["-P", path, "-P", metadata.to_str().unwrap()];
            let strace = ["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
            let strace = [&files[..], &strace[..]].concat();
            let ended = mmlogctl("repair", &log).arg("--upgrade").through("strace", &strace).run();
            failed += u32::from(ended.code != 0);
            let again = repair(&log, &["--upgrade"]);
            assert_eq!(again.code, 0, "{call} {nth}: {again:?}");
            mmlogctl("append", &log).input(b"next\n").run().is_success();
            mmlogctl("cat", &log).run().printed(&[CONTENT, b"next\n"].concat());
        }
    }
    assert!(failed > 6, "{failed} upgrades that failed");
}
