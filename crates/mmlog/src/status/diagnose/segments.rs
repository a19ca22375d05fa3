//! The words about old segments.

use super::super::SegmentFlaw;
use super::{critical, quoted, warning};
use crate::status::{Finding, FindingId, State, Status};

impl Status {
    pub(super) fn flawed(&self, flaw: &SegmentFlaw) -> Finding {
        let (from, to) = (flaw.positions.start, flaw.positions.end);
        let (path, file) = (quoted(&flaw.path), flaw.path.display());
        let lost = match from < to {
            true => format!("; positions [{from}, {to}) cannot be read"),
            false => String::new(),
        };
        let newer = self.segments.iter().filter(|s| s.generation < self.generation && s.base >= to).count();
        let give_up = self.command(&format!("prune --keep {newer}"));
        match flaw.id {
            FindingId::SegmentMissing => {
                let sentence = format!("{} ({file})", flaw.problem);
                let next = format!(
                    "put it back if you have a copy, or {give_up} gives up what is older than the rest"
                );
                critical(flaw.id, State::Damaged, sentence, next)
            }
            FindingId::SegmentDamaged => {
                let sentence = format!("old segment {file} is damaged: {}{lost}", flaw.problem);
                let next =
                    format!("put a good copy in its place, or {give_up} gives up it and what is older");
                critical(flaw.id, State::Damaged, sentence, next)
            }
            FindingId::SegmentUnreadable => {
                let sentence = format!("old segment {file}: {}{lost}", flaw.problem);
                let next = format!("see who may read it (`ls -ld {path}`), and look again as such a user");
                warning(flaw.id, State::Ok, sentence, next)
            }
            FindingId::Leftover => {
                let sentence = format!("{}: {file}", flaw.problem);
                warning(flaw.id, State::Ok, sentence, format!("{} takes it away", self.command("repair")))
            }
            _ => self.surplus(flaw),
        }
    }

    /// What is there beside what readers take.
    fn surplus(&self, flaw: &SegmentFlaw) -> Finding {
        let sentence = format!("old segment {}: {}", flaw.path.display(), flaw.problem);
        let own = self.segments.iter().find(|s| s.path == flaw.path);
        let next = match own {
            Some(s) => format!(
                "`truncate -s {} {}` cuts off what readers do not take; find out who appends to it",
                s.end - s.base,
                quoted(&flaw.path)
            ),
            None => format!(
                "{} compares a compressed copy with the plain file and leaves one; move away what is neither",
                self.command("rotate --compress zstd")
            ),
        };
        warning(flaw.id, State::Ok, sentence, next)
    }
}
