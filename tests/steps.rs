//! Guards what whoever is on call pastes: every command in every next step of every finding is run in a shell, from where
//! the log has its name, whatever that name is. What is not this tool's is run as a stand-in that notes its words.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod cli;
#[path = "steps/found.rs"]
mod found;
#[path = "steps/outside.rs"]
mod outside;
#[path = "steps/policies.rs"]
mod policies;
#[path = "steps/shippers.rs"]
mod shippers;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use cli::{Ended, Scratch, Tool, metadata_of, mmlogctl};
use mmlog::{FindingId, Observer, Options, Status};

/// What steps may run beside this tool.
const OTHERS: &[&str] = &[
    "cat",
    "chmod",
    "chown",
    "cp",
    "df",
    "dmesg",
    "docker",
    "find",
    "findmnt",
    "fsfreeze",
    "grep",
    "kill",
    "ls",
    "lsns",
    "mount",
    "mv",
    "prlimit",
    "ps",
    "quota",
    "realpath",
    "rm",
    "setfacl",
    "stat",
    "systemctl",
    "systemd-escape",
    "tail",
    "truncate",
];

/// A directory in which somebody stands, and a log that is named from there.
struct Place {
    scratch: Scratch,
    /// As it is typed.
    log: PathBuf,
}

impl Place {
    fn new(directory: &str, name: &str) -> Self {
        let scratch = Scratch::new();
        let stands = scratch.file("here");
        fs::create_dir(&stands).unwrap();
        let bin = scratch.file("bin");
        fs::create_dir(&bin).unwrap();
        for other in OTHERS {
            let stub = bin.join(other);
            fs::write(&stub, "#!/bin/sh\nprintf '%s\\n' \"${0##*/}\" \"$@\" >> \"$NOTED\"\n").unwrap();
            fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_mmlogctl"), bin.join("mmlogctl")).unwrap();
        for shell in ["bash", "sh"] {
            let path = std::env::var_os("PATH").unwrap();
            let found = std::env::split_paths(&path).map(|dir| dir.join(shell)).find(|file| file.exists());
            symlink(found.expect("a shell"), bin.join(shell)).unwrap();
        }
        for group in found::GROUPS {
            fs::create_dir_all(scratch.file("groups").join(group)).unwrap();
        }
        if !directory.is_empty() {
            fs::create_dir(stands.join(directory)).unwrap();
        }
        let place = Self { scratch, log: Path::new(directory).join(name) };
        place.make();
        place
    }

    fn stands(&self) -> PathBuf {
        self.scratch.file("here")
    }

    /// With two old segments.
    fn make(&self) {
        let log = self.stands().join(&self.log);
        for file in fs::read_dir(log.parent().unwrap()).unwrap().flatten() {
            fs::remove_file(file.path()).unwrap();
        }
        for line in ["one\n", "two\n", "three\n"] {
            mmlogctl("append", &log).args(["--chunk-size=64K"]).input(line.as_bytes()).run().is_success();
            if line != "three\n" {
                mmlogctl("rotate", &log).run().is_success();
            }
        }
    }

    /// As it is seen from here.
    fn status(&self) -> Status {
        let here = self.stands();
        let relative = |path: &Path| path.strip_prefix(&here).unwrap().to_path_buf();
        let mut status = Observer::open(here.join(&self.log), &Options::new()).unwrap().look().unwrap();
        status.path = self.log.clone();
        status.metadata_path = metadata_of(&self.log);
        status.segments.iter_mut().for_each(|segment| segment.path = relative(&segment.path));
        status
    }

    /// `ls` tells of all logs of this host, also of those that the tests beside this one are just making anew.
    fn is_missed_by(&self, said: &str) -> bool {
        let here = self.stands().display().to_string();
        let is_of_another = |line: &str| line.contains("/here/") && !line.contains(&here);
        said.lines().any(|line| line.contains("no such log") && !is_of_another(line))
    }

    /// What that command did, and the words of the stand-in if it was one.
    fn run(&self, command: &str) -> (Ended, Vec<String>) {
        let noted = self.scratch.file("noted");
        let _ = fs::remove_file(&noted);
        // The shell's own would not be a stand-in.
        let line = format!("enable -n kill; {command}");
        let ended = Tool::new("bash")
            .args(["-c", &line])
            .with(|shell| {
                shell.current_dir(self.stands()).env("PATH", self.scratch.file("bin")).env("NOTED", &noted)
            })
            .run();
        let words = fs::read_to_string(noted).unwrap_or_default();
        (ended, words.lines().map(str::to_owned).collect())
    }
}

fn commands(step: &str) -> Vec<&str> {
    step.split('`').skip(1).step_by(2).collect()
}

fn names_it(text: &str) -> bool {
    text.contains(".log") || text.contains("rf *")
}

/// Why that is no use: a shell cannot run it, this tool does not know a word of it, or it says nothing of this log.
fn trouble(place: &Place, command: &str) -> Option<String> {
    let (ended, noted) = place.run(command);
    let is_ours = command.contains("mmlogctl");
    let lists_it = command.starts_with("mmlogctl ls ") && names_it(&ended.text());
    let is_of_the_log = names_it(command) || lists_it;
    let by_hand = command.starts_with("echo ");
    if is_ours {
        place.make();
    }
    match ended.code {
        // Usage, not executable, not found.
        2 | 126 | 127 => Some(format!("{ended:?}")),
        _ if is_ours && !is_of_the_log => Some("it does not say which log".to_owned()),
        _ if is_ours => place.is_missed_by(&ended.stderr).then_some(ended.stderr),
        _ if !ended.stderr.is_empty() => Some(ended.stderr),
        _ => (noted.is_empty() && !by_hand).then(|| "nothing was run".to_owned()),
    }
}

/// Every next step of every finding, as it is said of that log.
fn steps(place: &Place) -> Vec<(FindingId, String)> {
    let (status, groups) = (place.status(), place.scratch.file("groups"));
    let of = |id: &FindingId| {
        let said = found::of(*id, &status, &groups);
        assert!(!said.is_empty(), "{id}: nothing here makes the diagnosis say it");
        said.into_iter().map(|finding| {
            assert_eq!(finding.command(), commands(&finding.next_step).first().copied());
            (finding.id, finding.next_step)
        })
    };
    let mut steps: Vec<_> = FindingId::ALL.iter().flat_map(of).collect();
    steps.sort();
    steps.dedup();
    steps
}

fn every_step_can_be_pasted((directory, name): (&str, &str)) {
    let place = Place::new(directory, name);
    let (mut tried, mut wrong) = (HashSet::new(), Vec::new());
    for (id, step) in steps(&place) {
        if step.is_empty() || step.matches('`').count() % 2 == 1 || step.contains("...") {
            wrong.push(format!("{id}: cut: {step}"));
        }
        // Nagios takes it for the end of the text: `check` has to change it.
        if step.contains('|') {
            wrong.push(format!("{id}: a pipe: {step}"));
        }
        for command in commands(&step).into_iter().filter(|command| tried.insert((*command).to_owned())) {
            wrong.extend(trouble(&place, command).map(|why| format!("{id}: {command}\n    {why}")));
        }
    }
    let thawed = place.scratch.file("groups").join(found::GROUPS[0]).join("freezer.state");
    assert_eq!(fs::read_to_string(thawed).unwrap(), "THAWED\n");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_command_of_every_step_runs_as_it_is_printed() {
    every_step_can_be_pasted(("logs", "app.log"));
}

#[test]
fn so_it_does_where_a_log_is_named_from_its_own_directory() {
    every_step_can_be_pasted(("", "app.log"));
}

#[test]
fn so_it_does_whatever_is_in_the_names() {
    every_step_can_be_pasted(("my logs", "it's a \"`log`\"\n$(id) \u{202e}.log"));
}

#[test]
fn so_it_does_where_the_name_looks_like_options_and_patterns() {
    every_step_can_be_pasted(("", "-rf *"));
}
