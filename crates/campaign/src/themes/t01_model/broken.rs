//! What a violated invariant says.

/// Which of the protocol's promises does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Two reservations, or a store in another's bytes.
    Overlap,
    /// A store where there is no file, or no space.
    Beyond,
    /// A store into a final segment.
    FinalSegment,
    /// A store into the file of another segment.
    Misplaced,
    /// A segment is longer than the policy says, without a reason.
    TooLong,
    /// More final segments are there than the policy keeps, without a reason.
    TooMany,
    /// Bytes of an append are gone.
    Lost,
    /// Prune goes by a rule that nobody has set.
    Unwanted,
    /// A finished append is marked as a hole, or zeroed.
    Robbed,
    /// The watermark passes a byte that its live owner has not written.
    Watermark,
    /// A reader is shown what was never acknowledged, or loses what was.
    Reader,
    /// A sound log is called damaged.
    FalseDamage,
    /// A closed gate without a journal, a path that only a dead process can explain.
    Unexplained,
    /// A rotation is undone after its commit, or finished without one.
    Undecided,
    /// Somebody lives and nobody can move.
    Deadlock,
    /// Everybody can move, and nobody will ever be done.
    Stuck,
    /// All is over and something is missing.
    Incomplete,
    /// The model itself: more states than its bound.
    TooLarge,
}

/// A violation.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) kind: Kind,
    pub(super) text: String,
}

pub(super) type Outcome = Result<(), Broken>;

pub(super) fn broken<T>(kind: Kind, text: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { kind, text: text.into() })
}
