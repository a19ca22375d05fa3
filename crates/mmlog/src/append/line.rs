//! A writer as [`std::io::Write`]: whole lines at once or in batches, the last one held back until its newline comes.
//!
//! One buffer holds what is not appended: whole lines, up to the batch, and behind them the line that has begun. What does
//! not fit it takes everything up to the last newline along, as one message.

use std::io::{self, IoSlice, Write};

use super::{LINE_BUFFER, MAX_BATCH, Writer};
use crate::error::{Error, Fault, Result};

impl Writer {
    /// A writer that as [`Write`] holds whole lines back, too, while they are no more than `bytes` together with the
    /// line that has begun: 0, what every writer begins with, to [`MAX_BATCH`], which more counts as. 8192 is a good value.
    ///
    /// What does not fit is appended with everything before it, up to the last newline, as one message: a reservation and a
    /// copy for many lines. Lines stay whole and in order, also those written in pieces (`write!`), whoever else appends
    /// meanwhile; one longer than `bytes` and [`LINE_BUFFER`] is several messages, and so is one in whose middle somebody
    /// flushes.
    ///
    /// Nobody can read what is held back, [`append`](Self::append) overtakes it, and nothing appends it but further lines, `flush`, [`sync`](Self::sync) and dropping
    /// the writer: a program that pauses flushes before. `kill -9`, `abort`, `exit` and a writer in a `static`, which is never
    /// dropped, lose up to `bytes` of this writer's last lines; writers that are not batched lose no whole line.
    ///
    /// Errors are those of [`append`](Self::append), from the call that finds the buffer full. Nothing is lost by them: what
    /// is held back stays, and the next call tries again, dropping the writer, too; see [`Writer`] for errors of that.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// use std::io::Write;
    /// let log = mmlog::Log::options().open_or_create(dir.path().join("app.log"))?;
    /// let mut writer = log.writer()?.batched(8192);
    /// for number in 0..1000 {
    ///     writeln!(writer, "line {number}")?;
    /// }
    /// writer.flush()?; // before a pause, and before the end: here its errors are seen
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn batched(mut self, bytes: usize) -> Self {
        self.batch = bytes.min(MAX_BATCH);
        self
    }

    /// Appends what is held back.
    pub(super) fn flush_held(&mut self) -> Result<()> {
        if self.files.is_stale() {
            self.reattach()?;
        }
        self.append_held(self.held.len(), &[])
    }

    /// Appends so many of the bytes that are held back, with more behind them, as one message.
    fn append_held(&mut self, len: usize, more: &[u8]) -> Result<()> {
        let mut held = std::mem::take(&mut self.held);
        let done = match (&held[..len], more) {
            ([], []) => Ok(()),
            ([], whole) | (whole, []) => self.append(whole).map(drop),
            (begun, rest) => self.append_vectored(&[IoSlice::new(begun), IoSlice::new(rest)]).map(drop),
        };
        if done.is_ok() {
            held.drain(..len);
        }
        self.held = held;
        done
    }
}

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.files.is_stale() {
            self.reattach().map_err(as_io)?;
        }
        if self.held.len() + buf.len() <= self.batch {
            self.held.extend_from_slice(buf);
            return Ok(buf.len());
        }
        let whole = whole_lines(buf);
        if whole > 0 {
            self.append_held(self.held.len(), &buf[..whole]).map_err(as_io)?;
            return Ok(whole);
        }
        self.append_held(whole_lines(&self.held), &[]).map_err(as_io)?;
        let most = LINE_BUFFER.max(self.batch);
        if self.held.len() + buf.len() > most {
            self.flush_held().map_err(as_io)?;
        }
        let taken = buf.len().min(most);
        self.held.extend_from_slice(&buf[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_held().map_err(as_io)
    }
}

/// Behind the last newline.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1)
}

fn as_io(error: Error) -> io::Error {
    let kind = match error.fault() {
        Fault::NoSpace { .. } | Fault::NoInode { .. } => io::ErrorKind::StorageFull,
        Fault::Stalled { .. } => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
