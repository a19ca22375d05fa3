//! What mutants have the machine told, of comparisons and decisions.

use mmlog_ship::decide::{Ask, Compared, Content, Decision, Stop};

use crate::mutants::Mutant;
use crate::world::{Setting, World};

impl World {
    pub(crate) fn compared(&self, setting: &Setting, log: usize, ask: Ask) -> Compared {
        let compared = self.logs[log].compare(ask);
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
            (Some(Mutant::FileIsTheTruth), Decision::Resume { mut place, gap, .. }) => {
                place.to = recorded.map_or(place.to, |place| place.to);
                Decision::Resume { place, unrecorded: 0, resent: 0, is_proven: true, gap }
            }
            (Some(Mutant::SilentRestart), Decision::Stop(Stop::SinkIsNew)) => {
                Decision::Begin { from: log.oldest as u64 }
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
