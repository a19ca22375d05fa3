//! `mmlogctl check LOG`: one line and an exit code for monitoring; with `--deep`, the invariants.

use std::path::PathBuf;
use std::thread;

use clap::Args;
use mmlog::check::{self, Deep, Violation};
use mmlog::{Error, Log, Observer, Options, Status};
use serde_json::{Value, json};

use crate::arguments::Access;
use crate::commands::status::APART;
use crate::exit::{Failure, Verdict, printable, shown};
use crate::output::{Output, json_line};

/// Check a log for monitoring: one line, figures, and an exit code that Nagios understands.
///
/// The state is that of status. With --deep the invariants are checked instead, every byte
/// included, also while others append, trim and die: what a dead process left half done is a
/// fact, not a fault. It only looks.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The log's data file.
    log: PathBuf,
    /// Check the invariants, and read all of the data.
    #[arg(long)]
    deep: bool,
    /// One JSON object.
    #[arg(long, requires = "deep")]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Checks; its exit codes are its own.
pub fn run(args: &CheckArgs, out: &mut Output) -> Verdict {
    let options = Log::options().trust(args.access.trust());
    let (verdict, text) = if args.deep { deep(args, &options) } else { state(args, &options) };
    match out.write(text.as_bytes()) {
        Ok(()) | Err(Failure::OutputClosed) => verdict,
        Err(failure) => {
            out.report(&failure);
            Verdict::Unknown
        }
    }
}

fn state(args: &CheckArgs, options: &Options) -> (Verdict, String) {
    match look_twice(args, options) {
        Ok(status) => (Verdict::of(status.state), line(&status)),
        Err(error) => unknown(&error),
    }
}

fn unknown(error: &Error) -> (Verdict, String) {
    (Verdict::Unknown, format!("UNKNOWN - {}\n", one_line(&error.to_string())))
}

fn look_twice(args: &CheckArgs, options: &Options) -> Result<Status, Error> {
    let mut observer = Observer::open(&args.log, options)?;
    observer.look()?;
    thread::sleep(APART);
    observer.look()
}

/// `STATE - LOG: why; what to do | figures`.
fn line(s: &Status) -> String {
    let said = match &s.problem {
        None => one_line(&format!("{}: {}", shown(&s.path), s.next_step)),
        Some(problem) => one_line(&format!("{}: {problem}; {}", shown(&s.path), s.next_step)),
    };
    let alive = s.writers.iter().filter(|w| w.alive != Ok(false)).count();
    let bytes = format!("cursor={}B watermark={}B file_size={}B", s.cursor, s.watermark, s.file_size);
    format!("{} - {said} | {bytes} writers={alive} holes={}\n", s.state, s.holes_total)
}

/// Figures begin at the first bar.
fn one_line(text: &str) -> String {
    printable(text).replace('|', "/")
}

fn deep(args: &CheckArgs, options: &Options) -> (Verdict, String) {
    let found = match check::deep(&args.log, options) {
        Ok(found) => found,
        Err(error) => return unknown(&error),
    };
    let verdict = if found.holds() { Verdict::Fine } else { Verdict::Critical };
    let text =
        if args.json { json_line(&object(args, &found).to_string()) + "\n" } else { report(args, &found) };
    (verdict, text)
}

fn report(args: &CheckArgs, found: &Deep) -> String {
    let Deep { cursor, watermark, read, holes, .. } = found;
    let verdict = match found.violations.len() {
        0 => "OK - every invariant holds".to_owned(),
        1 => "VIOLATED - 1 invariant".to_owned(),
        n => format!("VIOLATED - {n} invariants"),
    };
    let figures = format!("cursor {cursor}, watermark {watermark}, {read} bytes read, {holes} holes");
    let mut text = format!("{verdict}: {}: {figures}\n", shown(&args.log));
    let mut add = |word: &str, said: &str| text.push_str(&format!("  {word}  {}\n", printable(said)));
    found.violations.iter().for_each(|v| add("violated", &v.to_string()));
    found.facts.iter().for_each(|fact| add("fact", fact));
    if !found.holds() {
        add("next", "`mmlogctl repair --dry-run`; what that does not mend, `mmlogctl repair --rebuild` does");
    }
    text
}

fn object(args: &CheckArgs, found: &Deep) -> Value {
    let violation = |v: &Violation| json!({ "invariant": v.invariant, "found": v.found });
    json!({
        "schema": 1,
        "path": args.log.to_string_lossy(),
        "holds": found.holds(),
        "violations": found.violations.iter().map(violation).collect::<Vec<_>>(),
        "facts": found.facts,
        "cursor": found.cursor,
        "watermark": found.watermark,
        "read": found.read,
        "nuls": found.nuls,
        "holes": found.holes,
    })
}
