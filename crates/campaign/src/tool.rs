//! `mmlogctl`, as the campaign runs it, and what it owes to whoever reads its output.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The binary beside this one; built if it is not there.
pub(crate) fn mmlogctl() -> Result<PathBuf> {
    let directory = std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
    let mmlogctl = directory.join("mmlogctl");
    if !mmlogctl.is_file() {
        let profile: &[&str] = if directory.ends_with("release") { &["--release"] } else { &[] };
        let target = directory.parent().map(PathBuf::from).unwrap_or_default();
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "-p", "mmlogctl"]).args(profile).env("CARGO_TARGET_DIR", target);
        if !build.status().context("no mmlogctl beside this program, and no cargo to build it")?.success() {
            bail!("no mmlogctl beside this program, and it does not build");
        }
    }
    Ok(mmlogctl)
}

/// What it says on standard error is lines for people: no panic, no `Debug` output, no control characters.
pub(crate) fn speaks_plainly(stderr: &str) -> std::result::Result<(), String> {
    let ugly = ["panicked at", "RUST_BACKTRACE", "Os {", "Error(", "Some(", "Io {", "memory allocation"];
    if let Some(ugly) = ugly.iter().find(|ugly| stderr.contains(**ugly)) {
        return Err(format!("{ugly:?} on standard error: {stderr:?}"));
    }
    let is_plain = |line: &&str| line.starts_with("mmlogctl: ") && !line.chars().any(char::is_control);
    match stderr.lines().find(|line| !is_plain(line)) {
        Some(line) => Err(format!("a line on standard error that is none of its own: {line:?}")),
        None => Ok(()),
    }
}
