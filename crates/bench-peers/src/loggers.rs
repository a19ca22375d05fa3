//! The loggers for Rust: opened as their pages say, with nothing but the message on the line.

use std::io::{self, Write as _};
use std::path::Path;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{self, RollingFileAppender};
use tracing_subscriber::fmt::MakeWriter;

use crate::line::Line;

/// A logger that is open: what to call for each line, and in the end.
pub(crate) trait Logger {
    fn log(&mut self, line: &Line) -> io::Result<()>;

    fn finish(self) -> io::Result<()>;
}

pub(crate) struct Fern;

impl Fern {
    pub(crate) fn open(file: &Path) -> io::Result<Self> {
        let dispatch = fern::Dispatch::new().chain(fern::log_file(file)?);
        dispatch.apply().map(|()| Self).map_err(io::Error::other)
    }
}

impl Logger for Fern {
    fn log(&mut self, line: &Line) -> io::Result<()> {
        log::info!("{}", line.text());
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        log::logger().flush();
        Ok(())
    }
}

/// With the guard of its thread, if it has one.
pub(crate) struct Tracing(Option<WorkerGuard>);

impl Tracing {
    pub(crate) fn blocking(file: &Path) -> io::Result<Self> {
        subscribe(appender(file)?)?;
        Ok(Self(None))
    }

    pub(crate) fn non_blocking(file: &Path) -> io::Result<Self> {
        let (writer, guard): (NonBlocking, _) =
            NonBlockingBuilder::default().lossy(false).finish(appender(file)?);
        subscribe(writer)?;
        Ok(Self(Some(guard)))
    }
}

fn appender(file: &Path) -> io::Result<RollingFileAppender> {
    let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    Ok(rolling::never(dir, name))
}

fn subscribe(writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) -> io::Result<()> {
    let builder = tracing_subscriber::fmt().with_ansi(false).with_level(false).with_target(false);
    builder.without_time().with_writer(writer).try_init().map_err(io::Error::other)
}

impl Logger for Tracing {
    fn log(&mut self, line: &Line) -> io::Result<()> {
        tracing::info!("{}", line.text());
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        drop(self.0);
        Ok(())
    }
}

/// Standard error, as a service has it: a pipe, and no buffer.
pub(crate) struct Pipe;

impl Logger for Pipe {
    fn log(&mut self, line: &Line) -> io::Result<()> {
        io::stderr().write_all(line.bytes())
    }

    fn finish(self) -> io::Result<()> {
        Ok(())
    }
}
