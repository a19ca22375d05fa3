//! Guards `mmlogctl stats`: figures that are true, from what the log knows of times, from its slots, and from its lines.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

#[path = "stats_command/intervals.rs"]
mod intervals;
#[path = "stats_command/lines.rs"]
mod lines;
#[path = "stats_command/world.rs"]
mod world;

use std::path::Path;

use cli::{Ended, Tool, mmlogctl};
use serde_json::Value;

fn stats(log: &Path, args: &[&str]) -> Tool {
    mmlogctl("stats", log).args(args).with(|command| command.env("TZ", "UTC").env("LC_ALL", "C"))
}

/// The objects of a run that is a success.
fn objects(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.code, 0, "{ended:?}");
    let text = String::from_utf8(ended.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The one object of a log.
fn object(log: &Path, args: &[&str]) -> Value {
    let mut all = objects(&stats(log, args).arg("--json").run());
    assert_eq!((all.len(), &all[0]["schema"]), (1, &Value::from(1)));
    all.remove(0)
}

/// What people see, into a pipe.
fn text(log: &Path, args: &[&str]) -> String {
    let ended = stats(log, args).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    ended.text()
}
