//! Data files.

use mmlog::SegmentStatus;

use super::Column;
use crate::exit::shown;
use crate::inspect::model::Model;
use crate::text::{bytes, clock};

/// Its columns.
#[must_use]
pub fn columns<'a>() -> [Column<&'a SegmentStatus>; 7] {
    [
        Column::figures("generation", 10, |s| s.generation.to_string()),
        Column::figures("base", 20, |s| s.base.to_string()),
        Column::figures("bytes", 6, |s| bytes(s.end.saturating_sub(s.base))),
        Column::figures("on disk", 7, |s| bytes(s.allocated)),
        Column::words("form", 6, |s| {
            s.compression.map_or_else(|| "plain".to_owned(), |c| c.suffix()[1..].to_owned())
        }),
        Column::words("file", 30, |s| {
            s.path.file_name().map_or_else(String::new, |name| shown(name.as_ref()))
        }),
        Column::words("began", 20, |s| clock(s.began)),
    ]
}

/// The current one first.
#[must_use]
pub fn rows(model: &Model) -> Vec<&SegmentStatus> {
    let Some(status) = model.log().status() else { return Vec::new() };
    let mut rows: Vec<&SegmentStatus> = status.segments.iter().rev().collect();
    super::filter(&mut rows, &columns(), &model.shown.filter);
    rows
}
