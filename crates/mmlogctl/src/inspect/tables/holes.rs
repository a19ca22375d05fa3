//! Ranges without content, and why.

use mmlog::Hole;

use super::Column;
use crate::inspect::model::Model;
use crate::text::{bytes, clock};

/// Its columns.
#[must_use]
pub fn columns<'a>() -> [Column<&'a Hole>; 6] {
    [
        Column::figures("start", 20, |h| h.start.to_string()),
        Column::figures("len", 6, |h| bytes(h.len)),
        Column::words("cause", 10, |h| h.kind.to_string()),
        Column::figures("pid", 7, |h| if h.pid == 0 { "unknown".to_owned() } else { h.pid.to_string() }),
        Column::words("command", 13, |h| h.command.clone()),
        Column::words("when", 20, |h| clock(h.at)),
    ]
}

/// The latest are asked for.
#[must_use]
pub fn rows(model: &Model) -> Vec<&Hole> {
    let Some(status) = model.log().status() else { return Vec::new() };
    let mut rows: Vec<&Hole> = status.holes.iter().rev().collect();
    super::filter(&mut rows, &columns(), &model.shown.filter);
    rows
}
