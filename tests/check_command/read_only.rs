//! Where nothing can be written, no look says that all is well.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use serde_json::Value;

use super::{CONTENT, check};
use crate::cli::{Scratch, mmlogctl, mounted, own_mounts, skipped, succeeds, wait_for};

fn remount(place: &Path, flags: MsFlags) {
    mount(None::<&str>, place, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>).unwrap();
}

/// State, severity of what is found, and what to paste, the same wherever one looks.
fn found(log: &Path) -> Option<(String, String, String)> {
    let status = mmlogctl("status", log).arg("--json").run();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let findings = status["findings"].as_array().unwrap();
    let found = findings.iter().find(|f| f["id"] == "read-only")?;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (state, command) = (text(&status["state"]), text(&found["command"]));
    let ls = ["--only-below"];
    for (view, of, arguments) in
        [("status", log, &[][..]), ("ls", log.parent().unwrap(), &ls), ("inspect", log, &["--once"])]
    {
        let seen = mmlogctl(view, of).args(arguments).run().text();
        assert!(seen.contains(&state), "{state}: {seen}");
    }
    let page = mmlogctl("status", log).run().text();
    assert!(page.lines().any(|line| line.trim().trim_start_matches("next ").trim() == command), "{page}");
    Some((state, text(&found["severity"]), command))
}

#[test]
fn a_log_on_a_read_only_file_system_is_full_until_it_is_mounted_writable() {
    let scratch = Scratch::new();
    let Some(disk) = mounted(&scratch, "tmpfs", "size=8m,mode=0755") else {
        return skipped("a read-only file system is said", "mounting needs root");
    };
    fs::create_dir(disk.join("logs")).unwrap();
    let log = disk.join("logs/app.log");
    mmlogctl("append", &log).arg("--chunk-size=64K").input(CONTENT).run().is_success();
    assert_eq!(found(&log), None);
    remount(&disk, MsFlags::MS_RDONLY);
    assert_eq!(mmlogctl("append", &log).input(CONTENT).run().code, 1);
    let command = format!("mount -o remount,rw {}", disk.display());
    assert_eq!(found(&log), Some(("FULL".to_owned(), "critical".to_owned(), command.clone())));
    let said = check(&log, &[]);
    assert!(said.code == 2 && said.text().starts_with("FULL - "), "{said:?}");
    assert!(succeeds(Command::new("sh").args(["-c", &command])), "{command}");
    assert_eq!((found(&log), check(&log, &[]).code), (None, 0));
    mmlogctl("append", &log).input(CONTENT).run().is_success();
    // From a container that may only read, others' appends are none of its business.
    mount(Some(&disk), &disk, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    remount(&disk, MsFlags::MS_BIND | MsFlags::MS_RDONLY);
    let (state, severity, _) = found(&log).unwrap();
    assert_eq!((&*state, &*severity, check(&log, &[]).code), ("OK", "info", 0));
}

#[test]
fn a_log_whose_file_system_had_an_error_is_damaged_and_its_idle_writer_says_so() {
    let claim = "a file system that had an error is said";
    let scratch = Scratch::new();
    let (image, place) = (scratch.file("image"), scratch.file("disk"));
    File::create(&image).unwrap().set_len(40 << 20).unwrap();
    fs::create_dir(&place).unwrap();
    let run = |program: &str, words: &[&str], paths: &[&Path]| {
        succeeds(Command::new(program).args(words).args(paths))
    };
    if !run("mkfs.ext4", &["-q"], &[&image])
        || !own_mounts()
        || !run("mount", &["-o", "loop"], &[&image, &place])
    {
        return skipped(claim, "it needs root, mkfs.ext4 and a loop device");
    }
    let log = place.join("app.log");
    let mut writer = mmlogctl("append", &log).arg("--chunk-size=64K").start();
    writer.feed(b"one line\n");
    wait_for("the line", || (mmlogctl("cat", &log).run().text() == "one line\n").then_some(()));
    assert_eq!(found(&log), None);
    let aborted = run("mount", &["-o", "remount,abort"], &[&place]);
    let says = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    if aborted && (says.contains("emergency_ro") || says.contains("shutdown")) {
        let (state, severity, command) = found(&log).unwrap();
        assert_eq!((&*state, &*severity, &*command), ("DAMAGED", "critical", "dmesg --level=err"));
        assert_eq!(check(&log, &[]).code, 2);
        // Nor is it asked to do anything.
        writer.until_stderr(
            "had an error and takes no writes any more: what is appended now is in memory alone; ",
        );
    } else {
        skipped(claim, "this kernel makes such a file system read-only, or cannot be told to");
    }
    writer.end();
    assert!(run("umount", &["-l"], &[&place]));
}
