//! Each step of what is sent by HTTP: a shipper ends at each of them, again and again, and is gone on for by the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::common::{Actor, parameter, say};
use super::http_stage::{Server, WAYS};
use super::lines;
use super::stage::{Stage, said_to_the_end};

const POINTS: [&str; 6] = [
    "ship:http-taken",
    "ship:sent",
    "ship:acknowledged",
    "ship:checkpoint-written",
    "ship:checkpoint-named",
    "ship:checkpoint-durable",
];

static PASSED: AtomicU64 = AtomicU64::new(0);

/// Ships what there is, and says which of those points it passes; ends at that one of them.
pub(super) fn ship() {
    mmlog::crash::set_hook(|name| {
        if !POINTS.contains(&name) {
            return;
        }
        if PASSED.fetch_add(1, Ordering::Relaxed) == parameter::<u64>("END") {
            std::process::abort();
        }
        say(name);
    });
    let words = ["mmlogctl-ship", "ship", "--until-now", "--unit=1K", "--keep-acked=0s"].map(str::to_owned);
    let [to, log] = ["TO", "LOG"].map(parameter::<String>);
    mmlog_ship::cli::main(words.into_iter().chain([format!("--to={to}"), log]).map(Into::into));
    say("ended");
}

#[test]
fn a_shipper_that_ends_at_any_point_is_gone_on_for_by_the_next() {
    for way in WAYS {
        let (server, stage) = (Server::start(), Stage::new());
        // The same each time, until nothing is left of it: nothing is written down before the end of a short run, so all comes again.
        let mut all = stage.lines(0, 60);
        let mut passed = BTreeMap::new();
        for point in 0.. {
            let parameters = [
                ("LOG", stage.log.display().to_string()),
                ("TO", server.address(way)),
                ("END", point.to_string()),
            ];
            let said = said_to_the_end(Actor::new("ship", &parameters));
            assert!(all.starts_with(&lines(&server.records())), "{way:?} at point {point}");
            let is_over = (said.len() as u64) < point;
            for name in said {
                *passed.entry(name).or_insert(0) += 1;
            }
            if is_over {
                break;
            }
        }
        println!("{way:?}: {passed:?}");
        assert!(POINTS.iter().all(|name| passed.contains_key(*name)), "{passed:?}");
        all.extend(stage.lines(60, 70));
        stage.shipped_to(&server.address(way), &[]).is(0, "");
        assert!(lines(&server.records()) == all, "{way:?}");
    }
}
