//! One incident from its staging to a log that is well again.

use std::path::PathBuf;

use mmlog::{FindingId, State};

use super::incidents::{Cure, Incident};
use super::sight::{self, Found};
use super::stage::{Done, Ended, Stage, Stop, Theatre};

/// What came of one.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) name: &'static str,
    pub(super) finding: FindingId,
    pub(super) staged: bool,
    /// Whose doing it is.
    pub(super) pid: Option<u32>,
    /// What `status` said.
    pub(super) found: Option<Found>,
    /// With the culprit and the right command.
    pub(super) named: bool,
    /// `None`: nothing heals it, or it was not staged.
    pub(super) healed: Option<bool>,
    /// What people did, why nothing heals it, or what went wrong.
    pub(super) note: Option<String>,
    /// Why it was not staged.
    pub(super) skipped: Option<String>,
}

impl Outcome {
    pub(super) fn new(incident: &Incident) -> Self {
        Self {
            name: incident.name,
            finding: incident.finding,
            staged: false,
            pid: None,
            found: None,
            named: false,
            healed: None,
            note: None,
            skipped: None,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.skipped.is_some() || self.named && self.healed != Some(false)
    }

    /// An interruption ends all; the rest is this one's outcome.
    pub(super) fn stopped(&mut self, stop: Stop) -> Done {
        match stop {
            Stop::Interrupted | Stop::Output(_) => return Err(stop),
            Stop::Skipped(why) if !self.staged => self.skipped = Some(why),
            Stop::Skipped(why) | Stop::Failed(why) => {
                self.healed = Some(false);
                self.note = Some(why);
            }
        }
        Ok(())
    }
}

/// Stages it, looks, does what is printed, looks again.
pub(super) fn play(theatre: &Theatre, incident: &Incident) -> Done<Outcome> {
    let mut outcome = Outcome::new(incident);
    let acted = theatre.stage(incident.name).and_then(|mut stage| {
        raise_curtain(&mut stage, incident, &mut outcome)?;
        look(&mut stage, incident, &mut outcome)?;
        heal(&mut stage, incident, &mut outcome)
    });
    acted.or_else(|stop| outcome.stopped(stop))?;
    Ok(outcome)
}

pub(super) fn raise_curtain(stage: &mut Stage<'_>, incident: &Incident, outcome: &mut Outcome) -> Done {
    outcome.pid = (incident.stage)(stage)?;
    outcome.staged = true;
    Ok(())
}

/// Whether `status` says what it is, who it was, and what to do.
pub(super) fn look(stage: &mut Stage<'_>, incident: &Incident, outcome: &mut Outcome) -> Done {
    let found = stage.says(incident.finding)?;
    let found = found.ok_or_else(|| Stop::Failed("status does not say it".to_owned()))?;
    let wanted = command(stage, incident, outcome.pid);
    let culprit = outcome.pid.is_none() || found.pid == outcome.pid;
    let advised = found.command().map_or("", |c| c).replace(['\'', '\\'], "") == wanted;
    let says_what_to_do = !found.next_step.is_empty();
    outcome.named = culprit && advised && says_what_to_do;
    outcome.note = (!outcome.named).then(|| match (culprit, outcome.pid) {
        (false, Some(pid)) => format!("status names process {:?}, it is {pid}", found.pid),
        _ => format!("the step should be `{wanted}`"),
    });
    outcome.found = Some(found);
    Ok(())
}

/// As it has to be printed, quotes aside.
fn command(stage: &Stage<'_>, incident: &Incident, pid: Option<u32>) -> String {
    let directory = stage.log.parent().unwrap_or(&stage.dir);
    let shown = |path: &Option<PathBuf>| path.as_ref().map_or_else(String::new, |p| p.display().to_string());
    let words = [
        ("{pid}", pid.unwrap_or(0).to_string()),
        ("{log}", stage.log.display().to_string()),
        ("{metadata}", stage.metadata().display().to_string()),
        ("{directory}", directory.display().to_string()),
        ("{group}", shown(&stage.group)),
        ("{descriptor}", shown(&stage.descriptor)),
    ];
    let filled =
        words.iter().fold(incident.command.to_owned(), |line, (word, value)| line.replace(word, value));
    filled.replace(['\'', '\\'], "")
}

/// Does what is printed; the log has to be well afterwards.
pub(super) fn heal(stage: &mut Stage<'_>, incident: &Incident, outcome: &mut Outcome) -> Done {
    let by_hand = match incident.cure {
        Cure::Command | Cure::Stays(_) => None,
        Cure::CommandThenPeople(words, _) => Some(words),
        Cure::People(words, people) | Cure::PeopleThenCommand(words, people) => {
            people(stage)?;
            Some(words)
        }
    };
    if !matches!(incident.cure, Cure::People(..)) {
        let printed = outcome.found.as_ref().and_then(Found::command);
        let line = printed.ok_or_else(|| Stop::Failed("the step has no command".to_owned()))?;
        stage.shell(line)?.or_fail(line)?;
    }
    if let Cure::CommandThenPeople(_, people) = incident.cure {
        people(stage)?;
    }
    let note = by_hand.map(|words| format!("by hand: {words}"));
    if let Cure::Stays(why) = incident.cure {
        outcome.note = outcome.note.take().or_else(|| Some(why.to_owned()));
    } else {
        stage.until("the end of the incident", |stage| {
            Ok(stage.says(incident.finding)?.is_none().then_some(()))
        })?;
        outcome.healed = Some(true);
        outcome.note = outcome.note.take().or(note);
    }
    is_well(stage, incident)
}

/// A log that everybody can use.
pub(super) fn is_well(stage: &mut Stage<'_>, incident: &Incident) -> Done {
    stage.append(b"after the drill\n")?;
    stage.end_actors();
    // What a killed one left.
    stage.append(b"and after everybody\n")?;
    // What stays on record may be worth somebody's look for a while.
    let good = |state: &str| {
        state == State::Ok.to_string()
            || state == State::Warning.to_string() && matches!(incident.cure, Cure::Stays(_))
    };
    let mut said = String::new();
    let calm = stage.until("a log that nothing is wrong with", |stage| {
        let status = stage.tool("status").args(["--json"]).arg(&stage.log).finish(b"")?.or_fail("status")?;
        let (state, worst) = sight::state(&status)?;
        said = format!("the log is {state} afterwards: {worst}");
        Ok(good(&state).then_some(()))
    });
    calm.map_err(|stop| match stop {
        Stop::Failed(why) if !said.is_empty() => Stop::Failed(format!("{said} ({why})")),
        stop => stop,
    })?;
    let checked: Ended = stage.tool("check").args(["--deep"]).arg(&stage.log).finish(b"")?;
    match checked.code {
        Some(0) => Ok(()),
        _ => Err(Stop::Failed(format!(
            "check --deep: {}",
            String::from_utf8_lossy(&checked.stdout).trim_end()
        ))),
    }
}
