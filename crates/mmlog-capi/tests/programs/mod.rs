//! C and C++ programs, compiled as strictly as their compilers know, and linked with the library of this very build.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Below this crate.
pub(crate) fn here(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// Whether a program is there; says so if not.
pub(crate) fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: no {program}");
    }
    there
}

/// What cargo builds for this very test, beside it.
pub(crate) fn built(library: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(library)
}

/// What a command printed; panics with what it said when it failed.
pub(crate) fn output(command: &mut Command) -> Output {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    done
}

/// Names of the functions that the headers declare.
pub(crate) fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for header in ["libmmlog.h", "mmlog.h"] {
        let text = fs::read_to_string(here("include").join(header)).unwrap();
        // A declaration begins its line; a comment, a field or a typedef does not look like that.
        let heads = text.lines().filter(|line| line.ends_with(");") && !line.starts_with([' ', '/', '#']));
        let names = heads.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next());
        found.extend(names.map(String::from));
    }
    found
}

/// C programs see what Linux has, as C++ ones do anyway.
pub(crate) const STRICT: [&str; 8] =
    ["-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread", "-U_GNU_SOURCE", "-D_GNU_SOURCE"];

/// A program, and the directory that keeps it.
pub(crate) struct Program {
    dir: tempfile::TempDir,
}

impl Program {
    /// `None` without that compiler.
    pub(crate) fn build(compiler: &str, arguments: &[&str], source: &str) -> Option<Self> {
        if !is_there(compiler) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["libmmlog.so", "libmmlog.so.0"] {
            symlink(built("libmmlog_capi.so"), dir.path().join(name)).unwrap();
        }
        let mut build = Command::new(compiler);
        build.args(STRICT).args(arguments).arg("-I").arg(here("include"));
        // As it stands also where the compiler goes by the name of a file.
        build.args(if compiler == "g++" { &["-x", "c++"][..] } else { &[] }).arg(here(source));
        build.args(["-x", "none"]).arg("-o").arg(dir.path().join("program"));
        build.arg("-L").arg(dir.path()).arg("-lmmlog").arg(format!("-Wl,-rpath,{}", dir.path().display()));
        output(&mut build);
        Some(Self { dir })
    }

    /// Runs a part of it on a new log: what it leaves in the data file, and what it prints.
    pub(crate) fn run(&self, part: &str) -> (Vec<u8>, String) {
        self.run_under(&[], part)
    }

    /// The same, by another program that watches it.
    pub(crate) fn run_under(&self, watcher: &[&str], part: &str) -> (Vec<u8>, String) {
        let dir = tempfile::tempdir().unwrap();
        let (program, log) = (self.dir.path().join("program"), dir.path().join("app.log"));
        let mut words = watcher.iter().map(PathBuf::from).chain([program, part.into(), log.clone()]);
        let done = output(Command::new(words.next().unwrap()).args(words));
        (fs::read(log).unwrap(), String::from_utf8(done.stdout).unwrap())
    }
}
