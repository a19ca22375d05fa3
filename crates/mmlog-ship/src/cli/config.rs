//! The file of `--config`: which logs go where.
//!
//! What may stand in it are the options of `ship`, by their names, and each is read as the command line reads it: there is one way to
//! say what a shipper does, and one place that knows what is wrong with it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgAction, CommandFactory as _, Parser as _};
use glob::Pattern;
use toml::{Table, Value};

use super::ends::plain_word;
use super::{Cli, Command, ShipArgs};
use crate::trouble::{Trouble, shown};

/// What all logs together may have on their way, and a log alone.
const IN_FLIGHT: (u64, u64) = (64 << 20, 8 << 20);
/// The longest unit: of a log of thousands, and of one of a few.
const UNIT: (u64, u64) = (64 << 10, 512 << 10);
/// Decided by a person, for one run; or said on the command line, for all logs.
const NOT_HERE: [&str; 8] =
    ["accept-fork", "accept-gap", "check", "checkpoint", "config", "help", "sink-is-new", "until-now"];
/// What the metadata of a log ends with.
const METADATA: &str = ".mmlog";

/// One `[[ship]]`.
#[derive(Debug, PartialEq)]
struct Entry {
    patterns: Vec<String>,
    to: String,
    command: Vec<String>,
    /// Where checkpoints are, if not beside their logs.
    checkpoints: Option<PathBuf>,
    /// The other options, as they are typed.
    options: Vec<String>,
    says_in_flight: bool,
    says_unit: bool,
}

/// What is there of what it names.
#[derive(Default)]
pub(super) struct Logs {
    /// To be shipped.
    pub(super) all: Vec<Named>,
    /// Not shipped, since the file is wrong.
    pub(super) wrong: Vec<String>,
    /// Where nobody knows whether there are logs.
    pub(super) unseen: Vec<String>,
    /// What may be as it was meant.
    pub(super) notes: Vec<String>,
}

/// The file.
#[derive(Debug, PartialEq)]
pub(super) struct Config {
    file: PathBuf,
    entries: Vec<Entry>,
}

/// A log, and the entry that names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) log: PathBuf,
    entry: usize,
}

impl Config {
    /// Reads it, and finds what is wrong with it before anything is opened.
    pub(super) fn read(file: &Path) -> Result<Config, Trouble> {
        let wrong = |why: String| Trouble::Usage(format!("{}: {why}", shown(file)));
        let text = std::fs::read_to_string(file)
            .map_err(|e| Trouble::Failed(format!("{}: cannot read: {e}", shown(file))))?;
        let table: Table = text.parse().map_err(|e: toml::de::Error| wrong(of_toml(&e, &text)))?;
        if let Some(key) = table.keys().find(|key| *key != "ship") {
            return Err(wrong(format!("{key:?} is none of its keys; each log begins with [[ship]]")));
        }
        let Some(Value::Array(ships)) = table.get("ship") else {
            return Err(wrong("it has no [[ship]]".to_owned()));
        };
        let mut config = Config { file: file.to_owned(), entries: Vec::new() };
        for (nth, ship) in (1..).zip(ships) {
            let of_it = |why: String| wrong(format!("[[ship]] {nth}: {why}"));
            let Value::Table(ship) = ship else { return Err(of_it("not a table".to_owned())) };
            config.entries.push(entry(ship, file).map_err(of_it)?);
            let sample = Named { log: PathBuf::from("/app.log"), entry: nth - 1 };
            config.args(&sample, 1).map_err(|trouble| of_it(trouble.to_string()))?;
        }
        Ok(config)
    }

    /// The logs that are there now, each once, by the first entry that names it; and what people have to know of others.
    pub(super) fn logs(&self) -> Logs {
        let mut logs = Logs::default();
        let mut found = BTreeMap::new();
        for (entry, said) in self.entries.iter().enumerate() {
            for pattern in &said.patterns {
                self.named(entry, pattern, &mut found, &mut logs);
            }
        }
        let mut taken: BTreeMap<String, PathBuf> = BTreeMap::new();
        for (log, entry) in found {
            let to = self.to(entry, &log);
            // Where each log is told from the others.
            let shared = ["s3:", "otlp+", "http:", "https:"];
            let is_shared = shared.iter().any(|scheme| to.starts_with(scheme)) || to == "exec";
            match taken.get(&to).filter(|_| !is_shared) {
                Some(other) => logs.wrong.push(format!(
                    "{}: not shipped: {} goes to {to} already, and two logs in one place are neither; have {{log}} in \"to\"",
                    shown(&log),
                    shown(other)
                )),
                None => {
                    taken.insert(to, log.clone());
                    logs.all.push(Named { log, entry });
                }
            }
        }
        logs
    }

    /// Those that a pattern of an entry names.
    fn named(&self, entry: usize, pattern: &str, found: &mut BTreeMap<PathBuf, usize>, logs: &mut Logs) {
        let mut is_any = false;
        for path in glob::glob(pattern).into_iter().flatten() {
            match path {
                Ok(log) if is_log(&log) => {
                    is_any = true;
                    let first = *found.entry(log.clone()).or_insert(entry);
                    if first != entry {
                        logs.notes.push(format!(
                            "{}: shipped as [[ship]] {} says, and [[ship]] {} names it, too: to two places it is shipped by two files",
                            shown(&log),
                            first + 1,
                            entry + 1
                        ));
                    }
                }
                Ok(_) => {}
                Err(e) if e.error().kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    is_any = true;
                    let (there, e) = (shown(e.path()), e.error());
                    logs.unseen.push(format!("{there}: cannot look for logs of {pattern:?}: {e}"));
                }
            }
        }
        if !is_any {
            logs.notes.push(format!("{}: no log is there that {pattern:?} names", shown(&self.file)));
        }
    }

    fn to(&self, entry: usize, log: &Path) -> String {
        let name = log.file_name().unwrap_or_default().to_string_lossy();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let log = plain_word(name.strip_suffix(".log").unwrap_or(&name));
        self.entries[entry].to.replace("{log}", &log).replace("{host}", &plain_word(&host))
    }

    /// How a log of it is shipped, one of so many.
    pub(super) fn args(&self, named: &Named, logs: usize) -> Result<Box<ShipArgs>, Trouble> {
        let entry = &self.entries[named.entry];
        let mut words: Vec<OsString> = ["mmlogctl", "ship", "--to"].map(OsString::from).into();
        words.push(self.to(named.entry, &named.log).into());
        words.extend(entry.options.iter().map(OsString::from));
        let (all, one) = IN_FLIGHT;
        let share = (all / logs.max(1) as u64).clamp(UNIT.0, one);
        if !entry.says_in_flight {
            words.push(format!("--in-flight={share}").into());
            // One unit fits always, so it is of the same budget; some of them keep a connection busy.
            if !entry.says_unit {
                words.push(format!("--unit={}", (share / 4).clamp(UNIT.0, UNIT.1)).into());
            }
        }
        words.push(named.log.clone().into());
        if !entry.command.is_empty() {
            words.push("--".into());
            words.extend(entry.command.iter().map(OsString::from));
        }
        let parsed = Cli::try_parse_from(words).map_err(|e| {
            let text = e.to_string();
            let first = text.lines().next().unwrap_or_default();
            Trouble::Usage(first.strip_prefix("error: ").unwrap_or(first).to_owned())
        })?;
        let Command::Ship(mut args) = parsed.command else {
            return Err(Trouble::Usage("no command to ship".to_owned()));
        };
        args.of_many = true;
        // Which says what is wrong with it, too.
        let (_, name) = super::ends::sink(&args, &Arc::default())?;
        if let Some(directory) = &entry.checkpoints {
            let name = args.name.clone().unwrap_or(name);
            args.checkpoint = Some(directory.join(format!("{}.mmlog-ship-{name}", of_path(&named.log))));
        }
        Ok(args)
    }
}

/// On one line, without what stands there.
fn of_toml(e: &toml::de::Error, text: &str) -> String {
    let before = e.span().map_or(0, |span| span.start).min(text.len());
    let line = text.bytes().take(before).filter(|byte| *byte == b'\n').count() + 1;
    format!("line {line}: {}", e.message().lines().collect::<Vec<_>>().join(", "))
}

/// A file that has metadata beside it: neither that, nor an old segment, nor anything else that a pattern fits.
fn is_log(path: &Path) -> bool {
    let mut metadata = path.as_os_str().to_owned();
    metadata.push(METADATA);
    Path::new(&metadata).symlink_metadata().is_ok_and(|found| found.is_file())
}

/// A path as a file's name: no two have the same.
fn of_path(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut name = String::new();
    for byte in path.as_os_str().as_bytes().iter().skip(1) {
        match byte {
            b'/' => name.push('-'),
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') => {
                name.push(char::from(*byte))
            }
            byte => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}

fn entry(ship: &Table, file: &Path) -> Result<Entry, String> {
    let mut entry = Entry {
        patterns: Vec::new(),
        to: String::new(),
        command: Vec::new(),
        // That of the service, where it has one.
        checkpoints: std::env::var_os("STATE_DIRECTORY").map(PathBuf::from),
        options: Vec::new(),
        says_in_flight: false,
        says_unit: false,
    };
    for (key, value) in ship {
        match key.as_str() {
            "logs" => entry.patterns = words(key, value)?,
            "to" => entry.to = word(key, value)?,
            "command" => entry.command = words(key, value)?,
            "checkpoint-dir" => entry.checkpoints = Some(PathBuf::from(word(key, value)?)),
            "credentials" | "tls-ca" => {
                let path = secret(&word(key, value)?, file);
                entry.options.push(format!("--{key}={}", path.display()));
            }
            _ => {
                entry.says_in_flight |= key == "in-flight";
                entry.says_unit |= key == "unit";
                entry.options.extend(option(key, value)?);
            }
        }
    }
    if entry.patterns.is_empty() || entry.to.is_empty() {
        return Err("\"logs\" and \"to\" are needed".to_owned());
    }
    for pattern in &entry.patterns {
        Pattern::new(pattern).map_err(|e| format!("logs: {pattern:?}: {e}"))?;
        if !pattern.starts_with('/') {
            return Err(format!("logs: {pattern:?}: a service is in no directory of yours; begin with /"));
        }
    }
    Ok(entry)
}

/// A file without a directory is one of the service's credentials, where it has some; else it is beside this file.
fn secret(name: &str, file: &Path) -> PathBuf {
    let given = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|_| !name.contains('/'));
    let directory = given.map_or_else(|| file.parent().unwrap_or(Path::new("")).to_owned(), PathBuf::from);
    directory.join(name)
}

/// An option of `ship` by its name.
fn option(key: &str, value: &Value) -> Result<Option<String>, String> {
    let command = Cli::command();
    let ship = command.find_subcommand("ship").ok_or("no command to ship")?;
    let known = || ship.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    let known = || known().filter(|(long, _)| !NOT_HERE.contains(long));
    let Some((_, arg)) = known().find(|(long, _)| *long == key) else {
        if NOT_HERE.contains(&key) {
            return Err(format!("{key:?} is for one run, on the command line"));
        }
        let mut all: Vec<&str> = known().map(|(long, _)| long).collect();
        all.extend(["logs", "command", "checkpoint-dir"]);
        all.sort_unstable();
        return Err(format!("{key:?} is none of its keys: {}", all.join(", ")));
    };
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(is_set)) => Ok(is_set.then(|| format!("--{key}"))),
        (ArgAction::SetTrue, _) => Err(format!("{key}: true or false")),
        (_, Value::String(text)) => Ok(Some(format!("--{key}={text}"))),
        (_, Value::Integer(number)) => Ok(Some(format!("--{key}={number}"))),
        _ => Err(format!("{key}: a text or a number")),
    }
}

fn word(key: &str, value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{key}: a text"))
}

fn words(key: &str, value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Array(all) => all.iter().map(|value| word(key, value)).collect(),
        _ => Err(format!("{key}: a text, or some in [ ]")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn however_many_logs_there_are_they_have_one_budget() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ship.toml");
        std::fs::write(&file, "[[ship]]\nlogs = \"/x/*.log\"\nto = \"file:/x/{log}\"\n").unwrap();
        let config = Config::read(&file).unwrap();
        let log = Named { log: "/x/app.log".into(), entry: 0 };
        for logs in [1, 7, 100, 500, 1000] {
            let args = config.args(&log, logs).unwrap();
            let most = args.in_flight.max(args.unit) * logs as u64;
            assert!(most <= IN_FLIGHT.0, "{logs} logs may have {most} bytes on their way");
        }
    }
}
