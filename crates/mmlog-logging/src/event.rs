//! One event: what is written to it, however many pieces that takes, is appended as a whole.

use std::cell::Cell;
use std::io::{self, Write};
use std::thread;

use crate::sink::Sink;

/// A buffer that an unusual event has made longer than that is not kept.
const KEPT: usize = 64 * 1024;

thread_local! {
    /// What the thread's events are written to. Away while there is one: an event within an event has another.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One event of a [`Sink`]. It is appended when it is dropped, as a whole; one that a panic cuts off is not.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("app.log");
/// use std::io::Write;
/// let sink = mmlog_logging::Sink::open(&path)?;
/// let mut event = sink.event();
/// write!(event, "in pieces, ")?;
/// writeln!(event, "but whole")?;
/// drop(event);
/// drop(sink);
/// assert_eq!(std::fs::read(&path)?, b"in pieces, but whole\n");
/// # Ok(())
/// # }
/// ```
pub struct Event<'a> {
    sink: &'a Sink,
    text: Vec<u8>,
    /// It is the event of a panic, not cut off by one.
    began_in_panic: bool,
}

impl<'a> Event<'a> {
    pub(crate) fn new(sink: &'a Sink) -> Self {
        let text = BUFFER.try_with(Cell::take).unwrap_or_default();
        Self { sink, text, began_in_panic: thread::panicking() }
    }

    #[cfg(feature = "log")]
    pub(crate) fn end_line(&mut self) {
        if self.text.last().is_some_and(|last| *last != b'\n') {
            self.text.push(b'\n');
        }
    }
}

impl Write for Event<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(piece);
        Ok(piece.len())
    }

    /// Does nothing: the end of the event appends it, and then it is in the file's pages.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        let is_cut_off = thread::panicking() && !self.began_in_panic;
        if !self.text.is_empty() && !is_cut_off {
            self.sink.store(&self.text);
        }
        if self.text.capacity() <= KEPT {
            self.text.clear();
            let text = std::mem::take(&mut self.text);
            let _ = BUFFER.try_with(|kept| kept.set(text));
        }
    }
}
