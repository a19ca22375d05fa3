//! The files that hostile headers are put into, in a directory with neighbours that must stay as they are.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::mem::offset_of;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mmlog::layout::{
    Control, GATE, HOLES_AT, HighWater, HoleCounts, HoleEntry, Journal, SLOTS_AT, Slot, SlotHot, Wake,
};
use mmlog::{Log, Options};

use super::forge::{Canvas, Forged, Template, bit, forge};
use crate::surgeon::word;

const PAGE: usize = 4096;
const CONTENT: usize = 3000;
/// So many headers in a row come from one template.
const IN_A_ROW: u64 = 64;

/// How the logs are made.
pub(super) fn options() -> Options {
    Log::options().chunk_size(4096).max_writers(3).gate_ms(5).ring_chunks(2)
}

/// The two files, held by the inodes that they have.
struct Pair {
    data: File,
    metadata: File,
}

impl Pair {
    fn open(log: &Path) -> std::io::Result<Self> {
        let file = |path: &Path| File::options().read(true).write(true).open(path);
        Ok(Self { data: file(log)?, metadata: file(&metadata_of(log))? })
    }
}

pub(super) struct Bench {
    pub(super) log: PathBuf,
    metadata_path: PathBuf,
    /// Open but while somebody else must be alone with them.
    pair: Option<Pair>,
    inodes: (u64, u64),
    templates: Vec<Template>,
    /// Metadata of the neighbour that is a log.
    other: Vec<u8>,
    neighbours: Neighbours,
    canvas: Canvas,
    current: usize,
    /// The files may differ from the canvas anywhere.
    changed: bool,
    written: u64,
}

impl Bench {
    /// Makes files and neighbours in an empty directory.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let log = directory.join("app.log");
        let neighbours = Neighbours::new(directory)?;
        let other = fs::read(metadata_of(&directory.join("other.log")))?;
        let metadata_path = metadata_of(&log);
        let (templates, inodes) = templates(&log)?;
        Ok(Self {
            log,
            metadata_path,
            inodes,
            pair: None,
            templates,
            other,
            neighbours,
            canvas: Canvas { bytes: Vec::new(), touched: 0 },
            current: usize::MAX,
            changed: true,
            written: 0,
        })
    }

    /// Puts forgery `number` into the files.
    pub(super) fn prepare(&mut self, seed: u64, number: u64) -> Result<Forged> {
        let chosen = (number / IN_A_ROW) as usize % self.templates.len();
        let before = self.canvas.touched;
        let template = &self.templates[chosen];
        if chosen != self.current || self.canvas.bytes.len() != template.metadata.len() {
            (self.current, self.changed) = (chosen, true);
            self.canvas.touched = u64::MAX;
        }
        self.canvas.restore(&template.metadata);
        let forged = forge(&mut self.canvas, template, &self.other, seed, number);
        let whole = std::mem::take(&mut self.changed);
        let pair = match self.pair.take() {
            Some(pair) => pair,
            None => Pair::open(&self.log)?,
        };
        let Pair { data, metadata } = self.pair.insert(pair);
        let pages = if whole { u64::MAX } else { before | self.canvas.touched };
        for (i, page) in self.canvas.bytes.chunks(PAGE).enumerate().filter(|(i, _)| pages & bit(*i) != 0) {
            metadata.write_all_at(page, (i * PAGE) as u64)?;
        }
        if forged.metadata_len != self.canvas.bytes.len() as u64 {
            metadata.set_len(forged.metadata_len)?;
            self.changed = true;
        } else if whole {
            metadata.set_len(forged.metadata_len)?;
        }
        if whole {
            data.set_len(0)?;
            data.write_all_at(&template.data, 0)?;
            self.written = template.data.len() as u64;
        }
        if forged.data_len != self.written {
            data.set_len(forged.data_len)?;
            self.written = forged.data_len;
            self.changed = true;
        }
        Ok(forged)
    }

    /// What a reader of an untouched forgery must get.
    pub(super) fn content(&self) -> &[u8] {
        &self.templates[self.current].content
    }

    /// As [`let_change`](Self::let_change), with the files closed until they are prepared again.
    pub(super) fn let_go(&mut self) {
        self.let_change();
        self.pair = None;
    }

    /// Somebody was let write to the files.
    pub(super) fn let_change(&mut self) {
        self.changed = true;
    }

    /// The header, or all of both files, are as they were prepared; only a sleeper's word may have changed.
    pub(super) fn is_unchanged(&self, forged: &Forged, all: bool) -> Result<bool> {
        let Some(Pair { data, metadata }) = &self.pair else { return Ok(true) };
        let len = if all { self.canvas.bytes.len() } else { PAGE };
        let mut expected = self.canvas.bytes[..len.min(forged.metadata_len as usize)].to_vec();
        let mut found = vec![0; expected.len()];
        metadata.read_exact_at(&mut found, 0)?;
        let wake = word!(data_wake: Wake, seq) as usize..word!(data_wake: Wake, seq) as usize + 8;
        if found.len() >= wake.end {
            expected[wake.clone()].copy_from_slice(&found[wake]);
        }
        let lengths = (metadata.metadata()?.len(), data.metadata()?.len());
        let mut same = found == expected && lengths == (forged.metadata_len, forged.data_len);
        if same && all {
            let mut expected = self.templates[self.current].data.clone();
            expected.resize(forged.data_len as usize, 0);
            let mut found = vec![0; expected.len()];
            data.read_exact_at(&mut found, 0)?;
            same = found == expected;
        }
        Ok(same)
    }

    /// Makes the files anew if somebody removed or replaced them; whether that was so.
    pub(super) fn renew(&mut self) -> Result<bool> {
        let inode = |path: &Path| path.symlink_metadata().map(|m| m.ino()).ok();
        if (inode(&self.log), inode(&self.metadata_path)) == (Some(self.inodes.0), Some(self.inodes.1)) {
            return Ok(false);
        }
        let rotated = listing(self.log.parent().context("a directory")?)?.into_keys();
        let rotated: Vec<PathBuf> = rotated.filter(|path| is_of_rotation(path)).collect();
        for path in rotated.iter().chain([&self.log, &self.metadata_path]) {
            match fs::remove_file(path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        self.pair = None;
        (self.templates, self.inodes) = templates(&self.log)?;
        (self.current, self.changed) = (usize::MAX, true);
        Ok(true)
    }

    /// The neighbour that is not what it was.
    pub(super) fn spilled(&self) -> Result<Option<String>> {
        self.neighbours.spilled()
    }
}

/// The files beside `app.log`, which nobody may change: another log, and plain files.
pub(super) struct Neighbours {
    directory: PathBuf,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Neighbours {
    /// Makes them in an empty directory.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        make(&directory.join("other.log"), &content(CONTENT / 2))?;
        fs::write(directory.join("plain"), content(8192))?;
        fs::write(directory.join("app.log.tmp"), content(100))?;
        Ok(Self { directory: directory.into(), files: listing(directory)? })
    }

    /// One that is not what it was, or that was not there.
    pub(super) fn spilled(&self) -> Result<Option<String>> {
        let now = listing(&self.directory)?;
        let log = self.directory.join("app.log");
        let ours = |path: &Path| path == log || path == metadata_of(&log) || is_of_rotation(path);
        let differs = |path: &&PathBuf| !ours(path) && now.get(*path) != self.files.get(*path);
        Ok(now.keys().chain(self.files.keys()).find(differs).map(|path| path.display().to_string()))
    }
}

/// Final segments, and one to come: a size to rotate at may be forged.
fn is_of_rotation(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("app.log.0") || name == "app.log.mmlog-next"
}

/// All files of a directory.
fn listing(directory: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match fs::read(&path) {
            Ok(bytes) => drop(files.insert(path, bytes)),
            // Only the log itself comes and goes.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(files)
}

/// Lines, `len` bytes of them.
fn content(len: usize) -> Vec<u8> {
    (0..).flat_map(|i| format!("line {i}\n").into_bytes()).take(len - 1).chain([b'\n']).collect()
}

pub(super) fn metadata_of(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_os_string();
    path.push(mmlog::METADATA_SUFFIX);
    path.into()
}

fn make(log: &Path, content: &[u8]) -> Result<()> {
    let made = options().open_or_create(log)?;
    made.writer()?.append(content)?;
    Ok(made.close()?)
}

/// The log in five states of the same two files: new, open, at rest, with holes, and as a crash leaves it.
fn templates(log: &Path) -> Result<(Vec<Template>, (u64, u64))> {
    let (text, metadata_path) = (content(CONTENT), metadata_of(log));
    let take = |content: &[u8]| -> Result<Template> {
        Ok(Template { metadata: fs::read(&metadata_path)?, data: fs::read(log)?, content: content.into() })
    };
    let handle = options().open_or_create(log).context("make the log")?;
    let new = take(b"")?;
    let mut writer = handle.writer()?;
    writer.append(&text)?;
    let open = take(&text)?;
    drop(writer);
    handle.close()?;
    let rest = take(&text)?;
    let holes = with_holes(&rest);
    let crashed = crashed(&open);
    let inodes = (log.metadata()?.ino(), metadata_path.metadata()?.ino());
    Ok((vec![new, open, rest, holes, crashed], inodes))
}

fn set(bytes: &mut [u8], offset: u64, value: u64) {
    bytes[offset as usize..][..8].copy_from_slice(&value.to_ne_bytes());
}

const CURSOR: u64 = word!(control: Control, cursor);

fn with_holes(rest: &Template) -> Template {
    let Template { mut metadata, data, mut content } = rest.copy();
    for (i, start) in [100, 700, 2000].into_iter().enumerate() {
        let entry = (HOLES_AT + i * size_of::<HoleEntry>()) as u64;
        set(&mut metadata, entry + offset_of!(HoleEntry, start) as u64, start + 1);
        set(&mut metadata, entry + offset_of!(HoleEntry, len) as u64, 50);
    }
    set(&mut metadata, word!(hole_counts: HoleCounts, noted), 3);
    [2000, 700, 100].into_iter().for_each(|start| drop(content.drain(start..start + 50)));
    Template { metadata, data, content }
}

/// A writer died in its copy, a trimmer behind its gate.
fn crashed(open: &Template) -> Template {
    let Template { mut metadata, data, content } = open.copy();
    let (cursor, torn) = (CONTENT as u64, 200);
    let slot = (SLOTS_AT + size_of::<Slot>()) as u64;
    set(&mut metadata, slot + offset_of!(SlotHot, pending) as u64, 3 << 62 | cursor);
    set(&mut metadata, slot + offset_of!(SlotHot, len) as u64, torn);
    metadata[word!(high_water: HighWater, slots) as usize] = 2;
    set(&mut metadata, CURSOR, (cursor + torn) | GATE);
    set(&mut metadata, word!(control: Control, gate_at), cursor + torn);
    set(&mut metadata, word!(journal: Journal, kind), mmlog::metadata::JOURNAL_TRIM);
    Template { metadata, data, content }
}

impl Template {
    fn copy(&self) -> Self {
        Self { metadata: self.metadata.clone(), data: self.data.clone(), content: self.content.clone() }
    }
}
