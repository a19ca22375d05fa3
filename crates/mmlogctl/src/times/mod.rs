//! Time on the command line: `--since` and `--until`.
//!
//! [`moment`] reads what was typed, [`mod@line`] what a line begins with. The log says between which positions the asked time
//! lies, [`narrow`] finds the lines in there. The range that comes out is contiguous and holds everything that was appended
//! in the asked time; what else may be in it is said.

pub mod found;
pub mod line;
pub mod moment;
pub mod narrow;

use clap::Args;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::exit::{Exit, Failure};
use moment::Moment;

/// From when to when. Flattened into the commands that read logs.
#[derive(Args, Clone, Debug, Default)]
pub struct TimeRange {
    /// Begin with what was appended then or later: 14:00, `2026-11-28 14:00`, yesterday, 15m, @EPOCH or RFC 3339.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = Moment::typed,
        allow_hyphen_values = true,
        long_help = "Begin with what was appended then or later: `14:00` or `14:00:05` (today), `2026-11-28 14:00`, `today`, `yesterday`, \
        `yesterday 14:00`, `15m` or `2h30m` or `15m ago` (before now; `-15m` is the same), `@EPOCH`, or RFC 3339 such as 2026-11-28T14:00:05Z. Where no zone \
        is named it is the local time; of one that a change of the clocks repeats, the first is meant.\n\n\
        Nothing that was appended in the asked time is left out, wherever the clock was set. What is printed is contiguous, so some of what came before \
        may be there, too: the log knows the time of a position to about a second, later to 0.4 % of its age. Where lines begin with a time (RFC 3339 as of \
        `append --timestamp`, `2026-11-28 14:00:05`, syslog's, the common log format's), it is exact to the line, if they are sorted and within a second of \
        when they were appended; else lines of up to 10 s more are printed. What was pruned, and a clock that was set meanwhile, is said on standard error."
    )]
    since: Option<Moment>,
    /// End with what was appended until then; the forms are those of --since.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = Moment::typed,
        allow_hyphen_values = true,
        long_help = "End with what was appended until then; the forms, and what is promised, are those of --since. A time that is still to come is for following, \
        which ends then; there `+15m` is one, too. Less than a minute ahead is taken for now: clocks differ."
    )]
    until: Option<Moment>,
}

/// An end that is so near is now: whoever types `14:30` at 14:29:58, or has the time from another host, means what is there.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// What an end that is still to come means.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ToCome {
    /// It is waited for.
    Waits,
    /// A mistake.
    Mistake,
}

impl TimeRange {
    /// Whether any of it was typed.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// The asked times, from the first to the last instant.
    pub(crate) fn asked(&self) -> (Option<jiff::Timestamp>, Option<jiff::Timestamp>) {
        (self.since.as_ref().map(|at| at.earliest), self.until.as_ref().map(|at| at.latest))
    }

    /// Whether a start was typed.
    #[must_use]
    pub const fn has_start(&self) -> bool {
        self.since.is_some()
    }

    /// Whether what was asked for has ended by now.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.until.as_ref().is_some_and(|until| until.latest < crate::text::now())
    }

    /// The same range of a log that was made later: from its start.
    #[must_use]
    pub fn without_since(&self) -> Self {
        Self { since: None, until: self.until.clone() }
    }

    /// What makes no sense.
    ///
    /// # Errors
    /// A time that is still to come; an end before the start.
    pub fn check(&self, to_come: ToCome) -> Result<(), Failure> {
        let typed = [("--since", &self.since), ("--until", &self.until)];
        for (option, moment) in typed {
            let leeway = match (option, to_come) {
                ("--until", ToCome::Waits) => continue,
                ("--until", ToCome::Mistake) => LEEWAY,
                _ => SignedDuration::ZERO,
            };
            if let Some(moment) = moment.as_ref().filter(|moment| moment.is_to_come(leeway)) {
                return Err(usage(&format!("{option} {}", still_to_come(option, moment, to_come))));
            }
        }
        if let (Some(since), Some(until)) = (&self.since, &self.until)
            && since.earliest > until.latest
        {
            let text = format!("--since {} lies behind --until {}; swap them", since.typed, until.typed);
            return Err(usage(&text));
        }
        Ok(())
    }

    /// What has to be said of the times themselves, before any log is read.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let remark = |option, moment: &Moment, taken| {
            let Moment { typed, earliest, latest, .. } = moment;
            let (a, b) = (told(*earliest), told(*latest));
            format!("{option} {typed}: the clocks change then, so it is {a} or {b}; {taken} is taken")
        };
        let since = self.since.as_ref().filter(|moment| moment.is_ambiguous());
        let until = self.until.as_ref().filter(|moment| moment.is_ambiguous());
        let since = since.map(|moment| remark("--since", moment, "the first"));
        since.into_iter().chain(until.map(|moment| remark("--until", moment, "the second"))).collect()
    }
}

fn still_to_come(option: &str, moment: &Moment, to_come: ToCome) -> String {
    let Moment { typed, earliest, now, .. } = moment;
    let next = match (option, to_come) {
        ("--until", ToCome::Mistake) => "leave it out to read to the end, or follow with tail -f; else ",
        _ => "",
    };
    format!(
        "{typed}: {} is still to come, it is {}; {next}type one of: {}",
        told(*earliest),
        told(*now),
        moment::FORMS
    )
}

fn usage(text: &str) -> Failure {
    Failure::new(Exit::Usage, text)
}

/// A time for people: where they are.
pub(crate) fn told(at: jiff::Timestamp) -> String {
    let zoned = at.to_zoned(local());
    let zone = if zoned.offset().is_zero() { "Z" } else { "%:z" };
    let part = if at.subsec_nanosecond() == 0 { "" } else { "%.3f" };
    zoned.strftime(&format!("%Y-%m-%d %H:%M:%S{part}{zone}")).to_string()
}

/// The zone in which times are read and told: as `TZ` or the system says; UTC where nobody says.
#[must_use]
pub fn local() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}
