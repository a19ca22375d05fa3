//! A thread's writers: one of each log that it appends to, given back when the thread ends. Above a number, threads share.

use std::cell::RefCell;
use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mmlog::{Fault, Result, Writer};

use crate::ending;
use crate::registry::{Entry, Kept, Opening};

/// So many threads of a process have writers of their own of one log: a pool of a thousand may not take all slots that it has.
const OWN: usize = 64;

struct Seat {
    opening: &'static Opening,
    kept: Kept,
}

impl Seat {
    #[inline]
    fn is_of(&self, opening: &'static Opening) -> bool {
        ptr::eq(self.opening, opening) && self.kept.turn == opening.turn()
    }

    fn is_outdated(&self) -> bool {
        !self.opening.is_here() || self.kept.turn != self.opening.turn()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.opening.threads.fetch_sub(1, Ordering::AcqRel);
    }
}

thread_local! {
    /// The one used last comes first.
    static MINE: RefCell<Vec<Seat>> = const { RefCell::new(Vec::new()) };
}

/// Runs `what` with this thread's writer, or a shared one.
///
/// # Errors
/// What `what` returns, and why there is no writer: the log cannot be opened here, or every slot is taken.
#[inline]
pub fn append<T>(entry: &'static Entry, mut what: impl FnMut(&mut Writer) -> Result<T>) -> Result<T> {
    let opening = entry.opening();
    let done = MINE.try_with(|mine| {
        // A signal handler's, in the middle of an append of this thread.
        let mut seats = mine.try_borrow_mut().ok()?;
        if let Some(seat) = seats.first_mut().filter(|seat| seat.is_of(opening)) {
            return Some(what(&mut seat.kept.writer));
        }
        seat(&mut seats, opening).transpose().map(|writer| what(writer?))
    });
    // A thread that ends has no seats any more, and others have found no room for one.
    match done {
        Ok(Some(done)) => done,
        _ => by_shared(opening, what),
    }
}

/// This thread's writer, put first; `None` when it has to share.
#[cold]
fn seat<'a>(seats: &'a mut Vec<Seat>, opening: &'static Opening) -> Result<Option<&'a mut Writer>> {
    match seats.iter().position(|seat| seat.is_of(opening)) {
        Some(at) => seats.swap(0, at),
        None => {
            seats.retain(|seat| !seat.is_outdated());
            let Some(seat) = take(opening)? else { return Ok(None) };
            seats.insert(0, seat);
        }
    }
    Ok(seats.first_mut().map(|seat| &mut seat.kept.writer))
}

fn take(opening: &'static Opening) -> Result<Option<Seat>> {
    let before = opening.threads.fetch_add(1, Ordering::AcqRel);
    let taken = if before < OWN { writer(opening) } else { Ok(None) };
    match taken {
        Ok(Some(kept)) => {
            ending::expect_of_this_thread();
            Ok(Some(Seat { opening, kept }))
        }
        other => {
            opening.threads.fetch_sub(1, Ordering::AcqRel);
            other.map(|_| None)
        }
    }
}

/// A new writer; `None` when all slots are taken.
fn writer(opening: &'static Opening) -> Result<Option<Kept>> {
    match keep(opening) {
        Ok(kept) => Ok(Some(kept)),
        Err(e) if matches!(e.fault(), Fault::WritersFull { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

fn keep(opening: &'static Opening) -> Result<Kept> {
    let (log, turn) = opening.log_and_turn()?;
    Ok(Kept { turn, writer: log.writer()?, _log: log })
}

/// By one that nobody uses now, else the first, once it is free.
#[cold]
#[inline(never)]
fn by_shared<T>(opening: &'static Opening, what: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
    let free = opening.shared.iter().find_map(|shared| shared.try_lock().ok());
    let mut shared = free.unwrap_or_else(|| opening.shared[0].lock().unwrap_or_else(PoisonError::into_inner));
    let kept = match &mut *shared {
        Some(kept) if kept.turn == opening.turn() => kept,
        other => other.insert(keep(opening)?),
    };
    what(&mut kept.writer)
}

/// Ends what [`open`](crate::open) began. With the last one of the process, the log is given up, and the file trimmed if nobody
/// else writes, for which others in the way are waited for no longer than `patience`.
///
/// # Errors
/// Why it is not trimmed.
pub fn close(entry: &'static Entry, patience: Duration) -> Result<()> {
    let Some(log) = entry.close() else { return Ok(()) };
    give_back(entry.opening());
    match log.trim_if_last(patience) {
        // Removed or replaced meanwhile: there is nothing left to trim.
        Err(e) if matches!(e.fault(), Fault::Replaced | Fault::NoLog) => Ok(()),
        trimmed => trimmed.map(drop),
    }
}

/// Gives all of this thread's writers back.
pub(crate) fn leave() {
    let _ = MINE.try_with(|mine| mine.try_borrow_mut().map(|mut seats| std::mem::take(&mut *seats)));
}

/// Gives this thread's writer back, if it has one.
fn give_back(opening: &'static Opening) {
    let _ = MINE.try_with(|mine| {
        if let Ok(mut seats) = mine.try_borrow_mut() {
            seats.retain(|seat| !ptr::eq(seat.opening, opening));
        }
    });
}
