//! Who reads: consumers with a hold, shippers among them, and followers that are seen.

use std::cmp::Reverse;
use std::time::SystemTime;

use super::Column;
use crate::inspect::model::reader::Reader;
use crate::inspect::model::{Model, Pane};
use crate::text::{bytes, rounded};

/// A follower, and how it comes on.
#[derive(Clone, Debug)]
pub struct Row {
    reader: Reader,
    /// Bytes in a second.
    rate: Option<f64>,
    now: SystemTime,
}

/// Its columns, the name as wide as the others leave it.
#[must_use]
pub fn columns(width: u16) -> [Column<Row>; 9] {
    [
        Column::words("follower", width.saturating_sub(32).clamp(10, 40), |r| r.reader.name.clone()),
        Column::figures("lag", 6, |r| bytes(r.reader.lag)),
        Column::figures("bytes/s", 7, |r| r.rate.map_or_else(String::new, |rate| bytes(rounded(rate)))),
        Column::words("seen", 14, |r| super::ago(r.reader.seen, r.now)),
        Column::figures("pid", 7, |r| r.reader.pid.to_string()),
        Column::words("process", 10, |r| r.reader.process.to_string()),
        Column::words("kind", 14, |r| r.reader.kind.to_owned()),
        Column::words("sink", 40, |r| r.reader.sink.clone()),
        Column::figures("position", 20, |r| r.reader.position.to_string()),
    ]
}

/// The one farthest back first.
#[must_use]
pub fn rows(model: &Model) -> Vec<Row> {
    let log = model.log();
    let Some(status) = log.status() else { return Vec::new() };
    let row = |reader: Reader| Row { rate: log.pace(&reader), reader, now: model.now };
    let mut rows: Vec<Row> = Reader::all(status).map(row).collect();
    rows.sort_by_key(|row| Reverse(row.reader.lag));
    super::filter(&mut rows, &columns(u16::MAX), model.filter_of(Pane::Followers));
    rows
}
