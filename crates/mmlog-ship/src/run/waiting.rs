//! What is done where nothing is to be done: waiting for an answer, or for more of the log.

use std::time::Instant;

use mmlog::crash::crash_point;

use super::{NAP, Runner};
use crate::machine::Event;
use crate::source::SIGN_OF_LIFE;
use crate::trouble::Trouble;

impl Runner<'_> {
    /// Waits for whatever comes first.
    pub(super) fn rest(&mut self) -> Result<(), Trouble> {
        if !self.out.is_empty() {
            return self.answers();
        }
        match self.machine.idle_at() {
            Some(at) if self.stopping.is_none() => {
                self.reached();
                if self.source.wait(at, NAP)? {
                    self.hear(Event::More);
                } else if self.heard.elapsed() >= SIGN_OF_LIFE && !self.sink.takes_segments() {
                    self.is_there()?;
                }
            }
            _ => std::thread::sleep(self.pace.nap().min(self.saving.nap()).min(NAP)),
        }
        Ok(())
    }

    /// A connection that was cut while there was nothing to send is noticed as soon as that this shipper is there is said. (A store of
    /// segments is asked by requests, each by itself, and asking costs there.)
    fn is_there(&mut self) -> Result<(), Trouble> {
        if let Err(trouble) = self.look() {
            let event = self.lost(trouble)?;
            self.hear(event);
        }
        Ok(())
    }

    fn reached(&mut self) {
        if let Some(text) = self.pace.reached(self.sink.name()) {
            (self.plan.say)(&text);
        }
    }

    fn answers(&mut self) -> Result<(), Trouble> {
        match self.sink.poll(NAP) {
            Ok(Some(coordinate)) => {
                if let Some(out) = self.out.pop_front() {
                    self.saving.acknowledged(out.bytes, out.gap);
                    // Taking an opening says little of taking what comes behind it.
                    if !out.is_opening {
                        self.last = None;
                        self.reached();
                    }
                }
                // It may have said something beside that.
                self.note();
                self.heard = Instant::now();
                self.silent = (!self.out.is_empty()).then(Instant::now);
                self.rival.answered();
                crash_point("ship:acknowledged");
                self.hear(Event::Acknowledged { connection: self.machine.connection(), coordinate });
            }
            Ok(None) => {}
            Err(trouble) => {
                let event = self.lost(trouble)?;
                self.hear(event);
            }
        }
        Ok(())
    }
}
