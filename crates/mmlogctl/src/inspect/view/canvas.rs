//! A rectangle of the screen that text is put into; whatever does not fit is cut off, and nothing but printable
//! characters gets there.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::inspect::style::Styles;
use crate::inspect::tables::{Column, Side};

/// A part of the screen.
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    /// What each kind of text looks like.
    pub styles: &'a Styles,
}

impl<'a> Canvas<'a> {
    /// All of `area` that is on the buffer.
    pub fn new(buffer: &'a mut Buffer, area: Rect, styles: &'a Styles) -> Self {
        let area = area.intersection(buffer.area);
        Self { buffer, area, styles }
    }

    /// A part of this one.
    pub fn part(&mut self, area: Rect) -> Canvas<'_> {
        Canvas { area: area.intersection(self.area), styles: self.styles, buffer: self.buffer }
    }

    /// Columns.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.area.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> u16 {
        self.area.height
    }

    /// Where it is.
    #[must_use]
    pub const fn area(&self) -> Rect {
        self.area
    }

    /// Puts at most `width` columns of text; returns the column behind it.
    pub fn put(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
        if x >= self.area.width || y >= self.area.height {
            return x;
        }
        let most = usize::from(width.min(self.area.width - x));
        let (left, top) = (self.area.x + x, self.area.y + y);
        let (end, _) = self.buffer.set_stringn(left, top, printable(text), most, style);
        end - self.area.x
    }

    /// A row of text from the left.
    pub fn line(&mut self, y: u16, text: &str, style: Style) {
        self.put(0, y, u16::MAX, text, style);
    }

    /// A field's name and its value; returns the column behind them and a gap.
    pub fn field(&mut self, x: u16, y: u16, name: &str, value: &str) -> u16 {
        let at = self.put(x, y, u16::MAX, name, self.styles.label);
        let end = self.put(at.saturating_add(1), y, u16::MAX, value, self.styles.plain);
        end.saturating_add(2)
    }

    /// A row in one style from end to end.
    pub fn fill(&mut self, y: u16, style: Style) {
        if y < self.area.height {
            let row = Rect { y: self.area.y + y, height: 1, ..self.area };
            self.buffer.set_style(row, style);
        }
    }

    /// Blanks.
    pub fn clear(&mut self) {
        for y in 0..self.area.height {
            for x in 0..self.area.width {
                self.buffer[(self.area.x + x, self.area.y + y)].reset();
            }
        }
    }

    /// Text at the right end of a row.
    pub fn right(&mut self, y: u16, text: &str, style: Style) {
        let len = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        self.put(self.area.width.saturating_sub(len), y, len, text, style);
    }

    /// Titles and rows of a table from a row and a column on. The first column always stays.
    pub fn table<R>(
        &mut self,
        columns: &[Column<R>],
        rows: &[R],
        from: (usize, usize),
        look: &TableLook<'_, R>,
    ) {
        let (top, left) = from;
        let shown = columns.iter().enumerate().filter(|(i, c)| c.width > 0 && (*i == 0 || *i > left));
        let mut x = 0_u16;
        for (i, column) in shown {
            // Of a figure no part may stand for the whole, and of words a few letters tell nothing.
            let needed = match column.side {
                _ if i == 0 => 1,
                Side::Right => column.width,
                Side::Left => column.width.min(8),
            };
            if x.saturating_add(needed) > self.area.width {
                break;
            }
            let title = match look.sorted {
                Some((sorted, mark)) if sorted == i => format!("{}{mark}", column.name.to_uppercase()),
                _ => column.name.to_owned(),
            };
            self.cell(x, 0, column, &title, self.styles.label);
            let last = usize::from(self.area.height.saturating_sub(1));
            for (y, row) in (1..).zip(rows.iter().skip(top).take(last)) {
                let style = if (look.stands_out)(row) { self.styles.attention } else { self.styles.plain };
                self.cell(x, y, column, &(column.cell)(row), style);
            }
            x = x.saturating_add(column.width + 1);
        }
        if rows.is_empty() {
            self.put(0, 1, u16::MAX, look.empty, self.styles.plain);
        }
    }

    fn cell<R>(&mut self, x: u16, y: u16, column: &Column<R>, text: &str, style: Style) {
        // Figures are ASCII, so that bytes are columns.
        let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
        let pad = if column.side == Side::Right { column.width.saturating_sub(len) } else { 0 };
        self.put(x + pad, y, column.width - pad, text, style);
    }
}

/// How a table looks beside its cells.
pub struct TableLook<'a, R> {
    /// The column that it is sorted by, and the mark of the way.
    pub sorted: Option<(usize, char)>,
    /// Rows that need attention.
    pub stands_out: fn(&R) -> bool,
    /// What stands there instead of no row.
    pub empty: &'a str,
}

/// Escaped where it has to be: names of processes and files come from anywhere.
fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.chars().any(crate::exit::is_unsafe) { crate::exit::printable(text).into() } else { text.into() }
}
