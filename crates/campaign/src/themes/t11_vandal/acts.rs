//! What a vandal does, and what may come of it.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::Mode;

use crate::oracle::FROM_A_SHELL;
use crate::random::Random;

/// Which file is meant, and a name beside it.
pub(super) struct Target<'a> {
    pub(super) file: &'a Path,
    pub(super) aside: PathBuf,
}

/// What comes of an act.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// None, and nobody notices.
    None,
    /// None in the end; who looks while it lasts may say so.
    Passing,
    /// Bytes of that range may be others, and nobody can know. The rest is as it was.
    Unseen,
    /// The log is damaged, and everybody who looks says so.
    Damage,
    /// As a power cut may leave it, too: damage until somebody opens the log, and nobody else has it open. The log then
    /// ends behind the last byte that is not NUL.
    Curable,
}

impl Harm {
    pub(super) fn lasts(self) -> bool {
        matches!(self, Self::Damage | Self::Curable)
    }
}

pub(super) struct Act {
    pub(super) name: &'static str,
    pub(super) harm: Harm,
    /// What an error may be, by the names of `mmlog::Fault`.
    pub(super) faults: &'static [&'static str],
    /// What `status` says, one of these; or its error.
    pub(super) status: &'static [&'static str],
    /// Cuts the file: a growth under way may lengthen it again, and nobody can know.
    pub(super) cuts: bool,
    /// Returns the range of bytes that are others now.
    pub(super) act: fn(&Target<'_>, &mut Random) -> anyhow::Result<Range<u64>>,
}

const NO_BYTES: Range<u64> = 0..0;
const ALL_BYTES: Range<u64> = 0..u64::MAX;
const TRUNCATED: &[&str] = &["truncated from outside"];
/// Readers take it for a log that was cut.
const OTHER: (&[&str], &[&str]) = (&["Foreign", "Truncated"], &["metadata belongs to another file"]);
const SILENT: (&[&str], &[&str]) = (&[], &[]);

const fn act(
    name: &'static str,
    harm: Harm,
    (faults, status): (&'static [&'static str], &'static [&'static str]),
    act: fn(&Target<'_>, &mut Random) -> anyhow::Result<Range<u64>>,
) -> Act {
    Act { name, harm, faults, status, cuts: false, act }
}

const fn cut(
    name: &'static str,
    (faults, status): (&'static [&'static str], &'static [&'static str]),
    act: fn(&Target<'_>, &mut Random) -> anyhow::Result<Range<u64>>,
) -> Act {
    Act { name, harm: Harm::Damage, faults, status, cuts: true, act }
}

pub(super) const ON_DATA: &[Act] = &[
    act("touch", Harm::None, SILENT, touch),
    act("chmod", Harm::None, SILENT, chmod),
    act("hard link", Harm::None, SILENT, hard_link),
    act(">>", Harm::None, SILENT, append),
    act("mv away and back", Harm::Passing, (&["NoData"], &[]), away_and_back),
    act("punch", Harm::Unseen, SILENT, punch),
    cut("truncate", (&["Truncated"], TRUNCATED), truncate),
    cut(">", (&["Truncated"], TRUNCATED), |target, _| overwrite(target, b"")),
    cut("echo >", (&["Truncated"], TRUNCATED), |target, _| overwrite(target, b"somebody was here\n")),
    cut("cp -f over", (&["Truncated"], TRUNCATED), |target, _| overwrite(target, &[b'x'; 5000])),
    act("unlink", Harm::Damage, (&["NoData"], &["data file is gone"]), unlink),
    act("rename over", Harm::Damage, OTHER, |target, _| rename_over(target, b"another's\n")),
    act("a copy in its place", Harm::Damage, OTHER, copy_over),
    act(
        "a link in its place",
        Harm::Damage,
        (&["Foreign", "Symlink", "NoData"], &["symbolic link"]),
        link_in_its_place,
    ),
    act(
        "a FIFO in its place",
        Harm::Damage,
        (&["Foreign", "NotRegular", "NoData"], &["not a regular file"]),
        fifo,
    ),
];

const GONE: (&[&str], &[&str]) = (&["NoMetadata", "NoLog", "Replaced"], &["no metadata"]);
/// Bytes of no log at its place: an opener may catch it empty, take what is empty away, or begin to make it anew. Emptied
/// between two of his looks, it was made for another file, or as one that it is not.
const GARBAGE: (&[&str], &[&str]) = (
    &[
        "NotMetadata",
        "NoMetadata",
        "NoLog",
        "Replaced",
        "Foreign",
        "Copied",
        "OutOfRange",
        "Geometry",
        "Journal",
        "Truncated",
        "InUse",
        "Poisoned",
    ],
    &["not a log's metadata", "no metadata"],
);
/// As garbage, or any half of it; and who stores while the file is empty, and looks when it has its length again, takes that for a full disk.
const COPIED_OVER: (&[&str], &[&str]) = (
    &[
        "NoSpace",
        "NotMetadata",
        "NoMetadata",
        "NoLog",
        "Replaced",
        "Foreign",
        "Copied",
        "OutOfRange",
        "Geometry",
        "Journal",
        "Truncated",
        "InUse",
        "Poisoned",
    ],
    GARBAGE.1,
);

/// Whoever went on with it would do so from an older cursor.
const COPY: (&[&str], &[&str]) =
    (&["Copied", "Foreign", "Replaced"], &["metadata belongs to another file", "a copy"]);

/// The control: harm that is declared as none, also where a growth hides it from everybody who looks at lengths.
pub(super) const LIE: Act = act("a cut that is called a touch", Harm::None, SILENT, |target, _| {
    overwrite(target, b"").map(|_| NO_BYTES)
});

pub(super) const ON_METADATA: &[Act] = &[
    act("touch", Harm::None, SILENT, touch),
    act("chmod", Harm::None, SILENT, chmod),
    act("hard link", Harm::None, SILENT, hard_link),
    act("mv away and back", Harm::Passing, GONE, away_and_back),
    cut("truncate", GARBAGE, truncate),
    cut(">", GARBAGE, |target, _| overwrite(target, b"")),
    cut("echo >", GARBAGE, |target, _| overwrite(target, b"somebody was here\n")),
    cut("cp -f over", COPIED_OVER, |target, _| overwrite(target, &[b'x'; 300_000])),
    act("punch", Harm::Curable, GARBAGE, punch_header),
    act("unlink", Harm::Damage, GONE, unlink),
    act("rename over", Harm::Damage, GARBAGE, |target, _| rename_over(target, b"another's\n")),
    act("a copy in its place", Harm::Damage, COPY, copy_over),
];

fn touch(target: &Target<'_>, _: &mut Random) -> anyhow::Result<Range<u64>> {
    File::options().write(true).open(target.file)?.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
    Ok(NO_BYTES)
}

fn chmod(target: &Target<'_>, random: &mut Random) -> anyhow::Result<Range<u64>> {
    let mode = *random.pick(&[0o600, 0o644, 0o666, 0o400, 0]);
    fs::set_permissions(target.file, fs::Permissions::from_mode(mode))?;
    Ok(NO_BYTES)
}

fn hard_link(target: &Target<'_>, random: &mut Random) -> anyhow::Result<Range<u64>> {
    fs::hard_link(target.file, &target.aside)?;
    pause(random);
    fs::remove_file(&target.aside)?;
    Ok(NO_BYTES)
}

fn append(target: &Target<'_>, _: &mut Random) -> anyhow::Result<Range<u64>> {
    File::options().append(true).open(target.file)?.write_all(FROM_A_SHELL)?;
    Ok(NO_BYTES)
}

fn away_and_back(target: &Target<'_>, random: &mut Random) -> anyhow::Result<Range<u64>> {
    fs::rename(target.file, &target.aside)?;
    pause(random);
    fs::rename(&target.aside, target.file)?;
    Ok(NO_BYTES)
}

/// Long enough, sometimes, for others to look.
fn pause(random: &mut Random) {
    std::thread::sleep(Duration::from_micros(random.below(1000)));
}

fn len(path: &Path) -> anyhow::Result<u64> {
    Ok(fs::metadata(path)?.len())
}

fn punch(target: &Target<'_>, random: &mut Random) -> anyhow::Result<Range<u64>> {
    let end = len(target.file)?;
    let start = random.below(end);
    let bytes = 1 + random.below((end - start).min(10_000));
    let file = File::options().write(true).open(target.file)?;
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(&file, flags, start.cast_signed(), bytes.cast_signed())?;
    Ok(start..start + bytes)
}

fn punch_header(target: &Target<'_>, _: &mut Random) -> anyhow::Result<Range<u64>> {
    let file = File::options().write(true).open(target.file)?;
    fallocate(&file, FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, 4096)?;
    Ok(ALL_BYTES)
}

fn truncate(target: &Target<'_>, random: &mut Random) -> anyhow::Result<Range<u64>> {
    let to = random.below(len(target.file)?);
    File::options().write(true).open(target.file)?.set_len(to)?;
    Ok(to..u64::MAX)
}

fn overwrite(target: &Target<'_>, with: &[u8]) -> anyhow::Result<Range<u64>> {
    File::options().write(true).truncate(true).open(target.file)?.write_all_at(with, 0)?;
    Ok(ALL_BYTES)
}

fn unlink(target: &Target<'_>, _: &mut Random) -> anyhow::Result<Range<u64>> {
    fs::remove_file(target.file)?;
    Ok(ALL_BYTES)
}

fn rename_over(target: &Target<'_>, with: &[u8]) -> anyhow::Result<Range<u64>> {
    fs::write(&target.aside, with)?;
    fs::rename(&target.aside, target.file)?;
    Ok(ALL_BYTES)
}

fn copy_over(target: &Target<'_>, _: &mut Random) -> anyhow::Result<Range<u64>> {
    fs::copy(target.file, &target.aside)?;
    fs::rename(&target.aside, target.file)?;
    Ok(ALL_BYTES)
}

fn link_in_its_place(target: &Target<'_>, _: &mut Random) -> anyhow::Result<Range<u64>> {
    fs::rename(target.file, &target.aside)?;
    symlink(&target.aside, target.file)?;
    Ok(ALL_BYTES)
}

fn fifo(target: &Target<'_>, _: &mut Random) -> anyhow::Result<Range<u64>> {
    fs::remove_file(target.file)?;
    nix::unistd::mkfifo(target.file, Mode::from_bits_truncate(0o600))?;
    Ok(ALL_BYTES)
}
