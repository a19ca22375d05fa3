//! What was, or has not been for long.

use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime};

use mmlog::{FindingId, Medium};

use super::super::stage::Stop;
use super::{Cure, Incident};

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::Idle.name(),
        finding: FindingId::Idle,
        about: "Nothing was appended for two days.",
        needs: "a scratch directory on a disk: in memory nobody knows when a file was last written",
        stage: |stage| {
            stage.log(&[], b"a line of the day before yesterday\n")?;
            if stage.look()?.file.medium == Medium::Memory {
                let why =
                    "the scratch directory lies in memory, where nobody knows when a file was written; --dir";
                return Err(Stop::Skipped(why.to_owned()));
            }
            let then = SystemTime::now() - Duration::from_secs(2 * 24 * 3600);
            File::options().write(true).open(&stage.log)?.set_times(FileTimes::new().set_modified(then))?;
            Ok(None)
        },
        command: "mmlogctl tail -n 3 {log}",
        cure: Cure::PeopleThenCommand("its program goes on", |stage| stage.append(b"it goes on\n")),
    },
    Incident {
        name: FindingId::Recovered.name(),
        finding: FindingId::Recovered,
        about: "After a power cut the log went on behind what was on the disk.",
        needs: "",
        stage: |stage| {
            stage.log(&[], b"")?;
            let durable = b"durable\n";
            let sync = stage.tool("append").args(["--sync", "always"]).arg(&stage.log);
            sync.finish(durable)?.or_fail("append --sync")?;
            let lost = b"not durable\n".repeat(1000);
            stage.append(&lost)?;
            // What did not reach the disk reads as zeros.
            stage.poke(&stage.log, durable.len(), &vec![0; lost.len()])?;
            stage.reboot()?;
            stage.append(b"after the power cut\n")?;
            Ok(None)
        },
        command: "mmlogctl cat --holes say {log} > /dev/null",
        cure: Cure::Stays("what a power cut cost stays on record"),
    },
    Incident {
        name: FindingId::HooksUnrun.name(),
        finding: FindingId::HooksUnrun,
        about: "The command of rotate --run failed: the segment waits for the next one.",
        needs: "",
        stage: |stage| {
            stage.log(&[], b"to be shipped\n")?;
            stage.tool("rotate").args(["--run", "exit 1"]).arg(&stage.log).finish(b"")?;
            Ok(None)
        },
        command: "mmlogctl segments {log}",
        cure: Cure::PeopleThenCommand(
            "mend what failed, and rotate with --run again (here: with true)",
            |stage| {
                stage
                    .tool("rotate")
                    .args(["--run", "true"])
                    .arg(&stage.log)
                    .finish(b"")?
                    .or_fail("rotate")
                    .map(drop)
            },
        ),
    },
    Incident {
        name: FindingId::NotRecovered.name(),
        finding: FindingId::NotRecovered,
        about: "The machine was started again, and nobody has written yet.",
        needs: "",
        stage: |stage| {
            stage.log(&[], b"a line of before the reboot\n")?;
            stage.reboot()?;
            Ok(None)
        },
        command: "mmlogctl repair {log}",
        cure: Cure::Command,
    },
];
