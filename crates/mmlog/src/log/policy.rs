//! A log's policy: what it says, changing it, carrying it out.

use std::time::Duration;

use super::Log;
use crate::carry_out;
use crate::error::{At, Result};
use crate::policy::{self, Policy, PolicyState};

impl Log {
    /// The policy that the log carries.
    pub fn policy(&self) -> PolicyState {
        PolicyState::of(self.files.meta.policy())
    }

    /// The log's own policy, where it is another one than [`Options::policy`](crate::Options::policy) named.
    pub fn policy_kept(&self) -> Option<PolicyState> {
        policy::kept(&self.files)
    }

    /// Does what the log's policy asks for now: a rotation that is due by size or age, and the removal of all final segments
    /// that may go. Appends do that by themselves, a little at a time; a program may call this every second in a thread of
    /// its own, so that they find less to do, or beside a log to which nobody appends. What is in the way is noted for
    /// [`status`](Self::status), and is no error.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// use mmlog::{Log, Policy, Rotation};
    /// let log = Log::options().policy(&Policy { keep: Some(1), ..Policy::default() }).open_or_create(&path)?;
    /// for _ in 0..3 {
    ///     log.writer()?.append(b"a line\n")?;
    ///     log.rotate(&Rotation::default())?;
    /// }
    /// log.housekeep()?;
    /// assert_eq!(log.status()?.segments.len(), 2, "the current one, and the one that is kept");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Of a log that cannot be written.
    pub fn housekeep(&self) -> Result<()> {
        let files = self.files.of_this_process()?;
        carry_out::housekeep(&files).at(self.path())
    }

    /// Changes the policy for every process, and makes it durable: `change` gets the one that holds (none of a damaged
    /// one), and nobody else changes it meanwhile. Whoever dies here has changed nothing.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// # let log = mmlog::Log::options().open_or_create(&path)?;
    /// let policy = log.set_policy(|policy| policy.keep = Some(10), std::time::Duration::from_secs(2))?;
    /// assert_eq!(log.policy(), mmlog::PolicyState::Set(policy));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Fault::Policy`](crate::Fault::Policy) for a value out of its range, [`Fault::Busy`](crate::Fault::Busy) when
    /// another maintenance operation runs for longer than `wait`.
    pub fn set_policy(&self, change: impl FnOnce(&mut Policy), wait: Duration) -> Result<Policy> {
        let files = self.files.of_this_process()?;
        policy::set(&files, change, &files.deadline(wait)).at(self.path())
    }
}
