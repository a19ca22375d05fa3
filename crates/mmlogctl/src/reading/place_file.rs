//! The file that a consumer's place is kept in: who has it, what it holds, writing it whatever the disk does.
//!
//! - It is locked (flock(2)) for as long as it is used: two processes that keep one place lose or double.
//! - One line `UUID EPOCH POSITION LOG`, replaced by rename: a reader finds the old place or the new one. `LOG` is the
//!   path of the log, by which a log that was made anew is told from another one.
//! - Where a rename is not to be had (no space, a mount of its own, a directory that may not be written, a file of
//!   another user) it is written in place: the line twice, each with a sum, so that of a torn write one is left.
//! - A place is saved only in what has the file's name: one whose directory somebody removed or moved is not written to.
//! - Where it can only be read (a disk that was mounted read-only) it is read, and each save tries again.
//! - Links are followed that are this user's or root's: those of others may lead anywhere.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::cursor_file::{CursorFile, Lasting, Place};
use crate::exit::{Exit, Failure, printable, shown};
use crate::replace::replace;

/// No cursor-file is longer, bytes.
const LONGEST: u64 = 64 << 10;
/// Lines that are written in place have a multiple of this, bytes, so that one seldom changes its length.
const UNIT: usize = 64;

/// So many links may lead from one to the next, as for the kernel.
const MOST_LINKS: usize = 40;

/// The file, open and locked.
#[derive(Debug)]
pub struct PlaceFile {
    named: CursorFile,
    file: File,
    /// Whether `file` is open for writing.
    is_writable: bool,
    /// Where it is, links followed.
    path: PathBuf,
    /// Whether another one can take its place.
    is_replaced: bool,
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
    /// When it cannot be made, or not even be read, or another process has it: then who.
    pub fn open(named: &CursorFile, log: &Path) -> Result<Self, Failure> {
        let failed = |e: io::Error| Failure::io(named.path(), "writing the cursor-file", &e);
        let mut swapped = 0;
        loop {
            let path = followed(named)?;
            let (file, is_writable) = match open(&path) {
                // A link came there meanwhile.
                Err(e) if e.raw_os_error() == Some(Errno::LOOP.raw_os_error()) && swapped < MOST_LINKS => {
                    swapped += 1;
                    continue;
                }
                opened => opened.map_err(failed)?,
            };
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
            match fs::symlink_metadata(&path) {
                Ok(now) if is_same(&now, &stat) => {}
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
                Ok(_) | Err(_) => continue,
            }
            // Else the owner would be another one, or another name keep the old place.
            let is_replaced = stat.uid() == geteuid().as_raw() && stat.nlink() == 1;
            return Ok(Self { named: named.clone(), file, is_writable, path, is_replaced, log: word(log) });
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
        // What has the name now has nothing that is to be kept, if it is not this file.
        if !self.is_replaced && self.has_the_name() {
            return self.write_in_place(&line);
        }
        let e = match self.replace(&line) {
            Ok(directory) => return directory.map_or(Ok(()), |directory| directory.sync_all()),
            Err(e) if !self.has_the_name() => return Err(e),
            Err(e) => e,
        };
        if matches!(e.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::PermissionDenied) {
            self.is_replaced = false;
        }
        self.write_in_place(&line)
    }

    /// Whether who looks for the file finds this one.
    fn has_the_name(&self) -> bool {
        let (named, open) = (fs::symlink_metadata(&self.path), self.file.metadata());
        matches!((named, open), (Ok(named), Ok(open)) if is_same(&named, &open))
    }

    fn is_durable(&self) -> bool {
        self.named.lasting() == Lasting::Durable
    }

    /// Puts a new file there, locked before anybody can see it; the directory, if that is to be synced.
    fn replace(&mut self, line: &str) -> io::Result<Option<File>> {
        let mode = self.file.metadata()?.permissions();
        // First, since afterwards there is no way back.
        let directory = match self.is_durable() {
            true => Some(File::open(self.path.parent().unwrap_or(Path::new("/")))?),
            false => None,
        };
        let mut new = None;
        replace(&self.path, format!("{line}\n").as_bytes(), |file| {
            file.set_permissions(mode)?;
            if directory.is_some() {
                file.sync_all()?;
            }
            let _ = file.try_lock();
            new = Some(file.try_clone()?);
            Ok(())
        })?;
        if let Some(file) = new {
            (self.file, self.is_writable) = (file, true);
        }
        Ok(directory)
    }

    fn write_in_place(&self, line: &str) -> io::Result<()> {
        let line = format!("{line} {}", sum(line));
        let width = (line.len() + 1).next_multiple_of(UNIT) - 1;
        let twice = format!("{line:width$}\n{line:width$}\n");
        let file = if self.is_writable { self.file.try_clone() } else { self.writable() }?;
        file.write_all_at(twice.as_bytes(), 0)?;
        if file.metadata()?.len() != twice.len() as u64 {
            file.set_len(twice.len() as u64)?;
        }
        if self.is_durable() { file.sync_data() } else { Ok(()) }
    }

    /// The same file, for writing, if that has become possible. The lock stays with the one that is open.
    fn writable(&self) -> io::Result<File> {
        let file = open_without_links(&self.path, OFlags::RDWR)?;
        let same = is_same(&file.metadata()?, &self.file.metadata()?);
        if same { Ok(file) } else { Err(io::ErrorKind::ResourceBusy.into()) }
    }
}

/// For writing, made if it is missing; else for reading, and then false.
fn open(path: &Path) -> io::Result<(File, bool)> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match open_without_links(path, OFlags::RDWR | OFlags::CREATE) {
        Err(e) if matches!(e.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            open_without_links(path, OFlags::RDONLY).map(|file| (file, false)).map_err(|_| e)
        }
        opened => opened.map(|file| (file, true)),
    }
}

/// Opens what has this name, with no link on the way.
fn open_without_links(path: &Path, flags: OFlags) -> io::Result<File> {
    let mode = if flags.contains(OFlags::CREATE) { 0o666 } else { 0 };
    let (flags, mode) = (flags | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::from_raw_mode(mode));
    let opened = match openat2(CWD, path, flags, mode, ResolveFlags::NO_SYMLINKS) {
        // Linux before 5.6, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => openat(CWD, path, flags | OFlags::NOFOLLOW, mode),
        opened => opened,
    };
    Ok(opened?.into())
}

/// Where the path leads.
fn followed(named: &CursorFile) -> Result<PathBuf, Failure> {
    let failed = |e: io::Error| Failure::io(named.path(), "writing the cursor-file", &e);
    let parts = |path: &Path| -> Vec<PathBuf> { path.iter().rev().map(PathBuf::from).collect() };
    let mut left = parts(&std::path::absolute(named.path()).map_err(failed)?);
    let (mut path, mut links) = (PathBuf::new(), 0);
    while let Some(part) = left.pop() {
        if part == Path::new("..") {
            path.pop();
            continue;
        }
        path.push(part);
        let Some(link) = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_symlink) else { continue };
        if ![0, geteuid().as_raw()].contains(&link.uid()) {
            return Err(named.refuse(&format!(
                "{} is a symbolic link of another user ({}) and not followed; remove it, or name a file where only you or root make links",
                shown(&path),
                link.uid()
            )));
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(failed(Errno::LOOP.into()));
        }
        left.extend(parts(&fs::read_link(&path).map_err(failed)?));
        path.pop();
    }
    Ok(path)
}

fn is_same(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
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
    use std::thread;
    use std::time::{Duration, Instant};

    use mmlog::{LogId, Position};

    use super::*;

    fn place(position: u64) -> Place {
        Place { id: LogId { uuid: [7; 16], epoch: 2 }, position: Position::new(position) }
    }

    fn opened(path: &Path, lasting: Lasting) -> PlaceFile {
        let until = Instant::now() + Duration::from_secs(180);
        loop {
            match PlaceFile::open(&CursorFile::new(path.to_owned(), lasting), Path::new("/var/log/a b.log")) {
                Ok(file) => return file,
                // What another test is just starting has a copy of the file before, with its lock, until it is started.
                Err(Failure::Said { exit: Exit::Busy, .. }) if Instant::now() < until => thread::yield_now(),
                Err(e) => unreachable!("{e:?}"),
            }
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
                    file.is_replaced = false;
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
        file.is_replaced = false;
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
