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
use crate::text::{Step, continued, ending, pasteable, wrapped};

/// Behind what is left of a sentence.
const MORE: &str = " ...";
/// Rows for the cause.
const CAUSE: usize = 2;
/// As many letters for each process, while a sentence does not fit; in the end its id has to do.
const NAMES: [usize; 4] = [40, 24, 12, 0];
/// Where a command does not fit: how it is had all the same.
pub(super) const COPIED: &str = "... (y copies it)";
/// The same of one that is not the first.
const PRINTED: &str = "... (status prints it)";
/// Rows for a command.
const LONGEST: usize = 4;
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
    if let Some(note) = log.findings().first().filter(|_| size.height >= 12) {
        // Where there is a pane for them, they are there, whole, with what to do.
        let is_whole = super::form(size) != super::Form::Large && size.height >= ROOMY;
        lines.extend(words(&format!("note: {}", note.sentence), if is_whole { 3 } else { 1 }, width));
        if is_whole {
            lines.extend(pasted(Step::of(&note.next_step).command, width, LONGEST));
        }
    }
    lines
}

fn diagnosis(log: &Log, size: Size) -> Vec<Line> {
    let (width, is_roomy) = (usize::from(size.width), size.height >= ROOMY);
    let (sentence, next) = log.diagnosis();
    let word = log.word();
    let most = match size.height {
        ROOMY.. => usize::from(size.height / 6).max(3),
        9.. if size.width < NARROW => CAUSE + 1,
        9.. => CAUSE,
        _ => 1,
    };
    let (cause, rest) = cause(log, &sentence, if is_roomy { CAUSE } else { most }, width);
    let mut lines: Vec<Line> =
        shortened(cause, most, width).into_iter().map(|text| line(Kind::Plain, text)).collect();
    if let Some(first) = lines.first_mut()
        && let Some(text) = first[0].1.strip_prefix(&word)
    {
        *first = vec![(kind_of(log.severity()), word.clone()), (Kind::Plain, text.to_owned())];
    }
    let step = Step::of(&next);
    let rows = if is_roomy { LONGEST } else { 1 };
    lines.extend(pasted(step.command, width, rows).filter(|_| is_roomy || size.height >= 7));
    for text in [step.words("above"), rest].into_iter().filter(|text| is_roomy && !text.is_empty()) {
        lines.extend(words(&text, most, width));
    }
    lines
}

/// As many clauses as there are rows for before the command, and those that are left. Where there is no room for the path, its
/// last part has to do; where there is none for who it is, he is told in fewer letters.
fn cause(log: &Log, sentence: &str, rows: usize, width: usize) -> (Vec<String>, String) {
    let word = log.word();
    let told =
        |name: &str, text: &str| wrapped(&format!("{word}  {name}: {}", printable(text)), width, usize::MAX);
    let path = ending(&shown(&log.path), width / 3);
    let file = log.path.file_name().map_or_else(String::new, |file| ending(&shown(file.as_ref()), width / 3));
    let fits = |name: &str, text: &str| told(name, text).len() <= rows;
    let said = briefly(log, sentence, |said| fits(&file, first_clause(said)));
    let name = if fits(&path, first_clause(&said)) { &path } else { &file };
    let ends = said.match_indices("; ").map(|(at, _)| at).chain([said.len()]);
    let end = ends.take_while(|at| fits(name, &said[..*at])).last().unwrap_or(first_clause(&said).len());
    (told(name, &said[..end]), said[end..].trim_start_matches("; ").to_owned())
}

pub(super) fn first_clause(sentence: &str) -> &str {
    sentence.find("; ").map_or(sentence, |end| &sentence[..end])
}

/// A sentence of a log's status with processes called by as many letters as there is room for: what is the case comes before
/// who it is.
pub(super) fn briefly(log: &Log, sentence: &str, fits: impl Fn(&str) -> bool) -> String {
    let Some(status) = log.status() else { return sentence.to_owned() };
    let mut said = sentence.to_owned();
    for most in NAMES {
        if fits(&said) {
            break;
        }
        said = status.with_short_names(sentence, most);
    }
    said
}

fn words(text: &str, most: usize, width: usize) -> impl Iterator<Item = Line> {
    let lines = shortened(wrapped(&printable(text), width, usize::MAX), most, width);
    lines.into_iter().map(|text| line(Kind::Plain, text))
}

/// A command on a line of its own; none where there is none.
fn pasted(command: &str, width: usize, rows: usize) -> impl Iterator<Item = Line> + use<> {
    let texts = match command {
        "" => Vec::new(),
        _ => fitted(&printable(command), width.saturating_sub(2), rows, COPIED),
    };
    texts.into_iter().map(|text| line(Kind::Strong, format!("  {text}")))
}

/// A command whole, in so many rows at most, or with a mark where it is cut.
pub(super) fn fitted(command: &str, columns: usize, rows: usize, mark: &str) -> Vec<String> {
    let whole = continued(command, columns).filter(|lines| lines.len() <= rows);
    whole.unwrap_or_else(|| vec![pasteable(command, columns, mark)])
}

/// The first of these lines; that there are more is seen.
fn shortened(mut lines: Vec<String>, most: usize, width: usize) -> Vec<String> {
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let front: String = last.chars().take(width.saturating_sub(MORE.len())).collect();
            *last = front.trim_end().to_owned() + MORE;
        }
    }
    lines
}

/// A finding that is not the first: its words and its command.
pub(super) fn finding(finding: &Finding, styles: &Styles, width: usize) -> Vec<Line> {
    let kind = kind_of(finding.severity);
    let mark = mark_of(finding.severity, styles);
    let step = Step::of(&finding.next_step);
    let words = wrapped(&printable(&finding.sentence), width.saturating_sub(2), usize::MAX);
    let mut lines = vec![vec![(kind, format!("{mark} {}: {}", finding.severity, finding.id))]];
    lines.extend(words.into_iter().map(|text| line(Kind::Plain, format!("  {text}"))));
    if !step.command.is_empty() {
        let texts = fitted(&printable(step.command), width.saturating_sub(4), LONGEST, PRINTED);
        lines.extend(texts.into_iter().map(|text| line(Kind::Strong, format!("    {text}"))));
    }
    // Only a note says so, and needs no line for it.
    let advice = step.words("above");
    let advice = if advice == "nothing to do" { String::new() } else { advice };
    let advice = wrapped(&printable(&advice), width.saturating_sub(2), usize::MAX);
    lines.extend(
        advice.into_iter().filter(|text| !text.is_empty()).map(|text| line(Kind::Plain, format!("  {text}"))),
    );
    lines
}
