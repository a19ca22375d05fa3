//! What the machine says, carried out, and answered: as whoever runs it does, or as a mutant.

use mmlog_ship::checkpoint::Known;
use mmlog_ship::decide::{Tail, Top};
use mmlog_ship::machine::{Action, Event, Piece};
use mmlog_ship::unit::Kind;

use crate::mutants::Mutant;
use crate::sink::Message;
use crate::world::{Setting, World};

impl World {
    pub(crate) fn act_eagerly(&mut self, setting: &Setting, i: usize) {
        while let Some(action) = self.shippers[i].pending.front().copied() {
            let is_private = match action {
                Action::Connect(_) | Action::Decide | Action::Send { .. } | Action::Hold(_) => true,
                Action::Claim(at) => self.is_kept(i, at),
                _ => false,
            };
            if !is_private {
                break;
            }
            self.act(setting, i);
        }
    }

    /// Whether nothing can be pruned before the hold stands.
    pub(crate) fn is_kept(&self, i: usize, at: u64) -> bool {
        let may_be_forced =
            self.budget.forced_prunes > 0 || self.budget.lost_holds > 0 || self.seen.lost_hold;
        !may_be_forced && self.logs[self.shippers[i].log].hold.is_none_or(|hold| hold <= at)
    }

    pub(crate) fn act(&mut self, setting: &Setting, i: usize) {
        let Some(action) = self.shippers[i].pending.pop_front() else { return };
        let log = self.shippers[i].log;
        match action {
            Action::Connect(_) => self.event(setting, i, Event::Connected),
            Action::Look => {
                let tail = self.look(setting, i);
                self.shown(setting, i, tail);
            }
            Action::Compare(ask) => {
                let compared = self.compared(setting, log, ask);
                let facts = self.logs[log].facts();
                self.event(setting, i, Event::Compared(compared, facts));
            }
            Action::Decide => {
                let decision = self.shippers[i].machine.decide().expect("it asked");
                let decision = self.mutated(setting, i, decision);
                if let Some(wished) = self.seen.decided(&decision, setting, &self.logs[log]) {
                    self.shippers[i].wished = wished;
                }
                self.event(setting, i, Event::Decided(decision));
            }
            Action::Save(known) => self.save(setting, i, known, true),
            Action::Claim(at) => {
                let log = &mut self.logs[log];
                let is_kept = at >= log.oldest as u64;
                log.hold = match (setting.mutant, log.hold) {
                    (Some(Mutant::FirstHoldAlone), _) if self.shippers[i].file.is_some() => log.hold,
                    (Some(Mutant::HoldNeverGoesBack), Some(hold)) => Some(hold.max(at)),
                    _ if is_kept => Some(at),
                    _ => log.hold,
                };
                self.event(setting, i, Event::Held(is_kept));
            }
            Action::Hold(to) => {
                let most = self.seen.saved;
                let to = if setting.mutant == Some(Mutant::HoldAtTheHighest) { most } else { to };
                if self.logs[log].hold.is_some() {
                    self.hold(i, to);
                } else {
                    let connection = self.shippers[i].machine.connection();
                    self.event(setting, i, Event::Lost { connection });
                }
            }
            Action::Read { from, most } => {
                let end = self.readable(setting, log);
                let most = most.min(self.shippers[i].longest);
                let mut piece = self.logs[log].read(from, most, end);
                if let (Some(Mutant::HolesAreSkipped), Piece::Hole { to }) = (setting.mutant, piece) {
                    piece = Piece::Content { to, sum: 0 };
                }
                self.event(setting, i, Event::Read(piece));
            }
            Action::Send { unit, after } => {
                let payload = match unit.kind {
                    Kind::Content => self.logs[log].payload(unit.from, unit.to),
                    _ => vec![],
                };
                if setting.mutant == Some(Mutant::SaveBeforeAck) && unit.kind != Kind::Opening {
                    let place = mmlog_ship::checkpoint::Place {
                        coordinate: after + 1,
                        id: unit.id(),
                        to: unit.to,
                        proof: unit.proof,
                    };
                    let known =
                        Known { log: unit.log, epoch: unit.epoch, born: self.sink.born, place: Some(place) };
                    self.written(i, known);
                }
                let connection = unit.connection;
                if setting.mutant == Some(Mutant::NoSecondLook) && unit.kind == Kind::Opening {
                    let top = Top::of(&unit);
                    self.shippers[i].opened = Some((top, after + 1));
                }
                self.shippers[i].wire.push_back(Message {
                    header: unit,
                    payload,
                    after,
                    connection,
                    is_foreign: false,
                });
            }
            Action::Close | Action::Exit(_) => {}
        }
    }

    pub(crate) fn before_acknowledged(&mut self, setting: &Setting, i: usize) {
        if setting.mutant == Some(Mutant::HoldBeforeSave) {
            self.hold(i, self.sink.end(self.sink.messages.len()));
        }
    }

    pub(crate) fn hold(&mut self, i: usize, to: u64) {
        let log = &mut self.logs[self.shippers[i].log];
        log.hold = Some(log.hold.unwrap_or(0).max(to));
        self.seen.held(to, &self.shippers[i], &self.sink);
    }

    /// What a look shows, and what is true of the log behind it.
    pub(crate) fn shown(&mut self, setting: &Setting, i: usize, tail: Tail) {
        let mut facts = self.logs[self.shippers[i].log].facts();
        if setting.mutant == Some(Mutant::HoldIsNoMemory) {
            facts.hold = None;
        }
        // What was acknowledged before it was lost may be heard of later.
        self.seen.is_unseen &= !self.shippers[i].answers.is_empty();
        let tail = self.misread(setting, tail);
        self.event(setting, i, Event::Seen(tail, facts));
    }

    pub(crate) fn save(&mut self, setting: &Setting, i: usize, known: Known, is_saved: bool) {
        let forgets = setting.mutant == Some(Mutant::StopForgetsToSave) && self.shippers[i].is_stopping;
        if is_saved && !forgets {
            self.written(i, known);
            if let (Some(Mutant::HoldDoesNotTrail), Some(place)) = (setting.mutant, known.place) {
                self.hold(i, place.to);
            }
        }
        self.event(setting, i, Event::Saved(is_saved));
    }

    pub(crate) fn written(&mut self, i: usize, known: Known) {
        let may_come_back = self.budget.old_files > 0;
        let shipper = &mut self.shippers[i];
        // The very first has no place: put back, it is a first start's.
        let has_place = shipper.file.is_some_and(|known| known.place.is_some());
        if may_come_back && has_place && shipper.file != Some(known) {
            shipper.old_file = shipper.file;
        }
        shipper.file = Some(known);
        self.seen.wrote(&known);
    }

    pub(crate) fn look(&mut self, setting: &Setting, i: usize) -> Tail {
        let tail = self.sink.tail(setting.mutant);
        if setting.mutant != Some(Mutant::NoSecondLook) {
            return tail;
        }
        let shipper = &mut self.shippers[i];
        match (shipper.looked.take(), shipper.opened.take()) {
            // What it would have seen, had it only believed.
            (Some(looked), Some((top, coordinate))) => Tail { top: Some(top), coordinate, ..looked },
            _ => {
                shipper.looked = Some(tail);
                tail
            }
        }
    }
}
