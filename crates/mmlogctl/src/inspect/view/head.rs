//! The first lines of the screen: the state and why, what to do, figures; and what else matters just now.
//!
//! ```text
//! STALLED  app.log: writer 4312 (nginx-log) is stopped with 128 bytes in flight
//! at 10485760 (copying), for 3m12s; followers see nothing behind it
//!   kill -CONT 4312
//! or `kill -9 4312`: it heals; what is not yet appended, pipe included, is lost
//! 1.2M/s  9.0k msgs/s  not final 128B  free 41.2G
//! ```
//!
//! The command has a line of its own, so that three clicks take it, and what explains it stays with it. Of a long sentence
//! the clauses that fit into two lines come first, the others last: cause, since when and step are in the first three lines.

use mmlog::{Finding, Severity};
use ratatui::layout::Size;

use super::canvas::Canvas;
use super::figures;
use crate::exit::{printable, shown};
use crate::inspect::model::Model;
use crate::inspect::model::log::Log;
use crate::inspect::style::{Kind, Line, Styles, line};
use crate::text::{clipped, ending, wrapped};

/// Rows for the cause.
const CAUSE: usize = 2;
/// Below it a sentence takes a row more.
const NARROW: u16 = 60;
/// From so many rows on all is said.
const ROOMY: u16 = 20;

/// What a state looks like.
pub(super) fn kind_of(severity: Severity) -> Kind {
    match severity {
        Severity::Critical => Kind::Bad,
        Severity::Warning => Kind::Attention,
        Severity::Info => Kind::Good,
    }
}

/// What stands beside its word.
pub(super) const fn mark_of(severity: Severity, styles: &Styles) -> char {
    styles.glyphs.marks[match severity {
        Severity::Critical => 2,
        Severity::Warning => 1,
        Severity::Info => 0,
    }]
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas) {
    for (y, line) in (0..canvas.height()).zip(lines(model, model.size)) {
        canvas.spans(y, &line);
    }
}

pub(super) fn lines(model: &Model, size: Size) -> Vec<Line> {
    let log = model.log();
    let mut lines = match log.severity() {
        Severity::Info => fine(log, size),
        _ => diagnosis(log, size),
    };
    if let Some(status) = log.status() {
        lines.push(figures::line(log, status, model.now, usize::from(size.width)));
        if size.height >= ROOMY {
            lines.extend(figures::matters(log, status, model.now, usize::from(size.width)));
        }
    }
    lines
}

fn fine(log: &Log, size: Size) -> Vec<Line> {
    let (word, width) = (log.word(), usize::from(size.width));
    let path = ending(&shown(&log.path), width.saturating_sub(word.len() + 2));
    let mut lines = vec![vec![(Kind::Good, word), (Kind::Plain, format!("  {path}"))]];
    // Where there is a pane for them, they are there, whole.
    let is_large = super::form(size) == super::Form::Large;
    if let Some(note) = log.findings().first().filter(|_| !is_large && size.height >= 12) {
        let most = if size.height < ROOMY { 1 } else { 3 };
        lines.extend(words(&format!("note: {}", note.sentence), most, width));
        if size.height >= ROOMY {
            lines.extend(pasted(&step(&note.next_step).0, width));
        }
    }
    lines
}

fn diagnosis(log: &Log, size: Size) -> Vec<Line> {
    let (width, is_roomy) = (usize::from(size.width), size.height >= ROOMY);
    let (sentence, next) = log.diagnosis();
    let word = log.word();
    let first = sentence.find("; ").unwrap_or(sentence.len());
    let told =
        |name: &str, text: &str| wrapped(&format!("{word}  {name}: {}", printable(text)), width, usize::MAX);
    // Where there is no room for the path, its last part has to do.
    let path = ending(&shown(&log.path), width / 3);
    let file = log.path.file_name().map_or_else(String::new, |file| ending(&shown(file.as_ref()), width / 3));
    let name = if told(&path, &sentence[..first]).len() > CAUSE { &file } else { &path };
    let begin = |text: &str| told(name, text);
    // As many clauses as there is room for before the command.
    let ends = sentence.match_indices("; ").map(|(at, _)| at).chain([sentence.len()]);
    let fits = |at: &usize| begin(&sentence[..*at]).len() <= CAUSE;
    let end = ends.take_while(fits).last().unwrap_or(first);
    let (cause, rest) = (begin(&sentence[..end]), sentence[end..].trim_start_matches("; "));
    let (command, advice) = step(&next);
    let most = match size.height {
        ROOMY.. => usize::from(size.height / 6).max(3),
        9.. if size.width < NARROW => CAUSE + 1,
        9.. => CAUSE,
        _ => 1,
    };
    let mut lines: Vec<Line> =
        shortened(cause, most, width).into_iter().map(|text| line(Kind::Plain, text)).collect();
    if let Some(first) = lines.first_mut()
        && let Some(text) = first[0].1.strip_prefix(&word)
    {
        *first = vec![(kind_of(log.severity()), word.clone()), (Kind::Plain, text.to_owned())];
    }
    lines.extend(pasted(&command, width).take(if is_roomy {
        usize::MAX
    } else {
        usize::from(size.height >= 7)
    }));
    for text in [&advice, rest].into_iter().filter(|text| is_roomy && !text.is_empty()) {
        lines.extend(words(text, most, width));
    }
    lines
}

fn words(text: &str, most: usize, width: usize) -> impl Iterator<Item = Line> {
    let lines = shortened(wrapped(&printable(text), width, usize::MAX), most, width);
    lines.into_iter().map(|text| line(Kind::Plain, text))
}

/// A command on lines of its own; none where there is none.
fn pasted(command: &str, width: usize) -> impl Iterator<Item = Line> {
    broken(command, width.saturating_sub(2)).map(|part| line(Kind::Strong, format!("  {part}")))
}

/// The first of these lines; that there are more is seen.
fn shortened(mut lines: Vec<String>, most: usize, width: usize) -> Vec<String> {
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = clipped(&format!("{last} {}", ".".repeat(width)), width);
        }
    }
    lines
}

/// A command on as many rows as it takes: nothing is put between its parts.
fn broken(command: &str, width: usize) -> impl Iterator<Item = String> {
    let command: Vec<char> = printable(command).chars().collect();
    let parts: Vec<String> = command.chunks(width.max(1)).map(|part| part.iter().collect()).collect();
    parts.into_iter()
}

/// The command of a step, and the words around it.
pub(super) fn step(next: &str) -> (String, String) {
    let mut parts = next.splitn(3, '`');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(""), Some(command), Some(rest)) => {
            (command.to_owned(), rest.trim_start_matches([',', ':', ';', ' ']).to_owned())
        }
        (_, Some(command), _) => (command.to_owned(), next.to_owned()),
        _ => (String::new(), next.to_owned()),
    }
}

/// A finding that is not the first: its words and its command.
pub(super) fn finding(finding: &Finding, styles: &Styles, width: usize) -> Vec<Line> {
    let kind = kind_of(finding.severity);
    let mark = mark_of(finding.severity, styles);
    let (command, advice) = step(&finding.next_step);
    let words = wrapped(&printable(&finding.sentence), width.saturating_sub(2), usize::MAX);
    let mut lines = vec![vec![(kind, format!("{mark} {}: {}", finding.severity, finding.id))]];
    lines.extend(words.into_iter().map(|text| line(Kind::Plain, format!("  {text}"))));
    lines.extend(
        broken(&command, width.saturating_sub(4)).map(|part| line(Kind::Strong, format!("    {part}"))),
    );
    // Only a note says so, and needs no line for it.
    let advice = if advice == "nothing to do" { String::new() } else { advice };
    let advice = wrapped(&printable(&advice), width.saturating_sub(2), usize::MAX);
    lines.extend(
        advice.into_iter().filter(|text| !text.is_empty()).map(|text| line(Kind::Plain, format!("  {text}"))),
    );
    lines
}
