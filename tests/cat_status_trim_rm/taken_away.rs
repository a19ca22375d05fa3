//! Files of a log that somebody takes away while a program writes: every command says who has them, and what it prints saves
//! what they hold.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cli::{NOBODY, Running, Scratch, Tool, is_root, metadata_of, mmlogctl, skipped, wait_for};

/// A program that has appended a line, and lives.
pub(crate) fn writing(log: &Path) -> Running {
    let mut writer = mmlogctl("append", log).start();
    writer.feed(b"one\n");
    wait_for("the line", || mmlogctl("cat", log).run().stdout.eq(b"one\n").then_some(()));
    writer
}

/// What status, check, inspect, JSON and those that need the log say: the same sentence and step, of the same severity.
#[track_caller]
pub(crate) fn said_by_all(log: &Path, who: &str, also: &[&str]) -> (String, String) {
    let json = mmlogctl("status", log).arg("--json").run();
    let object: Value = serde_json::from_slice(&json.stdout).unwrap();
    let finding = &object["findings"][0];
    let text = |key: &str| finding[key].as_str().unwrap().to_owned();
    let (sentence, step, command) = (text("sentence"), text("next_step"), text("command"));
    assert!(sentence.contains(who) && text("severity") == "critical", "{finding}");
    let check = mmlogctl("check", log).arg("--json").run();
    let checked: Value = serde_json::from_slice(&check.stdout).unwrap();
    let same = |other: &Value| (&other["id"], &other["severity"]) == (&finding["id"], &finding["severity"]);
    assert!(same(&checked["findings"][0]), "{checked}");
    // Since when is a second later by then.
    assert_eq!((&object["state"], checked["code"].as_u64()), (&"DAMAGED".into(), Some(2)), "{checked}");
    for command in ["status", "check"] {
        let options: &[&str] = if command == "status" { &["--exit-code"] } else { &[] };
        assert_eq!(mmlogctl(command, log).args(options).run().code, 2, "{command}");
    }
    let listed = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(["ls", "--only-below", "--exit-code"]);
    let listed = listed.arg(log.parent().unwrap()).run();
    let is_once = listed.text().starts_with("1 log: 1 DAMAGED\n");
    assert!(listed.code == 2 && (is_once || listed.text().contains(" OK")), "{listed:?}");
    let (begins, ends) = (sentence.split([',', '(']).next().unwrap(), "its bytes are not lost yet");
    let plain = mmlogctl("status", log).run();
    let own = format!("\n               {command}\n");
    assert!(plain.text().starts_with("DAMAGED  ") && plain.text().contains(&own), "{plain:?}");
    let texts = [plain.text() + &plain.stderr, mmlogctl("check", log).run().text()];
    let others = also.iter().map(|command| {
        let ended = mmlogctl(command, log).input(b"more\n").run();
        assert_ne!(ended.code, 0, "{ended:?}");
        ended.stderr
    });
    for text in texts.into_iter().chain(others) {
        assert!(text.contains(begins) && text.contains(who) && text.contains(&command), "{text}");
        let says = [ends, "nothing is lost yet", "has what was appended until now", "the metadata was moved"];
        assert!(says.iter().any(|words| text.contains(words)), "{text}");
    }
    let screen = mmlogctl("inspect", log).arg("--once").run().text();
    // A long command goes on in the next line, as for a shell.
    let screen = screen.split_ascii_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ");
    assert!(screen.contains(begins) && screen.contains(&command), "{screen}");
    (command, step)
}

/// Pastes it.
#[track_caller]
pub(crate) fn paste(command: &str) {
    let tool = Path::new(env!("CARGO_BIN_EXE_mmlogctl")).parent().unwrap().to_path_buf();
    let others = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([tool].into_iter().chain(std::env::split_paths(&others))).unwrap();
    let ended = Command::new("sh").args(["-c", command]).env("PATH", path).output().unwrap();
    assert!(ended.status.success(), "{command}: {ended:?}");
}

/// Pastes what comes behind saving, which is told in the same step.
#[track_caller]
fn go_on(step: &str) -> String {
    let command = step.split('`').nth(3).unwrap();
    paste(command);
    command.to_owned()
}

/// Without the space that was allocated ahead.
pub(crate) fn bytes_of(saved: &str) -> Vec<u8> {
    let mut bytes = fs::read(saved).unwrap();
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    bytes
}

#[test]
fn a_data_file_that_was_removed_under_a_writer_is_saved_by_what_is_printed_before_anything_else() {
    let scratch = Scratch::new();
    let log = scratch.file("it's app.log");
    let writer = writing(&log);
    fs::remove_file(&log).unwrap();
    let who = format!("process {} (mmlogctl append", writer.pid());
    let saves = format!("cp --sparse=always /proc/{}/fd/", writer.pid());
    let (command, _) = said_by_all(&log, &who, &["append", "cat", "tail"]);
    assert!(command.starts_with(&saves), "{command}");
    // A repair that would end that says it, too.
    let planned = mmlogctl("repair", &log).args(["--recreate", "--dry-run"]).run();
    assert!(planned.text().contains(&command) && planned.text().contains(&who), "{planned:?}");
    // Only its first half: who wants to look first.
    let copies = |command: &str| {
        let (copies, goes_on) = command.split_once(" && ").unwrap();
        assert!(goes_on.starts_with("mmlogctl repair --recreate "), "{command}");
        paste(copies);
    };
    copies(&command);
    assert_eq!(bytes_of(&format!("{}.saved", log.display())), b"one\n");
    // What comes meanwhile does not have it copied again at once, but when that was a while ago; what is saved stays.
    let mut writer = writer;
    writer.feed(b"later\n");
    wait_for("what is lacking", || {
        let told = mmlogctl("status", &log).run().text();
        assert!(told.contains("\n               mmlogctl repair --recreate "), "{told}");
        (told.contains(".saved has what was appended until ") && !told.contains("until now")).then_some(())
    });
    let saved = fs::File::options().write(true).open(format!("{}.saved", log.display())).unwrap();
    saved.set_modified(SystemTime::now() - Duration::from_secs(300)).unwrap();
    let (again, _) = said_by_all(&log, &who, &[]);
    assert!(again.starts_with(&saves) && again.contains(".saved.1"), "{again}");
    copies(&again);
    assert_eq!(bytes_of(&format!("{}.saved.1", log.display())), b"one\nlater\n");
    // Then the first thing to do is to go on.
    let (command, _) = said_by_all(&log, &who, &["cat"]);
    assert!(command.starts_with("mmlogctl repair --recreate "), "{command}");
    paste(&command);
    writer.feed(b"two\n");
    wait_for("the next line", || mmlogctl("cat", &log).run().text().contains("two\n").then_some(()));
    // It says, some seconds later, that its file was gone.
    let ended = writer.end();
    assert_eq!((ended.code, mmlogctl("check", &log).run().code), (0, 0), "{ended:?}");
}

#[test]
fn a_log_that_was_removed_under_a_writer_is_said_to_be_open_still_and_by_whom() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let writer = writing(&log);
    fs::remove_file(&log).unwrap();
    fs::remove_file(metadata_of(&log)).unwrap();
    let who = format!("process {} (mmlogctl append", writer.pid());
    let (command, _) = said_by_all(&log, &who, &["cat"]);
    paste(&command);
    assert_eq!(bytes_of(&format!("{}.saved", log.display())), b"one\n");
    // It goes on there, and it only.
    let found = mmlogctl("check", &log).run();
    assert!(
        found.code == 1 && found.text().contains("the log that was here before was removed"),
        "{found:?}"
    );
    writer.end();
    assert_eq!(mmlogctl("check", &log).run().code, 0);
    mmlogctl("rm", &log).run().is_success();
    let ended = mmlogctl("status", &log).run();
    assert!(ended.stderr.contains("no such log") && !ended.stderr.contains("open still"), "{ended:?}");
}

#[test]
fn metadata_that_was_removed_under_a_writer_is_saved_with_its_policy() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    mmlogctl("init", &log).run().is_success();
    mmlogctl("policy", &log).args(["--set", "keep=3"]).run().is_success();
    let writer = writing(&log);
    fs::remove_file(metadata_of(&log)).unwrap();
    let who = format!("process {} (mmlogctl append", writer.pid());
    let (command, step) = said_by_all(&log, &who, &["append", "cat"]);
    paste(&command);
    writer.end();
    go_on(&step);
    assert!(mmlogctl("policy", &log).run().text().contains("keep=3"));
    mmlogctl("cat", &log).run().printed(b"one\n");
}

/// Wherever it is, under whatever name: all say where, and the command puts it back; nobody makes other metadata meanwhile.
#[test]
fn metadata_that_was_moved_is_put_back_by_what_is_printed() {
    let scratch = Scratch::new();
    let log = scratch.file("a b");
    let writer = writing(&log);
    let metadata = metadata_of(&log);
    fs::create_dir(scratch.file("d e")).unwrap();
    for there in ["a b.mmlog.bak", "d e/x"] {
        let there = scratch.file(there);
        fs::rename(&metadata, &there).unwrap();
        let who = format!("process {} (mmlogctl append", writer.pid());
        let (command, _) = said_by_all(&log, &who, &["append", "cat", "tail", "repair", "rm"]);
        for adopts in [&["--adopt"][..], &["--adopt", "--keep-nuls"]] {
            assert_eq!(mmlogctl("init", &log).args(adopts).run().code, 4);
        }
        assert_eq!(mmlogctl("repair", &log).arg("--rebuild").run().code, 4);
        assert!(!metadata.exists());
        paste(&command);
        assert_eq!(mmlogctl("check", &log).run().code, 0);
    }
    writer.end();
    // Nobody has it open.
    let there = scratch.file("a b.mmlog~");
    fs::rename(&metadata, &there).unwrap();
    let told = mmlogctl("append", &log).input(b"two\n").run();
    assert!(told.code == 4 && told.stderr.contains("the metadata was moved: it is"), "{told:?}");
    // By itself it is said whose it is, and not taken for a file that may become a log.
    for command in [&["status"][..], &["init", "--adopt", "--keep-nuls"]] {
        let told = mmlogctl(command[0], &there).args(&command[1..]).run();
        assert!(told.code == 1 && told.stderr.contains("the metadata of "), "{told:?}");
    }
    // A copy of it is none.
    fs::copy(&there, scratch.file("a b.mmlog.old")).unwrap();
    fs::remove_file(&there).unwrap();
    let told = mmlogctl("append", &log).input(b"two\n").run();
    assert!(told.code == 1 && told.stderr.contains("not a log (no metadata)"), "{told:?}");
}

#[test]
fn a_writer_whose_metadata_is_gone_is_told_so_and_ends_where_it_must_grow_with_a_step_that_works() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    mmlogctl("init", &log).arg("--chunk-size=64K").run().is_success();
    let mut writer = writing(&log);
    fs::remove_file(metadata_of(&log)).unwrap();
    writer.until_stderr("the metadata was removed or replaced under this process: nobody else can append");
    writer.feed(&[b'x'; 200 << 10]);
    writer.feed(b"\n");
    let ended = writer.end();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(!ended.stderr.contains("without a name") && !ended.stderr.contains("/proc/"), "{ended:?}");
    assert!(ended.stderr.contains("`mmlogctl repair --rebuild "), "{ended:?}");
    assert!(ended.stderr.ends_with("(204801 bytes were not stored)\n"), "{ended:?}");
    // The NULs at its end are no content, and are not taken for it.
    let adopt = mmlogctl("init", &log).arg("--adopt").run();
    adopt.is_refused(1, &log, &["it ends in NULs", "`mmlogctl repair --rebuild ", "--keep-nuls"]);
    let screen = mmlogctl("inspect", &log).arg("--once").run().text();
    let own = format!("\n  mmlogctl repair --rebuild {}\n", log.display());
    assert!(screen.contains(&own), "{screen}");
    mmlogctl("repair", &log).arg("--rebuild").run().is_success();
    mmlogctl("cat", &log).run().printed(b"one\n");
}

#[test]
fn a_file_that_ends_in_nuls_is_adopted_where_they_are_said_to_be_content() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let bytes = [b"one\n".to_vec(), vec![0; 4096]].concat();
    fs::write(&log, &bytes).unwrap();
    let adopted = mmlogctl("init", &log).args(["--adopt", "--keep-nuls"]).run();
    assert_eq!(adopted.code, 0, "{adopted:?}");
    mmlogctl("cat", &log).run().printed(&bytes);
    // Fewer are nobody's space.
    let other = scratch.file("other.log");
    fs::write(&other, &bytes[..4000]).unwrap();
    assert_eq!(mmlogctl("init", &other).arg("--adopt").run().code, 0);
}

#[test]
fn a_data_file_that_was_moved_to_another_directory_is_moved_back_by_what_is_printed() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut writer = writing(&log);
    let elsewhere = scratch.file("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(&log, elsewhere.join("kept.log")).unwrap();
    let object: Value = serde_json::from_slice(&mmlogctl("status", &log).arg("--json").run().stdout).unwrap();
    let command = object["findings"][0]["command"].as_str().unwrap();
    assert_eq!(
        command,
        format!("mv -n {} {}", elsewhere.canonicalize().unwrap().join("kept.log").display(), log.display())
    );
    paste(command);
    writer.feed(b"two\n");
    wait_for("the next line", || mmlogctl("cat", &log).run().stdout.eq(b"one\ntwo\n").then_some(()));
    // It says, some seconds later, that its file was gone.
    let ended = writer.end();
    assert_eq!((ended.code, mmlogctl("check", &log).run().code), (0, 0), "{ended:?}");
}

#[test]
fn a_file_that_was_given_the_number_of_the_removed_one_is_not_taken_for_it() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    mmlogctl("append", &log).input(b"one\n").run().printed(b"");
    let number = fs::metadata(&log).unwrap().ino();
    fs::remove_file(&log).unwrap();
    let has_it = |n| {
        let other = scratch.file(&format!("other-{n}"));
        fs::write(&other, "of somebody else\n").unwrap();
        fs::metadata(&other).unwrap().ino() == number
    };
    if !(0..100).any(has_it) {
        return skipped(
            "a file that was given the number of a removed one",
            "this file system gives none again",
        );
    }
    let status = mmlogctl("status", &log).arg("--json").run();
    let object: Value = serde_json::from_slice(&status.stdout).unwrap();
    let finding = &object["findings"][0];
    let sentence = finding["sentence"].as_str().unwrap();
    assert!(finding["id"] == "data-gone" && sentence.starts_with("the data file is gone"), "{finding}");
    assert!(!finding["next_step"].as_str().unwrap().contains("mv -n"), "{finding}");
}

#[test]
fn whoever_may_not_look_at_the_writer_is_told_so_and_asks_as_root() {
    if !is_root() {
        return skipped("whoever may not look at the writer is told so", "not root");
    }
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let writer = writing(&log);
    fs::remove_file(&log).unwrap();
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(metadata_of(&log), Permissions::from_mode(0o644)).unwrap();
    let program = scratch.file("mmlogctl");
    fs::copy(env!("CARGO_BIN_EXE_mmlogctl"), &program).unwrap();
    let asks = Tool::new(&program).arg("status").arg(&log);
    let said = asks.with(|command| command.uid(NOBODY).gid(NOBODY)).run();
    let text = said.text();
    let who = format!("writer {} (mmlogctl) lives, whose files uid {NOBODY} may not see", writer.pid());
    assert!(text.contains("the data file is gone, for at least ") && text.contains(&who), "{said:?}");
    let command = format!("\n               mmlogctl status {}\n", log.display());
    assert!(text.contains("as root: the command below tells") && text.contains(&command), "{said:?}");
    assert!(!text.contains("cp "), "{said:?}");
    writer.end();
    let asks = Tool::new(&program).arg("status").arg(&log);
    let text = asks.with(|command| command.uid(NOBODY).gid(NOBODY)).run().text();
    assert!(
        text.contains(&format!("whether somebody has it open still, uid {NOBODY} could not see")),
        "{text}"
    );
}

/// What is at the path is somebody else's, with the number that the file there had; `false` where none is given again.
fn takes_the_number(path: &Path, bytes: &[u8]) -> bool {
    let number = fs::metadata(path).unwrap().ino();
    (0..100).any(|_| {
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
        fs::metadata(path).unwrap().ino() == number
    })
}

/// Of another inode generation: what it names is an old segment now, which stays where it is.
#[test]
fn an_older_copy_of_the_metadata_from_before_a_rotation_is_a_copy() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    mmlogctl("append", &log).input(b"one\n").run().printed(b"");
    let copy = fs::read(metadata_of(&log)).unwrap();
    for line in [&b"two\n"[..], b"three\n"] {
        mmlogctl("rotate", &log).run().is_success();
        mmlogctl("append", &log).input(line).run().printed(b"");
    }
    // In place: its inode stays.
    fs::write(metadata_of(&log), copy).unwrap();
    let told = mmlogctl("status", &log).run().text();
    let why = "the metadata is of before a rotation, an older copy of it";
    assert!(told.contains(why) && !told.contains("mv "), "{told}");
    assert_eq!(mmlogctl("check", &log).run().code, 2);
    mmlogctl("repair", &log).arg("--rebuild").run().is_success();
    mmlogctl("cat", &log).run().printed(b"one\ntwo\nthree\n");
}

#[test]
fn a_log_that_was_moved_under_a_writer_is_put_back_by_what_is_printed() {
    let scratch = Scratch::new();
    let log = scratch.file("a b");
    let mut writer = writing(&log);
    let other = scratch.file("d");
    fs::create_dir(&other).unwrap();
    for file in [log.clone(), metadata_of(&log)] {
        fs::rename(&file, other.join(file.file_name().unwrap())).unwrap();
    }
    let told = mmlogctl("status", &log).run();
    let who = format!("the log was moved: it is {}", other.join("a b").display());
    assert!(told.text().contains(&who), "{told:?}");
    assert_eq!(mmlogctl("check", &log).run().code, 2);
    let command =
        told.text().lines().skip_while(|line| !line.starts_with("  next")).nth(1).unwrap().to_owned();
    paste(command.trim());
    writer.feed(b"two\n");
    wait_for("the next line", || mmlogctl("cat", &log).run().stdout.eq(b"one\ntwo\n").then_some(()));
    writer.end();
    assert_eq!(mmlogctl("check", &log).run().code, 0);
}

/// Under names that are those of no log, beside where they should be or elsewhere.
#[test]
fn a_log_both_of_whose_files_were_renamed_under_a_writer_is_put_back_by_what_is_printed() {
    let scratch = Scratch::new();
    let log = scratch.file("a b");
    let mut writer = writing(&log);
    fs::create_dir(scratch.file("d e")).unwrap();
    for (n, [data, metadata]) in
        [["it's old", "x.mmlog.bak"], ["y", "x"], ["d e/y", "d e/x.mmlog"]].iter().enumerate()
    {
        fs::rename(&log, scratch.file(data)).unwrap();
        fs::rename(metadata_of(&log), scratch.file(metadata)).unwrap();
        let who = format!("process {} (mmlogctl append", writer.pid());
        let (command, _) = said_by_all(&log, &who, &["cat"]);
        paste(&command);
        let line = format!("{n}\n");
        writer.feed(line.as_bytes());
        wait_for("the line", || mmlogctl("cat", &log).run().text().ends_with(&line).then_some(()));
        assert_eq!(mmlogctl("check", &log).run().code, 0);
    }
    writer.end();
}

#[test]
fn a_log_that_was_renamed_as_a_whole_under_a_writer_is_given_its_name_again() {
    let scratch = Scratch::new();
    let log = scratch.file("a b");
    let writer = writing(&log);
    let other = scratch.file("c d");
    fs::rename(&log, &other).unwrap();
    fs::rename(metadata_of(&log), metadata_of(&other)).unwrap();
    let told: Value = serde_json::from_slice(&mmlogctl("status", &log).arg("--json").run().stdout).unwrap();
    paste(told["findings"][0]["command"].as_str().unwrap());
    mmlogctl("cat", &log).run().printed(b"one\n");
    writer.end();
    assert_eq!(mmlogctl("check", &log).run().code, 0);
}

/// Its cursor is of before what was appended since.
#[test]
fn a_copy_of_the_metadata_with_the_number_of_the_original_is_a_copy() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut writer = writing(&log);
    let copy = fs::read(metadata_of(&log)).unwrap();
    writer.feed(b"two\n");
    wait_for("the line", || mmlogctl("cat", &log).run().stdout.eq(b"one\ntwo\n").then_some(()));
    writer.signal(Signal::SIGKILL);
    writer.end();
    if !takes_the_number(&metadata_of(&log), &copy) {
        return skipped("a copy with the number of the original", "this file system gives none again");
    }
    let refused = mmlogctl("append", &log).input(b"three\n").run();
    let why = "the metadata file is a copy (inode ";
    assert!(refused.code == 4 && refused.stderr.contains(why), "{refused:?}");
    let checked = mmlogctl("check", &log).run();
    assert!(checked.code == 2 && checked.text().contains("and one made since has its number"), "{checked:?}");
    crate::cli::when_out_of_use(|| mmlogctl("repair", &log).arg("--rebuild").run()).is_success();
    mmlogctl("append", &log).input(b"three\n").run().printed(b"");
    mmlogctl("cat", &log).run().printed(b"one\ntwo\nthree\n");
}

#[test]
fn a_file_made_at_the_path_with_the_number_of_the_removed_one_is_not_the_logs() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    mmlogctl("append", &log).input(b"one\n").run().printed(b"");
    if !takes_the_number(&log, b"of somebody else\n") {
        return skipped("another file with the log's number", "this file system gives none again");
    }
    let refused = mmlogctl("append", &log).input(b"two\n").run();
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("was removed, and one made since has its number"), "{refused:?}");
    assert_eq!(fs::read(&log).unwrap(), b"of somebody else\n");
    let status = mmlogctl("status", &log).arg("--json").run();
    let object: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(object["findings"][0]["id"], "data-replaced", "{object}");
    assert_eq!(mmlogctl("check", &log).run().code, 2);
    mmlogctl("repair", &log).arg("--rebuild").run().is_success();
    mmlogctl("append", &log).input(b"two\n").run().printed(b"");
    assert_eq!(fs::read(&log).unwrap(), b"of somebody else\ntwo\n");
    assert_eq!(mmlogctl("check", &log).run().code, 0);
}

#[test]
fn a_log_goes_on_with_its_own_file_after_every_rotation_and_a_recreation() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    for _ in 0..3 {
        mmlogctl("append", &log).input(b"one\n").run().printed(b"");
        mmlogctl("rotate", &log).run().is_success();
    }
    fs::remove_file(&log).unwrap();
    mmlogctl("repair", &log).arg("--recreate").run().is_success();
    mmlogctl("append", &log).input(b"two\n").run().printed(b"");
    if takes_the_number(&log, b"of somebody else\n") {
        assert_eq!(mmlogctl("append", &log).input(b"three\n").run().code, 4);
    }
}
