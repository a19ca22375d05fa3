//! A way through the worlds, in words: who did what, and what changed by it.

use super::explore::{By, Steps};
use super::models::{Model, Task};
use super::packed::Packed;
use super::steps::Step;
use super::world::*;

/// One line for each step.
pub(super) fn trace(model: &Model, worlds: &[World], last: Option<By>) -> Vec<String> {
    let mut lines: Vec<String> = worlds
        .windows(2)
        .map(|pair| {
            let by = taken(model, &pair[0], &pair[1]);
            format!("{}: {}", step(model, &pair[0], Some(&pair[1]), by), changes(model, &pair[0], &pair[1]))
        })
        .collect();
    if let (Some(by), Some(world)) = (last, worlds.last()) {
        lines.push(format!("{}: breaks", step(model, world, None, by)));
    }
    lines
}

/// Which step leads from one to the other.
fn taken(model: &Model, from: &World, to: &World) -> By {
    let mut steps = Steps::default();
    // A violation elsewhere does not matter here: the steps before it are there.
    let _ = steps.from(model, from);
    let same = |world: &World| {
        let packed = |world: &World| Packed::of(&mut world.clone(), model).words;
        packed(world) == packed(to) && world.processes[model.opener()] == to.processes[model.opener()]
    };
    let found = steps.iter().find(|(_, world)| same(world));
    found.map_or(By::Follower, |(by, _)| by)
}

fn step(model: &Model, world: &World, next: Option<&World>, by: By) -> String {
    match by {
        By::Death(p) => format!("{} dies", model.name(p)),
        By::Follower => format!("follower {}", world.follower.at.words()),
        By::Step(p) => {
            let Process { at, back, .. } = world.processes[p];
            let recovers = next.is_none_or(|next| next.processes[p].at == Step::Recover);
            let what = match (at, model.task(world, p)) {
                (Step::Ready, Some(task)) => begins(world, p, task),
                (Step::Recover, _) if !recovers => back.words(),
                _ => at.words(),
            };
            format!("{} {what}", model.name(p))
        }
    }
}

fn begins(world: &World, process: usize, task: Task) -> &'static str {
    match task {
        Task::Append(_) if world.processes[process].slot == NO_SLOT => "claims a slot",
        Task::Append(_) if world.gate => "look: the gate is closed, takes the lock",
        Task::Append(_) => "look: loads the cursor",
        Task::Close => "close: gives its slot byte back",
        Task::Trim => "trim: takes the lock",
        Task::Rotate => "rotate: takes the lock",
        Task::SetKeep(_) => "policy: stores which fields are set",
        Task::Prune => "begins to prune",
        Task::Settle | Task::Repair => "takes the lock, to recover and to settle",
        Task::Fills => "fills the disk",
        Task::Frees(_) => "frees pages",
        Task::AppendsOutside => "appends a byte from outside, or does not",
        Task::ComesBack => "writes the metadata of the beginning over the newer, or does not",
        Task::RepairLoosely => "takes the byte of a dead writer's slot",
    }
}

/// What is different, but for where somebody stands.
fn changes(model: &Model, from: &World, to: &World) -> String {
    let differing: Vec<String> = facts(model, from)
        .into_iter()
        .zip(facts(model, to))
        .filter(|((_, before), (_, after))| before != after)
        .map(|((name, before), (_, after))| format!("{name} {before} -> {after}"))
        .collect();
    if differing.is_empty() { "-".into() } else { differing.join(", ") }
}

fn facts(model: &Model, w: &World) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = [
        ("cursor", w.cursor),
        ("gate_at", w.gate_at),
        ("limit", w.limit),
        ("file_size", w.file_size),
        ("base", w.base),
        ("inode", w.inode),
        ("generation", w.generation),
        ("path", w.path),
        ("temp", w.temp),
        ("free", w.free),
        ("first_kept", w.first_kept),
        ("first_kept on the disk", w.durable_kept),
        ("path on the disk", w.durable_path),
        ("maintenance", w.maintenance),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_string()))
    .to_vec();
    let mut fact = |name: String, value: String| facts.push((name, value));
    fact("gate".into(), if w.gate { "closed" } else { "open" }.into());
    fact("lock".into(), if w.lock == NOBODY { "free".into() } else { model.name(w.lock.into()).to_owned() });
    fact("journal".into(), format!("{:?}", w.journal.kind));
    fact("holes".into(), format!("{:b}", w.holes));
    fact("written".into(), format!("{:b}", w.written));
    fact("from outside".into(), format!("{:b}", w.outside));
    for (n, slot) in w.slots[..model.slots()].iter().enumerate() {
        let owner = if slot.owner == NOBODY { "nobody" } else { model.name(slot.owner.into()) };
        fact(
            format!("slot {n}"),
            format!("({:?} {} len {} of {owner})", slot.phase, slot.position, slot.len),
        );
    }
    for (n, file) in w.files[..model.files].iter().enumerate() {
        fact(format!("size of file {n}"), file.size.to_string());
    }
    for (n, entry) in w.entries.iter().enumerate() {
        fact(format!("entry {n}"), format!("(base {} inode {})", entry.base, entry.inode));
    }
    for (n, name) in w.names.iter().enumerate() {
        fact(format!("name of generation {n}"), format!("file {name}"));
    }
    for (n, m) in w.messages[..model.messages].iter().enumerate() {
        fact(format!("message {n}"), format!("{:?} at {}", m.fate, m.start));
    }
    let f = &w.follower;
    fact("follower's watermark".into(), f.most.max(f.watermark).to_string());
    fact("follower's position".into(), format!("{} in segment {}, file {}", f.position, f.segment, f.file));
    fact("follower's holes".into(), format!("{:b}", f.holes));
    facts
}
