//! `floor` and `shared-floor`: what mapped files cost without a protocol. Allocated in the log's steps, mapped chunk by
//! chunk, no page touched before a message needs it.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rawio::map::{Window, Words};
use rustix::fs::{FallocateFlags, FlockOperation, OFlags, fallocate, flock};

use super::writes::{ALLOCATED, CURSOR, WORDS};
use super::{Engine, Site, create, data, own, words};

/// A chunk of a log with default options.
pub(super) const STEP: u64 = mmlog::DEFAULT_CHUNK_SIZE;

/// A file and the chunk of it that is mapped.
struct Mapped {
    file: File,
    window: Option<Window>,
    calls: u64,
}

impl Mapped {
    /// Copies `message` to `at`, chunk by chunk; `allocate` is told how far the file has to reach before one is mapped.
    #[inline]
    fn put(
        &mut self,
        at: u64,
        message: &[u8],
        allocate: impl FnMut(&File, u64) -> io::Result<u64>,
    ) -> io::Result<()> {
        match &self.window {
            Some(window) if window.put(at, message) => Ok(()),
            _ => self.put_across(at, message, allocate),
        }
    }

    #[cold]
    fn put_across(
        &mut self,
        mut at: u64,
        mut message: &[u8],
        mut allocate: impl FnMut(&File, u64) -> io::Result<u64>,
    ) -> io::Result<()> {
        while !message.is_empty() {
            let room = self.window.as_ref().map_or(0, |window| window.room(at)).min(message.len());
            let Some(window) = self.window.as_ref().filter(|_| room > 0) else {
                // The one before is unmapped first: two calls, and what `allocate` needs.
                self.calls += u64::from(self.window.take().is_some());
                let chunk = at / STEP * STEP;
                self.calls += 1 + allocate(&self.file, chunk + STEP)?;
                self.window = Some(Window::map(&self.file, chunk, STEP as usize)?);
                continue;
            };
            let (now, later) = message.split_at(room);
            if !window.put(at, now) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            at += room as u64;
            message = later;
        }
        Ok(())
    }
}

pub(in super::super) struct Floor {
    mapped: Mapped,
    at: u64,
}

impl Engine for Floor {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        let file = create(&own(site.dir, site.worker), OFlags::empty())?;
        Ok(Self { mapped: Mapped { file, window: None, calls: 0 }, at: 0 })
    }

    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        self.mapped.put(self.at, message, |file, to| {
            fallocate(file, FallocateFlags::empty(), to - STEP, STEP)?;
            Ok(1)
        })?;
        self.at += message.len() as u64;
        Ok(())
    }

    fn calls(&self) -> Option<u64> {
        Some(self.mapped.calls)
    }
}

pub(in super::super) struct SharedFloor {
    mapped: Mapped,
    words: Words,
    /// Whose lock is the turn to allocate.
    turn: File,
}

impl Engine for SharedFloor {
    fn open(site: &Site<'_>) -> io::Result<Self> {
        let turn = create(&words(site.dir), OFlags::empty())?;
        let file = create(&data(site.dir), OFlags::empty())?;
        let mapped = Mapped { file, window: None, calls: 0 };
        Ok(Self { mapped, words: Words::map(&turn, WORDS)?, turn })
    }

    #[inline]
    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        let Self { mapped, words, turn } = self;
        let at = words.word(CURSOR).fetch_add(message.len() as u64, Ordering::AcqRel);
        mapped.put(at, message, |file, to| grow(words.word(ALLOCATED), turn, file, to))
    }

    fn calls(&self) -> Option<u64> {
        Some(self.mapped.calls)
    }
}

/// One of them allocates, the others sleep until it has; how many calls that took.
#[cold]
fn grow(allocated: &AtomicU64, turn: &File, file: &File, to: u64) -> io::Result<u64> {
    if allocated.load(Ordering::Acquire) >= to {
        return Ok(0);
    }
    flock(turn, FlockOperation::LockExclusive)?;
    let (mut ended, mut calls) = (Ok(()), 2);
    while ended.is_ok() && allocated.load(Ordering::Acquire) < to {
        calls += 1;
        ended = fallocate(file, FallocateFlags::empty(), allocated.load(Ordering::Acquire), STEP);
        if ended.is_ok() {
            allocated.fetch_add(STEP, Ordering::Release);
        }
    }
    flock(turn, FlockOperation::Unlock)?;
    ended?;
    Ok(calls)
}
