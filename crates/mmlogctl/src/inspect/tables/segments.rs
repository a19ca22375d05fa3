//! Data files.

use std::time::SystemTime;

use mmlog::SegmentStatus;

use super::Column;
use crate::exit::shown;
use crate::inspect::model::{Model, Pane};
use crate::text::bytes;

/// A data file, and what time it is.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    segment: &'a SegmentStatus,
    now: SystemTime,
}

/// Its columns.
#[must_use]
pub fn columns<'a>() -> [Column<Row<'a>>; 7] {
    [
        Column::figures("generation", 10, |r| r.segment.generation.to_string()),
        Column::figures("bytes", 6, |r| bytes(r.segment.end.saturating_sub(r.segment.base))),
        Column::figures("on disk", 7, |r| bytes(r.segment.allocated)),
        Column::words("form", 6, |r| {
            r.segment.compression.map_or_else(|| "plain".to_owned(), |c| c.suffix()[1..].to_owned())
        }),
        Column::words("began", 14, |r| super::ago(r.segment.began, r.now)),
        Column::names("file", 30, |r| {
            r.segment.path.file_name().map_or_else(String::new, |name| shown(name.as_ref()))
        }),
        Column::figures("base", 20, |r| r.segment.base.to_string()),
    ]
}

/// The current one first.
#[must_use]
pub fn rows(model: &Model) -> Vec<Row<'_>> {
    let Some(status) = model.log().status() else { return Vec::new() };
    let mut rows: Vec<Row> =
        status.segments.iter().rev().map(|segment| Row { segment, now: model.now }).collect();
    super::filter(&mut rows, &columns(), model.filter_of(Pane::Segments));
    rows
}
