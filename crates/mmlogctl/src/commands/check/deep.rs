//! `--deep`: the invariants of a live log, one by one.

use std::path::Path;

use mmlog::check::{self, Deep, Violation};
use mmlog::{Error, Options, units};
use serde_json::{Value, json};

use crate::exit::{Verdict, printable, shown};
use crate::output::json_line;

pub(super) fn check(log: &Path, options: &Options, as_json: bool) -> Result<(Verdict, String), Error> {
    let found = check::deep(log, options)?;
    let verdict = if found.holds() { Verdict::Fine } else { Verdict::Critical };
    let text = if as_json { json_line(&object(log, &found).to_string()) + "\n" } else { report(log, &found) };
    Ok((verdict, text))
}

fn report(log: &Path, found: &Deep) -> String {
    let Deep { cursor, watermark, read, holes, .. } = found;
    let (state, said) = match found.violations.len() as u64 {
        0 => ("OK", "every invariant holds".to_owned()),
        n => ("VIOLATED", units::counted(n, "invariant")),
    };
    let (read, holes) = (units::size(*read), units::counted(*holes, "hole"));
    let figures = format!("cursor {cursor}, watermark {watermark}, {read} read, {holes}");
    let mut text = format!("{state} - {}: {said}; {figures}\n", shown(log));
    let mut add = |word: &str, said: &str| text.push_str(&format!("  {word}  {}\n", printable(said)));
    found.violations.iter().for_each(|v| add("violated", &v.to_string()));
    found.facts.iter().for_each(|fact| add("fact", fact));
    let of_old = |v: &&Violation| v.invariant == "final-segment";
    let old = found.violations.iter().filter(of_old).count();
    if old > 0 {
        add(
            "next",
            &format!(
                "`mmlogctl segments {}` lists old segments: put good copies in the place of those named above, or `mmlogctl prune` gives them up",
                shown(log)
            ),
        );
    }
    if old < found.violations.len() {
        add("next", "`mmlogctl repair --dry-run`; what that does not mend, `mmlogctl repair --rebuild` does");
    }
    text
}

fn object(log: &Path, found: &Deep) -> Value {
    let violation = |v: &Violation| json!({ "invariant": v.invariant, "found": v.found });
    json!({
        "schema": 1,
        "path": log.to_string_lossy(),
        "holds": found.holds(),
        "violations": found.violations.iter().map(violation).collect::<Vec<_>>(),
        "facts": found.facts,
        "cursor": found.cursor,
        "watermark": found.watermark,
        "read": found.read,
        "nuls": found.nuls,
        "holes": found.holes,
    })
}
