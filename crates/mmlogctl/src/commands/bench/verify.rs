//! Looks at every byte of a run's files: each message that was appended is there once, whole, and nothing else is.
//!
//! The files are runs of messages of one size, or lines. Messages too short for a number are counted: as many of each
//! kind as were appended.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::lines::Lines;
use super::message::{Form, Messages, Noise};

/// What may follow the messages of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rest {
    /// Not a byte.
    Nothing,
    /// Space that was allocated ahead, and reads as zeros.
    Zeros,
}

/// One file of a run: how many bytes of messages are due in it, and what may follow.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) due: u64,
    pub(super) rest: Rest,
}

/// What was found. All zero is what it should be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Verdict {
    /// Messages that are not there, or not whole.
    pub(super) lost: u64,
    /// Messages that are there once more than they were appended.
    pub(super) doubled: u64,
    /// Places of the size of a message, or the rest of one, that hold none.
    pub(super) torn: u64,
}

impl Verdict {
    pub(super) fn is_clean(self) -> bool {
        self == Self::default()
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            torn: self.torn + other.torn,
        }
    }
}

/// Compares the files with what the workers appended: worker `w` the messages 0 to `appended[w]`.
pub(super) fn verify(form: Form, files: &[Written], size: usize, appended: &[u64]) -> io::Result<Verdict> {
    match form {
        Form::Noise => Tally::<Noise>::new(size, appended).files(files),
        Form::Lines => Tally::<Lines>::new(size, appended).files(files),
    }
}

struct Tally<M> {
    size: usize,
    seen: Vec<Seen<M>>,
    torn: u64,
}

/// One worker's.
struct Seen<M> {
    messages: M,
    appended: u64,
    /// By number; of short messages by its low bytes.
    times: Vec<u32>,
}

impl<M: Messages> Tally<M> {
    fn new(size: usize, appended: &[u64]) -> Self {
        let of = |(worker, &appended): (usize, &u64)| Seen {
            messages: M::new(worker, size),
            appended,
            times: vec![0; usize::try_from(appended.min(M::distinct(size))).unwrap_or(usize::MAX)],
        };
        Self { size, seen: appended.iter().enumerate().map(of).collect(), torn: 0 }
    }

    fn files(mut self, files: &[Written]) -> io::Result<Verdict> {
        for written in files {
            self.file(File::open(&written.path)?, written)?;
        }
        Ok(self.verdict())
    }

    fn file(&mut self, mut file: impl Read, written: &Written) -> io::Result<()> {
        let mut block = vec![0; (1_usize << 20).div_ceil(self.size) * self.size];
        // What of the block is not looked at yet: the beginning of a message whose end the next block has.
        let (mut held, mut at) = (0, 0);
        loop {
            let len = held + fill(&mut file, &mut block[held..])?;
            let (is_last, mut rest) = (len < block.len(), &block[..len]);
            while !rest.is_empty() {
                let whole = M::first(rest, self.size);
                // What has no end is a message nowhere, if it is as long as a block.
                let cut = is_last || rest.len() == block.len();
                let Some(end) = whole.or(cut.then_some(rest.len())) else { break };
                let (message, behind) = rest.split_at(end);
                let slack = at >= written.due && written.rest == Rest::Zeros;
                if !(slack && message.iter().all(|&byte| byte == 0)) {
                    self.message(message);
                }
                at += message.len() as u64;
                rest = behind;
            }
            if is_last {
                return Ok(());
            }
            held = rest.len();
            block.copy_within(len - held.., 0);
        }
    }

    fn message(&mut self, found: &[u8]) {
        let times = M::claimed(found).and_then(|(worker, number)| {
            let seen = self.seen.get_mut(worker)?;
            if seen.messages.message(number) != found {
                return None;
            }
            seen.times.get_mut(usize::try_from(number).ok()?)
        });
        match times {
            Some(times) => *times += 1,
            None => self.torn += 1,
        }
    }

    fn verdict(&self) -> Verdict {
        let mut verdict = Verdict { torn: self.torn, ..Verdict::default() };
        for seen in &self.seen {
            let distinct = M::distinct(self.size);
            for (number, &times) in seen.times.iter().enumerate() {
                let due = (seen.appended - number as u64).div_ceil(distinct);
                verdict.lost += due.saturating_sub(times.into());
                verdict.doubled += u64::from(times).saturating_sub(due);
            }
        }
        verdict
    }
}

/// Reads until `block` is full or the file ends.
fn fill(file: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < block.len() {
        match file.read(&mut block[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const SIZES: [usize; 7] = [1, 2, 3, 8, 128, 4095, 9000];
    const APPENDED: [u64; 2] = [300, 299];

    /// The messages of both workers, in turns.
    fn sound(size: usize) -> Vec<Vec<u8>> {
        let mut workers = [Noise::new(0, size), Noise::new(1, size)];
        let order = (0..300).flat_map(|n| [(0, n), (1, n)]).take(599);
        order.map(|(worker, n)| workers[worker].message(n).to_vec()).collect()
    }

    fn judge(size: usize, bytes: &[u8], rest: Rest) -> Verdict {
        let mut tally = Tally::<Noise>::new(size, &APPENDED);
        let written = Written { path: PathBuf::new(), due: 599 * size as u64, rest };
        tally.file(bytes, &written).unwrap();
        tally.verdict()
    }

    fn judged(size: usize, messages: &[Vec<u8>]) -> Verdict {
        judge(size, &messages.concat(), Rest::Nothing)
    }

    #[test]
    fn what_is_whole_is_clean_in_any_order() {
        for size in SIZES {
            let mut messages = sound(size);
            assert!(judged(size, &messages).is_clean(), "{size}");
            messages.reverse();
            assert!(judged(size, &messages).is_clean(), "{size}");
        }
    }

    #[test]
    fn a_lost_message_is_noticed_at_any_size() {
        for size in SIZES {
            let mut messages = sound(size);
            messages.remove(100);
            assert_eq!(judged(size, &messages), Verdict { lost: 1, ..Verdict::default() }, "{size}");
            // Zeros in its place, as an append leaves them that gave up.
            messages.insert(100, vec![0; size]);
            assert_eq!(judged(size, &messages), Verdict { lost: 1, torn: 1, doubled: 0 }, "{size}");
        }
    }

    #[test]
    fn a_doubled_message_is_noticed_at_any_size() {
        for size in SIZES {
            let mut messages = sound(size);
            messages.push(messages[100].clone());
            assert_eq!(judged(size, &messages), Verdict { doubled: 1, ..Verdict::default() }, "{size}");
            // In the place of another worker's.
            messages.remove(101);
            assert_eq!(judged(size, &messages), Verdict { lost: 1, doubled: 1, torn: 0 }, "{size}");
        }
    }

    #[test]
    fn any_byte_of_a_message_that_is_another_is_noticed() {
        for size in [8, 128, 4095, 9000] {
            for at in [0, size / 2, size - 1] {
                let mut messages = sound(size);
                messages[100][at] ^= 0x80;
                let verdict = judged(size, &messages);
                assert_eq!((verdict.lost, verdict.torn), (1, 1), "byte {at} of {size}");
            }
        }
    }

    #[test]
    fn half_of_one_and_half_of_another_is_torn() {
        for size in [16, 128, 4095, 9000] {
            let mut messages = sound(size);
            // The same worker's next one.
            let other = messages[102].clone();
            messages[100][size / 2..].copy_from_slice(&other[size / 2..]);
            let verdict = judged(size, &messages);
            assert_eq!((verdict.lost, verdict.torn), (1, 1), "{size}");
        }
    }

    #[test]
    fn only_allocated_space_may_follow() {
        for size in SIZES {
            let sound = sound(size).concat();
            let zeros = [sound.as_slice(), &[0; 5000]].concat();
            assert!(judge(size, &zeros, Rest::Zeros).is_clean(), "{size}");
            assert!(judge(size, &zeros, Rest::Nothing).torn > 0, "{size}");
            let stray = [zeros.as_slice(), &[7]].concat();
            assert!(!judge(size, &stray, Rest::Zeros).is_clean(), "{size}");
        }
    }
}
