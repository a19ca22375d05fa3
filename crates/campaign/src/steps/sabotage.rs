//! What no crash may do to a log, done by hand: controls, which the checks must catch.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use anyhow::Context;
use mmlog::sync::Ordering;

use super::PATIENCE;
use super::scene::{Scene, hold_slot};

/// How long a drain tries at a stuck log.
const GATE_MS: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sabotage {
    /// An acknowledged message is gone: NULs.
    Lost,
    /// A byte of an acknowledged message is another one.
    Torn,
    /// An acknowledged message is there once more.
    Doubled,
    /// A dead writer's slot is settled, and its hole not noted.
    Unnoted,
    /// A dead writer's slot looks alive, and nobody settles it.
    Stuck,
}

impl Sabotage {
    pub(crate) const ALL: [Self; 5] = [Self::Lost, Self::Torn, Self::Doubled, Self::Unnoted, Self::Stuck];

    /// Whether the check that must notice did.
    pub(crate) fn is_noticed<T>(self, played: &anyhow::Result<T>) -> bool {
        let said = played.as_ref().err().map(|e| format!("{e:#}")).unwrap_or_default();
        match self {
            Self::Lost | Self::Torn => said.contains("readers: a new one: position 0 of"),
            Self::Doubled | Self::Unnoted => said.contains("readers: a new one: position"),
            Self::Stuck => said.contains("trim: ") && said.contains("at rest: the file has"),
        }
    }

    /// Only a stuck log is waited for to the end.
    pub(crate) fn patience(self) -> Duration {
        if self == Self::Stuck { Duration::from_millis(20) } else { PATIENCE }
    }

    /// Does it. What is returned has to be kept until the checks are over.
    pub(crate) fn commit(self, scene: &mut Scene) -> anyhow::Result<Option<File>> {
        let (at, bytes) = scene.ledger.first_acknowledged()?;
        let data = File::options().write(true).open(&scene.log)?;
        match self {
            Self::Lost => data.write_all_at(&vec![0; bytes.len()], at)?,
            Self::Torn => data.write_all_at(&[bytes[7] ^ 0x80], at + 7)?,
            Self::Doubled => {
                scene.writer.as_mut().context("nobody to append it")?.append(&bytes)?;
            }
            Self::Unnoted | Self::Stuck => {
                let metadata = scene.ready()?;
                let mut in_flight = (0..).zip(metadata.slots());
                let found = in_flight.find(|(_, slot)| slot.hot.pending().phase().is_some());
                let (index, slot) = found.context("nothing is in flight")?;
                if self == Self::Stuck {
                    // Those who come wait for it in vain: briefly.
                    metadata.header().control.gate_ms.store(GATE_MS, Ordering::Relaxed);
                    scene.wait = self.patience();
                    return Ok(Some(hold_slot(&scene.log, index)?));
                }
                slot.hot.settle();
            }
        }
        Ok(None)
    }
}
