//! The command line: what was typed, parsed and no more.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args as _, CommandFactory as _, FromArgMatches, Parser, Subcommand};

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
use crate::commands::ship::{ReceiveArgs, ShipArgs};
use crate::commands::stats::StatsArgs;
use crate::commands::status::StatusArgs;
use crate::commands::tail::TailArgs;
use crate::commands::trim::TrimArgs;
use crate::text::wrapped;
use crate::typed;

/// Operate mmlog logs: files that many processes append to through shared memory.
#[derive(Debug, Parser)]
#[command(name = "mmlogctl", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

/// What commands are for, and their names in the order in which help lists them.
pub const GROUPS: [(&str, &[&str]); 6] = [
    ("Write", &["append", "exec", "init"]),
    ("Read", &["cat", "tail", "grep"]),
    ("Watch", &["ls", "status", "check", "inspect", "stats", "segments"]),
    ("Look after", &["policy", "rotate", "prune", "trim", "repair", "rm"]),
    ("Ship", &["ship", "receive"]),
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
pub fn parse(line: impl Iterator<Item = OsString>) -> Result<Command, clap::Error> {
    let words = typed::words(line);
    alone(&words).map_or_else(|| whole(words), Ok)
}

/// The same by the definition of the one command that is named first: those of all others take longer to make than many a command
/// to run. `None` where the whole one has to say more: help, what is wrong, or what was meant.
fn alone(words: &[OsString]) -> Option<Command> {
    let (name, behind) = words.get(1..)?.split_first()?;
    let (name, define) = ALL.iter().find(|(known, _)| name == known)?;
    let definition = define(clap::Command::new(name)).no_binary_name(true);
    Command::of(name, &mut definition.try_get_matches_from(behind).ok()?)?.ok()
}

fn whole(words: Vec<OsString>) -> Result<Command, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words);
    let names = || command.get_subcommands().map(clap::Command::get_name);
    let matches = matches.map_err(|error| typed::corrected(error, names()))?;
    Cli::from_arg_matches(&matches).map(|cli| cli.command).map_err(|e| e.format(&mut command))
}

/// Makes the commands: a variant each, of its name and its arguments, on which the text of `--help` and the man page stands.
macro_rules! commands {
    ($($variant:ident($args:ty) = $name:literal),* $(,)?) => {
        #[expect(missing_docs, reason = "each has the text of its arguments")]
        #[derive(Debug)]
        pub enum Command {
            $($variant($args)),*
        }

        /// By name, what adds its definition.
        const ALL: &[(&str, fn(clap::Command) -> clap::Command)] = &[$(($name, <$args>::augment_args)),*];

        impl Command {
            /// The command of this name, of what was typed behind it.
            fn of(name: &str, matches: &mut ArgMatches) -> Option<Result<Self, clap::Error>> {
                match name {
                    $($name => Some(<$args>::from_arg_matches_mut(matches).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }
    };
}

commands! {
    Init(InitArgs) = "init",
    Append(AppendArgs) = "append",
    Exec(ExecArgs) = "exec",
    Cat(CatArgs) = "cat",
    Tail(TailArgs) = "tail",
    Grep(GrepArgs) = "grep",
    Ls(LsArgs) = "ls",
    Stats(StatsArgs) = "stats",
    Status(StatusArgs) = "status",
    Check(CheckArgs) = "check",
    Inspect(InspectArgs) = "inspect",
    Repair(RepairArgs) = "repair",
    Trim(TrimArgs) = "trim",
    Policy(PolicyArgs) = "policy",
    Rotate(RotateArgs) = "rotate",
    Prune(PruneArgs) = "prune",
    Segments(SegmentsArgs) = "segments",
    Rm(RmArgs) = "rm",
    Ship(ShipArgs) = "ship",
    Receive(ReceiveArgs) = "receive",
    Drill(DrillArgs) = "drill",
    Bench(BenchArgs) = "bench",
}

impl FromArgMatches for Command {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        Self::of(name, &mut matches.clone()).ok_or_else(missing)?
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        ALL.iter()
            .fold(command, |command, (name, define)| command.subcommand(define(clap::Command::new(name))))
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        ALL.iter().any(|(known, _)| *known == name)
    }
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
    fn a_command_is_the_same_by_its_definition_alone() {
        let lines = EXAMPLES.iter().flat_map(|(_, line)| line.split(['|', ';']));
        let more = [
            "mmlogctl trim --trust-path LOG",
            "mmlogctl tail -5 LOG",
            "mmlogctl check --warning fill=1 LOG",
            "mmlogctl prune --keep 3 LOG",
        ];
        let mut by_itself = 0;
        for line in lines.chain(more) {
            let words = typed::words(line.split(' ').filter(|word| !word.is_empty()).map(OsString::from));
            if let Some(command) = alone(&words) {
                by_itself += 1;
                assert_eq!(format!("{:?}", Ok::<_, clap::Error>(command)), format!("{:?}", whole(words)));
            }
        }
        assert!(by_itself > more.len(), "{by_itself}");
        // The whole definition has more to say of these.
        for line in
            ["mmlogctl", "mmlogctl trim --help", "mmlogctl trim", "mmlogctl tri LOG", "mmlogctl --version"]
        {
            assert!(alone(&line.split(' ').map(OsString::from).collect::<Vec<_>>()).is_none(), "{line}");
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
            let Ok(Command::Trim(args)) = parse(line.clone().map(OsString::from)) else {
                unreachable!("{line:?} does not parse");
            };
            assert!(matches!(args.access.trust(), Trust::AnyPath), "{line:?}");
        }
    }
}
