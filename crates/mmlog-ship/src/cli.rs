//! The command line of `mmlogctl-ship`, and the one place that prints.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use mmlog::units::{typed_duration, typed_size};
use mmlog::{Log, Options, Trust};

use crate::decide::{From, SinkIsNew, Wishes};
use crate::machine::Limits;
use crate::receive;
use crate::run::{self, Plan};
use crate::sinks::Sink;
use crate::source::{How, Sync};
use crate::store;
use crate::trouble::Trouble;
use ends::{Server, is_plain};

mod config;
mod ends;
mod many;

/// Content that a proof is at least of. It is read at every opening.
const PROOF: u64 = 4 << 20;
/// Units that may be on their way.
const UNITS: usize = 1024;
/// A sink or its answer is waited for so long, if nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So long a command may take.
const RUN: Duration = Duration::from_secs(600);
/// The most bytes of a shipper's name: with `ship:` it is that of a hold.
const NAME: usize = 59;

/// What stands in a file of many logs instead.
const ALONE: [&str; 22] = [
    "log",
    "to",
    "command",
    "name",
    "checkpoint",
    "from",
    "unit",
    "linger",
    "linger_partial",
    "in_flight",
    "keep_acked",
    "sync",
    "timeout",
    "drain",
    "accept_gap",
    "accept_fork",
    "give_up",
    "sink_is_new",
    "credentials",
    "tls_ca",
    "olddir",
    "trust_path",
];

/// Ship mmlog logs to other places, and get them back.
#[derive(Debug, Parser)]
#[command(
    name = "mmlogctl-ship",
    bin_name = "mmlogctl",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ship(Box<ShipArgs>),
    Receive(Box<ReceiveArgs>),
}

/// Ship a log to another place as it grows, each byte once.
///
/// Only what is durable is sent, in units of whole lines, and goes on where the sink's last unit says, whatever ended the one before:
/// nothing is lost, nothing is doubled, and what has no bytes is announced. Until the sink has acknowledged them, and for --keep-acked
/// longer, a hold keeps bytes from being pruned.
///
/// Follows the log until SIGTERM or SIGINT, also when it is rotated, and when it is made anew.
#[derive(Args, Debug)]
pub struct ShipArgs {
    /// The log.
    #[arg(value_name = "LOG", required_unless_present = "config")]
    log: Option<PathBuf>,
    /// Where to: `file:DIR`, a directory; `exec`, the command behind `--`, which is run for each unit; `nats://SERVER[,SERVER...]/SUBJECT`, a stream of
    /// JetStream (`tls://` where the connection has to be encrypted; `?create=REPLICAS` behind it makes the stream);
    /// `redis://SERVER[,SERVER...][/DB]/KEY`, a stream of Redis (`rediss://` where the connection is encrypted);
    /// `s3://BUCKET/PREFIX?region=REGION`, a store that speaks S3, which gets final segments (`&endpoint=URL` where it is not Amazon's);
    /// `kafka://HOST[,HOST...]/TOPIC?partition=N`, a partition of Kafka (`kafkas://` where the connection is encrypted; in builds that have it);
    /// `otlp+http://HOST:4318`, a receiver of OpenTelemetry; `http://HOST/PATH?format=ndjson`, whatever takes a line of JSON for each line;
    /// `http://HOST/INDEX/_bulk?format=bulk`, Elasticsearch or what speaks as that does (`https`, `otlp+https` where the connection is encrypted).
    #[arg(long, value_name = "SINK", required_unless_present = "config")]
    to: Option<String>,
    /// The command of `--to exec`: a unit's bytes are its standard input, and exit code 0 says that it has them.
    #[arg(value_name = "CMD", last = true)]
    command: Vec<OsString>,
    /// Ship the logs that FILE names, each as it says there, and those that come; mmlogctl-ship(1) has an example. SIGHUP has it read
    /// again.
    #[arg(long, value_name = "FILE", conflicts_with_all = ALONE)]
    config: Option<PathBuf>,
    #[arg(skip)]
    of_many: bool,
    /// The shipper's name; its hold is `ship:NAME`. Default: from the sink.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where is written down what the sink has acknowledged. Default: LOG.mmlog-ship-NAME.
    ///
    /// It is there to notice that the sink went back; where to go on, the sink's last unit says. Beside it are FILE.lock, which one
    /// shipper has at a time, and FILE.spare, which has the space for the next one on a full disk.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Where a first start begins: `oldest`, `newest`, or a position.
    #[arg(long, value_name = "POS", default_value = "oldest", value_parser = from)]
    from: From,
    /// The longest unit.
    #[arg(long, value_name = "SIZE", default_value = "512K", value_parser = unit)]
    unit: u64,
    /// What comes in so long is synced and sent together.
    #[arg(long, value_name = "DUR", default_value = "50ms", value_parser = typed_duration)]
    linger: Duration,
    /// A last line without its end is sent after so long; `never` waits for its end.
    #[arg(long, value_name = "DUR", default_value = "5s", value_parser = partial)]
    linger_partial: Partial,
    /// Bytes that may be sent and not acknowledged.
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = unit)]
    in_flight: u64,
    /// What the sink has acknowledged is kept for so long: it may lose it.
    #[arg(long, value_name = "DUR", default_value = "5m", value_parser = typed_duration)]
    keep_acked: Duration,
    /// Who makes bytes durable: this shipper, or others, whose syncs are waited for.
    #[arg(long, value_name = "WHO", default_value = "own")]
    sync: Who,
    /// A sink that does not answer for so long is left, and connected to again; a command is ended. Default: 10s, of a command 10m.
    #[arg(long, value_name = "DUR", value_parser = typed_duration)]
    timeout: Option<Duration>,
    /// After SIGTERM or SIGINT, what is on its way is waited for so long.
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = typed_duration)]
    drain: Duration,
    /// Where segments are shipped, a log whose segment began so long ago is rotated: what is appended is shipped that late at most.
    #[arg(long, value_name = "DUR", value_parser = typed_duration)]
    rotate_after: Option<Duration>,
    /// Ship what is there, and end.
    #[arg(long)]
    until_now: bool,
    /// With --until-now: a sink that was not reached for so long, over all tries, is given up, with exit code 1.
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = typed_duration)]
    give_up: Duration,
    /// Connect, look, say what would happen, and change nothing.
    #[arg(long, conflicts_with = "until_now")]
    check: bool,
    /// Announce to the sink what was pruned before it was shipped, and go on.
    #[arg(long)]
    accept_gap: bool,
    /// Begin a new chain behind the history that the sink has.
    #[arg(long)]
    accept_fork: bool,
    /// What a sink that has forgotten everything is to have: all that the log keeps, or what was not acknowledged.
    #[arg(long, value_name = "WHAT")]
    sink_is_new: Option<IsNew>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    access: Access,
}

/// Make logs again of what was shipped.
///
/// Writes the bytes of each log to DIR/UUID.log, after its uuid, and ranges without content to DIR/UUID.gaps: first position, that behind
/// the last, kind, and where in UUID.log that is. A chain that begins anew gets files of its own. Each unit is checked, its sum and that it
/// follows the one before, before a byte of it is written.
///
/// Follows what is shipped until SIGTERM or SIGINT. Killed at any point it goes on exactly: what was received is in DIR/receive.state.
#[derive(Args, Debug)]
pub struct ReceiveArgs {
    /// Where from: `file:DIR`, a directory that was shipped to; `nats://SERVER[,SERVER...]/SUBJECT`, a stream of JetStream;
    /// `redis://SERVER[,SERVER...][/DB]/KEY`, a stream of Redis; `s3://BUCKET/PREFIX?region=REGION`, a store that speaks S3.
    #[arg(value_name = "SOURCE")]
    from: String,
    /// The directory of what is received.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Stands before the names of files: letters, digits, '.', '_' and '-'.
    #[arg(long, value_name = "TEXT", value_parser = label)]
    label: Option<String>,
    /// Receive what is there, and end.
    #[arg(long)]
    until_now: bool,
    /// With --until-now: a source that was not reached for so long, over all tries, is given up, with exit code 1.
    #[arg(long, value_name = "DUR", default_value = "30s", value_parser = typed_duration)]
    give_up: Duration,
    /// A source that does not answer for so long is left, and connected to again.
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = typed_duration)]
    timeout: Duration,
    /// Compare what was received with LOG, byte by byte. Receives what is there, and ends.
    #[arg(long, value_name = "LOG")]
    verify: Option<PathBuf>,
    /// Make a gap of what is gone from the source before it was received.
    #[arg(long)]
    accept_gap: bool,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    access: Access,
}

/// How carefully the log's path is looked at, and where old segments are.
#[derive(Args, Debug)]
struct Access {
    /// Old segments are in DIR, relative to the log's directory. Only needed where an error prints it.
    #[arg(long, value_name = "DIR")]
    olddir: Option<PathBuf>,
    /// Accept a symbolic link as the last component, a directory that everybody may write to and that has no sticky bit, and files
    /// of different owners.
    #[arg(long)]
    trust_path: bool,
}

impl Access {
    fn options(&self, stop: &Arc<AtomicBool>) -> Options {
        let trust = if self.trust_path { Trust::AnyPath } else { Trust::Strict };
        let options = Log::options().trust(trust).stop(Arc::clone(stop)).carry_out_policy(false);
        match &self.olddir {
            Some(directory) => options.old_directory(directory),
            None => options,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Who {
    Own,
    Wait,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum IsNew {
    Restart,
    Continue,
}

#[derive(Clone, Copy, Debug)]
struct Partial(Option<Duration>);

fn partial(text: &str) -> Result<Partial, String> {
    if text == "never" {
        Ok(Partial(None))
    } else {
        typed_duration(text).map(|longest| Partial(Some(longest)))
    }
}

fn label(text: &str) -> Result<String, String> {
    let is_one =
        !text.is_empty() && text.len() <= NAME && text.bytes().all(is_plain) && !text.starts_with('.');
    if is_one {
        Ok(text.to_owned())
    } else {
        Err(format!("letters, digits, '.', '_' and '-', at most {NAME}"))
    }
}

fn from(text: &str) -> Result<From, String> {
    match text {
        "oldest" => Ok(From::Oldest),
        "newest" => Ok(From::Newest),
        _ => text.parse().map(From::Position).map_err(|_| "neither oldest, newest nor a position".to_owned()),
    }
}

fn unit(text: &str) -> Result<u64, String> {
    let bytes = typed_size(text)?;
    let range = 1..=crate::unit::LONGEST;
    if range.contains(&bytes) { Ok(bytes) } else { Err("not between 1 and 64M".to_owned()) }
}

/// Every exit code, for the manual.
pub const EXITS: [(u8, &str); 5] = [
    (
        0,
        "Done; also after SIGTERM or SIGINT, when what was on its way has arrived or was waited for. The next start goes on behind what is there.",
    ),
    (1, "Failed, and another run may not: standard error names what, and what to do."),
    (2, "The command line was wrong."),
    (3, "Another shipper, or another receiver, is at it; standard error says which."),
    (
        4,
        "A person has to decide, or to mend something: standard error says what, and which option decides. Nothing was sent or written.",
    ),
];

/// The command line's definition, with its help.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, runs the command, reports its failure.
pub fn main(line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(line) {
        Ok(cli) => cli,
        Err(help) => {
            // A closed pipe is none of our business.
            let _ = help.print();
            return ExitCode::from(if help.use_stderr() { 2 } else { 0 });
        }
    };
    let ended = match &cli.command {
        Command::Ship(args) => ship(args),
        Command::Receive(args) => receive(args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            notice(&trouble.to_string());
            ExitCode::from(trouble.code())
        }
    }
}

fn notice(text: &str) {
    let _ = writeln!(std::io::stderr(), "mmlogctl-ship: {text}");
}

fn uncaught(e: std::io::Error) -> Trouble {
    Trouble::Failed(format!("cannot catch signals: {e}"))
}

/// TERM and INT raise the flag; the second one ends us at once.
fn stop() -> Result<Arc<AtomicBool>, Trouble> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        let caught = signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)));
        caught.map_err(uncaught)?;
    }
    Ok(stop)
}

fn ship(args: &ShipArgs) -> Result<(), Trouble> {
    let stop = stop()?;
    let say: Say = Arc::new(notice);
    match &args.config {
        None if args.check => check(args, &stop, say),
        None => ship_as(args, &stop, say),
        Some(file) if args.check || args.until_now => many::once(file, args.check, &stop),
        Some(file) => {
            let reload = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&reload))
                .map_err(uncaught)?;
            many::follow(file, &stop, &reload)
        }
    }
}

/// Who hears what people may want to know.
pub(crate) type Say = Arc<dyn Fn(&str) + Send + std::marker::Sync>;

/// Ships one log.
fn ship_as(args: &ShipArgs, stop: &Arc<AtomicBool>, say: Say) -> Result<(), Trouble> {
    let (plan, mut sink) = plan(args, stop, say)?;
    match run::run(&plan, &mut *sink) {
        // What the library was waiting for when it was told to stop.
        Err(trouble) if trouble.passes() && stop.load(Ordering::Acquire) => Ok(()),
        ended => ended,
    }
}

fn check(args: &ShipArgs, stop: &Arc<AtomicBool>, say: Say) -> Result<(), Trouble> {
    let (plan, mut sink) = plan(args, stop, say)?;
    print(&run::check(&plan, &mut *sink)?)
}

fn plan(args: &ShipArgs, stop: &Arc<AtomicBool>, say: Say) -> Result<(Plan, Box<dyn Sink>), Trouble> {
    let (sink, default) = ends::sink(args, stop)?;
    let log = args.log.clone().unwrap_or_default();
    let name = args.name.clone().unwrap_or(default);
    if name.is_empty() || name.len() > NAME || !name.bytes().all(is_plain) || name.starts_with('.') {
        return Err(Trouble::Usage(format!(
            "{name:?} is no name of a shipper: letters, digits, '.', '_' and '-', at most {NAME}; say another one with --name"
        )));
    }
    if args.rotate_after.is_some() && !sink.takes_segments() {
        return Err(Trouble::Usage("--rotate-after is for a sink of segments, as s3: is".to_owned()));
    }
    let longest = if args.command.is_empty() { TIMEOUT } else { RUN };
    let timeout = args.timeout.unwrap_or(longest);
    let plan = Plan {
        options: args.access.options(stop),
        checkpoint: args.checkpoint.clone().unwrap_or_else(|| store::beside(&log, &name)),
        log,
        name,
        how: How {
            sync: match args.sync {
                Who::Own => Sync::Own,
                Who::Wait => Sync::Wait,
            },
            unit: usize::try_from(args.unit).unwrap_or(usize::MAX),
            partial: args.linger_partial.0,
            linger: args.linger,
            accept_gap: args.accept_gap,
        },
        limits: Limits {
            unit: args.unit,
            // One unit fits always.
            window: args.in_flight.max(args.unit),
            units: UNITS,
            keep: u64::try_from(args.keep_acked.as_millis()).unwrap_or(u64::MAX),
            proof: PROOF,
        },
        wishes: Wishes {
            from: args.from,
            accept_gap: args.accept_gap,
            accept_fork: args.accept_fork,
            sink_is_new: args.sink_is_new.map(|what| match what {
                IsNew::Restart => SinkIsNew::Restart,
                IsNew::Continue => SinkIsNew::Continue,
            }),
        },
        timeout,
        drain: args.drain,
        until_now: args.until_now,
        give_up: args.give_up,
        // Who follows many logs starts it again when there is another one.
        ends_with_log: args.of_many,
        rotate_after: args.rotate_after,
        stop: Arc::clone(stop),
        say,
    };
    Ok((plan, sink))
}

fn receive(args: &ReceiveArgs) -> Result<(), Trouble> {
    let stop = stop()?;
    let mut feed = ends::feed(args, &stop)?;
    let plan = receive::Plan {
        into: args.into.clone(),
        label: args.label.clone(),
        until_now: args.until_now || args.verify.is_some(),
        give_up: args.give_up,
        accept_gap: args.accept_gap,
        stop: Arc::clone(&stop),
        say: notice,
    };
    receive::receive(&plan, &mut *feed)?;
    match &args.verify {
        Some(log) => print(&receive::verify(&args.into, log, &args.access.options(&stop), &stop)?),
        None => Ok(()),
    }
}

fn print(said: &str) -> Result<(), Trouble> {
    let printed = std::io::stdout().write_all(said.as_bytes());
    match printed {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Trouble::Failed(format!("standard output: {e}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
