//! What is wrong with old segments, as far as names, lengths and headers tell: the cheap look of every status. The
//! bytes are read by `check::deep`.
//!
//! Names come first, `first_kept` last: what prune took meanwhile lies below it. A file that goes while it is looked at
//! was pruned, compressed or moved, and everything is looked at again.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{FindingId, facts};
use crate::codec::{self, Peek};
use crate::error::{Fault, set_aside};
use crate::files::segment_dir::{LeftOut, Listing, Named};
use crate::files::{Files, UNKNOWN_LEN};
use crate::holes;
use crate::layout::MAINTENANCE_BYTE;
use crate::metadata::{Entry, JOURNAL_ROTATE};
use crate::names::{Compression, SegmentName};
use crate::sync::Ordering;
use crate::sys::place::{Access, Found, Part};
use crate::sys::process::time_of;
use crate::units::size;

/// How often files may go while they are looked at.
const LOOKS: u32 = 5;
/// A gzip file up to so many bytes is decoded where its trailer does not say what it should: it may have several members.
const DECODED: u64 = 16 << 20;

/// Something wrong with an old segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFlaw {
    /// Which kind.
    pub id: FindingId,
    /// Its file; of a missing one, its name, or what the name of the newest missing one begins with.
    pub path: PathBuf,
    /// The positions that cannot be read because of it; empty where all can.
    pub positions: Range<u64>,
    /// What was found, with the numbers.
    pub problem: String,
    /// Of a missing one: when it was gone at the latest, where something tells.
    pub since: Option<SystemTime>,
    /// Of a missing one: a file that lies there, behind whose name somebody has put something, and that name.
    pub lies_at: Option<(PathBuf, PathBuf)>,
}

impl SegmentFlaw {
    fn new(id: FindingId, path: PathBuf, positions: Range<u64>, problem: String) -> Self {
        Self { id, path, positions, problem, since: None, lies_at: None }
    }
}

/// What was learned of compressed files, by device, inode, length and time: it is not looked for twice.
#[derive(Default)]
pub(crate) struct Peeks(HashMap<(u64, u64, u64, SystemTime), Peek>);

/// A final segment as its files are found.
pub(crate) struct Survey {
    pub(crate) name: Named,
    /// `None` where it cannot be looked at.
    pub(crate) stat: Option<Found>,
    /// Bytes of disk, of all its files.
    pub(crate) allocated: u64,
    /// First position behind what its file has, as far as that is known.
    pub(crate) end: u64,
    /// It has a flaw that costs positions, or keeps them from being read.
    pub(crate) flaw: Option<FindingId>,
}

/// What a look at one file tells of its content.
enum Content {
    Holds(u64),
    Unknown,
    Broken(String),
    Unseen(String),
}

/// One generation's files; the first one is what readers take.
struct Group {
    names: Vec<(Named, Result<Found, String>)>,
    /// Generation and base of the segment behind it.
    next: (u64, u64),
}

/// All final segments below `current`, oldest first, and what is wrong with them.
pub(crate) fn survey(files: &Files, current: &Entry, peeks: &mut Peeks) -> (Vec<Survey>, Vec<SegmentFlaw>) {
    if files.is_version_1() {
        return Default::default();
    }
    let mut looks = (0..LOOKS).map(|_| look(files, current, peeks));
    looks.find_map(|found| found).unwrap_or_default()
}

/// The positions of old segments that are missing and that nobody has given up.
pub(crate) fn missing(files: &Files) -> Result<Vec<Range<u64>>, Fault> {
    let current = files.current_segment()?;
    let (_, flaws) = survey(files, &current, &mut Peeks::default());
    let missing = flaws.into_iter().filter(|flaw| flaw.id == FindingId::SegmentMissing);
    Ok(missing.map(|flaw| flaw.positions).collect())
}

/// `None` when something went while it was looked at.
fn look(files: &Files, current: &Entry, peeks: &mut Peeks) -> Option<(Vec<Survey>, Vec<SegmentFlaw>)> {
    let Listing { named, too_early, left_out, .. } = match files.finals() {
        Ok(finals) => finals,
        Err(fault) => {
            let positions = files.first_kept().min(current.base)..current.base;
            let path = files.place.directory_path().to_path_buf();
            let problem = format!("old segments could not be looked for: {}", fault.at(files.path()).words());
            let unseen = SegmentFlaw::new(FindingId::SegmentUnreadable, path, positions, problem);
            let some = (!unseen.positions.is_empty()).then_some(unseen);
            return Some((Vec::new(), some.into_iter().collect()));
        }
    };
    let groups = group(named, current)?;
    let contents: Option<Vec<Content>> = groups.iter().map(|g| content(g, peeks)).collect();
    let mut judge = Judge {
        files,
        kept: files.first_kept(),
        is_at_rest: !files.is_held(MAINTENANCE_BYTE) && files.is_of_this_boot(),
        flaws: left_out.into_iter().map(not_taken).collect(),
    };
    judge.front(groups.first(), current);
    let judged = groups.iter().zip(contents?).map(|(g, content)| judge.segment(g, content));
    let judged = judged.collect();
    judge.leftovers();
    judge.too_early(&too_early, current);
    Some((judged, judge.flaws))
}

/// What names of segments of that one's generation begin with.
fn beginning(name: &OsStr) -> OsString {
    let end = name.as_bytes().iter().rposition(|byte| *byte == b'-').map_or(name.len(), |dash| dash + 1);
    OsStr::from_bytes(&name.as_bytes()[..end]).to_owned()
}

/// What readers leave out costs no positions by itself: those that no other file has are said to be missing.
fn not_taken(left_out: LeftOut) -> SegmentFlaw {
    let LeftOut { path, why } = left_out;
    SegmentFlaw::new(FindingId::SegmentSurplus, path, 0..0, why)
}

/// The files of each generation, in the order in which readers take them: a plain one that has all its positions, else
/// its compressed copy.
fn group(names: Vec<Named>, current: &Entry) -> Option<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for n in names.into_iter().filter(|n| n.says.generation < current.generation) {
        let stat = match n.find() {
            Ok(found) => Ok(found?),
            Err(e) => Err(e.to_string()),
        };
        match groups.last_mut().filter(|g| g.generation() == n.says.generation) {
            Some(group) => group.names.push((n, stat)),
            None => groups.push(Group { names: vec![(n, stat)], next: (current.generation, current.base) }),
        }
    }
    let nexts: Vec<(u64, u64)> = groups.iter().skip(1).map(|g| (g.generation(), g.base())).collect();
    groups.iter_mut().zip(nexts).for_each(|(g, next)| g.next = next);
    for g in &mut groups {
        let short = g.names[0].1.as_ref().map_or(true, |stat| Some(stat.len) < g.expected());
        if short && g.names[0].0.says.compression.is_none() {
            g.names.rotate_left(1);
        }
    }
    Some(groups)
}

impl Group {
    fn generation(&self) -> u64 {
        self.names[0].0.says.generation
    }

    fn base(&self) -> u64 {
        self.names[0].0.says.base
    }

    /// How many bytes it has to have, if the next segment is there to tell.
    fn expected(&self) -> Option<u64> {
        let len = self.next.1.checked_sub(self.base()).filter(|len| *len < UNKNOWN_LEN);
        len.filter(|_| self.generation().checked_add(1) == Some(self.next.0))
    }
}

fn content(group: &Group, peeks: &mut Peeks) -> Option<Content> {
    let (name, stat) = &group.names[0];
    let stat = match stat {
        Ok(stat) => stat,
        Err(why) => return Some(Content::Unseen(format!("it could not be looked at: {why}"))),
    };
    if let Some(kind) = stat.odd_kind() {
        return Some(Content::Broken(format!("it is a {kind}, not a file")));
    }
    let file = match name.open(Access::Read) {
        Ok(Some(file)) => file,
        Ok(None) => return None,
        Err(fault) => return Some(Content::Unseen(fault.problem())),
    };
    let Some(compression) = name.says.compression else { return Some(Content::Holds(stat.len)) };
    let key = (stat.id.0, stat.id.1, stat.len, stat.changed);
    let peeked = match peeks.0.get(&key) {
        Some(known) => Ok(known.clone()),
        None => peek(compression, file, group.expected()),
    };
    Some(match peeked {
        Err(e) => Content::Unseen(format!("it could not be read: {e}")),
        Ok(peek) => {
            peeks.0.insert(key, peek.clone());
            match peek {
                Peek::Holds(len) => Content::Holds(len),
                Peek::Unknown => Content::Unknown,
                Peek::Broken(problem) => Content::Broken(problem),
            }
        }
    })
}

/// A gzip trailer counts modulo 2^32, and of the last member alone.
fn peek(compression: Compression, file: std::fs::File, expected: Option<u64>) -> std::io::Result<Peek> {
    let found = codec::peek(compression, &file)?;
    let (Peek::Holds(said), Compression::Gzip) = (&found, compression) else { return Ok(found) };
    match expected {
        Some(expected) if codec::gzip_agrees(*said, expected) => return Ok(Peek::Holds(expected)),
        _ if file.metadata()?.len() <= DECODED => {}
        Some(_) => return Ok(Peek::Broken(format!("its last bytes say that it holds {said} bytes"))),
        None => return Ok(found),
    }
    match codec::decode_all(compression, file) {
        Ok(len) => Ok(Peek::Holds(len)),
        Err(e) if e.kind() == std::io::ErrorKind::Unsupported => Ok(Peek::Unknown),
        Err(e) if e.raw_os_error().is_some() => Err(e),
        Err(e) => Ok(Peek::Broken(e.to_string())),
    }
}

struct Judge<'a> {
    files: &'a Files,
    kept: u64,
    /// No maintenance is under way, and nothing waits for a recovery.
    is_at_rest: bool,
    flaws: Vec<SegmentFlaw>,
}

impl Judge<'_> {
    fn flaw(
        &mut self,
        id: FindingId,
        path: PathBuf,
        positions: Range<u64>,
        problem: String,
    ) -> Option<FindingId> {
        self.flaws.push(SegmentFlaw::new(id, path, positions, problem));
        Some(id)
    }

    /// What is no segment, nor becomes one.
    fn leftovers(&mut self) {
        let found = match self.files.leftovers() {
            Ok(found) => found,
            Err(fault) => {
                let path = self.files.place.directory_path().to_path_buf();
                self.flaw(FindingId::SegmentUnreadable, path, 0..0, fault.problem());
                return;
            }
        };
        for left in found {
            let problem = format!("a killed operation left {}", size(left.allocated()));
            self.flaw(FindingId::Leftover, left.path(), 0..0, problem);
        }
    }

    /// What has the name of a segment that the log does not have yet: it would be taken for it then. A rotation in the middle
    /// gives the current one such a name.
    fn too_early(&mut self, named: &[Named], current: &Entry) {
        let is_rotating = self.files.meta.header().journal.kind() == JOURNAL_ROTATE;
        if !self.is_at_rest || is_rotating {
            return;
        }
        // Rotations since the names were read have made segments of them.
        let now = facts::current(self.files);
        let is_one = |n: &&Named| {
            n.says.generation >= now.generation && ![current.inode, now.inode].contains(&n.id().1)
        };
        for n in named.iter().filter(is_one) {
            let problem = format!(
                "not taken for a segment of this log: the current one is {}, this has the name of {}; {}",
                current.generation,
                n.says.generation,
                set_aside(&n.path())
            );
            self.flaw(FindingId::SegmentSurplus, n.path(), 0..0, problem);
        }
    }

    /// What is missing before the oldest one. Metadata that was made later than that became final never knew it.
    fn front(&mut self, oldest: Option<&Group>, current: &Entry) {
        let (generation, base) =
            oldest.map_or((current.generation, current.base), |g| (g.generation(), g.base()));
        let created = time_of(self.files.meta.header().identity.created_ns.load(Ordering::Relaxed));
        let stat = oldest.and_then(|g| g.names[0].1.as_ref().ok());
        let was_there = created.zip(stat).is_some_and(|(created, stat)| stat.changed < created);
        if generation > 0 && !was_there {
            let what = match generation {
                1 => "old segment 0 is missing".to_owned(),
                _ => format!("what is older than segment {generation} is missing"),
            };
            let place = oldest.map_or_else(|| self.files.path().to_path_buf(), |g| g.names[0].0.path());
            self.gap(place.with_file_name(self.newest_before(generation)), self.kept..base, what);
        }
    }

    /// The name of the segment before that one, or what it begins with: where it began only the oldest one tells.
    fn newest_before(&self, generation: u64) -> OsString {
        let log = self.files.place.name(Part::Data);
        let name = SegmentName::plain(generation - 1, self.kept, None).of(log);
        if generation == 1 && self.kept == 0 { name } else { beginning(&name) }
    }

    /// Positions of which no file is left.
    fn gap(&mut self, path: PathBuf, positions: Range<u64>, what: String) -> Option<FindingId> {
        let positions = positions.start.max(self.kept)..positions.end;
        let (from, to) = (positions.start, positions.end);
        if from >= to || self.is_noted(&positions) {
            return None;
        }
        let problem = format!("{what}: no file has the positions [{from}, {to})");
        let (since, lies_at) = (self.names_changed(), self.lies_at(&positions));
        let found = SegmentFlaw::new(FindingId::SegmentMissing, path, positions, problem);
        self.flaws.push(SegmentFlaw { since, lies_at, ..found });
        Some(FindingId::SegmentMissing)
    }

    /// A file of the log's directory whose name goes on behind that of the first missing segment, as one that somebody has put
    /// aside, and that has no more bytes than are missing.
    fn lies_at(&self, missing: &Range<u64>) -> Option<(PathBuf, PathBuf)> {
        let place = &self.files.place;
        let log = place.name(Part::Data);
        let leftovers: Vec<PathBuf> = self.files.leftovers().ok()?.iter().map(|left| left.path()).collect();
        let is_it = |says: &SegmentName, found: &Found| {
            says.base == missing.start
                && found.odd_kind().is_none()
                && (says.compression.is_some() || found.len <= missing.end - missing.start)
        };
        place.names().ok()?.into_iter().find_map(|name| {
            let fronts = (log.len()..name.len()).rev().map(|end| OsStr::from_bytes(&name.as_bytes()[..end]));
            let (front, says) =
                fronts.into_iter().find_map(|front| Some((front, SegmentName::parse(log, front)?)))?;
            let path = place.path().with_file_name(&name);
            let is_free = SegmentName::parse(log, &name).is_none() && !leftovers.contains(&path);
            let found = place.find_named(&name).ok()??;
            (is_free && is_it(&says, &found)).then(|| (path, place.path().with_file_name(front)))
        })
    }

    /// Whoever takes a file out of the log's directory changes that. What has its name may only not be taken for it any more; and
    /// where there is another directory for old segments, it may have been there, or that directory somewhere else.
    fn names_changed(&self) -> Option<SystemTime> {
        let is_taken_out = self.flaws.iter().all(|flaw| flaw.id != FindingId::SegmentSurplus)
            && self.files.old_directory().is_ok_and(|old| old.is_none());
        let directory = is_taken_out.then(|| self.files.place.directory().ok()).flatten()?;
        Some(directory.named).filter(|at| *at <= SystemTime::now())
    }

    /// Whether readers are told so anyway: a hole has them.
    fn is_noted(&self, positions: &Range<u64>) -> bool {
        let foreseen = self.files.recovery().ok().flatten();
        let foreseen = foreseen.iter().flat_map(|found| found.holes.iter().cloned());
        let all: Vec<_> = holes::all(self.files.meta.holes()).into_iter().chain(foreseen).collect();
        let mut from = positions.start;
        while let Some(hole) = all.iter().find(|h| h.start <= from && from < h.end()) {
            from = hole.end();
        }
        from >= positions.end
    }

    fn segment(&mut self, group: &Group, content: Content) -> Survey {
        let (name, stat) = &group.names[0];
        let stat = stat.as_ref().ok();
        let (base, next) = (group.base(), group.next.1);
        let own = match &content {
            Content::Holds(len) => base.saturating_add(*len).min(next.max(base)),
            Content::Unknown => next.max(base),
            Content::Broken(_) | Content::Unseen(_) => match stat.filter(|s| s.odd_kind().is_none()) {
                Some(stat) if name.says.compression.is_none() => {
                    base.saturating_add(stat.len).min(next.max(base))
                }
                Some(_) => next.max(base),
                None => base,
            },
        };
        let is_kept = next > self.kept;
        let flaw = if is_kept { self.fitness(group, content, own) } else { None };
        if is_kept {
            self.twins(group);
        }
        let stats = group.names.iter().filter_map(|(_, stat)| stat.as_ref().ok());
        Survey {
            name: name.clone(),
            stat: stat.copied(),
            allocated: stats.map(|stat| stat.allocated).sum(),
            end: own,
            flaw,
        }
    }

    /// What it has against what its name and the next one's say.
    fn fitness(&mut self, group: &Group, content: Content, own: u64) -> Option<FindingId> {
        let name = &group.names[0].0;
        let (base, next, path) = (group.base(), group.next.1, name.path());
        // A power cut may leave one without a byte.
        if base > next {
            let problem = format!("by its name it begins at {base}, the next segment at {next}");
            return self.flaw(FindingId::SegmentDamaged, path, base..base, problem);
        }
        let all = base.max(self.kept)..next;
        match (content, group.expected()) {
            (Content::Unseen(problem), _) => self.flaw(FindingId::SegmentUnreadable, path, all, problem),
            (Content::Broken(problem), _) => self.flaw(FindingId::SegmentDamaged, path, all, problem),
            (Content::Holds(len), Some(expected)) if len < expected => {
                let problem = format!("it has {len} bytes, up to the next segment there are {expected}");
                let missing = own.max(self.kept)..next;
                // What a power cut took.
                let is_noted = self.is_noted(&missing);
                (!is_noted).then(|| self.flaw(FindingId::SegmentDamaged, path, missing, problem)).flatten()
            }
            (Content::Holds(len), Some(expected)) if len > expected => self.longer(name, len, expected),
            (_, Some(_)) => None,
            (content, None) => {
                let is_jump = name.says.compression.is_some() && next - base >= UNKNOWN_LEN;
                let from = if let Content::Holds(_) = content { own } else { base };
                let what = match (group.generation() + 1, group.next.0 - 1) {
                    (one, last) if one == last => format!("old segment {one} is missing"),
                    (first, last) => format!("old segments {first} to {last} are missing"),
                };
                let log = self.files.place.name(Part::Data);
                let begins = SegmentName::plain(group.generation() + 1, from, None).of(log);
                // Behind a compressed one, positions are left out where the metadata was lost.
                (!is_jump).then(|| self.gap(path.with_file_name(begins), from..next, what)).flatten();
                None
            }
        }
    }

    /// Readers do not go behind the next one's beginning; a decoder that does is at odds.
    fn longer(&mut self, name: &Named, len: u64, expected: u64) -> Option<FindingId> {
        let (base, path) = (name.says.base, name.path());
        let problem = format!("it has {len} bytes, up to the next segment there are {expected}");
        if name.says.compression.is_some() {
            return self.flaw(FindingId::SegmentDamaged, path, base..base + expected, problem);
        }
        let is_rotating = self.files.meta.header().journal.kind() == JOURNAL_ROTATE;
        if self.is_at_rest && !is_rotating {
            self.flaw(FindingId::SegmentSurplus, path, 0..0, problem);
        }
        None
    }

    /// More than one file of a generation. Between its two names a compression leaves a moment.
    fn twins(&mut self, group: &Group) {
        let taken = group.names[0].0.name.to_string_lossy().into_owned();
        for (name, _) in group.names.iter().skip(1).filter(|_| self.is_at_rest) {
            let problem = format!("it is a second file of this segment, and readers take {taken}");
            self.flaws.push(SegmentFlaw::new(FindingId::SegmentSurplus, name.path(), 0..0, problem));
        }
    }
}
