//! Guards the claim itself: whoever kills the shipper, and whatever is rotated, compressed and pruned meanwhile, each byte is in the sink once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
mod stage;
#[path = "stage/weather.rs"]
mod weather;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{Random, parse, seed, until};
use mmlog::{Compress, Compression, Retention};
use stage::{Ended, Stage, options};
use weather::{rotated, write};

/// How often the shipper is killed.
const KILLS: u64 = 25;
const WRITERS: u64 = 3;

fn received(stage: &Stage) -> Vec<u8> {
    let into = stage.dir.path().join("into");
    let mut receive = Command::new(env!("CARGO_BIN_EXE_mmlogctl-ship"));
    receive.args(["receive", "--until-now", &stage.to(), "--into"]).arg(&into);
    Ended::of(&receive.output().unwrap()).is(0, "");
    let files = fs::read_dir(&into).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    fs::read(&logs[0]).unwrap()
}

#[test]
fn each_byte_is_there_once_whenever_the_shipper_is_killed() {
    let stage = Stage::new();
    let mut random = Random::new(seed());
    let log = options().open_or_create(&stage.log).unwrap();
    let stop = AtomicBool::new(false);
    let mut all = Vec::new();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (log, stop) = (&log, &stop);
            scope.spawn(move || write(log, writer, stop));
        }
        for kill in 0..KILLS {
            let shipper =
                stage.start(&["--linger=1ms", "--keep-acked=1ms", "--unit=64K", "--in-flight=256K"]);
            // Whatever it does by then.
            thread::sleep(Duration::from_millis(random.below(if kill % 5 == 0 { 900 } else { 150 })));
            all.extend(rotated(&log));
            if random.below(2) == 0 {
                log.compress(&Compress::new(Compression::Zstd), |_| {}).unwrap();
            }
            log.prune(&Retention::default().keep(0)).unwrap();
            shipper.kill();
        }
        stop.store(true, Ordering::Relaxed);
    });
    all.extend(rotated(&log));
    stage.ship(&["--keep-acked=1ms"]).is(0, "");
    let shipped = stage.shipped();
    println!("{} bytes", all.len());
    assert_eq!(shipped.len(), all.len());
    assert!(shipped == all, "other bytes");
    assert_eq!(parse(&shipped).lines.len() as u64, WRITERS);
    assert!(received(&stage) == all, "received otherwise");
    let shipper = stage.start(&["--keep-acked=1ms"]);
    until("the hold lets everything go", || {
        let pruned = log.prune(&Retention::default().keep(0)).unwrap();
        (pruned.first_kept == all.len() as u64 || log.oldest().unwrap().get() == all.len() as u64)
            .then_some(())
    });
    shipper.end().is(0, "");
}
