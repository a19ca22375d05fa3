//! Shippers, the wires between them and the sink, and everything that may happen next.

use std::collections::VecDeque;

use mmlog_ship::checkpoint::{Known, Place};
use mmlog_ship::decide::{SinkIsNew, Tail, Top, Wishes};
use mmlog_ship::machine::{Action, Event, Exit, Limits, Machine};

use crate::judge::Seen;
use crate::log::History;
use crate::mutants::Mutant;
use crate::sink::{Message, Sink};

/// How often each thing may happen yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) appends: u8,
    pub(crate) holes: u8,
    pub(crate) cuts: u8,
    pub(crate) crashes: u8,
    pub(crate) power_cuts: u8,
    pub(crate) unsaved: u8,
    pub(crate) lost_files: u8,
    pub(crate) old_files: u8,
    pub(crate) lost_holds: u8,
    pub(crate) stops: u8,
    pub(crate) duplicates: u8,
    pub(crate) copies: u8,
    pub(crate) restores: u8,
    pub(crate) forgets: u8,
    pub(crate) wipes: u8,
    pub(crate) rebirths: u8,
    pub(crate) moves: u8,
    pub(crate) reboots: u8,
    pub(crate) shrinks: u8,
    pub(crate) strangers: u8,
    pub(crate) stale: u8,
    pub(crate) trims: u8,
    pub(crate) forced_prunes: u8,
    pub(crate) takings: u8,
    pub(crate) ticks: u8,
    pub(crate) clones: u8,
    pub(crate) live_clones: u8,
    pub(crate) put_back: u8,
    pub(crate) remade: u8,
}

/// One world of the search: what does not change in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) limits: Limits,
    pub(crate) wishes: Wishes,
    /// More are without end.
    pub(crate) connections: u64,
    /// What is read ends anywhere, as at the end of a segment or of a line; the log is pruned by parts, and the sink trimmed so.
    pub(crate) is_ragged: bool,
    pub(crate) mutant: Option<Mutant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shipper {
    pub(crate) machine: Machine,
    pub(crate) log: usize,
    pub(crate) file: Option<Known>,
    /// What was in it before, while that may be put back.
    pub(crate) old_file: Option<Known>,
    /// The longest unit, as the sink taught it.
    pub(crate) longest: u64,
    /// What it heard last to be acknowledged, in this run.
    pub(crate) heard: Option<Place>,
    /// A decision of this run used a wish.
    pub(crate) wished: bool,
    pub(crate) was_streaming: bool,
    pub(crate) is_stopping: bool,
    pub(crate) pending: VecDeque<Action>,
    pub(crate) wire: VecDeque<Message>,
    pub(crate) answers: VecDeque<Event>,
    /// For one mutant: the look before the opening, and the opening.
    pub(crate) looked: Option<Tail>,
    pub(crate) opened: Option<(Top, u64)>,
    pub(crate) exit: Option<Exit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) logs: Vec<History>,
    pub(crate) sink: Sink,
    pub(crate) shippers: Vec<Shipper>,
    /// What dead connections have on their way still.
    pub(crate) zombies: Vec<VecDeque<Message>>,
    pub(crate) copy: Option<Vec<Message>>,
    pub(crate) budget: Budget,
    pub(crate) runs: u64,
    pub(crate) now: u64,
    /// What the judge remembers.
    pub(crate) seen: Seen,
}

impl World {
    pub(crate) fn new(setting: &Setting, bytes: usize, is_weak: bool, budget: Budget) -> Self {
        let mut world = World {
            logs: vec![History::new(7, bytes)],
            sink: Sink::new(is_weak),
            shippers: vec![],
            zombies: vec![],
            copy: None,
            budget,
            runs: 0,
            now: 0,
            seen: Seen::default(),
        };
        world.start(setting, 0, None);
        world
    }

    /// With a second host, whose log is the same, or parts from it at a byte.
    pub(crate) fn with_second(mut self, setting: &Setting, parts: Option<usize>) -> Self {
        let mut log = self.logs[0].clone();
        if let Some(at) = parts {
            log.bytes[at] = Some(60);
            log.bytes.push(Some(61));
            log.durable += 1;
        }
        self.logs.push(log);
        self.seen.was_cloned = true;
        self.start(setting, 1, None);
        self
    }

    pub(crate) fn start(&mut self, setting: &Setting, log: usize, file: Option<Known>) {
        let machine = self.machine(setting, file);
        let (pending, wire, answers) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        self.shippers.push(Shipper {
            machine,
            log,
            file,
            old_file: None,
            longest: 8,
            heard: None,
            wished: false,
            was_streaming: false,
            is_stopping: false,
            pending,
            wire,
            answers,
            looked: None,
            opened: None,
            exit: None,
        });
    }

    pub(crate) fn machine(&mut self, setting: &Setting, file: Option<Known>) -> Machine {
        self.runs += 1;
        Machine::new(self.runs * 100, file, setting.limits, setting.wishes)
    }

    /// Every step from here, by name. The first flag says whether it would come by itself.
    pub(crate) fn steps(&self, setting: &Setting, found: &mut Vec<(&'static str, bool, World)>) {
        for i in 0..self.shippers.len() {
            self.own_steps(setting, i, found);
            self.faults(setting, i, found);
        }
        for k in 0..self.zombies.len() {
            let mut world = self.clone();
            if let Some(message) = world.zombies[k].pop_front() {
                // Taken or refused: those behind it are on their way still.
                world.deliver(&message, setting);
                found.push(("a dead connection delivers", false, world));
            }
        }
        self.sink_steps(setting, found);
        self.log_steps(setting, found);
    }

    /// Spends one of a budget, if there is one.
    pub(crate) fn spend(
        &self,
        of: impl Fn(&mut Budget) -> &mut u8,
        found: &mut Vec<(&'static str, bool, World)>,
        name: &'static str,
        change: impl FnOnce(&mut World) -> bool,
    ) {
        let mut budget = self.budget;
        let left = of(&mut budget);
        if *left == 0 {
            return;
        }
        *left -= 1;
        let mut world = World { budget, ..self.clone() };
        if change(&mut world) {
            found.push((name, false, world));
        }
    }

    fn own_steps(&self, setting: &Setting, i: usize, found: &mut Vec<(&'static str, bool, World)>) {
        let shipper = &self.shippers[i];
        let mut go = |name, change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            change(&mut world);
            found.push((name, true, world));
        };
        if shipper.exit.is_none() && shipper.machine.is_closed() {
            go("it connects", &|world| world.event(setting, i, Event::Retry));
        }
        if let Some(at) = shipper.machine.idle_at()
            && shipper.exit.is_none()
            && at < self.readable(setting, shipper.log) as u64
        {
            go("it reads", &|world| world.event(setting, i, Event::More));
        }
        if shipper.exit.is_none() && shipper.machine.is_unsaved() {
            go("it saves", &|world| world.event(setting, i, Event::Tick(world.now)));
        }
        if !shipper.pending.is_empty() {
            go("it acts", &|world| world.act(setting, i));
        }
        if let (true, Some(Action::Read { from, most })) = (setting.is_ragged, shipper.pending.front()) {
            for most in 1..*most {
                go("it reads to a boundary", &|world| {
                    world.shippers[i].pending[0] = Action::Read { from: *from, most };
                    world.act(setting, i);
                });
            }
        }
        if !shipper.answers.is_empty() {
            go("it hears", &|world| {
                let event = world.shippers[i].answers.pop_front().unwrap();
                if let Event::Acknowledged { .. } = event {
                    world.before_acknowledged(setting, i);
                }
                world.event(setting, i, event);
                if let (true, Event::Acknowledged { .. }) = (world.shippers[i].machine.is_streaming(), event)
                {
                    world.shippers[i].heard = world.shippers[i].machine.place();
                }
            });
        }
        if !shipper.wire.is_empty() {
            go("the sink gets it", &|world| {
                let message = world.shippers[i].wire.pop_front().unwrap();
                let connection = message.connection;
                let is_naive = setting.mutant == Some(Mutant::IdIsAPlace);
                let answer = match world.deliver(&message, setting) {
                    Some(_) if is_naive => Event::Acknowledged { connection, coordinate: message.after + 1 },
                    Some(coordinate) => Event::Acknowledged { connection, coordinate },
                    None => Event::Lost { connection },
                };
                if message.header.length() > world.sink.longest {
                    world.shippers[i].longest = world.sink.longest;
                }
                world.shippers[i].answers.push_back(answer);
            });
        }
    }

    pub(crate) fn readable(&self, setting: &Setting, log: usize) -> usize {
        let log = &self.logs[log];
        if setting.mutant == Some(Mutant::BeyondDurable) { log.bytes.len() } else { log.durable }
    }

    fn deliver(&mut self, message: &Message, setting: &Setting) -> Option<u64> {
        let before = self.sink.messages.len();
        let taken = self.sink.take(message, setting.mutant);
        self.sort(setting);
        if taken.is_some() && self.sink.messages.len() > before {
            self.seen.took(&self.sink, &self.logs);
        }
        taken
    }

    /// Hands an event over, and what comes of it to whoever carries it out. What touches nothing that others see is done at once.
    pub(crate) fn event(&mut self, setting: &Setting, i: usize, event: Event) {
        let was = self.shippers[i].machine.connection();
        self.shippers[i].is_stopping |= event == Event::Stop;
        let is_heard = event != Event::Stop || setting.mutant != Some(Mutant::StopIsNotHeard);
        let actions = if is_heard { self.shippers[i].machine.step(event) } else { vec![] };
        for action in actions {
            self.seen.acts(&self.shippers[i], &action);
            match action {
                Action::Close => {
                    let shipper = &mut self.shippers[i];
                    (shipper.looked, shipper.opened) = (None, None);
                    // What was begun is ended: a file is written or not, whatever the connection does.
                    shipper.pending.retain(|action| matches!(action, Action::Save(_)));
                    shipper
                        .answers
                        .retain(|answer| setting.mutant == Some(Mutant::OldAnswers) && is_ack(answer));
                    let wire = std::mem::take(&mut shipper.wire);
                    if setting.mutant == Some(Mutant::RetryQueue) {
                        shipper.wire =
                            wire.into_iter().map(|message| Message { after: u64::MAX, ..message }).collect();
                    } else {
                        self.bury(setting, wire);
                    }
                }
                Action::Exit(exit) => {
                    let wire = std::mem::take(&mut self.shippers[i].wire);
                    self.bury(setting, wire);
                    self.shippers[i].pending.clear();
                    self.seen.exit(exit, &setting.wishes, &self.shippers[i], self.sink.trimmed);
                    self.shippers[i].exit = Some(exit);
                }
                other => self.shippers[i].pending.push_back(other),
            }
        }
        if setting.mutant == Some(Mutant::OldAnswers) && self.shippers[i].machine.connection() != was {
            let connection = self.shippers[i].machine.connection();
            for answer in &mut self.shippers[i].answers {
                if let Event::Acknowledged { connection: of, .. } = answer {
                    *of = connection;
                }
            }
        }
        self.shippers[i].was_streaming |= self.shippers[i].machine.is_streaming();
        self.act_eagerly(setting, i);
    }

    pub(crate) fn bury(&mut self, setting: &Setting, wire: VecDeque<Message>) {
        if !wire.is_empty() {
            self.zombies.push(wire);
            self.sort(setting);
        }
    }

    /// So that worlds in which the same may happen are one: what a sink that only grows has grown beyond is refused for ever.
    pub(crate) fn sort(&mut self, setting: &Setting) {
        let Budget { restores, forgets, wipes, rebirths, moves, .. } = self.budget;
        if setting.mutant.is_none() && restores + forgets + wipes + rebirths + moves == 0 {
            let end = self.sink.messages.len() as u64;
            self.zombies.iter_mut().for_each(|wire| wire.retain(|message| message.after >= end));
        }
        self.zombies.retain(|wire| !wire.is_empty());
        self.zombies.sort_by_key(|wire| wire.front().map(|message| message.header.id()));
    }

    /// What is wrong where nothing more happens by itself.
    pub(crate) fn settled(&self) -> Option<&'static str> {
        if self.shippers.iter().all(|shipper| matches!(shipper.exit, Some(Exit::Second(_)))) {
            return Some("each ended for the other");
        }
        let [shipper] = &self.shippers[..] else { return None };
        let is_there = self.sink.end(self.sink.messages.len()) == self.logs[shipper.log].durable as u64;
        let is_excused = shipper.exit.is_some() || self.seen.is_unseen;
        (!is_there && !is_excused).then_some("it is idle, and the sink has not all")
    }

    /// Whether the tail is what the log has, and nobody has anything to do.
    pub(crate) fn is_complete(&self) -> bool {
        self.shippers.iter().all(|shipper| {
            let log = &self.logs[shipper.log];
            shipper.exit.is_some() || shipper.machine.idle_at() == Some(log.durable as u64)
        })
    }

    pub(crate) fn is_new_accepted(setting: &Setting) -> bool {
        matches!(setting.wishes.sink_is_new, Some(SinkIsNew::Restart | SinkIsNew::Continue))
    }
}

fn is_ack(answer: &Event) -> bool {
    matches!(answer, Event::Acknowledged { .. })
}
