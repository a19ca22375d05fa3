//! The objects of a bucket, in the order of their names, log by log.
//!
//! A segment is fetched into a file that has no name, and checked as a whole, its size, its SHA-256, and the sum of what it decodes to,
//! before anything of it is given on.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::libc;
use rusty_s3::actions::GetObject;
use sha2::{Digest as _, Sha256};

use super::super::aside::aside;
use super::location::Location;
use super::names::{self, Name, What};
use super::stored::{Found, Read};
use super::upload::hex;
use super::wire::{Answer, Wire};
use crate::receive::{Fed, Feed, Fetched};
use crate::segment::{Gap, decoded, summed};
use crate::sinks::Stored;
use crate::trouble::{Trouble, failed};
use crate::unit::{Id, Kind};

/// What a segment is fetched into, for the moment in which it has a name.
const PART: &str = "receive.part";
/// More ranges without content are not read.
const GAPS: u64 = 4 << 20;

/// A bucket that is read.
pub struct S3Feed {
    location: Location,
    into: PathBuf,
    /// The one log that was asked for, where the prefix ends with it.
    only: Option<u128>,
    wire: Option<Arc<Wire>>,
    log: Option<u128>,
    /// Up to where it was given on, and what that is.
    to: u64,
    coordinate: u64,
    id: Id,
    /// What was listed and not given on.
    names: VecDeque<Name>,
}

impl S3Feed {
    /// There; what is fetched lies in that directory for a while.
    pub fn new(mut location: Location, into: &Path) -> Self {
        let above = location.prefix.trim_end_matches('/').rsplit_once('/');
        let (above, last) = above.unwrap_or(("", location.prefix.trim_end_matches('/')));
        let only = names::log(last);
        if only.is_some() {
            location.prefix = if above.is_empty() { String::new() } else { format!("{above}/") };
        }
        let (wire, log, names) = (None, only, VecDeque::new());
        let into = into.to_owned();
        S3Feed { location, into, only, wire, log, to: 0, coordinate: 0, id: 0, names }
    }

    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Wire) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let wire = self.wire.clone().ok_or_else(|| Trouble::Away("it was left".to_owned()))?;
        aside(&self.location.patience, move || job(&wire))
    }

    fn decide(&self, why: &str) -> Trouble {
        Trouble::Decide(format!("{}: {why}", self.location.name))
    }

    /// The log that began behind no other: the first.
    fn first_log(&self) -> Result<Option<u128>, Trouble> {
        if self.only.is_some() {
            return Ok(self.only);
        }
        let logs = self.ask(|wire| {
            let logs = wire.logs()?;
            if logs.len() < 2 {
                return Ok(logs);
            }
            Ok(begins(wire, &logs)?
                .into_iter()
                .filter(|(_, after)| *after == 0)
                .map(|(log, _)| log)
                .collect())
        })?;
        match logs[..] {
            [] => Ok(None),
            [log] => Ok(Some(log)),
            _ => Err(self.decide(&format!(
                "logs lie side by side there, {} of them: receive each by itself, as s3://BUCKET/PREFIX/UUID, {} first",
                logs.len(),
                names::directory(logs[0]).trim_end_matches('/')
            ))),
        }
    }

    /// The log that was made anew where this one ended.
    fn next_log(&mut self) -> Result<bool, Trouble> {
        let (Some(log), None, id) = (self.log, self.only, self.id) else { return Ok(false) };
        if id == 0 {
            return Ok(false);
        }
        let next = self.ask(move |wire| {
            let others: Vec<u128> = wire.logs()?.into_iter().filter(|other| *other != log).collect();
            Ok(begins(wire, &others)?.into_iter().find(|(_, after)| *after == id).map(|(log, _)| log))
        })?;
        if next.is_some() {
            (self.log, self.to) = (next, 0);
        }
        Ok(next.is_some())
    }

    /// A page of names behind the last one.
    fn list(&mut self) -> Result<(), Trouble> {
        let Some(log) = self.log else { return Ok(()) };
        let to = self.to;
        let names = self.ask(move |wire| {
            let mut names = VecDeque::new();
            wire.walk(log, to, |name| {
                names.push_back(name);
                names.len() < 1000
            })?;
            Ok(names)
        })?;
        self.names = names;
        Ok(())
    }

    /// An object that is to come, as it says it is.
    fn found(&self, log: u128, name: Name) -> Result<Found, Trouble> {
        match self.ask(move |wire| wire.found(log, name))? {
            Some(Read::Unit(found)) => Ok(*found),
            Some(Read::Other(_, why)) => {
                Err(self.decide(&format!("{}: {why}; nothing of it was written", name.write())))
            }
            None => Err(Trouble::Away(format!("{} was removed", name.write()))),
        }
    }

    /// What its ranges are, and what is there compressed otherwise, was taken with a segment.
    fn is_taken(&self, log: u128, name: Name) -> Result<bool, Trouble> {
        Ok(match name.what {
            What::Gaps => true,
            // At one position a chain may begin where another one ended.
            What::Begin if name.from == self.to => self.found(log, name)?.coordinate <= self.coordinate,
            _ => name.to <= self.to,
        })
    }

    fn take(&mut self, log: u128, name: Name) -> Result<Fed, Trouble> {
        let found = self.found(log, name)?;
        let header = found.header;
        let is_next = header.kind == Kind::Begin || self.id == 0 || name.from == self.to;
        if !is_next {
            let (from, to) = (self.coordinate + 1, found.coordinate.saturating_sub(1));
            self.id = 0;
            return Ok(Fed::Missing { from, to });
        }
        let unit = Stored { coordinate: found.coordinate, header, payload: Vec::new() };
        let fed = match name.what {
            What::Segment(compression) => {
                let into = self.into.clone();
                let stop = Arc::clone(&self.location.stop);
                let fetched = self.ask(move |wire| {
                    let gaps = gaps(wire, log, name, &found)?;
                    let file = fetch(wire, log, name, &found, &into)?;
                    check(name, &found, &file, &stop)?;
                    Ok((file, gaps))
                });
                let (file, gaps) = fetched?;
                Fed::Segment(Fetched { unit, file, compression, gaps })
            }
            _ => Fed::Unit(unit),
        };
        self.names.pop_front();
        (self.to, self.coordinate, self.id) = (header.to, unit_of(&fed), header.id());
        Ok(fed)
    }
}

fn unit_of(fed: &Fed) -> u64 {
    match fed {
        Fed::Unit(unit) => unit.coordinate,
        Fed::Segment(fetched) => fetched.unit.coordinate,
        _ => 0,
    }
}

/// Of each log, what its first object follows.
fn begins(wire: &Wire, logs: &[u128]) -> Result<Vec<(u128, Id)>, Trouble> {
    let mut found = Vec::new();
    for log in logs {
        let mut first = None;
        wire.walk(*log, 0, |name| {
            first = Some(name).filter(|name| name.what != What::Gaps);
            first.is_none()
        })?;
        if let Some(name) = first
            && let Some(Read::Unit(unit)) = wire.found(*log, name)?
        {
            found.push((*log, unit.header.after));
        }
    }
    Ok(found)
}

fn wrong(wire: &Wire, name: Name, why: &str) -> Trouble {
    Trouble::Decide(format!("{}: {}: {why}; nothing of it was written", wire.location.name, name.write()))
}

/// Ranges of a segment without content.
fn gaps(wire: &Wire, log: u128, name: Name, found: &Found) -> Result<Vec<Gap>, Trouble> {
    if found.gaps == 0 {
        return Ok(Vec::new());
    }
    let key = wire.key(log, name.gaps());
    let get = GetObject::new(&wire.location.bucket, Some(&wire.credentials), &key);
    let answer = wire.ask(get, &[], &[])?;
    if answer.status == 404 {
        return Err(wrong(wire, name.gaps(), "it is not there"));
    }
    if !answer.is_done() || answer.body.len() as u64 > GAPS {
        return Err(wire.refused("read an object", &answer));
    }
    let gaps = Gap::read(&answer.body, name.from, name.to);
    let gaps = gaps.filter(|gaps| gaps.len() as u64 == found.gaps);
    gaps.ok_or_else(|| wrong(wire, name.gaps(), "these are no ranges of the segment"))
}

/// Fetches it into a file without a name: whoever is killed leaves nothing.
fn fetch(wire: &Wire, log: u128, name: Name, found: &Found, into: &Path) -> Result<File, Trouble> {
    let path = into.join(PART);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(&path).map_err(failed(&path, "make"))?;
    fs::remove_file(&path).map_err(failed(&path, "remove"))?;
    let key = wire.key(log, name);
    let get = GetObject::new(&wire.location.bucket, Some(&wire.credentials), &key);
    let (status, headers, body) = wire.open(get, &[], &[])?;
    if status / 100 != 2 {
        let mut text = String::new();
        let _ = body.into_reader().take(GAPS).read_to_string(&mut text);
        return Err(wire.refused("read an object", &Answer { status, headers, body: text }));
    }
    // No more than it says of itself: what a server sends has no end otherwise.
    let mut bytes = body.into_reader().take(found.size + 1);
    let (mut sum, mut len, mut slice) = (Sha256::new(), 0, vec![0; 256 << 10]);
    loop {
        let got = bytes.read(&mut slice).map_err(|e| Trouble::Away(format!("an object was cut: {e}")))?;
        if got == 0 {
            break;
        }
        if wire.location.stop.load(Ordering::Acquire) {
            return Err(Trouble::Away("it was told to end".to_owned()));
        }
        sum.update(&slice[..got]);
        len += got as u64;
        file.write_all(&slice[..got]).map_err(failed(into, "write what was fetched"))?;
    }
    if len != found.size {
        return Err(wrong(wire, name, &format!("it has {len} bytes, and says {}", found.size)));
    }
    if hex(&sum.finalize()) != found.sha256 {
        return Err(wrong(wire, name, "its bytes have another SHA-256 than it says"));
    }
    Ok(file)
}

/// Whether it decodes to what its header says.
fn check(name: Name, found: &Found, file: &File, stop: &AtomicBool) -> Result<(), Trouble> {
    let What::Segment(compression) = name.what else { return Ok(()) };
    let wrong = |why: &str| Trouble::Decide(format!("{}: {why}; nothing of it was written", name.write()));
    let mut from = file;
    from.rewind().map_err(|e| Trouble::Failed(format!("{}: cannot read: {e}", name.write())))?;
    let most = found.header.length();
    let decoded = decoded(compression, file).and_then(|bytes| summed(bytes, most, stop));
    match decoded.map_err(|e| wrong(&format!("it cannot be decoded: {e}")))? {
        None => Err(Trouble::Away("it was told to end".to_owned())),
        Some((len, _)) if len != most => Err(wrong("it has another length than its name says")),
        Some((_, sum)) if sum != found.header.sum => Err(wrong("its bytes have another sum than it says")),
        Some(_) => Ok(()),
    }
}

impl Feed for S3Feed {
    fn name(&self) -> &str {
        &self.location.name
    }

    fn open(&mut self) -> Result<Option<u64>, Trouble> {
        self.names.clear();
        self.wire = Some(Arc::new(Wire::new(&self.location, &Arc::new(AtomicU64::new(0)))?));
        if self.log.is_none() || self.only.is_some() {
            let Some(log) = self.first_log()? else { return Ok(None) };
            self.log = Some(log);
            let is_there = self.ask(move |wire| {
                let mut is_there = false;
                wire.walk(log, 0, |_| {
                    is_there = true;
                    false
                })?;
                Ok(is_there)
            })?;
            return Ok(is_there.then(|| self.location.born()));
        }
        Ok(Some(self.location.born()))
    }

    fn turn_to(&mut self, log: u128, to: u64) {
        (self.log, self.to) = (Some(log), to);
    }

    fn begin(&mut self, coordinate: u64, id: Id) -> Result<bool, Trouble> {
        (self.coordinate, self.id) = (coordinate, id);
        self.names.clear();
        let Some(log) = self.log.filter(|_| coordinate != 0) else {
            self.to = 0;
            return Ok(true);
        };
        // The object that was taken last, or that is not there any more, with all before it.
        let to = self.to;
        let (found, is_later) = self.ask(move |wire| {
            let (mut found, mut is_later) = (Vec::new(), false);
            wire.walk(log, 0, |name| {
                if name.to == to && name.what != What::Gaps {
                    found.push(name);
                }
                is_later |= name.from >= to && name.what != What::Begin;
                name.to <= to
            })?;
            Ok((found, is_later))
        })?;
        if found.is_empty() && is_later || id == 0 {
            return Ok(true);
        }
        for name in found {
            if self.found(log, name)?.header.id() == id {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn next(&mut self) -> Result<Fed, Trouble> {
        loop {
            if self.names.is_empty() {
                self.list()?;
            }
            let (Some(log), Some(name)) = (self.log, self.names.front().copied()) else {
                return if self.next_log()? { Ok(Fed::Later) } else { Ok(Fed::Nothing) };
            };
            if self.is_taken(log, name)? {
                self.names.pop_front();
                if self.names.is_empty() {
                    return Ok(Fed::Nothing);
                }
                continue;
            }
            return self.take(log, name);
        }
    }
}

impl std::fmt::Debug for S3Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Feed").field("name", &self.location.name).finish_non_exhaustive()
    }
}
