//! The rows for programs and for people.
//!
//! ```text
//! 128 B, 4 processes, 1 thread each: 5 runs
//! ENGINE           ns/message      min - max   x mmlog  calls/msg    p50     p99   p99.9      max   lost
//! mmlog                  71.2     70.1 - 80.3      1.00     0.0002    101     331     813    41210      0
//! ```
//!
//! Beside peers, of which much may be said, `lost` is three columns, and a fourth one is what a kill takes with it.

use serde_json::{Value, json};

use super::measure::{Group, Row, median};
use super::processors::Processors;
use super::verify::Verdict;

/// `{"schema":1,"processors":{...},"rows":[...]}`.
pub(super) fn json(processors: &Processors, rows: &[Value]) -> Value {
    json!({ "schema": 1, "processors": processors.json(), "rows": rows })
}

pub(super) fn object(row: &Row) -> Value {
    json!({
        "engine": row.name,
        "size_bytes": row.group.size,
        "processes": row.group.processes,
        "threads": row.group.threads,
        "ns_per_message": median(&row.ns).map(tenths),
        "ns_min": row.ns.iter().copied().min_by(f64::total_cmp).map(tenths),
        "ns_max": row.ns.iter().copied().max_by(f64::total_cmp).map(tenths),
        "runs": row.ns.len(),
        "lost_messages": row.verdict.map(|v| v.lost),
        "doubled_messages": row.verdict.map(|v| v.doubled),
        "torn_messages": row.verdict.map(|v| v.torn),
        "lost_at_kill": row.lost_at_kill,
        "syscalls_per_message": row.calls,
        "p50_ns": row.quantile(0.5),
        "p99_ns": row.quantile(0.99),
        "p999_ns": row.quantile(0.999),
        "max_ns": row.quantile(1.0),
        "version": row.peer.map(|peer| &peer.version),
    })
}

fn tenths(ns: f64) -> f64 {
    (ns * 10.0).round() / 10.0
}

/// One group's table.
pub(super) fn table(group: Group, rows: &[Row]) -> Vec<String> {
    let runs = rows.iter().map(|row| row.ns.len()).max().unwrap_or(0);
    let mut lines = vec![format!("{group}: {runs} run{}", if runs == 1 { "" } else { "s" })];
    lines.extend(table_of(rows));
    lines
}

/// The rows under their heads.
pub(super) fn table_of(rows: &[Row]) -> Vec<String> {
    let is_beside_peers = rows.iter().any(|row| row.lost_at_kill.is_some());
    let found = |row: &Row| if is_beside_peers { of_peers(row) } else { bad(row) };
    let heads = if is_beside_peers { of_peers_heads() } else { format!("{:>5}", "lost") };
    let mut lines = vec![format!(
        "{:<16} {:>11} {:>21} {:>8} {:>9} {:>8} {:>8} {:>8} {:>9} {heads}",
        "ENGINE", "ns/message", "min - max", "x mmlog", "calls/msg", "p50", "p99", "p99.9", "max"
    )];
    lines.extend(rows.iter().map(|row| format!("{} {}", line(row, log_of(row, rows)), found(row))));
    lines
}

/// Which peers there were, a line each.
pub(super) fn versions(rows: &[Row]) -> Vec<String> {
    let first = |n: &usize| rows[..*n].iter().all(|before| before.name != rows[*n].name);
    let version = |row: &Row| Some(format!("{:<16} {}", row.name, row.peer?.version));
    (0..rows.len()).filter(first).filter_map(|n| version(&rows[n])).collect()
}

fn of_peers_heads() -> String {
    format!("{:>7} {:>7} {:>7} {:>12}", "lost", "doubled", "torn", "lost by kill")
}

fn of_peers(row: &Row) -> String {
    let Verdict { lost, doubled, torn } = row.verdict.unwrap_or_default();
    let killed = row.lost_at_kill.map_or_else(|| "-".to_owned(), |lost| lost.to_string());
    format!("{lost:>7} {doubled:>7} {torn:>7} {killed:>12}")
}

fn bad(row: &Row) -> String {
    let all = row.verdict.map_or_else(|| "-".to_owned(), |v| (v.lost + v.doubled + v.torn).to_string());
    format!("{all:>5}")
}

/// The log's row under the same policy.
fn log_of<'a>(row: &Row, rows: &'a [Row]) -> Option<&'a Row> {
    let policy = row.name.split_once(':').map(|(_, policy)| policy);
    rows.iter().find(|other| match other.name.split_once(':') {
        Some((engine, of)) => engine == "mmlog" && Some(of) == policy,
        None => other.name == "mmlog" && policy.is_none(),
    })
}

fn line(row: &Row, log: Option<&Row>) -> String {
    let ns = |ns: Option<f64>| ns.map_or_else(|| "-".to_owned(), figure);
    let least = ns(row.ns.iter().copied().min_by(f64::total_cmp));
    let most = ns(row.ns.iter().copied().max_by(f64::total_cmp));
    let ratio = log.and_then(|log| row.ratio_to(log));
    let quantile = |q| row.quantile(q).map_or_else(|| "-".to_owned(), |ns| ns.to_string());
    format!(
        "{:<16} {:>11} {:>21} {:>8} {:>9} {:>8} {:>8} {:>8} {:>9}",
        row.name,
        ns(median(&row.ns)),
        format!("{least} - {most}"),
        ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
        row.calls.map_or_else(|| "-".to_owned(), |calls| format!("{calls:.4}")),
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        quantile(1.0)
    )
}

/// `71.2`, and `123456` without a fraction that nobody reads.
fn figure(ns: f64) -> String {
    if ns < 1000.0 { format!("{ns:.1}") } else { format!("{ns:.0}") }
}
