//! Tries to lose bytes: one file a theme, one oracle for all (`mmlog::check`, and what was acknowledged).
//!
//! `campaign ci` runs every theme at its CI size with fixed seeds; `campaign soak --hours N` runs them again and
//! again with fresh seeds (the model, which has none, once) and prints totals; `campaign run T5 --seed 7` runs one.

mod actor;
mod children;
mod disks;
mod neighbour;
mod oracle;
mod random;
mod run;
mod steps;
mod surgeon;
mod themes;
mod tool;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use run::{Run, Size, Tally};
use themes::{THEMES, Theme};

#[derive(Parser)]
#[command(about = "Tries to lose bytes of mmlog logs")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every theme at its CI size, fixed seeds
    Ci {
        /// Only these themes: T1, T5
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// How much of the CI size, to fit a time
        #[arg(long, default_value_t = 1.0)]
        scale: f64,
    },
    /// Every theme again and again (the model once), fresh seeds, totals at the end
    Soak {
        /// How long
        #[arg(long)]
        hours: f64,
        /// Only these themes: T1, T5
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// One theme once
    Run {
        /// T1 to T12
        theme: String,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How much of its CI size
        #[arg(long, default_value_t = 1.0)]
        scale: f64,
    },
    /// A child process of a theme
    #[command(hide = true)]
    Role { name: String, arguments: Vec<String> },
}

fn main() -> ExitCode {
    let ok = match Arguments::parse().command {
        Command::Ci { only, scale } => rounds(&only, scale, || 1, |rounds| rounds == 0),
        Command::Soak { hours, only } => {
            let end = Instant::now() + Duration::from_secs_f64(hours * 3600.0);
            rounds(&only, 1.0, random::fresh_seed, |_| Instant::now() < end)
        }
        Command::Run { theme, seed, scale } => rounds(&[theme], scale, || seed, |rounds| rounds == 0),
        Command::Role { name, arguments } => return children::play(&name, &arguments),
    };
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the themes while `again` says so; true when nothing was violated.
fn rounds(only: &[String], scale: f64, seed: impl Fn() -> u64, again: impl Fn(u64) -> bool) -> bool {
    let chosen: Vec<&Theme> = THEMES
        .iter()
        .filter(|t| only.is_empty() || only.iter().any(|o| o.eq_ignore_ascii_case(t.id)))
        .collect();
    if chosen.is_empty() {
        println!("no such theme; there are {}", THEMES.iter().map(|t| t.id).collect::<Vec<_>>().join(" "));
        return false;
    }
    let mut total: Vec<Tally> = chosen.iter().map(|t| Tally::new(t.id, t.about)).collect();
    let mut done = 0;
    while again(done) {
        for (theme, total) in chosen.iter().zip(&mut total) {
            if done > 0 && !again(done) {
                break;
            }
            if done > 0 && !theme.repeats() {
                continue;
            }
            let mut run = Run::new(theme.id, theme.about, seed(), Size(scale));
            println!("{} {}: seed {}", theme.id, theme.about, run.seed);
            let begun = Instant::now();
            if let Err(e) = (theme.run)(&mut run) {
                run.violation(format!("the theme itself failed: {e:#}"));
            }
            run.tally.took += begun.elapsed();
            println!("{}", run.tally);
            total.add(run.tally);
        }
        done += 1;
        if !chosen.iter().any(|theme| theme.repeats()) {
            break;
        }
    }
    println!("\ntotals after {done} rounds:");
    total.iter().for_each(|t| println!("{t}"));
    total.iter().all(|t| t.violations.is_empty())
}
