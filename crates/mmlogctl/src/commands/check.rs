//! `mmlogctl check LOG...`: one line and an exit code for monitoring, metrics for Prometheus; with `--deep`, the
//! invariants.

use std::path::{Path, PathBuf};

use clap::Args;
use mmlog::{Fault, Finding, Status};

use self::limits::{Limit, Limits};
use crate::arguments::{Access, OldSegments};
use crate::colours::{Coloured, Painter};
use crate::commands::status::look_twice;
use crate::exit::{Failure, Verdict};
use crate::output::Output;
use crate::unmade::explain;

mod deep;
mod json;
mod limits;
mod plugin;
mod prometheus;

/// Check logs for monitoring: one line each, figures, and an exit code that Nagios understands.
///
/// The line is `STATE - LOG: what is the case; what to do | figures`, with the diagnosis of status. A threshold that is
/// passed makes it a warning or critical, and is named with its numbers.
/// With --prom the figures are written for Prometheus too. With --deep the invariants are checked instead, every byte
/// included, also while others append, trim and die: what a dead process left half done is a fact, not a fault. It
/// only looks.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The data files of the logs.
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    #[arg(
        short,
        long,
        value_name = "METRIC=VALUE",
        value_delimiter = ',',
        value_parser = limits::parse,
        conflicts_with = "deep",
        help = limits::help("Warn"),
    )]
    warning: Vec<Limit>,
    /// The same for critical: -w free=1G,idle=10m -c free=64M.
    #[arg(
        short,
        long,
        value_name = "METRIC=VALUE",
        value_delimiter = ',',
        value_parser = limits::parse,
        conflicts_with = "deep",
    )]
    critical: Vec<Limit>,
    /// Write metrics of all LOGs to FILE, in the text format of Prometheus: for node_exporter's textfile collector, which
    /// wants a name that ends in .prom. FILE is replaced as a whole, with mode 0644. `-` writes them to standard output,
    /// in place of the lines. The label log is LOG as it is typed; where that is no absolute path, the label directory says where
    /// it is.
    #[arg(long, value_name = "FILE", conflicts_with = "deep")]
    prom: Option<PathBuf>,
    /// Check the invariants, and read all of the data.
    #[arg(long)]
    deep: bool,
    /// One JSON object for each log, one per line.
    ///
    /// Keys: verdict (OK, WARNING, CRITICAL, UNKNOWN) and its code; state, problem, next_step and findings as status --json has
    /// them; passed, the thresholds that are: metric, verdict, said, next_step; metrics, the figures in bytes, seconds and
    /// counts, null where one could not be seen. With --deep: holds, violations, facts, cursor, watermark, read, nuls, holes.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    coloured: Coloured,
    #[command(flatten)]
    old: OldSegments,
    #[command(flatten)]
    access: Access,
}

/// The metrics that thresholds can be set for.
#[must_use]
pub fn metrics() -> Vec<&'static str> {
    limits::names_of_all()
}

/// What there is to know of a log.
type Look = Result<Status, Finding>;

/// Checks; its exit codes are its own.
pub fn run(args: &CheckArgs, out: &mut Output) -> Verdict {
    let mut verdict = Verdict::Fine;
    let mut text = String::new();
    let checked = if args.deep { deep_looks(args, out) } else { plain_looks(args, out, &mut verdict) };
    let painter = args.coloured.painter(out);
    for (of_log, said) in checked {
        verdict = verdict.or_worse(of_log);
        text.push_str(&coloured(&said, of_log, painter));
    }
    match out.text(&text) {
        Ok(()) | Err(Failure::OutputClosed) => verdict,
        Err(failure) => {
            out.report(&failure);
            verdict.or_worse(Verdict::Unknown)
        }
    }
}

fn deep_looks(args: &CheckArgs, out: &mut Output) -> Vec<(Verdict, String)> {
    let checked = |log: &PathBuf| {
        let options = args.old.options(&args.access, log);
        deep::check(log, &options, args.json).unwrap_or_else(|e| match e.fault() {
            // Nothing is known of it, good or bad.
            Fault::Interrupted { .. } | Fault::Stopped { .. } => {
                out.report(&e.into());
                (Verdict::Unknown, String::new())
            }
            _ => plugin::unread(log, &explain(&e)),
        })
    };
    args.logs.iter().map(checked).collect()
}

fn plain_looks(args: &CheckArgs, out: &mut Output, verdict: &mut Verdict) -> Vec<(Verdict, String)> {
    let limits = Limits { warning: &args.warning, critical: &args.critical };
    let looked =
        look_twice(&args.logs, |log| args.old.options(&args.access, log), |_| Vec::new()).into_iter();
    let known = looked.map(|look| look.map(|status| limits.judge(status)).map_err(|e| explain(&e)));
    let looks: Vec<(&Path, Look)> = args.logs.iter().map(PathBuf::as_path).zip(known).collect();
    let line = if args.json { json::line } else { line };
    let lines: Vec<(Verdict, String)> = looks.iter().map(|(log, look)| line(log, look, &limits)).collect();
    let Some(file) = &args.prom else { return lines };
    let metrics = prometheus::text(&looks);
    if file.as_os_str() == "-" {
        let only_codes = lines.into_iter().map(|(code, _)| (code, String::new()));
        return std::iter::once((Verdict::Fine, metrics)).chain(only_codes).collect();
    }
    if let Err(failure) = prometheus::write(file, &metrics) {
        out.report(&failure);
        *verdict = Verdict::Unknown;
    }
    lines
}

/// The line with its first word in its colour; JSON has none.
fn coloured(line: &str, verdict: Verdict, painter: Painter) -> String {
    match line.split_once(" - ") {
        Some((state, rest)) if !line.starts_with('{') => {
            format!("{} - {rest}", painter.paint(verdict.into(), state))
        }
        _ => line.to_owned(),
    }
}

fn line(log: &Path, look: &Look, limits: &Limits<'_>) -> (Verdict, String) {
    match look {
        Ok(status) => plugin::line(status, limits),
        Err(finding) => plugin::unread(log, finding),
    }
}
