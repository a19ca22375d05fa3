//! Where the commands of a page run: a directory with what a page takes for granted, gone afterwards.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::blocks::{Block, Step, root};
use super::listed::{STAND_INS, parses};
use super::shown::is_shown;
use crate::cli::{Scratch, Tool, wait_for};

/// What ends a step's output, with its number and exit code behind it.
const END: &str = "\u{1}end ";
/// How long a command may follow, in seconds. That is no claim: it only ends what would go on for ever.
const FOLLOWS: u32 = 1;
/// Where a page's absolute paths lie, below the scratch directory.
const ROOTED: [&str; 4] = ["/var/", "/usr/share/", "/usr/bin/mmlogctl", "/etc/systemd/"];

pub(crate) struct Stage(Scratch);

/// The program of `ship` and `receive`, beside the tool: it is of another package, which these tests alone do not have built.
fn built_beside() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let tool = Path::new(env!("CARGO_BIN_EXE_mmlogctl"));
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--offline", "--package", "mmlog-ship"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let target = tool.parent().unwrap().parent().unwrap();
        assert!(cargo.arg("--target-dir").arg(target).current_dir(root()).status().unwrap().success());
    });
}

impl Stage {
    pub(crate) fn new() -> Self {
        built_beside();
        let scratch = Scratch::on_disk();
        for directory in
            ["bin", "home", "tmp", "var/log/app", "var/lib/node_exporter", "usr/bin", "target/release"]
        {
            fs::create_dir_all(scratch.file(directory)).unwrap();
        }
        for name in ["man", "completions", "contrib"] {
            symlink(root().join(name), scratch.file(name)).unwrap();
        }
        symlink(root(), scratch.file("mmlog")).unwrap();
        // Where cargo has left libmmlog for this very test.
        let built = std::env::current_exe().unwrap();
        symlink(built.parent().unwrap(), scratch.file("target/built")).unwrap();
        symlink(env!("CARGO_BIN_EXE_mmlogctl"), scratch.file("bin/mmlogctl")).unwrap();
        symlink(env!("CARGO_BIN_EXE_mmlogctl"), scratch.file("target/release/mmlogctl")).unwrap();
        for (program, _) in STAND_INS {
            let file = scratch.file("bin").join(program);
            fs::write(&file, "#!/bin/sh\nexec cat\n").unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
        }
        Self(scratch)
    }

    /// The logs that the examples of the manual are about.
    pub(crate) fn with_logs(self) -> Self {
        let made = "for log in app.log web.log var/log/app.log var/log/app/app.log; do \
                    seq 20 | mmlogctl append $log; mmlogctl rotate $log; seq 21 30 | mmlogctl append $log; done";
        let ended = self.run(made);
        assert!(ended.trim().is_empty(), "{ended}");
        self
    }

    /// A text with its absolute paths below the scratch directory.
    pub(crate) fn rooted(&self, text: &str) -> String {
        let here = self.0.path().display().to_string();
        let mut rooted = text.to_owned();
        for place in ROOTED {
            for before in [" ", "'", "\"", "=", ">", "["] {
                rooted = rooted.replace(&format!("{before}{place}"), &format!("{before}{here}{place}"));
            }
        }
        rooted
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }

    /// Runs the steps of a block one after the other in one shell, and says what went wrong.
    pub(crate) fn perform(&self, block: &Block, steps: &[Step]) -> Vec<String> {
        let mut script = format!("set -e -o pipefail\n{}\nset +e\n", block.before);
        for (nth, step) in steps.iter().enumerate() {
            let command = limited(&self.rooted(&step.command));
            script +=
                &format!("{command}\nstatus=$?; printf '\\n{END}{nth} %s\\n' $status; (exit $status)\n");
        }
        let mut printed = self.run(&script);
        let mut wrong = Vec::new();
        for (nth, step) in steps.iter().enumerate() {
            let mut say = |what: String| {
                wrong.push(format!("{}:{}: {}\n{what}", block.document, block.line, step.command));
            };
            let Some((output, rest)) = printed.split_once(&format!("\n{END}{nth} ")) else {
                say(format!("did not come to its end:\n{printed}"));
                break;
            };
            let (code, rest) = rest.split_once('\n').unwrap();
            // A page that shows the exit code has said that it may be any.
            let is_told = steps.get(nth + 1).is_some_and(|next| next.command == "echo $?");
            let followed = follows(&step.command) && code == "124";
            // Where all is slow, the time limit may come before the command line was read.
            if let Some(Err(wrong)) = followed.then(|| parses(&step.command)) {
                say(wrong);
            }
            if code != "0" && !is_told && !followed {
                say(format!("ended with {code}:\n{output}"));
            }
            // Any number will do for a size, not for an exit code or a count.
            let is_same = |shown: &[String]| match is_exact(&step.command) {
                true => shown.join("\n") == output.trim(),
                false => is_shown(shown, output),
            };
            if let Some(shown) = step.shown.as_ref().filter(|shown| !is_same(shown)) {
                say(format!("the page shows:\n{}\nit printed:\n{output}", shown.join("\n")));
            }
            // A number and an exit code of one step are not output of the next.
            printed = rest.to_owned();
        }
        wrong
    }

    /// Runs one command, and says what went wrong.
    pub(crate) fn perform_alone(&self, command: &str) -> Vec<String> {
        let text = command.to_owned();
        let (document, language, before) = ("a line of cron".to_owned(), "sh".to_owned(), String::new());
        let block = Block { document, line: 1, language, before, text };
        self.perform(&block, &block.steps())
    }

    /// What a script prints, on both streams.
    fn run(&self, script: &str) -> String {
        let file = self.0.file("tmp/script");
        // A file: what goes on in the background would keep a pipe open.
        let output = self.0.file("tmp/output");
        let here = self.0.path().display();
        fs::write(&file, format!("exec >{} 2>&1\ncd {here}\n{script}", output.display())).unwrap();
        let path = format!("{}:{}", self.0.file("bin").display(), std::env::var("PATH").unwrap());
        let bash = Tool::new("bash").arg(&file).with(|command| {
            let command = command.env("PATH", path).env("LC_ALL", "C");
            command.env("HOME", self.0.file("home")).env("TMPDIR", self.0.file("tmp"))
        });
        let _ = bash.run();
        self.clear();
        String::from_utf8_lossy(&fs::read(output).unwrap_or_default()).into_owned()
    }

    /// Ends what a page left: a writer in the background, a follower that its time limit ended.
    fn clear(&self) {
        let mine = format!("TMPDIR={}/", self.0.path().display());
        let of_mine = |entry: fs::DirEntry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            String::from_utf8_lossy(&environment).contains(&mine).then_some(Pid::from_raw(pid))
        };
        let left = || fs::read_dir("/proc").unwrap().flatten().filter_map(of_mine).collect::<Vec<Pid>>();
        for pid in left() {
            let _ = kill(pid, Signal::SIGTERM);
            let _ = kill(pid, Signal::SIGCONT);
        }
        wait_for("what a page left has ended", || left().is_empty().then_some(()));
    }
}

/// The command, ended where it would follow a log or a screen for ever.
fn limited(command: &str) -> String {
    let quoted = command.replace('\'', "'\\''");
    if has_screen(command) {
        return format!("printf q | script --quiet --return --command '{quoted}' /dev/null");
    }
    if follows(command) {
        return format!("timeout --kill-after=5 {FOLLOWS} bash -o pipefail -c '{quoted}'");
    }
    command.to_owned()
}

fn is_exact(command: &str) -> bool {
    command == "echo $?" || command.contains("wc -l") || command.contains("grep -c ")
}

fn has_screen(command: &str) -> bool {
    command.contains("mmlogctl inspect") && !command.contains("--once") && !command.contains("--batch")
}

fn follows(command: &str) -> bool {
    let tail = command.contains("mmlogctl tail") && !command.contains("--until-now");
    let tail = tail && [" -f", " -F", "--follow"].iter().any(|option| command.contains(option));
    let grep = command.contains("mmlogctl grep") && command.contains(" -f ") && !command.contains(" -q");
    let ship = command.contains("mmlogctl ship")
        && !["--until-now", "--check", "--help"].iter().any(|option| command.contains(option));
    tail || grep || ship || (command.contains("--batch") && !command.contains(" -n"))
}

/// Whether a program that a command needs is not here.
pub(crate) fn lacks(command: &str) -> Option<&'static str> {
    const NEEDED: [&str; 11] =
        ["cargo", "curl", "g++", "gcc", "gunicorn", "jq", "less", "pgrep", "pkg-config", "python3", "script"];
    let missing = |program: &&&str| {
        command.split([' ', '|', '(']).any(|word| word == **program)
            && !crate::cli::succeeds(Command::new("which").arg(program))
    };
    NEEDED.iter().find(missing).copied()
}
