//! What fingers type, and clap does not know: `help CMD`, and the counts of tail(1) without a letter. Errors that suggest
//! what was meant, or nothing.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The words of a command line as clap takes them.
#[must_use]
pub fn words(line: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let line: Vec<OsString> = line.collect();
    let Some(at) = line.iter().skip(1).position(|word| !is_option(word)).map(|at| at + 1) else {
        return line;
    };
    let (before, behind) = (&line[..at], &line[at + 1..]);
    match line[at].to_str() {
        Some("help") => [before, behind, &["--help".into()]].concat(),
        Some("tail") => [before, &[line[at].clone()], &counts(behind)].concat(),
        _ => line,
    }
}

fn is_option(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

/// Words behind `tail`, with `-n 50` for `-50`, and `-n +50` for `+50` where that comes first and something behind it.
fn counts(words: &[OsString]) -> Vec<OsString> {
    let mut typed = Vec::with_capacity(words.len());
    for (nth, word) in words.iter().enumerate() {
        if word == "--" {
            typed.extend_from_slice(&words[nth..]);
            break;
        }
        let from = nth == 0 && words.len() > 1;
        let is_value = nth > 0 && takes_count(&words[nth - 1]);
        match word.to_str().filter(|_| !is_value).and_then(|word| count(word, from)) {
            Some(options) => typed.extend(options.into_iter().map(OsString::from)),
            None => typed.push(word.clone()),
        }
    }
    typed
}

/// Whether the next word is its value.
fn takes_count(word: &OsStr) -> bool {
    let Some(word) = word.to_str() else { return false };
    let ends_so = word.ends_with(['n', 'c']) && !word.starts_with("--") && word.starts_with('-');
    ends_so || matches!(word, "--lines" | "--bytes" | "--since" | "--until")
}

/// What `-50`, `-1f`, `-5c`, `+50` stand for.
fn count(word: &str, from: bool) -> Option<Vec<String>> {
    let sign = if from && word.starts_with('+') { "+" } else { "" };
    let behind = word.strip_prefix(if sign.is_empty() { '-' } else { '+' })?;
    let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    let (number, letters) = behind.split_at(digits);
    if number.is_empty() {
        return None;
    }
    let (letters, follows) = letters.strip_suffix('f').map_or((letters, false), |letters| (letters, true));
    let (option, number) = match letters {
        "" | "l" => ("-n", number.to_owned()),
        "c" => ("-c", number.to_owned()),
        // Blocks of 512 bytes.
        "b" => ("-c", number.parse::<u64>().ok()?.checked_mul(512)?.to_string()),
        _ => return None,
    };
    let mut words = vec![option.to_owned(), format!("{sign}{number}")];
    words.extend(follows.then(|| "-f".to_owned()));
    Some(words)
}

const KEEP: &str = "`mmlogctl prune --keep 5 LOG` removes old segments; `mmlogctl policy --set keep=5 LOG` has whoever appends do it";
const REMOVE: &str = "`mmlogctl rm LOG` removes a log, `mmlogctl prune --keep 5 LOG` old segments";

/// What people type who have it from elsewhere, and what there is instead.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "--max-unchanged-stats",
        "nothing is polled: a log that was replaced is noticed at once with --follow=name",
    ),
    ("--keep", KEEP),
    ("--keep-bytes", KEEP),
    ("--keep-age", KEEP),
    ("--prune", KEEP),
    ("less", "`mmlogctl cat LOG | less`"),
    ("more", "`mmlogctl cat LOG | more`"),
    ("head", "`mmlogctl cat LOG | head`"),
    ("view", "`mmlogctl cat LOG | less`, or `mmlogctl inspect LOG`"),
    ("show", "`mmlogctl cat LOG`, or `mmlogctl status LOG`"),
    ("print", "`mmlogctl cat LOG`"),
    ("read", "`mmlogctl cat LOG`"),
    ("follow", "`mmlogctl tail -f LOG`"),
    ("list", "`mmlogctl ls`"),
    ("logs", "`mmlogctl ls`"),
    ("find", "`mmlogctl ls DIR`"),
    ("search", "`mmlogctl grep PATTERN LOG`"),
    ("top", "`mmlogctl inspect`"),
    ("watch", "`mmlogctl inspect LOG`"),
    ("monitor", "`mmlogctl inspect LOG`, or `mmlogctl check --prom LOG`"),
    ("info", "`mmlogctl status LOG`"),
    ("create", "`mmlogctl init LOG`"),
    ("new", "`mmlogctl init LOG`"),
    ("write", "`PROGRAM | mmlogctl append LOG`, or `mmlogctl exec LOG -- PROGRAM`"),
    ("log", "`PROGRAM | mmlogctl append LOG`, or `mmlogctl exec LOG -- PROGRAM`"),
    ("run", "`mmlogctl exec LOG -- PROGRAM`"),
    ("delete", REMOVE),
    ("remove", REMOVE),
    ("del", REMOVE),
    ("clean", "`mmlogctl prune --keep 5 LOG` removes all but five old segments, `mmlogctl rm LOG` the log"),
    ("truncate", "`mmlogctl rotate LOG`, then `mmlogctl prune --keep 0 LOG`: what was in it is gone"),
    ("compress", "`mmlogctl rotate --compress zstd LOG`"),
    ("sync", "`mmlogctl append --sync always LOG` makes durable what it appends"),
    ("fix", "`mmlogctl repair --dry-run LOG`"),
    ("fsck", "`mmlogctl check --deep LOG`, then `mmlogctl repair --dry-run LOG`"),
    ("verify", "`mmlogctl check --deep LOG`"),
    ("--files-with-matches", "`grep -c` prints how many lines each log has"),
    ("--recursive", "`mmlogctl ls` finds logs; name those that you mean"),
    ("--perl-regexp", "leave it out: `\\d`, `\\b` and `.*?` are known without"),
    ("-P", "leave it out: `\\d`, `\\b` and `.*?` are known without"),
    ("--text", "leave it out: all content of a log is text"),
    ("--file", "patterns of a file are `-e \"$(cat FILE)\"`"),
    ("--no-color", "`--color never`"),
    ("--no-colour", "`--color never`"),
    ("--output-format", "`-o json`"),
    ("--format", "`-o json`"),
];

fn known(word: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(known, _)| *known == word).map(|(_, tip)| *tip)
}

/// The same for a slip of the finger, of a word that is long enough for one.
fn nearly_known(word: &str) -> Option<&'static str> {
    let is_near = |known: &str| known.len() > 4 && !known.starts_with('-') && distance(known, word) == 1;
    ELSEWHERE.iter().find(|(known, _)| is_near(known)).map(|(_, tip)| *tip)
}

/// The error with suggestions that are right: clap's own only where it is a slip of the finger. `commands` are all there are.
#[must_use]
pub fn corrected<'a>(mut error: clap::Error, commands: impl Iterator<Item = &'a str>) -> clap::Error {
    let (typed, suggested) = match error.kind() {
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
        _ => return error,
    };
    let Some(ContextValue::String(typed)) = error.get(typed).cloned() else { return error };
    let name = |word: &str| word.split(['=', ' ']).next().unwrap_or_default().to_owned();
    let tip = known(&name(&typed));
    let is_slip = |other: &String| tip.is_none() && distance(&name(&typed), &name(other)) <= 2;
    // Of several subcommands only those that are one.
    let slips: Vec<String> = match error.remove(suggested) {
        Some(ContextValue::String(one)) => vec![one],
        Some(ContextValue::Strings(all)) => all,
        _ => Vec::new(),
    };
    let mut slips: Vec<String> = slips.into_iter().filter(is_slip).collect();
    let is_command = error.kind() == ErrorKind::InvalidSubcommand;
    let tip = tip.or_else(|| if is_command && slips.is_empty() { nearly_known(&name(&typed)) } else { None });
    if is_command && slips.is_empty() && tip.is_none() {
        // Clap thinks of none that are as short as "rm".
        let near = commands.filter(|command| distance(command, &name(&typed)) == 1);
        slips.extend(near.map(str::to_owned));
    }
    // "To pass it as a value" is hardly ever what was meant.
    error.remove(ContextKind::Suggested);
    match (slips.as_slice(), error.kind()) {
        ([], _) => {
            error.remove(ContextKind::SuggestedSubcommand);
            // It has the option that was suggested.
            error.remove(ContextKind::Usage);
        }
        ([first, ..], ErrorKind::UnknownArgument) => {
            error.insert(suggested, ContextValue::String(first.clone()));
        }
        _ => {
            error.insert(suggested, ContextValue::Strings(slips));
        }
    }
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
    error
}

/// How many letters have to be put in, taken away or exchanged.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> String {
        let words = words(line.split(' ').map(OsString::from));
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn counts_without_a_letter_are_those_of_gnu_tail() {
        for (line, meant) in [
            ("m tail -50 a", "m tail -n 50 a"),
            ("m tail -1f a", "m tail -n 1 -f a"),
            ("m tail a -5", "m tail a -n 5"),
            ("m tail -f -5 a", "m tail -f -n 5 a"),
            ("m --trust-path tail -7c a", "m --trust-path tail -c 7 a"),
            ("m tail -2b a", "m tail -c 1024 a"),
            ("m tail -3l a", "m tail -n 3 a"),
            ("m tail +5 a", "m tail -n +5 a"),
            ("m tail +5f a", "m tail -n +5 -f a"),
        ] {
            assert_eq!(typed(line), meant);
        }
        for same in [
            "m tail -n -5 a",
            "m tail -fn -5 a",
            "m tail --lines -5 a",
            "m tail --since -5 a",
            "m tail --until -15m a",
            "m tail -c -5 a",
            "m tail -- -5",
            "m tail -5x a",
            "m tail +5",
            "m tail a +5",
            "m cat -5",
            "m exec a -- tail -5",
            "m tail -f - a",
        ] {
            assert_eq!(typed(same), same);
        }
    }

    #[test]
    fn help_is_the_help_of_what_is_named() {
        for (line, meant) in [
            ("m help", "m --help"),
            ("m help tail", "m tail --help"),
            ("m --trust-path help cat", "m --trust-path cat --help"),
            ("m tail help", "m tail help"),
            ("m -V", "m -V"),
        ] {
            assert_eq!(typed(line), meant);
        }
    }

    #[test]
    fn a_distance_is_that_of_the_fewest_slips() {
        assert_eq!(["", "--line", "--lnies", "--since"].map(|b| distance("--lines", b)), [7, 1, 2, 3]);
    }
}
