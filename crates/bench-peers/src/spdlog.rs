//! spdlog, by a program in C++ that is compiled here and now: of the version that this host has, and nothing is needed
//! where it has none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::Job;

const SOURCE: &str = include_str!("spdlog.cpp");

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Flushed after each line.
    Flush,
    /// As it comes: buffered by stdio.
    Plain,
    /// A queue and a thread.
    Async,
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Flush => "spdlog-flush",
            Self::Plain => "spdlog",
            Self::Async => "spdlog-async",
        }
    }

    const fn way(self) -> &'static str {
        match self {
            Self::Flush => "basic_file_sink_mt, flush_on(info)",
            Self::Plain => "basic_file_sink_mt, buffered",
            Self::Async => "basic_file_sink_mt behind its queue, a full one blocks",
        }
    }
}

fn program(work: &Path) -> PathBuf {
    work.join("spdlog")
}

/// Compiles it, once for all modes.
pub(crate) fn here(mode: Mode, work: &Path) -> Result<String, String> {
    let program = program(work);
    if !program.exists() {
        compile(work, &program)?;
    }
    let said = Command::new(&program).arg("version").output().map_err(|e| e.to_string())?;
    Ok(format!("spdlog {}: {}", String::from_utf8_lossy(&said.stdout).trim(), mode.way()))
}

fn compile(work: &Path, program: &Path) -> Result<(), String> {
    let source = work.join("spdlog.cpp");
    fs::write(&source, SOURCE).map_err(|e| e.to_string())?;
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    // How the package wants to be used; without a word of it, its headers alone may do.
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "spdlog"]).output();
    let flags = flags.ok().filter(|said| said.status.success()).map_or_else(String::new, said);
    let mut command = Command::new(&compiler);
    command.args(["-std=c++17", "-O2", "-DNDEBUG", "-pthread", "-o"]).arg(program).arg(source);
    let compiled = command.args(flags.split_whitespace()).output();
    let compiled = compiled.map_err(|e| {
        format!(
            "no C++ compiler ({}: {e}); Debian has it in g++, CXX names another one",
            compiler.to_string_lossy()
        )
    })?;
    if compiled.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&compiled.stderr).into_owned();
    let first =
        text.lines().find(|line| line.contains("error")).unwrap_or("the C++ compiler failed").to_owned();
    Err(format!("it does not compile here; Debian has it in libspdlog-dev: {first}"))
}

fn said(output: Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A writer, but for its number and its core.
pub(crate) fn writer(mode: Mode, job: &Job) -> Command {
    let mut command = Command::new(program(&job.work));
    command.arg(mode.name()).arg(job.data()).arg(job.purpose.name());
    command.args([job.size.to_string(), job.messages.to_string()]);
    command
}
