//! What is written down and what is held: neither before the sink has acknowledged it.

use super::{Action, Machine, Phase};
use crate::checkpoint::Known;
use crate::decide::Tail;
use crate::machine::Exit;

impl Machine {
    pub(super) fn claim(&mut self, tail: Tail, hold: u64) -> Vec<Action> {
        self.phase = Phase::Claiming(tail);
        vec![Action::Claim(hold)]
    }

    pub(super) fn save(&mut self, known: Known) -> Vec<Action> {
        (self.saving, self.is_saved) = (Some(known), true);
        vec![Action::Save(known)]
    }

    pub(super) fn saved(&mut self, is_saved: bool) -> Vec<Action> {
        let saving = self.saving.take();
        if !is_saved {
            // Goes on: the sink's tail is the truth. The hold stays, and the next tick tries again.
            self.is_saved = false;
            return match self.phase {
                Phase::Preparing(..) => self.end(Exit::Unsaved),
                _ if self.is_stopping => self.end(Exit::Stopped),
                _ => vec![],
            };
        }
        self.known = self.known.or(saving);
        if let Phase::Preparing(tail, hold) = self.phase {
            return self.claim(tail, hold);
        }
        let reached = self.place.filter(|_| self.phase == Phase::Streaming).map(|place| place.to);
        // What an earlier connection knew may be more than the sink has now.
        self.saved_to = saving.and_then(|known| known.place).map(|place| place.to).min(reached);
        self.trail();
        vec![]
    }

    /// Saves what is acknowledged, unless it is saved, or that is under way.
    pub(super) fn write_down(&mut self) -> Vec<Action> {
        match self.known {
            Some(known) if self.is_unsaved() => self.save(known),
            _ => vec![],
        }
    }

    /// The sink still has what it acknowledged a while ago: the hold may follow.
    pub(super) fn looked(&mut self, tail: &Tail) -> Vec<Action> {
        let Some(to) = self.checking.take() else { return vec![] };
        let is_behind = self.place.is_none_or(|place| place.coordinate > tail.coordinate);
        // Not by coordinates alone: what another connection had on its way may have filled it up again.
        let is_ours =
            |id| self.place.is_some_and(|place| place.id == id) || self.out.iter().any(|out| out.id == id);
        if is_behind || tail.top.is_some_and(|top| !is_ours(top.id)) || tail.born != self.born {
            return self.close();
        }
        self.trailing = None;
        self.trail();
        vec![Action::Hold(to)]
    }

    fn trail(&mut self) {
        self.trailing = self.trailing.or(self.saved_to.map(|to| (to, self.now)));
    }

    /// The hold goes to where the place was, once that is long enough ago and saved.
    pub(super) fn tick(&mut self, now: u64) -> Vec<Action> {
        self.now = self.now.max(now);
        let mut actions = self.write_down();
        if self.phase != Phase::Streaming || self.is_stopping {
            return actions;
        }
        // A sink that went back says nothing of it as long as nothing is sent: it is looked at.
        let ripe = self.trailing.filter(|(_, since)| self.now.saturating_sub(*since) >= self.limits.keep);
        if let Some((to, _)) = ripe
            && self.checking.replace(to).is_none()
        {
            actions.push(Action::Look);
        }
        actions
    }
}
