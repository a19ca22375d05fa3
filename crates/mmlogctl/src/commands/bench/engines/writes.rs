//! `write`, `writev`, `stdio`, `buffered`, `pwrite`: files as most programs write them.

use std::fs::File;
use std::io::{self, BufWriter, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;

use rawio::map::Words;
use rustix::fs::OFlags;

use super::{Engine, Site, create, data, whole, words};

/// Where the parts of a message meet: a header and its text.
const HEADER: usize = 8;

pub(in super::super) struct Write {
    file: File,
    calls: u64,
}

impl Engine for Write {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        Ok(Self { file: create(&data(site.dir), OFlags::APPEND)?, calls: 0 })
    }

    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        self.calls += 1;
        whole(self.file.write(message)?, message)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.calls += 1;
        self.file.sync_data()
    }

    fn calls(&self) -> Option<u64> {
        Some(self.calls)
    }
}

/// The words that workers share, by number.
pub(super) const WORDS: usize = 2;
pub(super) const CURSOR: usize = 0;
pub(super) const ALLOCATED: usize = 1;

pub(in super::super) struct Writev {
    file: File,
    calls: u64,
}

impl Engine for Writev {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        Ok(Self { file: create(&data(site.dir), OFlags::APPEND)?, calls: 0 })
    }

    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        let (header, text) = message.split_at(HEADER.min(message.len()));
        self.calls += 1;
        let parts = [IoSlice::new(header), IoSlice::new(text)];
        whole(self.file.write_vectored(&parts)?, message)
    }

    fn calls(&self) -> Option<u64> {
        Some(self.calls)
    }
}

pub(in super::super) struct Stdio {
    stream: BufWriter<File>,
    calls: u64,
}

impl Engine for Stdio {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        Ok(Self { stream: BufWriter::new(create(&data(site.dir), OFlags::APPEND)?), calls: 0 })
    }

    /// What fits the buffer goes through it; either way it is one write(2), which appends whole.
    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        self.calls += 1;
        whole(self.stream.write(message)?, message)?;
        self.stream.flush()
    }

    fn calls(&self) -> Option<u64> {
        Some(self.calls)
    }
}

/// Several messages a call, as buffered loggers do.
pub(in super::super) struct Buffered {
    stream: BufWriter<File>,
}

impl Engine for Buffered {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        Ok(Self { stream: BufWriter::new(create(&data(site.dir), OFlags::APPEND)?) })
    }

    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        whole(self.stream.write(message)?, message)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.stream.flush()
    }

    fn calls(&self) -> Option<u64> {
        None
    }
}

pub(in super::super) struct Pwrite {
    file: File,
    words: Words,
    calls: u64,
}

impl Engine for Pwrite {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        let words = Words::map(&create(&words(site.dir), OFlags::empty())?, WORDS)?;
        Ok(Self { file: create(&data(site.dir), OFlags::empty())?, words, calls: 0 })
    }

    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        let at = self.words.word(CURSOR).fetch_add(message.len() as u64, Ordering::AcqRel);
        self.calls += 1;
        whole(self.file.write_at(message, at)?, message)
    }

    fn calls(&self) -> Option<u64> {
        Some(self.calls)
    }
}
