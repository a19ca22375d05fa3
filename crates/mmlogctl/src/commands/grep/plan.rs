//! What the options mean.

use std::path::PathBuf;

use mmlog::{Position, Trust};

use super::args::GrepArgs;
use crate::arguments::OldSegments;
use crate::colours::{Colours, Painter};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::reading::Holes;
use crate::reading::escape::Escaper;
use crate::times::{TimeRange, ToCome};

/// The options, decided.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) logs: Vec<PathBuf>,
    pub(super) trust: Trust,
    pub(super) old: OldSegments,
    /// What of the logs is meant: from this position on, before that one, and what times say.
    pub(super) from: Option<Position>,
    pub(super) to: Option<Position>,
    pub(super) times: TimeRange,
    /// How far the ends of the times may be off is said.
    pub(super) says_widths: bool,
    pub(super) holes: Holes,
    pub(super) follow: bool,
    pub(super) what: What,
    /// Stop with a log after so many selected lines.
    pub(super) most: u64,
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) inverted: bool,
    pub(super) names: bool,
    pub(super) numbers: bool,
    pub(super) positions: bool,
    pub(super) painter: Painter,
    pub(super) on_terminal: bool,
    colours: Colours,
}

/// What is printed.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum What {
    Lines,
    Matches,
    Count,
    Nothing,
}

impl Plan {
    /// # Errors
    /// When the options contradict each other.
    pub(super) fn new(args: &GrepArgs, out: &Output) -> Result<Self, Failure> {
        let mut logs = args.logs.clone();
        if !args.patterns.is_empty()
            && let Some(first) = &args.pattern
        {
            logs.insert(0, first.into());
        }
        if logs.is_empty() {
            return Err(Failure::new(Exit::Usage, "no log to search; name it behind the pattern"));
        }
        if let (Some(from), Some(to)) = (args.from, args.to)
            && from > to
        {
            return Err(Failure::new(Exit::Usage, format!("--from {from} lies behind --to {to}; swap them")));
        }
        args.times.check(if args.follow { ToCome::Waits } else { ToCome::Mistake })?;
        let what = match args {
            GrepArgs { quiet: true, .. } => What::Nothing,
            GrepArgs { count: true, .. } => What::Count,
            GrepArgs { only_matching: true, .. } => What::Matches,
            _ => What::Lines,
        };
        let context = |own: Option<usize>| match what {
            What::Lines => own.or(args.context).unwrap_or(0),
            _ => 0,
        };
        Ok(Self {
            names: args.with_filename || (logs.len() > 1 && !args.no_filename),
            logs,
            trust: args.access.trust(),
            old: args.old.clone(),
            from: args.from.map(Position::new),
            to: args.to.map(Position::new),
            times: args.times.clone(),
            says_widths: args.verbose,
            holes: args.holes,
            follow: args.follow,
            what,
            most: args.max_count.unwrap_or(u64::MAX),
            before: context(args.before_context),
            after: context(args.after_context),
            inverted: args.invert_match,
            numbers: args.line_number,
            positions: args.byte_offset,
            painter: args.colours.painter(out),
            on_terminal: out.is_terminal(),
            colours: args.colours,
        })
    }

    pub(super) const fn has_context(&self) -> bool {
        self.before > 0 || self.after > 0
    }

    /// What makes a line harmless for what it is shown on.
    pub(super) fn escaper(&self) -> Option<Escaper> {
        self.on_terminal.then(|| self.colours.escaper())
    }
}
