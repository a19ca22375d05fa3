//! How a shipper is, in a file beside the log, for whoever looks at the log. It is for people: where it cannot be written, it is not.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::time::{Duration, Instant, SystemTime};

use mmlog::{ShipperState, ShipperStatus, shipper_file};
use nix::libc;
use nix::unistd::Uid;

use super::{Plan, Runner};
use crate::sinks::Sink;
use crate::trouble::Trouble;

/// An idle one says that it lives, so often.
const EVERY: Duration = Duration::from_secs(10);

pub(super) struct Said {
    file: Option<File>,
    last: ShipperStatus,
    turn: u64,
    at: Option<Instant>,
}

impl Said {
    pub(super) fn new(plan: &Plan, sink: &dyn Sink) -> Said {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o640).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(shipper_file(&plan.log, &plan.name)).ok();
        let is_ours = |file: &File| {
            let found = file.metadata();
            found.is_ok_and(|f| f.is_file() && f.nlink() == 1 && f.uid() == Uid::effective().as_raw())
        };
        let (sink, promise) = (sink.name().to_owned(), sink.strength().words().to_owned());
        let last = ShipperStatus { sink, promise, ..ShipperStatus::default() };
        Said { file: file.filter(is_ours), last, turn: super::run_number(), at: None }
    }

    fn say(&mut self, mut now: ShipperStatus) {
        let is_same = |a: &ShipperStatus, b: &ShipperStatus| (a.state, &a.why) == (b.state, &b.why);
        let time = Some(SystemTime::now());
        now.since = if is_same(&now, &self.last) { self.last.since.or(time) } else { time };
        if now == self.last && self.at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.last = now;
        (self.at, self.turn) = (Some(Instant::now()), self.turn.wrapping_add(1));
        let text = ShipperStatus { said: time, ..self.last.clone() }.text(self.turn);
        let Some(file) = &self.file else { return };
        // Nothing hangs on it.
        let _ = file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64));
    }
}

impl Runner<'_> {
    /// Says how it is, or how it ended.
    pub(super) fn say_how(&mut self, ended: Option<&Result<(), Trouble>>) {
        let away = self.pace.trouble();
        let (state, why) = match ended {
            Some(Ok(())) => (ShipperState::Ended, String::new()),
            Some(Err(trouble @ Trouble::Decide(_))) => (ShipperState::Decide, trouble.to_string()),
            Some(Err(trouble)) => (ShipperState::Failed, trouble.to_string()),
            None => match away {
                Some(trouble @ Trouble::Denied(_)) => (ShipperState::Denied, trouble.to_string()),
                Some(trouble) => (ShipperState::Away, trouble.to_string()),
                None if self.machine.is_closed() => (self.said.last.state, self.said.last.why.clone()),
                None => (ShipperState::Shipping, String::new()),
            },
        };
        let acked = self.machine.arrived();
        let is_idle = self.out.is_empty() && self.machine.idle_at().is_some();
        let since = self.said.last.waits_since.filter(|_| acked == self.said.last.acked);
        let counts = self.saving.counts;
        self.said.say(ShipperStatus {
            state,
            why,
            acked,
            waits_since: (!is_idle).then(|| since.unwrap_or_else(SystemTime::now)),
            bytes: counts.bytes,
            resent: counts.resent,
            gaps: counts.gaps,
            troubles: self.pace.troubles(),
            since: None,
            said: None,
            ..self.said.last.clone()
        });
    }
}
