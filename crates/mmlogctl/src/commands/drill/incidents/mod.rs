//! Every incident: how it is staged, what the printed step has to be, and what ends it.

use mmlog::FindingId;

use super::stage::{Done, Stage, Stop};

mod disk;
mod files;
mod frozen;
mod history;
mod locks;
mod metadata;
mod policy;
mod readers;
mod segments;
mod shippers;
mod writers;

/// One of them. Each finding has one of its name; what has other causes that are told apart has more.
#[derive(Debug)]
pub(super) struct Incident {
    pub(super) name: &'static str,
    pub(super) finding: FindingId,
    /// One sentence.
    pub(super) about: &'static str,
    /// What it needs, beside this program.
    pub(super) needs: &'static str,
    /// Makes it happen; whose doing it is, if one process's.
    pub(super) stage: fn(&mut Stage<'_>) -> Done<Option<u32>>,
    /// What the step's first text in backquotes has to be; empty if nothing is to be typed. `{pid}`, `{log}`,
    /// `{metadata}`, `{directory}`, `{group}` (a control group) and
    /// `{descriptor}` (of a file without a name) stand for the incident's.
    pub(super) command: &'static str,
    pub(super) cure: Cure,
}

/// What ends it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cure {
    /// The printed command.
    Command,
    /// What people do before it, in words and as a function.
    PeopleThenCommand(&'static str, fn(&mut Stage<'_>) -> Done),
    /// The printed command, and what people do behind it.
    CommandThenPeople(&'static str, fn(&mut Stage<'_>) -> Done),
    /// What only people do.
    People(&'static str, fn(&mut Stage<'_>) -> Done),
    /// Nothing, it stays on record; the command is run all the same. Why.
    Stays(&'static str),
}

/// All of them, in the order of the findings.
pub(super) fn all() -> Vec<&'static Incident> {
    let themes: [&'static [Incident]; 11] = [
        writers::INCIDENTS,
        frozen::INCIDENTS,
        locks::INCIDENTS,
        disk::INCIDENTS,
        files::INCIDENTS,
        segments::INCIDENTS,
        metadata::INCIDENTS,
        readers::INCIDENTS,
        shippers::INCIDENTS,
        policy::INCIDENTS,
        history::INCIDENTS,
    ];
    let mut all: Vec<&Incident> = themes.into_iter().flatten().collect();
    all.sort_by_key(|incident| incident.finding);
    all
}

/// `name` as it is typed.
pub(super) fn named(name: &str) -> Option<&'static Incident> {
    all().into_iter().find(|incident| incident.name == name)
}

pub(super) fn needs_root(what: &str) -> Done {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Stop::Skipped(format!("not root, who alone can {what}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_finding_has_an_incident_of_its_name_and_no_name_is_there_twice() {
        let names: Vec<&str> = all().iter().map(|incident| incident.name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
        let own = all().into_iter().filter(|incident| incident.name == incident.finding.name());
        assert_eq!(own.map(|incident| incident.finding).collect::<Vec<_>>(), FindingId::ALL);
    }
}
