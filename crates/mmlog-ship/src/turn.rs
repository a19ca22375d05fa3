//! One at a time, as a lock on a file says: the kernel gives it back when its process ends, however that comes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::trouble::{Trouble, failed, shown};

/// The turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _file: File,
}

impl Turn {
    /// Takes it; `whose` says what somebody else is who has it: "another shipper".
    pub(crate) fn take(path: &Path, whose: &str) -> Result<Turn, Trouble> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path);
        let mut file = opened.map_err(failed(path, "open the lock"))?;
        match lock(&file) {
            Ok(true) => {}
            Ok(false) => {
                let mut holder = String::new();
                let _ = file.by_ref().take(200).read_to_string(&mut holder);
                let holder = holder.lines().next().unwrap_or("unknown").to_owned();
                return Err(Trouble::Busy(format!(
                    "{}: {whose} is at it: {holder}; end that one, or let it go on",
                    shown(path)
                )));
            }
            Err(e) => return Err(failed(path, "lock")(e)),
        }
        let me = format!("pid {} ({})\n", std::process::id(), command());
        let told = file.set_len(0).and_then(|()| file.write_all_at(me.as_bytes(), 0));
        // For people alone: a full disk is no reason not to go on.
        let _ = told;
        Ok(Turn { _file: file })
    }
}

fn lock(file: &File) -> io::Result<bool> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    loop {
        return match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
            Ok(_) => Ok(true),
            Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
            Err(nix::Error::EINTR) => continue,
            Err(e) => Err(e.into()),
        };
    }
}

/// How this process was called, as far as fits on a line. Never a secret: those are in files.
fn command() -> String {
    let words = std::env::args_os().map(|word| word.to_string_lossy().escape_debug().to_string());
    words.collect::<Vec<_>>().join(" ").chars().take(150).collect()
}
