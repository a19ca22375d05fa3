//! What may go wrong: connections, processes, the log, the host.

use mmlog_ship::machine::{Action, Event};

use crate::log::History;
use crate::mutants::Mutant;
use crate::world::{Setting, World};

impl World {
    pub(crate) fn faults(&self, setting: &Setting, i: usize, found: &mut Vec<(&'static str, bool, World)>) {
        let shipper = &self.shippers[i];
        if shipper.exit.is_none() {
            if !shipper.machine.is_closed() {
                self.spend(
                    |b| &mut b.cuts,
                    found,
                    "the connection is cut",
                    |world| {
                        let connection = world.shippers[i].machine.connection();
                        world.event(setting, i, Event::Lost { connection });
                        true
                    },
                );
            }
            if let Some(Action::Save(known)) = shipper.pending.front().copied() {
                self.spend(
                    |b| &mut b.unsaved,
                    found,
                    "saving fails",
                    |world| {
                        world.shippers[i].pending.pop_front();
                        world.seen.was_unsaved = true;
                        world.save(setting, i, known, false);
                        true
                    },
                );
            }
            self.spend(
                |b| &mut b.ticks,
                found,
                "time goes by",
                |world| {
                    world.now += 1;
                    world.sink.flushed = world.sink.then;
                    world.sink.then = world.sink.messages.len();
                    world.event(setting, i, Event::Tick(world.now));
                    true
                },
            );
        }
        // Whoever compares coordinates alone must take no message twice.
        let takes_twice = !self.sink.is_weak || setting.mutant == Some(Mutant::TakesTwice);
        if takes_twice && !shipper.wire.is_empty() {
            self.spend(
                |b| &mut b.duplicates,
                found,
                "a message is there twice",
                |world| {
                    let message = world.shippers[i].wire.front().cloned().unwrap();
                    world.bury(setting, [message].into());
                    true
                },
            );
        }
        if shipper.exit.is_none() && !shipper.is_stopping {
            self.spend(
                |b| &mut b.stops,
                found,
                "it is to end",
                |world| {
                    world.event(setting, i, Event::Stop);
                    true
                },
            );
        }
        self.spend(
            |b| &mut b.crashes,
            found,
            "it is killed and started",
            |world| {
                world.restart(setting, i);
                true
            },
        );
        if shipper.file.is_some() {
            self.spend(
                |b| &mut b.lost_files,
                found,
                "it is killed, its file lost",
                |world| {
                    world.shippers[i].file = None;
                    world.seen.lost_file = true;
                    world.restart(setting, i);
                    true
                },
            );
        }
        if shipper.old_file.is_some() {
            self.spend(
                |b| &mut b.old_files,
                found,
                "it is killed, its file put back",
                |world| {
                    world.shippers[i].file = world.shippers[i].old_file.take();
                    world.seen.old_file = true;
                    world.restart(setting, i);
                    true
                },
            );
        }
    }

    fn restart(&mut self, setting: &Setting, i: usize) {
        let file = self.shippers[i].file;
        let machine = self.machine(setting, file);
        let shipper = &mut self.shippers[i];
        let wire = std::mem::take(&mut shipper.wire);
        shipper.pending.clear();
        shipper.answers.clear();
        shipper.machine = machine;
        (shipper.looked, shipper.opened, shipper.exit) = (None, None, None);
        (shipper.heard, shipper.is_stopping, shipper.longest) = (None, false, 8);
        (shipper.wished, shipper.was_streaming) = (false, false);
        self.bury(setting, wire);
    }

    pub(crate) fn log_steps(&self, setting: &Setting, found: &mut Vec<(&'static str, bool, World)>) {
        for i in 0..self.logs.len() {
            // What nobody ships is there for the judge alone.
            if !self.shippers.iter().any(|shipper| shipper.log == i) {
                continue;
            }
            let log = &self.logs[i];
            self.spend(
                |b| &mut b.appends,
                found,
                "a byte is appended",
                |world| {
                    world.logs[i].append(false);
                    true
                },
            );
            self.spend(
                |b| &mut b.holes,
                found,
                "a writer is killed",
                |world| {
                    world.logs[i].append(true);
                    true
                },
            );
            if log.durable < log.bytes.len() {
                let mut world = self.clone();
                world.logs[i].durable = log.bytes.len();
                found.push(("the log is synced", true, world));
            }
            let oldest = |to: usize, name, found: &mut Vec<_>| {
                let mut world = self.clone();
                world.logs[i].oldest = to;
                found.push((name, false, world));
            };
            // What nobody holds goes, at once or by parts.
            let free = if self.seen.lost_hold { log.durable } else { log.oldest };
            let free = log.hold.map_or(free, |hold| hold as usize);
            let first = if setting.is_ragged { log.oldest + 1 } else { free.max(log.oldest + 1) };
            for to in first..=free {
                oldest(to, "prune", found);
            }
            let first = if setting.is_ragged { log.oldest + 1 } else { log.durable.max(log.oldest + 1) };
            for to in first..=log.durable {
                self.spend(
                    |b| &mut b.forced_prunes,
                    found,
                    "prune, forced",
                    |world| {
                        world.seen.was_forced = true;
                        world.logs[i].oldest = to;
                        true
                    },
                );
            }
            for at in log.oldest..log.durable {
                self.spend(
                    |b| &mut b.takings,
                    found,
                    "somebody takes a byte",
                    |world| {
                        world.logs[i].taken.push(at);
                        true
                    },
                );
            }
            if log.hold.is_some() {
                self.spend(
                    |b| &mut b.lost_holds,
                    found,
                    "its hold is ended",
                    |world| {
                        world.seen.lost_hold = true;
                        world.logs[i].hold = None;
                        true
                    },
                );
            }
        }
        self.host_steps(setting, found);
    }

    fn host_steps(&self, setting: &Setting, found: &mut Vec<(&'static str, bool, World)>) {
        for is_kept in [false, true] {
            self.spend(
                |b| &mut b.power_cuts,
                found,
                "a power cut",
                |world| {
                    world.seen.was_cut = true;
                    world.logs[0].power_cut(is_kept);
                    if is_kept {
                        world.logs[0].forget_holes();
                    }
                    world.restart(setting, 0);
                    true
                },
            );
        }
        for with_file in [false, true] {
            self.spend(
                |b| &mut b.clones,
                found,
                "the host is cloned",
                |world| {
                    world.seen.was_cloned = true;
                    let mut log = world.logs[0].clone();
                    log.parts = Some((log.bytes.len(), 60));
                    if !with_file {
                        log.hold = None;
                    }
                    world.logs.push(log);
                    let file = world.shippers[0].file.filter(|_| with_file);
                    let log = world.logs.len() - 1;
                    world.start(setting, log, file);
                    true
                },
            );
        }
        if self.shippers[0].exit.is_none() {
            self.spend(
                |b| &mut b.live_clones,
                found,
                "the host is cloned as it runs",
                |world| {
                    world.seen.was_cloned = true;
                    let mut log = world.logs[0].clone();
                    log.parts = Some((log.bytes.len(), 60));
                    world.logs.push(log);
                    let mut shipper = world.shippers[0].clone();
                    shipper.log = world.logs.len() - 1;
                    (shipper.wire, shipper.answers) = Default::default();
                    world.shippers.push(shipper);
                    let connection = world.shippers[0].machine.connection();
                    world.event(setting, 1, Event::Lost { connection });
                    true
                },
            );
        }
        if self.logs[0].durable > self.logs[0].oldest {
            self.spend(
                |b| &mut b.put_back,
                found,
                "the log is put back",
                |world| {
                    world.seen.was_put_back = true;
                    let old = world.logs[0].clone();
                    world.logs.push(old);
                    let log = &mut world.logs[0];
                    let to = log.durable - 1;
                    log.bytes.truncate(to);
                    (log.durable, log.parts) = (to, Some((to, 70)));
                    world.restart(setting, 0);
                    true
                },
            );
        }
        self.spend(
            |b| &mut b.remade,
            found,
            "the log is made anew",
            |world| {
                world.seen.was_remade = true;
                let old = world.logs[0].clone();
                world.logs.push(old);
                world.logs[0] = History::new(8, 2);
                world.restart(setting, 0);
                true
            },
        );
    }
}
