//! The units of a stream in order, for whoever receives them. A replica will do.

use std::collections::VecDeque;
use std::time::Duration;

use redis::{Connection, Value};

use super::super::{Patience, Secrets, Stored};
use super::address::Address;
use super::connection::{away, connect};
use super::line::{Answer, Line};
use super::stream::{self, Entry, Group};
use crate::receive::{self, Fed, Feed};
use crate::trouble::Trouble;
use crate::unit::Id;

/// Entries that are asked for together have about so many bytes, and no more than so many are.
const AHEAD: usize = 8 << 20;
const ENTRIES: usize = 1024;
/// So long an answer is waited for in one piece.
const LOOK: Duration = Duration::from_millis(100);
/// An answer that takes longer was of too many.
const LONG: Duration = Duration::from_secs(2);

/// A stream that is read.
pub struct RedisFeed {
    address: Address,
    secrets: Secrets,
    patience: Patience,
    link: Option<Link>,
}

struct Link {
    line: Line,
    name: String,
    key: String,
    born: u64,
    /// The coordinate that comes next.
    next: u64,
    /// What has come.
    came: VecDeque<Entry>,
    /// What was asked for behind that, and how many.
    asked: Option<(Answer<Piece>, usize)>,
    /// So many are asked for.
    count: usize,
}

/// What the stream has from a coordinate on, and where it ends: of one moment.
struct Piece {
    entries: Vec<Entry>,
    group: Option<Group>,
    /// The last coordinate that it gave, where there are no entries.
    last: u64,
}

impl RedisFeed {
    /// The stream there.
    pub fn new(address: Address, secrets: Secrets, patience: Patience) -> Self {
        RedisFeed { address, secrets, patience, link: None }
    }

    fn link(&mut self) -> Result<&mut Link, Trouble> {
        self.link.as_mut().ok_or_else(|| Trouble::Away("the connection was cut".to_owned()))
    }
}

/// One transaction, which nothing comes between.
fn piece(connection: &mut Connection, key: &str, from: u64, count: usize) -> Result<Piece, Trouble> {
    let mut pipe = redis::pipe();
    pipe.atomic().cmd("XRANGE").arg(key).arg(format!("{from}-0")).arg("+").arg("COUNT").arg(count);
    pipe.cmd("XINFO").arg("GROUPS").arg(key);
    let answers = pipe.query::<Vec<Value>>(connection);
    let answers = match answers {
        // A key that is gone has no groups: it was removed.
        Err(e) if e.to_string().contains("no such key") => {
            return Ok(Piece { entries: Vec::new(), group: None, last: 0 });
        }
        answers => answers.map_err(away("read from the stream"))?,
    };
    let [entries, groups] = <[Value; 2]>::try_from(answers).map_err(|_| stream::strange("entries"))?;
    let (entries, group) = (stream::entries(entries)?, stream::group(groups)?);
    let mut last = group.map_or(0, |group| group.at.0);
    // The stream itself is asked only where its group does not stand where everything was received: that costs two units.
    if entries.is_empty() && last + 1 != from {
        last = stream::find(connection, key)?.map_or(0, |stream| stream.last.0);
    }
    Ok(Piece { entries, group, last })
}

impl Link {
    fn next(&mut self, patience: &Patience) -> Result<Fed, Trouble> {
        if let Some(entry) = self.came.pop_front() {
            return self.unit(entry);
        }
        let (answer, count) = match self.asked.take() {
            Some(asked) => asked,
            None => (self.ask(self.next), self.count),
        };
        let Some(piece) = answer.within(LOOK)? else {
            if answer.since.elapsed() >= patience.wait {
                return Err(Trouble::Away(format!("no answer for {} s", patience.wait.as_secs())));
            }
            self.asked = Some((answer, count));
            return Ok(Fed::Later);
        };
        if piece.group.is_none_or(|group| group.born != self.born) {
            return Err(Trouble::Away("it was made anew".to_owned()));
        }
        if piece.entries.is_empty() {
            return self.nothing(piece.last);
        }
        self.sized(&piece.entries, answer.since.elapsed());
        if let Some(last) = piece.entries.last().filter(|_| piece.entries.len() == count) {
            self.asked = Some((self.ask(last.at.0 + 1), self.count));
        }
        self.came.extend(piece.entries);
        Ok(Fed::Later)
    }

    fn ask(&self, from: u64) -> Answer<Piece> {
        let (key, count) = (self.key.clone(), self.count);
        self.line.ask(move |connection| piece(connection, &key, from, count))
    }

    /// How many are asked for next, by how long the longest of these is.
    fn sized(&mut self, entries: &[Entry], took: Duration) {
        let longest = entries.iter().map(Entry::length).max().unwrap_or(0);
        let most = (AHEAD / longest.max(1)).min(self.count * 4);
        self.count = if took > LONG { self.count / 2 } else { most }.clamp(1, ENTRIES);
    }

    fn unit(&mut self, entry: Entry) -> Result<Fed, Trouble> {
        let (at, number) = entry.at;
        if at > self.next {
            self.came.push_front(entry);
            return Ok(self.missing(at - 1));
        }
        if number != 0 {
            let text = format!("the entry {at}-{number} is no unit; nothing of it was written");
            return Err(Trouble::Decide(format!("{}: {text}", self.name)));
        }
        let header = stream::header(at, &entry)?;
        let payload = entry.payload();
        header.check(at, &payload).map_err(|e| Trouble::Decide(format!("{e}; nothing of it was written")))?;
        self.next = at + 1;
        Ok(Fed::Unit(Stored { coordinate: at, header, payload }))
    }

    fn nothing(&mut self, last: u64) -> Result<Fed, Trouble> {
        if last + 1 < self.next {
            return Err(receive::put_back());
        }
        Ok(if last >= self.next { self.missing(last) } else { Fed::Nothing })
    }

    /// Entries are there in order, or were removed.
    fn missing(&mut self, to: u64) -> Fed {
        let from = std::mem::replace(&mut self.next, to + 1);
        Fed::Missing { from, to }
    }
}

/// Where to begin: behind that unit, or with the oldest that is there; and whether that can be.
fn begun(connection: &mut Connection, key: &str, coordinate: u64, id: Id) -> Result<(u64, bool), Trouble> {
    let next = coordinate + 1;
    let Some(there) = stream::find(connection, key)? else { return Ok((next, coordinate == 0)) };
    if coordinate == 0 {
        return Ok((there.first_entry.map_or(there.last.0 + 1, |entry| entry.at.0), true));
    }
    if there.last.0 < coordinate {
        return Ok((next, false));
    }
    let is_there = match stream::at(connection, key, coordinate)? {
        Some(entry) => id == 0 || stream::header(coordinate, &entry)?.id() == id,
        None => true,
    };
    Ok((next, is_there))
}

impl Feed for RedisFeed {
    fn name(&self) -> &str {
        &self.address.name
    }

    fn open(&mut self) -> Result<Option<u64>, Trouble> {
        self.link = None;
        let (address, secrets, wait) = (self.address.clone(), self.secrets.clone(), self.patience.wait);
        let connect = move || {
            let (mut connection, _) = connect(&address, &secrets, wait, true, false)?;
            let group = stream::find_group(&mut connection, &address.key)?;
            Ok((connection, group.map(|group| group.born)))
        };
        let (line, born) = Line::open(connect, &self.patience)?;
        let Some(born) = born else { return Ok(None) };
        let (name, key) = (self.address.name.clone(), self.address.key.clone());
        let came = VecDeque::new();
        self.link = Some(Link { line, name, key, born, next: 1, came, asked: None, count: 1 });
        Ok(Some(born))
    }

    fn begin(&mut self, coordinate: u64, id: Id) -> Result<bool, Trouble> {
        let patience = self.patience.clone();
        let link = self.link()?;
        let key = link.key.clone();
        let answer = link.line.ask(move |connection| begun(connection, &key, coordinate, id));
        let (next, is_there) = answer.wait_for(&patience)?;
        (link.next, link.asked) = (next, None);
        link.came.clear();
        Ok(is_there)
    }

    fn next(&mut self) -> Result<Fed, Trouble> {
        let patience = self.patience.clone();
        self.link()?.next(&patience)
    }
}
