//! Logs that are searched for: which there are now.

use std::collections::HashMap;

use mmlog::Sight;

use super::log::Log;
use super::{Model, Screen};
use crate::discovery::{Census, Found};
use crate::exit::Verdict;

impl Model {
    /// Those that are no more go, unless something is wrong with them, or they are open on the screen.
    pub(super) fn found(&mut self, census: Census) {
        self.notes = census.notes();
        let chosen = self.logs.get(self.chosen).map(|log| (log.path.clone(), log.sight));
        let open = chosen.clone().filter(|_| self.screen == Screen::Log);
        let known = std::mem::take(&mut self.logs).into_iter();
        let mut known: HashMap<_, Log> = known.map(|log| ((log.path.clone(), log.sight), log)).collect();
        for found in census.found {
            let log = match known.remove(&(found.path.clone(), found.sight)) {
                Some(mut log) => {
                    log.is_held_by(found);
                    log
                }
                None => Log::found(found),
            };
            self.logs.push(log);
        }
        let stays = |(key, log): &(_, Log)| Some(key) == open.as_ref() || log.is_worth_keeping();
        for (_, mut log) in known.into_iter().filter(stays) {
            let (path, sight) = (log.path.clone(), log.sight);
            log.is_held_by(Found { path, sight, holders: Some(Vec::new()) });
            self.logs.push(log);
        }
        self.logs.sort_by(|a, b| (&a.path, a.sight).cmp(&(&b.path, b.sight)));
        let is_chosen =
            |log: &Log| chosen.as_ref().is_some_and(|(path, sight)| (path, *sight) == (&log.path, log.sight));
        self.chosen = self.logs.iter().position(is_chosen).unwrap_or(0);
    }
}

impl Log {
    /// Nobody has it open any more, and yet somebody should see it.
    fn is_worth_keeping(&self) -> bool {
        self.sight == Sight::Here && self.status().is_some() && self.verdict() != Verdict::Fine
    }
}
