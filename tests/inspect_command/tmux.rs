//! A terminal of its own for a test: a tmux server with one pane, in which a shell runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::{DEADLINE, Scratch, skipped, succeeds, wait_for};

/// The pane, and a directory that is gone with it.
pub(crate) struct Pane {
    pub(crate) scratch: Scratch,
}

impl Pane {
    /// Nothing where there is no tmux.
    pub(crate) fn new(claim: &str) -> Option<Self> {
        if !succeeds(Command::new("tmux").arg("-V")) {
            skipped(claim, "no tmux");
            return None;
        }
        let pane = Self { scratch: Scratch::new() };
        // Not the user's shell, whatever its start-up files print.
        pane.tmux(&[
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            "unset LC_ALL; LANG=C.UTF-8 PS1='$ ' exec /bin/sh -i",
        ]);
        pane.until("$");
        Some(pane)
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        // -u: the test's own locale says nothing of the pane's.
        command.arg("-u").arg("-S").arg(self.scratch.file("tmux")).args(["-f", "/dev/null"]).args(args);
        let output = command.current_dir(self.scratch.path()).env_remove("TMUX").output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types text.
    pub(crate) fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Presses a key by tmux's name for it.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Types a command line and Enter.
    pub(crate) fn runs(&self, line: &str) {
        self.types(line);
        self.press("Enter");
    }

    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// With its colours.
    pub(crate) fn coloured(&self) -> String {
        self.tmux(&["capture-pane", "-e", "-p"])
    }

    /// Waits until the screen has this.
    #[track_caller]
    pub(crate) fn until(&self, words: &str) -> String {
        self.until_screen(words, |screen| screen.contains(words))
    }

    #[track_caller]
    pub(crate) fn until_screen(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < DEADLINE, "no {what:?} on the screen:\n{screen}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &lines.to_string()]);
    }

    /// Whether the alternate screen is shown.
    pub(crate) fn is_alternate(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{alternate_on}"]).trim() == "1"
    }

    /// Whether the terminal tells the program in it of its mouse.
    pub(crate) fn has_mouse(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{mouse_any_flag}"]).trim() == "1"
    }

    /// Starts the inspector, with its process id in a file.
    pub(crate) fn inspects(&self, options: &str, logs: &[&Path]) -> Pid {
        let file = self.scratch.file("pid");
        let _ = fs::remove_file(&file);
        let logs: Vec<String> = logs.iter().map(|log| log.display().to_string()).collect();
        let tool = env!("CARGO_BIN_EXE_mmlogctl");
        self.runs(&format!(
            "sh -c 'echo $$ > pid; exec {tool} inspect {options} {}'; echo ended $?",
            logs.join(" ")
        ));
        self.until_screen("the inspector's last line", |screen| screen.contains("? keys  q quit"));
        let pid = wait_for("its process id", || fs::read_to_string(&file).ok()?.trim().parse().ok());
        Pid::from_raw(pid)
    }

    /// What the terminal's driver is set to, asked by the shell.
    pub(crate) fn settings(&self) -> String {
        let file: PathBuf = self.scratch.file("stty");
        let _ = fs::remove_file(&file);
        self.runs("stty -a > stty.new; mv stty.new stty");
        wait_for("stty", || fs::read_to_string(&file).ok())
    }

    /// Waits until the shell says how it ended, and that the terminal is as it was.
    #[track_caller]
    pub(crate) fn is_given_back(&self, before: &str, code: i32) {
        self.until(&format!("ended {code}"));
        assert!(!self.is_alternate(), "{}", self.screen());
        assert_eq!(self.settings(), before);
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.arg("-S").arg(self.scratch.file("tmux")).arg("kill-server").output();
    }
}

pub(crate) fn signal(pid: Pid, signal: Signal) {
    kill(pid, signal).unwrap();
}
