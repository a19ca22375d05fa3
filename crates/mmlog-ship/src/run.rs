//! The loop: it carries the machine's actions out, in their order, and tells it what came of them.
//!
//! One thread a log. What it keeps in memory is one unit and what the sink has on its way, which the machine's window bounds.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mmlog::Options;
use mmlog::crash::crash_point;

use crate::decide::{Decision, Tail, Wishes};
use crate::machine::{Action, Event, Exit, Limits, Machine, Piece};
use crate::sinks::{Message, Purpose, Sink, Strength};
use crate::source::{How, Source};
use crate::store::Store;
use crate::trouble::Trouble;
use crate::unit::{Header, Kind};

mod check;
pub(crate) mod pace;
mod rival;
mod said;
mod saving;
mod waiting;
pub(crate) mod words;

pub use check::check;
use pace::Pace;
use rival::Rival;
use said::Said;
use saving::{Saving, written_down};

/// How often the machine is told the time, and it is looked whether the log is still at its path.
const TICK: Duration = Duration::from_millis(200);
/// The longest sleep: a signal is heard that late.
const NAP: Duration = Duration::from_millis(100);

/// What to ship, and how.
#[derive(Clone)]
pub struct Plan {
    /// The log.
    pub log: PathBuf,
    /// How it is opened.
    pub options: Options,
    /// The shipper's name: its hold is `ship:NAME`.
    pub name: String,
    /// Where the checkpoint is.
    pub checkpoint: PathBuf,
    /// How the log is read.
    pub how: How,
    /// What the machine may use.
    pub limits: Limits,
    /// What people decided.
    pub wishes: Wishes,
    /// A sink that is silent for so long is left.
    pub timeout: Duration,
    /// How long it is waited at the end for what is on its way.
    pub drain: Duration,
    /// Ends behind what is there when it begins.
    pub until_now: bool,
    /// It waits no longer for a sink that is away then.
    pub give_up: Duration,
    /// Ends when the log was removed, and all of it has arrived.
    pub ends_with_log: bool,
    /// A sink that takes segments gets one that began so long ago: the log is rotated.
    pub rotate_after: Option<Duration>,
    /// Ends when it is raised.
    pub stop: Arc<AtomicBool>,
    /// Hears what people may want to know, a sentence at a time.
    pub say: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Plan {
    /// The name of the hold.
    pub fn hold(&self) -> String {
        format!("ship:{}", self.name)
    }
}

/// A unit that is on its way, for the counts.
struct Out {
    is_opening: bool,
    bytes: u64,
    gap: u64,
}

struct Runner<'a> {
    plan: &'a Plan,
    sink: &'a mut dyn Sink,
    source: Source,
    machine: Machine,
    queue: VecDeque<Action>,
    out: VecDeque<Out>,
    saving: Saving,
    said: Said,
    pace: Pace,
    /// This one's number.
    run: u64,
    rival: Rival,
    noted: BTreeSet<String>,
    /// What was said of the last decision, if nothing but openings was taken since.
    last: Option<String>,
    /// How long a unit may be at the sink.
    longest: u64,
    begun: Instant,
    ticked: Instant,
    /// Since when the sink owes an answer.
    silent: Option<Instant>,
    /// When the sink was last heard of.
    heard: Instant,
    /// How far it was then with what it was sent.
    progress: u64,
    /// Nothing more is read, since then.
    stopping: Option<Instant>,
    /// Up to where the sink had acknowledged when this began, as written down, and still had it.
    had: Option<u64>,
    /// What ended it.
    exit: Option<Exit>,
}

/// Ships until it is told to stop, or to where the log ends now.
///
/// # Errors
/// Whatever only a person can mend, or another run.
pub fn run(plan: &Plan, sink: &mut dyn Sink) -> Result<(), Trouble> {
    let store = Store::open(&plan.checkpoint, "another shipper")?;
    let (found, age) = written_down(plan)?;
    let mut source = Source::open(&plan.log, plan.options.clone(), &plan.hold(), plan.how.clone())?;
    if sink.takes_segments() {
        source.by_segments(plan.rotate_after, &plan.stop)?;
    }
    let end = source.sync()?;
    if plan.until_now {
        source.until(end);
        source.is_final = true;
    }
    let known = found.as_ref().map(|found| found.known);
    sink.remember(known);
    if let Some(hold) = source.held() {
        sink.keeps(source.log_id(), hold);
    }
    let limits = Limits { units: plan.limits.units.min(sink.units()), ..plan.limits };
    let run = run_number();
    let machine = Machine::new(run, known, limits, plan.wishes);
    let machine = if sink.takes_segments() { machine.by_name() } else { machine };
    let saving = Saving::new(store, sink.name(), found.map(|found| found.counts).unwrap_or_default());
    let (said, now) = (Said::new(plan, sink), Instant::now());
    let mut runner = Runner {
        plan,
        sink,
        source,
        machine,
        queue: VecDeque::new(),
        out: VecDeque::new(),
        saving,
        said,
        pace: Pace::new(),
        run,
        rival: Rival::default(),
        noted: BTreeSet::new(),
        last: None,
        longest: u64::MAX,
        begun: now,
        ticked: now,
        silent: None,
        heard: now,
        progress: 0,
        stopping: None,
        had: known.and_then(|known| known.place).map(|place| place.to),
        exit: None,
    };
    let ended = runner.go(plan.until_now.then_some(end));
    if ended.is_ok() && plan.until_now && age.as_millis() >= u128::from(plan.limits.keep) {
        runner.let_go()?;
    }
    if let Some((from, to)) = runner.source.open_range().filter(|_| ended.is_ok() && plan.until_now) {
        (plan.say)(&words::of_open(from, to));
    }
    runner.leave();
    runner.say_how(Some(&ended));
    ended
}

fn run_number() -> u64 {
    crate::sinks::file::random().max(1)
}

impl Runner<'_> {
    fn go(&mut self, until: Option<u64>) -> Result<(), Trouble> {
        loop {
            self.carry_out()?;
            if let Some(exit) = self.exit {
                return words::of_exit(exit, self.sink.name());
            }
            let is_there = until.is_some_and(|until| self.machine.idle_at().is_some_and(|at| at >= until));
            if self.plan.stop.load(Ordering::Acquire) || is_there && self.out.is_empty() {
                self.stop();
            }
            self.timers()?;
            if self.queue.is_empty() {
                self.rest()?;
            }
        }
    }

    /// Waits for what is on its way, and for no longer than it may.
    fn stop(&mut self) {
        let Some(since) = self.stopping else {
            self.stopping = Some(Instant::now());
            return self.hear(Event::Stop);
        };
        if !self.out.is_empty() && since.elapsed() >= self.plan.drain {
            (self.plan.say)(&format!(
                "{}: {} units were not acknowledged in time; the next start goes on behind what is there",
                self.sink.name(),
                self.out.len()
            ));
            self.hear(Event::Lost { connection: self.machine.connection() });
        }
    }

    /// One run after the other never waits for as long as acknowledged bytes are kept: what the run before had written down, and the
    /// sink still had, was acknowledged at least that long ago.
    fn let_go(&mut self) -> Result<(), Trouble> {
        match self.had {
            Some(had) => self.source.hold().0.advance(had),
            None => Ok(()),
        }
    }

    /// Saves what was put off, and what came meanwhile, whatever ended it.
    fn leave(&mut self) {
        self.hear(Event::Lost { connection: self.machine.connection() });
        self.hear(Event::Stop);
        loop {
            let newer = self.queue.drain(..).find_map(|action| match action {
                Action::Save(known) => Some(known),
                _ => None,
            });
            if let Some(known) = newer {
                self.saving.put_off(known);
            }
            let Ok(Some(event)) = self.save_due(true) else { break };
            self.hear(event);
        }
        self.sink.close();
    }

    /// Tells the machine, and takes what it says.
    fn hear(&mut self, event: Event) {
        for action in self.machine.step(event) {
            match action {
                Action::Close => {
                    // A checkpoint that is to be written is true whatever the connection does.
                    self.queue.retain(|action| matches!(action, Action::Save(_)));
                    self.sink.close();
                    self.out.clear();
                    self.silent = None;
                    self.pace.retry_later();
                }
                Action::Exit(exit) => {
                    self.queue.clear();
                    self.exit = Some(exit);
                }
                other => self.queue.push_back(other),
            }
        }
    }

    fn carry_out(&mut self) -> Result<(), Trouble> {
        while let Some(action) = self.queue.pop_front() {
            crash_point("ship:action");
            if let Some(event) = self.act(action)? {
                self.hear(event);
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<Option<Event>, Trouble> {
        let event = match action {
            Action::Connect(_) => match self.sink.open(Purpose::Ship) {
                Ok(longest) => {
                    self.longest = longest;
                    self.note();
                    Event::Connected
                }
                Err(trouble) => self.lost(trouble)?,
            },
            Action::Look => match self.look() {
                Ok(tail) => {
                    if let Some(by) = self.rival.seen(&tail, self.run) {
                        self.queue.clear();
                        self.exit = Some(Exit::Second(by));
                        return Ok(None);
                    }
                    Event::Seen(tail, self.source.facts()?)
                }
                Err(trouble) => self.lost(trouble)?,
            },
            Action::Compare(ask) => {
                let compared = self.source.compare(ask)?;
                Event::Compared(compared, self.source.facts()?)
            }
            Action::Decide => {
                let Some(decision) = self.machine.decide() else { return Ok(None) };
                self.decided(&decision);
                Event::Decided(decision)
            }
            Action::Save(known) => {
                self.saving.put_off(known);
                return self.save_due(false);
            }
            Action::Claim(at) => {
                let (hold, log) = self.source.hold();
                let is_kept = hold.claim(log, at)?;
                self.kept();
                Event::Held(is_kept)
            }
            Action::Hold(to) => {
                crash_point("ship:hold");
                self.source.hold().0.advance(to)?;
                self.kept();
                return Ok(None);
            }
            Action::Read { from, most } => Event::Read(self.read(from, most)?),
            Action::Send { unit, after } => return self.send(&unit, after),
            Action::Close | Action::Exit(_) => return Ok(None),
        };
        Ok(Some(event))
    }

    /// What the sink does to units, said once.
    fn note(&mut self) {
        for note in self.sink.notes() {
            if self.noted.insert(note.clone()) {
                (self.plan.say)(&format!("{}: {note}", self.sink.name()));
            }
        }
    }

    fn kept(&mut self) {
        if let Some(hold) = self.source.held() {
            self.sink.keeps(self.source.log_id(), hold);
        }
    }

    fn read(&mut self, from: u64, most: u64) -> Result<Piece, Trouble> {
        self.source.read(from, most, self.longest)
    }

    fn look(&mut self) -> Result<Tail, Trouble> {
        self.sink.turn_to(self.source.log_id());
        self.heard = Instant::now();
        let tail = self.sink.look()?;
        self.note();
        Ok(tail)
    }

    fn send(&mut self, unit: &Header, after: u64) -> Result<Option<Event>, Trouble> {
        let segment = if unit.kind == Kind::Segment { self.source.segment_read() } else { None };
        let (payload, cut) = match unit.kind {
            Kind::Content => self.source.payload(),
            _ => (&[][..], Default::default()),
        };
        let sent = match segment {
            Some(segment) => self.sink.send_segment(unit, after, segment),
            None => self.sink.send(&Message { unit, after, cut, payload }),
        };
        if let Err(trouble) = sent {
            return self.lost(trouble).map(Some);
        }
        let is_gap = matches!(unit.kind, Kind::Gap(_));
        if let Kind::Gap(why) = unit.kind {
            (self.plan.say)(&words::of_gap(why, unit));
        }
        let gap = if is_gap { unit.to - unit.from } else { 0 };
        self.out.push_back(Out { is_opening: unit.kind == Kind::Opening, bytes: unit.length(), gap });
        self.silent.get_or_insert_with(Instant::now);
        crash_point("ship:sent");
        Ok(None)
    }

    fn decided(&mut self, decision: &Decision) {
        let is_provable = self.sink.strength() != Strength::AtLeastOnce;
        let said = words::of_decision(decision, self.sink.name(), is_provable);
        // It is taken again until something of it has arrived, and is no news then.
        let is_news = said.is_some() && said != self.last;
        self.last = said;
        if let Some(text) = self.last.as_ref().filter(|_| is_news) {
            (self.plan.say)(text);
        }
        if let Decision::Resume { resent, place, .. } = *decision {
            self.saving.counts.resent += if is_news { resent } else { 0 };
            self.had = self.had.filter(|had| *had <= place.to);
        } else {
            self.had = None;
        }
    }

    /// What is tried again, or ends this.
    fn lost(&mut self, trouble: Trouble) -> Result<Event, Trouble> {
        if !trouble.passes() {
            return Err(trouble);
        }
        let is_stopped = self.plan.stop.load(Ordering::Acquire);
        if let Some(text) = self.pace.gone(&trouble, self.sink.name()).filter(|_| !is_stopped) {
            (self.plan.say)(&text);
        }
        if let Some(rest) = self.sink.rest() {
            self.pace.rest(rest);
        }
        self.gives_up()?;
        Ok(Event::Lost { connection: self.machine.connection() })
    }

    /// Whoever wants what there is now waits for a sink that is away no longer than that.
    fn gives_up(&self) -> Result<(), Trouble> {
        match self.pace.is_away_for(self.plan.give_up).filter(|_| self.plan.until_now) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    /// Saves what is to be saved, if it is time.
    fn save_due(&mut self, at_once: bool) -> Result<Option<Event>, Trouble> {
        let Some(saved) = self.saving.save(at_once) else { return Ok(None) };
        let is_saved = match saved {
            Ok(()) => true,
            Err(e) => {
                let path = &self.plan.checkpoint;
                if let Some(text) = self.saving.not_saved(path, &e) {
                    (self.plan.say)(&text);
                }
                false
            }
        };
        Ok(Some(Event::Saved(is_saved)))
    }

    fn timers(&mut self) -> Result<(), Trouble> {
        if let Some(event) = self.save_due(self.stopping.is_some())? {
            self.hear(event);
        }
        let progress = self.sink.progress();
        if std::mem::replace(&mut self.progress, progress) != progress {
            self.silent = self.silent.map(|_| Instant::now());
        }
        if self.silent.is_some_and(|since| since.elapsed() >= self.plan.timeout) {
            let event =
                self.lost(Trouble::Away(format!("no answer for {} s", self.plan.timeout.as_secs())))?;
            self.hear(event);
        }
        if self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.hear(Event::Tick(now));
            self.source.hold().0.stay()?;
            self.say_how(None);
            self.renew()?;
        }
        if self.machine.is_closed() {
            self.gives_up()?;
        }
        if self.machine.is_closed() && self.stopping.is_none() && self.pace.is_time() {
            self.hear(Event::Retry);
        }
        Ok(())
    }

    /// A log that was made anew: what the old one has is shipped first, as far as it is open here.
    fn renew(&mut self) -> Result<(), Trouble> {
        let Some(at) = self.machine.idle_at().filter(|_| self.out.is_empty()) else { return Ok(()) };
        if !self.source.is_old() {
            return Ok(());
        }
        if !self.source.is_final {
            self.source.sync()?;
            self.source.is_final = true;
            self.hear(Event::More);
        } else if !self.source.has_more(at) {
            match self.source.renew()? {
                true => {
                    (self.plan.say)("the log was made anew: the new one is shipped behind the old one");
                    self.hear(Event::Lost { connection: self.machine.connection() });
                    self.pace.at_once();
                }
                false if self.plan.ends_with_log => self.stop(),
                false => {}
            }
        }
        Ok(())
    }
}
