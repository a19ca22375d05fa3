//! The way back from a stream.

use std::thread;
use std::time::Duration;

use super::common::{Random, seed, until};
use super::redis_stage::{KEY, Server};
use super::stage::{Ended, Shipper, Stage};

fn now(stage: &Stage, server: &Server, more: &[&str]) -> Ended {
    let more = [&["--until-now"], more].concat();
    Ended::of(&stage.receiving(&server.address(), "in", &more).output().unwrap())
}

#[test]
fn what_was_shipped_is_received_and_gone_on_with_and_what_is_wrong_needs_a_person() {
    let Some(mut server) = Server::start() else { return };
    let stage = Stage::new();
    let mut all = stage.lines(0, 3000);
    drop(server.connection());
    now(&stage, &server, &[]).is(1, "nothing was shipped");
    stage.ship_to(&server, &["--unit=4K"]).is(0, "");
    now(&stage, &server, &[]).is(0, "");
    assert!(stage.received("in") == all);
    all.extend(stage.lines(3000, 5000));
    stage.ship_to(&server, &["--unit=4K"]).is(0, "");
    server.process.restart();
    now(&stage, &server, &[&format!("--verify={}", stage.log.display())]).is(0, "");
    assert!(stage.received("in") == all);
    let had = all.len();
    // Gone before they were received.
    all.extend(stage.lines(5000, 9000));
    stage.ship_to(&server, &["--unit=4K"]).is(0, "");
    server.trim_to(4);
    now(&stage, &server, &[]).is(4, "--accept-gap");
    now(&stage, &server, &["--accept-gap"]).is(0, "have no content");
    let got = stage.received("in");
    assert!(got.len() < all.len() && got[..had] == all[..had] && all.ends_with(&got[had..]));
    // It is another one.
    server.told(&["DEL", KEY]);
    now(&stage, &server, &[]).is(1, "nothing was shipped");
    stage.ship_to(&server, &["--sink-is-new=restart"]).is(0, "");
    now(&stage, &server, &[]).is(4, "made anew");
}

#[test]
fn what_was_removed_before_it_was_received_is_said_also_where_nothing_comes_behind_it() {
    let Some(server) = Server::start() else { return };
    let stage = Stage::new();
    let all = stage.lines(0, 100);
    stage.ship_to(&server, &[]).is(0, "");
    now(&stage, &server, &[]).is(0, "");
    stage.lines(100, 200);
    stage.ship_to(&server, &[]).is(0, "");
    server.trim_to(0);
    now(&stage, &server, &[]).is(4, "--accept-gap");
    now(&stage, &server, &["--accept-gap"]).is(0, "are gone");
    assert!(stage.received("in") == all);
}

#[test]
fn a_receiver_that_follows_waits_for_a_stream_and_goes_on_whoever_is_killed() {
    let Some(mut server) = Server::start() else { return };
    let stage = Stage::new();
    let mut random = Random::new(seed());
    let start = |server: &Server| Shipper::of(&mut stage.receiving(&server.address(), "in", &[]));
    let mut receiver = Some(start(&server));
    let mut all = Vec::new();
    for round in 0..12 {
        all.extend(stage.lines(round * 1000, round * 1000 + 1000));
        stage.ship_to(&server, &["--unit=4K", "--timeout=5s"]).is(0, "");
        thread::sleep(Duration::from_millis(random.below(30)));
        match round % 3 {
            0 => server.process.restart(),
            1 => {
                // The next one finds nobody there.
                receiver.take().unwrap().kill();
                receiver = Some(start(&server));
            }
            _ => {}
        }
    }
    let mut receiver = receiver.unwrap();
    until("it has all", || {
        assert!(receiver.is_running(), "it ended");
        (stage.received_yet("in")? == all).then_some(())
    });
    receiver.end().is(0, "");
}
