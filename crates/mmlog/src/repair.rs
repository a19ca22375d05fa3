//! Repair, for what nobody heals by himself: examine -> facts -> plan -> apply.
//!
//! 1. [`examine`] looks and changes nothing.
//! 2. [`Examination::plan`] decides, in a pure function of the facts and of what was asked for.
//! 3. [`Plan::apply`] acts, under the maintenance byte and the log's lock, while live writers go on. What is only
//!    stopped is never touched.
//!
//! Nobody has to run it after a crash: the next append, open or trim settles the dead and finishes what they began.
//! It is for what outsiders did (a truncated, replaced or lost file), for hardware, and for decisions that only
//! people can take (the panic flag, a lost sync).

mod apply;
mod facts;
mod plan;
mod step;

use std::path::Path;
use std::sync::Arc;

pub use facts::{DataFact, DeadSlot, Facts, MetadataFact, Suspect};
pub use plan::{Left, Plan, Step, Why, Wish};
pub use step::Touched;

use crate::check;
use crate::error::{At, Fault, Result, with_log};
use crate::files::open;
use crate::log::Options;
use crate::sys::place::Place;

/// What was found, and the way to a plan.
#[derive(Clone, Debug)]
pub struct Examination {
    place: Arc<Place>,
    options: Options,
    facts: Facts,
}

/// Looks at the log at `path`, whatever state it is in. Changes nothing, byte for byte.
///
/// # Errors
/// When there is neither a log nor a file to make one from, and when the files cannot be read.
///
/// ```
/// # fn main() -> mmlog::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("app.log");
/// use mmlog::{Log, repair};
/// let log = Log::options().open_or_create(&path)?;
/// log.poison("a disk reported errors", 5)?;
/// let plan = repair::examine(&path, &Log::options())?.plan(&[repair::Wish::ClearPanic]);
/// for step in plan.apply()? {
///     println!("{step}");
/// }
/// log.writer()?.append(b"on we go\n")?;
/// # Ok(())
/// # }
/// ```
pub fn examine(path: impl AsRef<Path>, options: &Options) -> Result<Examination> {
    let path = path.as_ref();
    let place = Arc::new(open::resolve(path, options.0.trust).at(path)?);
    let facts = facts::gather(&place, &options.0)?;
    Ok(Examination { place, options: options.clone(), facts })
}

impl Examination {
    /// What was found.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Looks at every byte too, as [`check::deep`] does: for a plan that clears the panic flag, or makes new metadata
    /// because of what no other step mends.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn look_deeper(mut self) -> Result<Self> {
        if self.facts.metadata == MetadataFact::Sound && self.facts.data.is_some() {
            self.facts.violation = match check::deep_in(&self.place, &self.options.0) {
                Ok(found) => found.violations.first().map(ToString::to_string),
                // Replaced since.
                Err(e) if matches!(e.fault(), Fault::Replaced) => None,
                Err(e) => return Err(e),
            };
        }
        Ok(self)
    }

    /// What would be done about it, given what was asked for.
    pub fn plan(&self, wishes: &[Wish]) -> Plan {
        let (steps, mut left) = plan::decide(&self.facts, wishes);
        left.iter_mut().for_each(|left| left.what = with_log(&left.what, self.place.path()));
        Plan { place: Arc::clone(&self.place), options: self.options.clone(), steps, left }
    }
}
