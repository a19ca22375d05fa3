//! Guards what is written: units and the checkpoint come back as they were, and what is damaged, too long or of a later version is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use mmlog_ship::checkpoint::{Checkpoint, Counts, Known, Place};
use mmlog_ship::unit::{Header, Kind, LONGEST, Proof};
use mmlog_ship::{Error, sum};

fn header(to: u64) -> Header {
    let proof = Proof::at(10).and(10, to, sum::extend(0, b"hello\n"));
    let sum = sum::extend(0, b"hello\n");
    let kind = Kind::Content;
    Header {
        kind,
        log: 1 << 100,
        epoch: 3,
        from: 10,
        to,
        sum,
        proof,
        after: 5,
        over: 6,
        by: 7,
        connection: 8,
    }
}

fn read(fields: &[(&'static str, String)]) -> Result<Header, Error> {
    let pairs: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Header::read(42, &pairs)
}

#[test]
fn a_unit_comes_back_and_its_payload_is_checked() {
    let unit = header(16);
    let mut fields = unit.fields();
    fields.push(("Nats-Msg-Id", "anything".to_owned()));
    assert_eq!(read(&fields), Ok(unit));
    assert_eq!(unit.check(42, b"hello\n"), Ok(()));
    for other in [&b"hello"[..], b"hellO\n", b"hello\n\n", b""] {
        assert!(matches!(unit.check(42, other), Err(Error::Damaged { .. })), "{other:?}");
    }
}

#[test]
fn a_unit_of_which_any_field_is_another_is_refused() {
    for i in 0..header(16).fields().len() {
        let mut fields = header(16).fields();
        fields[i].1.push('1');
        assert!(read(&fields).is_err(), "{:?}", fields[i]);
        let mut twice = header(16).fields();
        twice.push(twice[i].clone());
        assert!(read(&twice).is_err(), "two of {:?}", twice[i]);
        let mut without = header(16).fields();
        without.remove(i);
        assert!(read(&without).is_err(), "without {i}");
    }
}

#[test]
fn a_later_version_is_refused_with_its_version_whatever_else_it_has() {
    let later = read(&[("mm-v", "2".to_owned())]).unwrap_err();
    assert_eq!(
        later.to_string(),
        "the unit at 42 is of version 2, and this program reads up to 1: use the later one"
    );
    let later = Checkpoint::read("version 7\nanything\n").unwrap_err();
    assert!(matches!(later, Error::Later { version: 7, .. }), "{later}");
}

#[test]
fn a_length_that_does_not_fit_is_refused_with_the_coordinate() {
    let refused = read(&header(11 + LONGEST).fields()).unwrap_err();
    assert_eq!(refused, Error::TooLong { coordinate: 42, said: LONGEST + 1, most: LONGEST });
    assert!(read(&Header { from: 20, ..header(16) }.fields()).is_err());
}

#[test]
fn a_checkpoint_comes_back_and_a_damaged_one_does_not() {
    let place = Place { coordinate: 9, id: 11, to: 16, proof: header(16).proof };
    let counts = Counts { bytes: 1, units: 2, resent: 3, gaps: 4 };
    for place in [None, Some(place)] {
        let known = Known { log: 5, epoch: 2, born: 1, place };
        let whole = Checkpoint { sink: "nats://host/a b\nc".to_owned(), known, counts };
        let text = whole.write();
        let sink = whole.sink.escape_debug().to_string();
        assert_eq!(Checkpoint::read(&text), Ok(Checkpoint { sink, ..whole.clone() }));
        // What a longer file of before may have left there.
        for behind in ["x\n", "coordinate 9\n", "\n", &text, &text[text.rfind("bytes").unwrap()..]] {
            assert!(Checkpoint::read(&format!("{text}{behind}")).is_err(), "with {behind:?}");
        }
        for cut in 0..text.len() {
            assert!(Checkpoint::read(&text[..cut]).is_err(), "cut at {cut}");
            let mut bytes = text.clone().into_bytes();
            bytes[cut] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(Checkpoint::read(&changed).is_err(), "changed at {cut}: {changed}");
        }
    }
}

#[test]
fn sums_are_the_same_however_the_bytes_are_cut() {
    let bytes: Vec<u8> = (0..300_u32).map(|i| (i * 7 % 251) as u8).collect();
    let whole = sum::extend(0, &bytes);
    for at in 0..bytes.len() {
        let (first, second) = (sum::extend(0, &bytes[..at]), sum::extend(0, &bytes[at..]));
        let length = (bytes.len() - at) as u64;
        assert_eq!(sum::extend(first, &bytes[at..]), whole);
        assert_eq!(sum::join(first, second, length), whole);
        assert_eq!(sum::without(whole, first, length), second);
    }
    assert_ne!(sum::extend(0, b"\0"), sum::extend(0, b"\0\0"));
}
