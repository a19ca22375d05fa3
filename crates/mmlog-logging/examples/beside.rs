//! What an event costs the thread that logs, and what `kill -9` takes, beside tracing-appender and a file behind `log`.
//!
//! ```text
//! cargo run --release -p mmlog-logging --example beside
//! ```
#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::time::Instant;
use std::{env, mem, thread};

use mmlog_logging::Sink;
use tracing_appender::{non_blocking, rolling};

type Outcome<T> = Result<T, Box<dyn Error>>;

const NAMES: [&str; 5] =
    ["tracing, mmlog", "tracing-appender", "tracing-appender, non_blocking", "log, mmlog", "log, fern"];
const EVENTS: usize = 20_000;
const ROUNDS: usize = 5;
/// Processes that are killed, and how many events they have logged by then, at least.
const KILLED: usize = 4;
const LOGGED: u64 = 5_000;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cost", name, log, threads] => cost(name, Path::new(log), threads.parse()?),
        ["log", name, log, said] => log_until_killed(name, Path::new(log), &File::create(said)?),
        _ => table(),
    }
}

fn table() -> Outcome<()> {
    let mut costs = vec![[Vec::new(), Vec::new()]; NAMES.len()];
    for _ in 0..ROUNDS {
        for (name, costs) in NAMES.iter().zip(&mut costs) {
            for (threads, costs) in ["1", "4"].iter().zip(costs) {
                let dir = tempfile::tempdir()?;
                let log = dir.path().join("app.log");
                let said = itself()?.args(["cost", name]).arg(log).arg(threads).output()?;
                costs.push(String::from_utf8(said.stdout)?.trim().parse::<u64>()?);
            }
        }
    }
    println!("| | ns, 1 thread | ns, 4 threads | lost at `kill -9` |\n|---|---|---|---|");
    for (name, costs) in NAMES.iter().zip(costs) {
        let [one, four] = costs.map(|mut costs| {
            costs.sort_unstable();
            costs[ROUNDS / 2]
        });
        let (lost, of) = killed(name)?;
        println!("| {name} | {one} | {four} | {lost} of {of} |");
    }
    Ok(())
}

fn itself() -> Outcome<Command> {
    Ok(Command::new(env::current_exe()?))
}

/// Has the program's events go there.
fn install(name: &str, log: &Path) -> Outcome<()> {
    let lines = tracing_subscriber::fmt().with_ansi(false);
    let (dir, file) = (log.parent().ok_or("no directory")?, log.file_name().ok_or("no name")?);
    match name {
        "tracing, mmlog" => lines.with_writer(Sink::open(log)?).init(),
        "tracing-appender" => lines.with_writer(rolling::never(dir, file)).init(),
        "tracing-appender, non_blocking" => {
            let (writer, guard) = non_blocking(rolling::never(dir, file));
            mem::forget(guard);
            lines.with_writer(writer).init();
        }
        "log, mmlog" => Sink::open(log)?.logger().install(log::LevelFilter::Info)?,
        _ => fern::Dispatch::new().chain(fern::log_file(log)?).apply()?,
    }
    log::set_max_level(log::LevelFilter::Info);
    Ok(())
}

fn event(is_tracing: bool, number: u64) {
    match is_tracing {
        true => tracing::info!(
            "an event of some hundred bytes, as programs log them, with a number in it: {number:08}"
        ),
        false => log::info!(
            "an event of some hundred bytes, as programs log them, with a number in it: {number:08}"
        ),
    }
}

fn cost(name: &str, log: &Path, threads: usize) -> Outcome<()> {
    install(name, log)?;
    let (is_tracing, begin) = (name.starts_with("tracing"), Barrier::new(threads));
    let each = || {
        event(is_tracing, 0);
        begin.wait();
        let begun = Instant::now();
        (0..EVENTS as u64).for_each(|number| event(is_tracing, number));
        begun.elapsed().as_nanos() / EVENTS as u128
    };
    let sum: u128 = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(each)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
    });
    println!("{}", sum / threads as u128);
    Ok(())
}

/// How many events have returned is in a file of its own.
fn log_until_killed(name: &str, log: &Path, said: &File) -> Outcome<()> {
    install(name, log)?;
    for number in 1.. {
        event(name.starts_with("tracing"), number);
        said.write_all_at(&number.to_le_bytes(), 0)?;
    }
    Ok(())
}

/// Events that had returned and are not in the file, and all that had.
fn killed(name: &str) -> Outcome<(u64, u64)> {
    let dir = tempfile::tempdir()?;
    let path = |what: &str, number: usize| dir.path().join(format!("{what}-{number}"));
    let log = |number| path("log", if name.ends_with("mmlog") { 0 } else { number });
    let mut children = Vec::new();
    for number in 0..KILLED {
        let mut child = itself()?;
        children.push(child.args(["log", name]).arg(log(number)).arg(path("said", number)).spawn()?);
    }
    let logged = |number| -> u64 {
        let said = fs::read(path("said", number)).ok().and_then(|said| said.try_into().ok());
        said.map_or(0, u64::from_le_bytes)
    };
    while (0..KILLED).any(|number| logged(number) < LOGGED) {
        thread::yield_now();
    }
    for child in &mut children {
        child.kill()?;
        child.wait()?;
    }
    let mut logs: Vec<_> = (0..KILLED).map(log).collect();
    logs.dedup();
    let mut found = 0;
    for log in logs {
        found += fs::read(log)?.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    let returned: u64 = (0..KILLED).map(logged).sum();
    Ok((returned.saturating_sub(found), returned))
}
