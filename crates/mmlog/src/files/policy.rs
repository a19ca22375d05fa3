//! The policy in the metadata: what it says, setting it, and keeping it when the metadata is made anew.

use std::fs::File;

use super::meta::{self, Meta};
use crate::error::Fault;
use crate::layout::{FEATURE_POLICY, Header, Identity, MAGIC};
use crate::metadata::policy::{Said, Words, rules_of};
use crate::sync::Ordering;
use crate::sys::map::{Protection, SharedMap};

/// What each rule of the words has to be.
pub(crate) fn check(words: &Words) -> Result<(), Fault> {
    match rules_of(words).find(|(rule, value)| !rule.allows(*value)) {
        Some((rule, value)) => {
            Err(Fault::Policy { rule: rule.name, value: rule.refused(value), range: rule.range() })
        }
        None => Ok(()),
    }
}

impl Meta {
    /// The most bytes that growth may give a segment, if the policy says so.
    pub(crate) fn longest_segment(&self) -> Option<u64> {
        self.header().policy.longest_segment(meta::page_size())
    }

    /// How much of a segment is mapped, and allocated, at a time: a chunk, or all of a shorter one.
    pub(crate) fn chunk_of_segment(&self) -> u64 {
        let chunk = self.geometry().chunk_size;
        self.longest_segment().map_or(chunk, |most| most.min(chunk))
    }

    /// The policy that holds.
    pub(crate) fn policy(&self) -> Said {
        policy_of(self.header())
    }

    /// Sets it; the caller has the maintenance byte, or makes the metadata, and has checked the words.
    pub(crate) fn set_policy(&self, words: &Words) {
        let Header { policies, policy, identity, .. } = self.header();
        identity.features_optional.fetch_or(FEATURE_POLICY, Ordering::Relaxed);
        policies.store(words, uuid_of(self.header()));
        policy.tell_growth(words);
    }

    /// Makes growth's word what the policy says: whoever set it may have died before. The caller has the maintenance byte.
    pub(crate) fn mend_growth(&self) {
        match self.policy() {
            Said::Whole(words) => self.header().policy.tell_growth(&words),
            Said::Nothing => self.header().policy.tell_growth(&[0; 15]),
            Said::Torn => {}
        }
    }

    /// Puts what metadata of before said in its place.
    pub(crate) fn keep_policy(&self, said: Said) {
        match said {
            Said::Nothing => {}
            Said::Whole(words) => self.set_policy(&words),
            Said::Torn => {
                let Header { policies, identity, .. } = self.header();
                identity.features_optional.fetch_or(FEATURE_POLICY, Ordering::Relaxed);
                policies.store_damaged();
            }
        }
    }
}

/// What the metadata that is made anew says of the policy, as far as it is a log's.
pub(crate) fn said(metadata: &File) -> Result<Said, Fault> {
    let memory = meta::in_memory(metadata)?;
    let len = memory.metadata().map_err(Fault::io("stat the metadata file"))?.len();
    if len < size_of::<Header>() as u64 {
        return Ok(Said::Nothing);
    }
    let map = SharedMap::new(&memory, size_of::<Header>(), Protection::Read)
        .map_err(Fault::io("map the metadata file"))?;
    let Some(header) = map.view::<Header>(0, 1) else { return Ok(Said::Nothing) };
    let Identity { magic, features_optional, .. } = &header[0].identity;
    let is_log = magic.load(Ordering::Relaxed) == u64::from_ne_bytes(MAGIC)
        && features_optional.load(Ordering::Relaxed) & FEATURE_POLICY != 0;
    Ok(match policy_of(&header[0]) {
        Said::Torn if !is_log => Said::Nothing,
        said => said,
    })
}

fn policy_of(header: &Header) -> Said {
    header.policies.load(uuid_of(header))
}

fn uuid_of(header: &Header) -> [u64; 2] {
    [0, 1].map(|i| header.identity.uuid[i].load(Ordering::Relaxed))
}
