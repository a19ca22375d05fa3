//! Where the output begins and ends: positions, `--until-now`, cursor-files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use mmlog::layout::LOCK_BYTE;
use nix::mount::MsFlags;
use nix::sys::signal::Signal;

use crate::cli::{
    Held, IGNORED, NOBODY, Scratch, is_ignored, mmlogctl, mounted, own_mounts, skipped, small_disk, wait_for,
};
use crate::{append, tail};

const LINES: &[u8] = b"one\ntwo\nthree\n";

#[test]
fn it_starts_at_a_position() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, LINES);
    for from in [0, 1, 4, 13, 14] {
        tail(&log, &[&format!("--from={from}")]).run().printed(&LINES[from..]);
        mmlogctl("cat", &log).arg(format!("--from={from}")).run().printed(&LINES[from..]);
    }
    for command in ["tail", "cat"] {
        let ended = mmlogctl(command, &log).arg("--from=15").run();
        ended.is_refused(1, &log, &["position 15 is beyond the end 14; "]);
    }
}

#[test]
fn until_now_is_all_that_is_final_and_then_it_ends() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let open = mmlog::Log::options().chunk_size(1 << 20).open_or_create(&log).unwrap();
    let mut writer = open.writer().unwrap();
    let many: String = (0..100).map(|n| format!("{n}\n")).collect();
    writer.append(many.as_bytes()).unwrap();
    tail(&log, &["--until-now"]).run().printed(many.as_bytes());
    tail(&log, &["--until-now", "-n1"]).run().printed(b"99\n");
    tail(&log, &["--until-now", "--from=4"]).run().printed(&many.as_bytes()[4..]);
}

/// `UUID EPOCH POSITION LOG`; where it is written in place, twice, each with a sum.
fn position_in(file: &Path) -> Option<usize> {
    let line = fs::read_to_string(file).ok()?;
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    assert!([4, 10].contains(&words.len()) && line.ends_with('\n'), "{line:?}");
    words[2].parse().ok()
}

#[test]
fn a_cursor_file_carries_a_consumer_across_restarts_without_loss_or_repetition() {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    let option = format!("--cursor-file={}", place.display());
    let (mut appended, mut consumed) = (Vec::new(), Vec::new());
    for round in 0..20_usize {
        let piece: String = (0..round * 7 % 40).map(|n| format!("{round} {n}\n")).collect();
        append(&log, piece.as_bytes());
        appended.extend_from_slice(piece.as_bytes());
        let ended = tail(&log, &["--until-now", &option]).run();
        ended.is_success();
        consumed.extend_from_slice(&ended.stdout);
        assert_eq!(position_in(&place), Some(appended.len()));
    }
    assert!(appended == consumed);
}

#[test]
fn a_follower_with_a_cursor_file_can_be_ended_anywhere() {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    let option = format!("--cursor-file={}", place.display());
    mmlogctl("append", &log).run().is_success();
    let lines: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    let mut writer = mmlogctl("append", &log).start();
    let mut consumed = Vec::new();
    for piece in lines.as_bytes().chunks(lines.len() / 10) {
        let running = tail(&log, &["-f", "--from=0", &option]).start();
        writer.feed(piece);
        running.until_stdout(|printed| !printed.is_empty());
        running.signal(Signal::SIGTERM);
        let ended = running.end();
        ended.is_success();
        consumed.extend_from_slice(&ended.stdout);
        assert_eq!(position_in(&place), Some(consumed.len()));
    }
    writer.end().is_success();
    consumed.extend_from_slice(&tail(&log, &["--until-now", &option]).run().stdout);
    assert!(consumed == lines.as_bytes(), "{} of {} bytes", consumed.len(), lines.len());
}

#[test]
fn the_cursor_file_is_kept_current_while_following() {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    append(&log, LINES);
    let running = tail(&log, &["-f", &format!("--cursor-file={}", place.display())]).start();
    running.until_stdout(|printed| printed == LINES);
    wait_for("the place", || (position_in(&place) == Some(14)).then_some(()));
    append(&log, b"four\n");
    wait_for("the next place", || (position_in(&place) == Some(19)).then_some(()));
    running.signal(Signal::SIGTERM);
    running.end().is_success();
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 3, "no temporary file is left");
}

#[test]
fn a_cursor_file_of_another_log_or_of_no_log_is_refused() {
    let scratch = Scratch::new();
    let (log, other, place) = (scratch.file("app.log"), scratch.file("other.log"), scratch.file("place"));
    append(&log, LINES);
    append(&other, LINES);
    let option = format!("--cursor-file={}", place.display());
    tail(&other, &["--until-now", &option]).run().printed(LINES);
    tail(&log, &["--until-now", &option]).run().is_refused(
        1,
        &place,
        &["a place in another log", "; remove it"],
    );
    fs::write(&place, "some notes\n").unwrap();
    tail(&log, &["--until-now", &option]).run().is_refused(
        1,
        &place,
        &["not a cursor-file", "; name another"],
    );
    assert_eq!(fs::read_to_string(&place).unwrap(), "some notes\n");
    fs::remove_file(&place).unwrap();
    tail(&log, &["--until-now", &option]).run().printed(LINES);
    let beyond = fs::read_to_string(&place).unwrap().replace(" 14 ", " 15 ");
    fs::write(&place, beyond).unwrap();
    tail(&log, &["--until-now", &option]).run().is_refused(1, &log, &["position 15 is beyond the end 14; "]);
}

#[test]
fn a_cursor_file_that_cannot_be_written_is_a_failure_before_anything_is_printed() {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("no/such/place"));
    append(&log, LINES);
    let ended = tail(&log, &["-f", &format!("--cursor-file={}", place.display())]).run();
    assert_eq!((ended.code, ended.text().as_str()), (1, ""), "{ended:?}");
    ended.says(&place, &["writing the cursor-file failed: No such file or directory"]);
}

#[test]
fn an_empty_cursor_file_is_a_fresh_start_and_a_link_is_followed() {
    let scratch = Scratch::new();
    let (log, place, link) = (scratch.file("app.log"), scratch.file("place"), scratch.file("link"));
    append(&log, LINES);
    // As mktemp(1) makes it; before that, a link to nothing.
    std::os::unix::fs::symlink(&place, &link).unwrap();
    let option = format!("--cursor-file={}", link.display());
    tail(&log, &["--until-now", &option]).run().printed(LINES);
    fs::write(&place, "").unwrap();
    tail(&log, &["--until-now", &option]).run().printed(LINES);
    append(&log, b"four\n");
    tail(&log, &["--until-now", &option]).run().printed(b"four\n");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(position_in(&place), Some(19));
}

#[test]
fn the_second_consumer_of_one_cursor_file_is_told_who_has_it() {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    append(&log, LINES);
    let option = format!("--cursor-file={}", place.display());
    let first = tail(&log, &["-F", "-n+1", &option]).start();
    first.until_stdout(|printed| printed == LINES);
    wait_for("the place", || (position_in(&place) == Some(14)).then_some(()));
    for next in [19, 24] {
        let who = format!("process {} (mmlogctl) has this cursor-file", first.pid());
        tail(&log, &["-F", &option]).run().is_refused(3, &place, &[&who]);
        append(&log, b"more\n");
        wait_for("the next place", || (position_in(&place) == Some(next)).then_some(()));
    }
    first.signal(Signal::SIGTERM);
    first.end().is_success();
    tail(&log, &["--until-now", &option]).run().printed(b"");
}

#[test]
fn a_place_in_a_log_that_was_made_anew_goes_on_in_the_new_one() {
    let scratch = Scratch::new();
    let (log, other, place) = (scratch.file("app.log"), scratch.file("other.log"), scratch.file("place"));
    let option = format!("--cursor-file={}", place.display());
    append(&log, LINES);
    append(&other, LINES);
    tail(&log, &["--until-now", &option]).run().printed(LINES);
    mmlogctl("rm", &log).arg("--force").run().is_success();
    append(&log, b"new\n");
    tail(&other, &["--until-now", &option]).run().is_refused(1, &place, &["a place in another log"]);
    tail(&log, &["-f", &option]).run().is_refused(1, &place, &["a place in another log"]);
    let ended = tail(&log, &["--until-now", &option]).run();
    assert_eq!((ended.code, ended.text().as_str()), (0, "new\n"), "{ended:?}");
    ended.says(&log, &["the log was made anew since its place was saved"]);
    assert_eq!(position_in(&place), Some(4));
}

#[test]
fn a_cursor_file_that_cannot_be_renamed_over_is_written_in_place() {
    let scratch = Scratch::new();
    let (log, place, mounted) = (scratch.file("app.log"), scratch.file("place"), scratch.file("mounted"));
    for file in [&place, &mounted] {
        fs::write(file, "").unwrap();
    }
    let bind = nix::mount::MsFlags::MS_BIND;
    if !own_mounts() || nix::mount::mount(Some(&place), &mounted, None::<&str>, bind, None::<&str>).is_err() {
        return skipped("a mounted cursor-file is written in place", "mounting needs root");
    }
    let option = format!("--cursor-file={}", mounted.display());
    for lines in [LINES, b"four\n", b"five\n"] {
        append(&log, lines);
        tail(&log, &["--until-now", &option]).run().printed(lines);
    }
    assert_eq!(position_in(&place), Some(24));
}

#[test]
fn on_a_full_disk_the_output_goes_on_and_the_place_is_kept() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "4m", "on a full disk the output goes on") else { return };
    let (log, place) = (disk.join("app.log"), disk.join("place"));
    let option = format!("--cursor-file={}", place.display());
    append(&log, LINES);
    let options = ["--until-now", "--hold=shipper", &option];
    tail(&log, &options).run().printed(LINES);
    let more: String = (0..300_000).map(|n| format!("{n}\n")).collect();
    append(&log, more.as_bytes());
    mmlogctl("rotate", &log).run().is_success();
    let fill = || {
        let mut file = fs::File::options().append(true).create(true).open(disk.join("fill")).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    };
    fill();
    tail(&log, &options).run().printed(more.as_bytes());
    assert_eq!(position_in(&place), Some(14 + more.len()));
    mmlogctl("prune", &log).arg("--keep=0").run().is_success();
    // Where it was never saved there is nothing to write over.
    fill();
    let other = format!("--cursor-file={}", disk.join("other").display());
    let ended = tail(&log, &["--until-now", &other]).run();
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says(&disk.join("other"), &["writing the cursor-file failed: No space left on device"]);
}

#[test]
fn a_place_that_can_only_be_read_keeps_no_line_back() {
    let claim = "a_place_that_can_only_be_read_keeps_no_line_back";
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "1m", claim) else { return };
    let (log, place) = (scratch.file("app.log"), disk.join("place"));
    let option = format!("--cursor-file={}", place.display());
    append(&log, LINES);
    tail(&log, &["--until-now", &option]).run().printed(LINES);
    append(&log, b"four\n");
    let remount = |flags| {
        let flags = flags | MsFlags::MS_REMOUNT;
        nix::mount::mount(None::<&str>, &disk, None::<&str>, flags, None::<&str>).unwrap();
    };
    remount(MsFlags::MS_RDONLY);
    let trouble = "writing the cursor-file failed: Read-only file system";
    let ended = tail(&log, &["--until-now", "--hold=shipper", &option]).run();
    assert_eq!((ended.code, ended.text().as_str()), (1, "four\n"), "{ended:?}");
    ended.says(&place, &[trouble]);
    let running = tail(&log, &["-F", &option]).start();
    running.until_stdout(|printed| printed == b"four\n");
    running.until_stderr(trouble);
    remount(MsFlags::empty());
    running.until_stderr("writing the cursor-file works again");
    wait_for("the place", || (position_in(&place) == Some(19)).then_some(()));
    append(&log, b"five\n");
    wait_for("the next place", || (position_in(&place) == Some(24)).then_some(()));
    running.signal(Signal::SIGTERM);
    running.end();
    // One that was never there is another mistake.
    remount(MsFlags::MS_RDONLY);
    let missing = format!("--cursor-file={}", disk.join("missing").display());
    let ended = tail(&log, &["--until-now", &missing]).run();
    assert_eq!((ended.code, ended.text().as_str()), (1, ""), "{ended:?}");
}

#[test]
fn a_place_that_cannot_be_saved_any_more_is_said_and_the_hold_stays_with_the_last_that_was() {
    let removed = |places: &Path| fs::remove_dir_all(places).unwrap();
    let moved = |places: &Path| fs::rename(places, places.with_extension("moved")).unwrap();
    let a_directory = |places: &Path| {
        fs::remove_file(places.join("place")).unwrap();
        fs::create_dir(places.join("place")).unwrap();
    };
    let ways = [
        (&removed as &dyn Fn(&Path), "No such file or directory"),
        (&moved, "No such file or directory"),
        (&a_directory, "Is a directory"),
    ];
    for (way, why) in ways {
        // A file with a second name is written in place, with or without a hold.
        for (in_place, hold) in [(false, "--hold=shipper"), (true, "-n+1")] {
            let scratch = Scratch::new();
            let (log, places) = (scratch.file("app.log"), scratch.file("places"));
            let place = places.join("place");
            fs::create_dir(&places).unwrap();
            append(&log, LINES);
            let option = format!("--cursor-file={}", place.display());
            tail(&log, &["--until-now", &option]).run().printed(LINES);
            if in_place {
                fs::hard_link(&place, scratch.file("second")).unwrap();
            }
            let running = tail(&log, &["-F", hold, &option]).start();
            append(&log, b"more\n");
            wait_for("the place", || (position_in(&place) == Some(19)).then_some(()));
            mmlogctl("rotate", &log).run().is_success();
            way(&places);
            append(&log, b"four\n");
            running.until_stderr(&format!("writing the cursor-file failed: {why}"));
            append(&log, b"five\n");
            running.until_stdout(|printed| printed.ends_with(b"five\n"));
            mmlogctl("rotate", &log).run().is_success();
            running.signal(Signal::SIGTERM);
            let ended = running.end();
            assert_eq!((ended.code, ended.text().as_str()), (1, "more\nfour\nfive\n"), "{ended:?}");
            assert_eq!(ended.stderr.matches("writing the cursor-file").count(), 1, "{ended:?}");
            if hold != "-n+1" {
                mmlogctl("prune", &log).arg("--keep=0").run();
                mmlogctl("cat", &log).arg("--from=19").run().printed(b"four\nfive\n");
            }
        }
    }
}

#[test]
fn a_place_that_can_be_saved_again_is() {
    let scratch = Scratch::new();
    let (log, places) = (scratch.file("app.log"), scratch.file("places"));
    let place = places.join("place");
    fs::create_dir(&places).unwrap();
    append(&log, LINES);
    let running = tail(&log, &["-F", "-n+1", &format!("--cursor-file={}", place.display())]).start();
    running.until_stdout(|printed| printed == LINES);
    wait_for("the place", || (position_in(&place) == Some(14)).then_some(()));
    fs::remove_dir_all(&places).unwrap();
    append(&log, b"four\n");
    running.until_stderr("writing the cursor-file failed");
    fs::create_dir(&places).unwrap();
    running.until_stderr("writing the cursor-file works again");
    assert_eq!(position_in(&place), Some(19));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().code, 0);
}

#[test]
fn a_signal_while_the_hold_waits_for_the_log_is_an_end_like_later() {
    if is_ignored(Signal::SIGTERM) {
        return skipped("a signal while the hold waits for the log is an end like later", IGNORED);
    }
    for what in ["-F", "--until-now"] {
        let scratch = Scratch::new();
        let (log, place) = (scratch.file("app.log"), scratch.file("place"));
        append(&log, LINES);
        let held = Held::byte(&log, LOCK_BYTE);
        let option = format!("--cursor-file={}", place.display());
        let running = tail(&log, &[what, "-n+1", "--hold=shipper", &option]).start();
        wait_for("the first place", || fs::read(&place).is_ok_and(|text| !text.is_empty()).then_some(()));
        running.signal(Signal::SIGTERM);
        let ended = running.end();
        assert_eq!((ended.code, ended.text().as_str()), (0, ""), "{ended:?}");
        ended.says(&log, &["the log's lock"]);
        assert_eq!(position_in(&place), Some(0));
        drop(held);
    }
}

#[test]
fn in_a_directory_that_may_not_be_listed_every_place_is_saved() {
    let claim = "in_a_directory_that_may_not_be_listed_every_place_is_saved";
    if !nix::unistd::geteuid().is_root() {
        return skipped(claim, "not root");
    }
    let scratch = Scratch::new();
    let (log, places) = (scratch.file("app.log"), scratch.file("places"));
    let place = places.join("place");
    fs::create_dir(&places).unwrap();
    append(&log, LINES);
    let option = format!("--cursor-file={}", place.display());
    for (path, mode) in [(scratch.path(), 0o711), (&log, 0o644), (&places, 0o311)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for file in [&log, &scratch.file("app.log.mmlog"), &places] {
        std::os::unix::fs::chown(file, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    for lines in [LINES, b"four\n", b"five\n"] {
        append(&log, if lines == LINES { b"" } else { lines });
        let somebody =
            tail(&log, &["--until-now", "--hold=shipper", &option]).with(|c| c.uid(NOBODY).gid(NOBODY));
        somebody.run().printed(lines);
    }
    assert_eq!(position_in(&place), Some(24));
}

#[test]
fn a_first_place_that_cannot_be_saved_is_a_failure_before_anything_is_printed() {
    let claim = "a_first_place_that_cannot_be_saved_is_a_failure_before_anything_is_printed";
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, LINES);
    for (kind, fill) in [("blocks", true), ("inodes", false)] {
        let scratch = Scratch::new();
        let Some(disk) = mounted(&scratch, "tmpfs", "size=64k,nr_inodes=3") else {
            return skipped(claim, "mounting needs root");
        };
        fs::write(disk.join("fill"), if fill { vec![1; 64 << 10] } else { Vec::new() }).unwrap();
        if !fill {
            fs::write(disk.join("more"), "").unwrap();
        }
        let place = disk.join("place");
        let ended =
            tail(&log, &["-F", "-n+1", "--hold=shipper", &format!("--cursor-file={}", place.display())])
                .run();
        assert_eq!((ended.code, ended.text().as_str()), (1, ""), "{kind}: {ended:?}");
        ended.says(&place, &["writing the cursor-file failed: No space left on device"]);
        let status = mmlogctl("status", &log).arg("--json").run();
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(status["holds"].as_array().map(Vec::len), Some(0), "{kind}: {status}");
    }
}

#[test]
fn a_place_of_somebody_else_is_read_and_what_cannot_be_saved_is_said() {
    let claim = "a_place_of_somebody_else_is_read_and_what_cannot_be_saved_is_said";
    if !nix::unistd::geteuid().is_root() {
        return skipped(claim, "not root");
    }
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    let option = format!("--cursor-file={}", place.display());
    append(&log, LINES);
    tail(&log, &["--until-now", &option]).run().printed(LINES);
    append(&log, b"four\n");
    for path in [scratch.path().to_owned(), log.clone(), scratch.file("app.log.mmlog"), place.clone()] {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let somebody = tail(&log, &["--until-now", &option]).with(|c| c.uid(NOBODY).gid(NOBODY));
    let ended = somebody.run();
    assert_eq!((ended.code, ended.text().as_str()), (1, "four\n"), "{ended:?}");
    ended.says(&place, &["writing the cursor-file failed: Permission denied"]);
    assert_eq!(position_in(&place), Some(14));
}

#[test]
fn a_link_of_another_user_leads_to_no_place() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("a_link_of_another_user_leads_to_no_place", "not root");
    }
    let scratch = Scratch::new();
    let (log, goal) = (scratch.file("app.log"), scratch.file("goal"));
    append(&log, LINES);
    fs::create_dir(&goal).unwrap();
    let (file, directory) = (scratch.file("link"), scratch.file("directory"));
    for (link, to) in [(&file, goal.join("place")), (&directory, goal.clone())] {
        std::os::unix::fs::symlink(to, link).unwrap();
        std::os::unix::fs::lchown(link, Some(NOBODY), None).unwrap();
    }
    for named in [file.clone(), directory.join("place"), directory.join("../goal/place")] {
        let ended = tail(&log, &["--until-now", &format!("--cursor-file={}", named.display())]).run();
        assert_eq!((ended.code, ended.text().as_str()), (1, ""), "{ended:?}");
        assert!(ended.stderr.contains("is a symbolic link of another user (65534)"), "{ended:?}");
        assert_eq!(fs::read_dir(&goal).unwrap().count(), 0, "{named:?}");
    }
    for link in [&file, &directory] {
        std::os::unix::fs::lchown(link, Some(0), None).unwrap();
    }
    for named in [file, directory.join("place"), directory.join("../goal/place")] {
        append(&log, b"more\n");
        let option = format!("--cursor-file={}", named.display());
        assert!(tail(&log, &["--until-now", &option]).run().stdout.ends_with(b"more\n"));
        assert_eq!(position_in(&goal.join("place")), Some(fs::metadata(&log).unwrap().len() as usize));
    }
}
