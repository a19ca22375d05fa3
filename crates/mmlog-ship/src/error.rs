//! What cannot be read.

/// Why a unit or a checkpoint is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A later version of this program wrote it.
    #[error("{what} is of version {version}, and this program reads up to {known}: use the later one")]
    Later {
        /// A unit, at its coordinate, or the checkpoint.
        what: String,
        /// Its version.
        version: u64,
        /// The newest that is known here.
        known: u64,
    },
    /// A length that does not fit.
    #[error("the unit at {coordinate} says that it has {said} bytes, at most {most} fit: not taken")]
    TooLong {
        /// Where in the sink it is.
        coordinate: u64,
        /// What it says.
        said: u64,
        /// What would fit.
        most: u64,
    },
    /// Anything else.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// A unit, at its coordinate, or the checkpoint.
        what: String,
        /// What does not fit.
        why: String,
    },
}
