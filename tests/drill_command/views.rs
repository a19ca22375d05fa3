//! What is found is as bad wherever it is shown, under the same word; and its command can be pasted from the text.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::thread;

use super::{CREWS, Ended, NOBODY, Scratch, TOOL, Tool, Trainee, own_mounts};
use mmlog::FindingId;
use serde_json::Value;

/// A finding and how bad it is.
type Found = BTreeSet<(String, String)>;

/// Who is not root sees what root does not.
fn run(args: &[&str], log: &str, is_other: bool) -> Ended {
    Tool::new(TOOL)
        .args(args)
        .arg(log)
        .with(|command| if is_other { command.uid(NOBODY).gid(NOBODY) } else { command })
        .run()
}

fn word(line: &str) -> &str {
    line.split("  ").next().unwrap().split(" - ").next().unwrap()
}

fn found(object: &Value) -> Found {
    let text = |f: &Value, key: &str| f[key].as_str().unwrap().to_owned();
    let all = object["findings"].as_array().unwrap().iter();
    all.map(|f| (text(f, "id"), text(f, "severity"))).collect()
}

/// Those of Prometheus's text, and the state that is 1.
fn measured(text: &str) -> (Found, Option<&str>) {
    let label = |line: &'_ str, name: &str| -> String {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let findings = text.lines().filter(|line| line.starts_with("mmlog_finding{"));
    let state = text.lines().find(|line| line.starts_with("mmlog_state{") && line.ends_with(" 1"));
    let state = state.map(|line| line.rsplit_once("state=\"").unwrap().1.split('"').next().unwrap());
    (findings.map(|line| (label(line, "id"), label(line, "severity"))).collect(), state)
}

fn agree(id: FindingId, log: &str, is_other: bool) {
    let look = |args: &[&str]| run(args, log, is_other);
    let json = |args: &[&str]| -> Value { serde_json::from_slice(&look(args).stdout).unwrap() };
    let status = json(&["status", "--json"]);
    let (wanted, state) = (found(&status), status["state"].as_str().unwrap());
    assert!(wanted.iter().any(|(name, _)| name == id.name()), "{id}: {status}");
    let worst =
        ["critical", "warning"].into_iter().find(|bad| wanted.iter().any(|(_, severity)| severity == bad));
    let checked = json(&["check", "--json"]);
    assert_eq!(found(&checked), wanted, "{id}: check --json");
    assert_eq!(checked["state"], *state, "{id}: check --json");
    let line = look(&["check"]);
    let code = match worst {
        _ if state == "UNKNOWN" => 3,
        Some("critical") => 2,
        Some(_) => 1,
        None => 0,
    };
    assert_eq!((line.code, &checked["code"]), (code, &Value::from(code)), "{id}: {line:?}");
    assert_eq!(look(&["status", "--exit-code"]).code, code, "{id}: status --exit-code");
    let text = line.text();
    assert!([state, checked["verdict"].as_str().unwrap()].contains(&word(&text)), "{id}: {text}");
    let metrics = look(&["check", "--prom", "-"]).text();
    let (measured, measured_state) = measured(&metrics);
    assert_eq!(measured, wanted, "{id}: check --prom");
    assert_eq!(measured_state.unwrap_or("UNKNOWN"), state, "{id}: check --prom");
    let screen = json(&["inspect", "--batch", "--count", "1", "--json"]);
    assert_eq!(found(&screen), wanted, "{id}: inspect --json");
    assert_eq!(screen["state"], *state, "{id}: inspect --json");
    let frame = look(&["inspect", "--once"]).text();
    assert!(frame.starts_with(&format!("{state} ")), "{id}: {frame}");
    // The first word is OK when nobody has anything to do, and only then.
    assert_eq!(state == "OK", worst.is_none(), "{id}: {status}");
    for f in status["findings"].as_array().unwrap() {
        let is_bad = f["severity"] != "info";
        assert_eq!(f["state"] != "OK", is_bad, "{id}: {f}");
    }
    if state != "UNKNOWN" {
        has_its_command(id, &look(&["status"]).text(), &status);
    }
}

/// On a line of its own.
fn has_its_command(id: FindingId, page: &str, status: &Value) {
    for finding in status["findings"].as_array().unwrap() {
        if let Some(command) = finding["command"].as_str() {
            let is_it = |line: &str| line.strip_suffix(command).is_some_and(|lead| lead.len() == 15);
            assert!(page.lines().any(is_it), "{id}: {command}\n{page}");
        }
    }
}

/// Staged as for a trainee, who looks in every way there is.
fn see(id: FindingId, name: &str, place: &Path) {
    let mut trainee = Trainee::at(name, place);
    if !trainee.is_told("Enter shows what status says.") {
        assert!(trainee.shown.contains("SKIPPED"), "{id}: {}", trainee.shown);
        return;
    }
    let log = trainee.word_after("Something is wrong with ");
    let is_other = trainee.shown.contains(&format!("as user {NOBODY}"));
    agree(id, &log, is_other);
    trainee.running.signal(nix::sys::signal::Signal::SIGTERM);
}

#[test]
fn what_is_found_is_as_bad_in_status_check_inspect_json_and_metrics() {
    own_mounts();
    let scratch = Scratch::new();
    std::fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let list = Tool::new(TOOL).args(["drill", "--list", "--json"]).run();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let drills = list["drills"].as_array().unwrap();
    let see = |drill: &Value| {
        let id = FindingId::ALL.iter().find(|id| drill["finding"] == id.name()).unwrap();
        // Only the drill's own look has the filter that hides it.
        if *id != FindingId::Unseen {
            see(*id, drill["name"].as_str().unwrap(), scratch.path());
        }
    };
    // Threads made behind own_mounts() are in these mounts, too.
    thread::scope(|scope| {
        for crew in 0..CREWS {
            scope.spawn(move || drills.iter().skip(crew).step_by(CREWS).for_each(see));
        }
    });
}
