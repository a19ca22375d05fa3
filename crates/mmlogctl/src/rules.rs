//! The rules of a log's policy as they are typed and shown: their names, values and ranges, in one table.

use clap::Args;
use mmlog::{Compression, Free, Log, Options, Policy, PolicyState, with_log};
use serde_json::{Map, Value, json};

use std::path::Path;
use std::time::Duration;

use crate::arguments::{duration, exact_duration, exact_size, size};
use crate::commands::rotate::Format;
use crate::exit::shown;

/// A rule of the policy.
pub struct Rule {
    /// The option without its dashes.
    pub name: &'static str,
    /// Its key in JSON.
    pub key: &'static str,
    /// Takes what was typed.
    set: fn(&mut Policy, &str) -> Result<(), String>,
    clear: fn(&mut Policy),
    shown: fn(&Policy) -> Option<String>,
    value: fn(&Policy) -> Option<Value>,
}

macro_rules! rule {
    ($name:literal, $key:literal, $field:ident, $parse:expr, $shown:expr, $value:expr) => {
        Rule {
            name: $name,
            key: $key,
            set: |policy, text| {
                policy.$field = Some($parse(text)?);
                Ok(())
            },
            clear: |policy| policy.$field = None,
            shown: |policy| policy.$field.map($shown),
            value: |policy| policy.$field.map($value),
        }
    };
}

/// All of them, in the order in which they are shown.
pub const RULES: [Rule; 8] = [
    rule!("rotate-size", "rotate_size", rotate_size, size, exact_size, Value::from),
    rule!("rotate-age", "rotate_age_s", rotate_age, duration, exact_duration, seconds),
    rule!("keep", "keep", keep, count, |n| n.to_string(), Value::from),
    rule!("keep-bytes", "keep_bytes", keep_bytes, size, exact_size, Value::from),
    rule!("keep-age", "keep_age_s", keep_age, duration, exact_duration, seconds),
    rule!("keep-free", "keep_free", keep_free, free, exact_free, |f| Value::from(exact_free(f))),
    rule!("hold-max", "hold_max", hold_max, size, exact_size, Value::from),
    rule!("compress", "compress", compress, codec, |c| codec_name(c).to_owned(), |c| Value::from(
        codec_name(c)
    )),
];

fn seconds(duration: Duration) -> Value {
    json!(duration.as_secs_f64())
}

fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "not a number such as 10".to_owned())
}

/// Parses `5G` and `10%`.
///
/// # Errors
/// When it is neither.
pub fn free(text: &str) -> Result<Free, String> {
    match text.trim().strip_suffix('%') {
        Some(share) => share.trim().parse().map(Free::Percent).map_err(|_| "not a share such as 10%".into()),
        None => {
            size(text).map(Free::Bytes).map_err(|_| "not a size such as 5G, or a share such as 10%".into())
        }
    }
}

/// Free space as it may be typed.
#[must_use]
pub fn exact_free(least: Free) -> String {
    match least {
        Free::Bytes(bytes) => exact_size(bytes),
        Free::Percent(share) => format!("{share}%"),
    }
}

fn codec(text: &str) -> Result<Compression, String> {
    match text {
        "zstd" => Ok(Compression::Zstd),
        "gzip" => Ok(Compression::Gzip),
        _ => Err("not zstd or gzip".into()),
    }
}

const fn codec_name(codec: Compression) -> &'static str {
    match codec {
        Compression::Zstd => "zstd",
        Compression::Gzip => "gzip",
    }
}

/// The rule of that name.
///
/// # Errors
/// When there is none, with those that there are.
pub fn named(name: &str) -> Result<&'static Rule, String> {
    let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    let found = RULES.iter().find(|rule| rule.name == name || rule.key == name);
    found.ok_or_else(|| format!("no rule is called {name}; there are {}", names.join(", ")))
}

impl Rule {
    /// Takes what was typed, if it is in range.
    ///
    /// # Errors
    /// When it is not, with the range.
    pub fn set(&self, policy: &mut Policy, text: &str) -> Result<(), String> {
        let mut alone = Policy::default();
        (self.set)(&mut alone, text)?;
        within(&alone)?;
        (self.set)(policy, text)
    }

    /// Takes the rule away.
    pub fn clear(&self, policy: &mut Policy) {
        (self.clear)(policy);
    }

    /// `64M`, if it is set.
    #[must_use]
    pub fn shown(&self, policy: &Policy) -> Option<String> {
        (self.shown)(policy)
    }
}

fn within(policy: &Policy) -> Result<(), String> {
    policy.check().map_err(|fault| fault.to_string())
}

/// `rotate-size=64M keep=10`.
#[must_use]
pub fn line(policy: &Policy) -> String {
    let set = RULES.iter().filter_map(|rule| Some(format!("{}={}", rule.name, rule.shown(policy)?)));
    set.collect::<Vec<_>>().join(" ")
}

/// `64M keep 10`, for a column; nothing without a policy.
#[must_use]
pub fn short(policy: &PolicyState) -> Option<String> {
    let rules = match policy {
        PolicyState::Unset => return None,
        PolicyState::Damaged => return Some(state(policy).to_owned()),
        PolicyState::Set(rules) => rules,
    };
    // The unit tells ages from sizes and from counts.
    let word = |name: &str| match name {
        "keep" | "keep-bytes" | "keep-age" => "keep ",
        "keep-free" => "free ",
        "hold-max" => "hold ",
        _ => "",
    };
    let set = RULES.iter().filter_map(|rule| Some(word(rule.name).to_owned() + &rule.shown(rules)?));
    Some(set.collect::<Vec<_>>().join(" "))
}

/// Whether there are any, as JSON has it.
#[must_use]
pub const fn state(policy: &PolicyState) -> &'static str {
    match policy {
        PolicyState::Unset => "none",
        PolicyState::Set(_) => "set",
        PolicyState::Damaged => "damaged",
    }
}

/// The rules as JSON has them: null for those that are not set.
#[must_use]
pub fn object(policy: &Policy) -> Value {
    let keys = RULES.iter().map(|rule| (rule.key.to_owned(), (rule.value)(policy).unwrap_or(Value::Null)));
    Value::Object(keys.collect::<Map<_, _>>())
}

/// The policy of a log that is created. Flattened into the commands that create one.
#[derive(Args, Clone, Debug, Default)]
pub struct Bounds {
    /// Of a new log: begin a new segment before one gets longer than SIZE: 64M, 1G. Whoever appends does it, from then on.
    ///
    /// This and the following options make the policy that the log carries, see mmlogctl-policy(1). A log that is there
    /// keeps its own; that it is another one is said, and `policy --set` changes it.
    #[arg(long, value_name = "SIZE", value_parser = |text: &str| ranged(text, size, |p, v| p.rotate_size = v))]
    rotate_size: Option<u64>,
    /// Of a new log: begin a new segment with the first append after that age: 24h.
    #[arg(long, value_name = "DUR", value_parser = |text: &str| ranged(text, duration, |p, v| p.rotate_age = v))]
    rotate_age: Option<Duration>,
    /// Of a new log: keep the newest N final segments.
    #[arg(long, value_name = "N", value_parser = |text: &str| ranged(text, count, |p, v| p.keep = v))]
    keep: Option<u64>,
    /// Of a new log: keep as many of the newest final segments as take that much of the disk.
    #[arg(long, value_name = "SIZE", value_parser = |text: &str| ranged(text, size, |p, v| p.keep_bytes = v))]
    keep_bytes: Option<u64>,
    /// Of a new log: keep final segments that became so less than that long ago.
    #[arg(long, value_name = "DUR", value_parser = |text: &str| ranged(text, duration, |p, v| p.keep_age = v))]
    keep_age: Option<Duration>,
    /// Of a new log: while the file system has less free space, the oldest final segments go: 5G, 10%.
    #[arg(long, value_name = "SIZE", value_parser = |text: &str| ranged(text, free, |p, v| p.keep_free = v))]
    keep_free: Option<Free>,
    /// Of a new log: a hold that lags by more keeps nothing; its consumer is told what it missed.
    #[arg(long, value_name = "SIZE", value_parser = |text: &str| ranged(text, size, |p, v| p.hold_max = v))]
    hold_max: Option<u64>,
    /// Of a new log: tools compress its final segments so.
    #[arg(long, value_name = "FORMAT")]
    compress: Option<Format>,
}

fn ranged<T: Clone>(
    text: &str,
    parse: fn(&str) -> Result<T, String>,
    put: fn(&mut Policy, Option<T>),
) -> Result<T, String> {
    let value = parse(text)?;
    let mut alone = Policy::default();
    put(&mut alone, Some(value.clone()));
    within(&alone).map(|()| value)
}

impl Bounds {
    fn policy(&self) -> Policy {
        let Self { rotate_size, rotate_age, keep, keep_bytes, keep_age, keep_free, hold_max, compress } =
            *self;
        let compress = compress.map(Compression::from);
        Policy { rotate_size, rotate_age, keep, keep_bytes, keep_age, keep_free, hold_max, compress }
    }

    /// The library's options with what was typed.
    #[must_use]
    pub fn apply(&self, options: Options) -> Options {
        let policy = self.policy();
        if policy == Policy::default() { options } else { options.policy(&policy) }
    }

    /// What the log's own policy is, if it is another one than was typed: for one line.
    #[must_use]
    pub fn overruled(&self, path: &Path, log: &Log) -> Option<String> {
        let kept = log.policy_kept()?;
        let own = match &kept {
            PolicyState::Unset => "it has no policy".to_owned(),
            PolicyState::Set(policy) => format!("its policy is {}", line(policy)),
            PolicyState::Damaged => "its policy is damaged".to_owned(),
        };
        let wanted: Vec<String> =
            line(&self.policy()).split(' ').map(|rule| format!("--set {rule}")).collect();
        let text =
            format!("the log was there, and {own}; `mmlogctl policy LOG {}` changes it", wanted.join(" "));
        Some(format!("{}: {}", shown(path), with_log(&text, path)))
    }
}
