//! What stands in the documents and is not run as it stands: why, and what is checked instead. This is the only list.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use mmlogctl::cli;

use super::blocks::root;
use super::stage::Stage;

/// What is checked instead.
pub(crate) enum Check {
    /// Each `mmlogctl ...` in it is a command line that the tool takes.
    Parses,
    /// Another file runs it, or what it names: that file has this in it.
    In(&'static str, &'static str),
    /// A line of cron: the command runs without cron.
    Cron,
    /// A unit of systemd, or one line of a service: `systemd-analyze verify` takes it, and the tool its command line.
    Unit,
    /// A configuration of another program: its lines have the form of its language.
    Form,
    /// A picture: no command is in it.
    Picture,
}

pub(crate) struct Listed {
    pub(crate) document: &'static str,
    /// A part of the command.
    pub(crate) holds: &'static str,
    pub(crate) why: &'static str,
    pub(crate) check: Check,
}

const fn listed(document: &'static str, holds: &'static str, why: &'static str, check: Check) -> Listed {
    Listed { document, holds, why, check }
}

/// Programs that are not here and read lines: what stands for each of them takes all that it is given.
pub(crate) const STAND_INS: [(&str, &str); 3] = [
    ("fluent-bit", "a shipper, in no distribution's packages"),
    ("filebeat", "a shipper, in no distribution's packages"),
    ("promtail", "a shipper, in no distribution's packages, and its server"),
];

const BUILDS: &str = "it builds the workspace";
const INSTALLS: &str = "it builds the tool and installs it for the user";
const PACKAGES: &str = "it installs packages on the host";
const SERVER: &str = "systemd has to run";
const MINUTES: &str = "it takes minutes";
const S3: &str = "it needs a store that speaks S3; crates/mmlog-ship/tests/s3.rs has two";
const REDIS: &str = "it needs a server of Redis; crates/mmlog-ship/tests/redis.rs has one";
const HTTP: &str =
    "needs a server that takes logs, and a build with that feature: crates/mmlog-ship/tests/http.rs";
const NATS: &str = "it needs servers of NATS; crates/mmlog-ship/tests/nats.rs has them";
const KAFKA: &str = "it needs a cluster of Kafka; crates/mmlog-ship/tests/kafka.rs has one";
const CRON: &str = "cron has to run";

pub(crate) const LISTED: &[Listed] = &[
    listed("doc/ship.md", "app.log --to 'nats://n1", NATS, Check::Parses),
    listed(
        "doc/central-logging.md",
        "contrib/central-logging",
        "it needs root, and servers",
        Check::In(".ci/run", "contrib/central-logging"),
    ),
    listed("doc/central-logging.md", "mmlogctl ship  ->", "what runs where", Check::Picture),
    listed(
        "doc/central-logging.md",
        "store_dir:",
        "the server's own file",
        Check::In("contrib/central-logging", "nats-server"),
    ),
    listed("doc/central-logging.md", "[[ship]]", NATS, Check::In("contrib/central-logging", "[[ship]]")),
    listed("doc/central-logging.md", "user shipper", NATS, Check::In("doc/ship.md", "`user NAME`")),
    listed(
        "doc/central-logging.md",
        "/etc/mmlog/ship.toml",
        NATS,
        Check::In("contrib/central-logging", "ship --config ship.toml"),
    ),
    listed(
        "doc/central-logging.md",
        "systemctl",
        SERVER,
        Check::In("contrib/debian/check", "mmlogctl-receive@"),
    ),
    listed("doc/central-logging.md", "receive tls://", NATS, Check::Parses),
    listed("doc/ship.md", "ship:nats at 1200000", "a page of status", Check::Picture),
    listed("doc/ship.md", "receive nats://", NATS, Check::Parses),
    listed("doc/ship.md", "s3://", S3, Check::Parses),
    listed("doc/ship.md", "redis://", REDIS, Check::Parses),
    listed("doc/ship.md", "kafka://", KAFKA, Check::Parses),
    listed("doc/ship.md", "kafkas://", KAFKA, Check::Parses),
    listed("doc/ship.md", "otlp+http", HTTP, Check::Parses),
    listed("doc/ship.md", "?format=", HTTP, Check::Parses),
    listed("doc/ship.md", "rediss://", REDIS, Check::Parses),
    listed("doc/ship.md", "tls://n1", NATS, Check::Parses),
    listed(
        "README.md",
        "cargo run --release",
        BUILDS,
        Check::In(".ci/run", "cargo run --release -- append demo.log"),
    ),
    listed("README.md", "cargo test", "it runs this test", Check::In(".ci/run", "cargo test --workspace")),
    listed(
        "README.md",
        "cargo install",
        INSTALLS,
        Check::In(".ci/run", "cargo install --locked --path crates/mmlogctl"),
    ),
    listed("README.md", "contrib/debian/build", BUILDS, Check::In(".ci/run", "contrib/debian/build")),
    listed("README.md", "apt install", PACKAGES, Check::In("contrib/debian/check", "apt-get install")),
    listed(
        "doc/ship.md",
        "[[ship]]",
        "it is of logs and servers that are not here",
        Check::In("crates/mmlog-ship/tests/many.rs", "[[ship]]"),
    ),
    listed("doc/ship.md", "unit COORDINATE", "what lies in a file", Check::Picture),
    listed("README.md", "writer   writer", "how it works", Check::Picture),
    listed("doc/install.md", "contrib/debian/build", BUILDS, Check::In(".ci/run", "contrib/debian/build")),
    listed("doc/install.md", "apt install", PACKAGES, Check::In("contrib/debian/check", "apt-get install")),
    listed("doc/install.md", "cargo rustc", BUILDS, Check::In(".ci/run", "-- -C target-feature=+crt-static")),
    listed(
        "doc/install.md",
        "cargo install",
        INSTALLS,
        Check::In("README.md", "cargo install --locked --path"),
    ),
    listed(
        "doc/install.md",
        "cargo uninstall",
        INSTALLS,
        Check::In("crates/mmlogctl/Cargo.toml", "name = \"mmlogctl\""),
    ),
    listed(
        "doc/install.md",
        "cargo build",
        BUILDS,
        Check::In(".ci/run", "cargo install --locked --path crates/mmlogctl"),
    ),
    listed("doc/drill.md", "drill --all", MINUTES, Check::In("tests/drill_command.rs", "\"--all\"")),
    listed(
        "doc/c.md",
        "install.sh ~/.local",
        "a build of minutes",
        Check::In("crates/mmlog-capi/tests/install.rs", "here(\"install.sh\")"),
    ),
    listed("doc/library.md", "[dependencies]", "cargo's own file", Check::Form),
    listed("doc/measured.md", "mmlogctl bench", MINUTES, Check::Parses),
    listed("doc/migration.md", "systemctl", SERVER, Check::In("contrib/verify", "systemd-analyze verify")),
    listed("doc/monitoring.md", "* * * * *", CRON, Check::Cron),
    listed("doc/prefork.md", "www-data", "it needs that user, and makes files of his", Check::Parses),
    listed(
        "doc/python.md",
        "build.py dist",
        "a build of minutes",
        Check::In("crates/mmlog-python/test.sh", "build.py \"$work/dist\""),
    ),
    listed(
        "doc/python.md",
        "pip install",
        "it installs for the user",
        Check::In("crates/mmlog-python/test.sh", "pip install --quiet --no-index"),
    ),
    listed(
        "doc/python.md",
        "rotation.py",
        "nobody knows what the other handler loses",
        Check::In("crates/mmlog-python/tests/test_examples.py", "rotation.py"),
    ),
    listed("doc/rotation.md", "systemctl", SERVER, Check::In("contrib/verify", "systemd-analyze verify")),
    listed("doc/rotation.md", "*/5 * * * *", CRON, Check::Cron),
    listed(
        "doc/servers.md",
        "CustomLog",
        "Apache reads it",
        Check::In("tests/servers/apache.rs", "\"CustomLog\""),
    ),
    listed(
        "doc/servers.md",
        "/dev/stdout",
        "nginx reads it",
        Check::In("tests/servers/nginx.rs", "/dev/stdout"),
    ),
    listed(
        "doc/servers.md",
        "access_log /run",
        "nginx reads it",
        Check::In("tests/servers/nginx.rs", "\".fifo\""),
    ),
    listed("doc/servers.md", "/usr/sbin/nginx", SERVER, Check::Unit),
    listed("doc/servers.md", "[Socket]", SERVER, Check::In("tests/servers.rs", "\"ListenFIFO=\"")),
    listed(
        "doc/servers.md",
        "StandardInput=",
        SERVER,
        Check::In("tests/servers.rs", "\"StandardInput=socket\""),
    ),
    listed("doc/servers.md", "/usr/bin/app", SERVER, Check::Unit),
    listed("doc/servers.md", "5 3 * * *", CRON, Check::Cron),
    listed("doc/servers.md", "ENTRYPOINT", "a builder of containers reads it", Check::Parses),
    listed(
        "doc/rust-logging.md",
        "tracing-subscriber log",
        "it asks the registry",
        Check::In("crates/mmlog-logging/Cargo.toml", "tracing-subscriber = "),
    ),
    listed("doc/shippers.md", "[sources.app]", "Vector is not to be had", Check::Parses),
    listed("doc/shippers.md", "- type: stdin", "Filebeat is not to be had", Check::Form),
    listed("doc/shippers.md", "- type: filestream", "Filebeat is not to be had", Check::Form),
    listed("doc/shippers.md", "[Unit]", SERVER, Check::Unit),
    listed("ARCHITECTURE.md", "append   chunks", "a message's way", Check::Picture),
    listed("PERFORMANCE.md", "mmlogctl bench", MINUTES, Check::Parses),
    listed("PERFORMANCE.md", "head -c 4G", "it writes 4 GiB", Check::Parses),
    listed(
        "PERFORMANCE.md",
        "tests/measure.sh",
        MINUTES,
        Check::In("tests/measure.sh", "#!/usr/bin/env bash"),
    ),
    listed("PERFORMANCE.md", "--test counts", BUILDS, Check::In(".ci/run", "--test counts")),
    listed("RELIABILITY.md", "-- ci", MINUTES, Check::In(".ci/run", "-p campaign -- ci")),
    listed("RELIABILITY.md", "-- soak", "it takes hours", Check::In("crates/campaign/src/main.rs", "Soak")),
    listed("RELIABILITY.md", "-- run T5", MINUTES, Check::In("crates/campaign/src/main.rs", "Run")),
    listed("man/mmlogctl-bench.1", "mmlogctl bench", MINUTES, Check::Parses),
    listed("man/mmlogctl-check.1", "* * * * *", CRON, Check::Cron),
    listed("man/mmlogctl-drill.1", "--all", MINUTES, Check::In("tests/drill_command.rs", "\"--all\"")),
    listed("man/mmlogctl-exec.1", "ExecStart=", SERVER, Check::Unit),
];

impl Listed {
    /// What is wrong with a command that is listed so.
    pub(crate) fn wrong(&self, command: &str) -> Option<String> {
        match self.check {
            Check::Parses => parses(command).err(),
            Check::In(file, text) => {
                let there = fs::read_to_string(root().join(file)).is_ok_and(|all| all.contains(text));
                (!there).then(|| format!("{file} has no {text:?}"))
            }
            Check::Cron => cron(command),
            Check::Unit => parses(command).err().or_else(|| unit(command)),
            Check::Form => {
                command.lines().find(|line| !is_formed(line)).map(|line| format!("{line:?} is no such line"))
            }
            Check::Picture => command.contains("$ ").then(|| "there is a command in it".to_owned()),
        }
    }
}

/// Five fields and a user, then the command.
fn cron(line: &str) -> Option<String> {
    let mut rest = line;
    for _ in 0..6 {
        rest = rest.trim_start().split_once(' ').map_or("", |(_, rest)| rest);
    }
    let stage = Stage::new().with_logs();
    let wrong = stage.perform_alone(rest.trim());
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}

fn unit(text: &str) -> Option<String> {
    if !crate::cli::succeeds(Command::new("systemd-analyze").arg("--version")) {
        crate::cli::skipped(text, "no systemd-analyze");
        return None;
    }
    let service = if text.contains("[Service]") {
        text.to_owned()
    } else {
        format!("[Service]\nKillMode=mixed\n{text}\n")
    };
    let stage = Stage::new();
    // Programs of the reader's own.
    let service = service.replace("/usr/bin/mmlogctl", env!("CARGO_BIN_EXE_mmlogctl"));
    let file = stage.file("app.service");
    fs::write(&file, service).unwrap();
    let ended = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    (!ended.status.success() || said.contains("app.service:")).then_some(said)
}

/// Each command line of the tool in a text: up to what ends a command in a shell, or the end of a list of words.
pub(crate) fn parses(text: &str) -> Result<(), String> {
    let mut count = 0;
    for (at, _) in text.match_indices("mmlogctl") {
        let line = text[at..].split(['|', '>', ';', '&', '\n']).next().unwrap_or_default();
        let line = line.split(" #").next().unwrap_or_default().replace("\", \"", " ").replace(['"', ']'], "");
        // Inside a quoted command of a shell.
        let line = if line.matches('\'').count() % 2 == 1 { line.replace('\'', "") } else { line };
        let words = line.split_whitespace().map(|word| OsString::from(word.trim_matches('\'')));
        cli::parse(words).map_err(|e| format!("{line}: {e}"))?;
        count += 1;
    }
    if count == 0 { Err("no command of the tool is in it".to_owned()) } else { Ok(()) }
}

/// A line of TOML or YAML, by its look.
fn is_formed(line: &str) -> bool {
    let text = line.trim();
    let is_key = |at: usize| {
        let key = text[..at].trim().trim_start_matches("- ");
        !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "._-".contains(c))
    };
    let is_table = text.starts_with('[') && text.ends_with(']');
    !line.contains('\t') && (text.is_empty() || is_table || text.find([':', '=']).is_some_and(is_key))
}
