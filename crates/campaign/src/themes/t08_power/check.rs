//! The oracle: what a log must be after a power cut and the reboot that follows it. Runs in a process of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use mmlog::layout::{Header, MAGIC};
use mmlog::{Log, Next, Start};

use super::notes::{Note, Stage, WriterNotes, message};
use super::writers::{Subject, metadata_of, options};
use crate::actor::{end_with_parent, say};

/// What a cut must have kept.
struct Promise<'a> {
    /// Below it everything is durable.
    synced: u64,
    /// The messages that are, by position.
    kept: BTreeMap<u64, (u64, u64)>,
    writers: &'a [WriterNotes],
}

impl<'a> Promise<'a> {
    /// What was promised by that time. With `watermarks`, as if every watermark had been synced: the control.
    fn at(writers: &'a [WriterNotes], time: u64, watermarks: bool) -> Self {
        let below = |(noted, note): &(u64, Note)| match note {
            _ if *noted > time => None,
            Note::Synced { below } => Some(*below),
            Note::Watermark { at } if watermarks => Some(*at),
            _ => None,
        };
        let synced = writers.iter().flat_map(|w| &w.notes).filter_map(below).max().unwrap_or(0);
        let mut kept = BTreeMap::new();
        for WriterNotes { writer, notes } in writers {
            let own = notes.iter().rposition(|(noted, note)| *noted <= time && *note == Note::SyncedOwn);
            for (index, (_, note)) in notes.iter().enumerate() {
                match *note {
                    Note::Appended { at, number } if at < synced || own.is_some_and(|own| index < own) => {
                        kept.insert(at, (*writer, number));
                    }
                    _ => {}
                }
            }
        }
        Self { synced, kept, writers }
    }
}

/// Bytes by position, and which of them are holes.
#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    holes: Vec<(u64, u64)>,
}

impl Content {
    fn read(log: &Log) -> anyhow::Result<Self> {
        let mut content = Self::default();
        let mut follower = log.follow(Start::Oldest)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match follower.next(&mut buffer)? {
                Next::Bytes(range) => {
                    content.bytes.extend_from_slice(&buffer[..(range.end - range.start) as usize]);
                }
                Next::Hole(hole) => {
                    content.bytes.resize(hole.end() as usize, 0);
                    content.holes.push((hole.start, hole.end()));
                }
                _ => return Ok(content),
            }
        }
    }

    fn get(&self, at: u64, len: usize) -> &[u8] {
        let start = (at as usize).min(self.bytes.len());
        &self.bytes[start..start.saturating_add(len).min(self.bytes.len())]
    }

    fn in_hole(&self, from: u64, to: u64) -> bool {
        self.holes.iter().any(|&(start, end)| start < to && from < end)
    }
}

/// What a check found.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn demand(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.0.push(otherwise());
        }
    }

    /// Every message that was promised is there, whole, at its position; between them nothing is torn.
    fn demand_kept(&mut self, who: &str, promise: &Promise<'_>, content: &Content) {
        let mut end = 0;
        let mut lost = Vec::new();
        for (&at, &(writer, number)) in &promise.kept {
            let expected = message(writer, number);
            self.demand_untorn(who, promise, content, end, at.min(promise.synced));
            end = at + expected.len() as u64;
            if content.in_hole(at, end) || content.get(at, expected.len()) != expected {
                lost.push((at, end, writer, number));
            }
        }
        self.demand_untorn(who, promise, content, end, promise.synced);
        self.demand(lost.is_empty(), || {
            let (at, end, writer, number) = lost[0];
            let synced = promise.synced;
            format!(
                "{who}: {} of {} promised messages lost; the first is {number} of writer {writer} at [{at}, {end}), \
                 synced to {synced}, {} bytes read",
                lost.len(),
                promise.kept.len(),
                content.bytes.len()
            )
        });
    }

    /// `[from, to)` was nobody's acknowledged message: a hole, NULs, or whole messages that a killed writer could
    /// not note any more.
    fn demand_untorn(&mut self, who: &str, promise: &Promise<'_>, content: &Content, from: u64, to: u64) {
        let mut at = from;
        while at < to {
            let rest = content.get(at, (to - at) as usize);
            if rest.first().is_none_or(|&byte| byte == 0) || content.in_hole(at, at + 1) {
                at += 1;
                continue;
            }
            // The one message that a writer may have appended without noting it is its next one.
            let next = |w: &WriterNotes| {
                let noted = w.notes.iter().rev().find_map(|(_, note)| match note {
                    Note::Appended { number, .. } => Some(number + 1),
                    _ => None,
                });
                message(w.writer, noted.unwrap_or(0))
            };
            let whole = promise.writers.iter().map(next).find(|message| rest.starts_with(message));
            let Some(whole) = whole else {
                let found = &rest[..rest.len().min(16)];
                self.0.push(format!("{who}: torn bytes at {at} in the gap [{from}, {to}): {found:02x?}"));
                return;
            };
            at += whole.len() as u64;
        }
    }
}

/// What the disk has, before anybody of this project looks at it.
struct Raw {
    /// Behind the last byte of the data file that is not NUL.
    end: u64,
    len: u64,
    header: Option<Fields>,
}

#[derive(Debug)]
struct Fields {
    cursor: u64,
    file_size: u64,
    checkpoint: u64,
    epoch: u64,
}

impl Raw {
    fn look(log: &Path) -> anyhow::Result<Option<Self>> {
        let data = match fs::read(log) {
            Ok(data) => data,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let end = data.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1);
        let metadata = fs::read(metadata_of(log)).unwrap_or_default();
        let word = |at: usize| {
            metadata.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes)
        };
        let header = || {
            let magic = word(offset_of!(Header, identity.magic))?;
            (magic == u64::from_ne_bytes(MAGIC)).then_some(())?;
            Some(Fields {
                cursor: word(offset_of!(Header, control.cursor))?,
                file_size: word(offset_of!(Header, control.file_size))?,
                checkpoint: word(offset_of!(Header, checkpoint.synced))?,
                epoch: word(offset_of!(Header, identity.epoch))?,
            })
        };
        Ok(Some(Self { end, len: data.len() as u64, header: header() }))
    }

    /// The kernel that checks is the one that wrote: another boot id stands for the reboot.
    fn reboot(&self, log: &Path) -> anyhow::Result<()> {
        if self.header.is_some() {
            let file = File::options().read(true).write(true).open(metadata_of(log))?;
            let at = offset_of!(Header, identity.boot_id) as u64;
            let mut id = [0; 16];
            file.read_exact_at(&mut id, at)?;
            id[0] ^= 0xff;
            file.write_all_at(&id, at)?;
        }
        Ok(())
    }
}

/// Role: `LOG STAGE TIME SUBJECT WATERMARKS`. Says `violation TEXT` and `fact NAME NUMBER`.
pub(super) fn role(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let [log, stage, time, subject, watermarks] = arguments else { bail!("five arguments") };
    let stage = Stage::open(Path::new(stage))?;
    let writers = stage.read()?;
    let promise = Promise::at(&writers, time.parse()?, watermarks == "true");
    let mut findings = Findings::default();
    match subject.parse()? {
        Subject::Plain => check_plain(Path::new(log), &promise, &mut findings),
        Subject::Log => check_log(Path::new(log), &promise, &mut findings)?,
    }
    findings.0.iter().for_each(|text| say(format_args!("violation {text}")));
    say(format_args!("fact promised {}", promise.kept.len()));
    Ok(())
}

fn check_plain(path: &Path, promise: &Promise<'_>, findings: &mut Findings) {
    let bytes = fs::read(path).unwrap_or_default();
    findings.demand_kept("plain file", promise, &Content { bytes, holes: Vec::new() });
}

fn check_log(path: &Path, promise: &Promise<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let Some(raw) = Raw::look(path)? else {
        findings.demand(promise.kept.is_empty(), || "no data file, but messages were promised".into());
        return Ok(());
    };
    raw.reboot(path)?;
    let before = format!("data file of {} bytes up to {}, metadata {:?}", raw.len, raw.end, raw.header);
    if let Err(e) = check_recovery(path, &raw, promise, findings) {
        if promise.synced == 0 && promise.kept.is_empty() {
            say(format_args!("fact refused-unsynced 1"));
            say(format_args!("note {e:#} ({before})"));
        } else {
            findings.0.push(format!("{e:#}"));
        }
    }
    findings.0.iter_mut().for_each(|text| text.push_str(&format!("; before: {before}")));
    Ok(())
}

fn check_recovery(
    path: &Path,
    raw: &Raw,
    promise: &Promise<'_>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    check_reader_before(path, promise, findings)?;
    let log = options().open_or_create(path).context("recovery")?;
    let recovered = log.cursor().get();
    let least = promise.synced.max(raw.end);
    findings.demand(recovered >= least, || format!("recovered to {recovered}, below {least}"));
    let content = Content::read(&log).context("read after recovery")?;
    let read = content.bytes.len() as u64;
    findings.demand(read == recovered, || format!("{read} bytes can be read, the cursor is {recovered}"));
    findings.demand_kept("recovered", promise, &content);
    let (epoch, old) = (log.status()?.id.epoch, raw.header.as_ref().map(|header| header.epoch));
    findings.demand(old.is_none_or(|old| epoch > old), || format!("epoch {epoch} after {old:?}"));
    go_on(log, path, recovered, content, findings)
}

/// A reader that comes before the first writer sees what was synced, and nothing torn.
fn check_reader_before(path: &Path, promise: &Promise<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    if promise.kept.is_empty() {
        return Ok(());
    }
    let log = options().open_reader(path).context("a reader before recovery")?;
    let content = Content::read(&log).context("read before recovery")?;
    let watermark = log.watermark()?.get();
    let synced = promise.synced;
    findings.demand(watermark >= synced, || format!("a reader's watermark {watermark}, synced {synced}"));
    findings.demand_kept("a reader before recovery", promise, &content);
    Ok(())
}

/// The log can be appended to, followed, synced and trimmed, and nothing that was there changes.
fn go_on(
    log: Log,
    path: &Path,
    recovered: u64,
    mut content: Content,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let mut writer = log.writer()?;
    for number in 0..20 {
        let message = message(u64::from(u32::MAX), number);
        let at = writer.append(&message).context("append after recovery")?.get();
        let end = content.bytes.len() as u64;
        findings.demand(at == end, || format!("appended at {at}, the end was {end} (recovered {recovered})"));
        content.bytes.extend_from_slice(&message);
    }
    log.trim(Duration::from_secs(30)).context("trim after recovery")?;
    let synced = log.sync().context("sync after recovery")?.get();
    let end = content.bytes.len() as u64;
    findings.demand(synced == end, || format!("synced to {synced}, appended to {end}"));
    drop(writer);
    log.close().context("close after recovery")?;
    let len = fs::metadata(path)?.len();
    findings.demand(len == end, || format!("{len} bytes at rest, appended to {end}"));
    let again = Content::read(&options().open_reader(path)?).context("read at rest")?;
    findings.demand(again.bytes == content.bytes && again.holes == content.holes, || {
        let differ = again.bytes.iter().zip(&content.bytes).position(|(a, b)| a != b);
        let (bytes, holes) = (again.bytes.len(), again.holes.len());
        format!("at rest {bytes} bytes and {holes} holes, not {end} and {}; {differ:?}", content.holes.len())
    });
    Ok(())
}
