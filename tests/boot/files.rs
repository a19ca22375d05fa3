//! Which file is the log's: on a new mount, beside its original, restored, emptied, or somebody else's.

use std::fs;
use std::mem::offset_of;
use std::path::Path;

use mmlog::layout::Header;
use mmlog::{Log, Options};

use crate::cli::{Scratch, Tool, at, metadata_of, mmlogctl, poke, reboot, skipped, slot, write_slot};
use crate::{append, clocks_tell, epoch, in_container, mounts, word};

/// A shell in mounts of its own, in which `$M` is the tool and everything is below `$D`; what it printed, without the
/// scratch directory's name.
fn script(scratch: &Scratch, text: &str) -> String {
    let prepared = format!("mount --make-rprivate / && cd $D && {{ {text}\n}} 2>&1");
    let tool = Tool::new("unshare").args(["-m", "sh", "-c", &prepared]);
    let d = scratch.path().to_owned();
    let ran = tool.with(|c| c.env("D", &d).env("M", env!("CARGO_BIN_EXE_mmlogctl"))).run();
    String::from_utf8_lossy(&ran.stdout).replace(&*d.to_string_lossy(), "$D")
}

#[test]
fn a_log_on_a_new_mount_goes_on_whatever_its_device_number() {
    if !mounts("a_log_on_a_new_mount_goes_on_whatever_its_device_number") {
        return;
    }
    let scratch = Scratch::new();
    let said = script(
        &scratch,
        "mkdir low up work fs other; m() { mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work fs; }
         m; seq 5 | $M append fs/app.log; umount fs; mount -t tmpfs tmpfs other
         m; $M check fs/app.log | cut -d'|' -f1; echo x | $M append fs/app.log; echo append $?
         $M exec fs/app.log -- true; echo exec $?; $M cat fs/app.log | wc -l; $M repair fs/app.log
         umount fs; mount -t tmpfs tmpfs low; m; for i in 1 2 3 4; do echo $i | $M append fs/app.log & done; wait; $M cat fs/app.log | wc -l",
    );
    assert_eq!(
        said, "OK - fs/app.log: nothing to do \nappend 0\nexec 0\n6\nfs/app.log: nothing to repair\n10\n",
        "{said}"
    );
}

#[test]
fn a_log_that_was_baked_into_a_lower_layer_goes_on_above_it() {
    if !mounts("a_log_that_was_baked_into_a_lower_layer_goes_on_above_it") {
        return;
    }
    let scratch = Scratch::new();
    let said = script(
        &scratch,
        "mkdir low low2 up up2 work fs; mount -t overlay overlay -o lowerdir=low2,upperdir=low,workdir=work fs
         seq 5 | $M append fs/app.log; umount fs; rm -rf work; mkdir work
         mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work fs
         $M cat fs/app.log | wc -l; echo x | $M append fs/app.log; echo append $?; $M cat fs/app.log | wc -l",
    );
    assert_eq!(said, "5\nappend 0\n6\n", "{said}");
}

#[test]
fn another_view_of_a_log_beside_its_original_is_refused_with_a_step_that_works() {
    if !mounts("another_view_of_a_log_beside_its_original_is_refused_with_a_step_that_works") {
        return;
    }
    let scratch = Scratch::new();
    let said = script(
        &scratch,
        "mkdir low up work fs; mount -t overlay overlay -o lowerdir=$D/low,upperdir=$D/up,workdir=$D/work fs
         seq 5 | $M append fs/app.log; echo x | $M append up/app.log; echo append $?
         $M check up/app.log | cut -c1-10; $M repair --rebuild up/app.log; echo x | $M append up/app.log; echo append $?; $M cat up/app.log | wc -l",
    );
    assert!(said.contains("the same log is in $D/fs there") && said.contains("append 4\nDAMAGED"), "{said}");
    assert!(said.ends_with("append 0\n6\n"), "{said}");
}

#[test]
fn who_has_a_log_open_through_an_overlay_is_looked_for_there() {
    if !mounts("who_has_a_log_open_through_an_overlay_is_looked_for_there") {
        return;
    }
    let scratch = Scratch::new();
    let said = script(
        &scratch,
        "mkdir disk && mount -t tmpfs disk disk && cd disk && mkdir low up work fs && mkfifo pipe
         mount -t overlay -o lowerdir=low,upperdir=up,workdir=work overlay fs || { echo none; exit; }
         $M append fs/app.log < pipe & exec 8> pipe; echo one >&8
         for look in $(seq 500); do $M cat fs/app.log 2>/dev/null | grep -q one && break; done
         $M repair --rebuild --wait 0s up/app.log; exec 8>&-; wait",
    );
    if said.trim_end() == "none" {
        return skipped("an overlay", "this kernel has none here");
    }
    assert!(
        said.contains("through another mount, as an overlay's (`findmnt` lists them); stop it first"),
        "{said}"
    );
}

#[test]
fn whether_a_log_lies_beside_its_original_is_not_guessed_without_proc() {
    if !mounts("whether_a_log_lies_beside_its_original_is_not_guessed_without_proc") {
        return;
    }
    let scratch = Scratch::new();
    let said = script(
        &scratch,
        "mkdir low up work fs; mount -t overlay overlay -o lowerdir=$D/low,upperdir=$D/up,workdir=$D/work fs
         seq 5 | $M append fs/app.log; umount -l /proc; echo x | $M append up/app.log; echo append $?
         $M check up/app.log | cut -c1-7; mount -t proc proc /proc; $M cat fs/app.log | wc -l",
    );
    assert!(
        said.contains("cannot be told without /proc") && said.ends_with("append 4\nDAMAGED\n5\n"),
        "{said}"
    );
}

/// A volume that is attached again, a btrfs that is mounted again, and snapshots of both beside them.
#[test]
fn volumes_go_on_where_they_are_mounted_again_and_their_snapshots_do_not() {
    let there = mounts("volumes_go_on_where_they_are_mounted_again_and_their_snapshots_do_not");
    for kind in ["ext4 -q", "btrfs -q"] {
        let scratch = Scratch::new();
        let made = script(
            &scratch,
            &format!(
                "truncate -s 200M img && mkfs.{kind} img 2>/dev/null >&2 && mkdir a b && mount -o loop img a && umount a && echo made"
            ),
        );
        if !there || made != "made\n" {
            skipped("volumes_go_on_where_they_are_mounted_again_and_their_snapshots_do_not", &made);
            continue;
        }
        let said = script(
            &scratch,
            "dd if=/dev/zero of=img2 bs=1M count=120 status=none; mkfs.btrfs -q img2 >/dev/null 2>&1; mkdir -p c; mount -o loop img a
             seq 5 | $M append a/app.log; umount a
             mount -o loop img2 c; mount -o loop img b; $M check b/app.log | cut -d'|' -f1
             echo x | $M append b/app.log; echo append $?; $M cat b/app.log | wc -l; umount b c",
        );
        assert_eq!(said, "OK - b/app.log: nothing to do \nappend 0\n6\n", "{kind}: {said}");
        if kind.starts_with("ext4") {
            let said = script(
                &scratch,
                "mount -o loop img a; echo y | $M append a/app.log; sync; cp img snap; mount -o loop snap b
                 echo z | $M append b/app.log; echo append $?; umount b a",
            );
            assert!(said.contains("the same log is in $D/a there") && said.ends_with("append 4\n"), "{said}");
        } else {
            let said = script(
                &scratch,
                "mount -o loop img a; btrfs -q subvolume create a/sub; seq 3 | $M append a/sub/app.log
                 btrfs -q subvolume snapshot a/sub a/snap; echo z | $M append a/snap/app.log; echo append $?
                 $M repair --rebuild a/snap/app.log | tail -1; echo z | $M append a/snap/app.log; echo append $?; umount a",
            );
            assert!(said.contains("another subvolume of a btrfs") && said.contains("append 4\n"), "{said}");
            assert!(said.ends_with("append 0\n"), "{said}");
        }
    }
}

#[test]
fn a_restored_copy_goes_on_by_the_first_step_that_is_printed() {
    let scratch = Scratch::new();
    let (source, copy) = (scratch.file("source"), scratch.file("copy"));
    fs::create_dir(&source).unwrap();
    let log = source.join("app.log");
    append(&log, "one\ntwo\n").run().is_success();
    mmlogctl("rotate", &log).run();
    for rest in ["", "three\n"] {
        if !rest.is_empty() {
            append(&log, rest).run().is_success();
        }
        let _ = fs::remove_dir_all(&copy);
        assert!(
            std::process::Command::new("cp").arg("-a").args([&source, &copy]).status().unwrap().success()
        );
        let log = copy.join("app.log");
        let refused = append(&log, "lost\n").run();
        assert_eq!(refused.code, 4, "{refused:?}");
        let status = String::from_utf8(mmlogctl("status", &log).run().stdout).unwrap();
        let step = status.lines().map(str::trim).find(|line| line.starts_with("mmlogctl ")).unwrap();
        assert!(step.starts_with("mmlogctl repair --rebuild"), "{status}");
        let advised = format!("`mmlogctl repair --rebuild {}`", log.display());
        assert!(refused.stderr.contains(&advised), "{refused:?}");
        mmlogctl("repair", &log).args(["--rebuild"]).run().is_success();
        append(&log, "four\n").run().is_success();
        let read = mmlogctl("cat", &log).run();
        assert_eq!(String::from_utf8_lossy(&read.stdout), format!("one\ntwo\n{rest}four\n"));
        let status = Options::new().open_reader(&log).unwrap().status().unwrap();
        assert_eq!((status.base, status.generation), (8, 1), "positions go on");
    }
}

#[test]
fn where_only_recreate_works_only_recreate_is_advised() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\ntwo\n");
    // Where a status does not look for it.
    fs::create_dir(scratch.file("away")).unwrap();
    fs::rename(&log, scratch.file("away/app.log.1")).unwrap();
    fs::write(&log, "").unwrap();
    let refused = append(&log, "lost\n").run();
    let status = String::from_utf8(mmlogctl("status", &log).run().stdout).unwrap();
    for text in [&refused.stderr, &status] {
        assert!(text.contains("repair --recreate") && !text.contains("--rebuild"), "{text}");
    }
    mmlogctl("repair", &log).arg("--recreate").run().is_success();
    append(&log, "three\n").run().is_success();
}

#[test]
fn an_empty_file_that_somebody_writes_to_is_not_made_a_log() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    fs::write(&log, "").unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&log).unwrap();
    let refused = mmlogctl("init", &log).run();
    assert!(refused.code == 3 && refused.stderr.contains("in use by"), "{refused:?}");
    drop(writer);
    append(&log, "one\n").run().is_success();
    // Only the data file of it is in a container, which is to be a log of its own: its writer is open still.
    let elsewhere = scratch.file("elsewhere.log");
    let fresh = scratch.file("fresh.log");
    let open = Log::options().open_or_create(&fresh).unwrap();
    fs::hard_link(&fresh, &elsewhere).unwrap();
    let refused = mmlogctl("init", &elsewhere).arg("--trust-path").run();
    assert_eq!(refused.code, 3, "{refused:?}");
    open.writer().unwrap().append(b"one\n").unwrap();
    let refused = mmlogctl("repair", &elsewhere).args(["--rebuild", "--trust-path"]).run();
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(!metadata_of(&elsewhere).exists(), "what is refused leaves nothing");
    drop(open);
}

#[test]
fn rebuilt_metadata_knows_the_segments_in_the_directory_of_old_ones() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.file("old")).unwrap();
    for gone in [false, true] {
        let log = scratch.file(&format!("{gone}.log"));
        append(&log, "one\n").run().is_success();
        mmlogctl("rotate", &log).args(["--olddir", "old"]).run();
        append(&log, "two\n").run().is_success();
        if gone {
            fs::remove_file(metadata_of(&log)).unwrap();
        } else {
            poke(&log, at::CHUNK_SIZE, &[0; 4]);
        }
        let rebuilt = mmlogctl("repair", &log).args(["--rebuild", "--olddir", "old"]).run();
        rebuilt.is_success();
        assert_eq!(mmlogctl("cat", &log).run().stdout, b"one\ntwo\n");
        append(&log, "three\n").run().is_success();
        let rotated = mmlogctl("rotate", &log).args(["--olddir", "old"]).run();
        assert_eq!(rotated.code, 0, "{rotated:?}");
        assert_eq!(mmlogctl("cat", &log).run().stdout, b"one\ntwo\nthree\n");
    }
}

#[test]
fn a_log_that_was_durable_to_its_end_is_read_after_a_reboot_without_a_word() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, "one\n").args(["--sync", "always"]).run().is_success();
    reboot(&log);
    mmlogctl("cat", &log).run().printed(b"one\n");
    let check = mmlogctl("check", &log).run();
    assert!(check.code == 0 && !check.text().contains("not recovered"), "{check:?}");
}

/// What a crash leaves allocated behind the data is no content, wherever somebody appends to the file then.
#[test]
fn what_redirection_put_behind_allocated_space_before_the_recovery_costs_no_nuls() {
    // With nothing in flight, with an append that was torn in the last page, and with one that goes on behind that.
    for torn in [None, Some((700, 30)), Some((500, 9000))] {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        let text = "x".repeat(499) + "\n";
        append(&log, &text).run().is_success();
        let data = fs::OpenOptions::new().append(true).open(&log).unwrap();
        data.set_len(1 << 16).unwrap();
        if let Some((at, len)) = torn {
            write_slot(&log, 0, slot(3, at), len, 4711);
        }
        reboot(&log);
        std::io::Write::write_all(&mut &data, b"outsider\n").unwrap();
        let foreseen = mmlogctl("cat", &log).run();
        append(&log, "more\n").run().is_success();
        for (ended, printed) in [(foreseen, "outsider\n"), (mmlogctl("cat", &log).run(), "outsider\nmore\n")]
        {
            assert_eq!(ended.code, 0, "{ended:?}");
            assert_eq!(ended.text(), format!("{text}{printed}"), "{torn:?}");
        }
        let deep = mmlogctl("check", &log).arg("--deep").run();
        assert!(deep.code == 0 && !deep.text().contains("NULs"), "{torn:?}: {deep:?}");
    }
}

#[test]
fn a_log_whose_metadata_is_lost_does_not_begin_again_beside_its_old_segments() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.file("old")).unwrap();
    for current in ["", "four\n"] {
        let log = scratch.file(if current.is_empty() { "empty.log" } else { "app.log" });
        for line in ["one\n", "two\n", "three\n"] {
            append(&log, line).run().is_success();
            mmlogctl("rotate", &log).args(["--olddir", "old"]).run().is_success();
        }
        if !current.is_empty() {
            append(&log, current).run().is_success();
        }
        fs::remove_file(metadata_of(&log)).unwrap();
        let step = format!("repair --rebuild --olddir old {}", log.display());
        let repair = [&["repair"][..], &["repair", "--rebuild"]];
        let others = [&["append"][..], &["init"], &["init", "--adopt"], &["rotate"], &["check"], &["cat"]];
        for command in repair.into_iter().chain(others) {
            let ended = mmlogctl(command[0], &log).args(&command[1..]).input(b"five\n").run();
            let said = ended.text() + &ended.stderr;
            assert!(ended.code != 0 && said.contains(&step), "{command:?}: {ended:?}");
            assert!(!metadata_of(&log).exists(), "{command:?}");
        }
        mmlogctl("repair", &log).args(["--rebuild", "--olddir", "old"]).run().is_success();
        append(&log, "five\n").run().is_success();
        let whole = format!("one\ntwo\nthree\n{current}five\n");
        mmlogctl("cat", &log).run().printed(whole.as_bytes());
        mmlogctl("check", &log).run().is_success();
    }
}

#[test]
fn another_logs_directory_below_keeps_nobody_from_making_a_log() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.file("other")).unwrap();
    let other = scratch.file("other/app.log");
    append(&other, "one\n").run().is_success();
    mmlogctl("rotate", &other).run().is_success();
    let log = scratch.file("app.log");
    fs::write(&log, b"").unwrap();
    append(&log, "two\n").run().is_success();
    mmlogctl("cat", &log).run().printed(b"two\n");
}

/// The metadata reached the disk, and not the names of the files: the file at the path is the one of before.
#[test]
fn what_was_given_up_of_a_file_that_a_power_cut_brought_back_is_there_for_readers_and_for_the_recovery() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    append(&log, "one\ntwo\n").run().is_success();
    poke(&log, offset_of!(Header, control.cursor), &5000_u64.to_ne_bytes());
    poke(&log, offset_of!(Header, kept.first), &4000_u64.to_ne_bytes());
    reboot(&log);
    let seen = mmlogctl("cat", &log).run();
    assert_eq!((seen.code, seen.text().as_str()), (0, "one\ntwo\n"), "{seen:?}");
    let listed = mmlogctl("segments", &log).run();
    assert!(listed.code == 0 && !listed.text().contains("pruned"), "{listed:?}");
    append(&log, "three\n").run().is_success();
    assert_eq!(mmlogctl("cat", &log).run().text(), "one\ntwo\nthree\n");
    assert_eq!(word(&log, offset_of!(Header, kept.first)), 0);
}

/// Names and lengths that the metadata does not know, since it is older or newer than they are.
#[test]
fn what_a_power_cut_left_of_the_segments_is_judged_by_every_command_as_the_recovery_leaves_it() {
    type Cut = fn(&Scratch, &Path);
    let lose_the_end_of_a_final_one: Cut = |scratch, log| {
        rotate_once(log);
        let last =
            fs::OpenOptions::new().write(true).open(scratch.file("app.log.0000000000-0000000000000000000"));
        last.unwrap().set_len(6).unwrap();
    };
    let lose_the_metadatas_last_words: Cut = |_, log| {
        let before = fs::read(metadata_of(log)).unwrap();
        rotate_once(log);
        rotate_once(log);
        fs::write(metadata_of(log), before).unwrap();
    };
    let lose_the_rotation: Cut = |scratch, log| {
        fs::hard_link(log, scratch.file("kept")).unwrap();
        rotate_once(log);
        fs::remove_file(scratch.file("app.log.0000000000-0000000000000000000")).unwrap();
        fs::rename(scratch.file("kept"), log).unwrap();
    };
    let all = [lose_the_end_of_a_final_one, lose_the_metadatas_last_words, lose_the_rotation];
    for (cut, by_repair) in all.into_iter().flat_map(|cut| [(cut, false), (cut, true)]) {
        let scratch = Scratch::new();
        let log = scratch.file("app.log");
        append(&log, "one\ntwo\nthree\n").run().is_success();
        cut(&scratch, &log);
        reboot(&log);
        let judged = || {
            let check = mmlogctl("check", &log).run();
            assert!(check.code == 0 && check.text().starts_with("OK - "), "{check:?}");
            let deep = mmlogctl("check", &log).arg("--deep").run();
            assert!(deep.code == 0 && deep.text().starts_with("OK - "), "{deep:?}");
            let status = mmlogctl("status", &log).run();
            assert!(status.text().starts_with("OK "), "{status:?}");
            let segments = mmlogctl("segments", &log).args(["--json"]).run();
            assert_eq!((segments.code, &*segments.stderr), (0, ""), "{segments:?}");
            let of = |s: &serde_json::Value| {
                ["generation", "base", "end", "state"].map(|key| s[key].to_string()).join(" ")
            };
            let said: serde_json::Value = serde_json::from_slice(&segments.stdout).unwrap();
            said["segments"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
        };
        let foreseen = judged();
        if by_repair {
            mmlogctl("repair", &log).run().is_success();
        } else {
            Log::options().open(&log).unwrap();
        }
        assert_eq!(foreseen, judged());
    }
}

fn rotate_once(log: &Path) {
    mmlogctl("rotate", log).run().is_success();
    append(log, "behind\n").run().is_success();
}

#[test]
fn a_time_namespace_is_neither_another_boot_nor_a_clock_that_was_set() {
    let claim = "a_time_namespace_is_neither_another_boot_nor_a_clock_that_was_set";
    let ahead =
        |tool: Tool| tool.through("unshare", &["-T", "--boottime", "5000000", "--monotonic", "9", "--fork"]);
    if !mounts(claim) || !clocks_tell(claim) {
        return;
    }
    if ahead(Tool::new("true")).run().code != 0 {
        return skipped(claim, "needs time namespaces");
    }
    let scratch = Scratch::new();
    for with_an_id_of_its_own in [false, true] {
        let log = scratch.file(&format!("{with_an_id_of_its_own}.log"));
        for turn in 0..6 {
            let tool = append(&log, "line\n").args(["--rotate-age=1h"]);
            let tool = if with_an_id_of_its_own { in_container(&scratch, tool) } else { tool };
            if turn % 2 == 0 { ahead(tool) } else { append(&log, "line\n") }.run().is_success();
            assert_eq!(epoch(&log), 0, "turn {turn}");
        }
        for tool in [mmlogctl("stats", &log), ahead(mmlogctl("stats", &log))] {
            let stats = tool.run();
            assert!(stats.code == 0 && !stats.text().contains("clock "), "{stats:?}");
        }
        assert!(!mmlogctl("status", &log).run().text().contains("clock"));
    }
}
