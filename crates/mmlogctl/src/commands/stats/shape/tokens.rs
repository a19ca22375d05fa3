//! What is replaced as a whole: times, addresses, ids, numbers.

/// What a part of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Time,
    Address,
    Uuid,
    Hex,
    Number,
}

impl Token {
    pub(super) const fn placeholder(self) -> &'static [u8] {
        match self {
            Self::Time => b"<time>",
            Self::Address => b"<ip>",
            Self::Uuid => b"<uuid>",
            Self::Hex => b"<hex>",
            Self::Number => b"<n>",
        }
    }
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
/// Words of that length or longer that letters and digits alternate in are ids.
const ID: usize = 5;
/// Hexadecimal words of that length or longer are numbers.
const HEX: usize = 6;
/// A quoted text may be so long.
const QUOTED: usize = 400;

/// Letters, digits, `_`, and all that is not ASCII.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

pub(super) fn word(line: &[u8], at: usize) -> &[u8] {
    let rest = &line[at..];
    &rest[..rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len())]
}

/// What begins with that word, and where it ends.
pub(super) fn at(line: &[u8], at: usize, word: &[u8], has_digit: bool) -> Option<(Token, usize)> {
    let rest = &line[at..];
    let end = |token: Token| move |len: usize| (token, at + len);
    if !has_digit {
        return match word.len() {
            3 => syslog(rest).map(end(Token::Time)),
            8 => uuid(rest).map(end(Token::Uuid)),
            _ => ip6(rest, word).map(end(Token::Address)),
        };
    }
    if word[0].is_ascii_digit() {
        let time = match word.len() {
            4 => iso(rest),
            2 => clock(rest).or_else(|| common(rest)),
            _ => None,
        };
        if let Some(len) = time {
            return Some((Token::Time, at + len));
        }
        if let Some(len) = ip4(rest, word) {
            return Some((Token::Address, at + len));
        }
    }
    if let Some(len) = ip6(rest, word) {
        return Some((Token::Address, at + len));
    }
    if let Some(len) = uuid(rest) {
        return Some((Token::Uuid, at + len));
    }
    if is_hex(word) {
        return Some((Token::Hex, at + word.len()));
    }
    word.iter().all(u8::is_ascii_digit).then(|| (Token::Number, at + number(rest)))
}

/// How long a colour (an SGR sequence) is that begins there; 0 where none does.
pub(super) fn colour(line: &[u8], at: usize) -> usize {
    let Some(rest) = line[at..].strip_prefix(b"\x1b[") else { return 0 };
    let end = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'));
    end.filter(|end| rest[*end] == b'm').map_or(0, |end| end + 3)
}

/// Whether letters and digits alternate as nobody writes them.
pub(super) fn is_id(word: &[u8]) -> bool {
    let turns = word.windows(2).filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit()).count();
    word.len() >= ID && turns >= 3
}

/// Where a quoted text ends; nothing where it is none.
pub(super) fn closing(line: &[u8], at: usize, quote: u8) -> Option<usize> {
    if quote == b'\'' && at > 0 && is_word(line[at - 1]) {
        return None;
    }
    let text = &line[at + 1..line.len().min(at + 1 + QUOTED)];
    let mut from = 0;
    loop {
        let end = from + memchr::memchr2(quote, b'\\', &text[from..])?;
        if text[end] == b'\\' {
            from = end + 2;
            if from > text.len() {
                return None;
            }
            continue;
        }
        let is_apostrophe = quote == b'\'' && text.get(end + 1).is_some_and(|byte| is_word(*byte));
        if !is_apostrophe {
            return Some(at + 1 + end);
        }
        from = end + 1;
    }
}

fn is_hex(word: &[u8]) -> bool {
    let hex = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
    if let [b'0', b'x' | b'X', digits @ ..] = word {
        return !digits.is_empty() && hex(digits);
    }
    word.len() >= HEX && hex(word) && !word.iter().all(u8::is_ascii_digit)
}

/// `17`, `1,234.5`, `1.2.3`.
fn number(rest: &[u8]) -> usize {
    let mut len = digits(rest);
    while let [b'.' | b',', next, ..] = &rest[len..]
        && next.is_ascii_digit()
    {
        len += 1 + digits(&rest[len + 1..]);
    }
    len
}

fn digits(text: &[u8]) -> usize {
    text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len())
}

/// Whether a text begins like that: `9` for a digit, ` ` for a blank or a digit, all others for themselves.
fn like(text: &[u8], pattern: &[u8]) -> bool {
    text.len() >= pattern.len()
        && text.iter().zip(pattern).all(|(byte, wanted)| match wanted {
            b'9' => byte.is_ascii_digit(),
            b' ' => *byte == b' ' || byte.is_ascii_digit(),
            wanted => byte == wanted,
        })
}

/// `08:00:00`, with decimals.
fn clock(text: &[u8]) -> Option<usize> {
    like(text, b"99:99:99").then(|| 8 + decimals(&text[8..]))
}

fn decimals(text: &[u8]) -> usize {
    match text {
        [b'.' | b',', next, ..] if next.is_ascii_digit() => 1 + digits(&text[1..]),
        _ => 0,
    }
}

/// `Z`, `+01:00`, ` +0100`.
fn zone(text: &[u8]) -> usize {
    let blank = usize::from(text.first() == Some(&b' '));
    match &text[blank..] {
        [b'Z', ..] if blank == 0 => 1,
        [b'+' | b'-', rest @ ..] if like(rest, b"99:99") => blank + 6,
        [b'+' | b'-', rest @ ..] if like(rest, b"9999") => blank + 5,
        _ => 0,
    }
}

/// `2026-11-29T08:00:00.123Z`, `2026/11/29 08:00:00`; a date alone is one, too.
fn iso(text: &[u8]) -> Option<usize> {
    if !like(text, b"9999-99-99") && !like(text, b"9999/99/99") {
        return None;
    }
    let behind = |at: usize| clock(&text[at..]).map(|len| at + len);
    let time = match text.get(10) {
        Some(b'T' | b't' | b' ') => behind(11),
        _ => None,
    };
    Some(time.map_or(10, |end| end + zone(&text[end..])))
}

/// `29/Nov/2026:08:00:00 +0000`.
fn common(text: &[u8]) -> Option<usize> {
    let is_date = like(text, b"99/") && MONTHS.contains(&text.get(3..6)?) && like(&text[6..], b"/9999:");
    let end = 12 + clock(text.get(12..).filter(|_| is_date)?)?;
    Some(end + zone(&text[end..]))
}

/// `Nov 29 08:00:00`.
fn syslog(text: &[u8]) -> Option<usize> {
    let is_date =
        MONTHS.contains(&text.get(..3)?) && text[3..].first() == Some(&b' ') && like(&text[4..], b" 9 ");
    clock(text.get(7..).filter(|_| is_date)?).map(|len| 7 + len)
}

fn ip4(text: &[u8], first: &[u8]) -> Option<usize> {
    if first.len() > 3 || text.get(first.len()) != Some(&b'.') {
        return None;
    }
    let mut len = 0;
    for part in 0..4 {
        if part > 0 {
            (text.get(len) == Some(&b'.')).then_some(())?;
            len += 1;
        }
        let n = digits(&text[len..]);
        (1..=3).contains(&n).then_some(())?;
        len += n;
    }
    let is_more = matches!(text[len..], [b'.', next, ..] if next.is_ascii_digit())
        || text.get(len).is_some_and(|byte| is_word(*byte));
    (!is_more).then_some(len)
}

/// Groups of hexadecimal digits and colons, with `::` or eight of them.
fn ip6(text: &[u8], first: &[u8]) -> Option<usize> {
    if first.len() > 4 || text.get(first.len()) != Some(&b':') {
        return None;
    }
    let len = text.iter().position(|b| !b.is_ascii_hexdigit() && *b != b':').unwrap_or(text.len());
    let address = &text[..len];
    let groups = || address.split(|byte| *byte == b':');
    let has_gap = address.windows(2).any(|two| two == b"::");
    let is_it = groups().all(|group| group.len() <= 4)
        && (has_gap && groups().count() <= 8 || groups().count() == 8)
        && address.iter().any(u8::is_ascii_digit)
        && !text.get(len).is_some_and(|byte| is_word(*byte));
    is_it.then_some(len)
}

fn uuid(text: &[u8]) -> Option<usize> {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let mut len = 0;
    for (nth, group) in GROUPS.into_iter().enumerate() {
        if nth > 0 {
            (text.get(len) == Some(&b'-')).then_some(())?;
            len += 1;
        }
        text.get(len..len + group)?.iter().all(u8::is_ascii_hexdigit).then_some(())?;
        len += group;
    }
    (!text.get(len).is_some_and(|byte| is_word(*byte))).then_some(len)
}
