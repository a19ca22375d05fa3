//! Followers that may write the metadata say what they read, so that people see them. Display only: no writer reads it,
//! nothing is kept because of it, and a follower that cannot say it follows as well. How a place is claimed and read is
//! in `places`.

use std::sync::{Arc, Mutex, TryLockError, Weak};
use std::time::{Duration, Instant, SystemTime};

use crate::crash::crash_point;
use crate::error::Fault;
use crate::files::Files;
use crate::layout::{FOLLOWING_BYTES, FOLLOWING_MAX, FollowingPlace};
use crate::sync::{AtomicU64, Ordering};
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

/// A follower's side: where it is, and its place, once it has one. Both are also of who tells for it.
pub(crate) struct Told {
    shared: Arc<Shared>,
    reads: u32,
}

struct Shared {
    at: AtomicU64,
    /// Counts its own reads and waits: who tells for it sees whether it still looks.
    looks: AtomicU64,
    saying: Mutex<Saying>,
}

/// Tells where a [`Follower`](crate::Follower) is while it cannot: it is held up by what it writes to. Made by
/// [`Follower::teller`](crate::Follower::teller).
pub struct Teller {
    told: Weak<Shared>,
    files: Arc<Files>,
}

struct Saying {
    place: Option<Place>,
    /// `None`: never.
    next: Option<Instant>,
    at: u64,
    stored: Instant,
    /// Its looks when it last told, and when that number was new.
    looked: (u64, Instant),
    name: String,
}

struct Place {
    locks: LockFile,
    index: usize,
    places: View<FollowingPlace>,
    since_ns: u64,
}

impl Told {
    pub(crate) fn new() -> Self {
        Self::after(Some(AT_FIRST), "")
    }

    /// Another one, and not what is locked set anew: in a forked child nobody may be there to unlock it.
    fn after(after: Option<Duration>, name: &str) -> Self {
        let now = Instant::now();
        let next = after.map(|after| now + after);
        let looked = (0, now);
        let saying = Saying { place: None, next, at: 0, stored: now, looked, name: name.to_owned() };
        let (at, looks) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { shared: Arc::new(Shared { at, looks, saying: Mutex::new(saying) }), reads: 0 }
    }

    /// By that name, from now on.
    pub(crate) fn name(&mut self, name: &str) {
        *self = Self::after(Some(Duration::ZERO), name);
    }

    pub(crate) fn hide(&mut self) {
        *self = Self::after(None, "");
    }

    pub(crate) fn teller(&self, files: &Arc<Files>) -> Teller {
        Teller { told: Arc::downgrade(&self.shared), files: Arc::clone(files) }
    }

    /// Says where it is, if that has not just been said.
    pub(crate) fn tell(&mut self, files: &Files, at: u64) {
        self.looks(at);
        self.shared.tell(files);
    }

    #[inline]
    fn looks(&mut self, at: u64) {
        self.reads = self.reads.wrapping_add(1);
        self.shared.at.store(at, Ordering::Relaxed);
        self.shared.looks.store(self.reads.into(), Ordering::Relaxed);
    }

    /// The same once in a while: a clock costs more than the rest of a short look.
    #[inline]
    pub(crate) fn reads(&mut self, files: &Files, at: u64) {
        self.looks(at);
        if self.reads.is_multiple_of(READS) {
            self.shared.tell(files);
        }
    }
}

impl Teller {
    /// Says where the follower began its last read, if that has not just been said: at most four times a second. False
    /// when the follower is gone.
    pub fn tell(&self) -> bool {
        self.told.upgrade().is_some_and(|told| {
            told.tell(&self.files);
            true
        })
    }
}

impl Shared {
    /// Not where another one is saying it: nobody waits for that.
    fn tell(&self, files: &Files) {
        let mut saying = match self.saying.try_lock() {
            Err(TryLockError::WouldBlock) => return,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            Ok(saying) => saying,
        };
        if let Some(next) = saying.next {
            let now = Instant::now();
            if now >= next {
                let looks = self.looks.load(Ordering::Relaxed);
                if looks != saying.looked.0 {
                    saying.looked = (looks, now);
                }
                saying.tell_now(files, self.at.load(Ordering::Relaxed), now);
            }
        }
    }
}

impl Saying {
    #[cold]
    fn tell_now(&mut self, files: &Files, at: u64, now: Instant) {
        self.next = Some(now + APART);
        self.place.take_if(|place| !place.is_mine(files));
        if let Some(place) = &self.place {
            if at != self.at || now - self.stored >= SELDOM {
                place.store(at, now - self.looked.1);
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
    let mut place = Place { locks: files.own_locks().ok()?, index: 0, places, since_ns: 0 };
    (0..FOLLOWING_MAX).find(|index| {
        place.index = *index;
        place.claim(files, name, at)
    })?;
    Some(place)
}

impl Place {
    /// Still what it filled. In a forked child it is the parent's; metadata that was cut and grew again, as a copy that is put
    /// back in place does, has nothing there, or another's.
    fn is_mine(&self, files: &Files) -> bool {
        !self.is_lost(files) && self.words().since_ns.load(Ordering::Relaxed) == self.since_ns
    }

    /// Nobody may store there any more.
    fn is_lost(&self, files: &Files) -> bool {
        self.locks.fd().is_none() || self.places.is_cut() || files.meta.following().is_none()
    }

    fn claim(&mut self, files: &Files, name: &str, at: u64) -> bool {
        let [fills, filled] = self.bytes();
        if !self.takes(fills) {
            return false;
        }
        crash_point("following:claimed");
        // Who makes the metadata anew takes that away before it asks for the bytes.
        let is_mine = !self.is_lost(files) && {
            self.fill(name, at);
            crash_point("following:filled");
            self.takes(filled)
        };
        if !is_mine {
            self.give_back();
        }
        is_mine
    }

    fn takes(&self, byte: u64) -> bool {
        self.locks.fd().is_some_and(|fd| matches!(lock::try_lock(fd, byte), Ok(true)))
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

    fn fill(&mut self, name: &str, at: u64) {
        let before = self.words().since_ns.load(Ordering::Relaxed);
        self.since_ns = now_ns().max(before.saturating_add(1));
        let (words, me) = (self.words(), process::me());
        words.fill(self.since_ns, |words| {
            self.store(at, Duration::ZERO);
            words.start_time.store(me.start_time, Ordering::Relaxed);
            words.pid_namespace.store(me.pid_namespace, Ordering::Relaxed);
            words.pid.store(me.pid, Ordering::Relaxed);
            words.command.store(&me.command);
            words.name.store(name);
        });
    }

    fn store(&self, at: u64, stands: Duration) {
        let stands_s = u32::try_from(stands.as_secs()).unwrap_or(u32::MAX);
        self.words().position.store(at, Ordering::Relaxed);
        self.words().stands_s.store(stands_s, Ordering::Relaxed);
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
    /// For how long it had not looked then.
    pub(crate) stands: Duration,
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
        stands: Duration::from_secs(place.stands_s.load(Ordering::Relaxed).into()),
    };
    let mut asked = Ok(false);
    let found = place.read(rest, || {
        asked = files.ask_held(FOLLOWING_BYTES + 2 * index + 1);
        matches!(asked, Ok(true))
    });
    asked?;
    Ok(found.map(|(since_ns, said)| Said { since: time_of(since_ns), ..said }))
}
