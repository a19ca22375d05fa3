//! Guards that everybody finds the same answer to "is this log of this boot": containers with a boot id of their own,
//! processes that can read none, logs that nobody has recovered yet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod cli;
#[path = "boot/files.rs"]
mod files;

use std::fs;
use std::mem::offset_of;
use std::path::{Path, PathBuf};

use cli::{
    Ended, Held, Scratch, Tool, at, is_root, metadata_of, mmlogctl, poke, reboot, skipped, slot, write_slot,
};
use mmlog::layout::{Header, SYNC_BYTE};
use mmlog::{Log, Options};

const BOOTED: usize = offset_of!(Header, identity.booted_ns);
const UP: usize = offset_of!(Header, identity.up_ns);
const CLOCKS_OF: usize = offset_of!(Header, identity.clocks_of);

/// Runs it with other mounts: `set_up` is a shell's.
fn with_mounts(tool: Tool, set_up: &str) -> Tool {
    let script = format!("mount --make-rprivate / && {set_up} && exec \"$@\"");
    tool.through("unshare", &["-m", "sh", "-c", &script, "sh"])
}

/// As systemd-nspawn and LXC set up a container: with a boot id of its own.
fn in_container(scratch: &Scratch, tool: Tool) -> Tool {
    let id = scratch.file("boot_id");
    fs::write(&id, "11111111-2222-3333-4444-555555555555\n").unwrap();
    with_mounts(tool, &format!("mount --bind {} /proc/sys/kernel/random/boot_id", id.display()))
}

/// As a unit with `ProcSubset=pid`: without `/proc/sys`.
fn without_boot_id(tool: Tool) -> Tool {
    with_mounts(tool, "mount -t proc -o subset=pid proc /proc")
}

/// Whether this machine lets us set such things up.
fn mounts(claim: &str) -> bool {
    let scratch = Scratch::new();
    let tried = |tool: Tool| tool.run().code == 0;
    let there = is_root()
        && tried(in_container(&scratch, Tool::new("true")))
        && tried(without_boot_id(Tool::new("true")));
    if !there {
        skipped(claim, "needs root, mounts and procfs's subset=pid");
    }
    there
}

/// A power cut, after which the disk has the metadata that was copied before, and another boot.
fn power_cut(log: &Path, metadata: &[u8]) {
    fs::write(metadata_of(log), metadata).unwrap();
    reboot(log);
}

fn word(log: &Path, offset: usize) -> u64 {
    let all = fs::read(metadata_of(log)).unwrap();
    u64::from_ne_bytes(all[offset..offset + 8].try_into().unwrap())
}

fn epoch(log: &Path) -> u64 {
    Options::new().open_reader(log).unwrap().status().unwrap().id.epoch
}

fn append(log: &Path, line: &str) -> Tool {
    mmlogctl("append", log).input(line.as_bytes())
}

fn lines(ended: &Ended) -> usize {
    ended.stdout.iter().filter(|&&b| b == b'\n').count()
}

/// A log with a live writer that stands still in the middle of an append at 6.
fn with_a_writer(scratch: &Scratch) -> (PathBuf, Held) {
    let log = scratch.log(b"hello\n");
    let held = Held::slot(&log, 0);
    poke(&log, at::CURSOR, &106_u64.to_ne_bytes());
    write_slot(&log, 0, slot(3, 6), 100, 4711);
    (log, held)
}

#[test]
fn in_a_container_with_a_boot_id_of_its_own_a_live_writer_is_waited_for() {
    if !mounts("in_a_container_with_a_boot_id_of_its_own_a_live_writer_is_waited_for") {
        return;
    }
    let scratch = Scratch::new();
    let (log, _held) = with_a_writer(&scratch);
    let before = epoch(&log);
    let rotated = in_container(&scratch, mmlogctl("rotate", &log).args(["--wait", "300ms"])).run();
    assert_eq!(rotated.code, 3, "{rotated:?}");
    assert!(rotated.stderr.contains("holds slot 0"), "{rotated:?}");
    let read = in_container(&scratch, mmlogctl("cat", &log)).run();
    assert_eq!((read.code, &*read.stdout), (0, &b"hello\n"[..]), "{read:?}");
    in_container(&scratch, append(&log, "from the container\n")).run().is_success();
    assert_eq!(epoch(&log), before, "nobody has recovered a log that is in use");
}

#[test]
fn who_syncs_is_of_this_boot_too_and_who_only_has_the_lock_need_not_be() {
    let scratch = Scratch::new();
    for (byte, other) in [(SYNC_BYTE, 0), (mmlog::layout::MAINTENANCE_BYTE, 1)] {
        let log = scratch.file(&format!("{byte}.log"));
        append(&log, "one\n").run().is_success();
        reboot(&log);
        let held = Held::byte(&log, byte);
        let opened = Log::options().open(&log).unwrap();
        assert_eq!(opened.status().unwrap().id.epoch, other, "byte {byte:#x}");
        drop(held);
    }
}

#[test]
fn without_a_boot_id_what_was_durable_survives_a_power_cut() {
    if !mounts("without_a_boot_id_what_was_durable_survives_a_power_cut") {
        return;
    }
    let scratch = Scratch::new();
    // Made where the id can be read, and where it cannot; recovered where it cannot, and where it can.
    for (made_without, mended_without) in [(false, true), (true, false), (true, true)] {
        let log = scratch.file(&format!("{made_without}-{mended_without}.log"));
        let run = |without: bool, tool: Tool| if without { without_boot_id(tool) } else { tool }.run();
        let text = |from: usize, to: usize| (from..to).map(|n| format!("line {n:04}\n")).collect::<String>();
        let sync = ["--sync", "always"];
        run(made_without, append(&log, &text(0, 5)).args(sync)).is_success();
        let old = fs::read(metadata_of(&log)).unwrap();
        run(made_without, append(&log, &text(5, 20)).args(sync)).is_success();
        assert_eq!(epoch(&log), 0, "one boot, whether or not its id can be read");
        power_cut(&log, &old);
        run(mended_without, append(&log, &text(20, 21))).is_success();
        let read = mmlogctl("cat", &log).run();
        assert_eq!(String::from_utf8_lossy(&read.stdout), text(0, 21), "{made_without} {mended_without}");
        assert_eq!(epoch(&log), 1);
    }
}

#[test]
fn where_the_boot_cannot_be_told_nobody_writes_and_the_error_says_what_to_do() {
    if !mounts("where_the_boot_cannot_be_told_nobody_writes_and_the_error_says_what_to_do") {
        return;
    }
    let scratch = Scratch::new();
    let log = scratch.log(b"hello\n");
    // As earlier software left it, which records no clocks.
    poke(&log, CLOCKS_OF, &[0; 24]);
    let refused = without_boot_id(append(&log, "lost\n")).run();
    assert_eq!(refused.code, 1, "{refused:?}");
    for word in ["/proc/sys/kernel/random/boot_id", "mount -t proc", "mmlogctl repair"] {
        assert!(refused.stderr.contains(word), "{refused:?}");
    }
    let read = without_boot_id(mmlogctl("cat", &log)).run();
    assert_eq!(read.code, 0, "{read:?}");
    let check = without_boot_id(mmlogctl("check", &log)).run();
    for said in [read.stderr.clone(), check.text()] {
        let step = format!("`mmlogctl repair {}`", log.display());
        assert!(said.contains(&step) && !said.contains("the next append recovers"), "{said}");
    }
    // Beside a living writer there is no doubt.
    {
        let _held = Held::slot(&log, 3);
        without_boot_id(append(&log, "one\n")).run().is_success();
    }
    without_boot_id(mmlogctl("repair", &log)).run().is_success();
    without_boot_id(append(&log, "two\n")).run().is_success();
    append(&log, "three\n").run().is_success();
    assert_eq!(epoch(&log), 1);
    assert_eq!(lines(&mmlogctl("cat", &log).run()), 4);
}

#[test]
fn a_log_of_earlier_software_that_knew_no_boot_id_is_recovered_once() {
    let scratch = Scratch::new();
    let log = scratch.log(b"hello\n");
    poke(&log, at::BOOT_ID, &[0; 16]);
    poke(&log, CLOCKS_OF, &[0; 24]);
    for line in ["one\n", "two\n"] {
        append(&log, line).run().is_success();
        assert_eq!(epoch(&log), 1);
    }
    assert_eq!(lines(&mmlogctl("cat", &log).run()), 3);
}

/// What a collector with a cursor-file prints that starts now.
fn collected(log: &Path, place: &Path) -> Ended {
    let tail = mmlogctl("tail", log).args(["-n", "+1", "--until-now", "--cursor-file"]);
    tail.arg(place).run()
}

#[test]
fn a_collector_goes_on_after_a_reboot_by_itself() {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    append(&log, "one\ntwo\n").args(["--sync", "always"]).run().is_success();
    assert_eq!(lines(&collected(&log, &place)), 2);
    // 32 epochs later the ring still knows where each began.
    for round in 0..32 {
        reboot(&log);
        append(&log, &format!("round {round}\n")).args(["--sync", "always"]).run().is_success();
    }
    assert_eq!(epoch(&log), 32);
    let later = collected(&log, &place);
    assert_eq!((later.code, lines(&later)), (0, 32), "{later:?}");
    reboot(&log);
    assert_eq!(collected(&log, &place).stdout, b"");
    append(&log, "three\n").run().is_success();
    assert_eq!(epoch(&log), 33);
    assert_eq!(collected(&log, &place).stdout, b"three\n");
}

#[test]
fn a_collector_that_started_before_the_first_writer_goes_on_after_it() {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    append(&log, "one\ntwo\n").run().is_success();
    reboot(&log);
    // Nothing of it was durable for sure; what is there is read as the first writer will leave it.
    assert_eq!(collected(&log, &place).stdout, b"one\ntwo\n");
    append(&log, "three\n").run().is_success();
    assert_eq!(collected(&log, &place).stdout, b"three\n");
    assert_eq!(epoch(&log), 1);
}

#[test]
fn a_collector_that_follows_while_the_first_writer_recovers_saves_places_of_the_new_epoch() {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    append(&log, "one\n").run().is_success();
    reboot(&log);
    let tail = mmlogctl("tail", &log).args(["-n", "+1", "-f", "--cursor-file"]).arg(&place).start();
    tail.until_stdout(|printed| printed == b"one\n");
    append(&log, "two\n").run().is_success();
    tail.until_stdout(|printed| printed == b"one\ntwo\n");
    tail.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(tail.end().code, 0);
    append(&log, "three\n").run().is_success();
    assert_eq!(collected(&log, &place).stdout, b"three\n");
    assert_eq!(epoch(&log), 1);
}

#[test]
fn a_collector_of_a_log_that_is_never_synced_goes_on_by_itself_after_every_clean_reboot() {
    let scratch = Scratch::new();
    for writer_comes_first in [true, false] {
        let (log, place) = (scratch.file(&format!("{writer_comes_first}.log")), scratch.file("place"));
        append(&log, "one\n").run().is_success();
        assert_eq!(collected(&log, &place).stdout, b"one\n");
        for round in 0..3 {
            reboot(&log);
            if !writer_comes_first {
                assert_eq!(collected(&log, &place).stdout, b"");
            }
            let line = format!("round {round}\n");
            append(&log, &line).run().is_success();
            let later = collected(&log, &place);
            assert_eq!((later.code, &*later.stdout, &*later.stderr), (0, line.as_bytes(), ""));
        }
        fs::remove_file(&place).unwrap();
    }
}

/// The log without its last bytes, as a power cut leaves it.
fn lose(log: &Path, bytes: u64) {
    let data = fs::OpenOptions::new().write(true).open(log).unwrap();
    data.set_len(data.metadata().unwrap().len() - bytes).unwrap();
    reboot(log);
}

#[test]
fn a_collector_that_has_more_than_a_power_cut_left_goes_on_where_the_log_does_and_is_told_what_was_lost() {
    let scratch = Scratch::new();
    for (writer_comes_first, hold) in [(true, false), (false, false), (true, true), (false, true)] {
        let (log, place) = (scratch.file(&format!("{writer_comes_first}-{hold}.log")), scratch.file("place"));
        let collected = || {
            let tail = mmlogctl("tail", &log).args(["-n", "+1", "--until-now", "--cursor-file"]).arg(&place);
            if hold { tail.args(["--hold", "shipper"]).run() } else { tail.run() }
        };
        append(&log, "durable\n").args(["--sync", "always"]).run().is_success();
        append(&log, "kept\nlost\n").run().is_success();
        assert_eq!(lines(&collected()), 3);
        lose(&log, 5);
        let mut said = Vec::new();
        if !writer_comes_first {
            let early = collected();
            assert_eq!((early.code, &*early.stdout), (0, &b""[..]), "{early:?}");
            said.push(early.stderr);
        }
        // Positions that the collector has passed are given out again.
        append(&log, "after\n").run().is_success();
        let later = collected();
        assert_eq!((later.code, &*later.stdout), (0, &b"after\n"[..]), "{later:?}");
        said.push(later.stderr);
        assert!(
            said[0].contains("cost the log 5 bytes that were printed before; going on at 13"),
            "{said:?}"
        );
        assert!(said.iter().filter(|said| said.contains("bytes")).count() == 1, "said once: {said:?}");
        assert_eq!(collected().stdout, b"");
        if hold {
            let status = Options::new().open_reader(&log).unwrap().status().unwrap();
            assert_eq!(status.holds[0].position, 19, "prune takes what is read");
        }
        fs::remove_file(&place).unwrap();
    }
}

#[test]
fn two_power_cuts_before_the_collector_comes_are_one_to_it() {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    append(&log, "one\ntwo\nthree\n").run().is_success();
    assert_eq!(lines(&collected(&log, &place)), 3);
    lose(&log, 6);
    append(&log, "four\nfive\n").run().is_success();
    lose(&log, 5);
    append(&log, "six\n").run().is_success();
    assert_eq!(collected(&log, &place).stdout, b"four\nsix\n");
}

#[test]
fn a_place_above_what_was_durable_when_earlier_software_recovered_is_refused_with_a_step_that_works() {
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    append(&log, "durable\n").args(["--sync", "always"]).run().is_success();
    append(&log, "not durable\n").run().is_success();
    assert_eq!(lines(&collected(&log, &place)), 2);
    reboot(&log);
    append(&log, "after\n").run().is_success();
    // It does not say where the log ended.
    poke(&log, offset_of!(Header, went_on) + 16, &[0; 16]);
    let refused = collected(&log, &place);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("12 bytes above what was durable"), "{refused:?}");
    let line = refused.stderr.split('`').nth(1).unwrap();
    fs::write(&place, format!("{line}\n")).unwrap();
    assert_eq!(collected(&log, &place).stdout, b"not durable\nafter\n");
    // Recovered once more, by software that does not even say what was durable.
    reboot(&log);
    append(&log, "again\n").run().is_success();
    poke(&log, offset_of!(Header, epochs.began) + 2 * 16, &[0; 16]);
    poke(&log, offset_of!(Header, went_on) + 2 * 16, &[0; 16]);
    let refused = collected(&log, &place);
    assert!(refused.code == 1 && refused.stderr.contains("remove it to start anew"), "{refused:?}");
}

#[test]
fn a_log_that_nobody_recovered_is_read_as_the_recovery_leaves_it_and_that_is_said() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let text: String = (0..2000).map(|n| format!("line {n:06}\n")).collect();
    append(&log, &text).run().is_success();
    // A page that did not reach the disk, an append that was torn at the end, one that is whole.
    let data = fs::OpenOptions::new().write(true).open(&log).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&data, &[0; 4096], 8192).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&data, b"torn", text.len() as u64).unwrap();
    data.set_len(text.len() as u64 + 50).unwrap();
    write_slot(&log, 0, slot(3, text.len() as u64), 20, 4711);
    write_slot(&log, 1, slot(3, 120), 12, 4712);
    poke(&log, at::CURSOR, &7_u64.to_ne_bytes());
    reboot(&log);
    let foreseen = mmlogctl("cat", &log).run();
    assert_eq!(foreseen.code, 0, "{foreseen:?}");
    assert_eq!(foreseen.stdout.len(), text.len() - 4096);
    assert!(foreseen.stderr.contains("not recovered since the reboot"), "{foreseen:?}");
    let said = mmlogctl("cat", &log).args(["--holes", "say"]).run().stderr;
    let status = mmlogctl("status", &log).run();
    assert_eq!(status.code, 0, "{status:?}");
    assert!(String::from_utf8_lossy(&status.stdout).contains("not recovered since the reboot"), "{status:?}");
    let check = mmlogctl("check", &log).run();
    let note = "are as they have reached the disk; nothing to do: the next append recovers it";
    assert!(check.code == 0 && check.text().starts_with("OK - "), "{check:?}");
    assert!(
        check.text().contains("not recovered since the reboot") && check.text().contains(note),
        "{check:?}"
    );
    let tail = mmlogctl("tail", &log).args(["-n", "1"]).run();
    assert_eq!((tail.code, &*tail.stdout), (0, &b"line 001999\n"[..]), "{tail:?}");

    Log::options().open(&log).unwrap();
    let recovered = mmlogctl("cat", &log).run();
    assert_eq!((recovered.stdout, &*recovered.stderr), (foreseen.stdout, ""));
    let holes = mmlogctl("cat", &log).args(["--holes", "say"]).run().stderr;
    let ranges = |said: &str| -> Vec<String> {
        let of_hole = |line: &str| line.split_once("hole at ").map(|(_, hole)| hole.to_owned());
        said.lines().filter_map(of_hole).map(|hole| hole.split(" (").next().unwrap().to_owned()).collect()
    };
    assert_eq!(ranges(&said), ranges(&holes));
    assert!(!ranges(&said).is_empty());
}

/// Whether two boots cannot have the same boot time here.
fn clocks_tell(claim: &str) -> bool {
    let always = cfg!(any(target_arch = "x86_64", target_arch = "s390x", target_arch = "powerpc64"));
    if !always {
        skipped(claim, "a machine that may have no clock that runs through a reboot");
    }
    always
}

#[test]
fn a_host_and_a_container_that_take_turns_are_in_one_boot() {
    let claim = "a_host_and_a_container_that_take_turns_are_in_one_boot";
    if !mounts(claim) || !clocks_tell(claim) {
        return;
    }
    let scratch = Scratch::new();
    let (log, place) = (scratch.file("app.log"), scratch.file("place"));
    // What a recovery takes for what did not reach the disk: whole pages, and the end.
    let nuls = [&b"x"[..], &[0; 3 * 4096], b"\n", &[0; 100]].concat();
    let mut all = Vec::new();
    for turn in 0..20 {
        let text = [format!("turn {turn}\n").as_bytes(), &nuls].concat();
        let (tool, tail) = (mmlogctl("append", &log).arg("--raw").input(&text), mmlogctl("tail", &log));
        let tail = tail.args(["-n", "+1", "--until-now", "--cursor-file"]).arg(&place);
        // Each reads what the other wrote.
        let (tool, tail) = match turn % 2 {
            0 => (in_container(&scratch, tool), tail),
            _ => (tool, in_container(&scratch, tail)),
        };
        tool.run().is_success();
        let read = tail.run();
        assert!(read.code == 0 && read.stdout == text, "turn {turn}: {} {:?}", read.code, read.stderr);
        assert_eq!(epoch(&log), 0, "turn {turn}");
        all.extend(text);
    }
    assert_eq!(mmlogctl("cat", &log).run().stdout, all);
    // A reboot is one still, whoever comes first.
    for rebooted in 1..=2 {
        reboot(&log);
        let tool = append(&log, "after\n");
        if rebooted == 1 { in_container(&scratch, tool) } else { tool }.run().is_success();
        assert_eq!(epoch(&log), rebooted);
    }
}

#[test]
fn another_boot_id_without_the_clocks_of_this_boot_is_another_boot() {
    let claim = "another_boot_id_without_the_clocks_of_this_boot_is_another_boot";
    if !mounts(claim) {
        return;
    }
    const HOUR_NS: u64 = 3_600_000_000_000;
    let scratch = Scratch::new();
    let changes = [
        ("another boot time", BOOTED, HOUR_NS.wrapping_neg()),
        ("a time up that fell", UP, HOUR_NS),
        ("a time to come", offset_of!(Header, checkpoint.synced_ns), u64::MAX / 2),
        ("clocks of another id", CLOCKS_OF, 2),
    ];
    for (what, offset, by) in changes {
        let log = scratch.log(b"hello\n");
        poke(&log, offset, &word(&log, offset).wrapping_add(by).to_ne_bytes());
        append(&log, "on the host\n").run().is_success();
        assert_eq!(epoch(&log), 0, "{what}: the id is the same");
        in_container(&scratch, append(&log, "in the container\n")).run().is_success();
        assert_eq!(epoch(&log), 1, "{what}");
        // It has recorded what is true.
        if clocks_tell(claim) {
            append(&log, "on the host\n").run().is_success();
            assert_eq!(epoch(&log), 1, "{what}");
        }
        fs::remove_file(&log).unwrap();
        fs::remove_file(metadata_of(&log)).unwrap();
    }
}

#[test]
fn what_a_container_wrote_is_read_on_the_host_while_nobody_has_it_open() {
    if !mounts("what_a_container_wrote_is_read_on_the_host_while_nobody_has_it_open") {
        return;
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for round in 0..10 {
        in_container(&scratch, append(&log, "container\n")).run().is_success();
        let read = mmlogctl("cat", &log).run();
        assert_eq!((read.code, lines(&read)), (0, 2 * round + 1), "round {round}: {read:?}");
        append(&log, "host\n").run().is_success();
        let read = in_container(&scratch, mmlogctl("cat", &log)).run();
        assert_eq!((read.code, lines(&read)), (0, 2 * round + 2), "round {round}: {read:?}");
    }
}
