//! A final segment: its file as it lies on the disk, compressed or not, and which of its bytes are no content.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use mmlog::Compression;

use crate::sum;
use crate::unit::{Kind, Why};

/// How much is read at a time: so often it is looked whether to stop.
const SLICE: usize = 256 << 10;

/// A range of a segment without content: a writer was killed there, or somebody took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first position.
    pub from: u64,
    /// That behind the last.
    pub to: u64,
    /// Why.
    pub why: Why,
}

impl Gap {
    /// A line for each.
    pub fn write(gaps: &[Gap]) -> String {
        gaps.iter().map(|gap| format!("{} {} {}\n", gap.from, gap.to, Kind::Gap(gap.why).name())).collect()
    }

    /// Reads what [`write`](Self::write) wrote; nothing, where that is wrong: they lie in the range, one behind the other.
    pub fn read(text: &str, from: u64, to: u64) -> Option<Vec<Gap>> {
        let mut at = from;
        let mut gap = |line: &str| {
            let mut words = line.split(' ');
            let (from, to) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let word = words.next()?;
            let why = [Why::Hole, Why::Lost].into_iter().find(|why| Kind::Gap(*why).name() == word)?;
            let is_behind = from >= at && to > from && words.next().is_none();
            at = to;
            is_behind.then_some(Gap { from, to, why })
        };
        let gaps: Vec<Gap> = text.lines().map(&mut gap).collect::<Option<_>>()?;
        gaps.last().is_none_or(|last| last.to <= to).then_some(gaps)
    }
}

/// What is sent of a segment.
#[derive(Debug)]
pub struct Segment {
    /// Its file.
    pub file: File,
    /// Where that is, for people.
    pub path: PathBuf,
    /// Bytes of the file.
    pub stored: u64,
    /// How it is compressed.
    pub compression: Option<Compression>,
    /// Ranges of it without content.
    pub gaps: Vec<Gap>,
}

/// The bytes of a segment, whatever it is compressed by.
///
/// # Errors
/// When it cannot be read.
pub fn decoded<'a>(compression: Option<Compression>, file: &'a File) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        None => Box::new(file),
        Some(Compression::Zstd) => Box::new(zstd::stream::read::Decoder::new(file)?),
        Some(Compression::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::new(file))),
    })
}

/// How many bytes come, of `most` and one more at most, and their sum. Nothing, when it was told to stop.
///
/// # Errors
/// When they cannot be read.
pub fn summed(mut bytes: impl Read, most: u64, stop: &AtomicBool) -> io::Result<Option<(u64, u64)>> {
    let (mut len, mut sum) = (0, 0);
    let mut slice = vec![0; SLICE];
    while len <= most {
        if stop.load(Ordering::Acquire) {
            return Ok(None);
        }
        let want = usize::try_from(most - len + 1).unwrap_or(SLICE).min(SLICE);
        match bytes.read(&mut slice[..want]) {
            Ok(0) => break,
            Ok(got) => {
                sum = sum::extend(sum, &slice[..got]);
                len += got as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Some((len, sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_read_as_they_are_written_and_nothing_else_is() {
        let gaps = [Gap { from: 5, to: 7, why: Why::Hole }, Gap { from: 7, to: 9, why: Why::Lost }];
        let text = Gap::write(&gaps);
        assert_eq!(text, "5 7 hole\n7 9 lost\n");
        assert_eq!(Gap::read(&text, 5, 9).as_deref(), Some(&gaps[..]));
        for (text, from, to) in [
            (&text[..], 6, 9),
            (&text[..], 5, 8),
            ("7 5 hole\n", 0, 9),
            ("5 5 hole\n", 0, 9),
            ("5 7 pruned\n", 0, 9),
            ("5 7 hole 1\n", 0, 9),
            ("5 7\n", 0, 9),
            ("-5 7 hole\n", 0, 9),
            ("5 8 hole\n7 9 hole\n", 0, 9),
        ] {
            assert_eq!(Gap::read(text, from, to), None, "{text}");
        }
    }
}
