//! The commands that are tried, and what each of them owes: a line here adds one.

/// What the log holds before most commands.
pub(super) const HELD: &[u8] = b"the first line\nthe second line\nthe third and last line\n";
/// Length of its first two.
pub(super) const TWO_LINES: usize = 31;
/// What a data file holds that is taken over.
pub(super) const PLAIN: &[u8] = b"a line from before there was a log\n";

/// One command line.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// `LOG`, `CURSOR`, `ENDED` (a pid that nobody has) and `SOON` (a process that ends soon) are filled in.
    pub(super) arguments: &'static [&'static str],
    pub(super) before: Before,
    pub(super) input: Input,
    pub(super) does: Does,
    pub(super) prints: Prints,
    /// The exit codes it may give when one system call failed.
    pub(super) codes: &'static [i32],
}

/// What is there when it starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Before {
    Nothing,
    /// A data file without metadata, with [`PLAIN`] in it.
    Plain,
    /// A log at rest, with [`HELD`] in it.
    Log,
    /// The same in three segments, a line each; the first is compressed.
    Old,
    /// The same, with a writer of this process open, so that the file is longer than its content.
    Open,
    /// The same, left by a writer, a grower and a trimmer that were killed.
    Wreck,
    /// The same, left by a rotator that was killed behind its closed gate.
    Rotating,
    /// The same, left by one that was killed when it had exchanged the files.
    Exchanged,
    /// The same, its data file cut behind the second line.
    Cut,
    /// The same, its data file removed.
    Gone,
    /// The same in the original's format.
    Version1,
}

/// Standard input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    Nothing,
    /// So many lines of so many bytes, from a file.
    File(usize, usize),
    /// The same, from a pipe.
    Pipe(usize, usize),
}

/// What becomes of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Does {
    /// Nothing.
    Looks,
    /// It exists afterwards; its content stays.
    Creates,
    /// Each line of the input, with this before it, is behind what was there.
    Appends(&'static str),
    /// The file is as long as its content afterwards.
    Trims,
    /// What was there is in final segments afterwards.
    Rotates,
    Removes,
    /// It can be written to afterwards; done again if it failed.
    Mends,
}

/// What standard output is, if all went well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Prints {
    Nothing,
    /// So many bytes of [`HELD`] are left out, and so many shown.
    Held(usize, usize),
    /// What was stored.
    Stored,
    /// Whole lines, at least one.
    Lines,
    /// A line that says how it is, failures included.
    Verdict,
}

const ALL: Prints = Prints::Held(0, HELD.len());
const LAST: Prints = Prints::Held(TWO_LINES, HELD.len());
const CHUNK: &str = "--chunk-size=4096";
const WRITERS: &str = "--max-writers=4";

type Arguments = &'static [&'static str];

const fn reads(name: &'static str, arguments: Arguments, before: Before, prints: Prints) -> Command {
    let (input, does) = (Input::Nothing, Does::Looks);
    Command { name, arguments, before, input, does, prints, codes: &[0, 1] }
}

/// What cannot be read of an old segment is passed by, and said; a call that fails may look like damage.
const fn reads_old(name: &'static str, arguments: Arguments, prints: Prints) -> Command {
    Command { codes: &[0, 1, 4], ..reads(name, arguments, Before::Old, prints) }
}

const fn changes(name: &'static str, arguments: Arguments, before: Before, does: Does) -> Command {
    let (input, prints) = (Input::Nothing, Prints::Nothing);
    Command { name, arguments, before, input, does, prints, codes: &[0, 1, 3] }
}

const fn mends(name: &'static str, arguments: Arguments, before: Before) -> Command {
    Command { prints: Prints::Lines, ..changes(name, arguments, before, Does::Mends) }
}

const fn checks(name: &'static str, arguments: Arguments, before: Before) -> Command {
    Command { codes: &[0, 3], ..reads(name, arguments, before, Prints::Verdict) }
}

const fn appends(name: &'static str, arguments: Arguments, before: Before, input: Input) -> Command {
    let (does, prints) = (Does::Appends(""), Prints::Nothing);
    Command { name, arguments, before, input, does, prints, codes: &[0, 1, 3] }
}

use Before::{Cut, Exchanged, Gone, Log, Nothing, Old, Open, Plain, Rotating, Version1, Wreck};
use Does::{Appends, Creates, Looks, Removes, Rotates, Trims};
use Input::{File, Pipe};

pub(super) const COMMANDS: &[Command] = &[
    changes("init", &["init", CHUNK, WRITERS, "LOG"], Nothing, Creates),
    changes("init again", &["init", CHUNK, "LOG"], Log, Creates),
    changes("init --adopt", &["init", "--adopt", CHUNK, WRITERS, "LOG"], Plain, Creates),
    appends("append, new log", &["append", CHUNK, WRITERS, "LOG"], Nothing, File(40, 50)),
    appends("append, mapped", &["append", "--no-create", "LOG"], Log, File(60, 100)),
    appends("append, one message", &["append", "--no-create", "LOG"], Log, Pipe(60, 100)),
    appends("append, pwrite", &["append", "LOG"], Log, File(300, 100)),
    appends("append, wreck", &["append", "LOG"], Wreck, Pipe(20, 30)),
    appends("append, no waiting", &["append", "--on-full=fail", "LOG"], Log, File(3000, 100)),
    // A sync that failed has lost what only repair can give back.
    Command {
        codes: &[0, 1, 3, 4],
        ..appends("append --sync", &["append", "--sync=always", "LOG"], Log, File(3000, 100))
    },
    Command {
        does: Appends("p1 "),
        ..appends("append, two messages", &["append", "--prefix=p1 ", "LOG"], Log, File(3000, 100))
    },
    Command {
        prints: Prints::Stored,
        ..appends("append --tee", &["append", "--tee", "--on-full=fail", "LOG"], Log, Pipe(20, 30))
    },
    reads("cat", &["cat", "LOG"], Log, ALL),
    reads("cat, wreck", &["cat", "LOG"], Wreck, ALL),
    reads("tail", &["tail", "-n1", "LOG"], Log, LAST),
    reads("tail --until-now", &["tail", "--until-now", "--cursor-file", "CURSOR", "LOG"], Log, ALL),
    reads("tail -o json", &["tail", "-o", "json", "LOG"], Log, Prints::Lines),
    reads("tail -f", &["tail", "-n1", "-f", "--pid", "ENDED", "LOG"], Log, LAST),
    reads("tail -F", &["tail", "-F", "--pid", "SOON", "--cursor-file", "CURSOR", "LOG"], Open, ALL),
    reads("status", &["status", "LOG"], Log, Prints::Lines),
    reads("status --json", &["status", "--json", "LOG"], Wreck, Prints::Lines),
    changes("trim", &["trim", "LOG"], Open, Trims),
    changes("trim, wreck", &["trim", "LOG"], Wreck, Trims),
    changes("rotate", &["rotate", "LOG"], Log, Rotates),
    changes("rotate, open", &["rotate", "--utc", "LOG"], Open, Rotates),
    changes("rotate, wreck", &["rotate", "LOG"], Wreck, Rotates),
    changes("rotate, rotating", &["rotate", "LOG"], Rotating, Rotates),
    changes("rotate, exchanged", &["rotate", "LOG"], Exchanged, Looks),
    appends("append, rotating", &["append", "LOG"], Rotating, Pipe(20, 30)),
    appends("append, exchanged", &["append", "LOG"], Exchanged, Pipe(20, 30)),
    reads("cat, exchanged", &["cat", "LOG"], Exchanged, ALL),
    reads("tail, exchanged", &["tail", "-n1", "LOG"], Exchanged, LAST),
    mends("repair, exchanged", &["repair", "LOG"], Exchanged),
    // That the files cannot be asked is a violation there.
    Command {
        codes: &[0, 2, 3],
        ..checks("check --deep, exchanged", &["check", "--deep", "LOG"], Exchanged)
    },
    // What could not be seen is a warning.
    Command { codes: &[0, 1, 3], ..checks("check", &["check", "LOG"], Log) },
    checks("check --deep", &["check", "--deep", "LOG"], Wreck),
    reads("repair --dry-run", &["repair", "--dry-run", "LOG"], Wreck, Prints::Lines),
    mends("repair, wreck", &["repair", "LOG"], Wreck),
    mends("repair, cut", &["repair", "LOG"], Cut),
    mends("repair --recreate", &["repair", "--recreate", "LOG"], Gone),
    mends("repair --rebuild", &["repair", "--rebuild", "LOG"], Plain),
    mends("repair --upgrade", &["repair", "--upgrade", "LOG"], Version1),
    reads_old("cat, old", &["cat", "LOG"], ALL),
    reads_old("tail, old", &["tail", "-n2", "LOG"], Prints::Held("the first line\n".len(), HELD.len())),
    reads_old("segments", &["segments", "LOG"], Prints::Lines),
    reads_old("status, old", &["status", "LOG"], Prints::Lines),
    Command { codes: &[0, 1, 2, 3], ..checks("check, old", &["check", "LOG"], Old) },
    Command { codes: &[0, 2, 3], ..checks("check --deep, old", &["check", "--deep", "LOG"], Old) },
    changes("prune, nothing to do", &["prune", "--keep=2", "LOG"], Old, Looks),
    // It syncs before anything.
    Command {
        codes: &[0, 1, 3, 4],
        ..changes("rotate --compress, old", &["rotate", "--compress=zstd", "LOG"], Old, Rotates)
    },
    changes("rm", &["rm", "LOG"], Log, Removes),
];

impl Input {
    /// Its bytes.
    pub(super) fn bytes(self) -> Vec<u8> {
        let (Self::File(lines, width) | Self::Pipe(lines, width)) = self else { return Vec::new() };
        (0..lines).flat_map(|i| format!("{i:0>width$}\n", width = width - 1).into_bytes()).collect()
    }
}

impl Command {
    /// What is stored for these bytes of its input; a newline that is missing at the end is added.
    pub(super) fn stored(&self, input: &[u8]) -> Vec<u8> {
        let Appends(before) = self.does else { return Vec::new() };
        let dressed =
            |line: &[u8]| [before.as_bytes(), line.strip_suffix(b"\n").unwrap_or(line), b"\n"].concat();
        input.split_inclusive(|&b| b == b'\n').flat_map(dressed).collect()
    }

    /// Whether it waits for space as long as there is none.
    pub(super) fn waits(&self) -> bool {
        matches!(self.does, Appends(_)) && !self.arguments.contains(&"--on-full=fail")
    }

    /// What the log holds before.
    pub(super) fn held(&self) -> &'static [u8] {
        match self.before {
            Before::Nothing | Before::Gone => b"",
            Before::Plain => PLAIN,
            Before::Cut => &HELD[..TWO_LINES],
            Before::Log
            | Before::Old
            | Before::Open
            | Before::Wreck
            | Before::Rotating
            | Before::Exchanged
            | Before::Version1 => HELD,
        }
    }

    /// Whether there may be more than one segment, or what is left of a rotation.
    pub(super) fn has_segments(&self) -> bool {
        self.does == Rotates || matches!(self.before, Before::Old | Before::Rotating | Before::Exchanged)
    }
}
