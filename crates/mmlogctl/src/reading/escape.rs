//! Making a log's bytes harmless for a terminal.

use std::io::Write as _;
use std::mem;

use crate::exit::is_unsafe;

/// Escapes control characters (all but newline and tab), those that turn the direction of writing, and bytes that are not UTF-8. Characters
/// may be spread over several reads.
#[derive(Debug, Default)]
pub struct Escaper {
    begun: Vec<u8>,
    safe: Vec<u8>,
}

impl Escaper {
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
        let begun = mem::take(&mut self.begun);
        escape_bytes(&begun, &mut self.safe);
        &self.safe
    }

    fn escape(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for character in chunk.valid().chars() {
                escape_character(character, &mut self.safe);
            }
            if chunks.peek().is_none() && is_begun(chunk.invalid()) {
                self.begun.extend_from_slice(chunk.invalid());
            } else {
                escape_bytes(chunk.invalid(), &mut self.safe);
            }
        }
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
    fn a_character_may_be_spread_over_reads() {
        let snowman = "☃".as_bytes();
        assert_eq!(escaped(&[&snowman[..1], &snowman[1..2], &snowman[2..]]), "☃");
        assert_eq!(escaped(&[&snowman[..2], b"a"]), "\\xe2\\x98a");
        assert_eq!(escaped(&[&snowman[..2]]), "\\xe2\\x98");
    }
}
