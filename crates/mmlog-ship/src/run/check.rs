//! Looking without shipping.

use super::{Plan, words, written_down};
use crate::decide::{Compared, Content, Decision, ask, decide};
use crate::sinks::{Purpose, Sink};
use crate::source::Source;
use crate::trouble::Trouble;

/// Connects, looks, and says what would happen; nothing is changed.
///
/// # Errors
/// What would keep it from shipping, also a decision that a person has to take.
pub fn check(plan: &Plan, sink: &mut dyn Sink) -> Result<String, Trouble> {
    let (found, _) = written_down(plan)?;
    let known = found.as_ref().map(|found| found.known);
    let mut source = Source::open_reader(&plan.log, plan.options.clone(), &plan.hold(), plan.how.clone())?;
    if sink.takes_segments() {
        source.by_segments(None, &plan.stop)?;
    }
    sink.remember(known);
    if let Some(hold) = source.held() {
        sink.keeps(source.log_id(), hold);
    }
    sink.turn_to(source.log_id());
    sink.open(Purpose::Look)?;
    let tail = sink.look()?;
    let mut log = source.facts()?;
    let mut compared: Option<Compared> = None;
    if let Some(ask) = ask(known.as_ref(), &tail, &log) {
        compared = Some(source.compare(ask)?);
        log = source.facts()?;
    }
    let decision = decide(known.as_ref(), &tail, compared, &log, &plan.wishes);
    let mut said = format!(
        "sink {}\nstrength {}\nlog {:032x}, bytes {} to {} are kept and durable\n",
        sink.name(),
        sink.strength().words(),
        log.id,
        log.oldest,
        log.durable
    );
    for note in sink.notes() {
        said.push_str(&format!("note {note}\n"));
    }
    if let Some(hold) = log.hold {
        said.push_str(&format!("hold {} keeps what is at or behind {hold}\n", plan.hold()));
    }
    said.push_str(&match tail.content {
        Content::Unasked => "tail cannot be asked: what was acknowledged is written down\n".to_owned(),
        _ => format!("tail {} units\n", tail.coordinate),
    });
    match decision {
        Decision::Stop(stop) => Err(Trouble::Decide(words::of_stop(stop, sink.name()))),
        Decision::Resume { place, .. } => {
            said.push_str(&format!("goes on at position {}\n", place.to));
            Ok(said)
        }
        Decision::Begin { from, .. } => {
            said.push_str(&format!("a chain would begin at position {from}\n"));
            Ok(said)
        }
    }
}
