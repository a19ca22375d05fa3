//! A log of single bytes, a sink that says nothing of itself, and everything that may happen next.

use std::collections::VecDeque;

use mmlog_ship::checkpoint::Known;
use mmlog_ship::decide::{Ask, Compared, Content, Decision, Log, Stop, Tail, Top, Wishes};
use mmlog_ship::machine::{Action, Event, Exit, Limits, Machine, Piece};
use mmlog_ship::sum;
use mmlog_ship::unit::{Header, Kind};

use crate::searched::{self, Step};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// What is on its way is taken for acknowledged.
    AckedWhenSent,
    /// The hold goes to where nothing was acknowledged.
    HoldAhead,
    /// Where nothing is written down it begins behind what is durable, whatever the hold keeps.
    PassesTheHold,
    /// Where nothing is written down it begins with what is kept, whatever the hold says.
    FromTheOldest,
    /// The sink is taken for one whose retention removed all that it had.
    AsTrimmed,
}

/// How often each thing may happen yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) appends: u8,
    pub(crate) holes: u8,
    pub(crate) cuts: u8,
    pub(crate) crashes: u8,
    pub(crate) unsaved: u8,
    pub(crate) lost_files: u8,
    pub(crate) forced: u8,
    pub(crate) remade: u8,
    pub(crate) ticks: u8,
}

/// A position of the log, and what became of it at the sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Byte {
    is_hole: bool,
    /// So often it was taken or announced.
    taken: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    id: u128,
    bytes: Vec<Byte>,
    oldest: u64,
    hold: Option<u64>,
    began: Option<u64>,
    machine: Machine,
    file: Option<Known>,
    tail: Tail,
    pending: VecDeque<Action>,
    wire: VecDeque<(Header, u64)>,
    answers: VecDeque<Event>,
    exit: Option<Exit>,
    budget: Budget,
    runs: u64,
    now: u64,
    /// Something may have come without an answer, or what was written down is older than that.
    had_trouble: bool,
    was_forced: bool,
    lost_file: bool,
    wrong: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) mutant: Option<Mutant>,
    pub(crate) wishes: Wishes,
}

fn machine(setting: Setting, run: u64, file: Option<Known>) -> Machine {
    let limits = Limits { unit: 1, window: 1, units: 2, keep: 1, proof: 1 << 20 };
    Machine::new(run, file, limits, setting.wishes)
}

fn nothing() -> Tail {
    Tail { born: 1, coordinate: 0, top: None, content: Content::Unasked }
}

impl World {
    pub(crate) fn new(setting: Setting, bytes: u64, budget: Budget) -> Self {
        World {
            id: 1,
            bytes: vec![Byte::default(); bytes as usize],
            oldest: 0,
            hold: None,
            began: None,
            machine: machine(setting, 1, None),
            file: None,
            tail: nothing(),
            pending: VecDeque::new(),
            wire: VecDeque::new(),
            answers: VecDeque::new(),
            exit: None,
            budget,
            runs: 1,
            now: 0,
            had_trouble: setting.wishes.sink_is_new.is_some(),
            was_forced: false,
            lost_file: false,
            wrong: None,
        }
    }

    fn is(&mut self, holds: bool, wrong: &'static str) {
        if !holds {
            self.wrong.get_or_insert(wrong);
        }
    }

    fn end(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn facts(&self) -> Log {
        Log { id: self.id, epoch: 1, oldest: self.oldest, durable: self.end(), hold: self.hold }
    }

    /// All bytes are equal: of other histories the other models know.
    fn compare(&self, ask: Ask) -> Compared {
        match ask {
            _ if ask.to.max(ask.end) > self.end() => Compared::Beyond,
            _ if ask.from < self.oldest && ask.from < ask.to => Compared::Pruned,
            _ => {
                let bytes = vec![7; (ask.to - ask.from) as usize];
                let is_it = sum::extend(ask.start, &bytes) == ask.wanted;
                if is_it { Compared::Equal } else { Compared::Differs }
            }
        }
    }

    fn read(&self, from: u64) -> Piece {
        match self.bytes.get(from as usize) {
            None => Piece::End,
            Some(_) if from < self.oldest => Piece::Pruned,
            Some(byte) if byte.is_hole => Piece::Hole { to: from + 1 },
            Some(_) => Piece::Content { to: from + 1, sum: sum::extend(0, &[7]) },
        }
    }

    fn hear(&mut self, setting: Setting, event: Event) {
        for action in self.machine.step(event) {
            match action {
                Action::Close => {
                    self.pending.retain(|action| matches!(action, Action::Save(_)));
                    (self.wire, self.answers) = (VecDeque::new(), VecDeque::new());
                }
                Action::Exit(exit) => {
                    self.pending.clear();
                    self.exit = Some(exit);
                    let has_cause = match exit {
                        Exit::Decision(Stop::Gap { .. }) => self.was_forced,
                        Exit::Unsaved => true,
                        _ => false,
                    };
                    self.is(has_cause, "it ended for nothing");
                }
                other => self.pending.push_back(other),
            }
        }
        // What touches nothing that others see is done at once.
        while let Some(Action::Connect(_) | Action::Decide | Action::Look | Action::Read { .. }) =
            self.pending.front()
        {
            self.act(setting);
        }
    }

    fn act(&mut self, setting: Setting) {
        let Some(action) = self.pending.pop_front() else { return };
        let event = match action {
            Action::Connect(_) => Event::Connected,
            Action::Look => {
                let content = match setting.mutant {
                    Some(Mutant::AsTrimmed) if self.tail.coordinate > 0 => {
                        Content::Trimmed(self.tail.coordinate)
                    }
                    _ => Content::Unasked,
                };
                Event::Seen(Tail { content, ..self.tail }, self.facts())
            }
            Action::Compare(ask) => Event::Compared(self.compare(ask), self.facts()),
            Action::Decide => Event::Decided(self.decided(setting)),
            Action::Save(known) => {
                self.file = Some(known);
                Event::Saved(true)
            }
            Action::Claim(at) => {
                let is_kept = at >= self.oldest;
                self.hold = if is_kept { Some(at) } else { self.hold };
                Event::Held(is_kept)
            }
            Action::Hold(to) => {
                let to = if setting.mutant == Some(Mutant::HoldAhead) { self.end() } else { to };
                self.hold = Some(self.hold.unwrap_or(0).max(to));
                return;
            }
            Action::Read { from, .. } => Event::Read(self.read(from)),
            Action::Send { unit, after } => {
                let is_at_once = setting.mutant == Some(Mutant::AckedWhenSent);
                if is_at_once {
                    self.acknowledged(&unit, after + 1);
                }
                self.wire.push_back((unit, after + 1));
                return;
            }
            Action::Close | Action::Exit(_) => return,
        };
        self.hear(setting, event);
    }

    fn decided(&mut self, setting: Setting) -> Decision {
        let decision = self.machine.decide().expect("it asked");
        let decision = match (decision, setting.mutant) {
            (Decision::Begin { .. }, Some(Mutant::PassesTheHold)) if self.lost_file => {
                Decision::Begin { from: self.end(), gap: None }
            }
            (Decision::Begin { .. }, Some(Mutant::FromTheOldest)) if self.lost_file => {
                Decision::Begin { from: self.oldest, gap: None }
            }
            (decision, _) => decision,
        };
        if let (Decision::Begin { from, .. }, None) = (decision, setting.wishes.sink_is_new) {
            let is_behind = self.hold.is_none_or(|hold| from >= hold);
            self.is(is_behind, "what the hold had let go of is sent again");
        }
        decision
    }

    fn take(&mut self, unit: &Header) {
        // What moves a tail such a sink hears nothing of.
        if unit.log != self.id || matches!(unit.kind, Kind::Opening | Kind::Begin) {
            return;
        }
        self.began = Some(self.began.map_or(unit.from, |began| began.min(unit.from)));
        let range = unit.from as usize..unit.to as usize;
        let is_double = self.bytes[range.clone()].iter().any(|byte| byte.taken > 0);
        self.is(!is_double || self.had_trouble, "a double without trouble");
        for byte in &mut self.bytes[range] {
            byte.taken = (byte.taken + 1).min(2);
        }
    }

    fn acknowledged(&mut self, unit: &Header, coordinate: u64) {
        (self.tail.coordinate, self.tail.top) = (coordinate, Some(Top::of(unit)));
        let connection = self.machine.connection();
        self.answers.push_back(Event::Acknowledged { connection, coordinate });
    }

    fn restart(&mut self, setting: Setting) {
        self.runs += 1;
        self.machine = machine(setting, self.runs, self.file);
        let coordinate = self.file.and_then(|known| known.place).map_or(0, |place| place.coordinate);
        self.tail = Tail { coordinate, ..nothing() };
        self.pending.clear();
        (self.wire, self.answers, self.exit) = (VecDeque::new(), VecDeque::new(), None);
        self.had_trouble = true;
    }

    /// What was shipped from there up to there.
    fn has(&self, from: u64, to: u64) -> bool {
        let from = from.max(self.began.unwrap_or(to)).min(to) as usize;
        self.bytes[from..to as usize].iter().all(|byte| byte.taken > 0)
    }

    fn judge(&mut self) {
        let written = self.file.filter(|known| known.log == self.id).and_then(|known| known.place);
        let is_there = self.has(0, written.map_or(0, |place| place.to));
        self.is(is_there, "what is written down is ahead of what the sink has");
        // What is pruned no hold keeps: that is announced behind it.
        let is_there = self.hold.is_none_or(|hold| self.has(self.oldest, hold));
        self.is(is_there, "the hold is ahead of what the sink has");
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
        spend("a byte more", |b| &mut b.appends, &|w| w.bytes.push(Byte::default()));
        spend("a hole", |b| &mut b.holes, &|w| w.bytes.push(Byte { is_hole: true, taken: 0 }));
        spend("it is killed and started", |b| &mut b.crashes, &|w| w.restart(setting));
        if self.file.is_some() {
            spend("its file is lost", |b| &mut b.lost_files, &|w| {
                (w.file, w.lost_file) = (None, true);
                w.restart(setting);
            });
        }
        if !self.wire.is_empty() {
            spend("cut, and it had come", |b| &mut b.cuts, &|w| {
                let (unit, _) = w.wire[0];
                w.take(&unit);
                w.had_trouble = true;
                w.hear(setting, Event::Lost { connection: w.machine.connection() });
            });
        }
        if self.exit.is_none() && !self.machine.is_closed() {
            spend("cut", |b| &mut b.cuts, &|w| {
                w.had_trouble = true;
                w.hear(setting, Event::Lost { connection: w.machine.connection() });
            });
        }
        if matches!(self.pending.front(), Some(Action::Save(_))) {
            spend("it cannot write", |b| &mut b.unsaved, &|w| {
                w.pending.pop_front();
                w.hear(setting, Event::Saved(false));
            });
        }
        spend("time goes by", |b| &mut b.ticks, &|w| {
            w.now += 1;
            w.hear(setting, Event::Tick(w.now));
        });
        if self.oldest < self.end() {
            spend("prune, forced", |b| &mut b.forced, &|w| {
                (w.oldest, w.was_forced, w.had_trouble) = (w.oldest + 1, true, true);
            });
        }
        // What the old one has is shipped first.
        if self.machine.idle_at() == Some(self.end()) && self.wire.is_empty() && self.answers.is_empty() {
            spend("the log is made anew", |b| &mut b.remade, &|w| {
                w.id += 1;
                (w.bytes, w.oldest, w.hold, w.began) = (vec![Byte::default()], 0, None, None);
                w.hear(setting, Event::Lost { connection: w.machine.connection() });
            });
        }
    }
}

impl searched::World for World {
    type Setting = Setting;

    fn wrong(&self) -> Option<&'static str> {
        self.wrong
    }

    fn settled(&self, _: Setting) -> Option<&'static str> {
        if self.exit.is_some() {
            return None;
        }
        if self.machine.idle_at() != Some(self.end()) {
            return Some("it waits for nothing");
        }
        (!self.has(0, self.end())).then_some("it is idle, and the sink has not all")
    }

    fn steps(&self, setting: Setting, found: &mut Vec<Step<World>>) {
        let mut go = |name, by_itself, change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            change(&mut world);
            world.judge();
            found.push((name, by_itself, world));
        };
        if !self.pending.is_empty() {
            go("it acts", true, &|w| w.act(setting));
        }
        if self.exit.is_none() {
            if self.machine.is_closed() {
                go("it connects", true, &|w| w.hear(setting, Event::Retry));
            }
            if self.machine.idle_at().is_some_and(|at| at < self.end()) {
                go("it reads", true, &|w| w.hear(setting, Event::More));
            }
            if self.machine.is_unsaved() {
                go("it saves", true, &|w| w.hear(setting, Event::Tick(w.now)));
            }
        }
        if !self.answers.is_empty() {
            go("it hears", true, &|w| {
                let event = w.answers.pop_front().expect("there is one");
                w.hear(setting, event);
            });
        }
        if !self.wire.is_empty() {
            go("the sink takes it", true, &|w| {
                let (unit, coordinate) = w.wire.pop_front().expect("there is one");
                w.take(&unit);
                if setting.mutant != Some(Mutant::AckedWhenSent) {
                    w.acknowledged(&unit, coordinate);
                }
            });
        }
        if let Some(hold) = self.hold.filter(|hold| *hold > self.oldest) {
            go("prune", false, &|w| w.oldest = hold);
        }
        self.faults(setting, found);
    }
}
