//! The peers: their names, whether they can be measured here, and of which version they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pipes::Behind;
use crate::spdlog::Mode;
use crate::{pipes, spdlog};

/// In the order of the table: in the file when the call returns, buffered, through a queue, through a pipe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Peer {
    /// `log` and fern's file.
    Fern,
    /// tracing-subscriber into tracing-appender's file.
    Rolling,
    /// The same through its queue and thread.
    NonBlocking,
    /// spdlog's file.
    Spdlog(Mode),
    /// A program that reads a pipe.
    Pipe(Behind),
}

/// The versions that this was built with. A link to the workspace's, since a package has a file of its own there.
const LOCK: &str = include_str!("../Cargo.lock");

impl Peer {
    pub(crate) const ALL: [Self; 11] = [
        Self::Fern,
        Self::Rolling,
        Self::Spdlog(Mode::Flush),
        Self::Spdlog(Mode::Plain),
        Self::Spdlog(Mode::Async),
        Self::NonBlocking,
        Self::Pipe(Behind::S6Log),
        Self::Pipe(Behind::Svlogd),
        Self::Pipe(Behind::Multilog),
        Self::Pipe(Behind::SystemdCat),
        Self::Pipe(Behind::Logger),
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fern => "fern",
            Self::Rolling => "tracing-rolling",
            Self::NonBlocking => "tracing-nonblock",
            Self::Spdlog(mode) => mode.name(),
            Self::Pipe(behind) => behind.name(),
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.name() == name)
    }

    /// Version and way, or why it cannot be measured here. What it needs is made in `work`.
    pub(crate) fn here(self, work: &Path, is_named: bool) -> Result<String, String> {
        let tracing = || format!("{}, {}", crate_of("tracing-appender"), crate_of("tracing-subscriber"));
        match self {
            Self::Fern => {
                Ok(format!("{}, {}: log_file, flushed after each line", crate_of("fern"), crate_of("log")))
            }
            Self::Rolling => Ok(format!("{}: RollingFileAppender, blocking", tracing())),
            Self::NonBlocking => Ok(format!("{}: NonBlocking, lossy(false): a full queue blocks", tracing())),
            Self::Spdlog(mode) => spdlog::here(mode, work),
            Self::Pipe(behind) => pipes::here(behind, is_named),
        }
    }
}

/// `fern 0.7.1`.
fn crate_of(name: &str) -> String {
    let head = format!("name = \"{name}\"\nversion = \"");
    let version = LOCK.split_once(&head).and_then(|(_, rest)| rest.split('"').next());
    format!("{name} {}", version.unwrap_or("of some version"))
}

/// Where a program is.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The version of a package, where one of two package managers knows it.
pub(crate) fn package(name: &str) -> String {
    let asked = [["dpkg-query", "-W", "-f", "${Version}"], ["rpm", "-q", "--qf", "%{VERSION}-%{RELEASE}"]];
    let told = asked.iter().find_map(|words| {
        let output = Command::new(words[0]).args(&words[1..]).arg(name).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && !text.is_empty()).then_some(text)
    });
    format!("{name} {}", told.as_deref().unwrap_or("of some version"))
}
