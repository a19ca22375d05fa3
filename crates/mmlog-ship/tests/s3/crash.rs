//! Each step that a store can see: a shipper ends at each of them, again and again, and is gone on for by the next.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use super::common::surgeon::{COPYING, Surgeon};
use super::common::{Actor, parameter, say};
use super::receiving::receive;
use super::s3_stage::Server;
use super::s3_stage::strict::Strict;
use super::stage::{Stage, said_to_the_end};
use super::{PREFIX, stored};

const POINTS: [&str; 5] =
    ["ship:s3-begun", "ship:s3-gaps", "ship:s3-part", "ship:s3-parts", "ship:s3-stored"];

static PASSED: AtomicU64 = AtomicU64::new(0);

/// Ships what is final, and says which of those points it passes; ends at that one of them.
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
    let words = ["mmlogctl-ship", "ship", "--until-now", "--in-flight=5M"].map(str::to_owned);
    let [to, log, secret] = ["TO", "LOG", "SECRET"].map(parameter::<String>);
    let line = words.into_iter().chain([format!("--to={to}"), format!("--credentials={secret}"), log]);
    mmlog_ship::cli::main(line.map(Into::into));
    say("ended");
}

#[test]
fn a_shipper_that_ends_at_any_point_is_gone_on_for_by_the_next() {
    let strict = Strict::start();
    let server = Server::Strict(strict.clone());
    let stage = Stage::new();
    let mut whole = Vec::new();
    let mut passed = BTreeMap::new();
    let long = [&[b'x'; (5 << 20) + 1000][..], b"\n"].concat();
    for point in 0.. {
        stage.lines(10 * point, 10 * point + 5);
        // So that each run has all there is to pass, and no more.
        if point == 0 {
            stage.append(&long);
            Surgeon::new(&stage.log).append_in_flight(3, COPYING, 100);
            stage.lines(10 * point + 5, 10 * point + 10);
        }
        whole.extend(fs::read(stage.rotate()).unwrap());
        let parameters = [
            ("LOG", stage.log.display().to_string()),
            ("TO", server.address(PREFIX)),
            ("SECRET", stage.secret().display().to_string()),
            ("END", point.to_string()),
        ];
        let said = said_to_the_end(Actor::new("ship", &parameters));
        assert!(whole.starts_with(&stored(&server)), "at point {point}");
        let is_over = (said.len() as u64) < point;
        for name in said {
            *passed.entry(name).or_insert(0) += 1;
        }
        if is_over {
            break;
        }
    }
    println!("{passed:?}");
    assert!(POINTS.iter().all(|name| passed.contains_key(*name)), "{passed:?}");
    stage.ship_to(&server, &[]).is(0, "");
    assert!(stored(&server) == whole);
    assert_eq!(strict.uploads(), 0, "an upload was left");
    receive(&stage, &server, "in", &["--verify", stage.log.to_str().unwrap()]).is(0, "have no content: hole");
    server.is_content();
}
