//! What `status` says, as somebody reads it who has only that.

use std::path::Path;

use mmlog::FindingId;
use serde_json::Value;

use super::stage::{Done, Ended, Stop};

/// One finding.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) sentence: String,
    pub(super) next_step: String,
    pub(super) pid: Option<u32>,
}

impl Found {
    /// The first text in backquotes: what to try.
    pub(super) fn command(&self) -> Option<&str> {
        self.next_step.split('`').nth(1)
    }
}

/// The finding of that kind, if it was said.
pub(super) fn finding(ended: &Ended, log: &Path, id: FindingId) -> Done<Option<Found>> {
    if ended.code != Some(0) {
        return match id {
            FindingId::Unreadable => Ok(Some(refusal(&ended.stderr, log))),
            // The log could be read, an old segment of it could not.
            FindingId::SegmentUnreadable if ended.code == Some(1) => among_findings(ended, id),
            _ => Err(Stop::Failed(format!("status: {}", ended.stderr.trim_end()))),
        };
    }
    among_findings(ended, id)
}

fn among_findings(ended: &Ended, id: FindingId) -> Done<Option<Found>> {
    // All of it has just been staged.
    if let Some(at) = String::from_utf8_lossy(&ended.stdout).find("\"1970-") {
        return Err(Stop::Failed(format!("status names a time that nobody knows, behind byte {at}")));
    }
    let status = parse(ended)?;
    let said = status["findings"].as_array().into_iter().flatten();
    let found = said.into_iter().find(|f| f["id"] == id.name()).map(|f| Found {
        sentence: f["sentence"].as_str().unwrap_or_default().to_owned(),
        next_step: f["next_step"].as_str().unwrap_or_default().to_owned(),
        pid: f["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()),
    });
    Ok(found)
}

/// The worst that is the case, in a word, and what is said of it first.
pub(super) fn state(ended: &Ended) -> Done<(String, String)> {
    let status = parse(ended)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((text(&status["state"]), text(&status["findings"][0]["sentence"])))
}

fn parse(ended: &Ended) -> Done<Value> {
    let parsed = serde_json::from_slice(&ended.stdout);
    parsed.map_err(|e| Stop::Failed(format!("status --json is no JSON: {e}")))
}

/// `mmlogctl: PATH: problem; what to do`.
fn refusal(stderr: &str, log: &Path) -> Found {
    let line = stderr.lines().next().unwrap_or_default();
    let start = format!("mmlogctl: {}: ", log.display());
    let text = line.strip_prefix(&start).unwrap_or(line);
    let (sentence, next_step) = text.split_once("; ").unwrap_or((text, ""));
    Found { sentence: sentence.to_owned(), next_step: next_step.to_owned(), pid: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_text_in_backquotes_is_what_is_tried() {
        let of = |step: &str| Found { sentence: String::new(), next_step: step.to_owned(), pid: None };
        assert_eq!(of("put it back, else `a b` or `c`").command(), Some("a b"));
        assert_eq!(of("put it back").command(), None);
    }

    #[test]
    fn a_refusal_is_parted_into_what_is_wrong_and_what_to_do() {
        let found = refusal("mmlogctl: /a/app.log: no; run as root; or not\n", Path::new("/a/app.log"));
        assert_eq!((&*found.sentence, &*found.next_step), ("no", "run as root; or not"));
    }
}
