//! What lines have in common: a line with placeholders for what differs from one to the next.
//!
//! `2026-11-29T08:00:00Z INFO user 17 from 10.0.0.3 in 12ms` has the shape `<time> INFO user <n> from <ip> in <n>ms`. One pass
//! over the bytes, word by word; the level of a line is found on the way.

mod tokens;

use tokens::Token;

/// Bytes of a line that count for its shape.
pub(super) const REACH: usize = 512;

/// The words for levels, the worst first: what is said, and what lines have.
pub(super) const LEVELS: [(&str, &[&[u8]]); 11] = [
    ("EMERG", &[b"EMERG", b"EMERGENCY"]),
    ("ALERT", &[b"ALERT"]),
    ("CRIT", &[b"CRIT", b"CRITICAL"]),
    ("FATAL", &[b"FATAL"]),
    ("PANIC", &[b"PANIC"]),
    ("ERROR", &[b"ERROR", b"ERR"]),
    ("WARN", &[b"WARN", b"WARNING"]),
    ("NOTICE", &[b"NOTICE"]),
    ("INFO", &[b"INFO"]),
    ("DEBUG", &[b"DEBUG"]),
    ("TRACE", &[b"TRACE"]),
];

/// Keys whose value is a level, and those whose value tells lines apart, though it is quoted.
const LEVEL_KEYS: [&[u8]; 5] = [b"level", b"lvl", b"severity", b"loglevel", b"log_level"];
const TOLD: [&[u8]; 5] = [b"msg", b"message", b"event", b"logger", b"error"];

/// Makes shapes, one after the other.
#[derive(Debug, Default)]
pub(super) struct Shaper {
    shape: Vec<u8>,
    /// Where the text ends that is quoted and read.
    quoted_until: Option<usize>,
    key: Key,
    level: Option<usize>,
}

/// What the last key was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    #[default]
    Other,
    Told,
    Level,
}

impl Key {
    fn of(word: &[u8]) -> Self {
        let is = |key: &&[u8]| word.eq_ignore_ascii_case(key);
        match word.len() {
            3..=9 if LEVEL_KEYS.iter().any(is) => Self::Level,
            3..=9 if TOLD.iter().any(is) => Self::Told,
            _ => Self::Other,
        }
    }
}

impl Shaper {
    /// Reads a line, without its end: its shape, and the number of its level.
    pub(super) fn of(&mut self, line: &[u8]) -> (&[u8], Option<usize>) {
        let line = &line[..line.len().min(REACH)];
        self.shape.clear();
        (self.quoted_until, self.key, self.level) = (None, Key::Other, None);
        let mut at = 0;
        while at < line.len() {
            at = match line[at] {
                byte if tokens::is_word(byte) => self.word(line, at),
                quote @ (b'"' | b'\'') => self.quote(line, at, quote),
                b'-' | b'+' if self.is_sign(line, at) => at + 1,
                b'\x1b' if tokens::colour(line, at) > 0 => at + tokens::colour(line, at),
                byte => {
                    self.shape.push(byte);
                    at + 1
                }
            };
        }
        (&self.shape, self.level)
    }

    fn word(&mut self, line: &[u8], at: usize) -> usize {
        let word = tokens::word(line, at);
        let end = at + word.len();
        let has_digit = word.iter().any(u8::is_ascii_digit);
        if let Some((token, end)) = tokens::at(line, at, word, has_digit) {
            return self.put(token, end);
        }
        if has_digit {
            self.with_digits(word);
            return self.after(Key::Other, end);
        }
        self.note_level(line, at, word);
        self.shape.extend_from_slice(word);
        let is_key = line.get(end) == Some(&b'=');
        self.after(if is_key { Key::of(word) } else { Key::Other }, end)
    }

    /// A word of letters and digits that is nothing else: numbers in it, or an id.
    fn with_digits(&mut self, word: &[u8]) {
        if tokens::is_id(word) {
            self.shape.extend_from_slice(b"<id>");
            return;
        }
        let mut rest = word;
        while let Some(digits) = rest.iter().position(u8::is_ascii_digit) {
            self.shape.extend_from_slice(&rest[..digits]);
            self.shape.extend_from_slice(b"<n>");
            rest = &rest[digits..];
            rest = &rest[rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len())..];
        }
        self.shape.extend_from_slice(rest);
    }

    fn put(&mut self, token: Token, end: usize) -> usize {
        self.shape.extend_from_slice(token.placeholder());
        self.after(Key::Other, end)
    }

    fn after(&mut self, key: Key, end: usize) -> usize {
        self.key = key;
        end
    }

    fn note_level(&mut self, line: &[u8], at: usize, word: &[u8]) {
        if self.level.is_some() || !(3..=9).contains(&word.len()) {
            return;
        }
        let is_upper = word.iter().all(u8::is_ascii_uppercase);
        let in_brackets = || at > 0 && line[at - 1] == b'[' && line.get(at + word.len()) == Some(&b']');
        if is_upper || self.key == Key::Level || in_brackets() {
            let is = |name: &&[u8]| word.eq_ignore_ascii_case(name);
            self.level = LEVELS.iter().position(|(_, names)| names.iter().any(is));
        }
    }

    /// What stands in quotes is one placeholder, but for keys, and for values that tell lines apart.
    fn quote(&mut self, line: &[u8], at: usize, quote: u8) -> usize {
        if self.quoted_until == Some(at) {
            self.quoted_until = None;
            self.shape.push(quote);
            return at + 1;
        }
        let end = self.quoted_until.map_or_else(|| tokens::closing(line, at, quote), |_| None);
        let Some(end) = end else {
            self.shape.push(quote);
            return at + 1;
        };
        if line.get(end + 1) == Some(&b':') && quote == b'"' {
            self.shape.extend_from_slice(&line[at..=end]);
            return self.after(Key::of(&line[at + 1..end]), end + 1);
        }
        if self.key != Key::Other {
            self.quoted_until = Some(end);
            self.shape.push(quote);
            return at + 1;
        }
        self.shape.extend_from_slice(b"<quoted>");
        self.after(Key::Other, end + 1)
    }

    /// Whether what comes is the sign of a number.
    fn is_sign(&self, line: &[u8], at: usize) -> bool {
        let before = self.shape.last().copied().unwrap_or(b' ');
        line.get(at + 1).is_some_and(u8::is_ascii_digit)
            && matches!(before, b' ' | b'=' | b'(' | b',' | b':' | b'[')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(line: &str) -> String {
        String::from_utf8_lossy(Shaper::default().of(line.as_bytes()).0).into_owned()
    }

    fn level(line: &str) -> Option<&'static str> {
        Shaper::default().of(line.as_bytes()).1.map(|n| LEVELS[n].0)
    }

    #[test]
    fn what_differs_from_line_to_line_is_replaced() {
        for (line, expected) in [
            ("2026-11-29T08:00:00.123Z INFO user 17 in 12.5ms", "<time> INFO user <n> in <n>ms"),
            ("2026-11-29 08:00:00,123 +0100 a", "<time> a"),
            ("Nov  9 08:00:00 host sshd[812]: x", "<time> host sshd[<n>]: x"),
            (
                "10.0.0.3 - - [29/Nov/2026:08:00:00 +0000] \"GET / HTTP/1.1\" 200 12",
                "<ip> - - [<time>] <quoted> <n> <n>",
            ),
            ("at 08:00:00.5 from 10.1.2.3:8080", "at <time> from <ip>:<n>"),
            ("v1.2.3 of fe80::1 and 2001:db8::2:1", "v<n>.<n> of <ip> and <ip>"),
            ("id 6fa459ea-ee8a-3ca4-894e-db77e160355e ok", "id <uuid> ok"),
            ("at 0x7ffd12 commit 3f2a9bc1d and a9", "at <hex> commit <hex> and a<n>"),
            ("worker12 took x7Gh29Kq in /api/v1/users/123", "worker<n> took <id> in /api/v<n>/users/<n>"),
            ("offset -5 of 1,234 (+3) a-5", "offset <n> of <n> (<n>) a-<n>"),
            ("name='a b' it's don't \"open", "name=<quoted> it's don't \"open"),
            ("file \"a\\\"b\" and \"\"", "file <quoted> and <quoted>"),
            (
                "{\"level\":\"info\",\"msg\":\"user 7 is in\",\"who\":\"bob\",\"n\":3}",
                "{\"level\":\"info\",\"msg\":\"user <n> is in\",\"who\":<quoted>,\"n\":<n>}",
            ),
            ("level=warn msg=\"disk 3 is full\" at=\"x\"", "level=warn msg=\"disk <n> is full\" at=<quoted>"),
            ("plain text", "plain text"),
            ("\x1b[1;31mERROR\x1b[0m 5\x1b[2J", "ERROR <n>\x1b[<n>J"),
            ("naïve ☃ 3", "naïve ☃ <n>"),
            ("", ""),
        ] {
            assert_eq!(shape(line), expected, "{line}");
        }
    }

    #[test]
    fn levels_are_words_in_capitals_or_named_as_levels() {
        for (line, expected) in [
            ("x ERROR y", Some("ERROR")),
            ("WARNING: y", Some("WARN")),
            ("level=warn x", Some("WARN")),
            ("{\"severity\": \"Critical\"}", Some("CRIT")),
            ("{\"level\":\"debug\",\"msg\":\"ERROR\"}", Some("DEBUG")),
            ("[error] x", Some("ERROR")),
            ("\x1b[31mERROR\x1b[0m x", Some("ERROR")),
            ("no error here", None),
            ("GET /ERRORS", None),
            ("an \"ERROR\" that somebody quotes", None),
            ("INFO then ERROR", Some("INFO")),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
    }

    #[test]
    fn any_bytes_have_a_shape_that_is_not_much_longer() {
        let mut seed = 88_172_645_463_325_252_u64;
        let mut shaper = Shaper::default();
        for _ in 0..20_000 {
            let line: Vec<u8> = (0..40)
                .map(|_| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    b"0123456789abcfN\"'\\:.-/[]= TZ+x\xff\x1bov"[(seed % 34) as usize]
                })
                .collect();
            let (shape, _) = shaper.of(&line);
            assert!(shape.len() <= 8 * line.len(), "{line:?}");
        }
        let long = vec![b'7'; 100_000];
        assert_eq!(shaper.of(&long).0, b"<n>");
    }
}
