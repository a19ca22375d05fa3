//! Guards what is said of old segments: whatever happens to one, plain or compressed, `check`, `status` and `segments`
//! name its file and the positions that it costs, and readers never take it for the end or give NULs for its bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "old_segments/aside.rs"]
mod aside;
mod cli;
#[path = "old_segments/readers.rs"]
mod readers;

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cli::{NOBODY, Scratch, Tool, is_root, mmlogctl, skipped, succeeds};
use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_mmlogctl");

/// Text that compresses into more than a few bytes.
fn text(segment: u64) -> Vec<u8> {
    (0..2000 + 10 * segment)
        .flat_map(|i: u64| {
            format!("line {i} of {segment}: {:x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
        })
        .collect()
}

/// Three old segments and a current one; those of `files` are compressed.
struct Log {
    _scratch: Scratch,
    path: PathBuf,
}

impl Log {
    fn new(compression: Option<&str>) -> Self {
        let scratch = Scratch::new();
        let path = scratch.log(&text(0));
        for segment in 1..4 {
            let mut rotate = mmlogctl("rotate", &path);
            if let Some(compression) = compression {
                rotate = rotate.args(["--compress", compression]);
            }
            rotate.run().is_success();
            mmlogctl("append", &path).input(&text(segment)).run().is_success();
        }
        Self { path, _scratch: scratch }
    }

    /// The files of old segments, oldest first.
    fn files(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.path.parent().unwrap()).unwrap();
        let mut all: Vec<PathBuf> = all.map(|entry| entry.unwrap().path()).collect();
        all.retain(|path| path.to_str().unwrap().contains(".log.0"));
        all.sort();
        all
    }

    fn base(segment: u64) -> u64 {
        (0..segment).map(|s| text(s).len() as u64).sum()
    }

    fn status(&self) -> Value {
        let ended = mmlogctl("status", &self.path).arg("--json").run();
        ended.is_success();
        serde_json::from_slice(&ended.stdout).unwrap()
    }
}

/// What happens to the middle one of three old segments: how, to which formats, the finding, and the positions that it
/// costs, relative to its first.
struct Way {
    name: &'static str,
    done: fn(&Path),
    formats: &'static [Option<&'static str>],
    finding: &'static str,
    costs: fn(u64) -> (u64, u64),
}

const PLAIN: &[Option<&str>] = &[None];
const COMPRESSED: &[Option<&str>] = &[Some("zstd"), Some("gzip")];
const ALL: &[Option<&str>] = &[None, Some("zstd"), Some("gzip")];

fn all_of(len: u64) -> (u64, u64) {
    (0, len)
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

fn cut(path: &Path, len: u64) {
    File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn add(path: &Path, bytes: &[u8]) {
    File::options().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn instead(path: &Path, put: impl FnOnce(&Path)) {
    fs::rename(path, path.with_extension("away")).unwrap();
    put(path);
}

/// The file before it.
fn neighbour(path: &Path) -> PathBuf {
    let mut all: Vec<PathBuf> =
        fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().path()).collect();
    all.retain(|other| other.to_str().unwrap().contains(".log.0000000000-"));
    all.pop().unwrap()
}

const WAYS: &[Way] = &[
    Way {
        name: "removed",
        done: |p| fs::remove_file(p).unwrap(),
        formats: ALL,
        finding: "segment-missing",
        costs: all_of,
    },
    Way {
        name: "cut",
        done: |p| cut(p, len(p) - 1),
        formats: PLAIN,
        finding: "segment-damaged",
        costs: |len| (len - 1, len),
    },
    Way {
        name: "cut in half",
        done: |p| cut(p, len(p) / 2),
        formats: COMPRESSED,
        finding: "segment-damaged",
        costs: all_of,
    },
    Way {
        name: "cut by a byte",
        done: |p| cut(p, len(p) - 1),
        formats: COMPRESSED,
        finding: "segment-damaged",
        costs: all_of,
    },
    Way { name: "emptied", done: |p| cut(p, 0), formats: ALL, finding: "segment-damaged", costs: all_of },
    Way {
        name: "lengthened",
        done: |p| add(p, b"more\n"),
        formats: PLAIN,
        finding: "segment-surplus",
        costs: |_| (0, 0),
    },
    Way {
        name: "lengthened, compressed",
        done: |p| add(p, b"more\n"),
        formats: COMPRESSED,
        finding: "segment-damaged",
        costs: all_of,
    },
    Way {
        name: "overwritten at its head",
        done: |p| fs::write(p, [&[0; 64], &fs::read(p).unwrap()[64..]].concat()).unwrap(),
        formats: COMPRESSED,
        finding: "segment-damaged",
        costs: all_of,
    },
    Way {
        name: "replaced by another's",
        done: |p| fs::write(p, fs::read(neighbour(p)).unwrap()).unwrap(),
        formats: ALL,
        finding: "segment-damaged",
        costs: |len| (text(0).len() as u64, len),
    },
    Way {
        name: "a directory",
        done: |p| instead(p, |p| fs::create_dir(p).unwrap()),
        formats: ALL,
        finding: "segment-missing",
        costs: all_of,
    },
    Way {
        name: "a link",
        done: |p| instead(p, |p| symlink(p.with_extension("away"), p).unwrap()),
        formats: ALL,
        finding: "segment-missing",
        costs: all_of,
    },
    Way {
        name: "a stray compressed copy",
        done: |p| fs::write(format!("{}.zst", p.display()), b"stray").unwrap(),
        formats: PLAIN,
        finding: "segment-surplus",
        costs: |_| (0, 0),
    },
];

#[test]
fn whatever_happens_to_an_old_segment_is_said_with_its_name_and_positions() {
    for way in WAYS {
        for format in way.formats {
            let log = Log::new(*format);
            mmlogctl("check", &log.path).run().is_success();
            let file = log.files()[1].clone();
            (way.done)(&file);
            let what = format!("{} ({format:?})", way.name);
            let base = Log::base(1);
            let (from, to) = (way.costs)(text(1).len() as u64);
            let status = log.status();
            let flaws = status["flaws"].as_array().unwrap();
            let flaw = flaws.iter().find(|flaw| flaw["id"] == way.finding).unwrap_or(&Value::Null);
            assert_eq!(flaw["id"], way.finding, "{what}: {status}");
            let expected = if from == to { (0, 0) } else { (base + from, base + to) };
            assert_eq!(
                (flaw["from"].as_u64().unwrap(), flaw["to"].as_u64().unwrap()),
                expected,
                "{what}: {flaw}"
            );
            let name = file
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .split(".zst")
                .next()
                .unwrap()
                .split(".gz")
                .next()
                .unwrap()
                .to_owned();
            let check = mmlogctl("check", &log.path).run();
            let code = if way.finding == "segment-surplus" { 1 } else { 2 };
            assert_eq!(check.code, code, "{what}: {check:?}");
            let deep = mmlogctl("check", &log.path).arg("--deep").run();
            assert_eq!(deep.code, if code == 1 { 0 } else { 2 }, "{what}: {deep:?}");
            let segments = mmlogctl("segments", &log.path).run();
            assert_eq!(segments.code, if code == 1 { 0 } else { 4 }, "{what}: {segments:?}");
            for said in [check.text(), deep.text(), segments.stderr.clone()] {
                assert!(said.contains(&name), "{what}: {said}");
                assert!(
                    from == to || said.contains(&format!("[{}, {})", expected.0, expected.1)),
                    "{what}: {said}"
                );
            }
        }
    }
}

/// By somebody who is neither root nor the log's owner.
fn as_nobody(command: &str, log: &Path) -> Tool {
    mmlogctl(command, log).with(|command| {
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    })
}

#[test]
fn an_old_segment_or_a_directory_that_may_not_be_read_is_said() {
    let log = Log::new(None);
    let directory = log.path.parent().unwrap();
    for path in [&log.path, &PathBuf::from(format!("{}.mmlog", log.path.display()))] {
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }
    let mode = |path: &Path, bits| fs::set_permissions(path, Permissions::from_mode(bits)).unwrap();
    mode(directory, 0o755);
    if is_root() && !succeeds(std::process::Command::new(TOOL).arg("--version").uid(NOBODY)) {
        return skipped("what another user is told", "it cannot reach the program");
    }
    let file = log.files()[1].clone();
    let (base, end) = (Log::base(1), Log::base(2));
    for (path, bits, range) in [(file.as_path(), 0o200, (base, end)), (directory, 0o711, (0, Log::base(3)))] {
        mode(path, bits);
        let range = format!("[{}, {})", range.0, range.1);
        for command in ["check", "segments"] {
            let ended = as_nobody(command, &log.path).run();
            assert_eq!(ended.code, 1, "{ended:?}");
            let said = format!("{}{}", ended.text(), ended.stderr);
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(said.contains(name) && said.contains(&range) && said.contains("denied"), "{ended:?}");
        }
        mode(path, 0o755);
    }
    as_nobody("check", &log.path).run().is_success();
}

#[test]
fn the_first_step_for_what_readers_do_not_take_is_one_that_helps() {
    let step = |log: &Log| {
        let status = log.status();
        let findings = status["findings"].as_array().unwrap();
        let surplus = findings.iter().find(|f| f["id"] == "segment-surplus");
        surplus.map(|f| {
            (f["sentence"].as_str().unwrap().to_owned(), f["next_step"].as_str().unwrap().to_owned())
        })
    };
    // A compressed copy beside its plain file.
    for format in ["zstd", "gzip"] {
        let (log, compressed) = (Log::new(None), Log::new(Some(format)));
        let copy = compressed.files()[1].clone();
        fs::copy(&copy, log.path.with_file_name(copy.file_name().unwrap())).unwrap();
        let advised = step(&log).unwrap().1;
        assert!(advised.starts_with(&format!("`mmlogctl rotate --compress {format} ")), "{advised}");
        mmlogctl("rotate", &log.path).args(["--compress", format]).run().is_success();
        assert_eq!(step(&log), None, "it helped");
    }
    // Two copies: no compression compares those.
    let (log, other) = (Log::new(Some("zstd")), Log::new(Some("gzip")));
    let copy = log.path.with_file_name(other.files()[1].file_name().unwrap());
    fs::copy(&other.files()[1], &copy).unwrap();
    let (_, advised) = step(&log).unwrap();
    assert!(!advised.contains("rotate") && advised.contains("move the other away"), "{advised}");
    fs::remove_file(&copy).unwrap();
    assert_eq!(step(&log), None);
    // What has a segment's name and is only not taken: nothing of it is given up before that is seen to.
    let log = Log::new(None);
    let file = log.files()[1].clone();
    let missing = |log: &Log| {
        let status = log.status();
        let findings = status["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|f| f["id"] == "segment-missing").unwrap()
    };
    let instead: [fn(&Path); 2] = [
        |p| instead(p, |p| fs::create_dir(p).unwrap()),
        |p| instead(p, |p| symlink(p.with_extension("away"), p).unwrap()),
    ];
    for put in instead {
        put(&file);
        let found = missing(&log);
        let step = found["next_step"].as_str().unwrap();
        assert_eq!(found["command"], aside(&file), "{found}");
        let then = "moves it away; then put the segment itself in its place";
        assert!(step.contains(then) && !step.contains("prune"), "{step}");
        fs::remove_dir(&file).or_else(|_| fs::remove_file(&file)).unwrap();
        fs::rename(file.with_extension("away"), &file).unwrap();
        mmlogctl("check", &log.path).run().is_success();
    }
    if is_root() {
        chown(&file, Some(NOBODY), None).unwrap();
        let found = missing(&log);
        assert_eq!(found["command"], format!("chown 0 {}", file.display()), "{found}");
        assert!(!found["next_step"].as_str().unwrap().contains("prune"), "{found}");
        chown(&file, Some(0), None).unwrap();
        mmlogctl("check", &log.path).run().is_success();
    }
    // What is no segment, though it has the name of one.
    let log = Log::new(None);
    let link = log.path.with_file_name(format!("app.log.{:010}-{:019}", 9, 9));
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    let (sentence, advised) = step(&log).unwrap();
    assert!(sentence.starts_with(&format!("{}: not taken for a segment", link.display())), "{sentence}");
    assert_eq!(advised, format!("`{}` moves it away", aside(&link)));
    // And the command that is said does it.
    assert!(Command::new("sh").args(["-c", &aside(&link)]).status().unwrap().success());
    assert_eq!(step(&log), None);
}

fn aside(file: &Path) -> String {
    format!("mv -n {0} {0}.other", file.display())
}

/// What somebody put beside the segments: of a generation that is there, from another position on.
#[test]
fn a_second_file_of_a_generation_is_left_out_and_said_and_nothing_is_thrown_away() {
    for compression in [None, Some("zstd"), Some("gzip")] {
        let log = Log::new(compression);
        let files = log.files();
        let bytes: Vec<u8> = (0..4).flat_map(text).collect();
        // Before the real one and behind it, of the oldest and the newest.
        for (of, base) in [(0, 7), (1, 1234), (1, text(0).len() as u64 + 5), (2, 3)] {
            let suffix = compression.map_or("", |c| if c == "zstd" { ".zst" } else { ".gz" });
            let name = format!("app.log.{of:010}-{base:019}{suffix}");
            let strange = log.path.with_file_name(name);
            fs::copy(&files[of], &strange).unwrap();
            let cat = mmlogctl("cat", &log.path).run();
            assert!(cat.stdout == bytes && cat.stderr.contains(strange.to_str().unwrap()), "{}", cat.stderr);
            let check = mmlogctl("check", &log.path).run();
            assert!(check.code == 1 && check.text().contains("moves it away"), "{check:?}");
            assert!(check.text().contains(&format!("{base};")), "{check:?}");
            mmlogctl("rotate", &log.path).args(["--if-size=1G", "--compress=zstd"]).run();
            fs::remove_file(&strange).unwrap();
            mmlogctl("cat", &log.path).run().printed(&bytes);
            if compression.is_none() {
                // It is compressed by now; the next turn begins anew.
                break;
            }
        }
        mmlogctl("check", &log.path).run().is_success();
    }
}

/// The real one of its generation is pruned: what was left out before is not taken for it then, nor removed for it.
#[test]
fn a_file_that_is_not_the_logs_stays_left_out_when_the_segment_of_its_generation_is_pruned() {
    for compression in [None, Some("zstd"), Some("gzip")] {
        let log = Log::new(compression);
        let suffix = compression.map_or("", |c| if c == "zstd" { ".zst" } else { ".gz" });
        let strange = [(0, 7), (1, 1234)].map(|(generation, base): (u64, u64)| {
            let file = log.path.with_file_name(format!("app.log.{generation:010}-{base:019}{suffix}"));
            fs::copy(&log.files()[2], &file).unwrap();
            file
        });
        for keep in [1, 0] {
            mmlogctl("prune", &log.path).arg(format!("--keep={keep}")).run();
            let kept = (3 - keep..4).flat_map(text).collect::<Vec<u8>>();
            let cat = mmlogctl("cat", &log.path).run();
            let said = format!("{}: not taken for a segment", strange[1].display());
            assert!(cat.stdout == kept && cat.stderr.contains(&said), "{}", cat.stderr);
            assert!(cat.stderr.contains("(1 more like it)"), "{}", cat.stderr);
            let check = mmlogctl("check", &log.path).run();
            assert!(check.code == 1 && check.text().contains("moves it away"), "{check:?}");
            assert!(strange.iter().all(|file| file.exists()));
        }
        strange.iter().for_each(|file| fs::remove_file(file).unwrap());
        mmlogctl("check", &log.path).run().is_success();
    }
}

#[test]
fn bytes_that_somebody_appended_to_an_old_segment_are_not_thrown_away_by_a_compression() {
    let log = Log::new(None);
    let files = log.files();
    let mut open = File::options().append(true).open(&files[1]).unwrap();
    open.write_all(b"an outsider's line\n").unwrap();
    let rotate = || mmlogctl("rotate", &log.path).args(["--if-size=1G", "--compress=zstd"]).run();
    let ended = rotate();
    let expected = text(1).len();
    let words = format!("{} bytes, 19 more than its {expected} positions", expected + 19);
    assert!(ended.code != 0 && ended.stderr.contains(&words), "{ended:?}");
    assert!(fs::read(&files[1]).unwrap().ends_with(b"an outsider's line\n"));
    assert!(!files[0].exists() && !files[2].exists(), "the others are compressed");
    File::options().write(true).open(&files[1]).unwrap().set_len(expected as u64).unwrap();
    rotate().is_success();
    mmlogctl("cat", &log.path).run().printed(&(0..4).flat_map(text).collect::<Vec<u8>>());
}

#[test]
fn a_file_with_the_name_of_a_segment_to_come_is_said() {
    let log = Log::new(None);
    for generation in [3, 7] {
        let early = log.path.with_file_name(format!("app.log.{generation:010}-{:019}", 5));
        fs::write(&early, "strange").unwrap();
        let check = mmlogctl("check", &log.path).run();
        let text = check.text();
        assert!(check.code == 1 && text.contains(early.to_str().unwrap()), "{check:?}");
        assert!(text.contains("moves it away"), "{text}");
        fs::remove_file(&early).unwrap();
        mmlogctl("check", &log.path).run().is_success();
    }
}

#[test]
fn a_missing_segment_is_gone_for_at_least_as_long_as_nothing_changed_in_its_directory() {
    let said = |log: &Log| {
        let status = log.status();
        let sentence = status["findings"][0]["sentence"].as_str().unwrap().to_owned();
        (status["flaws"].as_array().unwrap().last().unwrap()["since"].clone(), sentence)
    };
    let log = Log::new(None);
    fs::remove_file(&log.files()[1]).unwrap();
    let changed = fs::metadata(log.path.parent().unwrap()).unwrap();
    let (since, sentence) = said(&log);
    let since: jiff::Timestamp = since.as_str().unwrap().parse().unwrap();
    assert_eq!(since.as_second(), changed.ctime());
    assert!(sentence.contains(" is missing: ") && sentence.contains(", for at least "), "{sentence}");
    if is_root() {
        // Nobody took it away: when it was given to somebody else its directory does not tell.
        let log = Log::new(None);
        chown(&log.files()[1], Some(NOBODY), None).unwrap();
        let (since, sentence) = said(&log);
        assert!(since.is_null() && sentence.contains(" is missing: "), "{sentence}");
        assert!(!sentence.contains("for at least"), "{sentence}");
    }
}
