//! What the threads of a `tail` share: the plan, the output, orders, the place reached.
//!
//! The main thread takes neither the output nor any lock that is held while writing: it must be
//! able to end the command when the reader of the output stands still.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mmlog::{Fault, LogId, Position};

use super::delivery::{By, Delivery, Reader};
use super::follow::SLICE;
use super::held::Held;
use super::plan::{Follow, Plan};
use crate::exit::{Exit, Failure, shown};
use crate::output::Output;
use crate::reading::copy::{Given, Order, Shown, Sink};
use crate::reading::cursor_file::{CursorFile, Place};
use crate::reading::place_file::{Kept, PlaceFile};
use crate::signals;

/// The shared things.
#[derive(Debug)]
pub(super) struct Shared {
    plan: Plan,
    screen: Mutex<Screen>,
    task: AtomicU8,
    /// Bytes of output that were written.
    written: AtomicU64,
    delivery: Mutex<Delivery>,
    saved: Mutex<Saved>,
    held: Mutex<Option<Held>>,
    worst: Mutex<Result<Exit, Failure>>,
}

/// What the threads are to do; only ever raised.
#[derive(Copy, Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub(super) enum Task {
    /// Follow.
    Follow,
    /// Print what is final now, then end.
    Drain,
    /// End where they are.
    End,
}

/// Standard output, and whose lines were written last.
#[derive(Debug)]
struct Screen {
    out: Output,
    of: Option<usize>,
}

impl Shared {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            screen: Mutex::new(Screen { out: Output::standard(), of: None }),
            task: AtomicU8::new(Task::Follow as u8),
            written: AtomicU64::new(0),
            delivery: Mutex::default(),
            saved: Mutex::default(),
            held: Mutex::default(),
            worst: Mutex::new(Ok(Exit::Done)),
        }
    }

    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn task(&self) -> Task {
        match self.task.load(Ordering::Acquire) {
            // What is asked for ends by itself, at the first look behind it.
            0 if self.plan.times.is_over() => Task::Drain,
            0 => Task::Follow,
            1 => Task::Drain,
            _ => Task::End,
        }
    }

    pub(super) fn give(&self, task: Task) {
        self.task.fetch_max(task as u8, Ordering::AcqRel);
    }

    /// Notes that something failed, says so, and when nobody reads any more ends everything.
    pub(super) fn fail(&self, failure: Failure) {
        let mut worst = hold(&self.worst);
        match failure {
            Failure::OutputClosed => {
                *worst = Err(Failure::OutputClosed);
                self.give(Task::End);
            }
            Failure::Said { exit, text } => {
                hold(&self.screen).out.notice(&text);
                if let Ok(worst) = worst.as_mut() {
                    *worst = exit.max(*worst);
                }
            }
        }
    }

    /// Notes what the command has to end with at least.
    fn worsen(&self, to: Exit) {
        if let Ok(worst) = hold(&self.worst).as_mut() {
            *worst = to.max(*worst);
        }
    }

    /// How the command ends.
    pub(super) fn ended(&self) -> Result<Exit, Failure> {
        match &*hold(&self.worst) {
            Ok(exit) => Ok(*exit),
            Err(_) => Err(Failure::OutputClosed),
        }
    }

    /// One line on standard error about the log that was named `index`th.
    pub(super) fn say(&self, index: usize, text: &str) {
        hold(&self.screen).out.notice(&format!("{}: {text}", shown(&self.plan.logs[index])));
    }

    /// One line on standard error.
    pub(super) fn notice(&self, text: &str) {
        hold(&self.screen).out.notice(text);
    }

    /// Says whose lines follow, unless that is known.
    pub(super) fn title(&self, index: usize) -> Result<(), Failure> {
        self.write_title(&mut hold(&self.screen), index)
    }

    fn write_title(&self, screen: &mut Screen, index: usize) -> Result<(), Failure> {
        let title = screen.turn_to(index, &self.plan);
        self.write(screen, Shown { bytes: &title, given: Given::Whole }, LogId::default())
    }

    fn write(&self, screen: &mut Screen, shown: Shown<'_>, id: LogId) -> Result<(), Failure> {
        if self.plan.cursor_file.is_some() {
            hold(&self.delivery).begin(shown.bytes.len(), shown.given, id);
        }
        let done = screen.out.write_counted(shown.bytes, &self.written);
        if done.is_err() {
            hold(&self.delivery).broke_off(self.written.load(Ordering::Acquire));
        }
        done
    }

    /// What says from now on how far the consumer has come.
    pub(super) fn go_by(&self, by: By) {
        hold(&self.delivery).go_by(by);
    }

    /// Takes acknowledgements; the first that cannot be one.
    pub(super) fn acknowledge(&self, positions: &[u64]) -> Result<(), u64> {
        let mut delivery = hold(&self.delivery);
        positions
            .iter()
            .find(|position| !delivery.acknowledge(**position))
            .map_or(Ok(()), |wrong| Err(*wrong))
    }

    /// The output goes on at this place, of another log than before.
    pub(super) fn go_on(&self, place: Place) {
        hold(&self.delivery).settled(place);
    }

    /// Opens the cursor-file, for the log that was named `index`th; what it holds.
    pub(super) fn open_cursor_file(&self, file: &CursorFile, index: usize) -> Result<Option<Kept>, Failure> {
        let opened = PlaceFile::open(file, &self.plan.logs[index])?;
        let kept = opened.load()?;
        *hold(&self.saved) = Saved { file: Some(opened), is_new: kept.is_none(), place: None };
        Ok(kept)
    }

    /// The output begins at this place.
    ///
    /// # Errors
    /// When no place was ever saved, and this one cannot be: all of it would come again. Else what keeps it from being
    /// saved is said by who saves it from then on.
    pub(super) fn start(&self, place: Place) -> Result<(), Failure> {
        let mut saved = hold(&self.saved);
        match saved.save(place) {
            Err(e) if saved.is_new => return Err(self.not_saved(&e)),
            Err(_) | Ok(()) => {}
        }
        hold(&self.delivery).start(place);
        Ok(())
    }

    fn not_saved(&self, error: &io::Error) -> Failure {
        let path = self.plan.cursor_file.as_ref().map_or(Path::new(""), CursorFile::path);
        Failure::io(path, "writing the cursor-file", error)
    }

    /// Looks how far the consumer has come, and writes that place to the cursor-file if it has changed.
    pub(super) fn save_place(&self, out: &mut Output) -> Result<Came, Failure> {
        if self.plan.cursor_file.is_none() {
            return Ok(Came::Nowhere);
        }
        // Before the reader is asked: what is written meanwhile counts the next time.
        let written = self.written.load(Ordering::Acquire);
        let reader = match out.unread() {
            None => Reader::Nobody,
            Some(_) if out.is_closed() => Reader::Gone,
            Some(bytes) => Reader::Behind(bytes),
        };
        let now = hold(&self.delivery).look(written, reader, Instant::now());
        let mut saved = hold(&self.saved);
        let Some(place) = now else { return Ok(Came::Nowhere) };
        if saved.place == Some(place) {
            self.hold_by(out, |held| held.stay(&place));
            return Ok(Came::Nowhere);
        }
        if let Err(e) = saved.save(place) {
            // Which stays where it is, with what this consumer needs next time.
            self.hold_by(out, |held| saved.place.is_none_or(|place| held.stay(&place)));
            return Err(self.not_saved(&e));
        }
        self.hold_by(out, |held| held.follow(&place));
        Ok(Came::Further)
    }

    /// Whether the consumer has everything, as far as can be seen.
    pub(super) fn is_delivered(&self) -> bool {
        self.plan.cursor_file.is_none() || hold(&self.delivery).is_settled()
    }

    /// From now on this hold goes by the cursor-file. The one before may be that of the same log, and is given back first.
    /// A signal that comes while the log is waited for ends the command as it does later, before anything is printed.
    pub(super) fn hold(&self, begin: impl FnOnce() -> mmlog::Result<Held>) -> Result<(), Failure> {
        drop(hold(&self.held).take());
        match begin() {
            Err(e) if matches!(e.fault(), Fault::Stopped { .. }) => self.notice(&e.to_string()),
            held => *hold(&self.held) = Some(held?),
        }
        Ok(())
    }

    /// Says once that the hold is gone.
    fn hold_by(&self, out: &mut Output, go: impl FnOnce(&mut Held) -> bool) {
        let mut held = hold(&self.held);
        if held.as_mut().is_none_or(go) {
            return;
        }
        *held = None;
        let (log, name) = (shown(&self.plan.logs[0]), self.plan.hold.as_deref().unwrap_or_default());
        out.notice(&format!(
            "{log}: hold {name} was ended, or another process has it now; this one goes on without"
        ));
    }
}

/// Whether the place is another one than before.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Came {
    Further,
    Nowhere,
}

/// The cursor-file, and what is in it.
#[derive(Debug, Default)]
struct Saved {
    file: Option<PlaceFile>,
    /// Whether it held none when it was opened.
    is_new: bool,
    place: Option<Place>,
}

impl Saved {
    fn save(&mut self, place: Place) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.save(&place)?;
            self.place = Some(place);
        }
        Ok(())
    }
}

impl Screen {
    /// What says whose lines follow, unless that is known.
    fn turn_to(&mut self, index: usize, plan: &Plan) -> Vec<u8> {
        let turns = self.of != Some(index);
        let is_first = self.of.replace(index).is_none();
        match plan.title(index) {
            Some(title) if turns && is_first => title,
            Some(title) if turns => [b"\n", title.as_slice()].concat(),
            _ => Vec::new(),
        }
    }
}

/// The output, for one log.
pub(super) struct Share<'a> {
    pub(super) shared: &'a Shared,
    pub(super) index: usize,
    pub(super) id: LogId,
}

impl Sink for Share<'_> {
    fn write(&mut self, shown: Shown<'_>) -> Result<(), Failure> {
        while !hold(&self.shared.delivery).has_room() && self.order() == Order::GoOn {
            std::thread::sleep(SLICE / 10);
        }
        let mut screen = hold(&self.shared.screen);
        self.shared.write_title(&mut screen, self.index)?;
        self.shared.write(&mut screen, shown, self.id)
    }

    fn say(&mut self, text: &str) {
        self.shared.say(self.index, text);
    }

    fn worsen(&mut self, to: Exit) {
        self.shared.worsen(to);
    }

    fn passes(&self, failed: Exit) -> bool {
        let plan = &self.shared.plan;
        match failed {
            Exit::Damaged => true,
            Exit::Failed => (plan.follow == Follow::No || plan.until_now) && plan.cursor_file.is_none(),
            _ => false,
        }
    }

    fn reading(&mut self, of: LogId) {
        self.id = of;
    }

    fn settled(&mut self, below: Position) {
        if self.shared.plan.cursor_file.is_some() {
            hold(&self.shared.delivery).settled(Place { id: self.id, position: below });
        }
    }

    fn order(&self) -> Order {
        if self.shared.task() == Task::End || signals::came() { Order::Stop } else { Order::GoOn }
    }
}

/// A lock whose holder panicked is taken all the same: the panic itself ends the command.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::args::parse;
    use super::*;

    fn titles(line: &[&str], turns: &[usize]) -> String {
        let Ok(args) = parse(line) else { unreachable!("{line:?} does not parse") };
        let mut screen = Screen { out: Output::memory(), of: None };
        let Ok(plan) = Plan::new(&args, &screen.out) else { unreachable!("{line:?} is no plan") };
        for index in turns {
            let title = screen.turn_to(*index, &plan);
            assert!(screen.out.write(&title).is_ok());
        }
        String::from_utf8_lossy(screen.out.taken().0).into_owned()
    }

    #[test]
    fn several_logs_have_titles_whenever_another_one_speaks() {
        assert_eq!(titles(&["a", "b"], &[0, 0, 1, 0]), "==> a <==\n\n==> b <==\n\n==> a <==\n");
        assert_eq!(titles(&["-v", "a"], &[0, 0]), "==> a <==\n");
        assert_eq!(titles(&["-q", "a", "b"], &[0, 1]), "");
        assert_eq!(titles(&["a"], &[0]), "");
        assert_eq!(titles(&["-ojson", "a", "b"], &[0, 1]), "");
    }

    #[test]
    fn one_cursor_file_is_for_one_log() {
        let refused =
            parse(&["--cursor-file=c", "a", "b"]).map(|args| Plan::new(&args, &Output::memory()).err());
        assert!(refused.is_ok_and(|failure| failure.is_some_and(|failure| failure.exit() == Exit::Usage)));
    }
}
