//! One unit becomes one object, which nobody ever changes: it is made if none has that name.
//!
//! What is larger than may be in memory is sent in parts, and is there when all of them are: a part alone is nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mmlog::Compression;
use mmlog::crash::crash_point;
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, PutObject, S3Action as _,
    UploadPart,
};
use sha2::{Digest as _, Sha256};

use super::names::{self, Name, What};
use super::stored::{self, Read};
use super::wire::{Answer, Wire, text};
use crate::segment::{Gap, Segment};
use crate::trouble::{Trouble, away, shown};
use crate::unit::{Header, Kind};

/// A part is no smaller, but for the last, and there are no more.
const LEAST: u64 = 5 << 20;
const PARTS: u64 = 10_000;
/// How often it is tried again where somebody else is at the same name, and how soon.
const TRIES: u32 = 4;
const SOON: Duration = Duration::from_millis(200);
/// How much is read at a time.
const SLICE: usize = 256 << 10;

/// What is sent.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) unit: Header,
    pub(super) coordinate: u64,
    pub(super) segment: Option<Segment>,
    /// Bytes that may be in memory.
    pub(super) part: u64,
}

type Headers = Vec<(String, String)>;

/// Sends it. `is_left` is raised where nobody waits for it any more.
pub(super) fn upload(wire: &Wire, job: &Job, is_left: &AtomicBool) -> Result<(), Trouble> {
    let segment = job.segment.as_ref();
    let name = Name::of(&job.unit, segment.and_then(|segment| segment.compression));
    is_alone(wire, job, name)?;
    let gaps = segment.map_or(&[][..], |segment| &segment.gaps);
    if !gaps.is_empty() {
        let text = Gap::write(gaps);
        let key = wire.key(job.unit.log, name.gaps());
        let answer = put(wire, &key, text.as_bytes(), &[content_type("text/plain")])?;
        if !answer.is_done() && !answer.is_taken() {
            return Err(wire.refused("store an object", &answer));
        }
        crash_point("ship:s3-gaps");
    }
    store(wire, job, name, gaps.len(), segment, is_left)
}

/// Nothing else begins there: the same segment, compressed otherwise, or a gap, that another connection or another shipper has sent.
fn is_alone(wire: &Wire, job: &Job, name: Name) -> Result<(), Trouble> {
    if name.what == What::Begin {
        return Ok(());
    }
    let mut other = None;
    wire.walk(job.unit.log, name.from, |there| {
        if there.from == name.from && !matches!(there.what, What::Begin | What::Gaps) && there != name {
            other = Some(there);
        }
        there.from == name.from
    })?;
    match other {
        Some(other) => Err(Trouble::Refused(format!("it has {} already", other.write()))),
        None => Ok(()),
    }
}

fn store(
    wire: &Wire,
    job: &Job,
    name: Name,
    gaps: usize,
    segment: Option<&Segment>,
    is_left: &AtomicBool,
) -> Result<(), Trouble> {
    let size = segment.map_or(0, |segment| segment.stored);
    let sha256 = segment
        .map_or_else(|| Ok(hex(&Sha256::digest([]))), |segment| of_file(segment, is_left, &wire.progress))?;
    let mut headers = stored::fields(&job.unit, job.coordinate, size, &sha256, gaps);
    headers.push(content_type(match segment.and_then(|segment| segment.compression) {
        Some(Compression::Zstd) => "application/zstd",
        Some(Compression::Gzip) => "application/gzip",
        None => "application/octet-stream",
    }));
    let key = wire.key(job.unit.log, name);
    for attempt in 0..TRIES {
        let answer = match segment {
            Some(segment) if size > job.part => in_parts(wire, &key, segment, job.part, &headers, is_left)?,
            Some(segment) => put(wire, &key, &part(segment, 0, size)?, &headers)?,
            None => put(wire, &key, &[], &headers)?,
        };
        crash_point("ship:s3-stored");
        if answer.is_done() {
            return Ok(());
        }
        if answer.is_taken() {
            return compare(wire, job, name);
        }
        if !answer.is_contested() || attempt + 1 == TRIES || is_left.load(Ordering::Acquire) {
            return Err(wire.refused("store an object", &answer));
        }
        std::thread::sleep(SOON);
    }
    Ok(())
}

/// There is one of that name: the same, of whomever, or this is another history.
fn compare(wire: &Wire, job: &Job, name: Name) -> Result<(), Trouble> {
    let key = name.write();
    let found = wire.found(job.unit.log, name)?;
    let found = found.ok_or_else(|| Trouble::Away(format!("{key} is there, and is not")))?;
    let unit = &job.unit;
    match found {
        Read::Unit(found) if found.header.id() == unit.id() => Ok(()),
        Read::Unit(found) if found.header.sum == unit.sum && unit.kind != Kind::Begin => {
            Err(Trouble::Refused(format!("it has {key} already, behind another object")))
        }
        Read::Unit(_) => Err(Trouble::Decide(format!(
            "{}: {key} is there, of another history than the log has; ship to another prefix",
            wire.location.name
        ))),
        Read::Other(_, why) => Err(Trouble::Decide(format!(
            "{}: {key} is there, and is none of a shipper's: {why}; ship to another prefix, or remove it",
            wire.location.name
        ))),
    }
}

fn put(wire: &Wire, key: &str, bytes: &[u8], headers: &[(String, String)]) -> Result<Answer, Trouble> {
    let mut headers: Headers = headers.to_vec();
    headers.push(("if-none-match".to_owned(), "*".to_owned()));
    headers.push(checksum(bytes));
    wire.ask(PutObject::new(&wire.location.bucket, Some(&wire.credentials), key), &headers, bytes)
}

fn in_parts(
    wire: &Wire,
    key: &str,
    segment: &Segment,
    most: u64,
    headers: &[(String, String)],
    is_left: &AtomicBool,
) -> Result<Answer, Trouble> {
    let (bucket, credentials) = (&wire.location.bucket, Some(&wire.credentials));
    let mut headers: Headers = headers.to_vec();
    headers.push(("x-amz-checksum-algorithm".to_owned(), "SHA256".to_owned()));
    let answer = wire.ask(CreateMultipartUpload::new(bucket, credentials, key), &headers, &[])?;
    let id = text(&answer.body, "UploadId").filter(|_| answer.is_done()).map(unescaped);
    let Some(id) = id else { return Err(wire.refused("begin an upload", &answer)) };
    crash_point("ship:s3-begun");
    let sent = parts(wire, key, segment, most, &id, is_left);
    let completed = sent.and_then(|listed| {
        crash_point("ship:s3-parts");
        let complete =
            CompleteMultipartUpload::new(bucket, credentials, key, &id, std::iter::empty::<&str>());
        let headers = [("if-none-match".to_owned(), "*".to_owned())];
        let body = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
        wire.ask(complete, &headers, body.as_bytes())
    });
    if !completed.as_ref().is_ok_and(Answer::is_done) {
        // What became of it nobody knows: where it is there, this changes nothing.
        abort(wire, key, &id);
    }
    completed
}

/// Sends the parts, and says them as the end of the upload wants them.
fn parts(
    wire: &Wire,
    key: &str,
    segment: &Segment,
    most: u64,
    id: &str,
    is_left: &AtomicBool,
) -> Result<String, Trouble> {
    let most = most.max(LEAST).max(segment.stored.div_ceil(PARTS));
    let (mut at, mut number, mut listed) = (0, 0, String::new());
    while at < segment.stored {
        if is_left.load(Ordering::Acquire) {
            return Err(Trouble::Away("nobody waits for it".to_owned()));
        }
        number += 1;
        let bytes = part(segment, at, most.min(segment.stored - at))?;
        at += bytes.len() as u64;
        let sum = checksum(&bytes);
        let upload = UploadPart::new(&wire.location.bucket, Some(&wire.credentials), key, number, id);
        let answer = wire.ask(upload, std::slice::from_ref(&sum), &bytes)?;
        let tag = answer.header("etag").filter(|_| answer.is_done()).map(escaped);
        let Some(tag) = tag else { return Err(wire.refused("store a part of an object", &answer)) };
        listed.push_str(&format!(
            "<Part><ChecksumSHA256>{}</ChecksumSHA256><ETag>{tag}</ETag><PartNumber>{number}</PartNumber></Part>",
            sum.1
        ));
        crash_point("ship:s3-part");
    }
    Ok(listed)
}

fn abort(wire: &Wire, key: &str, id: &str) {
    let abort = AbortMultipartUpload::new(&wire.location.bucket, Some(&wire.credentials), key, id);
    let _ = wire.ask(abort, &[], &[]);
}

/// Ends uploads of a log that whoever began them has left: their parts cost what they weigh, and nobody sees them.
pub(super) fn abort_stale(wire: &Wire, log: u128) -> Result<(), Trouble> {
    let directory = format!("{}{}", wire.location.prefix, names::directory(log));
    let mut behind = (String::new(), String::new());
    loop {
        let answer = uploads(wire, &directory, &behind)?;
        let mut rest = &answer.body[..];
        while let Some(upload) = text(rest, "Upload") {
            let [key, id] = ["Key", "UploadId"].map(|name| text(upload, name).unwrap_or_default());
            if key.strip_prefix(&directory).and_then(Name::read).is_some() {
                abort(wire, key, &unescaped(id));
            }
            rest = &rest[rest.find("</Upload>").map_or(rest.len(), |at| at + "</Upload>".len())..];
        }
        let next = ["NextKeyMarker", "NextUploadIdMarker"]
            .map(|name| unescaped(text(&answer.body, name).unwrap_or_default()));
        let has_more = text(&answer.body, "IsTruncated") == Some("true");
        // A store that says the same page again would be asked for ever.
        match next {
            [key, id] if has_more && !key.is_empty() && (key.clone(), id.clone()) != behind => {
                behind = (key, id)
            }
            _ => return Ok(()),
        }
    }
}

/// A page of uploads that have no end, behind that one: its key, and its id.
fn uploads(wire: &Wire, directory: &str, (key, id): &(String, String)) -> Result<Answer, Trouble> {
    let mut list = rusty_s3::actions::ListObjectsV2::new(&wire.location.bucket, Some(&wire.credentials));
    let query = list.query_mut();
    for name in ["list-type", "encoding-type"] {
        query.remove(name);
    }
    query.insert("uploads", "");
    query.insert("prefix", directory.to_owned());
    if !key.is_empty() {
        query.insert("key-marker", key.clone());
        query.insert("upload-id-marker", id.clone());
    }
    wire.ask(list, &[], &[])
}

fn part(segment: &Segment, at: u64, len: u64) -> Result<Vec<u8>, Trouble> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    segment.file.read_exact_at(&mut bytes, at).map_err(away(&segment.path, "read"))?;
    Ok(bytes)
}

/// Also of a large one, or from a slow disk, it is no silence of the store's.
fn of_file(segment: &Segment, is_left: &AtomicBool, progress: &AtomicU64) -> Result<String, Trouble> {
    let (mut at, mut sum, mut slice) = (0, Sha256::new(), vec![0; SLICE]);
    while at < segment.stored {
        if is_left.load(Ordering::Acquire) {
            return Err(Trouble::Away("nobody waits for it".to_owned()));
        }
        let got = read_at(&segment.file, &mut slice, at).map_err(away(&segment.path, "read"))?;
        let got = got.min(usize::try_from(segment.stored - at).unwrap_or(usize::MAX));
        if got == 0 {
            return Err(Trouble::Decide(format!("{}: somebody has cut it", shown(&segment.path))));
        }
        sum.update(&slice[..got]);
        at += got as u64;
        progress.fetch_add(1, Ordering::Relaxed);
    }
    Ok(hex(&sum.finalize()))
}

fn read_at(file: &File, to: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(to, at) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn content_type(what: &str) -> (String, String) {
    ("content-type".to_owned(), what.to_owned())
}

fn checksum(bytes: &[u8]) -> (String, String) {
    ("x-amz-checksum-sha256".to_owned(), base64(&Sha256::digest(bytes)))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let is_there = digit <= three.len();
            text.push(if is_there {
                char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize])
            } else {
                '='
            });
        }
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn reading_a_segment_is_no_silence() {
        let file = tempfile::tempfile().unwrap();
        let stored = 4 * SLICE as u64;
        file.write_all_at(&[1], stored - 1).unwrap();
        let segment = Segment { file, path: "segment".into(), stored, compression: None, gaps: Vec::new() };
        let progress = AtomicU64::new(0);
        of_file(&segment, &AtomicBool::new(false), &progress).unwrap();
        assert!(progress.into_inner() >= 4, "whoever waits would take it for a store that is silent");
    }

    #[test]
    fn bytes_are_written_to_base_64_as_everywhere() {
        let of = |text: &str| super::base64(text.as_bytes());
        assert_eq!(
            [of(""), of("f"), of("fo"), of("foo"), of("foob")],
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }
}
