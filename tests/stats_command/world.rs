//! Who appends, several logs, terminals, ends.

use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::pty::{Winsize, openpty};
use serde_json::Value;

use crate::cli::{Scratch, metadata_of, mmlogctl};
use crate::{object, objects, stats, text};

#[test]
fn who_appends_most_comes_first_with_what_each_appends_in_a_second() {
    let scratch = Scratch::new();
    let log = scratch.log(b"");
    let mut idle = mmlogctl("append", &log).start();
    idle.feed(b"one\n");
    crate::cli::wait_for("its line is there", || {
        mmlogctl("cat", &log).run().stdout.ends_with(b"one\n").then_some(())
    });
    let mut busy = mmlogctl("append", &log).start();
    let pids = [busy.pid(), idle.pid()];
    let mut both = || {
        let object = object(&log, &[]);
        let writers = object["now"]["writers"].as_array().unwrap().clone();
        let is_counted = object["now"]["messages"].as_u64() > Some(1);
        (writers.len() == 2 && is_counted).then_some((object, writers))
    };
    let is_over = AtomicBool::new(false);
    let (object, writers) = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                busy.feed(b"INFO another one\n");
            }
        });
        let seen = crate::cli::wait_for("both writers are seen", &mut both);
        is_over.store(true, Ordering::Relaxed);
        seen
    });
    assert_eq!(writers.iter().map(|w| w["pid"].as_u64().unwrap() as u32).collect::<Vec<_>>(), pids);
    let rate = |w: &Value, key: &str| w[key].as_f64().unwrap();
    assert!(rate(&writers[0], "bytes_per_second") > 0.0 && rate(&writers[0], "messages_per_second") > 0.0);
    assert_eq!((rate(&writers[1], "bytes_per_second"), &writers[1]["messages"]), (0.0, &1.into()));
    assert!(rate(&object["now"], "bytes_per_second") > 0.0, "{object}");
    let shown = text(&log, &[]);
    assert!(
        shown.contains("now          2 writers: ") && shown.contains(" messages by these writers"),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("{} (", idle.pid())) && shown.contains("those of others are not counted")
    );
    busy.end().is_success();
    idle.end().is_success();
    assert!(text(&log, &[]).contains("now          no writer; how many messages there were, only writers"));
}

#[test]
fn several_logs_are_told_apart_and_one_that_fails_costs_no_other() {
    let scratch = Scratch::new();
    let (log, other, missing) = (scratch.log(b"one\n"), scratch.file("other.log"), scratch.file("no.log"));
    mmlogctl("append", &other).input(b"two two\n").run().is_success();
    let ended = stats(&log, &["--json", "--read"]).arg(&missing).arg(&other).run();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("no.log: "), "{ended:?}");
    let bytes: Vec<u64> = ended
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["read"]["bytes"].as_u64().unwrap())
        .collect();
    assert_eq!(bytes, [4, 8]);
    let shown = stats(&log, &[]).arg(&other).run().text();
    let heads: Vec<&str> = shown.lines().filter(|line| line.ends_with(".log")).collect();
    assert_eq!(heads, [log.to_str().unwrap(), other.to_str().unwrap()], "{shown}");
    assert_eq!(objects(&stats(&log, &["--json"]).arg(&other).run()).len(), 2);
}

#[test]
fn an_empty_log_has_nothing_to_tell_and_that_is_no_failure() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    mmlogctl("init", &log).run().is_success();
    for args in [&[][..], &["--read"], &["--by", "1h"]] {
        assert!(text(&log, args).contains("kept         nothing: nothing was appended yet"), "{args:?}");
    }
    let object = object(&log, &["--read"]);
    assert_eq!((&object["bytes"], &object["read"]["lines"]), (&0.into(), &0.into()));
    assert_eq!(
        (&object["intervals"], &object["read"]["shapes"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
}

#[test]
fn nothing_is_wider_than_a_narrow_terminal_nor_has_more_than_its_characters() {
    let scratch = Scratch::new();
    let line = format!("2026-11-29T08:00:00Z INFO {} naïve ☃ 17\n", "word ".repeat(50));
    scratch.log(line.repeat(100).as_bytes());
    for (columns, locale) in [(40, "C"), (40, "C.UTF-8"), (61, "C"), (200, "C.UTF-8")] {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(Some(&size), None).unwrap();
        // Names are never broken: this one is as long as it is.
        let tool = mmlogctl("stats", std::path::Path::new("app.log")).arg("--read").with(|c| {
            c.env("TZ", "UTC").env("LC_ALL", locale).env("TERM", "xterm").current_dir(scratch.path())
        });
        let running = tool.stdout(terminal.slave).start_unread();
        let (mut screen, mut shown) = (File::from(terminal.master), Vec::new());
        let _ = screen.read_to_end(&mut shown);
        running.end().is_success();
        let shown = String::from_utf8_lossy(&shown).replace("\r\n", "\n");
        assert!(shown.contains("shape of lines:"), "{shown}");
        assert_eq!(shown.is_ascii(), locale == "C", "{shown}");
        for line in shown.lines() {
            assert!(line.chars().count() <= usize::from(columns), "{columns} {locale}: {line}\n{shown}");
        }
    }
}

#[test]
fn neither_file_of_a_log_is_changed_by_looking_at_it() {
    let scratch = Scratch::new();
    let log = scratch.log(b"one\n");
    let before = (std::fs::read(&log).unwrap(), std::fs::read(metadata_of(&log)).unwrap());
    stats(&log, &[]).run().is_success();
    assert!(before == (std::fs::read(&log).unwrap(), std::fs::read(metadata_of(&log)).unwrap()));
}
