//! Following a log of version 1, which has no slots: what is not NUL is written.

use std::time::Instant;

use super::Follower;
use crate::error::{At, Fault, Result};
use crate::files::content::next_nuls;
use crate::files::version1::PATIENCE;
use crate::holes::{Hole, HoleKind};

/// NULs below the cursor are in doubt: in flight, or lost.
#[derive(Default)]
pub(super) struct Doubt {
    /// A cursor, and when it was seen.
    seen: Option<(u64, Instant)>,
}

impl Follower {
    /// Moves the watermark over what is written, and over runs of NULs that have stood long enough.
    pub(super) fn look_at_version_1(&mut self) -> Result<()> {
        self.files.refresh().at(self.files.path())?;
        let control = self.files.control();
        self.cursor = control.look().start;
        let end = self.cursor.min(control.limit());
        while self.watermark < end {
            let Some(file) = self.source.file() else { return Ok(()) };
            let nuls = next_nuls(file, self.watermark, end);
            let nuls = nuls.map_err(Fault::io("read the data file")).at(self.files.path())?;
            let Some((from, to)) = nuls else {
                self.watermark = end;
                break;
            };
            self.watermark = from;
            let (cursor, since) = match self.doubt.seen {
                Some(seen) if from < seen.0 => seen,
                _ => *self.doubt.seen.insert((self.cursor, Instant::now())),
            };
            if since.elapsed() < PATIENCE {
                break;
            }
            let mut hole = Hole::lost(from, to.min(cursor));
            hole.kind = HoleKind::Unwritten;
            self.watermark = hole.end();
            self.holes.push(hole);
        }
        Ok(())
    }
}
