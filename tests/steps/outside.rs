//! What somebody who is no writer does to a log, as a look may find it.

use mmlog::{Damage, FindingId, Opener, OutsideBytes, StillOpen, Stray};

use super::found::With;

/// By nobody who can be seen, by one, by two; with bytes behind the log or not yet, and those saved or not.
pub(super) fn live(with: With<'_>) {
    let opener = |pid| Opener { pid, command: "it's `a` script".to_owned(), fd: 1 };
    for strangers in [vec![], vec![opener(4312)], vec![opener(4312), opener(4313)]] {
        for (beside, saved) in [(0, false), (9, false), (9, true)] {
            with(&|s| {
                s.outside = OutsideBytes { beside, saved, ..s.outside };
                s.strangers.clone_from(&strangers);
            });
        }
    }
}

/// Another name, or a copy, of metadata that is the log's.
pub(super) fn strays(with: With<'_>) {
    for of in [Stray::Renamed, Stray::SecondName, Stray::Copy] {
        with(&|s| {
            s.metadata_path = s.path.with_file_name("other's.mmlog");
            let metadata_of = Some(of(s.path.clone()));
            let damage = Damage::new(FindingId::MetadataCopied, "it is not as it was".to_owned());
            s.damage = vec![Damage { metadata_of, ..damage }];
        });
    }
}

/// Programs that write to a log which is no more at its path.
pub(super) fn former(with: With<'_>) {
    let opener = Opener { pid: 4312, command: "web 'x'".to_owned(), fd: 9 };
    for by in [vec![opener.clone()], vec![opener.clone(), opener]] {
        with(&|s| {
            let save_as = s.path.with_file_name("app's.saved");
            s.former = Some(StillOpen { by: by.clone(), save_as, ..StillOpen::default() });
        });
    }
}
