//! Frames as plain text, and looks as JSON, for scripts.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use mmlog::{Holder, Options};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect, Size};
use serde_json::{Value, json};

use super::history::RATE;
use super::model::Model;
use super::model::log::Log;
use super::style::Styles;
use super::view;
use super::world::World;
use crate::commands::status::json;
use crate::exit::{Exit, Failure};
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
    world: World,
    styles: Styles,
    form: Form,
}

impl Batch {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(model: Model, options: &Options, form: Form) -> Self {
        let world = World::of(&model, options);
        Self { model, world, styles: Styles::with(false), form }
    }

    /// Prints one tick; looks as often as status does, to tell what stands from what works, and ends as that does. Then it
    /// looks once more, so that rates are of a second.
    ///
    /// # Errors
    /// When standard output fails.
    pub fn once(&mut self, out: &mut Output) -> Result<Exit, Failure> {
        let begun = Instant::now();
        self.world.settle(&mut self.model);
        let is_short = |log: &Log| log.history.rates().is_none_or(|rates| rates.over < RATE);
        if self.model.logs.iter().any(|log| log.status().is_some() && is_short(log)) {
            thread::sleep(RATE.saturating_sub(begun.elapsed()));
            self.world.look(&mut self.model);
        }
        self.print(out)?;
        Ok(self.world.exit())
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
            self.world.look(&mut self.model);
            if self.form == Form::Text {
                out.line("")?;
            }
            self.print(out)?;
            printed += 1;
        }
        Ok(())
    }

    fn print(&self, out: &mut Output) -> Result<(), Failure> {
        let text = match self.form {
            Form::Text => frame(&self.model, &self.styles),
            Form::Json => self.model.logs.iter().map(|log| json::line(&object(log))).collect(),
        };
        out.text(&text)
    }
}

/// The screen as plain text.
#[must_use]
pub fn frame(model: &Model, styles: &Styles) -> String {
    let mut buffer = Buffer::empty(Rect::from((Position::ORIGIN, model.size)));
    view::draw(model, styles, &mut buffer);
    view::plain(&buffer)
}

/// That of `status --json`, with rates; of a log that cannot be looked at, why.
pub(crate) fn object(log: &Log) -> Value {
    let mut object = match &log.look {
        Some(Ok(status)) => json::object(status),
        Some(Err(finding)) => {
            let mut object = json::explained(&log.path, finding);
            object["state"] = json!(log.word());
            object
        }
        None => Value::Null,
    };
    let holder = |h: &Holder| json!({ "pid": h.pid, "command": h.command });
    let holders = log.holders.as_ref().map(|holders| holders.iter().map(holder).collect::<Vec<_>>());
    object["sight"] = json!(format!("{:?}", log.sight).to_lowercase());
    object["open_by"] = json!(holders);
    let rates = log.history.rates();
    object["rates"] = json!({
        "bytes_per_second": rates.map(|r| r.bytes),
        "messages_per_second": rates.map(|r| r.messages),
        "growth_per_second": rates.map(|r| r.growth),
        "over_s": rates.map(|r| r.over.as_secs_f64()),
        "full_in_seconds": log.full_in().map(|d| d.as_secs()),
    });
    object
}
