//! A thread's writers: one of each log that it appends to, given back when the thread ends. Above a number, threads share.

use std::cell::RefCell;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use mmlog::{Fault, Position, Result, Writer};

use crate::codes::{Failure, Outcome};
use crate::registry::{Entry, Opening, SHARED};

/// So many threads of a process have writers of their own of one log: a pool of a thousand may not take all slots that it has.
const OWN: usize = 64;

struct Seat {
    opening: &'static Opening,
    turn: u64,
    writer: Writer,
}

impl Seat {
    #[inline]
    fn is_of(&self, opening: &'static Opening) -> bool {
        ptr::eq(self.opening, opening) && self.turn == opening.turn()
    }

    fn is_outdated(&self) -> bool {
        !self.opening.is_here() || self.turn != self.opening.turn()
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

/// Appends by this thread's writer, or a shared one.
#[inline]
pub(crate) fn append<T>(entry: &'static Entry, what: impl FnOnce(&mut Writer) -> Result<T>) -> Outcome<T> {
    let opening = entry.opening();
    let mut what = Some(what);
    let mut go = |writer: &mut Writer| match what.take() {
        Some(what) => what(writer).map_err(Failure::from),
        None => Err(Failure::invalid("appended twice")),
    };
    let done = MINE.try_with(|mine| {
        // A signal handler's, in the middle of an append of this thread.
        let mut seats = mine.try_borrow_mut().ok()?;
        if let Some(seat) = seats.first_mut().filter(|seat| seat.is_of(opening)) {
            return Some(go(&mut seat.writer));
        }
        match seat(&mut seats, opening) {
            Ok(Some(writer)) => Some(go(writer)),
            Ok(None) => None,
            Err(failure) => Some(Err(failure)),
        }
    });
    // A thread that ends has no seats any more, and others have found no room for one.
    match done {
        Ok(Some(done)) => done,
        _ => {
            let mut shared = shared(opening)?;
            match shared.as_mut() {
                Some((_, writer)) => go(writer),
                None => Err(Failure::invalid("the log is closed")),
            }
        }
    }
}

/// This thread's writer, put first; `None` when it has to share.
#[cold]
fn seat<'a>(seats: &'a mut Vec<Seat>, opening: &'static Opening) -> Outcome<Option<&'a mut Writer>> {
    match seats.iter().position(|seat| seat.is_of(opening)) {
        Some(at) => seats.swap(0, at),
        None => {
            seats.retain(|seat| !seat.is_outdated());
            let Some(seat) = take(opening)? else { return Ok(None) };
            seats.insert(0, seat);
        }
    }
    Ok(seats.first_mut().map(|seat| &mut seat.writer))
}

fn take(opening: &'static Opening) -> Outcome<Option<Seat>> {
    let before = opening.threads.fetch_add(1, Ordering::AcqRel);
    let taken = if before < OWN { writer(opening) } else { Ok(None) };
    match taken {
        Ok(Some((turn, writer))) => Ok(Some(Seat { opening, turn, writer })),
        other => {
            opening.threads.fetch_sub(1, Ordering::AcqRel);
            other.map(|_| None)
        }
    }
}

/// A new writer; `None` when all slots are taken.
fn writer(opening: &'static Opening) -> Outcome<Option<(u64, Writer)>> {
    let (log, turn) = opening.log_and_turn()?;
    match log.writer() {
        Ok(writer) => Ok(Some((turn, writer))),
        Err(e) if matches!(e.fault(), Fault::WritersFull { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

type Shared = MutexGuard<'static, Option<(u64, Writer)>>;

/// One that nobody uses now, else the first, once it is free.
fn shared(opening: &'static Opening) -> Outcome<Shared> {
    let free = opening.shared.iter().take(SHARED).find_map(|shared| shared.try_lock().ok());
    let mut shared = free.unwrap_or_else(|| opening.shared[0].lock().unwrap_or_else(PoisonError::into_inner));
    if shared.as_ref().is_none_or(|(turn, _)| *turn != opening.turn()) {
        let (log, turn) = opening.log_and_turn()?;
        *shared = Some((turn, log.writer()?));
    }
    Ok(shared)
}

/// Gives this thread's writer back, if it has one.
pub(crate) fn give_back(opening: &'static Opening) {
    let _ = MINE.try_with(|mine| {
        if let Ok(mut seats) = mine.try_borrow_mut() {
            seats.retain(|seat| !ptr::eq(seat.opening, opening));
        }
    });
}

/// Appends one message.
#[inline]
pub(crate) fn append_bytes(entry: &'static Entry, message: &[u8]) -> Outcome<Position> {
    append(entry, |writer| writer.append(message))
}
