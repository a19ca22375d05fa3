//! Several logs.
//!
//! ```text
//! 2 logs                                          2026-01-02T03:04:05Z
//! > OK          /var/log/a.log            1.2M/s  nothing is wrong
//!   STALLED     /var/log/b.log                0B  writer 4312 (nginx-log) is ...
//!
//! nothing is wrong
//! next: nothing to do
//! Enter open  ? keys  q quit
//! ```

use mmlog::units;

use super::canvas::Canvas;
use super::frame::state_style;
use crate::exit::{printable, shown};
use crate::inspect::model::{Model, Motion};
use crate::text::{bytes, clock, ending, rounded, wrapped};

/// Rows for logs; the rest is for the diagnosis of the chosen one.
pub(super) const fn page(height: u16) -> u16 {
    match height {
        16.. => height - 7,
        8.. => height - 5,
        _ => height.saturating_sub(2),
    }
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas) {
    let styles = canvas.styles;
    let title = units::counted(model.logs.len() as u64, "log");
    let x = canvas.put(0, 0, u16::MAX, &title, styles.label);
    let clock = clock(Some(model.now));
    let clock = if model.motion == Motion::Paused { format!("PAUSED {clock}") } else { clock };
    if usize::from(canvas.width()) > usize::from(x) + clock.len() {
        canvas.right(0, &clock, styles.plain);
    }
    let rows = page(canvas.height());
    // The chosen one is always on the screen.
    let top = model.chosen.saturating_sub(usize::from(rows.saturating_sub(1)));
    let (width, narrow) = (canvas.width(), canvas.width() < 60);
    let name = if narrow { width.saturating_sub(13) } else { width / 3 };
    for (y, (i, log)) in (1..=rows).zip(model.logs.iter().enumerate().skip(top)) {
        let mark = if i == model.chosen { ">" } else { " " };
        canvas.put(0, y, 1, mark, styles.plain);
        canvas.put(2, y, 10, &log.word(), state_style(log, styles));
        canvas.put(13, y, name, &ending(&shown(&log.path), usize::from(name)), styles.plain);
        if !narrow {
            let rate = log.history.rates().map_or_else(|| "-".to_owned(), |r| bytes(rounded(r.bytes)) + "/s");
            canvas.put(14 + name, y, 9, &format!("{rate:>9}"), styles.plain);
            canvas.put(25 + name, y, u16::MAX, &log.diagnosis().0, styles.plain);
        }
        if i == model.chosen {
            canvas.fill(y, styles.chosen);
        }
    }
    diagnosis(model, rows + 2, canvas);
    let foot = canvas.height().saturating_sub(1);
    match &model.notice {
        Some(notice) => canvas.line(foot, notice, styles.attention),
        None => canvas.line(foot, "Enter open  ? keys  q quit  Space pause", styles.plain),
    }
}

/// Of the chosen log, where there is room.
fn diagnosis(model: &Model, from: u16, canvas: &mut Canvas) {
    let (problem, next) = model.log().diagnosis();
    let (width, room) = (usize::from(canvas.width()), usize::from(canvas.height().saturating_sub(from)));
    let wrap = |text: &str| wrapped(&printable(text), width, room / 2);
    let lines = wrap(&problem).into_iter().chain(wrap(&format!("next: {next}")));
    for (y, line) in (from..).zip(lines) {
        canvas.line(y, &line, canvas.styles.plain);
    }
}
