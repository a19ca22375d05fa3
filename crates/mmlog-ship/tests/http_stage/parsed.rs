//! What requests have in them, read by what OpenTelemetry and Elasticsearch say of them.

use std::path::Path;

use serde_json::Value;

/// A record that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    pub(crate) is_text: bool,
    pub(crate) gap: String,
    pub(crate) cut: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) service: String,
}

impl Record {
    fn new() -> Self {
        let none = String::new;
        Record {
            id: none(),
            body: vec![],
            is_text: true,
            gap: none(),
            cut: none(),
            host: none(),
            path: none(),
            service: none(),
        }
    }

    /// Where it begins, as its id says.
    pub(crate) fn from(&self) -> u64 {
        let place = self.id.split(':').nth(1).unwrap();
        place.split('-').next().unwrap().parse().unwrap()
    }

    /// As it is stored.
    pub(crate) fn line(&self) -> String {
        let body: String = self.body.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {body} {}.\n", self.id, self.gap)
    }

    /// What is stored there, but for what was cut by a kill, and how many bytes that is.
    pub(crate) fn stored(file: &Path) -> (Vec<Record>, u64) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let whole = text.rfind(".\n").map_or(0, |at| at + 2);
        let text = &text[..whole];
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix(".\n"));
        let records = lines
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let byte = |at: usize| u8::from_str_radix(&words[1][at..at + 2], 16).unwrap();
                let body = (0..words[1].len()).step_by(2).map(byte).collect();
                Record { id: words[0].to_owned(), body, gap: words[2].to_owned(), ..Record::new() }
            })
            .collect();
        (records, whole as u64)
    }
}

type Fields<'a> = Vec<(u64, &'a [u8])>;

/// The fields of a message that have bytes, or so many of them.
fn fields(mut body: &[u8]) -> Fields<'_> {
    let number = |body: &mut &[u8]| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = body[0];
            *body = &body[1..];
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    };
    let mut found = vec![];
    while !body.is_empty() {
        let tag = number(&mut body);
        let len = match tag & 7 {
            1 => 8,
            2 => number(&mut body) as usize,
            wire => panic!("{wire}"),
        };
        found.push((tag >> 3, &body[..len]));
        body = &body[len..];
    }
    found
}

fn one<'a>(fields: &Fields<'a>, field: u64) -> &'a [u8] {
    fields.iter().find(|(it, _)| *it == field).map_or(&[], |(_, value)| value)
}

fn all<'a>(of: &'a [u8], field: u64) -> Vec<Fields<'a>> {
    fields(of).into_iter().filter(|(it, _)| *it == field).map(|(_, value)| fields(value)).collect()
}

fn attribute(attributes: &[Fields<'_>], name: &str) -> String {
    let pair = attributes.iter().find(|pair| one(pair, 1) == name.as_bytes());
    let value = pair.map_or(vec![], |pair| fields(one(pair, 2)));
    String::from_utf8(one(&value, 1).to_vec()).unwrap()
}

pub(crate) fn otlp(body: &[u8]) -> Vec<Record> {
    let mut records = vec![];
    for of_resource in all(body, 1) {
        let of = all(one(&of_resource, 1), 1);
        let of_scope = one(&of_resource, 2);
        for record in all(of_scope, 2) {
            let attributes: Vec<_> =
                record.iter().filter(|(field, _)| *field == 6).map(|(_, pair)| fields(pair)).collect();
            let body = fields(one(&record, 5));
            assert!(one(&record, 1).is_empty() && one(&record, 11).len() == 8, "times");
            records.push(Record {
                id: attribute(&attributes, "log.record.uid"),
                body: body[0].1.to_vec(),
                is_text: body[0].0 == 1,
                gap: attribute(&attributes, "mmlog.gap"),
                cut: attribute(&attributes, "mmlog.cut"),
                host: attribute(&of, "host.name"),
                path: attribute(&of, "log.file.path"),
                service: attribute(&of, "service.name"),
            });
        }
    }
    records
}

pub(crate) fn lines(body: &[u8], is_bulk: bool) -> Vec<Record> {
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.ends_with('\n'));
    let mut records = vec![];
    let mut action = String::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let of =
            |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        if is_bulk && action.is_empty() {
            action = of("/create/_id");
            continue;
        }
        let id = of("/id");
        assert!(!is_bulk || id == std::mem::take(&mut action));
        assert!(of("/@timestamp").ends_with('Z'));
        let base64 = of("/mmlog/base64");
        let is_text = base64.is_empty();
        assert_eq!(!is_text, of("/message").contains('\u{fffd}'));
        records.push(Record {
            id,
            body: if is_text { of("/message").into_bytes() } else { decoded(&base64) },
            is_text,
            gap: of("/mmlog/gap"),
            cut: of("/mmlog/cut"),
            host: of("/host/name"),
            path: of("/log/file/path"),
            service: of("/service/name"),
        });
    }
    records
}

fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').bytes();
    let bits: Vec<u8> = digits
        .map(|digit| DIGITS.iter().position(|it| *it == digit).unwrap() as u8)
        .flat_map(|six| (0..6).rev().map(move |bit| six >> bit & 1))
        .collect();
    bits.chunks_exact(8).map(|eight| eight.iter().fold(0, |all, bit| all << 1 | bit)).collect()
}
