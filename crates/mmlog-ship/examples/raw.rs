//! What a client alone does: units of one size, as fast as a server takes them, with the fence of the shipper's. What `ship` is measured
//! beside (tests/measure.sh ship).
//!   raw nats ADDRESS SUBJECT UNIT BYTES | raw redis ADDRESS KEY UNIT BYTES
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic)]

use std::collections::VecDeque;
use std::time::Instant;

use async_nats::jetstream::stream::Config;
use async_nats::{HeaderMap, jetstream};

/// Bytes on their way, as the shipper has them.
const WINDOW: usize = 8 << 20;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let (server, place) = (&words[2], &words[3]);
    let (unit, bytes): (usize, usize) = (words[4].parse().unwrap(), words[5].parse().unwrap());
    let begun = Instant::now();
    match &words[1][..] {
        "nats" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(nats(server, place, unit, bytes / unit));
        }
        "redis" => redis(server, place, unit, bytes / unit),
        other => panic!("no server {other:?}"),
    }
    println!("{:.3}", begun.elapsed().as_secs_f64());
}

async fn nats(server: &str, subject: &str, unit: usize, units: usize) {
    let client = async_nats::connect(server).await.unwrap();
    let context = jetstream::new(client);
    let config = Config { name: "raw".to_owned(), subjects: vec![subject.to_owned()], ..Config::default() };
    context.create_stream(config).await.unwrap();
    let payload = bytes_of(unit);
    let mut out = VecDeque::new();
    for number in 0..units {
        if out.len() * unit >= WINDOW {
            let ack: jetstream::context::PublishAckFuture = out.pop_front().unwrap();
            ack.await.unwrap();
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Sequence", number.to_string().as_str());
        headers.insert("Nats-Msg-Id", format!("{number:016x}").as_str());
        if number > 0 {
            headers.insert("Nats-Expected-Last-Msg-Id", format!("{:016x}", number - 1).as_str());
        }
        let sent = context.publish_with_headers(subject.to_owned(), headers, payload.clone().into());
        out.push_back(sent.await.unwrap());
    }
    for ack in out {
        ack.await.unwrap();
    }
}

fn redis(server: &str, key: &str, unit: usize, units: usize) {
    let mut connection = redis::Client::open(server).unwrap().get_connection().unwrap();
    let payload = bytes_of(unit);
    let mut number = 0;
    while number < units {
        let mut pipe = redis::pipe();
        pipe.atomic();
        // Transactions of the size of the shipper's largest.
        for _ in 0..((4 << 20) / unit).max(1).min(units - number) {
            number += 1;
            pipe.cmd("XADD").arg(key).arg(format!("{number}-0")).arg("payload").arg(&payload);
        }
        pipe.query::<redis::Value>(&mut connection).unwrap();
    }
}

fn bytes_of(unit: usize) -> Vec<u8> {
    b"2026-12-01T00:00:00Z a line of a log, of some length, as they are\n"
        .iter()
        .copied()
        .cycle()
        .take(unit)
        .collect()
}
