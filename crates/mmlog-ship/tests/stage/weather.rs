//! What goes on at a log while it is shipped.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mmlog::{Log, Rotation};

use crate::common::{Random, message};

/// Appends, as that writer, until it is told to stop.
pub(crate) fn write(log: &Log, writer: u64, stop: &AtomicBool) {
    let mut appends = log.writer().unwrap();
    let mut random = Random::new(writer + 1);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..20 {
            let len = 30 + random.below(400) as usize;
            appends.append(&message(writer, number, len)).unwrap();
            number += 1;
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// Makes the data file an old segment, and says what was in it.
pub(crate) fn rotated(log: &Log) -> Vec<u8> {
    log.rotate(&Rotation::default())
        .unwrap()
        .map(|segment| fs::read(segment.path).unwrap())
        .unwrap_or_default()
}
