//! What contradicts each other, and what the file system says.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use super::{Damage, FileFacts, FindingId, Medium, Version1Flags};
use crate::error::{Class, Fault};
use crate::files::moved::{self, Stray, metadata_at};
use crate::files::{Files, behind};
use crate::metadata::{Entry, JOURNAL_EMPTY, JOURNAL_ROTATE, JOURNAL_TRIM};
use crate::names::SegmentName;
use crate::sync::Ordering;
use crate::sys::fs;
use crate::sys::holders::holders_of;
use crate::sys::mounts;
use crate::sys::place::{Access, Part, Place};
use crate::sys::process::{nanos_of, time_of};

/// What could not be looked at, each with the reason.
#[derive(Default)]
pub(super) struct Unseen(pub(super) Vec<String>);

impl Unseen {
    /// What was found; where it could not be looked at nothing, and that is noted. Damage is told as such.
    pub(super) fn or_nothing<T: Default>(&mut self, what: &str, found: Result<T, Fault>) -> T {
        found.unwrap_or_else(|fault| {
            if fault.class() != Class::Damaged {
                self.0.push(format!("{what} could not be seen: {}", fault.problem()));
            }
            T::default()
        })
    }
}

/// Every contradiction; none in a log of the original's format, which keeps less to contradict.
/// `entry`, `file_size` and `file` are as they were together, a moment ago.
pub(super) fn damage(
    files: &Files,
    entry: &Entry,
    file_size: u64,
    file: &FileFacts,
) -> Result<Vec<Damage>, Fault> {
    if files.is_version_1() {
        return Ok(Vec::new());
    }
    let of = |id: FindingId, fault: Fault| Damage::new(id, fault.problem());
    let (mut found, header) = (Vec::new(), files.meta.header());
    let kind = header.journal.kind();
    // What a reboot left is no damage as long as the next writer recovers it.
    let believed = files.is_of_this_boot();
    let positions = || files.meta.check_positions().err().map(|fault| of(FindingId::Positions, fault));
    found.extend(believed.then(positions).flatten().or_else(|| older(files)));
    found.extend(data_file(files, entry, file_size, file)?);
    let is_strays = found.iter().any(|damage: &Damage| damage.metadata_of.is_some());
    let copied = files.is_copied().filter(|_| !is_strays);
    found.extend(copied.map(|fault| of(FindingId::MetadataCopied, fault)));
    let differ = if file.inode == 0 { None } else { files.owners_differ(file.uid) };
    found.extend(differ.map(|fault| of(FindingId::OwnersDiffer, fault)));
    let known = matches!(kind, JOURNAL_EMPTY | JOURNAL_TRIM | JOURNAL_ROTATE);
    found.extend((!known).then(|| of(FindingId::UnknownOperation, Fault::Journal { kind })));
    Ok(found)
}

/// There is a byte behind the cursor. (A copy is of before as a matter of course.)
fn older(files: &Files) -> Option<Damage> {
    let segment = files.segment().ok().filter(|_| files.is_copied().is_none())?;
    let behind_the_size = || files.came_after(&segment).ok().flatten();
    let at = files.at_cursor(&segment).ok()?.or_else(behind_the_size)?;
    Some(Damage::new(FindingId::Positions, behind::older(files.control().look().start, at)))
}

/// The entry of the current segment; where it could not be looked for, the metadata's.
pub(super) fn current(files: &Files) -> Entry {
    files.current_segment().unwrap_or_else(|_| files.meta.header().current())
}

/// The number of the file that should be at the path.
pub(crate) fn recorded(files: &Files) -> u64 {
    match files.is_of_this_boot() {
        true => files.meta.header().identity.inode.load(Ordering::Relaxed),
        false => current(files).inode,
    }
}

/// Numbers of the file that should be at the path and of the one that is, where no rotation is why they differ.
pub(crate) fn foreign(files: &Files) -> Option<(u64, u64)> {
    let before = recorded(files);
    let found = files.place.find(Part::Data).ok()??;
    let there = found.id.1;
    let is_given_again =
        current(files).is_given_again(there, found.born_ns) && !fs::is_overlay(files.place.directory_fd());
    let is_its = there == before && !is_given_again;
    let is_exchanged = files.meta.header().is_exchanged_for(there);
    // In this order: whoever ends a rotation has named its file before.
    (!is_its && !is_exchanged && recorded(files) == before).then_some((before, there))
}

fn data_file(
    files: &Files,
    entry: &Entry,
    file_size: u64,
    file: &FileFacts,
) -> Result<Option<Damage>, Fault> {
    let header = files.meta.header();
    let this_boot = files.is_of_this_boot();
    let recorded = recorded(files);
    let recorded_device = header.identity.device.load(Ordering::Relaxed);
    // A rotation in the middle, of somebody dead or stopped, is finished by whoever gets the lock. And one that came to its end
    // since the file was looked at: another is at the path now. (Not: the two in the other order. It names its file first.)
    let rotating = header.journal.kind() == JOURNAL_ROTATE || current(files) != *entry;
    let found = |id, problem| {
        let is_elsewhere = matches!(id, FindingId::DataGone | FindingId::DataReplaced);
        // What copied metadata names is the original's, which stays where it is.
        let is_moved = is_elsewhere && files.is_copied().is_none();
        let name = is_moved.then(|| files.place.name_of(recorded)).flatten();
        // Somebody has just put it back: the next look sees that.
        let name = name.filter(|name| *name != files.place.name(Part::Data));
        let moved_to = name.map(|name| files.path().with_file_name(name));
        let moved_to = moved_to.filter(|there| is_as_old(there, &current(files)));
        let since = is_elsewhere.then(|| gone_since(&files.place)).flatten();
        Ok(Some(Damage { moved_to, since, ..Damage::new(id, problem) }))
    };
    let in_overlay = |problem: String| match file.medium {
        Medium::Overlay => {
            format!("this is a view of the log through an overlay, as a container has it: {problem}")
        }
        _ => problem,
    };
    if file.inode == 0 {
        return match moved::stray(&files.place, header) {
            Some(stray) => Ok(Some(of_another(files, stray))),
            None => found(FindingId::DataGone, "the data file is gone".into()),
        };
    }
    let is_given_again =
        entry.is_given_again(file.inode, file.born.map(nanos_of)) && file.medium != Medium::Overlay;
    let is_its = file.inode == recorded && !is_given_again;
    if !is_its && !rotating {
        if files.is_copied().is_none()
            && let Some(segment) = old_segment(files, recorded)
        {
            let problem = format!(
                "the metadata is of before a rotation, an older copy of it: its data file is the old segment {segment}"
            );
            return Ok(Some(Damage::new(FindingId::MetadataCopied, problem)));
        }
        let foreign = Fault::replaced_by(file.len == 0, recorded, file.inode).problem();
        return match file.medium {
            Medium::Overlay => found(FindingId::OverlayView, in_overlay(foreign)),
            _ => found(FindingId::DataReplaced, foreign),
        };
    }
    // Device numbers hold for one mount.
    if file.device != recorded_device
        && this_boot
        && let Some(other) = files.other_mount()?
    {
        return found(FindingId::OverlayView, in_overlay(other.problem()));
    }
    let expected = if this_boot { file_size } else { files.certain() };
    let truncated = Fault::Truncated { expected, found: file.len };
    // What a copy says of the length is of when it was made.
    let is_cut = file.len < expected && !rotating && files.is_copied().is_none();
    Ok(is_cut.then(|| Damage::new(FindingId::DataTruncated, truncated.problem())))
}

/// Whoever takes a name away, or gives its file to another, changes the directory; perhaps it was changed again since.
pub(super) fn gone_since(place: &Place) -> Option<SystemTime> {
    place.directory().ok().map(|directory| directory.named).filter(|at| *at <= SystemTime::now())
}

/// It has no data file since it is another log's metadata.
fn of_another(files: &Files, stray: Stray) -> Damage {
    let metadata = metadata_at(Path::new(files.place.name(Part::Data)));
    let problem = stray.said_of(&metadata);
    Damage { metadata_of: Some(stray), ..Damage::new(FindingId::MetadataCopied, problem) }
}

/// The name of the file of that number, if it is that of a final segment of the log.
fn old_segment(files: &Files, inode: u64) -> Option<String> {
    let name = files.place.name_of(inode)?;
    SegmentName::parse(files.place.name(Part::Data), &name)?;
    Some(name.to_string_lossy().into_owned())
}

/// Whether that file was there when the segment began. (Not: whether it has the number of the log's file. A number is given
/// again as soon as nobody has the file open that had it, to another log, too.)
fn is_as_old(there: &Path, segment: &Entry) -> bool {
    let began = time_of(segment.began_ns);
    let born = std::fs::symlink_metadata(there).and_then(|stat| stat.created());
    // Software that did not know of it said nothing of when the file was made: not after the segment began.
    born.is_ok_and(|born| match time_of(segment.born_ns) {
        Some(said) => born == said,
        None => began.is_none_or(|began| born <= began),
    })
}

pub(super) fn version_1(files: &Files) -> Option<Version1Flags> {
    let old = files.meta.version_1()?;
    let set = |flag: &crate::sync::AtomicU8| flag.load(Ordering::Relaxed) != 0;
    let (is_locked, is_panicked) = (set(&old.is_locked), set(&old.is_panicked));
    let holders = match is_locked || is_panicked {
        true => match files.place.open(Part::Data, Access::Read) {
            Ok(data) => holders_of(data).into_iter().map(|w| (w.pid, w.command)).collect(),
            Err(_) => Vec::new(),
        },
        false => Vec::new(),
    };
    Some(Version1Flags { is_locked, is_panicked, holders })
}

pub(super) fn unfinished(kind: u64) -> Option<&'static str> {
    match kind {
        JOURNAL_TRIM => Some("trim"),
        JOURNAL_ROTATE => Some("rotate"),
        _ => None,
    }
}

pub(super) fn file(place: &Place) -> Result<FileFacts, Fault> {
    let asked = fs::ask_file_system(place.directory_fd()).map_err(|e| e.to_string());
    let said = asked.as_ref().ok();
    let (medium, inodes) = (said.map(|s| s.medium).unwrap_or_default(), said.and_then(|s| s.inodes));
    let longest_name = said.map_or(0, |s| s.longest_name);
    let free = asked.map(|asked| asked.free);
    let gone = FileFacts {
        len: 0,
        allocated: 0,
        mode: 0,
        uid: 0,
        gid: 0,
        inode: 0,
        device: 0,
        changed: None,
        born: None,
        medium,
        free,
        longest_name,
        inodes,
        read_only: mounts::read_only(place.directory_fd()),
        directory: place.directory().ok().map(|found| found.rights()),
    };
    match place.open(Part::Data, Access::Read).and_then(|file| file.metadata()) {
        Ok(m) => Ok(FileFacts {
            len: m.size(),
            allocated: m.blocks() * 512,
            mode: m.mode() & 0o7777,
            uid: m.uid(),
            gid: m.gid(),
            inode: m.ino(),
            device: m.dev(),
            changed: m.modified().ok(),
            born: m.created().ok(),
            ..gone
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(gone),
        Err(e) => Err(Fault::io("open the data file")(e)),
    }
}
