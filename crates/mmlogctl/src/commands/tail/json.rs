//! `-o json`: one object for each line of the log, one on a line. The keys are a contract.
//!
//! A line is put together across reads and holes; only whole ones are given out before the end.

use mmlog::{Hole, Position};

use crate::output::json_line;
use crate::reading::copy::{Given, Render, Shown};

/// The renderer.
#[derive(Debug)]
pub(super) struct JsonLines {
    /// `"log":NAME,` in front of the other keys, or nothing.
    prefix: String,
    generation: u64,
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
    /// Objects that name the log, if there is a name to give.
    pub(super) fn new(log: Option<&str>) -> Self {
        let prefix = log.map_or_else(String::new, |name| format!("\"log\":{},", quoted(name)));
        Self { prefix, generation: 0, open: None, out: Vec::new(), ends: Vec::new() }
    }

    /// A piece of data without newlines in front of its end, newline excluded.
    fn line(&mut self, at: Position, bytes: &[u8]) {
        let end = at + (bytes.len() as u64 + 1);
        match self.open.take() {
            None => self.object(at, end, self.generation, bytes, Ending::Newline),
            Some(mut open) => {
                open.bytes.extend_from_slice(bytes);
                self.object(open.start, end, open.segment, &open.bytes, Ending::Newline);
            }
        }
    }

    fn begin(&mut self, at: Position, bytes: &[u8]) {
        let segment = self.generation;
        let open =
            self.open.get_or_insert_with(|| OpenLine { start: at, end: at, segment, bytes: Vec::new() });
        open.bytes.extend_from_slice(bytes);
        open.end = at + bytes.len() as u64;
    }

    fn object(&mut self, start: Position, end: Position, segment: u64, bytes: &[u8], ending: Ending) {
        let content = match str::from_utf8(bytes) {
            Ok(text) => format!("\"text\":{}", quoted(text)),
            Err(_) => format!("\"base64\":\"{}\"", base64(bytes)),
        };
        let partial = if ending == Ending::Missing { ",\"partial\":true" } else { "" };
        let prefix = &self.prefix;
        self.put(&format!(
            "{{{prefix}\"position\":{start},\"end\":{end},\"segment\":{segment},{content}{partial}}}\n"
        ));
        self.ends.push((self.out.len(), end));
    }

    fn put(&mut self, object: &str) {
        self.out.extend_from_slice(object.as_bytes());
    }
}

impl Render for JsonLines {
    fn data<'a>(&'a mut self, at: Position, bytes: &'a [u8]) -> Shown<'a> {
        self.out.clear();
        self.ends.clear();
        let mut line = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
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
        let Self { prefix, .. } = self;
        let pid = if hole.pid == 0 { "null".to_owned() } else { hole.pid.to_string() };
        let (end, command, kind) = (at + len, quoted(&hole.command), quoted(&hole.kind.to_string()));
        let who = format!("{{\"pid\":{pid},\"command\":{command},\"kind\":{kind}}}");
        let object = format!("{{{prefix}\"position\":{at},\"end\":{end},\"hole\":{who}}}\n");
        self.put(&object);
        Some(&self.out)
    }

    fn segment(&mut self, generation: u64) {
        self.generation = generation;
    }

    fn rest(&mut self) -> &[u8] {
        self.out.clear();
        if let Some(OpenLine { start, end, segment, bytes }) = self.open.take() {
            self.object(start, end, segment, &bytes, Ending::Missing);
        }
        &self.out
    }

    fn settled(&self, read: Position) -> Position {
        self.open.as_ref().map_or(read, |open| open.start)
    }
}

fn quoted(text: &str) -> String {
    json_line(&serde_json::to_string(text).unwrap_or_default())
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            text.push(if digit > group.len() { '=' } else { char::from(DIGITS[index as usize]) });
        }
    }
    text
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
        String::from_utf8_lossy(json.rest()).into_owned()
    }

    #[test]
    fn each_line_is_an_object_without_its_newline() {
        let objects = fed(&mut JsonLines::new(None), 100, b"a \"b\"\n\nc\n");
        assert_eq!(
            objects,
            "{\"position\":100,\"end\":106,\"segment\":0,\"text\":\"a \\\"b\\\"\"}\n\
             {\"position\":106,\"end\":107,\"segment\":0,\"text\":\"\"}\n\
             {\"position\":107,\"end\":109,\"segment\":0,\"text\":\"c\"}\n"
        );
    }

    #[test]
    fn a_line_is_put_together_across_reads_and_holes() {
        let mut json = JsonLines::new(None);
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
        let object = fed(&mut JsonLines::new(Some("a\"b")), 0, b"\xff\0\n");
        assert_eq!(
            object,
            "{\"log\":\"a\\\"b\",\"position\":0,\"end\":3,\"segment\":0,\"base64\":\"/wA=\"}\n"
        );
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in vectors {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_hole_says_who_left_it() {
        let mut json = JsonLines::new(None);
        let hole = Hole { start: 5, len: 4, pid: 0, command: "w".to_owned(), kind: HoleKind::Torn, at: None };
        let object =
            json.hole(Position::new(6), 2, &hole).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let expected =
            "{\"position\":6,\"end\":8,\"hole\":{\"pid\":null,\"command\":\"w\",\"kind\":\"torn\"}}\n";
        assert_eq!(object.as_deref(), Some(expected));
    }

    #[test]
    fn every_object_is_json_and_harmless_on_a_terminal() {
        let mut json = JsonLines::new(Some("\u{9b}"));
        let object = fed(&mut json, 0, "\u{9b}\x7f\x1b\0 ☃\n".as_bytes());
        assert!(!object.trim_end().contains(char::is_control), "{object}");
        let parsed: Result<Value, _> = serde_json::from_str(&object);
        assert!(parsed.is_ok_and(|value| value["text"] == "\u{9b}\x7f\x1b\0 ☃"), "{object}");
    }
}
