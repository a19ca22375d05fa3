//! What must hold after a command in which one system call failed, and after its death.

use std::fs;
use std::path::Path;

use mmlog::{Log, Observer, Status};

use super::commands::{Before, Command, Does, HELD, Prints};
use super::scene::{End, Ran, Scene, Tool};
use super::trace::{Fault, Target};
use crate::oracle::Segments;
use crate::tool::speaks_plainly;

/// Something that must hold does not.
pub(super) type Verdict = Result<(), String>;

/// Of something that was got over.
const NOTICES: &[&str] = &[
    "(waiting; nothing is lost)",
    TRIM_ADVISED,
    ": goes on after",
    "the log goes on without the copy",
    "logs behind the existing",
    // Said once, and tried again; only the last attempt counts.
    "writing the cursor-file failed",
];

/// All is stored, and the space behind it stays until the next one closes the log.
const TRIM_ADVISED: &str = "(nothing is lost; `mmlogctl trim ";

const AFTER: &[u8] = b"a line after it\n";

/// What the log may hold: all of `always`, and of `perhaps` the first lines.
struct Content {
    always: Vec<u8>,
    perhaps: Vec<u8>,
}

/// Judges one run: its end, what it said, and the log it left.
pub(super) fn judge(
    tool: &Tool,
    scene: &mut Scene,
    command: &Command,
    target: &Target,
    ran: &Ran,
) -> Verdict {
    let killed = target.fault == Fault::Kill && ran.end == End::Signal(9);
    if !killed {
        ended(command, ran)?;
        spoke(command, ran)?;
    }
    printed(command, ran, scene)?;
    // Beside a writer the file that a rotation has made is not.
    let busy = command.does == Does::Rotates && command.before == Before::Open;
    let untrimmed = busy || ran.stderr.contains(TRIM_ADVISED);
    if ran.end == End::Code(0)
        && !untrimmed
        && !matches!(command.does, Does::Looks | Does::Removes | Does::Mends)
    {
        at_rest(&scene.log)?;
    }
    lost_nothing(&scene.log, target)?;
    scene.let_go();
    let content = content(tool, scene, command, ran, killed)?;
    if command.does == Does::Rotates && ran.end == End::Code(0) {
        is_rotated(&scene.log, command)?;
    }
    whole(tool, scene, command, &content, target)
}

fn ended(command: &Command, ran: &Ran) -> Verdict {
    match ran.end {
        End::Code(code) if command.codes.contains(&code) => Ok(()),
        end => {
            let printed = String::from_utf8_lossy(&ran.stdout[..ran.stdout.len().min(400)]);
            Err(format!("ended with {end:?}, said {:?}, printed {printed:?}", ran.stderr))
        }
    }
}

/// One line for a failure, besides notices of something that was got over.
fn spoke(command: &Command, ran: &Ran) -> Verdict {
    let is_notice = |line: &&str| NOTICES.iter().any(|notice| line.contains(notice));
    speaks_plainly(&ran.stderr)?;
    // A line for each segment, and for each directory, that could not be looked at, besides that of the command.
    const EACH: [&str; 3] = [": not compressed: ", ": old segment ", ": cannot look for what a killed "];
    let of_segments = |line: &&str| EACH.iter().any(|said| line.contains(said));
    let (segments, others): (Vec<&str>, Vec<&str>) =
        ran.stderr.lines().filter(|line| !is_notice(line)).partition(of_segments);
    let failures = others.len().max(usize::from(!segments.is_empty()));
    // The call that failed may have been the one that says so.
    let silenced = ran.spoiled.as_ref().is_some_and(|line| line.contains("write(2"));
    match ran.end {
        // It is said on standard output, for monitoring.
        End::Code(_) if command.prints == Prints::Verdict => Ok(()),
        End::Code(0) if failures == 0 => Ok(()),
        End::Code(code) if code != 0 && failures <= 1 && (silenced || !ran.stderr.is_empty()) => Ok(()),
        end => Err(format!("ended with {end:?}, and said {:?}", ran.stderr)),
    }
}

fn printed(command: &Command, ran: &Ran, scene: &Scene) -> Verdict {
    let all = match command.prints {
        Prints::Nothing => Vec::new(),
        Prints::Held(from, to) => HELD[from..to].to_vec(),
        Prints::Stored => command.stored(&command.input.bytes()),
        Prints::Verdict => {
            let text = String::from_utf8_lossy(&ran.stdout);
            let right = text.ends_with('\n') && text.starts_with("OK - ") == (ran.end == End::Code(0));
            let killed = matches!(ran.end, End::Signal(_)) && text.is_empty();
            // The call that failed may have been the one that says so.
            let silenced = text.is_empty() && ran.stderr.contains("standard output");
            return if right || killed || silenced { Ok(()) } else { Err(format!("printed {text:?}")) };
        }
        Prints::Lines => {
            let whole = ran.stdout.last() == Some(&b'\n');
            return if whole || ran.end != End::Code(0) {
                Ok(())
            } else {
                Err("printed no whole line".into())
            };
        }
    };
    let without_copy = ran.stderr.contains("the log goes on without the copy");
    let complete = ran.end == End::Code(0) && !without_copy;
    let right = match complete {
        // Who could not look at a segment once when he counted lines from the end begins further back.
        true if command.before == Before::Old && matches!(command.prints, Prints::Held(..)) => {
            HELD.ends_with(&ran.stdout) && ran.stdout.ends_with(&all)
        }
        true => ran.stdout == all,
        // What cannot be read is passed by.
        false if command.before == Before::Old => {
            let mut of_all = HELD.split_inclusive(|&b| b == b'\n');
            ran.stdout.split_inclusive(|&b| b == b'\n').all(|line| of_all.any(|of_all| of_all == line))
        }
        false => all.starts_with(&ran.stdout),
    };
    if !right {
        return Err(format!("printed {:?}", String::from_utf8_lossy(&ran.stdout)));
    }
    if command.arguments.contains(&"CURSOR") && complete {
        let place = fs::read_to_string(scene.cursor_file()).map_err(|e| format!("no cursor-file: {e}"))?;
        if place.split_ascii_whitespace().nth(2) != Some(&HELD.len().to_string()) {
            return Err(format!("the cursor-file says {place:?}"));
        }
    }
    Ok(())
}

/// That the disk has lost something is told by a call that syncs, and by nothing else that fails.
fn lost_nothing(log: &Path, target: &Target) -> Verdict {
    let syncs = ["fsync", "fdatasync", "syncfs", "msync", "sync_file_range"];
    let Ok(status) = status(log) else { return Ok(()) };
    match status.durability.error {
        Some((from, errno)) if !syncs.contains(&target.call.as_str()) => {
            Err(format!("durability is lost from {from} on (errno {errno}) by a failed {}", target.call))
        }
        _ => Ok(()),
    }
}

/// A log that nobody has open, or that was just trimmed, is exactly as long as its content.
fn at_rest(log: &Path) -> Verdict {
    let status = status(log)?;
    if status.file.len != status.cursor - status.base {
        let (len, content) = (status.file.len, status.cursor - status.base);
        return Err(format!("at rest it has {len} bytes, of content {content}"));
    }
    if status.gate.is_some() || status.lock.held != Ok(false) || status.maintenance.held != Ok(false) {
        return Err(format!("at rest, but gate {:?}, {:?}", status.gate, status.lock));
    }
    match status.writers.iter().find(|w| w.in_flight.is_some()) {
        Some(writer) => Err(format!("at rest, but {writer:?}")),
        None => Ok(()),
    }
}

fn status(log: &Path) -> Result<Status, String> {
    let fault = |e: mmlog::Error| format!("cannot be looked at: {e}");
    Observer::open(log, &Log::options()).and_then(|mut o| o.look()).map_err(fault)
}

/// All that was there is in a final segment, of its length.
fn is_rotated(log: &Path, command: &Command) -> Verdict {
    let segments = Segments::look(log).map_err(|e| format!("{e:#}"))?;
    let (base, held) = (status(log)?.base, command.held().len() as u64);
    let wrong = segments.check(base);
    if base < held || segments.has_next || !wrong.is_empty() {
        return Err(format!("it said that it has rotated; the base is {base} of {held}, {wrong:?}"));
    }
    Ok(())
}

/// What the log must hold after that end; brings back what the command itself has to.
fn content(
    tool: &Tool,
    scene: &Scene,
    command: &Command,
    ran: &Ran,
    killed: bool,
) -> Result<Content, String> {
    let exactly = |bytes: &[u8]| Content { always: bytes.to_vec(), perhaps: Vec::new() };
    let held = command.held();
    let there = |path: &Path| path.symlink_metadata().is_ok();
    let again =
        |arguments: &[&str]| done(&scene.plainly(tool, arguments, b"").map_err(|e| format!("{e:#}"))?);
    match command.does {
        Does::Appends(_) if killed => {
            Ok(Content { always: held.to_vec(), perhaps: command.stored(&command.input.bytes()) })
        }
        Does::Appends(_) => {
            let input = command.input.bytes();
            let stored =
                input.len().checked_sub(unstored(&ran.stderr)).ok_or("more was not stored than there is")?;
            let input = &input[..if ran.end == End::Code(0) { input.len() } else { stored }];
            Ok(exactly(&[held, &command.stored(input)].concat()))
        }
        Does::Creates if command.before == Before::Plain && ran.end != End::Code(0) => {
            again(command.arguments)?;
            Ok(exactly(held))
        }
        Does::Mends if ran.end != End::Code(0) => {
            again(command.arguments)?;
            Ok(exactly(held))
        }
        Does::Removes => {
            let mut metadata = scene.log.clone().into_os_string();
            metadata.push(".mmlog");
            let left = [there(&scene.log), there(metadata.as_ref())];
            match (left, ran.end) {
                ([true, true], end) if end != End::Code(0) => Ok(exactly(held)),
                ([false, true], end) if end != End::Code(0) => {
                    again(command.arguments).map(|()| exactly(b""))
                }
                ([false, false], _) => Ok(exactly(b"")),
                (left, end) => Err(format!("ended with {end:?}, left {left:?} of data and metadata")),
            }
        }
        Does::Looks | Does::Creates | Does::Trims | Does::Rotates | Does::Mends => Ok(exactly(held)),
    }
}

/// "(N bytes were not stored)", "(1 byte was not stored)"
fn unstored(stderr: &str) -> usize {
    let said = stderr.split_once(" not stored)").and_then(|(before, _)| before.rsplit('(').next());
    said.and_then(|said| said.split(' ').next()?.parse().ok()).unwrap_or(0)
}

fn done(ran: &Ran) -> Verdict {
    match ran.end {
        End::Code(0) => Ok(()),
        end => Err(format!("`{}` afterwards ended with {end:?}, said {:?}", ran.command_line, ran.stderr)),
    }
}

/// A plain append works at once, and then everything is there that must be.
fn whole(tool: &Tool, scene: &Scene, command: &Command, content: &Content, target: &Target) -> Verdict {
    let run = |arguments: &[&str], input: &[u8]| {
        scene.plainly(tool, arguments, input).map_err(|e| format!("{e:#}"))
    };
    done(&run(&["append", "LOG"], AFTER)?)?;
    let cat = run(&["cat", "LOG"], b"")?;
    done(&cat)?;
    matches(&cat.stdout, content)?;
    at_rest(&scene.log)?;
    if command.has_segments() {
        // What an error or a death has left goes with the next rotation.
        let compresses = command.arguments.contains(&"--compress=zstd");
        let rotate = if compresses { command.arguments } else { &["rotate", "LOG"] };
        // A sync that failed has lost what only repair can give back; a compression needs one.
        if compresses && status(&scene.log)?.durability.error.is_some() {
            done(&run(&["repair", "--accept-loss", "LOG"], b"")?)?;
        }
        done(&run(rotate, b"")?)?;
        let again = run(&["cat", "LOG"], b"")?;
        if again.stdout != cat.stdout {
            return Err(format!("cat shows {} bytes, {} before", again.stdout.len(), cat.stdout.len()));
        }
        at_rest(&scene.log)?;
    }
    let segments = Segments::look(&scene.log).map_err(|e| format!("{e:#}"))?;
    let base = status(&scene.log)?.base;
    let mut wrong = segments.check(base);
    wrong.extend(segments.others.iter().map(|other| format!("beside the log lies {other}")));
    // A rotation whose cut failed has said so; nobody cuts a final segment later.
    if matches!(target.call.as_str(), "statx" | "ftruncate") {
        wrong.retain(|wrong| !wrong.contains("the next segment begins"));
    }
    if !wrong.is_empty() || segments.has_next || (!command.has_segments() && !segments.finals.is_empty()) {
        return Err(format!("left behind: {wrong:?}, {:?}, {}", segments.finals, segments.has_next));
    }
    let raw = segments.bytes().map_err(|e| format!("{e:#}"))?;
    // Of a hole nothing is left but NULs, unless the very call that zeroes or measures it was spoiled.
    let may_stay = matches!(target.call.as_str(), "statx" | "ftruncate" | "fallocate" | "pwrite64");
    let without_holes: Vec<u8> = raw.iter().copied().filter(|&b| b != 0).collect();
    if without_holes != cat.stdout && !may_stay {
        return Err("the data file has other bytes than cat shows".into());
    }
    Ok(())
}

fn matches(got: &[u8], content: &Content) -> Verdict {
    let middle = got.strip_prefix(&content.always[..]).and_then(|rest| rest.strip_suffix(AFTER));
    let right = |middle: &[u8]| match content.perhaps.is_empty() {
        true => middle.is_empty(),
        false => content.perhaps.starts_with(middle) && (middle.is_empty() || middle.ends_with(b"\n")),
    };
    if middle.is_some_and(right) {
        return Ok(());
    }
    let (got_len, must) = (got.len(), content.always.len() + AFTER.len());
    Err(format!("cat shows {got_len} bytes, {must} (to {}) must be there", must + content.perhaps.len()))
}
