//! What is looked at: the logs, and who their writers are. The live screen and a batch look in the same way.

use std::time::{Instant, SystemTime};

use mmlog::Options;

use super::model::log::person;
use super::model::{Event, Model};
use super::source::Source;
use crate::who::People;

/// The logs of a model, from outside.
pub struct World {
    sources: Vec<Source>,
    people: People,
    begun: Instant,
}

impl World {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn of(model: &Model, options: &Options) -> Self {
        let sources = model.logs.iter().map(|log| Source::new(&log.path, options)).collect();
        Self { sources, people: People::default(), begun: Instant::now() }
    }

    /// Looks at what is shown.
    pub fn look(&mut self, model: &mut Model) {
        for (log, source) in self.sources.iter_mut().enumerate() {
            if model.wants(log) {
                let look = source.look();
                let (at, now) = (self.begun.elapsed(), SystemTime::now());
                model.update(Event::Looked { log, at, now, look });
            }
            if model.wants_people(log) {
                let writers = model.logs[log].status().map_or(&[][..], |status| &status.writers);
                let people = self.people.news(writers.iter().filter_map(person));
                model.update(Event::Introduced { log, people });
            }
            if model.wants_lines(log) {
                let pieces = source.read();
                model.update(Event::Read { log, pieces });
            }
        }
    }
}
