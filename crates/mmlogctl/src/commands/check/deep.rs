//! `--deep`: the invariants of a live log, one by one.

use std::path::Path;

use mmlog::check::{self, Deep, Violation};
use mmlog::{Error, Finding, FindingId, Observer, Options, State, Status, units, with_log};
use serde_json::{Value, json};

use crate::exit::{Verdict, printable, shown};
use crate::output::json_line;
use crate::text::with_path;

pub(super) fn check(log: &Path, options: &Options, as_json: bool) -> Result<(Verdict, String), Error> {
    let found = check::deep(log, options)?;
    let verdict = match (found.violations.is_empty(), found.unseen.is_empty()) {
        (false, _) => Verdict::Critical,
        (true, false) => Verdict::Unknown,
        (true, true) => Verdict::Fine,
    };
    let text = match as_json {
        true => json_line(&object(log, &found).to_string()) + "\n",
        false => {
            let look = || Observer::open(log, options)?.look();
            report(log, &found, if found.holds() { None } else { look().ok() })
        }
    };
    Ok((verdict, text))
}

/// What to do: as the diagnosis says it, where that has found the damage too.
fn steps(log: &Path, found: &Deep, status: Option<Status>) -> Vec<String> {
    let of_old = |v: &&Violation| v.invariant == "final-segment";
    let (old, mut steps) = (found.violations.iter().filter(of_old).count(), Vec::new());
    if old > 0 {
        steps.push(
            "`mmlogctl segments LOG` lists old segments: put good copies in the place of those named above, nothing else brings their positions back"
                .to_owned(),
        );
    }
    let known = |is: &dyn Fn(&Finding) -> bool| {
        status.iter().flat_map(|status| &status.findings).find(|f| is(f)).map(|f| f.next_step.clone())
    };
    if old < found.violations.len() {
        let is_of_files = |f: &Finding| {
            !matches!(f.id, FindingId::SegmentMissing | FindingId::SegmentDamaged)
                && f.state == State::Damaged
        };
        steps.push(known(&is_of_files).unwrap_or_else(|| {
                "`mmlogctl repair --dry-run LOG` shows what it would do; what that does not mend, `mmlogctl repair --rebuild LOG` does: new metadata from the data file, without the table of holes"
                    .to_owned()
        }));
    }
    if !found.unseen.is_empty() {
        let look = || {
            "look again as a user who may read the log's directory and its files; of a failing disk `dmesg` tells".to_owned()
        };
        steps.push(known(&|f| f.id == FindingId::SegmentUnreadable).unwrap_or_else(look));
    }
    steps.iter().map(|step| with_log(step, log)).collect()
}

fn report(log: &Path, found: &Deep, status: Option<Status>) -> String {
    let Deep { cursor, watermark, read, holes, .. } = found;
    let (state, said) = match found.violations.len() as u64 {
        0 if !found.unseen.is_empty() => ("UNKNOWN", "not all of it could be looked at".to_owned()),
        0 => ("OK", "every invariant holds".to_owned()),
        n => ("VIOLATED", units::counted(n, "invariant")),
    };
    let (read, holes) = (units::size(*read), units::counted(*holes, "hole"));
    let figures = format!("cursor {cursor}, watermark {watermark}, {read} read, {holes}");
    let mut text = format!("{state} - {}: {said}; {figures}\n", shown(log));
    let mut add = |word: &str, said: &str| text.push_str(&format!("  {word}  {}\n", printable(said)));
    found.violations.iter().for_each(|v| add("violated", &v.to_string()));
    found.unseen.iter().for_each(|what| add("unseen", what));
    found.facts.iter().for_each(|fact| add("fact", fact));
    steps(log, found, status).iter().for_each(|step| add("next", step));
    text
}

fn object(log: &Path, found: &Deep) -> Value {
    let violation = |v: &Violation| json!({ "invariant": v.invariant, "found": v.found });
    let object = json!({
        "schema": 1,
        "path": null,
        "holds": found.holds(),
        "violations": found.violations.iter().map(violation).collect::<Vec<_>>(),
        "unseen": found.unseen,
        "facts": found.facts,
        "cursor": found.cursor,
        "watermark": found.watermark,
        "read": found.read,
        "nuls": found.nuls,
        "holes": found.holes,
    });
    with_path(object, "path", log)
}
