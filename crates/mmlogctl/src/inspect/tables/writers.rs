//! Who appends.

use std::cmp::Ordering;

use mmlog::{InFlight, WriterStatus};

use super::Column;
use crate::inspect::history::Rates;
use crate::inspect::model::Model;
use crate::text::{bytes, count, lasting, rounded};

/// A writer, and what it does in a second.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    writer: &'a WriterStatus,
    rate: Option<Rates>,
}

impl Row<'_> {
    /// Whether it is worth a look: something of it is in flight.
    #[must_use]
    pub const fn stands_out(&self) -> bool {
        self.writer.in_flight.is_some()
    }
}

/// By which column, and which way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sorting {
    /// Its number.
    pub column: usize,
    /// Which way.
    pub order: Order,
}

/// Which way rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The greatest first.
    #[default]
    Falling,
    /// The least first.
    Rising,
}

impl Sorting {
    /// By another column.
    pub fn turn(&mut self, by: isize) {
        let all = KEYS.len().cast_signed();
        self.column = (self.column.cast_signed() + by).rem_euclid(all).cast_unsigned();
        // Words and numbers of slots are looked up, figures are looked at for the greatest.
        self.order = if matches!(self.column, 1..=6) { Order::Rising } else { Order::Falling };
    }

    /// The other way round.
    pub const fn reverse(&mut self) {
        self.order = match self.order {
            Order::Falling => Order::Rising,
            Order::Rising => Order::Falling,
        };
    }

    /// As a mark beside the title.
    #[must_use]
    pub const fn mark(&self) -> char {
        match self.order {
            Order::Falling => 'v',
            Order::Rising => '^',
        }
    }
}

type Key = fn(&Row, &Row) -> Ordering;

/// How many columns there are.
pub const COLUMNS: usize = 12;

/// How rows are compared by each column.
const KEYS: [Key; COLUMNS] = [
    |a, b| age(a).cmp(&age(b)),
    |a, b| a.writer.pid.cmp(&b.writer.pid),
    |a, b| a.writer.command.cmp(&b.writer.command),
    |a, b| process(a).cmp(&process(b)),
    |a, b| in_container(a).cmp(&in_container(b)),
    |a, b| a.writer.slot.cmp(&b.writer.slot),
    |a, b| doing(a).cmp(&doing(b)),
    |a, b| rate(a, |r| r.bytes).total_cmp(&rate(b, |r| r.bytes)),
    |a, b| rate(a, |r| r.messages).total_cmp(&rate(b, |r| r.messages)),
    |a, b| a.writer.bytes.cmp(&b.writer.bytes),
    |a, b| a.writer.messages.cmp(&b.writer.messages),
    |a, b| flight(a).map(|f| f.start).cmp(&flight(b).map(|f| f.start)),
];

/// Its columns; the first always stays on the screen. Where all writers are of our PID namespace, there is nothing to say
/// of containers.
#[must_use]
pub fn columns<'a>(model: &Model) -> [Column<Row<'a>>; COLUMNS] {
    let elsewhere = |status: &mmlog::Status| status.writers.iter().any(|w| w.seat.namespace.is_some());
    let container = if model.log().status().is_some_and(elsewhere) { 20 } else { 0 };
    [
        Column::figures("age", 6, |r| age(r).map_or_else(String::new, lasting)),
        Column::figures("pid", 7, |r| r.writer.pid.to_string()),
        Column::words("command", 13, |r| r.writer.command.clone()),
        Column::words("process", 10, process),
        Column::words("container", container, in_container),
        Column::figures("slot", 4, |r| r.writer.slot.to_string()),
        Column::words("doing", 9, doing),
        Column::figures("bytes/s", 7, |r| r.rate.map_or_else(String::new, |rate| bytes(rounded(rate.bytes)))),
        Column::figures("msgs/s", 6, |r| {
            r.rate.map_or_else(String::new, |rate| count(rounded(rate.messages)))
        }),
        Column::figures("bytes", 6, |r| bytes(r.writer.bytes)),
        Column::figures("messages", 8, |r| count(r.writer.messages)),
        Column::words("in flight", 32, in_flight),
    ]
}

/// Sorted, without what the filter leaves out.
#[must_use]
pub fn rows(model: &Model) -> Vec<Row<'_>> {
    let log = model.log();
    let Some(status) = log.status() else { return Vec::new() };
    let mut rows: Vec<Row> = status.writers.iter().map(|w| Row { writer: w, rate: log.rate(w) }).collect();
    super::filter(&mut rows, &columns(model), &model.shown.filter);
    let compare = KEYS[model.sorting.column.min(KEYS.len() - 1)];
    match model.sorting.order {
        Order::Rising => rows.sort_by(compare),
        Order::Falling => rows.sort_by(|a, b| compare(b, a)),
    }
    rows
}

fn flight<'a>(r: &Row<'a>) -> Option<&'a InFlight> {
    r.writer.in_flight.as_ref()
}

fn age(r: &Row) -> Option<std::time::Duration> {
    flight(r).map(|f| f.for_at_least)
}

fn rate(r: &Row, which: fn(Rates) -> f64) -> f64 {
    r.rate.map_or(-1.0, which)
}

fn process(r: &Row) -> String {
    if r.writer.alive == Ok(false) { "dead".to_owned() } else { r.writer.process.to_string() }
}

fn doing(r: &Row) -> String {
    flight(r).map_or_else(|| "idle".to_owned(), |f| f.phase.to_string())
}

fn in_flight(r: &Row) -> String {
    let range = |f: &InFlight| format!("{} at {}", bytes(f.end.saturating_sub(f.start)), f.start);
    flight(r).map_or_else(String::new, range)
}

fn in_container(r: &Row) -> String {
    match (r.writer.seat.namespace, r.writer.seat.pid) {
        (None, _) => String::new(),
        (Some(namespace), None) => namespace.to_string(),
        (Some(namespace), Some(pid)) => format!("{namespace}, here {pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_can_be_sorted_by() {
        let mut sorting = Sorting::default();
        for column in 1..=KEYS.len() {
            sorting.turn(1);
            assert_eq!(sorting.column, column % KEYS.len());
        }
        sorting.turn(-1);
        assert_eq!((sorting.column, sorting.mark()), (11, 'v'));
        sorting.reverse();
        assert_eq!(sorting.mark(), '^');
    }
}
