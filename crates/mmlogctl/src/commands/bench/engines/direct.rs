//! `direct`: O_DIRECT as a write-ahead log of Seastar does it. A file a worker; messages gather in an aligned block,
//! full blocks are written at their positions by native AIO, several in flight, in any order. The last block is filled
//! up with zeros to a whole sector, and the file cut behind the last message.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use rawio::aio::{Aio, Done};
use rawio::aligned::{ALIGNMENT, Aligned};
use rustix::fs::{FallocateFlags, OFlags, fallocate};

use super::floors::STEP;
use super::{Engine, Site, create, own};

const BLOCK: usize = 128 << 10;
const IN_FLIGHT: usize = 8;

pub(in super::super) struct Direct {
    file: File,
    aio: Aio,
    free: Vec<Aligned>,
    block: Aligned,
    filled: usize,
    /// Where the block goes.
    at: u64,
    allocated: u64,
    calls: u64,
}

impl Engine for Direct {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        Ok(Self {
            file: create(&own(site.dir, site.worker), OFlags::DIRECT)?,
            aio: Aio::new(IN_FLIGHT)?,
            free: (0..IN_FLIGHT).map(|_| Aligned::zeroed(BLOCK)).collect(),
            block: Aligned::zeroed(BLOCK),
            filled: 0,
            at: 0,
            allocated: 0,
            calls: 0,
        })
    }

    #[inline]
    fn append(&mut self, mut message: &[u8]) -> io::Result<()> {
        while !message.is_empty() {
            let n = message.len().min(BLOCK - self.filled);
            let (now, later) = message.split_at(n);
            self.block.bytes_mut()[self.filled..self.filled + n].copy_from_slice(now);
            self.filled += n;
            message = later;
            if self.filled == BLOCK {
                self.write(BLOCK)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let end = self.at + self.filled as u64;
        if self.filled > 0 {
            let whole = self.filled.next_multiple_of(ALIGNMENT);
            self.block.bytes_mut()[self.filled..whole].fill(0);
            self.write(whole)?;
        }
        while let Some(done) = self.aio.reap() {
            self.free.push(settled(done)?);
        }
        self.calls += 1;
        self.file.set_len(end)
    }

    fn calls(&self) -> Option<u64> {
        Some(self.calls + self.aio.calls())
    }
}

impl Direct {
    fn write(&mut self, len: usize) -> io::Result<()> {
        // Writing behind the end of a file would be done synchronously.
        while self.allocated < self.at + len as u64 {
            self.calls += 1;
            fallocate(&self.file, FallocateFlags::empty(), self.allocated, STEP)?;
            self.allocated += STEP;
        }
        if self.free.is_empty() {
            let done = self.aio.reap().ok_or(io::ErrorKind::ResourceBusy)?;
            self.free.push(settled(done)?);
        }
        let next = self.free.pop().ok_or(io::ErrorKind::ResourceBusy)?;
        let full = std::mem::replace(&mut self.block, next);
        self.aio.submit(self.file.as_fd(), full, len, self.at)?;
        self.at += len as u64;
        self.filled = 0;
        Ok(())
    }
}

fn settled(done: Done) -> io::Result<Aligned> {
    if done.written? == done.asked { Ok(done.buffer) } else { Err(io::ErrorKind::WriteZero.into()) }
}
