//! What may be typed after `mmlogctl grep`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::arguments::{Access, OldSegments, size};
use crate::colours::Colours;
use crate::reading::Holes;
use crate::times::TimeRange;

/// Search logs, and what is appended to them.
#[derive(Args, Debug)]
#[command(
    override_usage = "mmlogctl grep [OPTIONS] PATTERN LOG...\n       mmlogctl grep [OPTIONS] -e PATTERN... LOG...",
    long_about = "Search logs: their lines in which a pattern matches, through rotations and compressed segments, up to the last byte \
    that was final when the command started. The letters are those of grep(1), which must not be used on a live log: it takes \
    preallocated space for a binary file. Patterns are those of ripgrep, much as of grep -E: a|b, x+, (...), {2,3} have their meaning, \
    \\d, \\s, \\w and \\b too; there are no back-references. All content is text. On a terminal \
    control characters are escaped as by mmlogctl cat, elsewhere all bytes are as they are. A line longer than 16 MiB is searched, printed and counted in \
    pieces of that length. The search begins with the oldest that is kept, unless --from or --since says where. What could not be read, and what of it was \
    pruned, is said on standard error; what lies behind it is searched. Exit codes are those of grep(1), not \
    of the other commands: 0 when a line was selected, 1 when none was, 2 when something went wrong or is missing."
)]
pub struct GrepArgs {
    #[command(flatten)]
    pub(super) access: Access,
    /// What to look for; several, one a line, match where one of them does.
    #[arg(value_name = "PATTERN", required_unless_present = "patterns")]
    pub(super) pattern: Option<OsString>,
    /// Logs to search, one after the other.
    #[arg(value_name = "LOG")]
    pub(super) logs: Vec<PathBuf>,
    /// What to look for; may be given several times, and begin with -. Patterns of a file: -e "$(cat FILE)".
    #[arg(short = 'e', long = "regexp", value_name = "PATTERN", allow_hyphen_values = true)]
    pub(super) patterns: Vec<String>,
    /// Patterns are regular expressions, as they are without this option.
    #[arg(short = 'E', long, overrides_with_all = ["extended_regexp", "fixed_strings"])]
    pub(super) extended_regexp: bool,
    /// Patterns are texts, not regular expressions.
    #[arg(short = 'F', long, overrides_with_all = ["extended_regexp", "fixed_strings"])]
    pub(super) fixed_strings: bool,
    /// Small and capital letters are the same.
    #[arg(short, long)]
    pub(super) ignore_case: bool,
    /// Match whole words only.
    #[arg(short, long)]
    pub(super) word_regexp: bool,
    /// Match whole lines only.
    #[arg(short = 'x', long)]
    pub(super) line_regexp: bool,
    /// Select the lines in which nothing matches.
    #[arg(short = 'v', long)]
    pub(super) invert_match: bool,
    /// Print how many lines of each log are selected, not the lines.
    #[arg(short, long, conflicts_with = "follow")]
    pub(super) count: bool,
    /// Print what matched and not its line, each match in a line; without context.
    #[arg(short, long)]
    pub(super) only_matching: bool,
    /// Print nothing, end with 0 at the first line that is selected, also after trouble; with -f, wait for it.
    #[arg(short, long, visible_alias = "silent")]
    pub(super) quiet: bool,
    /// Stop with a log after NUM selected lines; with -f, following ends then.
    #[arg(short, long, value_name = "NUM")]
    pub(super) max_count: Option<u64>,
    /// Print also NUM lines that come after each selected one.
    #[arg(short = 'A', long, value_name = "NUM")]
    pub(super) after_context: Option<usize>,
    /// Print also NUM lines that come before each selected one.
    #[arg(short = 'B', long, value_name = "NUM")]
    pub(super) before_context: Option<usize>,
    /// As -A NUM -B NUM.
    #[arg(short = 'C', long, value_name = "NUM")]
    pub(super) context: Option<usize>,
    /// Print the number of each line, counted from the first byte that is read: the first one that is kept, or where --from or --since begin.
    #[arg(short = 'n', long)]
    pub(super) line_number: bool,
    /// Print the position in the log of each line, with -o of each match: what --from takes.
    #[arg(short, long)]
    pub(super) byte_offset: bool,
    /// Print the log's name before each line; the default for several logs.
    #[arg(short = 'H', long, overrides_with_all = ["with_filename", "no_filename"])]
    pub(super) with_filename: bool,
    /// Never print the log's name.
    #[arg(long, overrides_with_all = ["with_filename", "no_filename"])]
    pub(super) no_filename: bool,
    #[command(flatten)]
    pub(super) colours: Colours,
    /// Search what is appended too, as soon as a line is complete, until told to end.
    #[arg(
        short,
        long,
        long_help = "Search what is appended too, as soon as a line is complete, as tail -f prints it (not the -f of grep(1): patterns of a file \
        are -e \"$(cat FILE)\"). It goes on through rotations, and stays with the log that was opened, whatever becomes of its name. SIGTERM, SIGINT and SIGHUP \
        end it within 1 s, with 0 when a line was selected, else 1."
    )]
    pub(super) follow: bool,
    /// Start at this position instead of the oldest one that is kept.
    #[arg(long, value_name = "POSITION", value_parser = size, conflicts_with = "since")]
    pub(super) from: Option<u64>,
    /// Stop before this position.
    #[arg(long, value_name = "POSITION", value_parser = size, conflicts_with = "until")]
    pub(super) to: Option<u64>,
    #[command(flatten)]
    pub(super) times: TimeRange,
    /// With --since and --until, say how far the ends may be from these times.
    #[arg(long)]
    pub(super) verbose: bool,
    /// What to search for a hole, a range whose writer ended before it was written.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(super) holes: Holes,
    #[command(flatten)]
    pub(super) old: OldSegments,
}
