//! The policy of rotation and retention that a log carries: what it says, and changing it for every process.

use std::time::Duration;

use crate::crash::crash_point;
use crate::deadline::Deadline;
use crate::error::Fault;
use crate::files::Files;
use crate::files::meta::page_size;
use crate::files::owner::Operation;
use crate::files::policy::check;
use crate::metadata::policy::{FIRST_RULE, SET_NS, SHARE, Said, Words};
use crate::names::Compression;
use crate::prune::{Free, Retention};
use crate::rotate::Rotation;
use crate::sys::process;
use crate::trim::trim;

/// How a log bounds itself. A rule that is `None` is none; without any, there is no policy.
///
/// Whoever appends carries it out: what does not fit a segment begins the next one, and final segments go that no rule
/// keeps. Of several rules that keep segments the one that keeps least holds. No append waits for that longer than `gate_ms` at a
/// try, except for a process that is stopped in the few hundred microseconds in which it has the gate closed: that one
/// holds all appends up until it goes on, and their errors and `status` name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// No segment is longer, but for what was in flight when it filled, or one message that is longer itself: 64 KiB to
    /// 2 EiB, rounded down to whole pages.
    pub rotate_size: Option<u64>,
    /// The first append after that age begins a new segment: 1 s to 100 years.
    pub rotate_age: Option<Duration>,
    /// The newest so many final segments are kept: 0 to 1000000000.
    pub keep: Option<u64>,
    /// As many of the newest final segments as fit these bytes of disk: 0 to 2 EiB.
    pub keep_bytes: Option<u64>,
    /// Final segments that became so less than that long ago: 1 s to 100 years.
    pub keep_age: Option<Duration>,
    /// While the file system has less, the oldest final segments go, also ones within the other limits: 1 B to 2 EiB, or 1
    /// to 99 per cent.
    pub keep_free: Option<Free>,
    /// A hold that lags by more bytes keeps nothing; its consumer is told what it missed: 1 B to 2 EiB.
    pub hold_max: Option<u64>,
    /// How tools compress final segments; the library does not.
    pub compress: Option<Compression>,
}

/// What a log says of its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyState {
    /// It has none.
    Unset,
    /// It has this.
    Set(Policy),
    /// It had one, and what is there now is none: nothing is deleted by it. Whoever sets one ends that.
    Damaged,
}

impl PolicyState {
    pub(crate) fn of(said: Said) -> Self {
        match said {
            Said::Nothing => Self::Unset,
            Said::Whole(words) => Self::Set(Policy::of(&words)),
            Said::Torn => Self::Damaged,
        }
    }

    /// The rules that hold: none of a damaged policy.
    pub fn rules(&self) -> Policy {
        match self {
            Self::Set(policy) => policy.clone(),
            Self::Unset | Self::Damaged => Policy::default(),
        }
    }
}

impl Rotation {
    /// When a policy begins a new segment; `None` where it says nothing of that.
    ///
    /// By size it is due once the segment is longer than it may be: whoever appends a message that does not fit sees to it
    /// before.
    pub fn of(policy: &Policy) -> Option<Self> {
        let size = policy.rotate_size.map(|bytes| Self::default().if_size(bytes.saturating_add(1)));
        match policy.rotate_age {
            Some(age) => Some(size.unwrap_or_default().if_age(age)),
            None => size,
        }
    }
}

impl Retention {
    /// What a policy keeps, as it says.
    ///
    /// ```
    /// # fn main() -> mmlog::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app.log");
    /// use mmlog::{Log, Policy, Retention};
    /// let log = Log::options().policy(&Policy { keep: Some(3), ..Policy::default() }).open_or_create(&path)?;
    /// assert!(log.prune(&Retention::of(&log.policy().rules()))?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn of(policy: &Policy) -> Self {
        let Policy { keep, keep_bytes: bytes, keep_age: age, keep_free: free, hold_max, .. } = *policy;
        Self { keep, bytes, age, free, hold_max, by_policy: true, ..Self::default() }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Policy {
    /// Whether each rule has a value that it may have.
    ///
    /// # Errors
    /// [`Fault::Policy`], of the first that has not.
    pub fn check(&self) -> Result<(), Fault> {
        // As typed: it is in range before it is rounded to pages.
        let mut words = self.words();
        words[FIRST_RULE] = self.rotate_size.unwrap_or(0);
        check(&words)
    }

    /// As the metadata has it, whether it is in range or not.
    pub(crate) fn words(&self) -> Words {
        let page = page_size();
        let rules = [
            self.rotate_size.map(|bytes| bytes - bytes % page),
            self.rotate_age.map(nanoseconds),
            self.keep,
            self.keep_bytes,
            self.keep_age.map(nanoseconds),
            self.keep_free.map(|free| match free {
                Free::Bytes(bytes) => bytes.min(SHARE - 1),
                Free::Percent(share) => SHARE | u64::from(share),
            }),
            self.hold_max,
            self.compress.map(|codec| match codec {
                Compression::Zstd => 1,
                Compression::Gzip => 2,
            }),
        ];
        let mut words = [0; 15];
        for (index, rule) in rules.into_iter().enumerate() {
            words[0] |= u64::from(rule.is_some()) << index;
            words[FIRST_RULE + index] = rule.unwrap_or(0);
        }
        words
    }

    /// Words that are in range.
    fn of(words: &Words) -> Self {
        let rule = |index: usize| (words[0] >> index & 1 == 1).then_some(words[FIRST_RULE + index]);
        Self {
            rotate_size: rule(0),
            rotate_age: rule(1).map(Duration::from_nanos),
            keep: rule(2),
            keep_bytes: rule(3),
            keep_age: rule(4).map(Duration::from_nanos),
            keep_free: rule(5).map(|word| match word & SHARE {
                0 => Free::Bytes(word),
                _ => Free::Percent((word & !SHARE) as u8),
            }),
            hold_max: rule(6),
            compress: rule(7).map(|word| if word == 1 { Compression::Zstd } else { Compression::Gzip }),
        }
    }
}

/// The log's own policy, where it is not the one that this handle would have given it.
pub(crate) fn kept(files: &Files) -> Option<PolicyState> {
    let wanted = Policy::of(&files.config.policy?);
    let has = PolicyState::of(files.meta.policy());
    (has.rules() != wanted || has == PolicyState::Damaged).then_some(has)
}

/// Changes it for every process, durably.
pub(crate) fn set(
    files: &Files,
    change: impl FnOnce(&mut Policy),
    deadline: &Deadline,
) -> Result<Policy, Fault> {
    files.writable()?;
    files.poisoned()?;
    let maintenance = files.maintenance(Operation::Policy, deadline)?;
    let mut policy = PolicyState::of(files.meta.policy()).rules();
    files.intact()?;
    change(&mut policy);
    policy.check()?;
    let mut words = policy.words();
    words[SET_NS] = process::now_ns();
    files.meta.set_policy(&words);
    crash_point("policy:set");
    files.sync_metadata().map_err(Fault::io("make the policy durable"))?;
    drop(maintenance);
    // Appends up to a limit beyond the new size would never ask. Where something holds this up, the next look at the time does it.
    let allocated = files.control().limit().saturating_sub(files.control().base());
    if files.meta.longest_segment().is_some_and(|most| allocated > most) {
        let _ = trim(files, &deadline.within(files.gate_time()));
    }
    Ok(Policy::of(&words))
}
