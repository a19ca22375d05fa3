//! The tables of the screen: what their rows are, and one list of columns each, which drawing, sorting and filtering
//! share.

pub mod followers;
pub mod holes;
pub mod logs;
pub mod segments;
pub mod writers;

use std::time::SystemTime;

use mmlog::units;

/// How long ago that was, in words; `-` when nobody knows.
#[must_use]
pub fn ago(at: Option<SystemTime>, now: SystemTime) -> String {
    at.map_or_else(|| "-".to_owned(), |at| units::ago(at, now))
}

/// The side of its column at which a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Names that begin alike: where there is no room for all of one, its end is shown.
    Ending,
    /// Figures.
    Right,
}

/// A column of a table with rows `R`.
pub struct Column<R> {
    /// Its title; the field's name where there is one.
    pub name: &'static str,
    /// Of its cells; one more stays empty.
    pub width: u16,
    /// Where cells stand.
    pub side: Side,
    /// What a row has there.
    pub cell: fn(&R) -> String,
}

impl<R> Column<R> {
    const fn words(name: &'static str, width: u16, cell: fn(&R) -> String) -> Self {
        Self { name, width, side: Side::Left, cell }
    }

    const fn names(name: &'static str, width: u16, cell: fn(&R) -> String) -> Self {
        Self { name, width, side: Side::Ending, cell }
    }

    const fn figures(name: &'static str, width: u16, cell: fn(&R) -> String) -> Self {
        Self { name, width, side: Side::Right, cell }
    }
}

/// Leaves the rows that have the text in a cell, in small or capital letters.
pub fn filter<R>(rows: &mut Vec<R>, columns: &[Column<R>], text: &str) {
    if !text.is_empty() {
        let wanted = text.to_lowercase();
        rows.retain(|row| columns.iter().any(|c| (c.cell)(row).to_lowercase().contains(&wanted)));
    }
}
