//! Logs of which a program has both files open under names that are no log's.

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Actor, listen, log_path, say};

use crate::cli::{Scratch, metadata_of, mmlogctl, succeeds};
use crate::{common, of, open_by};

/// A program with the library, of whose command line nothing tells which log it has.
pub(crate) fn appends() {
    let log = mmlog::Log::options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    say("appended");
    listen();
    writer.append(b"two\n").unwrap();
}

#[test]
fn a_log_that_a_program_has_open_under_odd_names_is_listed_once_with_what_puts_them_right() {
    let scratch = Scratch::new();
    for names in [["x", "y"], ["app.log", "app.log.meta"], ["it's old", "moved.mmlog.bak"]] {
        let log = scratch.file(&format!("of {}.log", names[0]));
        let mut actor = Actor::on(&log, "appends");
        assert_eq!(actor.hear(), "appended");
        let [data, metadata] = names.map(|name| scratch.file(name));
        fs::rename(&log, &data).unwrap();
        fs::rename(metadata_of(&log), &metadata).unwrap();
        let found = of(&data);
        let [found] = &*found else { panic!("{names:?}: {found:?}") };
        assert_eq!(found["state"], "DAMAGED", "{found}");
        assert_eq!(open_by(found), [u32::try_from(actor.pid()).unwrap()]);
        assert!(of(&log).is_empty());
        let mends = found["findings"][0]["command"].as_str().unwrap();
        assert!(succeeds(Command::new("sh").args(["-c", mends])), "{mends}");
        is_ok(&data);
        actor.finish();
        mmlogctl("cat", &data).run().printed(b"one\ntwo\n");
        fs::remove_file(metadata_of(&data)).unwrap();
        fs::remove_file(&data).unwrap();
    }
}

#[track_caller]
fn is_ok(log: &Path) {
    let found = of(log);
    assert!(found.len() == 1 && found[0]["state"] == "OK", "{found:?}");
}
