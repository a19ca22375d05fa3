//! What is due, from numbers alone.

use std::time::Duration;

/// Whether a message of `len` bytes behind `used` ones begins the next segment: it does not fit, and half of the size is
/// used. (Not: whatever does not fit. One long message beside short ones would make a segment of each of them.)
pub(crate) fn by_message(used: u64, len: u64, rotate_size: u64) -> bool {
    used > 0 && used.saturating_add(len) > rotate_size && used >= rotate_size.div_ceil(2)
}

/// Whether a segment is longer than it may be: its rotation failed, or was to be smaller only lately.
pub(crate) fn by_size(used: u64, rotate_size: Option<u64>) -> bool {
    rotate_size.is_some_and(|size| used > size)
}

/// Whether a segment with that many bytes is older than it may be. Of unknown age it is not: it gets a time to begin at.
pub(crate) fn by_age(used: u64, age: Option<Duration>, rotate_age: Option<Duration>) -> bool {
    used > 0 && age.zip(rotate_age).is_some_and(|(age, most)| age >= most)
}

/// How far a segment that goes so many bytes beyond its size grows at a time, while it cannot be rotated: by as much again,
/// and by a sixteenth of the size at most. Who comes too late once makes it no longer than he needs, and a thousand writers
/// are not to make a system call for each few messages.
pub(crate) fn step_beyond(rotate_size: u64, beyond: u64, chunk: u64) -> u64 {
    beyond.min(rotate_size / 16).min(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_does_not_fit_begins_a_segment_once_half_of_the_size_is_used() {
        assert!(!by_message(0, 200, 100), "an empty segment never rotates");
        assert!(!by_message(49, 60, 100) && by_message(50, 60, 100));
        assert!(!by_message(90, 10, 100) && by_message(90, 11, 100));
        assert!(by_message(100, 1, 100) && by_message(u64::MAX, 1, 100));
    }

    #[test]
    fn of_no_age_or_without_a_byte_nothing_is_too_old() {
        let (hour, day) = (Some(Duration::from_secs(3600)), Some(Duration::from_secs(86_400)));
        assert!(by_age(1, day, hour) && by_age(1, hour, hour));
        assert!(!by_age(1, hour, day) && !by_age(0, day, hour) && !by_age(1, None, hour));
        assert!(!by_age(1, day, None));
    }

    #[test]
    fn growth_beyond_the_size_doubles_up_to_a_sixteenth_of_it_and_a_chunk_at_most() {
        assert_eq!(step_beyond(1 << 20, 0, 16 << 20), 0, "what the message needs");
        assert_eq!(step_beyond(1 << 20, 128, 16 << 20), 128);
        assert_eq!(step_beyond(1 << 20, 1 << 19, 16 << 20), 65_536);
        assert_eq!(step_beyond(1 << 40, 1 << 35, 16 << 20), 16 << 20);
    }
}
