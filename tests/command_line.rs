//! Guards what somebody meets who types without having read: help in every form, and suggestions that are right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;

use cli::{Ended, Tool};

fn run(words: &[&str]) -> Ended {
    Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(words).run()
}

#[test]
fn help_is_a_word_too() {
    for (typed, meant) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "tail"], &["tail", "--help"]),
        (&["help", "exec"], &["exec", "--help"]),
        (&["--trust-path", "help", "cat"], &["cat", "--help"]),
    ] {
        let (ended, wanted) = (run(typed), run(meant));
        ended.is_success();
        assert!(ended.stdout == wanted.stdout && !ended.stdout.is_empty(), "{typed:?}: {ended:?}");
    }
    let wrong = run(&["help", "tial"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("'tail'"), "{wrong:?}");
}

#[test]
fn help_that_cannot_be_printed_is_a_failure() {
    for words in [&["--help"][..], &["help", "tail"], &["--version"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = Tool::new(env!("CARGO_BIN_EXE_mmlogctl")).args(words).stdout(full).start_unread().end();
        assert!(ended.code == 1 && ended.stderr.contains("standard output"), "{words:?}: {ended:?}");
    }
}

#[test]
fn help_has_groups_and_ends_with_examples() {
    let ended = run(&["--help"]);
    ended.is_success();
    let text = ended.text();
    let places = [
        "\nWrite:",
        "\n  append ",
        "\nRead:",
        "\nWatch:",
        "\nLook after:",
        "\nTry:",
        "\nOptions:",
        "\nExamples:",
    ];
    let places = places.map(|words| text.find(words));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(!run(&["-h"]).text().contains("Examples:"));
}

#[test]
fn suggestions_are_right_or_not_made() {
    for (typed, said) in [
        (&["tail", "--lnies", "5", "a"][..], "'--lines'"),
        (&["status", "--no-color", "a"], "`--color never`"),
        (&["tial", "a"], "'tail'"),
        (&["less", "a"], "`mmlogctl cat LOG | less`"),
        (&["delete", "a"], "`mmlogctl rm LOG` removes a log, `mmlogctl prune --keep 5 LOG` old segments"),
        (&["delet", "a"], "`mmlogctl rm LOG` removes a log"),
        (&["remov", "a"], "`mmlogctl rm LOG` removes a log"),
        (&["rn", "a"], "'rm'"),
        (&["rotate", "--keep", "3", "a"], "`mmlogctl prune --keep 5 LOG` removes old segments"),
        (&["trim", "--keep-age=3d", "a"], "`mmlogctl prune --keep 5 LOG` removes old segments"),
        (&["rotate", "--prune", "a"], "`mmlogctl prune --keep 5 LOG` removes old segments"),
        (&["watch", "a"], "`mmlogctl inspect LOG`"),
    ] {
        let ended = run(typed);
        assert!(ended.code == 2 && ended.stderr.contains(said), "{typed:?}: {ended:?}");
        assert!(!ended.stderr.contains("silent") && !ended.stderr.contains("quiet"), "{ended:?}");
    }
    assert!(!run(&["less", "a"]).stderr.contains("'ls'"));
    for typed in [
        &["tail", "-5x", "a"][..],
        &["replay", "a"],
        &["trim", "-50", "a"],
        &["cat", "--nothing-like-it", "a"],
    ] {
        let ended = run(typed);
        assert!(ended.code == 2 && !ended.stderr.contains("tip"), "{typed:?}: {ended:?}");
    }
    // What means something to whoever asked is not said with another's code.
    assert_eq!(run(&["check", "--since", "1h", "a"]).code, 3);
    assert_eq!(run(&["exec", "--since", "1h", "a"]).code, 125);
}
