//! `redis://SERVER[,SERVER...][/DB]/KEY`: a stream of Redis, or of whatever else speaks as that does.
//!
//! A unit is an entry, whose id is its coordinate. Units go in by transactions: several by one, and one transaction at a time. The key is
//! watched from before the tail is read, and a transaction is refused as a whole if anybody changed the key in between: so it lies on
//! what was looked at, or nothing of it is there. Watching ends with the transaction. The next one is sent when the key is watched
//! again and stands, as its group says, at the coordinate and the id of the last unit of the one before: see `stream`.
//!
//! No answer depends on what the server forgets when it starts again, and ids are compared with each transaction, the first of a
//! connection too.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use redis::{Connection, RedisError, Value, cmd};

use super::{Message, Patience, Purpose, Secrets, Sink, Strength};
use crate::decide::Tail;
use crate::trouble::{Trouble, one_line};
use crate::unit::{Id, LONGEST};
pub use address::Address;
use connection::{ask, away};
pub use feed::RedisFeed;
use line::{Answer, Line};
use stream::{Group, PAYLOAD};

mod address;
mod connection;
mod feed;
mod line;
mod stream;

/// A transaction has at least one unit, and up to so many bytes: the server does nothing else meanwhile.
const MOST: usize = 4 << 20;
/// Where a connection begins: whoever has a slow one has to hear of each transaction in time.
const LEAST: usize = 256 << 10;
/// A transaction that takes no longer may be followed by a longer one; one that takes four times as long, by a shorter one.
const QUICK: Duration = Duration::from_millis(250);
/// Units this long go into every server, whatever its `proto-max-bulk-len` is.
const SHORT: u64 = 512 << 10;

/// The sink.
pub struct RedisSink {
    address: Address,
    secrets: Secrets,
    patience: Patience,
    link: Option<Link>,
    notes: Vec<String>,
    /// Whether there was a connection.
    was_open: bool,
    /// How long a unit may be.
    longest: u64,
}

/// A connection, and what it has on its way.
struct Link {
    line: Line,
    born: u64,
    /// What the next unit is to follow. The id is none where nobody knows it.
    tail: Option<(u64, Option<Id>)>,
    /// To be sent, a transaction each.
    batches: VecDeque<Batch>,
    flight: Option<Flight>,
    /// Coordinates that are there, and have not been said.
    ready: VecDeque<u64>,
    /// Somebody else came in between.
    is_overtaken: bool,
    /// A transaction that has so many bytes gets no more.
    most: usize,
    /// The bytes of the longest unit that it took.
    took: u64,
}

/// Units of a transaction, packed as commands.
struct Batch {
    commands: Vec<u8>,
    units: Range<u64>,
    id: Id,
    /// The bytes of the longest one.
    longest: u64,
}

/// A transaction that has no answer.
struct Flight {
    units: Range<u64>,
    longest: u64,
    answer: Answer<bool>,
}

impl RedisSink {
    /// There, with what it takes to be let in.
    pub fn new(address: Address, secrets: Secrets, patience: Patience) -> Self {
        RedisSink {
            address,
            secrets,
            patience,
            link: None,
            notes: Vec::new(),
            was_open: false,
            longest: LONGEST,
        }
    }

    fn link(&mut self) -> Result<&mut Link, Trouble> {
        self.link.as_mut().ok_or_else(|| Trouble::Away("the connection was cut".to_owned()))
    }
}

/// Makes the stream, if it is missing: when it was made, at random.
fn make(connection: &mut Connection, key: &str) -> Result<Group, Trouble> {
    ask(connection, cmd("WATCH").arg(key)).map_err(away("watch the key"))?;
    if let Some(group) = stream::find_group(connection, key)? {
        return Ok(group);
    }
    let born = super::file::random().max(1);
    let group = stream::group_name(born);
    let made = redis::pipe()
        .atomic()
        .cmd("XGROUP")
        .arg("CREATE")
        .arg(key)
        .arg(group)
        .arg("$")
        .arg("MKSTREAM")
        .query::<Value>(connection)
        .map_err(away("make the stream"))?;
    match made {
        Value::Nil => Err(Trouble::Refused("somebody else made it meanwhile".to_owned())),
        _ => Ok(Group { born, at: (0, 0) }),
    }
}

impl Batch {
    fn new(first: u64) -> Self {
        let mut commands = Vec::new();
        cmd("MULTI").write_packed_command(&mut commands);
        Batch { commands, units: first..first, id: 0, longest: 0 }
    }

    fn add(&mut self, key: &str, message: &Message<'_>) {
        let mut add = cmd("XADD");
        add.arg(key).arg(format!("{}-0", self.units.end));
        for (name, value) in message.unit.fields() {
            add.arg(name).arg(value);
        }
        if let Some(cut) = message.cut.word() {
            add.arg(super::Cut::FIELD).arg(cut);
        }
        add.arg(PAYLOAD).arg(message.payload).write_packed_command(&mut self.commands);
        (self.units.end, self.id) = (self.units.end + 1, message.unit.id());
        self.longest = self.longest.max(message.payload.len() as u64);
    }

    /// All of it, with what is asked behind it; how many commands the transaction has, and where it leaves the key.
    fn whole(mut self, key: &str, born: u64) -> (Vec<u8>, u64, Group) {
        let stands = Group { born, at: (self.units.end - 1, self.id) };
        let (group, at) = (stream::group_name(born), format!("{}-{}", stands.at.0, stands.at.1));
        let mut set = cmd("XGROUP");
        set.arg("SETID").arg(key).arg(group).arg(at).write_packed_command(&mut self.commands);
        cmd("EXEC").write_packed_command(&mut self.commands);
        cmd("WATCH").arg(key).write_packed_command(&mut self.commands);
        cmd("XINFO").arg("GROUPS").arg(key).write_packed_command(&mut self.commands);
        (self.commands, self.units.end - self.units.start + 1, stands)
    }
}

impl Link {
    /// Sends the next ones, if nothing is on its way.
    fn start(&mut self, key: &str) {
        if self.flight.is_some() {
            return;
        }
        let Some(batch) = self.batches.pop_front() else { return };
        let (units, longest) = (batch.units.clone(), batch.longest);
        let (commands, queued, stands) = batch.whole(key, self.born);
        let answer = self.line.ask(move |connection| transaction(connection, &commands, queued, stands));
        self.flight = Some(Flight { units, longest, answer });
    }

    /// Waits for what is on its way.
    fn finish(&mut self, key: &str, within: Duration) -> Result<(), Trouble> {
        let Some(flight) = &self.flight else { return Ok(()) };
        let stands = match flight.answer.within(within) {
            Ok(Some(stands)) => stands,
            Ok(None) => return Ok(()),
            Err(trouble) => {
                if !matches!(trouble, Trouble::Away(_)) {
                    // That was an answer, too.
                    self.flight = None;
                }
                return Err(trouble);
            }
        };
        self.took = self.took.max(flight.longest);
        let took = flight.answer.since.elapsed();
        if took < QUICK {
            self.most = (self.most * 2).min(MOST);
        } else if took > 4 * QUICK {
            self.most = (self.most / 2).max(LEAST);
        }
        self.ready.extend(flight.units.clone());
        (self.flight, self.is_overtaken) = (None, !stands);
        if stands {
            self.start(key);
        }
        Ok(())
    }
}

/// Carries a transaction out; whether the key, which is watched again, stands where that left it.
fn transaction(
    connection: &mut Connection,
    commands: &[u8],
    queued: u64,
    stands: Group,
) -> Result<bool, Trouble> {
    connection.send_packed_command(commands).map_err(away("send units"))?;
    let mut answer = || connection.recv_response();
    let mut refused: Option<RedisError> = None;
    // To MULTI, and to each command in it.
    for _ in 0..=queued {
        if let Err(e) = answer().map_err(away("hear of units"))?.extract_error() {
            refused.get_or_insert(e);
        }
    }
    let done = answer().map_err(away("hear of units"))?;
    if let Some(e) = refused {
        return Err(away("send units")(e));
    }
    match done {
        Value::Nil => return Err(Trouble::Refused("it has another tail by now".to_owned())),
        Value::Array(all) => {
            if let Some(e) = all.into_iter().find_map(|value| value.extract_error().err()) {
                let text = one_line(&e.to_string());
                return Err(Trouble::Refused(format!("a unit was not taken: {text}")));
            }
        }
        Value::ServerError(e) => return Err(away("send units")(e.into())),
        _ => return Err(stream::strange("units")),
    }
    // They are there, whatever becomes of the rest.
    let watched = answer().and_then(Value::extract_error);
    let group = answer().and_then(Value::extract_error).ok().map(stream::group);
    Ok(watched.is_ok() && matches!(group, Some(Ok(Some(group))) if group == stands))
}

impl Sink for RedisSink {
    fn name(&self) -> &str {
        &self.address.name
    }

    fn strength(&self) -> Strength {
        Strength::Fenced
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn open(&mut self, purpose: Purpose) -> Result<u64, Trouble> {
        self.close();
        let (address, secrets) = (self.address.clone(), self.secrets.clone());
        let (wait, is_first) = (self.patience.wait, !self.was_open);
        let connect = move || {
            let (mut connection, server) = connection::connect(&address, &secrets, wait, false, is_first)?;
            connection::fits(&mut connection, &server, &address.key, is_first)?;
            let group = match purpose {
                Purpose::Ship => Some(make(&mut connection, &address.key)?),
                Purpose::Look => connection::may_send(&mut connection, &address.key).map(|()| None)?,
            };
            Ok((connection, (server.notes(), group.map_or(0, |group| group.born))))
        };
        let (line, (notes, born)) = Line::open(connect, &self.patience)?;
        self.link = Some(Link {
            line,
            born,
            tail: None,
            batches: VecDeque::new(),
            flight: None,
            ready: VecDeque::new(),
            is_overtaken: false,
            most: LEAST,
            took: 0,
        });
        (self.notes, self.was_open) = (notes, true);
        if self.longest < LONGEST {
            let most = mmlog::units::size(self.longest);
            self.notes
                .push(format!("it did not take longer units (proto-max-bulk-len): they are {most} at most"));
        }
        Ok(self.longest)
    }

    fn look(&mut self) -> Result<Tail, Trouble> {
        let (key, patience) = (self.address.key.clone(), self.patience.clone());
        let link = self.link()?;
        let answer = link.line.ask(move |connection| {
            ask(connection, cmd("WATCH").arg(&key)).map_err(away("watch the key"))?;
            stream::look(connection, &key)
        });
        let (tail, id) = answer.wait_for(&patience)?;
        // What is on its way is counted already.
        if link.flight.is_none() && link.batches.is_empty() {
            (link.tail, link.born) = (Some((tail.coordinate, id)), tail.born);
        }
        Ok(tail)
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), Trouble> {
        let key = self.address.key.clone();
        let link = self.link()?;
        link.finish(&key, Duration::ZERO)?;
        let (coordinate, id) =
            link.tail.ok_or_else(|| Trouble::Refused("its tail was not read".to_owned()))?;
        let is_next = message.after == coordinate && id.is_none_or(|id| id == message.unit.after);
        if !is_next || link.is_overtaken || link.born == 0 {
            return Err(Trouble::Refused("it has another tail by now".to_owned()));
        }
        let most = link.most;
        if link.batches.back().is_none_or(|batch| batch.commands.len() >= most) {
            link.batches.push_back(Batch::new(message.after + 1));
        }
        if let Some(batch) = link.batches.back_mut() {
            batch.add(&key, message);
        }
        link.tail = Some((message.after + 1, Some(message.unit.id())));
        // One that is not full waits for more, until answers are waited for.
        if link.batches.front().is_some_and(|batch| batch.commands.len() >= most) {
            link.start(&key);
        }
        Ok(())
    }

    fn poll(&mut self, within: Duration) -> Result<Option<u64>, Trouble> {
        let key = self.address.key.clone();
        let link = self.link()?;
        if link.ready.is_empty() {
            if link.is_overtaken {
                return Err(Trouble::Refused("it has another tail by now".to_owned()));
            }
            link.start(&key);
            link.finish(&key, within)?;
        }
        Ok(link.ready.pop_front())
    }

    fn close(&mut self) {
        let Some(link) = self.link.take() else { return };
        // Who sends more than a server takes at once, or than gets through in time, is cut off, and nothing says why.
        if let Some(flight) = link.flight.filter(|flight| flight.longest > link.took.max(SHORT)) {
            self.longest = (flight.longest / 2).max(SHORT);
        }
    }
}

impl std::fmt::Debug for RedisSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSink").field("name", &self.address.name).finish_non_exhaustive()
    }
}
