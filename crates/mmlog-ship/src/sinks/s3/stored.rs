//! What a bucket has of a log: names in order, and what is said of an object.

use rusty_s3::actions::HeadObject;

use super::names::{self, Name, What};
use super::wire::{Answer, Wire};
use crate::Error;
use crate::decide::Content;
use crate::trouble::Trouble;
use crate::unit::Header;

/// What fields of a unit are called, of an object.
const META: &str = "x-amz-meta-";
/// Beside those of the unit: where in the chain it is, and what is stored.
pub(super) const COORDINATE: &str = "mm-coordinate";
pub(super) const SIZE: &str = "mm-size";
pub(super) const SHA256: &str = "mm-sha256";
/// How many ranges without content its `.gaps` has.
pub(super) const GAPS: &str = "mm-gaps";

/// What is said of an object.
pub(super) struct Found {
    pub(super) coordinate: u64,
    pub(super) header: Header,
    /// Bytes of it, and their SHA-256 as hexadecimal digits.
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) gaps: u64,
}

/// An object, whoever made it.
pub(super) enum Read {
    Unit(Box<Found>),
    Other(Content, String),
}

/// As headers of a request.
pub(super) fn fields(
    header: &Header,
    coordinate: u64,
    size: u64,
    sha256: &str,
    gaps: usize,
) -> Vec<(String, String)> {
    let own = [
        (COORDINATE, coordinate.to_string()),
        (SIZE, size.to_string()),
        (SHA256, sha256.to_owned()),
        (GAPS, gaps.to_string()),
    ];
    header.fields().into_iter().chain(own).map(|(name, value)| (format!("{META}{name}"), value)).collect()
}

impl Wire {
    /// The key of an object of a log.
    pub(super) fn key(&self, log: u128, name: Name) -> String {
        format!("{}{}{}", self.location.prefix, names::directory(log), name.write())
    }

    /// What is said of an object; nothing, where it is not there.
    pub(super) fn found(&self, log: u128, name: Name) -> Result<Option<Read>, Trouble> {
        let key = self.key(log, name);
        let head = HeadObject::new(&self.location.bucket, Some(&self.credentials), &key);
        let answer = self.ask(head, &[], &[])?;
        match answer.status {
            404 => Ok(None),
            status if status / 100 == 2 => Ok(Some(read(log, name, &answer))),
            _ => Err(self.refused("look at an object", &answer)),
        }
    }

    /// Goes through the names of a log from a position on, in order, as long as it is told to.
    pub(super) fn walk(
        &self,
        log: u128,
        from: u64,
        mut is_wanted: impl FnMut(Name) -> bool,
    ) -> Result<(), Trouble> {
        let directory = format!("{}{}", self.location.prefix, names::directory(log));
        let mut behind = format!("{directory}{}", names::at(from));
        loop {
            let page = self.page(&directory, &behind, true)?;
            for key in &page.keys {
                let name = key.strip_prefix(&directory).and_then(Name::read);
                if name.is_some_and(|name| !is_wanted(name)) {
                    return Ok(());
                }
            }
            match page.keys.last().filter(|last| page.has_more && **last > behind) {
                Some(last) => behind.clone_from(last),
                None => return Ok(()),
            }
        }
    }

    /// The logs that are there.
    pub(super) fn logs(&self) -> Result<Vec<u128>, Trouble> {
        let prefix = &self.location.prefix;
        let (mut logs, mut behind) = (Vec::new(), String::new());
        loop {
            let page = self.page(prefix, &behind, false)?;
            let texts =
                page.logs.iter().filter_map(|text| text.strip_prefix(prefix.as_str())?.strip_suffix('/'));
            logs.extend(texts.filter_map(names::log));
            let last =
                page.logs.iter().chain(&page.keys).max().filter(|last| page.has_more && **last > behind);
            match last {
                // Behind all that begins so.
                Some(last) => behind = format!("{last}\u{7f}"),
                None => return Ok(logs),
            }
        }
    }

    /// The last object of a chain without a gap: that of the object that begins at `known`, or, where there is none any more, what there
    /// is before that. What lies behind it alone is what was on its way when the store lost it.
    pub(super) fn last(&self, log: u128, known: Option<u64>) -> Result<Option<Name>, Trouble> {
        match known {
            None => self.chain(log, 0, u64::MAX),
            Some(known) if self.begins(log, known)? => self.chain(log, known, known),
            Some(known) => self.chain(log, 0, known),
        }
    }

    /// Of the first object from a position on, if it begins at another one at most.
    fn chain(&self, log: u128, from: u64, most: u64) -> Result<Option<Name>, Trouble> {
        let (mut last, mut at): (Option<Name>, u64) = (None, from);
        self.walk(log, from, |name| {
            let is_first = last.is_none() && name.from <= most;
            let is_next = last.is_some() && (name.what == What::Begin && name.from >= at || name.from == at);
            if name.what != What::Gaps && (is_first || is_next) {
                (last, at) = (Some(name), name.to);
            }
            // The same as it is compressed otherwise, or what its ranges are: passed over.
            is_first || is_next || last.is_some() && name.from < at
        })?;
        Ok(last)
    }

    fn begins(&self, log: u128, from: u64) -> Result<bool, Trouble> {
        let mut is_there = false;
        self.walk(log, from, |name| {
            is_there = name.from == from;
            false
        })?;
        Ok(is_there)
    }
}

fn read(log: u128, name: Name, answer: &Answer) -> Read {
    let pairs: Vec<(&str, &str)> = answer
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().strip_prefix(META)?, value.to_str().ok()?)))
        .collect();
    let own = |wanted: &str| pairs.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let number = |name| own(name).and_then(|value| value.parse::<u64>().ok());
    let other = |content, why: &str| Read::Other(content, why.to_owned());
    let (Some(coordinate), Some(size), Some(gaps)) = (number(COORDINATE), number(SIZE), number(GAPS)) else {
        return other(Content::Foreign, "it does not say what it is");
    };
    match Header::read(coordinate, &pairs) {
        Ok(header) if header.log != log || !name.is_of(&header) => {
            other(Content::Foreign, "it says that it is another one than its name does")
        }
        Ok(header) => {
            let sha256 = own(SHA256).unwrap_or_default().to_owned();
            Read::Unit(Box::new(Found { coordinate, header, size, sha256, gaps }))
        }
        Err(e @ Error::Later { version, .. }) => other(Content::Later(version), &e.to_string()),
        Err(e) => other(Content::Foreign, &e.to_string()),
    }
}
