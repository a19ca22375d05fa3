//! The words about old segments.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::super::SegmentFlaw;
use super::stuck::since;
use super::{critical, info, quoted, warning, who};
use crate::error::{quoted_directory, set_aside};
use crate::names::{Compression, SegmentName};
use crate::names::{LONGEST_BYTES, SEGMENT_BYTES};
use crate::status::{Finding, FindingId, State, Status};
use crate::units::{agree, listed, size};

/// For `find -name`: that name, whatever follows it.
fn pattern_of(path: &Path) -> PathBuf {
    let mut pattern = Vec::new();
    for (at, byte) in path.file_name().unwrap_or_default().as_bytes().iter().enumerate() {
        // One that begins with it would be taken for an option.
        if b"*?[\\".contains(byte) || (at, *byte) == (0, b'-') {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    OsString::from_vec(pattern).into()
}

impl Status {
    pub(super) fn flawed(&self, flaw: &SegmentFlaw) -> Finding {
        let (from, to) = (flaw.positions.start, flaw.positions.end);
        let (path, file) = (quoted(&flaw.path), flaw.path.display());
        let lost = match from < to {
            true => format!("; positions [{from}, {to}) cannot be read"),
            false => String::new(),
        };
        match flaw.id {
            FindingId::SegmentMissing => {
                let gone = who::until_now(flaw.since);
                let gone = gone.map_or_else(String::new, |time| format!(", {}", since(None, time)));
                // Where it began is not known.
                let more = if flaw.path.as_os_str().as_bytes().ends_with(b"-") { "*" } else { "" };
                let sentence = format!("{} ({file}{more}){gone}", flaw.problem);
                let forget = self.command("repair --forget-missing");
                let back = || {
                    format!(
                        "`find {} -name {}` looks for it below the log's directory: move it back to where it was, or bring it back from a backup; if it never comes back, {forget} gives it up",
                        quoted_directory(&self.path),
                        quoted(&pattern_of(&flaw.path))
                    )
                };
                let lies_there = |(there, name): &(PathBuf, PathBuf)| {
                    format!(
                        "`mv -n {} {}` puts it back, from where somebody seems to have put it aside",
                        quoted(there),
                        quoted(name)
                    )
                };
                let lies_at = flaw.lies_at.as_ref().map(lies_there);
                let next = self.in_its_place(flaw).or(lies_at).unwrap_or_else(back);
                critical(flaw.id, State::Damaged, sentence, next)
            }
            FindingId::SegmentDamaged => {
                let sentence = format!("old segment {file} is damaged: {}{lost}", flaw.problem);
                critical(flaw.id, State::Damaged, sentence, self.good_copy())
            }
            FindingId::SegmentUnreadable if self.is_segment(&flaw.path) => {
                let sentence = format!("old segment {file}: {}{lost}", flaw.problem);
                let next = format!(
                    "see who may read it (`ls -ld {path}`), and look again as such a user; of a failing disk `dmesg` tells"
                );
                warning(flaw.id, State::Ok, sentence, next)
            }
            // No segment at all: the directory where they should be.
            FindingId::SegmentUnreadable => {
                let (problem, next) = flaw.problem.split_once("; ").unwrap_or((&flaw.problem, ""));
                let look =
                    || format!("see who may read {path} (`ls -ld {path}`), and look again as such a user");
                let next = if next.is_empty() { look() } else { next.to_owned() };
                warning(flaw.id, State::Ok, format!("{problem}{lost}"), next)
            }
            FindingId::Leftover => {
                let sentence = format!("{}: {file}", flaw.problem);
                warning(flaw.id, State::Ok, sentence, format!("{} takes it away", self.command("repair")))
            }
            _ => self.surplus(flaw),
        }
    }

    /// To delete what is left mends nothing.
    fn good_copy(&self) -> String {
        format!(
            "put a good copy in its place, nothing else brings these positions back ({} lists what is there)",
            self.command("segments")
        )
    }

    /// Segments that were removed, and take space all the same.
    pub(super) fn space_held(&self) -> Option<Finding> {
        let first = self.removed_held.first()?;
        let mut files: Vec<(u64, u64)> = self.removed_held.iter().map(|h| (h.inode, h.allocated)).collect();
        files.sort_unstable();
        files.dedup();
        let bytes: u64 = files.iter().map(|(_, allocated)| allocated).sum();
        let sentence =
            format!("{} of removed segments are not free yet: {}", size(bytes), self.who_has_removed()?);
        let next = "it lets go when it appends or reads on; restart it if the space is needed now".to_owned();
        Some(info(FindingId::SpaceHeld, sentence, next).of(first.pid))
    }

    /// `process 4312 (web) has them open`, of those.
    pub(super) fn who_has_removed(&self) -> Option<String> {
        let mut who: Vec<String> =
            self.removed_held.iter().map(|h| format!("{} ({})", h.pid, h.command)).collect();
        who.dedup();
        let count = who.len() as u64;
        let (processes, have) = (agree(count, "process", "processes"), agree(count, "has", "have"));
        (count > 0).then(|| format!("{processes} {} {have} them open", listed(&who)))
    }

    /// A log that an earlier version made, or that was given its name afterwards.
    pub(super) fn name_too_long(&self) -> Option<Finding> {
        let (len, most) = (self.path.file_name()?.len(), self.file.longest_name);
        if most == 0 || len + LONGEST_BYTES <= most {
            return None;
        }
        let fits = most.saturating_sub(LONGEST_BYTES);
        let is_barred = len + SEGMENT_BYTES > most;
        let sentence = match is_barred {
            true => format!(
                "the name has {len} bytes, an old segment's {SEGMENT_BYTES} more, and {most} is the most here: rotate fails"
            ),
            false => format!(
                "the name has {len} bytes, an old segment's up to {LONGEST_BYTES} more, and {most} is the most here: rotate works, with --utc or --compress it may fail"
            ),
        };
        let path = quoted(&self.path);
        let next = format!(
            "stop its programs and give it a name of at most {fits} bytes: `mv {path} NAME && mv {} NAME.mmlog`, its old segments likewise;              everything else works as it is",
            quoted(&self.metadata_path)
        );
        Some(match is_barred {
            true => warning(FindingId::NameTooLong, State::Ok, sentence, next),
            false => info(FindingId::NameTooLong, sentence, next),
        })
    }

    /// What to do where something has the name of what is missing, and is only not taken: before that is seen to, nothing is
    /// to be given up.
    fn in_its_place(&self, missing: &SegmentFlaw) -> Option<String> {
        let has_its_name = |says: SegmentName| {
            missing.positions.contains(&says.base)
                && says.generation < self.generation
                && self.segments.iter().all(|s| s.generation != says.generation)
        };
        let left_out = self.flaws.iter().filter(|flaw| flaw.id == FindingId::SegmentSurplus);
        let mut left_out = left_out.filter(|flaw| self.name_of(&flaw.path).is_some_and(has_its_name));
        let SegmentFlaw { path, problem, .. } = left_out.next()?;
        let (_, cure) = problem.split_once("; ")?;
        let place = if cure == set_aside(path) { "; then put the segment itself in its place" } else { "" };
        Some(format!("what has its name is not taken: {cure}{place}"))
    }

    /// Whether that has the name of one.
    fn is_segment(&self, path: &Path) -> bool {
        self.name_of(path).is_some()
    }

    fn name_of(&self, path: &Path) -> Option<SegmentName> {
        SegmentName::parse(self.path.file_name()?, path.file_name()?)
    }

    /// What is there beside what readers take.
    fn surplus(&self, flaw: &SegmentFlaw) -> Finding {
        let (path, shown) = (quoted(&flaw.path), flaw.path.display());
        // What is not taken for a segment says itself what to do.
        if let Some((problem, next)) = flaw.problem.split_once("; ") {
            return warning(flaw.id, State::Ok, format!("{shown}: {problem}"), next.to_owned());
        }
        let sentence = format!("old segment {shown}: {}", flaw.problem);
        let next = match self.segments.iter().find(|s| s.path == flaw.path) {
            Some(s) => format!(
                "`truncate -s {} {path}` cuts off what readers do not take; find out who appends to it",
                s.end - s.base,
            ),
            None => match self.copied_as(&flaw.path) {
                Some(format) => format!(
                    "{} compares the compressed copy with the plain file and leaves one",
                    self.command(&format!("rotate --compress {format}"))
                ),
                None => format!("see which one is right, and move the other away (`ls -l {path}`)"),
            },
        };
        warning(flaw.id, State::Ok, sentence, next)
    }

    /// The format of a compressed copy, where that file and the one that readers take are a plain one and its copy beside it:
    /// those a compression compares.
    fn copied_as(&self, path: &Path) -> Option<&'static str> {
        let says = self.name_of(path)?;
        let taken = self.segments.iter().find(|s| s.generation == says.generation)?;
        let its = self.name_of(&taken.path)?;
        let plain = |name: &SegmentName| SegmentName { compression: None, ..name.clone() };
        let copy = match (says.compression, its.compression) {
            (Some(copy), None) | (None, Some(copy)) => copy,
            _ => return None,
        };
        let is_copy = plain(&says) == plain(&its) && path.parent() == taken.path.parent();
        is_copy.then_some(match copy {
            Compression::Zstd => "zstd",
            Compression::Gzip => "gzip",
        })
    }
}
