//! What is wrong, one variant for each different next step.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::words::{self, GONE, advice, misfit, quoted, shorter, shown, words};
use super::{Blocker, PanicRecord, Rights};
use crate::units::{counted, lasting, size};

/// The problem, without the path: `LOG` stands for it in commands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A system call failed for a reason that no other variant names.
    #[error("cannot {operation}: {}; {}", words(source), advice(source))]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The errno.
        source: io::Error,
    },
    /// A file is another user's, and its mode does not let this one.
    #[error(
        "cannot {operation}: Permission denied (os error 13): it has {rights}, and this is uid {uid}; run it {}", rights.who()
    )]
    Denied {
        /// What was tried.
        operation: &'static str,
        /// Whose the file is.
        rights: Rights,
        /// Who tried.
        uid: u32,
    },
    /// The path is no regular file.
    #[error("not a regular file ({kind}); name a plain file")]
    NotRegular {
        /// "FIFO", "directory"...
        kind: &'static str,
    },
    /// The last component is a symbolic link.
    #[error("a symbolic link to {}; name that file, or use --trust-path", shown(target))]
    Symlink {
        /// What it says, from where it lies.
        target: PathBuf,
    },
    /// Anybody could replace the files.
    #[error("directory {} is writable by everybody and has no sticky bit; chmod o-w it, or use --trust-path", directory.display())]
    UnsafeDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// Final segments cannot be moved there, or are not looked for there.
    #[error("directory {} cannot hold the log's old segments: {problem}", shown(directory))]
    OldDirectory {
        /// The directory.
        directory: PathBuf,
        /// Why not, and what to do.
        problem: String,
    },
    /// Root was asked to work in somebody else's directory on a file that has other names as well.
    #[error(
        "{links} hard links, in a directory that is not root's: it may be another file than it seems; remove the other names, run as the owner, or use --trust-path"
    )]
    HardLinked {
        /// Names that the file has.
        links: u64,
    },
    /// The two files belong to different users.
    #[error(
        "data file belongs to uid {data_uid}, metadata to uid {metadata_uid}; chown one, or use --trust-path"
    )]
    OwnersDiffer {
        /// Owner of the data file.
        data_uid: u32,
        /// Owner of the metadata file.
        metadata_uid: u32,
    },
    /// Neither file exists.
    #[error("no such log; `mmlogctl ls LOGDIR` lists those that are there, the first append makes one")]
    NoLog,
    /// A data file with bytes in it, without metadata: how many; whether a page or more of NULs is its end, as of a log's that was
    /// allocated ahead; how many old segments of its name lie beside it; whether it was only to be read, for which it need not become a
    /// log; why it is hardly meant to become one, or this user may not make it one, in words.
    #[error("{}", words::no_metadata(*len, *ends_in_nuls, *segments, *reads, *unfit))]
    #[allow(missing_docs, reason = "said above")]
    NoMetadata { len: u64, ends_in_nuls: bool, segments: u64, reads: bool, unfit: Option<&'static str> },
    /// The metadata was given another name; that somebody has it open there, in words, and his process id.
    #[error("{}", words::metadata_moved(to, used))]
    #[allow(missing_docs, reason = "said above")]
    MetadataMoved { to: PathBuf, used: String, pid: Option<u32> },
    /// An old segment was named, not its log; what reads the segment alone; whether the log is there.
    #[error("{}", words::segment(log, reads, *is_there))]
    #[allow(missing_docs, reason = "said above")]
    Segment { log: PathBuf, reads: &'static str, is_there: bool },
    /// The metadata of a log was named, not the log.
    #[error("the metadata of {}; name that log: `mmlogctl status {}`", shown(.0), quoted(.0))]
    Metadata(PathBuf),
    /// A data file without metadata, and old segments of its name in a directory beside it.
    #[error(
        "no metadata, and directory {} has old segments of this log's name; `mmlogctl repair --rebuild --olddir {} LOG` goes on behind them; if they are not its own, move them away",
        shown(.0), quoted(.0)
    )]
    OldSegmentsUnnamed(PathBuf),
    /// Metadata without a data file.
    #[error("data file is gone; {GONE}")]
    NoData,
    /// The metadata file is something else.
    #[error(
        "not a log's metadata ({why}); move it away if it is not needed, or `mmlogctl repair --rebuild LOG` replaces it"
    )]
    NotMetadata {
        /// What gave it away.
        why: String,
    },
    /// What has the metadata's name, this path, is no file: a "FIFO", a "directory".
    #[error(
        "not a log's metadata: {} is a {kind}; move it away and put the log's own there, or, where that is lost, `mmlogctl repair --rebuild LOG` makes it from the data file then",
        shown(path)
    )]
    #[allow(missing_docs, reason = "said above")]
    NoMetadataFile { path: PathBuf, kind: &'static str },
    /// A format that this build does not append to.
    #[error("format {found}, this build {} format 2; {}", if *found == 1 { "appends to" } else { "reads and appends to" }, if *found == 1 { "`mmlogctl repair --upgrade LOG` converts it" } else { "use a newer build" })]
    Version {
        /// The version found.
        found: u32,
    },
    /// An option or a metadata field out of its range.
    #[error("{field} {value} {}; choose another value, or `mmlogctl repair --rebuild LOG` if nobody chose it", misfit(*value, *min, *max, *multiple))]
    Geometry {
        /// Its name.
        field: &'static str,
        /// The value found.
        value: u64,
        /// Least value allowed.
        min: u64,
        /// Largest value allowed.
        max: u64,
        /// What it has to be a multiple of, 1 for anything.
        multiple: u64,
    },
    /// A rule of a policy out of its range.
    #[error("{rule} {value} is out of its range, {range}; choose another value")]
    Policy {
        /// As command lines name it.
        rule: &'static str,
        /// The value, in words.
        value: String,
        /// The values that it may have.
        range: String,
    },
    /// Position fields that contradict each other.
    #[error("{field} out of range ({value}, allowed [{min}, {max}]); run `mmlogctl repair LOG`")]
    OutOfRange {
        /// Its name.
        field: &'static str,
        /// The value found.
        value: u64,
        /// Least value that fits.
        min: u64,
        /// Largest value that fits.
        max: u64,
    },
    /// A position that the log does not have, asked for by the caller.
    #[error("position {value} is not in this log; it has [{min}, {max}]")]
    NoPosition {
        /// The position asked for.
        value: u64,
        /// The oldest one.
        min: u64,
        /// The cursor.
        max: u64,
    },
    /// Somebody who is no writer of the log cut the data file.
    #[error("truncated from outside (expected >= {expected} bytes, is {found}); run `mmlogctl repair LOG`")]
    Truncated {
        /// Bytes the metadata promises.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// The data file is not the one that the metadata describes.
    #[error(
        "metadata belongs to another file ({}: a copy, or a file put in its place, as sed -i and editors do); only status, cat and tail work; put the right file back, or stop all writers and `mmlogctl repair --rebuild LOG` makes new metadata for this one",
        words::numbers(*recorded, *found)
    )]
    Foreign {
        /// Inode in the metadata.
        recorded: u64,
        /// Inode at the path.
        found: u64,
    },
    /// Somebody put a copy of the metadata file in its place: writers of the one it was copied from may still go on, with
    /// a cursor of their own.
    #[error(
        "the metadata file is a copy ({}); only status, cat and tail work; put the original back, or stop all writers and `mmlogctl repair --rebuild LOG`",
        words::made_as(*recorded, *found)
    )]
    Copied {
        /// Inode that the metadata file was made as.
        recorded: u64,
        /// Its inode.
        found: u64,
    },
    /// Somebody took the data file away and left an empty one in its place.
    #[error(
        "an empty file is in the data file's place (inode {recorded} is gone, this is {found}); only status, cat and tail work; put the right file back, or `mmlogctl repair --recreate LOG` goes on in this one behind the lost positions"
    )]
    Emptied {
        /// Inode in the metadata.
        recorded: u64,
        /// Inode at the path.
        found: u64,
    },
    /// The log was used by another mount, and is there still: this may be a snapshot, or another view of it.
    #[error(
        "the log was used on device {recorded:#x}, the data file is on {found:#x}, and {why}; use it where its writers do, or, if this one is to be a log of its own, `mmlogctl repair --rebuild LOG` makes new metadata for it"
    )]
    OtherMount {
        /// Device in the metadata.
        recorded: u64,
        /// Device of the data file.
        found: u64,
        /// What is different from a mount that was made anew.
        why: String,
    },
    /// Nobody works with the log, and its boot cannot be told from this one: whether the metadata is older than the
    /// data is not known.
    #[error(
        "cannot tell whether the log was used since the last boot: /proc/sys/kernel/random/boot_id cannot be read here, and who used the log last recorded no clocks; mount /proc there (`mount -t proc proc /proc`, in a unit ProcSubset=all), or `mmlogctl repair LOG` recovers it as after a reboot"
    )]
    BootUnknown,
    /// An operation that this build cannot finish is half done.
    #[error(
        "unfinished operation of kind {kind} in the journal; use the build that began it, or `mmlogctl repair --rebuild LOG` makes new metadata from the data file"
    )]
    Journal {
        /// The journal's kind.
        kind: u64,
    },
    /// The name that a segment is to have belongs to another file.
    #[error("a file {name} is there already, and is not this segment; move it away")]
    SegmentExists {
        /// The name, in the log's directory.
        name: String,
    },
    /// What has a segment's name is not taken for one.
    #[error("{name} is not taken for a segment of this log: {why}")]
    NotASegment {
        /// The name.
        name: String,
        /// Why not, and what to do.
        why: String,
    },
    /// Something has the name that a file in the making is to have, and no rotation or compression left it.
    #[error("{what} is at {name}, where a file is to be made; move it away")]
    InTheWay {
        /// The name.
        name: String,
        /// What it is.
        what: String,
    },
    /// The metadata names a directory of old segments that its owner's word is not enough for.
    #[error(
        "metadata names {} for old segments: {problem}; if that is right, say it again: --olddir {}",
        shown(directory),
        quoted(directory)
    )]
    OldDirectoryElsewhere {
        /// The directory, as the metadata has it: relative to the log's.
        directory: PathBuf,
        /// Why it is not looked in.
        problem: String,
    },
    /// A compressed segment that does not hold what its name and the next segment's say.
    #[error(
        "{name} cannot be decompressed at position {at}: {problem}; put a good copy in its place, or move it away and its bytes are reported as gone"
    )]
    Undecodable {
        /// Its name.
        name: String,
        /// The first position that could not be had.
        at: u64,
        /// What is wrong there.
        problem: String,
    },
    /// A compressed segment, in a build without the feature `compressed`.
    #[error(
        "{name} is compressed, and this build does not read such segments; decompress it, or build mmlog with the feature `compressed`"
    )]
    Compressed {
        /// Its name.
        name: String,
    },
    /// A final segment that somebody cut is left as it is.
    #[error("{}", words::too_short(name, *expected, *found))]
    SegmentShort {
        /// Its name.
        name: String,
        /// Bytes up to the next segment.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// A final segment that somebody appended to is left as it is: its name, bytes up to the next segment, bytes there.
    #[error("{}", words::too_long(name, *expected, *found))]
    #[allow(missing_docs, reason = "said above")]
    SegmentLong { name: String, expected: u64, found: u64 },
    /// A name of the log's files is longer than its file system allows.
    #[error(
        "the name has {name} bytes, {what}'s would have {needed}, and {most} is the most here; {}",
        shorter(*fits, *exists)
    )]
    NameTooLong {
        /// Bytes of the data file's name.
        name: usize,
        /// Whose name does not fit.
        what: &'static str,
        /// Bytes of that name.
        needed: usize,
        /// The most that the file system allows, bytes.
        most: usize,
        /// The most that the data file's name may have so that all fit, bytes.
        fits: usize,
        /// Whether the log is there already.
        exists: bool,
    },
    /// A file system on which the protocol cannot hold.
    #[error("on {name}, where shared memory and locks are not coherent; use a local file system")]
    FileSystem {
        /// Its name.
        name: &'static str,
    },
    /// No space, quota or file size limit; the log stays usable. The cursor has not moved, except when others took
    /// the last space between the look and the reservation: then the range became a hole.
    #[error("{}", words::no_space(*needed, *free, source))]
    NoSpace {
        /// Bytes asked for.
        needed: u64,
        /// Bytes the file system has left for us.
        free: u64,
        /// The errno.
        source: io::Error,
    },
    /// A file cannot be made: the file system has space, and no inode for it. The log stays usable.
    #[error(
        "no inode left to make a file with (0 of {all} free, {} are): the file system is full of files; `df -i LOGDIR` tells, remove files that nobody needs and try again, nothing was taken (a rotation needs one, in tmpfs two)",
        size(*free)
    )]
    NoInode {
        /// Inodes that the file system has.
        all: u64,
        /// Bytes that it has left for us.
        free: u64,
    },
    /// A sync failed, now or earlier: the kernel may have dropped what it could not write, and says so only once.
    #[error(
        "durability lost from position {from} on: {}; copy the log now, then find out about the disk; `mmlogctl repair --accept-loss LOG` ends this error",
        words(source)
    )]
    SyncFailed {
        /// Everything below it is durable.
        from: u64,
        /// The errno.
        source: io::Error,
    },
    /// The message is in the log and will be read, but it is not durable.
    #[error("written at position {at}, not yet durable: {cause}")]
    NotDurable {
        /// Its first position.
        at: u64,
        /// Why not.
        cause: Box<Fault>,
    },
    /// The position was given up by prune.
    #[error(
        "position {value} is pruned, the log is kept from {kept} on; go on there, what lies between is gone"
    )]
    Pruned {
        /// The position asked for.
        value: u64,
        /// The first one that is kept.
        kept: u64,
    },
    /// A name that a hold cannot have.
    #[error(
        "a hold's name has 1 to {max} bytes and no control characters, this one has {len} bytes; choose another"
    )]
    HoldName {
        /// Its length, bytes.
        len: usize,
        /// The most allowed.
        max: usize,
    },
    /// Every record of a hold is in use.
    #[error(
        "all {max} holds are in use; `mmlogctl status LOG` lists them, `mmlogctl prune --forget NAME LOG` ends one"
    )]
    HoldsFull {
        /// Records in the metadata.
        max: usize,
    },
    /// Nobody has registered a hold of that name, or somebody ended it, or another process has it now.
    #[error(
        "no such hold: {name}, or another process has taken it over; `mmlogctl status LOG` lists the holds"
    )]
    NoHold {
        /// The name.
        name: String,
    },
    /// Every slot has a live owner: how many, and who has them, as far as they have said.
    #[error("busy: {} open already: {who}; close some, or raise --max-writers (a new log)", counted(u64::from(*max), "writer"))]
    #[allow(missing_docs, reason = "said above")]
    WritersFull { max: u32, who: String },
    /// A message of no bytes.
    #[error("empty message; a message has at least 1 byte")]
    EmptyMessage,
    /// A message over the limit.
    #[error("message of {len} bytes is too large; the most is {max}")]
    TooLarge {
        /// Its length, bytes.
        len: u64,
        /// The most allowed.
        max: u64,
    },
    /// The panic flag is set: no writing operation works, readers do.
    #[error("process {} ({}) has stopped all writing: {}; find the cause, then `mmlogctl repair --clear-panic LOG`", .0.pid, .0.command, .0.reason)]
    Poisoned(PanicRecord),
    /// The panic flag stays, because something is wrong indeed.
    #[error(
        "an invariant does not hold ({violation}); the panic flag stays, `mmlogctl repair --rebuild LOG` makes new metadata from the data file"
    )]
    Unsound {
        /// Which, and what was found.
        violation: String,
    },
    /// The handle was opened for reading.
    #[error("opened for reading; open it for writing")]
    ReadOnly,
    /// Somebody has the files open.
    #[error("in use by {who}; stop it first")]
    InUse {
        /// Who, as far as can be seen.
        who: String,
    },
    /// Another maintenance command runs.
    #[error("busy: {0}; try again later")]
    Busy(Blocker),
    /// A live process holds the operation up past its deadline. Nothing was taken from it.
    #[error("{blocker} for more than {}; {} (it was not touched)", lasting(*waited), blocker.next_step())]
    Stalled {
        /// Who.
        blocker: Blocker,
        /// How long we waited.
        waited: Duration,
    },
    /// The program that waits was told to stop ([`Options::stop`](crate::Options::stop)). Nothing was done.
    #[error("stopped while it waited: {blocker}, for {}; do it again once that has ended", lasting(*waited))]
    Stopped {
        /// Who was waited for.
        blocker: Blocker,
        /// How long.
        waited: Duration,
    },
    /// The program was told to stop ([`Options::stop`](crate::Options::stop)) in the middle of work on many pieces. What is
    /// done stays done, and no piece is half done.
    #[error("told to stop when {done} of {of} {work}; do it again for the rest")]
    Interrupted {
        /// What was done with how many: "segments were removed".
        work: &'static str,
        /// How many pieces.
        done: u64,
        /// Of how many.
        of: u64,
    },
    /// The files under this handle no longer have their names in the directory that was opened.
    #[error("the log was replaced or removed since it was opened; open it again")]
    Replaced,
    /// The directory of the log was removed since it was opened.
    #[error(
        "the directory that the log was opened in is removed; make it anew, then open the log again (restart)"
    )]
    DirectoryGone,
    /// The process gave its rights up after it had opened the log, and has to open a file of it again: after a rotation, in
    /// a forked child.
    #[error(
        "cannot {operation} again: it was opened by uid {opened_as}, and uid {now}, which this process has become, may not; \
         `chown {now}` the log's files (LOG, LOG.mmlog and its old segments) and let that user search their directory, or open the log after giving up rights"
    )]
    UserChanged {
        /// What was tried.
        operation: &'static str,
        /// The effective user id that opened the log.
        opened_as: u32,
        /// The effective user id now.
        now: u32,
    },
}
