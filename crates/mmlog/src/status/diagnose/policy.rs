//! The words about a policy that is not carried out.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use nix::libc;

use super::{info, warning};
use crate::carry_out::trust::Distrust;
use crate::error::{quoted, quoted_directory, reason, set_aside, shown};
use crate::metadata::overdue::Undone;
use crate::policy::PolicyState;
use crate::status::{Finding, FindingId, PolicyUndone, Rights, State, Status};
use crate::sys::fs;
use crate::units::{ago, counted, lasting, size};

/// For so long a writer that does not finish its append is nothing but that.
const OVERSHOOT: Duration = Duration::from_secs(1);

/// It failed for want of space on the file system, or of an inode, which is everybody's.
pub(super) const fn is_for_space(undone: &PolicyUndone) -> bool {
    undone.of_log && undone.errno == libc::ENOSPC
}

impl Status {
    /// The segment is longer, or older, than it may be, and it was tried to rotate it.
    pub(super) fn rotation_overdue(&self) -> Option<Finding> {
        let policy = &self.policy;
        let is_due = policy.rotates_in == Some(0) || policy.rotates_after == Some(Duration::ZERO);
        let of_rotation = |u: &&PolicyUndone| u.what != Some(Undone::Pruning);
        // What concerns everybody before what one process may not.
        let undone = policy.undone.iter().filter(of_rotation).max_by_key(|u| u.of_log)?;
        let for_long = undone.since.and_then(|since| since.elapsed().ok()).unwrap_or_default();
        if !is_due || undone.what == Some(Undone::InFlight) && for_long < OVERSHOOT {
            return None;
        }
        let rotate = self.command("rotate");
        let used = size(self.cursor.saturating_sub(self.base));
        if !self.is_in_the_way(undone) {
            let (pid, command) = (undone.pid, &undone.command);
            let was = match is_for_space(undone) {
                true => "there was no space for the next segment, and there is now".to_owned(),
                false => format!("process {pid} ({command}) was in the way, and is no more"),
            };
            let sentence =
                format!("rotation overdue for {}: {was}; the segment has {used}", lasting(for_long));
            let next = format!("{rotate} does it now; else whoever appends does, within a minute");
            return Some(info(FindingId::RotationOverdue, sentence, next));
        }
        let who = format!("process {} ({}, uid {})", undone.pid, undone.command, undone.uid);
        let other = format!("process {} ({})", undone.pid, undone.command);
        let errno = reason(&io::Error::from_raw_os_error(undone.errno));
        let (why, next) = match undone.what {
            Some(Undone::InFlight) => (
                format!("an append of {other} does not end"),
                format!("{rotate} names it, and what lets it go on; it is made up for then"),
            ),
            Some(Undone::Busy) => (
                format!("{other} is at work on the log, and does not end"),
                format!("{rotate} names it, and what lets it go on; it is made up for then"),
            ),
            Some(Undone::NameTaken) => (
                "another file has the name that the segment is to get".to_owned(),
                format!("{rotate} names it; move it away"),
            ),
            Some(Undone::LeftToOthers) => (
                format!(
                    "{who} leaves it to others, as it was told (MMLOG_NO_POLICY), and nobody else appends"
                ),
                format!("{rotate} does it now; {} from now on", self.by_timer()),
            ),
            _ if undone.of_log && undone.errno == libc::EEXIST => {
                let next = self.next_file();
                (
                    format!(
                        "something that is not the log's is at {}, where the next file is to be made",
                        shown(&next)
                    ),
                    format!("{}; the log does it by itself then", set_aside(&next)),
                )
            }
            _ if undone.of_log
                && matches!(undone.errno, 0 | libc::ENOSPC)
                && self.inodes_left() < fs::INODES =>
            {
                (
                    match self.inodes_left() {
                        0 => "no inode is left to make the next segment with".to_owned(),
                        left => {
                            format!("{left} inode is left, and the next segment needs {} here", fs::INODES)
                        }
                    },
                    format!(
                        "`df -i {}` tells; remove files that nobody needs, and the log does it by itself then",
                        self.directory()
                    ),
                )
            }
            _ if undone.of_log => (
                match undone.errno {
                    0 => "the next segment could not be made".to_owned(),
                    _ => format!("the next segment could not be made: {errno}"),
                },
                format!("{rotate} says what is in the way; the log does it by itself once it can"),
            ),
            _ => self.cannot_make(undone, &who),
        };
        let sentence = format!("rotation overdue for {}: {why}; the segment has {used}", lasting(for_long));
        Some(warning(FindingId::RotationOverdue, State::Ok, sentence, next))
    }

    /// Whether who was in the way, or what, is so still.
    fn is_in_the_way(&self, undone: &PolicyUndone) -> bool {
        let mut locks = [&self.lock, &self.maintenance].into_iter();
        match undone.what {
            Some(Undone::InFlight) => {
                self.writers.iter().any(|w| w.pid == undone.pid && w.in_flight.is_some())
            }
            Some(Undone::Busy) => locks.any(|l| l.held != Ok(false) && (l.pid == undone.pid || l.pid == 0)),
            _ if is_for_space(undone) => {
                let page = u64::from(self.page_size);
                !self.file.free.as_ref().is_ok_and(|free| *free >= page) || self.inodes_left() < fs::INODES
            }
            _ => true,
        }
    }

    /// One process lacks the rights, or the means: what keeps it from making the next file, and what helps for good.
    fn cannot_make(&self, undone: &PolicyUndone, who: &str) -> (String, String) {
        let (directory, log) = (self.directory(), self.file.rights());
        let errno = io::Error::from_raw_os_error(undone.errno);
        let of_directory = self.file.directory.map_or(String::new(), |rights| format!(" ({rights})"));
        let is_of_rights = matches!(undone.errno, libc::EACCES | libc::EPERM | libc::EROFS);
        let why = match is_of_rights {
            true => {
                format!(
                    "{who} cannot make a file like the log's ({log}) in {directory}{of_directory}: {errno}"
                )
            }
            false => {
                format!("{who} cannot make {}, the next segment's file: {errno}", shown(&self.next_file()))
            }
        };
        // The owner, where the directory lets him.
        let may =
            |rights: Rights| rights.mode & 0o002 != 0 || rights.uid == log.uid && rights.mode & 0o200 != 0;
        let owner = match self.file.directory {
            Some(rights) if log.uid != 0 && may(rights) => format!(" or as uid {}", log.uid),
            _ => String::new(),
        };
        let now = format!("{}, as root{owner}, does it now", self.command("rotate"));
        let timer = self.by_timer();
        let next = match (undone.errno, self.file.directory) {
            (libc::EACCES, Some(rights)) if undone.uid == log.uid => {
                let lets = match (rights.uid == log.uid, rights.gid == log.gid && rights.mode & 0o020 == 0) {
                    (true, _) => format!("`chmod u+w {directory}`"),
                    (_, true) => format!("`chmod g+w {directory}`"),
                    _ => format!("`chown {} {directory}`", log.uid),
                };
                format!("{now}; for good, if the directory is this program's alone, {lets}, else {timer}")
            }
            (libc::EACCES | libc::EPERM, _) => format!("{now}; for good {timer}"),
            (libc::EMFILE, _) => format!(
                "{now}; `prlimit --nofile --pid {}` shows how many files it may have open, and it does it by itself once it has fewer, else {timer}",
                undone.pid
            ),
            _ => format!("{now}; the program does it by itself once it can, else {timer}"),
        };
        (why, next)
    }

    /// Where the next segment's file is made.
    fn next_file(&self) -> PathBuf {
        let mut next = self.metadata_path.clone().into_os_string();
        next.push("-next");
        next.into()
    }

    /// Root does it every few minutes, whoever appends.
    fn by_timer(&self) -> String {
        let log = quoted(&self.path);
        let path = if self.path.is_absolute() { log.clone() } else { format!("\"$(realpath {log})\"") };
        format!(
            "`systemctl enable --now \"mmlogctl-rotate@$(systemd-escape --path {path}).timer\"`, or cron with `mmlogctl rotate --if-due {log}`, does it as root"
        )
    }

    /// Segments should have gone, and it was tried to remove them: the log grows.
    pub(super) fn pruning_overdue(&self) -> Option<Finding> {
        let policy = &self.policy;
        let of_pruning = |u: &&PolicyUndone| u.what == Some(Undone::Pruning);
        let undone = policy.undone.iter().filter(of_pruning).max_by_key(|u| u.of_log)?;
        let oldest = self.segments.first().filter(|_| policy.prunes > 0)?;
        let for_long = undone.since.and_then(|since| since.elapsed().ok()).unwrap_or_default();
        let directory = quoted_directory(&oldest.path);
        let who = format!("process {} ({}, uid {})", undone.pid, undone.command, undone.uid);
        let why = match undone.errno {
            0 => String::new(),
            errno => format!(": {}", io::Error::from_raw_os_error(errno)),
        };
        let sentence = format!(
            "pruning overdue for {}: {who} cannot remove {} from {directory}{why}; the log grows",
            lasting(for_long),
            counted(policy.prunes, "old segment"),
        );
        let now = format!(
            "{}, as root, removes them now, or says what is in the way",
            self.command("prune --policy")
        );
        let next = match undone.errno {
            libc::EPERM if undone.uid == 0 => {
                format!("{now}; lsattr shows whether an attribute is")
            }
            libc::EACCES | libc::EPERM => format!(
                "{now}; for good, let uid {} remove files there (`ls -ld {directory}`), or have cron do that as root",
                undone.uid
            ),
            _ => format!("{now}; the log does it by itself once it can"),
        };
        Some(warning(FindingId::PruningOverdue, State::Ok, sentence, next))
    }

    /// Nothing goes, since who could have set the policy could not delete there himself.
    pub(super) fn policy_not_trusted(&self) -> Option<Finding> {
        let (metadata, directory) = (quoted(&self.metadata_path), self.directory());
        let (who, change) = match self.policy.distrust? {
            Distrust::Group => ("its group", format!("`chmod g-w {metadata}`")),
            Distrust::Others => ("everybody", format!("`chmod o-w {metadata}`")),
            Distrust::GroupAndOthers => ("its group and everybody", format!("`chmod go-w {metadata}`")),
            Distrust::List => ("whom its access list names", format!("`setfacl -b {metadata}`")),
            Distrust::Owner => ("its owner", format!("`ls -ld {directory} {metadata}`")),
        };
        let next = format!(
            "{change} if they need not append; else let them write to {directory} as well, without a sticky bit; {} removes what may go now",
            self.command("prune --policy")
        );
        let sentence = format!(
            "no old segment is removed by the policy: {who} may write the metadata, and so set it, and may not delete in {directory}"
        );
        Some(warning(FindingId::PolicyNotTrusted, State::Ok, sentence, next))
    }

    /// What is there is no policy: a scribbler's, or what a power cut left of one.
    pub(super) fn policy_damaged(&self) -> Option<Finding> {
        if self.policy.state != PolicyState::Damaged {
            return None;
        }
        let sentence = "the log's policy is damaged: no old segment is removed by it".to_owned();
        let next = format!(
            "{} says that there is none; with --set RULE=VALUE for each rule, it sets one anew",
            self.command("policy --clear")
        );
        Some(warning(FindingId::PolicyDamaged, State::Ok, sentence, next))
    }

    /// Segments went, and their space is not free.
    pub(super) fn free_space_not_freed(&self) -> Option<Finding> {
        let since = self.policy.unfreed_since?;
        let unknown = || "something else takes it, or has the segments open".to_owned();
        let why = self.who_has_removed().unwrap_or_else(unknown);
        let sentence = format!(
            "removing the oldest segments makes no space, first {}: {why}; the next one goes in an hour at the latest",
            ago(since, SystemTime::now())
        );
        let next = format!(
            "`df -h {}` shows the file system: find what takes its space, or end who has removed segments open",
            self.directory()
        );
        Some(info(FindingId::FreeSpaceNotFreed, sentence, next))
    }
}
