//! What is to be said of shippers, by what they say of themselves.

use std::path::Path;
use std::time::Duration;

use super::{Finding, FindingId, State, Status, critical, quoted, warning};
use crate::status::{HoldStatus, ShipperState, ShipperStatus};
use crate::units::{lasting, size};

/// A sink that is away for so long is worth a look.
const AWAY: Duration = Duration::from_secs(60);

impl Status {
    /// Its sink is away, or it has ended, and bytes wait.
    pub(super) fn shipper(&self, hold: &HoldStatus) -> Option<Finding> {
        let ship = hold.shipper.as_ref()?;
        let lag = self.cursor.saturating_sub(ship.acked.unwrap_or(hold.position));
        let time = ship.since.and_then(|at| at.elapsed().ok()).unwrap_or_default();
        let ended = matches!(ship.state, ShipperState::Decide | ShipperState::Failed);
        let killed = hold.process.is_over() && ship.state != ShipperState::Ended;
        match ship.state {
            _ if lag == 0 => None,
            _ if ended || killed => Some(self.shipper_ended(hold, ship, lag, time)),
            ShipperState::Denied => Some(self.no_sink(hold, ship, lag, time)),
            ShipperState::Away if time >= AWAY => Some(self.no_sink(hold, ship, lag, time)),
            _ => None,
        }
    }

    fn no_sink(&self, hold: &HoldStatus, ship: &ShipperStatus, lag: u64, time: Duration) -> Finding {
        let (is, mend, id, made): (_, _, _, fn(_, _, _, _) -> _) = match ship.state {
            ShipperState::Denied => (
                "does not let it in,",
                "mend its user, its secret or the certificate, which are read again at each try",
                FindingId::SinkRefuses,
                critical,
            ),
            _ => ("is away", "see that it runs and is reached from here", FindingId::SinkAway, warning),
        };
        let sentence = format!(
            "the sink of {}, {}, {is} for {}: {}; {} wait for it, and are kept",
            hold.name,
            plain(&ship.sink),
            lasting(time),
            plain(&ship.why),
            size(lag)
        );
        let next = format!("{mend}; {} shows what is kept meanwhile", self.command("segments"));
        made(id, State::Warning, sentence, next).at(hold.seat)
    }

    fn shipper_ended(&self, hold: &HoldStatus, ship: &ShipperStatus, lag: u64, time: Duration) -> Finding {
        let forget = self.command(&format!("prune --forget {}", quoted(Path::new(&hold.name))));
        let (how, next, made): (_, _, fn(_, _, _, _) -> _) = match ship.state {
            ShipperState::Decide => (
                format!("has ended {} ago, and a person has to decide: {}", lasting(time), plain(&ship.why)),
                format!("run it once with the option that it names; {forget} if nobody needs it any more"),
                critical,
            ),
            ShipperState::Failed => (
                format!("has ended {} ago: {}", lasting(time), plain(&ship.why)),
                format!("start that shipper again, or {forget} if nobody needs it any more"),
                warning,
            ),
            _ => (
                format!("was killed, process {}", hold.pid),
                format!("start that shipper again, or {forget} if nobody needs it any more"),
                warning,
            ),
        };
        let sentence = format!("shipper {} {how}; {} wait for it, and are kept", hold.name, size(lag));
        made(FindingId::ShipperEnded, State::Warning, sentence, next).of(hold.pid)
    }
}

/// Commands are in backquotes, and these are somebody's words.
fn plain(text: &str) -> String {
    text.replace('`', "'")
}
