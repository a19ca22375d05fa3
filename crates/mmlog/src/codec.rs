//! The formats of compressed segments, each with a checksum of the content. Without the feature `compressed` none can be had.
#![cfg_attr(not(feature = "compressed"), allow(unused_variables))]

use std::fs::File;
use std::io::{self, Read};

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
