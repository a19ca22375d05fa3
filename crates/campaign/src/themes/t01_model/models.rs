//! What is run: who takes part, with what to do, how much space and how many deaths.

use super::mutants::Mutant;
use super::steps::Step;
use super::world::*;

/// What a process does, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Task {
    /// An append of that many bytes.
    Append(u8),
    Close,
    Trim,
    Rotate,
    /// `policy --set keep`.
    SetKeep(u8),
    /// Prunes by the policy.
    Prune,
    /// Takes the lock once: recovers, and settles the slots of the dead.
    Settle,
    /// As `Settle`, whenever there is something to do.
    Repair,
    /// Settles the slots of the dead without the lock.
    RepairLoosely,
    /// Somebody else takes every page that is left on the disk.
    Fills,
    /// Somebody else gives that many pages back.
    Frees(u8),
    /// Somebody else appends a byte to the data file, by `>>`, when the log is at rest; or never gets to it.
    AppendsOutside,
    /// Somebody else writes the metadata of the beginning over what it is by now, while nothing is in flight; or never gets to it.
    ComesBack,
}
use Task::*;

/// How many records a rotation writes into the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Records {
    One,
    Three,
}

impl Records {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::One => "one record",
            Self::Three => "three records",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Configuration {
    pub(super) name: &'static str,
    pub(super) programs: &'static [&'static [Task]],
    pub(super) slots: u8,
    pub(super) chunk: u8,
    /// Length of the data file at the start.
    pub(super) size: u8,
    /// `rotate_size`, which the writers obey; 0: none.
    pub(super) cap: u8,
    /// Final segments that are kept, from the start.
    pub(super) keep: Option<u8>,
    /// Pages that are left on the disk; `None`: as many as anybody wants.
    pub(super) disk: Option<u8>,
    pub(super) crashes: u8,
    pub(super) follower: bool,
    /// The follower begins with the segment that is current then.
    pub(super) attaches: bool,
    /// The follower says so when the file was cut from outside, and must never say it here.
    pub(super) judges: bool,
    /// Every wait may end with an error.
    pub(super) deadlines: bool,
    /// A drain may be given up.
    pub(super) gives_up: bool,
    /// Copies, `link` and `rename` may fail.
    pub(super) errors: bool,
    pub(super) records: Records,
    /// Whether a trim drains although there is space up to the gate.
    pub(super) trim_waits: bool,
    /// More states than that are a defect of the configuration; also how much of the CI size it is.
    pub(super) most: u64,
    pub(super) mutant: Option<Mutant>,
}

pub(super) const PLAIN: Configuration = Configuration {
    name: "",
    programs: &[],
    slots: 2,
    chunk: 2,
    size: 2,
    cap: 0,
    keep: None,
    disk: None,
    crashes: 0,
    follower: false,
    attaches: false,
    judges: false,
    deadlines: false,
    gives_up: false,
    errors: false,
    records: Records::One,
    trim_waits: true,
    most: 1_000_000,
    mutant: None,
};

impl Configuration {
    pub(super) const fn of(name: &'static str, programs: &'static [&'static [Task]]) -> Self {
        Self { name, programs, ..PLAIN }
    }

    pub(super) const fn deaths(self, crashes: u8) -> Self {
        Self { crashes, ..self }
    }

    pub(super) const fn slots(self, slots: u8) -> Self {
        Self { slots, ..self }
    }

    pub(super) const fn size(self, size: u8) -> Self {
        Self { size, ..self }
    }

    /// Rotated by the writers, at that size. The first file is like all that follow.
    pub(super) const fn cap(self, cap: u8) -> Self {
        Self { cap, size: cap, ..self }
    }

    /// Pruned by the writers.
    pub(super) const fn keep(self, segments: u8) -> Self {
        Self { keep: Some(segments), ..self }
    }

    pub(super) const fn chunk(self, chunk: u8) -> Self {
        Self { chunk, ..self }
    }

    pub(super) const fn disk(self, pages: u8) -> Self {
        Self { disk: Some(pages), ..self }
    }

    pub(super) const fn followed(self) -> Self {
        Self { follower: true, ..self }
    }

    pub(super) const fn attached(self) -> Self {
        Self { follower: true, attaches: true, ..self }
    }

    pub(super) const fn judged(self) -> Self {
        Self { follower: true, judges: true, ..self }
    }

    /// Nobody waits for ever.
    pub(super) const fn late(self) -> Self {
        Self { deadlines: true, gives_up: true, ..self }
    }

    pub(super) const fn errors(self) -> Self {
        Self { errors: true, ..self }
    }

    /// Trims do not drain where there is space, and so need not give up.
    pub(super) const fn hasty(self) -> Self {
        Self { trim_waits: false, gives_up: false, ..self }
    }

    pub(super) const fn most(self, most: u64) -> Self {
        Self { most, ..self }
    }

    /// Whether a rotation may belong to that task.
    pub(super) fn rotates_at(&self, task: &Task) -> bool {
        matches!(task, Rotate) || matches!(task, Append(_)) && self.cap > 0
    }

    /// Whether somebody has, or sets, a rule of how many are kept.
    pub(super) fn prunes(&self) -> bool {
        self.keep.is_some() || self.tasks().any(|task| matches!(task, SetKeep(_)))
    }

    /// Whether it is so many final segments that are kept, by anybody's wish.
    pub(super) fn wants(&self, keep: u8) -> bool {
        self.keep == Some(keep) || self.tasks().any(|task| *task == SetKeep(keep))
    }

    fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.programs.iter().flat_map(|program| program.iter())
    }
}

/// The most tasks of a process.
const TASKS: usize = 4;

/// A configuration, and what follows from it.
pub(super) struct Model {
    pub(super) configuration: Configuration,
    /// Files that can exist at a time.
    pub(super) files: usize,
    pub(super) messages: usize,
    /// The message that is a process's task, by process and task.
    message_of: [[usize; TASKS]; PROCESSES],
    lengths: [u8; MESSAGES],
    writers: [usize; MESSAGES],
    names: Vec<String>,
    initial: World,
}

/// What the one does who comes when everybody else is gone.
const OPENER: &[Task] = &[Settle, Trim];

impl Model {
    pub(super) fn new(configuration: Configuration) -> Self {
        let programs = configuration.programs;
        let mut model = Self {
            configuration,
            files: 1 + programs
                .iter()
                .flat_map(|p| p.iter())
                .filter(|task| configuration.rotates_at(task))
                .count(),
            messages: 0,
            message_of: [[0; TASKS]; PROCESSES],
            lengths: [0; MESSAGES],
            writers: [0; MESSAGES],
            names: Vec::new(),
            initial: EMPTY_WORLD,
        };
        assert!(programs.len() < PROCESSES && model.files <= FILES && model.slots() <= SLOTS);
        for (p, program) in programs.iter().enumerate() {
            for (n, task) in program.iter().enumerate() {
                if let Append(len) = *task {
                    model.message_of[p][n] = model.messages;
                    (model.lengths[model.messages], model.writers[model.messages]) = (len, p);
                    model.messages += 1;
                }
            }
        }
        model.names = (0..=programs.len()).map(|p| format!("{} {p}", model.trade(p))).collect();
        model.initial = model.begin();
        model
    }

    fn begin(&self) -> World {
        let Configuration { slots, size, disk, crashes, attaches, keep, .. } = self.configuration;
        let mut world = EMPTY_WORLD;
        if let Some(segments) = keep {
            world.policy.copies[0] = Keep { is_set: true, segments, is_whole: true };
        }
        (world.limit, world.file_size) = (size, size);
        world.files[0] = File { size, base: 0, is_final: false };
        world.free = disk.unwrap_or(PLENTY);
        world.crashes = crashes;
        world.processes[self.opener()].end(Step::Done);
        if attaches {
            world.follower.segment = NO_SEGMENT;
        }
        let writers = (0..self.opener()).filter(|&p| matches!(self.program(p)[0], Append(_)));
        for (slot, p) in (0..slots).zip(writers) {
            (world.slots[slot as usize].owner, world.slots[slot as usize].is_said) = (p as u8, true);
            world.processes[p].slot = slot;
        }
        world
    }

    pub(super) fn initial(&self) -> World {
        self.initial
    }

    pub(super) fn is(&self, mutant: Mutant) -> bool {
        self.configuration.mutant == Some(mutant)
    }

    pub(super) fn slots(&self) -> usize {
        self.configuration.slots.into()
    }

    /// Whether somebody appends who is no writer.
    pub(super) fn has_outsiders(&self) -> bool {
        self.configuration.programs.iter().any(|program| program.contains(&AppendsOutside))
    }

    /// Whether somebody writes older metadata over the newer.
    pub(super) fn comes_back(&self) -> bool {
        self.configuration.programs.iter().any(|program| program.contains(&ComesBack))
    }

    pub(super) fn rotates(&self) -> bool {
        self.files > 1
    }

    /// The process that comes when all others are gone.
    pub(super) fn opener(&self) -> usize {
        self.configuration.programs.len()
    }

    pub(super) fn program(&self, process: usize) -> &'static [Task] {
        self.configuration.programs.get(process).copied().unwrap_or(OPENER)
    }

    pub(super) fn task(&self, world: &World, process: usize) -> Option<Task> {
        self.program(process).get(usize::from(world.processes[process].task)).copied()
    }

    /// The message that is the process's present task.
    pub(super) fn message(&self, world: &World, process: usize) -> usize {
        self.message_of[process][usize::from(world.processes[process].task)]
    }

    pub(super) fn len_of(&self, message: usize) -> u8 {
        self.lengths[message]
    }

    pub(super) fn writer_of(&self, message: usize) -> usize {
        self.writers[message]
    }

    /// The message that has `position`.
    pub(super) fn owner(&self, world: &World, position: u8) -> Option<usize> {
        (0..self.messages).find(|&m| {
            let Message { fate, start } = world.messages[m];
            fate != Fate::None && start <= position && position < start + self.lengths[m]
        })
    }

    pub(super) fn name(&self, process: usize) -> &str {
        &self.names[process]
    }

    fn trade(&self, process: usize) -> &'static str {
        match self.program(process)[0] {
            _ if process == self.opener() => "opener",
            Append(_) | Close => "writer",
            Trim => "trimmer",
            Rotate => "rotator",
            SetKeep(_) => "setter",
            Prune => "pruner",
            Settle | Repair | RepairLoosely => "repairer",
            Fills | Frees(_) | AppendsOutside | ComesBack => "stranger",
        }
    }
}

const EMPTY_WORLD: World = World {
    cursor: 0,
    gate: false,
    gate_at: 0,
    limit: 0,
    file_size: 0,
    base: 0,
    inode: 0,
    generation: 0,
    entries: [Entry { base: 0, inode: 0 }; 2],
    journal: Journal::EMPTY,
    slots: [Slot { phase: Phase::Idle, position: 0, len: 0, owner: NOBODY, is_said: false }; SLOTS],
    holes: 0,
    cuts: 0,
    policy: Policy { copies: [Keep { is_set: false, segments: 0, is_whole: true }; 2], number: 0 },
    first_kept: 0,
    checkpoint: 0,
    panicked: false,
    lock: NOBODY,
    maintenance: NOBODY,
    path: 0,
    temp: NO_FILE,
    names: [NO_FILE; FILES],
    files: [File { size: 0, base: NO_BASE, is_final: false }; FILES],
    free: 0,
    durable_kept: 0,
    durable_path: 0,
    processes: [Process::NEW; PROCESSES],
    follower: Follower::NEW,
    messages: [Message { fate: Fate::None, start: 0 }; MESSAGES],
    written: 0,
    outside: 0,
    sparse: 0,
    crashes: 0,
};
