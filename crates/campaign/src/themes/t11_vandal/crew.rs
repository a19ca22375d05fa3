//! Who is at work while the vandal is: each says in one line how it ended.

use std::io::{PipeWriter, Write};
use std::path::Path;
use std::time::Duration;

use mmlog::{Log, Next, Options, Start};

use crate::oracle::{Acks, Scribe, Sightings, Watcher};
use crate::random::Random;

/// What all of an episode have in common.
pub(super) struct Stage<'a> {
    pub(super) log: &'a Path,
    pub(super) acks: &'a Acks,
    pub(super) sightings: &'a Sightings,
}

type Act = fn(&Stage<'_>, u32, &mut Random) -> anyhow::Result<()>;

pub(super) const CREW: &[(&str, Act)] = &[
    ("writer", writer),
    ("writer", writer),
    ("creator", creator),
    ("visitor", visitor),
    ("follower", follower),
];

/// Messages beyond this go by pwrite.
const LONGEST: u64 = 20_000;

pub(super) fn options() -> Options {
    Log::options().chunk_size(16384).ring_chunks(2).max_writers(16).wait(Duration::from_secs(10))
}

/// Where a writer at most can have come to that has seen `limit`: one growth, and everybody's message.
pub(super) const fn reach(limit: u64) -> u64 {
    limit + CREW.len() as u64 * LONGEST + 2 * 16384
}

fn len(random: &mut Random) -> usize {
    let most = *random.pick(&[30, 200, 2000, LONGEST]);
    1 + random.below(most) as usize
}

/// What an actor says when it ends: "fine", or the fault's name and its text.
pub(super) fn report(mut to: PipeWriter, name: &str, done: anyhow::Result<()>) -> anyhow::Result<()> {
    let line = match done {
        Ok(()) => format!("{name}\tfine\t\n"),
        Err(e) => {
            let debug =
                e.downcast_ref::<mmlog::Error>().map_or("Other".into(), |e| format!("{:?}", e.fault()));
            let fault: String = debug.chars().take_while(char::is_ascii_alphanumeric).collect();
            format!("{name}\t{fault}\t{e:#}\n")
        }
    };
    Ok(to.write_all(line.as_bytes())?)
}

fn append_until_closed(stage: &Stage<'_>, log: &Log, id: u32, random: &mut Random) -> anyhow::Result<()> {
    let mut writer = log.writer()?;
    let mut scribe = Scribe::new(stage.acks, id);
    while !stage.acks.is_closed() {
        scribe.append(&mut writer, len(random))?;
        if random.below(8) == 0 {
            // Two cores, six processes: the others get somewhere too.
            std::thread::yield_now();
        }
    }
    Ok(())
}

fn writer(stage: &Stage<'_>, id: u32, random: &mut Random) -> anyhow::Result<()> {
    let log = options().open(stage.log)?;
    append_until_closed(stage, &log, id, random)?;
    Ok(log.close()?)
}

/// Would make the log when it is not there.
fn creator(stage: &Stage<'_>, id: u32, random: &mut Random) -> anyhow::Result<()> {
    let log = options().open_or_create(stage.log)?;
    append_until_closed(stage, &log, id, random)?;
    Ok(log.close()?)
}

/// Opens, appends, trims, closes, and again.
fn visitor(stage: &Stage<'_>, id: u32, random: &mut Random) -> anyhow::Result<()> {
    let mut scribe = Scribe::new(stage.acks, id);
    while !stage.acks.is_closed() {
        let log = options().open(stage.log)?;
        let mut writer = log.writer()?;
        for _ in 0..random.below(10) {
            scribe.append(&mut writer, len(random))?;
        }
        drop(writer);
        if random.below(2) == 0 {
            log.trim(Duration::from_secs(10))?;
        }
        log.close()?;
        std::thread::yield_now();
    }
    Ok(())
}

fn follower(stage: &Stage<'_>, _: u32, random: &mut Random) -> anyhow::Result<()> {
    let log = options().open_reader(stage.log)?;
    let mut follower = log.follow(Start::Oldest)?;
    let mut watcher = Watcher::new(follower.position().get());
    let mut buf = vec![0; 1 << 16];
    loop {
        let closed = stage.acks.is_closed();
        let most = 1 + random.below(buf.len() as u64) as usize;
        let next = follower.next(&mut buf[..most])?;
        watcher.see(&next, &buf, stage.sightings)?;
        if next == Next::CaughtUp {
            if closed {
                return Ok(());
            }
            follower.wait(Duration::from_millis(5))?;
        }
    }
}
