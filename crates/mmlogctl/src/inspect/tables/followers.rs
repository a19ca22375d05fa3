//! Who reads: consumers that announced themselves.

use std::time::SystemTime;

use mmlog::HoldStatus;

use super::Column;
use crate::inspect::model::{Model, Pane};
use crate::text::{bytes, rounded};

/// A follower, and where the log is.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name, or what it was called by.
    name: String,
    /// What it is.
    kind: &'static str,
    position: u64,
    lag: u64,
    /// Bytes in a second by which it comes on.
    rate: Option<f64>,
    pid: u32,
    process: String,
    seen: Option<SystemTime>,
    now: SystemTime,
}

/// Its columns, the name as wide as the others leave it.
#[must_use]
pub fn columns(width: u16) -> [Column<Row>; 8] {
    [
        Column::words("follower", width.saturating_sub(32).clamp(10, 40), |r| r.name.clone()),
        Column::figures("lag", 6, |r| bytes(r.lag)),
        Column::figures("bytes/s", 7, |r| r.rate.map_or_else(String::new, |rate| bytes(rounded(rate)))),
        Column::words("seen", 14, |r| super::ago(r.seen, r.now)),
        Column::figures("pid", 7, |r| r.pid.to_string()),
        Column::words("process", 10, |r| r.process.clone()),
        Column::figures("position", 20, |r| r.position.to_string()),
        Column::words("kind", 8, |r| r.kind.to_owned()),
    ]
}

/// The one farthest back first.
#[must_use]
pub fn rows(model: &Model) -> Vec<Row> {
    let Some(status) = model.log().status() else { return Vec::new() };
    let hold = |hold: &HoldStatus| Row {
        name: hold.name.clone(),
        kind: "hold",
        position: hold.position,
        lag: status.cursor.saturating_sub(hold.position),
        rate: model.log().pace(&hold.name),
        pid: hold.pid,
        process: hold.process.to_string(),
        seen: hold.last_seen,
        now: model.now,
    };
    let mut rows: Vec<Row> = status.holds.iter().map(hold).collect();
    rows.sort_by_key(|row| row.position);
    super::filter(&mut rows, &columns(u16::MAX), model.filter_of(Pane::Followers));
    rows
}
