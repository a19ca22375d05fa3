//! Which bytes of a data file are content: space is zeros before it is stored to, so what is not NUL was appended.
//!
//! All here are offsets, not positions.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;

use crate::deadline::Waits;
use crate::error::Fault;
use crate::sys::fs;

/// What is done with the bytes that are read here, for who tells how many were.
pub(super) const LOOKED_AT: &str = "bytes were looked at for where the log ends";

/// What pages are made of, on disks and in caches.
const PAGE: u64 = 4096;
/// Whole pages.
const READ_AT_A_TIME: u64 = 64 * PAGE;

/// Whether any of these bytes is a NUL; several times as fast as `contains`, which leaves at the first one.
pub(crate) fn has_nul(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<256>();
    let least = |chunk: &[u8; 256]| chunk.iter().fold(u8::MAX, |least, byte| least.min(*byte));
    chunks.iter().any(|chunk| least(chunk) == 0) || rest.contains(&0)
}

/// What a look at the bytes behind the checkpoint says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Behind the last byte that is not NUL; the start of the look if there is none.
    pub(super) end: u64,
    /// Whole pages of NULs below the end, neighbours joined, with the NULs of the page before: where that was written from, the
    /// log had no more.
    pub(super) missing: Vec<(u64, u64)>,
}

/// Reads `[from, to)` as far as the file reaches, until `each` breaks off. A piece ends with a page, but for the last one.
/// Up to where it read.
pub(crate) fn pieces<T>(
    file: &File,
    from: u64,
    to: u64,
    mut each: impl FnMut(u64, &mut [u8]) -> ControlFlow<T>,
) -> io::Result<ControlFlow<T, u64>> {
    let mut buf = vec![0; READ_AT_A_TIME.min(to.saturating_sub(from)) as usize];
    let mut at = from;
    while at < to {
        let want = (READ_AT_A_TIME - at % PAGE).min(to - at) as usize;
        let read = fill(file, &mut buf[..want], at)?;
        if let ControlFlow::Break(found) = each(at, &mut buf[..read]) {
            return Ok(ControlFlow::Break(found));
        }
        at += read as u64;
        // Where the file ends, or was cut meanwhile.
        if read < want {
            break;
        }
    }
    Ok(ControlFlow::Continue(at))
}

/// Reads until the buffer is full, or the file ends.
fn fill(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buf.len() {
        match file.read_at(&mut buf[read..], at + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(read)
}

/// Reads `[from, len)` of a file, until told to stop.
///
/// # Errors
/// [`Fault::Io`] of the kind `UnexpectedEof` where the file is shorter.
pub(super) fn extent(file: &File, from: u64, len: u64, waits: &Waits) -> Result<Extent, Fault> {
    extent_without(file, from, len, &[], waits)
}

/// As [`extent`], with zeros in these ranges.
pub(super) fn extent_without(
    file: &File,
    from: u64,
    len: u64,
    zeroed: &[(u64, u64)],
    waits: &Waits,
) -> Result<Extent, Fault> {
    let mut found = Extent { end: from, ..Extent::default() };
    let mut empty: Option<(u64, u64)> = None;
    let reached = pieces(file, from, len, |mut at, piece| {
        if let Err(told) = waits.go_on(LOOKED_AT, at - from, len - from) {
            return ControlFlow::Break(told);
        }
        let end = at + piece.len() as u64;
        let within = |to: u64| (to.clamp(at, end) - at) as usize;
        zeroed.iter().for_each(|&(from, to)| piece[within(from)..within(to)].fill(0));
        let mut rest = &*piece;
        while !rest.is_empty() {
            let page = rest.len().min((PAGE - at % PAGE) as usize);
            match rest[..page].iter().rposition(|&b| b != 0) {
                Some(last) => {
                    found.missing.extend(empty.take());
                    found.end = at + last as u64 + 1;
                }
                None if page as u64 == PAGE => {
                    empty = Some((found.end, at + PAGE));
                }
                // The rest of a page whose front is below the checkpoint, or of the last one.
                None => {}
            }
            at += page as u64;
            rest = &rest[page..];
        }
        ControlFlow::Continue(())
    });
    match reached.map_err(cannot_read())? {
        ControlFlow::Break(told) => Err(told),
        ControlFlow::Continue(at) if at < len => Err(cannot_read()(io::ErrorKind::UnexpectedEof.into())),
        ControlFlow::Continue(_) => Ok(found),
    }
}

pub(super) fn cannot_read() -> impl FnOnce(io::Error) -> Fault {
    Fault::io("read the data file")
}

/// The first byte in `[from, to)` that is not NUL, as far as the file reaches.
pub(crate) fn first_byte(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    // Most often there is none: many at a time.
    let first = |piece: &[u8]| {
        let has_one = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | byte) != 0;
        let begun = 256 * piece.chunks(256).position(has_one)?;
        piece[begun..].iter().position(|&b| b != 0).map(|i| begun + i)
    };
    let found = pieces(file, from, to, |at, piece| match first(piece) {
        Some(i) => ControlFlow::Break(at + i as u64),
        None => ControlFlow::Continue(()),
    });
    Ok(found?.break_value())
}

/// As [`first_byte`], without reading what the file system says was never stored to.
pub(crate) fn first_stored(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut at = from;
    while at < to
        && let Some(stored) = fs::stored(file, &(at..to))?
    {
        if let Some(found) = first_byte(file, stored.start, stored.end)? {
            return Ok(Some(found));
        }
        at = stored.end;
    }
    Ok(None)
}

/// Behind the last byte of `[from, len)` that is not NUL; `from` if there is none.
///
/// # Errors
/// Of the kind `UnexpectedEof` where the file is shorter.
pub(super) fn last_byte(file: &File, from: u64, len: u64) -> io::Result<u64> {
    let mut buf = vec![0; READ_AT_A_TIME.min(len.saturating_sub(from)) as usize];
    let mut end = len;
    while end > from {
        let start = end.saturating_sub(buf.len() as u64).max(from);
        let part = &mut buf[..(end - start) as usize];
        file.read_exact_at(part, start)?;
        if let Some(last) = part.iter().rposition(|&b| b != 0) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(from)
}

/// The first run of NULs in `[from, to)`, as far as the file reaches.
pub(crate) fn next_nuls(file: &File, from: u64, to: u64) -> io::Result<Option<(u64, u64)>> {
    let mut begun = None;
    let found = pieces(file, from, to, |at, piece| {
        let start = match begun {
            Some(_) => 0,
            None => piece.iter().position(|&b| b == 0).unwrap_or(piece.len()),
        };
        if start == piece.len() {
            return ControlFlow::Continue(());
        }
        let begun = *begun.get_or_insert(at + start as u64);
        match piece[start..].iter().position(|&b| b != 0) {
            Some(run) => ControlFlow::Break((begun, at + (start + run) as u64)),
            None => ControlFlow::Continue(()),
        }
    });
    Ok(match found? {
        ControlFlow::Break(run) => Some(run),
        ControlFlow::Continue(reached) => begun.map(|start| (start, reached)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of that length with bytes in these ranges.
    fn file(len: u64, ranges: &[(u64, u64)]) -> io::Result<File> {
        let file = tempfile::tempfile()?;
        file.set_len(len)?;
        for &(from, to) in ranges {
            file.write_all_at(&vec![b'x'; (to - from) as usize], from)?;
        }
        Ok(file)
    }

    #[test]
    fn a_nul_is_found_wherever_it_is() {
        for len in [0, 1, 255, 256, 257, 1000] {
            let mut bytes = vec![0x80_u8; len];
            assert!(!has_nul(&bytes), "{len}");
            for at in 0..len {
                bytes[at] = 0;
                assert!(has_nul(&bytes), "{at} of {len}");
                bytes[at] = 1;
            }
        }
    }

    #[test]
    fn runs_across_the_pieces_that_are_read_are_one() -> io::Result<()> {
        let piece = READ_AT_A_TIME;
        let (first, second) = ((10, piece - 5), (2 * piece + 5 * PAGE + 7, 3 * piece));
        let file = file(4 * piece, &[first, second])?;
        assert_eq!(next_nuls(&file, 10, 4 * piece)?, Some((first.1, second.0)));
        assert_eq!(next_nuls(&file, second.0, 9 * piece)?, Some((second.1, 4 * piece)));
        assert_eq!(next_nuls(&file, second.0, second.1)?, None);
        assert_eq!(first_byte(&file, first.1, 4 * piece)?, Some(second.0));
        assert_eq!(first_byte(&file, second.1, 9 * piece)?, None);
        assert_eq!(last_byte(&file, 3, 4 * piece)?, second.1);
        assert_eq!(last_byte(&file, second.1, 4 * piece)?, second.1);
        let missing = vec![(first.1, 2 * piece + 5 * PAGE)];
        let never = Waits::default();
        assert!(extent(&file, 3, 4 * piece, &never).is_ok_and(|e| e == Extent { end: second.1, missing }));
        let missing = vec![(0, 2 * piece + 5 * PAGE)];
        let without = extent_without(&file, 0, 4 * piece, &[first], &never);
        assert!(without.is_ok_and(|e| e == Extent { end: second.1, missing }));
        Ok(())
    }

    #[test]
    fn a_file_that_is_shorter_than_it_should_be_has_no_extent() -> io::Result<()> {
        let file = file(PAGE, &[(0, 1)])?;
        let extent = extent(&file, 0, 2 * PAGE, &Waits::default()).map(drop);
        for found in [extent, last_byte(&file, 0, 2 * PAGE).map(drop).map_err(cannot_read())] {
            let Err(Fault::Io { source, .. }) = found else { unreachable!("{found:?}") };
            assert_eq!(source.kind(), io::ErrorKind::UnexpectedEof);
        }
        Ok(())
    }
}
