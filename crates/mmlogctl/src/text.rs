//! Figures and sentences in the room that there is.

use std::borrow::Cow;
use std::env;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use mmlog::units;
use serde_json::Value;

/// The time, or the last one that has a year of four digits: a clock may say anything.
pub(crate) fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MAX)
}

/// Whether the locale has all characters, in UTF-8.
#[must_use]
pub fn locale_has_unicode() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| is_unicode(|name| env::var(name).ok()))
}

/// As the C library finds the locale.
fn is_unicode(of: impl Fn(&str) -> Option<String>) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(&of).find(|value| !value.is_empty());
    let locale = set.unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Only ASCII for a terminal that may not have more: without UTF-8 bytes from 0x80 on can be control characters to it.
#[must_use]
pub fn for_terminal(text: &str) -> Cow<'_, str> {
    if locale_has_unicode() { text.into() } else { in_ascii(text) }
}

/// Text with only ASCII in it, the rest as JSON escapes it: in JSON it says the same.
#[must_use]
fn in_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let mut ascii = String::with_capacity(text.len());
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => ascii.push(byte.into()),
            _ => ascii.push_str(&format!("\\u{unit:04x}")),
        }
    }
    ascii.into()
}

/// 950, 12.3k, 4.5M: a count in at most five characters.
#[must_use]
pub fn count(n: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (1_000_000_000_000_000_000, "E"),
        (1_000_000_000_000_000, "P"),
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1000, "k"),
    ];
    in_units(n, &UNITS)
}

/// [`units::size`] in at most five characters: `512B`, `16M`, `8.5M`, `163K`.
#[must_use]
pub fn bytes(n: u64) -> String {
    units::size(n).replace("iB", "").replace(' ', "")
}

fn in_units(n: u64, units: &[(u64, &str)]) -> String {
    let Some((unit, name)) = units.iter().find(|(unit, _)| n >= *unit) else { return n.to_string() };
    let tenths = u128::from(n) * 10 / u128::from(*unit);
    if tenths < 1000 {
        format!("{}.{}{name}", tenths / 10, tenths % 10)
    } else {
        format!("{}{name}", n / unit)
    }
}

/// A rate for people.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people; `as` saturates"
)]
pub fn rounded(rate: f64) -> u64 {
    rate.round() as u64
}

/// [`units::lasting`] in at most six characters: `40ms`, `12s`, `3m12s`.
#[must_use]
pub fn lasting(duration: Duration) -> String {
    units::lasting(duration).replace(' ', "")
}

/// Words on at most `most` lines of so many columns; what does not fit is clipped and ends with dots. A word that is longer
/// than a line goes on in the next.
#[must_use]
pub fn wrapped(text: &str, columns: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').flat_map(|word| pieces(word, columns)) {
        let fits = |line: &String| line.chars().count() + 1 + word.chars().count() <= columns;
        let full = lines.len() == most;
        match lines.last_mut() {
            Some(line) if full || fits(line) => {
                line.push(' ');
                line.push_str(word);
            }
            _ if full => break,
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| clipped(line, columns)).collect()
}

/// A word, or as many of its characters as are in a line, again and again.
fn pieces(word: &str, columns: usize) -> impl Iterator<Item = &str> {
    let starts = word.char_indices().step_by(columns.max(1)).map(|(at, _)| at);
    let ends = word.char_indices().step_by(columns.max(1)).skip(1).map(|(at, _)| at).chain([word.len()]);
    // An empty word stands for two blanks.
    let is_empty = word.is_empty().then_some("");
    starts.zip(ends).map(|(from, to)| &word[from..to]).chain(is_empty)
}

/// The front of a text, with dots where something is missing.
#[must_use]
pub fn clipped(text: &str, columns: usize) -> String {
    if text.chars().nth(columns).is_none() {
        return text.to_owned();
    }
    let dots = if columns > 6 { "..." } else { "" };
    let mut front: String = text.chars().take(columns - dots.len()).collect();
    front.push_str(dots);
    front
}

/// The end of a text, with dots where something is missing: of a path, the name counts.
#[must_use]
pub fn ending(text: &str, columns: usize) -> String {
    let all = text.chars().count();
    if all <= columns {
        return text.to_owned();
    }
    let dots = if columns > 6 { "..." } else { "" };
    let end: String = text.chars().skip(all - (columns - dots.len())).collect();
    format!("{dots}{end}")
}

/// What to do, in three parts: the command that is to be pasted, and the words around it.
pub(crate) struct Step<'a> {
    before: &'a str,
    /// Empty where there is none.
    pub(crate) command: &'a str,
    after: &'a str,
}

impl<'a> Step<'a> {
    /// Of a step in which commands are in backquotes, the first one is the one to try.
    pub(crate) fn of(step: &'a str) -> Self {
        let mut parts = step.splitn(3, '`');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(before), Some(command), Some(after)) => Self { before, command, after },
            _ => Self { before: step, command: "", after: "" },
        }
    }

    /// Whether the command comes first.
    pub(crate) const fn begins_with_command(&self) -> bool {
        self.before.is_empty() && !self.command.is_empty()
    }

    /// The words, for whoever has put the command on a line of its own, which is there.
    pub(crate) fn words(&self, there: &str) -> String {
        match self.begins_with_command() {
            true => self.after.trim_start_matches([',', ':', ';', ' ']).to_owned(),
            false if self.command.is_empty() => self.before.to_owned(),
            false => format!("{}the command {there}{}", self.before, self.after),
        }
    }
}

/// A command in so many columns: whole, or with a mark that no shell takes for a part of it. Broken over two lines, or cut, it
/// would be pasted as another one.
pub(crate) fn pasteable(command: &str, columns: usize, mark: &str) -> String {
    if command.chars().nth(columns).is_none() {
        return command.to_owned();
    }
    let mark = if columns >= 2 * mark.len() { mark } else { "...(" };
    let front: String = command.chars().take(columns.saturating_sub(mark.chars().count())).collect();
    front + mark
}

/// A command on as many lines as it needs, each but the last one with what has a shell go on; `None` where a word is longer than a
/// line: that is not broken.
pub(crate) fn continued(command: &str, columns: usize) -> Option<Vec<String>> {
    const GOES_ON: &str = " \\";
    let mut lines: Vec<String> = Vec::new();
    for word in words_of(command) {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) + GOES_ON.len() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let last = lines.len().saturating_sub(1);
    lines[..last].iter_mut().for_each(|line| line.push_str(GOES_ON));
    lines.iter().all(|line| width(line) <= columns).then_some(lines)
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The words of a command as a shell reads them, quotes and all.
fn words_of(command: &str) -> impl Iterator<Item = &str> {
    let (mut quote, mut is_escaped) = (None, false);
    command.split(move |c| {
        let ends = c == ' ' && quote.is_none() && !is_escaped;
        let escapes = c == '\\' && !is_escaped && quote != Some('\'');
        match (c, quote) {
            _ if is_escaped => {}
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(q)) if c == q => quote = None,
            _ => {}
        }
        is_escaped = escapes;
        ends
    })
}

/// RFC 4648, with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
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

/// A path in JSON: as text, and in base64 too where it is not UTF-8, so that a script can open it.
#[must_use]
pub fn json_path(path: &Path) -> (Cow<'_, str>, Option<String>) {
    let exact = path.to_str().is_none().then(|| base64(path.as_os_str().as_bytes()));
    (path.to_string_lossy(), exact)
}

/// Puts a path under `key` of an object, and under `key_base64` where it is not UTF-8.
#[must_use]
pub fn with_path(mut object: Value, key: &str, path: &Path) -> Value {
    let (text, exact) = json_path(path);
    object[key] = text.into();
    if let Some(exact) = exact {
        object[format!("{key}_base64")] = exact.into();
    }
    object
}

/// Broken at spaces, but not between a number and its unit; a word that is too long for a line stays whole all the same.
pub(crate) fn broken(text: &str, columns: usize) -> Vec<String> {
    /// `MiB` and a comma; longer words are none.
    const LONGEST_UNIT: usize = 4;
    let mut lines: Vec<String> = Vec::new();
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        let is_number = !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || c == '.');
        let unit = words.next_if(|next| is_number && next.chars().count() <= LONGEST_UNIT);
        let word = unit.map_or_else(|| word.to_owned(), |unit| format!("{word} {unit}"));
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
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
    fn the_locale_tells_whether_there_are_all_characters() {
        let of = |set: &'static [(&str, &str)]| {
            is_unicode(|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(of(&[("LANG", "de_DE.UTF-8")]) && of(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!of(&[]) && !of(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]));
    }

    #[test]
    fn what_is_not_ascii_is_escaped_as_in_json() {
        assert_eq!(in_ascii("a\u{db}\u{1f600}\n"), "a\\u00db\\ud83d\\ude00\n");
        assert!(matches!(in_ascii("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn figures_are_short() {
        assert_eq!([0, 999, 1000, 12_345, 999_999].map(count), ["0", "999", "1.0k", "12.3k", "999k"]);
        assert_eq!([0, 1023, 1024, 16 << 20].map(bytes), ["0B", "1023B", "1K", "16M"]);
        assert!(bytes(1023 << 50).len() <= 5 && count(u64::MAX).len() <= 5);
        let at = |s| lasting(Duration::from_secs(s));
        assert_eq!([12, 192, 7500, 273_600].map(at), ["12s", "3m12s", "2h05m", "3d04h"]);
        assert_eq!(at(u64::MAX), ">999y");
    }

    #[test]
    fn a_sentence_is_wrapped_and_then_clipped() {
        assert_eq!(wrapped("one two three four", 9, 2), ["one two", "three ..."]);
        assert_eq!(wrapped("one two", 9, 2), ["one two"]);
        assert_eq!(wrapped("one two", 9, 0), Vec::<String>::new());
        assert_eq!(wrapped("abc", 1, 3), ["a", "b", "c"]);
        assert_eq!(wrapped("one/two/three four", 6, 9), ["one/tw", "o/thre", "e four"]);
        assert_eq!(wrapped("two  blanks", 20, 9), ["two  blanks"]);
    }

    #[test]
    fn of_a_path_the_end_stays() {
        assert_eq!(ending("/var/log/app.log", 10), "...app.log");
        assert_eq!(ending("app.log", 10), "app.log");
        assert_eq!(ending("app.log", 0), "");
    }

    #[test]
    fn the_words_of_a_step_say_where_the_command_is() {
        let words = |step| Step::of(step).words("below");
        assert_eq!(words("`kill -CONT 7`, or `kill -9 7`: it heals"), "or `kill -9 7`: it heals");
        assert_eq!(words("stop it, then `repair`; cat works"), "stop it, then the command below; cat works");
        assert_eq!(
            (words("nothing to do"), Step::of("nothing to do").command),
            ("nothing to do".to_owned(), "")
        );
    }

    #[test]
    fn what_is_left_of_a_command_is_none() {
        assert_eq!(pasteable("kill -CONT 4312", 15, "... (more)"), "kill -CONT 4312");
        assert_eq!(
            pasteable("mmlogctl rotate /var/log/app.log", 24, "... (more)"),
            "mmlogctl rotat... (more)"
        );
        assert_eq!(pasteable("mmlogctl rotate app.log", 12, "... (more)"), "mmlogctl...(");
    }

    #[test]
    fn a_number_stands_beside_its_unit() {
        assert_eq!(broken("it waits for 12 s; then 3 more", 15), ["it waits for", "12 s; then", "3 more"]);
    }
}
