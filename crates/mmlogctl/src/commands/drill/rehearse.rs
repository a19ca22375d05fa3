//! One incident for somebody who sits in front of it.

use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;

use mmlog::quoted;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::act::{self, Outcome};
use super::incidents::{Cure, Incident};
use super::report;
use super::sight::Found;
use super::stage::{Done, Looks, Stage, Stop, Theatre};
use crate::exit::{Failure, printable, shown};
use crate::output::Output;
use crate::text::broken;

/// Whether somebody can read it and answer.
pub(super) fn is_watched(out: &Output) -> bool {
    out.is_terminal() && io::stdin().is_terminal()
}

/// Stages it, and waits before each thing that is given away.
pub(super) fn rehearse(theatre: &Theatre, incident: &Incident, out: &mut Output) -> Done<Outcome> {
    let mut outcome = Outcome::new(incident);
    say(out, &format!("{}: staging it ...", incident.name))?;
    let acted = theatre
        .stage(incident.name)
        .and_then(|mut stage| act_by_act(theatre, &mut stage, incident, &mut outcome, out));
    acted.or_else(|stop| outcome.stopped(stop))?;
    report::told(&outcome, out)?;
    Ok(outcome)
}

fn act_by_act(
    theatre: &Theatre,
    stage: &mut Stage<'_>,
    incident: &Incident,
    outcome: &mut Outcome,
    out: &mut Output,
) -> Done {
    act::raise_curtain(stage, incident, outcome)?;
    let log = shown(&stage.log);
    say(out, &format!("Something is wrong with {log}"))?;
    let place = match stage.looks {
        Looks::Plainly => "In another terminal".to_owned(),
        Looks::As(uid) => format!("In another terminal, as user {uid} (root sees it all)"),
        Looks::Blindly => "From within a sandbox that hides locks, as Enter does".to_owned(),
    };
    say(out, &format!("{place}, mend it if you like; `inspect` shows the same:"))?;
    // Whole, to be pasted.
    out.line(&format!("  mmlogctl status {}", quoted(&stage.log)))?;
    say(out, "Enter shows what status says.")?;
    enter(theatre)?;
    if stage.says(incident.finding)?.is_none() {
        return mended(stage, incident, outcome);
    }
    act::look(stage, incident, outcome)?;
    tell(incident, outcome.found.as_ref(), out)?;
    enter(theatre)?;
    match stage.says(incident.finding)? {
        None => mended(stage, incident, outcome),
        Some(_) => act::heal(stage, incident, outcome),
    }
}

/// It was the trainee.
fn mended(stage: &mut Stage<'_>, incident: &Incident, outcome: &mut Outcome) -> Done {
    act::is_well(stage, incident)?;
    (outcome.named, outcome.healed) = (true, Some(true));
    outcome.note = Some("by you".to_owned());
    Ok(())
}

fn tell(incident: &Incident, found: Option<&Found>, out: &mut Output) -> Result<(), Failure> {
    let Some(found) = found else { return Ok(()) };
    say(out, &format!("status says: {}", printable(&found.sentence)))?;
    say(out, &format!("  next step: {}", printable(&found.next_step)))?;
    say(
        out,
        &match incident.cure {
            Cure::Command => "Enter does that, unless you have.".to_owned(),
            Cure::Stays(why) => format!("Enter runs that; {why}."),
            Cure::People(words, _) => format!("That is for you. Enter does it for you: {words}."),
            Cure::CommandThenPeople(words, _) => format!("Enter does that, and then this: {words}."),
            Cure::PeopleThenCommand(words, _) => format!("Enter does that, after this: {words}."),
        },
    )
}

/// In whole words.
fn say(out: &mut Output, text: &str) -> Result<(), Failure> {
    let lines = out.columns().map_or_else(|| vec![text.to_owned()], |columns| broken(text, columns));
    lines.iter().try_for_each(|line| out.line(line))
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
