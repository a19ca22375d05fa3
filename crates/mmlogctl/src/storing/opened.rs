//! The log that input is stored in, once there is space to make it, or to open it.

use std::io::IoSlice;
use std::path::Path;
use std::time::Instant;

use mmlog::{Class, Error, Log, Position, Writer};

use super::Storing;
use super::compressor::Compressor;
use super::patience::Patience;
use super::place::{self, Watch};
use crate::exit::Failure;
use crate::output::Output;
use crate::waits::leave;

/// How the log is had.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) args: &'a Storing,
    /// Those of our streams that may not be files of it.
    pub(crate) streams: &'a [place::Stream],
    /// What is stored first begins a line of its own: behind a file that was adopted, or bytes that were taken over or
    /// recovered, without a newline at the end, also where they are in an old segment by now.
    pub(crate) begins_a_line: bool,
    /// Nobody has more to say than what is to be read: most likely one append.
    pub(crate) is_all: bool,
}

/// Why nothing was stored.
pub(super) enum Unstored {
    /// There is no space, which may come.
    Full(Error),
    Failed(Failure),
}

impl From<Error> for Unstored {
    fn from(error: Error) -> Self {
        match error.fault().class() {
            Class::Retry => Self::Full(error),
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<Unstored> for Failure {
    fn from(unstored: Unstored) -> Self {
        match unstored {
            Unstored::Full(error) => error.into(),
            Unstored::Failed(failure) => failure,
        }
    }
}

pub(super) struct Opened {
    log: Log,
    writer: Writer,
    /// Behind the last append.
    end: Position,
    watch: Watch,
    compressor: Compressor,
    /// The last byte stored is a newline.
    at_line_start: bool,
    /// Somebody else left a line without its newline.
    owes_newline: bool,
}

impl Opened {
    pub(super) fn new(
        wanted: &Wanted<'_>,
        patience: &Patience<'_>,
        out: &mut Output,
    ) -> Result<Self, Unstored> {
        let args = wanted.args;
        let options = args.access.options(&args.log).stop(patience.signals.flag());
        // The processors are also those of whoever writes into the pipe.
        let options =
            options.write_long(true).brief(wanted.is_all).drop_behind(args.drop_behind.unwrap_or(0));
        let options = args.creation.apply(options);
        let log = patience.insist(out, &args.log, || {
            if args.no_create { options.open(&args.log) } else { options.open_or_create(&args.log) }
        })?;
        let writer = patience.insist(out, &args.log, || log.writer())?;
        place::refuse_itself(&log, wanted.streams).map_err(Unstored::Failed)?;
        let at_line_start = !wanted.begins_a_line || log.last_byte()?.is_none_or(|last| last == b'\n');
        if let Some(said) = args.creation.overruled(&args.log, &log) {
            out.notice(&said);
        }
        let mut opened = Self {
            end: Position::default(),
            watch: Watch::new(&args.log, log.path()),
            compressor: Compressor::new(args.log.clone(), args.access.options(&args.log)),
            at_line_start,
            owes_newline: !at_line_start,
            log,
            writer,
        };
        if args.syncs() {
            // What was lost before cannot be had again; it costs nothing to ask.
            opened.writer.sync()?;
        }
        Ok(opened)
    }

    pub(super) fn path(&self) -> &Path {
        self.log.path()
    }

    pub(super) const fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Behind the last append.
    pub(super) const fn end(&self) -> Position {
        self.end
    }

    /// What has to stand before the next bytes: a line of ours, if there is one, and the newline that somebody owes it.
    pub(super) fn before(&mut self, own: Option<String>) -> String {
        let owes = std::mem::take(&mut self.owes_newline) || own.is_some();
        let newline = if owes && !self.at_line_start { "\n" } else { "" };
        match own {
            Some(line) if newline.is_empty() => line,
            own => format!("{newline}{}", own.unwrap_or_default()),
        }
    }

    /// Appends the parts as one message.
    pub(super) fn append(
        &mut self,
        parts: &[&[u8]; 3],
        patience: &Patience<'_>,
        out: &mut Output,
    ) -> mmlog::Result<()> {
        let Self { log, writer, .. } = self;
        let at = patience.insist(out, log.path(), || match parts {
            [[], all, []] => writer.append(all),
            parts => writer.append_vectored(&parts.map(IoSlice::new)),
        })?;
        self.end = at + parts.iter().map(|part| part.len() as u64).sum::<u64>();
        let last = parts.iter().rev().find_map(|part| part.last());
        self.at_line_start = last.is_none_or(|last| *last == b'\n');
        Ok(())
    }

    pub(super) fn sync(&mut self, patience: &Patience<'_>, out: &mut Output) -> mmlog::Result<()> {
        let Self { log, writer, .. } = self;
        patience.insist(out, log.path(), || writer.sync())
    }

    /// Whoever looks at the log shall see that so many bytes were dropped.
    pub(super) fn drops(&mut self, bytes: u64) {
        self.writer.drops(bytes);
    }

    /// When [`Opened::look`] is due.
    pub(super) const fn next_look(&self) -> Instant {
        self.watch.next()
    }

    /// Whether the path still leads to the log, and what its policy wants; goes on in the log that was made in its place,
    /// and gives whether it does.
    pub(super) fn look(&mut self, out: &mut Output) -> bool {
        self.watch.look(&mut self.log, &mut self.writer, out)
    }

    /// Says what is wrong although appends work.
    pub(super) fn warn(&mut self, out: &mut Output) {
        self.watch.warn(&self.log, out);
    }

    pub(super) fn compress(&mut self, out: &mut Output) {
        self.compressor.attend(&self.log, out);
    }

    pub(super) fn leave(self, out: &mut Output) -> Result<(), Failure> {
        drop(self.compressor);
        drop(self.writer);
        leave(self.log, out)
    }
}
