//! An old segment that is missing is called by its name, and put back from beside it where somebody has put it aside there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::{mmlogctl, succeeds};
use crate::{Log, text};

/// The command of the first finding.
fn command(log: &Log) -> String {
    log.status()["findings"][0]["command"].as_str().unwrap().to_owned()
}

fn aside(segment: &Path) -> PathBuf {
    let mut name = segment.as_os_str().to_owned();
    name.push(".it's old");
    name.into()
}

#[test]
fn an_old_segment_that_was_put_aside_is_put_back_by_what_is_printed() {
    for format in [None, Some("zstd")] {
        for which in 0..3 {
            let log = Log::new(format);
            let segment = log.files()[which].clone();
            fs::rename(&segment, aside(&segment)).unwrap();
            assert_eq!(mmlogctl("check", &log.path).run().code, 2, "{which}");
            let mends = command(&log);
            assert!(mends.starts_with("mv -n "), "{which}: {mends}");
            assert!(succeeds(Command::new("sh").args(["-c", &mends])));
            mmlogctl("check", &log.path).arg("--deep").run().is_success();
        }
    }
}

/// It would be refused, or read as what it is not.
#[test]
fn what_is_longer_than_what_is_missing_is_not_put_there() {
    let log = Log::new(None);
    let segment = log.files()[1].clone();
    fs::write(aside(&segment), [text(1), b"more\n".to_vec()].concat()).unwrap();
    fs::remove_file(&segment).unwrap();
    assert!(command(&log).starts_with("find "), "{}", command(&log));
}

/// And not by that of the one behind it, which is there.
#[test]
fn the_oldest_segment_is_missed_by_its_own_name() {
    let log = Log::new(None);
    let files = log.files();
    let said = |log: &Log| log.status()["findings"][0]["sentence"].as_str().unwrap().to_owned();
    fs::remove_file(&files[0]).unwrap();
    let whole = format!("({})", files[0].display());
    assert!(
        said(&log).starts_with("old segment 0 is missing: ") && said(&log).contains(&whole),
        "{}",
        said(&log)
    );
    // Where the second one began, nothing tells any more.
    fs::remove_file(&files[1]).unwrap();
    let newest = format!("{}*)", files[1].display().to_string().rsplit_once('-').unwrap().0.to_owned() + "-");
    assert!(
        said(&log).contains("what is older than segment 2 is missing") && said(&log).contains(&newest),
        "{}",
        said(&log)
    );
}

#[test]
fn a_segment_that_was_moved_to_another_directory_is_found_by_what_is_printed() {
    let log = Log::new(Some("gzip"));
    let segment = log.files()[1].clone();
    let attic = segment.with_file_name("an attic");
    fs::create_dir(&attic).unwrap();
    let there = attic.join(segment.file_name().unwrap());
    fs::rename(&segment, &there).unwrap();
    let found = Command::new("sh").args(["-c", &command(&log)]).output().unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap().trim_end(), there.to_str().unwrap());
}
