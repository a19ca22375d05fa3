//! `mmlogctl rotate LOG...`: make what was appended a final segment and go on in a new data file.

mod after;
mod compress;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use mmlog::{Compression, Log, Rotated, Rotation, Stamp, units};

use crate::arguments::{Access, duration, size};
use crate::each::{Logs, Verbose};
use crate::exit::{Exit, Failure, printable, shown};
use crate::output::Output;
use crate::reading::report;
use crate::signals;
use crate::text;
use crate::waits::leave;
use after::Hook;
pub(crate) use compress::{Format, lower_priority};

/// Make what was appended a final segment and go on in a new data file.
///
/// Nobody is stopped or signalled, nothing is copied, and no byte is lost or doubled, under any load: writers and
/// followers go on by themselves. When the command returns the segment is final, and can be compressed, hashed or
/// shipped at once. Its name, LOG.GENERATION-POSITION, orders the segments and never matches *.log.
/// Nothing to do is exit 0 without a word. With both --if-size and --if-age, either is enough.
#[derive(Args, Debug)]
pub struct RotateArgs {
    #[command(flatten)]
    logs: Logs,
    /// Say what would be rotated; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Only if the segment has at least that many bytes: 64M, 1G.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    if_size: Option<u64>,
    /// Only if the segment began at least that long ago: 1h, 1d.
    ///
    /// A clock that is set in between does not make it older or younger, as long as the machine is not started again. One that
    /// began at a time that has not come is due.
    #[arg(long, value_name = "DUR", value_parser = duration)]
    if_age: Option<Duration>,
    /// Only if the log's own policy says so, see mmlogctl-policy(1): the segment is longer than rotate-size, or older than
    /// rotate-age. A log without such a rule is left as it is.
    #[arg(long, conflicts_with_all = ["if_size", "if_age"])]
    if_due: bool,
    /// How long to wait for others, for each log in all: another maintenance command, the log's lock, a writer that does not finish its
    /// append. Compressing and moving have as much again.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "2s")]
    wait: Duration,
    /// Add the time (UTC) to the segment's name: LOG.GENERATION-POSITION-20261121T093000Z.
    #[arg(long)]
    utc: bool,
    /// Then compress it, and every final segment that is not compressed yet.
    ///
    /// Also when there is nothing to rotate: what a killed run left is caught up. At the lowest priority; writers and
    /// rotations never wait for it. cat and tail read compressed segments as they read plain ones. Without this option the
    /// log's policy says whether that is done.
    #[arg(long, value_name = "FORMAT")]
    compress: Option<Format>,
    /// From 1, fast, to 22 for zstd (default 3), or 9 for gzip (default 6).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=22), requires = "compress")]
    level: Option<i32>,
    /// Then move final segments to DIR, which is relative to the log's directory.
    ///
    /// By renaming, so on the same file system. cat, tail, status and prune look for segments there from then on. DIR
    /// is for one log of that name, below the log's directory, with no symbolic link on the way; root or the log's owner
    /// owns it. One elsewhere, which earlier versions took, goes on to be used while it is named here.
    #[arg(long, value_name = "DIR")]
    olddir: Option<PathBuf>,
    /// Then run CMD with sh -c for the new segment, and before it for each one for which it did not end with 0 yet.
    ///
    /// In its environment: MMLOG_SEGMENT, the path of the final segment as it is now; MMLOG_LOG; MMLOG_GENERATION;
    /// MMLOG_BASE and MMLOG_END, its positions; MMLOG_BYTES, what it holds. Oldest first, one at a time whoever else
    /// rotates. If CMD fails, or is killed, so does this command; that segment and all behind it wait, and the next rotate
    /// --run begins with it, also when there is nothing to rotate. So CMD may run more than once for a segment. The log
    /// notes which segments wait, never a command; `check` says how many, and `prune --keep-unrun` keeps them. TERM, INT
    /// and HUP are sent on to CMD as SIGTERM, to its whole process group, which has 5 seconds to end and is then killed; the
    /// segment waits, whatever CMD ended with. Of several LOGs it runs for the segments of the first, then of the next; where it
    /// fails for one log, the others go on.
    #[arg(long, value_name = "CMD")]
    run: Option<OsString>,
    #[command(flatten)]
    verbose: Verbose,
    #[command(flatten)]
    pub(crate) access: Access,
}

impl RotateArgs {
    /// How segments are compressed, if they are: as the log's policy says, unless that was typed.
    fn codec(&self, log: &Log) -> Option<Compression> {
        self.compress.map(Compression::from).or_else(|| log.policy().rules().compress)
    }

    /// `None`: whatever there is, it is not due.
    fn how(&self, log: &Log) -> Option<Rotation> {
        let how = if self.if_due { Rotation::of(&log.policy().rules())? } else { Rotation::default() };
        let mut how = how.wait(self.wait);
        if self.run.is_some() {
            how = how.with_hook();
        }
        if let Some(bytes) = self.if_size {
            how = how.if_size(bytes);
        }
        if let Some(age) = self.if_age {
            how = how.if_age(age);
        }
        let now = || text::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        Some(match self.utc.then(|| Stamp::new(&now())).flatten() {
            Some(stamp) => how.stamp(stamp),
            None => how,
        })
    }
}

/// Rotates; success is silent unless somebody is looking, for cron.
///
/// # Errors
/// When standard output fails.
pub fn run(args: &RotateArgs, out: &mut Output) -> Result<Exit, Failure> {
    args.logs.each(out, |log, out| rotate(args, log, out))
}

fn rotate(args: &RotateArgs, path: &Path, out: &mut Output) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let left = || args.wait.saturating_sub(begun.elapsed());
    let mut options = args.access.options(path).wait(args.wait);
    if let Some(directory) = &args.olddir {
        options = options.old_directory(directory);
    }
    if args.dry_run {
        return plan(args, path, &options.open_reader(path)?, out);
    }
    let log = options.open(path)?;
    if let Some(directory) = &args.olddir {
        log.set_old_directory(directory, left())?;
    }
    let hook = args.run.as_ref().map(|command| Hook { command, log: path });
    // By a handle of its own, which nobody appends to: the log's is closed, and so trimmed, before the command runs.
    let for_hook = hook.as_ref().map(|_| options.open(path)).transpose()?;
    // From here on, so that what is compressed first does not look as if nobody cared.
    let turn = for_hook.as_ref().and_then(|log| log.hook_turn(Duration::ZERO).ok());
    let (mut failures, mut worst) = (Vec::new(), Exit::Done);
    let rotated = args.how(&log).map_or(Ok(None), |how| log.rotate(&how.wait(left())));
    let rotated = match rotated {
        Err(e) if hook.is_none() => return Err(e.into()),
        rotated => rotated.unwrap_or_else(|e| {
            failures.push(Failure::from(e));
            None
        }),
    };
    match &rotated {
        Some(rotated) if args.verbose.tells(out) => out.line(&said("made", path, rotated))?,
        None if failures.is_empty() && args.verbose.tells_of_nothing() => {
            let why = if args.if_due { "not due" } else { "nothing to rotate" };
            out.line(&format!("{}: {why}", shown(path)))?;
        }
        _ => {}
    }
    // What is to be done with final segments is done whatever failed before, but for a signal.
    let mut undone = Undone::default();
    if let Some(directory) = args.olddir.as_ref().filter(|_| undone.may_begin("moving")) {
        match log.move_segments(directory, args.wait) {
            Ok(moved) => {
                for segment in &moved.at_work {
                    let (log, segment) = (shown(path), shown(segment));
                    out.notice(&format!("{log}: {segment} stays until another process has compressed it"));
                }
            }
            Err(e) => failures.push(e.into()),
        }
    }
    if let Some(codec) = args.codec(&log).filter(|_| undone.may_begin("compressing")) {
        match compress::compress(&log, path, args, codec, out) {
            Ok(failed) => failures.extend(failed),
            Err(failure) => failures.push(failure),
        }
    }
    if args.olddir.is_some() || args.codec(&log).is_some() {
        match log.left_out() {
            Ok(left_out) => failures.extend(Failure::of_left_out(path, &left_out)),
            Err(e) => failures.push(e.into()),
        }
    }
    failures.extend(leave(log, out).err());
    if let (Some(hook), Some(log)) = (&hook, &for_hook)
        && undone.may_begin("--run")
    {
        match after::catch_up(hook, log, turn, args.wait, out) {
            Ok(exit) => worst = exit,
            Err(failure) => failures.push(failure),
        }
    }
    failures.extend(undone.said(path));
    failures.iter().for_each(|failure| out.report(failure));
    Ok(failures.iter().map(Failure::exit).fold(worst, Exit::max))
}

/// What a signal came before.
#[derive(Default)]
struct Undone(Vec<&'static str>);

impl Undone {
    fn may_begin(&mut self, work: &'static str) -> bool {
        if signals::came() {
            self.0.push(work);
        }
        !signals::came()
    }

    fn said(&self, log: &Path) -> Option<Failure> {
        let text = format!(
            "{}: told to stop, and did not begin {}; the next rotate with these options does",
            shown(log),
            self.0.join(", ")
        );
        (!self.0.is_empty()).then(|| Failure::new(Exit::Failed, text))
    }
}

/// Says what would be done.
fn plan(args: &RotateArgs, log_path: &Path, log: &Log, out: &mut Output) -> Result<Exit, Failure> {
    let rotated = args.how(log).map_or(Ok(None), |how| log.plan_rotation(&how))?;
    if let Some(rotated) = &rotated {
        out.line(&said("would make", log_path, rotated))?;
    }
    let status = log.status()?;
    let unseen = Failure::of_unseen(log_path, &status);
    let finals = || status.segments.iter().filter(|s| s.generation < status.generation);
    let new = || rotated.iter().map(|rotated| &rotated.path);
    if let Some(directory) = &args.olddir {
        let is_here = |path: &&PathBuf| path.parent() == log_path.parent();
        for path in finals().map(|s| &s.path).filter(is_here).chain(new()) {
            out.line(&format!("{}: would move {} to {}", shown(log_path), shown(path), shown(directory)))?;
        }
    }
    if args.codec(log).is_some() {
        for path in finals().filter(|s| s.compression.is_none()).map(|s| &s.path).chain(new()) {
            out.line(&format!("{}: would compress {}", shown(log_path), shown(path)))?;
        }
    }
    if let Some(command) = &args.run {
        let (waiting, command) = (log.waiting_for_hook(), printable(&command.to_string_lossy()));
        let waits = finals().filter(|s| waiting.contains(&s.generation)).map(|s| &s.path);
        for path in waits.chain(new()) {
            out.line(&format!("{}: would run `{command}` for {}", shown(log_path), shown(path)))?;
        }
    }
    unseen.map_or(Ok(Exit::Done), |failure| report(failure, out))
}

fn said(verb: &str, log: &Path, rotated: &Rotated) -> String {
    let Rotated { base, end, path, .. } = rotated;
    let (log, path, bytes) = (shown(log), shown(path), units::counted(end - base, "byte"));
    format!("{log}: {verb} {path} of {bytes} [{base}, {end})")
}
