//! Names at the limit of the file system.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cli::{COMMANDS, Scratch, Tool, mmlogctl, skipped, succeeds};
use crate::{CONTENT, ended, has};

/// What a log's name may have here, and what its old segments' have more: with a time, while a compressed copy is made.
const FITS: usize = 255 - 31 - 17 - 11;

fn of(scratch: &Scratch, len: usize) -> PathBuf {
    scratch.file(&"n".repeat(len))
}

/// Of a log at rest, as earlier versions allowed it to be named.
fn rename(from: &Path, to: &Path) {
    let metadata = |log: &Path| log.with_file_name(format!("{}.mmlog", log.file_name().unwrap().display()));
    fs::rename(from, to).unwrap();
    fs::rename(metadata(from), metadata(to)).unwrap();
}

fn finding(log: &Path) -> Option<Value> {
    let json = mmlogctl("status", log).arg("--json").run();
    let status: Value = serde_json::from_slice(&json.stdout).unwrap();
    status["findings"].as_array().unwrap().iter().find(|f| f["id"] == "name-too-long").cloned()
}

#[test]
fn a_log_whose_old_segments_could_not_have_their_names_is_not_made() {
    let scratch = Scratch::new();
    for len in [FITS + 1, 224, 225, 249, 250, 255] {
        let log = of(&scratch, len);
        let said = [&*format!("the name has {len} bytes"), "255 is the most here", "at most 196 bytes"];
        ended(&mmlogctl("init", &log).run(), 1, &said);
        ended(&mmlogctl("append", &log).input(CONTENT).run(), 1, &said);
        ended(&mmlogctl("exec", &log).args(["--", "echo", "x"]).run(), 125, &said);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{len}: nothing is left there");
        fs::write(&log, CONTENT).unwrap();
        ended(&mmlogctl("init", &log).arg("--adopt").run(), 1, &said);
        assert_eq!(fs::read(&log).unwrap(), CONTENT);
        fs::remove_file(&log).unwrap();
    }
}

#[test]
fn a_name_that_no_log_can_have_is_said_in_words() {
    let scratch = Scratch::new();
    for command in COMMANDS {
        let run = mmlogctl(command, &of(&scratch, 250)).run();
        ended(
            &run,
            1,
            &["its metadata's would have 256", "255 is the most here; choose a name of at most 196"],
        );
        let run = mmlogctl(command, &of(&scratch, 256)).run();
        ended(&run, 1, &["the name has 256 bytes", "255 is the most here; choose a name of at most 196"]);
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left there");
}

#[test]
fn the_longest_name_that_is_allowed_is_rotated_with_a_time_and_compressed() {
    let scratch = Scratch::new();
    let log = of(&scratch, FITS);
    ended(&mmlogctl("append", &log).input(CONTENT).run(), 0, &[]);
    ended(&mmlogctl("rotate", &log).args(["--utc", "--compress", "zstd"]).run(), 0, &[]);
    ended(&mmlogctl("append", &log).input(CONTENT).run(), 0, &[]);
    ended(&mmlogctl("rotate", &log).args(["--utc", "--compress", "gzip"]).run(), 0, &[]);
    has(&log, &CONTENT.repeat(2));
    assert_eq!(finding(&log), None);
}

#[test]
fn a_log_with_a_name_too_long_goes_on_and_says_what_it_cannot() {
    let scratch = Scratch::new();
    let short = scratch.log(CONTENT);
    let mut content = CONTENT.to_vec();
    // (its name, whether it can be rotated, with a time, and then be compressed)
    for (len, plain, utc, compress) in [
        (FITS + 1, true, true, true),
        (208, true, false, true),
        (214, true, false, false),
        (225, false, false, false),
        (249, false, false, false),
    ] {
        let log = of(&scratch, len);
        rename(&short, &log);
        ended(&mmlogctl("append", &log).input(b"more\n").run(), 0, &[]);
        content.extend_from_slice(b"more\n");
        has(&log, &content);
        ended(&mmlogctl("trim", &log).run(), 0, &[]);
        let found = finding(&log).unwrap();
        assert_eq!(found["severity"], if plain { "info" } else { "warning" }, "{found}");
        assert!(found["next_step"].as_str().unwrap().contains("at most 196 bytes"), "{found}");
        let check = mmlogctl("check", &log).run();
        assert_eq!(check.code, i32::from(!plain), "{check:?}");
        let said = [&*format!("the name has {len} bytes"), "255 is the most here; stop its programs"];
        let fails = |can: bool| if can { (0, &[][..]) } else { (1, &said[..]) };
        let (code, words) = fails(utc);
        ended(&mmlogctl("rotate", &log).args(["-n", "--utc"]).run(), code, words);
        let (code, words) = fails(plain);
        ended(&mmlogctl("rotate", &log).arg("-n").run(), code, words);
        ended(&mmlogctl("rotate", &log).run(), code, words);
        if plain {
            let (code, words) = fails(compress);
            ended(&mmlogctl("rotate", &log).args(["--compress", "zstd"]).run(), code, words);
        }
        has(&log, &content);
        // What is printed; segments are given up.
        ended(&mmlogctl("prune", &log).args(["--keep", "0"]).run(), 0, &[]);
        if plain {
            content.clear();
        }
        rename(&log, &short);
        assert_eq!(finding(&short), None);
        has(&short, &content);
    }
    ended(&mmlogctl("rotate", &short).args(["--utc", "--compress", "zstd"]).run(), 0, &[]);
    has(&short, &content);
}

#[test]
fn metadata_of_a_log_with_a_name_too_long_can_be_made_anew() {
    let scratch = Scratch::new();
    let log = of(&scratch, 249);
    rename(&scratch.log(CONTENT), &log);
    fs::remove_file(log.with_file_name(format!("{}.mmlog", "n".repeat(249)))).unwrap();
    ended(&mmlogctl("repair", &log).arg("--rebuild").run(), 0, &[]);
    has(&log, CONTENT);
}

#[test]
fn a_path_too_long_is_said_and_works_from_nearer() {
    let scratch = Scratch::new();
    let (part, mut at) = ("d".repeat(250), scratch.path().to_owned());
    for _ in 0..15 {
        at.push(&part);
    }
    fs::create_dir_all(&at).unwrap();
    // The last directories are made from there: no path reaches them.
    let far = PathBuf::from("e".repeat(250)).join("f".repeat(250));
    let made = std::process::Command::new("mkdir").arg("-p").arg(&far).current_dir(&at).status().unwrap();
    assert!(made.success());
    let log = far.join("app.log");
    for command in COMMANDS {
        let run = mmlogctl(command, &at.join(&log)).run();
        ended(&run, 1, &["File name too long", "a path has at most 4095 bytes"]);
    }
    let here = |command: &str| mmlogctl(command, &log).with(|command| command.current_dir(&at));
    for _ in 0..2 {
        ended(&here("append").input(CONTENT).run(), 0, &[]);
        ended(&here("rotate").args(["--utc", "--compress", "zstd"]).run(), 0, &[]);
    }
    here("cat").run().printed(&CONTENT.repeat(2));
    assert_eq!(here("check").run().code, 0);
    ended(&here("repair").run(), 0, &[]);
    ended(&here("prune").args(["--keep", "0"]).run(), 0, &[]);
}

/// Names that people, scripts and attackers make.
const ODD: [&[u8]; 11] = [
    b"two words",
    b"new\nline",
    b"it's \"quoted\"",
    b"\x1b[2J\x1b]0;title\x07",
    b"caf\xe9\xff.log",
    "\u{1f600}\u{e9}.log".as_bytes(),
    "a\u{202e}gol.b".as_bytes(),
    b"-x",
    b"dots...",
    b"app.log.0000000000-0000000000000000000",
    b"$(touch oops)`x`",
];

#[test]
fn a_log_of_any_name_works_and_the_printed_command_names_it() {
    for name in ODD {
        let scratch = Scratch::new();
        let here = |command: &str, args: &[&str], input: &[u8]| {
            let tool = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg(command).args(args);
            let tool = tool.arg("--").arg(OsStr::from_bytes(name)).input(input);
            let run = tool.with(|tool| tool.current_dir(scratch.path())).run();
            let said = [run.stderr.as_bytes(), if command == "cat" { b"" } else { &run.stdout }].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(!said.contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'), "{said:?}");
            run
        };
        for compress in [&["--compress", "zstd"][..], &[], &["--utc"]] {
            ended(&here("append", &[], CONTENT), 0, &[]);
            ended(&here("rotate", compress, b""), 0, &[]);
        }
        ended(&here("append", &["--timestamp", "--prefix", "\u{e9}\u{1f600} "], b"x\n"), 0, &[]);
        for (command, args) in [
            ("status", &[][..]),
            ("check", &["--deep"]),
            ("segments", &[]),
            ("inspect", &["--once"]),
            ("tail", &["-n", "1"]),
            ("repair", &[]),
            ("trim", &[]),
            ("prune", &["--keep", "9"]),
        ] {
            ended(&here(command, args, b""), 0, &[]);
        }
        let whole = here("cat", &[], b"");
        assert!(whole.code == 0 && whole.stdout.starts_with(&CONTENT.repeat(3)), "{whole:?}");
        let log = scratch.path().join(OsStr::from_bytes(name));
        fs::remove_file(&log).unwrap();
        let status: Value = serde_json::from_slice(&here("status", &["--json"], b"").stdout).unwrap();
        let command = status["findings"][0]["command"].as_str().unwrap();
        let tool = Path::new(env!("CARGO_BIN_EXE_mmlogctl")).parent().unwrap();
        let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
        if !succeeds(Command::new("bash").arg("--version")) {
            return skipped("printed commands", "bash is not installed");
        }
        let mut shell = Command::new("bash");
        shell.args(["-c", command]).env("PATH", path).current_dir(scratch.path());
        assert!(succeeds(&mut shell) && log.exists(), "{command}");
        assert!(!scratch.file("oops").exists());
        ended(&here("rm", &["--all"], b""), 0, &[]);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{command}");
    }
}
