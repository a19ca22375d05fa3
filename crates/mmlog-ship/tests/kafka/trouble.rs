//! Topics that are not what they should be, servers that are away, hang, refuse or let nobody in, and what was typed wrongly.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::common::until;
use super::kafka_stage::{Cluster, TOPIC};
use super::served::{certificate, port};
use super::stage::{Ended, Shipper, Stage};

#[test]
fn a_cluster_that_is_put_back_is_filled_up_again_and_one_that_is_new_needs_a_person() {
    let (cluster, stage) = (Cluster::start(), Stage::new());
    let mut all = stage.lines(0, 500);
    stage.shipped_to(&cluster.address(), &[]).is(0, "");
    let earlier = cluster.end();
    all.extend(stage.lines(500, 1500));
    stage.shipped_to(&cluster.address(), &[]).is(0, "");
    let back = Cluster::start();
    back.put_back(&cluster, earlier);
    stage.shipped_to(&back.address(), &[]).is(0, "it had acknowledged: they are sent again");
    assert!(back.shipped() == (all.clone(), 0));
    let wiped = Cluster::start();
    for _ in 0..2 {
        stage.shipped_to(&wiped.address(), &[]).is(4, "--sink-is-new");
    }
    assert_eq!(wiped.end(), 0);
    stage.shipped_to(&wiped.address(), &["--sink-is-new=restart"]).is(0, "");
    assert!(wiped.shipped() == (all.clone(), 0));
    // One that another shipper of the same log has filled.
    let other = stage.dir.path().join("other").display().to_string();
    let (filled, more) = (Cluster::start(), ["--name=other", "--checkpoint", &other, "--unit=1K"]);
    stage.shipped_to(&filled.address(), &more).is(0, "");
    stage.shipped_to(&filled.address(), &[]).is(4, "--sink-is-new");
    assert!(filled.shipped() == (all, 0));
}

#[test]
fn what_is_missing_or_somebody_elses_gets_nothing() {
    let (cluster, stage) = (Cluster::start(), Stage::new());
    stage.lines(0, 10);
    let refused = |address: &str, why: &str| {
        for more in ["--check", "--until-now"] {
            Ended::of(&stage.shipping(address, &[more]).output().unwrap()).is(4, why);
        }
    };
    refused(&cluster.partition(3), "has partitions 0 to 2");
    cluster.mock.topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    refused(&cluster.address(), "there is no topic logs: make it");
    cluster.mock.topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    cluster.send(b"somebody else's");
    refused(&cluster.address(), "is no unit");
    assert_eq!(cluster.end(), 1);
    // Of another log.
    let (other, whole) = (Stage::new(), Cluster::start());
    let all = other.lines(0, 100);
    other.shipped_to(&whole.address(), &[]).is(0, "");
    refused(&whole.address(), "--accept-fork");
    // What comes in between later is left out, and said.
    whole.send(b"somebody else's");
    let all = [all, other.lines(100, 200)].concat();
    other.shipped_to(&whole.address(), &[]).is(0, "1 are no units: somebody else writes there");
    let ended = other.shipped_to(&whole.address(), &[]).is(0, "");
    assert!(!ended.said.contains("no units"), "{ended:?}");
    assert!(whole.shipped() == (all, 1));
}

#[test]
fn a_topic_that_is_compacted_gets_nothing_and_one_that_takes_less_gets_shorter_units() {
    let (cluster, stage) = (Cluster::start(), Stage::new());
    let all = stage.lines(0, 10_000);
    cluster.refuse(RDKafkaApiKey::Produce, RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD, 1);
    stage.shipped_to(&cluster.address(), &[]).is(4, "the topic is compacted");
    assert_eq!(cluster.end(), 0);
    cluster.refuse(RDKafkaApiKey::Produce, RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 3);
    stage.shipped_to(&cluster.address(), &[]).is(0, "units have 124488 bytes at most from now on");
    assert!(cluster.shipped() == (all, 0));
}

#[test]
fn a_server_that_is_away_slow_or_hangs_is_waited_for_and_a_signal_is_heard_meanwhile() {
    let (cluster, stage) = (Cluster::start(), Stage::new());
    let mut all = stage.lines(0, 100);
    let away = format!("kafka://127.0.0.1:{}/logs?partition=0", port());
    stage.shipped_to(&away, &["--give-up=0s"]).is(1, "Connection refused");
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let half_open = format!("kafka://127.0.0.1:{}/logs?partition=0", hangs.local_addr().unwrap().port());
    stage.shipped_to(&half_open, &["--give-up=0s", "--timeout=1s"]).is(1, "no answer in time");
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let half_open = format!("kafka://127.0.0.1:{}/logs?partition=0", hangs.local_addr().unwrap().port());
    let shipper = Shipper::of(&mut stage.shipping(&half_open, &["--timeout=10m"]));
    hangs.accept().unwrap();
    // Ten minutes are not waited for.
    shipper.end().is(0, "");
    let rtt = std::time::Duration::from_millis(300);
    (1..4).for_each(|broker| cluster.mock.broker_round_trip_time(broker, rtt).unwrap());
    stage.shipped_to(&cluster.address(), &[]).is(0, "");
    (1..4).for_each(|broker| cluster.mock.broker_round_trip_time(broker, rtt / 300).unwrap());
    // All that lead go down while it follows; what comes meanwhile is there afterwards.
    let reader = cluster.reader();
    let shipper = Shipper::of(&mut stage.shipping(&cluster.address(), &["--timeout=1s"]));
    until("it ships", || (reader.bytes() == all.len()).then_some(()));
    (1..4).for_each(|broker| cluster.mock.broker_down(broker).unwrap());
    all.extend(stage.lines(100, 20_000));
    let state = || fs::read_to_string(stage.dir.path().join("app.log.mmlog-ship-kafka-logs-0.state"));
    until("it says so", || state().is_ok_and(|text| text.contains("away")).then_some(()));
    (1..4).for_each(|broker| cluster.mock.broker_up(broker).unwrap());
    until("all is there", || (reader.bytes() == all.len()).then_some(()));
    shipper.end().is(0, "reached again");
    assert!(reader.end().0 == all);
}

#[test]
fn who_is_not_let_in_and_who_is_not_vouched_for_is_told_so_and_sends_nothing() {
    let (cluster, stage) = (Cluster::start(), Stage::new());
    stage.lines(0, 10);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.refuse(RDKafkaApiKey::Produce, denied, 10);
    stage.shipped_to(&cluster.address(), &["--give-up=0s"]).is(1, "authorization failed");
    assert_eq!(cluster.end(), 0);
    let Some([ours, key]) = certificate(stage.dir.path(), "ours") else { return };
    let Some([others, _]) = certificate(stage.dir.path(), "others") else { return };
    let encrypted = port();
    let mut server = Command::new("openssl");
    server.args(["s_server", "-quiet", "-accept", &encrypted.to_string(), "-cert"]).arg(&ours);
    let mut server = server
        .arg("-key")
        .arg(&key)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it listens", || std::net::TcpStream::connect(("127.0.0.1", encrypted)).ok());
    let address = format!("kafkas://127.0.0.1:{encrypted}/logs?partition=0");
    let ca = format!("--tls-ca={}", others.display());
    for more in ["--check", "--until-now"] {
        let mut command = stage.shipping(&address, &[more, &ca, "--give-up=0s"]);
        Ended::of(&command.output().unwrap()).is(1, "certificate");
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn a_secret_is_in_a_file_that_others_cannot_read_and_in_no_message_and_what_is_wrong_is_2() {
    let (cluster, stage) = (Cluster::start(), Stage::new());
    stage.lines(0, 10);
    let secret = stage.dir.path().join("secret");
    let with = |text: &str, mode: u32, more: &[&str]| {
        fs::write(&secret, text).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        let mut command = stage.shipping(&cluster.address(), more);
        let ended = Ended::of(&command.arg("--credentials").arg(&secret).output().unwrap());
        assert!(!ended.said.contains("geheim") && !ended.printed.contains("geheim"), "{ended:?}");
        ended
    };
    let whole = "user shipper\npassword geheim\nmechanism SCRAM-SHA-256\n";
    for more in ["--check", "--until-now"] {
        with(whole, 0o644, &[more]).is(2, "everybody may read this secret");
        with("user geheim\n", 0o600, &[more]).is(2, "password WORD");
        with("user a\npassword geheim\nmechanism geheim\n", 0o600, &[more]).is(2, "SCRAM-SHA-512");
        // This server knows nobody.
        with(whole, 0o600, &[more, "--give-up=0s", "--timeout=1s"]).is(1, "");
    }
    let typed = [
        cluster.address().replace("kafka://", "kafka://shipper:geheim@"),
        cluster.address().replace("?partition=0", "?password=geheim"),
        cluster.address().replace("logs", "geh/eim"),
        format!("kafka://127.0.0.1:geheim/{TOPIC}?partition=0"),
        "kafka:geheim".to_owned(),
    ];
    for address in typed {
        let ended = Ended::of(&stage.shipping(&address, &[]).output().unwrap());
        assert!(ended.code == 2 && !ended.said.contains("geheim"), "{ended:?}");
    }
    let none = stage.dir.path().join("none");
    fs::write(&none, "no certificate").unwrap();
    let ca = format!("--tls-ca={}", none.display());
    stage.shipped_to(&cluster.address(), &[&ca]).is(2, "kafkas:// is one that is");
    stage.shipped_to(&cluster.address().replace("kafka:", "kafkas:"), &[&ca]).is(2, "no certificate in PEM");
    assert_eq!(cluster.end(), 0);
}
