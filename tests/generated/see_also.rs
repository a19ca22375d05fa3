//! SEE ALSO of a page: the commands that it speaks of, those that speak of it, and those of its group.

use std::collections::{BTreeMap, BTreeSet};

use mmlogctl::cli::GROUPS;

/// What belongs together although no page says so.
const RELATED: [(&str, &str); 5] = [
    ("rotate", "tail"),
    ("segments", "prune"),
    ("segments", "rotate"),
    ("drill", "repair"),
    ("check", "repair"),
];

/// The section of the page `name`, by the text of all pages.
pub(crate) fn section(name: &str, pages: &BTreeMap<String, String>) -> String {
    let commands = pages.keys().filter(|other| other.as_str() != "mmlogctl" && other.as_str() != name);
    let related = commands.filter(|other| is_related(name, other, pages));
    let first = Some("mmlogctl").filter(|_| name != "mmlogctl");
    let all = first.into_iter().chain(related.map(String::as_str)).map(|page| format!("{page}(1)"));
    let all: Vec<String> = all.chain(["mmlog(5)".to_owned()]).collect();
    let line: Vec<String> = all.iter().map(|page| bold(page)).collect();
    format!(".SH \"SEE ALSO\"\n{}\n", line.join(", "))
}

fn is_related(name: &str, other: &str, pages: &BTreeMap<String, String>) -> bool {
    let command = |page: &'static str| move |full: &str| full.strip_prefix("mmlogctl-") == Some(page);
    let in_one_group = GROUPS.iter().any(|(_, names)| {
        let has = |full: &str| names.iter().any(|page| command(page)(full));
        has(name) && has(other)
    });
    let is = |(a, b): &(&'static str, &'static str)| command(a)(name) && command(b)(other);
    let belongs = RELATED.iter().any(|(a, b)| is(&(a, b)) || is(&(b, a)));
    name == "mmlogctl"
        || in_one_group
        || belongs
        || speaks_of(&pages[name], other)
        || speaks_of(&pages[other], name)
}

/// Whether a page names a command: `mmlogctl tail`, mmlogctl-tail(1), or "`tail --hold`".
fn speaks_of(page: &str, other: &str) -> bool {
    let Some(command) = other.strip_prefix("mmlogctl-") else { return true };
    let text = page.replace("\\-", "-").replace("\\fR", "").replace("\\fB", "");
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && !"-`".contains(c)).collect();
    let after = format!("mmlogctl {command}");
    let ends = |rest: &str| rest.chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '-');
    words.contains(other)
        || [format!("`{command}"), format!("`{command}`")].iter().any(|word| words.contains(word.as_str()))
        || text.match_indices(&after).any(|(at, _)| ends(&text[at + after.len()..]))
}

fn bold(page: &str) -> String {
    let (name, rest) = page.split_at(page.find('(').unwrap_or(page.len()));
    format!("\\fB{}\\fR{rest}", name.replace('-', "\\-"))
}

#[test]
fn a_page_names_those_that_name_it() {
    let page = |text: &str| text.to_owned();
    let names =
        ["mmlogctl", "mmlogctl-cat", "mmlogctl-tail", "mmlogctl-rm", "mmlogctl-prune", "mmlogctl-init"];
    let texts = ["", "", "see `tail --hold`", "mmlogctl initial", "`mmlogctl rm LOG`", ""];
    let pages = names.into_iter().map(page).zip(texts.map(page)).collect();
    let of = |name: &str| section(name, &pages).replace("\\fB", "").replace("\\fR", "").replace("\\-", "-");
    assert!(
        of("mmlogctl-cat").ends_with("\nmmlogctl(1), mmlogctl-tail(1), mmlog(5)\n"),
        "{}",
        of("mmlogctl-cat")
    );
    assert!(
        of("mmlogctl-rm").ends_with("\nmmlogctl(1), mmlogctl-prune(1), mmlog(5)\n"),
        "{}",
        of("mmlogctl-rm")
    );
    assert!(of("mmlogctl-init").ends_with("\nmmlogctl(1), mmlog(5)\n"), "{}", of("mmlogctl-init"));
}
