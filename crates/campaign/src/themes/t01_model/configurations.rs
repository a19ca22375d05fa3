//! The configurations that are explored, by what they are about.

use super::models::{
    Configuration,
    Task::{self, *},
};

const A11: &[Task] = &[Append(1), Append(1)];
const A12: &[Task] = &[Append(1), Append(2)];
const A21: &[Task] = &[Append(2), Append(1)];
const A1: &[Task] = &[Append(1)];
const A2: &[Task] = &[Append(2)];
const C11: &[Task] = &[Append(1), Append(1), Close];
const C1: &[Task] = &[Append(1), Close];
const C2: &[Task] = &[Append(2), Close];
const TRIM: &[Task] = &[Trim];
const ROTATE: &[Task] = &[Rotate];
const TWICE: &[Task] = &[Rotate, Rotate];
const REPAIR: &[Task] = &[Repair];
const FILLS: &[Task] = &[Fills, Frees(2)];

const fn of(name: &'static str, programs: &'static [&'static [Task]]) -> Configuration {
    Configuration::of(name, programs).most(50_000_000)
}

/// Sections 4 to 7.
pub(super) const APPEND_AND_TRIM: &[Configuration] = &[
    of("append, grow, follow", &[A21, A12, REPAIR]).size(0).deaths(1).followed(),
    of("append, grow, two deaths", &[A21, A12, REPAIR]).size(0).deaths(2),
    of("three writers", &[A2, A1, A1]).size(0).slots(3).deaths(2),
    of("three writers, follow", &[A2, A1, A1]).size(0).slots(3).followed(),
    of("trim, follow, judge", &[A12, A2, TRIM]).deaths(1).judged(),
    of("trim, two deaths", &[A12, A2, TRIM, REPAIR]).deaths(2),
    of("two trims, two deaths", &[A12, A2, TRIM, TRIM]).deaths(2),
    of("two trims, follow", &[A11, A1, TRIM, TRIM]).followed(),
    of("two trims that do not drain", &[A12, A2, TRIM, TRIM]).deaths(2).hasty(),
    of("trim that does not drain, follow", &[A12, A2, TRIM]).deaths(1).followed().hasty(),
    of("full disk: no page", &[A12, A2, TRIM]).deaths(2).disk(0),
    of("full disk: one page", &[A12, A2, TRIM, REPAIR]).deaths(1).disk(1),
    of("full disk: two pages, follow", &[A12, A2, TRIM]).deaths(1).disk(2).followed(),
    of("full disk, and space again", &[A12, A2, TRIM, FILLS]).deaths(1).disk(3),
    of("full disk, trim that does not drain", &[A12, A2, TRIM, TRIM]).deaths(1).disk(1).hasty(),
    of("stopped: trim", &[A12, A2, TRIM]).deaths(1).late(),
    of("stopped: trim, follow", &[A11, A2, TRIM]).late().followed(),
    of("close", &[C11, C1, C2]).slots(3).deaths(1),
    of("close, follow", &[C11, C1]).deaths(2).followed(),
    of("stopped: close", &[C1, C2, TRIM]).slots(2).deaths(1).late(),
];

/// Section 8.
pub(super) const ROTATION: &[Configuration] = &[
    of("rotate, follow", &[A11, A2, ROTATE]).deaths(1).followed(),
    of("rotate, follow, judge", &[A12, A1, ROTATE]).deaths(1).judged(),
    of("rotate, a follower begins", &[A11, A1, ROTATE]).deaths(1).attached(),
    of("rotate, two deaths", &[A12, A2, ROTATE, REPAIR]).deaths(2),
    of("rotate twice, two deaths", &[A12, A2, TWICE]).deaths(2),
    of("rotate twice, follow", &[A11, A1, TWICE]).followed(),
    of("two rotators, two deaths", &[A12, A2, ROTATE, ROTATE]).deaths(2),
    of("rotate and trim, two deaths", &[A12, A2, ROTATE, TRIM]).deaths(2),
    of("rotate and trim, follow", &[A11, A1, ROTATE, TRIM]).followed(),
    of("rotate, full disk: no page", &[A12, A2, ROTATE, TRIM]).deaths(1).disk(0),
    of("rotate, full disk: one page", &[A12, A2, TWICE, TRIM]).deaths(1).disk(1),
    of("rotate, full disk: three pages", &[A12, A2, ROTATE, TRIM]).deaths(1).disk(3),
    of("rotate, full disk, and space again", &[A12, A2, ROTATE, FILLS]).deaths(1).disk(4),
    of("rotate, link and rename fail", &[A12, A2, TWICE]).deaths(2).errors(),
    of("rotate, close", &[C11, C2, ROTATE]).deaths(1),
    of("stopped: rotate", &[A12, A2, ROTATE]).deaths(1).late(),
    of("rotate, settle without the lock", &[A12, A2, ROTATE, &[RepairLoosely]]).deaths(2),
];

/// What is too large for every day.
pub(super) const LARGE: &[Configuration] = &[
    of("L three writers, trim", &[A11, A1, A1, TRIM]).slots(3).deaths(2),
    of("L three writers, rotate", &[A11, A1, A1, ROTATE]).slots(3).deaths(2),
    of("L rotate, follow", &[A12, A2, ROTATE]).deaths(1).followed(),
    of("L rotate twice, follow", &[A11, A1, TWICE]).deaths(1).followed(),
    of("L rotate and trim, follow", &[A11, A1, ROTATE, TRIM]).deaths(1).followed(),
    of("L two rotators, follow", &[A11, A1, ROTATE, ROTATE]).followed(),
    of("L stopped: trim, follow", &[A12, A2, TRIM]).deaths(1).late().followed(),
    of("L stopped: rotate, follow", &[A11, A2, ROTATE]).late().followed(),
    of("L two trims, follow", &[A11, A1, TRIM, TRIM]).deaths(1).followed(),
    of("L two rotators, trim", &[A12, A2, TWICE, TRIM]).deaths(2),
];
