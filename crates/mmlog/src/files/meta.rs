//! A metadata file that has been checked. One that has not is only bytes.

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::error::Fault;
use crate::layout::*;
use crate::metadata::{Entry, MadeAs};
use crate::sync::Ordering;
use crate::sys::fs::is_overlay;
use crate::sys::map::{One, Protection, SharedMap, View};
pub(crate) use crate::sys::page_size;

/// No format will have a later number: what says one is text that was written over it.
const LAST_VERSION: u32 = 0xffff;

/// What the first bytes of a metadata file say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Empty, or creation has not stored its last word.
    Unfinished,
    /// Created; version 2 of this host's byte order.
    Ready,
    /// Of the original's format, which is read, not written.
    Version1,
}

/// Reads without mapping: the file may be short, or anything.
pub(crate) fn stage(file: &File) -> Result<Stage, Fault> {
    let read = Fault::io("read the metadata file");
    let mut head = [0; 4096];
    let len = read_start(file, &mut head).map_err(read)?;
    let head = &head[..len];
    if head.iter().all(|&b| b == 0) {
        return Ok(Stage::Unfinished);
    }
    let u32_at = |at: usize| head.get(at..at + 4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    let version = u32_at(0).unwrap_or(u32::MAX);
    let not = |why: String| Err(Fault::NotMetadata { why });
    // An upgrade that was killed leaves both, and no writer before its last store.
    let had_writers = u32_at(offset_of!(Header, high_water.slots)).is_some_and(|slots| slots > 0);
    if version == 1 && had_writers && head.get(0xc0..0xc8) == Some(&MAGIC[..]) {
        return not("its version field says 1, and its magic and length version 2".into());
    }
    if version == 1 && len >= 32 {
        return Ok(Stage::Version1);
    }
    if version.swap_bytes() == VERSION {
        return not("written on a host of the other byte order".into());
    }
    match head.get(0xc0..0xc8) {
        Some(magic) if magic == MAGIC => {}
        Some([0, 0, 0, 0, 0, 0, 0, 0]) if version == 0 => return Ok(Stage::Unfinished),
        None => return not(format!("{len} bytes, too short for a header")),
        _ => return not(format!("no magic, version field {version}, {} bytes", file_len(file)?)),
    }
    if version > LAST_VERSION {
        return not(format!("other bytes were written over its beginning, which says version {version}"));
    }
    if version > VERSION {
        return Err(Fault::Version { found: version });
    }
    match head[4] {
        1 if version == VERSION => Ok(Stage::Ready),
        0 => Ok(Stage::Unfinished),
        ready => not(format!("version {version}, is_ready {ready}")),
    }
}

fn read_start(file: &File, into: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < into.len() {
        match file.read_at(&mut into[len..], len as u64) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(len)
}

/// Why a metadata file on the file system of `on` is a copy of another one, if it is. Through an overlay, the first who writes to a
/// file of a lower layer has it made anew.
pub(crate) fn copied(header: &Header, made: MadeAs, on: impl AsFd) -> Option<Fault> {
    let (recorded, found) = (header.copied_from(made)?, made.inode);
    (recorded != found || !is_overlay(on)).then_some(Fault::Copied { recorded, found })
}

/// Whether nobody can write to a metadata file, since it is a copy of another one: it is what it will be.
pub(crate) fn is_copy(file: &File, made: MadeAs) -> Result<bool, Fault> {
    let says = Meta::check(&in_memory(file)?, Protection::ReadWrite);
    Ok(says.is_ok_and(|meta| copied(meta.header(), made, file).is_some()))
}

/// The bytes of a metadata file in a file of memory, for one that cannot be mapped, or must not be.
pub(crate) fn in_memory(file: &File) -> Result<File, Fault> {
    use rustix::fs::{MemfdFlags, memfd_create};
    let mut bytes = vec![0; file_len(file)?.min(total_len(WRITERS_RANGE.1) as u64) as usize];
    let len = read_start(file, &mut bytes).map_err(Fault::io("read the metadata file"))?;
    let made = memfd_create(c"mmlog", MemfdFlags::CLOEXEC).map_err(io::Error::from).and_then(|fd| {
        let memory = File::from(fd);
        memory.write_all_at(&bytes[..len], 0)?;
        Ok(memory)
    });
    made.map_err(Fault::io("read the metadata file into memory"))
}

fn file_len(file: &File) -> Result<u64, Fault> {
    Ok(file.metadata().map_err(Fault::io("stat the metadata file"))?.len())
}

/// The fields that never change after creation, loaded once and checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) chunk_size: u64,
    pub(crate) page_size: u64,
    pub(crate) max_writers: u32,
    pub(crate) gate_ms: u32,
}

/// A mapped, checked metadata file.
pub(crate) struct Meta {
    header: View<Header>,
    slots: View<Slot>,
    holes: View<HoleEntry>,
    followers: View<FollowerRecord>,
    geometry: Geometry,
    /// Where the truth of a log of version 1 is; the other fields are then this process's own.
    version_1: Option<View<Version1>>,
}

impl Meta {
    pub(crate) fn header(&self) -> &Header {
        &self.header[0]
    }

    #[inline]
    pub(crate) fn control(&self) -> &Control {
        &self.header().control
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// What a writer with that slot stores to and looks at.
    pub(crate) fn words_of(&self, slot: u32) -> Option<(One<Header>, One<Slot>)> {
        Some((self.header.one(0)?, self.slots.one(slot as usize)?))
    }

    pub(crate) fn holes(&self) -> &[HoleEntry] {
        &self.holes
    }

    pub(crate) fn followers(&self) -> &[FollowerRecord] {
        &self.followers
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Whether the SIGBUS guard found the file cut.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.header.is_cut()
    }

    /// The slots that were ever used. Loaded after the cursor that bounds a scan.
    pub(crate) fn used_slots(&self) -> &[Slot] {
        let used = self.header().high_water.slots.load(Ordering::Acquire) as usize;
        &self.slots[..used.min(self.slots.len())]
    }

    /// Whether this is metadata still, or will be: a rebuild begins with zeros.
    pub(crate) fn check_magic(&self) -> Result<(), Fault> {
        let magic = self.header().identity.magic.load(Ordering::Relaxed);
        if magic == 0 || magic == u64::from_ne_bytes(MAGIC) {
            return Ok(());
        }
        Err(Fault::NotMetadata { why: "overwritten while it was open".into() })
    }

    /// Checks that the positions fit each other; `Err` says which does not.
    pub(crate) fn check_positions(&self) -> Result<(), Fault> {
        let control = self.control();
        // Each before the cursor, which it never passes.
        let kept = self.header().kept.first.load(Ordering::Acquire); // kept
        let base = control.base();
        let file_size = control.file_size();
        let cursor = control.look().start;
        let out = |field, value, min, max| Err(Fault::OutOfRange { field, value, min, max });
        if base >= POSITION_END {
            return out("base", base, 0, POSITION_END - 1);
        }
        if file_size >= POSITION_END - base {
            return out("file_size", file_size, 0, POSITION_END - base - 1);
        }
        // Nobody reserves without having seen space: what lies beyond it is at most one message a writer.
        let overhang = u64::from(self.geometry.max_writers) * MAX_MESSAGE;
        let most = (base + file_size + overhang).min(POSITION_END - 1);
        if cursor < base || cursor > most {
            return out("cursor", cursor, base, most);
        }
        if kept > cursor {
            return out("first_kept", kept, 0, cursor);
        }
        Ok(())
    }

    /// Maps a file that is [`Stage::Ready`] and checks what the fields say against each other.
    pub(crate) fn check(file: &File, protection: Protection) -> Result<Self, Fault> {
        let len = file_len(file)?;
        if len < total_len(WRITERS_RANGE.0) as u64 {
            return Err(Fault::NotMetadata { why: format!("cut to {len} bytes") });
        }
        let map = || Fault::io("map the metadata file");
        let mapping = SharedMap::new(file, len.min(total_len(WRITERS_RANGE.1) as u64) as usize, protection)
            .map_err(map())?;
        let too_short = || Fault::NotMetadata { why: format!("cut to {len} bytes") };
        let header: View<Header> = mapping.view(0, 1).ok_or_else(too_short)?;
        let geometry = check_header(&header[0])?;
        let slots = mapping.view(SLOTS_AT, geometry.max_writers as usize).ok_or_else(too_short)?;
        let holes = mapping.view(HOLES_AT, HOLES_MAX).ok_or_else(too_short)?;
        let followers = mapping.view(FOLLOWERS_AT, FOLLOWERS_MAX).ok_or_else(too_short)?;
        Ok(Self { header, slots, holes, followers, geometry, version_1: None })
    }

    /// Metadata of version 1, shown as one of version 2 without slots and holes, in memory of this process.
    pub(crate) fn of_version_1(file: &File) -> Result<Self, Fault> {
        let map = || Fault::io("map the metadata file");
        let len = size_of::<Version1>();
        let mapping = SharedMap::new(file, len, Protection::Read).map_err(map())?;
        let version_1: View<Version1> = view(&mapping, 0, 1)?;
        let geometry = Geometry::of_version_1(&version_1[0]);
        let own = SharedMap::anonymous(total_len(geometry.max_writers)).map_err(map())?;
        let header: View<Header> = view(&own, 0, 1)?;
        fill_header(&header[0], geometry);
        let slots = view(&own, SLOTS_AT, geometry.max_writers as usize)?;
        let holes = view(&own, HOLES_AT, HOLES_MAX)?;
        let followers = view(&own, FOLLOWERS_AT, FOLLOWERS_MAX)?;
        Ok(Self { header, slots, holes, followers, geometry, version_1: Some(version_1) })
    }

    /// The metadata of a log of version 1.
    pub(crate) fn version_1(&self) -> Option<&Version1> {
        self.version_1.as_ref().map(|view| &view[0])
    }

    /// Fills an allocated file of zeros; the caller has the log's lock. Not ready yet.
    pub(crate) fn fill(
        file: &File,
        geometry: Geometry,
        identity: impl FnOnce(&Identity),
        first: Entry,
        len: u64,
    ) -> Result<Self, Fault> {
        let map = SharedMap::new(file, total_len(geometry.max_writers), Protection::ReadWrite)
            .map_err(Fault::io("map the metadata file"))?;
        let header: View<Header> = view(&map, 0, 1)?;
        fill_header(&header[0], geometry);
        identity(&header[0].identity);
        header[0].segment(first.generation).set(first);
        header[0].set_generation(first.generation);
        header[0].control.begin_segment(first.base, len);
        header[0].control.cursor.store(first.base + len, Ordering::Relaxed);
        let slots = view(&map, SLOTS_AT, geometry.max_writers as usize)?;
        let holes = view(&map, HOLES_AT, HOLES_MAX)?;
        let followers = view(&map, FOLLOWERS_AT, FOLLOWERS_MAX)?;
        Ok(Self { header, slots, holes, followers, geometry, version_1: None })
    }

    /// The last stores of creation. While the version is 0, whoever has the lock byte starts over.
    pub(crate) fn make_ready(&self) {
        self.control().version.store(VERSION, Ordering::Release); // ready
        self.control().is_ready.store(1, Ordering::Release); // ready
    }
}

fn view<T: Shared>(map: &Arc<SharedMap>, offset: usize, count: usize) -> Result<View<T>, Fault> {
    map.view(offset, count).ok_or_else(|| Fault::NotMetadata { why: "shorter than it was made".into() })
}

fn fill_header(header: &Header, geometry: Geometry) {
    let set32 = |word: &crate::sync::AtomicU32, value: u32| word.store(value, Ordering::Relaxed);
    let set = |word: &crate::sync::AtomicU64, value: u64| word.store(value, Ordering::Relaxed);
    let Header { control, tables, identity, .. } = header;
    // Of version 1; its lock has no owner here. Its panic flag stays.
    control.is_locked.store(0, Ordering::Relaxed);
    set32(&control.page_size, geometry.page_size as u32);
    set32(&control.chunk_size, geometry.chunk_size as u32);
    set32(&control.gate_ms, geometry.gate_ms);
    set(&identity.magic, u64::from_ne_bytes(MAGIC));
    set32(&identity.byte_order, BYTE_ORDER);
    set32(&tables.max_writers, geometry.max_writers);
    set32(&tables.holes_max, HOLES_MAX as u32);
    set32(&tables.followers_max, FOLLOWERS_MAX as u32);
    set(&tables.followers_at, FOLLOWERS_AT as u64);
    set(&tables.holes_at, HOLES_AT as u64);
    set(&tables.slots_at, SLOTS_AT as u64);
    set(&tables.total_len, total_len(geometry.max_writers) as u64);
}

/// Nothing shared is trusted twice: each field is loaded once, checked, and the copy is used.
fn check_header(header: &Header) -> Result<Geometry, Fault> {
    let Header { control, tables, identity, .. } = header;
    let load32 = |word: &crate::sync::AtomicU32| u64::from(word.load(Ordering::Relaxed));
    let load = |word: &crate::sync::AtomicU64| word.load(Ordering::Relaxed);
    if load32(&identity.byte_order) != u64::from(BYTE_ORDER) {
        return Err(Fault::NotMetadata { why: "written on a host of the other byte order".into() });
    }
    let features = load32(&identity.features_required);
    if features != 0 {
        return Err(Fault::NotMetadata { why: format!("needs features {features:#x} of a newer build") });
    }
    let geometry = Geometry {
        chunk_size: load32(&control.chunk_size),
        page_size: load32(&control.page_size),
        max_writers: load32(&tables.max_writers) as u32,
        gate_ms: load32(&control.gate_ms) as u32,
    };
    geometry.check()?;
    let tables_are = [load(&tables.followers_at), load(&tables.holes_at), load(&tables.slots_at)];
    if tables_are != [FOLLOWERS_AT as u64, HOLES_AT as u64, SLOTS_AT as u64]
        || (load32(&tables.holes_max), load32(&tables.followers_max))
            != (HOLES_MAX as u64, FOLLOWERS_MAX as u64)
        || load(&tables.total_len) != total_len(geometry.max_writers) as u64
    {
        return Err(Fault::NotMetadata { why: "its tables are not where version 2 has them".into() });
    }
    Ok(geometry)
}

impl Geometry {
    /// As it says, or as this host has it where that cannot be.
    pub(crate) fn of_version_1(version_1: &Version1) -> Self {
        let chunk_size = u64::from(version_1.chunk_size.load(Ordering::Relaxed));
        let geometry = Self { chunk_size, page_size: page_size(), max_writers: 1, gate_ms: 50 };
        let possible = geometry.check().is_ok();
        if possible { geometry } else { Self { chunk_size: 16 << 20, ..geometry } }
    }

    /// Ranges of what is set at creation, for options and for what a file says.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let page = page_size();
        let range = |field, value, (min, max), multiple: u64| {
            if value < min || value > max || value % multiple != 0 {
                Err(Fault::Geometry { field, value, min, max, multiple })
            } else {
                Ok(())
            }
        };
        range("chunk_size", self.chunk_size, (page.max(CHUNK_RANGE.0), CHUNK_RANGE.1), page)?;
        range("page_size", self.page_size, (CHUNK_RANGE.0, 1 << 16), CHUNK_RANGE.0)?;
        let writers = (u64::from(WRITERS_RANGE.0), u64::from(WRITERS_RANGE.1));
        range("max_writers", self.max_writers.into(), writers, 1)?;
        range("gate_ms", self.gate_ms.into(), (1, 60_000), 1)
    }
}
