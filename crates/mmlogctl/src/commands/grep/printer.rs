//! The lines that a search selects, on their way to the output.

use std::io;
use std::os::unix::ffi::OsStrExt as _;

use grep_matcher::Matcher as _;
use grep_regex::RegexMatcher;
use grep_searcher::{Searcher, Sink, SinkContext, SinkMatch};

use super::plan::{Plan, What};
use super::reader::Search;
use crate::colours::Tone;
use crate::exit::shown;
use crate::reading::escape::Escaper;

/// Prints what is selected of one log.
pub(super) struct Printer<'a> {
    search: &'a Search<'a>,
    matcher: &'a RegexMatcher,
    escaper: Option<Escaper>,
    /// How many lines were selected.
    count: u64,
    /// How many lines of context are still printed behind the last one.
    left: usize,
}

/// Where a line is, or a match in it.
struct At {
    number: Option<u64>,
    offset: u64,
    /// What stands behind each of them.
    mark: char,
}

impl<'a> Printer<'a> {
    pub(super) fn new(search: &'a Search<'a>, matcher: &'a RegexMatcher) -> Self {
        let plan = search.shared.plan();
        Self { search, matcher, escaper: plan.escaper(), count: 0, left: plan.after }
    }

    const fn plan(&self) -> &'a Plan {
        self.search.shared.plan()
    }

    /// Prints how many lines were selected, where that is asked for.
    pub(super) fn finish(&self) -> io::Result<()> {
        if self.plan().what != What::Count {
            return Ok(());
        }
        self.search.print(|page| {
            self.put_name(':', page);
            page.extend_from_slice(format!("{}\n", self.count).as_bytes());
        })
    }

    /// Prints a line, with its matches highlighted where it is said what matches.
    fn put_line(&mut self, at: &At, line: &[u8], matches: &[(usize, usize)]) -> io::Result<()> {
        let search = self.search;
        search.print(|page| {
            self.put_head(at, page);
            let mut behind = 0;
            for (start, end) in matches {
                self.put_bytes(&line[behind..*start], page);
                self.put_match(&line[*start..*end], page);
                behind = *end;
            }
            self.put_bytes(&line[behind..], page);
            self.end_line(page);
        })
    }

    /// Whether all that was asked for is printed. The searcher has been told, and may have more all the same.
    const fn is_over(&self) -> bool {
        self.count >= self.plan().most && self.left == 0
    }

    /// Prints a line of context; whether there is more to print.
    fn put_context(&mut self, at: &At, line: &[u8]) -> io::Result<bool> {
        if self.is_over() {
            return Ok(false);
        }
        self.put_line(at, line, &[])?;
        if self.count >= self.plan().most {
            self.left -= 1;
        }
        Ok(!self.is_over())
    }

    fn put_matches(&mut self, at: &At, line: &[u8]) -> io::Result<()> {
        for (start, end) in self.matches(line)? {
            let at = At { offset: at.offset + start as u64, ..*at };
            let search = self.search;
            search.print(|page| {
                self.put_head(&at, page);
                self.put_match(&line[start..end], page);
                self.end_line(page);
            })?;
        }
        Ok(())
    }

    /// What matches in a line, but for what is empty.
    fn matches(&self, line: &[u8]) -> io::Result<Vec<(usize, usize)>> {
        let mut found = Vec::new();
        let keep = |m: grep_matcher::Match| {
            if !m.is_empty() {
                found.push((m.start(), m.end()));
            }
            true
        };
        self.matcher.find_iter(line, keep).map_err(io::Error::other)?;
        Ok(found)
    }

    fn put_head(&self, at: &At, page: &mut Vec<u8>) {
        let plan = self.plan();
        self.put_name(at.mark, page);
        if let Some(number) = at.number {
            self.put_field(Tone::Number, number.to_string().as_bytes(), at.mark, page);
        }
        if plan.positions {
            let position = self.search.position(at.offset).to_string();
            self.put_field(Tone::Number, position.as_bytes(), at.mark, page);
        }
    }

    fn put_name(&self, mark: char, page: &mut Vec<u8>) {
        let plan = self.plan();
        let path = &plan.logs[self.search.index];
        match plan.on_terminal {
            _ if !plan.names => {}
            true => self.put_field(Tone::Name, shown(path).as_bytes(), mark, page),
            false => self.put_field(Tone::Name, path.as_os_str().as_bytes(), mark, page),
        }
    }

    fn put_field(&self, tone: Tone, field: &[u8], mark: char, page: &mut Vec<u8>) {
        let around = |tone| self.plan().painter.around(tone);
        let (begin, end) = around(tone);
        page.extend_from_slice(begin.as_bytes());
        page.extend_from_slice(field);
        page.extend_from_slice(end.as_bytes());
        let (begin, end) = around(Tone::Separator);
        page.extend_from_slice(format!("{begin}{mark}{end}").as_bytes());
    }

    fn put_match(&mut self, bytes: &[u8], page: &mut Vec<u8>) {
        let (begin, end) = self.plan().painter.around(Tone::Bad);
        page.extend_from_slice(begin.as_bytes());
        self.put_bytes(bytes, page);
        page.extend_from_slice(end.as_bytes());
    }

    fn put_bytes(&mut self, bytes: &[u8], page: &mut Vec<u8>) {
        page.extend_from_slice(match &mut self.escaper {
            Some(escaper) => escaper.feed(bytes),
            None => bytes,
        });
    }

    fn end_line(&mut self, page: &mut Vec<u8>) {
        if let Some(escaper) = &mut self.escaper {
            page.extend_from_slice(escaper.finish());
        }
        page.push(b'\n');
    }
}

impl Sink for &mut Printer<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        let plan = self.plan();
        let at = |mark| At { number: found.line_number(), offset: found.absolute_byte_offset(), mark };
        let line = content(found.bytes());
        // Behind the last one that is selected, what matches is context as other lines are.
        if self.count >= plan.most {
            return self.put_context(&at('-'), line);
        }
        self.count += 1;
        self.search.shared.select();
        let at = at(':');
        match plan.what {
            What::Nothing => return Ok(false),
            What::Count => {}
            What::Matches if plan.inverted => {}
            What::Matches => self.put_matches(&at, line)?,
            What::Lines => {
                let marked = plan.painter.is_on() && !plan.inverted;
                let matches = if marked { self.matches(line)? } else { Vec::new() };
                self.put_line(&at, line, &matches)?;
            }
        }
        Ok(!self.is_over())
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        let at = At { number: context.line_number(), offset: context.absolute_byte_offset(), mark: '-' };
        self.put_context(&at, content(context.bytes()))
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        if self.is_over() {
            return Ok(false);
        }
        let (begin, end) = self.plan().painter.around(Tone::Separator);
        self.search.print(|page| page.extend_from_slice(format!("{begin}--{end}\n").as_bytes()))?;
        Ok(true)
    }
}

/// A line without its newline.
fn content(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}
