//! Following: a thread for each log.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use mmlog::{Log, Start};

use super::one_log::{Appearance, OneLog};
use super::plan::Follow;
use super::shared::{Shared, Task};
use super::waiting;
use crate::exit::{Exit, Failure, limited, shown};
use crate::reading;
use crate::reading::copy::Stopped;

/// The longest sleep; how late an order is noticed by a thread whose log is idle.
pub(super) const SLICE: Duration = Duration::from_millis(250);

/// Prints the end of all logs, one after the other, then follows them until told to end.
pub(super) fn follow_all(shared: &Shared) {
    let mut begun = Vec::new();
    for index in 0..shared.plan().logs.len() {
        if shared.task() == Task::End {
            return;
        }
        match Followed::begin(index, shared) {
            Ok(followed) => begun.push(followed),
            Err(failure) => shared.fail(failure),
        }
    }
    let follow = |followed: Followed| {
        if let Err(failure) = followed.follow(shared) {
            shared.fail(failure);
        }
    };
    // One of them is followed here.
    let Some(last) = begun.pop() else { return };
    thread::scope(|scope| {
        for followed in begun {
            if let Err(e) = thread::Builder::new().spawn_scoped(scope, move || follow(followed)) {
                let text = format!("no thread can be had to follow each log: {}", limited(&e));
                return shared.fail(Failure::new(Exit::Failed, text));
            }
        }
        follow(last);
    });
}

/// A log that is followed.
enum Followed {
    /// It is open.
    Open(Box<OneLog>),
    /// It does not exist yet; the log that was named so many-th.
    Missing(usize),
}

impl Followed {
    fn begin(index: usize, shared: &Shared) -> Result<Self, Failure> {
        let plan = shared.plan();
        match reading::open(&plan.logs[index], plan.trust, &plan.old) {
            Ok(log) => {
                let mut one = OneLog::begin(index, log, Appearance::Present, shared)?;
                one.print_present(shared)?;
                Ok(Self::Open(Box::new(one)))
            }
            Err(e) if plan.follow != Follow::No && plan.retry && waiting::is_to_come(e.fault()) => {
                Ok(Self::Missing(index))
            }
            Err(e) => Err(e.into()),
        }
    }

    fn follow(self, shared: &Shared) -> Result<(), Failure> {
        let mut one = match self {
            Self::Open(one) => *one,
            Self::Missing(index) => match waiting::wait_for_log(index, shared)? {
                Some(log) => {
                    let mut one = OneLog::begin(index, log, Appearance::Awaited, shared)?;
                    if shared.plan().until_now {
                        one.print_present(shared)?;
                    }
                    one
                }
                None => return Ok(()),
            },
        };
        if shared.plan().follow == Follow::No || shared.plan().until_now {
            return one.finish(shared);
        }
        while let Some(log) = print_until_replaced(&mut one, shared)? {
            one = OneLog::begin(one.index(), log, Appearance::Successor, shared)?;
        }
        Ok(())
    }
}

/// Prints what is appended until told to end, or until another log has the name.
fn print_until_replaced(one: &mut OneLog, shared: &Shared) -> Result<Option<Log>, Failure> {
    let mut caught_up = false;
    let mut name = Name { looked: Instant::now(), removal_said: false, is_unseen: false };
    loop {
        // Asked first, so that what was final when the order came is printed.
        match shared.task() {
            Task::Follow => {}
            Task::Drain => {
                let end = one.end(shared)?;
                one.print(Some(end), shared)?;
                return one.finish(shared).map(|()| None);
            }
            Task::End if caught_up => return one.finish(shared).map(|()| None),
            Task::End => return Ok(None),
        }
        // One look a turn: each takes the cursor's and the slots' cache lines from those who append.
        let follower = one.follower();
        let now = follower.watermark()?.max(follower.position());
        caught_up = match one.print(Some(now), shared) {
            // What comes next cannot be opened while the directory may not be looked at.
            Err(Failure::Said { exit: Exit::Failed, text })
                if shared.plan().follow == Follow::Name && Name::hidden(one, shared).is_some() =>
            {
                name.unseen(one, &text, shared);
                thread::sleep(SLICE);
                continue;
            }
            printed => printed? == Stopped::Complete,
        };
        if caught_up {
            let next = successor(one, &mut name, shared)?;
            if !matches!(next, Next::Same) {
                one.print(None, shared)?;
                one.finish(shared)?;
            }
            match next {
                Next::Same => {}
                Next::Log(log) => return Ok(Some(*log)),
                Next::Gone(failure) => return Err(failure),
            }
            one.look_for_damage(shared)?;
            one.follower().wait(SLICE)?;
        }
    }
}

/// The looks at a followed log's name, for `-F`.
struct Name {
    looked: Instant,
    removal_said: bool,
    /// It could not be looked at, which has been said.
    is_unseen: bool,
}

impl Name {
    /// Why the log's directory may not be looked at.
    fn hidden(one: &OneLog, shared: &Shared) -> Option<io::Error> {
        let found = shared.plan().logs[one.index()].symlink_metadata();
        found.err().filter(|e| e.kind() == io::ErrorKind::PermissionDenied)
    }

    fn unseen(&mut self, one: &OneLog, why: &str, shared: &Shared) {
        if !std::mem::replace(&mut self.is_unseen, true) {
            shared.say(one.index(), &format!("inaccessible, going on with what is open ({why})"));
        }
    }

    fn seen(&mut self, one: &OneLog, shared: &Shared) {
        if std::mem::take(&mut self.is_unseen) {
            shared.say(one.index(), "accessible again");
        }
    }
}

/// What is behind a followed log's name.
enum Next {
    /// The log that is followed, or nothing that ends it.
    Same,
    /// Another one.
    Log(Box<Log>),
    /// Nothing, and nobody waits for another.
    Gone(Failure),
}

/// What has the name now.
fn successor(one: &OneLog, name: &mut Name, shared: &Shared) -> Result<Next, Failure> {
    let plan = shared.plan();
    if plan.follow != Follow::Name || name.looked.elapsed() < SLICE {
        return Ok(Next::Same);
    }
    name.looked = Instant::now();
    if let Some(e) = Name::hidden(one, shared) {
        name.unseen(one, &e.to_string(), shared);
        return Ok(Next::Same);
    }
    if one.has_its_name(&plan.logs[one.index()]) {
        name.seen(one, shared);
        return Ok(Next::Same);
    }
    let opened = reading::open(&plan.logs[one.index()], plan.trust, &plan.old);
    match opened.and_then(|log| Ok((log.follow(Start::Oldest)?.log_id(), log))) {
        Ok((id, _)) if id.uuid == one.id().uuid => Ok(Next::Same),
        Ok((_, log)) => {
            name.seen(one, shared);
            shared.say(one.index(), "the log was made anew; following the new one");
            Ok(Next::Log(Box::new(log)))
        }
        Err(e) if waiting::is_to_come(e.fault()) && !plan.retry => {
            let path = shown(&plan.logs[one.index()]);
            let text = format!("{path}: the log was removed; --retry would wait for a new one");
            Ok(Next::Gone(Failure::new(Exit::Failed, text)))
        }
        Err(e) if waiting::is_to_come(e.fault()) => {
            if !std::mem::replace(&mut name.removal_said, true) {
                shared.say(one.index(), "the log was removed; waiting for a new one");
            }
            Ok(Next::Same)
        }
        // Whatever it is, the log that is open is there.
        Err(e) => {
            name.unseen(one, &e.words(), shared);
            Ok(Next::Same)
        }
    }
}
