//! Breadth first over all states of a small world, each looked at once.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// No world has as many states.
const MOST: usize = 3_000_000;

/// A step: what it is called, whether it happens by itself, and where it leads.
pub(crate) type Step<W> = (&'static str, bool, W);

pub(crate) trait World: Clone + Hash {
    type Setting: Copy;

    /// Everything that may happen next.
    fn steps(&self, setting: Self::Setting, found: &mut Vec<Step<Self>>);

    /// What is wrong where nothing more happens by itself.
    fn settled(&self, setting: Self::Setting) -> Option<&'static str>;

    /// What is wrong.
    fn wrong(&self) -> Option<&'static str>;
}

pub(crate) struct Outcome {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// What is wrong, and the steps that lead there.
    pub(crate) wrong: Option<(&'static str, Vec<&'static str>)>,
}

fn trace(ways: &[(usize, &'static str)], mut at: usize) -> Vec<&'static str> {
    let mut names = vec![];
    while at != 0 {
        names.push(ways[at].1);
        at = ways[at].0;
    }
    names.reverse();
    names
}

pub(crate) fn search<W: World>(setting: W::Setting, start: W) -> Outcome {
    let hash = |world: &W| {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        hasher.finish()
    };
    let mut seen = HashSet::from([hash(&start)]);
    let mut ways: Vec<(usize, &'static str)> = vec![(0, "")];
    let mut waiting = VecDeque::from([(0, start)]);
    let (mut steps, mut found) = (0, vec![]);
    while let Some((number, world)) = waiting.pop_front() {
        assert!(ways.len() < MOST, "a world of more than {MOST} states");
        world.steps(setting, &mut found);
        let is_still = !found.iter().any(|(_, by_itself, _)| *by_itself);
        let settled = world.settled(setting).filter(|_| is_still);
        if let Some(wrong) = settled {
            return Outcome { states: ways.len(), steps, wrong: Some((wrong, trace(&ways, number))) };
        }
        for (name, _, next) in found.drain(..) {
            steps += 1;
            if let Some(wrong) = next.wrong() {
                let mut names = trace(&ways, number);
                names.push(name);
                return Outcome { states: ways.len(), steps, wrong: Some((wrong, names)) };
            }
            if seen.insert(hash(&next)) {
                waiting.push_back((ways.len(), next));
                ways.push((number, name));
            }
        }
    }
    Outcome { states: ways.len(), steps, wrong: None }
}
