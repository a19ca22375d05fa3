//! Words of error messages: numbers as people read them, reasons and advice behind errnos.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit};

use super::Fault;
use crate::units::{agree, counted, size};

impl Fault {
    /// Without what to do about it.
    pub(crate) fn problem(&self) -> String {
        let text = self.to_string();
        text.split_once("; ").map_or(text.clone(), |(problem, _)| problem.to_owned())
    }

    /// Whether this user lacks a permission.
    pub(crate) fn is_denied(&self) -> bool {
        match self {
            Fault::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Fault::Denied { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Fault {
        move |source| Fault::Io { operation, source }
    }

    /// Another file is in the data file's place, an empty one or not.
    pub(crate) fn replaced_by(is_emptied: bool, recorded: u64, found: u64) -> Self {
        if is_emptied { Self::Emptied { recorded, found } } else { Self::Foreign { recorded, found } }
    }
}

/// Of a metadata file that is a copy.
pub(super) fn made_as(recorded: u64, found: u64) -> String {
    match recorded == found {
        true => format!("inode {recorded} was removed, and one made since has its number"),
        false => format!("it was made as inode {recorded}, it is {found}"),
    }
}

/// Of the file that the metadata names, and of that at the path. A number is given again once nobody has the removed file open.
pub(crate) fn numbers(recorded: u64, found: u64) -> String {
    match recorded == found {
        true => format!("inode {recorded} was removed, and one made since has its number"),
        false => format!("inode {recorded}, the data file is {found}"),
    }
}

pub(super) fn misfit(value: u64, min: u64, max: u64, multiple: u64) -> String {
    if (min..=max).contains(&value) {
        return format!("is not a multiple of {multiple}");
    }
    // Small and odd numbers read best as they are: a range of counts, or of bytes.
    let max = if max >= 1 << 20 { size(max) } else { max.to_string() };
    format!("out of range [{min}, {max}]")
}

pub(super) fn segment(log: &Path, reads: &str, is_there: bool) -> String {
    match is_there {
        true => {
            format!(
                "an old segment of {}; `mmlogctl cat {}` reads that log, {reads}",
                shown(log),
                quoted(log)
            )
        }
        false => format!("by its name an old segment of {}, and that log is not there; {reads}", shown(log)),
    }
}

pub(super) fn too_short(name: &str, expected: u64, found: u64) -> String {
    format!(
        "{name} has {found} of its {expected} bytes: somebody cut it, and it is not compressed; put a good copy in its place, or move it away"
    )
}

pub(super) fn too_long(name: &str, expected: u64, found: u64) -> String {
    let (more, from) = (found.saturating_sub(expected), expected.saturating_add(1));
    format!(
        "{name} has {found} bytes, {more} more than its {expected} positions: somebody appended to it, and it is not compressed; save what is there (`tail -c +{from} {name}`), then `truncate -s {expected} {name}`"
    )
}

/// A file cannot grow: for want of space, or since it may not get longer.
pub(super) fn no_space(needed: u64, free: u64, e: &io::Error) -> String {
    let (needed, reason) = (size(needed), words(e));
    let what = match e.raw_os_error() {
        Some(libc::EFBIG) => {
            let limit = getrlimit(Resource::RLIMIT_FSIZE).ok().map(|(soft, _)| soft);
            let next = too_large(is_limited(Resource::RLIMIT_FSIZE), limit);
            return format!("the file may not grow by {needed}: {reason}; {next}");
        }
        Some(libc::EDQUOT) => "some of this user's quota",
        _ => "some",
    };
    format!(
        "no space to grow by {needed} ({} free): {reason}; free {what} and try again, nothing was taken",
        size(free)
    )
}

/// What to do about a data file that may not get longer, where the program that appends has such a limit, as far as that is
/// known, and where its file system has.
pub(crate) fn too_large(is_limited: bool, limit: Option<u64>) -> String {
    let anew = "`mmlogctl rotate LOG` goes on in a new file";
    match (is_limited, limit.and_then(below)) {
        (true, Some(below)) => format!(
            "`mmlogctl policy --set rotate-size={below} LOG` has it go on in new files, each below the limit; or raise the limit of the program that appends"
        ),
        (true, None) => format!("{anew}; for good, raise the limit of the program that appends"),
        (false, _) => format!("that is the file system's limit: {anew}"),
    }
}

/// A length of segments, as it is typed, that leaves room for a message below a limit; `None` where that is too little for one.
fn below(limit: u64) -> Option<String> {
    // As rotate-size has it.
    const LEAST: u64 = 64 << 10;
    let half = (1_u64 << limit.checked_ilog2()?) / 2;
    (half >= LEAST).then(|| match half {
        half if half >= 1 << 20 => format!("{}M", half >> 20),
        half => format!("{}K", half >> 10),
    })
}

/// The reasons behind the errnos that surprise people here, and what to do.
pub(super) fn words(e: &io::Error) -> String {
    let limit = |resource, name: &str| match getrlimit(resource) {
        Ok((libc::RLIM_INFINITY, _)) => e.to_string(),
        Ok((soft, _)) => format!("{e} ({name} is {soft})"),
        Err(_) => format!("{e} ({name} is unknown)"),
    };
    match e.raw_os_error() {
        Some(libc::EMFILE) => limit(Resource::RLIMIT_NOFILE, "RLIMIT_NOFILE, `ulimit -n`,"),
        Some(libc::ENOMEM) => limit(Resource::RLIMIT_AS, "RLIMIT_AS, `ulimit -v`,"),
        Some(libc::EFBIG) => limit(Resource::RLIMIT_FSIZE, "RLIMIT_FSIZE, `ulimit -f`,"),
        Some(libc::ENFILE) => format!("{e} (system-wide limit, fs.file-max)"),
        Some(libc::ENOLCK) => format!("{e} (the kernel is out of lock records)"),
        Some(libc::EROFS) => format!("{e} (the mount is read-only)"),
        Some(libc::EPERM) => format!("{e} (append-only or immutable attribute set?)"),
        _ => e.to_string(),
    }
}

fn is_limited(resource: Resource) -> bool {
    getrlimit(resource).map_or(true, |(soft, _)| soft != libc::RLIM_INFINITY)
}

pub(super) fn advice(e: &io::Error) -> &'static str {
    known(e).unwrap_or("nothing was changed; look at the file system and try again")
}

fn known(e: &io::Error) -> Option<&'static str> {
    Some(match e.raw_os_error()? {
        libc::ENOENT | libc::ENOTDIR => "make the directory first, or correct the path",
        libc::EACCES => "run it as root, or as a user who may",
        libc::EPERM => "see lsattr; mapped writers need both attributes off",
        libc::EROFS => "remount it writable; cat, tail and status work as it is",
        libc::ENOMEM if !is_limited(Resource::RLIMIT_AS) => {
            "free some memory and try again; dmesg tells what the kernel did for want of it"
        }
        libc::EFBIG if !is_limited(Resource::RLIMIT_FSIZE) => "no file gets longer on this file system",
        libc::EMFILE | libc::ENOMEM | libc::EFBIG => "raise the limit",
        libc::ENFILE | libc::ENOLCK => "close what holds them, then try again",
        libc::ENAMETOOLONG => {
            "name it from a directory nearer to it: a path has at most 4095 bytes, most file systems allow a name 255"
        }
        libc::EIO => "look at dmesg for the disk's errors",
        _ => return None,
    })
}

/// An error of the system in the words that this library's own errors have for it: with the limit that was reached, if it is
/// one, and with what to do behind a semicolon, if that is known.
///
/// For programs that have more files than the log's open.
///
/// ```
/// let no_space = std::io::Error::from_raw_os_error(5);
/// assert_eq!(mmlog::reason(&no_space), "Input/output error (os error 5); look at dmesg for the disk's errors");
/// ```
pub fn reason(e: &io::Error) -> String {
    match (known(e), e.raw_os_error()) {
        // What they say is about a log.
        (Some(next), Some(errno)) if !matches!(errno, libc::EROFS | libc::EPERM) => {
            format!("{}; {next}", words(e))
        }
        _ => e.to_string(),
    }
}

/// What to do about a name that is too long.
pub(super) fn shorter(fits: usize, exists: bool) -> String {
    match exists {
        false => format!("choose a name of at most {fits} bytes"),
        true => format!(
            "stop its programs and give it a name of at most {fits} bytes (rename LOG, LOG.mmlog and its old segments with mv)"
        ),
    }
}

/// What to do about a data file that is gone, in words that hold whether somebody took it, or died while he removed the log.
pub(crate) const GONE: &str = "put it, or a copy, back; else `mmlogctl repair --recreate LOG` goes on behind the lost \
    positions, or, if the log was to be removed, `mmlogctl rm LOG` takes away what is left";

/// A text with the log's path for `LOG`, its metadata's for `LOG.mmlog` and its directory for `LOGDIR`, in the commands that it
/// names, between backticks.
pub fn with_log(text: &str, log: &Path) -> String {
    let (path, directory) = (quoted(log), quoted_directory(log));
    let mut metadata = log.as_os_str().to_owned();
    metadata.push(".mmlog");
    let metadata = quoted(Path::new(&metadata));
    let filled = |command: &str| {
        let words = command.split(' ').map(|word| match word {
            "LOG" => path.as_str(),
            "LOG.mmlog" => metadata.as_str(),
            "LOGDIR" => directory.as_str(),
            _ => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(i, part)| if i % 2 == 1 { filled(part) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`")
}

/// Where a path lies, from where it is named.
pub(crate) fn quoted_directory(path: &Path) -> String {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    quoted(parent.unwrap_or(Path::new(".")))
}

/// What moves a file out of the way, and never over another.
pub(crate) fn set_aside(path: &Path) -> String {
    format!("`{}` moves it away", moves_aside(path))
}

/// The command of it.
pub(crate) fn moves_aside(path: &Path) -> String {
    let mut other = path.as_os_str().to_owned();
    other.push(".other");
    format!("mv -n {} {}", quoted(path), quoted(Path::new(&other)))
}

/// A path as it may stand in a line, control characters escaped.
pub(crate) fn shown(path: &Path) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    path.to_string_lossy().chars().map(escaped).collect()
}

/// As a shell reads it back, whatever its bytes are, and never as an option.
pub fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let lead = if bytes.starts_with(b"-") { "./" } else { "" };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    // What turns the direction of writing would be escaped where it is shown, within quotes; a backquote would end the
    // command in the text around it.
    let hidden = |c: char| {
        c == '`'
            || c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(plain) => format!("{lead}{text}"),
        Ok(text) if !text.contains(hidden) => format!("'{lead}{}'", text.replace('\'', "'\\''")),
        _ => {
            // Three octal digits: no shell takes more for the same byte.
            let escaped = |b: &u8| match b {
                b'\'' | b'\\' | b'`' | ..b' ' | 0x7f.. => format!("\\{b:03o}"),
                b => char::from(*b).to_string(),
            };
            format!("$'{lead}{}'", bytes.iter().map(escaped).collect::<String>())
        }
    }
}

/// Metadata that lies at `there`.
pub(super) fn metadata_moved(there: &Path, used: &str) -> String {
    let who = if used.is_empty() { String::new() } else { format!(", and {used}") };
    format!(
        "the metadata was moved: it is {} now{who}; `mv -n {} LOG.mmlog` puts it back",
        shown(there),
        quoted(there)
    )
}

/// What becomes of a data file without metadata.
pub(super) fn no_metadata(
    len: u64,
    ends_in_nuls: bool,
    segments: u64,
    reads: bool,
    unfit: Option<&str>,
) -> String {
    if segments > 0 {
        return format!(
            "the metadata is gone: this is a log, whose {} {} beside it; put the metadata back where it was moved, or `mmlogctl repair --rebuild LOG` makes it anew from the data file",
            counted(segments, "old segment"),
            agree(segments, "lies", "lie")
        );
    }
    match (ends_in_nuls, reads, unfit) {
        (true, _, _) => format!(
            "not a log (no metadata), and yet it ends in NULs, as a log does to which somebody appends; `mmlogctl repair --rebuild LOG` makes it one that goes on behind the last byte that is none; if all of its {len} bytes are content, `mmlogctl init --adopt --keep-nuls LOG` goes on behind them"
        ),
        (false, true, Some(_)) => {
            format!("not a log (no metadata), a file of {len} bytes; `cat LOG` prints it")
        }
        (false, false, Some(why)) => {
            format!("not a log (no metadata), a file of {len} bytes {why}")
        }
        (false, true, None) => format!(
            "not a log (no metadata), a file of {len} bytes; `cat LOG` prints it; if it was a log, `mmlogctl repair --rebuild LOG` finds where it ends"
        ),
        (false, false, None) => format!(
            "not a log (no metadata); `mmlogctl init --adopt LOG` makes it one that goes on behind its {len} bytes; if it was one, `mmlogctl repair --rebuild LOG` finds where it ends"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_path_back() {
        let names: [&[u8]; 13] = [
            b"plain.log",
            b"",
            b"two words",
            b"it's",
            b"-x",
            b"~",
            b"`id`",
            b"$(rm -rf .)",
            "caf\u{e9} \u{1f600}".as_bytes(),
            b"new\nline",
            b"\x1b[2J'\\1",
            b"-caf\xe9\xff1",
            "a\u{202e}b".as_bytes(),
        ];
        for name in names {
            let said = quoted(Path::new(OsStr::from_bytes(name)));
            assert!(said.is_ascii() || !said.contains(|c: char| c.is_control() || c == '\u{202e}'), "{said}");
            let Ok(shell) =
                std::process::Command::new("bash").args(["-c", &format!("printf %s {said}")]).output()
            else {
                return;
            };
            let read: &[u8] = shell.stdout.strip_prefix(b"./").unwrap_or(&shell.stdout);
            assert_eq!(read, name, "{said}");
        }
    }

    #[test]
    fn a_limit_is_named_and_to_be_raised_where_there_is_one() {
        for (errno, resource, name) in [
            (libc::EMFILE, Resource::RLIMIT_NOFILE, "RLIMIT_NOFILE"),
            (libc::ENOMEM, Resource::RLIMIT_AS, "RLIMIT_AS"),
            (libc::EFBIG, Resource::RLIMIT_FSIZE, "RLIMIT_FSIZE"),
        ] {
            let said = reason(&io::Error::from_raw_os_error(errno));
            let is_named = said.contains(name) && said.contains("; raise the limit");
            assert_eq!(is_named, is_limited(resource), "{said}");
            assert!(!said.contains(&u64::MAX.to_string()) && said.contains("; "), "{said}");
        }
    }

    #[test]
    fn a_file_that_may_not_get_longer_is_not_said_to_lack_space() {
        let said = |errno| no_space(4096, 1 << 30, &io::Error::from_raw_os_error(errno));
        let too_long = said(libc::EFBIG);
        assert!(too_long.starts_with("the file may not grow by 4 KiB: File too large"), "{too_long}");
        assert!(too_long.contains("`mmlogctl rotate LOG` goes on in a new file"), "{too_long}");
        assert!(!too_long.contains("space") && !too_long.contains("free"), "{too_long}");
        for (errno, what) in
            [(libc::ENOSPC, "free some and"), (libc::EDQUOT, "free some of this user's quota and")]
        {
            let said = said(errno);
            assert!(
                said.starts_with("no space to grow by 4 KiB (1 GiB free): ") && said.contains(what),
                "{said}"
            );
        }
    }
}
