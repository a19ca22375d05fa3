//! The tables of the format, as its three descriptions have them: the source, its asserts, and mmlog(5).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A row of a table in mmlog(5).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// Heading of the subsection.
    pub(crate) section: String,
    pub(crate) offset: u64,
    pub(crate) relative: bool,
    pub(crate) bytes: String,
    pub(crate) name: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
        .unwrap_or_else(|_| panic!("{text} is not hexadecimal"))
}

/// Every row that begins with an offset in hexadecimal.
pub(crate) fn manual() -> Vec<Row> {
    let page = fs::read_to_string(root().join("man/mmlog.5")).unwrap();
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix(".SS ").or(line.strip_prefix(".SH ")) {
            section = heading.to_owned();
        }
        let cells: Vec<&str> = line.split('|').collect();
        if let [offset, bytes, name, ..] = cells[..]
            && offset.trim_start_matches('+').starts_with("0x")
        {
            rows.push(Row {
                section: section.clone(),
                offset: hex(offset.trim_start_matches('+')),
                relative: offset.starts_with('+'),
                bytes: bytes.replace("\\(mu", "×"),
                name: name.to_owned(),
            });
        }
    }
    rows
}

/// `layout.rs`, and the files below it if there are any.
fn layout() -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut text = fs::read_to_string(src.join("layout.rs")).unwrap();
    for file in fs::read_dir(src.join("layout")).into_iter().flatten().flatten() {
        text += &fs::read_to_string(file.path()).unwrap();
    }
    text
}

/// Rows of the table in the module's head: offset, bytes, first name.
pub(crate) fn module_head() -> Vec<(u64, String, String)> {
    let rows: Vec<_> = layout()
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("//! | 0x")?.split(" | ").collect();
            let name = cells[2].split('`').nth(1).unwrap_or_default();
            Some((hex(cells[0]), cells[1].to_owned(), name.to_owned()))
        })
        .collect();
    assert!(rows.len() > 25, "the table of layout.rs was not found");
    rows
}

/// Every asserted offset, `Struct.field` or `Header.part.field`, and the bytes of that field, if it is an integer,
/// an array of such, or a text.
pub(crate) fn asserted() -> Vec<(String, u64, Option<u64>)> {
    let text = layout();
    let types = field_types(&text);
    let mut rows = Vec::new();
    for assertion in text.split([',', '(', '\n']).filter(|s| s.contains("==")) {
        let Some((path, offset)) = assertion.trim().trim_end_matches(");").split_once(" == ") else {
            continue;
        };
        let offset = offset.trim_end_matches(')');
        if !path.contains('.') || !path.starts_with(char::is_uppercase) {
            continue;
        }
        let offset = if offset.starts_with("0x") { hex(offset) } else { offset.parse().unwrap() };
        let parts: Vec<&str> = path.split('.').collect();
        let ty = parts[1..]
            .iter()
            .try_fold(parts[0].to_owned(), |ty, field| types.get(&(ty, (*field).to_owned())).cloned());
        rows.push((
            path.to_owned(),
            offset,
            size_of_type(&ty.unwrap_or_else(|| panic!("{path}: no such field"))),
        ));
    }
    assert!(rows.len() > 90, "the asserts of layout.rs were not found");
    rows
}

fn field_types(text: &str) -> BTreeMap<(String, String), String> {
    let mut types: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut owner = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("pub struct ") {
            let name = rest.split([' ', '<', '(']).next().unwrap();
            owner = name.to_owned();
            // A struct on one line.
            if let Some((_, body)) = rest.split_once("{ pub ")
                && let Some((field, ty)) = body.trim_end_matches([' ', '}']).split_once(": ")
            {
                types.insert((owner.clone(), field.to_owned()), ty.to_owned());
            }
        } else if let Some((alias, of)) = line.strip_prefix("pub type ").and_then(|l| l.split_once(" = ")) {
            let fields = types.iter().filter(|((owner, _), _)| *owner == of.trim_end_matches(';'));
            let same: Vec<_> =
                fields.map(|((_, f), ty)| ((alias.to_owned(), f.clone()), ty.clone())).collect();
            types.extend(same);
        } else if let Some((field, ty)) =
            line.strip_prefix("pub ").and_then(|l| l.trim_end_matches(',').split_once(": "))
        {
            types.insert((owner.clone(), field.to_owned()), ty.to_owned());
        }
    }
    types
}

fn size_of_type(ty: &str) -> Option<u64> {
    if let Some(array) = ty.strip_prefix("[").and_then(|t| t.strip_suffix("]")) {
        let (element, count) = array.rsplit_once("; ")?;
        return Some(size_of_type(element)? * count.parse::<u64>().ok()?);
    }
    if let Some(words) = ty.strip_prefix("Text<").and_then(|t| t.strip_suffix(">")) {
        return words.parse::<u64>().ok().map(|n| n * 8);
    }
    match ty {
        "AtomicU8" => Some(1),
        "AtomicU32" => Some(4),
        "AtomicU64" => Some(8),
        _ => None,
    }
}

/// Where mmlog(5) has the fields of a struct that has no place of its own in [`asserted`]: sections whose heading
/// begins so, and what is added to the field's offset.
pub(crate) fn sections_of(owner: &str) -> Option<(&'static str, u64)> {
    Some(match owner {
        "Owner" => ("Owner record", 0),
        "Segment" => ("Segment entry", 0),
        "FollowerRecord" => ("Follower record", 0),
        "Epoch" => ("Epoch,", 0),
        "HoleEntry" => ("Hole,", 0),
        "Overdue" => ("Overdue record", 0),
        "PolicyCopy" => ("Copy of the policy", 0),
        "FollowingPlace" => ("Place of a follower", 0),
        "TimePair" => ("Pair of a time", 0),
        "TimeStep" => ("Step of the clock", 0),
        "TimeFinal" => ("Times of a final segment", 0),
        "SlotHot" => ("Slot,", 0),
        "SlotCold" => ("Slot,", 64),
        _ => return None,
    })
}

/// Offsets of the parts of the first page, by struct name.
pub(crate) fn parts_of_header(asserted: &[(String, u64, Option<u64>)]) -> BTreeMap<&'static str, u64> {
    let at =
        |part: &str| asserted.iter().find(|(path, ..)| path == part).map(|&(_, offset, _)| offset).unwrap();
    BTreeMap::from([
        ("Control", 0),
        ("Journal", at("Header.journal")),
        ("Panic", at("Header.panic")),
        ("HoleCounts", at("Header.hole_counts")),
        ("Policy", at("Header.policy")),
    ])
}

/// Offsets at which two rows of one table overlap or stand twice.
pub(crate) fn overlaps(rows: &[Row]) -> BTreeSet<String> {
    rows.windows(2)
        .filter(|pair| pair[0].section == pair[1].section && pair[0].name != "high_water")
        .filter(|pair| pair[0].bytes.parse().is_ok_and(|len: u64| pair[0].offset + len > pair[1].offset))
        .map(|pair| format!("{}: {} and {}", pair[0].section, pair[0].name, pair[1].name))
        .collect()
}
