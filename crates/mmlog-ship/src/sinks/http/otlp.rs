//! The messages of OpenTelemetry's `LogsService/Export`: one of a fixed form goes, one with three fields comes, so they are written and
//! read here.

use super::address::Address;
use super::records::Record;

/// How a field's value is written.
const VARINT: u64 = 0;
const FIXED: u64 = 1;
const BYTES: u64 = 2;
const FIXED_SHORT: u64 = 5;

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn bytes(to: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(to, field << 3 | BYTES);
    varint(to, value.len() as u64);
    to.extend_from_slice(value);
}

fn message(to: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    bytes(to, field, &inner);
}

fn attribute(to: &mut Vec<u8>, field: u64, name: &str, value: &str) {
    message(to, field, |pair| {
        bytes(pair, 1, name.as_bytes());
        message(pair, 2, |any| bytes(any, 1, value.as_bytes()));
    });
}

/// As many records as fit into so many bytes, one at least; how many those are.
pub(super) fn request(address: &Address, records: &[Record<'_>], now: u64, most: usize) -> (Vec<u8>, usize) {
    let (mut written, mut count) = (Vec::new(), 0);
    for one in records {
        let had = written.len();
        message(&mut written, 2, |record| self::record(record, one, now));
        if count > 0 && written.len() > most {
            written.truncate(had);
            break;
        }
        count += 1;
    }
    let mut request = Vec::with_capacity(written.len() + 512);
    message(&mut request, 1, |of_resource| {
        message(of_resource, 1, |resource| {
            attribute(resource, 1, "host.name", &address.host);
            attribute(resource, 1, "log.file.path", &address.log);
            if let Some(service) = &address.service {
                attribute(resource, 1, "service.name", service);
            }
        });
        message(of_resource, 2, |of_scope| {
            message(of_scope, 1, |scope| {
                bytes(scope, 1, b"mmlog");
                bytes(scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            of_scope.extend_from_slice(&written);
        });
    });
    (request, count)
}

fn record(to: &mut Vec<u8>, record: &Record<'_>, now: u64) {
    message(to, 5, |any| match (record.said(), std::str::from_utf8(record.body)) {
        (Some(said), _) => bytes(any, 1, said.as_bytes()),
        (None, Ok(text)) => bytes(any, 1, text.as_bytes()),
        (None, Err(_)) => bytes(any, 7, record.body),
    });
    attribute(to, 6, "log.record.uid", &record.id());
    if let Some(why) = record.gap {
        attribute(to, 6, "mmlog.gap", crate::unit::Kind::Gap(why).name());
    }
    if let Some(cut) = record.cut.word() {
        attribute(to, 6, "mmlog.cut", cut);
    }
    // When it was logged nobody knows; when it was seen is now.
    varint(to, 11 << 3 | FIXED);
    to.extend_from_slice(&now.to_le_bytes());
}

/// What an answer says of records that were not taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Partial {
    pub(super) rejected: u64,
    pub(super) message: String,
}

/// Reads an answer; nothing, where it is none.
pub(super) fn answer(body: &[u8]) -> Option<Partial> {
    let mut partial = Partial::default();
    for (field, value) in fields(body)? {
        let (1, Value::Bytes(inner)) = (field, value) else { continue };
        for (field, value) in fields(inner)? {
            match (field, value) {
                (1, Value::Number(rejected)) => partial.rejected = rejected,
                (2, Value::Bytes(text)) => partial.message = String::from_utf8_lossy(text).into_owned(),
                _ => {}
            }
        }
    }
    Some(partial)
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn fields(mut body: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut found = Vec::new();
    while !body.is_empty() {
        let tag = number(&mut body)?;
        let value = match tag & 7 {
            VARINT => Value::Number(number(&mut body)?),
            BYTES => {
                let len = usize::try_from(number(&mut body)?).ok()?;
                let (value, rest) = body.split_at_checked(len)?;
                body = rest;
                Value::Bytes(value)
            }
            wire => {
                let len = match wire {
                    FIXED => 8,
                    FIXED_SHORT => 4,
                    _ => return None,
                };
                body = body.get(len..)?;
                continue;
            }
        };
        found.push((tag >> 3, value));
    }
    Some(found)
}

fn number(body: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = body.split_first()?;
        *body = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_none_is_none() {
        assert_eq!(answer(b""), Some(Partial::default()));
        let partial = Partial { rejected: 300, message: "full".to_owned() };
        assert_eq!(answer(b"\x0a\x09\x08\xac\x02\x12\x04full"), Some(partial));
        for wrong in [
            &b"<html>"[..],
            b"\x0a",
            b"\x0a\xff",
            b"\x0a\x02\x08",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(answer(wrong), None, "{wrong:?}");
        }
    }
}
