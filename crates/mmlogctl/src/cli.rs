//! The command line: what was typed, parsed and no more.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::arguments::Access;
use crate::commands::append::AppendArgs;
use crate::commands::bench::BenchArgs;
use crate::commands::cat::CatArgs;
use crate::commands::check::CheckArgs;
use crate::commands::drill::DrillArgs;
use crate::commands::exec::ExecArgs;
use crate::commands::grep::GrepArgs;
use crate::commands::init::InitArgs;
use crate::commands::inspect::InspectArgs;
use crate::commands::ls::LsArgs;
use crate::commands::policy::PolicyArgs;
use crate::commands::prune::PruneArgs;
use crate::commands::repair::RepairArgs;
use crate::commands::rm::RmArgs;
use crate::commands::rotate::RotateArgs;
use crate::commands::segments::SegmentsArgs;
use crate::commands::stats::StatsArgs;
use crate::commands::status::StatusArgs;
use crate::commands::tail::TailArgs;
use crate::commands::trim::TrimArgs;
use crate::text::wrapped;
use crate::typed;

/// Operate mmlog logs: files that many processes append to through shared memory.
#[derive(Debug, Parser)]
#[command(name = "mmlogctl", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    access: Access,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What commands are for, and their names in the order in which help lists them.
pub const GROUPS: [(&str, &[&str]); 5] = [
    ("Write", &["append", "exec", "init"]),
    ("Read", &["cat", "tail", "grep"]),
    ("Watch", &["ls", "status", "check", "inspect", "stats", "segments"]),
    ("Look after", &["policy", "rotate", "prune", "trim", "repair", "rm"]),
    ("Try", &["drill", "bench"]),
];

/// The end of `mmlogctl --help`.
const EXAMPLES: &[(&str, &str)] = &[
    ("Log what a program writes", "mmlogctl exec app.log -- ping localhost"),
    ("The same from a pipe", "ping localhost 2>&1 | mmlogctl append app.log"),
    ("Follow it", "mmlogctl tail -f app.log"),
    ("Search it", "mmlogctl grep icmp_seq=7 app.log"),
    ("See how it is", "mmlogctl status app.log"),
    ("See all logs of this host", "mmlogctl ls"),
    (
        "Begin a new file, keep a week of old ones",
        "mmlogctl rotate app.log; mmlogctl prune --keep-age 7d app.log",
    ),
];

/// The command line's definition, with its help.
#[must_use]
pub fn command() -> clap::Command {
    let command = Cli::command();
    let header = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let mut commands = String::new();
    for (group, names) in GROUPS {
        let _ = writeln!(commands, "\n{header}{group}:{header:#}");
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            for (nth, line) in wrapped(&about, 66, 9).iter().enumerate() {
                let name = if nth == 0 { name } else { "" };
                let _ = writeln!(commands, "  {literal}{name:<8}{literal:#}  {line}");
            }
        }
    }
    let short = "`mmlogctl help COMMAND` says more of a command, `mmlogctl --help` has examples.";
    let mut long = format!("`mmlogctl help COMMAND` says more of a command.\n\n{header}Examples:{header:#}");
    for (what, line) in EXAMPLES {
        let _ = write!(long, "\n  {what}:\n      {literal}{line}{literal:#}");
    }
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{commands}\n{header}Options:{header:#}\n{{options}}{{after-help}}\n"
    );
    command.help_template(template).after_help(short).after_long_help(long)
}

/// What was typed.
///
/// # Errors
/// Help and version, which were asked for; what cannot be parsed.
pub fn parse(line: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(typed::words(line)).map_err(typed::corrected)?;
    Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
}

/// One variant a command; the text of `--help` and the man page stands on its arguments.
#[expect(missing_docs, reason = "a text here would replace the one on the arguments")]
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(InitArgs),
    Append(AppendArgs),
    Exec(ExecArgs),
    Cat(CatArgs),
    Tail(TailArgs),
    Grep(GrepArgs),
    Ls(LsArgs),
    Stats(StatsArgs),
    Status(StatusArgs),
    Check(CheckArgs),
    Inspect(InspectArgs),
    Repair(RepairArgs),
    Trim(TrimArgs),
    Policy(PolicyArgs),
    Rotate(RotateArgs),
    Prune(PruneArgs),
    Segments(SegmentsArgs),
    Rm(RmArgs),
    Drill(DrillArgs),
    Bench(BenchArgs),
}

#[cfg(test)]
mod tests {
    use mmlog::Trust;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn help_lists_every_command_in_one_group() {
        let mut listed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        listed.sort_unstable();
        let command = command();
        let mut all: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        all.sort_unstable();
        assert_eq!(listed, all);
    }

    #[test]
    fn the_examples_of_the_help_parse() {
        for line in EXAMPLES.iter().flat_map(|(_, line)| line.split(['|', ';'])) {
            let words = line.split(' ').filter(|word| !word.is_empty());
            let ours = words.clone().next() == Some("mmlogctl");
            assert!(!ours || parse(words.map(OsString::from)).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_path_option_comes_last_and_only_in_the_long_help() {
        let mut command = command();
        command.build();
        for command in command.get_subcommands_mut() {
            let (short, long) = (command.render_help().to_string(), command.render_long_help().to_string());
            assert!(!short.contains("--trust-path"), "{short}");
            let place = long.find("--trust-path").unwrap_or_default();
            let behind = long[place..].match_indices("\n  -").count()
                + long[place..].match_indices("\n      --").count();
            // Only --help is behind it.
            assert!(place > 0 && behind <= 1, "{long}");
        }
    }

    #[test]
    fn trust_path_may_stand_on_either_side_of_the_command() {
        for line in ["mmlogctl --trust-path trim LOG", "mmlogctl trim LOG --trust-path"] {
            let line = line.split(' ');
            let Ok(Cli { command: Command::Trim(args), .. }) = Cli::try_parse_from(line.clone()) else {
                unreachable!("{line:?} does not parse");
            };
            assert!(matches!(args.access.trust(), Trust::AnyPath), "{line:?}");
        }
    }
}
