//! When final segments ended of which the log has noted nothing, by what their files say.
//!
//! A file's inode changed when it got its final name, or later. Its content changed for the last time before, or a rotation of
//! ours has set that time. So the segment had ended at the one, and what lies behind it was begun after the other.

use super::nanoseconds;
use crate::files::Files;
use crate::sys::place::Found;
use crate::times::{Final, Pair};

/// Where segments end, with the latest and with the earliest time at which they can have; those that cannot be looked at are left out.
pub(super) fn ends(files: &Files, noted: &[Final]) -> (Vec<Pair>, Vec<Pair>) {
    let (Ok(segments), Ok(current)) = (files.final_segments(), files.current_segment()) else {
        return Default::default();
    };
    let next = segments.iter().skip(1).map(|segment| segment.says.base).chain([current.base]);
    let is_noted = |generation, base| noted.iter().any(|f| (f.generation, f.base) == (generation, base));
    let unknown = segments.iter().zip(next).filter(|(s, _)| !is_noted(s.says.generation, s.says.base));
    let ends = unknown.filter_map(|(segment, end)| {
        let Found { named, changed, .. } = segment.find().ok()??;
        let pair = |at| Pair { at_ns: nanoseconds(at), settled: end, reserved: end };
        Some((pair(named.max(changed)), pair(named.min(changed))))
    });
    ends.unzip()
}
