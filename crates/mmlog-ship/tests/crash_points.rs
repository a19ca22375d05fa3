//! Guards every step of a shipper that others can see: it is ended at each named crash point, again and again, and what is in the sink is
//! right each time, and whole in the end.
#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

#[path = "../../../tests/common/mod.rs"]
mod common;
mod stage;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Actor, parameter, say};
use stage::{Stage, options, unit_files};

/// Points that a shipper passes.
const POINTS: [&str; 13] = [
    "ship:acknowledged",
    "ship:action",
    "ship:checkpoint-durable",
    "ship:checkpoint-named",
    "ship:checkpoint-written",
    "ship:file-linked",
    "ship:file-written",
    "ship:sent",
    "ship:unit-in-part",
    "ship:units-durable",
    "hold:claimed",
    "hold:durable",
    "hold:stored",
];

#[test]
fn role() {
    common::play(&[("ship", ship)]);
}

static PASSED: AtomicU64 = AtomicU64::new(0);

/// Ships what there is, and says which points it passes; ends at that one of them.
fn ship() {
    mmlog::crash::set_hook(|name| {
        if PASSED.fetch_add(1, Ordering::Relaxed) == parameter::<u64>("END") {
            std::process::abort();
        }
        say(name);
    });
    let words = ["mmlogctl-ship", "ship", "--until-now", "--unit=4K", "--in-flight=8K", "--to"];
    let (to, log): (String, String) = (parameter("TO"), parameter("LOG"));
    let line = words.map(str::to_owned).into_iter().chain([to, log]);
    mmlog_ship::cli::main(line.map(Into::into));
    say("ended");
}

fn ended_at(stage: &Stage, point: u64) -> Vec<String> {
    let parameters =
        [("LOG", stage.log.display().to_string()), ("TO", stage.to()), ("END", point.to_string())];
    stage::said_to_the_end(Actor::new("ship", &parameters))
}

#[test]
fn a_shipper_that_ends_at_any_point_is_gone_on_for_by_the_next() {
    let stage = Stage::new();
    let mut all = Vec::new();
    let mut passed = BTreeMap::new();
    let mut point = 0;
    loop {
        let lines = stage.lines(1000 * point, 1000 * point + 200);
        all.extend(lines);
        let said = ended_at(&stage, point);
        let is_over = (said.len() as u64) < point;
        for name in said {
            *passed.entry(name).or_insert(0) += 1;
        }
        if stage.sink.exists() && !unit_files(&stage.sink).is_empty() {
            let there = stage.shipped();
            assert!(all.starts_with(&there), "at point {point}");
        }
        if is_over {
            break;
        }
        point += 1;
    }
    println!("{point} points: {passed:?}");
    assert!(POINTS.iter().all(|name| passed.contains_key(*name)), "{passed:?}");
    stage.ship(&[]).is(0, "");
    assert!(stage.shipped() == all);
    assert_eq!(options().open(&stage.log).unwrap().holds().len(), 1);
}
