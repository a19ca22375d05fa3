//! Completions, rendered from the command line's definition by one list of what there is to complete.
//!
//! They are scripts that stand for themselves, of our own: those that clap_complete renders offer any file where a log
//! belongs, the metadata too, and options where a name belongs; its engine that asks the program at each key is declared
//! unstable, and would run whatever `mmlogctl` is in PATH as whoever presses a key.

pub(crate) mod bash;
pub(crate) mod fish;
pub(crate) mod zsh;

use clap::{Arg, Command};
use mmlogctl::commands::{check, drill};
use mmlogctl::rules::RULES;

/// What may stand for a value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A log: a file with metadata beside it.
    Log,
    File,
    Dir,
    /// One of these.
    Words(Vec<String>),
    /// `METRIC=VALUE`, several with commas.
    Metric,
    /// A program and its arguments, behind `--`.
    Program,
    /// Whatever comes to somebody's mind.
    Free,
}

/// One option.
pub(crate) struct Choice {
    pub(crate) short: Option<char>,
    pub(crate) longs: Vec<String>,
    pub(crate) about: String,
    pub(crate) value: Option<Value>,
    /// The value may be left out, and stands behind `=` where it is not.
    pub(crate) optional: bool,
    /// It may stand there more than once.
    pub(crate) repeats: bool,
}

/// One command.
pub(crate) struct Typed {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) choices: Vec<Choice>,
    pub(crate) operands: Vec<Value>,
}

impl Choice {
    /// `-n`, `--lines`.
    pub(crate) fn spellings(&self) -> Vec<String> {
        let short = self.short.map(|short| format!("-{short}"));
        short.into_iter().chain(self.longs.iter().map(|long| format!("--{long}"))).collect()
    }
}

/// The options before the command, and all commands.
pub(crate) fn all(tool: &Command) -> (Vec<Choice>, Vec<Typed>) {
    let of = |command: &Command| Typed {
        name: command.get_name().to_owned(),
        about: first_sentence(command.get_about().map(ToString::to_string).unwrap_or_default()),
        choices: choices(command),
        operands: command
            .get_positionals()
            .filter(|arg| !arg.is_hide_set())
            .map(|arg| value(command, arg))
            .collect(),
    };
    (choices(tool), tool.get_subcommands().map(of).collect())
}

fn choices(command: &Command) -> Vec<Choice> {
    let options = command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set());
    let of = |arg: &Arg| Choice {
        short: arg.get_short(),
        longs: arg
            .get_long()
            .into_iter()
            .chain(arg.get_visible_aliases().unwrap_or_default())
            .map(ToOwned::to_owned)
            .collect(),
        about: first_sentence(arg.get_help().map(ToString::to_string).unwrap_or_default()),
        value: arg.get_action().takes_values().then(|| value(command, arg)),
        optional: arg.get_num_args().is_some_and(|range| range.min_values() == 0),
        repeats: matches!(arg.get_action(), clap::ArgAction::Append),
    };
    options.map(of).collect()
}

fn value(command: &Command, arg: &Arg) -> Value {
    let names = arg.get_value_names().unwrap_or_default();
    let name = names.first().map(|name| name.as_str()).unwrap_or_default();
    let words: Vec<String> = arg
        .get_value_parser()
        .possible_values()
        .map(|all| all.map(|value| value.get_name().to_owned()).collect())
        .unwrap_or_default();
    match (command.get_name(), name) {
        _ if !words.is_empty() => Value::Words(words),
        ("drill", "NAME") => Value::Words(drill::names().into_iter().map(ToOwned::to_owned).collect()),
        (_, "WHEN") => Value::Words(["never", "always", "interval="].map(ToOwned::to_owned).to_vec()),
        ("policy", "RULE=VALUE") => Value::Words(rules("=")),
        ("policy", "RULE") => Value::Words(rules("")),
        (_, "LOG") => Value::Log,
        (_, "FILE") => Value::File,
        (_, "DIR") => Value::Dir,
        (_, "METRIC=VALUE") => Value::Metric,
        (_, "CMD") if arg.is_positional() => Value::Program,
        _ => Value::Free,
    }
}

/// With what stands behind their names.
fn rules(behind: &str) -> Vec<String> {
    RULES.iter().map(|rule| rule.name.to_owned() + behind).collect()
}

pub(crate) fn metrics() -> Vec<&'static str> {
    check::metrics()
}

fn first_sentence(text: String) -> String {
    let end = text.find([';', ':', '\n']).or_else(|| text.find(". ")).unwrap_or(text.len());
    text[..end].trim_end_matches('.').to_owned()
}
