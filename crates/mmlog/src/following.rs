//! Followers that may write the metadata say what they read, so that people see them. Display only: no writer reads it,
//! nothing is kept because of it, and a follower that cannot say it follows as well. How a place is claimed and read is
//! in `places`.

use std::time::{Duration, Instant, SystemTime};

use crate::crash::crash_point;
use crate::error::Fault;
use crate::files::Files;
use crate::layout::{FOLLOWING_BYTES, FOLLOWING_MAX, FollowingPlace};
use crate::sync::Ordering;
use crate::sys::fork::LockFile;
use crate::sys::lock;
use crate::sys::map::{Protection, View};
use crate::sys::process::{self, Who, now_ns, time_of};

/// A follower says nothing of itself before: most have ended by then.
const AT_FIRST: Duration = Duration::from_secs(1);
/// Between two stores.
const APART: Duration = Duration::from_millis(250);
/// The same while it stays where it is, and before it is tried again to have a place.
const SELDOM: Duration = Duration::from_secs(5);

/// Reads that look at the clock once among them.
const READS: u32 = 16;

/// A follower's side: its place, once it has one.
pub(crate) struct Told {
    place: Option<Place>,
    /// `None`: never.
    next: Option<Instant>,
    reads: u32,
    at: u64,
    stored: Instant,
    name: String,
}

struct Place {
    locks: LockFile,
    index: usize,
    places: View<FollowingPlace>,
}

impl Told {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { place: None, next: Some(now + AT_FIRST), reads: 0, at: 0, stored: now, name: String::new() }
    }

    /// By that name, from now on.
    pub(crate) fn name(&mut self, name: &str) {
        *self = Self { next: Some(Instant::now()), name: name.to_owned(), ..Self::new() };
    }

    pub(crate) fn hide(&mut self) {
        *self = Self { next: None, ..Self::new() };
    }

    /// Says where it is, if that has not just been said.
    pub(crate) fn tell(&mut self, files: &Files, at: u64) {
        if let Some(next) = self.next {
            let now = Instant::now();
            if now >= next {
                self.tell_now(files, at, now);
            }
        }
    }

    /// The same once in a while: a clock costs more than the rest of a short look.
    #[inline]
    pub(crate) fn reads(&mut self, files: &Files, at: u64) {
        self.reads = self.reads.wrapping_add(1);
        if self.reads.is_multiple_of(READS) {
            self.tell(files, at);
        }
    }

    #[cold]
    fn tell_now(&mut self, files: &Files, at: u64, now: Instant) {
        self.next = Some(now + APART);
        // In a forked child it is the parent's.
        self.place.take_if(|place| place.is_lost(files));
        if let Some(place) = &self.place {
            if at != self.at || now - self.stored >= SELDOM {
                place.store(at);
                (self.at, self.stored) = (at, now);
            }
            return;
        }
        self.place = if files.may_announce() { claim(files, &self.name, at) } else { None };
        (self.at, self.stored) = (at, now);
        if self.place.is_none() {
            self.next = Some(now + SELDOM);
        }
    }
}

/// The first place that is free, filled. Why there is none is nobody's trouble: it follows unseen.
fn claim(files: &Files, name: &str, at: u64) -> Option<Place> {
    let places = files.map_following(Protection::ReadWrite).ok()??;
    let mut place = Place { locks: files.own_locks().ok()?, index: 0, places };
    (0..FOLLOWING_MAX).find(|index| {
        place.index = *index;
        place.claim(files, name, at)
    })?;
    Some(place)
}

impl Place {
    /// Nobody may store there any more.
    fn is_lost(&self, files: &Files) -> bool {
        self.locks.fd().is_none() || self.places.is_cut() || files.meta.following().is_none()
    }

    fn claim(&self, files: &Files, name: &str, at: u64) -> bool {
        let taken = |byte| self.locks.fd().is_some_and(|fd| matches!(lock::try_lock(fd, byte), Ok(true)));
        let [fills, filled] = self.bytes();
        if !taken(fills) {
            return false;
        }
        crash_point("following:claimed");
        // Who makes the metadata anew takes that away before it asks for the bytes.
        let is_mine = !self.is_lost(files) && {
            self.fill(name, at);
            crash_point("following:filled");
            taken(filled)
        };
        if !is_mine {
            self.give_back();
        }
        is_mine
    }

    fn bytes(&self) -> [u64; 2] {
        [0, 1].map(|which| FOLLOWING_BYTES + 2 * self.index as u64 + which)
    }

    /// What it says stays, and means nothing any more, as with the dead. A close does it, too, unless another process has
    /// the description for a moment; a forked child has closed it, and the place is its parent's.
    fn give_back(&self) {
        if let Some(fd) = self.locks.fd() {
            let _ = lock::unlock_range(fd, self.bytes()[0], 2);
        }
    }

    fn words(&self) -> &FollowingPlace {
        &self.places[self.index]
    }

    fn fill(&self, name: &str, at: u64) {
        let (words, me) = (self.words(), process::me());
        let since_ns = now_ns().max(words.since_ns.load(Ordering::Relaxed).saturating_add(1));
        words.fill(since_ns, |words| {
            self.store(at);
            words.start_time.store(me.start_time, Ordering::Relaxed);
            words.pid_namespace.store(me.pid_namespace, Ordering::Relaxed);
            words.pid.store(me.pid, Ordering::Relaxed);
            words.command.store(&me.command);
            words.name.store(name);
        });
    }

    fn store(&self, at: u64) {
        self.words().position.store(at, Ordering::Relaxed);
        self.words().seen_ns.store(now_ns(), Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// What a follower says of itself.
pub(crate) struct Said {
    pub(crate) name: Option<String>,
    pub(crate) who: Who,
    pub(crate) position: u64,
    pub(crate) since: Option<SystemTime>,
    pub(crate) seen: Option<SystemTime>,
}

/// All followers that live.
pub(crate) fn all(files: &Files, places: &[FollowingPlace]) -> Result<Vec<Said>, Fault> {
    (0..).zip(places).filter_map(|(index, place)| load(files, index, place).transpose()).collect()
}

fn load(files: &Files, index: u64, place: &FollowingPlace) -> Result<Option<Said>, Fault> {
    let rest = |place: &FollowingPlace| Said {
        name: Some(place.name.load()).filter(|name| !name.is_empty()),
        who: Who {
            pid: place.pid.load(Ordering::Relaxed),
            start_time: place.start_time.load(Ordering::Relaxed),
            pid_namespace: place.pid_namespace.load(Ordering::Relaxed),
            command: place.command.load(),
        },
        position: place.position.load(Ordering::Relaxed),
        since: None,
        seen: time_of(place.seen_ns.load(Ordering::Relaxed)),
    };
    let mut asked = Ok(false);
    let found = place.read(rest, || {
        asked = files.ask_held(FOLLOWING_BYTES + 2 * index + 1);
        matches!(asked, Ok(true))
    });
    asked?;
    Ok(found.map(|(since_ns, said)| Said { since: time_of(since_ns), ..said }))
}
