//! Guards what `install.sh` leaves: programs find it by pkg-config, and link the shared or the static library.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking")]

mod programs;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use programs::{STRICT, built, functions, here, is_there, output};

/// The installed prefix; `None` where a tool is missing.
fn prefix() -> Option<&'static Path> {
    static INSTALLED: OnceLock<Option<tempfile::TempDir>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        if !["gcc", "pkg-config", "objcopy"].into_iter().all(is_there) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        install(dir.path(), "");
        Some(dir)
    });
    installed.as_ref().map(tempfile::TempDir::path)
}

fn install(prefix: &Path, destdir: &str) {
    let beside = built("libmmlog_capi.so").parent().unwrap().to_path_buf();
    output(
        Command::new(here("install.sh")).arg(prefix).arg(destdir).env("BUILT", beside).env_remove("LIBDIR"),
    );
}

fn pkg_config(prefix: &Path, asked: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(asked).arg("mmlog").env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    let said = String::from_utf8(output(&mut command).stdout).unwrap();
    said.split_whitespace().map(String::from).collect()
}

/// Builds a program with what pkg-config says, and runs a part of it; what that leaves in the log.
fn left_by(prefix: &Path, source: &str, linked: &[String], part: &str) -> Vec<u8> {
    let is_shared = !linked.iter().any(|word| word.contains("static") || word.ends_with(".a"));
    let dir = tempfile::tempdir_in(prefix).unwrap();
    let (program, log) = (dir.path().join("program"), dir.path().join("app.log"));
    let mut gcc = Command::new("gcc");
    gcc.args(STRICT).args(["-std=c11"]).args(pkg_config(prefix, &["--cflags"]));
    output(gcc.arg(here(source)).arg("-o").arg(&program).args(linked));
    let mut run = Command::new(program);
    if is_shared {
        run.env("LD_LIBRARY_PATH", prefix.join("lib"));
    }
    output(run.arg(part).arg(&log));
    fs::read(log).unwrap()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().copied().map(String::from).collect()
}

#[test]
fn a_program_finds_the_shared_library_by_pkg_config() {
    let Some(prefix) = prefix() else { return };
    let linked = pkg_config(prefix, &["--libs"]);
    assert_eq!(left_by(prefix, "tests/c/calls.c", &linked, "parts"), b"hello world\nsafe\nend\n");
    assert_eq!(pkg_config(prefix, &["--modversion"]), [env!("CARGO_PKG_VERSION")]);
}

#[test]
fn a_program_links_the_static_library_and_starts_without_the_shared_one() {
    let Some(prefix) = prefix() else { return };
    let mut linked = words(&["-Wl,-Bstatic"]);
    linked.extend(pkg_config(prefix, &["--libs"]));
    linked.push("-Wl,-Bdynamic".to_owned());
    let mut all_static = words(&["-static"]);
    all_static.extend(pkg_config(prefix, &["--static", "--libs"]));
    for linked in [linked, all_static] {
        assert_eq!(left_by(prefix, "tests/c/calls.c", &linked, "cycle"), b"line\n".repeat(3));
    }
}

#[test]
fn the_static_library_exports_the_functions_of_the_headers_and_nothing_else() {
    let Some(prefix) = prefix() else { return };
    let mut nm = Command::new("nm");
    let listed = output(nm.args(["-g", "--defined-only"]).arg(prefix.join("lib/libmmlog.a")));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let exported: BTreeSet<String> =
        listed.lines().filter_map(|line| line.split_once(" T ")).map(|(_, name)| name.to_owned()).collect();
    let others = listed.lines().filter(|line| line.contains(' ') && !line.contains(" T ")).count();
    assert_eq!((exported, others), (functions(), 0));
}

#[test]
fn two_copies_of_the_static_library_get_along_in_one_program() {
    let Some(prefix) = prefix() else { return };
    let dir = tempfile::tempdir().unwrap();
    let second: PathBuf = dir.path().join("libsecond.a");
    let mut objcopy = Command::new("objcopy");
    for name in functions() {
        objcopy.arg(format!("--redefine-sym={name}=second_{name}"));
    }
    output(objcopy.arg(prefix.join("lib/libmmlog.a")).arg(&second));
    let archives = [prefix.join("lib/libmmlog.a"), second].map(|path| path.display().to_string());
    let linked: Vec<String> = archives.into_iter().chain(words(&["-lpthread", "-lm", "-ldl"])).collect();
    assert_eq!(left_by(prefix, "tests/c/twice.c", &linked, "twice"), b"one\nother\n");
}

#[test]
fn a_relative_prefix_is_refused_before_anything_is_built() {
    let refused = Command::new(here("install.sh")).arg("here").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("absolute"), "{said}");
}

#[test]
fn destdir_is_where_the_files_go_and_in_none_of_them() {
    if prefix().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    install(Path::new("/opt/mmlog"), dir.path().to_str().unwrap());
    let root = dir.path().join("opt/mmlog");
    for file in [
        "include/mmlog.h",
        "include/libmmlog.h",
        "include/mmlog.hpp",
        "lib/libmmlog.a",
        "lib/libmmlog.so",
        "lib/libmmlog.so.0",
        "share/man/man3/mmlog.3",
    ] {
        assert!(root.join(file).exists(), "{file}");
    }
    let said = fs::read_to_string(root.join("lib/pkgconfig/mmlog.pc")).unwrap();
    assert!(said.contains("prefix=/opt/mmlog\n") && !said.contains(dir.path().to_str().unwrap()), "{said}");
}
