//! What a line becomes: a record with an id.

use crate::sinks::Cut;
use crate::unit::{Header, Kind, Why};

/// A unit that is to be sent.
pub(super) struct Unit {
    pub(super) header: Header,
    pub(super) cut: Cut,
    pub(super) payload: Vec<u8>,
}

/// A line, a part of one, or a range without content.
pub(super) struct Record<'a> {
    pub(super) log: u128,
    pub(super) from: u64,
    pub(super) to: u64,
    /// Without the end of the line.
    pub(super) body: &'a [u8],
    /// Where it begins or ends within a line.
    pub(super) cut: Cut,
    /// Whether its last byte ends a line.
    has_end: bool,
    pub(super) gap: Option<Why>,
}

impl Record<'_> {
    /// The same of the same bytes, and of no others: a line that begins there ends where it ends.
    pub(super) fn id(&self) -> String {
        let Record { log, from, to, .. } = self;
        match self.gap {
            Some(why) => format!("{log:032x}:{from}-{to}:{}", Kind::Gap(why).name()),
            None if self.has_end => format!("{log:032x}:{from}"),
            None => format!("{log:032x}:{from}-{to}"),
        }
    }

    /// What a range without content says.
    pub(super) fn said(&self) -> Option<String> {
        let why = match self.gap? {
            Why::Hole => "a writer ended in the middle",
            Why::Pruned => "they were pruned before they were shipped",
            Why::Lost => "somebody took them from the log's files",
        };
        Some(format!("mmlog: bytes {} to {} have no content: {why}", self.from, self.to))
    }
}

impl Unit {
    /// All of it, in order.
    pub(super) fn records(&self) -> Vec<Record<'_>> {
        let Header { log, from, to, kind, .. } = self.header;
        if let Kind::Gap(why) = kind {
            let cut = Cut::default();
            return vec![Record { log, from, to, body: &[], cut, has_end: false, gap: Some(why) }];
        }
        let mut at = from;
        let mut records: Vec<_> = self
            .payload
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| {
                let (body, has_end) = line.strip_suffix(b"\n").map_or((line, false), |body| (body, true));
                let (from, to) = (at, at + line.len() as u64);
                at = to;
                let cut = Cut { at_start: false, at_end: !has_end };
                Record { log, from, to, body, cut, has_end, gap: None }
            })
            .collect();
        if let Some(first) = records.first_mut() {
            first.cut.at_start = self.cut.at_start;
        }
        records
    }
}
