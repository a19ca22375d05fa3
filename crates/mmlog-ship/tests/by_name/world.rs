//! A log of final segments, the store that gets them, and everything that may happen next.

use std::collections::{BTreeMap, VecDeque};

use mmlog_ship::checkpoint::Known;
use mmlog_ship::decide::{Ask, Compared, Content, Decision, Log, Stop, Tail, Top, Wishes};
use mmlog_ship::machine::{Action, Event, Exit, Limits, Machine, Piece};
use mmlog_ship::sum;
use mmlog_ship::unit::{Header, Kind};

/// A segment has so many positions.
pub(crate) const LEN: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// The tail is the last of the list, whatever is missing before it.
    LastOfAll,
    /// A unit says which run sent it: the same segment is another object each time.
    SaysWho,
    /// What is on its way is taken for acknowledged.
    AckedWhenSent,
    /// The hold goes where the tail is, acknowledged and written down or not.
    HoldAhead,
    /// A list begins at the last object that is written down, whatever the hold keeps before it.
    FromTheLast,
    /// A segment is sent before it is durable, and a power cut makes another one of it.
    BeforeDurable,
}

/// How often each thing may happen yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) rotations: u8,
    pub(crate) holes: u8,
    pub(crate) cuts: u8,
    pub(crate) crashes: u8,
    pub(crate) lost_files: u8,
    pub(crate) losses: u8,
    pub(crate) wipes: u8,
    pub(crate) copies: u8,
    pub(crate) power_cuts: u8,
    pub(crate) ticks: u8,
    pub(crate) trims: u8,
    pub(crate) forced: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Segment {
    pub(crate) byte: u8,
    pub(crate) is_hole: bool,
    pub(crate) is_durable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Object {
    pub(crate) header: Header,
    pub(crate) coordinate: u64,
}

/// By where it begins; what begins a chain is before what has that position.
pub(crate) type Name = (u64, bool);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shipper {
    pub(crate) machine: Machine,
    pub(crate) file: Option<Known>,
    /// Its hold, of a name of its own.
    pub(crate) hold: Option<u64>,
    /// Where the last object begins that it knows to be there.
    pub(crate) last: Option<u64>,
    pub(crate) pending: VecDeque<Action>,
    /// At most one is on its way.
    pub(crate) wire: VecDeque<Object>,
    pub(crate) answers: VecDeque<Event>,
    pub(crate) exit: Option<Exit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) segments: Vec<Segment>,
    pub(crate) oldest: usize,
    pub(crate) store: BTreeMap<Name, Object>,
    pub(crate) copy: Option<BTreeMap<Name, Object>>,
    pub(crate) shippers: Vec<Shipper>,
    pub(crate) zombies: Vec<Object>,
    pub(crate) budget: Budget,
    pub(crate) runs: u64,
    pub(crate) now: u64,
    /// Since it was looked at last, the store lost something.
    pub(crate) is_unseen: bool,
    /// Where the first chain began.
    pub(crate) began: Option<u64>,
    pub(crate) lost: bool,
    /// Also what the hold had let go of: nobody can fill that again, and a receiver says that it is gone.
    pub(crate) lost_for_ever: bool,
    pub(crate) lost_file: bool,
    pub(crate) forced: bool,
    pub(crate) wrong: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) mutant: Option<Mutant>,
    pub(crate) wishes: Wishes,
}

pub(crate) fn name(header: &Header) -> Name {
    (header.from, header.kind != Kind::Begin)
}

impl Segment {
    pub(crate) fn sum(&self) -> u64 {
        sum::extend(0, &[self.byte; LEN as usize])
    }
}

impl World {
    pub(crate) fn new(setting: Setting, segments: usize, shippers: usize, budget: Budget) -> Self {
        let segment = |byte| Segment { byte, is_hole: false, is_durable: true };
        let mut world = World {
            segments: (0..segments as u8).map(segment).collect(),
            oldest: 0,
            store: BTreeMap::new(),
            copy: None,
            shippers: vec![],
            zombies: vec![],
            budget,
            runs: 0,
            now: 0,
            is_unseen: false,
            began: None,
            lost: false,
            lost_for_ever: false,
            lost_file: false,
            forced: false,
            wrong: None,
        };
        for _ in 0..shippers {
            let machine = world.machine(setting, None);
            world.shippers.push(Shipper {
                machine,
                file: None,
                hold: None,
                last: None,
                pending: VecDeque::new(),
                wire: VecDeque::new(),
                answers: VecDeque::new(),
                exit: None,
            });
        }
        world
    }

    pub(crate) fn machine(&mut self, setting: Setting, file: Option<Known>) -> Machine {
        self.runs += 1;
        let limits = Limits { unit: LEN, window: LEN, units: 1, keep: 1, proof: LEN };
        Machine::new(self.runs, file, limits, setting.wishes).by_name()
    }

    pub(crate) fn is(&mut self, holds: bool, wrong: &'static str) {
        if !holds {
            self.wrong.get_or_insert(wrong);
        }
    }

    pub(crate) fn end(&self, setting: Setting) -> u64 {
        let is_there = |s: &&Segment| s.is_durable || setting.mutant == Some(Mutant::BeforeDurable);
        self.segments.iter().take_while(is_there).count() as u64 * LEN
    }

    pub(crate) fn facts(&self, setting: Setting, i: usize) -> Log {
        let (oldest, durable) = (self.oldest as u64 * LEN, self.end(setting));
        Log { id: 7, epoch: 1, oldest, durable, hold: self.shippers[i].hold }
    }

    /// The chain without a gap: of what the shipper knows to begin there, or of what there is before that.
    pub(crate) fn chain(&self, known: Option<u64>) -> Option<&Object> {
        let (from, most) = match known {
            None => (0, u64::MAX),
            Some(at) if self.store.range((at, false)..(at + 1, false)).next().is_some() => (at, at),
            Some(at) => (0, at),
        };
        let mut last: Option<&Object> = None;
        for (&(at, is_unit), object) in self.store.range((from, false)..) {
            match last.map(|last| last.header.to) {
                None if at > most => break,
                Some(end) if !is_unit && at < end => {}
                Some(end) if is_unit && at != end => break,
                _ => last = Some(object),
            }
        }
        last
    }

    pub(crate) fn tail(&self, setting: Setting, known: Option<u64>) -> Tail {
        let last = match setting.mutant {
            Some(Mutant::LastOfAll) => self.store.values().last(),
            _ => self.chain(known),
        };
        match last {
            None => Tail { born: 1, coordinate: 0, top: None, content: Content::Empty },
            Some(Object { header, coordinate }) => Tail {
                born: 1,
                coordinate: *coordinate,
                top: Some(Top::of(header)),
                content: Content::Unit(*header),
            },
        }
    }

    /// Whether it is there then.
    pub(crate) fn take(&mut self, object: &Object) -> bool {
        if let Some(there) = self.store.get(&name(&object.header)) {
            return there.header.id() == object.header.id();
        }
        if object.header.kind == Kind::Begin {
            self.began.get_or_insert(object.header.from);
        }
        self.store.insert(name(&object.header), object.clone());
        true
    }

    /// Below, nobody keeps the log.
    pub(crate) fn held(&self) -> u64 {
        self.shippers.iter().map(|shipper| shipper.hold.unwrap_or(0)).min().unwrap_or(0)
    }

    /// Whether all of that range is there, one object behind the other.
    pub(crate) fn covers(&self, mut from: u64, to: u64) -> bool {
        while from < to {
            let Some(object) = self.store.get(&(from, true)) else { return false };
            from = object.header.to;
        }
        true
    }

    pub(crate) fn loses(&mut self, change: impl FnOnce(&mut BTreeMap<Name, Object>)) {
        let before = self.store.clone();
        change(&mut self.store);
        let gone = before.iter().filter(|(name, _)| !self.store.contains_key(name));
        let hold = self.held();
        self.lost_for_ever |= gone.map(|(_, object)| object.header).any(|gone| gone.from < gone.to.min(hold));
        (self.lost, self.is_unseen) = (true, true);
    }

    pub(crate) fn compare(&self, setting: Setting, ask: Ask) -> Compared {
        if ask.to.max(ask.end) > self.end(setting) {
            return Compared::Beyond;
        }
        if ask.from == ask.to {
            return if ask.start == ask.wanted { Compared::Equal } else { Compared::Differs };
        }
        let at = (ask.from / LEN) as usize;
        if at < self.oldest {
            return Compared::Pruned;
        }
        let is_it =
            ask.from.is_multiple_of(LEN) && ask.to == ask.from + LEN && self.segments[at].sum() == ask.wanted;
        if is_it { Compared::Equal } else { Compared::Differs }
    }

    pub(crate) fn read(&self, setting: Setting, from: u64) -> Piece {
        let at = (from / LEN) as usize;
        if from >= self.end(setting) {
            return Piece::End;
        }
        if at < self.oldest {
            return Piece::Pruned;
        }
        match &self.segments[at] {
            segment if segment.is_hole => Piece::Hole { to: from + LEN },
            segment => Piece::Segment { to: from + LEN, sum: segment.sum() },
        }
    }

    pub(crate) fn event(&mut self, setting: Setting, i: usize, event: Event) {
        self.heard(i, event);
        // What touches nothing that others see is done at once.
        while let Some(Action::Connect(_) | Action::Decide | Action::Send { .. }) =
            self.shippers[i].pending.front()
        {
            self.act(setting, i);
        }
    }

    pub(crate) fn heard(&mut self, i: usize, event: Event) {
        for action in self.shippers[i].machine.step(event) {
            let shipper = &mut self.shippers[i];
            match action {
                Action::Close => {
                    shipper.pending.retain(|action| matches!(action, Action::Save(_)));
                    shipper.answers.clear();
                    let wire = std::mem::take(&mut shipper.wire);
                    self.bury(wire);
                }
                Action::Exit(exit) => {
                    shipper.pending.clear();
                    let wire = std::mem::take(&mut shipper.wire);
                    shipper.exit = Some(exit);
                    self.bury(wire);
                    self.ended(exit);
                }
                other => shipper.pending.push_back(other),
            }
        }
    }

    pub(crate) fn bury(&mut self, wire: VecDeque<Object>) {
        self.zombies.extend(wire);
        self.zombies.sort_by_key(|object| object.header.id());
        self.zombies.dedup();
    }

    pub(crate) fn ended(&mut self, exit: Exit) {
        let has_cause = match exit {
            Exit::Stopped | Exit::Unsaved => true,
            Exit::Decision(Stop::SinkIsNew) => self.lost || self.lost_file,
            Exit::Decision(Stop::Gap { .. }) => self.forced || self.lost || self.lost_file,
            Exit::Decision(Stop::TailGone) => self.lost,
            _ => false,
        };
        self.is(has_cause, "it ended for nothing");
    }

    pub(crate) fn act(&mut self, setting: Setting, i: usize) {
        let Some(action) = self.shippers[i].pending.pop_front() else { return };
        match action {
            Action::Connect(_) => self.event(setting, i, Event::Connected),
            Action::Look => {
                let last = self.shippers[i].last;
                let hold = self.shippers[i].hold.filter(|_| setting.mutant != Some(Mutant::FromTheLast));
                let tail = self.tail(setting, last.into_iter().chain(hold).min());
                if let Content::Unit(last) = tail.content {
                    self.shippers[i].last = Some(last.from);
                }
                // What was acknowledged before it was lost may be heard of later.
                self.is_unseen &= self.shippers.iter().any(|shipper| !shipper.answers.is_empty());
                let facts = self.facts(setting, i);
                self.event(setting, i, Event::Seen(tail, facts));
            }
            Action::Compare(ask) => {
                let compared = self.compare(setting, ask);
                let facts = self.facts(setting, i);
                self.event(setting, i, Event::Compared(compared, facts));
            }
            Action::Decide => {
                let decision: Decision = self.shippers[i].machine.decide().expect("it asked");
                self.event(setting, i, Event::Decided(decision));
            }
            Action::Save(known) => {
                self.shippers[i].file = Some(known);
                self.event(setting, i, Event::Saved(true));
            }
            Action::Claim(at) => {
                let is_kept = at >= self.oldest as u64 * LEN;
                if is_kept {
                    self.shippers[i].hold = Some(at);
                }
                self.event(setting, i, Event::Held(is_kept));
            }
            Action::Hold(to) => {
                let to = match setting.mutant {
                    Some(Mutant::HoldAhead) => self.end(setting),
                    _ => to,
                };
                let saved = self.shippers[i].file.and_then(|known| known.place).map_or(0, |place| place.to);
                self.is(to <= saved, "the hold is ahead of what is written down");
                let is_there = self.covers(self.shippers[i].hold.unwrap_or(to), to);
                // What it lost since it was looked at it could lose a moment later, too.
                self.lost_for_ever |= self.is_unseen && !is_there;
                self.is(self.lost_for_ever || is_there, "the hold is ahead of what the store has");
                let hold = &mut self.shippers[i].hold;
                *hold = Some(hold.unwrap_or(0).max(to));
            }
            Action::Read { from, .. } => {
                let piece = self.read(setting, from);
                self.event(setting, i, Event::Read(piece));
            }
            Action::Send { unit, after } => {
                let header = match setting.mutant {
                    Some(Mutant::SaysWho) => Header { by: self.runs, ..unit },
                    _ => unit,
                };
                let object = Object { header, coordinate: after + 1 };
                if setting.mutant == Some(Mutant::AckedWhenSent) {
                    let connection = self.shippers[i].machine.connection();
                    let event = Event::Acknowledged { connection, coordinate: after + 1 };
                    self.shippers[i].answers.push_back(event);
                    self.bury([object].into());
                } else {
                    self.shippers[i].wire.push_back(object);
                }
            }
            Action::Close | Action::Exit(_) => {}
        }
    }

    pub(crate) fn restart(&mut self, setting: Setting, i: usize) {
        let machine = self.machine(setting, self.shippers[i].file);
        self.shippers[i].last =
            self.shippers[i].file.and_then(|known| known.place).map(|place| place.proof.from);
        let shipper = &mut self.shippers[i];
        shipper.machine = machine;
        shipper.pending.clear();
        shipper.answers.clear();
        shipper.exit = None;
        let wire = std::mem::take(&mut shipper.wire);
        self.bury(wire);
    }
}
