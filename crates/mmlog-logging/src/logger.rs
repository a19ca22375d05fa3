//! `log`: a sink behind the facade.

use std::fmt;
use std::io::{self, Write};
use std::time::SystemTime;

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

use crate::event::Event;
use crate::sink::Sink;
use crate::time::Utc;

type Format = dyn Fn(&mut Event<'_>, &Record<'_>) -> io::Result<()> + Send + Sync;

/// A `log::Log` that appends each record as a whole.
pub struct Logger {
    sink: Sink,
    format: Box<Format>,
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").field("sink", &self.sink).finish_non_exhaustive()
    }
}

impl Logger {
    pub(crate) fn new(sink: Sink) -> Self {
        Self { sink, format: Box::new(line) }
    }

    /// How a record is written, in the place of `TIME LEVEL target: message`. Where no newline ends it, one is added.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("app.log");
    /// use std::io::Write;
    /// let logger = mmlog_logging::Sink::open(&path)?.logger();
    /// let logger = logger.format(|event, record| write!(event, "<6>{}", record.args()));
    /// # log::Log::log(&logger, &log::Record::builder().args(format_args!("hello")).build());
    /// # drop(logger);
    /// # assert_eq!(std::fs::read(&path)?, b"<6>hello\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn format(
        mut self,
        format: impl Fn(&mut Event<'_>, &Record<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.format = Box::new(format);
        self
    }

    /// Makes it the program's logger, of records up to that level.
    ///
    /// # Errors
    /// When the program has one.
    pub fn install(self, level: LevelFilter) -> Result<(), SetLoggerError> {
        log::set_boxed_logger(Box::new(self))?;
        log::set_max_level(level);
        Ok(())
    }
}

impl Log for Logger {
    /// What `log::set_max_level` lets through is enabled.
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut event = self.sink.event();
        // The buffer takes all; of a value that cannot be formatted, what stands before it is stored.
        let _ = (self.format)(&mut event, record);
        event.end_line();
    }

    fn flush(&self) {
        self.sink.tell_what_is_lost();
    }
}

fn line(event: &mut Event<'_>, record: &Record<'_>) -> io::Result<()> {
    let (now, level, target) = (Utc(SystemTime::now()), record.level(), record.target());
    writeln!(event, "{now} {level:5} {target}: {}", record.args())
}
