//! `mmlog` and `batched`: the log itself, through its public door.

use std::io::{self, Write as _};

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

/// Whole lines, some held back, as std's buffers do.
pub(in super::super) struct Batched {
    writer: Writer,
}

/// As much as `BufWriter` holds.
const BATCH: usize = 8192;

impl Engine for Batched {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        let log = site.log.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { writer: log.writer().map_err(io::Error::other)?.batched(BATCH) })
    }

    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        self.writer.write_all(message)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.writer.sync().map_err(io::Error::other)
    }

    fn calls(&self) -> Option<u64> {
        None
    }
}
