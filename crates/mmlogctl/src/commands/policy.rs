//! `mmlogctl policy LOG...`: the rules that a log carries, and what they do next; changing them for every process.
//!
//! ```text
//! app.log: rotate-size=64M keep=10, set 2h05m ago
//!   next  a new segment after 12.3 MiB; nothing to remove
//! ```

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use mmlog::{Log, Observer, Policy, PolicyState, PolicyStatus, PolicyUndone, Undone, units};
use serde_json::{Value, json};

use crate::arguments::{Access, OldSegments, duration};
use crate::commands::status::json::{time, undone};
use crate::each::{Logs, Verbose};
use crate::exit::{Exit, Failure, printable, shown};
use crate::output::{Output, json_line};
use crate::rules::{self, line};
use crate::text::with_path;
use crate::waits::leave;

/// Show or change the rules by which a log rotates and prunes itself.
///
/// A log carries its policy, and whoever appends carries it out: a program, append, exec. It needs no cron. Without --set and
/// --clear it is shown, with what is due next, and what could not be done.
///
/// The rules, with the values that each may have:
///
/// rotate-size (64K to 2E): no segment is longer, but for what was in flight when it filled, or one message that is longer itself.
///
/// rotate-age (1s to 100 years): the first append after that age begins a new segment.
///
/// keep (0 to 1000000000), keep-bytes (0 to 2E), keep-age (1s to 100 years): the final segments that are kept, as prune has them; the
/// one that keeps least holds.
///
/// keep-free (1 to 2E, or 1% to 99%): while the file system has less free space, the oldest final segments go, also those that the others
/// keep; never the current one.
///
/// hold-max (1 to 2E): a hold that lags by more keeps nothing; it stays, and its consumer is told what it missed.
///
/// compress (zstd or gzip): how tools compress final segments: rotate, and append and exec every 5 s, in a thread of the lowest priority beside
/// what they store; what they do not finish, the next one does. A library does not.
#[derive(Args, Debug)]
pub struct PolicyArgs {
    #[command(flatten)]
    logs: Logs,
    /// Set a rule, and leave the others as they are: rotate-size=64M. All that are named are set, or none.
    ///
    /// In force for every process that has the log open, at the next append that needs space, or within a second.
    #[arg(long, value_name = "RULE=VALUE", value_parser = parse_set)]
    set: Vec<Set>,
    /// Take a rule away, or, without RULE, all of them, before any is set.
    #[arg(long, value_name = "RULE", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = parse_clear)]
    clear: Vec<String>,
    /// One JSON object for each log, one per line: {"schema":1,"path":LOG,"state":"set","rules":{...},"next":{...},...}.
    #[arg(long)]
    json: bool,
    /// How long to wait for another maintenance command, for each log.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "2s")]
    wait: Duration,
    #[command(flatten)]
    verbose: Verbose,
    #[command(flatten)]
    old: OldSegments,
    #[command(flatten)]
    access: Access,
}

/// A rule and its value, as typed.
#[derive(Clone, Debug)]
struct Set {
    name: String,
    value: String,
}

fn parse_set(text: &str) -> Result<Set, String> {
    let named = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = named.ok_or("not RULE=VALUE, such as keep=10")?;
    rules::named(name)?.set(&mut Policy::default(), value)?;
    Ok(Set { name: name.to_owned(), value: value.to_owned() })
}

fn parse_clear(text: &str) -> Result<String, String> {
    if !text.is_empty() {
        rules::named(text)?;
    }
    Ok(text.to_owned())
}

impl PolicyArgs {
    /// All of it was parsed before.
    fn change(&self, policy: &mut Policy) {
        for name in &self.clear {
            match rules::named(name) {
                Ok(rule) => rule.clear(policy),
                Err(_) => *policy = Policy::default(),
            }
        }
        for Set { name, value } in &self.set {
            let _ = rules::named(name).and_then(|rule| rule.set(policy, value));
        }
    }
}

/// Shows the policy of each log, or changes it.
///
/// # Errors
/// When standard output fails.
pub fn run(args: &PolicyArgs, out: &mut Output) -> Result<Exit, Failure> {
    let changes = !(args.set.is_empty() && args.clear.is_empty());
    args.logs.each(out, |path, out| {
        if changes {
            change(args, path, out)?;
        }
        if args.json || !changes || args.verbose.tells(out) {
            show(args, path, out)?;
        }
        Ok(Exit::Done)
    })
}

fn change(args: &PolicyArgs, path: &Path, out: &mut Output) -> Result<(), Failure> {
    let begun = Instant::now();
    let log = args.old.options(&args.access, path).wait(args.wait).open(path)?;
    if log.policy() == PolicyState::Damaged {
        out.notice(&format!(
            "{}: its policy was damaged; of the rules of before nothing is left",
            shown(path)
        ));
    }
    log.set_policy(|policy| args.change(policy), args.wait)?;
    give_space_back(&log, path, args.wait.saturating_sub(begun.elapsed()), out)?;
    leave(log, out)
}

/// Where more space is allocated than a segment may have now, no append would look before that is used.
fn give_space_back(log: &Log, path: &Path, wait: Duration, out: &mut Output) -> Result<(), Failure> {
    let status = log.status()?;
    let most = status.policy.state.rules().rotate_size.unwrap_or(u64::MAX);
    if status.limit.saturating_sub(status.base) <= most {
        return Ok(());
    }
    if let Err(e) = log.trim(wait) {
        let text = "the policy is set; the segment that writers are in has more space than that already, and may be filled first";
        out.notice(&format!("{}: {text}: {}", shown(path), e.fault()));
    }
    Ok(())
}

fn show(args: &PolicyArgs, path: &Path, out: &mut Output) -> Result<(), Failure> {
    let status = Observer::open(path, &args.old.options(&args.access, path))?.look()?;
    if args.json {
        let object = json!({ "schema": 1, "path": null });
        let mut object = with_path(object, "path", path);
        if let (Value::Object(to), Value::Object(from)) = (&mut object, object_of(&status.policy)) {
            to.extend(from);
        }
        return out.line(&json_line(&object.to_string()));
    }
    out.line(&format!("{}: {}", shown(path), said(&status.policy)))?;
    if let Some(next) = next(&status.policy) {
        out.line(&format!("  next     {next}"))?;
    }
    for late in overdue(&status.policy) {
        out.line(&format!("  overdue  {late}"))?;
    }
    Ok(())
}

/// The rules, on one line.
pub(crate) fn said(policy: &PolicyStatus) -> String {
    match &policy.state {
        PolicyState::Unset => "none".to_owned(),
        PolicyState::Damaged => "damaged: nothing is removed by it".to_owned(),
        PolicyState::Set(rules) => match policy.set_at {
            Some(at) => format!("{}, set {}", line(rules), units::ago(at, SystemTime::now())),
            None => line(rules),
        },
    }
}

/// What is due next, if there are rules.
pub(crate) fn next(policy: &PolicyStatus) -> Option<String> {
    let PolicyState::Set(rules) = &policy.state else { return None };
    let rotation = match (policy.rotates_in, policy.rotates_after) {
        (Some(0), _) | (_, Some(Duration::ZERO)) => Some("a new segment with the next append".to_owned()),
        (Some(bytes), Some(after)) => {
            Some(format!("a new segment after {}, or in {}", units::size(bytes), units::lasting(after)))
        }
        (Some(bytes), None) => Some(format!("a new segment after {}", units::size(bytes))),
        (None, Some(after)) => Some(format!("a new segment in {}", units::lasting(after))),
        (None, None) => None,
    };
    let keeps = rules.keep.is_some()
        || rules.keep_bytes.is_some()
        || rules.keep_age.is_some()
        || rules.keep_free.is_some();
    let held = policy.held_by.as_ref().map(|name| format!("hold {} keeps more", printable(name)));
    let prune = match (policy.prunes, policy.prunes_after) {
        _ if !keeps => None,
        (0, Some(after)) if held.is_none() => {
            Some(format!("the oldest segment goes in {}", units::lasting(after)))
        }
        (0, _) => held.clone().or_else(|| Some("nothing to remove".to_owned())),
        (n, _) => {
            let goes =
                format!("{} {} now", units::counted(n, "final segment"), units::agree(n, "goes", "go"));
            Some(held.map_or(goes.clone(), |held| format!("{goes}, {held}")))
        }
    };
    let parts: Vec<String> = [rotation, prune].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What could not be done, a line each.
pub(crate) fn overdue(policy: &PolicyStatus) -> Vec<String> {
    policy.undone.iter().map(late).collect()
}

fn late(undone: &PolicyUndone) -> String {
    let PolicyUndone { errno, pid, uid, .. } = undone;
    let who = format!("{pid} ({}, uid {uid})", printable(&undone.command));
    let why = match errno {
        0 => String::new(),
        _ => format!(": {}", io::Error::from_raw_os_error(*errno)),
    };
    let what = match undone.what {
        Some(Undone::Rotation) => format!("{who} could not begin a new segment{why}"),
        Some(Undone::InFlight) => {
            format!("no new segment while an append of {pid} ({}) does not end", printable(&undone.command))
        }
        Some(Undone::Busy) => {
            format!("no new segment while {pid} ({}) is at work on the log", printable(&undone.command))
        }
        Some(Undone::NameTaken) => "no new segment: another file has the name of the old one".to_owned(),
        Some(Undone::Pruning) => format!("{who} could not remove old segments{why}"),
        Some(Undone::LeftToOthers) => format!("{who} leaves it to others"),
        None | Some(_) => format!("{who} could not do what it asks for{why}"),
    };
    match undone.since {
        Some(at) => format!("{what}, first {}", units::ago(at, SystemTime::now())),
        None => what,
    }
}

/// The machine's view of it, also in status.
pub(crate) fn object_of(policy: &PolicyStatus) -> Value {
    json!({
        "state": rules::state(&policy.state),
        "set_at": time(policy.set_at),
        "rules": rules::object(&policy.state.rules()),
        "next": {
            "rotates_in": policy.rotates_in,
            "rotates_after_s": policy.rotates_after.map(|after| after.as_secs_f64()),
            "prunes": policy.prunes,
            "held_by": policy.held_by,
            "prunes_after_s": policy.prunes_after.map(|after| after.as_secs_f64()),
        },
        "overdue": policy.undone.iter().map(undone).collect::<Vec<_>>(),
    })
}
