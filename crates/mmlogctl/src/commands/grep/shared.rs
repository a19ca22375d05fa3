//! What the searches of several logs share: the plan, the output, what was found.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::plan::{Plan, What};
use crate::colours::Tone;
use crate::exit::{Failure, Found, shown};
use crate::output::Output;

/// The shared things.
pub(super) struct Shared {
    plan: Plan,
    screen: Mutex<Screen>,
    selected: AtomicBool,
    troubled: AtomicBool,
    closed: AtomicBool,
}

/// Standard output, and whose lines were written last.
struct Screen {
    out: Output,
    of: Option<usize>,
}

impl Shared {
    pub(super) const fn new(plan: Plan) -> Self {
        Self {
            plan,
            screen: Mutex::new(Screen { out: Output::standard(), of: None }),
            selected: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A line was selected.
    pub(super) fn select(&self) {
        self.selected.store(true, Ordering::Release);
    }

    /// Something could not be searched.
    pub(super) fn trouble(&self) {
        self.troubled.store(true, Ordering::Release);
    }

    /// Whether nothing that comes could change how the command ends.
    pub(super) fn is_over(&self) -> bool {
        let is_answered = self.plan.what == What::Nothing && self.selected.load(Ordering::Acquire);
        is_answered || self.closed.load(Ordering::Acquire)
    }

    pub(super) fn fail(&self, failure: &Failure) {
        match failure {
            Failure::OutputClosed => self.closed.store(true, Ordering::Release),
            Failure::Said { text, .. } => {
                self.trouble();
                self.notice(text);
            }
        }
    }

    /// One line on standard error about the log that was named `index`th.
    pub(super) fn say(&self, index: usize, text: &str) {
        self.notice(&format!("{}: {text}", shown(&self.plan.logs[index])));
    }

    /// One line on standard error.
    pub(super) fn notice(&self, text: &str) {
        self.screen().out.notice(text);
    }

    /// Writes whole lines of the log that was named `index`th.
    pub(super) fn write(&self, index: usize, lines: &[u8]) -> Result<(), Failure> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut screen = self.screen();
        let turns = screen.of.replace(index).is_some_and(|of| of != index);
        if turns && self.plan.has_context() {
            let (begin, end) = self.plan.painter.around(Tone::Separator);
            screen.out.write(format!("{begin}--{end}\n").as_bytes())?;
        }
        screen.out.write(lines)
    }

    /// How the command ends.
    pub(super) fn found(&self) -> Result<Found, Failure> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Failure::OutputClosed);
        }
        let selected = self.selected.load(Ordering::Acquire);
        Ok(match (self.troubled.load(Ordering::Acquire), selected) {
            (_, true) if self.plan.what == What::Nothing => Found::Some,
            (true, _) => Found::Trouble,
            (false, true) => Found::Some,
            (false, false) => Found::Nothing,
        })
    }

    /// A lock whose holder panicked is taken all the same: the panic itself ends the command.
    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
