//! Shippers, the wires between them and the sink, and everything that may happen next.

use std::collections::VecDeque;

use mmlog_ship::checkpoint::Known;
use mmlog_ship::decide::{SinkIsNew, Tail, Top, Wishes};
use mmlog_ship::machine::{Action, Event, Exit, Limits, Machine, Piece};
use mmlog_ship::unit::Kind;

use crate::judge::Seen;
use crate::log::History;
use crate::mutants::Mutant;
use crate::sink::{Message, Sink};

/// How often each thing may happen yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) appends: u8,
    pub(crate) holes: u8,
    pub(crate) cuts: u8,
    pub(crate) crashes: u8,
    pub(crate) power_cuts: u8,
    pub(crate) unsaved: u8,
    pub(crate) lost_files: u8,
    pub(crate) duplicates: u8,
    pub(crate) copies: u8,
    pub(crate) restores: u8,
    pub(crate) forgets: u8,
    pub(crate) wipes: u8,
    pub(crate) rebirths: u8,
    pub(crate) trims: u8,
    pub(crate) forced_prunes: u8,
    pub(crate) ticks: u8,
    pub(crate) clones: u8,
    pub(crate) put_back: u8,
    pub(crate) remade: u8,
}

/// One world of the search: what does not change in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) limits: Limits,
    pub(crate) wishes: Wishes,
    /// More are without end.
    pub(crate) connections: u64,
    pub(crate) mutant: Option<Mutant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shipper {
    pub(crate) machine: Machine,
    pub(crate) log: usize,
    pub(crate) file: Option<Known>,
    pub(crate) pending: VecDeque<Action>,
    pub(crate) wire: VecDeque<Message>,
    pub(crate) answers: VecDeque<Event>,
    /// For one mutant: the look before the opening, and the opening.
    pub(crate) looked: Option<Tail>,
    pub(crate) opened: Option<(Top, u64)>,
    pub(crate) exit: Option<Exit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) logs: Vec<History>,
    pub(crate) sink: Sink,
    pub(crate) shippers: Vec<Shipper>,
    /// What dead connections have on their way still.
    pub(crate) zombies: Vec<VecDeque<Message>>,
    pub(crate) copy: Option<Vec<Message>>,
    pub(crate) budget: Budget,
    pub(crate) runs: u64,
    pub(crate) now: u64,
    /// What the judge remembers.
    pub(crate) seen: Seen,
}

impl World {
    pub(crate) fn new(setting: &Setting, bytes: usize, is_weak: bool, budget: Budget) -> Self {
        let mut world = World {
            logs: vec![History::new(7, bytes)],
            sink: Sink::new(is_weak),
            shippers: vec![],
            zombies: vec![],
            copy: None,
            budget,
            runs: 0,
            now: 0,
            seen: Seen::default(),
        };
        world.start(setting, 0, None);
        world
    }

    /// With a second host, whose log is the same, or parts from it at a byte.
    pub(crate) fn with_second(mut self, setting: &Setting, parts: Option<usize>) -> Self {
        let mut log = self.logs[0].clone();
        if let Some(at) = parts {
            log.bytes[at] = Some(60);
            log.bytes.push(Some(61));
            log.durable += 1;
        }
        self.logs.push(log);
        self.seen.was_cloned = true;
        self.start(setting, 1, None);
        self
    }

    pub(crate) fn start(&mut self, setting: &Setting, log: usize, file: Option<Known>) {
        let machine = self.machine(setting, file);
        let (pending, wire, answers) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let (looked, opened, exit) = (None, None, None);
        self.shippers.push(Shipper { machine, log, file, pending, wire, answers, looked, opened, exit });
    }

    pub(crate) fn machine(&mut self, setting: &Setting, file: Option<Known>) -> Machine {
        self.runs += 1;
        Machine::new(self.runs * 100, file, setting.limits, setting.wishes)
    }

    /// Every step from here, by name. The first flag says whether it would come by itself.
    pub(crate) fn steps(&self, setting: &Setting, found: &mut Vec<(&'static str, bool, World)>) {
        for i in 0..self.shippers.len() {
            self.own_steps(setting, i, found);
            self.faults(setting, i, found);
        }
        for k in 0..self.zombies.len() {
            let mut world = self.clone();
            if let Some(message) = world.zombies[k].pop_front() {
                let is_taken = world.deliver(&message, setting).is_some();
                if !is_taken || world.zombies[k].is_empty() {
                    // A server that refused one of them refuses those behind it, or never sees them.
                    world.zombies.remove(k);
                }
                found.push(("a dead connection delivers", false, world));
            }
        }
        self.sink_steps(found);
        self.log_steps(setting, found);
    }

    /// Spends one of a budget, if there is one.
    pub(crate) fn spend(
        &self,
        of: impl Fn(&mut Budget) -> &mut u8,
        found: &mut Vec<(&'static str, bool, World)>,
        name: &'static str,
        change: impl FnOnce(&mut World) -> bool,
    ) {
        let mut budget = self.budget;
        let left = of(&mut budget);
        if *left == 0 {
            return;
        }
        *left -= 1;
        let mut world = World { budget, ..self.clone() };
        if change(&mut world) {
            found.push((name, false, world));
        }
    }

    fn own_steps(&self, setting: &Setting, i: usize, found: &mut Vec<(&'static str, bool, World)>) {
        let shipper = &self.shippers[i];
        let mut go = |name, change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            change(&mut world);
            found.push((name, true, world));
        };
        if shipper.exit.is_none() && shipper.machine.is_closed() {
            go("it connects", &|world| world.event(setting, i, Event::Retry));
        }
        if let Some(at) = shipper.machine.idle_at()
            && shipper.exit.is_none()
            && at < self.readable(setting, shipper.log) as u64
        {
            go("it reads", &|world| world.event(setting, i, Event::More));
        }
        if !shipper.pending.is_empty() {
            go("it acts", &|world| world.act(setting, i));
        }
        if !shipper.answers.is_empty() {
            go("it hears", &|world| {
                let event = world.shippers[i].answers.pop_front().unwrap();
                if let Event::Acknowledged { .. } = event {
                    world.before_acknowledged(setting, i);
                }
                world.event(setting, i, event);
            });
        }
        if !shipper.wire.is_empty() {
            go("the sink gets it", &|world| {
                let message = world.shippers[i].wire.pop_front().unwrap();
                let connection = message.connection;
                let answer = match world.deliver(&message, setting) {
                    Some(coordinate) => Event::Acknowledged { connection, coordinate },
                    None => Event::Lost { connection },
                };
                world.shippers[i].answers.push_back(answer);
            });
        }
    }

    fn readable(&self, setting: &Setting, log: usize) -> usize {
        let log = &self.logs[log];
        if setting.mutant == Some(Mutant::BeyondDurable) { log.bytes.len() } else { log.durable }
    }

    fn deliver(&mut self, message: &Message, setting: &Setting) -> Option<u64> {
        let before = self.sink.messages.len();
        let taken = self.sink.take(message, setting.mutant);
        if taken.is_some() && self.sink.messages.len() > before {
            self.seen.took(&self.sink, &self.logs);
        }
        taken
    }

    /// Hands an event over, and what comes of it to whoever carries it out. What touches nothing that others see is done at once.
    pub(crate) fn event(&mut self, setting: &Setting, i: usize, event: Event) {
        let was = self.shippers[i].machine.connection();
        let actions = self.shippers[i].machine.step(event);
        for action in actions {
            match action {
                Action::Close => {
                    let shipper = &mut self.shippers[i];
                    (shipper.looked, shipper.opened) = (None, None);
                    // What was begun is ended: a file is written or not, whatever the connection does.
                    shipper.pending.retain(|action| matches!(action, Action::Save(_)));
                    shipper
                        .answers
                        .retain(|answer| setting.mutant == Some(Mutant::OldAnswers) && is_ack(answer));
                    let wire = std::mem::take(&mut shipper.wire);
                    if setting.mutant == Some(Mutant::RetryQueue) {
                        shipper.wire =
                            wire.into_iter().map(|message| Message { after: u64::MAX, ..message }).collect();
                    } else {
                        self.bury(wire);
                    }
                }
                Action::Exit(exit) => {
                    let wire = std::mem::take(&mut self.shippers[i].wire);
                    self.bury(wire);
                    self.shippers[i].pending.clear();
                    self.seen.exit(exit);
                    self.shippers[i].exit = Some(exit);
                }
                other => self.shippers[i].pending.push_back(other),
            }
        }
        if setting.mutant == Some(Mutant::OldAnswers) && self.shippers[i].machine.connection() != was {
            let connection = self.shippers[i].machine.connection();
            for answer in &mut self.shippers[i].answers {
                if let Event::Acknowledged { connection: of, .. } = answer {
                    *of = connection;
                }
            }
        }
        self.act_eagerly(setting, i);
    }

    pub(crate) fn bury(&mut self, wire: VecDeque<Message>) {
        if !wire.is_empty() {
            self.zombies.push(wire);
            self.zombies.sort_by_key(|wire| wire.front().map(|message| message.header.id()));
        }
    }

    fn act_eagerly(&mut self, setting: &Setting, i: usize) {
        while let Some(action) = self.shippers[i].pending.front().copied() {
            let is_private =
                matches!(action, Action::Connect(_) | Action::Decide | Action::Send { .. } | Action::Hold(_));
            if !is_private {
                break;
            }
            self.act(setting, i);
        }
    }

    fn act(&mut self, setting: &Setting, i: usize) {
        let Some(action) = self.shippers[i].pending.pop_front() else { return };
        let log = self.shippers[i].log;
        match action {
            Action::Connect(_) => self.event(setting, i, Event::Connected),
            Action::Look => {
                let tail = self.look(setting, i);
                let mut facts = self.logs[log].facts();
                if setting.mutant == Some(Mutant::HoldIsNoMemory) {
                    facts.hold = None;
                }
                self.event(setting, i, Event::Seen(tail, facts));
            }
            Action::Compare(ask) => {
                let compared = self.compared(setting, log, ask);
                let facts = self.logs[log].facts();
                self.event(setting, i, Event::Compared(compared, facts));
            }
            Action::Decide => {
                let decision = self.shippers[i].machine.decide().expect("it asked");
                let decision = self.mutated(setting, i, decision);
                let id = self.logs[log].id;
                self.seen.decided(&decision, setting, id);
                self.event(setting, i, Event::Decided(decision));
            }
            Action::Save(known) => self.save(setting, i, known, true),
            Action::Claim(at) => {
                let log = &mut self.logs[log];
                let at = log.hold.unwrap_or(at).max(log.oldest as u64);
                log.hold = Some(at);
                self.event(setting, i, Event::Held(at));
            }
            Action::Hold(to) => {
                let most = self.seen.saved;
                let to = if setting.mutant == Some(Mutant::HoldAtTheHighest) { most } else { to };
                self.hold(log, to);
            }
            Action::Read { from, most } => {
                let end = self.readable(setting, log);
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
                    let top = Top { id: unit.id(), by: unit.by, over: unit.over };
                    self.shippers[i].opened = Some((top, after + 1));
                }
                self.shippers[i].wire.push_back(Message { header: unit, payload, after, connection });
            }
            Action::Close | Action::Exit(_) => {}
        }
    }

    fn before_acknowledged(&mut self, setting: &Setting, i: usize) {
        if setting.mutant == Some(Mutant::HoldBeforeSave) {
            let (sink, log) = (&self.sink, self.shippers[i].log);
            let to = sink.messages.iter().map(|message| message.header.to).max().unwrap_or(0);
            self.hold(log, to);
        }
    }

    fn hold(&mut self, log: usize, to: u64) {
        let log = &mut self.logs[log];
        log.hold = Some(log.hold.unwrap_or(0).max(to));
        self.seen.held(to, &self.sink);
    }

    pub(crate) fn save(&mut self, setting: &Setting, i: usize, known: Known, is_saved: bool) {
        if is_saved {
            self.written(i, known);
            if let (Some(Mutant::HoldDoesNotTrail), Some(place)) = (setting.mutant, known.place) {
                self.hold(self.shippers[i].log, place.to);
            }
        }
        self.event(setting, i, Event::Saved(is_saved));
    }

    fn written(&mut self, i: usize, known: Known) {
        self.shippers[i].file = Some(known);
        self.seen.wrote(&known);
    }

    fn look(&mut self, setting: &Setting, i: usize) -> Tail {
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

    /// Whether the tail is what the log has, and nobody has anything to do.
    pub(crate) fn is_complete(&self) -> bool {
        self.shippers.iter().all(|shipper| {
            let log = &self.logs[shipper.log];
            shipper.exit.is_some() || shipper.machine.idle_at() == Some(log.durable as u64)
        })
    }

    pub(crate) fn is_new_accepted(setting: &Setting) -> bool {
        matches!(setting.wishes.sink_is_new, Some(SinkIsNew::Restart | SinkIsNew::Continue))
    }
}

fn is_ack(answer: &Event) -> bool {
    matches!(answer, Event::Acknowledged { .. })
}
