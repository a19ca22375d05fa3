//! For bash, from version 4 on, with or without the package bash-completion.

use std::fmt::Write as _;

use super::{Choice, Typed, Value, metrics};

const HEAD: &str = r#"# Completion of mmlogctl for bash. Made from the tool's definition, see tests/generated/completions.

# Logs, which are the files with a .mmlog beside them, and directories on the way to more; where there are none, other
# files. Never metadata, nor what operations leave beside it.
_mmlogctl_logs() {
    local file bare
    local -a logs=() directories=() others=()
    compopt -o filenames 2>/dev/null
    while IFS= read -r file; do
        bare=${file/#\~\//$HOME/}
        if [[ -d $bare ]]; then
            directories+=("$file")
        elif [[ $bare == *.mmlog || $bare == *.mmlog-* ]]; then
            continue
        elif [[ -e $bare.mmlog ]]; then
            logs+=("$file")
        else
            others+=("$file")
        fi
    done < <(compgen -f -- "$1")
    if ((${#logs[@]})); then
        COMPREPLY=("${logs[@]}" "${directories[@]}")
    else
        COMPREPLY=("${directories[@]}" "${others[@]}")
    fi
}

_mmlogctl_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

_mmlogctl_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
    # What ends with = goes on.
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}

# METRIC=VALUE, several with commas between.
_mmlogctl_metrics() {
    local before=
    [[ $1 == *,* ]] && before=${1%,*},
    [[ ${1##*,} == *=* ]] && return
    compopt -o nospace 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "@metrics@" -- "${1##*,}")
}

# The program of exec, whose name is word number $1.
_mmlogctl_program() {
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
    else
        _mmlogctl_files -f "${COMP_WORDS[COMP_CWORD]}"
    fi
}

_mmlogctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= word options i
    local commands="@commands@"
    COMPREPLY=()
    # Readline makes a word of each "=".
    if [[ $cur == = ]]; then
        cur=
        [[ $prev == -* ]] || return
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
        if [[ $prev != -* ]]; then
            case ${COMP_WORDS[COMP_CWORD - 3]} in
                -w | -c | --warning | --critical) [[ $cur == *,* ]] && _mmlogctl_metrics "$cur" ;;
            esac
            return
        fi
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -z $command ]]; then
            [[ $word == -* ]] || command=$word
        elif [[ $command == exec && $word == -- ]]; then
            _mmlogctl_program $((i + 1))
            return
        fi
    done
    case $command in
        "")
            if [[ $cur == -* ]]; then _mmlogctl_words "@options@" "$cur"; else _mmlogctl_words "$commands" "$cur"; fi
            return
            ;;
        help)
            _mmlogctl_words "$commands" "$cur"
            return
            ;;
"#;

pub(crate) fn script(options: &[Choice], commands: &[Typed]) -> String {
    let names: Vec<&str> = commands.iter().map(|command| command.name.as_str()).chain(["help"]).collect();
    let mut text = HEAD
        .replace("@commands@", &names.join(" "))
        .replace("@options@", &spellings(options))
        .replace("@metrics@", &metrics().iter().map(|name| format!("{name}=")).collect::<Vec<_>>().join(" "));
    for Typed { name, choices, operands, .. } in commands {
        let _ = writeln!(text, "        {name})\n            options=\"{}\"", spellings(choices));
        let valued: Vec<&Choice> = choices.iter().filter(|choice| choice.value.is_some()).collect();
        if !valued.is_empty() {
            text.push_str("            case $prev in\n");
            for choice in valued {
                let Some(value) = &choice.value else { continue };
                // A value that may be left out is only there behind "=".
                let spelled = match choice.optional {
                    true => choice.longs.iter().map(|long| format!("--{long}")).collect(),
                    false => choice.spellings(),
                };
                let guard = if choice.optional {
                    "[[ ${COMP_WORDS[COMP_CWORD - 1]} == = || ${COMP_WORDS[COMP_CWORD]} == = ]] && "
                } else {
                    ""
                };
                let _ = writeln!(text, "                {})", spelled.join(" | "));
                if choice.optional {
                    let _ = writeln!(
                        text,
                        "                    {guard}{{ {}; return; }}\n                    ;;",
                        offer(value)
                    );
                } else {
                    let _ = writeln!(
                        text,
                        "                    {}\n                    return\n                    ;;",
                        offer(value)
                    );
                }
            }
            text.push_str("            esac\n");
        }
        let operand = operands.first().map_or_else(|| ":".to_owned(), offer);
        let _ = writeln!(
            text,
            "            if [[ $cur == -* ]]; then _mmlogctl_words \"$options\" \"$cur\"; else {operand}; fi\n            ;;"
        );
    }
    text.push_str("    esac\n}\n\ncomplete -F _mmlogctl mmlogctl\n");
    text
}

fn spellings(choices: &[Choice]) -> String {
    let mut all: Vec<String> = choices.iter().flat_map(Choice::spellings).collect();
    // Letters last: nobody looks for them in a list.
    all.sort_by_key(|word| !word.starts_with("--"));
    all.join(" ")
}

fn offer(value: &Value) -> String {
    match value {
        Value::Log => "_mmlogctl_logs \"$cur\"".to_owned(),
        Value::File => "_mmlogctl_files -f \"$cur\"".to_owned(),
        Value::Dir => "_mmlogctl_files -d \"$cur\"".to_owned(),
        Value::Words(words) => format!("_mmlogctl_words \"{}\" \"$cur\"", words.join(" ")),
        Value::Metric => "_mmlogctl_metrics \"$cur\"".to_owned(),
        Value::Program | Value::Free => ":".to_owned(),
    }
}
