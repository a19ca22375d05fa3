//! What is asked once for many logs that are looked at within a moment: what a directory holds, and which files
//! processes have open. A thousand logs in one directory would else have it read a thousand times.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Stat, fstat};

use super::holders::{Link, links};

/// A directory that was changed so shortly before it was read may have been changed once more within a tick of the clock
/// that its file system tells time by.
const SETTLED: Duration = Duration::from_millis(100);
/// How long it is believed which files processes have open.
const BELIEVED: Duration = Duration::from_secs(3);

/// Shared by logs that are looked at together, by [`Options::together`](crate::Options::together): what a directory holds is
/// read once for all of them, as long as it does not change, and processes are asked once. It pays for whoever looks at
/// hundreds.
#[derive(Clone, Default)]
pub struct Together(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    directories: HashMap<(u64, u64), Directory>,
    links: Option<(Instant, Arc<[Link]>)>,
}

struct Directory {
    changed: SystemTime,
    /// Sorted.
    names: Arc<[OsString]>,
}

impl fmt::Debug for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Together")
    }
}

impl Together {
    /// The names in a directory, sorted: those that were read before, where it did not change since.
    pub(crate) fn names(
        &self,
        directory: impl AsFd,
        read: impl FnOnce() -> io::Result<Vec<OsString>>,
    ) -> io::Result<Arc<[OsString]>> {
        let stat = fstat(&directory)?;
        #[expect(clippy::useless_conversion, reason = "of other types on some machines")]
        let id = (u64::from(stat.st_dev), u64::from(stat.st_ino));
        let changed = changed(&stat);
        let mut known = self.known();
        if let Some(before) = known.directories.get(&id).filter(|before| before.changed == changed) {
            return Ok(Arc::clone(&before.names));
        }
        let is_settled = SystemTime::now().duration_since(changed).is_ok_and(|since| since > SETTLED);
        let mut names = read()?;
        names.sort_unstable();
        let names: Arc<[OsString]> = names.into();
        if is_settled {
            known.directories.insert(id, Directory { changed, names: Arc::clone(&names) });
        }
        Ok(names)
    }

    /// The files that processes have open.
    pub(crate) fn links(&self) -> Arc<[Link]> {
        let mut known = self.known();
        let before = known.links.take().filter(|(at, _)| at.elapsed() < BELIEVED);
        let (_, all) = known.links.insert(before.unwrap_or_else(|| (Instant::now(), links().into())));
        Arc::clone(all)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn changed(stat: &Stat) -> SystemTime {
    let (seconds, ns) = (stat.st_ctime.unsigned_abs(), u32::try_from(stat.st_ctime_nsec).unwrap_or(0));
    SystemTime::UNIX_EPOCH + Duration::new(seconds, ns)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::File;

    use super::*;

    fn settle(directory: &File) -> io::Result<()> {
        let stat = fstat(directory)?;
        let until = changed(&stat) + SETTLED + Duration::from_millis(1);
        while SystemTime::now() < until {
            std::thread::yield_now();
        }
        Ok(())
    }

    #[test]
    fn a_directory_is_read_once_until_it_changes() -> io::Result<()> {
        let scratch = tempfile::tempdir()?;
        let directory = File::open(scratch.path())?;
        let (together, reads) = (Together::default(), Cell::new(0));
        let names = || {
            together.names(&directory, || {
                reads.set(reads.get() + 1);
                std::fs::read_dir(scratch.path())?.map(|entry| Ok(entry?.file_name())).collect()
            })
        };
        // Just made: it may change again without a sign.
        assert_eq!((names()?.len(), names()?.len(), reads.get()), (0, 0, 2));
        settle(&directory)?;
        assert_eq!((names()?.len(), names()?.len(), reads.get()), (0, 0, 3));
        File::create(scratch.path().join("one"))?;
        assert_eq!((names()?.len(), reads.get()), (1, 4));
        settle(&directory)?;
        assert_eq!((names()?.len(), names()?.len(), reads.get()), (1, 1, 5));
        Ok(())
    }
}
