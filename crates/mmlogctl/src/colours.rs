//! Colours of what is printed: when, and which.

use std::env;

use clap::{Args, ValueEnum};

use crate::exit::Verdict;
use crate::output::Output;
use crate::reading::escape::Escaper;

/// When colours are written.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum When {
    /// On a terminal that has them, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always, also into a pipe.
    Always,
    /// Never.
    Never,
}

/// `--color`. Flattened into the commands that have something to colour.
#[derive(Args, Copy, Clone, Debug, Default)]
pub struct Coloured {
    /// When to use colours: on a terminal, unless NO_COLOR is set; always; never.
    #[arg(
        long,
        alias = "colour",
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    color: When,
}

/// The same for the commands that print logs, which may have colours of their own.
#[derive(Args, Copy, Clone, Debug, Default)]
pub struct Colours {
    #[command(flatten)]
    coloured: Coloured,
    /// On a terminal, show the colours of the log's own lines (SGR sequences); all other control characters stay escaped.
    /// A colour ends with its line. Elsewhere all bytes are as they are anyway.
    #[arg(short = 'R', long)]
    raw: bool,
}

impl Coloured {
    /// What colours what goes to standard output.
    #[must_use]
    pub fn painter(self, out: &Output) -> Painter {
        Painter { on: self.are_on(out) }
    }

    /// Whether there are any.
    #[must_use]
    pub fn are_on(self, out: &Output) -> bool {
        match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => out.is_terminal() && are_wanted(),
        }
    }
}

impl Colours {
    /// What colours what goes to standard output.
    #[must_use]
    pub fn painter(self, out: &Output) -> Painter {
        self.coloured.painter(out)
    }

    /// What makes bytes of a log harmless for a terminal.
    #[must_use]
    pub fn escaper(self) -> Escaper {
        if self.raw && self.coloured.color != When::Never {
            Escaper::with_colours()
        } else {
            Escaper::default()
        }
    }
}

/// As `NO_COLOR` and `TERM` ask for.
#[must_use]
pub fn are_wanted() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb" || term == "vt100");
    !(refused || dumb)
}

/// What a text means.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Somebody should look at it some time.
    Attention,
    /// Somebody should look at it now.
    Bad,
    /// It says what follows.
    Title,
    /// A name before what is of that.
    Name,
    /// A number before what is at that.
    Number,
    /// What stands between those.
    Separator,
}

impl From<Verdict> for Tone {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Fine => Self::Good,
            Verdict::Warning | Verdict::Unknown => Self::Attention,
            Verdict::Critical => Self::Bad,
        }
    }
}

/// Colours text, or leaves it as it is.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Painter {
    on: bool,
}

impl Painter {
    /// Whether it colours anything.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.on
    }

    /// What stands before and behind text of that tone.
    #[must_use]
    pub const fn around(self, tone: Tone) -> (&'static str, &'static str) {
        if !self.on {
            return ("", "");
        }
        let begin = match tone {
            Tone::Good => "\x1b[1;32m",
            Tone::Attention => "\x1b[1;33m",
            Tone::Bad => "\x1b[1;31m",
            Tone::Title => "\x1b[1m",
            Tone::Name => "\x1b[35m",
            Tone::Number => "\x1b[32m",
            Tone::Separator => "\x1b[36m",
        };
        (begin, "\x1b[0m")
    }

    /// The text in its colour.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let (begin, end) = self.around(tone);
        format!("{begin}{text}{end}")
    }
}
