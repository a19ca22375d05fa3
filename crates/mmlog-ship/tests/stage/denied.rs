//! Who is not let in, and servers that nobody vouches for.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::until;
use crate::served::{certificate, expired};
use crate::stage::{Ended, Shipper, Stage};

/// That one look ends with 1, and shipping what is there, too; one that follows says at once beside the log that a person is needed, and
/// is there yet. `command` is told what else to say.
pub(crate) fn is_denied(stage: &Stage, command: impl Fn(&[&str]) -> Command, why: &str) {
    // A checkpoint is of one place.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("denied-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let named = format!("--name={name}");
    for more in [&["--check"][..], &["--until-now", "--give-up=0s"]] {
        Ended::of(&command(&[more, &[&named]].concat()).output().unwrap()).is(1, why);
    }
    let mut follower = Shipper::of(&mut command(&[&named]));
    let file = stage.checkpoint_of(&format!("{name}.state"));
    let says = || std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\nstate denied\n"));
    until("that is said beside the log", || (!follower.is_running() || says()).then_some(()));
    follower.end().is(0, why);
}

/// A certificate and its key, each.
pub(crate) struct Certificates {
    pub(crate) ours: [PathBuf; 2],
    others: [PathBuf; 2],
    /// Of a server that nobody has to believe any more, whoever vouched for it.
    pub(crate) expired: [PathBuf; 2],
}

impl Certificates {
    pub(crate) fn make(dir: &Path) -> Option<Self> {
        let ours = certificate(dir, "ours")?;
        Some(Certificates { ours, others: certificate(dir, "others")?, expired: expired(dir, "expired") })
    }

    /// What has the certificate of ours taken.
    pub(crate) fn ca(&self) -> String {
        ca(&self.ours)
    }

    /// That nothing is sent to them where nobody vouches for them, another one does, or it was for a time that is over.
    pub(crate) fn are_asked_for(
        &self,
        stage: &Stage,
        [ours, expired]: [&str; 2],
        command: impl Fn(&str, &[&str]) -> Command,
    ) {
        is_denied(stage, |more| command(ours, more), "certificate");
        let others = ca(&self.others);
        is_denied(stage, |more| command(ours, &[more, &[&others]].concat()), "certificate");
        let known = ca(&self.expired);
        is_denied(stage, |more| command(expired, &[more, &[&known]].concat()), "certificate");
    }
}

fn ca([certificate, _]: &[PathBuf; 2]) -> String {
    format!("--tls-ca={}", certificate.display())
}
