//! One log on its way to the output.

use std::time::{Duration, Instant};

use std::path::Path;

use mmlog::{Follower, Log, LogId, Position, Start};

use super::held::Held;
use super::plan::{Begin, Follow};
use super::shared::{Share, Shared};
use crate::exit::Failure;
use crate::reading::backward::start_of_last;
use crate::reading::copy::{Copier, Sink as _, Stopped};
use crate::reading::cursor_file::Place;
use crate::reading::json::Form;
use crate::reading::place_file::Kept;
use crate::reading::seen::keep_seen;
use crate::reading::skip::Skip;
use crate::reading::{self, READ_SIZE};

/// A log, open, and how far its output has come.
pub(super) struct OneLog {
    index: usize,
    log: Log,
    id: LogId,
    follower: Follower,
    copier: Copier,
    /// The watermark when it was opened, or the end of the asked time below it.
    present: Position,
    damage: Damage,
}

/// The looks for what is wrong with the log's files.
#[derive(Debug, Default)]
struct Damage {
    looked: Option<Instant>,
    said: bool,
}

/// How often a followed log is asked whether its files still fit each other.
const LOOKS: Duration = Duration::from_secs(5);

/// How a log came to be read.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Appearance {
    /// It was there when the command started.
    Present,
    /// It was waited for.
    Awaited,
    /// It took the place of the one that was followed.
    Successor,
}

impl OneLog {
    /// Goes to where the output of the log that was named `index`th begins.
    pub(super) fn begin(index: usize, log: Log, came: Appearance, shared: &Shared) -> Result<Self, Failure> {
        let plan = shared.plan();
        if let Some(Failure::Said { text, .. }) = Failure::of_left_out(log.path(), &log.left_out()?) {
            shared.notice(&text);
        }
        let mut follower = log.follow(Start::Oldest)?;
        let (mut oldest, mut present) = (follower.position(), follower.watermark()?);
        if came != Appearance::Successor
            && let Some(found) = plan.times.find(&log, plan.newline)?
        {
            found.said(plan.says_widths).for_each(|text| shared.say(index, text));
            oldest = found.from.map_or(oldest, Position::new);
            present = found.to.map_or(present, Position::new).min(present);
        }
        let (start, skip) = beginning(index, shared, came, &mut follower, (oldest, present))?;
        follower.seek(start)?;
        if plan.follow != Follow::No {
            follower.announce(plan.hold.as_deref().unwrap_or_default());
        }
        keep_seen(&follower);
        let mut copier = Copier::new(plan.holes, skip, plan.render(index));
        if plan.form.output == Form::Json {
            copier.begins(follower.log_id(), follower.generation());
        }
        let one =
            Self { index, id: follower.log_id(), log, follower, copier, present, damage: Damage::default() };
        if let Some(notice) = reading::unrecovered(&plan.logs[index], &one.follower)? {
            shared.notice(&notice);
        }
        if plan.cursor_file.is_some() {
            let place = Place { id: one.id, position: start };
            if came == Appearance::Successor {
                shared.go_on(place);
            } else {
                shared.start(place)?;
            }
            if let Some(name) = &plan.hold {
                shared.hold(|| Held::begin(&plan.logs[index], plan, name, place))?;
            }
        }
        Ok(one)
    }

    pub(super) const fn index(&self) -> usize {
        self.index
    }

    pub(super) const fn id(&self) -> LogId {
        self.id
    }

    /// Whether the log that was opened still has its name, which may be a symbolic link.
    pub(super) fn has_its_name(&self, name: &Path) -> bool {
        self.log.is_current() && self.is_led_to_by(name)
    }

    fn is_led_to_by(&self, name: &Path) -> bool {
        // Anything else that was followed is no link: its path is the one that was typed.
        name == self.log.path()
            || matches!((name.canonicalize(), self.log.path().canonicalize()), (Ok(now), Ok(log)) if now == log)
    }

    pub(super) const fn follower(&mut self) -> &mut Follower {
        &mut self.follower
    }

    /// Prints what was final when the log was opened.
    pub(super) fn print_present(&mut self, shared: &Shared) -> Result<Stopped, Failure> {
        shared.title(self.index)?;
        if let Some(text) = reading::outside(&shared.plan().logs[self.index], &self.follower)? {
            Share { shared, index: self.index, id: self.follower.log_id() }.say(&text);
        }
        self.print(Some(self.present), shared)
    }

    /// A signal came before all of that was.
    pub(super) fn stopped(&self, shared: &Shared) -> Failure {
        reading::stopped(&shared.plan().logs[self.index], self.follower.position(), self.present)
    }

    /// Where all of it ends: at what is final now, or with the asked time.
    pub(super) fn end(&mut self, shared: &Shared) -> Result<Position, Failure> {
        let (now, plan) = (self.follower.watermark()?, shared.plan());
        let found = plan.times.without_since().find(&self.log, plan.newline)?;
        let end = found.and_then(|found| found.to).map_or(now, Position::new);
        Ok(end.min(now).max(self.follower.position()))
    }

    /// Prints what is final, up to `until`.
    pub(super) fn print(&mut self, until: Option<Position>, shared: &Shared) -> Result<Stopped, Failure> {
        let mut share = Share { shared, index: self.index, id: self.follower.log_id() };
        self.copier.copy(&mut self.follower, until, &mut share)
    }

    /// Prints what was held back: nothing more comes from this log.
    pub(super) fn finish(&mut self, shared: &Shared) -> Result<(), Failure> {
        let mut share = Share { shared, index: self.index, id: self.follower.log_id() };
        self.copier.finish(&self.follower, &mut share)?;
        self.damage.looked = None;
        self.look_for_damage(shared)
    }

    /// Says once what is wrong with the log's files; looks now and then.
    pub(super) fn look_for_damage(&mut self, shared: &Shared) -> Result<(), Failure> {
        let Damage { looked, said } = &mut self.damage;
        if *said || looked.is_some_and(|at| at.elapsed() < LOOKS) {
            return Ok(());
        }
        *looked = Some(Instant::now());
        let found = match reading::damage(&shared.plan().logs[self.index], &mut self.follower) {
            // Said where the name is looked at.
            Err(_) if shared.plan().follow == Follow::Name => None,
            found => found?,
        };
        if let Some(damage) = found {
            *said = true;
            shared.fail(damage);
        }
        Ok(())
    }
}

/// The position at which the output begins, and what is left out from there.
fn beginning(
    index: usize,
    shared: &Shared,
    came: Appearance,
    follower: &mut Follower,
    (oldest, present): (Position, Position),
) -> Result<(Position, Skip), Failure> {
    let plan = shared.plan();
    if came == Appearance::Successor {
        return Ok((oldest, Skip::NOTHING));
    }
    let end = follower.watermark()?;
    let at = |position| {
        reading::check_position(&plan.logs[index], position, end)?;
        Ok((position, Skip::NOTHING))
    };
    if let Some(file) = &plan.cursor_file
        && let Some(Kept { place, same_path }) = shared.open_cursor_file(file, index)?
    {
        // A log that was made anew, as who follows by name has to expect, has nothing of what the place was in.
        if place.id.uuid != follower.log_id().uuid && same_path && plan.follow != Follow::Log {
            shared.say(
                index,
                "the log was made anew since its place was saved; going on with the new one from its start",
            );
            return Ok((oldest, Skip::NOTHING));
        }
        let resumed = place.resume(follower).map_err(|problem| file.refuse(&problem))?;
        if let Some(lost) = &resumed.lost {
            shared.say(index, lost);
        }
        return at(resumed.at);
    }
    match plan.begin {
        Begin::At(position) => at(position),
        Begin::Oldest(skip) => Ok((oldest, skip)),
        // Its end has not been seen before: all of it is new.
        Begin::Last(_) if came == Appearance::Awaited => Ok((oldest, Skip::NOTHING)),
        Begin::Last(last) => {
            let mut buf = vec![0; READ_SIZE];
            let start = start_of_last(follower, last, (oldest, present), plan.holes, &mut buf)?;
            Ok((start, Skip::NOTHING))
        }
    }
}
