//! What has to be undone when a drill ends, also when it is killed: frozen processes would stay for ever.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::stage::Done;

/// A shell that waits for the end of its input, which is our end or this guard's, and then runs its line.
#[derive(Debug)]
pub(super) struct Undo {
    input: Option<ChildStdin>,
    shell: Child,
}

impl Undo {
    /// `$1` of the line is `what`. Undoing twice is fine.
    pub(super) fn by(line: &str, what: &Path) -> Done<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("read -r _; {line}"), "-"]).arg(what).current_dir("/");
        // A Ctrl-C is for us.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn()?;
        Ok(Self { input: shell.stdin.take(), shell })
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        self.input.take();
        let _ = self.shell.wait();
    }
}
