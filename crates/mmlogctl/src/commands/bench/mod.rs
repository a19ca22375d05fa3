//! `mmlogctl bench`: the log against other ways to append to a file, every byte verified.
//!
//! `engines` are the ways, `peers` those of another program, `worker` one process of a run, `harness` one run, `measure` what is run when, `verify` the
//! judge, `report` and `chart` what comes out.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::ValueEnum as _;
use serde_json::Value;

use crate::arguments::{duration, size};
use crate::exit::{Exit, Failure, limited, shown};
use crate::output::{Output, json_line};
use crate::signals::{self, Signals};

mod chart;
mod company;
mod durable;
mod engines;
mod harness;
mod job;
mod lines;
mod measure;
mod message;
mod peers;
mod place;
mod processors;
mod report;
mod sustain;
mod verify;
pub mod worker;

use company::Company;
use engines::Kind;
use job::{Cores, Policy};
use measure::{Contender, Failed, Group, How, Interrupted, Measuring, Row};
use message::{Form, MAX_WORKERS};
use place::Place;
use processors::Processors;
use verify::Verdict;

const SIZES: [usize; 5] = [1, 128, 1024, 4095, 65536];
const FULL_SIZES: [usize; 10] = [1, 16, 128, 512, 1024, 4095, 4096, 16384, 65536, 1 << 20];
/// 128 divides a page, which hides torn lines.
const PEERS_SIZES: [usize; 2] = [128, 120];
const PROCESSES: [usize; 1] = [4];
const GROWTH_PROCESSES: [usize; 2] = [1, 4];
const LOOK_RUNS: usize = 7;
/// Of each worker in a run.
const BURSTS: u64 = 200;
const FULL_PROCESSES: [usize; 4] = [1, 2, 4, 16];

/// Compare appending to a log with other ways to append to a file, here and now.
///
/// Processes append messages together, each way in turns, and afterwards every byte is verified. A figure is the time
/// from the common beginning to the last end, growing and flushing included, divided by the messages of all
/// processes: the median of the runs. Rows stay below the kernel's dirty limits unless --sustain is given. The
/// files are removed. Fails when a message was lost, doubled or torn.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Where the files go: the file system that is measured.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// What is compared [default: all, but for those only by name].
    #[arg(long, value_name = "NAMES", value_enum, value_delimiter = ',')]
    engine: Vec<Kind>,
    /// Sizes of a message, 1 to 16M, such as 1,128,4K [default: 1,128,1024,4095,64K].
    #[arg(long, value_name = "SIZES", value_parser = message_size, value_delimiter = ',')]
    size: Vec<usize>,
    /// Numbers of processes [default: 4].
    #[arg(long, value_name = "NUMBERS", value_parser = workers, value_delimiter = ',')]
    processes: Vec<usize>,
    /// Numbers of threads in each process; each appends for itself.
    #[arg(long, value_name = "NUMBERS", value_parser = workers, value_delimiter = ',', default_value = "1")]
    threads: Vec<usize>,
    /// Runs of each row [default: 7; 15 for messages of up to 16 bytes].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    runs: Option<u16>,
    /// Messages of each thread in a run [default: as many as take about a quarter of a second].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    messages: Option<u32>,
    /// More sizes and numbers of processes; takes the better part of an hour.
    #[arg(long)]
    full: bool,
    /// Append for so long, past the kernel's dirty limits, and show what each second brought, and what is in the page cache
    /// at the end (--json: bytes_in_each_second, cached_bytes, dirty_bytes). Needs much space; messages of 4096
    /// bytes unless --size says otherwise.
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with_all = ["durable", "messages", "runs"])]
    sustain: Option<Duration>,
    /// What durability costs: each message synced (a log's together with those of other processes), batches of 64, and
    /// every 10 ms; and RocksDB, each synced, if db_bench is installed. Only mmlog, batched and write; messages of 128
    /// bytes unless --size says otherwise.
    #[arg(long)]
    durable: bool,
    /// What an append costs beside a high base, a longer ring of chunks, idle writers, a follower that reads and one that
    /// is stopped, and what idle writers cost a follower's look. Only mmlog; messages of 128 bytes, 1 and 4 processes
    /// unless --size and --processes say otherwise.
    #[arg(long, conflicts_with_all = ["durable", "sustain", "full", "engine", "chart"])]
    growth: bool,
    /// What a call takes that comes in a burst: 64 of them, then nothing until 2 ms after the first, 200 bursts a run, each run
    /// in a new file. Of all runs together the median of single appends, their 99th hundredth and the longest are what to look
    /// at; ns/message is their mean, without the pauses. Only mmlog and write, messages of 128 bytes unless --engine
    /// and --size say otherwise.
    #[arg(long, conflicts_with_all = ["durable", "sustain", "full", "growth", "chart"])]
    burst: bool,
    /// Beside mmlog and write (or --engine), what people use instead: loggers for Rust and C++, programs that read a pipe; all
    /// that work here, or those that are named. Messages are lines, of 128 and 120 bytes unless --size says otherwise, at
    /// least 32. What a peer loses, doubles or tears is no failure but a figure, and so is what of 20000 lines is not in
    /// the file when a process is killed (SIGKILL) behind its last call: the most of three tries. Needs mmlogctl-bench-peers
    /// beside this program or in PATH.
    #[arg(long, value_name = "NAMES", num_args = 0.., require_equals = true, value_delimiter = ',',
        conflicts_with_all = ["durable", "sustain", "full", "growth", "burst", "threads"])]
    peers: Option<Vec<String>>,
    /// Let the kernel move processes between cores. Otherwise each worker stays on one.
    #[arg(long)]
    no_pin: bool,
    /// One JSON object, {"schema":1,"processors":{...},"rows":[...]}. Of the processors: number, model, line_moves (between,
    /// ns, ns_min, ns_max of several pairs). Of a row: engine, size_bytes, processes, threads, ns_per_message, ns_min, ns_max,
    /// runs, lost_messages, doubled_messages, torn_messages, lost_at_kill, syscalls_per_message, p50_ns, p99_ns, p999_ns,
    /// max_ns, version.
    #[arg(long)]
    json: bool,
    /// Draw the medians, an SVG.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
}

fn message_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes @ 1..=0x100_0000 => usize::try_from(bytes).map_err(|e| e.to_string()),
        _ => Err("a message has 1 byte to 16M here".to_owned()),
    }
}

fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=MAX_WORKERS).contains(&n) => Ok(n),
        _ => Err(format!("not a number from 1 to {MAX_WORKERS}")),
    }
}

/// Measures.
///
/// # Errors
/// When nothing can be measured there, something failed, or messages were not found as they were appended.
pub fn run(args: &BenchArgs, out: &mut Output) -> Result<Exit, Failure> {
    let signals = Signals::catch()
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot catch signals: {}", limited(&e))))?;
    // It ends its workers first.
    signals::grant(Duration::MAX);
    let groups = groups(args)?;
    let place = Place::new(&args.dir)?;
    let kinds = usable(args, &place, out)?;
    let processors = Processors::measured()
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot see the processors: {}", limited(&e))))?;
    if !args.json {
        out.line(&format!("{}\n", processors.line()))?;
    }
    let mut bench = Bench { args, place: &place, signals: &signals, problems: 0 };
    if let Some(time) = args.sustain {
        let rows = sustain::rows(&mut bench, time, &groups, &kinds, out)?;
        if args.json {
            out.line(&json_line(&report::json(&processors, &rows).to_string()))?;
        }
    } else {
        let rows = bench.rows(&groups, &kinds, out)?;
        if args.json {
            let objects: Vec<Value> = rows.iter().map(report::object).collect();
            out.line(&json_line(&report::json(&processors, &objects).to_string()))?;
        }
        if let Some(file) = &args.chart {
            fs::write(file, chart::svg(&rows)).map_err(|e| Failure::io(file, "write", &e))?;
        }
    }
    bench.verdict()
}

fn groups(args: &BenchArgs) -> Result<Vec<Group>, Failure> {
    let sizes: &[usize] = match (args.size.as_slice(), args.full) {
        ([], _) if args.sustain.is_some() => &[4096],
        ([], _) if args.durable || args.growth || args.burst => &[128],
        ([], _) if args.peers.is_some() => &PEERS_SIZES,
        ([], true) => &FULL_SIZES,
        ([], false) => &SIZES,
        (sizes, _) => sizes,
    };
    if let (Some(_), Some(size)) = (&args.peers, sizes.iter().find(|&&size| size < lines::LEAST)) {
        let text = format!(
            "{size} bytes are no line that can be told apart; with --peers a message has {} at least",
            lines::LEAST
        );
        return Err(Failure::new(Exit::Usage, text));
    }
    let processes: &[usize] = match (args.processes.as_slice(), args.full) {
        ([], true) => &FULL_PROCESSES,
        ([], false) if args.growth => &GROWTH_PROCESSES,
        ([], false) => &PROCESSES,
        (processes, _) => processes,
    };
    let mut groups = Vec::new();
    for &processes in processes {
        for &threads in &args.threads {
            if processes * threads > MAX_WORKERS {
                let text = format!(
                    "{processes} processes of {threads} threads are more than {MAX_WORKERS} workers; ask for fewer"
                );
                return Err(Failure::new(Exit::Usage, text));
            }
            groups.extend(sizes.iter().map(|&size| Group { size, processes, threads }));
        }
    }
    Ok(groups)
}

/// The engines that were asked for and work here; of the others, why not.
fn usable(args: &BenchArgs, place: &Place, out: &mut Output) -> Result<Vec<Kind>, Failure> {
    let mut asked = if args.growth { vec![Kind::Mmlog] } else { args.engine.clone() };
    if asked.is_empty() && (args.peers.is_some() || args.burst) {
        asked = vec![Kind::Mmlog, Kind::Write];
    }
    if asked.is_empty() {
        let wanted = |kind: &Kind| kind.is_default(args.sustain.is_some());
        asked.extend(Kind::value_variants().iter().copied().filter(wanted));
    }
    let mut kinds = Vec::new();
    for kind in asked {
        let tried = place.fresh().and_then(|dir| kind.probe(&dir));
        match tried {
            Ok(()) if !kinds.contains(&kind) => kinds.push(kind),
            Ok(()) => {}
            Err(e) => out.notice(&format!("SKIPPED {}: {e}", kind.name())),
        }
    }
    if let Some(names) = &args.peers {
        kinds.extend(peers::find(names, place, out)?.into_iter().map(Kind::Peer));
    }
    if kinds.is_empty() {
        return Err(Failure::new(Exit::Failed, "no engine works here; name another directory: --dir"));
    }
    Ok(kinds)
}

/// A bench that is running.
struct Bench<'a> {
    args: &'a BenchArgs,
    place: &'a Place,
    signals: &'a Signals,
    /// How many rows failed, or lost messages.
    problems: usize,
}

impl Bench<'_> {
    fn how(&self) -> How {
        How {
            cores: if self.args.no_pin { Cores::Free } else { Cores::Pinned },
            form: if self.args.peers.is_some() { Form::Lines } else { Form::Noise },
            runs: self.args.runs.map(usize::from),
            messages: self.args.messages.map(u64::from).or(self.args.burst.then_some(BURSTS * worker::BURST)),
            bursts: self.args.burst,
        }
    }

    fn rows(&mut self, groups: &[Group], kinds: &[Kind], out: &mut Output) -> Result<Vec<Row>, Failure> {
        let contenders: Vec<Contender> = if self.args.durable {
            durable::contenders(kinds)?
        } else {
            let companies = if self.args.growth { company::ALL.as_slice() } else { &[Company::Nobody] };
            let of = |&kind| companies.iter().map(move |&company| (kind, company));
            kinds
                .iter()
                .flat_map(of)
                .map(|(kind, company)| Contender { kind, policy: Policy::Never, company })
                .collect()
        };
        let mut all = Vec::new();
        for &group in groups {
            let mut rows = self.group(group, &contenders, out)?;
            if self.args.durable {
                rows.extend(durable::rocksdb(self.place, group, self.how().runs(group), out));
            }
            if !self.args.json && !rows.is_empty() {
                let blank = if all.is_empty() { "" } else { "\n" };
                out.line(&format!("{blank}{}", report::table(group, &rows).join("\n")))?;
            }
            all.append(&mut rows);
        }
        if self.args.peers.is_some() && !self.args.json {
            let (first, versions) = ("", report::versions(&all));
            [first]
                .into_iter()
                .chain(versions.iter().map(String::as_str))
                .try_for_each(|line| out.line(line))?;
        }
        if self.args.growth {
            all.extend(self.looks(out)?);
        }
        Ok(all)
    }

    fn looks(&mut self, out: &mut Output) -> Result<Vec<Row>, Failure> {
        let runs = self.how().runs.unwrap_or(LOOK_RUNS);
        let rows = company::looks(self.place, runs).map_err(|why| Failure::new(Exit::Failed, why))?;
        if !self.args.json {
            out.line(&format!(
                "\na follower's look at one new message beside idle writers, ns: {runs} runs"
            ))?;
            report::table_of(&rows).iter().try_for_each(|line| out.line(line))?;
        }
        Ok(rows)
    }

    fn group(
        &mut self,
        group: Group,
        contenders: &[Contender],
        out: &mut Output,
    ) -> Result<Vec<Row>, Failure> {
        let shows = out.error_is_terminal();
        let signals = self.signals;
        let mut at = |text: &str| {
            if shows {
                out.progress(text);
            }
            !signals.raised()
        };
        let measured = Measuring { place: self.place, how: self.how(), group, at: &mut at }.rows(contenders);
        out.clear_progress();
        let mut rows = Vec::new();
        for row in measured.map_err(|Interrupted| interrupted())? {
            match row {
                Ok(row) => {
                    // What peers do with messages is for them to say.
                    if row.peer.is_none() {
                        self.judge(&row.name, group, row.verdict.unwrap_or_default(), out);
                    }
                    rows.push(row);
                }
                // Children get the signal too, and fail of it.
                Err(_) if self.signals.raised() => return Err(interrupted()),
                Err(Failed { name, why }) => self.failed(&name, group, &why, out),
            }
        }
        Ok(rows)
    }

    fn judge(&mut self, name: &str, group: Group, found: Verdict, out: &mut Output) {
        if !found.is_clean() {
            let Verdict { lost, doubled, torn } = found;
            let why = format!("{lost} messages lost, {doubled} doubled, {torn} torn");
            self.failed(name, group, &why, out);
        }
    }

    fn failed(&mut self, name: &str, group: Group, why: &str, out: &mut Output) {
        self.problems += 1;
        out.notice(&format!("{name} at {group}: {why}"));
    }

    fn verdict(self) -> Result<Exit, Failure> {
        match self.problems {
            0 => Ok(Exit::Done),
            n => {
                let dir = shown(&self.args.dir);
                let text = format!(
                    "{dir}: rows that are no measurement: {n}; what they lack is said above, try again"
                );
                Err(Failure::new(Exit::Failed, text))
            }
        }
    }
}

fn interrupted() -> Failure {
    Failure::new(Exit::Failed, "ended by a signal; nothing of it is left")
}
