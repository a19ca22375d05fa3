//! The command line: what was typed, parsed and no more.

use clap::{Parser, Subcommand};

use crate::arguments::Access;
use crate::commands::append::AppendArgs;
use crate::commands::bench::BenchArgs;
use crate::commands::cat::CatArgs;
use crate::commands::check::CheckArgs;
use crate::commands::drill::DrillArgs;
use crate::commands::exec::ExecArgs;
use crate::commands::init::InitArgs;
use crate::commands::inspect::InspectArgs;
use crate::commands::prune::PruneArgs;
use crate::commands::repair::RepairArgs;
use crate::commands::rm::RmArgs;
use crate::commands::rotate::RotateArgs;
use crate::commands::segments::SegmentsArgs;
use crate::commands::status::StatusArgs;
use crate::commands::tail::TailArgs;
use crate::commands::trim::TrimArgs;

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

/// One variant a command; the text of `--help` and the man page stands on its arguments.
#[expect(missing_docs, reason = "a text here would replace the one on the arguments")]
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(InitArgs),
    Append(AppendArgs),
    Exec(ExecArgs),
    Cat(CatArgs),
    Tail(TailArgs),
    Status(StatusArgs),
    Check(CheckArgs),
    Inspect(InspectArgs),
    Repair(RepairArgs),
    Trim(TrimArgs),
    Rotate(RotateArgs),
    Prune(PruneArgs),
    Segments(SegmentsArgs),
    Rm(RmArgs),
    Drill(DrillArgs),
    Bench(BenchArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use mmlog::Trust;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
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
