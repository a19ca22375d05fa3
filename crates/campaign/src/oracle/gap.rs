//! What lies between acknowledged messages.

use std::collections::BTreeMap;
use std::ops::Range;

use super::acks::{Acks, Fate};
use super::check::Found;
use super::content::Content;
use super::message::{HEAD, Label, is_tiny};

/// Announced messages whose writers died before they could say what became of them.
#[derive(Default)]
pub(crate) struct Maybes {
    /// By number.
    left: BTreeMap<u32, Label>,
    /// Those shorter than a head, which only their bytes can tell.
    tiny: Vec<(Vec<u8>, u32)>,
}

impl Maybes {
    pub(super) fn add(&mut self, acks: &Acks, label: Label) {
        self.left.insert(label.number, label);
        if (label.len as usize) < HEAD {
            let mut bytes = Vec::new();
            label.write(acks.seed(), &mut bytes);
            self.tiny.push((bytes, label.number));
        }
    }

    /// Those that were not found.
    pub(super) fn left(&self) -> impl Iterator<Item = &Label> {
        self.left.values()
    }

    /// Takes tiny messages, each once, whose bytes one after the other are all of `bytes`; false when none are.
    fn take_tiny(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        for i in 0..self.tiny.len() {
            let (tiny, number) = &self.tiny[i];
            let Some(rest) = bytes.strip_prefix(&tiny[..]) else { continue };
            let Some(label) = self.left.remove(number) else { continue };
            if self.take_tiny(rest) {
                return true;
            }
            self.left.insert(label.number, label);
        }
        false
    }
}

/// Accounts for every byte of `range`.
pub(super) fn walk(
    found: &mut Found,
    maybes: &mut Maybes,
    acks: &Acks,
    content: &Content,
    range: Range<u64>,
) {
    let mut at = range.start;
    while at < range.end {
        let next_hole = content.holes.partition_point(|hole| hole.end <= at);
        let hole = content.holes.get(next_hole);
        if let Some(hole) = hole.filter(|hole| hole.start <= at) {
            at = hole.end;
            continue;
        }
        let end = hole.map_or(range.end, |hole| hole.start.min(range.end));
        at += piece(found, maybes, acks, content.at(at, (end - at) as usize), at);
    }
}

/// What an outsider puts behind a log by `>>`: of no writer, and in the log if it was taken over.
pub(crate) const FROM_A_SHELL: &[u8] = b"from a shell\n";

/// The length of what stands at the front of `bytes`, which lie at `at`.
fn piece(found: &mut Found, maybes: &mut Maybes, acks: &Acks, bytes: &[u8], at: u64) -> u64 {
    let run = |belongs: fn(u8) -> bool| bytes.iter().take_while(|&&b| belongs(b)).count();
    let nuls = run(|b| b == 0);
    if nuls > 0 {
        found.runs += 1;
        return nuls as u64;
    }
    if bytes.starts_with(FROM_A_SHELL) {
        return FROM_A_SHELL.len() as u64;
    }
    let tiny = run(is_tiny);
    if tiny > 0 {
        let before = maybes.left.len();
        if !maybes.take_tiny(&bytes[..tiny]) {
            found.wrong(|| format!("{} at {at} are no message's that is missing", text(&bytes[..tiny])));
        }
        found.unacknowledged += (before - maybes.left.len()) as u64;
        return tiny as u64;
    }
    let Some(label) = Label::read(acks.seed(), bytes) else {
        found.wrong(|| format!("{} at {at} are nobody's", text(bytes)));
        return bytes.len() as u64;
    };
    let mut expected = Vec::new();
    label.write(acks.seed(), &mut expected);
    if !bytes.starts_with(&expected) {
        found.wrong(|| format!("{label:?}, not acknowledged, is torn at {at}"));
        return bytes.len() as u64;
    }
    if maybes.left.remove(&label.number) == Some(label) {
        found.unacknowledged += 1;
    } else {
        let fate = match acks.look(label.number) {
            Some((_, Fate::Acknowledged(other))) => format!("is doubled: acknowledged at {other}"),
            Some((_, Fate::Refused)) => "was refused with an error".into(),
            Some((_, Fate::Maybe)) => "is doubled: unacknowledged, and whole twice".into(),
            None => "was never announced".into(),
        };
        found.wrong(|| format!("{label:?} is whole at {at}, but {fate}"));
    }
    u64::from(label.len)
}

fn text(bytes: &[u8]) -> String {
    format!("{} bytes, {:02x?}...,", bytes.len(), &bytes[..bytes.len().min(24)])
}
