//! The bytes of a compressed segment: decoded forwards, with a window of what was decoded last, so that a reader that
//! goes backwards a block at a time rarely starts again.
//!
//! What the segment has to hold is known before: it ends where the next one begins. The last bytes are given out only
//! when the decoder has come to its end there, and has found its checksum right; of a byte that was changed, that may be
//! the first to know.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Range;

use crate::codec;
use crate::error::Fault;
use crate::names::Compression;

/// Decoded bytes that are kept.
const WINDOW: usize = 4 << 20;
/// Bytes decoded at a time.
const STEP: usize = 128 << 10;

/// A compressed segment, and where its decoder is.
pub(super) struct Decoder {
    file: File,
    compression: Compression,
    name: String,
    positions: Range<u64>,
    /// The next segment is there, so this one has all of its positions.
    is_whole: bool,
    /// None before the first byte, and after a fault.
    stream: Option<Box<dyn Read + Send + Sync>>,
    has_ended: bool,
    /// The last bytes before `decoded`.
    window: VecDeque<u8>,
    /// The position that the decoder is at.
    decoded: u64,
    step: Box<[u8]>,
}

impl Decoder {
    pub(super) fn new(
        file: File,
        compression: Compression,
        name: &OsStr,
        positions: Range<u64>,
        is_whole: bool,
    ) -> Result<Self, Fault> {
        let mut new = Self {
            file,
            compression,
            name: name.to_string_lossy().into_owned(),
            decoded: positions.start,
            positions,
            is_whole,
            stream: None,
            has_ended: false,
            window: VecDeque::new(),
            step: vec![0; STEP].into(),
        };
        new.restart()?;
        Ok(new)
    }

    fn restart(&mut self) -> Result<(), Fault> {
        self.stream = None;
        let rewound = self.file.rewind().and_then(|()| self.file.try_clone());
        let file = rewound.map_err(Fault::io("read a final segment"))?;
        let stream = codec::decoder(self.compression, file).map_err(|e| match e.kind() {
            io::ErrorKind::Unsupported => Fault::Compressed { name: self.name.clone() },
            _ => Fault::Io { operation: "begin to decompress a final segment", source: e },
        })?;
        self.stream = Some(stream);
        (self.decoded, self.has_ended) = (self.positions.start, false);
        self.window.clear();
        Ok(())
    }

    /// Reads at a position of the segment; 0 bytes where it has none.
    pub(super) fn read_at(&mut self, buf: &mut [u8], position: u64) -> Result<usize, Fault> {
        if self.stream.is_none() || position < self.decoded - self.window.len() as u64 {
            self.restart()?;
        }
        while !self.has_ended && (self.decoded <= position || self.decoded == self.positions.end) {
            if let Err(fault) = self.advance() {
                self.stream = None;
                return Err(fault);
            }
        }
        if self.decoded <= position {
            return Ok(0);
        }
        let from = (position - (self.decoded - self.window.len() as u64)) as usize;
        let (front, back) = self.window.as_slices();
        let rest = if from < front.len() { &front[from..] } else { &back[from - front.len()..] };
        let most = buf.len().min(rest.len());
        buf[..most].copy_from_slice(&rest[..most]);
        Ok(most)
    }

    /// Decodes one step, or finds the end.
    fn advance(&mut self) -> Result<(), Fault> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let read = loop {
            match stream.read(&mut self.step) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => break done,
            }
        };
        let read = match read {
            Ok(read) => read,
            Err(e) if e.raw_os_error().is_some() => return Err(Fault::io("read a final segment")(e)),
            Err(e) => return Err(self.undecodable(e.to_string())),
        };
        let missing = self.positions.end - self.decoded;
        if read == 0 {
            self.has_ended = true;
            return match missing {
                0 => Ok(()),
                _ if !self.is_whole => Ok(()),
                _ => Err(self.undecodable(format!("it ends there, {missing} bytes before the next segment"))),
            };
        }
        if read as u64 > missing {
            let problem = "it goes on behind the beginning of the next segment".to_owned();
            self.decoded = self.positions.end;
            return Err(self.undecodable(problem));
        }
        self.window.extend(&self.step[..read]);
        self.window.drain(..self.window.len().saturating_sub(WINDOW));
        self.decoded += read as u64;
        Ok(())
    }

    fn undecodable(&self, problem: String) -> Fault {
        Fault::Undecodable { name: self.name.clone(), at: self.decoded, problem }
    }
}

#[cfg(all(test, feature = "compressed"))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Write;

    use super::*;

    const BASE: u64 = 1000;

    /// Content that hardly repeats, so that its length is about that of its compressed form.
    fn content(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..len).map(next).collect()
    }

    fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn decoder(compression: Compression, file: &[u8], len: usize) -> Decoder {
        let mut there = tempfile::tempfile().unwrap();
        there.write_all(file).unwrap();
        let positions = BASE..BASE + len as u64;
        Decoder::new(there, compression, OsStr::new("a.log.1"), positions, true).unwrap()
    }

    /// All of it in order, or the first fault.
    fn read_all(decoder: &mut Decoder) -> Result<Vec<u8>, Fault> {
        let (mut all, mut buf) = (Vec::new(), [0; 1000]);
        while BASE + (all.len() as u64) < decoder.positions.end {
            let read = decoder.read_at(&mut buf, BASE + all.len() as u64)?;
            all.extend_from_slice(&buf[..read]);
        }
        Ok(all)
    }

    #[test]
    fn several_frames_or_members_are_one_segment() {
        let bytes = content(5000);
        for compression in [Compression::Zstd, Compression::Gzip] {
            let file =
                [&bytes[..1], &bytes[1..3000], &bytes[3000..]].map(|part| compressed(compression, part));
            assert!(read_all(&mut decoder(compression, &file.concat(), 5000)).unwrap() == bytes);
        }
    }

    #[test]
    fn reading_anywhere_gives_the_byte_that_was_there() {
        let bytes = content(2 * WINDOW + 5);
        for compression in [Compression::Zstd, Compression::Gzip] {
            let mut decoder = decoder(compression, &compressed(compression, &bytes), bytes.len());
            let blocks = (0..bytes.len()).step_by(700_001);
            for at in blocks.clone().chain(blocks.rev()) {
                let mut buf = [0; 64];
                let read = decoder.read_at(&mut buf, BASE + at as u64).unwrap();
                assert!(read > 0 && buf[..read] == bytes[at..at + read], "{compression:?} at {at}");
            }
            assert!(decoder.window.len() <= WINDOW);
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_a_fault_and_never_short() {
        let bytes = content(300);
        for compression in [Compression::Zstd, Compression::Gzip] {
            let half = compressed(compression, &bytes[..150]);
            let file = [half, compressed(compression, &bytes[150..])].concat();
            for len in 0..file.len() {
                let found = read_all(&mut decoder(compression, &file[..len], bytes.len()));
                let fault = found.err().map(|fault| fault.to_string()).unwrap_or_default();
                assert!(fault.contains("a.log.1 cannot be decompressed at position 1"), "{len}: {fault}");
            }
        }
    }

    #[test]
    fn a_changed_byte_never_gives_other_content() {
        let bytes = content(300);
        for compression in [Compression::Zstd, Compression::Gzip] {
            let file = compressed(compression, &bytes);
            for at in 0..file.len() {
                let mut changed = file.clone();
                changed[at] ^= 0x10;
                // Some bytes of a gzip header say nothing about the content.
                if let Ok(found) = read_all(&mut decoder(compression, &changed, bytes.len())) {
                    assert!(found == bytes, "{compression:?}, byte {at}");
                }
            }
        }
    }

    #[test]
    fn a_segment_that_is_longer_than_its_positions_is_a_fault() {
        for compression in [Compression::Zstd, Compression::Gzip] {
            let file = compressed(compression, &content(300));
            let found = read_all(&mut decoder(compression, &file, 299));
            assert!(matches!(found, Err(Fault::Undecodable { at: 1299, .. })), "{found:?}");
        }
    }
}

#[cfg(all(test, not(feature = "compressed")))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_decoders_says_so() {
        for compression in [Compression::Zstd, Compression::Gzip] {
            let file = tempfile::tempfile().unwrap();
            let opened = Decoder::new(file, compression, OsStr::new("a.log.1.zst"), 0..10, true);
            let fault = opened.err().unwrap().to_string();
            assert!(fault.starts_with("a.log.1.zst is compressed, and this build does not"), "{fault}");
        }
    }
}
