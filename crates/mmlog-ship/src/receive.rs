//! The way back: what is in a sink becomes a log's bytes again.
//!
//! A unit is checked, its sum and that it follows the one before, before a byte of it is written. What has been written is said in a small
//! file, after the bytes are on the disk: whoever is killed cuts what is beyond, and goes on exactly there.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mmlog::crash::crash_point;
use nix::libc;

use crate::run::pace::Pace;
use crate::sinks::Stored;
use crate::store::{self, Store};
use crate::trouble::{Trouble, failed, shown};
use crate::unit::{Id, Kind};
use overlap::Overlap;
use received::Absent;
use state::{Chain, State};

mod overlap;
mod received;
mod segments;
mod state;
mod verify;

pub use segments::Fetched;
pub use verify::verify;

/// So much, or for so long, is written before it is said.
const BATCH: u64 = 8 << 20;
const EVERY: Duration = Duration::from_millis(500);
/// How often a sink is looked at that had nothing new.
const NAP: Duration = Duration::from_millis(100);

/// What to receive, and where to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The directory of what is received.
    pub into: PathBuf,
    /// Stands before the names of files, if there is one.
    pub label: Option<String>,
    /// Ends behind what is there.
    pub until_now: bool,
    /// It waits no longer for a sink that is away then.
    pub give_up: Duration,
    /// What is gone from the sink is a gap.
    pub accept_gap: bool,
    /// Ends when it is raised.
    pub stop: Arc<AtomicBool>,
    /// Hears what people may want to know.
    pub say: fn(&str),
}

/// What comes next.
#[derive(Debug)]
pub enum Fed {
    /// A unit, its sum checked.
    Unit(Stored),
    /// A segment, checked as a whole.
    Segment(Fetched),
    /// These are not there any more.
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// There is more, which has not come yet.
    Later,
    /// There is no more yet.
    Nothing,
}

/// A sink that is read: its units in order, as they come.
pub trait Feed {
    /// What it is called, without secrets.
    fn name(&self) -> &str;

    /// Connects, again where it was connected. When the sink was made; none where there is none yet.
    ///
    /// # Errors
    /// One that [passes](Trouble::passes) is tried again.
    fn open(&mut self) -> Result<Option<u64>, Trouble>;

    /// The log whose units come next, and up to where it was received, before it [begins](Self::begin): for a sink that has logs side by side.
    fn turn_to(&mut self, _log: u128, _to: u64) {}

    /// Goes on behind that unit; with the oldest, if the coordinate is 0. Says whether that can be: the unit is there with that id, or was
    /// removed as the oldest are, or nobody knows its id (0). Otherwise the sink was put back to an earlier state: it may have been
    /// filled again, or not.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    fn begin(&mut self, coordinate: u64, id: Id) -> Result<bool, Trouble>;

    /// What comes next. It may wait a moment for it.
    ///
    /// # Errors
    /// As [`open`](Self::open). [`Trouble::Refused`] where the sink has less than it had: it is opened again then.
    fn next(&mut self) -> Result<Fed, Trouble>;
}

/// The sink has less than it had.
pub(crate) fn put_back() -> Trouble {
    Trouble::Refused("what it had is not there any more: it is read again".to_owned())
}

struct Receiver<'a> {
    plan: &'a Plan,
    from: String,
    store: Store,
    state: State,
    out: Option<Out>,
    since: Instant,
    unsaved: u64,
    is_changed: bool,
    pace: Pace,
    /// Units that are not there any more, ahead of what comes next.
    missing: Option<(u64, u64)>,
    /// A unit that did not follow: all that is there is compared with what was received, once.
    suspect: Option<u64>,
    is_doubtful: bool,
    overlap: Option<Overlap>,
}

/// Whether there was something.
enum Went {
    On,
    Nowhere,
}

/// The files of a chain.
struct Out {
    bytes: File,
    gaps: File,
}

/// Receives until it is told to stop, or what there is.
///
/// # Errors
/// Whatever only a person can mend, or another run.
pub fn receive(plan: &Plan, feed: &mut dyn Feed) -> Result<(), Trouble> {
    match DirBuilder::new().mode(0o750).create(&plan.into) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(&plan.into, "make the directory")(e));
        }
        _ => {}
    }
    let path = state_path(&plan.into);
    let store = Store::open(&path, "another receiver")?;
    let state = match store::read(&path)? {
        Some((text, _)) => State::read(&text, &path)?,
        None => State::new(0),
    };
    let from = feed.name().to_owned();
    let (since, pace) = (Instant::now(), Pace::new());
    let mut receiver = Receiver {
        plan,
        from,
        store,
        state,
        out: None,
        since,
        unsaved: 0,
        is_changed: false,
        pace,
        missing: None,
        suspect: None,
        is_doubtful: false,
        overlap: None,
    };
    receiver.take_up()?;
    let ended = receiver.go(feed);
    receiver.save()?;
    ended
}

/// Where is written down what was received.
pub(crate) fn state_path(into: &Path) -> PathBuf {
    into.join("receive.state")
}

impl Receiver<'_> {
    fn go(&mut self, feed: &mut dyn Feed) -> Result<(), Trouble> {
        let mut is_open = false;
        while !self.plan.stop.load(Ordering::Acquire) {
            let went = match is_open {
                true => feed.next().and_then(|fed| self.hear(fed)),
                false => self.connect(feed),
            };
            match went {
                Ok(Went::On) => is_open = true,
                Ok(Went::Nowhere) => {
                    self.save()?;
                    if self.plan.until_now {
                        return if is_open { Ok(()) } else { Err(self.nothing_there()) };
                    }
                    std::thread::sleep(NAP);
                }
                Err(trouble) if trouble.passes() => {
                    is_open = false;
                    self.away(&trouble)?;
                }
                Err(trouble) => return Err(trouble),
            }
            if self.unsaved >= BATCH || self.since.elapsed() >= EVERY {
                self.save()?;
            }
        }
        Ok(())
    }

    fn nothing_there(&self) -> Trouble {
        Trouble::Failed(format!("{}: nothing was shipped there", self.from))
    }

    /// Goes on behind what was received.
    fn connect(&mut self, feed: &mut dyn Feed) -> Result<Went, Trouble> {
        let Some(born) = feed.open()? else { return Ok(Went::Nowhere) };
        if self.state.born == 0 {
            self.state.born = born;
        }
        if self.state.born != born {
            return Err(Trouble::Decide(format!(
                "{}: it is of another sink than {}, or that was made anew; receive into another directory",
                shown(&self.plan.into),
                self.from
            )));
        }
        (self.missing, self.overlap) = (None, None);
        if let Some(chain) = &self.state.chain {
            feed.turn_to(chain.log, chain.to);
        }
        let is_there = feed.begin(self.state.coordinate, self.state.id)?;
        if std::mem::take(&mut self.is_doubtful) || !is_there {
            self.compare_from_here()?;
            feed.begin(0, 0)?;
        }
        Ok(Went::On)
    }

    fn hear(&mut self, fed: Fed) -> Result<Went, Trouble> {
        let went = if matches!(fed, Fed::Nothing) { Went::Nowhere } else { Went::On };
        match fed {
            Fed::Unit(unit) => self.take(&unit, None)?,
            Fed::Segment(fetched) => self.take(&fetched.unit, Some(&fetched))?,
            Fed::Missing { from, to } => {
                if let Some(overlap) = &mut self.overlap {
                    overlap.passed();
                }
                let from = self.missing.map_or(from, |(first, _)| first);
                self.missing = Some((from, to));
                return Ok(Went::On);
            }
            Fed::Later => return Ok(Went::On),
            Fed::Nothing => {
                self.without_missing(None)?;
                self.compared_all();
            }
        }
        if let Some(text) = self.pace.reached(&self.from) {
            (self.plan.say)(&text);
        }
        Ok(went)
    }

    /// Waits until the sink may be there again.
    fn away(&mut self, trouble: &Trouble) -> Result<(), Trouble> {
        let is_stopped = self.plan.stop.load(Ordering::Acquire);
        if let Some(text) = self.pace.gone(trouble, &self.from).filter(|_| !is_stopped) {
            (self.plan.say)(&text);
        }
        self.save()?;
        self.pace.retry_later();
        while !self.pace.is_time() && !self.plan.stop.load(Ordering::Acquire) {
            if let Some(why) = self.pace.is_away_for(self.plan.give_up).filter(|_| self.plan.until_now) {
                return Err(why);
            }
            std::thread::sleep(self.pace.nap().min(NAP));
        }
        Ok(())
    }

    /// Opens the files of the chain that was received last, and cuts what was not said yet.
    fn take_up(&mut self) -> Result<(), Trouble> {
        let Some(chain) = &self.state.chain else { return Ok(()) };
        let out = self.open(&chain.file)?;
        for (file, suffix, length) in [(&out.bytes, ".log", chain.length), (&out.gaps, ".gaps", chain.gaps)] {
            let path = self.plan.into.join(format!("{}{suffix}", chain.file));
            let has = file.metadata().map_err(failed(&path, "look at"))?.len();
            if has < length {
                return Err(Trouble::Decide(format!(
                    "{}: it has {has} bytes of {length} that were received; put it back, or receive into another directory",
                    shown(&path)
                )));
            }
            file.set_len(length).map_err(failed(&path, "cut"))?;
        }
        self.out = Some(out);
        Ok(())
    }

    fn open(&self, name: &str) -> Result<Out, Trouble> {
        let open = |suffix: &str| {
            let path = self.plan.into.join(format!("{name}{suffix}"));
            let mut options = OpenOptions::new();
            options.append(true).create(true).mode(0o640).custom_flags(libc::O_NOFOLLOW);
            options.open(&path).map_err(failed(&path, "open"))
        };
        Ok(Out { bytes: open(".log")?, gaps: open(".gaps")? })
    }

    /// What is gone from the sink is a gap, if somebody accepted that. What comes behind it may say that it was nothing of the chain.
    fn without_missing(&mut self, next: Option<&Stored>) -> Result<(), Trouble> {
        let Some((from, to)) = self.missing.take() else { return Ok(()) };
        let is_compared = self.overlap.is_some();
        let follows = next.is_some_and(|next| next.header.after == self.state.id && self.state.id != 0);
        if is_compared || follows {
            return Ok(());
        }
        if !self.plan.accept_gap {
            return Err(Trouble::Decide(format!(
                "{}: units {from} to {to} are gone before they were received; --accept-gap makes what they had a gap",
                self.from
            )));
        }
        (self.plan.say)(&format!("{}: units {from} to {to} are gone; what they had is a gap", self.from));
        (self.state.coordinate, self.state.id, self.is_changed) = (to, 0, true);
        Ok(())
    }

    /// Checked already: its sum. Here, that it follows the one before.
    fn take(&mut self, unit: &Stored, segment: Option<&Fetched>) -> Result<(), Trouble> {
        self.without_missing(Some(unit))?;
        if self.overlap.is_some() && self.compare(unit, segment)? {
            return Ok(());
        }
        let header = &unit.header;
        let at = unit.coordinate;
        let is_opening = header.kind == Kind::Opening;
        // One that came late may lie on what its sender never saw; nothing is behind it.
        if self.state.id != 0 && header.after != self.state.id && !is_opening {
            self.doubt(at)?;
            return Err(self.broken(at, "it does not follow the one before"));
        }
        if !is_opening {
            self.follows(unit)?;
            match header.kind {
                Kind::Content => self.write(&unit.payload)?,
                Kind::Segment => match segment {
                    Some(segment) => self.segment(segment, header.from)?,
                    None => return Err(self.broken(at, "a segment lies among units")),
                },
                Kind::Gap(why) => self.gap(Absent::Told(why), header.from, header.to)?,
                Kind::Begin | Kind::Opening => {}
            }
        }
        self.taken(unit)
    }

    fn taken(&mut self, unit: &Stored) -> Result<(), Trouble> {
        let header = &unit.header;
        if let Some(chain) = self.state.chain.as_mut().filter(|_| header.kind != Kind::Opening) {
            chain.to = header.to;
        }
        (self.state.coordinate, self.state.id) = (unit.coordinate, header.id());
        self.is_changed = true;
        crash_point("receive:taken");
        Ok(())
    }

    /// A unit that does not go on where the chain is: the sink may have been put back since, and all that is there is compared, once.
    fn doubt(&mut self, at: u64) -> Result<(), Trouble> {
        if self.suspect.replace(at) == Some(at) {
            return Ok(());
        }
        self.is_doubtful = true;
        Err(put_back())
    }

    fn broken(&self, at: u64, why: &str) -> Trouble {
        Trouble::Decide(format!(
            "{}: the unit at {at} is not taken: {why}; nothing of it was written",
            self.from
        ))
    }

    /// Whether the unit goes on where the chain is; a new one gets files of its own.
    fn follows(&mut self, unit: &Stored) -> Result<(), Trouble> {
        let header = &unit.header;
        let goes_on = self.state.chain.as_ref().is_some_and(|c| c.log == header.log && c.to == header.from);
        if goes_on {
            return Ok(());
        }
        match &self.state.chain {
            // Named by a receiver that was killed then.
            Some(chain) if chain.begun == unit.coordinate && chain.to == 0 && chain.log == header.log => {
                self.begins(unit)
            }
            // What came before it is gone, and somebody accepted that.
            Some(chain) if chain.log != header.log && self.state.id == 0 => self.begin(unit),
            Some(chain) if header.kind != Kind::Begin => {
                let (was, from) = (chain.to, header.from);
                if from < was && chain.log == header.log {
                    self.doubt(unit.coordinate)?;
                }
                let Some(chain) = &self.state.chain else { return Ok(()) };
                if !self.plan.accept_gap || chain.log != header.log || from < was {
                    let is_gap = chain.log == header.log && from > was;
                    let way = if is_gap { "; --accept-gap makes that a gap" } else { "" };
                    let why =
                        format!("it begins at position {from}, and what was received ends at {was}{way}");
                    return Err(self.broken(unit.coordinate, &why));
                }
                self.gap(Absent::Gone, was, from)
            }
            _ => self.begin(unit),
        }
    }

    /// Says from where on there are bytes.
    fn begins(&mut self, unit: &Stored) -> Result<(), Trouble> {
        let from = unit.header.from;
        let why = if unit.header.kind == Kind::Begin { Absent::Before } else { Absent::Gone };
        if from > 0 { self.gap(why, 0, from) } else { Ok(()) }
    }

    fn begin(&mut self, unit: &Stored) -> Result<(), Trouble> {
        // Everything of the chain before is on the disk when nothing says its name any more.
        self.save()?;
        let label = self.plan.label.as_ref().map(|label| format!("{label}-")).unwrap_or_default();
        let plain = format!("{label}{:032x}", unit.header.log);
        let has =
            |end: &str| self.plan.into.join(format!("{plain}{end}")).metadata().is_ok_and(|f| f.len() > 0);
        let is_taken = has(".log") || has(".gaps");
        let is_last = self.state.chain.as_ref().is_some_and(|chain| chain.file == plain);
        let file = if is_taken || is_last { format!("{plain}-{}", unit.coordinate) } else { plain };
        let (log, begun) = (unit.header.log, unit.coordinate);
        self.state.chain = Some(Chain { log, file, begun, base: 0, to: 0, length: 0, gaps: 0 });
        self.take_up()?;
        sync_directory(&self.plan.into)?;
        crash_point("receive:made");
        // Named before it has a byte: whoever goes on takes this file, and cuts it.
        self.is_changed = true;
        self.save()?;
        self.begins(unit)
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), Trouble> {
        let (Some(out), Some(chain)) = (&mut self.out, &mut self.state.chain) else { return Ok(()) };
        out.bytes.write_all(payload).map_err(failed(&self.plan.into, "write what was received"))?;
        chain.length += payload.len() as u64;
        self.unsaved += payload.len() as u64;
        Ok(())
    }

    fn gap(&mut self, why: Absent, from: u64, to: u64) -> Result<(), Trouble> {
        let (Some(out), Some(chain)) = (&mut self.out, &mut self.state.chain) else { return Ok(()) };
        let line = format!("{from} {to} {} {}\n", why.name(), chain.length);
        out.gaps.write_all(line.as_bytes()).map_err(failed(&self.plan.into, "write a gap"))?;
        chain.gaps += line.len() as u64;
        chain.to = to;
        (self.plan.say)(&why.words(&chain.file, from, to));
        Ok(())
    }

    /// Brings to the disk what was received, and then says so.
    fn save(&mut self) -> Result<(), Trouble> {
        self.since = Instant::now();
        if !std::mem::take(&mut self.is_changed) {
            return Ok(());
        }
        if let Some(out) = &self.out {
            let synced = out.bytes.sync_data().and_then(|()| out.gaps.sync_data());
            synced.map_err(failed(&self.plan.into, "sync what was received"))?;
        }
        crash_point("receive:durable");
        self.unsaved = 0;
        self.store.save(&self.state.write()).map_err(failed(&state_path(&self.plan.into), "save"))?;
        crash_point("receive:said");
        Ok(())
    }
}

fn sync_directory(path: &Path) -> Result<(), Trouble> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(failed(path, "sync"))
}
