//! `-o json`: one object for each line of the log, one on a line. The keys are a contract.
//!
//! A line is put together across reads and holes, up to a limit: a longer one comes in pieces, each behind the one
//! before, so that no line of anybody's ends us. Else only whole ones are given out before the end, and what is left of
//! one where bytes are missing.

use std::path::Path;

use clap::{Args, ValueEnum};
use mmlog::{Hole, LogId, Position};

use super::copy::{Given, Render, Shown};
use crate::output::json_line;
use crate::storing::line_limit;
use crate::text::{base64, json_path};

/// The form of the output.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Form {
    /// The bytes as they were appended.
    #[default]
    Text,
    /// One JSON object for each line of the log: position, end, segment, id, and text or base64.
    Json,
}

/// `-o`, and what belongs to it. Flattened into the commands that print logs.
#[derive(Args, Clone, Copy, Debug)]
pub struct Formed {
    /// The form of the output.
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORM",
        default_value_t,
        long_help = "The form of the output. `json` is one object for each line of the log, one on a line: `position` and \
        `end` (where the line begins, and where the next byte after it and its newline lies), `segment` (the \
        generation of the file it begins in), `id` (`UUID:POSITION`, which no other line of any log has, also when it is printed \
        again; `UUID:FROM-TO` of one without newline, with `:hole` behind it of a hole), and `text`, or `base64` where the line is not UTF-8; the newline is in \
        neither. A last line without newline is held back while following and has `\"partial\": true` when printed at \
        the end, and so has a piece of a line longer than --max-line: the next object goes on with the line; and so has what \
        is left of a line before positions that are pruned, gone or cannot be read: the next line begins behind them. With --holes say, a hole is an object with `position`, `end` and `hole`, which holds `pid` (null when \
        unknown), `command` and `kind`. With several logs (for tail, or -v) each object has `log`, the path as it was typed, and \
        `log_base64` where that is not UTF-8."
    )]
    pub(crate) output: Form,
    /// With -o json, give a longer line in pieces of so many bytes.
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = line_limit,
        default_value = "1M",
        long_help = "With -o json, give a longer line in pieces of so many bytes at most, so that no line takes much memory: \
        about 20 times as much at worst. All but the last piece have `\"partial\": true`, and the next object with `text` \
        or `base64` of the same log goes on with the line, at the position where the piece before ended. One that begins \
        further on is another line: what was between is missing."
    )]
    pub(crate) max_line: usize,
}

/// The renderer.
#[derive(Debug)]
pub(crate) struct JsonLines {
    /// `"log":NAME,` in front of the other keys, or nothing.
    prefix: String,
    /// Which log it is, once that is known.
    id: Option<String>,
    generation: u64,
    /// Bytes of a line in one object.
    most: usize,
    /// What ends a line: a newline, or NUL.
    newline: u8,
    open: Option<OpenLine>,
    out: Vec<u8>,
    /// Where in it which line ends.
    ends: Vec<(usize, Position)>,
}

/// The beginning of a line whose newline has not been read.
#[derive(Debug)]
struct OpenLine {
    start: Position,
    end: Position,
    segment: u64,
    bytes: Vec<u8>,
}

/// Whether the newline of a line has come.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Ending {
    Newline,
    Missing,
}

impl JsonLines {
    /// Objects that name the log, if there is a name to give, with so many bytes of a line at most; `end` ends a line.
    pub(crate) fn new(log: Option<&Path>, most: usize, end: u8) -> Self {
        let prefix = log.map_or_else(String::new, path_prefix);
        let (open, out, ends) = (None, Vec::new(), Vec::new());
        Self { prefix, id: None, generation: 0, most, newline: end, open, out, ends }
    }

    /// The end of a line, newline excluded.
    fn line(&mut self, at: Position, bytes: &[u8]) {
        let end = at + (bytes.len() as u64 + 1);
        if self.open.is_none() && bytes.len() <= self.most {
            return self.object(at, end, self.generation, bytes, Ending::Newline);
        }
        self.begin(at, bytes);
        if let Some(OpenLine { start, segment, bytes, .. }) = self.open.take() {
            self.object(start, end, segment, &bytes, Ending::Newline);
        }
    }

    /// Bytes of a line that goes on, or ends behind them.
    fn begin(&mut self, mut at: Position, mut bytes: &[u8]) {
        let segment = self.generation;
        loop {
            let begun = || OpenLine { start: at, end: at, segment, bytes: Vec::new() };
            let open = self.open.get_or_insert_with(begun);
            let room = self.most.saturating_sub(open.bytes.len()).min(bytes.len());
            open.bytes.extend_from_slice(&bytes[..room]);
            (at, bytes) = (at + room as u64, &bytes[room..]);
            open.end = at;
            if bytes.is_empty() {
                return;
            }
            self.cut(at);
        }
    }

    /// Gives out what there is of a line, but for the beginning of a character at its end.
    fn cut(&mut self, end: Position) {
        let Some(OpenLine { start, segment, bytes, .. }) = self.open.take() else { return };
        let whole = whole_characters(&bytes);
        let (piece, rest) = bytes.split_at(whole);
        let middle = Position::new(end.get() - rest.len() as u64);
        self.object(start, middle, segment, piece, Ending::Missing);
        let rest = rest.to_vec();
        self.open = Some(OpenLine { start: middle, end, segment: self.generation, bytes: rest });
    }

    fn object(&mut self, start: Position, end: Position, segment: u64, bytes: &[u8], ending: Ending) {
        let prefix = &self.prefix;
        // What has no newline yet may be another line at the same place, later on.
        let id = match ending {
            Ending::Newline => self.id_of(&start.to_string()),
            Ending::Missing => self.id_of(&format!("{start}-{end}")),
        };
        let head = format!("{{{prefix}\"position\":{start},\"end\":{end},\"segment\":{segment},{id}");
        self.put(&head);
        match str::from_utf8(bytes) {
            Ok(text) => {
                self.put("\"text\":");
                self.put(&quoted(text));
            }
            Err(_) => {
                self.put("\"base64\":\"");
                self.put(&base64(bytes));
                self.put("\"");
            }
        }
        self.put(if ending == Ending::Missing { ",\"partial\":true}\n" } else { "}\n" });
        self.ends.push((self.out.len(), end));
    }

    /// The key that no other line of any log has.
    fn id_of(&self, place: &str) -> String {
        self.id.as_ref().map_or_else(String::new, |log| format!("\"id\":\"{log}:{place}\","))
    }

    fn put(&mut self, object: &str) {
        self.out.extend_from_slice(object.as_bytes());
    }
}

/// How many of the bytes are before a character that they do not hold whole; all, where none of that is text.
fn whole_characters(bytes: &[u8]) -> usize {
    match str::from_utf8(bytes) {
        Err(e) if e.error_len().is_none() && e.valid_up_to() > 0 => e.valid_up_to(),
        _ => bytes.len(),
    }
}

/// The keys that name the log: `log_base64` beside `log` where its path is not UTF-8.
fn path_prefix(path: &Path) -> String {
    let (text, exact) = json_path(path);
    let exact = exact.map_or_else(String::new, |exact| format!("\"log_base64\":\"{exact}\","));
    format!("\"log\":{},{exact}", quoted(&text))
}

impl Render for JsonLines {
    fn data<'a>(&'a mut self, at: Position, bytes: &'a [u8]) -> Shown<'a> {
        self.out.clear();
        self.ends.clear();
        let mut line = 0;
        for newline in memchr::memchr_iter(self.newline, bytes) {
            self.line(at + line as u64, &bytes[line..newline]);
            line = newline + 1;
        }
        if line < bytes.len() {
            self.begin(at + line as u64, &bytes[line..]);
        }
        Shown { bytes: &self.out, given: Given::Records(&self.ends) }
    }

    fn hole(&mut self, at: Position, len: u64, hole: &Hole) -> Option<&[u8]> {
        self.out.clear();
        let id = self.id_of(&format!("{at}-{}:hole", at + len));
        let Self { prefix, .. } = self;
        let pid = if hole.pid == 0 { "null".to_owned() } else { hole.pid.to_string() };
        let (end, command, kind) = (at + len, quoted(&hole.command), quoted(&hole.kind.to_string()));
        let who = format!("{{\"pid\":{pid},\"command\":{command},\"kind\":{kind}}}");
        let object = format!("{{{prefix}\"position\":{at},\"end\":{end},{id}\"hole\":{who}}}\n");
        self.put(&object);
        Some(&self.out)
    }

    fn segment(&mut self, generation: u64) {
        self.generation = generation;
    }

    fn log(&mut self, id: LogId) {
        self.id = Some(id.uuid.iter().map(|byte| format!("{byte:02x}")).collect());
    }

    fn rest(&mut self) -> Shown<'_> {
        self.out.clear();
        self.ends.clear();
        if let Some(OpenLine { start, end, segment, bytes }) = self.open.take() {
            self.object(start, end, segment, &bytes, Ending::Missing);
        }
        Shown { bytes: &self.out, given: Given::Records(&self.ends) }
    }

    fn settled(&self, read: Position) -> Position {
        self.open.as_ref().map_or(read, |open| open.start)
    }
}

fn quoted(text: &str) -> String {
    json_line(&serde_json::to_string(text).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use mmlog::HoleKind;
    use serde_json::Value;

    use super::*;

    fn fed(json: &mut JsonLines, at: u64, bytes: &[u8]) -> String {
        String::from_utf8_lossy(json.data(Position::new(at), bytes).bytes).into_owned()
    }

    fn rest(json: &mut JsonLines) -> String {
        String::from_utf8_lossy(json.rest().bytes).into_owned()
    }

    #[test]
    fn each_line_is_an_object_without_its_newline() {
        let objects = fed(&mut JsonLines::new(None, 1 << 20, b'\n'), 100, b"a \"b\"\n\nc\n");
        assert_eq!(
            objects,
            "{\"position\":100,\"end\":106,\"segment\":0,\"text\":\"a \\\"b\\\"\"}\n\
             {\"position\":106,\"end\":107,\"segment\":0,\"text\":\"\"}\n\
             {\"position\":107,\"end\":109,\"segment\":0,\"text\":\"c\"}\n"
        );
    }

    #[test]
    fn a_line_is_put_together_across_reads_and_holes() {
        let mut json = JsonLines::new(None, 1 << 20, b'\n');
        json.segment(3);
        assert_eq!(fed(&mut json, 10, b"one"), "");
        assert_eq!(json.settled(Position::new(13)), Position::new(10));
        json.segment(4);
        let object = "{\"position\":10,\"end\":24,\"segment\":3,\"text\":\"onetwo\"}\n";
        assert_eq!(fed(&mut json, 20, b"two\nth"), object);
        assert_eq!(json.settled(Position::new(26)), Position::new(24));
        assert_eq!(
            rest(&mut json),
            "{\"position\":24,\"end\":26,\"segment\":4,\"text\":\"th\",\"partial\":true}\n"
        );
        assert_eq!(json.settled(Position::new(26)), Position::new(26));
        assert_eq!(rest(&mut json), "");
    }

    #[test]
    fn what_is_not_text_is_base64() {
        let object = fed(&mut JsonLines::new(Some(Path::new("a\"b")), 99, b'\n'), 0, b"\xff\0\n");
        assert_eq!(
            object,
            "{\"log\":\"a\\\"b\",\"position\":0,\"end\":3,\"segment\":0,\"base64\":\"/wA=\"}\n"
        );
    }

    /// The text of all objects, and how many there were.
    fn joined(objects: &str) -> (String, usize) {
        let (mut text, mut count, mut end) = (String::new(), 0, None);
        for line in objects.lines() {
            let Ok(object) = serde_json::from_str::<Value>(line) else { unreachable!("{line}") };
            assert!(end.is_none_or(|end| end == object["position"]), "{objects}");
            end = Some(object["end"].clone());
            text.push_str(object["text"].as_str().unwrap_or_default());
            if object.get("partial").is_none() {
                text.push('\n');
            }
            count += 1;
        }
        (text, count)
    }

    #[test]
    fn a_line_that_is_too_long_comes_in_pieces_that_can_be_joined() {
        let line = "abc☃é\n".to_owned() + &"☃".repeat(50) + "\nshort\n";
        for most in [4, 5, 7, 150, 151] {
            for read in [1, 2, 3, 64, 1000] {
                let (mut json, mut objects, mut at) = (JsonLines::new(None, most, b'\n'), String::new(), 0);
                for bytes in line.as_bytes().chunks(read) {
                    objects.push_str(&fed(&mut json, at, bytes));
                    at += bytes.len() as u64;
                    assert!(json.open.as_ref().is_none_or(|open| open.bytes.len() <= most));
                }
                let (text, count) = joined(&objects);
                assert_eq!(text, line, "{most} {read}");
                assert!(count == 3 || most < 150, "{objects}");
            }
        }
    }

    #[test]
    fn a_path_that_is_not_text_is_there_as_bytes_too() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let object =
            fed(&mut JsonLines::new(Some(Path::new(OsStr::from_bytes(b"a\xff"))), 99, b'\n'), 0, b"x\n");
        assert!(
            object.starts_with("{\"log\":\"a\u{fffd}\",\"log_base64\":\"Yf8=\",\"position\":0"),
            "{object}"
        );
    }

    #[test]
    fn a_hole_says_who_left_it() {
        let mut json = JsonLines::new(None, 1 << 20, b'\n');
        let (command, kind) = ("w".to_owned(), HoleKind::Torn);
        let hole = Hole { start: 5, len: 4, pid: 0, command, kind, is_noted: false, at: None };
        let object =
            json.hole(Position::new(6), 2, &hole).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let expected =
            "{\"position\":6,\"end\":8,\"hole\":{\"pid\":null,\"command\":\"w\",\"kind\":\"torn\"}}\n";
        assert_eq!(object.as_deref(), Some(expected));
    }

    #[test]
    fn every_object_is_json_and_harmless_on_a_terminal() {
        let mut json = JsonLines::new(Some(Path::new("\u{9b}")), 99, b'\n');
        let object = fed(&mut json, 0, "\u{9b}\x7f\x1b\0 ☃\n".as_bytes());
        assert!(!object.trim_end().contains(char::is_control), "{object}");
        let parsed: Result<Value, _> = serde_json::from_str(&object);
        assert!(parsed.is_ok_and(|value| value["text"] == "\u{9b}\x7f\x1b\0 ☃"), "{object}");
    }
}
