//! A drawn screen as a picture: doc/ has some, which a test keeps current.
//!
//! Text stands on a grid, whatever the font's width; lines and dots are drawn, so that they need no font.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

const WIDTH: f32 = 8.4;
const HEIGHT: f32 = 17.0;
const MARGIN: f32 = 10.0;
const INK: &str = "#d3d7cf";
const PAPER: &str = "#1c1f24";
/// The sixteen colours of a terminal, as most have them.
const PALETTE: [&str; 16] = [
    "#2e3436", "#ef4b4b", "#7ac74f", "#e8c547", "#5b9bd5", "#b07cc6", "#4fc1c9", "#d3d7cf", "#7f8c8d",
    "#ff6e6e", "#a5e075", "#ffe27a", "#86bdf0", "#d3a4e8", "#7be0e6", "#ffffff",
];

pub(super) fn picture(buffer: &Buffer, title: &str) -> String {
    let (columns, rows) = (f32::from(buffer.area.width), f32::from(buffer.area.height));
    let (width, height) = (columns * WIDTH + 2.0 * MARGIN, rows * HEIGHT + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
         role=\"img\" font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n",
        escaped(title)
    );
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let first = &buffer[(x, y)];
            let same = |x: &u16| {
                let cell = &buffer[(*x, y)];
                colours(cell) == colours(first)
                    && cell.modifier == first.modifier
                    && is_drawn(cell) == is_drawn(first)
            };
            let end = (x..buffer.area.width).take_while(same).last().map_or(x + 1, |last| last + 1);
            run(&mut svg, buffer, y, x, end);
            x = end;
        }
    }
    svg + "</svg>\n"
}

/// Cells of one kind.
fn run(svg: &mut String, buffer: &Buffer, y: u16, from: u16, to: u16) {
    let first = &buffer[(from, y)];
    let (ink, paper) = colours(first);
    let (left, top) = (MARGIN + f32::from(from) * WIDTH, MARGIN + f32::from(y) * HEIGHT);
    let width = f32::from(to - from) * WIDTH;
    if paper != PAPER {
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" fill=\"{paper}\"/>"
        );
    }
    if is_drawn(first) {
        let cells = (from..to).map(|x| (x, buffer[(x, y)].symbol().chars().next().unwrap_or(' ')));
        let path: String = cells.map(|(x, c)| strokes(c, MARGIN + f32::from(x) * WIDTH, top)).collect();
        let _ = writeln!(svg, "<path d=\"{path}\" fill=\"{ink}\"/>");
        return;
    }
    let text: String = (from..to).map(|x| buffer[(x, y)].symbol()).collect();
    let (begins, kept) = (text.len() - text.trim_start().len(), text.trim());
    if kept.is_empty() {
        return;
    }
    let x = left + WIDTH * f32::from(u16::try_from(begins).unwrap_or(0));
    let length = WIDTH * f32::from(u16::try_from(kept.chars().count()).unwrap_or(0));
    let weight = if first.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let baseline = top + 13.0;
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{baseline:.1}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{ink}\"{weight} xml:space=\"preserve\">{}</text>",
        escaped(kept)
    );
}

fn is_drawn(cell: &Cell) -> bool {
    cell.symbol().starts_with(|c: char| matches!(c, '\u{2500}'..='\u{257f}' | '\u{2800}'..='\u{28ff}'))
}

/// Rectangles for what is a line or dots.
fn strokes(c: char, x: f32, y: f32) -> String {
    let rect = |x: f32, y: f32, w: f32, h: f32| format!("M{x:.1} {y:.1}h{w:.1}v{h:.1}h-{w:.1}z");
    let (middle, centre) = (x + WIDTH / 2.0, y + HEIGHT / 2.0);
    match c {
        '\u{2500}' => rect(x, centre, WIDTH, 1.0),
        '\u{2502}' => rect(middle, y, 1.0, HEIGHT),
        // Corners: half a line each way.
        '\u{250c}' => rect(middle, centre, WIDTH / 2.0, 1.0) + &rect(middle, centre, 1.0, HEIGHT / 2.0),
        '\u{2510}' => rect(x, centre, WIDTH / 2.0, 1.0) + &rect(middle, centre, 1.0, HEIGHT / 2.0),
        '\u{2514}' => rect(middle, centre, WIDTH / 2.0, 1.0) + &rect(middle, y, 1.0, HEIGHT / 2.0),
        '\u{2518}' => rect(x, centre, WIDTH / 2.0, 1.0) + &rect(middle, y, 1.0, HEIGHT / 2.0),
        _ => {
            const PLACES: [(f32, f32); 8] = [
                (0.0, 0.0),
                (0.0, 1.0),
                (0.0, 2.0),
                (1.0, 0.0),
                (1.0, 1.0),
                (1.0, 2.0),
                (0.0, 3.0),
                (1.0, 3.0),
            ];
            let bits = u32::from(c).wrapping_sub(0x2800);
            let set = PLACES.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
            let dot = |(column, row): (f32, f32)| {
                rect(x + 0.8 + column * WIDTH / 2.0, y + 1.0 + row * HEIGHT / 4.0, 2.6, 2.6)
            };
            set.map(|(_, place)| dot(*place)).collect()
        }
    }
}

/// Of the text and behind it.
fn colours(cell: &Cell) -> (&'static str, &'static str) {
    let (ink, paper) = (colour(cell.fg).unwrap_or(INK), colour(cell.bg).unwrap_or(PAPER));
    if cell.modifier.contains(Modifier::REVERSED) { (paper, ink) } else { (ink, paper) }
}

fn colour(colour: Color) -> Option<&'static str> {
    let index = match colour {
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Cyan => 6,
        Color::White => 15,
        Color::Indexed(n) => usize::from(n),
        _ => return None,
    };
    PALETTE.get(index).copied()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
