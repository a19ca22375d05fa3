//! Guards what the completions offer, by having bash, zsh and fish complete: a log where a log belongs, never its metadata,
//! and the names of incidents, metrics and programs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cli::{Scratch, mmlogctl, skipped, succeeds};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../completions").join(name).canonicalize().unwrap()
}

/// Two logs, one of them with an old segment; a file that is none; a directory.
fn directory() -> Scratch {
    let scratch = Scratch::new();
    for name in ["app.log", "web.log"] {
        mmlogctl("append", &scratch.file(name)).input(b"a\n").run().is_success();
    }
    fs::write(scratch.file("app.log.mmlog-next"), b"").unwrap();
    fs::write(scratch.file("notes.txt"), b"").unwrap();
    fs::create_dir(scratch.file("old")).unwrap();
    scratch
}

/// What was typed, and all that is offered for its last word.
const OFFERED: &[(&[&str], &[&str])] = &[
    (&["ta"], &["tail"]),
    (&["tail", "-f", ""], &["app.log", "web.log", "old"]),
    (&["status", ""], &["app.log", "web.log", "old"]),
    (&["check", "app.log", "w"], &["web.log"]),
    (&["tail", "app"], &["app.log"]),
    // Where no log is left, what might become one.
    (&["append", "n"], &["notes.txt"]),
    (&["init", "--adopt", "n"], &["notes.txt"]),
    (&["cat", "--olddir", ""], &["old"]),
    (&["tail", "-o", ""], &["json", "text"]),
    (&["tail", "--zero"], &["--zero-terminated"]),
    (&["drill", "writer-s"], &["writer-stalled", "writer-stopped"]),
    (&["check", "-w", "fre"], &["free="]),
    (&["policy", "--set", "ro"], &["rotate-size=", "rotate-age="]),
    (&["rotate", "--wait", ""], &[]),
    (&["help", "exe"], &["exec"]),
    (&["exec", "a"], &["app.log"]),
    (&["exec", "app.log", "--", "mktem"], &["mktemp"]),
    (&["exec", "app.log", "--", "cat", "n"], &["notes.txt"]),
];

#[track_caller]
fn compare(shell: &str, complete: impl Fn(&Path, &[&str]) -> Vec<String>) {
    let scratch = directory();
    for (words, offered) in OFFERED {
        let all = complete(scratch.path(), words);
        let plain: BTreeSet<&str> = all.iter().map(|one| one.trim_end_matches(['/', ' '])).collect();
        assert_eq!(plain, offered.iter().copied().collect(), "{shell}: {words:?}");
    }
}

fn lines(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    text.lines()
        .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// Whether the shell is here.
fn has(shell: &str) -> bool {
    let is_here = succeeds(Command::new(shell).args(["-c", "true"]));
    if !is_here {
        skipped(&format!("{shell} completes"), "it is not installed");
    }
    is_here
}

/// As readline calls it: with the words before the cursor.
const IN_BASH: &str = r#"
    source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
    _mmlogctl mmlogctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}"
"#;

fn in_bash(directory: &Path, words: &[&str]) -> Vec<String> {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", IN_BASH, "bash"]).arg(script("mmlogctl.bash"));
    let output = bash.arg("mmlogctl").args(words).current_dir(directory).output().unwrap();
    assert!(output.stderr.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    lines(&output.stdout)
}

#[test]
fn bash_offers_what_belongs_there() {
    if has("bash") {
        compare("bash", in_bash);
        // Readline has "=" as a word of its own.
        let scratch = directory();
        let offered = |words: &[&str]| in_bash(scratch.path(), words);
        assert_eq!(offered(&["cat", "--olddir", "="]), ["old"]);
        assert_eq!(offered(&["tail", "--output", "=", "j"]), ["json"]);
        assert_eq!(offered(&["tail", "--follow", "=", "n"]), ["name"]);
        assert_eq!(offered(&["policy", "--clear", "=", "c"]), ["compress"]);
        assert_eq!(offered(&["check", "-w", "free", "=", "1G,hol"]), ["1G,holes="]);
        assert!(offered(&["check", "-w", "free", "="]).is_empty());
        let home = offered(&["tail", &format!("{}/a", scratch.path().display())]);
        assert_eq!(home, [scratch.file("app.log").display().to_string()]);
    }
}

/// For a shell in a terminal, whose matches are caught where they are added.
const SETUP: &str = r#"
PROMPT=; fpath=($COMPLETIONS $fpath); autoload -Uz compinit; compinit -u -D
bindkey "^I" complete-word
begun() { print -r - MATCHES }; ended() { print -r - DONE; exit }
compprefuncs=(begun); comppostfuncs=(ended)
compadd() {
    [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] && { builtin compadd "$@"; return }
    local -a hits before parent
    local args=("$@")
    builtin compadd -A hits "$@"
    zparseopts -D -E p:=parent P:=before
    for hit in $hits; do print -r - "@$IPREFIX${before[2]}${parent[2]}$hit"; done
    builtin compadd "${args[@]}"
}
print -r - READY"#;

const IN_ZSH: &str = r#"
    zmodload zsh/zpty
    zpty z zsh -f -i
    zpty -w z 'eval $SETUP'
    local line
    while zpty -r z line; do [[ $line == *READY* ]] && break; done
    zpty -w -n z "$1"$'\t'
    while zpty -r z line; do
        line=${${line%$'\n'}%$'\r'}
        [[ $line == *DONE ]] && break
        [[ $line == *@* ]] && print -r - ${line##*@}
    done
"#;

fn in_zsh(directory: &Path, words: &[&str]) -> Vec<String> {
    let line = format!("mmlogctl {}", words.join(" "));
    let mut zsh = Command::new("timeout");
    zsh.args(["60", "zsh", "-f", "-c", IN_ZSH, "zsh"]).arg(line).env("SETUP", SETUP);
    zsh.env("COMPLETIONS", script("_mmlogctl").parent().unwrap());
    let output = zsh.env("TERM", "dumb").current_dir(directory).output().unwrap();
    assert!(output.status.code() != Some(124), "{words:?}: zsh did not answer");
    lines(&output.stdout)
}

#[test]
fn zsh_offers_what_belongs_there() {
    if has("zsh") {
        compare("zsh", in_zsh);
    }
}

fn in_fish(directory: &Path, words: &[&str]) -> Vec<String> {
    let line = format!("mmlogctl {}", words.join(" "));
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"])
        .arg(script("mmlogctl.fish"))
        .arg(line);
    // What it keeps of its own.
    let output =
        fish.env("HOME", directory.join("old")).env("TERM", "dumb").current_dir(directory).output().unwrap();
    lines(&output.stdout)
}

#[test]
fn fish_offers_what_belongs_there() {
    if has("fish") {
        compare("fish", in_fish);
    }
}
