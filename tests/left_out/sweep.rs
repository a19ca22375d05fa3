//! Each command, each call by which it looks at the log's files: the call fails once. Then the command does all of its
//! work, or it says on standard error what it could not do, and its exit code is not 0.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cli::{Ended, mmlogctl, skipped, succeeds};
use crate::{content, finals, log_of};

/// Calls that look at files.
pub(crate) const CALLS: &str = "openat,openat2,getdents64,newfstatat,statx,fstat,read,pread64,lseek";
const ERRNOS: [&str; 4] = ["EACCES", "EIO", "EMFILE", "ENOMEM"];

/// Of so many calls one is made to fail; the campaign tries all.
const STEP: usize = 5;

/// What is tried, and whether it changes the log.
const LOOKS: [&[&str]; 7] = [
    &["cat"],
    &["tail", "-n+1"],
    &["tail", "-n5"],
    &["segments"],
    &["status"],
    &["check"],
    &["check", "--deep"],
];
const CHANGES: [&[&str]; 5] = [
    &["rotate"],
    &["rotate", "--compress=zstd"],
    &["rotate", "--olddir=old"],
    &["prune", "--keep=1"],
    &["rm", "--all"],
];

/// A log of four segments, the old ones in a directory of their own if wanted.
fn made(scratch: &Path, directory: &str, olddir: bool) -> std::path::PathBuf {
    let place = scratch.join(directory);
    fs::create_dir_all(place.join("old")).unwrap();
    let log = log_of(&place, 4);
    if olddir {
        let opened = mmlog::Log::options().open(&log).unwrap();
        opened.move_segments(Path::new("old"), std::time::Duration::from_secs(10)).unwrap();
        opened.close().unwrap();
    }
    log
}

fn run(line: &[&str], log: &Path, strace: &[String]) -> Ended {
    let strace: Vec<&str> = strace.iter().map(String::as_str).collect();
    mmlogctl(line[0], log).args(&line[1..]).through("strace", &strace).run()
}

/// Calls that name a file of the log, or are made on one, by name and number among those of that name.
pub(crate) fn calls_on(trace: &str, directory: &Path) -> Vec<(String, usize)> {
    let (mut numbers, mut found) = (HashMap::<String, usize>::new(), Vec::new());
    for line in trace.lines() {
        let Some((before, arguments)) = line.split_once('(') else { continue };
        let name = before.rsplit(' ').next().unwrap().to_owned();
        let number = numbers.entry(name.clone()).or_default();
        *number += 1;
        if arguments.contains(directory.to_str().unwrap()) && !arguments.contains("/proc/") {
            found.push((name, *number));
        }
    }
    found
}

/// What is left of the log: names, and the lengths of all but the metadata.
fn left(log: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for directory in [log.parent().unwrap().to_path_buf(), log.parent().unwrap().join("old")] {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let stat = entry.metadata().unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            if stat.is_file() && !name.ends_with(".mmlog") {
                all.push((name, stat.len()));
            }
        }
    }
    all.sort();
    all
}

/// Everything that the command owes, if it says that it has done it.
fn is_whole(line: &[&str], ended: &Ended, log: &Path, wanted: &[(String, u64)]) -> bool {
    let all = || (0..4).map(content).collect::<Vec<_>>().concat();
    let text = ended.text();
    match line {
        ["cat"] | ["tail", "-n+1"] => ended.stdout == all(),
        ["tail", "-n5"] => ended.stdout == all()[all().len() - 5 * (content(3).len() / 300)..],
        ["segments"] => text.lines().count() == 5 && !text.contains("unreadable"),
        ["status"] => text.contains("segments     4, the oldest from 0 in "),
        ["check"] => text.starts_with("OK - ") && text.contains(" segments=4;"),
        ["check", "--deep"] => {
            text.starts_with("OK - ")
                && text.contains(&format!(", {} read, ", mmlog::units::size(all().len() as u64)))
        }
        // Space that could not be cut off once all else was done is a notice.
        _ if ended.stderr.contains("(nothing is lost; `mmlogctl trim ") => {
            let but_current = |all: &[(String, u64)]| {
                all.iter().filter(|(name, _)| name != "app.log").cloned().collect::<Vec<_>>()
            };
            but_current(&left(log)) == but_current(wanted)
        }
        _ => left(log) == wanted,
    }
}

#[test]
fn a_call_that_fails_leaves_nothing_out_in_silence() {
    if !succeeds(Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"])) {
        return skipped("a call that fails is said", "there is no strace(1) here, or it may not trace");
    }
    let begin = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: usize = begin.unwrap_or(std::process::id() as usize);
    let mut turn = seed;
    let by_seccomp = ["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "true"];
    let fast = succeeds(Command::new("strace").args(by_seccomp)).then_some("--seccomp-bpf");
    // In memory, where nobody waits for a disk: logs are made by the hundred.
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let scratch = scratch.path();
    let mut tried = 0;
    let mut wrong = Vec::new();
    for olddir in [false, true] {
        let looked_at = made(scratch, if olddir { "looked at, old" } else { "looked at" }, olddir);
        for (line, changes) in LOOKS.iter().map(|l| (l, false)).chain(CHANGES.iter().map(|l| (l, true))) {
            let fresh = |n: &str| if changes { made(scratch, n, olddir) } else { looked_at.clone() };
            let out = scratch.join("trace");
            let log = fresh("traced");
            let plain = ["-f", "-qq", "-y", "-o", out.to_str().unwrap(), "-e", &format!("trace={CALLS}")];
            let ended = run(line, &log, &plain.map(str::to_owned));
            let wanted = left(&log);
            assert!(ended.code == 0 && is_whole(line, &ended, &log, &wanted), "{line:?}: {ended:?}");
            let trace = fs::read(&out).unwrap();
            let calls = calls_on(&String::from_utf8_lossy(&trace), log.parent().unwrap());
            assert!(calls.len() > 10, "{line:?}: {calls:?}");
            if changes {
                fs::remove_dir_all(log.parent().unwrap()).unwrap();
            }
            // Some of the calls, with one errno each; the seed says which, so that runs differ.
            for (call, number) in calls.into_iter().skip(turn % STEP).step_by(STEP) {
                turn += 1;
                let errno = ERRNOS[turn % ERRNOS.len()];
                let inject = format!("inject={call}:error={errno}:when={number}");
                let log = fresh("spoiled");
                let only = format!("trace={call}");
                let spoiled = ["-f", "-qq", "-o", "/dev/null", "-e", &only, "-e", &inject];
                let spoiled: Vec<String> = spoiled.into_iter().chain(fast).map(str::to_owned).collect();
                let ended = run(line, &log, &spoiled);
                let said = match ended.code {
                    // Monitoring reads standard output.
                    1 | 3 if line[0] == "check" => !ended.text().is_empty(),
                    // What the call was for is damage to whoever has only its answer.
                    1 | 3 | 4 => !ended.stderr.is_empty(),
                    0 => is_whole(line, &ended, &log, &wanted),
                    _ => false,
                };
                tried += 1;
                if !said {
                    wrong.push(format!(
                        "{line:?}, olddir {olddir}, {inject}: {ended:?}, left {:?}",
                        finals(&log)
                    ));
                }
                if changes {
                    fs::remove_dir_all(log.parent().unwrap()).unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "SEED={seed}, {} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}
