//! What came of the drills, for people and for machines. The object is a contract: keys are added, never changed.

use serde_json::{Value, json};

use super::act::Outcome;
use super::incidents::Incident;
use crate::exit::{Failure, printable};
use crate::output::{Output, json_line};

/// Width of the longest name, and a space.
const NAME: usize = 21;

/// Says each as it ends, or all at the end.
pub(super) struct Report {
    json: bool,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(super) const fn new(json: bool) -> Self {
        Self { json, outcomes: Vec::new() }
    }

    pub(super) fn add(&mut self, outcome: Outcome, out: &mut Output) -> Result<(), Failure> {
        if !self.json {
            out.line(&line(&outcome))?;
        }
        self.outcomes.push(outcome);
        Ok(())
    }

    pub(super) fn is_good(&self) -> bool {
        self.outcomes.iter().all(Outcome::is_good)
    }

    pub(super) fn finish(&self, out: &mut Output) -> Result<(), Failure> {
        let count = |which: fn(&Outcome) -> bool| self.outcomes.iter().filter(|o| which(o)).count();
        let staged = count(|o| o.staged);
        let named = count(|o| o.named);
        let healed = count(|o| o.healed == Some(true));
        let recorded = count(|o| o.named && o.healed.is_none());
        let skipped = count(|o| o.skipped.is_some());
        let failed = count(|o| !o.is_good());
        if !self.json {
            return out.line(&format!(
                "{staged} staged: {named} named, {healed} healed, {recorded} stay on record, {failed} failed; {skipped} SKIPPED"
            ));
        }
        let drills: Vec<Value> = self.outcomes.iter().map(object).collect();
        let counts = json!({
            "staged": staged, "named": named, "healed": healed, "recorded": recorded,
            "failed": failed, "skipped": skipped,
        });
        let object = json!({ "schema": 1, "drills": drills, "counts": counts });
        out.line(&json_line(&object.to_string()))
    }
}

fn object(o: &Outcome) -> Value {
    let found = o.found.as_ref();
    json!({
        "name": o.name,
        "finding": o.finding.name(),
        "staged": o.staged,
        "pid": o.pid,
        "sentence": found.map(|f| &f.sentence),
        "next_step": found.map(|f| &f.next_step),
        "command": found.and_then(|f| f.command()),
        "named": o.named,
        "healed": o.healed,
        "note": o.note,
        "skipped": o.skipped,
    })
}

fn line(o: &Outcome) -> String {
    let name = o.name;
    if let Some(why) = &o.skipped {
        return printable(&format!("{name:NAME$}SKIPPED: {why}"));
    }
    let named = if o.named { "named" } else { "NOT NAMED" };
    let healed = match o.healed {
        Some(true) => "healed",
        Some(false) => "NOT HEALED",
        None => "on record",
    };
    let command = o.found.as_ref().and_then(|f| f.command()).map_or(String::new(), |c| format!("`{c}`"));
    let note = o.note.as_ref().map_or(String::new(), |note| format!("  ({note})"));
    printable(&format!("{name:NAME$}{named:10}{healed:11}{command}{note}"))
}

/// The end of a rehearsal.
pub(super) fn told(o: &Outcome, out: &mut Output) -> Result<(), Failure> {
    let note = o.note.as_ref().map_or(String::new(), |note| format!(" ({note})"));
    out.line(&printable(&match (&o.skipped, o.healed) {
        (Some(why), _) => format!("SKIPPED: {why}"),
        (None, Some(true)) => format!("healed{note}; an append and check --deep work"),
        (None, Some(false)) => format!("NOT HEALED{note}"),
        (None, None) => format!("on record{note}; an append and check --deep work"),
    }))
}

/// Which there are.
pub(super) fn list(incidents: &[&Incident], json: bool, out: &mut Output) -> Result<(), Failure> {
    if !json {
        let mut text = String::new();
        for incident in incidents {
            let name = incident.name;
            let needs =
                if incident.needs.is_empty() { String::new() } else { format!(" Needs {}.", incident.needs) };
            text.push_str(&format!("{name:NAME$}{}{needs}\n", incident.about));
        }
        return out.text(&text);
    }
    let object = |incident: &&Incident| {
        let needs = (!incident.needs.is_empty()).then_some(incident.needs);
        json!({ "name": incident.name, "finding": incident.finding.name(), "about": incident.about, "needs": needs })
    };
    let drills: Vec<Value> = incidents.iter().map(object).collect();
    out.line(&json_line(&json!({ "schema": 1, "drills": drills }).to_string()))
}
