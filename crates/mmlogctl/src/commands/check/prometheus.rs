//! Metrics in the text format of Prometheus, for the textfile collector of node_exporter: no times beside the samples,
//! which it refuses.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mmlog::{Finding, State, Status};

use super::Look;
use crate::exit::{Exit, Failure, shown};
use crate::metrics::{ALL, Kind};
use crate::replace::replace;

/// The collector runs as another user.
const MODE: u32 = 0o644;

/// Replaces the file.
///
/// # Errors
/// When it cannot be written; the old one is there still.
pub(super) fn write(path: &Path, metrics: &str) -> Result<(), Failure> {
    let special = fs::symlink_metadata(path).is_ok_and(|found| !found.is_file());
    if special {
        let problem = "not a regular file; name a file that may be replaced, or - for standard output";
        return Err(Failure::new(Exit::Failed, format!("{}: {problem}", shown(path))));
    }
    let readable = |file: &fs::File| file.set_permissions(Permissions::from_mode(MODE));
    replace(path, metrics.as_bytes(), readable).map_err(|e| {
        let next = match e.kind() {
            io::ErrorKind::NotFound => "make its directory, or name a file elsewhere",
            io::ErrorKind::PermissionDenied => "run it as a user who may write to its directory",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space on its file system",
            _ => "name a file elsewhere, or - for standard output",
        };
        let text = format!("{}: writing the metrics failed: {e}, nothing was replaced; {next}", shown(path));
        Failure::new(Exit::Failed, text)
    })
}

/// Every family once, with the samples of all logs.
pub(super) fn text(looks: &[(&Path, Look)]) -> String {
    let mut logs = HashSet::new();
    let named = looks.iter().map(|(path, look)| (path.to_string_lossy().into_owned(), look));
    // A log that was named twice has its samples once.
    let named: Vec<(String, &Look)> = named.filter(|(log, _)| logs.insert(log.clone())).collect();
    let seen: Vec<(&str, &Status)> =
        named.iter().filter_map(|(log, look)| Some((log.as_str(), look.as_ref().ok()?))).collect();
    let directories = named.iter().filter_map(|(log, _)| Some((log.clone(), directory(log.as_ref())?)));
    let mut page = Page { text: String::new(), directories: directories.collect() };
    let version = env!("CARGO_PKG_VERSION");
    page.gauge("mmlog_build_info", "1; the version is that of mmlogctl.", [(vec![("version", version)], 1)]);
    let up = named.iter().map(|(log, look)| (vec![("log", log.as_str())], u64::from(look.is_ok())));
    page.gauge("mmlog_up", "Whether the log could be looked at.", up);
    states(&mut page, &named);
    findings(&mut page, &named);
    for metric in ALL {
        let samples = seen.iter().filter_map(|(log, s)| Some((vec![("log", *log)], (metric.value)(s)?)));
        let samples = samples.map(|(labels, value)| (labels, metric.unit.number(value)));
        page.family(metric.family, metric.kind, metric.help, samples);
    }
    let holds = seen.iter().flat_map(|(log, s)| {
        let behind = |at| s.cursor.saturating_sub(at);
        s.holds.iter().map(move |h| (vec![("log", *log), ("hold", h.name.as_str())], behind(h.position)))
    });
    page.gauge("mmlog_hold_lag_bytes", "Bytes between a hold and the cursor.", holds);
    followers(&mut page, &seen);
    page.text
}

/// Where a path leads that was typed as seen from here: elsewhere the same is typed for other logs.
fn directory(log: &Path) -> Option<String> {
    let here = log.is_relative().then(std::env::current_dir)?.ok()?;
    let directory = log.parent().map_or_else(|| here.clone(), |parent| here.join(parent));
    // A parent that is empty would leave a slash at the end.
    Some(directory.components().as_path().to_string_lossy().into_owned())
}

/// Those of one name, or one command, in one process are one sample: the one farthest back.
fn followers(page: &mut Page, seen: &[(&str, &Status)]) {
    let mut lags: BTreeMap<(&str, &str, String), u64> = BTreeMap::new();
    for (log, status) in seen {
        for follower in &status.followers {
            let lag = lags.entry((log, follower.title(), follower.pid.to_string())).or_default();
            *lag = follower.lag.max(*lag);
        }
    }
    let samples = lags.iter().map(|((log, name, pid), lag)| {
        (vec![("log", *log), ("follower", *name), ("pid", pid.as_str())], *lag)
    });
    page.gauge(
        "mmlog_follower_lag_bytes",
        "Bytes between a follower without a hold and the cursor.",
        samples,
    );
}

/// Also of a log that cannot be looked at, where its state is known.
fn states(page: &mut Page, named: &[(String, &Look)]) {
    let known = named.iter().filter_map(|(log, look)| match look {
        Ok(status) => Some((log.as_str(), status.state)),
        Err(finding) => (finding.state != State::Ok).then_some((log.as_str(), finding.state)),
    });
    let words: Vec<_> = State::ALL.iter().map(|&state| (state, state.to_string())).collect();
    let samples = known.flat_map(|(log, is)| {
        let one = move |(state, word)| (vec![("log", log), ("state", word)], u64::from(is == state));
        words.iter().map(|(state, word)| (*state, word.as_str())).map(one)
    });
    page.gauge("mmlog_state", "1 for the state that the log is in, 0 for the others.", samples);
}

fn findings(page: &mut Page, named: &[(String, &Look)]) {
    let mut counts: BTreeMap<(&str, &str, String), u64> = BTreeMap::new();
    for (log, look) in named {
        let found = match look {
            Ok(status) => status.findings.as_slice(),
            Err(finding) => std::slice::from_ref(finding),
        };
        for Finding { id, severity, .. } in found {
            *counts.entry((log, id.name(), severity.to_string())).or_default() += 1;
        }
    }
    let samples = counts.iter().map(|((log, id, severity), count)| {
        (vec![("log", *log), ("id", *id), ("severity", severity.as_str())], *count)
    });
    page.gauge("mmlog_finding", "How often the diagnosis found that; absent where it did not.", samples);
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

#[derive(Debug)]
struct Page {
    text: String,
    /// Of each log whose path does not say it.
    directories: HashMap<String, String>,
}

impl Page {
    fn gauge<'a>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels<'a>, u64)>) {
        let samples = samples.into_iter().map(|(labels, value)| (labels, value.to_string()));
        self.family(name, Kind::Gauge, help, samples);
    }

    /// Nothing where there is no sample.
    fn family<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        samples: impl Iterator<Item = (Labels<'a>, String)>,
    ) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let mut head = Some(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, value) in samples {
            let log = labels.iter().find(|(label, _)| *label == "log").map(|(_, log)| *log);
            let directory =
                log.and_then(|log| self.directories.get(log)).map(|dir| ("directory", dir.as_str()));
            let labels = labels.iter().copied().chain(directory);
            let labels: Vec<String> =
                labels.map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            self.text.push_str(&head.take().unwrap_or_default());
            let _ = writeln!(self.text, "{name}{{{}}} {value}", labels.join(","));
        }
    }
}

/// As a label's value has to be written.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
