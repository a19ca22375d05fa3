//! Being seen.

use super::Follower;
use crate::following::Teller;

impl Follower {
    /// Shows this follower in [`Status::followers`](crate::Status::followers) from now on: by that name, or, if it is
    /// empty, by its process's command. One that has followed for a second is shown anyway, by the read or wait that comes
    /// then; where none may come, because what it writes to stands, a [`teller`](Self::teller) tells for it.
    ///
    /// It keeps nothing from being pruned: that is what a [`Hold`](crate::Hold) does. A follower that may not write the
    /// metadata is not shown, nor is one that comes when 256 others are.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// use mmlog::{Log, Start};
    /// let log = Log::options().open_or_create(&path)?;
    /// log.writer()?.append(b"hello\n")?;
    /// let mut follower = log.follow(Start::Oldest)?;
    /// follower.announce("shipper");
    /// follower.next(&mut [0; 4096])?;
    /// let status = log.status()?;
    /// assert_eq!(status.followers[0].name.as_deref(), Some("shipper"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn announce(&mut self, name: &str) {
        self.told.name(name);
        self.told.tell(&self.files, self.at);
    }

    /// Tells in its place where it is, from another thread. To be asked for behind [`announce`](Self::announce) and
    /// [`stay_unseen`](Self::stay_unseen), which begin anew.
    pub fn teller(&self) -> Teller {
        self.told.teller(&self.files)
    }

    /// Never shows it, as suits a look that is nobody's place in the log.
    pub fn stay_unseen(&mut self) {
        self.told.hide();
    }
}
