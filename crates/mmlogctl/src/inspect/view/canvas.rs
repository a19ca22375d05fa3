//! A rectangle of the screen that text is put into; whatever does not fit is cut off, and nothing but printable
//! characters gets there.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Widget;

use crate::inspect::sgr::Runs;
use crate::inspect::style::{Kind, Line, Styles};
use crate::inspect::tables::{Column, Side};
use crate::text::ending;

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
    pub fn line(&mut self, y: u16, kind: Kind, text: &str) {
        self.put(0, y, u16::MAX, text, self.styles.of(kind));
    }

    /// A row of several kinds of text.
    pub fn spans(&mut self, y: u16, line: &Line) {
        let mut x = 0;
        for (kind, text) in line {
            x = self.put(x, y, u16::MAX, text, self.styles.of(*kind));
        }
    }

    /// Text from a column on that has colours of its own.
    pub fn runs(&mut self, x: u16, y: u16, text: &str, runs: &Runs) {
        let ends = runs.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
        let first = runs.first().map_or(text.len(), |(at, _)| *at);
        let mut x = self.put(x, y, u16::MAX, text.get(..first).unwrap_or_default(), Style::new());
        for ((at, style), end) in runs.iter().zip(ends) {
            x = self.put(x, y, u16::MAX, text.get(*at..end).unwrap_or_default(), *style);
        }
    }

    /// A row in one style from end to end.
    pub fn fill(&mut self, y: u16, kind: Kind) {
        if y < self.area.height {
            let row = Rect { y: self.area.y + y, height: 1, ..self.area };
            self.buffer.set_style(row, self.styles.of(kind));
        }
    }

    /// A line across with a title in it.
    pub fn rule(&mut self, title: &str, kind: Kind) {
        let across = self.styles.glyphs.across;
        let rest: String = std::iter::repeat_n(across, usize::from(self.area.width)).collect();
        self.put(0, 0, u16::MAX, &rest, self.styles.of(Kind::Label));
        self.put(1, 0, self.area.width.saturating_sub(2), &format!(" {title} "), self.styles.of(kind));
    }

    /// A line from top to bottom.
    pub fn divide(&mut self) {
        let (down, style) = (self.styles.glyphs.down, self.styles.of(Kind::Label));
        for y in 0..self.area.height {
            self.put(0, y, 1, down.encode_utf8(&mut [0; 4]), style);
        }
    }

    /// A widget of ratatui's.
    pub fn widget(&mut self, widget: impl Widget) {
        widget.render(self.area, self.buffer);
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
    pub fn right(&mut self, y: u16, kind: Kind, text: &str) {
        let len = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        self.put(self.area.width.saturating_sub(len), y, len, text, self.styles.of(kind));
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
        let last = usize::from(self.area.height.saturating_sub(1));
        let styles = self.styles;
        for (i, x) in placed(columns, left, self.area.width) {
            let column = &columns[i];
            let title = match look.sorted {
                Some((sorted, mark)) if sorted == i => format!("{}{mark}", column.name.to_uppercase()),
                _ => column.name.to_owned(),
            };
            self.cell(x, 0, column, &title, styles.of(Kind::Label));
            for (y, row) in (1..).zip(rows.iter().skip(top).take(last)) {
                self.cell(x, y, column, &(column.cell)(row), styles.of((look.kind)(row)));
            }
        }
        for (y, row) in (1..).zip(rows.iter().skip(top).take(last)) {
            let mark = match (look.kind)(row) {
                Kind::Attention => styles.glyphs.marks[1],
                Kind::Loud => styles.glyphs.marks[2],
                _ => continue,
            };
            self.put(0, y, 1, mark.encode_utf8(&mut [0; 4]), styles.of((look.kind)(row)));
        }
        if rows.is_empty() {
            self.line(1, Kind::Plain, look.empty);
        }
    }

    fn cell<R>(&mut self, x: u16, y: u16, column: &Column<R>, text: &str, style: Style) {
        let len = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        let pad = if column.side == Side::Right { column.width.saturating_sub(len) } else { 0 };
        let room = column.width.min(self.area.width.saturating_sub(x));
        let text = if column.side == Side::Ending {
            ending(text, usize::from(room)).into()
        } else {
            Cow::from(text)
        };
        self.put(x + pad, y, column.width - pad, &text, style);
    }
}

/// What stands before the first column: the mark of a row.
pub const GUTTER: u16 = 2;

/// The columns that are shown in such a width, and where they begin.
#[must_use]
pub fn placed<R>(columns: &[Column<R>], left: usize, width: u16) -> Vec<(usize, u16)> {
    let (mut placed, mut x) = (Vec::new(), GUTTER);
    let shown = columns.iter().enumerate().filter(|(i, c)| c.width > 0 && (*i == 0 || *i > left));
    for (i, column) in shown {
        // Of a figure no part may stand for the whole, and of words a few letters tell nothing.
        let needed = match column.side {
            _ if i == 0 => 1,
            Side::Right => column.width,
            Side::Left => column.width.min(8),
            // What tells them apart.
            Side::Ending => column.width.min(16),
        };
        if x.saturating_add(needed) > width {
            break;
        }
        placed.push((i, x));
        x = x.saturating_add(column.width + 1);
    }
    placed
}

/// How a table looks beside its cells.
pub struct TableLook<'a, R> {
    /// The column that it is sorted by, and the mark of the way.
    pub sorted: Option<(usize, char)>,
    /// Which rows need attention.
    pub kind: fn(&R) -> Kind,
    /// What stands there instead of no row.
    pub empty: &'a str,
}

/// Escaped where it has to be: names of processes and files come from anywhere.
fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.chars().any(crate::exit::is_unsafe) { crate::exit::printable(text).into() } else { text.into() }
}
