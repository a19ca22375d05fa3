//! The last minutes: bytes and messages in a second, and how much was not final.
//!
//! Each chart takes what room there is. The greatest value is as high as the chart.

use mmlog::units;
use ratatui::layout::Rect;
use ratatui::symbols::Marker;
use ratatui::widgets::canvas::{Canvas as Drawing, Line, Points};

use super::canvas::Canvas;
use crate::inspect::history::Series;
use crate::inspect::model::Model;
use crate::inspect::style::Kind;
use crate::text::{bytes, count, rounded};

const ALL: [(Series, &str); 3] =
    [(Series::Bytes, "bytes/s"), (Series::Messages, "messages/s"), (Series::NotFinal, "not final")];
/// A title and at least so many rows.
const LEAST: u16 = 3;
/// Columns of a chart beside others.
const BESIDE: u16 = 36;

pub(super) fn draw(model: &Model, canvas: &mut Canvas) {
    let all = canvas.area();
    let beside = all.height < LEAST * 3 && all.width >= BESIDE * 3;
    let fit = if beside { 3 } else { (all.height / LEAST).clamp(1, 3) };
    for (nth, (series, name)) in (0..fit).zip(ALL) {
        // What is left over by the division goes to the last ones.
        let part = |whole: u16, nth: u16| whole * nth / fit;
        let area = match beside {
            true => {
                let x = part(all.width, nth);
                Rect { x: all.x + x, width: part(all.width, nth + 1) - x - 1, ..all }
            }
            false => {
                let y = part(all.height, nth);
                Rect { y: all.y + y, height: part(all.height, nth + 1) - y, ..all }
            }
        };
        chart(model, series, name, &mut canvas.part(area));
    }
}

fn chart(model: &Model, series: Series, name: &str, canvas: &mut Canvas) {
    let styles = canvas.styles;
    let dots = if styles.glyphs.chart == Marker::Braille { 2 } else { 1 };
    let values = model.log().history.series(series, canvas.width().saturating_mul(dots));
    let greatest = values.iter().flatten().copied().fold(0.0, f64::max);
    let figure = |value: f64| match series {
        Series::Messages => count(rounded(value)),
        Series::Bytes | Series::NotFinal => bytes(rounded(value)),
    };
    let now = values.iter().flatten().next_back().map_or_else(|| "-".to_owned(), |value| figure(*value));
    let x = canvas.put(0, 0, u16::MAX, name, styles.of(Kind::Label));
    let x = canvas.put(x + 1, 0, u16::MAX, &now, styles.of(Kind::Strong));
    let span = units::lasting(model.log().history.span()).replace("m00s", " min");
    let note = format!("peak {}, {span}", figure(greatest));
    if usize::from(canvas.width()) > usize::from(x) + note.len() {
        canvas.right(0, Kind::Label, &note);
    }
    let area = canvas.area();
    let mut body = canvas.part(Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area });
    if body.height() > 0 && body.width() > 0 {
        bars(&values, greatest, dots, &mut body);
    }
}

/// A dot or a line of dots for each value; nothing before the first.
fn bars(values: &[Option<f64>], greatest: f64, dots: u16, canvas: &mut Canvas) {
    let styles = canvas.styles;
    let colour = styles.of(Kind::Chart).fg.unwrap_or_default();
    let rows = f64::from(canvas.height() * if dots == 2 { 4 } else { 1 });
    let (right, top) = (f64::from(canvas.width() * dots) - 1.0, rows - 1.0);
    let drawing = Drawing::default()
        .marker(styles.glyphs.chart)
        .x_bounds([0.0, right.max(1.0)])
        .y_bounds([0.0, top.max(1.0)])
        .paint(|context| {
            for (x, value) in (0_u32..).map(f64::from).zip(values).filter_map(|(x, v)| Some((x, (*v)?))) {
                let height = if greatest > 0.0 { (value / greatest * rows).round() } else { 0.0 };
                match height {
                    // Nothing is a line along the bottom in a chart of dots, and no sign in one of signs.
                    h if h < 1.0 && dots == 1 => {}
                    h if h < 1.0 => context.draw(&Points { coords: &[(x, 0.0)], color: colour }),
                    h => context.draw(&Line { x1: x, y1: 0.0, x2: x, y2: h - 1.0, color: colour }),
                }
            }
        });
    canvas.widget(drawing);
}
