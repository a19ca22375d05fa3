//! What a shipper writes down: there to notice that the sink went back, never to say what the sink has.

use crate::error::Error;
use crate::fields::Fields;
use crate::sum;
use crate::unit::{Id, Proof};

/// The version that is written.
pub const VERSION: u64 = 1;

/// Up to where the sink has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The coordinate of the last unit that was acknowledged, an opening too: all that this shipper knows to be there.
    pub coordinate: u64,
    /// Its id.
    pub id: Id,
    /// The position that the chain has reached.
    pub to: u64,
    /// Of the content up to there.
    pub proof: Proof,
}

/// What is known of the sink without asking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Known {
    /// The log's uuid.
    pub log: u128,
    /// The log's epoch: an earlier one stays valid, since only durable bytes are sent.
    pub epoch: u64,
    /// When the sink was made, as it says.
    pub born: u64,
    /// Nothing while nothing was acknowledged: written before the first unit is sent.
    pub place: Option<Place>,
}

/// What was done, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Bytes that were acknowledged.
    pub bytes: u64,
    /// Units that were acknowledged.
    pub units: u64,
    /// Bytes that were sent again, since the sink had lost them.
    pub resent: u64,
    /// Bytes in gaps that were announced.
    pub gaps: u64,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where to, without secrets, for people: one sink has many addresses, and [`born`](Known::born) says which it is.
    pub sink: String,
    /// What decides.
    pub known: Known,
    /// What was done.
    pub counts: Counts,
}

impl Checkpoint {
    /// As lines, the sum of all others last.
    pub fn write(&self) -> String {
        let Known { log, epoch, born, place } = self.known;
        let mut text = format!("version {VERSION}\nlog {log:032x}\nepoch {epoch}\nborn {born}\n");
        // A sink's name may have anything in it, and a line has one end.
        text.push_str(&format!("sink {}\n", self.sink.escape_debug()));
        if let Some(Place { coordinate, id, to, proof }) = place {
            text.push_str(&format!("coordinate {coordinate}\nid {id:016x}\nto {to}\n"));
            text.push_str(&format!(
                "proof-from {}\nproof-to {}\nproof {:016x}\n",
                proof.from, proof.to, proof.sum
            ));
        }
        let Counts { bytes, units, resent, gaps } = self.counts;
        text.push_str(&format!("bytes {bytes}\nunits {units}\nresent {resent}\ngaps {gaps}\n"));
        let sum = sum::extend(0, text.as_bytes());
        text.push_str(&format!("sum {sum:016x}\n"));
        text
    }

    /// Reads what [`write`](Self::write) wrote. What it refuses, but for a later version, is as good as no file: the sink's tail decides.
    pub fn read(text: &str) -> Result<Checkpoint, Error> {
        let pairs: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let fields = Fields::new("the checkpoint".to_owned(), pairs);
        fields.version("version", VERSION)?;
        // Its last line says so: what an earlier, longer file may have left behind that is none of this one.
        let lines = text.strip_suffix('\n').and_then(|whole| whole.rsplit_once('\n'));
        let (summed, last) = lines.unwrap_or_default();
        let sum = sum::extend(sum::extend(0, summed.as_bytes()), b"\n");
        if !last.starts_with("sum ") || fields.hex("sum")? != sum {
            return Err(fields.damaged("its sum is another"));
        }
        let place = || -> Result<Place, Error> {
            Ok(Place {
                coordinate: fields.number("coordinate")?,
                id: fields.hex("id")?,
                to: fields.number("to")?,
                proof: Proof::read(&fields, "proof")?,
            })
        };
        let place = fields.has("coordinate").then(place).transpose()?;
        Ok(Checkpoint {
            sink: fields.text("sink")?.to_owned(),
            known: Known {
                log: fields.uuid("log")?,
                epoch: fields.number("epoch")?,
                born: fields.number("born")?,
                place,
            },
            counts: Counts {
                bytes: fields.number("bytes")?,
                units: fields.number("units")?,
                resent: fields.number("resent")?,
                gaps: fields.number("gaps")?,
            },
        })
    }
}
