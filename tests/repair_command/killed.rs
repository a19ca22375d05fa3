//! A repairer that is killed at a system call, and run again: what was there before is there, and the log works.

use std::fs;
use std::path::Path;

use mmlog::metadata::JOURNAL_TRIM;

use crate::cli::{Scratch, at, mmlogctl, poke, reboot, skipped, slot, succeeds, write_slot};
use crate::{CONTENT, cut, repair};

/// Those that change something or decide whose turn it is.
const CALLS: [&str; 5] = ["ftruncate", "fallocate", "pwrite64", "fcntl", "openat"];

struct Case {
    name: &'static str,
    damage: fn(&Path),
    options: &'static [&'static str],
    content: &'static [u8],
}

const CASES: &[Case] = &[
    Case { name: "truncation and the dead", damage: truncated, options: &[], content: b"two\n" },
    Case { name: "recreate", damage: gone, options: &["--recreate"], content: b"" },
    Case { name: "rebuild", damage: torn, options: &["--rebuild"], content: CONTENT },
    Case { name: "reboot", damage: rebooted, options: &[], content: CONTENT },
];

fn truncated(log: &Path) {
    write_slot(log, 3, slot(3, 0), 4, 4242);
    poke(log, at::JOURNAL, &JOURNAL_TRIM.to_ne_bytes());
    cut(log, 8);
}

fn gone(log: &Path) {
    fs::remove_file(log).unwrap();
}

fn torn(log: &Path) {
    poke(log, at::MAGIC, b"MMLOG");
}

fn rebooted(log: &Path) {
    poke(log, at::CURSOR, &400_u64.to_ne_bytes());
    reboot(log);
    let said = mmlogctl("repair", log).arg("--dry-run").run();
    assert!(String::from_utf8_lossy(&said.stdout).contains("not used since the reboot"), "{said:?}");
}

#[test]
fn a_repairer_killed_at_any_system_call_can_be_run_again() {
    if !succeeds(std::process::Command::new("strace").args(["-o", "/dev/null", "true"])) {
        return skipped("a repairer that is killed", "strace is missing or may not trace");
    }
    // Most of the later calls are the same look at slot after slot.
    let stride = if std::env::var_os("MMLOG_LONG").is_some() { u32::MAX } else { 4 };
    let mut kills = 0;
    for (case, call) in CASES.iter().flat_map(|case| CALLS.map(|call| (case, call))) {
        let mut nth = 1;
        while killed_at(case, call, nth) {
            kills += 1;
            nth += 1 + nth / stride;
        }
    }
    // A trace that kills nobody would pass, too.
    assert!(kills > 40, "{kills} kills");
}

/// False when there are not so many such calls.
fn killed_at(case: &Case, call: &str, nth: u32) -> bool {
    let at = format!("{}, killed at {call} {nth}", case.name);
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    (case.damage)(&log);
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let strace = ["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
    let ended = mmlogctl("repair", &log).args(case.options).through("strace", &strace).run();
    let killed = ended.code == -9 || ended.code == 137;
    assert!(killed || ended.code == 0, "{at}: {ended:?}");
    let again = repair(&log, case.options);
    assert_eq!(again.code, 0, "{at}: {again:?}");
    repair(&log, &[]).printed(format!("{}: nothing to repair\n", log.display()).as_bytes());
    mmlogctl("append", &log).input(b"next\n").run().is_success();
    mmlogctl("cat", &log).run().printed(&[case.content, b"next\n"].concat());
    assert_eq!(mmlogctl("check", &log).arg("--deep").run().code, 0, "{at}");
    killed
}
