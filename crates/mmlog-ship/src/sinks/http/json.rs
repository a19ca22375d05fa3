//! Records as objects of JSON, one a line: by themselves, or each behind a line that says what to do with it.

use serde_json::Value;

use super::address::Address;
use super::otlp::Partial;
use super::records::Record;
use crate::trouble::one_line;
use crate::unit::Kind;

/// As many records as fit into so many bytes, one at least; how many those are.
pub(super) fn request(
    address: &Address,
    records: &[Record<'_>],
    now: u64,
    most: usize,
    is_bulk: bool,
) -> (Vec<u8>, usize) {
    let (mut written, mut count, now) = (String::new(), 0, time(now));
    for record in records {
        let had = written.len();
        let id = record.id();
        if is_bulk {
            // Plain: digits and letters.
            written.push_str(&format!("{{\"create\":{{\"_id\":\"{id}\"}}}}\n"));
        }
        object(&mut written, address, record, &id, &now);
        if count > 0 && written.len() > most {
            written.truncate(had);
            break;
        }
        count += 1;
    }
    (written.into_bytes(), count)
}

fn object(to: &mut String, address: &Address, record: &Record<'_>, id: &str, now: &str) {
    let text = record.said().unwrap_or_else(|| String::from_utf8_lossy(record.body).into_owned());
    let Record { log, from, to: end, .. } = record;
    to.push_str(&format!("{{\"id\":\"{id}\",\"@timestamp\":\"{now}\",\"message\":"));
    to.push_str(&quoted(&text));
    to.push_str(",\"host\":{\"name\":");
    to.push_str(&quoted(&address.host));
    to.push_str("},\"log\":{\"file\":{\"path\":");
    to.push_str(&quoted(&address.log));
    to.push_str("}}");
    if let Some(service) = &address.service {
        to.push_str(&format!(",\"service\":{{\"name\":{}}}", quoted(service)));
    }
    to.push_str(&format!(",\"mmlog\":{{\"log\":\"{log:032x}\",\"from\":{from},\"to\":{end}"));
    if let Some(why) = record.gap {
        to.push_str(&format!(",\"gap\":\"{}\"", Kind::Gap(why).name()));
    }
    if let Some(cut) = record.cut.word() {
        to.push_str(&format!(",\"cut\":\"{cut}\""));
    }
    if std::str::from_utf8(record.body).is_err() {
        to.push_str(&format!(",\"base64\":\"{}\"", base64(record.body)));
    }
    to.push_str("}}\n");
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let all = three.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let is_there = digit <= three.len();
            text.push(if is_there { char::from(DIGITS[all >> (18 - 6 * digit) & 63]) } else { '=' });
        }
    }
    text
}

/// Nanoseconds since 1970, as RFC 3339 has them.
fn time(now: u64) -> String {
    let (seconds, millis) = (now / 1_000_000_000, now / 1_000_000 % 1000);
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", month + 1, days + 1)
}

/// What an answer of a receiver of OTLP says that speaks JSON whatever it is asked in; nothing, where it is none.
pub(super) fn partial(body: &[u8]) -> Option<Partial> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let Some(partial) = answer.as_object()?.get("partialSuccess").filter(|partial| !partial.is_null()) else {
        return Some(Partial::default());
    };
    // A number of 64 bits is a text there.
    let rejected = match partial.get("rejectedLogRecords") {
        None | Some(Value::Null) => 0,
        Some(Value::String(digits)) => digits.parse().ok()?,
        Some(number) => number.as_u64()?,
    };
    let message = partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Partial { rejected, message })
}

/// What an answer to a bulk request says of its items.
pub(super) enum Items {
    /// All are there.
    Taken,
    /// One is not, for now.
    Busy(String),
    /// One is refused: by its number.
    Refused(usize, String),
    /// It is no such answer, or to another request.
    None,
}

/// Reads an answer to so many items.
pub(super) fn items(body: &[u8], count: usize) -> Items {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return Items::None };
    let Some(items) = answer.get("items").and_then(Value::as_array).filter(|all| all.len() == count) else {
        return Items::None;
    };
    let mut busy = None;
    for (number, item) in items.iter().enumerate() {
        let Some(done) = item.get("create").or_else(|| item.get("index")) else { return Items::None };
        let Some(status) = done.get("status").and_then(Value::as_u64) else { return Items::None };
        let error = done.get("error").map(Value::to_string).unwrap_or_default();
        let said = one_line(&format!("{status} {error}"));
        match status {
            200..300 => {}
            // It is there: the id has the same bytes, whenever it came.
            409 => {}
            429 | 502..=504 => busy = busy.or(Some(said)),
            _ => return Items::Refused(number, said),
        }
    }
    busy.map_or(Items::Taken, Items::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_bytes_are_as_everybody_writes_them() {
        let of = |seconds: u64| time(seconds * 1_000_000_000 + 7_999_999);
        assert_eq!(of(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(of(951_782_399), "2000-02-28T23:59:59.007Z");
        assert_eq!(of(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(of(4_107_542_399), "2100-02-28T23:59:59.007Z");
        assert_eq!(of(4_107_542_400), "2100-03-01T00:00:00.007Z");
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }
}
