//! Positions.

use std::fmt;
use std::ops::{Add, Sub};

/// A byte's logical offset since the log was created. Never reused, also not across rotation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position(u64);

impl Position {
    /// The position of that offset.
    pub const fn new(offset: u64) -> Self {
        Self(offset)
    }

    /// The offset.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Add<u64> for Position {
    type Output = Self;

    /// Saturates.
    fn add(self, len: u64) -> Self {
        Self(self.0.saturating_add(len))
    }
}

impl Sub for Position {
    type Output = u64;

    /// Bytes between two positions, 0 if `before` is not before.
    fn sub(self, before: Self) -> u64 {
        self.0.saturating_sub(before.0)
    }
}
