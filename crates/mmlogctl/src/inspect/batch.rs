//! Frames as plain text, and looks as JSON, for scripts.

use std::env;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use mmlog::{Options, Thresholds};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect, Size};
use serde_json::{Value, json};

use super::model::log::Log;
use super::model::{Event, Model};
use super::source::Source;
use super::style::WORDS;
use super::view;
use crate::commands::status::{APART, json};
use crate::exit::Failure;
use crate::output::Output;

/// A reader that has gone away is noticed after so long.
const SLICE: Duration = Duration::from_millis(500);

/// What is printed at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The screen.
    Text,
    /// An object for each log.
    Json,
}

/// `COLUMNS` and `LINES`, or 80x24.
#[must_use]
pub fn size() -> Size {
    let of = |name: &str, otherwise: u16| {
        let said = env::var(name).ok().and_then(|value| value.parse().ok());
        said.filter(|n| (1..=1000).contains(n)).unwrap_or(otherwise)
    };
    Size::new(of("COLUMNS", 80), of("LINES", 24))
}

/// The model beside the logs that it shows.
pub struct Batch {
    model: Model,
    sources: Vec<Source>,
    begun: Instant,
    form: Form,
}

impl Batch {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(model: Model, options: &Options, form: Form) -> Self {
        let sources = model.logs.iter().map(|log| Source::new(&log.path, options)).collect();
        Self { model, sources, begun: Instant::now(), form }
    }

    /// Prints one tick; looks as often as status does, to tell what stands from what works.
    ///
    /// # Errors
    /// When standard output fails.
    pub fn once(&mut self, out: &mut Output) -> Result<(), Failure> {
        self.look();
        thread::sleep(APART);
        self.look();
        let usual = Thresholds::default();
        let is_odd =
            |log: &Log| matches!(&log.look, Some(Ok(status)) if status.is_worth_another_look(&usual));
        if self.model.logs.iter().any(is_odd) {
            thread::sleep(usual.stopped);
            self.look();
        }
        self.print(out)
    }

    /// Prints a tick at each interval, so many times if told.
    ///
    /// # Errors
    /// When standard output fails.
    pub fn ticks(&mut self, interval: Duration, count: Option<u64>, out: &mut Output) -> Result<(), Failure> {
        let mut printed = 1;
        self.once(out)?;
        let mut due = Instant::now();
        while count.is_none_or(|count| printed < count) {
            due += interval;
            loop {
                let left = due.saturating_duration_since(Instant::now());
                if out.is_closed() {
                    return Err(Failure::OutputClosed);
                }
                if left.is_zero() {
                    break;
                }
                thread::sleep(left.min(SLICE));
            }
            self.look();
            if self.form == Form::Text {
                out.write(b"\n")?;
            }
            self.print(out)?;
            printed += 1;
        }
        Ok(())
    }

    fn look(&mut self) {
        for (log, source) in self.sources.iter_mut().enumerate() {
            let look = source.look();
            let (at, now) = (self.begun.elapsed(), SystemTime::now());
            self.model.update(Event::Looked { log, at, now, look });
        }
    }

    fn print(&self, out: &mut Output) -> Result<(), Failure> {
        let text = match self.form {
            Form::Text => frame(&self.model),
            Form::Json => self.model.logs.iter().map(|log| json::line(&object(log))).collect(),
        };
        out.write(text.as_bytes())
    }
}

/// The screen as plain text.
#[must_use]
pub fn frame(model: &Model) -> String {
    let mut buffer = Buffer::empty(Rect::from((Position::ORIGIN, model.size)));
    view::draw(model, &WORDS, &mut buffer);
    view::plain(&buffer)
}

/// That of `status --json`, with rates; of a log that cannot be looked at, why.
fn object(log: &Log) -> Value {
    let mut object = match &log.look {
        Some(Ok(status)) => json::object(status),
        Some(Err(finding)) => json::explained(&log.path, finding),
        None => Value::Null,
    };
    let rates = log.history.rates();
    object["rates"] = json!({
        "bytes_per_second": rates.map(|r| r.bytes),
        "messages_per_second": rates.map(|r| r.messages),
        "growth_per_second": rates.map(|r| r.growth),
        "full_in_seconds": log.full_in().map(|d| d.as_secs()),
    });
    object
}
