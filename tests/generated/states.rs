//! What a state means, what it costs, what to do: the table of mmlogctl-status(1) and doc/on-call.md. A new state has no row, and
//! does not compile.

use std::fmt::Write as _;

use clap_mangen::roff::{Roff, bold, roman};
use mmlog::{FindingId, State};

/// What it means, what it costs, what to do.
fn row(state: State) -> [&'static str; 3] {
    match state {
        State::Panicked => [
            "A program found the log broken and stopped all writing.",
            "Nobody can append. Reading works.",
            "Find the cause, it is in the sentence. Then `mmlogctl repair --clear-panic LOG`.",
        ],
        State::Damaged => [
            "The files contradict each other: somebody cut, replaced or copied one, or an old segment is missing. Or the disk failed a sync, or had an error and takes no more writes.",
            "What was cut or replaced is lost. Most appends fail. `cat` and `tail` print what is there.",
            "What the sentence says. Where it is the files, `mmlogctl repair --dry-run LOG` shows the plan, and `mmlogctl repair LOG` does it.",
        ],
        State::Full => [
            "An append waits: for space, a quota, a file size limit, or a disk that works. Or the next one would wait, or would fail since the file system is read-only.",
            "Nothing is lost: input waits in its pipe, except with --on-full drop, and then what is dropped is said. A program that uses the library gets an error.",
            "Make room: `mmlogctl trim LOG`, then `mmlogctl prune --keep 5 LOG`; or raise the limit, or remount what the sentence names (`mount -o remount,rw DIR`). All go on by themselves.",
        ],
        State::Locked => [
            "A process that is stopped, or does not get on, keeps the log's lock; or all slots for writers are taken, and somebody waits for one.",
            "Appends that need more space, and programs that open the log, wait for it; critical after 30 s, at once where slots are what they wait for.",
            "Let it go on as the step says (`kill -CONT PID`, or thaw it): that loses nothing. `kill -9 PID` lets the others go on, and loses all that it has not appended yet: its append in flight, what it has read, and what waits in its pipe; the program at the other end then gets SIGPIPE.",
        ],
        State::Stalled => [
            "A writer is stopped, or does not get on, in the middle of an append; or it has held its program up for 30 s, by a full pipe. Or a trim or rotation keeps its gate closed.",
            "Followers see nothing newer. Behind a closed gate all appends wait, behind a full pipe one program does; critical after 30 s.",
            "Let it go on as the step says (`kill -CONT PID`, or thaw it): that loses nothing. `kill -9 PID` lets the others go on, and loses all that it has not appended yet: its append in flight, what it has read, and what waits in its pipe; the program at the other end then gets SIGPIPE.",
        ],
        State::FullSoon => [
            "Less than two chunks of space are left, and no policy keeps the log within them.",
            "Nothing yet.",
            "Make room now, as for FULL; or have a policy bound it: mmlogctl-policy(1).",
        ],
        State::Warning => [
            "Everybody else can go on, but somebody should look at it: a writer or a follower is stopped; a writer waits for whoever reads its output; a consumer with a hold is far behind, or keeps old segments and does not run or read on; all slots for writers are taken.",
            "Nothing yet, or only those whom the sentence names.",
            "What it says, today.",
        ],
        State::Ok => {
            ["Nobody has anything to do.", "Nothing.", "Nothing. A note tells what only stays on record."]
        }
    }
}

/// What `status` prints at the beginning of a line, and the words behind it.
const FIGURES: [(&str, &str); 20] = [
    (
        "problem, next",
        "What is wrong, with who it is and the numbers, and what to do. What is to be pasted has a line of its own, with nothing else on it.",
    ),
    ("also, note", "What else is wrong; what only stays on record."),
    ("panic", "Who stopped all writing, and why."),
    (
        "cursor",
        "Where the next append goes: how many bytes have been appended since the log was made. Below the watermark every byte \
     is final, and readers go no further; between the two, appends are in flight.",
    ),
    (
        "file_size",
        "How long the data file is. Slack is the part of it that is allocated ahead of appends; trim gives it back, and \
     so does the last writer that closes the log.",
    ),
    (
        "generation",
        "How many rotations there were. Base is the position of the data file's first byte; limit is the position up to \
     which appends need no more space. The gate is open, or keeps appends waiting for some milliseconds while the file is cut or exchanged.",
    ),
    ("file", "Mode, owner and inode of the data file, and what is free on its file system."),
    (
        "settings",
        "chunk_size: by how much the file grows at a time. max_writers: how many may have it open. gate_ms: how long a trim \
     or a rotation may keep appends waiting.",
    ),
    (
        "clock",
        "Somebody set the clock by more than a minute within the last hour: from when to when, and what had been appended then. \
     Until it is over a policy removes nothing by its age.",
    ),
    (
        "policy, overdue",
        "The rules by which the log rotates and prunes itself, see mmlogctl-policy(1), what is due next, and what could not be done; \
     not there where it has none.",
    ),
    ("durable", "Below which position a power failure loses nothing."),
    ("recovered", "What a reboot cost, and where the log went on."),
    ("lock", "Who grows, cuts or mends the file just now. Appends that need no space do not wait for it."),
    ("maintenance", "Who trims, rotates, prunes or repairs just now: one at a time."),
    (
        "writers",
        "Who has the log open to append, those that are stopped, wait or have an append in flight first.",
    ),
    (
        "holes",
        "Ranges that were reserved and never written, since a writer ended, or failed, before. Readers pass over them.",
    ),
    ("holds", "Consumers (tail --hold) that prune keeps bytes for."),
    (
        "followers",
        "Who else reads the log and says so: tail -f, whatever else has followed for a second, programs. Nothing is kept \
     for them, and those that may not write the metadata are not seen. One that has nothing to read says so every 5 s.",
    ),
    (
        "more",
        "On a terminal, where something is wrong, figures that are as usual are left out, so that the first word stays on the screen. A pipe has all.",
    ),
    ("segments", "Final segments and the current one, and where the oldest begins."),
];

/// The table as Markdown, for doc/on-call.md.
pub(crate) fn markdown() -> String {
    let mut table = "| state | what it means | what it costs | what to do |\n|---|---|---|---|\n".to_owned();
    for &state in State::ALL {
        let _ = writeln!(table, "| {state} | {} |", row(state).join(" | "));
    }
    table
}

/// What can be found, as Markdown, for doc/on-call.md.
pub(crate) fn findings() -> String {
    let mut table = "| finding | what is the case |\n|---|---|\n".to_owned();
    for id in FindingId::ALL {
        let _ = writeln!(table, "| `{id}` | {} |", id.meaning());
    }
    table
}

/// The same for the manual, and what can be found.
pub(crate) fn section() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["STATES"]);
    section.text([roman("The first word: what it means, what it costs, what to do.")]);
    for &state in State::ALL {
        section.control("TP", []).text([bold(state.to_string())]);
        let [means, costs, to_do] = row(state).map(|text| text.replace('`', ""));
        section.text([roman(means)]).control("br", []).text([roman(format!("Costs: {costs}"))]);
        section.control("br", []).text([roman(format!("Do: {to_do}"))]);
    }
    section.control("SH", ["FIGURES"]);
    for (names, what) in FIGURES {
        section.control("TP", []).text([bold(names)]).text([roman(what)]);
    }
    section.control("SH", ["FINDINGS"]);
    section.text([roman(
        "What can be found, by the name that JSON, metrics and mmlogctl-drill(1) have for it. The sentence says it with who and the numbers.",
    )]);
    for id in FindingId::ALL {
        section.control("TP", []).text([bold(id.name())]).text([roman(id.meaning())]);
    }
    section
}

#[test]
fn every_figure_of_status_is_explained() {
    let source = include_str!("../../crates/mmlogctl/src/commands/status/human.rs");
    let printed = source
        .split("page.field(")
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    for name in printed {
        let known = FIGURES.iter().any(|(names, _)| names.split(", ").any(|known| known == name));
        assert!(
            known,
            "status prints {name:?}, and FIGURES here, for mmlogctl-status(1), does not say what it is"
        );
    }
}

#[test]
fn the_help_of_status_names_every_state() {
    let command = super::command();
    let status = command.find_subcommand("status").and_then(|status| status.get_long_about().cloned());
    let help = status.unwrap_or_default().to_string();
    for state in State::ALL {
        assert!(help.contains(&state.to_string()), "{state}: {help}");
    }
}
