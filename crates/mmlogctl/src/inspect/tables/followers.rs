//! Consumers that announced themselves.

use std::time::SystemTime;

use mmlog::HoldStatus;

use super::Column;
use crate::inspect::model::Model;
use crate::text::{ago, bytes, clock};

/// A hold, and where the log is.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    hold: &'a HoldStatus,
    cursor: u64,
    now: SystemTime,
}

/// Its columns.
#[must_use]
pub fn columns<'a>() -> [Column<Row<'a>>; 7] {
    [
        Column::words("name", 20, |r| r.hold.name.clone()),
        Column::figures("position", 20, |r| r.hold.position.to_string()),
        Column::figures("lag", 6, |r| bytes(r.cursor.saturating_sub(r.hold.position))),
        Column::figures("pid", 7, |r| r.hold.pid.to_string()),
        Column::words("process", 10, |r| r.hold.process.to_string()),
        Column::figures("seen ago", 8, |r| ago(r.hold.last_seen, r.now)),
        Column::words("since", 20, |r| clock(r.hold.since)),
    ]
}

/// The one farthest back first.
#[must_use]
pub fn rows(model: &Model) -> Vec<Row<'_>> {
    let Some(status) = model.log().status() else { return Vec::new() };
    let row = |hold| Row { hold, cursor: status.cursor, now: model.now };
    let mut rows: Vec<Row> = status.holds.iter().map(row).collect();
    super::filter(&mut rows, &columns(), &model.shown.filter);
    rows
}
