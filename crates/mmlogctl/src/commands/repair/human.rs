//! Facts, then the plan, one line each; afterwards what came of it.
//!
//! ```text
//! app.log: 1 step, 1 left
//!   fact  metadata of format 2: base 0, cursor 43, file_size 65536, durable below 0
//!   fact  data file of 65536 bytes, inode 123
//!   fact  slot 0: process 4711 (web), dead, was copying [14, 43)
//!   plan  settle slot 0 of process 4711 (web, dead): [14, 43) is a hole, zeroed
//!   left  panicked: process 4712 (web), errno 5: why; find the cause, then `mmlogctl repair --clear-panic app.log`
//!   done  1 step; PANICKED, cursor 43, file_size 65536
//! ```

use std::path::Path;
use std::time::SystemTime;

use mmlog::repair::{DeadSlot, Facts, Left, MetadataFact, Plan, Step};
use mmlog::units;
use mmlog::{Status, quoted, saved_copy, with_log};

use super::{NOTHING, Report, of_policy};
use crate::exit::{printable, shown};

/// What was found and what is to be done, or that there is nothing.
/// `open`: who has a file open that is gone, or where its bytes are.
pub(super) fn found(log: &Path, facts: &Facts, open: Option<String>, plan: &Plan) -> String {
    let (path, log) = (log, shown(log));
    if plan.is_healthy() {
        return format!("{log}: {NOTHING}\n");
    }
    let mut text = format!("{log}: {}, {} left\n", steps(plan.steps.len()), plan.left.len());
    let policy = of_policy(facts, &plan.steps, &plan.left);
    sentences(facts)
        .iter()
        .chain(&open)
        .chain(&policy)
        .for_each(|fact| line(&mut text, "fact", &with_log(fact, path)));
    planned(&mut text, &plan.steps, &plan.left);
    text
}

/// Where the bytes are that the log had before, if somebody has saved them.
pub(super) fn saved(log: &Path, steps: &[Step]) -> Option<String> {
    let is_lost = |step: &Step| matches!(step, Step::Rebuild { .. } | Step::Recreate { .. });
    let (saved, at) = steps.iter().any(is_lost).then(|| saved_copy(log)).flatten()?;
    Some(format!(
        "{} is a copy of the data file of before, made {}",
        shown(&saved),
        units::ago(at, SystemTime::now())
    ))
}

/// What a look after a pass shows that the plan of before did not.
pub(super) fn next(before: &Plan, now: &Plan) -> String {
    let mut text = String::new();
    let left: Vec<Left> = now.left.iter().filter(|left| !before.left.contains(left)).cloned().collect();
    planned(&mut text, &now.steps, &left);
    text
}

/// How the log is afterwards.
pub(super) fn done(report: &Report, now: &Status) -> String {
    let mut text = String::new();
    // The others said before what they would touch.
    let by_data =
        |step: &Step| matches!(step, Step::RecoverFromData { .. } | Step::Rebuild { .. } | Step::Upgrade);
    for hole in report.holes.iter().filter(|_| report.steps.iter().any(by_data)) {
        let (start, end, kind) = (hole.start, hole.end(), hole.kind);
        let who = if hole.pid == 0 {
            String::new()
        } else {
            format!(", of process {} ({})", hole.pid, hole.command)
        };
        line(&mut text, "hole", &format!("[{start}, {end}) {kind}{who}"));
    }
    let positions = format!("cursor {}, file_size {}", now.cursor, now.file_size);
    line(&mut text, "done", &format!("{}; {}, {positions}", steps(report.steps.len()), now.state));
    text
}

fn steps(n: usize) -> String {
    units::counted(n as u64, "step")
}

fn line(text: &mut String, word: &str, sentence: &str) {
    text.push_str(&format!("  {word}  {}\n", printable(sentence)));
}

fn planned(text: &mut String, steps: &[Step], left: &[Left]) {
    steps.iter().for_each(|step| line(text, "plan", &step.to_string()));
    left.iter().for_each(|left| line(text, "left", &left.what));
}

/// Old segments in another directory, which the metadata that is made anew would know nothing of.
fn unnamed(facts: &Facts) -> Option<String> {
    let (first, more) = match facts.unnamed_directories.as_deref()? {
        [] => {
            return Some(
                "if old segments are in another directory, `mmlogctl repair --rebuild --olddir DIR LOG` takes them along"
                    .to_owned(),
            );
        }
        [first, more @ ..] => (quoted(first), more.len()),
    };
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    Some(format!(
        "directory {first} has files with the names of this log's segments{more}: \
         `mmlogctl repair --rebuild --olddir {first} LOG` takes them along"
    ))
}

fn sentences(facts: &Facts) -> Vec<String> {
    let mut said = vec![metadata(facts)];
    said.extend(unnamed(facts));
    said.push(facts.data.map_or_else(
        || "the data file is gone".to_owned(),
        |data| format!("data file of {}, inode {}", units::counted(data.len, "byte"), data.inode),
    ));
    said.extend(facts.foreign.map(|inode| format!("the metadata is of another file (inode {inode})")));
    said.extend(facts.copied.clone());
    if facts.rebooted {
        said.push("not used since the reboot".to_owned());
    }
    said.extend(facts.positions.clone());
    let other = |base| format!("base is {} in one place and {base} in another", facts.base);
    said.extend(facts.other_base.map(other));
    if facts.wrong_limit {
        said.push("limit is not base + file_size".to_owned());
    }
    let journal = (facts.stale_journal != 0).then_some(facts.stale_journal);
    said.extend(
        journal.map(|kind| format!("an operation of kind {kind} is in the journal, nobody is at it")),
    );
    said.extend(facts.stale_gate.map(|at| format!("the gate is closed at {at}, nobody is at it")));
    said.extend(facts.stale_lock.as_ref().map(|last| {
        format!(
            "is_locked is set, and nobody has the lock; the last was process {} ({})",
            last.pid, last.command
        )
    }));
    said.extend(facts.dead.iter().map(dead));
    said.extend(facts.suspects.iter().map(|suspect| suspect.blocker.to_string()));
    if facts.live_writers > 0 {
        said.push(units::counted(facts.live_writers as u64, "live writer"));
    }
    said.extend(
        facts.sync_failed.map(|(from, errno)| format!("a sync failed (errno {errno}), lost from {from} on")),
    );
    said.extend(
        facts
            .panic
            .as_ref()
            .map(|p| format!("panicked: process {} ({}), errno {}: {}", p.pid, p.command, p.errno, p.reason)),
    );
    said.extend(facts.violation.as_ref().map(|why| format!("violated: {why}")));
    said
}

fn metadata(facts: &Facts) -> String {
    match &facts.metadata {
        MetadataFact::Sound => format!(
            "metadata of format 2: base {}, cursor {}, file_size {}, durable below {}",
            facts.base, facts.cursor, facts.file_size, facts.synced
        ),
        MetadataFact::Missing => "no metadata".to_owned(),
        MetadataFact::Unfinished => "metadata whose creation was not finished, nobody is at it".to_owned(),
        MetadataFact::Torn(why) => why.clone(),
        MetadataFact::Version1 => "metadata of format 1".to_owned(),
    }
}

fn dead(dead: &DeadSlot) -> String {
    let DeadSlot { slot, pid, command, phase, hole } = dead;
    let range = hole.as_ref().map_or_else(String::new, |h| format!(" [{}, {})", h.start, h.end()));
    format!("slot {slot}: process {pid} ({command}), dead, was {phase}{range}")
}
