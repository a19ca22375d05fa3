//! What was received, as it is written down.

use std::path::Path;

use crate::fields::Fields;
use crate::sum;
use crate::trouble::{Trouble, shown};
use crate::unit::Id;

const VERSION: u64 = 1;

/// Up to where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// When the sink was made.
    pub(crate) born: u64,
    /// The last unit that was taken; its id is 0 where nobody knows it.
    pub(crate) coordinate: u64,
    pub(crate) id: Id,
    pub(crate) chain: Option<Chain>,
}

/// The log that is being received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) log: u128,
    /// What its files are called, without their ends.
    pub(crate) file: String,
    /// The coordinate of its first unit here; 0 where an earlier version did not write it down.
    pub(crate) begun: u64,
    /// The first position, and that behind the last one.
    pub(crate) base: u64,
    pub(crate) to: u64,
    /// Bytes of content, and of the file of gaps.
    pub(crate) length: u64,
    pub(crate) gaps: u64,
}

impl State {
    pub(crate) fn new(born: u64) -> State {
        State { born, coordinate: 0, id: 0, chain: None }
    }

    pub(crate) fn write(&self) -> String {
        let State { born, coordinate, id, chain } = self;
        let mut text = format!("version {VERSION}\nborn {born}\ncoordinate {coordinate}\nid {id:016x}\n");
        if let Some(Chain { log, file, begun, base, to, length, gaps }) = chain {
            text.push_str(&format!("log {log:032x}\nfile {file}\nbegun {begun}\nbase {base}\nto {to}\n"));
            text.push_str(&format!("length {length}\ngaps {gaps}\n"));
        }
        let sum = sum::extend(0, text.as_bytes());
        text.push_str(&format!("sum {sum:016x}\n"));
        text
    }

    /// Without it nobody knows what was received: a damaged one needs a person.
    pub(crate) fn read(text: &str, path: &Path) -> Result<State, Trouble> {
        State::parsed(text, path)
            .map_err(|e| Trouble::Decide(format!("{e}; put it back, or receive into another directory")))
    }

    fn parsed(text: &str, path: &Path) -> Result<State, crate::Error> {
        let pairs: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let fields = Fields::new(shown(path), pairs);
        fields.version("version", VERSION)?;
        let summed = text.rfind("sum ").map_or("", |end| &text[..end]);
        if fields.hex("sum")? != sum::extend(0, summed.as_bytes()) || !text.ends_with('\n') {
            return Err(fields.damaged("its sum is another"));
        }
        let chain = match fields.text("file") {
            Err(_) => None,
            Ok(file) => Some(Chain {
                log: fields.uuid("log")?,
                file: file.to_owned(),
                begun: if fields.has("begun") { fields.number("begun")? } else { 0 },
                base: fields.number("base")?,
                to: fields.number("to")?,
                length: fields.number("length")?,
                gaps: fields.number("gaps")?,
            }),
        };
        let (born, coordinate) = (fields.number("born")?, fields.number("coordinate")?);
        Ok(State { born, coordinate, id: fields.hex("id")?, chain })
    }
}
