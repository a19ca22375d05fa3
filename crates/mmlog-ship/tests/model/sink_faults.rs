//! What may go wrong with the sink: it goes back, is another, forgets, is shared, or shows what it was.

use mmlog_ship::machine::Action;

use crate::sink::{Message, Sink};
use crate::world::{Setting, World};

impl World {
    pub(crate) fn sink_steps(&self, setting: &Setting, found: &mut Vec<(&'static str, bool, World)>) {
        if !self.sink.messages.is_empty() && self.budget.copies > 0 {
            self.spend(
                |b| &mut b.copies,
                found,
                "the sink is copied",
                |world| {
                    world.copy = Some(world.sink.messages.clone());
                    true
                },
            );
        }
        if let Some(copy) = &self.copy {
            self.stale_steps(setting, copy, found);
            self.spend(
                |b| &mut b.moves,
                found,
                "a new sink has the copy",
                |world| {
                    world.seen.news += 1;
                    world.seen.is_unseen = true;
                    world.sink.put_back(copy.clone());
                    world.sink.born += 1;
                    true
                },
            );
            self.spend(
                |b| &mut b.restores,
                found,
                "the sink is put back",
                |world| {
                    (world.seen.sink_went_back, world.seen.is_unseen) = (true, true);
                    world.sink.put_back(copy.clone());
                    *copy != self.sink.messages
                },
            );
        }
        for to in self.sink.flushed..self.sink.messages.len() {
            self.spend(
                |b| &mut b.forgets,
                found,
                "the sink forgets",
                |world| {
                    world.seen.is_unseen = true;
                    world.sink.messages.truncate(to);
                    world.sink.trimmed = world.sink.trimmed.min(to);
                    world.sink.then = world.sink.then.min(to);
                    world.seen.was_emptied |= world.sink.messages.iter().all(Message::is_opening);
                    true
                },
            );
        }
        if !self.sink.messages.is_empty() {
            self.spend(
                |b| &mut b.wipes,
                found,
                "the sink is wiped",
                |world| {
                    world.seen.news += 1;
                    world.seen.is_unseen = true;
                    world.sink.put_back(vec![]);
                    true
                },
            );
            self.spend(
                |b| &mut b.rebirths,
                found,
                "the sink is made anew",
                |world| {
                    world.seen.news += 1;
                    world.seen.is_unseen = true;
                    world.sink.put_back(vec![]);
                    world.sink.born += 1;
                    true
                },
            );
            let first = if setting.is_ragged { self.sink.trimmed + 1 } else { self.sink.messages.len() };
            for to in first..=self.sink.messages.len() {
                self.spend(
                    |b| &mut b.trims,
                    found,
                    "the sink's retention",
                    |world| {
                        world.seen.was_trimmed = true;
                        world.sink.trimmed = to;
                        true
                    },
                );
            }
        }
        self.server_steps(found);
    }

    /// A replica that is behind answers.
    fn stale_steps(&self, setting: &Setting, copy: &[Message], found: &mut Vec<(&'static str, bool, World)>) {
        for i in 0..self.shippers.len() {
            if self.shippers[i].pending.front() != Some(&Action::Look) {
                continue;
            }
            self.spend(
                |b| &mut b.stale,
                found,
                "it is shown an earlier tail",
                |world| {
                    world.seen.was_stale = true;
                    world.shippers[i].pending.pop_front();
                    let mut sink: Sink = world.sink.clone();
                    sink.put_back(copy.to_vec());
                    world.shown(setting, i, sink.tail(setting.mutant));
                    world.seen.is_unseen = true;
                    true
                },
            );
        }
    }

    fn server_steps(&self, found: &mut Vec<(&'static str, bool, World)>) {
        self.spend(
            |b| &mut b.reboots,
            found,
            "the server starts again, and knows no id",
            |world| {
                world.sink.is_forgetful = true;
                true
            },
        );
        self.spend(
            |b| &mut b.shrinks,
            found,
            "the server takes less",
            |world| {
                world.sink.longest = 1;
                true
            },
        );
        let Some(first) = self.sink.messages.first() else { return };
        self.spend(
            |b| &mut b.strangers,
            found,
            "somebody else appends",
            |world| {
                (world.seen.has_strangers, world.seen.is_unseen) = (true, true);
                let message = Message { is_foreign: true, payload: vec![], ..first.clone() };
                world.sink.messages.push(message);
                true
            },
        );
    }
}
