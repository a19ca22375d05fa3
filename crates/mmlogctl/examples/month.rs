//! Makes a log of so many GiB that was written to for a month up to now: sparse but for its last lines, each of which
//! begins with its time, and with the pairs of times and positions that such a month leaves. For `tests/measure.sh since`.
//!
//! ```text
//! cargo run --release -p mmlogctl --example month -- LOG GIB
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::mem::offset_of;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mmlog::Log;
use mmlog::layout::{Header, PAIRS_MAX, TimePair, ring_at};
use mmlog::times::Pair;

const MONTH: u64 = 30 * 86_400;
/// Lines are there for the last seconds of it.
const WRITTEN: u64 = 600;
const SECOND_NS: u64 = 1_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (path, size) = match (args.next(), args.next()) {
        (Some(path), Some(gib)) => (PathBuf::from(path), gib.parse::<u64>()? << 30),
        _ => return Err("usage: month LOG GIB".into()),
    };
    let log = Log::options().open_or_create(&path)?;
    let max_writers = log.max_writers();
    log.close()?;
    let mut metadata_path = path.clone().into_os_string();
    metadata_path.push(mmlog::METADATA_SUFFIX);
    let metadata = File::options().read(true).write(true).open(metadata_path)?;
    let word = |at: usize| -> std::io::Result<u64> {
        let mut bytes = [0; 8];
        metadata.read_exact_at(&mut bytes, at as u64)?;
        Ok(u64::from_ne_bytes(bytes))
    };
    let put = |at: usize, word: u64| metadata.write_all_at(&word.to_ne_bytes(), at as u64);
    let control = [
        offset_of!(Header, control.cursor),
        offset_of!(Header, control.limit),
        offset_of!(Header, control.file_size),
    ];
    for at in control {
        put(at, size)?;
    }

    let now = u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos())?;
    // A steady log: so many bytes a second, in whole lines.
    let time_at = |position: u64| {
        now - (u128::from(size - position) * u128::from(MONTH * SECOND_NS) / u128::from(size)) as u64
    };
    let file = File::options().write(true).open(&path)?;
    file.set_len(size)?;
    let mut lines = BufWriter::new(&file);
    let mut at = size - (size / MONTH * WRITTEN).min(size);
    lines.seek(SeekFrom::Start(at))?;
    let len = "2026-11-28T14:00:05.123456Z \n".len() as u64 + 71;
    // The first one ends what is not there, the last one fits exactly.
    let first = (size - at) % len;
    writeln!(lines, "{:1$}", "", first as usize + len as usize - 1)?;
    at += first + len;
    while at < size {
        let time = jiff::Timestamp::try_from(SystemTime::UNIX_EPOCH + Duration::from_nanos(time_at(at)))?;
        writeln!(lines, "{time:.6} {:71}", "GET /some/thing")?;
        at += len;
    }
    lines.flush()?;

    let uuid = [word(offset_of!(Header, identity.uuid))?, word(offset_of!(Header, identity.uuid) + 8)?];
    let mut pairs = vec![None; PAIRS_MAX];
    for number in 1..=MONTH {
        let position = (u128::from(size) * u128::from(number) / u128::from(MONTH)) as u64;
        pairs[Pair::place(number)] =
            Some(Pair { at_ns: time_at(position), settled: position, reserved: position });
    }
    for (place, pair) in pairs.iter().enumerate() {
        let Some(pair) = pair else { continue };
        let bytes: Vec<u8> = pair.words(place, uuid).iter().flat_map(|word| word.to_ne_bytes()).collect();
        metadata.write_all_at(&bytes, (ring_at(max_writers) + place * size_of::<TimePair>()) as u64)?;
    }
    put(offset_of!(Header, times.count), MONTH)?;
    Ok(())
}
