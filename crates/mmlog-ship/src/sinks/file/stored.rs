//! Units in files: what one looks like, and reading a file of them.
//!
//! ```text
//! unit COORDINATE BYTES-OF-FIELDS BYTES-OF-PAYLOAD
//! NAME: VALUE
//! ...
//! (an empty line, the payload, and an end of line)
//! ```

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::Stored;
use crate::sinks::{Cut, Message};
use crate::unit::{Header, LONGEST};

/// What files of units are called, before the coordinate of the first one.
const NAME: &str = "units-";
const DIGITS: usize = 20;
/// The longest first line, and the most bytes of fields, that are read.
const LINE: u64 = 100;
const FIELDS: u64 = 4096;

/// What is written before a unit's payload; behind that comes an end of line.
pub(crate) fn head(message: &Message<'_>) -> Vec<u8> {
    let mut fields = String::new();
    for (name, value) in message.unit.fields() {
        fields.push_str(&format!("{name}: {value}\n"));
    }
    if let Some(word) = message.cut.word() {
        fields.push_str(&format!("{}: {word}\n", Cut::FIELD));
    }
    fields.push('\n');
    let (coordinate, bytes) = (message.after + 1, message.payload.len());
    format!("unit {coordinate} {} {bytes}\n{fields}", fields.len()).into_bytes()
}

/// The file whose first unit has that coordinate.
pub(crate) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{NAME}{first:0DIGITS$}"))
}

/// The coordinates that the files of a directory begin with, in order.
pub(crate) fn listed(directory: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(NAME));
        let digits = digits.filter(|d| d.len() == DIGITS && d.bytes().all(|b| b.is_ascii_digit()));
        found.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// What comes next in a file.
#[derive(Debug)]
pub(crate) enum Step {
    Unit(Stored),
    /// No byte more.
    End,
    /// Bytes that are no whole unit: fewer than it says, or none is there.
    Torn,
    /// A whole one that is wrong.
    Wrong(crate::Error),
}

/// Reads one file.
#[derive(Debug)]
pub(crate) struct Reader {
    file: BufReader<File>,
    next: u64,
    at: u64,
    end: u64,
}

impl Reader {
    /// From its first unit on. What is not on the disk yet is brought there first: what is read is not lost later.
    pub(crate) fn open(directory: &Path, first: u64) -> io::Result<Reader> {
        let file = File::open(path(directory, first))?;
        let mut reader =
            Reader { file: BufReader::with_capacity(256 << 10, file), next: first, at: 0, end: 0 };
        reader.look()?;
        Ok(reader)
    }

    /// Sees how long the file is by now.
    pub(crate) fn look(&mut self) -> io::Result<bool> {
        let before = self.end;
        let file = self.file.get_ref();
        self.end = file.metadata()?.len();
        if self.end != before {
            file.sync_data()?;
        }
        Ok(self.end != before)
    }

    /// Whether the file is where it was, with all that was read of it.
    pub(crate) fn is_there(&self, directory: &Path, first: u64) -> bool {
        let (Ok(there), Ok(ours)) = (fs::metadata(path(directory, first)), self.file.get_ref().metadata())
        else {
            return false;
        };
        (there.dev(), there.ino()) == (ours.dev(), ours.ino()) && ours.len() >= self.at
    }

    /// The next unit. After anything else it stays where it is.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        let step = self.unit()?;
        if !matches!(step, Step::Unit(_)) {
            self.file.seek(SeekFrom::Start(self.at))?;
        }
        Ok(step)
    }

    fn unit(&mut self) -> io::Result<Step> {
        if self.at >= self.end {
            return Ok(Step::End);
        }
        let mut line = Vec::new();
        self.file.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        let Some((coordinate, fields, bytes)) = numbers(&line) else { return Ok(Step::Torn) };
        if bytes > LONGEST || fields > FIELDS {
            let (said, most) = if bytes > LONGEST { (bytes, LONGEST) } else { (fields, FIELDS) };
            return Ok(Step::Wrong(crate::Error::TooLong { coordinate: self.next, said, most }));
        }
        let behind = self.at + line.len() as u64 + fields + bytes + 1;
        if behind > self.end {
            return Ok(Step::Torn);
        }
        let (mut text, mut payload) = (vec![0; fields as usize], vec![0; bytes as usize]);
        let mut newline = [0];
        self.file.read_exact(&mut text)?;
        self.file.read_exact(&mut payload)?;
        self.file.read_exact(&mut newline)?;
        match checked(self.next, coordinate, &text, &payload) {
            Ok(header) => {
                let stored = Stored { coordinate, header, payload };
                (self.at, self.next) = (behind, self.next + 1);
                Ok(Step::Unit(stored))
            }
            Err(e) => Ok(Step::Wrong(e)),
        }
    }
}

fn numbers(line: &[u8]) -> Option<(u64, u64, u64)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.strip_prefix("unit ")?;
    let mut words = line.split(' ').map(|word| word.parse().ok());
    let numbers = (words.next()??, words.next()??, words.next()??);
    words.next().is_none().then_some(numbers)
}

fn checked(expected: u64, coordinate: u64, text: &[u8], payload: &[u8]) -> Result<Header, crate::Error> {
    let damaged =
        |why: &str| crate::Error::Damaged { what: format!("the unit at {expected}"), why: why.to_owned() };
    if coordinate != expected {
        return Err(damaged("it says that it is another one"));
    }
    let text = std::str::from_utf8(text).map_err(|_| damaged("its fields are no text"))?;
    let pairs: Vec<_> = text.lines().filter_map(|line| line.split_once(": ")).collect();
    let header = Header::read(coordinate, &pairs)?;
    header.check(coordinate, payload)?;
    Ok(header)
}
