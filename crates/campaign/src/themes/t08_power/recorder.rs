//! A disk that remembers what happened to it: a FUSE file system with one file, `disk.img`, for a loop device. Each
//! write and each flush of the device is recorded in order before it is answered.
//!
//! It is a process of its own and maps nothing that lies on the disk: who serves a page must not wait for it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, bail};
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    Session, WriteFlags,
};
use nix::fcntl::{FallocateFlags, fallocate};

use super::notes::{Stage, Word};
use crate::actor::{Actor, end_with_parent, say};
use crate::disks::Mounted;

const NAME: &str = "disk.img";
const DISK: INodeNo = INodeNo(2);
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What happened to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Write { at: u64, bytes: Vec<u8> },
    Zero { at: u64, len: u64 },
    Flush,
}

impl Record {
    fn write_to(&self, file: &mut File) -> io::Result<()> {
        let (fields, bytes): ([u64; 3], &[u8]) = match self {
            Self::Write { at, bytes } => ([0, *at, bytes.len() as u64], bytes),
            Self::Zero { at, len } => ([1, *at, *len], &[]),
            Self::Flush => ([2, 0, 0], &[]),
        };
        file.write_all(fields.map(u64::to_ne_bytes).as_flattened())?;
        file.write_all(bytes)
    }

    /// All records of a file.
    pub(super) fn read_all(path: &Path) -> anyhow::Result<Vec<Self>> {
        let log = std::fs::read(path)?;
        let (mut records, mut rest) = (Vec::new(), &log[..]);
        while let Some((head, behind)) = rest.split_at_checked(24) {
            let field = |i: usize| head[i * 8..][..8].try_into().map_or(0, u64::from_ne_bytes);
            let (at, len) = (field(1), field(2));
            let bytes = if field(0) == 0 { len as usize } else { 0 };
            let (bytes, behind) = behind.split_at_checked(bytes).context("a record without its end")?;
            records.push(match field(0) {
                0 => Self::Write { at, bytes: bytes.to_vec() },
                1 => Self::Zero { at, len },
                _ => Self::Flush,
            });
            rest = behind;
        }
        Ok(records)
    }

    /// Does it to an image.
    pub(super) fn apply(&self, image: &File) -> io::Result<()> {
        match self {
            Self::Write { at, bytes } => image.write_all_at(bytes, *at),
            Self::Zero { at, len } => {
                let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                Ok(fallocate(image, punch, at.cast_signed(), len.cast_signed())?)
            }
            Self::Flush => Ok(()),
        }
    }
}

/// A recorded disk that is attached; taken away when dropped.
pub(super) struct RecordedDisk {
    // Dropped in this order: the disk in the disk first.
    _server: Mounted,
    actor: Actor,
    records: PathBuf,
    image: PathBuf,
}

impl RecordedDisk {
    /// Serves `image`, which changes, in the directory `at`; time is the stage's clock.
    pub(super) fn attach(image: &Path, at: &Path, stage: &Stage) -> anyhow::Result<Self> {
        let records = stage.directory().join("records");
        let paths = [at, image, &records, stage.directory()].map(|path| path.display().to_string());
        let arguments: Vec<&dyn std::fmt::Display> = paths.iter().map(|path| path as _).collect();
        let mut actor = Actor::start("t08-disk", &arguments)?;
        if actor.hear()?.is_none() {
            bail!("no FUSE file system here");
        }
        Ok(Self { _server: Mounted::by_other(at), actor, records, image: at.join(NAME) })
    }

    /// The file that a loop device may take.
    pub(super) fn image(&self) -> &Path {
        &self.image
    }

    /// Ends it, and says what happened to it.
    pub(super) fn finish(self) -> anyhow::Result<Vec<Record>> {
        let Self { _server, mut actor, records, .. } = self;
        drop(_server);
        actor.end()?;
        Record::read_all(&records)
    }
}

/// Role: `MOUNT IMAGE RECORDS STAGE`; ends when it is unmounted.
pub(super) fn role(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [at, image, records, stage] = arguments else { bail!("four arguments") };
    let image = File::options().read(true).write(true).open(image)?;
    let len = image.metadata()?.len();
    let records = Mutex::new(File::options().append(true).create_new(true).open(records)?);
    let server = Server { image, len, records, stage: Stage::open(Path::new(stage))? };
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("campaign".into())];
    let session = Session::new(server, at, &config).context("mount a FUSE file system")?;
    say("ready");
    Ok(session.run()?)
}

struct Server {
    image: File,
    len: u64,
    records: Mutex<File>,
    stage: Stage,
}

impl Server {
    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (kind, size) = match inode {
            INodeNo::ROOT => (FileType::Directory, 0),
            DISK => (FileType::RegularFile, self.len),
            _ => return None,
        };
        Some(FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    /// Recorded, done, and only then a tick older.
    fn record(&self, record: &Record) -> io::Result<()> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        record.write_to(&mut records)?;
        record.apply(&self.image)?;
        self.stage.raise(Word::Clock, 1);
        Ok(())
    }

    fn record_and_reply(&self, record: &Record, reply: ReplyEmpty) {
        match self.record(record) {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(e.into()),
        }
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = (parent == INodeNo::ROOT && name == NAME).then(|| self.attributes(DISK)).flatten();
        match found {
            Some(attributes) => reply.entry(&FOR_EVER, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&FOR_EVER, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut bytes = vec![0; u64::from(size).min(self.len.saturating_sub(offset)) as usize];
        match self.image.read_exact_at(&mut bytes, offset) {
            Ok(()) => reply.data(&bytes),
            Err(e) => reply.error(e.into()),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        at: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.record(&Record::Write { at, bytes: data.to_vec() }) {
            Ok(()) => reply.written(data.len() as u32),
            Err(e) => reply.error(e.into()),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.record_and_reply(&Record::Flush, reply);
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        at: u64,
        len: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let zeroing = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_ZERO_RANGE;
        match FallocateFlags::from_bits(mode) {
            Some(mode) if mode.intersects(zeroing) => {
                self.record_and_reply(&Record::Zero { at, len }, reply);
            }
            _ => reply.error(Errno::EOPNOTSUPP),
        }
    }
}
