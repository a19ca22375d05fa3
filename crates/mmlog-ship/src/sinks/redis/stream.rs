//! What lies in a stream. A unit is the entry `COORDINATE-0`.
//!
//! What is true of the stream as a whole is in a group of readers that nobody reads by, called by when the stream was made and standing at the
//! last unit's coordinate and id. It is a part of the key: it stays when entries are removed, and goes with the key whatever becomes of that.

use redis::{Connection, RedisError, Value, cmd};

use super::super::reading::{Read, read};
use super::connection::{ask, away};
use crate::decide::{Content, Tail, Top};
use crate::trouble::Trouble;
use crate::unit::{Header, Id, Kind};

/// What such a group is called, before sixteen digits.
const GROUP: &str = "mmlog-";
/// The field of an entry that has a unit's bytes.
pub(super) const PAYLOAD: &str = "payload";

/// An entry's id: the coordinate, and a number that is 0 for a unit. Of the group's place: a coordinate, and a unit's id.
pub(super) type Place = (u64, u64);

/// The group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Random.
    pub(super) born: u64,
    pub(super) at: Place,
}

/// What the group of a stream that was made then is called.
pub(super) fn group_name(born: u64) -> String {
    format!("{GROUP}{born:016x}")
}

/// An entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: Place,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// Its fields that are text.
    pub(super) fn pairs(&self) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let fields = self.fields.iter().filter(|(name, _)| name != PAYLOAD.as_bytes());
        fields.filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Its bytes.
    pub(super) fn payload(self) -> Vec<u8> {
        let mut fields = self.fields.into_iter();
        fields.find(|(name, _)| name == PAYLOAD.as_bytes()).map(|(_, value)| value).unwrap_or_default()
    }

    fn read(&self) -> Read {
        match self.at {
            (at, 0) => read(at, &self.pairs()),
            _ => Read::Other(Content::Foreign),
        }
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

pub(super) fn place(value: &Value) -> Option<Place> {
    let Value::BulkString(text) = value else { return None };
    let (at, number) = std::str::from_utf8(text).ok()?.split_once('-')?;
    Some((at.parse().ok()?, number.parse().ok()?))
}

/// Names and values, one behind the other.
fn listed(value: Value) -> Option<Vec<(Vec<u8>, Value)>> {
    let Value::Array(all) = value else { return None };
    let mut all = all.into_iter();
    let mut pairs = Vec::new();
    while let Some(name) = all.next() {
        pairs.push((bytes(name)?, all.next()?));
    }
    Some(pairs)
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Array(parts) = value else { return None };
    let [at, fields] = <[Value; 2]>::try_from(parts).ok()?;
    let fields = listed(fields)?.into_iter().map(|(name, value)| Some((name, bytes(value)?)));
    Some(Entry { at: place(&at)?, fields: fields.collect::<Option<_>>()? })
}

/// Entries, as a range of them is answered.
pub(super) fn entries(value: Value) -> Result<Vec<Entry>, Trouble> {
    let found = match value {
        Value::Array(all) => all.into_iter().map(entry).collect(),
        _ => None,
    };
    found.ok_or_else(|| strange("entries"))
}

/// The group of shippers among all groups.
pub(super) fn group(value: Value) -> Result<Option<Group>, Trouble> {
    let Value::Array(groups) = value else { return Err(strange("groups")) };
    for group in groups {
        let pairs = listed(group).ok_or_else(|| strange("groups"))?;
        let find = |name: &str| pairs.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value);
        let Some(Value::BulkString(name)) = find("name") else { continue };
        let digits = std::str::from_utf8(name).ok().and_then(|name| name.strip_prefix(GROUP));
        let born = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let Some(born) = born.filter(|born| name == group_name(*born).as_bytes()) else { continue };
        let at = find("last-delivered-id").and_then(place).ok_or_else(|| strange("groups"))?;
        return Ok(Some(Group { born, at }));
    }
    Ok(None)
}

pub(super) fn strange(what: &str) -> Trouble {
    Trouble::Away(format!("its answer of {what} is none that is known"))
}

fn is_missing(e: &RedisError) -> bool {
    e.detail().is_some_and(|detail| detail.contains("no such key")) || e.to_string().contains("no such key")
}

/// The group; none where there is no stream, or no shipper has made it.
pub(super) fn find_group(connection: &mut Connection, key: &str) -> Result<Option<Group>, Trouble> {
    match ask(connection, cmd("XINFO").arg("GROUPS").arg(key)) {
        Ok(groups) => group(groups),
        Err(e) if is_missing(&e) => Ok(None),
        Err(e) => Err(away("read the stream's groups")(e)),
    }
}

/// A stream as it says itself.
pub(super) struct Stream {
    /// The last id that it gave, whether that entry is still there or not.
    pub(super) last: Place,
    pub(super) first_entry: Option<Entry>,
    pub(super) last_entry: Option<Entry>,
}

/// What it says; none where there is none.
pub(super) fn find(connection: &mut Connection, key: &str) -> Result<Option<Stream>, Trouble> {
    let said = match ask(connection, cmd("XINFO").arg("STREAM").arg(key)) {
        Err(e) if is_missing(&e) => return Ok(None),
        said => said.map_err(away("read the stream"))?,
    };
    let mut stream = Stream { last: (0, 0), first_entry: None, last_entry: None };
    for (name, value) in listed(said).ok_or_else(|| strange("the stream"))? {
        match &name[..] {
            b"last-generated-id" => stream.last = place(&value).ok_or_else(|| strange("the stream"))?,
            b"first-entry" => stream.first_entry = entry(value),
            b"last-entry" => stream.last_entry = entry(value),
            _ => {}
        }
    }
    Ok(Some(stream))
}

/// The entry there, if it still is.
pub(super) fn at(connection: &mut Connection, key: &str, place: u64) -> Result<Option<Entry>, Trouble> {
    let id = format!("{place}-0");
    let found = ask(connection, cmd("XRANGE").arg(key).arg(&id).arg(&id));
    Ok(entries(found.map_err(away("read an entry"))?)?.pop())
}

/// The last entry up to there.
fn up_to(connection: &mut Connection, key: &str, place: u64) -> Result<Option<Entry>, Trouble> {
    let found = ask(connection, cmd("XREVRANGE").arg(key).arg(place).arg("-").arg("COUNT").arg(1));
    Ok(entries(found.map_err(away("read an entry"))?)?.pop())
}

/// The tail, and the id of the last unit, as far as that is known. Whoever watches the key will hear whether it is still so.
pub(super) fn look(connection: &mut Connection, key: &str) -> Result<(Tail, Option<Id>), Trouble> {
    let empty = Tail { born: 0, coordinate: 0, top: None, content: Content::Empty };
    let Some(stream) = find(connection, key)? else { return Ok((empty, None)) };
    let group = find_group(connection, key)?;
    let born = group.map_or(0, |group| group.born);
    let mut tail = Tail { born, coordinate: stream.last.0, ..empty };
    // Retention takes the oldest. Where a person has removed others, what is below is the tail.
    let (mut there, mut next, mut missing) = (stream.last_entry, tail.coordinate, None);
    while next > 0 {
        let at = there.as_ref().map(|entry| entry.at.0);
        if at != Some(next) {
            missing = missing.or(Some(next));
        }
        let (Some(entry), Some(at)) = (there, at) else { break };
        match entry.read() {
            Read::Unit(header) => {
                tail.top.get_or_insert(Top::of(&header));
                if header.kind != Kind::Opening {
                    tail.content = Content::Unit(header);
                    break;
                }
            }
            Read::Other(content) => {
                tail.content = content;
                break;
            }
        }
        next = at.saturating_sub(1);
        there = if next > 0 { up_to(connection, key, next)? } else { None };
    }
    if let (Content::Empty, Some(missing)) = (tail.content, missing) {
        tail.content = Content::Trimmed(missing);
    }
    let removed = group.filter(|group| group.at.0 == tail.coordinate).map(|group| group.at.1);
    let id = tail.top.map(|top| top.id).or(removed);
    Ok((tail, id))
}

/// Reads a unit's header; what is none is not taken.
pub(super) fn header(at: u64, entry: &Entry) -> Result<Header, Trouble> {
    Header::read(at, &entry.pairs()).map_err(|e| Trouble::Decide(format!("{e}; nothing of it was written")))
}
