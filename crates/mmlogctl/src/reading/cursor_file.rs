//! A consumer's place in a log, and the file that is named for it. What is in the file, and how it is written, is in
//! [`place_file`](super::place_file).
//!
//! It is synced only where a hold goes by it, lest prune take what a power cut makes this consumer need again. By its
//! epoch it is told what a reboot has made of it.

use std::path::{Path, PathBuf};

use mmlog::{Follower, LogId, Position, Standing};

use crate::exit::{Exit, Failure, shown};

/// A place in a log.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Which log.
    pub id: LogId,
    /// Everything below has been consumed.
    pub position: Position,
}

impl Place {
    /// Reads the line in a cursor-file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (uuid, epoch, position) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() {
            return None;
        }
        let id = LogId { uuid: parse_uuid(uuid)?, epoch: epoch.parse().ok()? };
        Some(Self { id, position: Position::new(position.parse().ok()?) })
    }

    /// The line for a cursor-file.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {} {}\n", self.id, self.id.epoch, self.position)
    }

    /// Where a consumer that has everything below this place goes on in the log that is followed.
    ///
    /// # Errors
    /// When the place is none in this log, or it cannot be told what it means, with the reason.
    pub fn resume(&self, follower: &Follower) -> Result<Resumed, String> {
        let standing = follower.standing(self.id, self.position).map_err(|e| e.to_string())?;
        self.judge(follower.log_id(), standing)
    }

    fn judge(&self, log: LogId, standing: Standing) -> Result<Resumed, String> {
        let ours = self.id;
        let epochs = format!("epoch {}, the log's is {}", ours.epoch, log.epoch);
        match standing {
            Standing::Same => Ok(Resumed { at: self.position, lost: None }),
            Standing::OtherLog => {
                Err(format!("a place in another log ({ours}, this one is {log}); remove it to start anew"))
            }
            Standing::Lost { from } => {
                let bytes = self.position.get() - from.get();
                Ok(Resumed {
                    at: from,
                    lost: Some(format!(
                        "a reboot cost the log {bytes} bytes that were printed before; going on at {from}, with what came after it ({epochs})"
                    )),
                })
            }
            Standing::Changed { from: None } => {
                Err(format!("a place from before a reboot ({epochs}); remove it to start anew"))
            }
            Standing::Changed { from: Some(position) } => {
                let certain = Self { id: log, position }.line();
                Err(format!(
                    "a place from before a reboot ({epochs}), {} bytes above what was durable then; remove it to start anew, or \
                     put `{}` there to go on behind what is certain",
                    self.position.get() - position.get(),
                    certain.trim_end()
                ))
            }
        }
    }
}

/// Where a consumer goes on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resumed {
    /// It has everything below.
    pub at: Position,
    /// What to tell it, where the log has lost something that it has.
    pub lost: Option<String>,
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    let is_hex = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(&hex, 16).ok())?.map(u128::to_be_bytes)
}

/// The file.
#[derive(Clone, Debug)]
pub struct CursorFile {
    path: PathBuf,
    lasting: Lasting,
}

/// What a power cut may do to a place that was saved.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Lasting {
    /// Bring an older one back.
    Unsynced,
    /// Nothing.
    Durable,
}

impl CursorFile {
    /// The file at `path`, which need not exist.
    #[must_use]
    pub const fn new(path: PathBuf, lasting: Lasting) -> Self {
        Self { path, lasting }
    }

    /// Its path, as it was typed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a power cut may do to it.
    #[must_use]
    pub const fn lasting(&self) -> Lasting {
        self.lasting
    }

    /// A failure that concerns this file.
    #[must_use]
    pub fn refuse(&self, problem: &str) -> Failure {
        self.refuse_with(Exit::Failed, problem)
    }

    /// The same, with this exit code.
    #[must_use]
    pub fn refuse_with(&self, exit: Exit, problem: &str) -> Failure {
        Failure::new(exit, format!("{}: {problem}", shown(&self.path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "00112233-4455-6677-8899-aabbccddeeff 2 12345\n";

    fn place() -> Place {
        let uuid =
            [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        Place { id: LogId { uuid, epoch: 2 }, position: Position::new(12345) }
    }

    #[test]
    fn only_a_whole_line_is_a_place() {
        assert_eq!(Place::parse(LINE), Some(place()));
        assert_eq!(Place::parse(&LINE.replace('-', "")), Some(place()));
        for wrong in [
            "",
            "x 2 3",
            "00112233 2 3",
            &LINE.replace(" 2", ""),
            &format!("{LINE} 4"),
            &LINE.replace('2', "+"),
        ] {
            assert_eq!(Place::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_place_in_another_log_is_refused_with_the_reason() {
        let id = LogId { epoch: 3, ..place().id };
        let same = Resumed { at: place().position, lost: None };
        assert_eq!(place().judge(id, Standing::Same), Ok(same));
        let refused =
            |standing, why: &str| assert!(place().judge(id, standing).is_err_and(|e| e.contains(why)));
        refused(Standing::OtherLog, "another log");
        refused(Standing::Changed { from: None }, "epoch 2, the log's is 3");
        refused(Standing::Changed { from: Some(Position::new(12000)) }, "345 bytes above");
        refused(
            Standing::Changed { from: Some(Position::new(12000)) },
            "`00112233-4455-6677-8899-aabbccddeeff 3 12000`",
        );
    }
}
