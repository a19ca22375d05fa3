//! A status as one JSON object: the keys of `mmlogctl status --json` that a program looks at, with the same values.

use std::fmt::{Display, Write};
use std::path::Path;

use mmlog::{Finding, HoldStatus, SegmentStatus, Status, WriterStatus};

/// An object in the making.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self(String::from("{"))
    }

    fn raw(mut self, key: &str, value: impl Display) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}\"{key}\":{value}");
        self
    }

    fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, quoted(value))
    }

    /// Or null.
    fn maybe(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.raw(key, value),
            None => self.raw(key, "null"),
        }
    }

    /// Bytes that are not UTF-8 are shown as U+FFFD.
    fn path(self, key: &str, value: &Path) -> Self {
        self.text(key, &value.to_string_lossy())
    }

    fn list<T>(self, key: &str, values: &[T], each: impl Fn(&T) -> Self) -> Self {
        let values: Vec<String> = values.iter().map(|value| each(value).done()).collect();
        self.raw(key, format_args!("[{}]", values.join(",")))
    }

    fn done(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c < ' ' || c == '\u{7f}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

pub(crate) fn of(s: &Status) -> String {
    Object::new()
        .raw("schema", 1)
        .path("path", &s.path)
        .raw("format", s.format)
        .text("id", &s.id.to_string())
        .raw("epoch", s.id.epoch)
        .text("state", &s.state.to_string())
        .maybe("problem", s.problem.as_deref().map(quoted))
        .text("next_step", &s.next_step)
        .list("findings", &s.findings, finding)
        .raw("cursor", s.cursor)
        .raw("watermark", s.watermark)
        .raw("file_size", s.file_size)
        .raw("base", s.base)
        .raw("generation", s.generation)
        .raw("first_kept", s.first_kept)
        .raw("chunk_size", s.chunk_size)
        .raw("max_writers", s.max_writers)
        .raw("gate_ms", s.gate_ms)
        .list("writers", &s.writers, writer)
        .raw("holes_total", s.holes_total)
        .list("segments", &s.segments, segment)
        .list("holds", &s.holds, |hold| self::hold(hold, s.cursor))
        .raw("durability", Object::new().raw("synced", s.durability.synced).done())
        .done()
}

fn finding(f: &Finding) -> Object {
    Object::new()
        .text("id", f.id.name())
        .text("severity", &f.severity.to_string())
        .text("sentence", &f.sentence)
        .text("next_step", &f.next_step)
        .maybe("command", f.command().map(quoted))
        .maybe("pid", f.pid)
}

fn writer(w: &WriterStatus) -> Object {
    Object::new()
        .raw("slot", w.slot)
        .raw("pid", w.pid)
        .text("command", &w.command)
        .maybe("alive", w.alive.as_ref().ok())
        .raw("messages", w.messages)
        .raw("bytes", w.bytes)
}

fn segment(s: &SegmentStatus) -> Object {
    Object::new().raw("generation", s.generation).raw("base", s.base).raw("end", s.end).path("path", &s.path)
}

fn hold(h: &HoldStatus, cursor: u64) -> Object {
    Object::new()
        .text("name", &h.name)
        .raw("position", h.position)
        .raw("lag", cursor.saturating_sub(h.position))
        .raw("pid", h.pid)
}
