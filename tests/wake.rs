//! Guards against what waking could cost: system calls on the fast path of an append, a dead or stopped follower that
//! makes writers wake it again and again, followers that poll.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::surgeon::{DATA_WAKE_WANT, Surgeon};
use common::{Actor, Scene, log_path, message, parameter, parse, say, scene};
use mmlog::{Log, Next, Start};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn role() {
    common::play(&[("appender", appender), ("follower", follower), ("watcher", watcher)]);
}

/// Messages that an appender begins with: they fill what a new file has allocated first.
const BEFORE: u64 = (64 << 10) / 100 + 1;

/// Appends as often as it hears, between two calls of getppid, which nothing else here makes.
fn appender() {
    let log = Log::options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    let message = [b'x'; 100];
    // The last of these allocates the chunk.
    for _ in 0..BEFORE {
        writer.append(&message).unwrap();
    }
    say("ready");
    while let Some(count) = common::heard() {
        let count: u32 = count.parse().unwrap();
        let _ = std::os::unix::process::parent_id();
        for _ in 0..count {
            writer.append(&message).unwrap();
        }
        let _ = std::os::unix::process::parent_id();
        say("done");
    }
}

/// Follows the log as far as it goes, and waits for more.
fn follower() {
    let log = Log::options().open_reader(log_path()).unwrap();
    let mut follower = log.follow(Start::Oldest).unwrap();
    let mut buf = vec![0; 1 << 16];
    say("following");
    loop {
        match follower.next(&mut buf).unwrap() {
            Next::CaughtUp => drop(follower.wait(Duration::from_secs(600)).unwrap()),
            Next::Bytes(range) => say(&range.end.to_string()),
            _ => {}
        }
    }
}

/// An appender whose system calls are recorded.
struct Traced {
    scene: Scene,
    actor: Actor,
}

impl Traced {
    /// `None` where strace does not work.
    fn new() -> Option<Self> {
        let scene = scene();
        let trace = scene.dir.path().join("trace").display().to_string();
        let strace = common::strace(&["-o", &trace])?;
        let mut actor = Actor::under(strace, "appender", &parameters(&scene.log));
        assert_eq!(actor.hear(), "ready");
        Some(Self { scene, actor })
    }

    fn append(&mut self, count: u32) {
        self.actor.tell(&count.to_string());
        assert_eq!(self.actor.hear(), "done");
    }

    /// For each of the appender's turns, the system calls in it, but for those about pages; how many those were.
    fn turns(self) -> (Vec<Vec<String>>, usize) {
        self.actor.finish();
        let trace = fs::read_to_string(self.scene.dir.path().join("trace")).unwrap();
        let appender =
            trace.lines().find(|l| l.contains("getppid(")).and_then(|l| l.split(' ').next()).unwrap();
        let calls = trace.lines().filter_map(|l| l.strip_prefix(appender)).map(|l| l.trim().to_string());
        let all: Vec<String> = calls.collect();
        let is_ready = |call: &&String| call.starts_with("madvise(") || call.contains("RUSAGE_THREAD");
        let turns = all.split(|l| l.starts_with("getppid(")).skip(1).step_by(2);
        let turns: Vec<(Vec<String>, usize)> = turns
            .map(|calls| {
                (
                    calls.iter().filter(|call| !is_ready(call)).cloned().collect(),
                    calls.iter().filter(is_ready).count(),
                )
            })
            .collect();
        let ready = turns.iter().map(|(_, ready)| ready).sum();
        (turns.into_iter().map(|(calls, _)| calls).collect(), ready)
    }
}

fn parameters(log: &Path) -> [(&'static str, String); 1] {
    [("LOG", log.display().to_string())]
}

#[test]
fn a_hundred_thousand_appends_into_a_mapped_chunk_make_no_system_call_but_for_their_pages() {
    let Some(mut traced) = Traced::new() else { return };
    traced.append(100_000);
    let cursor = Log::options().open_reader(&traced.scene.log).unwrap().cursor().unwrap().get();
    assert_eq!(cursor, (100_000 + BEFORE) * 100);
    let (turns, ready) = traced.turns();
    assert_eq!(turns, [Vec::<String>::new()]);
    // Small pages are made ready 60 KiB at a time, large ones looked for once or twice.
    assert!(ready <= 100_001 * 100 / (60 << 10) + 12, "{ready}");
}

/// A follower that sleeps, having asked to be woken, behind so many bytes.
fn sleeper(log: &Path, bytes: u64) -> Actor {
    let mut follower = Actor::new("follower", &parameters(log));
    assert_eq!(follower.hear(), "following");
    hears_until(&mut follower, bytes);
    let surgeon = Surgeon::new(log);
    common::until("the request", || (surgeon.get32(DATA_WAKE_WANT) == 1).then_some(()));
    follower
}

fn hears_until(follower: &mut Actor, position: u64) {
    let mut end = String::new();
    while end != position.to_string() {
        end = follower.hear();
        assert_ne!(end, "", "the follower ended");
    }
}

fn assert_one_wake(turns: &[Vec<String>]) {
    let calls = turns.concat();
    assert!(calls.len() <= 1, "{calls:#?}");
    assert!(calls.iter().all(|call| call.contains("FUTEX_WAKE")), "{calls:#?}");
}

#[test]
fn a_follower_killed_in_its_sleep_costs_at_most_one_wake() {
    let Some(mut traced) = Traced::new() else { return };
    sleeper(&traced.scene.log, BEFORE * 100).kill();
    traced.append(1);
    traced.append(1000);
    assert_one_wake(&traced.turns().0);
}

#[test]
fn a_stopped_follower_costs_at_most_one_wake() {
    let Some(mut traced) = Traced::new() else { return };
    let mut follower = sleeper(&traced.scene.log, BEFORE * 100);
    let pid = Pid::from_raw(follower.pid());
    kill(pid, Signal::SIGSTOP).unwrap();
    common::until("the stop", || (state(follower.pid()) == 'T').then_some(()));
    traced.append(1000);
    kill(pid, Signal::SIGCONT).unwrap();
    hears_until(&mut follower, (1000 + BEFORE) * 100);
    assert_one_wake(&traced.turns().0);
}

fn state(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}

/// What all threads of a process have had of a core.
fn core_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let ns = |task: fs::DirEntry| -> u64 {
        let schedstat = fs::read_to_string(task.path().join("schedstat")).unwrap();
        schedstat.split(' ').next().unwrap().parse().unwrap()
    };
    Duration::from_nanos(tasks.map(|task| ns(task.unwrap())).sum())
}

/// How often its threads have gone to sleep.
fn sleeps(pid: u32) -> u64 {
    let of = |task: fs::DirEntry| -> u64 {
        let status = fs::read_to_string(task.path().join("status")).unwrap();
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        count.trim().parse().unwrap()
    };
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| of(task.unwrap())).sum()
}

#[test]
fn idle_followers_sleep() {
    const WINDOW: Duration = Duration::from_secs(5);
    let scene = scene();
    let log = Log::options().open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(&[b'\n'; 100]).unwrap();
    let follower = sleeper(&scene.log, 100);
    let mut tail = Command::new(env!("CARGO_BIN_EXE_mmlogctl"))
        .args(["tail", "-f", "-n", "1"])
        .arg(&scene.log)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(tail.stdout.take().unwrap());
    assert_eq!(out.read_line(&mut String::new()).unwrap(), 1);
    let ids = [follower.child.id(), tail.id()];
    let look = || (Instant::now(), ids.map(|id| (core_time(id), sleeps(id))));
    let before = look();
    // This watches a span of time; nothing waits for it.
    std::thread::sleep(WINDOW);
    let after = look();
    tail.kill().unwrap();
    tail.wait().unwrap();
    let span = after.0 - before.0;
    for (who, (before, after)) in ["a follower", "tail -f"].into_iter().zip(before.1.into_iter().zip(after.1))
    {
        let (used, slept) = (after.0 - before.0, after.1 - before.1);
        println!("{who}: {used:?} of a core in {span:?}, {slept} sleeps");
        // What a sleep costs is the machine's affair. Meant are 4 a second; who polls has hundreds.
        let most = 20 * (span.as_secs() + 1);
        assert!(slept <= most, "{who} slept {slept} times in {span:?}, at most {most} are meant");
    }
}

/// How many messages a watcher waits for.
const WATCHED: u64 = 20;
const LEN: usize = 100;

/// Says which thread it is, then waits for each message and says where it ends. With `OWN`, another thread of it
/// appends them, one for each line that it is told.
fn watcher() {
    let own = parameter::<u64>("OWN") == 1;
    let log = if own { Log::options().open(log_path()) } else { Log::options().open_reader(log_path()) };
    let log = log.unwrap();
    let mut follower = log.follow(Start::Newest).unwrap();
    std::thread::scope(|scope| {
        if own {
            scope.spawn(|| {
                let mut writer = log.writer().unwrap();
                for number in 0..WATCHED {
                    assert!(common::listen());
                    writer.append(&message(0, number, LEN)).unwrap();
                }
            });
        }
        // `PID/task/TID`
        say(&fs::read_link("/proc/thread-self").unwrap().display().to_string());
        let mut buf = [0; LEN];
        for _ in 0..WATCHED {
            while follower.next(&mut buf).unwrap() == Next::CaughtUp {
                follower.wait(Duration::from_secs(600)).unwrap();
            }
            parse(&buf);
            say(&follower.position().to_string());
        }
    });
}

fn until_asleep(thread: &str) {
    let futex = nix::libc::SYS_futex.to_string();
    common::until("sleep", || {
        let call = fs::read_to_string(format!("/proc/{thread}/syscall")).unwrap();
        (call.split(' ').next() == Some(&futex)).then_some(())
    });
}

/// A watcher hears of every append, and its sleeps end by a wake-up, not by their limit: strace tells the two apart.
fn assert_woken(own: u64) {
    let scene = scene();
    let mut writer = Log::options().open_or_create(&scene.log).unwrap().writer().unwrap();
    let trace = scene.dir.path().join("trace");
    let Some(strace) = common::strace(&["-o", &trace.display().to_string()]) else { return };
    let parameters = [("LOG", scene.log.display().to_string()), ("OWN", own.to_string())];
    let mut watcher = Actor::under(strace, "watcher", &parameters);
    let thread = watcher.hear();
    for number in 0..WATCHED {
        until_asleep(&thread);
        if own == 1 {
            watcher.tell("append");
        } else {
            writer.append(&message(0, number, LEN)).unwrap();
        }
        assert_eq!(watcher.hear(), ((number + 1) * LEN as u64).to_string());
    }
    watcher.finish();
    let (trace, id) = (fs::read_to_string(trace).unwrap(), thread.rsplit('/').next().unwrap());
    let calls = trace.lines().filter(|line| line.split(' ').next() == Some(id));
    let woken = calls.filter(|call| call.contains("futex") && call.ends_with("= 0")).count() as u64;
    // A few appends may find it between two sleeps.
    assert!(woken > WATCHED / 2, "{woken} of {WATCHED} sleeps ended by a wake-up");
}

#[test]
fn a_sleeping_follower_is_woken_by_an_append_of_its_own_process() {
    assert_woken(1);
}

#[test]
fn a_sleeping_follower_is_woken_by_an_append_of_another_process() {
    assert_woken(0);
}

#[test]
fn a_follower_that_may_only_read_sees_appends_too() {
    let scene = scene();
    // Another user may come in, and may write neither file.
    fs::set_permissions(scene.dir.path(), Permissions::from_mode(0o755)).unwrap();
    let log = Log::options().mode(0o444).open_or_create(&scene.log).unwrap();
    let mut writer = log.writer().unwrap();
    let as_nobody = || {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        setpriv
    };
    let probe =
        as_nobody().args(["test", "-x"]).arg(std::env::current_exe().unwrap()).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("SKIPPED: cannot become another user, or that user cannot run this test");
        return;
    }
    let parameters = [("LOG", scene.log.display().to_string()), ("OWN", "0".into())];
    let mut watcher = Actor::under(as_nobody(), "watcher", &parameters);
    watcher.hear();
    for number in 0..WATCHED {
        writer.append(&message(0, number, LEN)).unwrap();
        assert_eq!(watcher.hear(), ((number + 1) * LEN as u64).to_string());
    }
    assert_eq!(Surgeon::new(&scene.log).get32(DATA_WAKE_WANT), 0, "it cannot ask to be woken");
    watcher.finish();
}
