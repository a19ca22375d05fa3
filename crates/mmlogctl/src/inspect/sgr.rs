//! The colours of a log's own lines: text that [`Escaper::with_colours`] let pass, as text and styles.
//!
//! Colours and attributes only. What would hide text (concealed, blinking) is left out.
//!
//! [`Escaper::with_colours`]: crate::reading::escape::Escaper::with_colours

use std::str::Split;

use ratatui::style::{Color, Modifier, Style};

/// From which byte of a text on it has which style; none before the first.
pub type Runs = Vec<(usize, Style)>;

/// Text without its sequences, and what they said.
#[must_use]
pub fn parsed(text: &str) -> (String, Runs) {
    let (mut plain, mut runs, mut style) = (String::with_capacity(text.len()), Runs::new(), Style::new());
    let mut parts = text.split("\x1b[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (sequence, rest) = part.split_once('m').unwrap_or((part, ""));
        apply(&mut style, sequence);
        runs.push((plain.len(), style));
        plain.push_str(rest);
    }
    (plain, runs)
}

fn apply(style: &mut Style, sequence: &str) {
    let sequence = sequence.replace(':', ";");
    let mut parameters = sequence.split(';');
    while let Some(parameter) = parameters.next() {
        let code: u8 = if parameter.is_empty() { 0 } else { parameter.parse().unwrap_or(u8::MAX) };
        *style = match code {
            0 => Style::new(),
            30..=37 => style.fg(Color::Indexed(code - 30)),
            90..=97 => style.fg(Color::Indexed(code - 82)),
            40..=47 => style.bg(Color::Indexed(code - 40)),
            100..=107 => style.bg(Color::Indexed(code - 92)),
            38 | 48 => match long(&mut parameters) {
                Some(colour) if code == 38 => style.fg(colour),
                Some(colour) => style.bg(colour),
                // What follows may be a part of it.
                None => return,
            },
            39 => style.fg(Color::Reset),
            49 => style.bg(Color::Reset),
            _ => attribute(*style, code),
        };
    }
}

fn attribute(style: Style, code: u8) -> Style {
    match code {
        1 => style.add_modifier(Modifier::BOLD),
        2 => style.add_modifier(Modifier::DIM),
        3 => style.add_modifier(Modifier::ITALIC),
        4 => style.add_modifier(Modifier::UNDERLINED),
        7 => style.add_modifier(Modifier::REVERSED),
        9 => style.add_modifier(Modifier::CROSSED_OUT),
        22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
        23 => style.remove_modifier(Modifier::ITALIC),
        24 => style.remove_modifier(Modifier::UNDERLINED),
        27 => style.remove_modifier(Modifier::REVERSED),
        29 => style.remove_modifier(Modifier::CROSSED_OUT),
        _ => style,
    }
}

/// `5;N` or `2;R;G;B`.
fn long(parameters: &mut Split<'_, char>) -> Option<Color> {
    let mut next = || parameters.next()?.parse::<u8>().ok();
    match next()? {
        5 => Some(Color::Indexed(next()?)),
        2 => Some(Color::Rgb(next()?, next()?, next()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_styles_and_leave_the_text() {
        let (text, runs) = parsed("a\x1b[31mred\x1b[0m \x1b[1;38;5;208;48:2:1:2:3mmany\x1b[m");
        assert_eq!(text, "ared many");
        let many = Style::new().bold().fg(Color::Indexed(208)).bg(Color::Rgb(1, 2, 3));
        let red = Style::new().fg(Color::Indexed(1));
        assert_eq!(runs, [(1, red), (4, Style::new()), (5, many), (9, Style::new())]);
    }

    #[test]
    fn what_would_hide_text_or_makes_no_sense_is_left_out() {
        for sequence in ["8", "5", "99", "38", "38;5", "38;9;1", "999999999999", ";;;"] {
            assert_eq!(
                parsed(&format!("\x1b[{sequence}mx")),
                ("x".to_owned(), vec![(0, Style::new())]),
                "{sequence}"
            );
        }
    }
}
