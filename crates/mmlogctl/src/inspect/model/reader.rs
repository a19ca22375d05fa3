//! Who reads a log, as the pane of followers shows it.

use std::time::SystemTime;

use mmlog::{FollowerStatus, HoldStatus, ProcessState, ShipperStatus, Status};

pub(super) type ReaderKey = (String, u32, Option<SystemTime>);

fn sink(shipper: &ShipperStatus) -> String {
    let why = if shipper.why.is_empty() { "" } else { ": " };
    format!("{}{why}{}", shipper.sink, shipper.why)
}

/// Who reads: a hold's consumer, or a follower without one.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Its name, or what it was called by.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// What it reads next.
    pub position: u64,
    /// Bytes from there to the cursor.
    pub lag: u64,
    /// Its process, in this PID namespace where that is known.
    pub pid: u32,
    /// What that does.
    pub process: ProcessState,
    /// When it last said where it is.
    pub seen: Option<SystemTime>,
    /// Where a shipper ships to, and why it does not; empty for others.
    pub sink: String,
    since: Option<SystemTime>,
}

impl Reader {
    /// All that are seen.
    pub fn all(status: &Status) -> impl Iterator<Item = Self> {
        let hold = |hold: &HoldStatus| {
            let shipper = hold.shipper.as_ref();
            // A shipper's hold trails what its sink has.
            let position = shipper.and_then(|s| s.acked).unwrap_or(hold.position);
            Self {
                name: hold.name.clone(),
                kind: shipper.map_or("hold", |s| s.state.word()),
                position,
                lag: status.cursor.saturating_sub(position),
                pid: hold.pid,
                process: hold.process,
                seen: shipper.map_or(hold.last_seen, |s| s.said),
                sink: shipper.map_or_else(String::new, sink),
                since: hold.since,
            }
        };
        let follower = |f: &FollowerStatus| Self {
            name: f.name.as_ref().or(f.command_line.as_ref()).unwrap_or(&f.command).clone(),
            kind: if f.is_beyond { "beyond the end" } else { "follower" },
            position: f.position,
            lag: f.lag,
            pid: f.seat.pid.unwrap_or(f.pid),
            process: f.process,
            seen: f.last_seen,
            sink: String::new(),
            since: f.since,
        };
        status.holds.iter().map(hold).chain(status.followers.iter().map(follower))
    }

    /// Who it is, whatever it reads.
    pub(super) fn key(&self) -> ReaderKey {
        (self.name.clone(), self.pid, self.since)
    }
}
