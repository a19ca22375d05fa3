//! For fish.

use std::fmt::Write as _;

use super::{Choice, Typed, Value, metrics};

const HEAD: &str = r#"# Completion of mmlogctl for fish. Made from the tool's definition, see tests/generated/completions.

# Logs, which are the files with a .mmlog beside them, and directories on the way to more; where there are none, other
# files. Never metadata, nor what operations leave beside it.
function __mmlogctl_logs
    set -l others
    set -l found 1
    for file in (__fish_complete_path (commandline -ct) | string replace -r '\t.*' '')
        set -l bare (string replace -r '^~/' $HOME/ -- $file)
        if test -d $bare
            printf '%s\tdirectory\n' $file
        else if string match -qr '\.mmlog(-.*)?$' -- $bare
            continue
        else if test -e $bare.mmlog
            set found 0
            printf '%s\tlog\n' $file
        else
            set -a others $file
        end
    end
    if test $found -ne 0
        printf '%s\n' $others
    end
end

# METRIC=VALUE, several with commas between.
function __mmlogctl_metrics
    set -l before (string match -r '^.*,' -- (commandline -ct))
    for metric in @metrics@
        echo "$before$metric="
    end
end

# The program of exec and its arguments, as fish completes them by themselves.
function __mmlogctl_program
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    set -l typed (string escape -- $words[(math $at + 1)..]) (commandline -ct)
    complete -C (string join ' ' -- $typed)
end

# The command, if there is one before the cursor.
function __mmlogctl_command
    for word in (commandline -opc)[2..]
        if not string match -q -- '-*' $word
            echo $word
            return 0
        end
    end
    return 1
end

function __mmlogctl_in
    set -l command (__mmlogctl_command)
    and contains -- $command $argv
    and not __mmlogctl_in_program
end

function __mmlogctl_in_program
    test "$(__mmlogctl_command)" = exec
    and contains -- -- (commandline -opc)
end

complete -c mmlogctl -f
complete -c mmlogctl -n __mmlogctl_in_program -a '(__mmlogctl_program)'
"#;

pub(crate) fn script(options: &[Choice], commands: &[Typed]) -> String {
    let mut text = HEAD.replace("@metrics@", &metrics().join(" "));
    for choice in options {
        option(&mut text, "not __mmlogctl_command", choice);
    }
    let help = [("help", "Say more of a command")];
    for (name, about) in commands.iter().map(|c| (c.name.as_str(), c.about.as_str())).chain(help) {
        for when in ["not __mmlogctl_command", "__mmlogctl_in help"] {
            let _ = writeln!(text, "complete -c mmlogctl -n '{when}' -a {name} -d '{}'", quoted(about));
        }
    }
    for Typed { name, choices, operands, .. } in commands {
        let when = format!("__mmlogctl_in {name}");
        for choice in choices {
            option(&mut text, &when, choice);
        }
        if let Some(offered) = operands.first().and_then(offer) {
            let _ = writeln!(text, "complete -c mmlogctl -n '{when}' -k -a '{offered}'");
        }
    }
    text
}

fn option(text: &mut String, when: &str, choice: &Choice) {
    let _ = write!(text, "complete -c mmlogctl -n '{when}'");
    let short = choice.short.map(|short| format!(" -s {short}")).unwrap_or_default();
    let longs: String = choice.longs.iter().map(|long| format!(" -l {long}")).collect();
    let _ = write!(text, "{short}{longs} -d '{}'", quoted(&choice.about));
    match &choice.value {
        None => {}
        Some(Value::File) => text.push_str(" -r -F"),
        Some(value) => {
            text.push_str(if choice.optional { " -f" } else { " -x" });
            if let Some(offered) = offer(value) {
                let _ = write!(text, " -a '{offered}'");
            }
        }
    }
    text.push('\n');
}

fn offer(value: &Value) -> Option<String> {
    Some(match value {
        Value::Log => "(__mmlogctl_logs)".to_owned(),
        Value::Dir => "(__fish_complete_directories (commandline -ct))".to_owned(),
        Value::Words(words) => words.join(" "),
        Value::Metric => "(__mmlogctl_metrics)".to_owned(),
        Value::File | Value::Program | Value::Free => return None,
    })
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
