//! Where to go on: a pure function of the checkpoint, the sink's tail and the log.
//!
//! | checkpoint | sink's tail | log | rule |
//! |---|---|---|---|
//! | none, no hold | empty | | [`Begin`](Decision::Begin): a first start |
//! | none, a hold | empty | | [`SinkIsNew`](Stop::SinkIsNew): the hold says that there was more |
//! | any | this log, as proven | | [`Resume`](Decision::Resume) at the tail, whatever the checkpoint says; behind it: rewound, counted |
//! | any | this log, its bytes pruned | kept from there on | the same, unproven, said |
//! | any | this log, as proven | pruned behind it | [`Gap`](Stop::Gap), or, accepted, announced |
//! | any | this log, otherwise than proven | | [`Fork`](Stop::Fork) |
//! | any | this log, and a gap behind that the log has bytes for | | `Fork` |
//! | any | this log, beyond what is durable | | `Fork` |
//! | beyond what is durable | any | | `Fork`: the log went back |
//! | above what was trimmed | trimmed, then openings or nothing | as written down | `Resume` at the checkpoint |
//! | the same | the same | otherwise | `Fork` |
//! | none, or below | trimmed | | [`TailGone`](Stop::TailGone): there may be more than is known |
//! | any | empty, or a lower coordinate without a unit | | `SinkIsNew` |
//! | any | born anew | | `SinkIsNew` |
//! | this log's | cannot be asked | as written down | `Resume` there |
//! | the same | the same | otherwise | `Fork` |
//! | another log's | the same | made anew | `Begin` |
//! | none, a hold | the same | | `Begin` at the hold, which never passes what was acknowledged: what came behind it comes again |
//! | another log | that log | made anew | `Begin`: a new chain, behind the old one |
//! | to begin at a place | | pruned behind it | `Gap`, or, accepted, announced |
//! | this log, none | another log | | [`OtherLog`](Stop::OtherLog): a host that was made anew, or a wrong sink |
//! | any | not a unit, or a later version's | | `Foreign`, [`Later`](Stop::Later) |

use crate::checkpoint::{Known, Place};
use crate::unit::{Header, Id, Kind, Run};

/// The last unit that is no opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// The sink has nothing, or openings alone, and nothing that it took was removed.
    Empty,
    /// It had something: its retention has removed all up to this coordinate, and what it has above is openings, if anything.
    Trimmed(u64),
    /// The unit.
    Unit(Header),
    /// It cannot be asked: what was written down is all that anybody knows.
    Unasked,
    /// Something that is no unit.
    Foreign,
    /// A unit of a later version.
    Later(u64),
}

/// The unit of whatever kind that the next one is to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Top {
    /// Its id.
    pub id: Id,
    /// The run that sent it.
    pub by: Run,
    /// Which connection of that run.
    pub connection: u64,
    /// The run that sent the one before it.
    pub over: Run,
}

impl Top {
    /// What is asked of a unit that is the last one.
    pub fn of(header: &Header) -> Self {
        Top { id: header.id(), by: header.by, connection: header.connection, over: header.over }
    }
}

/// What a look at the sink found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tail {
    /// When the sink was made.
    pub born: u64,
    /// The coordinate of the last message that it ever took; 0 for none.
    pub coordinate: u64,
    /// The last unit, if it is still there.
    pub top: Option<Top>,
    /// The last unit that is no opening. Openings are no authority: one that came late may lie on what its sender never saw.
    pub content: Content,
}

/// What is true of the log when it is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Log {
    /// Its uuid.
    pub id: u128,
    /// Its epoch.
    pub epoch: u64,
    /// The first position that is kept.
    pub oldest: u64,
    /// Up to here a sync has returned.
    pub durable: u64,
    /// Where this shipper's hold is, if it has one.
    pub hold: Option<u64>,
}

/// A question to the log: are the bytes `from..to` such that a sum goes from `start` to `wanted`?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The first byte.
    pub from: u64,
    /// Behind the last one.
    pub to: u64,
    /// The sum before.
    pub start: u64,
    /// The sum that is to come of it.
    pub wanted: u64,
    /// Where the sink's content ends: from there to `end` it was told that there are no bytes.
    pub gap: u64,
    /// Behind the last of those.
    pub end: u64,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compared {
    /// They are.
    Equal,
    /// They are not.
    Differs,
    /// Not all of them are kept, whoever took them.
    Pruned,
    /// Not all of them are durable.
    Beyond,
}

/// Where a first start begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum From {
    /// With what is kept.
    Oldest,
    /// With what comes.
    Newest,
    /// There, or with the oldest that is kept.
    Position(u64),
}

/// A sink that is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SinkIsNew {
    /// It is to have all that is kept.
    Restart,
    /// It is to have what the old one had not.
    Continue,
}

/// What people have decided. Each holds for one decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wishes {
    /// Of a first start.
    pub from: From,
    /// What was pruned before it was shipped may be announced as a gap.
    pub accept_gap: bool,
    /// A sink that has another history, or another log's, may get this one behind it.
    pub accept_fork: bool,
    /// What a sink that lost everything is to have.
    pub sink_is_new: Option<SinkIsNew>,
}

/// A decision is needed that only a person takes: exit 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// These were pruned before they were shipped: `--accept-gap`.
    Gap {
        /// What the sink has.
        from: u64,
        /// What the log has.
        to: u64,
    },
    /// The sink is not the one that acknowledged, or forgot everything: `--sink-is-new`.
    SinkIsNew,
    /// The sink's retention removed units that were never seen here: `--sink-is-new`.
    TailGone,
    /// Log and sink have different histories: `--accept-fork`.
    Fork,
    /// The chain of another log is there, which this shipper knows nothing of: `--accept-fork`.
    OtherLog(u128),
    /// Somebody else's messages are there.
    Foreign,
    /// A later version of this program has shipped.
    Later(u64),
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Behind what the sink has.
    Resume {
        /// Where the chain is; its coordinate and id are the tail's.
        place: Place,
        /// More bytes had arrived than were written down.
        unrecorded: u64,
        /// Bytes that had been acknowledged and are sent again: the sink lost them.
        resent: u64,
        /// Whether the sink's bytes were compared.
        is_proven: bool,
        /// Up to where nothing is kept, which is announced first.
        gap: Option<u64>,
    },
    /// A new chain.
    Begin {
        /// Its first position.
        from: u64,
        /// Up to where nothing is kept, which is announced first.
        gap: Option<u64>,
    },
    /// Nothing without a person.
    Stop(Stop),
}

/// What has to be compared before it can be decided.
///
/// The log itself is asked for all that the tail proves, as long as it has that: what was written down says nothing of a log that was put
/// back to an earlier copy. Only where the log begins later, what was written down stands for its bytes.
pub fn ask(known: Option<&Known>, tail: &Tail, log: &Log) -> Option<Ask> {
    let place = known.filter(|known| known.log == log.id).and_then(|known| known.place);
    let (theirs, end) = match &tail.content {
        Content::Unit(header) if header.log == log.id => (header.proof, header.to),
        // What the sink has no more was written down.
        Content::Trimmed(_) | Content::Unasked => place.map(|place| (place.proof, place.to))?,
        _ => return None,
    };
    let gap = theirs.to;
    let whole = Ask { from: theirs.from, to: theirs.to, start: 0, wanted: theirs.sum, gap, end };
    if theirs.from >= log.oldest {
        return Some(whole);
    }
    Some(match place.map(|place| place.proof).filter(|ours| ours.from == theirs.from) {
        Some(ours) if ours.to <= theirs.to => Ask { from: ours.to, start: ours.sum, ..whole },
        Some(ours) => Ask { from: theirs.to, to: ours.to, start: theirs.sum, wanted: ours.sum, ..whole },
        None => whole,
    })
}

/// Decides. `compared` answers what [`ask`] asked, and `log` was looked at no earlier than that.
pub fn decide(
    known: Option<&Known>,
    tail: &Tail,
    compared: Option<Compared>,
    log: &Log,
    wishes: &Wishes,
) -> Decision {
    let ours = known.filter(|known| known.log == log.id);
    let place = ours.and_then(|known| known.place);
    if place.is_some_and(|place| place.to > log.durable) {
        return fork(Stop::Fork, log, wishes);
    }
    // Of no interest where nothing was ever acknowledged.
    let is_reborn = known.is_some_and(|known| known.place.is_some() && known.born != tail.born);
    match tail.content {
        Content::Foreign => Decision::Stop(Stop::Foreign),
        Content::Later(version) => Decision::Stop(Stop::Later(version)),
        Content::Unit(header) if header.log != log.id => match known {
            Some(known) if known.log == header.log && !is_reborn => {
                begin(log.hold.unwrap_or(log.oldest), log, wishes)
            }
            _ => fork(Stop::OtherLog(header.log), log, wishes),
        },
        Content::Unit(_) if is_reborn && wishes.sink_is_new.is_none() => Decision::Stop(Stop::SinkIsNew),
        Content::Unit(header) => resume(&header, place, compared, tail, log, wishes),
        Content::Trimmed(_) | Content::Unasked if is_reborn => {
            let at = place.map(|place| place.to).or(log.hold);
            anew(Stop::SinkIsNew, at, log, wishes)
        }
        // Nobody else can say that it has forgotten everything.
        Content::Unasked if wishes.sink_is_new == Some(SinkIsNew::Restart) => {
            Decision::Begin { from: log.oldest, gap: None }
        }
        Content::Trimmed(_) | Content::Unasked
            if matches!(compared, Some(Compared::Differs | Compared::Beyond)) =>
        {
            fork(Stop::Fork, log, wishes)
        }
        Content::Trimmed(upto) => trimmed(place, upto, tail, log, wishes),
        Content::Unasked => unasked(known, place, tail, log, wishes),
        Content::Empty => empty(known, log, wishes),
    }
}

fn resume(
    header: &Header,
    known: Option<Place>,
    compared: Option<Compared>,
    tail: &Tail,
    log: &Log,
    wishes: &Wishes,
) -> Decision {
    if header.to > log.durable || matches!(compared, Some(Compared::Differs | Compared::Beyond)) {
        return fork(Stop::Fork, log, wishes);
    }
    let id = tail.top.map_or(0, |top| top.id);
    let place = Place { coordinate: tail.coordinate, id, to: header.to, proof: header.proof };
    // Whoever lost the checkpoint has the hold, which never passes what was acknowledged.
    let acknowledged = known.map(|place| place.to).max(log.hold);
    let gap = (header.to < log.oldest).then_some(log.oldest);
    match gap {
        Some(to) if !wishes.accept_gap => Decision::Stop(Stop::Gap { from: header.to, to }),
        _ => Decision::Resume {
            place,
            unrecorded: acknowledged.map_or(0, |at| header.to.saturating_sub(at)),
            resent: acknowledged.map_or(0, |at| at.saturating_sub(header.to)),
            is_proven: compared == Some(Compared::Equal),
            gap,
        },
    }
}

/// The sink's place is known by its coordinate alone.
fn trimmed(place: Option<Place>, upto: u64, tail: &Tail, log: &Log, wishes: &Wishes) -> Decision {
    let Some(place) = place else { return anew(Stop::TailGone, log.hold, log, wishes) };
    if place.coordinate > tail.coordinate {
        return anew(Stop::SinkIsNew, Some(place.to), log, wishes);
    }
    let id = tail.top.map_or(place.id, |top| top.id);
    let is_another = place.coordinate == tail.coordinate && place.id != id;
    // All that is above this place is openings, or there may be more than is known.
    if place.coordinate < upto || is_another {
        return anew(Stop::TailGone, Some(place.to), log, wishes);
    }
    as_written_down(Place { coordinate: tail.coordinate, id, ..place }, log, wishes)
}

fn as_written_down(place: Place, log: &Log, wishes: &Wishes) -> Decision {
    let gap = (place.to < log.oldest).then_some(log.oldest);
    match gap {
        Some(to) if !wishes.accept_gap => Decision::Stop(Stop::Gap { from: place.to, to }),
        _ => Decision::Resume { place, unrecorded: 0, resent: 0, is_proven: false, gap },
    }
}

/// A sink that says nothing of itself. Its coordinates are counted here.
fn unasked(known: Option<&Known>, place: Option<Place>, tail: &Tail, log: &Log, wishes: &Wishes) -> Decision {
    match place {
        Some(place) => {
            let id = tail.top.map_or(place.id, |top| top.id);
            as_written_down(Place { coordinate: tail.coordinate, id, ..place }, log, wishes)
        }
        None if known.is_some_and(|known| known.log != log.id) => {
            begin(log.hold.unwrap_or(log.oldest), log, wishes)
        }
        None => first(log, wishes),
    }
}

fn empty(known: Option<&Known>, log: &Log, wishes: &Wishes) -> Decision {
    let recorded = known.and_then(|known| known.place);
    // Something was acknowledged; or there was a start, as its hold tells, whose checkpoint is gone.
    let had_more = recorded.is_some() || (known.is_none() && log.hold.is_some());
    if had_more {
        let is_ours = known.is_none_or(|known| known.log == log.id);
        let at = recorded.filter(|_| is_ours).map(|place| place.to);
        return anew(Stop::SinkIsNew, at.or(log.hold), log, wishes);
    }
    first(log, wishes)
}

/// One that was written down, or has a hold, and came no further begins where it said.
fn first(log: &Log, wishes: &Wishes) -> Decision {
    let from = match (log.hold, wishes.from) {
        (Some(hold), _) => hold,
        (None, From::Oldest) => log.oldest,
        (None, From::Newest) => log.durable,
        (None, From::Position(at)) => at.clamp(log.oldest, log.durable.max(log.oldest)),
    };
    begin(from, log, wishes)
}

fn anew(stop: Stop, at: Option<u64>, log: &Log, wishes: &Wishes) -> Decision {
    match (wishes.sink_is_new, at) {
        (None, _) => Decision::Stop(stop),
        (Some(SinkIsNew::Continue), Some(at)) => begin(at, log, wishes),
        (Some(_), _) => Decision::Begin { from: log.oldest, gap: None },
    }
}

/// A new chain from there, where something is owed from there on.
fn begin(from: u64, log: &Log, wishes: &Wishes) -> Decision {
    let gap = (from < log.oldest).then_some(log.oldest);
    match gap {
        Some(to) if !wishes.accept_gap => Decision::Stop(Stop::Gap { from, to }),
        _ => Decision::Begin { from, gap },
    }
}

fn fork(stop: Stop, log: &Log, wishes: &Wishes) -> Decision {
    if wishes.accept_fork { Decision::Begin { from: log.oldest, gap: None } } else { Decision::Stop(stop) }
}

/// What a unit leaves behind as the chain's place, once it is acknowledged.
pub fn place_of(header: &Header, coordinate: u64, before: Place) -> Place {
    let to = if header.kind == Kind::Opening { before.to } else { header.to };
    let proof = if header.kind == Kind::Opening { before.proof } else { header.proof };
    Place { coordinate, id: header.id(), to, proof }
}
