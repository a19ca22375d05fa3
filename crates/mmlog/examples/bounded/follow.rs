//! Following the log from its beginning, and what is missing of each writer's messages.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mmlog::{Hole, HoleKind, Log, Next, Position, Start};

use super::Result;

/// Digits of a writer's number and of a message's, with a space between them.
const DIGITS: (usize, usize) = (6, 16);

/// Whose message it is, and which.
pub(crate) fn stamp(message: &mut [u8], id: u64, number: u64) {
    let mut digits = |from: usize, count: usize, mut value: u64| {
        for at in (from..from + count).rev() {
            message[at] = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    digits(0, DIGITS.0, id);
    digits(DIGITS.0 + 1, DIGITS.1, number);
    message[DIGITS.0] = b' ';
    if let Some(last) = message.last_mut() {
        *last = b'\n';
    }
}

fn stamped(line: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(line.get(..DIGITS.0 + 1 + DIGITS.1)?).ok()?;
    let (id, number) = text.split_once(' ')?;
    Some((id.parse().ok()?, number.parse().ok()?))
}

#[derive(Default)]
pub(crate) struct Followed {
    /// Behind the last byte.
    pub(crate) end: u64,
    messages: u64,
    /// What it was told is gone.
    pruned: u64,
    holes: u64,
    /// A message that is not the next one of its writer, and nothing was said to be missing; or none at all.
    wrong: u64,
    first_wrong: Option<String>,
    /// Of each writer: the next number, and how many ranges were missing when that was seen.
    next: HashMap<u64, (u64, u64)>,
    missing: u64,
    part: Vec<u8>,
}

/// Until the writers have ended and nothing more comes.
pub(crate) fn all(log: &Log, has_ended: &AtomicBool) -> Result<Followed> {
    let mut follower = log.follow(Start::At(Position::new(0)))?;
    let (mut followed, mut buf) = (Followed::default(), vec![0; 1 << 20]);
    loop {
        let ended = has_ended.load(Ordering::Acquire);
        match follower.next(&mut buf)? {
            Next::Bytes(range) => {
                followed.comes_to(range.start);
                let len = usize::try_from(range.end - range.start)?;
                followed.lines(&buf[..len]);
                followed.end = range.end;
            }
            Next::Hole(hole) => followed.hole(&hole),
            Next::CaughtUp if ended => return Ok(followed),
            Next::CaughtUp => drop(follower.wait(Duration::from_millis(10))?),
            _ => {}
        }
    }
}

impl Followed {
    fn comes_to(&mut self, start: u64) {
        if start != self.end {
            self.is_wrong(format!("position {start} comes behind {}", self.end));
        }
    }

    fn hole(&mut self, hole: &Hole) {
        self.comes_to(hole.start);
        self.end = hole.end();
        match hole.kind {
            HoleKind::Pruned => self.pruned += hole.len,
            _ => self.holes += 1,
        }
        self.missing += 1;
        if !self.part.is_empty() && hole.kind != HoleKind::Pruned {
            self.is_wrong(format!("half a message before the hole at {}", hole.start));
        }
        self.part.clear();
    }

    fn lines(&mut self, mut bytes: &[u8]) {
        while let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(at + 1);
            bytes = rest;
            if self.part.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.part);
                whole.extend_from_slice(line);
                self.line(&whole);
            }
        }
        self.part.extend_from_slice(bytes);
    }

    fn line(&mut self, line: &[u8]) {
        self.messages += 1;
        let Some((id, number)) = stamped(line) else {
            return self.is_wrong(format!("no message: {:?}", String::from_utf8_lossy(line)));
        };
        let missing = self.missing;
        let (next, seen) = self.next.insert(id, (number + 1, missing)).unwrap_or((0, 0));
        if number != next && (number < next || seen == missing) {
            self.is_wrong(format!("message {number} of writer {id} comes where {next} is next"));
        }
    }

    fn is_wrong(&mut self, what: String) {
        self.wrong += 1;
        self.first_wrong.get_or_insert(what);
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.first_wrong.clone().map_or(Ok(()), |wrong| Err(wrong.into()))
    }
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { end, messages, pruned, holes, wrong, .. } = self;
        write!(
            f,
            "{messages} messages, told that {pruned} of {end} bytes are pruned, {holes} holes of dead writers, {wrong} wrong"
        )
    }
}
