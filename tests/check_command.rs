//! Guards `mmlogctl check`: monitoring gets one line and the exit code that fits, `--deep` names every invariant that
//! does not hold, and none that does, however busy the log is; Prometheus gets a file that a strict parser reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod cli;
mod common;
#[path = "check_command/deep.rs"]
mod deep;
#[path = "check_command/json.rs"]
mod json;
#[path = "check_command/live.rs"]
mod live;
#[path = "check_command/plugin.rs"]
mod plugin;
#[path = "check_command/prometheus.rs"]
mod prometheus;
#[path = "check_command/read_only.rs"]
mod read_only;
#[path = "check_command/thresholds.rs"]
mod thresholds;

use std::path::Path;

use cli::{Ended, mmlogctl};

/// What the logs here hold.
const CONTENT: &[u8] = b"one\ntwo\nthree\n";

#[test]
fn role() {
    common::play(&[("victim", live::victim), ("trimmer", live::trimmer)]);
}

fn check(log: &Path, options: &[&str]) -> Ended {
    mmlogctl("check", log).args(options).run()
}
