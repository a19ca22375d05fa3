//! Making a log's bytes harmless for a terminal.

use std::io::Write as _;
use std::mem;

use crate::exit::is_unsafe;

/// The longest sequence that is taken for a colour; what is longer is no colour of anybody's.
const LONGEST: usize = 64;
/// What ends a colour.
const RESET: &[u8] = b"\x1b[0m";

/// Escapes control characters (all but newline and tab), those that turn the direction of writing, and bytes that are not UTF-8. Characters
/// may be spread over several reads.
#[derive(Clone, Debug, Default)]
pub struct Escaper {
    begun: Vec<u8>,
    safe: Vec<u8>,
    /// Colours of the log pass.
    colours: bool,
    /// One has not ended.
    is_coloured: bool,
}

impl Escaper {
    /// One that lets colours (SGR sequences) pass; each ends with its line.
    #[must_use]
    pub fn with_colours() -> Self {
        Self { colours: true, ..Self::default() }
    }

    /// What may be shown for `bytes`; a character that is not complete is held back.
    pub fn feed(&mut self, bytes: &[u8]) -> &[u8] {
        self.safe.clear();
        if self.begun.is_empty() {
            self.escape(bytes);
        } else {
            let mut joined = mem::take(&mut self.begun);
            joined.extend_from_slice(bytes);
            self.escape(&joined);
        }
        &self.safe
    }

    /// What was held back: no more bytes come.
    pub fn finish(&mut self) -> &[u8] {
        self.safe.clear();
        for chunk in mem::take(&mut self.begun).utf8_chunks() {
            chunk.valid().chars().for_each(|character| escape_character(character, &mut self.safe));
            escape_bytes(chunk.invalid(), &mut self.safe);
        }
        self.end_colour();
        &self.safe
    }

    fn escape(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            let is_last = chunks.peek().is_none();
            let begun = self.text(chunk.valid(), is_last && chunk.invalid().is_empty());
            if begun {
                return;
            }
            if is_last && is_begun(chunk.invalid()) {
                self.begun.extend_from_slice(chunk.invalid());
            } else {
                escape_bytes(chunk.invalid(), &mut self.safe);
            }
        }
    }

    /// Escapes text; whether the beginning of a colour was held back, where it is the `last` there is.
    fn text(&mut self, mut text: &str, last: bool) -> bool {
        while let Some(character) = text.chars().next() {
            match colour(text) {
                Some(end) if self.colours && end <= text.len() => {
                    let (sequence, rest) = text.split_at(end);
                    self.safe.extend_from_slice(sequence.as_bytes());
                    // A list of nothing but zeros is a reset.
                    self.is_coloured = sequence.contains(|c: char| matches!(c, '1'..='9'));
                    text = rest;
                }
                Some(_) if self.colours && last => {
                    self.begun.extend_from_slice(text.as_bytes());
                    return true;
                }
                _ => {
                    if character == '\n' {
                        self.end_colour();
                    }
                    escape_character(character, &mut self.safe);
                    text = &text[character.len_utf8()..];
                }
            }
        }
        false
    }

    fn end_colour(&mut self) {
        if mem::take(&mut self.is_coloured) {
            self.safe.extend_from_slice(RESET);
        }
    }
}

/// How long the SGR sequence is that a text begins with; longer than the text, where it may be one that is not complete.
fn colour(text: &str) -> Option<usize> {
    let parameters = match text.as_bytes() {
        [b'\x1b', b'[', rest @ ..] => rest,
        [b'\x1b'] => return Some(usize::MAX),
        _ => return None,
    };
    let end = parameters.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'));
    match end {
        Some(at) if parameters[at] == b'm' && at < LONGEST => Some(at + 3),
        None if parameters.len() < LONGEST => Some(usize::MAX),
        _ => None,
    }
}

fn escape_character(character: char, safe: &mut Vec<u8>) {
    if is_unsafe(character) && !matches!(character, '\n' | '\t') {
        let _ = write!(safe, "{}", character.escape_default());
    } else {
        safe.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

fn escape_bytes(bytes: &[u8], safe: &mut Vec<u8>) {
    for byte in bytes {
        let _ = write!(safe, "\\x{byte:02x}");
    }
}

/// Whether more bytes could make a character of these.
fn is_begun(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(reads: &[&[u8]]) -> String {
        let mut escaper = Escaper::default();
        let mut all: Vec<u8> = reads.iter().flat_map(|read| escaper.feed(read).to_vec()).collect();
        all.extend_from_slice(escaper.finish());
        String::from_utf8_lossy(&all).into_owned()
    }

    #[test]
    fn text_newlines_and_tabs_pass() {
        assert_eq!(escaped(&["a\tb\nnaïve ☃\n".as_bytes()]), "a\tb\nnaïve ☃\n");
    }

    #[test]
    fn control_characters_and_foreign_bytes_do_not() {
        assert_eq!(escaped(&[b"\x1b[2J\r\0\x7f"]), "\\u{1b}[2J\\r\\u{0}\\u{7f}");
        assert_eq!(escaped(&["\u{9b}31m".as_bytes()]), "\\u{9b}31m");
        assert_eq!(escaped(&[b"a\xffb\x9b"]), "a\\xffb\\x9b");
        assert_eq!(escaped(&["exe.\u{202e}fdp\u{2066}".as_bytes()]), "exe.\\u{202e}fdp\\u{2066}");
    }

    #[test]
    fn colours_pass_where_they_are_asked_for_and_end_with_their_line() {
        let shown = |reads: &[&[u8]]| {
            let mut escaper = Escaper::with_colours();
            let mut all: Vec<u8> = reads.iter().flat_map(|read| escaper.feed(read).to_vec()).collect();
            all.extend_from_slice(escaper.finish());
            String::from_utf8_lossy(&all).into_owned()
        };
        assert_eq!(shown(&[b"\x1b[31mred\x1b[0m\n"]), "\x1b[31mred\x1b[0m\n");
        assert_eq!(shown(&[b"\x1b[38;5;9mred\nnot\n"]), "\x1b[38;5;9mred\x1b[0m\nnot\n");
        assert_eq!(shown(&[b"\x1b", b"[3", b"1", b"mred"]), "\x1b[31mred\x1b[0m");
        for other in [&b"\x1b[2J"[..], b"\x1b]0;title\x07", b"\x1b[31", b"\x1b", b"\x1b[?25l", b"\x1bc"] {
            assert!(!shown(&[other, b"\n"]).contains('\x1b'), "{other:?}");
        }
        assert!(!shown(&[b"\x1b[", &[b'1'; 99], b"m"]).contains('\x1b'));
        assert!(!escaped(&[b"\x1b[31mred\x1b[0m\n"]).contains('\x1b'), "only where they are asked for");
    }

    #[test]
    fn a_character_may_be_spread_over_reads() {
        let snowman = "☃".as_bytes();
        assert_eq!(escaped(&[&snowman[..1], &snowman[1..2], &snowman[2..]]), "☃");
        assert_eq!(escaped(&[&snowman[..2], b"a"]), "\\xe2\\x98a");
        assert_eq!(escaped(&[&snowman[..2]]), "\\xe2\\x98");
    }
}
