//! Whether this process may delete what the policy lets go: the metadata is the word of whoever may write it.
//!
//! By the policy a process deletes only where whoever may write the metadata could delete there himself. (Not: wherever
//! this process may. Who may append to a log of root's could store `keep` = 0, and root's next append would remove the
//! history from a directory that he may not write to.)

use crate::error::Fault;
use crate::files::{Files, Trust};
use crate::sys::place::Found;
use crate::sys::process;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Who may write the metadata, and may not delete there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distrust {
    /// Its owner.
    Owner,
    /// Its group.
    Group,
    /// Everybody.
    Others,
    /// Both of these.
    GroupAndOthers,
    /// Whom its access list names.
    List,
}

/// Owner, group and mode of a file or directory.
#[derive(Clone, Copy, Debug)]
struct Rights {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Rights {
    fn of(found: &Found) -> Self {
        Self { uid: found.uid, gid: found.gid, mode: found.mode }
    }
}

/// Whether who may write the metadata may delete in the directory, as the process of user `me` sees it.
fn distrust(metadata: Rights, has_list: bool, directory: Rights, me: u32) -> Option<Distrust> {
    let writes = |bit| metadata.mode & bit != 0;
    let is_free = |bit| directory.mode & bit != 0 && directory.mode & STICKY == 0;
    let group_may = is_free(OTHERS_WRITE) || is_free(GROUP_WRITES) && directory.gid == metadata.gid;
    match () {
        () if has_list => Some(Distrust::List),
        () if ![0, me, directory.uid].contains(&metadata.uid) => Some(Distrust::Owner),
        () => match (writes(GROUP_WRITES) && !group_may, writes(OTHERS_WRITE) && !is_free(OTHERS_WRITE)) {
            (true, true) => Some(Distrust::GroupAndOthers),
            (true, false) => Some(Distrust::Group),
            (false, true) => Some(Distrust::Others),
            (false, false) => None,
        },
    }
}

/// Why the process of that user may not delete by the policy, if it may not: asked of the log's directory, and of that of old
/// segments.
pub(crate) fn why_not(files: &Files, me: u32) -> Result<Option<Distrust>, Fault> {
    if files.config.trust == Trust::AnyPath {
        return Ok(None);
    }
    let look = || Fault::io("stat the directory of the log's segments");
    let metadata = Rights::of(&files.metadata_found()?);
    let has_list = files.metadata_has_list()?;
    let mut directories = vec![files.place.directory().map_err(look())?];
    if let Some(old) = files.old_directory()? {
        directories.push(old.place().directory().map_err(look())?);
    }
    Ok(directories.iter().find_map(|there| distrust(metadata, has_list, Rights::of(there), me)))
}

/// Whether this process may.
pub(super) fn may_delete(files: &Files) -> bool {
    matches!(why_not(files, process::effective_user()), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: u32 = 1000;
    const BOB: u32 = 1001;

    fn of(uid: u32, gid: u32, mode: u32) -> Rights {
        Rights { uid, gid, mode }
    }

    fn asked(metadata: Rights, directory: Rights, me: u32) -> Option<Distrust> {
        distrust(metadata, false, directory, me)
    }

    #[test]
    fn an_owner_who_could_delete_there_himself_is_trusted_by_everybody() {
        let hers = of(ALICE, ALICE, 0o644);
        assert_eq!(asked(hers, of(ALICE, ALICE, 0o755), 0), None);
        assert_eq!(asked(hers, of(0, 0, 0o755), 0), Some(Distrust::Owner), "root would delete for her");
        assert_eq!(asked(hers, of(0, 0, 0o755), BOB), Some(Distrust::Owner));
        assert_eq!(asked(hers, of(0, 0, 0o755), ALICE), None, "she deletes as far as the kernel lets her");
        assert_eq!(asked(of(0, 0, 0o644), of(BOB, BOB, 0o755), BOB), None);
    }

    #[test]
    fn a_group_or_everybody_needs_a_directory_that_they_may_write_without_a_sticky_bit() {
        let group = of(0, 50, 0o664);
        assert_eq!(asked(group, of(0, 0, 0o755), 0), Some(Distrust::Group));
        assert_eq!(asked(group, of(0, 50, 0o775), 0), None);
        assert_eq!(asked(group, of(0, 51, 0o775), 0), Some(Distrust::Group), "another group");
        assert_eq!(asked(group, of(0, 50, 0o1775), 0), Some(Distrust::Group));
        let all = of(0, 50, 0o666);
        assert_eq!(asked(all, of(0, 50, 0o775), 0), Some(Distrust::Others));
        assert_eq!(asked(all, of(0, 0, 0o777), 0), None);
        assert_eq!(asked(all, of(0, 0, 0o1777), 0), Some(Distrust::GroupAndOthers), "as in /tmp");
        assert_eq!(asked(of(0, 0, 0o646), of(0, 0, 0o1777), 0), Some(Distrust::Others));
    }

    #[test]
    fn a_list_of_rights_is_not_gone_into() {
        let (root, directory) = (of(0, 0, 0o644), of(0, 0, 0o755));
        assert_eq!(distrust(root, true, directory, 0), Some(Distrust::List));
    }
}
