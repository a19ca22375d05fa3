//! What the options mean.

use std::path::PathBuf;

use mmlog::{Position, Trust};

use super::args::{By, Count, TailArgs};
use crate::arguments::OldSegments;
use crate::colours::{Painter, Tone};
use crate::exit::{Exit, Failure, shown};
use crate::output::{Channel, Output};
use crate::reading::Holes;
use crate::reading::backward::Last;
use crate::reading::copy::{Plain, Render};
use crate::reading::cursor_file::{CursorFile, Lasting};
use crate::reading::escape::Escaper;
use crate::reading::json::{Form, Formed, JsonLines};
use crate::reading::skip::Skip;
use crate::text::for_terminal;
use crate::times::{TimeRange, ToCome};

/// The options, decided.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) logs: Vec<PathBuf>,
    pub(super) trust: Trust,
    pub(super) old: OldSegments,
    pub(super) begin: Begin,
    /// What of the log is meant.
    pub(super) times: TimeRange,
    /// How far its ends may be off is said.
    pub(super) says_widths: bool,
    pub(super) follow: Follow,
    /// What is final when the log is there is all that is printed.
    pub(super) until_now: bool,
    /// A log that is not there, or not any more, is waited for.
    pub(super) retry: bool,
    pub(super) titles: Titles,
    pub(super) form: Formed,
    pub(super) holes: Holes,
    pub(super) cursor_file: Option<CursorFile>,
    /// The name of the hold that goes by the cursor-file.
    pub(super) hold: Option<String>,
    /// What ends a line.
    pub(super) newline: u8,
    surface: Surface,
    painter: Painter,
    escaper: Escaper,
}

/// Where a log's output begins.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Begin {
    /// At its oldest position, without what is left out.
    Oldest(Skip),
    /// At the last lines or bytes.
    Last(Last),
    /// At a position.
    At(Position),
}

/// Whether the command goes on when everything has been printed.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Follow {
    No,
    /// With the log that was opened, whatever happens to its name.
    Log,
    /// With the log that has the name, whichever it is.
    Name,
}

/// Whether the output says whose lines follow.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Titles {
    Never,
    WhenItChanges,
}

/// What the output is shown on.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Surface {
    Terminal,
    Other,
}

impl Plan {
    /// # Errors
    /// When the options contradict each other.
    pub(super) fn new(args: &TailArgs, out: &Output) -> Result<Self, Failure> {
        if args.cursor_file.is_some() && args.logs.len() > 1 {
            return Err(Failure::new(Exit::Usage, "--cursor-file keeps one place; name one log"));
        }
        if args.ack.is_some() && args.form.output != Form::Json {
            return Err(Failure::new(Exit::Usage, "--ack is for the positions of -o json; add that"));
        }
        if args.cursor_file.is_some() && args.ack.is_none() && out.channel() == Channel::Elsewhere {
            let text = "standard output is a socket that does not tell what its reader has taken, so no place can be kept; \
                        add -o json --ack FD, or write into the pipe of a program that sends it on";
            return Err(Failure::new(Exit::Failed, text));
        }
        if args.zero_terminated && args.holes == Holes::Nul {
            let text = "--holes nul prints what ends lines under -z; leave one of them out";
            return Err(Failure::new(Exit::Usage, text));
        }
        let follow = match (args.follow_name, args.follow) {
            (true, _) | (_, Some(By::Name)) => Follow::Name,
            (false, Some(By::Descriptor)) => Follow::Log,
            (false, None) => Follow::No,
        };
        args.times.check(if follow == Follow::No { ToCome::Mistake } else { ToCome::Waits })?;
        let lasting = if args.hold.is_some() { Lasting::Durable } else { Lasting::Unsynced };
        Ok(Self {
            logs: args.logs.clone(),
            trust: args.access.trust(),
            old: args.old.clone(),
            begin: begin(args),
            times: args.times.clone(),
            says_widths: args.verbose,
            follow,
            until_now: args.until_now,
            retry: args.follow_name || args.retry,
            titles: match (args.quiet, args.verbose || args.logs.len() > 1) {
                (false, true) => Titles::WhenItChanges,
                _ => Titles::Never,
            },
            form: args.form,
            holes: args.holes,
            cursor_file: args.cursor_file.clone().map(|path| CursorFile::new(path, lasting)),
            hold: args.hold.clone(),
            newline: newline(args),
            surface: if out.is_terminal() { Surface::Terminal } else { Surface::Other },
            painter: args.colours.painter(out),
            escaper: args.colours.escaper(),
        })
    }

    /// A renderer for the log that was named `index`th.
    pub(super) fn render(&self, index: usize) -> Box<dyn Render> {
        match (self.form.output, self.surface) {
            (Form::Json, _) => {
                let named = (self.titles != Titles::Never).then(|| self.logs[index].as_path());
                Box::new(JsonLines::new(named, self.form.max_line, self.newline))
            }
            (Form::Text, Surface::Terminal) => Box::new(self.escaper.clone()),
            (Form::Text, Surface::Other) => Box::new(Plain),
        }
    }

    /// The line that says whose lines follow, if this form has one.
    pub(super) fn title(&self, index: usize) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStrExt as _;
        if self.titles == Titles::Never || self.form.output == Form::Json {
            return None;
        }
        let path = &self.logs[index];
        let name = match self.surface {
            Surface::Terminal => for_terminal(&shown(path)).as_bytes().to_vec(),
            Surface::Other => path.as_os_str().as_bytes().to_vec(),
        };
        let (begin, end) = self.painter.around(Tone::Title);
        Some([begin.as_bytes(), b"==> ", &name, b" <==", end.as_bytes(), b"\n"].concat())
    }
}

const fn newline(args: &TailArgs) -> u8 {
    if args.zero_terminated { 0 } else { b'\n' }
}

fn begin(args: &TailArgs) -> Begin {
    let newline = newline(args);
    match (args.from, args.bytes, args.lines) {
        (Some(from), ..) => Begin::At(Position::new(from)),
        (None, Some(Count::Last(bytes)), _) => Begin::Last(Last::Bytes(bytes)),
        (None, Some(Count::From(byte)), _) => Begin::Oldest(Skip::Bytes(byte.saturating_sub(1))),
        (None, None, Some(Count::Last(lines))) => Begin::Last(Last::Lines(lines, newline)),
        (None, None, Some(Count::From(line))) => Begin::Oldest(Skip::Lines(line.saturating_sub(1), newline)),
        (None, None, None) if args.until_now || args.times.has_start() => Begin::Oldest(Skip::NOTHING),
        (None, None, None) => Begin::Last(Last::Lines(10, newline)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::parse;
    use super::*;

    fn begins(line: &[&str]) -> Option<Begin> {
        parse(line).ok().map(|args| begin(&args))
    }

    #[test]
    fn the_output_begins_where_the_options_say() {
        assert_eq!(begins(&["a"]), Some(Begin::Last(Last::Lines(10, b'\n'))));
        assert_eq!(begins(&["-n3", "-c2", "a"]), Some(Begin::Last(Last::Bytes(2))));
        assert_eq!(begins(&["-n+3", "a"]), Some(Begin::Oldest(Skip::Lines(2, b'\n'))));
        assert_eq!(begins(&["-c+0", "a"]), Some(Begin::Oldest(Skip::NOTHING)));
        assert_eq!(begins(&["--from=7", "a"]), Some(Begin::At(Position::new(7))));
    }

    #[test]
    fn since_begins_with_all_of_that_time_unless_told_otherwise() {
        assert_eq!(begins(&["--since", "-15m", "a"]), Some(Begin::Oldest(Skip::NOTHING)));
        assert_eq!(begins(&["--since=15m", "-n1", "a"]), Some(Begin::Last(Last::Lines(1, b'\n'))));
        assert_eq!(begins(&["--until", "15m ago", "a"]), Some(Begin::Last(Last::Lines(10, b'\n'))));
        assert_eq!(begins(&["--since", "1h", "--from", "1", "a"]), None);
    }

    #[test]
    fn until_now_begins_at_the_start_unless_told_otherwise() {
        assert_eq!(begins(&["--until-now", "a"]), Some(Begin::Oldest(Skip::NOTHING)));
        assert_eq!(begins(&["--until-now", "-n1", "a"]), Some(Begin::Last(Last::Lines(1, b'\n'))));
    }
}
