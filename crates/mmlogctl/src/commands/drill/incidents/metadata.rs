//! Metadata that says what cannot be, or is of another time.

use std::fs;
use std::mem::offset_of;

use mmlog::FindingId;
use mmlog::layout::{Header, POSITION_END};

use super::super::role::Role;
use super::super::stage::{Done, Stage};
use super::{Cure, Incident};

const LINES: &[u8] = b"one line\nand another one\n";

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::Positions.name(),
        finding: FindingId::Positions,
        about: "The cursor in the metadata cannot be: somebody wrote there.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            let nonsense = (POSITION_END / 2).to_ne_bytes();
            stage.poke(&stage.metadata(), offset_of!(Header, control.cursor), &nonsense)?;
            Ok(None)
        },
        command: "mmlogctl repair {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::UnknownOperation.name(),
        finding: FindingId::UnknownOperation,
        about: "A half-done operation of a newer build, which this one does not know.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            let kind = u64::MAX.to_ne_bytes();
            stage.poke(&stage.metadata(), offset_of!(Header, journal.kind), &kind)?;
            Ok(None)
        },
        command: "mmlogctl repair --rebuild {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::Version1.name(),
        finding: FindingId::Version1,
        about: "A log of the original's format: it can be read, not appended to.",
        needs: "",
        stage: |stage| {
            original(stage, 0)?;
            Ok(None)
        },
        command: "mmlogctl repair --upgrade {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::Version1Flag.name(),
        finding: FindingId::Version1Flag,
        about: "A log of the original's format whose is_locked is set: its writers wait for ever.",
        needs: "",
        stage: |stage| {
            original(stage, 1)?;
            let index = stage.start(Role::Original, 0)?;
            let pid = stage.actor(index).pid();
            stage.until("the program that has it open", |stage| {
                let flags = stage.look()?.version_1.unwrap_or_default();
                Ok(flags.holders.iter().any(|(holder, _)| *holder == pid).then_some(()))
            })?;
            Ok(Some(pid))
        },
        command: "mmlogctl repair --upgrade {log}",
        cure: Cure::PeopleThenCommand("stop its writers", |stage| {
            stage.end_actors();
            Ok(())
        }),
    },
];

/// As the original leaves it: 32 bytes beside the data.
fn original(stage: &mut Stage<'_>, is_locked: u8) -> Done {
    let len = LINES.len() as u64;
    let mut metadata = Vec::with_capacity(32);
    metadata.extend(1u32.to_ne_bytes());
    metadata.extend([1, is_locked, 0, 0]); // is_ready, is_locked, is_panicked
    metadata.extend(len.to_ne_bytes()); // file_size
    metadata.extend(len.to_ne_bytes()); // cursor
    metadata.extend(4096u32.to_ne_bytes()); // page_size
    metadata.extend(65536u32.to_ne_bytes()); // chunk_size
    fs::write(&stage.log, LINES)?;
    Ok(fs::write(stage.metadata(), metadata)?)
}
