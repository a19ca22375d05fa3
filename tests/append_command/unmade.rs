//! A log that an append waits to make: whoever looks for it is told who waits, why, since when, and what to do.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::append;
use crate::cli::{Scratch, Tool, metadata_of, mmlogctl, mounted, skipped};
use crate::dropping::in_the_way;

/// What `ls` says of it.
fn listed(log: &Path) -> Vec<Value> {
    let ended = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(["ls", "--json"]).run();
    let text = String::from_utf8(ended.stdout).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|object| object["path"] == log.to_str().unwrap()).collect()
}

#[test]
fn who_waits_to_make_a_log_is_said_with_why_and_what_to_do() {
    for (by, options, on_full, id, says, step) in [
        ("space", "size=2m", "retry", "disk-full", "waits for space to make it (", "df -h "),
        (
            "inodes",
            "size=2m,nr_inodes=8",
            "drop",
            "inodes-used-up",
            "waits for an inode to make it with (none of 8 is free), and drops what comes",
            "df -i ",
        ),
    ] {
        let scratch = Scratch::new();
        let Some(disk) = mounted(&scratch, "tmpfs", options) else {
            return skipped("who waits to make a log is said", "mounting needs root");
        };
        let (log, fillers) = (disk.join("app.log"), in_the_way(&disk, by));
        // By a name of its own for the log.
        let arguments = ["append", &format!("--on-full={on_full}"), "../tmpfs/./app.log"];
        let append = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(arguments);
        let running = append.with(|command| command.current_dir(&disk)).start();
        running.until_stderr("nothing was taken (");
        let who = format!("no log yet: process {} (mmlogctl append --on-full=", running.pid());
        let step = format!("`{step}{}`", disk.display());
        for command in ["status", "tail", "trim"] {
            let ended = mmlogctl(command, &log).run();
            ended.is_refused(1, &log, &[&who, "started ", says, &step]);
        }
        let checked = mmlogctl("check", &log).run();
        assert!(
            checked.code == 2 && checked.text().starts_with("FULL - ") && checked.text().contains(&who),
            "{checked:?}"
        );
        assert!(checked.text().contains(says), "{checked:?}");
        let object: Value =
            serde_json::from_slice(&mmlogctl("check", &log).arg("--json").run().stdout).unwrap();
        assert_eq!((&object["state"], &object["code"]), (&"FULL".into(), &2.into()), "{object}");
        // Its command on a line of its own.
        let page = mmlogctl("status", &log).arg("--exit-code").run();
        let own = format!("\n               {}\n", step.trim_matches('`'));
        assert!(page.code == 2 && page.text().starts_with("FULL  "), "{page:?}");
        assert!(page.text().contains(&own), "{page:?}");
        let below = Tool::new(env!("CARGO_BIN_EXE_mmlogctl"));
        let below = below.args(["ls", "--only-below", "--exit-code"]).arg(&disk).run();
        assert!(below.code == 2 && below.text().starts_with("1 log: 1 FULL\n"), "{below:?}");
        let status: Value =
            serde_json::from_slice(&mmlogctl("status", &log).arg("--json").run().stdout).unwrap();
        for object in [&status, &listed(&log)[0]] {
            let found = &object["findings"][0];
            assert_eq!(
                (&object["state"], &found["id"], &found["pid"]),
                (&"FULL".into(), &id.into(), &running.pid().into())
            );
        }
        fillers.iter().for_each(|filler| fs::remove_file(filler).unwrap());
        running.until_open(&metadata_of(&log));
        mmlogctl("status", &log).run().is_success();
        assert_eq!(running.end().code, 0);
    }
}

#[test]
fn nobody_is_said_to_wait_for_a_log_of_another_name() {
    let scratch = Scratch::new();
    let Some(disk) = crate::full::small_disk(&scratch, "nobody waits for a log of another name") else {
        return;
    };
    let log = disk.join("app.log");
    in_the_way(&disk, "space");
    let running = append(&log, &[]).start();
    running.until_stderr("(waiting; nothing is lost)");
    let ended = mmlogctl("status", &disk.join("other.log")).run();
    assert!(ended.code == 1 && !ended.stderr.contains("process"), "{ended:?}");
    assert_eq!(listed(&disk.join("other.log")).len(), 0);
    drop(running);
}
