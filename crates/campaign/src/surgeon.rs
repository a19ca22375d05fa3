//! Reads and changes single words of a log's metadata file, past every check.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Offset of a field of one of the header's structs: `word!(control: Control, cursor)`.
macro_rules! word {
    ($part:ident: $type:ty, $field:ident) => {
        (std::mem::offset_of!(mmlog::layout::Header, $part) + std::mem::offset_of!($type, $field)) as u64
    };
}
pub(crate) use word;

/// A metadata file that others may have mapped.
pub(crate) struct Surgeon(File);

impl Surgeon {
    /// The metadata file of the log at that path.
    pub(crate) fn open(log: &Path) -> io::Result<Self> {
        let mut path = log.as_os_str().to_os_string();
        path.push(mmlog::METADATA_SUFFIX);
        File::options().read(true).write(true).open(path).map(Self)
    }

    pub(crate) fn get(&self, offset: u64) -> io::Result<u64> {
        let mut word = [0; 8];
        self.0.read_exact_at(&mut word, offset)?;
        Ok(u64::from_ne_bytes(word))
    }

    pub(crate) fn put(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    pub(crate) fn set(&self, offset: u64, value: u64) -> io::Result<()> {
        self.put(offset, &value.to_ne_bytes())
    }

    pub(crate) fn set32(&self, offset: u64, value: u32) -> io::Result<()> {
        self.put(offset, &value.to_ne_bytes())
    }
}
