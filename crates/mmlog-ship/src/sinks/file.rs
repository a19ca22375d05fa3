//! `file:DIR`: a directory of files of units.
//!
//! A file is called by the coordinate of its first unit, and is only appended to. Each connection begins one, whose first unit is there
//! whole when it gets its name by `link(2)`: nobody else has that coordinate then. Whoever appends has the lock of the directory. So no
//! two append at one tail, and nothing of a process that ended comes late.
//!
//! What a killed one left torn at the end of a file stays: the next file says by its name up to where the one before counts.
//!
//! A unit is acknowledged when it is on the disk; one sync is for all that were sent before it.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mmlog::crash::crash_point;
use rustix::fs::{Access, access};

use super::{Message, Purpose, Sink, Strength};
use crate::decide::{Content, Tail, Top};
use crate::trouble::{Trouble, away, failed, shown};
use crate::turn::Turn;
use crate::unit::{Header, Kind, LONGEST};
use stored::{Reader, Step};

mod feed;
pub(crate) mod stored;

pub use feed::FileFeed;

/// A file that is as long is followed by another.
const FILE: u64 = 64 << 20;
/// When the directory was made a sink, as a random number.
const BORN: &str = "born";
/// What a file is called before it has its first unit.
const NEW: &str = "new";

/// The sink.
#[derive(Debug)]
pub struct FileSink {
    directory: PathBuf,
    name: String,
    turn: Option<Turn>,
    /// What it has, and what was sent.
    tail: Option<Tail>,
    current: Option<Current>,
    /// Coordinates that are not on the disk yet, and those that are and have not been said.
    pending: VecDeque<u64>,
    synced: VecDeque<u64>,
}

/// How a file ends: the last unit with its coordinate, and the last one that is no opening.
type Ends = (Option<(u64, Header)>, Option<Content>);

/// The file that is appended to.
#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    len: u64,
    synced: u64,
}

impl FileSink {
    /// In that directory, which is made if it is missing.
    pub fn new(directory: &Path) -> Self {
        FileSink {
            directory: directory.to_owned(),
            name: format!("file:{}", shown(directory)),
            turn: None,
            tail: None,
            current: None,
            pending: VecDeque::new(),
            synced: VecDeque::new(),
        }
    }

    /// Whether this user may, as far as that can be told without trying.
    fn may_write(&self) -> Result<(), Trouble> {
        let there = if self.directory.exists() { &self.directory } else { self.above() };
        if !there.is_dir() {
            return Err(self.has_no_place(there));
        }
        access(there, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|e| failed(there, "write to the directory")(e.into()))
    }

    fn above(&self) -> &Path {
        let above = self.directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        above.unwrap_or(Path::new("."))
    }

    /// The directory alone is made, not those above: those may be of what is not mounted.
    fn has_no_place(&self, there: &Path) -> Trouble {
        let (sink, there) = (&self.name, shown(there));
        Trouble::Failed(format!(
            "{sink}: {there} is no directory: make it or mount it, or name another place"
        ))
    }

    fn away(&self, doing: &'static str) -> impl Fn(io::Error) -> Trouble + '_ {
        away(&self.directory, doing)
    }

    fn sync_directory(&self) -> Result<(), Trouble> {
        File::open(&self.directory).and_then(|d| d.sync_all()).map_err(self.away("sync the directory"))
    }

    fn make(&mut self) -> Result<(), Trouble> {
        match DirBuilder::new().mode(0o750).create(&self.directory) {
            Ok(()) => {
                let above = File::open(self.above()).and_then(|d| d.sync_all());
                above.map_err(self.away("sync the directory above"))?;
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && self.directory.is_dir() => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(self.has_no_place(&self.directory));
            }
            Err(_) if !self.above().is_dir() => return Err(self.has_no_place(self.above())),
            Err(e) => return Err(failed(&self.directory, "make the directory")(e)),
        }
        self.turn = Some(Turn::take(&self.directory.join("lock"), "another shipper")?);
        self.is_born()
    }

    /// Makes it a sink, once.
    fn is_born(&self) -> Result<(), Trouble> {
        let path = self.directory.join(BORN);
        if path.exists() {
            return Ok(());
        }
        let text = format!("{:016x}\n", random().max(1));
        self.appear(&path, &[text.as_bytes()]).map(drop)
    }

    /// Makes a file that has its name only when it has its content, on the disk.
    fn appear(&self, path: &Path, pieces: &[&[u8]]) -> Result<Current, Trouble> {
        let new = self.directory.join(NEW);
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(away(&new, "remove")(e)),
            _ => {}
        }
        let opened = OpenOptions::new().append(true).create_new(true).mode(0o640).open(&new);
        let mut file = opened.map_err(away(&new, "make"))?;
        let mut len = 0;
        for piece in pieces {
            file.write_all(piece).map_err(away(&new, "write"))?;
            len += piece.len() as u64;
        }
        file.sync_all().map_err(away(&new, "sync"))?;
        crash_point("ship:file-written");
        match fs::hard_link(&new, path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Trouble::Refused(format!("{}: somebody else has made it", shown(path))));
            }
            linked => linked.map_err(away(path, "make"))?,
        }
        crash_point("ship:file-linked");
        let _ = fs::remove_file(&new);
        self.sync_directory()?;
        Ok(Current { file, path: path.to_owned(), len, synced: len })
    }

    fn born(&self) -> Result<u64, Trouble> {
        born(&self.directory)
    }

    /// From the files: back from the last one to the last unit that is no opening.
    fn read_tail(&self) -> Result<Tail, Trouble> {
        let born = self.born()?;
        let mut tail = Tail { born, coordinate: 0, top: None, content: Content::Empty };
        let files = match stored::listed(&self.directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(tail),
            files => files.map_err(self.away("read the directory"))?,
        };
        for (i, first) in files.iter().enumerate().rev() {
            let behind = files.get(i + 1).copied();
            let (last, content) = self.ends_of(*first, behind)?;
            if tail.top.is_none() {
                tail.top = last.map(|(_, header)| Top::of(&header));
                tail.coordinate = last.map_or(0, |(coordinate, _)| coordinate);
            }
            if let Some(content) = content {
                return Ok(Tail { content, ..tail });
            }
        }
        // Older files were removed.
        if let Some(first) = files.first().filter(|first| **first > 1) {
            tail.content = Content::Trimmed(first - 1);
        }
        Ok(tail)
    }

    /// The last unit of a file, and the last one that is no opening.
    fn ends_of(&self, first: u64, behind: Option<u64>) -> Result<Ends, Trouble> {
        let path = stored::path(&self.directory, first);
        let mut reader = Reader::open(&self.directory, first).map_err(away(&path, "read"))?;
        let (mut last, mut content) = (None, None);
        loop {
            match reader.step().map_err(away(&path, "read"))? {
                Step::Unit(unit) if behind.is_none_or(|behind| unit.coordinate < behind) => {
                    last = Some((unit.coordinate, unit.header));
                    if unit.header.kind != Kind::Opening {
                        content = Some(Content::Unit(unit.header));
                    }
                }
                Step::Wrong(crate::Error::Later { version, .. }) => {
                    return Ok((last, Some(Content::Later(version))));
                }
                // A file has its name when its first unit is there: it was changed since.
                _ if last.is_none() => return Ok((last, Some(Content::Foreign))),
                _ => return Ok((last, content)),
            }
        }
    }

    /// Whether the file that is appended to is where it was, and as it was.
    fn is_whole(&self, current: &Current) -> bool {
        let (Ok(there), Ok(ours)) = (fs::symlink_metadata(&current.path), current.file.metadata()) else {
            return false;
        };
        (there.dev(), there.ino(), there.len()) == (ours.dev(), ours.ino(), current.len)
    }

    fn append(&mut self, message: &Message<'_>) -> Result<(), Trouble> {
        let head = stored::head(message);
        let pieces = [&head[..], message.payload, b"\n"];
        let has_file = self.current.as_ref().is_some_and(|current| current.len < FILE);
        if !has_file {
            self.sync()?;
            let path = stored::path(&self.directory, message.after + 1);
            self.current = Some(self.appear(&path, &pieces)?);
            self.synced.push_back(message.after + 1);
            return Ok(());
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        for piece in pieces {
            if let Err(e) = current.file.write_all(piece) {
                // Nothing half-written stays, as far as that can be had.
                let _ = current.file.set_len(current.len);
                return Err(away(&current.path, "write")(e));
            }
            crash_point("ship:unit-in-part");
        }
        current.len += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.pending.push_back(message.after + 1);
        Ok(())
    }

    /// Brings to the disk what was sent.
    fn sync(&mut self) -> Result<(), Trouble> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if current.synced == current.len {
            return Ok(());
        }
        if let Err(e) = current.file.sync_data() {
            // The kernel takes those pages for clean from now on: what is not on the disk may not be read again as if it were.
            let _ = current.file.set_len(current.synced);
            return Err(away(&current.path, "sync")(e));
        }
        crash_point("ship:units-durable");
        current.synced = current.len;
        let is_whole = self.current.as_ref().is_some_and(|current| self.is_whole(current));
        if !is_whole {
            return Err(Trouble::Refused("what was written is not there any more".to_owned()));
        }
        self.synced.append(&mut self.pending);
        Ok(())
    }
}

/// When the directory was made a sink; 0 where it was not.
pub(crate) fn born(directory: &Path) -> Result<u64, Trouble> {
    let path = directory.join(BORN);
    match fs::read_to_string(&path) {
        Ok(text) => u64::from_str_radix(text.trim_end(), 16).map_err(|_| {
            let what = shown(&path);
            Trouble::Decide(format!("{what}: it is damaged, not sixteen digits; ship to another directory"))
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(away(&path, "read")(e)),
    }
}

/// Random enough to be nobody else's.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // Never of so few bytes.
        _ => u64::from(std::process::id()),
    }
}

impl Sink for FileSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn strength(&self) -> Strength {
        Strength::Fenced
    }

    fn open(&mut self, purpose: Purpose) -> Result<u64, Trouble> {
        self.close();
        if purpose == Purpose::Look {
            self.may_write()?;
        } else if self.turn.is_none() {
            self.make()?;
        }
        Ok(LONGEST)
    }

    fn look(&mut self) -> Result<Tail, Trouble> {
        self.sync()?;
        if let (Some(current), Some(tail)) = (&self.current, self.tail) {
            if !self.is_whole(current) || self.born()? != tail.born {
                return Err(Trouble::Refused("what was written is not there any more".to_owned()));
            }
            return Ok(tail);
        }
        let tail = self.read_tail()?;
        self.tail = Some(tail);
        Ok(tail)
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), Trouble> {
        let tail = self.tail.ok_or_else(|| Trouble::Refused("its tail was not read".to_owned()))?;
        let id = tail.top.map_or(0, |top| top.id);
        if message.after != tail.coordinate || (message.unit.after != id && tail.top.is_some()) {
            return Err(Trouble::Refused("it has another tail by now".to_owned()));
        }
        self.append(message)?;
        let content = match message.unit.kind {
            Kind::Opening => tail.content,
            _ => Content::Unit(*message.unit),
        };
        self.tail =
            Some(Tail { coordinate: message.after + 1, top: Some(Top::of(message.unit)), content, ..tail });
        Ok(())
    }

    fn poll(&mut self, _within: Duration) -> Result<Option<u64>, Trouble> {
        if self.synced.is_empty() {
            self.sync()?;
        }
        Ok(self.synced.pop_front())
    }

    fn close(&mut self) {
        // Whoever looks next finds what is there.
        (self.tail, self.current) = (None, None);
        self.pending.clear();
        self.synced.clear();
    }
}
