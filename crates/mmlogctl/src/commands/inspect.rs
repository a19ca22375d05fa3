//! `mmlogctl inspect [LOG...]`: a live screen for whoever is on call.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mmlog::Log;
use ratatui::layout::Size;

use crate::arguments::{self, Access};
use crate::colours::Coloured;
use crate::exit::{Exit, Failure};
use crate::inspect::batch::{self, Batch, Form};
use crate::inspect::keys;
use crate::inspect::model::{Model, Mouse};
use crate::inspect::pace::Pace;
use crate::inspect::screen;
use crate::inspect::style::Styles;
use crate::inspect::zone::Zone;
use crate::output::Output;
use crate::signals;

/// Between two looks of the screen.
const LIVE: Duration = Duration::from_millis(250);
/// Between two ticks of a batch.
const TICK: Duration = Duration::from_secs(2);
/// What may be asked for.
const RANGE: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(3600);

/// Watch logs on a live screen: what is wrong, who it is, what to do next.
///
/// The first word is the worst that is true, as of status; then why and since when; then, on a line of its own, the
/// command to paste. One line of figures follows, with when the disk is full if it goes on like this (no further ahead than
/// sixty times as long as was looked back). Then who appends, and the last lines: from 100 columns and 30 rows on side by
/// side, with charts of the last minutes.
///
/// Tab goes to followers, holes, segments, the lock and all findings; z shows one pane alone; ? shows all keys. A writer is
/// told by its command line, its user, unit or container, and by who writes into its pipe. The wheel scrolls and a click
/// chooses; Shift with the mouse, or the key m, selects text. NO_COLOR is honoured; every state is a word, every mark a
/// character, and only ASCII is drawn where the locale has no UTF-8.
///
/// It only looks, and works on a damaged log too. The operations trim, rotate and repair show their plan first and ask for a
/// typed word. It is no burden: it never asks writers to wake it, and looks less often where looking takes long.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// The data files of the logs; of several, a list comes first. Without one, the list of all logs that processes of this
    /// host have open, as far as one may see (root: all), which come and go.
    #[arg(value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// Between two looks: 250ms, 2s; a bare number is seconds. The default is 250ms, with --batch 2s.
    #[arg(short = 'd', long, value_name = "DUR", value_parser = interval)]
    interval: Option<Duration>,
    /// Print one frame as plain text and exit, with the exit code that status would have; 80x24, or as COLUMNS and LINES say.
    /// It takes a second, which rates are the mean of.
    #[arg(long, conflicts_with = "batch")]
    once: bool,
    /// Print a frame as plain text at each interval.
    #[arg(long)]
    batch: bool,
    /// With --batch or --once: one JSON object for each log and tick, that of status --json with rates, and the seconds that they
    /// are the mean of (over_s).
    #[arg(long)]
    json: bool,
    /// With --batch: end after so many.
    #[arg(short = 'n', long, value_name = "COUNT", requires = "batch", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// No operations, nor keys for them.
    #[arg(long)]
    read_only: bool,
    /// Tell times in UTC, not in the local time.
    #[arg(long)]
    utc: bool,
    /// Leave the mouse to the terminal, which selects text with it; the key m changes that at any time.
    #[arg(long)]
    no_mouse: bool,
    #[command(flatten)]
    coloured: Coloured,
    #[command(flatten)]
    access: Access,
}

/// Shows the logs, whatever state they are in.
///
/// # Errors
/// When there is no terminal, or standard output fails.
pub fn run(args: &InspectArgs, out: &mut Output) -> Result<Exit, Failure> {
    let trust = args.access.trust();
    let options = Log::options().trust(trust);
    let access = if args.read_only { keys::Access::ReadOnly } else { keys::Access::Operate };
    let model = |size: Size| Model {
        zone: if args.utc { Zone::utc() } else { Zone::local() },
        mouse: if args.no_mouse { Mouse::Terminals } else { Mouse::Ours },
        ..Model::new(&args.logs, access, size)
    };
    if args.once || args.batch {
        signals::end_by_them();
        let options = signals::flag().map_or(options.clone(), |flag| options.clone().stop(flag));
        let form = if args.json { Form::Json } else { Form::Text };
        let mut batch = Batch::new(model(batch::size()), &options, form);
        if args.once {
            return batch.once(out);
        }
        batch.ticks(args.interval.unwrap_or(TICK), args.count, out)?;
        return Ok(Exit::Done);
    }
    if args.json {
        return Err(Failure::new(Exit::Usage, "--json is for scripts; give --once or --batch with it"));
    }
    if !out.is_terminal() || !io::stdin().is_terminal() {
        let text = "inspect needs a terminal; --once prints one frame as text, --batch one after the other";
        return Err(Failure::new(Exit::Failed, text));
    }
    let pace = Pace::new(args.interval.unwrap_or(LIVE));
    let styles = Styles::with(args.coloured.are_on(out));
    match screen::run(model(Size::new(80, 24)), &styles, &options, trust, pace) {
        Ok(()) => Ok(Exit::Done),
        Err(e) => Err(Failure::new(Exit::Failed, format!("the terminal failed: {}", mmlog::reason(&e)))),
    }
}

/// `2`, `0.5`, `250ms`, `2s`, from 50 ms to an hour.
fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let given = seconds.map_or_else(|| arguments::duration(text), Ok)?;
    if RANGE.contains(&given) { Ok(given) } else { Err("not from 50ms to 1h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_duration_or_seconds_and_has_a_range() {
        assert_eq!(interval("2"), Ok(Duration::from_secs(2)));
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["0", "-1", "49ms", "2h", "soon", "", "NaN", "inf", "1e300"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
