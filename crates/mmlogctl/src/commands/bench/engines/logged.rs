//! `mmlog`: the log itself, through its public door.

use std::io;

use mmlog::Writer;

use super::{Engine, Site};

pub(in super::super) struct Logged {
    writer: Writer,
}

impl Engine for Logged {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        let log = site.log.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { writer: log.writer().map_err(io::Error::other)? })
    }

    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        self.writer.append(message).map_err(io::Error::other).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.writer.sync().map_err(io::Error::other)
    }

    fn append_durable(&mut self, message: &[u8]) -> io::Result<()> {
        self.writer.append_durable(message).map_err(io::Error::other).map(drop)
    }

    fn calls(&self) -> Option<u64> {
        None
    }
}
