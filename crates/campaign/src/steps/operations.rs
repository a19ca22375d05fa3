//! The operations that are stepped through, one a line of [`TABLE`], and what the child does in each.

use std::path::Path;

use anyhow::Context;
use mmlog::{Adopt, Log, Policy, Rotation, Writer};
use nix::sys::signal::{Signal, raise};
use nix::unistd::alarm;

use super::damage::{Damage, mend};
use super::ledger::message;
use super::{CHUNK, HANG, PATIENCE, options};

/// What lies at the path as the operation begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    Nothing,
    /// A data file with bytes, without metadata.
    Data,
    Log,
    /// A log at rest that cannot be used as it is.
    Damaged(Damage),
}

/// Who else does something with the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Company {
    Nobody,
    /// A follower sleeps until somebody appends.
    Sleeper,
    /// Once the victim is reserving, another writer takes all the space, so that the victim has to wait for some.
    Taker,
    /// Once the victim is reserving, somebody else rotates: what it reserves lies in another file.
    Rotator,
}

/// One operation, and the situation in which it is stepped through.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    act: fn(&Child) -> anyhow::Result<()>,
    pub(crate) found: Found,
    /// Whether nobody else may have a slot.
    pub(crate) alone: bool,
    /// Bytes of the messages that the preparations append, and that the operation appends; 0 for none.
    pub(crate) before: u64,
    pub(crate) message: u64,
    /// Bytes between the cursor and the limit as the operation begins.
    pub(crate) space: Option<u64>,
    /// Whether a slot has a dead owner who was copying.
    pub(crate) dead: bool,
    pub(crate) company: Company,
    /// Whether it is short enough to be killed at every instruction.
    pub(crate) short: bool,
    /// The log has a policy that keeps so many final segments, and the current one is nearly as long as it may be.
    pub(crate) keep: Option<u64>,
}

impl Operation {
    /// Whether it asks by a lease whether anybody has a file open: metadata is made for bytes that are there, or a segment goes.
    pub(super) fn leases(&self) -> bool {
        let adopts =
            matches!(self.found, Found::Data | Found::Damaged(Damage::NoMetadata | Damage::Original));
        adopts || self.prunes()
    }

    /// Whether it removes segments.
    pub(super) fn prunes(&self) -> bool {
        self.keep == Some(FEW)
    }
}

/// Bytes of the longest segment of a log with a policy: the least that there can be.
pub(super) const SEGMENT: u64 = 64 << 10;
/// Keeps all final segments there are.
const ALL: u64 = 1000;
/// Lets two go of the four that there are behind a rotation: nobody has those open.
pub(super) const FEW: u64 = 2;

/// Whole, or not that one: each rule goes with the other.
pub(super) fn policy(keep: u64) -> Policy {
    Policy { rotate_size: Some(SEGMENT), keep: Some(keep), ..Policy::default() }
}

const PLAIN: Operation = Operation {
    name: "",
    act: open,
    found: Found::Log,
    alone: false,
    before: 61,
    message: 0,
    space: None,
    dead: false,
    company: Company::Nobody,
    short: false,
    keep: None,
};
const APPEND: Operation = Operation { act: append, message: 97, space: Some(4000), ..PLAIN };
const EMPTY_HANDED: Operation = Operation { before: 0, ..PLAIN };

#[rustfmt::skip]
pub(crate) const TABLE: &[Operation] = &[
    Operation { name: "create", act: create, found: Found::Nothing, ..EMPTY_HANDED },
    Operation { name: "adopt", act: create, found: Found::Data, ..EMPTY_HANDED },
    Operation { name: "open", act: open, ..EMPTY_HANDED },
    Operation { name: "open-settle", act: open, dead: true, ..EMPTY_HANDED },
    Operation { name: "arrive", act: arrive, message: 101, ..EMPTY_HANDED },
    Operation { name: "claim", act: claim, ..EMPTY_HANDED },
    Operation { name: "claim-settle", act: claim, dead: true, ..EMPTY_HANDED },
    Operation { name: "append", short: true, ..APPEND },
    Operation { name: "append-first", before: 0, ..APPEND },
    Operation { name: "append-grow", space: Some(40), ..APPEND },
    Operation { name: "append-cross", space: Some(CHUNK + 300), message: 701, ..APPEND },
    Operation { name: "append-cross-grow", space: Some(300), message: 701, ..APPEND },
    Operation { name: "append-large", space: Some(2 * CHUNK), message: CHUNK + 1001, ..APPEND },
    Operation { name: "append-large-grow", message: CHUNK + 1001, ..APPEND },
    Operation { name: "append-durable", act: append_durable, ..APPEND },
    Operation { name: "append-wake", company: Company::Sleeper, ..APPEND },
    Operation { name: "append-wait", company: Company::Taker, ..APPEND },
    Operation { name: "append-rotated", company: Company::Rotator, ..APPEND },
    Operation { name: "append-large-rotated", company: Company::Rotator, message: CHUNK + 1001, ..APPEND },
    Operation { name: "append-rotates", keep: Some(ALL), space: Some(40), ..APPEND },
    Operation { name: "append-prunes", keep: Some(FEW), space: Some(40), ..APPEND },
    Operation { name: "set-policy", act: set_policy, keep: Some(ALL), ..PLAIN },
    Operation { name: "leave", act: leave, ..PLAIN },
    Operation { name: "trim", act: trim, space: Some(5000), ..PLAIN },
    Operation { name: "trim-settle", act: trim, dead: true, space: Some(5000), ..PLAIN },
    Operation { name: "rotate", act: rotate, space: Some(5000), ..PLAIN },
    Operation { name: "rotate-settle", act: rotate, dead: true, space: Some(5000), ..PLAIN },
    Operation { name: "rotate-wake", act: rotate, company: Company::Sleeper, ..PLAIN },
    Operation { name: "rotate-again", act: rotate_again, space: Some(5000), ..PLAIN },
    Operation { name: "rotate-alone", act: rotate_alone, space: Some(5000), ..EMPTY_HANDED },
    Operation { name: "close", act: close, alone: true, space: Some(5000), ..PLAIN },
    Operation { name: "sync", act: sync, space: Some(5000), ..PLAIN },
    Operation { name: "sync-settle", act: sync, dead: true, space: Some(5000), ..PLAIN },
    Operation { name: "open-reboot", act: open, found: Found::Damaged(Damage::Rebooted), ..EMPTY_HANDED },
    Operation { name: "repair-settle", act: repair, dead: true, ..EMPTY_HANDED },
    Operation { name: "repair-panic", act: repair, found: Found::Damaged(Damage::Panic), ..EMPTY_HANDED },
    Operation { name: "repair-sync", act: repair, found: Found::Damaged(Damage::SyncFailed), ..EMPTY_HANDED },
    Operation { name: "repair-cursor", act: repair, found: Found::Damaged(Damage::WildCursor), ..EMPTY_HANDED },
    Operation { name: "repair-truncated", act: repair, found: Found::Damaged(Damage::Truncated), ..EMPTY_HANDED },
    Operation { name: "repair-rebuild", act: repair, found: Found::Damaged(Damage::NoMetadata), ..EMPTY_HANDED },
    Operation { name: "repair-recreate", act: repair, found: Found::Damaged(Damage::NoData), ..EMPTY_HANDED },
    Operation { name: "repair-upgrade", act: repair, found: Found::Damaged(Damage::Original), ..EMPTY_HANDED },
];

/// What shows whether stepping works here; it does nothing.
pub(crate) const PROBE: &str = "probe";

/// The operation of that name.
pub(crate) fn named(name: &str) -> anyhow::Result<&'static Operation> {
    TABLE.iter().find(|operation| operation.name == name).with_context(|| format!("no operation {name}"))
}

struct Child<'a> {
    log: &'a Path,
    /// Number of the message that the preparations append; the operation's is the next.
    first: u64,
    operation: &'static Operation,
}

/// The role of every victim: operation, log, number of its first message.
pub(crate) fn play(arguments: &[String]) -> anyhow::Result<()> {
    let [operation, log, first] = arguments else { anyhow::bail!("OPERATION LOG FIRST") };
    alarm::set(HANG.as_secs() as u32);
    nix::sys::ptrace::traceme().context("be traced")?;
    if operation == PROBE {
        marked(|| ());
        return Ok(());
    }
    let child = Child { log: Path::new(log), first: first.parse()?, operation: named(operation)? };
    (child.operation.act)(&child)
}

/// Runs `act` between two marks, at which this process stops.
fn marked<T>(act: impl FnOnce() -> T) -> T {
    mark();
    let done = act();
    mark();
    done
}

fn mark() {
    // It cannot fail, and the tracer would notice.
    let _ = raise(Signal::SIGSTOP);
}

impl Child<'_> {
    fn message(&self) -> Vec<u8> {
        message(self.first + 1, self.operation.message)
    }

    fn open(&self) -> anyhow::Result<Log> {
        Ok(options().open(self.log)?)
    }

    /// A writer, warm if it appends something before.
    fn writer(&self, log: &Log) -> anyhow::Result<Writer> {
        let mut writer = log.writer()?;
        if self.operation.before > 0 {
            writer.append(&message(self.first, self.operation.before))?;
        }
        Ok(writer)
    }
}

fn create(child: &Child) -> anyhow::Result<()> {
    let options = options().adopt(Adopt::Existing);
    marked(|| options.open_or_create(child.log))?;
    Ok(())
}

fn open(child: &Child) -> anyhow::Result<()> {
    let options = options();
    marked(|| options.open(child.log))?;
    Ok(())
}

/// All that a new writer does.
fn arrive(child: &Child) -> anyhow::Result<()> {
    let (options, message) = (options(), child.message());
    marked(|| {
        let log = options.open_or_create(child.log)?;
        let mut writer = log.writer()?;
        writer.append(&message)?;
        Ok::<_, mmlog::Error>((log, writer))
    })?;
    Ok(())
}

fn claim(child: &Child) -> anyhow::Result<()> {
    let log = child.open()?;
    marked(|| log.writer())?;
    Ok(())
}

fn leave(child: &Child) -> anyhow::Result<()> {
    let log = child.open()?;
    let writer = child.writer(&log)?;
    marked(|| drop(writer));
    Ok(())
}

fn append(child: &Child) -> anyhow::Result<()> {
    let log = child.open()?;
    let mut writer = child.writer(&log)?;
    let message = child.message();
    marked(|| writer.append(&message))?;
    Ok(())
}

/// Less is kept from now on.
fn set_policy(child: &Child) -> anyhow::Result<()> {
    let log = child.open()?;
    let _writer = child.writer(&log)?;
    marked(|| log.set_policy(|rules| *rules = policy(FEW), PATIENCE))?;
    Ok(())
}

fn append_durable(child: &Child) -> anyhow::Result<()> {
    let log = child.open()?;
    let mut writer = child.writer(&log)?;
    let message = child.message();
    marked(|| writer.append_durable(&message))?;
    Ok(())
}

fn sync(child: &Child) -> anyhow::Result<()> {
    let log = child.open()?;
    let _writer = child.writer(&log)?;
    marked(|| log.sync())?;
    Ok(())
}

fn repair(child: &Child) -> anyhow::Result<()> {
    let wishes = match child.operation.found {
        Found::Damaged(damage) => damage.wishes(),
        _ => &[],
    };
    marked(|| mend(child.log, wishes))?;
    Ok(())
}

fn trim(child: &Child) -> anyhow::Result<()> {
    let log = child.open()?;
    let _writer = child.writer(&log)?;
    marked(|| log.trim(PATIENCE))?;
    Ok(())
}

fn rotate(child: &Child) -> anyhow::Result<()> {
    let log = child.open()?;
    let _writer = child.writer(&log)?;
    marked(|| log.rotate(&rotation()))?;
    Ok(())
}

/// Somebody who has done it before, and something has been appended since.
fn rotate_again(child: &Child) -> anyhow::Result<()> {
    let log = child.open()?;
    let _writer = child.writer(&log)?;
    log.rotate(&rotation())?;
    marked(|| log.rotate(&rotation()))?;
    Ok(())
}

/// As `mmlogctl rotate`: without a writer of its own, and it closes the log.
fn rotate_alone(child: &Child) -> anyhow::Result<()> {
    let options = options();
    marked(|| {
        let log = options.open(child.log)?;
        log.rotate(&rotation())?;
        log.close()
    })?;
    Ok(())
}

/// Nobody in a hurry.
pub(crate) fn rotation() -> Rotation {
    Rotation::default().wait(PATIENCE)
}

fn close(child: &Child) -> anyhow::Result<()> {
    let log = child.open()?;
    let writer = child.writer(&log)?;
    marked(|| {
        drop(writer);
        log.close()
    })?;
    Ok(())
}
