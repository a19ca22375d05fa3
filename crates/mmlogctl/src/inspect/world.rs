//! What is looked at: the logs, and who their writers are. The live screen and a batch look in the same way. Logs that are
//! searched for come and go.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use mmlog::{Options, Status, Thresholds, Together};

use super::model::log::Log;
use super::model::{Event, Model};
use super::source::Source;
use crate::commands::status::APART;
use crate::discovery::Search;
use crate::exit::Exit;
use crate::reading::metadata_of;
use crate::who::{self, People, Side, Who, person};

/// Between two searches; and one part in so many of the time may go into them.
const SEARCH: Duration = Duration::from_secs(3);
const SHARE: u32 = 40;
/// What may stand for a moment only is looked at a third time.
const LOOKS: usize = 3;

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
            // Who is shown, and whoever is named, before that is drawn: nobody has two names.
            let people = match &mut look {
                Ok(status) => self.introduce(status),
                Err(_) => {
                    self.missed(&path);
                    Vec::new()
                }
            };
            model.update(Event::Looked { log, at: self.begun.elapsed(), look });
            model.update(Event::Introduced { log, people });
            if model.wants_lines(log) {
                let pieces = self.source(&path).read();
                model.update(Event::Read { log, pieces });
            }
        }
        model.update(Event::Round(SystemTime::now()));
    }

    /// Looks until what stands can be told from what works, as status does.
    pub fn settle(&mut self, model: &mut Model) {
        for _ in 0..LOOKS {
            self.look(model);
            match self.again(model) {
                Some(soon) => thread::sleep(soon),
                None => break,
            }
        }
    }

    /// How soon another look tells more than this one could.
    #[must_use]
    pub fn again(&self, model: &Model) -> Option<Duration> {
        let usual = Thresholds::default();
        let shown = || (0..model.logs.len()).filter(|log| model.wants(*log)).map(|log| &model.logs[log]);
        if shown().any(|log| self.sources.get(&log.path).is_some_and(Source::is_new)) {
            return Some(APART);
        }
        let is_odd = |log: &Log| log.status().is_some_and(|status| status.is_worth_another_look(&usual));
        shown().any(is_odd).then_some(usual.stopped)
    }

    /// What a command ends with that could look at these logs, or could not.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.sources.values().map(Source::exit).max().unwrap_or(Exit::Done)
    }

    /// Has the findings name whoever is known; those of whom something is known now that was not before.
    fn introduce(&mut self, status: &mut Status) -> Vec<(who::Key, Who)> {
        let news = self.people.news(who::named(status).chain(status.writers.iter().filter_map(person)));
        self.readers.news(who::late(status));
        who::name(status, &[], |key| self.people.who(key));
        who::name_readers(status, |key| self.readers.who(key));
        news
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
    fn what_was_looked_at_once_is_looked_at_again_at_once() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("app.log");
        Log::options().open_or_create(&path)?;
        let mut model = Model::new(&[path], Access::ReadOnly, Size::new(80, 24));
        let mut world = World::of(&model, &Log::options());
        world.look(&mut model);
        assert_eq!(world.again(&model), Some(APART), "one look does not tell what stands");
        world.look(&mut model);
        assert_eq!((world.again(&model), world.exit()), (None, Exit::Done));
        Ok(())
    }

    #[test]
    fn a_log_that_is_not_there_ends_a_frame_as_it_ends_status() {
        let missing = Path::new("/nonexistent/app.log").to_path_buf();
        let mut model = Model::new(&[missing], Access::ReadOnly, Size::new(80, 24));
        let mut world = World::of(&model, &Log::options());
        world.settle(&mut model);
        assert_eq!(world.exit(), Exit::Failed);
    }

    #[test]
    fn a_screen_without_a_log_tells_the_time() {
        let mut model = Model { is_search: false, ..Model::new(&[], Access::ReadOnly, Size::new(80, 24)) };
        World::of(&model, &Log::options()).look(&mut model);
        assert!(model.now > SystemTime::UNIX_EPOCH);
    }
}
