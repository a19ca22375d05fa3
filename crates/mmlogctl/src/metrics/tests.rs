//! The table keeps what Prometheus, Nagios and an operator expect of it.

use std::collections::HashSet;

use super::*;
use crate::sample;

#[test]
fn every_name_is_there_once() {
    let distinct = |of: fn(&Metric) -> &str| ALL.iter().map(of).collect::<HashSet<_>>().len();
    assert_eq!([distinct(|m| m.name), distinct(|m| m.family), distinct(|m| m.help)], [ALL.len(); 3]);
}

#[test]
fn families_keep_the_conventions_of_prometheus() {
    for Metric { name, unit, kind, family, help, .. } in ALL {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(family.starts_with("mmlog_") && family.chars().all(plain), "{name}: {family}");
        assert_eq!(*kind == Kind::Counter, family.ends_with("_total"), "{name}: {family}");
        let base = family.trim_end_matches("_total");
        let ends = |unit| base.ends_with(unit);
        let (bytes, seconds) = (ends("_bytes"), ends("_seconds"));
        assert_eq!((bytes, seconds), (*unit == Unit::Bytes, *unit == Unit::Seconds), "{name}: {family}");
        for never in ["_count", "_sum", "_bucket", "_info", "_ms", "_kb"] {
            assert!(!family.ends_with(never), "{name}: {family}");
        }
        assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}: {help}");
    }
}

#[test]
fn names_need_no_quotes_in_performance_data() {
    assert!(ALL.iter().all(|m| m.name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
}

#[test]
fn every_threshold_says_what_to_do() {
    let judged = ALL.iter().filter_map(|m| m.judged.as_ref());
    assert!(judged.clone().count() > 10 && judged.clone().all(|j| !j.next.is_empty()));
    for command in judged.flat_map(|j| j.next.split('`').skip(1).step_by(2)) {
        let words = command.split(' ').map(std::ffi::OsString::from);
        assert!(crate::cli::parse(words).is_ok() && command.contains("LOG"), "{command}");
    }
    let too_little = |m: &&Metric| m.judged.as_ref().is_some_and(|j| j.bad == Bad::TooLittle);
    assert_eq!(ALL.iter().filter(too_little).map(|m| m.name).collect::<Vec<_>>(), ["free", "inodes"]);
}

#[test]
fn values_are_those_of_the_status() {
    let status = sample::worst();
    let value = |name| Metric::find(name).and_then(|m| (m.value)(&status));
    assert_eq!(value("lag"), Some((1 << 61) - (1 << 60)));
    assert_eq!((value("behind"), value("free")), (Some(1 << 61), Some(1)));
    assert_eq!((value("writers"), value("in_flight"), value("size")), (Some(98), Some(49), Some(8192)));
    let mut status = sample::worst();
    status.lock.held = Ok(false);
    assert_eq!((Metric::find("lock").map(|m| (m.value)(&status))), Some(Some(0)));
    status.lock.held = Err("no".to_owned());
    assert_eq!((Metric::find("lock").map(|m| (m.value)(&status))), Some(None));
}
