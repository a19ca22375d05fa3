//! Small files replaced as a whole: a reader finds the old content or the new, never half of one.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Puts `bytes` in the place of the file at `path`, which stays as it is when that fails. `finish` sees the new file
/// before it gets its name.
pub(crate) fn replace(
    path: &Path,
    bytes: &[u8],
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = beside(path);
    // Left by an earlier process with our pid, or put there by somebody else: never written through.
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let created = OpenOptions::new().write(true).create_new(true).open(&temporary);
    let written = created.and_then(|mut file| {
        file.write_all(bytes)?;
        finish(&file)
    });
    written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// A name that nobody who looks for the file's ending takes for it.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}
