//! Compressing final segments: each is read, written compressed under a temporary name, read back and compared, and
//! then takes the plain file's place ([`files::compress`](crate::files::compress) has those steps).
//!
//! Before anything, the metadata on the disk is made to know that the segments are final: after a reboot a plain file's
//! length may have to say where the log goes on, and a compressed one's cannot.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::codec::{self, Encoder};
use crate::crash::crash_point;
use crate::durable;
use crate::error::{Class, Error, Fault};
use crate::files::compress::{Claim, PartFile};
use crate::files::content;
use crate::files::segments::Named;
use crate::files::{Files, UNKNOWN_LEN};
use crate::names::Compression;
use crate::sys::alloc;
use crate::sys::place::Access;

/// Bytes read at a time.
const STEP: usize = 256 << 10;

/// How to compress. The default level is the format's own; patience is 2 s.
#[derive(Clone, Copy, Debug)]
pub struct Compress {
    compression: Compression,
    level: Option<i32>,
    wait: Duration,
}

impl Compress {
    /// In that format.
    pub fn new(compression: Compression) -> Self {
        Self { compression, level: None, wait: Duration::from_secs(2) }
    }

    /// From 1, fast, to 22 for zstd, or 9 for gzip; the nearest that the format has.
    pub fn level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// How long to wait for another maintenance operation.
    pub fn wait(mut self, longest: Duration) -> Self {
        self.wait = longest;
        self
    }
}

/// How far a compression is.
#[derive(Clone, Copy, Debug)]
pub struct Compressing<'a> {
    /// The segment.
    pub path: &'a Path,
    /// Bytes that were compressed, and then read back: of each there are `total`.
    pub done: u64,
    /// Twice the segment's length.
    pub total: u64,
}

/// A segment that was compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// Where it is now.
    pub path: PathBuf,
    /// Its number.
    pub generation: u64,
    /// Length of the plain file, bytes.
    pub before: u64,
    /// Length of the compressed one.
    pub after: u64,
}

/// What came of compressing.
#[derive(Debug, Default)]
pub struct Compressions {
    /// Segments that were compressed, oldest first.
    pub done: Vec<Compressed>,
    /// Why others could not be, each error with the path of its segment.
    pub failed: Vec<Error>,
    /// Segments that another process compresses, and that are left to it.
    pub at_work: Vec<PathBuf>,
    /// Segments that a prune took before they were compressed.
    pub pruned: Vec<PathBuf>,
}

/// A plain final segment.
struct Task {
    segment: Named,
    /// Its length, unless what follows it is missing.
    len: Option<u64>,
}

impl Task {
    /// Whether all of it is given up.
    fn is_pruned(&self, files: &Files) -> bool {
        let end = self.len.map(|len| self.segment.says.base.saturating_add(len.max(1)));
        end.is_some_and(|end| end <= files.first_kept())
    }
}

/// The final segments that are not compressed, oldest first.
fn tasks(files: &Files) -> Result<Vec<Task>, Fault> {
    let current = files.meta.header().current();
    let mut finals = files.final_segments()?;
    finals.retain(|n| n.says.generation < current.generation);
    let next = finals.iter().skip(1).map(|n| (n.says.generation, n.says.base));
    let next: Vec<(u64, u64)> = next.chain([(current.generation, current.base)]).collect();
    let task = |(segment, (generation, base)): (Named, (u64, u64))| {
        let len = base.checked_sub(segment.says.base).filter(|len| *len < UNKNOWN_LEN);
        Task { len: len.filter(|_| generation == segment.says.generation + 1), segment }
    };
    let all = finals.into_iter().zip(next).map(task);
    Ok(all.filter(|task| task.segment.says.compression.is_none()).collect())
}

/// Compresses every plain final segment that nobody else is at; one that cannot be does not keep it from the others.
pub(crate) fn compress(
    files: &Files,
    how: &Compress,
    progress: &mut dyn FnMut(Compressing<'_>),
) -> Result<Compressions, Fault> {
    files.writable()?;
    files.poisoned()?;
    let tasks = tasks(files)?;
    if tasks.is_empty() {
        return Ok(Compressions::default());
    }
    durable::sync_finals(files, &files.deadline(how.wait))?;
    let mut all = Compressions::default();
    for task in &tasks {
        let made = all.done.len() as u64;
        let go_on = || files.waits().go_on("segments were compressed", made, tasks.len() as u64);
        match go_on().and_then(|()| compress_one(files, task, how, &go_on, progress)) {
            Ok(Some(One::Done(compressed))) => all.done.push(compressed),
            Ok(Some(One::AtWork)) => all.at_work.push(task.segment.path()),
            Err(fault) if matches!(fault.class(), Class::Retry | Class::Busy) => return Err(fault),
            // It cuts what it takes, so that whoever reads there finds the end too soon.
            Ok(None) | Err(_) if task.is_pruned(files) => all.pruned.push(task.segment.path()),
            Ok(None) => {}
            Err(fault) => all.failed.push(fault.at(&task.segment.path())),
        }
    }
    Ok(all)
}

/// What came of one that is still there.
enum One {
    Done(Compressed),
    AtWork,
}

fn compress_one(
    files: &Files,
    task: &Task,
    how: &Compress,
    go_on: &dyn Fn() -> Result<(), Fault>,
    progress: &mut dyn FnMut(Compressing<'_>),
) -> Result<Option<One>, Fault> {
    let part = match files.claim_segment(&task.segment, &files.deadline(how.wait))? {
        Claim::Mine(part) => *part,
        Claim::AtWork => return Ok(Some(One::AtWork)),
        Claim::Gone => return Ok(None),
    };
    let found = part.source_len();
    let len = task.len.unwrap_or(found);
    let name = |n: &Named| n.name.to_string_lossy().into_owned();
    let twin = part.twin()?;
    if found < len && twin.is_none() {
        return Err(Fault::SegmentShort { name: name(&task.segment), expected: len, found });
    }
    // A rotation that died before its cut leaves allocated space there.
    if found > len
        && content::first_byte(part.source(), len, found)
            .map_err(Fault::io("read a final segment"))?
            .is_some()
    {
        return Err(Fault::SegmentLong { name: name(&task.segment), expected: len, found });
    }
    let path = task.segment.path();
    let mut work = Work { part: &part, len, passed: 0, path: &path, go_on, progress };
    let replaced = match twin {
        Some(twin) => {
            let Some(copy) = twin.open(Access::Read)? else { return Ok(None) };
            let compression = twin.says.compression.unwrap_or(how.compression);
            // Cut by a compression that was killed, or by somebody.
            if found < len && !work.is_whole(compression, &copy)? {
                return Err(Fault::SegmentShort { name: name(&task.segment), expected: len, found });
            }
            if found >= len && !work.is_same(compression, &copy)? {
                return Err(Fault::SegmentExists { name: name(&twin) });
            }
            part.settle(&twin, &copy)?.then_some((twin, copy))
        }
        None => {
            work.encode(how)?;
            crash_point("compress:written");
            let copy = part.file().try_clone().map_err(Fault::io("read the compressed copy"))?;
            if !work.is_same(how.compression, &copy)? {
                let source = io::Error::new(io::ErrorKind::InvalidData, "it is not what was written");
                return Err(Fault::Io { operation: "read the compressed copy", source });
            }
            part.publish(how.compression)?.map(|named| (named, copy))
        }
    };
    let Some((named, copy)) = replaced else { return Ok(None) };
    let after = copy.metadata().map_err(Fault::io("stat the compressed copy"))?.len();
    let (path, generation) = (named.path(), named.says.generation);
    Ok(Some(One::Done(Compressed { path, generation, before: len, after })))
}

/// One segment's compression.
struct Work<'a, 'b> {
    part: &'a PartFile<'b>,
    len: u64,
    /// Bytes compressed, then read back.
    passed: u64,
    path: &'a Path,
    /// Asked between two reads.
    go_on: &'a dyn Fn() -> Result<(), Fault>,
    progress: &'a mut dyn FnMut(Compressing<'_>),
}

impl Work<'_, '_> {
    fn pass(&mut self, bytes: u64) -> Result<(), Fault> {
        self.passed += bytes;
        (self.progress)(Compressing { path: self.path, done: self.passed, total: 2 * self.len });
        (self.go_on)()
    }

    fn read_source<'b>(&self, buf: &'b mut [u8], at: u64) -> Result<&'b [u8], Fault> {
        let most = (self.len - at).min(buf.len() as u64) as usize;
        let read = self.part.source().read_exact_at(&mut buf[..most], at);
        read.map_err(Fault::io("read a final segment"))?;
        Ok(&buf[..most])
    }

    fn encode(&mut self, how: &Compress) -> Result<(), Fault> {
        let part = self.part;
        let to = Appending { file: part.file(), at: 0 };
        let written = |e| part.cannot_write(e);
        let mut encoder = Encoder::new(how.compression, how.level, self.len, to).map_err(written)?;
        let (mut buf, mut at) = (vec![0; STEP], 0);
        while at < self.len {
            let bytes = self.read_source(&mut buf, at)?;
            encoder.write_all(bytes).map_err(written)?;
            at += bytes.len() as u64;
            self.pass(bytes.len() as u64)?;
        }
        encoder.finish().map(drop).map_err(written)
    }

    /// Whether the compressed file holds as many bytes as the segment has to, and its recorded sums are right.
    fn is_whole(&self, compression: Compression, copy: &File) -> Result<bool, Fault> {
        let decoded = copy.try_clone().and_then(|copy| codec::decode_all(compression, copy));
        match decoded {
            Ok(len) => Ok(len == self.len),
            Err(e) if e.raw_os_error().is_some() => Err(Fault::io("read the compressed copy")(e)),
            Err(_) => Ok(false),
        }
    }

    /// Whether the compressed file holds the segment's bytes, all of them and nothing else.
    fn is_same(&mut self, compression: Compression, copy: &File) -> Result<bool, Fault> {
        let decode = || copy.try_clone().and_then(|copy| codec::decoder(compression, copy));
        let mut decoder = decode().map_err(Fault::io("read the compressed copy"))?;
        let (mut decoded, mut plain, mut at) = (vec![0; STEP], vec![0; STEP], 0);
        loop {
            let read = match decoder.read(&mut decoded) {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.raw_os_error().is_some() => {
                    return Err(Fault::io("read the compressed copy")(e));
                }
                Err(_) => return Ok(false),
            };
            if read == 0 {
                return Ok(at == self.len);
            }
            if read as u64 > self.len - at || self.read_source(&mut plain[..read], at)? != &decoded[..read] {
                return Ok(false);
            }
            at += read as u64;
            self.pass(read as u64)?;
        }
    }
}

/// Writes at the end, and never past the file size limit, which would be a signal.
struct Appending<'a> {
    file: &'a File,
    at: u64,
}

impl Write for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        alloc::write_at(self.file, self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
