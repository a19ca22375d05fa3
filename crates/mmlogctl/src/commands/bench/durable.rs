//! `--durable`: what it costs that messages survive a power failure, by policy; and RocksDB's write-ahead log.

use std::process::Command;

use super::company::Company;
use super::engines::Kind;
use super::job::Policy;
use super::measure::{Contender, Group, Row};
use super::place::Place;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::signals;

/// Messages of a batch by number, milliseconds of one by time.
const BATCH: u64 = 64;
const EVERY_MS: u64 = 10;

/// Messages of each thread of RocksDB's in a run.
const ROCKSDB_MESSAGES: u64 = 500;

/// Each policy of each engine that can sync.
pub(super) fn contenders(kinds: &[Kind]) -> Result<Vec<Contender>, Failure> {
    let policies = [Policy::Each, Policy::Batch(BATCH), Policy::Every(EVERY_MS)];
    let syncing = kinds.iter().filter(|kind| matches!(kind, Kind::Mmlog | Kind::Batched | Kind::Write));
    let contenders: Vec<Contender> = syncing
        .flat_map(|&kind| policies.map(|policy| Contender { kind, policy, company: Company::Nobody }))
        .collect();
    if contenders.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "--durable has mmlog, batched and write only; name one of them",
        ));
    }
    Ok(contenders)
}

/// RocksDB, each message synced, its threads in one process: if it is installed.
pub(super) fn rocksdb(place: &Place, group: Group, runs: usize, out: &mut Output) -> Option<Row> {
    let mut ns = Vec::new();
    for _ in 0..runs {
        match run_rocksdb(place, group) {
            Ok(figure) => ns.push(figure),
            Err(why) => {
                out.notice(&format!("SKIPPED rocksdb: {why}"));
                return None;
            }
        }
    }
    Some(Row { ns, ..Row::new("rocksdb:each".to_owned(), group) })
}

fn run_rocksdb(place: &Place, group: Group) -> Result<f64, String> {
    let dir = place.fresh().map_err(|e| e.to_string())?;
    let mut bench = Command::new("db_bench");
    bench
        .args(["--benchmarks=fillseq", "--sync=1", "--disable_wal=0", "--compression_type=none"])
        .arg(format!("--db={}", dir.display()))
        .arg(format!("--threads={}", group.workers()))
        .arg(format!("--num={ROCKSDB_MESSAGES}"))
        .arg(format!("--value_size={}", group.size));
    let output = signals::as_called(|| bench.output())
        .map_err(|e| format!("db_bench: {e}; Debian has it in rocksdb-tools"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    ns_of(&text).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().last().unwrap_or("it printed no figure");
        format!("db_bench ended with {}: {said}", output.status)
    })
}

/// `fillseq : 12.3 micros/op 81300 ops/sec ...`: operations of all threads.
fn ns_of(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("fillseq"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| word.starts_with("ops/sec"))?;
    let rate: f64 = words.get(at.checked_sub(1)?)?.parse().ok()?;
    (rate > 0.0).then_some(1e9 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rocksdb_is_read_by_its_operations_a_second() {
        let said =
            "Keys: 16 bytes\nfillseq      :     250.000 micros/op 4000 ops/sec 0.5 seconds 2000 operations;";
        assert_eq!(ns_of(said), Some(250_000.0));
        assert_eq!(ns_of("fillseq : it failed"), None);
    }
}
