//! A hostile owner who has his metadata name the directory of a [neighbour](crate::neighbour).

use std::os::unix::fs::symlink;

use anyhow::Result;

use crate::neighbour::{Pair, own};
use crate::random::Random;
use crate::run::Run;

/// Pairs of logs at the CI size.
const PAIRS: u64 = 24;

pub(super) fn run(run: &mut Run) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        run.skipped("a hostile owner beside a neighbour: needs root");
        return Ok(());
    }
    let mut random = Random::new(run.seed ^ 0x6e65_6967);
    for _ in 0..run.size.of(PAIRS) {
        for wrong in pair(run, &mut random, false)? {
            run.violation(wrong);
        }
    }
    // Where the command line says that any path is to be taken, the neighbour loses: that is seen.
    let caught = !pair(run, &mut random, true)?.is_empty();
    run.control("a neighbour's segments taken", caught);
    Ok(())
}

fn pair(run: &mut Run, random: &mut Random, any_path: bool) -> Result<Vec<String>> {
    let pair = Pair::new(run, random)?;
    symlink(&pair.victim, pair.mallory.join("link"))?;
    symlink(pair.above(), pair.mallory.join("up"))?;
    own(&pair.mallory)?;
    let absolute = pair.victim.to_string_lossy().into_owned();
    let names = [&absolute, "../victim", "./../victim", "up/victim", "link/.", "../mallory/../victim"];
    let name = if any_path { names[1] } else { random.pick(&names) };
    let more: &[&str] = if any_path { &["--trust-path"] } else { &[] };
    pair.suffer(run, random, &format!("{name:?}"), more, |pair| pair.name_directory(name))
}
