//! Files that are not at their paths: where they are, who has them open still, and what saves what they hold.

use std::path::Path;
use std::time::SystemTime;

use super::stuck::since;
use super::who::until_now;
use super::{critical, warning};
use crate::error::{Class, Error, Fault, moves_aside, quoted, shown};
use crate::files::moved::{Stray, metadata_at};
use crate::files::{METADATA_SUFFIX, moved};
use crate::status::facts::gone_since;
use crate::status::still_open::{Removed, Renamed, removed, renamed};
use crate::status::{Damage, Finding, FindingId, State, Status, StillOpen, WriterStatus};
use crate::sys::holders::{Opener, have_open};
use crate::sys::place::Place;
use crate::sys::process;
use crate::units::{ago, agree, lasting, listed};

impl Status {
    /// The data file lies beside where it should be.
    pub(super) fn moved(&self, damage: &Damage, there: &Path) -> Finding {
        let (path, moved) = (quoted(&self.path), quoted(there));
        let is_beside = there.parent() == self.path.parent();
        let name = if is_beside { there.file_name().unwrap_or_default() } else { there.as_os_str() };
        let name = name.to_string_lossy();
        let (sentence, next) = match damage.id {
            FindingId::DataGone => (
                format!(
                    "the data file was moved: it is {name} now{}",
                    if is_beside { ", in the same directory" } else { "" }
                ),
                format!("`mv -n {moved} {path}` puts it back"),
            ),
            _ if self.file.len == 0 => (
                format!(
                    "the data file was moved and an empty one made in its place, as logrotate does: it is {name} now"
                ),
                format!(
                    "`mv {moved} {path}` puts it back; take the log out of what moved it, {} does that",
                    self.command("rotate")
                ),
            ),
            _ => (
                format!("the data file was moved, and another is in its place: it is {name} now"),
                format!(
                    "`{} && mv -n {moved} {path}` puts it back, and the other one aside",
                    moves_aside(&self.path)
                ),
            ),
        };
        critical(damage.id, State::Damaged, sentence + &lasts(damage.since), next)
    }

    /// Its metadata is another log's.
    pub(super) fn stray(&self, damage: &Damage, stray: &Stray) -> Finding {
        let (own, log) = (quoted(&self.metadata_path), stray.log());
        let shows = format!("`mmlogctl status {}` shows that log", quoted(log));
        let next = match stray {
            Stray::Renamed(_) => format!("`mv -n {own} {}` puts it back", quoted(&metadata_at(log))),
            Stray::SecondName(_) => format!("`rm {own}` takes that name away; {shows}"),
            Stray::Copy(_) => {
                let mut aside = self.metadata_path.clone().into_os_string();
                aside.push(".copy");
                format!(
                    "`mv -n {own} {}` gives it a name that is no log's; {shows}",
                    quoted(Path::new(&aside))
                )
            }
        };
        critical(damage.id, State::Damaged, damage.problem.clone(), next)
    }

    /// What is said of a data file that is gone, or replaced, where somebody may have it open: its bytes are there as long as
    /// he has, so that they come first.
    pub(super) fn still_open(&self, open: &StillOpen, found: Finding) -> Finding {
        let Finding { sentence, next_step, .. } = &found;
        if let [first, ..] = &*open.by {
            let gone = open.gone_since.and_then(|at| at.elapsed().ok());
            let gone = gone.map(|time| format!(", {}", since(None, time))).unwrap_or_default();
            let named = |path: &Path| shown(Path::new(path.file_name().unwrap_or_default()));
            let kept = match &open.saved {
                Some(saved) => {
                    let until = open.saved_at.map_or("now".to_owned(), |at| ago(at, SystemTime::now()));
                    format!("{} has what was appended until {until}", named(saved))
                }
                None => "its bytes are not lost yet".to_owned(),
            };
            let has_it = self.have_it(&open.by);
            let sentence = match found.id {
                // What happened, since when, and that nothing is lost come before the files' numbers.
                FindingId::DataReplaced if self.file.len > 0 => {
                    format!("the data file was replaced by another{gone}; {has_it}: {kept}; {sentence}")
                }
                _ => format!("{sentence}{gone}; {has_it}: {kept}"),
            };
            let (mends, what) = self.goes_on(found.id);
            // In one line: what was not saved is gone once it is mended.
            let next = match open.saved {
                Some(_) => format!("`{mends}` {what}"),
                None => format!("`{} && {mends}` saves them, and {what}", saves(first, &open.save_as)),
            };
            return Finding { sentence, next_step: next, pid: Some(first.pid), ..found };
        }
        let me = process::effective_user();
        let is_hidden = |w: &&WriterStatus| {
            open.is_unseen && w.alive == Ok(true) && w.seat.pid != Some(std::process::id())
        };
        match self.writers.iter().find(is_hidden) {
            Some(w) => {
                let (pid, command) = (w.seat.pid.unwrap_or(w.pid), &w.command);
                let sentence = format!(
                    "{sentence}, and writer {pid} ({command}) lives, whose files uid {me} may not see: its bytes may not be lost yet"
                );
                let look = self.command("status");
                let next = format!("as root: {look} tells what saves them first; then {next_step}");
                Finding { sentence, next_step: next, pid: w.seat.pid, ..found }
            }
            None if open.is_unseen => {
                let sentence =
                    format!("{sentence}; whether somebody has it open still, uid {me} could not see");
                Finding { sentence, ..found }
            }
            None => found,
        }
    }

    /// How a log goes on whose bytes are saved, and what that does.
    fn goes_on(&self, id: FindingId) -> (String, String) {
        let tool = |words: &str| format!("mmlogctl {words} {}", quoted(&self.path));
        let recreate = tool("repair --recreate");
        let goes_on = "goes on behind them in a new file; what is appended in between is lost";
        let is_written = self.writers.iter().any(|w| w.alive != Ok(false));
        match id {
            FindingId::DataReplaced if self.file.len > 0 && is_written => (
                format!("{} && {recreate}", moves_aside(&self.path)),
                format!(
                    "puts the other file aside, and {goes_on}; to keep that one as the log instead, only save them, stop all \
                     writers, and `{}`",
                    tool("repair --rebuild")
                ),
            ),
            FindingId::DataReplaced if self.file.len > 0 => {
                (tool("repair --rebuild"), "makes new metadata for the file that is there now".to_owned())
            }
            _ => (recreate, goes_on.to_owned()),
        }
    }

    /// What a program writes into that nobody opens any more.
    pub(super) fn former_log(&self) -> Option<Finding> {
        let open = self.former.as_ref()?;
        let first = open.by.first()?;
        let (they_append, they_need, them) = match open.by.len() {
            1 => ("it appends", "it needs", "it"),
            _ => ("they append", "they need", "them"),
        };
        let sentence = format!(
            "the log that was here before was removed{}, and {}: what {they_append} is in no log until {they_need} more space",
            lasts(open.gone_since),
            have_open(&open.by, "")
        );
        let next = format!("`{}` saves that; then restart {them}", saves(first, &open.save_as));
        Some(warning(FindingId::FormerLog, State::Warning, sentence, next).of(first.pid))
    }

    /// And since when he writes.
    fn have_it(&self, openers: &[Opener]) -> String {
        let since = match openers {
            [one] => self.writers.iter().find(|w| w.seat.pid == Some(one.pid)).and_then(|w| w.since),
            _ => None,
        };
        let since =
            since.and_then(|at| at.elapsed().ok()).map(|time| format!(", a writer for {},", lasting(time)));
        have_open(openers, &since.unwrap_or_default())
    }
}

/// For how long a file is not at its path.
pub(super) fn lasts(since_when: Option<SystemTime>) -> String {
    until_now(since_when).map_or_else(String::new, |time| format!(", {}", since(None, time)))
}

/// The same of a log whose metadata is not there.
fn lasts_at(log: &Path) -> String {
    let place = Place::new(log, METADATA_SUFFIX).ok();
    lasts(place.and_then(|place| gone_since(&place)))
}

/// Blocks that nothing was stored in need no space.
fn saves(opener: &Opener, to: &Path) -> String {
    format!("cp --sparse=always /proc/{}/fd/{} {}", opener.pid, opener.fd, quoted(to))
}

/// With its metadata, whose policy and holes only whoever has it open knows.
fn taken_away(log: &Path, files: &Removed) -> Finding {
    let path = quoted(log);
    // As where only the data file is gone: no program that is started now can append.
    let found = |first: &Opener, sentence, next| Finding {
        pid: Some(first.pid),
        ..critical(FindingId::Unreadable, State::Damaged, sentence, next)
    };
    if let Some(first) = files.data.first() {
        let sentence = format!(
            "the log was removed{}; {}: its bytes are not lost yet",
            lasts_at(log),
            have_open(&files.data, "")
        );
        let next = format!(
            "`{} && mmlogctl init {path}` saves them, and makes a new log, in which its programs go on once they need space or \
             are started anew; what they append in between is lost",
            saves(first, &files.save_as)
        );
        return found(first, sentence, next);
    }
    let first = &files.metadata[0];
    let sentence = format!(
        "the metadata was removed{}; {}: nothing is lost yet; nobody else can use the log, and {} cannot append either once the file has to grow or rotate",
        lasts_at(log),
        have_open(&files.metadata, ""),
        agree(files.metadata.len() as u64, "it", "they")
    );
    let next = format!(
        "`{}` saves the policy and the table of holes first; then end {} {}, and `mmlogctl repair --rebuild {path}` goes on \
         behind what was appended",
        saves(first, &metadata_at(log)),
        agree(files.metadata.len() as u64, "process", "processes"),
        listed(&files.metadata.iter().map(|opener| opener.pid.to_string()).collect::<Vec<_>>())
    );
    found(first, sentence, next)
}

/// No name of the two is that of a log; their program goes on, and nobody else can.
fn renamed_both(log: &Path, files: &Renamed) -> Finding {
    if !files.is_its {
        return perhaps_renamed(log, files);
    }
    let sentence = format!(
        "the log was moved: its data file is {} now, its metadata {}{}; {}: nothing is lost yet",
        shown(&files.data),
        shown(&files.metadata),
        lasts_at(log),
        have_open(&files.by, "")
    );
    let next = format!("`{}` puts both back", names_both(log, files));
    let found = critical(FindingId::Unreadable, State::Damaged, sentence, next);
    Finding { pid: files.by.first().map(|opener| opener.pid), ..found }
}

/// The only such files there; but nothing tells that a log ever had this name, which may be a slip of the fingers.
fn perhaps_renamed(log: &Path, files: &Renamed) -> Finding {
    let sentence = format!(
        "no such log; but {} and {} beside it are the data file and the metadata of a log, and {}",
        shown(&files.data),
        shown(&files.metadata),
        have_open(&files.by, "").trim_end_matches(" still")
    );
    let next =
        format!("if that was its name, `{}` puts both back; else correct the path", names_both(log, files));
    let found = critical(FindingId::Unreadable, State::Ok, sentence, next);
    Finding { pid: files.by.first().map(|opener| opener.pid), ..found }
}

/// Gives both files the names of that log.
fn names_both(log: &Path, files: &Renamed) -> String {
    format!(
        "mv -n {} {} && mv -n {} {}",
        quoted(&files.data),
        quoted(log),
        quoted(&files.metadata),
        quoted(&metadata_at(log))
    )
}

/// What becomes of a log whose metadata is not at its path, where it is somewhere else, or somebody has its files open still.
#[must_use]
pub fn explain_removed(log: &Path) -> Option<Finding> {
    match moved(log) {
        Some(fault) => Some(explain(&fault.at(log))),
        None => lost(log),
    }
}

/// Somebody has its files open, without their names or under others.
fn lost(log: &Path) -> Option<Finding> {
    let removed = removed(log).map(|files| taken_away(log, &files));
    removed.or_else(|| renamed(log).map(|files| renamed_both(log, &files)))
}

/// A log that cannot even be looked at, as a finding.
#[must_use]
pub fn explain(error: &Error) -> Finding {
    if let Fault::NoLog | Fault::NoMetadata { .. } = error.fault()
        && let Some(found) = lost(error.path())
    {
        return found;
    }
    let text = error.words();
    let (problem, next) =
        text.split_once("; ").unwrap_or((&text, "look at the path, and at who may read it"));
    let next = match error.fault() {
        Fault::Denied { rights, .. } => {
            format!("{}: `mmlogctl status {}`", rights.who(), quoted(error.path()))
        }
        _ => next.to_owned(),
    };
    let id = match error.fault() {
        Fault::NoData => FindingId::DataGone,
        Fault::Foreign { .. } | Fault::Emptied { .. } => FindingId::DataReplaced,
        Fault::Copied { .. } => FindingId::MetadataCopied,
        Fault::OtherMount { .. } => FindingId::OverlayView,
        Fault::Truncated { .. } => FindingId::DataTruncated,
        Fault::OwnersDiffer { .. } => FindingId::OwnersDiffer,
        Fault::OutOfRange { .. } => FindingId::Positions,
        _ => FindingId::Unreadable,
    };
    let state = match error.fault() {
        Fault::NotMetadata { .. } | Fault::Geometry { .. } => State::Damaged,
        other if other.class() == Class::Damaged => State::Damaged,
        _ => State::Ok,
    };
    let pid = match error.fault() {
        Fault::MetadataMoved { pid, .. } => *pid,
        _ => None,
    };
    let gone = match error.fault() {
        Fault::NoData | Fault::MetadataMoved { .. } => lasts_at(error.path()),
        _ => String::new(),
    };
    Finding { pid, ..critical(id, state, problem.to_owned() + &gone, next) }
}
