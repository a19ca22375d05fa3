//! T6: each command, each system call that it makes: the call fails once, in each way that it can, or the process
//! is killed in it. The exit code is a documented one, standard error says one line, nobody hangs, and the log is
//! whole: a plain append works at once, and what was acknowledged is there, no more and no less.

mod commands;
mod judge;
mod scene;
mod trace;

use std::process::{Command as Process, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};

use self::commands::{COMMANDS, Command};
use self::judge::Verdict;
use self::scene::{End, Ran, Scene, Tool};
use self::trace::{Fault, Target};
use super::Theme;
use crate::children::WithoutForks;
use crate::run::{Place, Run};

pub(crate) const THEME: Theme = Theme { id: "T6", about: "error sweep", run };

/// At its CI size so many runs are made at most; they are drawn from all that there are.
const RUNS: u64 = 7000;

/// One run to make.
struct Case {
    command: &'static Command,
    target: Target,
}

/// What came of it.
struct Judged {
    spoiled: Option<String>,
    verdict: Verdict,
    command_line: String,
}

fn run(run: &mut Run) -> Result<()> {
    let tool = match tool() {
        Ok(tool) => tool,
        Err(why) => {
            run.skipped(format!("{why:#}"));
            return Ok(());
        }
    };
    let mut cases = Vec::new();
    for command in COMMANDS {
        let targets = traced(run, &tool, command)?;
        cases.extend(targets.into_iter().map(|target| Case { command, target }));
    }
    run.count("possible runs", cases.len() as u64);
    for i in (1..cases.len()).rev() {
        cases.swap(i, run.random.below(i as u64 + 1) as usize);
    }
    cases.truncate(run.size.of(RUNS) as usize);
    for (case, judged) in cases.iter().zip(sweep(run, &tool, &cases)?) {
        let what = match (&judged.spoiled, &case.target.fault) {
            (None, _) => "calls not reached",
            (Some(_), Fault::Kill) => "kills",
            (Some(_), _) => "errors",
        };
        run.count(what, 1);
        if let Err(why) = judged.verdict {
            let (name, Target { call, number, .. }) = (case.command.name, &case.target);
            let spoiled = judged.spoiled.unwrap_or_default();
            run.violation(format!("{name}, {call} {number}: {why}; {spoiled:?} in {}", judged.command_line));
        }
    }
    controls(run, &tool)
}

/// `mmlogctl` of the same build, and an `strace` that works here.
fn tool() -> Result<Tool> {
    let mmlogctl = crate::tool::mmlogctl()?;
    let strace = |arguments: &[&str]| {
        let mut strace = Process::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", "trace=getpid", "-e", "inject=getpid:error=EIO:when=99"]);
        strace.args(arguments).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).output()
    };
    let plain = strace(&[]).context("no strace")?;
    if !plain.status.success() {
        let said = String::from_utf8_lossy(&plain.stderr);
        bail!("strace cannot trace here: {}", said.lines().next().unwrap_or_default());
    }
    Ok(Tool { mmlogctl, by_seccomp: strace(&["--seccomp-bpf"])?.status.success() })
}

/// What can be spoiled in that command; it must work when nothing is.
fn traced(run: &mut Run, tool: &Tool, command: &'static Command) -> Result<Vec<Target>> {
    let mut scene = Scene::new(run.directory(Place::Memory)?, command.before)?;
    let (ran, threads) = scene.traced(tool, command)?;
    let untouched = Target { call: String::new(), of_log: false, number: 0, fault: Fault::Pretend(0) };
    if ran.end != End::Code(0) {
        run.violation(format!("{}: ended with {:?} untouched: {}", command.name, ran.end, ran.stderr));
    } else if let Err(why) = judge::judge(tool, &mut scene, command, &untouched, &ran) {
        run.violation(format!("{}, untouched: {why}", command.name));
    }
    Ok(trace::targets(&threads, scene.directory(), command.waits()).into_iter().collect())
}

/// Makes the runs, more at a time than there are processors: commands wait, too.
fn sweep(run: &Run, tool: &Tool, cases: &[Case]) -> Result<Vec<Judged>> {
    let next = AtomicUsize::new(0);
    let judged: Mutex<Vec<Option<Result<Judged>>>> = Mutex::new(cases.iter().map(|_| None).collect());
    let work = || {
        while let Some(i) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < cases.len()) {
            let Case { command, target } = &cases[i];
            let _alone = WithoutForks::begin();
            let done = try_once(run, tool, command, target, |_, _| Ok(()));
            if let Ok(mut judged) = judged.lock() {
                judged[i] = Some(done);
            }
        }
    };
    std::thread::scope(|scope| {
        (0..std::thread::available_parallelism().map_or(1, usize::from))
            .for_each(|_| drop(scope.spawn(work)));
    });
    let judged = judged.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    judged.into_iter().flatten().collect()
}

/// One run. `sabotage` has the log between the command and the judge: for controls.
fn try_once(
    run: &Run,
    tool: &Tool,
    command: &Command,
    target: &Target,
    sabotage: impl FnOnce(&mut Scene, &Ran) -> Result<()>,
) -> Result<Judged> {
    let mut scene = Scene::new(run.directory(Place::Memory)?, command.before)?;
    let ran = scene.spoiled(tool, command, target)?;
    sabotage(&mut scene, &ran)?;
    let verdict = judge::judge(tool, &mut scene, command, target, &ran);
    Ok(Judged { spoiled: ran.spoiled, verdict, command_line: ran.command_line })
}

/// The judge must notice calls that say they worked and did nothing, and a byte that is cut off afterwards.
fn controls(run: &mut Run, tool: &Tool) -> Result<()> {
    let pretended = |call: &str, name: &str, value: i64| -> Result<bool> {
        let command = COMMANDS.iter().find(|c| c.name == name).context("no such command")?;
        let target = Target { call: call.into(), of_log: true, number: 1, fault: Fault::Pretend(value) };
        let numbers = (1..=4).map(|number| Target { number, ..target.clone() });
        let judged = numbers.map(|target| try_once(run, tool, command, &target, |_, _| Ok(())));
        let judged = judged.collect::<Result<Vec<_>>>()?;
        Ok(judged.iter().any(|judged| judged.spoiled.is_some() && judged.verdict.is_err()))
    };
    let caught = [
        ("pwrite that does nothing", pretended("pwrite64", "append, pwrite", 30_000)?),
        ("fallocate that does nothing", pretended("fallocate", "append, mapped", 0)?),
        ("ftruncate that does nothing", pretended("ftruncate", "trim", 0)?),
        ("unlink that does nothing", pretended("unlink", "rm", 0)? || pretended("unlinkat", "rm", 0)?),
    ];
    let nothing = Target { call: "sync".into(), of_log: false, number: 1, fault: Fault::Errno("EIO") };
    let cut = |scene: &mut Scene, _: &Ran| {
        let file = std::fs::File::options().write(true).open(&scene.log)?;
        Ok(file.set_len(file.metadata()?.len() - 1)?)
    };
    let command = COMMANDS.iter().find(|c| c.name == "cat").context("no such command")?;
    let cut = try_once(run, tool, command, &nothing, cut)?.verdict.is_err();
    caught
        .into_iter()
        .chain([("a byte cut off afterwards", cut)])
        .for_each(|(name, caught)| run.control(name, caught));
    Ok(())
}
