//! `mmlogctl prune LOG...`: remove final segments that are no longer wanted, or the oldest part of a log that never rotates.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use mmlog::{
    Free, Holds, Log, Next, Policy, PolicyState, Position, Pruning, Retention, Rule, Start, units, with_log,
};

use crate::arguments::{Access, OldSegments, duration, size};
use crate::each::{Logs, Verbose};
use crate::exit::{Exit, Failure, printable, shown};
use crate::output::Output;
use crate::reading::{READ_SIZE, report};
use crate::rules::{self, free};

/// Remove final segments that are no longer wanted.
///
/// The oldest go first; of several rules the one that keeps least holds. The current segment is never removed, nor one
/// that a hold has not passed (see `tail --hold`). Positions stay as they are; a reader that has not come so far is told
/// what it missed, and goes on behind. Nothing to do is exit 0 without a word.
/// With --punch the blocks of the oldest part of the data file are given back while it is in use: for a log that never
/// rotates. It needs no free space.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("rules").args(["keep", "keep_bytes", "keep_age", "keep_free", "policy", "forget"]).multiple(true).required(true))]
pub struct PruneArgs {
    #[command(flatten)]
    logs: Logs,
    /// Keep the newest N final segments.
    #[arg(long, value_name = "N")]
    keep: Option<u64>,
    /// Keep as many of the newest final segments as take that much of the disk: 64M, 1G. With --punch, that many of the
    /// log's last bytes.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    keep_bytes: Option<u64>,
    /// Keep final segments that became so less than that long ago: 12h, 7d.
    ///
    /// A clock that is set in between does not make them older or younger, as long as the machine is not started again. One
    /// that became final at a time that has not come is as old as the next.
    #[arg(long, value_name = "DUR", value_parser = duration)]
    keep_age: Option<Duration>,
    /// While the file system has less free space, the oldest go, also those that the other rules keep: 5G, or 10% of all its
    /// space. What a process has open still does not become free.
    #[arg(long, value_name = "SIZE", value_parser = free)]
    keep_free: Option<Free>,
    /// A hold that lags by more bytes keeps nothing. It stays; its consumer is told what it missed.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    hold_max: Option<u64>,
    /// What the log's own policy keeps, see mmlogctl-policy(1). A log without one is left as it is; so is one of which two
    /// files claim to be the same segment, which is said. For an hour after the clock was set by more than a minute nothing goes
    /// because of its age.
    #[arg(long, conflicts_with_all = ["keep", "keep_bytes", "keep_age", "keep_free", "hold_max"])]
    policy: bool,
    /// Give back the blocks of the current segment's oldest part, up to the first line in the last --keep-bytes bytes;
    /// final segments, which are older still, go too.
    #[arg(long, requires = "keep_bytes", conflicts_with_all = ["keep", "keep_age"])]
    punch: bool,
    /// Keep segments for which the command of `rotate --run` did not end with 0 yet, and all behind them.
    #[arg(long)]
    keep_unrun: bool,
    /// Also what holds keep.
    #[arg(long)]
    force: bool,
    /// End the hold of that name in each LOG; then prune by the other rules, if there are any.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["force", "dry_run"])]
    forget: Option<String>,
    /// Say what would be removed; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// How long to wait for others, for each log in all: another maintenance command, whoever holds the log's lock or syncs.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "2s")]
    wait: Duration,
    #[command(flatten)]
    verbose: Verbose,
    #[command(flatten)]
    old: OldSegments,
    #[command(flatten)]
    access: Access,
}

/// What to do about a hold.
const HELD: &str = "--force takes it, --forget ends the hold";

impl PruneArgs {
    /// Whether anything is to go.
    const fn has_rule(&self) -> bool {
        let keeps = self.keep.is_some() || self.keep_bytes.is_some() || self.keep_age.is_some();
        keeps || self.keep_free.is_some() || self.policy
    }

    fn how(&self, log: &Log) -> mmlog::Result<Retention> {
        let holds = if self.force { Holds::Override } else { Holds::Obey };
        let how = if self.policy { Retention::of(&log.policy().rules()) } else { Retention::default() };
        let mut how = how.wait(self.wait).holds(holds).keep_unrun(self.keep_unrun);
        if let Some(segments) = self.keep {
            how = how.keep(segments);
        }
        if let Some(age) = self.keep_age {
            how = how.keep_age(age);
        }
        if let Some(least) = self.keep_free {
            how = how.keep_free(least);
        }
        if let Some(bytes) = self.hold_max {
            how = how.hold_max(bytes);
        }
        Ok(match self.keep_bytes {
            Some(bytes) if self.punch => match first_line_of_last(log, bytes)? {
                Some(position) => how.keep_from(position),
                None => how,
            },
            Some(bytes) => how.keep_bytes(bytes),
            None => how,
        })
    }
}

/// Prunes; success is silent unless somebody is looking, for cron.
///
/// # Errors
/// When standard output fails.
pub fn run(args: &PruneArgs, out: &mut Output) -> Result<Exit, Failure> {
    args.logs.each(out, |log, out| prune(args, log, out))
}

fn prune(args: &PruneArgs, path: &Path, out: &mut Output) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let options = args.old.options(&args.access, path).wait(args.wait);
    if let Some(name) = &args.forget {
        options.open(path)?.forget(name)?;
        if args.verbose.tells_of_nothing() {
            out.line(&format!("{}: hold {} is ended", shown(path), printable(name)))?;
        }
        if !args.has_rule() {
            return Ok(Exit::Done);
        }
    }
    let (tense, log) = match args.dry_run {
        true => (Tense::Would, options.open_reader(path)?),
        false => (Tense::Did, options.open(path)?),
    };
    if args.policy && log.policy() == PolicyState::Damaged {
        let text = "its policy is damaged, and nothing is removed by it; `mmlogctl policy LOG --set rotate-size=64M --set keep=10` sets one, `mmlogctl policy LOG --clear` ends this";
        return Err(Failure::new(Exit::Damaged, format!("{}: {}", shown(path), with_log(text, path))));
    }
    let how = args.how(&log)?.wait(args.wait.saturating_sub(begun.elapsed()));
    let pruned = if args.dry_run { log.plan_prune(&how)? } else { log.prune(&how)? };
    for segment in &pruned.unrun {
        let verb = if args.dry_run { "would take" } else { "took" };
        let text = "for which the command of rotate --run has not ended yet; --keep-unrun keeps such";
        out.notice(&format!("{}: {verb} segment {segment}, {text}", shown(path)));
    }
    if let Some(generation) = pruned.twins {
        let text = "begin at different positions, and the policy removes nothing while that is so; move away what is not the log's";
        out.notice(&format!("{}: the files of segment {generation} {text}", shown(path)));
    }
    let is_told = args.dry_run || args.verbose.tells(out);
    // Whoever asked for something to go, for want of space maybe, is not to take silence for it.
    let nothing = pruned.segments.is_empty() && pruned.punched.is_none() && !pruned.gives_up;
    if let Some(name) = pruned.held_by.as_ref().filter(|_| nothing && !is_told) {
        let (log, name) = (shown(path), printable(name));
        out.notice(&format!("{log}: removed nothing: hold {name} keeps all that would go; {HELD}"));
    }
    if is_told {
        let lines = said(args, path, &log.policy().rules(), tense, &pruned);
        if lines.is_empty() && args.verbose.tells_of_nothing() {
            out.line(&format!("{}: nothing to remove", shown(path)))?;
        }
        for line in lines {
            out.line(&line)?;
        }
    }
    let left_out = Failure::of_left_out(path, &log.left_out()?);
    left_out.map_or(Ok(Exit::Done), |failure| report(failure, out))
}

/// Where the first line starts that lies wholly in the last `bytes` bytes; nothing when all of them belong to one, or
/// there are no more than that.
fn first_line_of_last(log: &Log, bytes: u64) -> mmlog::Result<Option<Position>> {
    let mut follower = log.follow(Start::Oldest)?;
    let (oldest, end) = (follower.position(), follower.watermark()?);
    // A line may start just there: then the byte before it is a newline.
    let before = end.get().saturating_sub(bytes).saturating_sub(1);
    if before <= oldest.get() {
        return Ok(None);
    }
    follower.seek(Position::new(before))?;
    let mut buf = vec![0; READ_SIZE];
    while follower.position() < end {
        match follower.next(&mut buf)? {
            Next::Bytes(range) => {
                let read = &buf[..usize::try_from(range.end - range.start).unwrap_or(0)];
                if let Some(newline) = memchr::memchr(b'\n', read) {
                    let start = Position::new(range.start + newline as u64 + 1);
                    return Ok(Some(start).filter(|start| *start < end));
                }
            }
            Next::CaughtUp => break,
            _ => {}
        }
    }
    Ok(None)
}

/// Whether it is a plan or a report.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Tense {
    Would,
    Did,
}

fn said(args: &PruneArgs, path: &Path, policy: &Policy, tense: Tense, pruned: &Pruning) -> Vec<String> {
    let log = shown(path);
    let (remove, give) = match tense {
        Tense::Would => ("would remove", "would give back"),
        Tense::Did => ("removed", "gave back"),
    };
    let mut lines = Vec::new();
    for s in &pruned.segments {
        let names: Vec<String> = s.paths.iter().map(|path| shown(path).to_string()).collect();
        let (names, disk, why) =
            (names.join(" and "), units::size(s.allocated), reason(args, policy, s.rule));
        lines.push(format!("{log}: {remove} {names}, {disk} [{}, {}): {why}", s.base, s.end));
    }
    if let Some(range) = &pruned.punched {
        let len = units::size(range.end - range.start);
        let kept = pruned.first_kept;
        lines.push(format!("{log}: {give} {len} [{}, {}), kept from {kept} on", range.start, range.end));
    }
    if pruned.segments.is_empty() && pruned.punched.is_none() && pruned.gives_up {
        lines.push(format!("{log}: kept from {} on; no file has what is older", pruned.first_kept));
    }
    if let Some(segment) = pruned.waits_for_hook {
        lines.push(format!("{log}: segment {segment} waits for rotate --run, and keeps the rest"));
    }
    for name in &pruned.passed_over {
        lines.push(format!("{log}: hold {} lags too much, and keeps nothing", printable(name)));
    }
    if let Some(name) = &pruned.held_by {
        lines.push(format!("{log}: hold {} keeps the rest; {HELD}", printable(name)));
    }
    lines
}

/// The rule as it was typed, or as the policy has it.
fn reason(args: &PruneArgs, policy: &Policy, rule: Rule) -> String {
    let name = match rule {
        Rule::Unfinished => return "an earlier prune did not come to its end".to_owned(),
        Rule::Count => "keep",
        Rule::Bytes | Rule::Position => "keep-bytes",
        Rule::Age => "keep-age",
        Rule::Free => "keep-free",
    };
    let PruneArgs { keep, keep_bytes, keep_age, keep_free, .. } = *args;
    let typed = Policy { keep, keep_bytes, keep_age, keep_free, ..Policy::default() };
    let shown = |policy: &Policy| rules::named(name).ok()?.shown(policy);
    if args.policy {
        return format!("policy {name}={}", shown(policy).unwrap_or_default());
    }
    format!("--{name} {}", shown(&typed).unwrap_or_default())
}
