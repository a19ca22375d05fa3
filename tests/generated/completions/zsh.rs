//! For zsh.

use std::fmt::Write as _;

use super::{Choice, Typed, Value, metrics};

const HEAD: &str = r#"#compdef mmlogctl
# Completion of mmlogctl for zsh. Made from the tool's definition, see tests/generated/completions.

# Logs, which are the files with a .mmlog beside them, and directories on the way to more; where there are none, other
# files. Never metadata, nor what operations leave beside it.
_mmlogctl_logs() {
    local expl logs directories
    _wanted logs expl log _path_files -g '*(-.+_mmlogctl_is_log)'
    logs=$?
    _wanted directories expl directory _path_files -/
    directories=$?
    ((logs)) || return 0
    _wanted files expl file _path_files -g '*(-.+_mmlogctl_is_other)' || return $directories
}

_mmlogctl_is_log() { [[ $REPLY != *.mmlog && $REPLY != *.mmlog-* && -e $REPLY.mmlog ]] }
_mmlogctl_is_other() { [[ $REPLY != *.mmlog && $REPLY != *.mmlog-* ]] }

# The program of exec and its arguments, behind --.
_mmlogctl_program() {
    local at=${words[(i)--]}
    if ((at < CURRENT)); then
        shift $at words
        ((CURRENT -= at))
        _normal
    fi
}

# METRIC=VALUE, several with commas between.
_mmlogctl_metrics() {
    compset -P '*,'
    local -a metrics=(@metrics@)
    [[ $PREFIX == *=* ]] || compadd -S '' -- ${^metrics}=
}

_mmlogctl_commands() {
    local -a commands=(
@commands@    )
    _describe -t commands command commands
}

_mmlogctl() {
    setopt local_options extended_glob
    local context state state_descr line
    typeset -A opt_args
    _arguments -s -S -C \
@options@        '1: :_mmlogctl_commands' \
        '*:: :->rest'
    [[ $state == rest ]] || return
    curcontext="${curcontext%:*:*}:mmlogctl-$words[1]:"
    case $words[1] in
        help)
            _arguments '1: :_mmlogctl_commands'
            ;;
"#;

pub(crate) fn script(options: &[Choice], commands: &[Typed]) -> String {
    let help = [("help", "Say more of a command")];
    let described = commands.iter().map(|c| (c.name.as_str(), c.about.as_str())).chain(help);
    let described: String = described
        .map(|(name, about)| format!("        '{name}:{}'\n", quoted(&about.replace(':', "\\:"))))
        .collect();
    let mut text = HEAD
        .replace("@metrics@", &metrics().join(" "))
        .replace("@commands@", &described)
        .replace("@options@", &specs(options, 8));
    for Typed { name, choices, operands, .. } in commands {
        let _ = writeln!(
            text,
            "        {name})\n            _arguments -s -S \\\n{}",
            specs(choices, 16).trim_end_matches(" \\\n").to_owned() + " \\"
        );
        for (nth, operand) in operands.iter().enumerate() {
            let last = nth + 1 == operands.len();
            let place = match operand {
                Value::Program => "*::".to_owned(),
                _ if last => "*:".to_owned(),
                _ => format!("{}:", nth + 1),
            };
            let _ = writeln!(
                text,
                "                '{place}{}:{}'{}",
                what(operand),
                offer(operand),
                if last { "" } else { " \\" }
            );
        }
        text = text.trim_end_matches([' ', '\\', '\n']).to_owned() + "\n            ;;\n";
    }
    text.push_str("    esac\n}\n\nif [[ $funcstack[1] == _mmlogctl ]]; then\n    _mmlogctl \"$@\"\nelse\n    compdef _mmlogctl mmlogctl\nfi\n");
    text
}

/// One line for each spelling; of those of one option, one is enough.
fn specs(choices: &[Choice], indent: usize) -> String {
    let mut text = String::new();
    for choice in choices {
        let spellings = choice.spellings();
        let others = if choice.repeats { "*".to_owned() } else { format!("({})", spellings.join(" ")) };
        let about = quoted(&choice.about.replace('[', "\\[").replace(']', "\\]").replace(':', "\\:"));
        for spelling in &spellings {
            let is_long = spelling.starts_with("--");
            let value = match &choice.value {
                None => String::new(),
                // Without "=", it has none.
                Some(_) if choice.optional && !is_long => String::new(),
                Some(value) => {
                    format!("{}:{}:{}", if choice.optional { ":" } else { "" }, what(value), offer(value))
                }
            };
            let joined = match (&choice.value, is_long, choice.optional) {
                (None, ..) | (Some(_), false, true) => "",
                (Some(_), true, true) => "=-",
                (Some(_), true, false) => "=",
                (Some(_), false, false) => "+",
            };
            let _ = writeln!(text, "{:indent$}'{others}{spelling}{joined}[{about}]{value}' \\", "");
        }
    }
    text
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Log => "log",
        Value::File => "file",
        Value::Dir => "directory",
        Value::Words(_) | Value::Free => "value",
        Value::Metric => "metric",
        Value::Program => "program",
    }
}

fn offer(value: &Value) -> String {
    match value {
        Value::Log => "_mmlogctl_logs".to_owned(),
        Value::File => "_files".to_owned(),
        Value::Dir => "_files -/".to_owned(),
        Value::Words(words) => format!("({})", words.join(" ")),
        Value::Metric => "_mmlogctl_metrics".to_owned(),
        Value::Program => "_mmlogctl_program".to_owned(),
        Value::Free => String::new(),
    }
}

fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''").replace('`', "\\`")
}
