//! The files of a log, by their names alone, and what must hold of them: nothing else lies beside the log, the
//! segments join without a gap, and a final one never changes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Behind the log's name.
const METADATA: &str = ".mmlog";
const NEXT: &str = ".mmlog-next";
const COMPRESSED: &str = ".zst";

/// One final segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Final {
    pub(crate) generation: u64,
    pub(crate) base: u64,
    pub(crate) path: PathBuf,
}

/// What lies beside a log.
pub(crate) struct Segments {
    log: PathBuf,
    /// By name.
    pub(crate) finals: Vec<Final>,
    /// Whether a rotation has left its temporary file.
    pub(crate) has_next: bool,
    /// Whose name begins as the log's.
    strangers: Vec<String>,
    /// Everything else; nothing, in a directory of the log's own.
    pub(crate) others: Vec<String>,
}

/// A file that may never change from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
    pub(crate) hash: u64,
}

impl Final {
    fn is_compressed(&self) -> bool {
        self.path.as_os_str().as_bytes().ends_with(COMPRESSED.as_bytes())
    }
}

/// What a segment holds, also if it is, or has become, a compressed one.
pub(crate) fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    if path.as_os_str().as_bytes().ends_with(COMPRESSED.as_bytes()) {
        return Ok(Box::new(zstd::Decoder::new(File::open(path)?)?));
    }
    match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let mut compressed = path.as_os_str().to_os_string();
            compressed.push(COMPRESSED);
            let file = File::open(compressed).map_err(|_| e)?;
            Ok(Box::new(zstd::Decoder::new(file)?))
        }
        opened => Ok(Box::new(opened?)),
    }
}

impl Segments {
    /// Reads the log's directory.
    pub(crate) fn look(log: &Path) -> anyhow::Result<Self> {
        let mut found = Self {
            log: log.to_path_buf(),
            finals: Vec::new(),
            has_next: false,
            strangers: Vec::new(),
            others: Vec::new(),
        };
        let stem = log.file_name().context("a log's name")?.as_bytes();
        for entry in fs::read_dir(log.parent().context("a log's directory")?)? {
            let (path, name) = entry.map(|e| (e.path(), e.file_name()))?;
            let rest = name.as_bytes().strip_prefix(stem).map(OsStr::from_bytes);
            let rest = rest.and_then(OsStr::to_str);
            match rest.map(|rest| rest.strip_suffix(COMPRESSED).unwrap_or(rest)) {
                Some("" | METADATA) => {}
                Some(NEXT) => found.has_next = true,
                Some(rest) if numbers(rest).is_some() => {
                    let (generation, base) = numbers(rest).unwrap_or_default();
                    found.finals.push(Final { generation, base, path });
                }
                Some(_) => found.strangers.push(name.to_string_lossy().into_owned()),
                None => found.others.push(name.to_string_lossy().into_owned()),
            }
        }
        found.finals.sort_by(|a, b| a.path.cmp(&b.path));
        // A plain file comes before its compressed copy.
        found.finals.dedup_by_key(|f| f.generation);
        Ok(found)
    }

    /// Of a log at rest, or one whose rotations have all been finished: what is wrong with the names and lengths.
    /// `base` is that of the current segment.
    pub(crate) fn check(&self, base: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.strangers.is_empty() {
            wrong.push(format!("beside the log lies {:?}", self.strangers));
        }
        let nexts = self.finals.iter().skip(1).map(|next| (Some(next.generation), next.base));
        for (this, (generation, next)) in self.finals.iter().zip(nexts.chain([(None, base)])) {
            let name = this.path.display();
            if generation.is_some_and(|g| g != this.generation + 1) {
                wrong.push(format!("{name} is followed by generation {generation:?}"));
            }
            match fs::symlink_metadata(&this.path) {
                Ok(_) if this.is_compressed() => {}
                Ok(stat) if this.base + stat.len() != next => {
                    wrong.push(format!("{name} has {} bytes, the next segment begins at {next}", stat.len()));
                }
                Ok(stat) if !stat.is_file() => wrong.push(format!("{name} is no file")),
                Ok(_) => {}
                Err(e) => wrong.push(format!("{name}: {e}")),
            }
        }
        wrong
    }

    /// All that they hold, the current one last.
    pub(crate) fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let mut all = Vec::new();
        for path in self.finals.iter().map(|f| &f.path).chain([&self.log]) {
            open(path)?.read_to_end(&mut all).with_context(|| path.display().to_string())?;
        }
        Ok(all)
    }

    /// The file that has a position, and where in it; `base` is the current segment's.
    pub(crate) fn locate(&self, base: u64, at: u64) -> (&Path, u64) {
        let has = self.finals.iter().rev().find(|f| f.base <= at).filter(|_| at < base);
        has.map_or((&self.log, at - base.min(at)), |f| (&f.path, at - f.base))
    }

    /// As they are now.
    pub(crate) fn seals(&self) -> anyhow::Result<Vec<Seal>> {
        self.finals.iter().map(|f| Seal::of(&f.path)).collect()
    }
}

impl Seal {
    pub(crate) fn of(path: &Path) -> anyhow::Result<Self> {
        let (mut file, path) = (open(path)?, path.to_path_buf());
        let (mut len, mut hash, mut buf) = (0, 0xcbf2_9ce4_8422_2325, vec![0; 1 << 16]);
        loop {
            let read = file.read(&mut buf)?;
            if read == 0 {
                return Ok(Self { path, len, hash });
            }
            len += read as u64;
            let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            hash = buf[..read].iter().fold(hash, step);
        }
    }

    /// The file is what it was.
    pub(crate) fn holds(&self) -> anyhow::Result<()> {
        let now = Self::of(&self.path).with_context(|| format!("{}, once final", self.path.display()))?;
        let path = self.path.display();
        ensure!(now == *self, "{path} was final and has changed: {} bytes, {} now", self.len, now.len);
        Ok(())
    }
}

/// Seals that several processes note; each is one `write`.
pub(crate) struct Seals(File);

impl Seals {
    /// Beside another file of the oracle's.
    pub(crate) fn beside(other: &Path) -> std::io::Result<Self> {
        let path = other.with_extension("seals");
        File::options().read(true).append(true).create(true).open(path).map(Self)
    }

    pub(crate) fn note(&self, seal: &Seal) -> std::io::Result<()> {
        (&self.0).write_all(format!("{} {} {}\n", seal.hash, seal.len, seal.path.display()).as_bytes())
    }

    pub(crate) fn all(&self) -> anyhow::Result<Vec<Seal>> {
        let mut text = String::new();
        (&self.0).seek(SeekFrom::Start(0))?;
        (&self.0).read_to_string(&mut text)?;
        let seal = |line: &str| {
            let (hash, rest) = line.split_once(' ')?;
            let (len, path) = rest.split_once(' ')?;
            Some(Seal { path: path.into(), len: len.parse().ok()?, hash: hash.parse().ok()? })
        };
        text.lines().map(|line| seal(line).with_context(|| format!("no seal: {line}"))).collect()
    }
}

/// `.0000000007-0000000000000001234`, perhaps with a time behind it.
fn numbers(rest: &str) -> Option<(u64, u64)> {
    let (generation, base) = rest.strip_prefix('.')?.split_once('-')?;
    let (base, stamp) = base.split_once('-').unwrap_or((base, "20261121T093000Z"));
    let is_number = |text: &str, digits| text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    let fits = is_number(generation, 10) && is_number(base, 19) && stamp.len() == 16;
    Some((generation.parse().ok()?, base.parse().ok()?)).filter(|_| fits)
}
