//! `check --prom`: a file that a strict parser reads, that has the figures of `status`, and that is replaced as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use mmlog::{Log, Position};
use openmetrics_parser::prometheus::parse_prometheus;
use openmetrics_parser::{PrometheusType, PrometheusValue};

use crate::cli::{Held, Scratch, Tool, mmlogctl, skipped, slot, small_disk, succeeds, write_slot};
use crate::{CONTENT, check};

/// A sample: its family and its labels.
type Series = (String, BTreeMap<String, String>);

/// What a strict parser makes of it; the conventions are checked on the way.
#[track_caller]
fn parsed(text: &str) -> Vec<(Series, f64)> {
    let exposition = parse_prometheus(text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
    let mut samples = Vec::new();
    for (name, family) in &exposition.families {
        for keyword in ["HELP", "TYPE"] {
            assert_eq!(text.matches(&format!("# {keyword} {name} ")).count(), 1, "{keyword} {name}");
        }
        let counts = family.family_type == PrometheusType::Counter;
        assert!(counts || family.family_type == PrometheusType::Gauge, "{name}");
        assert!(counts == name.ends_with("_total") && name.starts_with("mmlog_"), "{name}");
        for sample in family.iter_samples() {
            assert!(sample.timestamp.is_none(), "{name}: the collector refuses times");
            let value = match &sample.value {
                PrometheusValue::Counter(counter) => counter.value.as_f64(),
                PrometheusValue::Gauge(number) => number.as_f64(),
                other => panic!("{name}: {other:?}"),
            };
            let labels = sample.get_labelset().unwrap();
            let labels = labels.iter().map(|(label, value)| (label.clone(), value.clone())).collect();
            samples.push(((name.clone(), labels), value));
        }
    }
    let distinct: BTreeSet<&Series> = samples.iter().map(|(series, _)| series).collect();
    assert_eq!(
        (distinct.len(), text.lines().filter(|l| !l.starts_with('#')).count()),
        (samples.len(), samples.len())
    );
    samples
}

/// The value of the one sample of that family with these labels.
#[track_caller]
fn value(samples: &[(Series, f64)], family: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |(name, has): &Series| {
        name == family && labels.iter().all(|(label, value)| has.get(*label).is_some_and(|v| v == value))
    };
    let found: Vec<f64> =
        samples.iter().filter(|(series, _)| fits(series)).map(|(_, value)| *value).collect();
    assert_eq!(found.len(), 1, "{family} {labels:?}: {found:?}");
    found[0]
}

fn printed(log: &Path, others: &[&Path], code: i32) -> String {
    let ended = mmlogctl("check", log).args(others).args(["--prom", "-"]).run();
    assert!(ended.code == code && ended.stderr.is_empty(), "{ended:?}");
    ended.text()
}

#[test]
fn the_parser_refuses_what_prometheus_does() {
    let scratch = Scratch::new();
    let text = printed(&scratch.log(CONTENT), &[], 0);
    for wrong in [
        text.clone() + &text,
        text.replace("# TYPE mmlog_writers gauge", "# TYPE mmlog_writers meter"),
        text.replace("mmlog_writers{log=", "mmlog_writers{1log="),
        text.replace("mmlog_writers{", "mmlog-writers{"),
        text.replacen("\"} ", "\"}  x", 1),
        text.replacen("log=\"", "log=\"\\q", 1),
    ] {
        assert!(parse_prometheus(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_strict_parser_reads_the_figures_of_status() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let open = Log::options().open(&log).unwrap();
    let _writer = open.writer().unwrap();
    let _hold = open.hold("a \"hold\"", Position::new(4)).unwrap();
    let _stands = Held::slot(&log, 3);
    write_slot(&log, 3, slot(3, 8), 2, std::process::id());
    let samples = parsed(&printed(&log, &[], 1));
    let status = mmlogctl("status", &log).arg("--json").run();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let of = |family: &str| value(&samples, family, &[("log", log.to_str().unwrap())]);
    for (family, key) in [
        ("mmlog_appended_bytes_total", "cursor"),
        ("mmlog_final_bytes_total", "watermark"),
        ("mmlog_file_size_bytes", "file_size"),
        ("mmlog_slack_bytes", "slack"),
        ("mmlog_holes", "holes_total"),
        ("mmlog_rotations_total", "generation"),
    ] {
        assert_eq!(Some(of(family)), status[key].as_f64(), "{family}");
    }
    assert_eq!((of("mmlog_up"), of("mmlog_lag_bytes"), of("mmlog_writers")), (1.0, 6.0, 2.0));
    assert_eq!((of("mmlog_appends_in_flight"), of("mmlog_behind_bytes")), (1.0, 10.0));
    assert_eq!(value(&samples, "mmlog_hold_lag_bytes", &[("hold", "a \"hold\"")]), 10.0);
    assert_eq!(value(&samples, "mmlog_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    let stalled = [("id", "writer-stalled"), ("severity", "warning")];
    assert_eq!(value(&samples, "mmlog_finding", &stalled), 1.0);
    let states = samples.iter().filter(|((name, _), _)| name == "mmlog_state");
    assert_eq!((states.clone().count(), states.map(|(_, value)| value).sum::<f64>()), (8, 1.0));
    assert_eq!(value(&samples, "mmlog_state", &[("state", "STALLED")]), 1.0);
}

#[test]
fn a_path_with_anything_in_it_is_a_label() {
    let scratch = Scratch::new();
    let log = scratch.file("a \"b\" \\c\n{d=\"e\"} # é |.log");
    mmlogctl("append", &log).input(CONTENT).run().is_success();
    let samples = parsed(&printed(&log, &[], 0));
    assert_eq!(value(&samples, "mmlog_appended_bytes_total", &[("log", log.to_str().unwrap())]), 14.0);
}

#[test]
fn several_logs_share_the_families_and_one_that_is_not_there_is_down() {
    let scratch = Scratch::new();
    let (log, missing) = (scratch.log(CONTENT), scratch.file("missing.log"));
    let other = scratch.file("other.log");
    mmlogctl("append", &other).input(b"four").run().is_success();
    let samples = parsed(&printed(&log, &[&missing, &other, &log], 3));
    let of = |family, log: &Path| value(&samples, family, &[("log", log.to_str().unwrap())]);
    assert_eq!([&log, &missing, &other].map(|log| of("mmlog_up", log)), [1.0, 0.0, 1.0]);
    assert_eq!((of("mmlog_appended_bytes_total", &log), of("mmlog_file_size_bytes", &other)), (14.0, 5.0));
    assert_eq!(of("mmlog_finding", &missing), 1.0, "why it is down");
    assert_eq!(samples.iter().filter(|((name, _), _)| name == "mmlog_holes").count(), 2);
}

#[test]
fn the_file_is_replaced_as_a_whole_and_everybody_may_read_it() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let place = scratch.file("textfile");
    fs::create_dir(&place).unwrap();
    let file = place.join("mmlog.prom");
    let write = || {
        let umask = ["-c", "umask 077; exec \"$@\"", "sh"];
        let ended = mmlogctl("check", &log).arg("--prom").arg(&file).through("sh", &umask).run();
        assert!(ended.code == 0 && ended.stderr.is_empty(), "{ended:?}");
        assert!(ended.text().starts_with("OK - ") && ended.text().lines().count() == 1, "{ended:?}");
        fs::metadata(&file).unwrap()
    };
    let first = write();
    assert_eq!(first.permissions().mode() & 0o7777, 0o644);
    // Open, so that its inode cannot be taken again.
    let kept = fs::File::open(&file).unwrap();
    let second = write();
    assert_ne!(first.ino(), second.ino(), "a rename, not a write into the old one");
    assert_eq!(kept.metadata().unwrap().nlink(), 0);
    parsed(&fs::read_to_string(&file).unwrap());
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_file_that_cannot_be_written_is_said_with_what_to_do_and_the_line_is_there_still() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let link = scratch.file("link.prom");
    symlink("/dev/null", &link).unwrap();
    let missing = scratch.file("no-such-directory/mmlog.prom");
    for (file, words) in [
        (missing.as_path(), "make its directory"),
        (scratch.path(), "not a regular file; name a file"),
        (&link, "not a regular file; name a file"),
        (Path::new("/proc/mmlog.prom"), "; "),
    ] {
        let ended = check(&log, &["--prom", file.to_str().unwrap()]);
        assert!(ended.code == 3 && ended.text().starts_with("OK - "), "{ended:?}");
        ended.says(file, &[words]);
    }
    assert!(link.is_symlink());
}

#[test]
fn a_write_that_fails_leaves_the_old_file() {
    let scratch = Scratch::new();
    let Some(disk) = small_disk(&scratch, "64k", "metrics on a full disk") else { return };
    let (log, file) = (scratch.log(CONTENT), disk.join("mmlog.prom"));
    fs::write(&file, "old\n").unwrap();
    let _ = fs::write(disk.join("filler"), vec![1; 64 << 10]);
    let ended = check(&log, &["--prom", file.to_str().unwrap()]);
    assert!(ended.code == 3 && ended.text().starts_with("OK - "), "{ended:?}");
    ended.says(&file, &["No space left", "free some space"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old\n");
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn other_parsers_read_it_too_where_there_are_some() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let text = printed(&log, &[&scratch.file("missing.log")], 3);
    let file = scratch.file("mmlog.prom");
    fs::write(&file, &text).unwrap();
    if succeeds(Command::new("promtool").arg("--version")) {
        let stdin = fs::File::open(&file).unwrap();
        let ended = Command::new("promtool").args(["check", "metrics"]).stdin(stdin).output().unwrap();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    } else {
        skipped("promtool finds nothing to blame in the metrics", "there is no promtool");
    }
    let python = |code: &str| Command::new("python3").args(["-c", code]).arg(&file).output();
    if python("import prometheus_client").is_ok_and(|ended| ended.status.success()) {
        let code = "import sys; from prometheus_client.parser import text_string_to_metric_families as parse; \
                    print(len([s for f in parse(open(sys.argv[1]).read()) for s in f.samples]))";
        let ended = python(code).unwrap();
        let samples = parsed(&text).len().to_string();
        assert_eq!(String::from_utf8_lossy(&ended.stdout).trim(), samples, "{ended:?}");
    } else {
        skipped("Python's client reads the metrics", "there is no python3-prometheus-client");
    }
}

#[test]
fn logs_of_the_same_name_in_two_directories_are_told_apart() {
    let scratch = Scratch::new();
    let metrics = ["one", "two"].map(|name| {
        let directory = scratch.file(name);
        std::fs::create_dir(&directory).unwrap();
        let here = |tool: Tool| tool.with(|command| command.current_dir(&directory));
        here(mmlogctl("append", Path::new("app.log"))).input(b"a line\n").run().is_success();
        let metrics = here(mmlogctl("check", Path::new("app.log"))).args(["--prom", "-"]).run().text();
        let is_of_it = |line: &&str| line.contains(&format!("directory=\"{}\"", directory.display()));
        let of_logs = metrics.lines().filter(|line| line.contains("{log=\"app.log\""));
        assert!(of_logs.clone().count() > 20 && of_logs.clone().all(|line| is_of_it(&line)), "{metrics}");
        of_logs.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<Vec<_>>()
    });
    assert!(metrics[0].iter().all(|series| !metrics[1].contains(series)));
}
