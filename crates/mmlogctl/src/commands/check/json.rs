//! `--json`: what the line says, for programs. Keys are added, never changed.

use std::path::Path;

use mmlog::Status;
use serde_json::{Map, Value, json};

use super::limits::{Limits, Passed};
use super::{Look, plugin};
use crate::commands::status::json::{explained, finding, line as on_one_line};
use crate::exit::Verdict;
use crate::metrics::{ALL, Metric, Unit};
use crate::text::with_path;

pub(super) fn line(log: &Path, look: &Look, limits: &Limits<'_>) -> (Verdict, String) {
    let (verdict, object) = match look {
        Ok(status) => judged(status, limits),
        Err(found) => {
            let mut object = explained(log, found);
            object["passed"] = json!([]);
            object["metrics"] = Value::Null;
            (Verdict::of_unread(found), object)
        }
    };
    let mut object = object;
    object["verdict"] = json!(verdict.word());
    object["code"] = json!(verdict.code());
    (verdict, on_one_line(&object))
}

fn judged(s: &Status, limits: &Limits<'_>) -> (Verdict, Value) {
    let (found, passed) = (Verdict::of(&s.findings), limits.passed(s));
    let object = json!({
        "schema": 1,
        "path": null,
        "state": s.state.to_string(),
        "problem": s.problem,
        "next_step": plugin::next(s, found, &passed),
        "findings": s.findings.iter().map(finding).collect::<Vec<_>>(),
        "passed": passed.iter().map(threshold).collect::<Vec<_>>(),
        "metrics": ALL.iter().map(|metric| (metric.name.to_owned(), figure(metric, s))).collect::<Map<_, _>>(),
    });
    (plugin::worst(found, &passed), with_path(object, "path", &s.path))
}

fn threshold(passed: &Passed) -> Value {
    json!({
        "metric": passed.metric,
        "verdict": passed.verdict.word(),
        "said": passed.said,
        "next_step": passed.next,
    })
}

/// In bytes, seconds, or as a count.
fn figure(metric: &Metric, s: &Status) -> Value {
    let Some(value) = (metric.value)(s) else { return Value::Null };
    match metric.unit {
        Unit::Bytes | Unit::Count => json!(value),
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of years are exact")]
        Unit::Seconds => json!(value as f64 / 1000.0),
    }
}
