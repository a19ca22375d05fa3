//! The times' ring in the metadata file: noting when positions were reached, and what a reboot makes of it.
//!
//! It is read and written by calls, never mapped: a pair a second is no work, and a file that is cut there, or has no space
//! there, is nobody's trouble. Where there is no ring, times are noted in the header alone, for who looks once a second.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::Files;
use super::guard::LogLock;
use super::meta::Meta;
use crate::crash::crash_point;
use crate::layout::{
    FEATURE_TIMES, FINALS_AT, FINALS_MAX, Header, PAIRS_MAX, RING_LEN, STEPS_AT, STEPS_MAX, ring_at,
};
use crate::metadata::Entry;
use crate::sync::Ordering;
use crate::sys::{alloc, process};
use crate::times::{Final, Pair, Reading, Step, TOGETHER_NS, World};

/// How often two clocks are read until little time goes by in between.
const LOOKS: u32 = 8;

impl Meta {
    /// Where the ring is, if it says so. Anything else than this build would say is not believed.
    fn ring(&self) -> Option<u64> {
        let Header { identity, tables, .. } = self.header();
        let at = ring_at(self.geometry().max_writers) as u64;
        let said = identity.features_optional.load(Ordering::Acquire) & FEATURE_TIMES != 0; // times
        let is_here = tables.ring_at.load(Ordering::Relaxed) == at
            && tables.ring_len.load(Ordering::Relaxed) == RING_LEN as u64;
        (said && is_here && self.version_1().is_none()).then_some(at)
    }

    /// Says that there is a ring, which is allocated and all zeros; the metadata is not ready yet.
    pub(super) fn begin_times(&self) {
        let Header { identity, tables, times, .. } = self.header();
        tables.ring_at.store(ring_at(self.geometry().max_writers) as u64, Ordering::Relaxed);
        tables.ring_len.store(RING_LEN as u64, Ordering::Relaxed);
        times.begin(&read_clocks(), identity.epoch.load(Ordering::Relaxed));
        // Nobody has noted anything: the first append does.
        times.last_ns.store(0, Ordering::Relaxed);
        identity.features_optional.fetch_or(FEATURE_TIMES, Ordering::Release); // times
    }
}

/// Of several looks the one at which least time went by between the clocks.
pub(crate) fn read_clocks() -> Reading {
    let look = || {
        let up_ns = process::up_ns();
        let at_ns = process::now_ns();
        Reading { at_ns, up_ns, took_ns: process::up_ns().saturating_sub(up_ns) }
    };
    let mut best = look();
    for _ in 1..LOOKS {
        if best.took_ns <= TOGETHER_NS {
            break;
        }
        let next = look();
        best = if next.took_ns < best.took_ns { next } else { best };
    }
    best
}

/// The ring, by a descriptor of the metadata file.
pub(crate) struct Ring<'a> {
    fd: BorrowedFd<'a>,
    at: u64,
    uuid: [u64; 2],
}

/// Everything that the ring has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    /// In the order of their places.
    pub(crate) pairs: Vec<Pair>,
    pub(crate) steps: Vec<Step>,
    pub(crate) finals: Vec<Final>,
}

impl Ring<'_> {
    fn put<const N: usize>(&self, at: usize, words: [u64; N]) -> io::Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        alloc::write_once(self.fd, self.at + at as u64, &bytes)
    }

    fn put_pair(&self, place: usize, pair: &Pair) -> io::Result<()> {
        self.put(place * 32, pair.words(place, self.uuid))
    }

    fn put_step(&self, step: &Step) -> io::Result<()> {
        self.put(STEPS_AT + step.place() * 64, step.words(self.uuid))
    }

    fn put_final(&self, times: &Final) -> io::Result<()> {
        self.put(FINALS_AT + Final::place(times.generation) * 64, times.words(self.uuid))
    }

    fn zero(&self) -> io::Result<()> {
        alloc::write_once(self.fd, self.at, &vec![0; RING_LEN])
    }

    /// Whatever is whole, each with its place.
    fn entries(&self) -> io::Result<Entries> {
        let (pairs_and_steps, finals) = (self.read(0, FINALS_AT)?, self.finals()?);
        let (pairs, steps) = pairs_and_steps.split_at(STEPS_AT / 8);
        let uuid = self.uuid;
        Ok(Entries {
            pairs: whole(pairs, |words, place| Pair::of(words, place, uuid)),
            steps: whole(steps, |words, place| Step::of(words, place, uuid)),
            finals,
        })
    }

    fn finals(&self) -> io::Result<Vec<(usize, Final)>> {
        let words = self.read(FINALS_AT, RING_LEN - FINALS_AT)?;
        Ok(whole(&words, |words, place| Final::of(words, place, self.uuid)))
    }

    fn read(&self, at: usize, len: usize) -> io::Result<Vec<u64>> {
        let mut bytes = vec![0; len];
        let mut done = 0;
        while done < len {
            match rustix::io::pread(self.fd, &mut bytes[done..], self.at + (at + done) as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => done += n,
            }
        }
        let words = bytes.chunks_exact(8).map(|b| u64::from_ne_bytes(std::array::from_fn(|i| b[i])));
        Ok(words.collect())
    }
}

struct Entries {
    pairs: Vec<(usize, Pair)>,
    steps: Vec<(usize, Step)>,
    finals: Vec<(usize, Final)>,
}

fn whole<const N: usize, T>(words: &[u64], of: impl Fn([u64; N], usize) -> Option<T>) -> Vec<(usize, T)> {
    let entries = words.chunks_exact(N).enumerate();
    entries.filter_map(|(place, w)| Some((place, of(std::array::from_fn(|i| w[i]), place)?))).collect()
}

/// Who notes a pair in these files. `settled`: what is known to be, where nothing need be asked.
struct Noting<'a> {
    files: &'a Files,
    ring: &'a Ring<'a>,
    settled: Option<u64>,
}

impl World for Noting<'_> {
    fn settled(&self) -> Option<u64> {
        let scan = || self.files.scan(self.files.control().look().start).ok().map(|scan| scan.watermark);
        let settled = self.settled.or_else(scan)?;
        self.files.intact().ok().map(|()| settled)
    }

    fn clocks(&self) -> Option<Reading> {
        crash_point("times:clocks");
        Some(read_clocks()).filter(|read| read.took_ns <= TOGETHER_NS)
    }

    fn reserved(&self) -> u64 {
        self.files.control().look().start
    }

    fn note_step(&self, step: &Step) {
        // One that could not be written is one that nobody saw.
        let _ = self.ring.put_step(step);
        crash_point("times:step");
    }
}

impl Files {
    /// The ring; none where the metadata has none, or is another boot's, or in a forked child.
    fn ring(&self) -> Option<Ring<'_>> {
        let (at, fd) = (self.meta.ring()?, self.lock_file.fd()?);
        let len = rustix::fs::fstat(fd).ok()?.st_size.unsigned_abs();
        let uuid = self.meta.header().identity.uuid.each_ref().map(|word| word.load(Ordering::Relaxed));
        (len >= at + RING_LEN as u64).then_some(Ring { fd, at, uuid })
    }

    /// The ring, if it is right for the epoch that the log is in.
    fn ring_of_epoch(&self) -> Option<Ring<'_>> {
        let Header { identity, times, .. } = self.meta.header();
        let epoch = times.epoch.load(Ordering::Acquire); // times
        (epoch == identity.epoch.load(Ordering::Acquire)).then(|| self.ring())?
    }

    /// Notes what is appended now, unless somebody has within the last second; whether it was this one's turn. Nothing of
    /// this writer is in flight.
    pub(crate) fn note_time(&self, now_ns: u64) -> bool {
        let times = &self.meta.header().times;
        if !times.claim(now_ns) {
            return false;
        }
        crash_point("times:claimed");
        if let Some(ring) = self.ring_of_epoch() {
            let noting = Noting { files: self, ring: &ring, settled: None };
            if let Some(pair) = times.observe(&noting) {
                let _ = ring.put_pair(Pair::place(times.next()), &pair);
            }
        }
        crash_point("times:noted");
        true
    }

    /// Whether pairs are noted.
    pub(crate) fn has_times(&self) -> bool {
        self.ring_of_epoch().is_some()
    }

    /// For how long yet what the clock says is doubted, where it is that of who appends.
    pub(crate) fn doubts_clock(&self, now: &Reading) -> Option<Duration> {
        let is_theirs = self.has_times() && self.is_of_this_boot();
        self.meta.header().times.doubted_for(now).filter(|_| is_theirs).map(Duration::from_nanos)
    }

    /// All that was noted, by two reads; nothing where there is no ring that can be believed.
    pub(crate) fn noted(&self) -> Noted {
        let Some(entries) = self.ring_of_epoch().and_then(|ring| ring.entries().ok()) else {
            return Noted::default();
        };
        let of = |entries: Vec<(usize, Pair)>| entries.into_iter().map(|(_, pair)| pair).collect();
        Noted {
            pairs: of(entries.pairs),
            steps: entries.steps.into_iter().map(|(_, step)| step).collect(),
            finals: entries.finals.into_iter().map(|(_, times)| times).collect(),
        }
    }

    /// The final segments of which it was noted when they became so, by one read.
    pub(crate) fn noted_finals(&self) -> Vec<Final> {
        let finals = self.ring_of_epoch().and_then(|ring| ring.finals().ok()).unwrap_or_default();
        finals.into_iter().map(|(_, times)| times).collect()
    }
}

impl LogLock<'_> {
    /// Notes that a segment has become final: everything below `end` has ended, and the gate is closed there.
    pub(super) fn note_final(&self, segment: &Entry, end: u64) {
        let Some(ring) = self.files.ring_of_epoch() else { return };
        let noting = Noting { files: self.files, ring: &ring, settled: Some(end) };
        if let Some(ended) = self.files.meta.header().times.observe(&noting) {
            let Entry { generation, base, began_ns, .. } = *segment;
            let _ = ring.put_final(&Final { generation, base, began_ns, ended });
        }
        crash_point("times:final");
    }

    /// Positions from `end` on will be given out anew: what was noted of them holds at `end`. The caller syncs the metadata
    /// before the cursor may grow, and then says that the ring is right for the new epoch
    /// ([`begin_epoch`](Self::begin_epoch)).
    pub(super) fn lower_times(&self, end: u64, same_boot: bool) -> io::Result<()> {
        let ring = self.files.ring_of_epoch();
        let (newest_ns, steps) = ring.as_ref().map_or(Ok((0, 0)), |ring| lower(ring, end))?;
        if same_boot {
            return Ok(());
        }
        crash_point("times:lowered");
        let times = &self.files.meta.header().times;
        let (step, pair) = times.begin_boot(&read_clocks(), end, newest_ns, steps);
        let Some(ring) = ring else { return Ok(()) };
        if let Some(step) = step {
            ring.put_step(&step)?;
        }
        ring.put_pair(Pair::place(times.next()), &pair)
    }

    /// The epoch was raised, and the ring is right for it if it was for the one before.
    pub(super) fn begin_epoch(&self, before: u64) {
        let Header { identity, times, .. } = self.files.meta.header();
        let epoch = identity.epoch.load(Ordering::Relaxed);
        let _ = times.epoch.compare_exchange(before, epoch, Ordering::AcqRel, Ordering::Relaxed); // times
    }

    /// Empties a ring that is not right for this epoch: software that does not know it has recovered the log, and positions
    /// may have come twice.
    pub(super) fn mend_times(&self) -> io::Result<()> {
        let Header { identity, times, .. } = self.files.meta.header();
        let epoch = identity.epoch.load(Ordering::Relaxed);
        if times.epoch.load(Ordering::Relaxed) == epoch {
            return Ok(());
        }
        if let Some(ring) = self.files.ring() {
            ring.zero()?;
            crash_point("times:zeroed");
        }
        times.begin(&read_clocks(), epoch);
        times.last_ns.store(0, Ordering::Relaxed);
        Ok(())
    }
}

/// Lowers whatever lies above `end`; the newest time of all, and how many steps there were.
fn lower(ring: &Ring<'_>, end: u64) -> io::Result<(u64, u64)> {
    let Entries { pairs, steps, finals } = ring.entries()?;
    for (place, pair) in pairs.iter().filter(|(_, pair)| pair.reserved > end) {
        ring.put_pair(*place, &pair.lowered(end))?;
    }
    for (_, step) in steps.iter().filter(|(_, step)| step.reserved > end) {
        ring.put_step(&step.lowered(end))?;
    }
    for (place, _) in finals.iter().filter(|(_, times)| times.ended.reserved > end) {
        // Perhaps it is not final any more.
        ring.put(FINALS_AT + place * 64, [0; 8])?;
    }
    let times = pairs.iter().map(|(_, pair)| pair.at_ns).chain(finals.iter().map(|(_, f)| f.ended.at_ns));
    let numbers = steps.iter().map(|(_, step)| step.number.saturating_add(1));
    Ok((times.max().unwrap_or(0), numbers.max().unwrap_or(0)))
}

const _: () = assert!(PAIRS_MAX * 32 == STEPS_AT && STEPS_AT + STEPS_MAX * 64 == FINALS_AT);
const _: () = assert!(FINALS_AT + FINALS_MAX * 64 == RING_LEN);
