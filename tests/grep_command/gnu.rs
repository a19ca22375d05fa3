//! The same as grep(1) on the same bytes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, str};

use mmlog::{Compress, Compression, Log, Rotation};

use crate::append;
use crate::cli::{Ended, Scratch, Tool, mmlogctl, skipped, slot, write_slot};

/// Of the random content and options; a failure names the round.
const SEED: u64 = 20_261_129;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const WORDS: [&str; 12] =
    ["error", "Error", "warn", "err", "a", "x=1", "x=22", "[7]", "caf\u{e9}", "\u{fc}ber", "(b)", "$"];

/// Lines of words, some empty, some longer than any buffer, some not text.
fn content(random: &mut Random, lines: usize) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 0..lines {
        let words = match random.below(40) {
            0 => 0,
            1 => 20_000,
            _ => 1 + random.below(7),
        };
        for _ in 0..words {
            content.extend_from_slice(random.one(&WORDS).as_bytes());
            content.push(b" .-_"[random.below(4)]);
        }
        if random.below(50) == 0 {
            content.extend_from_slice(b"\xff\xfe");
        }
        content.push(b'\n');
    }
    content
}

/// A log of which every part is in another kind of file; its last line is not complete.
fn log(path: &Path, random: &mut Random, more: More) {
    let log = Log::options().chunk_size(64 << 10).max_writers(4).open_or_create(path).unwrap();
    for segment in 0..5 {
        let mut writer = log.writer().unwrap();
        for _ in 0..3 {
            writer.append(&content(random, 40)).unwrap();
        }
        // Lines go on in the next file.
        writer.append(b"error across ").unwrap();
        if segment < 4 {
            log.rotate(&Rotation::default()).unwrap().unwrap();
        }
        let compression = [Some(Compression::Zstd), Some(Compression::Gzip), None, None, None][segment];
        if let Some(compression) = compression {
            log.compress(&Compress::new(compression), |_| {}).unwrap();
        }
    }
    log.close().unwrap();
    if more == More::HoleAndPruned {
        mmlogctl("prune", path).arg("--keep=3").run();
        let end = fs::metadata(path).unwrap().len();
        append(path, b"gone\nthere, err\n");
        let base: u64 = position(path) - end - 16;
        write_slot(path, 0, slot(3, base + end), 5, 4242);
    }
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum More {
    Nothing,
    HoleAndPruned,
}

/// Where the log ends.
fn position(log: &Path) -> u64 {
    let status = mmlogctl("status", log).arg("--json").run();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    status["watermark"].as_u64().unwrap()
}

/// Two logs of one content each, and files with what `cat` prints of them, under the same names in another directory.
struct Pair {
    logs: PathBuf,
    files: PathBuf,
}

impl Pair {
    fn new(scratch: &Scratch, random: &mut Random, more: More) -> Self {
        let pair = Self { logs: scratch.file("logs"), files: scratch.file("files") };
        for directory in [&pair.logs, &pair.files] {
            fs::create_dir(directory).unwrap();
        }
        for name in ["a.log", "b.log"] {
            log(&pair.logs.join(name), random, more);
            fs::write(pair.files.join(name), mmlogctl("cat", &pair.logs.join(name)).run().stdout).unwrap();
        }
        pair
    }

    fn ours(&self, words: &[&str]) -> Ended {
        let tool = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).arg("grep").args(words);
        tool.with(|command| command.current_dir(&self.logs)).run()
    }

    fn theirs(&self, words: &[&str]) -> (i32, Vec<u8>) {
        let mut grep = Command::new("grep");
        let is_text = words.contains(&"-F");
        grep.args(["-a", if is_text { "-F" } else { "-E" }])
            .args(words)
            .current_dir(&self.files)
            .env("LC_ALL", "C.UTF-8");
        let output = grep.output().unwrap();
        (output.status.code().unwrap(), output.stdout)
    }
}

fn has_gnu_grep(claim: &str) -> bool {
    let there = Command::new("grep").arg("--version").output();
    let there = there.is_ok_and(|output| output.stdout.starts_with(b"grep (GNU grep)"));
    if !there {
        skipped(claim, "no GNU grep");
    }
    there
}

const PATTERNS: [&str; 16] = [
    "error",
    "err",
    "x=[0-9]+",
    "^error",
    "warn.$",
    "a|err",
    "[7]",
    "caf.",
    "^$",
    "",
    "(err|warn)[ .]a",
    "b\nwarn",
    "zebra",
    "\u{fc}ber",
    "er{2}",
    "error across",
];

fn options(random: &mut Random, more: More) -> Vec<String> {
    let mut options = Vec::new();
    let mut some = |of: &[&str], random: &mut Random| match random.one(of) {
        "" => {}
        option => options.push(option.to_owned()),
    };
    some(&["", "", "-i"], random);
    some(&["", "", "", "-w", "-x"], random);
    some(&["", "", "", "-v"], random);
    some(&["", "", "", "-F"], random);
    some(&["", "-n"], random);
    some(&["", "", "-m1", "-m5"], random);
    some(&["", "", "-H", "--no-filename"], random);
    if more == More::Nothing {
        some(&["", "-b"], random);
    }
    match random.below(8) {
        0 => some(&["-c"], random),
        1 => some(&["-q"], random),
        2 => some(&["-o"], random),
        _ => some(&["", "-A1", "-A3", "-B2", "-C1", "-C4"], random),
    }
    options
}

fn compare(claim: &str, more: More) {
    if !has_gnu_grep(claim) {
        return;
    }
    let scratch = Scratch::new();
    let random = &mut Random(SEED);
    let pair = Pair::new(&scratch, random, more);
    for round in 0..150 {
        let options = options(random, more);
        let is_inverted = options.contains(&"-v".to_owned());
        let patterns: Vec<&str> = (0..=random.below(5) / 4).map(|_| random.one(&PATTERNS)).collect();
        let mut words: Vec<&str> = options.iter().map(String::as_str).collect();
        patterns.iter().for_each(|pattern| words.extend(["-e", pattern]));
        // Where nothing can be selected, it does not even print counts.
        if is_inverted && patterns.contains(&"") {
            continue;
        }
        words.extend(&["a.log", "b.log"][random.below(2)..]);
        let (ours, (code, stdout)) = (pair.ours(&words), pair.theirs(&words));
        let same = ours.stdout.iter().zip(&stdout).take_while(|(a, b)| a == b).count();
        let around = |bytes: &[u8]| {
            String::from_utf8_lossy(
                &bytes[same.saturating_sub(80).min(bytes.len())..bytes.len().min(same + 80)],
            )
            .into_owned()
        };
        assert!(
            ours.stdout == stdout && ours.code == code,
            "seed {SEED}, round {round}, {words:?}: code {} for {code}; from byte {same} on:\n{}\n--- for\n{}\n{}",
            ours.code,
            around(&ours.stdout),
            around(&stdout),
            ours.stderr
        );
    }
}

#[test]
fn through_rotations_and_compressed_segments_it_does_what_gnu_grep_does() {
    compare("through rotations and compressed segments it does what GNU grep does", More::Nothing);
}

#[test]
fn over_holes_and_pruned_ranges_it_does_what_gnu_grep_does() {
    compare("over holes and pruned ranges it does what GNU grep does", More::HoleAndPruned);
}

#[test]
fn a_position_that_is_printed_is_that_of_the_line_or_match_also_behind_what_is_not_there() {
    let scratch = Scratch::new();
    let random = &mut Random(SEED);
    let pair = Pair::new(&scratch, random, More::HoleAndPruned);
    let path = pair.logs.join("a.log");
    let end = position(&path);
    for options in ["-b", "-bo"] {
        let printed = pair.ours(&[options, "err", "a.log"]).stdout;
        let lines = printed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut last = None;
        for (nth, line) in lines.enumerate() {
            let colon = line.iter().position(|byte| *byte == b':').unwrap();
            let (at, text) = (str::from_utf8(&line[..colon]).unwrap(), &line[colon + 1..]);
            let number: u64 = at.parse().unwrap();
            assert!(last.replace(number).is_none_or(|last| last < number));
            // A process for each would take long.
            if nth % 200 != 0 && number + 100 < end {
                continue;
            }
            let there = mmlogctl("cat", &path).args(["--from", at]).run();
            assert!(there.stdout.starts_with(text), "seed {SEED}, {options}, {at}");
        }
        assert!(last.is_some());
    }
}
