//! Who a process is, for people: how it was called, whose it is, which unit or container it is of, and who writes into its
//! pipe.
//!
//! All of it is from `/proc`, as far as this user may see. Links there are read, never opened or followed: what they lead to
//! may hang, or be somebody's device. Whoever is known is not asked again, and who is at the other end of pipes is looked up
//! no more often than a small part of the time allows.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant, SystemTime};

use mmlog::{
    FeederStopped, OutputReader, Seat, Status, Thresholds, WriterStatus, kept_by_a_full_pipe, not_run_for,
};

mod pipes;
mod process;
mod trouble;

pub use pipes::Side;
use pipes::{Behind, others_of};
pub(crate) use process::{began, is_stopped, state};
pub use process::{command_line, unit};
pub use trouble::{LONG, Trouble, trouble, unread, waits};

use crate::text::clipped;

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
    /// All that write into what it appends, or read what it prints, also through others: the nearest first.
    pub line: Vec<Behind>,
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

    /// Of those that write into what it appends, one that is stopped, and therefore what comes from it.
    fn feeder_stopped(&self) -> Option<u32> {
        let waits = |behind: &&Behind| behind.through.is_none_or(process::waits_for_input);
        self.line.iter().filter(|behind| is_stopped(behind.pid)).find(waits).map(|behind| behind.pid)
    }

    /// For how long those that write into its pipe have waited to do so.
    fn feeder_waits(&self) -> Option<Duration> {
        let nearest = self.line.iter().filter(|behind| behind.through.is_none());
        nearest.filter_map(|behind| kept_by_a_full_pipe(behind.pid)).max()
    }

    /// Of those that read what it prints, one that is stopped, else the one that reads from it.
    fn reader(&self) -> Option<OutputReader> {
        let of = |pid, command_line: String, is_stopped| OutputReader { pid, command_line, is_stopped };
        let stopped = self.line.iter().find(|behind| is_stopped(behind.pid));
        let stopped = stopped.map(|Behind { pid, .. }| of(*pid, called(*pid), true));
        stopped.or_else(|| self.feeder.as_ref().map(|reader| of(reader.pid, reader.words(), false)))
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

/// As a sentence names somebody who feeds a writer.
fn called(pid: u32) -> String {
    clipped(&command_line(pid), FEEDER)
}

/// A writer, as a process that can be asked from here.
#[must_use]
pub fn person(writer: &WriterStatus) -> Option<Key> {
    Some((writer.seat.pid?, writer.since))
}

/// Each that may wait for whoever reads from it, where it has done so for long, and where that one is to be named. A follower has read
/// ahead, so that it seems to wait for nobody.
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
    let followers = status.followers.iter_mut().map(move |f| (key(f.seat, f.since, true), &mut f.reader));
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
        let reader = key.and_then(&known).and_then(Who::reader);
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
        let stopped = |pid| FeederStopped { pid, command_line: called(pid), lasts: not_run_for(pid) };
        writer.feeder_stopped = who.and_then(Who::feeder_stopped).map(stopped);
        let stands = trouble::stands(writer) || writer.output_full.is_some();
        writer.feeder_waits = who.filter(|_| stands).and_then(Who::feeder_waits);
        is_news |= writer.feeder_stopped.is_some() || writer.feeder_waits.is_some();
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
    /// The pipes that what it appends, or prints, goes through.
    through: Vec<u64>,
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
            let Some(known) = self.known.get(&key) else { continue };
            for pipe in
                known.pipe.into_iter().chain(known.through.iter().copied().filter(|p| known.pipe != Some(*p)))
            {
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
        let taken = if self.side == Side::Input { process::taken_from_children(pid) } else { Vec::new() };
        let through = if taken.is_empty() { pipe.into_iter().collect() } else { taken };
        let who = Who { command_line: command_line(pid), user, unit: unit(pid), ..Who::default() };
        Known { who, pipe, through }
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
        let ends = others_of(self.side, pipes, thoroughly);
        let is_thorough = ends.are_all;
        for key in pipes.values().flatten() {
            let Some(known) = self.known.get_mut(key) else { continue };
            let feeder = known.pipe.and_then(|pipe| feeder(ends.at(pipe, key.0)));
            let line = ends.line(&known.through, key.0);
            // Who is not seen in passing was seen by a thorough look.
            if known.who.feeder != feeder && (feeder.is_some() || is_thorough) {
                known.who.feeder = feeder;
                news.insert(*key);
            }
            if known.who.line != line && (!line.is_empty() || is_thorough) {
                known.who.line = line;
                news.insert(*key);
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

fn feeder(pids: impl Iterator<Item = u32>) -> Option<Feeder> {
    let pid = pids.min_by_key(|pid| began(*pid).unwrap_or(u64::MAX))?;
    let (command_line, unit) = (command_line(pid), unit(pid));
    (!command_line.is_empty()).then_some(Feeder { pid, command_line, unit })
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
