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
            "The files contradict each other: somebody cut, replaced or copied one, an old segment is missing, or the disk failed a sync.",
            "What was cut or replaced is lost. Most appends fail. `cat` and `tail` print what is there.",
            "`mmlogctl repair --dry-run LOG` shows the plan, `mmlogctl repair LOG` does it.",
        ],
        State::Full => [
            "An append waits for space, a quota, a file size limit or a disk that works; or the next one would.",
            "Nothing is lost: input waits in its pipe. A program that uses the library gets an error.",
            "Make room: `mmlogctl trim LOG`, then `mmlogctl prune --keep 5 LOG`. All go on by themselves.",
        ],
        State::Locked => [
            "A process that stands keeps the log's lock.",
            "Appends that need more space wait for it; critical after 30 s.",
            "Let it go on (`kill -CONT PID`), or `kill -9 PID`: nothing is lost.",
        ],
        State::Stalled => [
            "A writer stands in the middle of an append, or a gate stays closed.",
            "Followers see nothing newer. Behind a closed gate all appends wait; critical after 30 s.",
            "Let it go on (`kill -CONT PID`), or `kill -9 PID`: its one append is lost at most.",
        ],
        State::FullSoon => {
            ["Less than two chunks of space are left.", "Nothing yet.", "Make room now, as for FULL."]
        }
        State::Warning => [
            "Everybody can go on, and something is not as it should be: a stopped writer, a follower far behind, all slots taken.",
            "Nothing yet, or only those whom the sentence names.",
            "Today: what it says.",
        ],
        State::Ok => {
            ["Nobody has anything to do.", "Nothing.", "Nothing. A note tells what only stays on record."]
        }
    }
}

/// The table as Markdown, for doc/on-call.md.
pub(crate) fn markdown() -> String {
    let mut table = "| state | what it means | what it costs | what to do |\n|---|---|---|---|\n".to_owned();
    for &state in State::ALL {
        let _ = writeln!(table, "| {state} | {} |", row(state).join(" | "));
    }
    table
}

/// The same for the manual, and what can be found.
pub(crate) fn section() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["STATES"]);
    section.text([roman("The first word. What it means; what it costs; what to do.")]);
    for &state in State::ALL {
        section.control("TP", []).text([bold(state.to_string())]);
        section.text([roman(row(state).join(" ").replace('`', ""))]);
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
