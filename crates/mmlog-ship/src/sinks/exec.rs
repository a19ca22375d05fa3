//! `exec -- CMD...`: a run of a command for each unit, with its bytes on standard input.
//!
//! Exit code 0 is the acknowledgement. There is nothing to ask for a tail (see `unasked`): what was acknowledged since the checkpoint was
//! saved is sent again after a kill, and so is a unit whose command did its work and was then said to have failed. Names made of
//! `MMLOG_FROM` and `MMLOG_UUID` make that harmless.
//!
//! The bytes are whole before the command starts, as a file in memory: it never sees a part of a unit, whoever is killed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, MemfdFlags, access, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::unasked::{Unasked, is_for_us};
use super::{Cut, Message, Purpose, Sink, Strength};
use crate::checkpoint::Known;
use crate::decide::Tail;
use crate::trouble::Trouble;
use crate::unit::{Header, LONGEST};

/// A command that is told to end has so long.
const GRACE: Duration = Duration::from_secs(1);

/// The sink.
#[derive(Debug)]
pub struct ExecSink {
    command: Vec<OsString>,
    name: String,
    known: Unasked,
    /// What was sent: it has no answer yet.
    sent: VecDeque<Sent>,
    running: Option<Child>,
}

#[derive(Debug)]
struct Sent {
    unit: Header,
    coordinate: u64,
    cut: Cut,
    input: Option<File>,
}

impl ExecSink {
    /// Of a command and its arguments.
    pub fn new(command: &[OsString]) -> Self {
        // Its arguments may have secrets.
        let program =
            command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
        ExecSink {
            command: command.to_vec(),
            name: format!("exec:{program}"),
            known: Unasked::new(1),
            sent: VecDeque::new(),
            running: None,
        }
    }

    /// Whether there is a program of that name, where the system looks for it.
    fn is_there(&self) -> bool {
        let Some(program) = self.command.first().map(Path::new) else { return false };
        let may_run = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        if program.components().count() > 1 {
            return may_run(program);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| may_run(&directory.join(program)))
    }

    fn start(&self, sent: &mut Sent) -> Result<Child, Trouble> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Trouble::Usage("no command".to_owned()));
        };
        let unit = &sent.unit;
        let mut command = Command::new(program);
        command.args(arguments);
        for (name, value) in [
            ("MMLOG_KIND", unit.kind.name().to_owned()),
            ("MMLOG_UUID", format!("{:032x}", unit.log)),
            ("MMLOG_FROM", unit.from.to_string()),
            ("MMLOG_TO", unit.to.to_string()),
            ("MMLOG_BYTES", unit.length().to_string()),
            ("MMLOG_SUM", format!("{:016x}", unit.sum)),
            ("MMLOG_ID", format!("{:016x}", unit.id())),
            ("MMLOG_CUT", sent.cut.word().unwrap_or_default().to_owned()),
        ] {
            command.env(name, value);
        }
        command.stdin(sent.input.take().map_or_else(Stdio::null, Stdio::from));
        // What a terminal sends to all is for us: the command in hand is seen to its end.
        command.process_group(0);
        command.spawn().map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                Trouble::Failed(format!("{}: cannot be started: {e}", self.name))
            }
            _ => Trouble::Away(format!("it cannot be started: {e}")),
        })
    }

    /// Whether the command that runs ended within that time, and how.
    fn ended(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.running else { return Ok(None) };
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let pid =
            Pid::from_raw(child.id().cast_signed()).ok_or_else(|| io::Error::other("no such process"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let timeout = Timespec::try_from(within).ok();
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => child.try_wait(),
            Err(e) => Err(e.into()),
        }
    }
}

/// A file in memory with these bytes, read from its beginning.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("mmlog-unit", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

impl Sink for ExecSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn strength(&self) -> Strength {
        Strength::AtLeastOnce
    }

    fn units(&self) -> usize {
        1
    }

    fn remember(&mut self, known: Option<Known>) {
        self.known.remember(known);
    }

    fn open(&mut self, purpose: Purpose) -> Result<u64, Trouble> {
        if purpose == Purpose::Look && !self.is_there() {
            return Err(Trouble::Failed(format!(
                "{}: there is no such program, or it may not be run",
                self.name
            )));
        }
        Ok(LONGEST)
    }

    fn look(&mut self) -> Result<Tail, Trouble> {
        Ok(self.known.tail())
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), Trouble> {
        let in_memory = || {
            in_memory(message.payload)
                .map_err(|e| Trouble::Away(format!("no memory for {} bytes: {e}", message.payload.len())))
        };
        let input = if message.payload.is_empty() { None } else { Some(in_memory()?) };
        let coordinate = message.after + 1;
        self.sent.push_back(Sent { unit: *message.unit, coordinate, cut: message.cut, input });
        Ok(())
    }

    fn poll(&mut self, within: Duration) -> Result<Option<u64>, Trouble> {
        let Some(mut sent) = self.sent.pop_front() else { return Ok(None) };
        if is_for_us(sent.unit.kind) {
            return Ok(Some(self.known.acknowledged(&sent.unit, sent.coordinate)));
        }
        if self.running.is_none() {
            self.running = Some(self.start(&mut sent)?);
        }
        let ended = self.ended(within).map_err(|e| Trouble::Away(format!("cannot wait for it: {e}")))?;
        match ended {
            None => {
                self.sent.push_front(sent);
                Ok(None)
            }
            Some(status) => {
                self.running = None;
                if !status.success() {
                    return Err(told(status));
                }
                Ok(Some(self.known.acknowledged(&sent.unit, sent.coordinate)))
            }
        }
    }

    fn close(&mut self) {
        self.sent.clear();
        let Some(mut child) = self.running.take() else { return };
        let pid = Pid::from_raw(child.id().cast_signed());
        let begun = Instant::now();
        let mut signal = Signal::TERM;
        while matches!(child.try_wait(), Ok(None)) {
            if let Some(pid) = pid {
                let _ = kill_process_group(pid, signal);
            }
            if begun.elapsed() >= GRACE {
                signal = Signal::KILL;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn told(status: ExitStatus) -> Trouble {
    Trouble::Away(match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with {code}"),
        (None, signal) => format!("it was ended by signal {}", signal.unwrap_or_default()),
    })
}
