//! `--ack FD`: what the consumer says it is done with, a position a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

use crate::exit::{Exit, Failure};

/// No position has more digits.
const LONGEST: usize = 20;

/// The pipe that acknowledgements come from.
#[derive(Debug)]
pub(super) struct Acks {
    file: File,
    begun: Vec<u8>,
}

/// What came.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) positions: Vec<u64>,
    /// The consumer has closed it.
    pub(super) is_closed: bool,
}

impl Acks {
    /// Opens the pipe once more, so that reading it never waits, whoever else has the descriptor.
    pub(super) fn open(fd: u32) -> Result<Self, Failure> {
        let opened =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(format!("/proc/self/fd/{fd}"));
        match opened {
            Ok(file) => Ok(Self { file, begun: Vec::new() }),
            Err(e) => {
                Err(refuse(&format!("cannot read descriptor {fd}: {e}; it has to be a pipe or a FIFO")))
            }
        }
    }

    /// Takes what is there.
    pub(super) fn read(&mut self) -> Result<Came, Failure> {
        let (mut came, mut buf) = (Came::default(), [0; 4096]);
        loop {
            match self.file.read(&mut buf) {
                Ok(0) => {
                    came.is_closed = true;
                    break;
                }
                Ok(len) => self.begun.extend_from_slice(&buf[..len]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(refuse(&format!("reading acknowledgements failed: {e}"))),
            }
            // Whoever never stops is heard the next time.
            if self.begun.len() > 1 << 20 {
                break;
            }
        }
        let whole = memchr::memrchr(b'\n', &self.begun).map_or(0, |newline| newline + 1);
        for line in self.begun.drain(..whole).collect::<Vec<u8>>().split_inclusive(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            let position = text.trim().parse();
            came.positions
                .push(position.map_err(|_| refuse(&format!("{:?} is no position", text.trim_end())))?);
        }
        match self.begun.len() > LONGEST {
            true => Err(refuse("what came is no position")),
            false => Ok(came),
        }
    }
}

fn refuse(problem: &str) -> Failure {
    Failure::new(Exit::Failed, format!("--ack: {problem}"))
}
