//! The file that a consumer's place is kept in: who has it, what it holds, writing it whatever the disk does.
//!
//! - It is locked (flock(2)) for as long as it is used: two processes that keep one place lose or double.
//! - One line `UUID EPOCH POSITION LOG`, replaced by rename: a reader finds the old place or the new one. `LOG` is the
//!   path of the log, by which a log that was made anew is told from another one.
//! - Where a rename is not to be had (no space, a mount of its own, a directory that may not be written, a file of
//!   another user) it is written in place: the line twice, each with a sum, so that of a torn write one is left.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::cursor_file::{CursorFile, Lasting, Place};
use crate::exit::{Exit, Failure, printable};
use crate::replace::replace;

/// No cursor-file is longer, bytes.
const LONGEST: u64 = 64 << 10;
/// Lines that are written in place have a multiple of this, bytes, so that one seldom changes its length.
const UNIT: usize = 64;

/// The file, open and locked.
#[derive(Debug)]
pub struct PlaceFile {
    named: CursorFile,
    file: File,
    /// Where it is, links followed; nothing where it can only be written in place.
    path: Option<PathBuf>,
    /// The word for the log.
    log: String,
}

/// What a cursor-file held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// The place.
    pub place: Place,
    /// Whether it was kept for the log at this path.
    pub same_path: bool,
}

impl PlaceFile {
    /// Opens the file, made if it is missing, for the log at `log`.
    ///
    /// # Errors
    /// When it cannot be written, or another process has it: then who.
    pub fn open(named: &CursorFile, log: &Path) -> Result<Self, Failure> {
        let failed = |e: io::Error| Failure::io(named.path(), "writing the cursor-file", &e);
        loop {
            let mut options = OpenOptions::new();
            let opened = options.read(true).write(true).create(true).truncate(false).open(named.path());
            let file = opened.map_err(failed)?;
            let stat = file.metadata().map_err(failed)?;
            if !stat.is_file() {
                return Err(named.refuse("not a regular file; name another file"));
            }
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    let problem =
                        format!("{} has this cursor-file; stop it, or use another one", holder(&stat));
                    return Err(named.refuse_with(Exit::Busy, &problem));
                }
                // A file system without locks.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            // Replaced between our open and our lock.
            match fs::metadata(named.path()) {
                Ok(now) if is_same(&now, &stat) => {}
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
                Ok(_) | Err(_) => continue,
            }
            let path = real_path(named.path(), &file, &stat);
            return Ok(Self { named: named.clone(), file, path, log: word(log) });
        }
    }

    /// The place it holds; nothing when it is empty.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub fn load(&self) -> Result<Option<Kept>, Failure> {
        let mut text = String::new();
        let read = (&self.file).take(LONGEST).read_to_string(&mut text);
        if let Err(e) = read.as_ref()
            && e.kind() != io::ErrorKind::InvalidData
        {
            return Err(Failure::io(self.named.path(), "reading the cursor-file", e));
        }
        if read.is_ok_and(|len| len == 0) {
            return Ok(None);
        }
        match text.lines().find_map(|line| self.parse(line)) {
            Some(kept) => Ok(Some(kept)),
            None => Err(self.named.refuse(
                "not a cursor-file (UUID EPOCH POSITION LOG), or torn by a power cut; name another file, or empty this one to start anew",
            )),
        }
    }

    fn parse(&self, line: &str) -> Option<Kept> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let [front @ .., said] = words.as_slice()
            && front.len() == 4
            && *said != sum(&front.join(" "))
        {
            return None;
        }
        let place = Place::parse(&words.get(..3)?.join(" ")).filter(|_| words.len() <= 5)?;
        Some(Kept { place, same_path: words.get(3).is_some_and(|path| *path == self.log) })
    }

    /// Keeps another place.
    ///
    /// # Errors
    /// When it cannot be written, either way.
    pub fn save(&mut self, place: &Place) -> io::Result<()> {
        let line = format!("{} {}", place.line().trim_end(), self.log);
        let Some(path) = &self.path else { return self.write_in_place(&line) };
        match self.replace(path, &line) {
            Ok(file) => {
                self.file = file;
                Ok(())
            }
            Err(e) => {
                if matches!(e.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::PermissionDenied) {
                    self.path = None;
                }
                self.write_in_place(&line)
            }
        }
    }

    fn is_durable(&self) -> bool {
        self.named.lasting() == Lasting::Durable
    }

    /// The new file, locked before anybody can see it.
    fn replace(&self, path: &Path, line: &str) -> io::Result<File> {
        let mode = self.file.metadata()?.permissions();
        let mut new = None;
        replace(path, format!("{line}\n").as_bytes(), |file| {
            file.set_permissions(mode)?;
            if self.is_durable() {
                file.sync_all()?;
            }
            let _ = file.try_lock();
            new = Some(file.try_clone()?);
            Ok(())
        })?;
        if self.is_durable() {
            File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        }
        new.ok_or_else(|| io::ErrorKind::Other.into())
    }

    fn write_in_place(&self, line: &str) -> io::Result<()> {
        let line = format!("{line} {}", sum(line));
        let width = (line.len() + 1).next_multiple_of(UNIT) - 1;
        let twice = format!("{line:width$}\n{line:width$}\n");
        self.file.write_all_at(twice.as_bytes(), 0)?;
        if self.file.metadata()?.len() != twice.len() as u64 {
            self.file.set_len(twice.len() as u64)?;
        }
        if self.is_durable() { self.file.sync_data() } else { Ok(()) }
    }
}

fn is_same(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Where a rename puts a new file in the place of this one: the kernel has followed the links, and refused those that
/// are not to be followed. Nothing where that is not known, or would change the owner.
fn real_path(named: &Path, file: &File, stat: &fs::Metadata) -> Option<PathBuf> {
    let is_link = fs::symlink_metadata(named).is_ok_and(|found| found.is_symlink());
    let path = match is_link {
        true => fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?,
        false => std::path::absolute(named).ok()?,
    };
    let is_there = fs::symlink_metadata(&path).is_ok_and(|found| is_same(&found, stat));
    let is_ours = stat.uid() == rustix::process::geteuid().as_raw() && stat.nlink() == 1;
    (is_there && is_ours).then_some(path)
}

/// Who has the lock, for people.
fn holder(stat: &fs::Metadata) -> String {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let inode = format!(":{}", stat.ino());
    let has = |line: &&str| line.contains(" FLOCK ") && line.split(' ').any(|word| word.ends_with(&inode));
    let pid = locks.lines().find(has).and_then(|line| {
        line.split_ascii_whitespace().find_map(|word| word.parse::<u32>().ok().filter(|pid| *pid > 0))
    });
    let Some(pid) = pid else { return "another process".to_owned() };
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("process {pid} ({})", printable(command.trim_end()))
}

/// The path of a log as one word: where it is, not how it was typed.
fn word(log: &Path) -> String {
    let parent = log.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = parent.canonicalize().or_else(|_| std::path::absolute(parent));
    let path = match (directory, log.file_name()) {
        (Ok(directory), Some(name)) => directory.join(name),
        _ => log.to_owned(),
    };
    let mut word = String::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => word.push(char::from(byte)),
            _ => word.push_str(&format!("%{byte:02X}")),
        }
    }
    word
}

/// FNV-1a: tells a line that was written whole from one that was not.
fn sum(line: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", line.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use mmlog::{LogId, Position};

    use super::*;

    fn place(position: u64) -> Place {
        Place { id: LogId { uuid: [7; 16], epoch: 2 }, position: Position::new(position) }
    }

    fn opened(path: &Path, lasting: Lasting) -> PlaceFile {
        match PlaceFile::open(&CursorFile::new(path.to_owned(), lasting), Path::new("/var/log/a b.log")) {
            Ok(file) => file,
            Err(e) => unreachable!("{e:?}"),
        }
    }

    fn loaded(file: &PlaceFile) -> Option<u64> {
        file.load().ok()?.filter(|kept| kept.same_path).map(|kept| kept.place.position.get())
    }

    #[test]
    fn a_place_survives_the_file_either_way() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("place");
        for lasting in [Lasting::Unsynced, Lasting::Durable] {
            for in_place in [false, true, false] {
                let mut file = opened(&path, lasting);
                if in_place {
                    file.path = None;
                }
                for position in [5, 99_999] {
                    file.save(&place(position))?;
                    assert!(fs::read_to_string(&path)?.starts_with(place(position).line().trim_end()));
                }
                drop(file);
                assert_eq!(loaded(&opened(&path, lasting)), Some(99_999));
            }
        }
        assert_eq!(fs::read_dir(directory.path())?.count(), 1, "the temporary file is gone");
        Ok(())
    }

    #[test]
    fn a_torn_write_leaves_the_other_line_or_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("place");
        let mut file = opened(&path, Lasting::Unsynced);
        file.path = None;
        file.save(&place(1000))?;
        let before = fs::read(&path)?;
        file.save(&place(2333))?;
        let after = fs::read(&path)?;
        for torn in 0..=after.len() {
            fs::write(&path, [&after[..torn], &before[torn..]].concat())?;
            let found = loaded(&opened_again(&mut file, &path));
            assert!(matches!(found, Some(1000 | 2333)), "{torn}: {found:?}");
        }
        for junk in [&b"some notes\n"[..], &[0; 60], b"\xff\n", &before[..70]] {
            fs::write(&path, junk)?;
            assert!(opened_again(&mut file, &path).load().is_err(), "{junk:?}");
        }
        fs::write(&path, "")?;
        assert!(matches!(opened_again(&mut file, &path).load(), Ok(None)));
        fs::write(&path, place(7).line())?;
        let old = opened_again(&mut file, &path).load();
        assert!(old.is_ok_and(|kept| kept == Some(Kept { place: place(7), same_path: false })));
        Ok(())
    }

    /// Without the lock of the one before.
    fn opened_again(file: &mut PlaceFile, path: &Path) -> PlaceFile {
        let _ = file.file.unlock();
        opened(path, Lasting::Unsynced)
    }

    #[test]
    fn the_second_one_is_told_who_has_it() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("place");
        let mut first = opened(&path, Lasting::Unsynced);
        for _ in 0..2 {
            let second = PlaceFile::open(&CursorFile::new(path.clone(), Lasting::Unsynced), Path::new("a"));
            let Err(Failure::Said { exit: Exit::Busy, text }) = second else { unreachable!("{second:?}") };
            assert!(text.contains(&format!("process {} (", std::process::id())), "{text}");
            // The lock goes with the file that takes its place.
            first.save(&place(1))?;
        }
        Ok(())
    }
}
