//! How far the consumer has come: what was written is not what it has.
//!
//! A pipe, or a socket of this machine, holds up to a megabyte that dies with its reader. What the reader has taken is what was
//! written less what the pipe still holds (FIONREAD), or the socket (SIOCOUTQ, which is too much rather than too little), and that counts only once the reader was seen to live on for a moment: one that took
//! a block and ended (`head`) has perhaps not used all of it. So after a reader that died some lines come again, and
//! none is missing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mmlog::{LogId, Position};

use crate::reading::copy::Given;
use crate::reading::cursor_file::Place;

/// For how long a reader has to live on after it has taken something.
pub(super) const LIVES_ON: Duration = Duration::from_millis(50);

/// What is known of the output and of the place that it has come to.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Bytes of output that were begun to be written.
    begun: u64,
    /// Where which place is reached, in the order of the output.
    marks: VecDeque<Mark>,
    /// The consumer has everything below.
    now: Option<Place>,
    /// What it seems to have since then.
    taken: Option<(Place, Instant)>,
    by: By,
}

/// What says how far the consumer has come.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum By {
    /// What it takes from the pipe.
    #[default]
    Taking,
    /// Its acknowledgements.
    Acks,
    /// Nothing any more.
    Nothing,
}

/// So many objects may wait for an acknowledgement.
const UNACKNOWLEDGED: usize = 1 << 20;

/// The bytes `[from, to)` of the output lead to a place.
#[derive(Copy, Clone, Debug)]
struct Mark {
    /// Equal to `to` where only all of what is before counts; below, each byte is one of the log's.
    from: u64,
    to: u64,
    place: Place,
}

/// What is known of the reader.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Reader {
    /// A file or a terminal: what is written has arrived.
    Nobody,
    /// A pipe or socket that still holds so many bytes.
    Behind(u64),
    /// One that nobody reads any more.
    Gone,
}

impl Delivery {
    /// The place where the output begins.
    pub(super) fn start(&mut self, place: Place) {
        self.now.get_or_insert(place);
    }

    /// So many bytes are going to be written, which are this of the log.
    pub(super) fn begin(&mut self, len: usize, given: Given<'_>, id: LogId) {
        let from = self.begun;
        self.begun += len as u64;
        match given {
            _ if self.by == By::Nothing => {}
            Given::Whole => {}
            Given::Bytes(at) => {
                let place = Place { id, position: at + len as u64 };
                self.marks.push_back(Mark { from, to: self.begun, place });
            }
            Given::Records(ends) => {
                let mark = |&(len, position): &(usize, Position)| {
                    let to = from + len as u64;
                    Mark { from: to, to, place: Place { id, position } }
                };
                self.marks.extend(ends.iter().map(mark));
            }
        }
    }

    /// Only so many bytes could be written: nobody is to be waited for who takes more.
    pub(super) fn broke_off(&mut self, written: u64) {
        self.begun = written;
        self.marks.retain_mut(|mark| {
            let lacks = mark.to.saturating_sub(written);
            if mark.from < written && lacks > 0 {
                mark.place.position = Position::new(mark.place.position.get() - lacks);
                mark.to = written;
            }
            mark.to <= written
        });
    }

    /// From now on the consumer's acknowledgements count, or nothing does.
    pub(super) fn go_by(&mut self, by: By) {
        self.by = by;
        if by == By::Nothing {
            self.marks.clear();
        }
    }

    /// Whether more may be written.
    pub(super) fn has_room(&self) -> bool {
        self.by != By::Acks || self.marks.len() < UNACKNOWLEDGED
    }

    /// The consumer is done with everything up to the end of an object; false when that was not printed, or is smaller
    /// than before.
    pub(super) fn acknowledge(&mut self, position: u64) -> bool {
        if self.now.is_some_and(|now| now.position.get() == position) {
            return true;
        }
        let Some(index) = self.marks.iter().position(|mark| mark.place.position.get() == position) else {
            return false;
        };
        self.now = self.marks.drain(..=index).next_back().map(|mark| mark.place);
        true
    }

    /// Everything below the place has been given out by what was written until now.
    pub(super) fn settled(&mut self, place: Place) {
        // Only an object can be acknowledged.
        if self.by != By::Taking {
            return;
        }
        if self.marks.back().map_or(self.now, |mark| Some(mark.place)) != Some(place) {
            self.marks.push_back(Mark { from: self.begun, to: self.begun, place });
        }
    }

    /// Looks at the reader, who was given `written` bytes; the place to save.
    pub(super) fn look(&mut self, written: u64, reader: Reader, now: Instant) -> Option<Place> {
        if self.by != By::Taking {
            return self.now;
        }
        match reader {
            // What it had not been seen to live on with may be lost.
            Reader::Gone => return self.now,
            Reader::Nobody => {
                self.now = self.pass(written).or(self.now);
                return self.now;
            }
            Reader::Behind(bytes) => {
                if let Some((place, _)) = self.taken.filter(|(_, at)| now.duration_since(*at) >= LIVES_ON) {
                    (self.now, self.taken) = (Some(place), None);
                }
                if self.taken.is_none() {
                    self.taken = self.pass(written.saturating_sub(bytes)).map(|place| (place, now));
                }
            }
        }
        self.now
    }

    /// Whether the place is as far as the output.
    pub(super) fn is_settled(&self) -> bool {
        self.marks.is_empty() && self.taken.is_none()
    }

    /// The place that so many bytes of output lead to, if it is another one than before.
    fn pass(&mut self, taken: u64) -> Option<Place> {
        let mut passed = None;
        while let Some(mark) = self.marks.front().filter(|mark| mark.to <= taken) {
            passed = Some(mark.place);
            self.marks.pop_front();
        }
        match self.marks.front_mut() {
            Some(mark) if mark.from < taken => {
                let left = mark.to - taken;
                mark.from = taken;
                let position = Position::new(mark.place.position.get() - left);
                Some(Place { position, ..mark.place })
            }
            _ => passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: LogId = LogId { uuid: [7; 16], epoch: 0 };

    fn place(position: u64) -> Place {
        Place { id: ID, position: Position::new(position) }
    }

    /// The place after the reader was seen with so many bytes of ten left, and seen again.
    fn with(delivery: &mut Delivery, written: u64, left: u64) -> Option<u64> {
        let now = Instant::now();
        delivery.look(written, Reader::Behind(left), now);
        delivery.look(written, Reader::Behind(left), now + LIVES_ON).map(|place| place.position.get())
    }

    #[test]
    fn what_could_not_be_written_is_not_waited_for() {
        let mut delivery = Delivery::default();
        delivery.start(place(100));
        delivery.begin(10, Given::Bytes(Position::new(100)), ID);
        delivery.begin(10, Given::Bytes(Position::new(110)), ID);
        delivery.broke_off(4);
        let now = delivery.look(4, Reader::Nobody, Instant::now());
        assert_eq!((now, delivery.is_settled()), (Some(place(104)), true));
    }

    #[test]
    fn bytes_count_one_by_one_and_records_whole() {
        let mut bytes = Delivery::default();
        bytes.start(place(100));
        bytes.begin(10, Given::Bytes(Position::new(100)), ID);
        bytes.settled(place(110));
        // A hole.
        bytes.settled(place(130));
        for (left, position) in [(10, 100), (9, 101), (1, 109), (0, 130)] {
            assert_eq!(with(&mut bytes, 10, left), Some(position));
        }
        assert!(bytes.is_settled());
        let mut records = Delivery::default();
        records.start(place(0));
        records.begin(10, Given::Records(&[(4, Position::new(2)), (10, Position::new(5))]), ID);
        for (left, position) in [(10, 0), (7, 0), (6, 2), (1, 2), (0, 5)] {
            assert_eq!(with(&mut records, 10, left), Some(position));
        }
    }

    #[test]
    fn what_is_still_being_written_does_not_count() {
        let mut delivery = Delivery::default();
        delivery.start(place(0));
        delivery.begin(10, Given::Bytes(Position::new(0)), ID);
        assert_eq!(with(&mut delivery, 6, 2), Some(4));
        assert_eq!(with(&mut delivery, 6, 8), Some(4));
    }

    #[test]
    fn a_reader_that_took_something_and_ended_has_perhaps_not_used_it() {
        let now = Instant::now();
        let mut delivery = Delivery::default();
        delivery.start(place(0));
        delivery.begin(10, Given::Bytes(Position::new(0)), ID);
        delivery.look(10, Reader::Behind(5), now);
        assert_eq!(delivery.look(10, Reader::Gone, now + LIVES_ON), Some(place(0)));
        let mut file = Delivery::default();
        file.begin(10, Given::Bytes(Position::new(0)), ID);
        assert_eq!(file.look(10, Reader::Nobody, now), Some(place(10)));
    }
}
