//! How a log of mmlog leaves its host: nothing lost, nothing doubled, nothing silently missing.
//!
//! [`unit`](mod@unit) is what is sent, [`checkpoint`] what is written down, [`decide`](mod@decide) says where to go on, [`machine`] what to do next. All of
//! that is pure, and `tests/model` has it run as it ships against sinks and logs that do whatever they can. [`run`](mod@run) carries it out, between a
//! [`source`] and one of the [`sinks`].
//!
//! # What holds
//!
//! - Only durable bytes are sent. So a position means the same bytes for ever, whatever a power cut takes.
//! - The sink's tail is the truth of what the sink has. The checkpoint is there to notice when that went back.
//! - On any error the window is dropped and the tail is read. There is no queue for a second try: the log is the buffer.
//! - Units chain without a gap; what has no bytes is announced.
//! - The hold, which keeps bytes from being pruned, goes only to places that were acknowledged and saved a while ago, and back to where the
//!   sink went back to: nothing is sent that the log may drop meanwhile. A new start has a checkpoint and a hold before its first
//!   unit: so a lost checkpoint and an empty sink are no first start.
//!
//! # The fence
//!
//! A sink appends a unit only if its tail is the one that the unit follows: its coordinate, and the id in it. The id is a sum of a unit's
//! header, which has the id before: it stands for all that is below. A coordinate alone is not enough, since a sink that is
//! put back gives the same coordinates again, to whatever a dead connection has still on its way.
//!
//! Some servers forget ids, and can compare the first unit of a connection by its coordinate only. So that unit is an **opening**: empty,
//! with the run and the connection that sent it. Three rules make it safe. It moves the tail, so whatever others still have on their way
//! follows something else. It is no authority: who looks for the tail goes back over openings to the last unit of another kind. And
//! nothing is sent behind it until another look has shown that it lies on what was looked at before. So an opening that came
//! late, onto something that its sender never saw, stays without anything behind it, and is passed over.
//!
//! A sink that compares the coordinate of openings alone must not take one message twice: an opening that is taken again after the sink
//! was put back would carry what its first place was confirmed for. A sink that compares ids always may.
//!
//! A shipper that finds an opening of another run *on its own unit* has met one that is alive: it ends. One that finds
//! a late one, on something else, opens again.
//!
//! A sink that refuses nobody, as a partition of Kafka, is read by one rule instead: a unit counts if it has the id of the one that counted
//! before it. What counts is such a list as above, and its coordinates are those of all that is there: whoever gets another one than
//! he expected has had something come in between, and looks at the tail again.
//!
//! A sink that gives each unit a name of its range, and takes a name once, needs none of that: there the same unit has the same id whoever
//! sends it, and [no opening](machine::Machine::by_name) is sent.
//!
//! # What it does not see
//!
//! Two logs with one history up to a point, and equal since the last gap or for as long as a [`Proof`](unit::Proof) reaches, are taken for
//! one. Where a sink's retention removed everything, the checkpoint alone tells its history: one that compares coordinates alone may have
//! gone back, and have been filled up by what was on its way, before that was removed. A checkpoint that is put back to the very first,
//! which has no place, is a first start's. Of a sink that cannot be asked, and of which nothing was written down yet, nobody knows whether it
//! has anything: an accepted gap is not announced there, if the connection is cut before it is. Sums find accidents, no forger.

mod error;
mod fields;
mod trouble;
mod turn;

pub mod checkpoint;
pub mod cli;
pub mod decide;
pub mod machine;
pub mod receive;
pub mod run;
pub mod segment;
pub mod sinks;
pub mod source;
pub mod store;
pub mod sum;
pub mod unit;

pub use error::Error;
pub use trouble::Trouble;
