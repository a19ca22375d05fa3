//! The configurations that are explored, by what they are about. `most` is a bound with some room, and says
//! how large they are.

use super::models::Configuration;
use super::models::Task::{self, *};

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
const AR: &[Task] = &[Append(1), Rotate, Append(2), Close];
const RA: &[Task] = &[Append(1), Rotate, Append(1)];
const A111: &[Task] = &[Append(1), Append(1), Append(1)];
const A13: &[Task] = &[Append(1), Append(3)];
const SET: &[Task] = &[SetKeep(1)];
const PRUNE: &[Task] = &[Prune, Prune];
const STRANGER: &[Task] = &[Fills, Frees(2)];
const OUTSIDE: &[Task] = &[AppendsOutside, AppendsOutside];
const BACK: &[Task] = &[ComesBack];
const OPENS: &[Task] = &[Settle];
const OUTSIDE_ONCE: &[Task] = &[AppendsOutside];

const fn small(name: &'static str, programs: &'static [&'static [Task]]) -> Configuration {
    Configuration::of(name, programs).most(700_000)
}

const fn medium(name: &'static str, programs: &'static [&'static [Task]]) -> Configuration {
    Configuration::of(name, programs).most(3_200_000)
}

const fn large(name: &'static str, programs: &'static [&'static [Task]]) -> Configuration {
    Configuration::of(name, programs).most(10_000_000)
}

/// Sections 4 to 7.
pub(super) const APPEND_AND_TRIM: &[Configuration] = &[
    medium("append, grow, follow", &[A21, A12, REPAIR]).size(0).deaths(1).followed(),
    small("append, grow, two deaths", &[A21, A12, REPAIR]).size(0).deaths(2),
    small("append, grow, copies fail", &[A21, A1, REPAIR]).size(0).slots(3).deaths(1).errors(),
    small("three writers", &[A2, A1, A1]).size(0).slots(3).deaths(2),
    small("three writers, follow", &[A2, A1, A1]).size(0).slots(3).followed(),
    medium("trim, follow, judge", &[A12, A2, TRIM]).deaths(1).judged(),
    small("trim, two deaths", &[A12, A2, TRIM, REPAIR]).deaths(2),
    small("two trims, two deaths", &[A12, A2, TRIM, TRIM]).deaths(2),
    medium("two trims, follow", &[A11, A1, TRIM, TRIM]).followed(),
    small("two trims that do not drain", &[A12, A2, TRIM, TRIM]).deaths(2).hasty(),
    medium("a trim that does not drain, follow", &[A11, A2, TRIM]).deaths(1).followed().hasty(),
    small("full disk: no page", &[A12, A2, TRIM]).deaths(2).disk(0),
    small("full disk: one page", &[A12, A2, TRIM, REPAIR]).deaths(1).disk(1),
    medium("full disk: two pages, follow", &[A12, A2, TRIM]).deaths(1).disk(2).followed(),
    small("full disk, and space again", &[A12, A2, TRIM, STRANGER]).deaths(1).disk(3),
    small("full disk, trims that do not drain", &[A12, A2, TRIM, TRIM]).deaths(1).disk(1).hasty(),
    small("one is stopped: trim", &[A12, A2, TRIM]).deaths(1).late(),
    medium("one is stopped: trim, follow", &[A11, A2, TRIM]).late().followed(),
    small("one is stopped: trim that does not drain", &[A12, A2, TRIM]).deaths(1).late().hasty(),
    small("close", &[C11, C1, C2]).slots(3).deaths(1),
    small("close, follow", &[C11, C1]).deaths(2).followed(),
    small("one is stopped: close", &[C1, C2, TRIM]).deaths(1).late(),
    small("space for one message at a time", &[A21, A12, REPAIR]).size(0).chunk(1).deaths(2),
    small("space for one message at a time, close", &[C11, C1, C2]).slots(3).chunk(1).deaths(1),
    medium("space for one message at a time, follow", &[A21, A1, TRIM]).size(0).chunk(1).deaths(1).followed(),
    small("space for one message at a time, from outside", &[A21, A1, TRIM, OUTSIDE]).chunk(1).deaths(1),
    small("somebody appends from outside", &[A21, A1, TRIM, OUTSIDE]).deaths(1),
    small("somebody appends from outside, two deaths", &[A2, A1, TRIM, OUTSIDE_ONCE, REPAIR]).deaths(2),
    medium("somebody appends from outside, follow", &[A21, A1, TRIM, OUTSIDE_ONCE]).followed(),
    small("older metadata comes back, of a log at rest", &[A12, A1, TRIM, BACK]).size(0),
    small("older metadata comes back, of a log at rest, close", &[C11, C1, BACK]).size(0),
    small("older metadata comes back, of a live log", &[A111, OPENS, BACK]),
    large("three writers, trim", &[A11, A1, A1, TRIM]).slots(3).deaths(2),
    large("one is stopped: trim, follow, a death", &[A12, A2, TRIM]).deaths(1).late().followed(),
    large("two trims, follow, a death", &[A11, A1, TRIM, TRIM]).deaths(1).followed(),
];

/// Section 8; run with one record in the journal, and with three.
pub(super) const ROTATION: &[Configuration] = &[
    medium("rotate, follow", &[A11, A1, ROTATE]).deaths(1).followed(),
    medium("rotate, follow, judge", &[A1, A2, ROTATE]).deaths(1).judged(),
    medium("rotate, a follower begins", &[A1, A1, ROTATE]).deaths(1).attached(),
    medium("rotate twice, follow", &[A11, A1, TWICE]).followed(),
    medium("rotate and trim, follow", &[A1, A1, ROTATE, TRIM]).followed(),
    small("rotate, two deaths", &[A12, A2, ROTATE, REPAIR]).deaths(2),
    small("rotate twice, two deaths", &[A12, A2, TWICE]).deaths(2),
    medium("two rotators, two deaths", &[A12, A2, ROTATE, ROTATE]).deaths(2),
    medium("rotate and trim, two deaths", &[A12, A2, ROTATE, TRIM]).deaths(2),
    small("writers rotate", &[AR, RA]).deaths(2),
    small("writers rotate, full disk", &[AR, RA]).deaths(1).disk(3),
    medium("writers rotate, follow", &[RA, &[Append(1), Rotate]]).deaths(1).followed(),
    small("rotate, full disk: no page", &[A12, A2, ROTATE, TRIM]).deaths(1).disk(0),
    small("rotate, full disk: one page", &[A12, A2, TWICE, TRIM]).deaths(1).disk(1),
    small("rotate, full disk: three pages", &[A12, A2, ROTATE, TRIM]).deaths(1).disk(3),
    small("rotate, full disk, and space again", &[A12, A2, ROTATE, STRANGER]).deaths(1).disk(4),
    small("rotate, copies, link and rename fail", &[A1, A2, TWICE]).deaths(1).errors(),
    small("rotate, close", &[C11, C2, ROTATE]).deaths(1),
    small("one is stopped: rotate", &[A12, A2, ROTATE]).deaths(1).late(),
    small("rotate, settle without the lock", &[A12, A2, ROTATE, &[RepairLoosely]]).deaths(2),
    medium("rotate, somebody appends from outside", &[A12, C2, ROTATE, OUTSIDE_ONCE]).deaths(1),
    large("rotate, follow, long", &[A12, A2, ROTATE]).deaths(1).followed(),
    large("rotate, follow, judge, long", &[A12, A1, ROTATE]).deaths(1).judged(),
    large("rotate twice, follow, a death", &[A11, A1, TWICE]).deaths(1).followed(),
    large("rotate and trim, follow, a death", &[A1, A2, ROTATE, TRIM]).deaths(1).followed(),
    large("two rotators, follow", &[A11, A1, ROTATE, ROTATE]).followed(),
    large("two rotators, trim", &[A12, A2, TWICE, TRIM]).deaths(2),
    large("three writers, rotate", &[A11, A1, A1, ROTATE]).slots(3).deaths(2),
    large("one is stopped: rotate, follow", &[A11, A2, ROTATE]).late().followed(),
];

/// A policy in the log, carried out by its writers. The disk's page is a byte, too: what does not fit a page more is exact.
pub(super) const POLICY: &[Configuration] = &[
    small("writers rotate at a size", &[A11, A2]).cap(2).chunk(4).deaths(1),
    small("writers rotate at a size, follow", &[A11, A1]).cap(1).followed(),
    small("writers rotate at a size, two deaths", &[A11, A1]).cap(1).deaths(2),
    small("writers rotate at a size, beside a trim", &[A11, A1, TRIM]).cap(1),
    small("writers grow up to a size", &[A11, A1]).cap(3).size(0).deaths(1),
    small("a long message below half of the size", &[A13, A1]).cap(3).deaths(1),
    small("writers rotate at a size, full disk", &[A11, A1]).cap(1).deaths(1).disk(2),
    small("writers rotate at a size, link and rename fail", &[A11, A1]).cap(1).errors(),
    small("one is stopped: writers rotate at a size", &[A11, A1]).cap(1).late(),
    small("writers rotate and prune", &[A11, A1]).cap(1).keep(1).deaths(1),
    small("writers rotate and keep none", &[A11, A1]).cap(1).keep(0).deaths(1),
    small("writers rotate and prune, follow", &[A111]).slots(1).cap(1).keep(1).deaths(1).followed(),
    small("writers rotate and prune, another prunes", &[A111, PRUNE]).slots(1).cap(1).keep(0).deaths(1),
    small("three writers rotate and keep none", &[A1, A1, A1]).slots(3).cap(1).keep(0).deaths(2),
    small("one is stopped: writers rotate and prune", &[A11, A1]).cap(1).keep(0).late(),
    small("writers rotate and prune, link and rename fail", &[A11, A1]).cap(1).keep(0).errors(),
    small("somebody sets what is kept", &[A111, SET]).slots(1).cap(1).deaths(1),
];
