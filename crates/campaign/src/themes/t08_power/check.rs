//! The oracle: what a log must be after a power cut and the reboot that follows it. Runs in a process of its own.

use std::fmt;
use std::fs::{self, File};
use std::mem::offset_of;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use mmlog::layout::{Header, MAGIC, Segment};
use mmlog::{Log, LogId, Position, Rotation, Standing, Start};

use super::content::{Content, highest_noted};
use super::notes::Note;
use super::promise::Promise;
use super::writers::{Subject, metadata_of, options, words};
use crate::actor::{end_with_parent, say};
use crate::disks::hide_boot_id;
use crate::oracle::{Final, Segments};

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
    fn demand_kept(&mut self, who: &str, promise: &Promise, content: &Content) {
        let (mut end, mut lost) = (content.oldest, Vec::new());
        let is_pruned = |at: u64, message: &[u8]| at + message.len() as u64 <= content.oldest;
        for (&at, expected) in promise.kept.iter().filter(|(at, message)| !is_pruned(**at, message)) {
            self.demand_untorn(who, promise, content, end, at.min(promise.synced));
            end = at + expected.len() as u64;
            if content.in_hole(at, end) || content.get(at, expected.len()) != *expected {
                lost.push((at, end));
            }
        }
        self.demand_untorn(who, promise, content, end, promise.synced);
        self.demand(lost.is_empty(), || {
            format!(
                "{who}: {} of {} promised messages lost; the first is [{}, {}), synced to {}, {} bytes read",
                lost.len(),
                promise.kept.len(),
                lost[0].0,
                lost[0].1,
                promise.synced,
                content.bytes.len()
            )
        });
    }

    /// `[from, to)` was nobody's acknowledged message: a hole, NULs, or whole messages that a killed writer could
    /// not note any more.
    fn demand_untorn(&mut self, who: &str, promise: &Promise, content: &Content, from: u64, to: u64) {
        let mut at = from;
        while at < to {
            if let Some((_, end)) = promise.doubtful.iter().find(|(start, end)| (*start..*end).contains(&at))
            {
                at = *end;
                continue;
            }
            let rest = content.get(at, (to - at) as usize);
            // Before NULs are passed over: its first bytes may be some.
            if let Some(whole) = promise.unnoted.iter().find(|message| rest.starts_with(message)) {
                at += whole.len() as u64;
                continue;
            }
            if rest.first().is_some_and(|&byte| byte != 0) && !content.in_hole(at, at + 1) {
                let found = &rest[..rest.len().min(16)];
                self.0.push(format!("{who}: torn bytes at {at} in the gap [{from}, {to}): {found:02x?}"));
                return;
            }
            at += 1;
        }
    }
}

/// Behind the last byte that is not NUL.
fn end_of(data: &[u8]) -> u64 {
    data.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
}

/// What the disk has, before anybody of this project looks at it, for people; `None`: no data file.
fn describe(log: &Path) -> anyhow::Result<Option<String>> {
    let data = match fs::read(log) {
        Ok(data) => data,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let finals = Segments::look(log)?.finals;
    let len = |path: &Path| fs::metadata(path).map_or(0, |stat| stat.len());
    let final_of = |f: &Final| format!("{} from {}, {} bytes", f.generation, f.base, len(&f.path));
    let finals: Vec<String> = finals.iter().map(final_of).collect();
    let (inode, end, len) = (fs::metadata(log)?.ino(), end_of(&data), data.len());
    let text = format!("before: segments {finals:?}, inode {inode}, data up to {end} of {len} bytes");
    Ok(Some(match fs::read(metadata_of(log)) {
        Ok(metadata) if is_metadata(&metadata) => {
            let word = |at: usize| metadata[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
            let segment = |at: usize| [0, 8, 16].map(|field| word(at + field));
            let segments = offset_of!(Header, segments);
            let kept = offset_of!(Header, kept);
            format!(
                "{text}, generation {}, inode {}, base {}, cursor {}, file_size {}, checkpoint {}, epoch {}, generation, base and inode {:?}, first kept {}, of inode, generation, base {:?}, journal {:?}",
                word(offset_of!(Header, identity.generation)),
                word(offset_of!(Header, identity.inode)),
                word(offset_of!(Header, control.base)),
                word(offset_of!(Header, control.cursor)),
                word(offset_of!(Header, control.file_size)),
                word(offset_of!(Header, checkpoint.synced)),
                word(offset_of!(Header, identity.epoch)),
                [segment(segments), segment(segments + size_of::<Segment>())],
                word(kept),
                segment(kept + 8),
                [0, 8, 16, 24, 40].map(|field| word(offset_of!(Header, journal) + field)),
            )
        }
        Ok(metadata) => format!("{text}, {} bytes that are no metadata", metadata.len()),
        Err(e) => format!("{text}, metadata: {e}"),
    }))
}

fn is_metadata(bytes: &[u8]) -> bool {
    let magic = offset_of!(Header, identity.magic);
    bytes.len() >= size_of::<Header>() && bytes[magic..].starts_with(&MAGIC)
}

/// What the metadata says of the boot that the cut ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Recorded {
    /// Whatever was written.
    AsWritten,
    /// No boot id: nobody could read it.
    ClocksOnly,
    /// Neither: software that did not know the clocks, where nobody could read the id.
    Nothing,
    /// That it is the boot which looks: nobody recovers the log. For the control.
    ThisBoot,
}
words!(Recorded: AsWritten, ClocksOnly, Nothing, ThisBoot);

/// The kernel that looks is the one that wrote: another boot in the metadata stands for the reboot.
pub(super) fn reboot(log: &Path, recorded: Recorded) -> anyhow::Result<()> {
    let file = match File::options().read(true).write(true).open(metadata_of(log)) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    let mut header = vec![0; size_of::<Header>()];
    if file.read_at(&mut header, 0)? == header.len() && is_metadata(&header) {
        // The clocks say which boot id they were recorded with; this is none's.
        const OF_NO_BOOT_ID: u64 = 1;
        let clocks_of = match recorded {
            Recorded::AsWritten => None,
            Recorded::ClocksOnly => Some(OF_NO_BOOT_ID),
            Recorded::Nothing => Some(0),
            Recorded::ThisBoot => return Ok(()),
        };
        if let Some(clocks_of) = clocks_of {
            file.write_all_at(&[0; 16], offset_of!(Header, identity.boot_id) as u64)?;
            file.write_all_at(&clocks_of.to_ne_bytes(), offset_of!(Header, identity.clocks_of) as u64)?;
        }
        mmlog::pretend_reboot(&file)?;
    }
    Ok(())
}

/// Role: `LOG SUBJECT WATERMARKS RECORDED BLIND`, and `STAGE TIME` of each life of the disk. Says `violation TEXT`,
/// `promised NUMBER`, `refused TEXT`.
pub(super) fn role(arguments: &[String]) -> anyhow::Result<()> {
    end_with_parent()?;
    let Some(([log, subject, watermarks, recorded, blind], lives)) = arguments.split_first_chunk() else {
        bail!("five arguments and more")
    };
    if blind.parse()? {
        hide_boot_id()?;
    }
    let life = |pair: &[String; 2]| -> anyhow::Result<_> { Ok((PathBuf::from(&pair[0]), pair[1].parse()?)) };
    let lives: Vec<(PathBuf, u64)> = lives.as_chunks().0.iter().map(life).collect::<anyhow::Result<_>>()?;
    let lives: Vec<(&Path, u64)> = lives.iter().map(|(stage, time)| (stage.as_path(), *time)).collect();
    let promise = Promise::of(&lives, watermarks == "true")?;
    let mut findings = Findings::default();
    match subject.parse()? {
        Subject::Plain => check_plain(Path::new(log), &promise, &mut findings),
        subject => {
            let disk = Disk { log: Path::new(log), subject, promise: &promise };
            check_log(&disk, recorded.parse()?, &mut findings)?;
        }
    }
    findings.0.iter().for_each(|text| say(format_args!("violation {text}")));
    say(format_args!("promised {}", promise.kept.len()));
    Ok(())
}

fn check_plain(path: &Path, promise: &Promise, findings: &mut Findings) {
    let bytes = fs::read(path).unwrap_or_default();
    findings.demand_kept("plain file", promise, &Content { bytes, ..Content::default() });
}

/// A log that a cut has left, and what was promised of it.
struct Disk<'a> {
    log: &'a Path,
    subject: Subject,
    promise: &'a Promise,
}

fn check_log(disk: &Disk<'_>, recorded: Recorded, findings: &mut Findings) -> anyhow::Result<()> {
    let Disk { log: path, promise, .. } = *disk;
    let Some(before) = describe(path)? else {
        findings.demand(promise.is_empty(), || "no data file, but messages were promised".into());
        return Ok(());
    };
    reboot(path, recorded)?;
    match check_recovery(disk, findings) {
        Err(e) if promise.is_empty() => say(format_args!("refused {e:#}; {before}")),
        Err(e) => findings.0.push(format!("{e:#}")),
        Ok(()) => {}
    }
    findings.0.iter_mut().for_each(|text| text.push_str(&format!("; {before}")));
    Ok(())
}

fn check_recovery(disk: &Disk<'_>, findings: &mut Findings) -> anyhow::Result<()> {
    let Disk { log: path, subject, promise } = *disk;
    let before = check_reader_before(disk, findings)?;
    let log = options().open_or_create(path).context("recovery")?;
    let recovered = log.cursor()?.get();
    // Recovery may have zeroed what was in flight at the end.
    let base = log.status()?.base;
    let least = promise.synced.max(base + end_of(&fs::read(path)?));
    findings.demand(recovered >= least, || format!("recovered to {recovered}, below {least}"));
    let noted = highest_noted(path)?;
    findings.demand(noted <= recovered, || format!("a time was noted for {noted}, recovered to {recovered}"));
    let content = Content::read(&log, subject).context("read after recovery")?;
    let begins =
        Segments::look(path)?.finals.iter().map(|f| f.base).chain([base, recovered]).collect::<Vec<_>>();
    let oldest = content.oldest;
    findings.demand(oldest == 0 || begins.contains(&oldest), || {
        format!("what is left begins at {oldest}, segments at {begins:?}")
    });
    let foreseen = before.as_ref().is_none_or(|seen| *seen == content);
    findings.demand(foreseen, || {
        let seen = before.as_ref().map(|seen| (seen.oldest, seen.bytes.len(), &seen.holes));
        format!(
            "a reader before recovery has read something else than is there now: {seen:?}; {:?}",
            (oldest, content.bytes.len(), &content.holes)
        )
    });
    let read = content.bytes.len() as u64;
    findings.demand(read == recovered, || format!("{read} bytes can be read, the cursor is {recovered}"));
    findings.demand_kept("recovered", promise, &content);
    // A log that was made anew has another uuid.
    let now = Note::opened(&log)?;
    let is_older = |seen: &Note| match (seen, now) {
        (Note::Opened { uuid, epoch }, Note::Opened { uuid: same, epoch: now }) => {
            *uuid != same || *epoch < now
        }
        _ => true,
    };
    let newer = promise.opened.iter().find(|seen| !is_older(seen));
    findings.demand(newer.is_none(), || format!("the log is {now:?}, somebody has seen {newer:?}"));
    go_on(log, disk, recovered, content, findings)
}

/// A reader that comes before the first writer sees what was synced, and whatever else the recovery will leave.
fn check_reader_before(disk: &Disk<'_>, findings: &mut Findings) -> anyhow::Result<Option<Content>> {
    let Disk { log: path, subject, promise } = *disk;
    if promise.is_empty() {
        return Ok(None);
    }
    let log = options().open_reader(path).context("a reader before recovery")?;
    let content = Content::read(&log, subject).context("read before recovery")?;
    let watermark = log.watermark()?.get();
    let synced = promise.synced;
    findings.demand(watermark >= synced, || format!("a reader's watermark {watermark}, synced {synced}"));
    findings.demand_kept("a reader before recovery", promise, &content);
    check_places(&log, watermark, findings)?;
    Ok(Some(content))
}

/// Whoever had read up to some place before the cut goes on there, or where the log does if that is below.
fn check_places(log: &Log, went_on: u64, findings: &mut Findings) -> anyhow::Result<()> {
    let follower = log.follow(Start::Oldest)?;
    let now = follower.log_id();
    // A log that was made anew, or is not recovered, has no epoch before.
    let Some(epoch) = now.epoch.checked_sub(1) else { return Ok(()) };
    let id = LogId { epoch, ..now };
    for place in [0, went_on / 2, went_on.saturating_sub(1), went_on, went_on + 1, went_on + (1 << 20)] {
        let expected = match place > went_on {
            true => Standing::Lost { from: Position::new(went_on) },
            false => Standing::Same,
        };
        let found = follower.standing(id, Position::new(place))?;
        findings.demand(found == expected, || {
            format!("place {place} of epoch {epoch}: {found:?}, not {expected:?}")
        });
    }
    Ok(())
}

/// The log can be appended to, followed, synced and trimmed, and nothing that was there changes.
fn go_on(
    log: Log,
    disk: &Disk<'_>,
    recovered: u64,
    mut content: Content,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let Disk { log: path, subject, .. } = *disk;
    deep(path, "after recovery", findings)?;
    let mut writer = log.writer()?;
    for number in 0..20_u64 {
        // The first lengths of some sequence, and content that nobody else wrote.
        let message = vec![b'a' + number as u8; (7919 * (number * number + 1) % 90_000) as usize];
        let at = writer.append(&message).context("append after recovery")?.get();
        let end = content.bytes.len() as u64;
        findings.demand(at == end, || format!("appended at {at}, the end was {end} (recovered {recovered})"));
        content.bytes.extend_from_slice(&message);
    }
    log.trim(Duration::from_secs(30)).context("trim after recovery")?;
    let rotated = log.rotate(&Rotation::default()).context("rotate after recovery")?;
    findings.demand(rotated.is_some(), || "a rotation after recovery did nothing".into());
    findings.demand(!Segments::look(path)?.has_next, || "a rotation has left a temporary file".into());
    let last = writer.append(b"the end\n").context("append after a rotation")?.get();
    content.bytes.extend_from_slice(b"the end\n");
    let synced = log.sync().context("sync after recovery")?.get();
    let end = content.bytes.len() as u64;
    findings.demand(synced == end, || format!("synced to {synced}, appended to {end}"));
    drop(writer);
    log.close().context("close after recovery")?;
    let len = fs::metadata(path)?.len();
    findings.demand(last + len == end, || format!("{len} bytes at rest from {last}, appended to {end}"));
    deep(path, "at rest", findings)?;
    let reader = options().open_reader(path)?;
    check_places(&reader, recovered, findings).context("places at rest")?;
    let again = Content::read(&reader, subject).context("read at rest")?;
    let content = content.pruned(again.oldest);
    findings.demand(again == content, || {
        let differ = again.bytes.iter().zip(&content.bytes).position(|(a, b)| a != b);
        let (bytes, holes) = (again.bytes.len(), again.holes.len());
        format!("at rest {bytes} bytes and {holes} holes, not {end} and {}; {differ:?}", content.holes.len())
    });
    Ok(())
}

fn deep(path: &Path, when: &str, findings: &mut Findings) -> anyhow::Result<()> {
    let deep = mmlog::check::deep(path, &options()).with_context(|| format!("check {when}"))?;
    findings.demand(deep.violations.is_empty(), || format!("check {when}: {:?}", deep.violations));
    Ok(())
}
