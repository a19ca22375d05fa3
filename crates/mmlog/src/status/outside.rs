//! What programs do to the data file that know nothing of the log: bytes by `>>`, and who has it open for them.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::diagnose::{info, is_recent, warning};
use super::facts::Unseen;
use super::{Finding, FindingId, State, Status, WriterStatus};
use crate::error::quoted;
use crate::files::Files;
use crate::sync::Ordering;
use crate::sys::holders::{Link, Opener, who_may_write};
use crate::sys::place::Part;
use crate::sys::process::time_of;
use crate::units::{ago, agree, listed, size};

/// Bytes that `>>` put behind the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutsideBytes {
    /// Behind the end of the log at rest; whoever takes its lock next takes them in.
    pub waiting: u64,
    /// Behind the end of a log that somebody writes to, who cuts them off when it grows.
    pub beside: u64,
    /// Those are all in the file that they are to be saved in.
    pub saved: bool,
    /// Cut off since the log was made: somebody was writing.
    pub cut: u64,
    /// When some were last cut off.
    pub cut_at: Option<SystemTime>,
}

impl OutsideBytes {
    pub(super) fn of(files: &Files, unseen: &mut Unseen) -> Self {
        let counts = &files.meta.header().outside;
        let (bytes, is_live) = unseen.or_nothing("what >> put behind the end", files.outside());
        let end = files.control().base().saturating_add(files.control().file_size());
        let is_saved = |name: PathBuf| name.symlink_metadata().is_ok_and(|m| m.is_file() && m.len() >= bytes);
        Self {
            saved: is_live && bytes > 0 && is_saved(saved_as(files.path(), end)),
            waiting: if is_live { 0 } else { bytes },
            beside: if is_live { bytes } else { 0 },
            cut: counts.cut.load(Ordering::Relaxed),
            cut_at: time_of(counts.cut_ns.load(Ordering::Relaxed)),
        }
    }
}

/// Programs that have the data file at the path open for writing, and nothing else of the log, as far as this user may see. Its
/// writers are known.
pub(super) fn strangers(files: &Files, inode: u64, writers: &[WriterStatus], all: &[Link]) -> Vec<Opener> {
    let Ok(directory) = files.place.directory_path().canonicalize() else { return Vec::new() };
    let path = directory.join(files.place.name(Part::Data));
    let writers = writers.iter().filter_map(|w| w.seat.pid).collect();
    let mut found = who_may_write(files.place.directory_fd(), all, &path, inode, &writers);
    found.retain(|opener| !files.may_be_held_by(opener.pid));
    found
}

impl Status {
    /// Readers see what has a position.
    pub(super) fn outside_bytes(&self) -> Option<Finding> {
        let bytes = size(self.outside.waiting);
        let sentence =
            format!("{bytes} that somebody put behind the log at rest, by `>>`, cannot be read yet");
        let next = format!("{} takes them into the log, as the next append does", self.command("trim"));
        (self.outside.waiting > 0).then(|| info(FindingId::OutsideBytes, sentence, next))
    }

    /// What is about to be cut off, and who does such things.
    pub(super) fn outside_live(&self) -> Option<Finding> {
        let pids: Vec<String> = self.strangers.iter().map(|who| who.pid.to_string()).collect();
        let named: Vec<String> = self.strangers.iter().map(Opener::named).collect();
        let count = named.len() as u64;
        let (process, has) = (agree(count, "process", "processes"), agree(count, "has", "have"));
        let (slack, ids) = (size(self.limit.saturating_sub(self.cursor)), listed(&pids));
        let (sentence, next) = match (self.outside.beside, count) {
            (0, 0) => return None,
            (0, _) => (
                format!(
                    "{process} {} {has} the log open for writing, as by `>>`: what {} puts behind it is cut off when the log grows",
                    listed(&named),
                    agree(count, "it", "each of them")
                ),
                format!(
                    "`ps -fp {}` tells whose {} is: have it write through a pipe to mmlogctl append, or start it by mmlogctl exec",
                    pids.join(","),
                    agree(count, "it", "each")
                ),
            ),
            (bytes, _) => {
                let who = match count {
                    0 => String::new(),
                    _ => format!("; {process} {} {has} it open for that", listed(&named)),
                };
                let end = match count {
                    0 => String::new(),
                    _ => format!("then end {process} {ids}; "),
                };
                let saved = quoted(&saved_as(&self.path, self.base.saturating_add(self.file_size)));
                let log = quoted(&self.path);
                let (is_saved, first) = match self.outside.saved {
                    true => (format!(", and are saved in {saved}"), String::new()),
                    false => {
                        let save = format!("`tail -c +{} {log} > {saved}` saves them; ", self.file_size + 1);
                        (String::new(), save)
                    }
                };
                (
                    format!(
                        "{} that somebody put by `>>` behind the log, which has {slack} left, are cut off when it grows{is_saved}{who}",
                        size(bytes)
                    ),
                    format!(
                        "{first}{end}if the last writer ends before the log grows, it takes them in; else `mmlogctl append {log} < {saved}` does"
                    ),
                )
            }
        };
        let found = warning(FindingId::OutsideLive, State::Warning, sentence, next);
        Some(Finding { pid: self.strangers.first().map(|who| who.pid), ..found })
    }

    pub(super) fn outside_cut(&self) -> Option<Finding> {
        let cut_at = self.outside.cut_at?;
        let sentence = format!(
            "{} that somebody put behind the log by `>>` while a program was writing were cut off, the last {}",
            size(self.outside.cut),
            ago(cut_at, SystemTime::now())
        );
        let next = format!(
            "have it write through a pipe to mmlogctl append instead, or start it by mmlogctl exec; then {} ends this \
             warning, which else stays for a day",
            self.command("repair --accept-loss")
        );
        is_recent(cut_at).then(|| warning(FindingId::OutsideCut, State::Ok, sentence, next))
    }
}

/// Bytes saved before that are others keep their file: positions are not used twice.
fn saved_as(log: &Path, end: u64) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".outside-{end}"));
    name.into()
}
