//! Who appends.

use std::cmp::Ordering;
use std::time::SystemTime;

use mmlog::{InFlight, Want, WriterStatus, units};

use super::Column;
use crate::inspect::history::Rates;
use crate::inspect::model::Model;
use crate::inspect::model::log::{Log, Quiet};
use crate::text::{bytes, count, lasting, rounded};
use crate::who::{LONG, Trouble, Who, trouble, unread};

/// A writer, who it is, and what it does in a second.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    writer: &'a WriterStatus,
    who: Option<&'a Who>,
    rate: Option<Rates>,
    quiet: Option<Quiet>,
    now: SystemTime,
}

impl Row<'_> {
    /// Whether it is worth a look.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        trouble(self.writer)
    }
}

/// By which column, and which way.
#[derive(Clone, Copy, Debug)]
pub struct Sorting {
    /// Its number.
    pub column: usize,
    /// Which way.
    pub order: Order,
}

impl Default for Sorting {
    /// Who is in trouble, longest; then who appends most.
    fn default() -> Self {
        Self { column: STATE, order: Order::Falling }
    }
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
        let all = COLUMNS.cast_signed();
        self.by((self.column.cast_signed() + by).rem_euclid(all).cast_unsigned());
    }

    /// By that column; again, the other way round.
    pub fn choose(&mut self, column: usize) {
        if self.column == column { self.reverse() } else { self.by(column) }
    }

    fn by(&mut self, column: usize) {
        self.column = column;
        // Words and numbers of slots are looked up, figures are looked at for the greatest.
        let is_looked_up = matches!(column, 0 | 3 | 6 | 9 | 10);
        self.order = if is_looked_up { Order::Rising } else { Order::Falling };
    }

    /// The other way round.
    pub const fn reverse(&mut self) {
        self.order = match self.order {
            Order::Falling => Order::Rising,
            Order::Rising => Order::Falling,
        };
    }
}

type Key = fn(&Row, &Row) -> Ordering;

/// How many columns there are.
pub const COLUMNS: usize = 12;
/// The one that tells who is in trouble.
const STATE: usize = 1;
/// What the next four columns take, of which the last but one is whom a signal goes to; with the next; with the next two.
const OTHERS: [u16; 3] = [37, 44, 67];
/// So much for the first column before there are more of them.
const NAME: u16 = 24;

/// How rows are compared by each column.
const KEYS: [Key; COLUMNS] = [
    |a, b| who(a).cmp(&who(b)),
    |a, b| {
        // Of two that append about as much the order stays.
        let size = |r: &Row| rate(r, |r| r.bytes).max(1.0).log2().floor();
        let by_rate = || size(a).total_cmp(&size(b)).then_with(|| b.writer.slot.cmp(&a.writer.slot));
        let by_age = || age(a).cmp(&age(b));
        a.trouble().cmp(&b.trouble()).then_with(|| match a.trouble() {
            Trouble::None => by_rate(),
            _ => by_age(),
        })
    },
    |a, b| age(a).cmp(&age(b)),
    |a, b| here(a).cmp(&here(b)),
    |a, b| rate(a, |r| r.bytes).total_cmp(&rate(b, |r| r.bytes)),
    |a, b| rate(a, |r| r.messages).total_cmp(&rate(b, |r| r.messages)),
    |a, b| home(a).cmp(&home(b)),
    |a, b| a.writer.bytes.cmp(&b.writer.bytes),
    |a, b| a.writer.messages.cmp(&b.writer.messages),
    |a, b| a.writer.slot.cmp(&b.writer.slot),
    |a, b| in_container(a).cmp(&in_container(b)),
    |a, b| flight(a).map(|f| f.start).cmp(&flight(b).map(|f| f.start)),
];

/// Its columns in the order that matters; the first always stays on the screen, and takes what the next four leave. Where
/// all writers are of our PID namespace, there is nothing to say of others.
#[must_use]
pub fn columns<'a>(model: &Model, width: u16) -> [Column<Row<'a>>; COLUMNS] {
    let elsewhere = |status: &mmlog::Status| status.writers.iter().any(|w| w.seat.namespace.is_some());
    let namespace = if model.log().status().is_some_and(elsewhere) { 20 } else { 0 };
    let fits = |others: &&u16| width >= **others + NAME;
    let others = OTHERS.iter().rev().find(fits).copied().unwrap_or(OTHERS[0]);
    [
        Column::words("who", width.saturating_sub(others).clamp(12, 70), who),
        Column::words("state", 10, state),
        Column::figures("for", 6, |r| age(r).map_or_else(String::new, quiet)),
        Column::figures("pid", 7, |r| here(r).to_string()),
        Column::figures("bytes/s", 7, |r| r.rate.map_or_else(String::new, |rate| bytes(rounded(rate.bytes)))),
        Column::figures("msgs/s", 6, |r| {
            r.rate.map_or_else(String::new, |rate| count(rounded(rate.messages)))
        }),
        Column::words("user/unit", 22, home),
        Column::figures("bytes", 6, |r| bytes(r.writer.bytes)),
        Column::figures("messages", 8, |r| count(r.writer.messages)),
        Column::figures("slot", 5, |r| r.writer.slot.to_string()),
        Column::words("namespace", namespace, in_container),
        Column::words("in flight", 32, in_flight),
    ]
}

/// Sorted, without what the filter leaves out.
#[must_use]
pub fn rows(model: &Model) -> Vec<Row<'_>> {
    let log = model.log();
    let Some(status) = log.status() else { return Vec::new() };
    let mut rows: Vec<Row> = status.writers.iter().map(|writer| row(log, writer, model.now)).collect();
    super::filter(
        &mut rows,
        &columns(model, u16::MAX),
        model.filter_of(crate::inspect::model::Pane::Writers),
    );
    let compare = KEYS[model.sorting.column.min(KEYS.len() - 1)];
    match model.sorting.order {
        Order::Rising => rows.sort_by(compare),
        Order::Falling => rows.sort_by(|a, b| compare(b, a)),
    }
    rows
}

fn row<'a>(log: &'a Log, writer: &'a WriterStatus, now: SystemTime) -> Row<'a> {
    Row { writer, who: log.who(writer), rate: log.rate(writer), quiet: log.quiet(writer), now }
}

fn who(r: &Row) -> String {
    let words = r.who.map(Who::words).filter(|words| !words.is_empty());
    words.or_else(|| r.writer.command_line.clone()).unwrap_or_else(|| r.writer.command.clone())
}

/// Of whom to call.
fn home(r: &Row) -> String {
    r.who.map_or_else(String::new, |who| who.home().to_owned())
}

/// The id that finds it from here.
fn here(r: &Row) -> u32 {
    r.writer.seat.pid.unwrap_or(r.writer.pid)
}

fn flight<'a>(r: &Row<'a>) -> Option<&'a InFlight> {
    r.writer.in_flight.as_ref()
}

/// How long it has been as it is.
fn age(r: &Row) -> Option<Quiet> {
    let w = r.writer;
    if let Some(waiting) = w.waiting {
        return Some(Quiet::For(units::passed(waiting.since, r.now).unwrap_or_default()));
    }
    if let Some(lasts) = unread(w) {
        return Some(Quiet::For(lasts));
    }
    let known = flight(r).map(|f| f.for_at_least).filter(|age| *age >= LONG);
    let stands = (r.trouble() == Trouble::Much && w.alive != Ok(false)).then_some(w.process_for_at_least);
    known.or(stands).map(Quiet::For).or(r.quiet)
}

fn quiet(age: Quiet) -> String {
    match age {
        Quiet::For(age) => lasting(age),
        Quiet::AtLeast(age) => format!(">{}", lasting(age)),
    }
}

fn rate(r: &Row, which: fn(Rates) -> f64) -> f64 {
    r.rate.map_or(-1.0, which)
}

fn state(r: &Row) -> String {
    let w = r.writer;
    match (&w.waiting, flight(r)) {
        _ if w.alive == Ok(false) => "dead".to_owned(),
        // It sleeps; whoever reads its output does not.
        _ if unread(w).is_some() => "unread".to_owned(),
        _ if r.trouble() == Trouble::Much && w.waiting.is_none() => w.process.to_string(),
        (Some(waiting), _) if waiting.dropped.is_some() => "drops".to_owned(),
        // Its own limit, in as few letters as the others.
        (Some(waiting), _) if waiting.want == Want::FileSize => "at limit".to_owned(),
        (Some(waiting), _) => format!("no {}", waiting.want),
        (None, Some(flight)) if flight.for_at_least >= LONG => flight.phase.to_string(),
        _ if r.quiet.is_some() => "idle".to_owned(),
        _ => "appends".to_owned(),
    }
}

fn in_flight(r: &Row) -> String {
    let range = |f: &InFlight| format!("{} {} at {}", f.phase, bytes(f.end.saturating_sub(f.start)), f.start);
    flight(r).map_or_else(String::new, range)
}

fn in_container(r: &Row) -> String {
    match (r.writer.seat.namespace, r.writer.seat.pid) {
        (None, _) => String::new(),
        (Some(namespace), None) => namespace.to_string(),
        (Some(namespace), Some(_)) => format!("{namespace}, {}", r.writer.pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_can_be_sorted_by() {
        let mut sorting = Sorting { column: 0, order: Order::Rising };
        for column in 1..=KEYS.len() {
            sorting.turn(1);
            assert_eq!(sorting.column, column % KEYS.len());
        }
        sorting.turn(-1);
        assert_eq!((sorting.column, sorting.order), (11, Order::Falling));
        sorting.choose(11);
        assert_eq!(sorting.order, Order::Rising);
    }
}
