//! The way back from a stream.

use std::process::Command;
use std::thread;
use std::time::Duration;

use super::SUBJECT;
use super::common::{Random, seed, until};
use super::nats_stage::{Server, servers};
use super::stage::{Ended, Shipper, Stage, committed};

/// What is received from there, into a directory of that name.
pub(super) fn receive(stage: &Stage, server: &Server, into: &str, more: &[&str]) -> Command {
    stage.receiving(&server.address(SUBJECT).replace("?create=1", ""), into, more)
}

/// The one log in that directory.
pub(super) fn received(stage: &Stage, into: &str) -> Vec<u8> {
    stage.received(into)
}

#[test]
fn what_was_shipped_is_received_and_gone_on_with_and_what_is_wrong_needs_a_person() {
    for server in servers() {
        let (stage, mut server) = (Stage::new(), Server::start(&server));
        let mut all = stage.lines(0, 3000);
        let now = |server: &Server, more: &[&str]| {
            Ended::of(&receive(&stage, server, "in", &[&["--until-now"], more].concat()).output().unwrap())
        };
        until("the server answers", || {
            (now(&server, &[]).said.contains("nothing was shipped")).then_some(())
        });
        stage.ship_to(&server, &["--unit=4K"]).is(0, "");
        now(&server, &[]).is(0, "");
        assert!(received(&stage, "in") == all);
        all.extend(stage.lines(3000, 5000));
        stage.ship_to(&server, &["--unit=4K"]).is(0, "");
        server.restart();
        now(&server, &[&format!("--verify={}", stage.log.display())]).is(0, "");
        assert!(received(&stage, "in") == all);
        let had = all.len();
        // Gone before they were received, and put back to an earlier state.
        all.extend(stage.lines(5000, 9000));
        stage.ship_to(&server, &["--unit=4K"]).is(0, "");
        server.kill();
        let earlier = stage.dir.path().join("earlier");
        server.save(&earlier);
        server.go_on();
        server.remove_up_to(SUBJECT, server.last(SUBJECT) - 3);
        now(&server, &[]).is(4, "--accept-gap");
        now(&server, &["--accept-gap"]).is(0, "have no content");
        let got = received(&stage, "in");
        assert!(got.len() < all.len() && got[..had] == all[..had] && all.ends_with(&got[had..]));
        let more = stage.lines(9000, 9100);
        stage.ship_to(&server, &[]).is(0, "");
        now(&server, &[]).is(0, "");
        // Put back, and filled again in other units: what was gone for this reader stays a gap.
        server.kill();
        server.put_back(&earlier);
        server.go_on();
        now(&server, &[]).is(0, "its shipper fills it again");
        stage.ship_to(&server, &["--unit=3K"]).is(0, "they are sent again");
        now(&server, &[]).is(0, "what it has is what was received");
        assert!(received(&stage, "in") == [&got[..], &more].concat());
        now(&server, &[&format!("--verify={}", stage.log.display())]).is(0, "");
    }
}

fn has_all(receiver: &mut Shipper, stage: &Stage) {
    until("it has all", || {
        assert!(receiver.is_running(), "it ended");
        (stage.received_yet("in")? == committed(&stage.log)).then_some(())
    });
}

#[test]
fn a_stream_that_is_put_back_again_and_again_is_followed_to_the_last_byte() {
    for server in servers() {
        let (stage, mut server) = (Stage::new(), Server::start(&server));
        stage.lines(0, 1000);
        stage.ship_to(&server, &["--unit=4K"]).is(0, "");
        let mut receiver = Shipper::of(&mut receive(&stage, &server, "in", &[]));
        server.kill();
        let earlier = stage.dir.path().join("earlier");
        server.save(&earlier);
        server.go_on();
        for round in 1..5 {
            stage.lines(round * 1000, round * 1000 + 500);
            stage.ship_to(&server, &["--unit=4K"]).is(0, "");
            has_all(&mut receiver, &stage);
            server.kill();
            server.put_back(&earlier);
            server.go_on();
            stage.lines(round * 1000 + 500, round * 1000 + 1000);
            stage.ship_to(&server, &[&format!("--unit={}K", 4 + round)]).is(0, "they are sent again");
        }
        has_all(&mut receiver, &stage);
        receiver.end().is(0, "what it has is what was received");
    }
}

#[test]
fn a_first_start_on_a_stream_that_was_trimmed_says_from_where_on_it_has_bytes() {
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start(&server));
        let all = stage.lines(0, 1000);
        stage.ship_to(&server, &["--unit=4K"]).is(0, "");
        server.remove_up_to(SUBJECT, server.last(SUBJECT) - 2);
        let mut first = receive(&stage, &server, "in", &["--until-now"]);
        Ended::of(&first.output().unwrap()).is(0, "have no content: their units are gone from the sink");
        let got = received(&stage, "in");
        assert!(got.len() < all.len() && all.ends_with(&got));
    }
}

#[test]
fn what_was_removed_before_it_was_received_is_said_also_where_nothing_comes_behind_it() {
    for server in servers() {
        let (stage, server) = (Stage::new(), Server::start(&server));
        let now = |more: &[&str]| {
            Ended::of(&receive(&stage, &server, "in", &[&["--until-now"], more].concat()).output().unwrap())
        };
        let all = stage.lines(0, 100);
        stage.ship_to(&server, &[]).is(0, "");
        now(&[]).is(0, "");
        stage.lines(100, 200);
        stage.ship_to(&server, &[]).is(0, "");
        server.remove_up_to(SUBJECT, server.last(SUBJECT));
        now(&[]).is(4, "--accept-gap");
        now(&["--accept-gap"]).is(0, "are gone");
        assert!(received(&stage, "in") == all);
        // What comes behind it later says how much that was.
        let more = stage.lines(200, 300);
        stage.ship_to(&server, &[]).is(0, "");
        now(&[]).is(4, "--accept-gap makes that a gap");
        now(&["--accept-gap"]).is(0, "their units are gone from the sink");
        assert!(received(&stage, "in") == [all, more].concat());
    }
}

#[test]
fn a_receiver_that_follows_waits_for_a_stream_and_goes_on_whoever_is_killed() {
    for server in servers() {
        let (stage, mut server) = (Stage::new(), Server::start(&server));
        let mut random = Random::new(seed());
        let start = |server: &Server| Shipper::of(&mut receive(&stage, server, "in", &[]));
        let mut receiver = Some(start(&server));
        let mut all = Vec::new();
        for round in 0..12 {
            all.extend(stage.lines(round * 1000, round * 1000 + 1000));
            stage.ship_to(&server, &["--unit=4K", "--timeout=5s"]).is(0, "");
            thread::sleep(Duration::from_millis(random.below(30)));
            match round % 3 {
                0 => server.restart(),
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
}
