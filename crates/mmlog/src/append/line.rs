//! A writer as [`std::io::Write`]: whole lines, the last one held back until its newline comes.

use std::io::{self, IoSlice, Write};

use super::{LINE_BUFFER, Writer};
use crate::error::{Error, Fault};

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.files.is_stale() {
            self.reattach().map_err(as_io)?;
        }
        let whole = buf.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        if whole > 0 {
            if self.line.is_empty() {
                self.append(&buf[..whole]).map_err(as_io)?;
            } else {
                let line = std::mem::take(&mut self.line);
                let done = self.append_vectored(&[IoSlice::new(&line), IoSlice::new(&buf[..whole])]);
                self.line = line;
                done.map_err(as_io)?;
                self.line.clear();
            }
            return Ok(whole);
        }
        if self.line.len() + buf.len() > LINE_BUFFER {
            self.flush_line().map_err(as_io)?;
        }
        let taken = buf.len().min(LINE_BUFFER);
        self.line.extend_from_slice(&buf[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_line().map_err(as_io)
    }
}

fn as_io(error: Error) -> io::Error {
    let kind = match error.fault() {
        Fault::NoSpace { .. } | Fault::NoInode { .. } => io::ErrorKind::StorageFull,
        Fault::Stalled { .. } => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
