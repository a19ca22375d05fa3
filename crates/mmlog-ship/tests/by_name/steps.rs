//! Everything that may happen next, what is wrong with a state, and with one in which nothing more happens by itself.

use std::collections::BTreeMap;

use mmlog_ship::machine::Event;
use mmlog_ship::unit::{Kind, Proof};

use crate::searched::{self, Step};
use crate::world::{Budget, LEN, Object, Segment, Setting, World};

impl searched::World for World {
    type Setting = Setting;

    fn wrong(&self) -> Option<&'static str> {
        self.wrong
    }

    /// Nothing more happens by itself.
    fn settled(&self, setting: Setting) -> Option<&'static str> {
        for shipper in &self.shippers {
            if shipper.exit.is_none() && shipper.machine.idle_at() != Some(self.end(setting)) {
                return Some("it waits for nothing");
            }
        }
        let is_there = self.began.is_some_and(|began| self.covers(began, self.end(setting)));
        let is_excused =
            self.is_unseen || self.lost_for_ever || self.shippers.iter().any(|s| s.exit.is_some());
        (!is_there && !is_excused).then_some("it is idle, and the store has not all")
    }

    fn steps(&self, setting: Setting, found: &mut Vec<Step<World>>) {
        let mut go = |name, by_itself, change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            change(&mut world);
            world.judge();
            found.push((name, by_itself, world));
        };
        for (i, shipper) in self.shippers.iter().enumerate() {
            if !shipper.pending.is_empty() {
                go("it acts", true, &|w| w.act(setting, i));
            }
            if shipper.exit.is_none() {
                if shipper.machine.is_closed() {
                    go("it connects", true, &|w| w.event(setting, i, Event::Retry));
                }
                if shipper.machine.idle_at().is_some_and(|at| at < self.end(setting)) {
                    go("it reads", true, &|w| w.event(setting, i, Event::More));
                }
                if shipper.machine.is_unsaved() {
                    go("it saves", true, &|w| w.event(setting, i, Event::Tick(w.now)));
                }
            }
            if !shipper.answers.is_empty() {
                go("it hears", true, &|w| {
                    let event = w.shippers[i].answers.pop_front().unwrap();
                    w.event(setting, i, event);
                });
            }
            if !shipper.wire.is_empty() {
                go("the store gets it", true, &|w| {
                    let object = w.shippers[i].wire.pop_front().unwrap();
                    let connection = w.shippers[i].machine.connection();
                    let answer = match w.take(&object) {
                        true => {
                            // Where nothing was there, this is the first.
                            w.shippers[i].last.get_or_insert(object.header.from);
                            Event::Acknowledged { connection, coordinate: object.coordinate }
                        }
                        false => {
                            w.is(setting.wishes.sink_is_new.is_some(), "its own name is another's");
                            Event::Lost { connection }
                        }
                    };
                    w.shippers[i].answers.push_back(answer);
                });
            }
        }
        for k in 0..self.zombies.len() {
            go("what was on its way comes late", false, &|w| {
                let object = w.zombies.remove(k);
                w.take(&object);
            });
        }
        if self.segments.iter().any(|segment| !segment.is_durable) {
            go("segments are synced", true, &|w| w.segments.iter_mut().for_each(|s| s.is_durable = true));
        }
        let free = (self.held() / LEN) as usize;
        if free > self.oldest {
            go("prune", false, &|w| w.oldest = free);
        }
        if let Some(copy) = self.copy.as_ref().filter(|copy| **copy != self.store) {
            go("the store is put back", false, &|w| {
                w.copy = None;
                w.loses(|store| store.clone_from(copy));
            });
        }
        self.faults(setting, found);
    }
}

impl World {
    /// What a receiver checks, of all that it can reach: each is the log's, and follows the one before.
    pub(crate) fn judge(&mut self) {
        let mut last: Option<&Object> = None;
        let mut wrong = None;
        for (&(from, is_unit), object) in &self.store {
            let Object { header, .. } = object;
            if is_unit && matches!(header.kind, Kind::Segment) {
                let segment = &self.segments[(from / LEN) as usize];
                let is_its = header.to == from + LEN && !segment.is_hole && segment.sum() == header.sum;
                if !is_its || header.proof != Proof::at(from).and(from, header.to, header.sum) {
                    wrong = Some("what is there is not the log's");
                }
            }
            if let Some(last) = last.filter(|last| is_unit && last.header.to == from)
                && header.after != last.header.id()
            {
                wrong = Some("it does not follow the one before");
            }
            last = Some(object);
        }
        if let Some(wrong) = wrong {
            self.is(false, wrong);
        }
    }

    fn faults(&self, setting: Setting, found: &mut Vec<Step<World>>) {
        let mut spend = |name, of: fn(&mut Budget) -> &mut u8, change: &dyn Fn(&mut World)| {
            let mut budget = self.budget;
            if *of(&mut budget) > 0 {
                *of(&mut budget) -= 1;
                let mut world = World { budget, ..self.clone() };
                change(&mut world);
                world.judge();
                found.push((name, false, world));
            }
        };
        for (is_hole, of) in
            [(false, (|b| &mut b.rotations) as fn(&mut Budget) -> &mut u8), (true, |b| &mut b.holes)]
        {
            spend("a segment is final", of, &|w| {
                let byte = w.segments.len() as u8;
                w.segments.push(Segment { byte, is_hole, is_durable: false });
            });
        }
        for i in 0..self.shippers.len() {
            if self.shippers[i].exit.is_none() && !self.shippers[i].machine.is_closed() {
                spend("the connection is cut", |b| &mut b.cuts, &|w| {
                    let connection = w.shippers[i].machine.connection();
                    w.event(setting, i, Event::Lost { connection });
                });
            }
            spend("it is killed and started", |b| &mut b.crashes, &|w| w.restart(setting, i));
            if self.shippers[i].file.is_some() {
                spend("its file is lost", |b| &mut b.lost_files, &|w| {
                    (w.shippers[i].file, w.lost_file) = (None, true);
                    w.restart(setting, i);
                });
            }
            spend("time goes by", |b| &mut b.ticks, &|w| {
                w.now += 1;
                w.event(setting, i, Event::Tick(w.now));
            });
        }
        // What lies before the last object is not looked at again, by any sink: a receiver says that it is gone.
        if let Some(&last) = self.store.keys().next_back() {
            spend("the store loses the last", |b| &mut b.losses, &|w| {
                w.loses(|store| store.retain(|name, _| *name != last));
            });
        }
        if let Some(&first) = self.store.keys().next() {
            spend("a rule removes the first", |b| &mut b.trims, &|w| {
                w.loses(|store| store.retain(|name, _| *name != first));
            });
            spend("the store is wiped", |b| &mut b.wipes, &|w| {
                w.loses(BTreeMap::clear);
            });
            spend("the store is copied", |b| &mut b.copies, &|w| w.copy = Some(w.store.clone()));
        }
        if self.segments.iter().any(|segment| !segment.is_durable) {
            spend("a power cut", |b| &mut b.power_cuts, &|w| {
                for segment in w.segments.iter_mut().filter(|segment| !segment.is_durable) {
                    segment.byte = 90;
                }
                for i in 0..w.shippers.len() {
                    w.restart(setting, i);
                }
            });
        }
        if self.oldest < (self.end(Setting { mutant: None, ..setting }) / LEN) as usize {
            spend("prune, forced", |b| &mut b.forced, &|w| (w.oldest, w.forced) = (w.oldest + 1, true));
        }
    }
}
