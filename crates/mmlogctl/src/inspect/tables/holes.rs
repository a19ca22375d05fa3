//! Ranges without content, and why.

use std::time::SystemTime;

use mmlog::Hole;

use super::Column;
use crate::inspect::model::{Model, Pane};
use crate::text::bytes;

/// A hole, and what time it is.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    hole: &'a Hole,
    now: SystemTime,
}

/// Its columns.
#[must_use]
pub fn columns<'a>() -> [Column<Row<'a>>; 6] {
    [
        Column::figures("start", 20, |r| r.hole.start.to_string()),
        Column::figures("len", 6, |r| bytes(r.hole.len)),
        Column::words("cause", 10, |r| r.hole.kind.to_string()),
        Column::words("when", 14, |r| super::ago(r.hole.at, r.now)),
        Column::figures("pid", 7, |r| {
            if r.hole.pid == 0 { "unknown".to_owned() } else { r.hole.pid.to_string() }
        }),
        Column::words("command", 15, |r| r.hole.command.clone()),
    ]
}

/// The latest are asked for.
#[must_use]
pub fn rows(model: &Model) -> Vec<Row<'_>> {
    let Some(status) = model.log().status() else { return Vec::new() };
    let mut rows: Vec<Row> = status.holes.iter().rev().map(|hole| Row { hole, now: model.now }).collect();
    super::filter(&mut rows, &columns(), model.filter_of(Pane::Holes));
    rows
}
