//! What mutants have the machine told, of comparisons and decisions.

use mmlog_ship::decide::{Ask, Compared, Content, Decision, Stop, Tail};
use mmlog_ship::unit::{Kind, Proof};

use crate::mutants::Mutant;
use crate::world::{Setting, World};

impl World {
    pub(crate) fn compared(&self, setting: &Setting, log: usize, ask: Ask) -> Compared {
        let compared = self.logs[log].compare(ask, setting.mutant);
        match setting.mutant {
            Some(Mutant::ForksAreIgnored) if compared == Compared::Differs => Compared::Equal,
            Some(Mutant::LastUnitAlone) if compared == Compared::Differs => {
                let Content::Unit(last) = self.sink.tail(None).content else { return compared };
                let here = self.logs[log].payload(last.from, last.to);
                if mmlog_ship::sum::extend(0, &here) == last.sum { Compared::Equal } else { compared }
            }
            _ => compared,
        }
    }

    /// With a proof of all content since the chain began, whatever gaps it has.
    pub(crate) fn misread(&self, setting: &Setting, mut tail: Tail) -> Tail {
        let Content::Unit(header) = &mut tail.content else { return tail };
        let begin = self.sink.messages.iter().rposition(|message| message.header.kind == Kind::Begin);
        if let (Some(Mutant::ProofAcrossGaps), Some(begin)) = (setting.mutant, begin) {
            let units = &self.sink.messages[begin..];
            let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.payload.iter().copied()).collect();
            header.proof =
                Proof { from: units[0].header.to, to: header.to, sum: mmlog_ship::sum::extend(0, &bytes) };
        }
        tail
    }

    pub(crate) fn mutated(&self, setting: &Setting, i: usize, decision: Decision) -> Decision {
        let (file, log) = (self.shippers[i].file, &self.logs[self.shippers[i].log]);
        let recorded = file.and_then(|known| known.place);
        let resume =
            |place| Decision::Resume { place, unrecorded: 0, resent: 0, is_proven: false, gap: None };
        match (setting.mutant, decision) {
            (Some(Mutant::LargerOfTheTwo), Decision::Resume { mut place, gap, .. }) => {
                place.to = place.to.max(recorded.map_or(0, |place| place.to));
                Decision::Resume { place, unrecorded: 0, resent: 0, is_proven: true, gap }
            }
            (Some(Mutant::FileIsTheTruth | Mutant::IdIsAPlace), Decision::Resume { mut place, gap, .. }) => {
                place.to = recorded.map_or(place.to, |place| place.to);
                Decision::Resume { place, unrecorded: 0, resent: 0, is_proven: true, gap }
            }
            (Some(Mutant::SilentRestart), Decision::Stop(Stop::SinkIsNew)) => {
                Decision::Begin { from: log.oldest as u64, gap: None }
            }
            (Some(Mutant::SilentContinue), Decision::Stop(Stop::SinkIsNew | Stop::TailGone)) => {
                let tail = self.sink.tail(None);
                recorded.map_or(decision, |mut place| {
                    place.coordinate = tail.coordinate;
                    place.id = self.sink.messages.last().map_or(0, |message| message.header.id());
                    resume(place)
                })
            }
            (Some(Mutant::SilentGap), Decision::Stop(Stop::Gap { to, .. })) => {
                let Content::Unit(header) = self.sink.tail(None).content else { return decision };
                let id = self.sink.messages.last().map_or(0, |message| message.header.id());
                let coordinate = self.sink.tail(None).coordinate;
                resume(mmlog_ship::checkpoint::Place { coordinate, id, to, proof: header.proof })
            }
            _ => decision,
        }
    }
}
