//! What is done next: events in, actions out. It has no clock, does no input or output, and keeps no more than its window.
//!
//! ```text
//! Closed -> connect -> look -> ask the log -> decide -> hold -> open -> look again -> Streaming
//!    ^                                          |                                       |
//!    +-------------- on any error: the window is dropped, the tail is read -------------+
//! ```
//!
//! Whoever runs it carries actions out in their order, and says of each what came of it, before it is asked for more. Only the answers
//! to [`Action::Send`] come later, in the order in which the units were sent.

use crate::checkpoint::{Known, Place};
use crate::decide::{self, Ask, Compared, Content, Decision, Log, Tail, Top, Wishes};
use crate::unit::{Header, Id, Kind, Proof, Run, Why};

mod memory;
mod words;

pub use words::{Action, Event, Exit, Limits, Piece};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Closed,
    Connecting,
    Looking,
    Comparing(Ask, Tail),
    Deciding(Tail, Option<Compared>, Log),
    /// The first checkpoint is written. The position is for the hold.
    Preparing(Tail, u64),
    Claiming(Tail),
    Opening(Tail),
    Confirming(Tail),
    Streaming,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Out {
    unit: Header,
    id: Id,
    coordinate: u64,
}

/// One log's way to one sink.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    run: Run,
    limits: Limits,
    wishes: Wishes,
    phase: Phase,
    connection: u64,
    log: u128,
    epoch: u64,
    /// What was written down, or is to be.
    known: Option<Known>,
    is_saved: bool,
    /// What is being saved.
    saving: Option<Known>,
    born: u64,
    /// What is acknowledged.
    place: Option<Place>,
    /// What the next unit follows: as `place`, once all that is out arrived.
    ahead: Place,
    /// Whose unit the opening of this connection lies on: all units of the connection say it.
    over: Run,
    /// To be sent before anything is read.
    first: First,
    out: Vec<Out>,
    is_reading: bool,
    /// A proof some way back, from which the next one may begin.
    mark: Proof,
    saved_to: Option<u64>,
    /// A position that was saved, and since when.
    trailing: Option<(u64, u64)>,
    /// The hold goes there, if the sink still has that.
    checking: Option<u64>,
    now: u64,
    is_stopping: bool,
    is_by_name: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct First {
    begins: bool,
    gap: Option<u64>,
}

impl Machine {
    /// Starts with what was written down, as this run, whose number nobody had before.
    pub fn new(run: Run, known: Option<Known>, limits: Limits, wishes: Wishes) -> Self {
        Machine {
            run,
            limits,
            wishes,
            phase: Phase::Closed,
            connection: 0,
            log: 0,
            epoch: 0,
            known,
            is_saved: true,
            saving: None,
            born: 0,
            place: None,
            ahead: Place { coordinate: 0, id: 0, to: 0, proof: Proof::default() },
            over: 0,
            first: First::default(),
            out: Vec::new(),
            is_reading: false,
            mark: Proof::default(),
            saved_to: None,
            trailing: None,
            checking: None,
            now: 0,
            is_stopping: false,
            is_by_name: false,
        }
    }

    /// For a sink that gives each unit a name of its range, takes a name once, for ever, and gets one unit after the other. The same unit
    /// is the same there whoever sends it, so it says nothing of who did, and its id is the same, too: what comes late only does what
    /// was to be done. There are no openings.
    pub fn by_name(mut self) -> Self {
        self.is_by_name = true;
        self
    }

    /// Bytes that are sent and not acknowledged.
    pub fn window(&self) -> u64 {
        self.out.iter().map(|out| out.unit.length()).sum()
    }

    /// What is acknowledged of the chain that is gone on with: by this connection, or found at the sink by it.
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// Whether units are sent: the sink's tail is known, and this shipper's.
    pub fn is_streaming(&self) -> bool {
        self.phase == Phase::Streaming
    }

    /// Whether the next [`Event::Tick`] saves.
    pub fn is_unsaved(&self) -> bool {
        !self.is_saved && self.known.is_some() && self.saving.is_none()
    }

    /// The number of the connection that stands, or of the last one.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Whether it waits for [`Event::Retry`].
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether it waits for [`Event::More`], and from which position.
    pub fn idle_at(&self) -> Option<u64> {
        let is_idle = self.phase == Phase::Streaming && !self.is_reading && self.has_room();
        is_idle.then_some(self.ahead.to)
    }

    /// The position up to which the sink has acknowledged, if that is known.
    pub fn arrived(&self) -> Option<u64> {
        self.known.and_then(|known| known.place).map(|place| place.to)
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// What [`Action::Decide`] wants to know.
    pub fn decide(&self) -> Option<Decision> {
        let Phase::Deciding(tail, compared, log) = &self.phase else { return None };
        Some(decide::decide(self.known.as_ref(), tail, *compared, log, &self.wishes))
    }

    /// Takes an event, and says what to do.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        let mut actions = self.react(event);
        if self.is_stopping {
            actions.extend(self.stop());
        }
        actions
    }

    fn react(&mut self, event: Event) -> Vec<Action> {
        match (event, self.phase) {
            (_, Phase::Ended) => vec![],
            (Event::Stop, _) => {
                (self.is_stopping, self.checking) = (true, None);
                vec![]
            }
            (Event::Retry, Phase::Closed) if !self.is_stopping => {
                self.connection += 1;
                self.phase = Phase::Connecting;
                vec![Action::Connect(self.connection)]
            }
            (Event::Connected, Phase::Connecting) => {
                self.phase = Phase::Looking;
                vec![Action::Look]
            }
            (Event::Seen(tail, log), Phase::Looking) => self.seen(tail, log),
            (Event::Compared(compared, log), Phase::Comparing(asked, tail)) => {
                match decide::ask(self.known.as_ref(), &tail, &log) {
                    // Pruned in between: there may be another way to prove it.
                    Some(other) if compared == Compared::Pruned && other != asked => {
                        self.compare(other, tail)
                    }
                    _ => self.deciding(tail, Some(compared), log),
                }
            }
            (Event::Decided(decision), Phase::Deciding(tail, _, log)) => self.decided(decision, tail, log),
            (Event::Saved(is_saved), _) => self.saved(is_saved),
            (Event::Held(true), Phase::Claiming(tail)) => self.open(tail),
            (Event::Held(false), Phase::Claiming(_)) => {
                self.phase = Phase::Looking;
                vec![Action::Look]
            }
            (Event::Seen(tail, _), Phase::Confirming(before)) => self.confirmed(&tail, &before),
            (Event::Seen(tail, _), Phase::Streaming) => self.looked(&tail),
            (Event::Read(piece), Phase::Streaming) => self.read(piece),
            (Event::More, Phase::Streaming) => self.more(),
            (Event::Acknowledged { connection, coordinate }, _) if connection == self.connection => {
                self.acknowledged(coordinate)
            }
            (Event::Lost { connection }, _) if connection == self.connection => self.close(),
            (Event::Tick(now), _) => self.tick(now),
            _ => vec![],
        }
    }

    /// Whatever went wrong: nothing is kept to be sent again.
    fn close(&mut self) -> Vec<Action> {
        if self.phase == Phase::Closed {
            return vec![];
        }
        self.phase = Phase::Closed;
        self.out.clear();
        self.is_reading = false;
        // The sink may have gone back: what it has is to be acknowledged for as long again.
        (self.saved_to, self.trailing, self.checking) = (None, None, None);
        vec![Action::Close]
    }

    fn end(&mut self, exit: Exit) -> Vec<Action> {
        self.close();
        self.phase = Phase::Ended;
        vec![Action::Exit(exit)]
    }

    /// Only units are waited for. An opening alone says nothing that the next look does not.
    fn stop(&mut self) -> Vec<Action> {
        if self.phase == Phase::Ended || self.phase == Phase::Streaming && !self.out.is_empty() {
            return vec![];
        }
        let mut actions = if self.phase == Phase::Streaming { vec![] } else { self.close() };
        if self.is_unsaved() {
            actions.extend(self.write_down());
        } else if self.saving.is_none() {
            actions.extend(self.end(Exit::Stopped));
        }
        actions
    }

    fn seen(&mut self, tail: Tail, log: Log) -> Vec<Action> {
        // One that went on behind this one; or this one itself, copied as it ran: a later connection than it ever had.
        let is_second = |top: &Top| match top.by == self.run {
            true => top.connection >= self.connection,
            false => top.over == self.run,
        };
        if let Some(top) = tail.top.filter(is_second) {
            return self.end(Exit::Second(top.by));
        }
        match decide::ask(self.known.as_ref(), &tail, &log) {
            Some(asked) => self.compare(asked, tail),
            None => self.deciding(tail, None, log),
        }
    }

    fn compare(&mut self, asked: Ask, tail: Tail) -> Vec<Action> {
        self.phase = Phase::Comparing(asked, tail);
        vec![Action::Compare(asked)]
    }

    fn deciding(&mut self, tail: Tail, compared: Option<Compared>, log: Log) -> Vec<Action> {
        self.phase = Phase::Deciding(tail, compared, log);
        vec![Action::Decide]
    }

    fn decided(&mut self, decision: Decision, tail: Tail, log: Log) -> Vec<Action> {
        (self.log, self.epoch, self.born) = (log.id, log.epoch, tail.born);
        match decision {
            Decision::Stop(stop) => return self.end(Exit::Decision(stop)),
            Decision::Resume { place, gap, .. } => {
                (self.place, self.ahead) = (Some(place), place);
                self.first = First { begins: false, gap };
            }
            Decision::Begin { from, gap } => {
                let (coordinate, proof) = (tail.coordinate, Proof::at(from));
                self.place = None;
                self.ahead = Place { coordinate, id: self.last_id(&tail), to: from, proof };
                self.first = First { begins: true, gap };
            }
        }
        self.mark = self.ahead.proof;
        // What is to be sent is kept. A hold that is lower stays: it trails.
        let needed = self.first.gap.unwrap_or(self.ahead.to);
        let hold = log.hold.map_or(needed, |hold| hold.clamp(log.oldest.min(needed), needed));
        if self.first.begins && self.known.is_none() {
            // Before anything is sent: whoever finds neither this nor a hold has never started.
            self.phase = Phase::Preparing(tail, hold);
            let known = Known { log: log.id, epoch: log.epoch, born: tail.born, place: None };
            // An earlier connection may have begun to write the same.
            return if self.saving.is_some() { vec![] } else { self.save(known) };
        }
        self.claim(tail, hold)
    }

    /// What an opening follows. Of a unit that retention has removed the checkpoint may know it.
    fn last_id(&self, tail: &Tail) -> Id {
        let place = self.known.and_then(|known| known.place);
        let place = place.filter(|place| place.coordinate == tail.coordinate);
        tail.top.map(|top| top.id).or(place.map(|place| place.id)).unwrap_or(0)
    }

    fn open(&mut self, tail: Tail) -> Vec<Action> {
        if self.is_by_name {
            return self.stream();
        }
        self.over = tail.top.map_or(0, |top| top.by);
        self.phase = Phase::Opening(tail);
        self.send(Kind::Opening, self.ahead.to, 0)
    }

    fn send(&mut self, kind: Kind, to: u64, sum: u64) -> Vec<Action> {
        let before = self.ahead;
        let proof = match kind {
            Kind::Content => self.proven(before.proof.and(before.to, to, sum)),
            // Alone: of the same segment the same, wherever this run began.
            Kind::Segment => Proof::at(before.to).and(before.to, to, sum),
            Kind::Begin => Proof::at(to),
            Kind::Opening | Kind::Gap(_) => before.proof,
        };
        let who = (self.epoch, self.over, self.run, self.connection);
        let (epoch, over, by, connection) = if self.is_by_name { (0, 0, 0, 0) } else { who };
        let (log, from, after) = (self.log, before.to, before.id);
        let unit = Header { kind, log, epoch, from, to, sum, proof, after, over, by, connection };
        self.ahead = decide::place_of(&unit, before.coordinate.saturating_add(1), before);
        self.out.push(Out { unit, id: self.ahead.id, coordinate: self.ahead.coordinate });
        vec![Action::Send { unit, after: before.coordinate }]
    }

    /// A proof that does not grow for ever: what it is of is read at every opening.
    fn proven(&mut self, proof: Proof) -> Proof {
        let has_mark = self.mark.from == proof.from && self.mark.to <= proof.to;
        let mark = if has_mark { self.mark } else { proof };
        let is_long = proof.to - proof.from >= self.limits.proof.saturating_mul(2) && mark.to < proof.to;
        if is_long {
            self.mark = proof.since(mark);
            return self.mark;
        }
        let is_half = mark.to - mark.from < self.limits.proof;
        self.mark = if is_half { proof } else { mark };
        proof
    }

    /// The opening arrived: whether it lies on what was looked at. Where a sink compares coordinates alone it may not.
    fn confirmed(&mut self, tail: &Tail, before: &Tail) -> Vec<Action> {
        let is_ours =
            tail.top.is_some_and(|top| top.id == self.ahead.id) && tail.coordinate == self.ahead.coordinate;
        // Retention may have removed what lies below.
        let is_there = tail.content == before.content || matches!(tail.content, Content::Trimmed(_));
        if !is_ours || !is_there || tail.born != before.born {
            return self.close();
        }
        self.stream()
    }

    fn stream(&mut self) -> Vec<Action> {
        self.phase = Phase::Streaming;
        if self.place.is_some() {
            // What the tail has is acknowledged, and the opening, if there is one, is the last unit that is known.
            self.reached(self.ahead);
        }
        let First { begins, gap } = self.first;
        let mut actions = vec![];
        if begins {
            actions.extend(self.send(Kind::Begin, self.ahead.to, 0));
        }
        if let Some(to) = gap {
            actions.extend(self.send(Kind::Gap(Why::Pruned), to, 0));
        }
        self.carried_out();
        actions.extend(self.more());
        actions
    }

    /// Wishes are for one decision. While what it led to may not have arrived it may have to be taken again.
    fn carried_out(&mut self) {
        let is_first = |out: &Out| matches!(out.unit.kind, Kind::Begin | Kind::Gap(Why::Pruned));
        if !self.out.iter().any(is_first) {
            (self.wishes.accept_gap, self.wishes.accept_fork, self.wishes.sink_is_new) = (false, false, None);
        }
    }

    fn reached(&mut self, place: Place) {
        self.place = Some(place);
        self.known = Some(Known { log: self.log, epoch: self.epoch, born: self.born, place: Some(place) });
        self.is_saved = false;
    }

    /// For a whole unit: what is left of a window would cut lines.
    fn has_room(&self) -> bool {
        let has_bytes = self.out.is_empty() || self.window() + self.limits.unit <= self.limits.window;
        self.out.len() < self.limits.units && has_bytes
    }

    fn more(&mut self) -> Vec<Action> {
        if self.is_reading || self.is_stopping || !self.has_room() {
            return vec![];
        }
        self.is_reading = true;
        vec![Action::Read { from: self.ahead.to, most: self.limits.unit }]
    }

    fn read(&mut self, piece: Piece) -> Vec<Action> {
        self.is_reading = false;
        let mut actions = match piece {
            _ if self.is_stopping => return vec![],
            Piece::End => return vec![],
            // Between the decision and now; the next decision says what is missing.
            Piece::Pruned => return self.close(),
            Piece::Content { to, sum } => self.send(Kind::Content, to, sum),
            Piece::Segment { to, sum } => self.send(Kind::Segment, to, sum),
            Piece::Hole { to } => self.send(Kind::Gap(Why::Hole), to, 0),
            Piece::Lost { to } => self.send(Kind::Gap(Why::Lost), to, 0),
        };
        actions.extend(self.more());
        actions
    }

    fn acknowledged(&mut self, coordinate: u64) -> Vec<Action> {
        let Some(first) = self.out.first().copied() else { return vec![] };
        // A server may answer "I have that" with another place: that says nothing of this one.
        if first.coordinate != coordinate {
            return self.close();
        }
        self.out.remove(0);
        let unit = first.unit;
        if let Phase::Opening(before) = self.phase {
            self.phase = Phase::Confirming(before);
            return vec![Action::Look];
        }
        self.reached(Place { coordinate, id: first.id, to: unit.to, proof: unit.proof });
        self.carried_out();
        self.more()
    }
}
