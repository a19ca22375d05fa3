//! The formats of compressed segments, each with a checksum of the content. Without the feature `compressed` none can be had.
#![cfg_attr(not(feature = "compressed"), allow(unused_variables))]

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::names::Compression;

#[cfg(feature = "compressed")]
pub(crate) use encoder::Encoder;

/// Gives a compressed file's content, all frames or members of it, from where the file stands.
pub(crate) fn decoder(compression: Compression, file: File) -> io::Result<Box<dyn Read + Send + Sync>> {
    #[cfg(feature = "compressed")]
    return Ok(match compression {
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
    });
    #[cfg(not(feature = "compressed"))]
    Err(io::ErrorKind::Unsupported.into())
}

/// What a look at a compressed file tells without decoding it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Peek {
    /// It holds so many bytes, by its own words.
    Holds(u64),
    /// That would take too long to find out.
    Unknown,
    /// It is not what its name says, or its end is missing.
    Broken(String),
}

/// Frames and blocks of zstd whose headers are looked at, 128 KiB of content to a block, before it takes too long.
const MOST_BLOCKS: u32 = 4096;

/// Looks at headers, and at the end.
pub(crate) fn peek(compression: Compression, file: &File) -> io::Result<Peek> {
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok(Peek::Broken("it is empty".into()));
    }
    match compression {
        Compression::Zstd => Walk { file, len, at: 0, blocks: 0 }.frames(),
        Compression::Gzip => peek_gzip(file, len),
    }
}

/// Whether a file that ends in a gzip trailer for `said` bytes can hold `expected`: the trailer counts modulo 2^32.
pub(crate) fn gzip_agrees(said: u64, expected: u64) -> bool {
    said == expected & u64::from(u32::MAX)
}

fn peek_gzip(file: &File, len: u64) -> io::Result<Peek> {
    /// Header and trailer of an empty member.
    const LEAST: u64 = 18;
    let mut head = [0; 3];
    let mut size = [0; 4];
    if len < LEAST {
        return Ok(Peek::Broken("it is shorter than any gzip file".into()));
    }
    file.read_exact_at(&mut head, 0)?;
    file.read_exact_at(&mut size, len - 4)?;
    Ok(match head {
        [0x1f, 0x8b, 8] => Peek::Holds(u32::from_le_bytes(size).into()),
        _ => Peek::Broken("it does not begin as a gzip file does".into()),
    })
}

/// From one zstd block's header to the next.
struct Walk<'a> {
    file: &'a File,
    len: u64,
    at: u64,
    blocks: u32,
}

impl Walk<'_> {
    fn frames(mut self) -> io::Result<Peek> {
        let mut holds = Some(0u64);
        while self.at < self.len {
            match self.frame()? {
                Ok(Some(frame)) => holds = holds.and_then(|sum| sum.checked_add(frame?)),
                Ok(None) => return Ok(Peek::Unknown),
                Err(problem) => return Ok(Peek::Broken(problem.into())),
            }
        }
        Ok(holds.map_or(Peek::Unknown, Peek::Holds))
    }

    /// The next `N` bytes, zeros behind the end, and whether all of them are there.
    fn bytes<const N: usize>(&self) -> io::Result<([u8; N], bool)> {
        let mut bytes = [0; N];
        let there = self.len.saturating_sub(self.at).min(N as u64) as usize;
        self.file.read_exact_at(&mut bytes[..there], self.at)?;
        Ok((bytes, there == N))
    }

    /// What a frame says that it holds, if it says; `None` when there are too many blocks.
    fn frame(&mut self) -> io::Result<Result<Option<Option<u64>>, &'static str>> {
        const CUT: &str = "its end is missing";
        // One without blocks takes a look, too: whoever made the file may have made millions of them.
        if self.blocks == MOST_BLOCKS {
            return Ok(Ok(None));
        }
        self.blocks += 1;
        let (head, _) = self.bytes::<18>()?;
        match u32::from_le_bytes([head[0], head[1], head[2], head[3]]) {
            0xfd2f_b528 => {}
            0x184d_2a50..=0x184d_2a5f => {
                let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
                self.at += 8 + u64::from(size);
                return Ok(if self.at > self.len { Err(CUT) } else { Ok(Some(Some(0))) });
            }
            _ if self.at == 0 => return Ok(Err("it does not begin as a zstd file does")),
            _ => return Ok(Err("what is behind a frame of it is not zstd's")),
        }
        let descriptor = head[4];
        let (single, checksum) = (descriptor & 0x20 != 0, descriptor & 4 != 0);
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let at = 5 + usize::from(!single) + dictionary;
        let size = match (descriptor >> 6, single) {
            (0, false) => 0,
            (0, true) => 1,
            (flag, _) => 1 << flag,
        };
        let mut said = [0; 8];
        said[..size].copy_from_slice(&head[at..at + size]);
        let said = u64::from_le_bytes(said) + if size == 2 { 256 } else { 0 };
        self.at += (at + size) as u64;
        loop {
            if self.blocks == MOST_BLOCKS {
                return Ok(Ok(None));
            }
            self.blocks += 1;
            let (block, is_there) = self.bytes::<3>()?;
            let block = u32::from_le_bytes([block[0], block[1], block[2], 0]);
            let is_run = block >> 1 & 3 == 1;
            self.at += 3 + u64::from(if is_run { 1 } else { block >> 3 });
            if !is_there || self.at > self.len {
                return Ok(Err(CUT));
            }
            if block & 1 == 1 {
                break;
            }
        }
        self.at += if checksum { 4 } else { 0 };
        Ok(if self.at > self.len { Err(CUT) } else { Ok(Some((size > 0).then_some(said))) })
    }
}

/// Decodes all of it: how many bytes it holds. An error of kind `InvalidData`, or without an errno, is one of its content.
pub(crate) fn decode_all(compression: Compression, file: File) -> io::Result<u64> {
    io::copy(&mut decoder(compression, file)?, &mut io::sink())
}

#[cfg(feature = "compressed")]
mod encoder {
    use std::io::{self, Write};

    use crate::names::Compression;

    /// Compresses what is written to it into `W`.
    pub(crate) enum Encoder<W: Write> {
        Zstd(Box<zstd::stream::write::Encoder<'static, W>>),
        Gzip(flate2::write::GzEncoder<W>),
    }

    impl<W: Write> Encoder<W> {
        /// At `level`, or the nearest that there is; for content of `len` bytes.
        pub(crate) fn new(compression: Compression, level: Option<i32>, len: u64, to: W) -> io::Result<Self> {
            match compression {
                Compression::Zstd => {
                    let range = zstd::compression_level_range();
                    let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
                    let mut encoder = zstd::stream::write::Encoder::new(to, level.clamp(1, *range.end()))?;
                    encoder.include_checksum(true)?;
                    encoder.set_pledged_src_size(Some(len))?;
                    Ok(Self::Zstd(Box::new(encoder)))
                }
                Compression::Gzip => {
                    let level = level.unwrap_or(6).clamp(1, 9).unsigned_abs();
                    Ok(Self::Gzip(flate2::write::GzEncoder::new(to, flate2::Compression::new(level))))
                }
            }
        }

        pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
            match self {
                Self::Zstd(encoder) => encoder.write_all(bytes),
                Self::Gzip(encoder) => encoder.write_all(bytes),
            }
        }

        /// Writes the end, with the checksum.
        pub(crate) fn finish(self) -> io::Result<W> {
            match self {
                Self::Zstd(encoder) => encoder.finish(),
                Self::Gzip(encoder) => encoder.finish(),
            }
        }
    }
}

#[cfg(all(test, feature = "compressed"))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(compression, None, bytes.len() as u64, Vec::new()).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_look_at_headers_tells_what_a_file_holds() {
        let text = b"a line that is one of many\n".repeat(40_000);
        for len in [0, 1, 255, 256, 65_791, 65_792, text.len()] {
            let one = compressed(Compression::Zstd, &text[..len]);
            assert_eq!(peek(Compression::Zstd, &file(&one)).unwrap(), Peek::Holds(len as u64));
            let skipped = [&one[..], &[0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7], &one].concat();
            assert_eq!(peek(Compression::Zstd, &file(&skipped)).unwrap(), Peek::Holds(2 * len as u64));
            let gzip = file(&compressed(Compression::Gzip, &text[..len]));
            assert_eq!(peek(Compression::Gzip, &gzip).unwrap(), Peek::Holds(len as u64));
            assert_eq!(
                decode_all(Compression::Gzip, {
                    let mut f = gzip;
                    io::Seek::rewind(&mut f).unwrap();
                    f
                })
                .unwrap(),
                len as u64
            );
        }
    }

    #[test]
    fn a_look_ends_whatever_the_file_is_made_of() {
        let empty = [0x5a, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(MOST_BLOCKS as usize + 1);
        assert_eq!(peek(Compression::Zstd, &file(&empty)).unwrap(), Peek::Unknown);
    }

    #[test]
    fn a_file_that_was_cut_or_is_something_else_is_broken() {
        let text = b"a line that is one of many\n".repeat(20_000);
        let whole = compressed(Compression::Zstd, &text);
        for len in (0..whole.len()).step_by(1 + whole.len() / 500) {
            let found = peek(Compression::Zstd, &file(&whole[..len])).unwrap();
            assert!(matches!(found, Peek::Broken(_)), "{len}: {found:?}");
        }
        for compression in [Compression::Zstd, Compression::Gzip] {
            let found = peek(compression, &file(&text)).unwrap();
            assert!(matches!(found, Peek::Broken(_)), "{found:?}");
        }
    }
}
