//! What is looked at: the logs, and who their writers are. The live screen and a batch look in the same way. Logs that are
//! searched for come and go.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use mmlog::{Options, Together};

use super::model::{Event, Model};
use super::source::Source;
use crate::discovery::Search;
use crate::reading::metadata_of;
use crate::who::{self, People, Side, person};

/// Between two searches; and one part in so many of the time may go into them.
const SEARCH: Duration = Duration::from_secs(3);
const SHARE: u32 = 40;

/// The logs of a model, from outside.
pub struct World {
    options: Options,
    sources: HashMap<PathBuf, Source>,
    search: Option<(Search, Instant)>,
    people: People,
    readers: People,
    begun: Instant,
}

impl World {
    /// Nothing was looked at yet. A model without logs has those that are found.
    #[must_use]
    pub fn of(model: &Model, options: &Options) -> Self {
        let begun = Instant::now();
        let search = model.is_search.then(|| (Search::of_processes(), begun));
        let options = options.clone().together(&Together::default());
        let (people, readers) = (People::default(), People::at(Side::Output));
        Self { options, sources: HashMap::new(), search, people, readers, begun }
    }

    /// Looks at what is shown.
    pub fn look(&mut self, model: &mut Model) {
        self.search(model);
        for log in 0..model.logs.len() {
            if !model.wants(log) {
                continue;
            }
            let path = model.logs[log].path.clone();
            let mut look = self.source(&path).look();
            match &mut look {
                Ok(status) => {
                    who::name(status, &[], |key| self.people.who(key));
                    who::name_readers(status, |key| self.readers.who(key));
                }
                Err(_) => self.missed(&path),
            }
            model.update(Event::Looked { log, at: self.begun.elapsed(), look });
            if model.wants_people(log) {
                let writers = model.logs[log].status().map_or(&[][..], |status| &status.writers);
                let people = self.people.news(writers.iter().filter_map(person));
                self.readers.news(model.logs[log].status().into_iter().flat_map(who::late));
                model.update(Event::Introduced { log, people });
            }
            if model.wants_lines(log) {
                let pieces = self.source(&path).read();
                model.update(Event::Read { log, pieces });
            }
        }
        model.update(Event::Round(SystemTime::now()));
    }

    fn source(&mut self, path: &Path) -> &mut Source {
        let new = || Source::new(path, &self.options);
        self.sources.entry(path.to_owned()).or_insert_with(new)
    }

    fn search(&mut self, model: &mut Model) {
        let Some((search, due)) = &mut self.search else { return };
        let begun = Instant::now();
        if begun < *due || !model.is_live() {
            return;
        }
        model.update(Event::Found(search.run()));
        *due = begun + SEARCH.max(begun.elapsed() * SHARE);
        let paths: HashSet<&PathBuf> = model.logs.iter().map(|log| &log.path).collect();
        self.sources.retain(|path, _| paths.contains(path));
    }

    /// A log that is gone leaves the list at the next look.
    fn missed(&mut self, path: &Path) {
        if let Some((_, due)) = &mut self.search
            && metadata_of(path).symlink_metadata().is_err()
        {
            *due = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use mmlog::Log;
    use ratatui::layout::Size;

    use super::*;
    use crate::inspect::keys::Access;

    #[test]
    fn a_screen_without_a_log_tells_the_time() {
        let mut model = Model { is_search: false, ..Model::new(&[], Access::ReadOnly, Size::new(80, 24)) };
        World::of(&model, &Log::options()).look(&mut model);
        assert!(model.now > SystemTime::UNIX_EPOCH);
    }
}
