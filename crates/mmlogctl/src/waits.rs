//! What commands have in common where others are in the way: saying who, and leaving all the same.

use std::io::{IsTerminal as _, stderr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use mmlog::{Class, Log, Options, Trust, quoted};

use crate::arguments::Access;
use crate::exit::{Failure, shown};
use crate::output::{self, Output};
use crate::signals;

impl Access {
    /// How every command opens its log: signals that are caught end its waits, and who looks at a terminal is told whom a
    /// wait of more than 1 s is for.
    #[must_use]
    pub fn options(&self, log: &Path) -> Options {
        options(log, self.trust())
    }
}

/// The same, where only the trust is at hand.
pub(crate) fn options(log: &Path, trust: Trust) -> Options {
    let mut options = Log::options().trust(trust);
    if let Some(flag) = signals::flag() {
        options = options.stop(flag);
    }
    if !stderr().is_terminal() {
        return options;
    }
    let log = shown(log).to_string();
    // Whoever tries again waits for the same one again.
    let said = Mutex::new(None);
    options.tell(move |who, _| {
        let text = format!("{log}: waiting: {who}; {}", who.next_step());
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref() != Some(&text) {
            output::aside(&text);
            *said = Some(text);
        }
    })
}

/// Closes a log after what it was opened for is done. That the space behind the last byte could not be cut off is no
/// failure: nobody has to do anything again.
///
/// # Errors
/// When closing finds the log damaged.
pub(crate) fn leave(log: Log, out: &mut Output) -> Result<(), Failure> {
    match log.close() {
        Err(e) if e.fault().class() != Class::Damaged => {
            let (path, fault) = (shown(e.path()), e.words());
            let problem = fault.split_once("; ").map_or(&*fault, |(problem, _)| problem);
            let rest = format!(
                "nothing is lost; `mmlogctl trim {}` cuts off the space behind the last byte",
                quoted(e.path())
            );
            out.notice(&format!("{path}: {problem} ({rest})"));
            Ok(())
        }
        closed => Ok(closed?),
    }
}
