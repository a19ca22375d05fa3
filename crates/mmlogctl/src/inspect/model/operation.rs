//! An operation on the way: its plan is shown, then confirmed by a typed word, then it is done.

use std::path::PathBuf;

use crate::commands::repair::{NOTHING, OPTIONS};
use crate::inspect::action::{Ended, Extent, News, Operation, Order};
use crate::reading::escape::Escaper;

/// Of what the command says, the end of so many bytes.
const KEPT: usize = 64 << 10;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The dry run runs.
    Planning,
    /// The plan is shown.
    Planned(Ended),
    /// It is being done.
    Doing,
    /// It is over.
    Done(Ended),
}

/// What a typed word asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Do as planned.
    Go,
    /// Plan again, with these options.
    Plan(Vec<String>),
    /// Nothing that is known.
    Unknown,
}

/// One operation on one log.
#[derive(Debug)]
pub struct Operating {
    /// Which.
    pub operation: Operation,
    /// On which log.
    pub log: PathBuf,
    /// Options of its command.
    pub options: Vec<String>,
    /// How far it is.
    pub stage: Stage,
    /// What the command of this stage said.
    pub said: String,
    /// What was planned, once it is being done.
    pub planned: String,
    /// The first line of it that is shown.
    pub top: usize,
    raw: Vec<u8>,
}

impl Operating {
    /// Begins with the plan.
    #[must_use]
    pub fn new(operation: Operation, log: PathBuf) -> Self {
        let (said, planned, top) = (String::new(), String::new(), 0);
        Self {
            operation,
            log,
            options: Vec::new(),
            stage: Stage::Planning,
            said,
            planned,
            top,
            raw: Vec::new(),
        }
    }

    /// What has to run now.
    #[must_use]
    pub fn order(&self) -> Order {
        let extent = if self.stage == Stage::Planning { Extent::Plan } else { Extent::All };
        Order { operation: self.operation, extent, options: self.options.clone(), log: self.log.clone() }
    }

    /// A command of this operation runs.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Planning | Stage::Doing)
    }

    /// There is a plan, and something in it. A dry run that says nothing has nothing to do. That of a repair may ask for
    /// an option.
    #[must_use]
    pub fn wants_confirmation(&self) -> bool {
        let repairs = self.operation == Operation::Repair;
        let planned = matches!(&self.stage, Stage::Planned(ended) if repairs || ended.code == Some(0));
        let said = self.said.trim();
        planned && !said.is_empty() && !said.ends_with(NOTHING)
    }

    /// Either word confirms it: the command's, or the log's name. Options of repair behind its name give another plan.
    #[must_use]
    pub fn word(&self, typed: &str) -> Word {
        let name = self.log.file_name().map(|name| name.to_string_lossy());
        let mut words = typed.split_whitespace().map(str::to_owned);
        if typed == self.operation.name() || name.is_some_and(|name| typed == name) {
            return Word::Go;
        }
        let begins = words.next().is_some_and(|word| word == Operation::Repair.name());
        let options: Vec<String> = words.collect();
        let known = |option: &String| OPTIONS.iter().any(|(name, _)| name == option);
        let repairs = begins && self.operation == Operation::Repair;
        if repairs && !options.is_empty() && options.iter().all(known) {
            Word::Plan(options)
        } else {
            Word::Unknown
        }
    }

    /// The command of this stage begins.
    pub fn begin(&mut self, stage: Stage) {
        let said = std::mem::take(&mut self.said);
        self.planned = if stage == Stage::Doing { said } else { String::new() };
        (self.stage, self.top) = (stage, 0);
        self.raw.clear();
    }

    /// Takes what the command said.
    pub fn take(&mut self, news: &News) {
        if !self.is_running() {
            return;
        }
        self.raw.extend_from_slice(&news.said);
        self.raw.drain(..self.raw.len().saturating_sub(KEPT));
        let mut escaper = Escaper::default();
        let mut safe = escaper.feed(&self.raw).to_vec();
        safe.extend_from_slice(escaper.finish());
        self.said = String::from_utf8_lossy(&safe).replace('\t', "    ");
        if let Some(ended) = &news.ended {
            let planning = self.stage == Stage::Planning;
            self.stage = if planning { Stage::Planned(ended.clone()) } else { Stage::Done(ended.clone()) };
        }
    }
}
