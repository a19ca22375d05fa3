//! `mmlogctl ls [DIR...]`: all logs of this host, the worst first.
//!
//! ```text
//! 3 logs: 1 STALLED, 1 OK, 1 ELSEWHERE
//! STATE      KEPT  DISK    RATE  WRITERS  FOLLOWERS  LAG       POLICY   FREE  LOG
//! STALLED    8.5M   16M    0B/s        2          0    -  64M keep 10  41.2G  /var/log/b.log
//!   writer 4312 (nginx-log) is stopped with 128 bytes in flight at 10485760 ...
//!   next
//!                kill -CONT 4312
//!                or `kill -9 4312`: it heals; what is not yet appended, pipe included, is lost
//! OK         1.2G  1.2G  1.2M/s       16          1  12K            -  41.2G  /var/log/a.log
//! ELSEWHERE     -     -       -        -          -    -            -      -  /var/log/a.log
//!   open at that path of another mount namespace, such as a container's, by 977 (web); ...
//!   next         run the command below there
//!                mmlogctl status /var/log/a.log
//! ```
//!
//! All logs are looked at twice, a moment apart: that tells their rates, and what stands from what works. So many are open
//! together as this process may have descriptors for.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use clap::Args;
use mmlog::units::listed;
use mmlog::{Options, Severity, Sight, State, Stray, Thresholds, Together};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Map, Value, json};

use crate::arguments::Access;
use crate::colours::{Coloured, Painter};
use crate::commands::status::json;
use crate::commands::status::page::Page;
use crate::discovery::{Census, Search};
use crate::exit::{Exit, Failure, Verdict, printable, shown};
use crate::inspect::batch::object;
use crate::inspect::history::SHORTEST;
use crate::inspect::model::log::Log;
use crate::inspect::model::order::heading;
use crate::inspect::source::Source;
use crate::inspect::tables::logs::COLUMNS;
use crate::output::Output;
use crate::reading::metadata_of;
use crate::signals;
use crate::text::wrapped;
use crate::who;

/// Descriptors for an open log, and for everything else.
const FOR_EACH: u64 = 4;
const FOR_ALL: u64 = 64;

/// List the logs of this host: those that processes have open, and those below DIRs.
///
/// The worst comes first, with what is wrong, and what to do. STATE is that of status; UNKNOWN where nobody knows; DELETED where
/// another log is at its path now, and processes still have it open; ELSEWHERE where a process has it open in another mount
/// namespace, such as a container's, at a path that is not it here: it is not looked at. KEPT are the bytes that can be read,
/// DISK what all its files take, RATE what is appended in a second, measured over 200 ms; LAG is that of the follower
/// farthest behind; POLICY its policy, such as "64M keep 10" (rotate-size, rotate-age, keep, free space, holds, compress; see
/// mmlogctl-policy(1)); FREE is left on its file system.
///
/// A log that an append or exec has yet to make, for want of space, is listed, too, and one whose metadata was removed while
/// processes have it open; so is one whose files a program has open under other names than a log's, as long as it appends or follows.
/// Open logs are found by /proc, as far as one may see: root sees all. How many processes could not be looked at is said on
/// standard error, and is no failure. It only looks; what a process has open is never followed, and file systems that a
/// program or another host answers for (FUSE, NFS) are not asked: no log is used there. Exit 1 when a DIR, something
/// below it, or a log could not be read, 4 when a log is so damaged that it could not be looked at.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Also the logs below these directories, open or not. Symbolic links below them are not followed, and what is mounted
    /// there is left alone.
    #[arg(value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Only what lies below the DIRs, not what processes have open elsewhere.
    #[arg(long, requires = "directories")]
    only_below: bool,
    /// Also below what is mounted in the DIRs.
    #[arg(long, requires = "directories")]
    cross_mounts: bool,
    /// One JSON object for each log, one per line; the last one says how far this could see.
    ///
    /// Of a log, all that status --json has, and: rates; figures, the columns, in bytes, counts and words; sight (here, elsewhere,
    /// deleted); open_by, the processes that have it open, null where that was not looked for. The last object has the key
    /// summary: logs, states, processes_unseen, limits, strays (copies and second names of metadata, which are no logs), unread.
    #[arg(long)]
    json: bool,
    /// End with the exit code that check would have for all of them: 0 nothing to look at, 1 a warning (DELETED is one), 2
    /// critical, 3 when nobody knows how one is, or something below DIR could not be looked at. What is ELSEWHERE does not count.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    coloured: Coloured,
    #[command(flatten)]
    access: Access,
}

/// Lists them.
///
/// # Errors
/// When standard output fails.
pub fn run(args: &LsArgs, out: &mut Output) -> Result<ExitCode, Failure> {
    let crossing = args.cross_mounts;
    let directories = args.directories.clone();
    let mut census = Search { directories, processes: !args.only_below, crossing }.run();
    let mut logs: Vec<Log> = std::mem::take(&mut census.found).into_iter().map(Log::found).collect();
    let together = Together::default();
    let most = descriptors().saturating_sub(FOR_ALL) / FOR_EACH;
    for some in logs.chunks_mut(usize::try_from(most.max(1)).unwrap_or(usize::MAX)) {
        look(some, |log| args.access.options(&log.path).together(&together));
    }
    // What was removed meanwhile is no log of this host, unless somebody is to make it, or has it open still, or files tell that it
    // is one.
    let is_somebodys = |log: &Log| matches!(&log.look, Some(Err(finding)) if finding.pid.is_some() || finding.state == State::Damaged);
    logs.retain(|log| {
        log.status().is_some() || log.sight != Sight::Here || is_there(&log.path) || is_somebodys(log)
    });
    logs.sort_by(|a, b| a.rank().cmp(&b.rank()));
    if args.json {
        out.text(&objects(&logs, &census))?;
    } else if !logs.is_empty() || census.unread.is_empty() {
        // Where nothing could be looked in, there may be some.
        let text = match logs.is_empty() {
            true => nothing(args),
            false => table(&logs, out.columns(), args.coloured.painter(out)),
        };
        out.text(&text)?;
    }
    let (exit, mut verdict) = (said(&logs, &census, out), Verdict::Fine);
    if exit != Exit::Done {
        verdict = Verdict::Unknown;
    }
    verdict = logs.iter().map(Log::verdict).fold(verdict, Verdict::or_worse);
    Ok(if args.exit_code { verdict.into() } else { exit.into() })
}

/// Where it has looked, and where else there may be some.
fn nothing(args: &LsArgs) -> String {
    let below: Vec<String> = args.directories.iter().map(|directory| shown(directory)).collect();
    match (below.is_empty(), args.only_below) {
        (true, _) => {
            "no logs: no process that can be seen has one open; `mmlogctl ls DIR` lists those below a directory, too\n"
                .to_owned()
        }
        (false, true) => format!("no logs below {}\n", listed(&below)),
        (false, false) => format!("no logs below {}, and no process that can be seen has one open\n", listed(&below)),
    }
}

fn is_there(log: &Path) -> bool {
    metadata_of(log).symlink_metadata().map_or_else(|e| e.kind() != ErrorKind::NotFound, |_| true)
}

/// As many as this process can have.
fn descriptors() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Else it goes on with what it has.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Looks at all of them twice; once more at those where somebody stands, who may do so for a moment only.
fn look(logs: &mut [Log], options: impl Fn(&Log) -> Options) {
    let mut sources: Vec<Source> = logs.iter().map(|log| Source::new(&log.path, &options(log))).collect();
    let begun = Instant::now();
    let mut look_at = |logs: &mut [Log], which: &dyn Fn(&Log) -> bool| {
        for (log, source) in logs.iter_mut().zip(&mut sources) {
            if log.sight == Sight::Here && which(log) && !signals::came() {
                let look = source.look();
                log.looked(begun.elapsed(), look);
            }
        }
    };
    let usual = Thresholds::default();
    let is_odd = |log: &Log| log.status().is_some_and(|status| status.is_worth_another_look(&usual));
    look_at(logs, &|_| true);
    if logs.iter().any(|log| log.status().is_some()) {
        thread::sleep(SHORTEST);
        look_at(logs, &|log| log.status().is_some());
    }
    if logs.iter().any(is_odd) {
        thread::sleep(usual.stopped);
        look_at(logs, &is_odd);
    }
    let seen = logs.iter_mut().filter_map(|log| log.look.as_mut()?.as_mut().ok());
    who::introduce(seen.map(Box::as_mut), |_| Vec::new());
}

/// What could not be seen, on standard error.
fn said(logs: &[Log], census: &Census, out: &mut Output) -> Exit {
    let mut exit = Exit::Done;
    for (path, why) in &census.unread {
        exit = Exit::Failed;
        out.notice(&format!("{}: {}", shown(path), printable(why)));
    }
    for log in logs {
        let unseen = match (log.sight, &log.look) {
            (Sight::Here, Some(Err(finding))) => {
                let (sentence, next) = (printable(&finding.sentence), &finding.next_step);
                let exit = if finding.state == State::Damaged { Exit::Damaged } else { Exit::Failed };
                Some(Failure::new(exit, format!("{}: {sentence}; {next}", shown(&log.path))))
            }
            (_, Some(Ok(status))) => Failure::of_unseen(&log.path, status),
            _ => None,
        };
        if let Some(failure) = unseen {
            exit = exit.max(failure.exit());
            out.report(&failure);
        }
    }
    census.notes().iter().for_each(|note| out.notice(note));
    exit
}

fn objects(logs: &[Log], census: &Census) -> String {
    let mut text = String::new();
    for log in logs {
        let mut object = object(log);
        let figures = COLUMNS.iter().map(|column| (column.name.to_owned(), column.value(log)));
        object["figures"] = Value::Object(figures.collect::<Map<_, _>>());
        text.push_str(&json::line(&object));
    }
    let mut states = Map::new();
    for log in logs {
        let count = states.get(&log.word()).and_then(Value::as_u64).unwrap_or(0);
        states.insert(log.word(), json!(count + 1));
    }
    let stray = |(path, stray): &(PathBuf, Stray)| json!({ "path": path.to_string_lossy(), "metadata_of": stray.log().to_string_lossy() });
    let unread = |(path, why): &(PathBuf, String)| json!({ "path": path.to_string_lossy(), "why": why });
    let summary = json!({
        "logs": logs.len(),
        "states": states,
        "processes_unseen": census.unseen,
        "limits": census.limits,
        "strays": census.strays.iter().map(stray).collect::<Vec<_>>(),
        "unread": census.unread.iter().map(unread).collect::<Vec<_>>(),
    });
    text + &json::line(&json!({ "schema": 1, "summary": summary }))
}

fn table(logs: &[Log], columns: Option<usize>, painter: Painter) -> String {
    let mut text = heading(logs) + "\n";
    let head = COLUMNS.iter().map(|column| column.name.to_uppercase()).collect();
    let mut rows: Vec<Vec<String>> = vec![head];
    rows.extend(logs.iter().map(|log| COLUMNS.iter().map(|column| column.cell(log)).collect()));
    let width = |i: usize| rows.iter().map(|row| row[i].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let words: Vec<String> = logs.iter().map(Log::word).collect();
    let of_state = words.iter().map(String::len).max().unwrap_or(0).max("STATE".len());
    let figures = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("  {cell:>width$}"));
        cells.collect::<String>()
    };
    text.push_str(&format!("{:<of_state$}{}  LOG\n", "STATE", figures(&rows[0])));
    for ((log, word), row) in logs.iter().zip(&words).zip(&rows[1..]) {
        let padding = " ".repeat(of_state - word.len());
        let word = painter.paint(log.verdict().into(), word);
        text.push_str(&format!("{word}{padding}{}  {}\n", figures(row), shown(&log.path)));
        // What could not be looked at is said on standard error, with what to do.
        let is_seen = !matches!((log.sight, &log.look), (Sight::Here, Some(Err(_))));
        if is_seen && log.severity() < Severity::Info || log.sight != Sight::Here {
            let (sentence, next) = log.diagnosis();
            let sentence = printable(&sentence);
            let lines = match columns {
                Some(columns) => wrapped(&sentence, columns.saturating_sub(2).max(20), usize::MAX),
                None => vec![sentence],
            };
            lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
            let mut page = Page::new(columns);
            page.step("next", &next);
            text.push_str(&page.text);
        }
    }
    text
}
