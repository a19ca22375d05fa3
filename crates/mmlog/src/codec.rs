//! The formats of compressed segments. Without the feature `compressed` none can be had.
#![cfg_attr(not(feature = "compressed"), allow(unused_variables))]

use std::fs::File;
use std::io::{self, Read};

use crate::names::Compression;

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
