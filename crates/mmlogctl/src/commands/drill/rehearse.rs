//! One incident for somebody who sits in front of it.

use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::act::{self, Outcome};
use super::incidents::{Cure, Incident};
use super::sight::Found;
use super::stage::{Done, Stage, Stop, Theatre};
use super::{failure, report};
use crate::exit::{Failure, printable, shown};
use crate::output::Output;

/// Whether somebody can read it and answer.
pub(super) fn is_watched(out: &Output) -> bool {
    out.is_terminal() && io::stdin().is_terminal()
}

/// Stages it, and waits before each thing that is given away.
pub(super) fn rehearse(theatre: &Theatre, incident: &Incident, out: &mut Output) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::new(incident);
    let mut stage = theatre.stage(incident.finding.name()).map_err(failure)?;
    out.line(&format!("{}: staging it ...", incident.finding))?;
    let mut rest = || -> Result<Done, Failure> {
        if let Err(stop) = act::raise_curtain(&mut stage, incident, &mut outcome) {
            return Ok(Err(stop));
        }
        let log = shown(&stage.log);
        out.line(&format!("Something is wrong with {log}"))?;
        out.line(&format!("  look:  mmlogctl status {log}      (or inspect, in another terminal)"))?;
        out.line("Mend it there if you like. Enter shows what status says.")?;
        if let Err(stop) = enter(theatre) {
            return Ok(Err(stop));
        }
        match stage.says(incident.finding) {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(mended(&mut stage, &mut outcome)),
            Err(stop) => return Ok(Err(stop)),
        }
        if let Err(stop) = act::look(&mut stage, incident, &mut outcome) {
            return Ok(Err(stop));
        }
        tell(incident, outcome.found.as_ref(), out)?;
        if let Err(stop) = enter(theatre) {
            return Ok(Err(stop));
        }
        let again = stage.says(incident.finding);
        Ok(match again {
            Ok(None) => mended(&mut stage, &mut outcome),
            Ok(Some(_)) => act::heal(&mut stage, incident, &mut outcome),
            Err(stop) => Err(stop),
        })
    };
    if let Err(stop) = rest()? {
        outcome.stopped(stop).map_err(failure)?;
    }
    report::told(&outcome, out)?;
    Ok(outcome)
}

/// It was the trainee.
fn mended(stage: &mut Stage<'_>, outcome: &mut Outcome) -> Done {
    act::is_well(stage)?;
    (outcome.named, outcome.healed) = (true, Some(true));
    outcome.note = Some("by you".to_owned());
    Ok(())
}

fn tell(incident: &Incident, found: Option<&Found>, out: &mut Output) -> Result<(), Failure> {
    let Some(found) = found else { return Ok(()) };
    out.line(&format!("status says: {}", printable(&found.sentence)))?;
    out.line(&format!("  next step: {}", printable(&found.next_step)))?;
    out.line(&match incident.cure {
        Cure::Command => "Enter does that, unless you have.".to_owned(),
        Cure::Stays(why) => format!("Enter runs that; {why}."),
        Cure::People(words, _) => format!("That is for you. Enter does it for you: {words}."),
        Cure::PeopleThenCommand(words, _) => format!("Enter does that, after this: {words}."),
    })
}

/// Waits for Enter; the end of the input is as good.
fn enter(theatre: &Theatre) -> Done {
    let stdin = io::stdin();
    loop {
        let mut wait = [
            PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(theatre.signals.as_fd(), PollFlags::IN),
        ];
        match poll(&mut wait, None) {
            Ok(_) if theatre.signals.raised() => return Err(Stop::Interrupted),
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    // A terminal gives a line at a time.
    Ok(io::stdin().lock().read(&mut [0; 4096]).map(drop)?)
}
