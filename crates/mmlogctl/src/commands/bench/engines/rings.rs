//! `aio` and `uring`: the kernel's two asynchronous doors, to one file opened for appending.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use rawio::aio::Aio;
use rawio::uring::Uring;
use rustix::fs::OFlags;

use super::{Engine, Site, create, data, whole};

/// With `O_APPEND` the kernel finds the place itself.
const ANYWHERE: u64 = 0;
const IN_FLIGHT: u32 = 32;

/// A buffered write is done when `io_submit` returns, however many are allowed in flight: so one at a time, and its
/// completion is taken from the mapped ring without a call.
pub(in super::super) struct NativeAio {
    file: File,
    aio: Aio,
}

impl Engine for NativeAio {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        Ok(Self { file: create(&data(site.dir), OFlags::APPEND)?, aio: Aio::new(1)? })
    }

    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        whole(self.aio.write(self.file.as_fd(), message, ANYWHERE)?, message)
    }

    fn calls(&self) -> Option<u64> {
        Some(self.aio.calls())
    }
}

/// A message is with the kernel when its append returns, and in the file some time later.
pub(in super::super) struct Ring {
    file: File,
    ring: Uring,
}

impl Engine for Ring {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        let ring = Uring::new(IN_FLIGHT, site.size)?;
        Ok(Self { file: create(&data(site.dir), OFlags::APPEND)?, ring })
    }

    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        self.ring.submit(self.file.as_fd(), message, ANYWHERE)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.ring.finish()
    }

    fn calls(&self) -> Option<u64> {
        Some(self.ring.calls())
    }
}
