//! Says what is wrong: a reader of the sink, what the shippers wrote down, and why they ended.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use mmlog_ship::checkpoint::Known;
use mmlog_ship::decide::{Decision, SinkIsNew, Stop, Wishes};
use mmlog_ship::machine::{Action, Exit};
use mmlog_ship::sum;
use mmlog_ship::unit::{Id, Kind, Why};

use crate::log::History;
use crate::sink::Sink;
use crate::world::{Setting, Shipper, World};

/// What is no part of a state, since it follows from how that was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aside<T>(T);

impl<T> Hash for Aside<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// What happened, and what was wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) sink_went_back: bool,
    /// How often it was new.
    pub(crate) news: u8,
    pub(crate) was_trimmed: bool,
    pub(crate) was_forced: bool,
    pub(crate) was_cut: bool,
    pub(crate) was_cloned: bool,
    pub(crate) was_put_back: bool,
    pub(crate) was_remade: bool,
    pub(crate) has_strangers: bool,
    pub(crate) was_stale: bool,
    pub(crate) lost_file: bool,
    pub(crate) old_file: bool,
    pub(crate) lost_hold: bool,
    pub(crate) was_unsaved: bool,
    /// It lost all units, by forgetting alone.
    pub(crate) was_emptied: bool,
    /// It lost something since somebody looked.
    pub(crate) is_unseen: bool,
    /// A person allowed one more chain.
    allowed: bool,
    /// The highest position that was written down.
    pub(crate) saved: u64,
    was_acknowledged: bool,
    /// Every tail that the sink ever had: coordinate, id, and the chain's end.
    tails: Aside<Rc<Vec<(u64, Id, u64)>>>,
    pub(crate) wrong: Option<&'static str>,
}

impl Seen {
    fn is(&mut self, is_right: bool, what: &'static str) {
        if !is_right && self.wrong.is_none() {
            self.wrong = Some(what);
        }
    }

    /// The reader: all units from the first, as whoever receives them checks them.
    pub(crate) fn took(&mut self, sink: &Sink, logs: &[History]) {
        let (mut before, mut at, mut chain, mut begins) = (0, 0, None, 0);
        let mut alike: Vec<bool> = vec![true; logs.len()];
        for message in &sink.messages {
            if message.is_foreign {
                (before, chain) = (Id::MAX, None);
                continue;
            }
            let header = &message.header;
            let (id, follows) = (header.id(), header.after == before);
            before = id;
            if header.kind == Kind::Opening {
                continue;
            }
            if header.kind == Kind::Begin {
                self.is(follows, "a chain does not begin behind what was there");
                begins += u32::from(chain == Some(header.log));
                (at, chain) = (header.to, Some(header.log));
                alike = logs.iter().map(|log| log.id == header.log).collect();
                continue;
            }
            self.is(chain == Some(header.log) && header.from == at, "the chain has a gap, or bytes twice");
            self.is(follows, "a unit does not follow the one before it");
            at = header.to;
            self.is(sum::extend(0, &message.payload) == header.sum, "bytes and sum do not fit");
            self.is(message.payload.len() as u64 == header.length(), "length and range do not fit");
            for (log, alike) in logs.iter().zip(&mut alike) {
                *alike &= log.durable as u64 >= header.to && self.fits(log, header, &message.payload);
            }
            self.is(alike.contains(&true), "the reader has what no log has");
        }
        let last = sink.messages.last().filter(|last| !last.is_foreign);
        if let Some(last) = last {
            let tail = (sink.messages.len() as u64, last.header.id(), sink.end(sink.messages.len()));
            if !self.tails.0.contains(&tail) {
                Rc::make_mut(&mut self.tails.0).push(tail);
            }
        }
        self.is(begins == 0 || self.allowed, "a chain began again without a word");
        let first = sink.messages.iter().find(|message| message.header.kind == Kind::Begin);
        let is_late = first.is_some_and(|message| message.header.log == 7 && message.header.from > 0);
        self.is(
            !is_late || self.allowed || self.was_forced || self.lost_hold,
            "bytes are missing before the chain",
        );
    }

    fn fits(&self, log: &History, header: &mmlog_ship::unit::Header, payload: &[u8]) -> bool {
        let range = header.from as usize..header.to as usize;
        let there = &log.bytes[range.clone()];
        match header.kind {
            Kind::Content => there.iter().copied().eq(payload.iter().map(|byte| Some(*byte))),
            // After a power cut a log may take for bytes what it knew as a hole.
            Kind::Gap(Why::Hole) => self.was_cut || there.iter().all(Option::is_none),
            Kind::Gap(Why::Pruned) => range.end <= log.oldest && self.allowed,
            Kind::Gap(Why::Lost) => range.clone().all(|at| log.taken.contains(&at)),
            Kind::Opening | Kind::Begin | Kind::Segment => false,
        }
    }

    /// Whether it took a person, where it goes on.
    pub(crate) fn decided(&mut self, decision: &Decision, setting: &Setting, log: &History) -> Option<bool> {
        let wishes = &setting.wishes;
        let is_wished = wishes.accept_fork || wishes.accept_gap || World::is_new_accepted(setting);
        let is_needed = matches!(decision, Decision::Begin { .. } | Decision::Resume { gap: Some(_), .. });
        self.allowed |= is_wished && is_needed;
        let is_silent = matches!(decision, Decision::Begin { .. }) && !is_wished && log.id == 7;
        let is_again = is_silent && self.was_acknowledged && !self.was_cloned;
        self.is(!is_again, "a sink that had acknowledged is begun again without a word");
        if let Decision::Begin { from, gap: None } = *decision {
            let is_owed = !is_wished && log.hold.is_some_and(|hold| hold < from);
            self.is(!is_owed, "what was held is passed over without a word");
            let continues = wishes.sink_is_new == Some(SinkIsNew::Continue) && self.was_acknowledged;
            self.is(!continues || from <= self.saved, "what was pruned is passed over without a word");
        }
        (!matches!(decision, Decision::Stop(_))).then_some(is_wished && is_needed)
    }

    pub(crate) fn wrote(&mut self, known: &Known) {
        let Some(place) = known.place else { return };
        let was_there = self.tails.0.contains(&(place.coordinate, place.id, place.to));
        self.is(was_there, "what is written down was never in the sink");
        if known.log == 7 {
            self.saved = self.saved.max(place.to);
            self.was_acknowledged = true;
        }
    }

    pub(crate) fn held(&mut self, to: u64, shipper: &Shipper, sink: &Sink) {
        let saved = shipper.file.and_then(|known| known.place).map_or(0, |place| place.to);
        self.is(to <= saved, "the hold is ahead of what is written down");
        // What it lost since it was looked at it could lose a moment later, too.
        let is_there = self.is_unseen || to <= sink.end(sink.messages.len());
        self.is(is_there, "the hold is ahead of what the sink has");
        let is_excused = self.sink_went_back || self.news > 0;
        self.is(
            is_excused || to <= sink.end(sink.flushed),
            "the hold is ahead of what the sink has on its disk",
        );
    }

    /// What a shipper does that is to end, and what it ends with.
    pub(crate) fn acts(&mut self, shipper: &Shipper, action: &Action) {
        let goes_on = match action {
            Action::Send { .. } | Action::Hold(_) | Action::Claim(_) | Action::Read { .. } => {
                shipper.is_stopping
            }
            Action::Connect(_) => shipper.is_stopping,
            _ => false,
        };
        self.is(!goes_on, "it goes on where it was to end");
        if *action == Action::Exit(Exit::Stopped) && !self.was_unsaved {
            let place = shipper.file.and_then(|known| known.place);
            let is_saved = shipper.heard.is_none_or(|heard| Some(heard.to) <= place.map(|place| place.to));
            self.is(is_saved, "it ended, and what was acknowledged is not written down");
        }
    }

    pub(crate) fn exit(&mut self, exit: Exit, wishes: &Wishes, shipper: &Shipper, trimmed: usize) {
        let is_new = self.news > 0 || self.sink_went_back || self.was_stale;
        let place = shipper.file.and_then(|known| known.place);
        let is_unknown = self.was_remade || place.is_none_or(|place| place.coordinate < trimmed as u64);
        let is_gone = is_new || self.lost_file || self.was_cloned || self.was_emptied;
        let (has_cause, is_wished, what) = match exit {
            Exit::Decision(Stop::Gap { .. }) => (
                self.was_forced || is_new || self.was_cloned || self.lost_hold,
                wishes.accept_gap,
                "a gap was asked about for nothing",
            ),
            Exit::Decision(Stop::SinkIsNew) => {
                (is_gone, wishes.sink_is_new.is_some(), "a new sink was asked about for nothing")
            }
            Exit::Decision(Stop::TailGone) => (
                self.was_trimmed && (is_unknown || is_new),
                wishes.sink_is_new.is_some(),
                "a trimmed tail was asked about for nothing",
            ),
            Exit::Decision(Stop::Fork) => (
                self.was_cloned || self.was_put_back,
                wishes.accept_fork,
                "a fork was asked about for nothing",
            ),
            Exit::Decision(Stop::OtherLog(_)) => (
                self.was_remade && self.lost_file,
                wishes.accept_fork,
                "another log was asked about for nothing",
            ),
            Exit::Decision(Stop::Foreign) => (self.has_strangers, false, "it took its own units for others'"),
            Exit::Decision(Stop::Later(_)) => (false, false, "it took its own units for a later version's"),
            Exit::Second(_) => (self.was_cloned, false, "it took itself for a second shipper"),
            Exit::Unsaved | Exit::Stopped => (true, false, ""),
        };
        self.is(has_cause, what);
        // A wish is for one decision, until what that led to is acknowledged.
        let is_open = !shipper.was_streaming || shipper.wished && shipper.heard.is_none();
        self.is(!(is_wished && is_open), "a person is asked again about what is wished");
    }
}

/// What is wrong with a state.
pub(crate) fn judge(world: &World, setting: &Setting) -> Option<&'static str> {
    if let Some(wrong) = world.seen.wrong {
        return Some(wrong);
    }
    for shipper in &world.shippers {
        if shipper.machine.window() > setting.limits.window {
            return Some("the window is larger than it may be");
        }
        let log = &world.logs[shipper.log];
        if let (true, Some(place)) = (shipper.machine.is_streaming(), shipper.machine.place()) {
            let most = place.to.max(log.oldest as u64);
            if log.hold.map_or(!world.seen.lost_hold, |hold| hold > most) {
                return Some("it sends what the log may drop");
            }
        }
        if shipper.machine.connection() > setting.connections {
            return Some("it connects without end");
        }
    }
    None
}
