//! A consumer's place in a log, kept in a small file: `UUID EPOCH POSITION`, one line.
//!
//! Replaced by rename, so that a reader finds the old place or the new one, never half of one. It is
//! synced only where a hold goes by it, lest prune take what a power cut makes this consumer need again:
//! else a place that a reboot has overtaken is told from valid ones by its epoch anyway.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use mmlog::{Follower, LogId, Position, Standing};

use crate::exit::{Exit, Failure, shown};
use crate::replace::replace;

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

    /// Checks that the place is one in the log that is followed, and means what it meant when it was noted.
    ///
    /// # Errors
    /// When it does not, with the reason.
    pub fn check(&self, follower: &Follower) -> Result<(), String> {
        self.judge(follower.log_id(), follower.standing(self.id, self.position))
    }

    fn judge(&self, log: LogId, standing: Standing) -> Result<(), String> {
        let ours = self.id;
        let epochs = format!("epoch {}, the log's is {}", ours.epoch, log.epoch);
        match standing {
            Standing::Same => Ok(()),
            Standing::OtherLog => {
                Err(format!("a place in another log ({ours}, this one is {log}); remove it to start anew"))
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

    /// The place it holds, if it exists.
    ///
    /// # Errors
    /// When it cannot be read or holds something else.
    pub fn load(&self) -> Result<Option<Place>, Failure> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Failure::io(&self.path, "reading the cursor-file", &e)),
        };
        match Place::parse(&text) {
            Some(place) => Ok(Some(place)),
            None => Err(self.refuse("not a cursor-file (UUID EPOCH POSITION); name another file")),
        }
    }

    /// Replaces it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, place: &Place) -> Result<(), Failure> {
        self.replace(place).map_err(|e| Failure::io(&self.path, "writing the cursor-file", &e))
    }

    /// A failure that concerns this file.
    #[must_use]
    pub fn refuse(&self, problem: &str) -> Failure {
        Failure::new(Exit::Failed, format!("{}: {problem}", shown(&self.path)))
    }

    fn replace(&self, place: &Place) -> io::Result<()> {
        let durable = self.lasting == Lasting::Durable;
        let sync = |file: &File| if durable { file.sync_all() } else { Ok(()) };
        replace(&self.path, place.line().as_bytes(), sync)?;
        if durable { self.sync_name() } else { Ok(()) }
    }

    fn sync_name(&self) -> io::Result<()> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
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
    fn a_place_survives_the_file() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        assert!(matches!(CursorFile::new(directory.path().join("place"), Lasting::Durable).load(), Ok(None)));
        let mut file = CursorFile::new(directory.path().join("place"), Lasting::Unsynced);
        for lasting in [Lasting::Unsynced, Lasting::Durable] {
            file.lasting = lasting;
            assert!(file.save(&place()).is_ok());
        }
        assert_eq!(fs::read_to_string(directory.path().join("place"))?, LINE);
        assert!(file.load().is_ok_and(|loaded| loaded == Some(place())));
        assert_eq!(fs::read_dir(directory.path())?.count(), 1, "the temporary file is gone");
        Ok(())
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
        assert_eq!(place().judge(id, Standing::Same), Ok(()));
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
