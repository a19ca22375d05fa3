//! Whoever is killed: shipper and server, in the middle of whatever they do.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mmlog::{Compress, Compression, Retention};

use super::common::{Random, seed};
use super::served::Process;
use super::stage::{Shipper, Stage, options};
use super::weather::{rotated, write};

/// How often, as MMLOG_KILLS says.
pub(crate) fn kills() -> u64 {
    std::env::var("MMLOG_KILLS").map_or(20, |kills| kills.parse().unwrap())
}

/// Writers append, the log is rotated, compressed and pruned, and all are killed that often; what was appended. The log has been shipped
/// from before, so that a hold keeps what is not.
pub(crate) fn storm(
    stage: &Stage,
    server: &mut Process,
    kills: u64,
    ship: impl Fn(&[&str]) -> Command,
) -> Vec<u8> {
    let mut random = Random::new(seed());
    let log = options().open_or_create(&stage.log).unwrap();
    let stop = AtomicBool::new(false);
    let mut all = Vec::new();
    let more = ["--linger=1ms", "--keep-acked=10s", "--unit=64K", "--in-flight=1M", "--timeout=1s"];
    thread::scope(|scope| {
        for writer in 0..3 {
            let (log, stop) = (&log, &stop);
            scope.spawn(move || write(log, writer, stop));
        }
        for _ in 0..kills {
            let shipper = Shipper::of(&mut ship(&more));
            for _ in 0..=random.below(3) {
                thread::sleep(Duration::from_millis(random.below(450)));
                server.kill();
                thread::sleep(Duration::from_millis(random.below(50)));
                server.go_on();
            }
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
    all
}
