//! Whether what was printed is what a page shows.

/// `...` stands for anything, alone on a line for any lines; a number for any number, blanks for any blanks.
pub(crate) fn is_shown(shown: &[String], printed: &str) -> bool {
    let printed: Vec<String> = printed.trim_end().lines().map(plain).collect();
    let shown: Vec<String> = shown.iter().map(|line| plain(line)).collect();
    rest_is_shown(&shown, &printed)
}

fn rest_is_shown(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=printed.len()).any(|skipped| rest_is_shown(rest, &printed[skipped..]))
        }
        Some((first, rest)) => {
            printed.first().is_some_and(|line| line_is_shown(first, line))
                && rest_is_shown(rest, &printed[1..])
        }
    }
}

fn line_is_shown(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split("...");
    let Some(mut left) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (nth, part) in parts.iter().enumerate() {
        let found = if nth + 1 == parts.len() {
            left.ends_with(part).then(|| left.len() - part.len())
        } else {
            left.find(part)
        };
        let Some(at) = found else { return false };
        left = &left[at + part.len()..];
    }
    left.is_empty()
}

/// The line with each number as `0`, each run of blanks as one, and what was just now as long ago as everything is.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    for c in line.trim_end().replace(" just now", " 0 s ago").chars() {
        let c = match c {
            '0'..='9' => '0',
            c if c.is_whitespace() => ' ',
            c => c,
        };
        if !(matches!(c, '0' | ' ') && plain.ends_with(c)) {
            plain.push(c);
        }
    }
    plain
}

#[test]
fn output_that_a_page_does_not_show_is_noticed() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let is = |shown: &str, printed: &str| is_shown(&lines(shown), printed);
    assert!(is("a 1  b", "a 23 b\n") && is("a\n...\nz", "a\nb\nc\nz") && is("a ... z", "a b c z"));
    assert!(
        is("...a", "/tmp/a")
            && is("set just now", "set 2 s ago")
            && is("a\n...", "a")
            && is("x=1 ... y=2 ...", "x=1 q y=5 more")
    );
    assert!(!is("a", "b") && !is("a", "a\nb") && !is("a\nb", "a") && !is("a ... z", "a b c") && !is("", "a"));
    assert!(!is("a\n...\nz", "a\nb") && !is("1 a", "a") && !is("...a", "/tmp/b"));
}
