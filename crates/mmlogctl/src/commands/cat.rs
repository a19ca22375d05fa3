//! `mmlogctl cat`: exactly the committed bytes.

use std::path::{Path, PathBuf};

use clap::Args;
use mmlog::{Log, Position, Start};

use crate::arguments::{Access, OldSegments, size};
use crate::colours::Colours;
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::reading::copy::{Copier, Order, Plain, Render, Shown, Sink, Stopped};
use crate::reading::json::{Form, Formed, JsonLines};
use crate::reading::seen::keep_seen;
use crate::reading::skip::Skip;
use crate::reading::{self, Holes, stopped};
use crate::signals;
use crate::times::{TimeRange, ToCome};

/// Print logs: exactly the committed bytes, without holes.
#[derive(Args, Debug)]
#[command(
    long_about = "Print logs: exactly the committed bytes, up to the last one that was final when the \
    command started, so that it also ends while others append. Neither preallocated space nor what a \
    dead writer left behind is shown, unlike by cat(1). On a terminal control characters are escaped, also those that turn the direction of writing; -R lets colours through. What \
    could not be printed is said on standard error: of a damaged log, or one that lacks a segment, what is there \
    is printed, what lies behind a damaged segment too, and the exit code is 4; where something could not be looked at it is 1. \
    Holes and pruned ranges are no failure."
)]
pub struct CatArgs {
    #[command(flatten)]
    access: Access,
    /// Logs to print, one after the other.
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// Start at this position instead of the oldest one that is kept.
    #[arg(long, value_name = "POSITION", value_parser = size, conflicts_with = "since")]
    from: Option<u64>,
    /// Stop before this position.
    #[arg(long, value_name = "POSITION", value_parser = size, conflicts_with = "until")]
    to: Option<u64>,
    #[command(flatten)]
    times: TimeRange,
    /// With --since and --until, say how far the ends may be from these times.
    #[arg(short, long)]
    verbose: bool,
    /// What to print for a hole, a range whose writer ended before it was written.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    holes: Holes,
    #[command(flatten)]
    form: Formed,
    #[command(flatten)]
    colours: Colours,
    #[command(flatten)]
    old: OldSegments,
}

/// Prints the logs; one that fails does not keep the others from being printed.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &CatArgs, out: &mut Output) -> Result<Exit, Failure> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        return Err(Failure::new(Exit::Usage, format!("--from {from} lies behind --to {to}; swap them")));
    }
    args.times.check(ToCome::Mistake)?;
    for remark in args.times.remarks() {
        out.notice(&remark);
    }
    reading::widen_pipe(out);
    let mut worst = Exit::Done;
    for (path, printed) in args.logs.iter().zip(0..) {
        if signals::came() {
            out.notice(&format!("told to stop when {printed} of {} logs were printed", args.logs.len()));
            return Ok(Exit::Failed);
        }
        let ended = match print(path, args, out) {
            Ok(ended) => ended,
            Err(failure) => reading::report(failure, out)?,
        };
        worst = worst.max(ended);
    }
    Ok(worst)
}

fn print(path: &Path, args: &CatArgs, out: &mut Output) -> Result<Exit, Failure> {
    let log = reading::open(path, args.access.trust(), &args.old)?;
    reading::say_left_out(&log, out)?;
    let now = log.watermark()?;
    let range = range(path, &log, args, out)?;
    let start = match range.from.map(Position::new) {
        None => Start::Oldest,
        Some(from) => {
            reading::check_position(path, from, now)?;
            Start::At(from)
        }
    };
    let until = range.to.map_or(now, |to| now.min(Position::new(to)));
    let mut follower = log.follow(start)?;
    keep_seen(&follower);
    if let Some(notice) = reading::unrecovered(path, &follower)? {
        out.notice(&notice);
    }
    let named = (args.logs.len() > 1).then_some(path);
    let render: Box<dyn Render> = match args.form.output {
        Form::Json => Box::new(JsonLines::new(named, args.form.max_line, b'\n')),
        Form::Text if out.is_terminal() => Box::new(args.colours.escaper()),
        Form::Text => Box::new(Plain),
    };
    let mut copier = Copier::new(args.holes, Skip::NOTHING, render);
    copier.begins(follower.log_id(), follower.generation());
    let mut sink = Printed { path, out, worst: Exit::Done };
    if copier.copy(&mut follower, Some(until), &mut sink)? == Stopped::Ordered {
        return Err(stopped(path, follower.position(), until));
    }
    copier.finish(&follower, &mut sink)?;
    if range.to.is_none()
        && let Some(text) = reading::outside(path, &follower)?
    {
        sink.say(&text);
    }
    let worst = sink.worst;
    match reading::damage(path, &mut follower)? {
        Some(damage) => Ok(worst.max(reading::report(damage, out)?)),
        None => Ok(worst),
    }
}

/// From where to where; nothing for what is there.
struct Range {
    from: Option<u64>,
    to: Option<u64>,
}

/// As positions or times say, or both.
fn range(path: &Path, log: &Log, args: &CatArgs, out: &mut Output) -> Result<Range, Failure> {
    let typed = Range { from: args.from, to: args.to };
    let Some(found) = args.times.find(log, b'\n')? else { return Ok(typed) };
    for text in found.said(args.verbose) {
        out.notice(&format!("{}: {text}", shown(path)));
    }
    Ok(Range { from: typed.from.or(found.from), to: typed.to.or(found.to) })
}

/// Standard output for one log.
struct Printed<'a> {
    path: &'a Path,
    out: &'a mut Output,
    worst: Exit,
}

impl Sink for Printed<'_> {
    fn write(&mut self, shown: Shown<'_>) -> Result<(), Failure> {
        self.out.write(shown.bytes)
    }

    fn say(&mut self, text: &str) {
        self.out.notice(&format!("{}: {text}", shown(self.path)));
    }

    fn worsen(&mut self, to: Exit) {
        self.worst = self.worst.max(to);
    }

    fn order(&self) -> Order {
        if signals::came() { Order::Stop } else { Order::GoOn }
    }
}
