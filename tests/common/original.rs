//! Writes logs of version 1 as the original does, from the table of its 32 bytes: version, is_ready, is_locked,
//! is_panicked, file_size, cursor, page_size, chunk_size.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A log of version 1, and the descriptors of a process that writes to it.
pub struct Original {
    pub data: File,
    metadata: File,
    cursor: u64,
}

impl Original {
    pub fn new(log: &Path, chunk_size: u32) -> Self {
        let open = |path: &Path| {
            File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap()
        };
        let made = Self { data: open(log), metadata: open(&super::metadata_of(log)), cursor: 0 };
        let mut head = [0; 32];
        head[0] = 1;
        head[4] = 1;
        head[24..28].copy_from_slice(&4096u32.to_ne_bytes());
        head[28..32].copy_from_slice(&chunk_size.to_ne_bytes());
        made.metadata.write_all_at(&head, 0).unwrap();
        made
    }

    /// Takes `len` bytes from the cursor, and grows the file as it must.
    pub fn reserve(&mut self, len: u64) -> u64 {
        let start = self.cursor;
        self.cursor += len;
        self.metadata.write_all_at(&self.cursor.to_ne_bytes(), 16).unwrap();
        let size = self.cursor.next_multiple_of(65536);
        if self.data.metadata().unwrap().len() < size {
            self.data.set_len(size).unwrap();
            self.metadata.write_all_at(&size.to_ne_bytes(), 8).unwrap();
        }
        start
    }

    pub fn append(&mut self, message: &[u8]) -> u64 {
        let start = self.reserve(message.len() as u64);
        self.data.write_all_at(message, start).unwrap();
        start
    }

    /// `is_locked` (5) or `is_panicked` (6).
    pub fn flag(&self, offset: u64) {
        self.metadata.write_all_at(&[1], offset).unwrap();
    }

    /// Cuts the file as its trim does, which leaves `file_size` as it was.
    pub fn trim(&self) {
        self.data.set_len(self.cursor).unwrap();
    }
}
