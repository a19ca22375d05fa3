//! Guards what the workspace is made of, as cargo tells it offline: licences, versions, sources and native libraries of every crate,
//! and that the library asks for few; and what the crates show that may be published. What is not in a list here fails; a line that
//! says why lets it in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What whoever is given the tool or the library may have to keep to: to name who wrote it, at most.
const LICENCES: [&str; 10] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "CC0-1.0",
    "Unicode-3.0",
    "Unlicense",
];

/// Crates under other licences, which nothing that is handed on is linked with: only for development.
const ONLY_TESTS: [(&str, &str); 2] = [
    ("cbindgen", "MPL-2.0: a test has it read the sources, for the header that they ask for"),
    ("openmetrics-parser", "LGPL-3.0: a test has it read what `check --prom` prints"),
];

/// Crates that are here in two versions, until those who ask for the older one ask for the newer.
const TWICE: [(&str, &str); 5] = [
    ("signal-hook", "0.3 is crossterm's, under ratatui; the tool needs what 0.4 says of a signal's sender"),
    (
        "syn",
        "2 is that of strum, derive_more, palette, zerocopy and others; 3 of serde, clap and thiserror; built for macros alone",
    ),
    ("toml", "0.9 is cbindgen's, for a test; 1 of mmlog-ship"),
    (
        "toml_datetime",
        "0.7 is cbindgen's, for a test; 1 of mmlog-ship, and of what num_enum asks for its macro",
    ),
    ("winnow", "0.7 is cbindgen's, for a test; 1 of mmlog-ship, and of what num_enum asks for its macro"),
];

/// Libraries that are not Rust's. `zstd` compresses old segments: its sources come with the crate, and are built by it.
const NATIVE: [&str; 1] = ["zstd"];

/// All that a program with `mmlog` gets, macros and what they are made with included.
const LIBRARY: [&str; 14] = [
    "bitflags",
    "cfg-if",
    "libc",
    "linux-raw-sys",
    "memmap2",
    "mmlog",
    "nix",
    "proc-macro2",
    "quote",
    "rustix",
    "syn",
    "thiserror",
    "thiserror-impl",
    "unicode-ident",
];

fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(arguments).args(["--locked", "--offline"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All crates of the workspace's lock file that are built on this kind of host.
fn packages() -> Vec<Value> {
    let about = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let about = String::from_utf8(about.stdout).unwrap();
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let said = cargo(&["metadata", "--format-version=1", &format!("--filter-platform={host}")]);
    let Value::Array(packages) = serde_json::from_str::<Value>(&said).unwrap()["packages"].take() else {
        panic!("cargo metadata has no packages");
    };
    assert!(packages.len() > 100, "{}", packages.len());
    packages
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// Whether one may choose such that only `LICENCES` bind. OR binds less than AND; an older form has a slash for OR.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    // A choice in parentheses is one word of what is around it.
    if let Some((before, rest)) = expression.split_once('(') {
        let (inner, after) = rest.split_once(')').expect("a closing parenthesis");
        let word = if allowed(inner) { LICENCES[0] } else { "refused" };
        return allowed(&format!("{before}{word}{after}"));
    }
    expression.split(" OR ").any(|choice| choice.split(" AND ").all(|one| LICENCES.contains(&one.trim())))
}

#[test]
fn every_crate_has_a_licence_that_asks_for_no_more_than_a_notice() {
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0") && allowed("GPL-2.0 OR MIT") && allowed("MIT/X"));
    assert!(
        !allowed("GPL-2.0")
            && !allowed("MIT AND GPL-2.0")
            && !allowed("(MIT OR ISC) AND GPL-2.0")
            && !allowed("")
    );
    let refused: BTreeSet<String> = packages()
        .iter()
        .filter(|p| !allowed(text(p, "license")))
        .map(|p| text(p, "name").to_owned())
        .collect();
    assert_eq!(refused, ONLY_TESTS.map(|(name, _)| name.to_owned()).into());
}

#[test]
fn what_only_tests_may_use_is_linked_into_nothing_that_is_handed_on() {
    for shipped in ["mmlogctl", "mmlog-capi", "mmlog-logging"] {
        let linked = tree(shipped);
        assert!(linked.contains("mmlog"), "{shipped}: {linked:?}");
        for (name, why) in ONLY_TESTS {
            assert!(!linked.contains(name), "{shipped} is linked with {name}: {why}");
        }
    }
}

#[test]
fn no_crate_is_there_in_two_versions_for_which_no_reason_is_given() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        versions.entry(text(&package, "name").into()).or_default().insert(text(&package, "version").into());
    }
    versions.retain(|_, versions| versions.len() > 1);
    let twice: BTreeSet<String> = versions.keys().cloned().collect();
    assert_eq!(twice, TWICE.map(|(name, _)| name.to_owned()).into(), "{versions:?}");
}

#[test]
fn every_crate_is_of_the_workspace_or_of_crates_io() {
    for package in packages() {
        let source = package["source"].as_str();
        let known = source.is_none_or(|s| s == "registry+https://github.com/rust-lang/crates.io-index");
        assert!(known, "{} is from {source:?}", text(&package, "name"));
    }
}

#[test]
fn no_library_that_is_not_rust_s_is_linked_but_zstd() {
    let native: BTreeSet<String> =
        packages().iter().filter_map(|p| p["links"].as_str()).map(str::to_owned).collect();
    assert_eq!(native, NATIVE.map(str::to_owned).into());
}

/// The crates that are linked into a program with this one, and macros.
fn tree(of: &str) -> BTreeSet<String> {
    let said = cargo(&["tree", "--package", of, "--edges=normal", "--prefix=none", "--format={p}"]);
    said.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn every_crate_that_may_be_published_has_its_licences_and_what_crates_io_shows() {
    let may_be = |p: &&Value| p["source"].is_null() && p["publish"].is_null();
    let packages = packages();
    let published: Vec<&Value> = packages.iter().filter(may_be).collect();
    assert_eq!(published.len(), 6, "{:?}", published.iter().map(|p| text(p, "name")).collect::<Vec<_>>());
    for package in published {
        let name = text(package, "name");
        let directory = Path::new(text(package, "manifest_path")).parent().unwrap();
        for file in ["LICENSE-MIT", "LICENSE-APACHE", text(package, "readme")] {
            assert!(directory.join(file).is_file(), "{name}: no {file:?}");
        }
        assert_eq!(text(package, "documentation"), format!("https://docs.rs/{name}"));
        for list in ["keywords", "categories"] {
            assert!(package[list].as_array().is_some_and(|l| (1..=5).contains(&l.len())), "{name}: {list}");
        }
    }
}

#[test]
fn a_program_with_the_library_gets_few_crates() {
    assert_eq!(tree("mmlog"), LIBRARY.map(str::to_owned).into());
}
