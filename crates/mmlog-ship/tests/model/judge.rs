//! Says what is wrong: a reader of the sink, what the shippers wrote down, and why they ended.

use mmlog_ship::checkpoint::Known;
use mmlog_ship::decide::{Decision, Stop};
use mmlog_ship::machine::Exit;
use mmlog_ship::sum;
use mmlog_ship::unit::{Kind, Why};

use crate::log::History;
use crate::sink::Sink;
use crate::world::{Setting, World};

/// What happened, and what was wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) sink_went_back: bool,
    pub(crate) sink_is_new: bool,
    pub(crate) was_trimmed: bool,
    pub(crate) was_forced: bool,
    pub(crate) was_cut: bool,
    pub(crate) was_cloned: bool,
    pub(crate) was_put_back: bool,
    pub(crate) lost_file: bool,
    /// It lost all units, by forgetting alone.
    pub(crate) was_emptied: bool,
    /// A person allowed one more chain.
    allowed: bool,
    /// The highest position that was written down.
    pub(crate) saved: u64,
    was_acknowledged: bool,
    /// The highest position that the sink ever had.
    taken: u64,
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
            let header = &message.header;
            let id = header.id();
            if header.kind == Kind::Opening {
                before = id;
                continue;
            }
            self.taken = self.taken.max(header.to);
            self.is(header.after == before, "a unit does not follow the one before it");
            before = id;
            if header.kind == Kind::Begin {
                begins += u32::from(chain == Some(header.log));
                (at, chain) = (header.to, Some(header.log));
                alike = logs.iter().map(|log| log.id == header.log).collect();
                continue;
            }
            self.is(chain == Some(header.log) && header.from == at, "the chain has a gap, or bytes twice");
            at = header.to;
            self.is(sum::extend(0, &message.payload) == header.sum, "bytes and sum do not fit");
            self.is(message.payload.len() as u64 == header.length(), "length and range do not fit");
            for (log, alike) in logs.iter().zip(&mut alike) {
                *alike &= log.durable as u64 >= header.to && self.fits(log, header, &message.payload);
            }
            self.is(alike.contains(&true), "the reader has what no log has");
        }
        self.is(begins == 0 || self.allowed, "a chain began again without a word");
        let first = sink.messages.iter().find(|message| message.header.kind == Kind::Begin);
        let is_late = first.is_some_and(|message| message.header.log == 7 && message.header.from > 0);
        self.is(!is_late || self.allowed || self.was_forced, "bytes are missing before the chain");
    }

    fn fits(&self, log: &History, header: &mmlog_ship::unit::Header, payload: &[u8]) -> bool {
        let range = header.from as usize..header.to as usize;
        let there = &log.bytes[range.clone()];
        match header.kind {
            Kind::Content => there.iter().copied().eq(payload.iter().map(|byte| Some(*byte))),
            // After a power cut a log may take for bytes what it knew as a hole.
            Kind::Gap(Why::Hole) => self.was_cut || there.iter().all(Option::is_none),
            Kind::Gap(Why::Pruned) => range.end <= log.oldest && self.allowed,
            // No log of the model says that.
            Kind::Gap(Why::Lost) | Kind::Opening | Kind::Begin => false,
        }
    }

    pub(crate) fn decided(&mut self, decision: &Decision, setting: &Setting, log: u128) {
        let wishes = &setting.wishes;
        let is_wished = wishes.accept_fork || wishes.accept_gap || World::is_new_accepted(setting);
        let is_needed = matches!(decision, Decision::Begin { .. } | Decision::Resume { gap: Some(_), .. });
        self.allowed |= is_wished && is_needed;
        let is_silent = matches!(decision, Decision::Begin { .. }) && !is_wished && log == 7;
        let is_again = is_silent && self.was_acknowledged && !self.was_cloned;
        self.is(!is_again, "a sink that had acknowledged is begun again without a word");
    }

    pub(crate) fn wrote(&mut self, known: &Known) {
        let Some(place) = known.place.filter(|_| known.log == 7) else { return };
        self.saved = self.saved.max(place.to);
        self.was_acknowledged = true;
        self.is(place.to <= self.taken, "what is written down was never in the sink");
    }

    pub(crate) fn held(&mut self, to: u64, sink: &Sink) {
        self.is(to <= self.saved, "the hold is ahead of what is written down");
        let flushed =
            sink.messages[..sink.flushed].iter().map(|message| message.header.to).max().unwrap_or(0);
        let is_excused = self.sink_went_back || self.sink_is_new;
        self.is(is_excused || to <= flushed, "the hold is ahead of what the sink has on its disk");
    }

    pub(crate) fn exit(&mut self, exit: Exit) {
        let is_new = self.sink_is_new || self.sink_went_back;
        let (has_cause, what) = match exit {
            Exit::Decision(Stop::Gap { .. }) => {
                (self.was_forced || is_new || self.was_cloned, "a gap was asked about for nothing")
            }
            Exit::Decision(Stop::SinkIsNew) => (
                is_new || self.lost_file || self.was_cloned || self.was_emptied,
                "a new sink was asked about for nothing",
            ),
            Exit::Decision(Stop::TailGone) => {
                (self.was_trimmed, "a trimmed tail was asked about for nothing")
            }
            Exit::Decision(Stop::Fork) => {
                (self.was_cloned || self.was_put_back, "a fork was asked about for nothing")
            }
            Exit::Decision(Stop::Foreign | Stop::Later(_)) => (false, "it took its own units for others'"),
            Exit::Second(_) => (self.was_cloned, "it took itself for a second shipper"),
            Exit::Unsaved => (true, ""),
        };
        self.is(has_cause, what);
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
        if shipper.machine.connection() > setting.connections {
            return Some("it connects without end");
        }
    }
    None
}
