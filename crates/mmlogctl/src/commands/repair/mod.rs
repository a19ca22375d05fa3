//! `mmlogctl repair LOG`: what nobody heals by himself: facts, a plan, and its steps.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use mmlog::repair::{self, Examination, Facts, Left, MetadataFact, Plan, Step, Why, Wish};
use mmlog::{Class, Error, Finding, FindingId, Hole, Observer, Options, PolicyState, explain_removed};

use crate::arguments::{Access, OldSegments, duration};
use crate::exit::{Exit, Failure, shown};
use crate::output::{Output, json_line};
use crate::rules;

mod human;
mod json;

/// Examine a log and mend it: say what was found, what is to be done, and do that.
///
/// Nobody has to run it after a crash: the next append settles what the dead left. It is for what
/// outsiders did to the files, for hardware, and for decisions that only people take. Each of
/// those has an option, and what was found says which. A process that is only stopped is
/// alive: nothing is taken from it. It says every range of positions that it touches and
/// whose it was.
#[derive(Args, Debug)]
pub struct RepairArgs {
    /// The log's data file.
    log: PathBuf,
    /// Say what was found and what would be done; change nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// Take the panic flag away, if every invariant holds; its cause is shown first.
    #[arg(long)]
    clear_panic: bool,
    /// Make new metadata from the data file, when there is none or none that can be believed.
    #[arg(long)]
    rebuild: bool,
    /// Make an empty data file behind the lost positions, when it is gone.
    #[arg(long)]
    recreate: bool,
    /// Make a log of the original's format (version 1) one of this format.
    #[arg(long)]
    upgrade: bool,
    /// Forget that a sync failed: what was not durable then may be lost. And that bytes were cut off which >> had put
    /// behind the log in use.
    #[arg(long)]
    accept_loss: bool,
    /// Give up old segments that are missing and never come back: their positions become a hole, which readers are told of.
    #[arg(long)]
    forget_missing: bool,
    /// How long to wait for others, in all: another maintenance command, the log's lock, a writer in the way.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "2s")]
    wait: Duration,
    #[command(flatten)]
    old_segments: OldSegments,
    #[command(flatten)]
    access: Access,
}

/// What is said of a log that needs no repair.
pub(crate) const NOTHING: &str = "nothing to repair";

/// The options and what they ask for.
pub(crate) const OPTIONS: [(&str, Wish); 6] = [
    ("--clear-panic", Wish::ClearPanic),
    ("--rebuild", Wish::Rebuild),
    ("--recreate", Wish::Recreate),
    ("--upgrade", Wish::Upgrade),
    ("--accept-loss", Wish::AcceptLoss),
    ("--forget-missing", Wish::ForgetMissing),
];

/// A step may show what could not be seen before it: a recreated log's panic flag.
const PASSES: usize = 3;

/// What becomes of the policy, if the metadata is to be made anew, or says that its policy is damaged.
fn of_policy(facts: &Facts, steps: &[Step], left: &[Left]) -> Option<String> {
    let is_made_anew = steps.iter().any(|step| matches!(step, Step::Rebuild { .. }))
        || left.iter().any(|left| left.why == Why::Unasked(Wish::Rebuild));
    match &facts.policy {
        Some(PolicyState::Damaged) => Some(format!("the log's policy is damaged: {SET_ANEW}")),
        Some(PolicyState::Set(rules)) if is_made_anew => {
            Some(format!("new metadata keeps the log's policy: {}", rules::line(rules)))
        }
        None if is_made_anew => {
            Some(format!("new metadata has no policy, and nothing tells whether the log had one: {SET_ANEW}"))
        }
        _ => None,
    }
}

const SET_ANEW: &str =
    "`mmlogctl policy LOG --set rotate-size=64M --set keep=10`, with the rules of before, sets it again";

/// What came of it.
struct Report {
    facts: Facts,
    /// Done, or with `--dry-run` to be done.
    steps: Vec<Step>,
    left: Vec<Left>,
    /// That were noted meanwhile.
    holes: Vec<Hole>,
    applied: bool,
}

/// Examines and repairs.
///
/// # Errors
/// When the log cannot be looked at, or a step failed; what was done until then stays done.
pub fn run(args: &RepairArgs, out: &mut Output) -> Result<Exit, Failure> {
    let mut repair =
        Repair { args, options: args.old_segments.options(&args.access, &args.log).wait(args.wait), out };
    let found = repair.examine()?;
    let plan = found.plan(&args.wishes());
    let facts = found.facts().clone();
    let open = repair.still_open(&facts).map(|found| format!("{}; {}", found.sentence, found.next_step));
    repair.say(|| {
        human::found(&args.log, &facts, open.or_else(|| human::saved(&args.log, &plan.steps)), &plan)
    })?;
    let (steps, left) = (plan.steps.clone(), plan.left.clone());
    let mut report = Report { facts, steps, left, holes: Vec::new(), applied: false };
    let ended = match args.dry_run {
        true => plan.ask().map(|()| plan).map_err(Failure::from),
        false => repair.apply(plan, &mut report),
    };
    if args.json {
        let object = json::object(&args.log, &report, ended.as_ref().err());
        repair.out.line(&json_line(&object.to_string()))?;
    }
    let plan = ended?;
    for left in plan.left.iter().filter(|left| left.why == Why::Unseen) {
        repair.out.notice(&format!("{}: {}", shown(&args.log), left.what));
    }
    Ok(match plan.class() {
        None => Exit::Done,
        Some(Class::Busy) => Exit::Busy,
        Some(Class::Refused) => Exit::Failed,
        Some(_) => Exit::Damaged,
    })
}

struct Repair<'a> {
    args: &'a RepairArgs,
    options: Options,
    out: &'a mut Output,
}

impl Repair<'_> {
    fn say(&mut self, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.args.json { Ok(()) } else { self.out.text(&text()) }
    }

    /// Who has a file open that is gone from its path: what is made anew ends that.
    fn still_open(&self, facts: &Facts) -> Option<Finding> {
        if facts.metadata == MetadataFact::Missing {
            return explain_removed(&self.args.log);
        }
        let looked = || Observer::open(&self.args.log, &self.options).ok()?.look().ok();
        let findings = facts.data.is_none().then(looked).flatten()?.findings;
        findings.into_iter().find(|found| found.id == FindingId::DataGone && found.pid.is_some())
    }

    fn examine(&self) -> Result<Examination, Error> {
        let found = repair::examine(&self.args.log, &self.options)?;
        // Only they depend on every byte, and it takes its time.
        let deeper = self.args.clear_panic || self.args.rebuild;
        if deeper { found.look_deeper() } else { Ok(found) }
    }

    /// Does what is planned, pass by pass, each said before it is done. Gives the plan that is left.
    fn apply(&mut self, mut plan: Plan, report: &mut Report) -> Result<Plan, Failure> {
        let begun = SystemTime::now();
        let (tried, mut done) = (!plan.steps.is_empty(), Vec::new());
        for _ in 0..PASSES {
            if plan.steps.is_empty() {
                break;
            }
            done.extend(plan.apply()?);
            let next = self.examine()?.plan(&self.args.wishes());
            self.say(|| human::next(&plan, &next))?;
            report.steps = [&done[..], &next.steps].concat();
            report.left.clone_from(&next.left);
            plan = next;
        }
        report.steps = done;
        report.applied = true;
        if tried {
            let now = Observer::open(&self.args.log, &self.options)?.look()?;
            report.holes = now.holes.iter().filter(|hole| hole.at >= Some(begun)).cloned().collect();
            self.say(|| human::done(report, &now))?;
        }
        Ok(plan)
    }
}

impl RepairArgs {
    fn wishes(&self) -> Vec<Wish> {
        let asked = [
            self.clear_panic,
            self.rebuild,
            self.recreate,
            self.upgrade,
            self.accept_loss,
            self.forget_missing,
        ];
        OPTIONS.iter().zip(asked).filter(|(_, asked)| *asked).map(|((_, wish), _)| *wish).collect()
    }
}

/// The option that asks for it.
fn option_of(wish: Wish) -> Option<&'static str> {
    OPTIONS.iter().find(|(_, other)| *other == wish).map(|(name, _)| *name)
}
