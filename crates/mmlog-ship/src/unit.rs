//! What the sink gets: a header, and the bytes of a range or none.
//!
//! A unit is content as a whole or a gap as a whole, so that nothing that is proven later depends on which holes a log knows: those may
//! be others after a power cut. Its id is a sum of its header, which has the id of the unit before: an id says all that is below it.

use crate::error::Error;
use crate::fields::Fields;
use crate::sum;

/// The version that is written.
pub const VERSION: u64 = 1;
/// The longest payload that is read, whatever a unit says of itself.
pub const LONGEST: u64 = 64 << 20;

/// A unit's id; 0 where there is none.
pub type Id = u64;
/// Of a run of a shipper: random.
pub type Run = u64;

/// Why bytes are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// A writer was killed in the middle.
    Hole,
    /// The log kept them no longer, and a person accepted that.
    Pruned,
    /// Somebody who is no writer, or a power cut, took them.
    Lost,
}

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The first of a connection: empty, it moves the tail, so that whatever is still on its way from others is refused.
    Opening,
    /// A chain begins: of a log that is new here, or by a person's decision. Empty.
    Begin,
    /// All bytes of the range.
    Content,
    /// A final segment of the log, as it lies on the disk: all bytes of the range, those without content among them. Its sum is of them
    /// all, not of what they are compressed to.
    Segment,
    /// None of them, and why.
    Gap(Why),
}

impl Kind {
    const ALL: [(Kind, &'static str); 7] = [
        (Kind::Opening, "opening"),
        (Kind::Begin, "begin"),
        (Kind::Content, "content"),
        (Kind::Segment, "segment"),
        (Kind::Gap(Why::Hole), "hole"),
        (Kind::Gap(Why::Pruned), "pruned"),
        (Kind::Gap(Why::Lost), "lost"),
    ];

    /// As units have it.
    pub fn name(self) -> &'static str {
        Kind::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// All content since the chain began or the last gap ended, in one sum: what a log is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Proof {
    /// Where it begins.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// The sum of the bytes between.
    pub sum: u64,
}

impl Proof {
    /// The three fields of one whose sum has that name.
    pub(crate) fn read(fields: &Fields<'_>, name: &str) -> Result<Proof, Error> {
        Ok(Proof {
            from: fields.number(&format!("{name}-from"))?,
            to: fields.number(&format!("{name}-to"))?,
            sum: fields.hex(name)?,
        })
    }

    /// Of nothing yet.
    pub fn at(position: u64) -> Self {
        Proof { from: position, to: position, sum: 0 }
    }

    /// With content behind it; where that is behind a gap, of that alone.
    pub fn and(self, from: u64, to: u64, sum: u64) -> Self {
        let before = if self.to == from { self } else { Proof::at(from) };
        Proof { from: before.from, to, sum: sum::join(before.sum, sum, to - from) }
    }

    /// Without what `mark`, an earlier proof from the same position, is of.
    pub fn since(self, mark: Proof) -> Self {
        Proof { from: mark.to, to: self.to, sum: sum::without(self.sum, mark.sum, self.to - mark.to) }
    }
}

/// A unit without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// The log's uuid.
    pub log: u128,
    /// The log's epoch when it was sent.
    pub epoch: u64,
    /// The first position.
    pub from: u64,
    /// The position behind the last.
    pub to: u64,
    /// The sum of the payload.
    pub sum: u64,
    /// Of the content up to here.
    pub proof: Proof,
    /// The id of the unit before, of whatever kind.
    pub after: Id,
    /// The run that sent the unit before; 0 where there is none.
    pub over: Run,
    /// The run that sent this one.
    pub by: Run,
    /// Which connection of that run.
    pub connection: u64,
}

impl Header {
    /// Fields by name, as headers of a message have them.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = self.unsigned();
        fields.push(("mm-id", format!("{:016x}", self.id())));
        fields
    }

    fn unsigned(&self) -> Vec<(&'static str, String)> {
        let hex = |value: u64| format!("{value:016x}");
        vec![
            ("mm-v", VERSION.to_string()),
            ("mm-kind", self.kind.name().to_owned()),
            ("mm-log", format!("{:032x}", self.log)),
            ("mm-epoch", self.epoch.to_string()),
            ("mm-from", self.from.to_string()),
            ("mm-to", self.to.to_string()),
            ("mm-sum", hex(self.sum)),
            ("mm-proof-from", self.proof.from.to_string()),
            ("mm-proof-to", self.proof.to.to_string()),
            ("mm-proof", hex(self.proof.sum)),
            ("mm-after", hex(self.after)),
            ("mm-over", hex(self.over)),
            ("mm-by", hex(self.by)),
            ("mm-connection", self.connection.to_string()),
        ]
    }

    /// The sum of all fields, each with its name. Never 0.
    pub fn id(&self) -> Id {
        let mut id = 0;
        for (name, value) in self.unsigned() {
            id = sum::extend(sum::extend(id, name.as_bytes()), b"=");
            id = sum::extend(sum::extend(id, value.as_bytes()), b"\n");
        }
        id.max(1)
    }

    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        if matches!(self.kind, Kind::Content | Kind::Segment) { self.to - self.from } else { 0 }
    }

    /// Reads the fields of the message at `coordinate`; what others put beside them, by other names, does not count.
    pub fn read(coordinate: u64, pairs: &[(&str, &str)]) -> Result<Header, Error> {
        let ours = pairs.iter().copied().filter(|(name, _)| name.starts_with("mm-")).collect();
        let fields = Fields::new(format!("the unit at {coordinate}"), ours);
        fields.version("mm-v", VERSION)?;
        let kind = fields.text("mm-kind")?;
        let kind = Kind::ALL.iter().find(|(_, name)| *name == kind).map(|(kind, _)| *kind);
        let header = Header {
            kind: kind.ok_or_else(|| fields.damaged("its kind is none"))?,
            log: fields.uuid("mm-log")?,
            epoch: fields.number("mm-epoch")?,
            from: fields.number("mm-from")?,
            to: fields.number("mm-to")?,
            sum: fields.hex("mm-sum")?,
            proof: Proof::read(&fields, "mm-proof")?,
            after: fields.hex("mm-after")?,
            over: fields.hex("mm-over")?,
            by: fields.hex("mm-by")?,
            connection: fields.number("mm-connection")?,
        };
        if fields.hex("mm-id")? != header.id() {
            return Err(fields.damaged("its id is not the sum of its fields"));
        }
        header.fits(coordinate, &fields)?;
        Ok(header)
    }

    fn fits(&self, coordinate: u64, fields: &Fields) -> Result<(), Error> {
        if self.from > self.to || self.proof.from > self.proof.to || self.proof.to > self.to {
            return Err(fields.damaged("it ends before it begins"));
        }
        let is_empty = matches!(self.kind, Kind::Opening | Kind::Begin);
        if is_empty != (self.from == self.to) {
            return Err(fields.damaged("its range does not fit its kind"));
        }
        if self.kind == Kind::Content && self.length() > LONGEST {
            return Err(Error::TooLong { coordinate, said: self.length(), most: LONGEST });
        }
        Ok(())
    }

    /// Whether these are the bytes that the header speaks of. Asked before one of them is used.
    pub fn check(&self, coordinate: u64, payload: &[u8]) -> Result<(), Error> {
        let damaged =
            |why: &str| Error::Damaged { what: format!("the unit at {coordinate}"), why: why.to_owned() };
        if payload.len() as u64 != self.length() {
            return Err(damaged("it has another length than it says"));
        }
        if sum::extend(0, payload) != self.sum {
            return Err(damaged("its bytes have another sum than it says"));
        }
        Ok(())
    }
}
