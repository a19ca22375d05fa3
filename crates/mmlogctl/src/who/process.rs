//! What `/proc` says of one process.

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;

use super::pipes::{self, Side};

/// Of a command line, so many bytes.
const LONGEST: usize = 200;
/// Of the kernel's names of where it lets somebody wait, those of who reads from an empty pipe.
const EMPTY_PIPE: &str = "pipe_read";

/// How a process was called, without the directory of its program, arguments apart by spaces; its name where it has none.
#[must_use]
pub fn command_line(pid: u32) -> String {
    let mut bytes = Vec::new();
    let read = |file: fs::File, bytes: &mut Vec<u8>| file.take(LONGEST as u64).read_to_end(bytes);
    let _ = fs::File::open(format!("/proc/{pid}/cmdline")).and_then(|file| read(file, &mut bytes));
    let text = String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace(['\0', '\n', '\t'], " ");
    if text.is_empty() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        return name.trim_end().to_owned();
    }
    let program = text.split(' ').next().and_then(|path| path.rfind('/')).map_or(0, |slash| slash + 1);
    text[program..].to_owned()
}

/// The pipes that it has the other ends of, as the standard outputs of a child of its: what `exec` appends.
pub(super) fn taken_from_children(pid: u32) -> Vec<u64> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut children = children.split_ascii_whitespace().filter_map(|child| child.parse().ok()).peekable();
    if children.peek().is_none() {
        return Vec::new();
    }
    let its: HashSet<u64> = pipes::all_of(pid).collect();
    let taken = |child: u32| Side::both_outputs_of(child).filter(|pipe| its.contains(pipe)).collect();
    children.map(taken).find(|taken: &Vec<u64>| !taken.is_empty()).unwrap_or_default()
}

/// Whether it waits for what somebody writes into a pipe, as far as this user may see it: else it may.
pub(super) fn waits_for_input(pid: u32) -> bool {
    let place = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    matches!(&*place, "" | "0") || place.contains(EMPTY_PIPE)
}

/// When it began, in the kernel's ticks.
pub(crate) fn began(pid: u32) -> Option<u64> {
    field(pid, 20)?.parse().ok()
}

/// Whether a signal has stopped it.
pub(crate) fn is_stopped(pid: u32) -> bool {
    state(pid).is_some_and(|state| state == "T")
}

/// As `/proc` has it in one letter.
pub(crate) fn state(pid: u32) -> Option<String> {
    field(pid, 1)
}

/// What the kernel says of a process, so many fields behind its command.
fn field(pid: u32, nth: usize) -> Option<String> {
    // In one read: every writer's is asked at every look.
    let mut stat = [0; 1024];
    let len = fs::File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut stat)).ok()?;
    let stat = &stat[..len];
    // The command, in parentheses, may hold anything.
    let from = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = String::from_utf8_lossy(&stat[from..]);
    fields.split_ascii_whitespace().nth(nth).map(str::to_owned)
}

/// The unit of systemd, or the container, that a process is of.
#[must_use]
pub fn unit(pid: u32) -> Option<String> {
    unit_of(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

fn unit_of(text: &str) -> Option<String> {
    let paths = || text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let parts = || paths().flat_map(|path| path.rsplit('/'));
    if let Some(name) = parts().find_map(container) {
        return Some(format!("container {name}"));
    }
    let is_unit = |part: &&str| part.ends_with(".service") && !part.starts_with("user@");
    parts().find(is_unit).map(str::to_owned)
}

/// The id that container managers give their control groups, as short as they show it.
fn container(part: &str) -> Option<&str> {
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some(name);
    }
    let id = part.strip_suffix(".scope").unwrap_or(part);
    let id = id.rsplit('-').next().unwrap_or(id);
    (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| &id[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_names_a_unit_or_a_container() {
        let id = "0123456789abcdef".repeat(4);
        for (text, unit) in [
            ("0::/system.slice/nginx.service\n".to_owned(), Some("nginx.service")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service\n".to_owned(),
                Some("web.service"),
            ),
            ("0::/user.slice/user-0.slice/session-3.scope\n".to_owned(), None),
            (format!("12:pids:/docker/{id}\n0::/\n"), Some("container 0123456789ab")),
            (format!("0::/system.slice/docker-{id}.scope\n"), Some("container 0123456789ab")),
            (
                format!("0::/kubepods.slice/pod1.slice/cri-containerd-{id}.scope\n"),
                Some("container 0123456789ab"),
            ),
            ("0::/lxc.payload.web/system.slice/nginx.service\n".to_owned(), Some("container web")),
            ("0::/\n".to_owned(), None),
            ("nonsense".to_owned(), None),
        ] {
            assert_eq!(unit_of(&text).as_deref(), unit, "{text}");
        }
    }
}
