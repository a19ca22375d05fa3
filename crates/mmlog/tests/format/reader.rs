//! A reader written from mmlog(5) alone, on nothing but `std`: what the page says is enough, and true.
//!
//! `std` has no `F_OFD_GETLK`; this reader finds the lock bytes in `/proc/locks`.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

const POSITION: u64 = (1 << 62) - 1;

pub(crate) struct Reader {
    meta: File,
    data: File,
    max_writers: u32,
}

/// What a reader makes of a log: its content, and where the holes lie.
#[derive(PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) bytes: Vec<u8>,
    pub(crate) holes: Vec<Range<u64>>,
    pub(crate) watermark: u64,
}

fn mix(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(0x9e37_79b9_7f4a_7c15, |h, w| {
        let x = (h ^ w).wrapping_mul(0xff51_afd7_ed55_8ccd);
        x ^ (x >> 32)
    })
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, holes, watermark } = self;
        write!(f, "{} bytes, watermark {watermark}, holes {holes:?}", bytes.len())
    }
}

impl Reader {
    pub(crate) fn open(log: &Path) -> io::Result<Self> {
        let meta = File::open(log.with_file_name(format!("{}.mmlog", log.file_name().unwrap().display())))?;
        let mut reader = Self { meta, data: File::open(log)?, max_writers: 0 };
        assert_eq!(reader.u32(0x00)?, 2, "version");
        assert_eq!(reader.u32(0x04)? & 0xff, 1, "is_ready");
        assert_eq!(reader.bytes::<8>(0xc0)?, *b"mmlog\0v2", "magic");
        assert_eq!((reader.u32(0xc8)?, reader.u32(0xcc)?), (0x0102_0304, 0), "byte_order, features_required");
        let (inode, generation) = (reader.u64(0x108)?, reader.u64(0x110)?);
        assert_eq!(inode, reader.data.metadata()?.ino(), "inode");
        let segment = 0x440 + generation % 2 * 0x40;
        assert_eq!(reader.u64(segment + 0x28)?, inode ^ generation.rotate_left(32), "born_of");
        if let Ok(born) = reader.data.metadata()?.created() {
            let born = born.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
            assert_eq!(u128::from(reader.u64(segment + 0x20)?), born, "born_ns");
        }
        assert_eq!(reader.u64(0xd08)?, reader.u64(0x120)? ^ reader.u64(0xd8)?, "born_of of the metadata");
        if let Ok(born) = reader.meta.metadata()?.created() {
            let born = born.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
            assert_eq!(u128::from(reader.u64(0xd00)?), born, "born_ns of the metadata");
        }
        reader.max_writers = reader.u32(0x140)?;
        let tables = [0x150, 0x158, 0x160, 0x168].map(|at| reader.u64(at).unwrap());
        assert_eq!(tables, [0x1000, 0x3000, 0x13000, 0x13000 + 128 * u64::from(reader.max_writers)]);
        Ok(reader)
    }

    fn bytes<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.meta.read_exact_at(&mut bytes, at).map(|()| bytes)
    }

    fn u32(&self, at: u64) -> io::Result<u32> {
        self.bytes(at).map(u32::from_ne_bytes)
    }

    fn u64(&self, at: u64) -> io::Result<u64> {
        self.bytes(at).map(u64::from_ne_bytes)
    }

    /// While locks come and go, a read of `/proc/locks` can miss one that stays: what is not there is looked for again.
    fn is_held(&self, byte: u64) -> io::Result<bool> {
        for _ in 0..16 {
            if self.is_listed(byte)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_listed(&self, byte: u64) -> io::Result<bool> {
        let inode = format!(":{}", self.meta.metadata()?.ino());
        Ok(std::fs::read_to_string("/proc/locks")?.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words[..], [_, "OFDLCK", _, "WRITE", _, file, start, end]
                if file.ends_with(&inode)
                    && start.parse().is_ok_and(|start: u64| start <= byte)
                    && end.parse().map_or(end == "EOF", |end: u64| byte <= end))
        }))
    }

    /// "Watermark", steps 1 to 5, and the table of holes.
    fn look(&self) -> io::Result<(u64, Vec<Range<u64>>)> {
        let (cursor, base) = (self.u64(0x10)? & !(1 << 63), self.u64(0x48)?);
        let used = self.u32(0x180)?.min(self.max_writers);
        let (mut watermark, mut holes) = (cursor, Vec::new());
        for slot in 0..u64::from(used) {
            let at = 0x13000 + 128 * slot;
            loop {
                let pending = self.u64(at)?;
                let (state, start) = (pending >> 62, pending & POSITION);
                if state == 0 || start >= watermark {
                    break;
                }
                let len = self.u64(at + 8)?;
                if self.is_held((1 << 40) + 4096 + slot)? {
                    watermark = start;
                } else if (self.u64(at)?, self.u64(at + 8)?) != (pending, len) {
                    continue;
                } else if state >= 2 {
                    holes.push(start..start.saturating_add(len));
                }
                break;
            }
        }
        for at in (0x3000..0x13000).step_by(64) {
            let (start, len) = (self.u64(at)?, self.u64(at + 8)?);
            if start != 0 && self.u64(at)? == start {
                holes.push(start - 1..(start - 1).saturating_add(len));
            }
        }
        holes.retain(|h| base <= h.start && h.start < h.end && h.end <= cursor);
        holes.sort_by_key(|h| h.start);
        holes.dedup();
        Ok((watermark, holes))
    }

    /// "Waiting": what the writers want, with the errno and so many bytes.
    pub(crate) fn waiting(&self) -> io::Result<Vec<(u32, u32, u64)>> {
        let used = self.u32(0x180)?.min(self.max_writers);
        let mut found = Vec::new();
        for at in (0..u64::from(used)).map(|slot| 0x13000 + 128 * slot) {
            let (kind, errno, bytes) = (self.u32(at + 0x20)?, self.u32(at + 0x24)?, self.u64(at + 0x28)?);
            let is_its_owners = self.u64(at + 0x38)? >= self.u64(at + 0x58)?;
            if (1..=8).contains(&kind) && is_its_owners {
                found.push((kind, errno, bytes));
            }
        }
        Ok(found)
    }

    /// "Following", and "Place of a follower": who reads what, by its name or command.
    pub(crate) fn followers(&self) -> io::Result<Vec<(String, u32, u64, u32)>> {
        let (at, len) = (self.u64(0x8c0)?, self.u64(0x8c8)?);
        let expected = (0x13000 + 128 * u64::from(self.max_writers)).next_multiple_of(4096).max(0x33000);
        let is_there = self.u32(0xd0)? & 2 != 0 && (at, len) == (expected, 256 * 128);
        if !is_there || self.meta.metadata()?.len() < at + len {
            return Ok(Vec::new());
        }
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
        };
        let mut found = Vec::new();
        for place in 0..256 {
            let at = at + 128 * place;
            let since = self.u64(at)?;
            let (position, pid, stands) = (self.u64(at + 0x08)?, self.u32(at + 0x28)?, self.u32(at + 0x2c)?);
            let (command, name) = (text(&self.bytes::<16>(at + 0x30)?), text(&self.bytes::<64>(at + 0x40)?));
            let lives = since != 0 && self.is_held((1 << 40) + 32769 + 2 * place)?;
            if lives && self.u64(at)? == since {
                found.push((if name.is_empty() { command } else { name }, pid, position, stands));
            }
        }
        Ok(found)
    }

    /// "Policies": the fields that are set, by their bits, or an error where the policy is damaged.
    pub(crate) fn policy(&self) -> io::Result<Result<Vec<(u32, u64)>, String>> {
        let number = self.u64(0xc80)?;
        if number == 0 {
            return Ok(Ok(Vec::new()));
        }
        let words: Vec<u64> =
            (0..16).map(|i| self.u64(0xb80 + 128 * (number % 2) + 8 * i).unwrap()).collect();
        let uuid = [0xd8, 0xe0].map(|at| self.u64(at).unwrap());
        let mix = mix(words[..15].iter().copied().chain([number]).chain(uuid));
        if mix != words[15] {
            return Ok(Err(format!("check {:#x}, not {mix:#x}", words[15])));
        }
        Ok(Ok((0..8)
            .filter(|bit| words[0] >> bit & 1 == 1)
            .map(|bit| (bit, words[1 + bit as usize]))
            .collect()))
    }

    /// "Times": all pairs that are whole, sorted.
    fn pairs(&self, ring: u64) -> io::Result<Vec<[u64; 3]>> {
        let uuid = [self.u64(0xd8)?, self.u64(0xe0)?];
        let words = |at: u64, n: u64| (0..n).map(|i| self.u64(at + 8 * i)).collect::<io::Result<Vec<u64>>>();
        let cursor = self.u64(0x10)? & !(1 << 63);
        let mut found = Vec::new();
        for place in 0..4096 {
            let w = words(ring + 32 * place, 4)?;
            let is_whole = w[3] == mix(w[..3].iter().copied().chain([place, uuid[0], uuid[1]]));
            found.extend(is_whole.then_some([w[2], w[0], w[1]]));
        }
        for place in 0..1024 {
            let w = words(ring + 0x21000 + 64 * place, 8)?;
            let is_whole = w[7] == mix(w[..7].iter().copied().chain([place, uuid[0], uuid[1]]));
            found.extend(is_whole.then_some([w[5], w[3], w[4]]));
        }
        found.retain(|[reserved, ..]| *reserved <= cursor);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// "Times": where what was appended from one time to another lies at most, where the clock was never set. `None`
    /// without a ring.
    pub(crate) fn between(&self, since: u64, until: u64) -> io::Result<Option<(u64, Option<u64>)>> {
        let places = (0x13000 + 128 * u64::from(self.max_writers)).next_multiple_of(4096).max(0x33000);
        let at = self.u64(0x170)?;
        let said = self.u32(0xd0)? & 4 != 0 && (at, self.u64(0x178)?) == (places + 32768, 200_704);
        let is_right = self.u64(0xce8)? == self.u64(0xe8)?;
        if !said || !is_right || self.meta.metadata()?.len() < at + 200_704 {
            return Ok(None);
        }
        assert_eq!(self.u64(0xce0)?, 0, "steps");
        let pairs = self.pairs(at)?;
        let before = pairs.iter().take_while(|[_, at, _]| *at < since).map(|[.., settled]| *settled).max();
        let next = pairs.iter().rposition(|[_, at, _]| *at <= until).map_or(0, |last| last + 1);
        Ok(Some((before.unwrap_or(0), pairs.get(next).map(|[reserved, ..]| *reserved))))
    }

    /// "Boots", rules 1, 3 and 4: whether the metadata is of this one; `None` where lock bytes have to say.
    pub(crate) fn is_of_this_boot(&self) -> io::Result<Option<bool>> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let mine = u128::from_str_radix(&digits, 16).unwrap().to_be_bytes();
        let recorded = self.bytes::<16>(0xf0)?;
        if recorded == mine {
            return Ok(Some(true));
        }
        if recorded != [0; 16] {
            return Ok(None);
        }
        let [first, last] = [0xf0, 0xf8].map(|at| self.u64(at).unwrap());
        if self.u64(0x128)? != (first ^ last.rotate_left(32)) | 1 {
            return Ok(Some(false));
        }
        let up = std::fs::read_to_string("/proc/uptime")?;
        let up: f64 = up.split(' ').next().unwrap().parse().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let booted = now.as_secs_f64() - up;
        let then = self.u64(0x130)? as f64 / 1e9;
        Ok(Some((booted - then).abs() < 2.0 && up + 0.1 >= self.u64(0x138)? as f64 / 1e9))
    }

    /// "Epoch": where somebody goes on who has read everything below a position that was noted in that epoch; `None`
    /// where nobody can tell.
    pub(crate) fn goes_on(&self, then: u64, mut position: u64) -> io::Result<Option<u64>> {
        for epoch in then + 1..=self.u64(0xe8)? {
            let [below, end] = [0x700 + 16 * (epoch % 8), 0x900 + 16 * (epoch % 32)];
            if self.u64(end)? == epoch {
                position = position.min(self.u64(end + 8)?);
            } else if self.u64(below)? != epoch || position > self.u64(below + 8)? {
                return Ok(None);
            }
        }
        Ok(Some(position))
    }

    /// Everything that is final now.
    pub(crate) fn read(&self) -> io::Result<Seen> {
        let (watermark, mut holes) = self.look()?;
        holes.retain(|h| h.start < watermark);
        let base = self.u64(0x48)?;
        let (mut at, mut bytes) = (base, Vec::new());
        for hole in holes.iter().cloned().chain(std::iter::once(watermark..watermark)) {
            let mut part = vec![0; (hole.start - at) as usize];
            self.data.read_exact_at(&mut part, at - base)?;
            bytes.append(&mut part);
            at = hole.end;
        }
        Ok(Seen { bytes, holes, watermark })
    }
}
