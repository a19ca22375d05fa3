//! `mmlogctl grep`: the lines of logs in which a pattern matches.
//!
//! - `plan` is what the options mean, `pattern` what to look for, `reader` a log as a stream of bytes, `printer` what
//!   becomes of the lines that ripgrep's searcher selects in it, `shared` what the searches of several logs share.
//! - Without -f one log follows the other. With -f each log but the last has a thread, begun when what was in the one
//!   before has been searched.

mod args;
mod pattern;
mod plan;
mod printer;
mod reader;
mod shared;

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use grep_regex::RegexMatcher;
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use mmlog::{Follower, Log, Position, Start};

pub use args::GrepArgs;

use crate::exit::{Exit, Failure, Found, limited};
use crate::output::Output;
use crate::reading;
use crate::reading::seen::keep_seen;
use crate::signals::{self, Signals};
use pattern::Patterns;
use plan::{Plan, What};
use printer::Printer;
use reader::{Following, LogReader, Search};
use shared::Shared;

/// Searches the logs; one that fails does not keep the others from being searched.
pub fn run(args: &GrepArgs, out: &mut Output) -> ExitCode {
    match grep(args, out) {
        Ok(found) => found.into(),
        Err(Failure::OutputClosed) => Exit::Done.into(),
        Err(failure) => {
            out.report(&failure);
            Found::Trouble.into()
        }
    }
}

fn grep(args: &GrepArgs, out: &mut Output) -> Result<Found, Failure> {
    let plan = Plan::new(args, out)?;
    for remark in plan.times.remarks() {
        out.notice(&remark);
    }
    let patterns = Patterns::new(args)?;
    let matcher = patterns.compile(args)?;
    if plan.most == 0 {
        return Ok(Found::Nothing);
    }
    let shared = Shared::new(plan);
    if shared.plan().follow {
        let _signals = Signals::catch().map_err(|e| {
            Failure::new(Exit::Failed, format!("grep: cannot catch signals: {}", limited(&e)))
        })?;
        follow_all(&shared, &matcher);
    } else {
        signals::end_by_them();
        search_all(&shared, &matcher);
    }
    let found = shared.found()?;
    if found == Found::Nothing
        && shared.plan().what != What::Nothing
        && let Some(tip) = patterns.tip()
    {
        shared.notice(tip);
    }
    Ok(found)
}

fn search_all(shared: &Shared, matcher: &RegexMatcher) {
    for index in 0..shared.plan().logs.len() {
        if let Err(failure) = search(index, shared, matcher, None) {
            shared.fail(&failure);
        }
        if shared.is_over() || signals::came() {
            return;
        }
    }
}

fn follow_all(shared: &Shared, matcher: &RegexMatcher) {
    let follow = |index: usize, caught_up: SyncSender<()>| {
        if let Err(failure) = search(index, shared, matcher, Some(caught_up)) {
            shared.fail(&failure);
        }
    };
    let last = shared.plan().logs.len() - 1;
    thread::scope(|scope| {
        for index in 0..last {
            let (caught_up, told) = mpsc::sync_channel(1);
            if let Err(e) = thread::Builder::new().spawn_scoped(scope, move || follow(index, caught_up)) {
                let text = format!("no thread can be had to follow each log: {}", limited(&e));
                return shared.fail(&Failure::new(Exit::Failed, text));
            }
            // Nothing is ever sent: it ends when the log's reader has caught up, or has gone.
            let _ = told.recv();
        }
        follow(last, mpsc::sync_channel(1).0);
    });
}

/// Searches the log that was named `index`th.
fn search(
    index: usize,
    shared: &Shared,
    matcher: &RegexMatcher,
    caught_up: Option<SyncSender<()>>,
) -> Result<(), Failure> {
    let (log, mut follower, until) = begin(index, shared)?;
    let search = Search::new(shared, index);
    let mut printer = Printer::new(&search, matcher);
    let reader =
        LogReader::new(&search, &mut follower, until, caught_up.map(|told| Following::new(&log, told)));
    let searched = searcher(shared.plan()).search_reader(matcher, reader, &mut printer);
    let ended = searched.and_then(|()| search.flush());
    let failure = search.failure();
    if matches!(failure, Some(Failure::OutputClosed)) {
        return Err(Failure::OutputClosed);
    }
    let failed = |e: io::Error| {
        search.failure().unwrap_or_else(|| Failure::io(&shared.plan().logs[index], "searching", &e))
    };
    // Also of what could be read before a failure.
    printer.finish().and_then(|()| search.flush()).map_err(failed)?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    ended.map_err(failed)?;
    if shared.is_over() {
        return Ok(());
    }
    say_rest(index, &search, &mut follower)
}

/// Goes to where the search of a log begins; where it ends, but for what is followed.
fn begin(index: usize, shared: &Shared) -> Result<(Log, Follower, Position), Failure> {
    let plan = shared.plan();
    let path = &plan.logs[index];
    let log = reading::open(path, plan.trust, &plan.old)?;
    if let Some(Failure::Said { text, .. }) = Failure::of_left_out(log.path(), &log.left_out()?) {
        shared.notice(&text);
    }
    let now = log.watermark()?;
    let (mut from, mut to) = (plan.from, plan.to);
    if let Some(found) = plan.times.find(&log, b'\n')? {
        found.said(plan.says_widths).for_each(|text| shared.say(index, text));
        if found.is_pruned {
            shared.trouble();
        }
        (from, to) = (from.or(found.from.map(Position::new)), to.or(found.to.map(Position::new)));
    }
    if let Some(from) = from {
        reading::check_position(path, from, now)?;
    }
    let mut follower = log.follow(from.map_or(Start::Oldest, Start::At))?;
    if plan.follow {
        follower.announce("");
    }
    keep_seen(&follower);
    if let Some(notice) = reading::unrecovered(path, &follower)? {
        shared.notice(&notice);
    }
    let until = to.map_or(now, |to| now.min(to)).max(follower.position());
    Ok((log, follower, until))
}

/// Says what is behind the last byte, and what is wrong with the files.
fn say_rest(index: usize, search: &Search<'_>, follower: &mut Follower) -> Result<(), Failure> {
    let plan = search.shared.plan();
    if plan.to.is_none()
        && !plan.times.is_over()
        && let Some(text) = reading::outside(&plan.logs[index], follower)?
    {
        search.shared.say(index, &text);
    }
    search.look_for_damage(follower)
}

fn searcher(plan: &Plan) -> Searcher {
    SearcherBuilder::new()
        .line_number(plan.numbers)
        .invert_match(plan.inverted)
        .before_context(plan.before)
        .after_context(plan.after)
        // A log's bytes are what they are.
        .binary_detection(BinaryDetection::none())
        .bom_sniffing(false)
        .build()
}
