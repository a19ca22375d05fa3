//! Who a process is, for people: how it was called, whose it is, which unit or container it is of, and who writes into its
//! pipe.
//!
//! All of it is from `/proc`, as far as this user may see. Links there are read, never opened or followed: what they lead to
//! may hang, or be somebody's device. Whoever is known is not asked again, and who is at the other end of pipes is looked up
//! no more often than a small part of the time allows.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant, SystemTime};

use mmlog::{FeederStopped, OutputReader, Seat, Status, Thresholds, WriterStatus, not_run_for};

mod pipes;
mod trouble;

pub use pipes::Side;
use pipes::others_of;
pub use trouble::{LONG, Trouble, trouble, unread, waits};

use crate::text::clipped;

/// Of a command line, so many bytes.
const LONGEST: usize = 200;
/// So many processes are asked in one go; the others come next time.
const AT_ONCE: usize = 256;
/// Who is at the other end of a pipe may change: a shell becomes the program that it starts.
const AGAIN: Duration = Duration::from_secs(10);
/// Nobody may be there whom we can see; every descriptor of every process is looked at more seldom.
const THOROUGHLY: Duration = Duration::from_secs(60);
/// Looking for the other ends may take one part in so many of the time.
const SHARE: u32 = 200;
/// Of who feeds a writer, a sentence has room for so many columns.
const FEEDER: usize = 40;
/// A follower that has not read for so long may wait for whoever reads from it.
const LATE: Duration = Duration::from_secs(10);
/// However many there were.
const KEPT: usize = 16 << 10;

/// A process, and something that tells it from a later one with the same id.
pub type Key = (u32, Option<SystemTime>);

/// Who a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// How it was called, without the directory of its program; empty when that cannot be seen.
    pub command_line: String,
    /// Its user's name, or number.
    pub user: String,
    /// Its unit of systemd, or its container.
    pub unit: Option<String>,
    /// Who writes into its standard input, if that is a pipe; or who reads from its standard output, where that was asked.
    pub feeder: Option<Feeder>,
    /// The program that it has started to append what that writes (`exec`).
    pub program: Option<u32>,
}

/// Whoever is at the other end of a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feeder {
    /// Its id; of several, that of the one that began first.
    pub pid: u32,
    /// How it was called.
    pub command_line: String,
    /// Its unit of systemd, or its container.
    pub unit: Option<String>,
}

impl Who {
    /// Whom to call: who writes into the pipe comes first.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.feeder {
            Some(feeder) => format!("{} | {}", feeder.command_line, self.command_line),
            None => self.command_line.clone(),
        }
    }

    fn fed_by(&self) -> Option<u32> {
        self.program.or(self.feeder.as_ref().map(|feeder| feeder.pid))
    }

    /// The unit or container of whom to call, else the user.
    #[must_use]
    pub fn home(&self) -> &str {
        let feeder = self.feeder.as_ref().and_then(|feeder| feeder.unit.as_deref());
        feeder.or(self.unit.as_deref()).unwrap_or(&self.user)
    }
}

impl Feeder {
    /// In a sentence.
    fn words(&self) -> String {
        clipped(&self.command_line, FEEDER)
    }
}

/// A writer, as a process that can be asked from here.
#[must_use]
pub fn person(writer: &WriterStatus) -> Option<Key> {
    Some((writer.seat.pid?, writer.since))
}

/// Each that may wait for whoever reads from it, where it has done so for long, and where that one is to be named.
fn waiting(status: &mut Status) -> impl Iterator<Item = (Option<Key>, &mut Option<OutputReader>)> {
    let key = |seat: Seat, since, is_late: bool| Some((seat.pid.filter(|_| is_late)?, since));
    let writers = status.writers.iter_mut().filter_map(move |w| {
        let full = w.output_full.as_mut()?;
        Some((key(w.seat, w.since, full.lasts >= LONG), &mut full.reader))
    });
    let holds = status.holds.iter_mut().map(move |h| {
        let is_late = h.stands_for.is_some_and(|time| time >= LONG);
        (key(h.seat, h.since, is_late), &mut h.reader)
    });
    let followers = status.followers.iter_mut().map(move |f| {
        let is_late = f.stands_for.is_some_and(|time| time >= LATE);
        (key(f.seat, f.since, is_late), &mut f.reader)
    });
    writers.chain(holds).chain(followers)
}

/// Of one log, those that may wait for whoever reads from them.
pub fn late(status: &mut Status) -> impl Iterator<Item = Key> {
    waiting(status).filter_map(|(key, _)| key)
}

/// Has the findings name who reads from those that may wait for it.
pub fn name_readers<'a>(status: &mut Status, known: impl Fn(Key) -> Option<&'a Who>) {
    let mut is_news = false;
    for (key, named) in waiting(status) {
        let reader = key.and_then(&known).and_then(|who| who.feeder.as_ref());
        let reader = reader.map(|reader| OutputReader {
            pid: reader.pid,
            command_line: reader.words(),
            is_stopped: is_stopped(reader.pid),
        });
        is_news |= *named != reader;
        *named = reader;
    }
    if is_news {
        status.conclude(&Thresholds::default());
    }
}

/// Looks for those who feed the writers that the findings name, and those that are shown besides, of all these logs
/// together; the findings then name them.
pub fn introduce<'a>(looked: impl Iterator<Item = &'a mut Status>, shown: impl Fn(&Status) -> Vec<Key>) {
    let mut looked: Vec<(Vec<Key>, &mut Status)> = looked.map(|status| (shown(status), status)).collect();
    let wanted = looked.iter().flat_map(|(shown, status)| named(status).chain(shown.iter().copied()));
    let wanted: BTreeSet<Key> = wanted.collect();
    let mut people = People::default();
    people.news(wanted.into_iter());
    // Of very many writers, some.
    people.news(looked.iter().flat_map(|(_, status)| status.writers.iter().filter_map(person)));
    let mut readers = People::at(Side::Output);
    let late: BTreeSet<Key> = looked.iter_mut().flat_map(|(_, status)| late(status)).collect();
    readers.news(late.into_iter());
    for (shown, status) in &mut looked {
        name(status, shown, |key| people.who(key));
        name_readers(status, |key| readers.who(key));
    }
}

/// Has the findings, and those writers that are shown besides, name whoever is known to feed them.
pub fn name<'a>(status: &mut Status, shown: &[Key], known: impl Fn(Key) -> Option<&'a Who>) {
    let named: HashSet<Key> = named(status).collect();
    let mut is_news = false;
    for writer in &mut status.writers {
        let Some(key) = person(writer).filter(|key| named.contains(key) || shown.contains(key)) else {
            continue;
        };
        let who = known(key);
        let feeder = who.and_then(|who| who.feeder.as_ref()).map(Feeder::words);
        is_news |= writer.feeder != feeder && named.contains(&key);
        writer.feeder = feeder;
        let called = who.map(|who| &who.command_line).filter(|called| !called.is_empty());
        writer.command_line = writer.command_line.take().or_else(|| called.cloned());
    }
    for writer in status.writers.iter_mut().filter(|w| w.alive == Ok(true)) {
        let who = person(writer).and_then(&known);
        writer.feeder_stopped = who.and_then(Who::fed_by).filter(|pid| is_stopped(*pid)).map(|pid| {
            FeederStopped { pid, command_line: clipped(&command_line(pid), FEEDER), lasts: not_run_for(pid) }
        });
        is_news |= writer.feeder_stopped.is_some();
    }
    if is_news {
        status.conclude(&Thresholds::default());
    }
}

/// The writers that the findings name: `4312 (web)`.
pub fn named(status: &Status) -> impl Iterator<Item = Key> {
    let id = |text: &str| text.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok();
    let ids =
        |sentence: &str| sentence.match_indices(" (").filter_map(|(at, _)| id(&sentence[..at])).collect();
    let ids: HashSet<u32> = status
        .findings
        .iter()
        .map(|finding| finding.sentence.as_str())
        .flat_map(|s| -> Vec<u32> { ids(s) })
        .collect();
    let is_named =
        move |w: &&WriterStatus| ids.contains(&w.pid) || w.seat.pid.is_some_and(|pid| ids.contains(&pid));
    status.writers.iter().filter(is_named).filter_map(person)
}

/// All that are known.
#[derive(Debug, Default)]
pub struct People {
    side: Side,
    known: HashMap<Key, Known>,
    users: Option<HashMap<u32, String>>,
    pipes: Pipes,
}

#[derive(Debug)]
struct Known {
    who: Who,
    /// The pipe that its standard input, or output, is.
    pipe: Option<u64>,
}

/// When the other ends of pipes are looked up again.
#[derive(Debug, Default)]
struct Pipes {
    next: Option<Instant>,
    again: Option<Instant>,
    thoroughly: Option<Instant>,
}

impl People {
    /// Those who are at the other end of these pipes.
    #[must_use]
    pub fn at(side: Side) -> Self {
        Self { side, ..Self::default() }
    }

    /// Those of whom something is known now that was not at the last call.
    pub fn news(&mut self, wanted: impl Iterator<Item = Key>) -> Vec<(Key, Who)> {
        if self.known.len() > KEPT {
            self.known.clear();
        }
        let (mut news, mut pipes) = (HashSet::new(), HashMap::new());
        for key in wanted {
            if !self.known.contains_key(&key) {
                if news.len() == AT_ONCE {
                    continue;
                }
                let known = self.ask(key.0);
                self.known.insert(key, known);
                news.insert(key);
            }
            if let Some(pipe) = self.known.get(&key).and_then(|known| known.pipe) {
                pipes.entry(pipe).or_insert_with(Vec::new).push(key);
            }
        }
        let is_new = pipes.values().flatten().any(|key| news.contains(key));
        if self.pipes.are_due(!pipes.is_empty(), is_new) {
            self.feed(&pipes, is_new, &mut news);
        }
        let told = |key: Key| Some((key, self.known.get(&key)?.who.clone()));
        news.into_iter().filter_map(told).collect()
    }

    /// What is known of somebody since the last call of [`news`](Self::news).
    #[must_use]
    pub fn who(&self, key: Key) -> Option<&Who> {
        self.known.get(&key).map(|known| &known.who)
    }

    fn ask(&mut self, pid: u32) -> Known {
        let pipe = self.side.pipe_of(pid);
        let user =
            fs::metadata(format!("/proc/{pid}")).map_or_else(|_| String::new(), |m| self.user(m.uid()));
        let program = if self.side == Side::Input { program_of(pid) } else { None };
        let who = Who { command_line: command_line(pid), user, unit: unit(pid), feeder: None, program };
        Known { who, pipe }
    }

    fn user(&mut self, uid: u32) -> String {
        let users = self.users.get_or_insert_with(|| {
            let text = fs::read("/etc/passwd").unwrap_or_default();
            users(&String::from_utf8_lossy(&text))
        });
        users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    fn feed(&mut self, pipes: &HashMap<u64, Vec<Key>>, is_new: bool, news: &mut HashSet<Key>) {
        let begun = Instant::now();
        let thoroughly = is_new || self.pipes.thoroughly.is_none_or(|at| at <= begun);
        let (found, is_thorough) = others_of(self.side, pipes, thoroughly);
        for (pipe, keys) in pipes {
            let feeder = found.get(pipe).and_then(|pids| feeder(pids));
            for key in keys {
                let Some(known) = self.known.get_mut(key) else { continue };
                // Who is not seen in passing was seen by a thorough look.
                if known.who.feeder != feeder && (feeder.is_some() || is_thorough) {
                    known.who.feeder.clone_from(&feeder);
                    news.insert(*key);
                }
            }
        }
        self.pipes.looked(begun, is_thorough);
    }
}

impl Pipes {
    fn are_due(&self, are_wanted: bool, is_new: bool) -> bool {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        are_wanted && due(self.next) && (is_new || due(self.again))
    }

    fn looked(&mut self, begun: Instant, is_thorough: bool) {
        let (now, cost) = (Instant::now(), begun.elapsed().saturating_mul(SHARE).min(THOROUGHLY));
        self.next = Some(now + cost);
        self.again = Some(now + AGAIN);
        if is_thorough {
            self.thoroughly = Some(now + THOROUGHLY);
        }
    }
}

fn feeder(pids: &[u32]) -> Option<Feeder> {
    let pid = *pids.iter().min_by_key(|pid| began(**pid).unwrap_or(u64::MAX))?;
    let (command_line, unit) = (command_line(pid), unit(pid));
    (!command_line.is_empty()).then_some(Feeder { pid, command_line, unit })
}

/// How a process was called, without the directory of its program, arguments apart by spaces; its name where it has none.
#[must_use]
pub fn command_line(pid: u32) -> String {
    let mut bytes = Vec::new();
    let read = |file: fs::File, bytes: &mut Vec<u8>| file.take(LONGEST as u64).read_to_end(bytes);
    let _ = fs::File::open(format!("/proc/{pid}/cmdline")).and_then(|file| read(file, &mut bytes));
    let text = String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace(['\0', '\n', '\t'], " ");
    if text.is_empty() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        return name.trim_end().to_owned();
    }
    let program = text.split(' ').next().and_then(|path| path.rfind('/')).map_or(0, |slash| slash + 1);
    text[program..].to_owned()
}

/// The first of its children whose standard output, or error, is a pipe of which it has the other end.
fn program_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let mut children = children.split_ascii_whitespace().filter_map(|child| child.parse().ok()).peekable();
    children.peek()?;
    let its: HashSet<u64> = pipes::all_of(pid).collect();
    children.find(|child| Side::both_outputs_of(*child).any(|pipe| its.contains(&pipe)))
}

/// When it began, in the kernel's ticks.
pub(crate) fn began(pid: u32) -> Option<u64> {
    field(pid, 20)?.parse().ok()
}

/// Whether a signal has stopped it.
pub(crate) fn is_stopped(pid: u32) -> bool {
    state(pid).is_some_and(|state| state == "T")
}

/// As `/proc` has it in one letter.
pub(crate) fn state(pid: u32) -> Option<String> {
    field(pid, 1)
}

/// What the kernel says of a process, so many fields behind its command.
fn field(pid: u32, nth: usize) -> Option<String> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The command, in parentheses, may hold anything.
    let from = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = String::from_utf8_lossy(&stat[from..]);
    fields.split_ascii_whitespace().nth(nth).map(str::to_owned)
}

/// The unit of systemd, or the container, that a process is of.
#[must_use]
pub fn unit(pid: u32) -> Option<String> {
    unit_of(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

fn unit_of(text: &str) -> Option<String> {
    let paths = || text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let parts = || paths().flat_map(|path| path.rsplit('/'));
    if let Some(name) = parts().find_map(container) {
        return Some(format!("container {name}"));
    }
    let is_unit = |part: &&str| part.ends_with(".service") && !part.starts_with("user@");
    parts().find(is_unit).map(str::to_owned)
}

/// The id that container managers give their control groups, as short as they show it.
fn container(part: &str) -> Option<&str> {
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some(name);
    }
    let id = part.strip_suffix(".scope").unwrap_or(part);
    let id = id.rsplit('-').next().unwrap_or(id);
    (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| &id[..12])
}

fn users(passwd: &str) -> HashMap<u32, String> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    passwd.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_control_group_names_a_unit_or_a_container() {
        let id = "0123456789abcdef".repeat(4);
        for (text, unit) in [
            ("0::/system.slice/nginx.service\n".to_owned(), Some("nginx.service")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service\n".to_owned(),
                Some("web.service"),
            ),
            ("0::/user.slice/user-0.slice/session-3.scope\n".to_owned(), None),
            (format!("12:pids:/docker/{id}\n0::/\n"), Some("container 0123456789ab")),
            (format!("0::/system.slice/docker-{id}.scope\n"), Some("container 0123456789ab")),
            (
                format!("0::/kubepods.slice/pod1.slice/cri-containerd-{id}.scope\n"),
                Some("container 0123456789ab"),
            ),
            ("0::/lxc.payload.web/system.slice/nginx.service\n".to_owned(), Some("container web")),
            ("0::/\n".to_owned(), None),
            ("nonsense".to_owned(), None),
        ] {
            assert_eq!(unit_of(&text).as_deref(), unit, "{text}");
        }
    }

    #[test]
    fn users_have_names() {
        let users = users("root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/:/bin/false\n");
        assert_eq!((users.get(&33).map(String::as_str), users.len()), (Some("web"), 2));
    }

    #[test]
    fn who_writes_into_a_pipe_is_found_and_told_once() -> Result<(), Box<dyn std::error::Error>> {
        let (theirs, ours) = std::io::pipe()?;
        // Not this process, which has both ends.
        let mut writer = Command::new("sleep").arg("1000").stdout(ours).spawn()?;
        let mut reader = Command::new("cat").stdin(theirs).stdout(Stdio::null()).spawn()?;
        let key = (reader.id(), None);
        let mut people = People::default();
        let who = people.news(std::iter::once(key)).pop();
        let again = people.news(std::iter::once(key));
        writer.kill()?;
        writer.wait()?;
        reader.wait()?;
        let who = who.ok_or("nobody")?.1;
        assert_eq!(who.words(), "sleep 1000 | cat");
        assert_eq!(who.feeder.map(|feeder| feeder.pid), Some(writer.id()));
        assert_eq!(again, []);
        Ok(())
    }

    #[test]
    fn who_reads_from_a_pipe_is_found_in_the_same_way() -> Result<(), Box<dyn std::error::Error>> {
        let (theirs, ours) = std::io::pipe()?;
        let mut writer = Command::new("sleep").arg("1000").stdout(ours).spawn()?;
        let mut reader = Command::new("sleep").arg("1001").stdin(theirs).spawn()?;
        let who = People::at(Side::Output).news(std::iter::once((writer.id(), None))).pop();
        writer.kill()?;
        reader.kill()?;
        writer.wait()?;
        reader.wait()?;
        let found = who.and_then(|(_, who)| who.feeder).ok_or("nobody")?;
        assert_eq!((found.pid, &*found.command_line), (reader.id(), "sleep 1001"));
        Ok(())
    }

    #[test]
    fn nobody_is_nobody() {
        let mut people = People::default();
        assert_eq!(people.news(std::iter::once((u32::MAX, None))), [((u32::MAX, None), Who::default())]);
    }
}
