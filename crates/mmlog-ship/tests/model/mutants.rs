//! Faults that shippers have, or that a first design has, each told to the shipped code as if it had it: at the border between it and the
//! world, which hears, answers or carries out something else. Each has a world in which the judge must see it.

use crate::configurations::{Configuration, named};
use crate::search::search;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mutant {
    /// The sink compares nothing.
    NoFence,
    /// The sink compares coordinates alone.
    CoordinateAlone,
    /// The sink compares ids alone.
    IdAlone,
    /// The sink compares nothing, and takes a unit of a position that it has for the same: its id is the position alone.
    IdIsAPlace,
    /// The sink compares the coordinates of openings alone, and takes a message twice.
    TakesTwice,
    /// Nothing is looked at behind the opening.
    NoSecondLook,
    /// An opening counts as the chain's end.
    OpeningsAreAuthority,
    /// What another shipper went on behind is not seen.
    BlindToRivals,
    /// A copy of this run is not seen.
    BlindToCopies,
    /// What is not durable is sent.
    BeyondDurable,
    /// It goes on at the larger of checkpoint and tail.
    LargerOfTheTwo,
    /// It goes on at the checkpoint.
    FileIsTheTruth,
    /// The checkpoint is saved when a unit is sent.
    SaveBeforeAck,
    /// The hold moves when the sink has something.
    HoldBeforeSave,
    /// The hold moves to the highest place ever, whatever the sink lost since.
    HoldAtTheHighest,
    /// The hold follows what is saved, at once.
    HoldDoesNotTrail,
    /// A hold is put there for a first start alone.
    FirstHoldAlone,
    /// The hold stays where it is when the sink has gone back.
    HoldNeverGoesBack,
    /// A hold without a checkpoint means nothing.
    HoldIsNoMemory,
    /// Answers of a dead connection count.
    OldAnswers,
    /// What was on its way is sent again as it was, ahead of everything.
    RetryQueue,
    /// An empty sink is begun again.
    SilentRestart,
    /// It goes on at the checkpoint on an empty sink.
    SilentContinue,
    /// What was pruned is passed over.
    SilentGap,
    /// Holes are passed over.
    HolesAreSkipped,
    /// A sink with other bytes is gone on with.
    ForksAreIgnored,
    /// The last unit is compared alone.
    LastUnitAlone,
    /// What somebody took from the log counts as other bytes.
    TakenDiffers,
    /// A proof is of all content since the chain began.
    ProofAcrossGaps,
    /// It goes on where it was to end.
    StopIsNotHeard,
    /// It ends without what it heard being written down.
    StopForgetsToSave,
}

/// Each with the world that shows it.
const MUTANTS: [(Mutant, &str); 31] = [
    (Mutant::NoFence, "put back"),
    (Mutant::CoordinateAlone, "put back"),
    (Mutant::IdAlone, "server started again"),
    (Mutant::IdIsAPlace, "cut anew"),
    (Mutant::TakesTwice, "put back, weak"),
    (Mutant::NoSecondLook, "put back, weak"),
    (Mutant::OpeningsAreAuthority, "put back, weak"),
    (Mutant::BlindToRivals, "second"),
    (Mutant::BlindToCopies, "clone, running"),
    (Mutant::BeyondDurable, "power cut"),
    (Mutant::LargerOfTheTwo, "forgets, appended"),
    (Mutant::FileIsTheTruth, "restarts"),
    (Mutant::SaveBeforeAck, "restarts"),
    (Mutant::HoldBeforeSave, "forgets"),
    (Mutant::HoldAtTheHighest, "forgets"),
    (Mutant::HoldDoesNotTrail, "forgets"),
    (Mutant::FirstHoldAlone, "lost hold"),
    (Mutant::HoldNeverGoesBack, "put back, held"),
    (Mutant::HoldIsNoMemory, "lost file"),
    (Mutant::OldAnswers, "restarts"),
    (Mutant::RetryQueue, "restarts"),
    (Mutant::SilentRestart, "wiped"),
    (Mutant::SilentContinue, "wiped"),
    (Mutant::SilentGap, "pruned"),
    (Mutant::HolesAreSkipped, "holes"),
    (Mutant::ForksAreIgnored, "fork"),
    (Mutant::LastUnitAlone, "fork"),
    (Mutant::TakenDiffers, "damaged"),
    (Mutant::ProofAcrossGaps, "holes"),
    (Mutant::StopIsNotHeard, "stopped"),
    (Mutant::StopForgetsToSave, "stopped"),
];

#[test]
fn every_mutant_is_caught_in_its_world() {
    let mut survived = vec![];
    let only = std::env::var("MMLOG_SHIP_WORLD").unwrap_or_default();
    for (mutant, name) in MUTANTS.into_iter().filter(|(_, name)| name.starts_with(&only)) {
        let Configuration { mut setting, start, .. } = named(name);
        setting.mutant = Some(mutant);
        let outcome = search(&setting, start(&setting));
        match outcome.wrong {
            Some((what, _)) => eprintln!("{mutant:?} in {name:?}: {what}, after {} states", outcome.states),
            None => survived.push(format!("{mutant:?} in {name:?}, {} states", outcome.states)),
        }
    }
    assert_eq!(survived, [""; 0]);
}
