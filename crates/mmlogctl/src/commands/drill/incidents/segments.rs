//! What outsiders do to old segments.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use mmlog::FindingId;

use super::super::stage::{Done, Looks, NOBODY, Stage, Stop};
use super::{Cure, Incident};

const LINES: &[u8] = b"one line\nand another one\n";

const PUT_BACK: Cure = Cure::People("put a good copy in its place (here: the one that was kept)", |stage| {
    let first = format!("app.log.{:010}-{:019}", 0, 0);
    Ok(fs::rename(stage.dir.join("copy"), stage.dir.join(first))?)
});

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::SegmentMissing.name(),
        finding: FindingId::SegmentMissing,
        about: "Somebody moved the oldest segment away.",
        needs: "",
        stage: |stage| {
            fs::rename(rotated(stage)?, stage.dir.join("copy"))?;
            Ok(None)
        },
        command: "find {directory} -name 'app.log.0000000000-0000000000000000000*'",
        cure: PUT_BACK,
    },
    Incident {
        name: FindingId::SegmentDamaged.name(),
        finding: FindingId::SegmentDamaged,
        about: "Somebody cut an old segment.",
        needs: "",
        stage: |stage| {
            let oldest = rotated(stage)?;
            fs::copy(&oldest, stage.dir.join("copy"))?;
            File::options().write(true).open(oldest)?.set_len(9)?;
            Ok(None)
        },
        command: "mmlogctl segments {log}",
        cure: PUT_BACK,
    },
    Incident {
        name: FindingId::SegmentUnreadable.name(),
        finding: FindingId::SegmentUnreadable,
        about: "Whoever looks may not read an old segment.",
        needs: "",
        stage: |stage| {
            let oldest = rotated(stage)?;
            if rustix::process::geteuid().is_root() {
                stage.looks = Looks::As(NOBODY);
                fs::set_permissions(stage.metadata(), fs::Permissions::from_mode(0o644))?;
                fs::set_permissions(&stage.log, fs::Permissions::from_mode(0o644))?;
            }
            if stage.says(FindingId::Unreadable)?.is_some() {
                return Err(Stop::Skipped(format!("user {NOBODY} cannot reach {}", stage.dir.display())));
            }
            mode(oldest, 0o000)?;
            Ok(None)
        },
        command: "ls -ld {directory}/app.log.0000000000-0000000000000000000",
        cure: Cure::People("let them read it (here: chmod a+r)", |stage| mode(oldest(stage)?, 0o644)),
    },
    Incident {
        name: FindingId::SegmentSurplus.name(),
        finding: FindingId::SegmentSurplus,
        about: "Somebody appended to an old segment.",
        needs: "",
        stage: |stage| {
            File::options().write(true).open(rotated(stage)?)?.set_len(99)?;
            Ok(None)
        },
        command: "truncate -s 25 {directory}/app.log.0000000000-0000000000000000000",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::Leftover.name(),
        finding: FindingId::Leftover,
        about: "A rotation was killed while it made the next segment's file.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            fs::write(stage.dir.join("app.log.mmlog-next"), [0; 65536])?;
            Ok(None)
        },
        command: "mmlogctl repair {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::SpaceHeld.name(),
        finding: FindingId::SpaceHeld,
        about: "A process has an old segment open that was removed.",
        needs: "",
        stage: |stage| {
            let oldest = rotated(stage)?;
            let second = stage.dir.join("second");
            fs::hard_link(&oldest, &second)?;
            *held() = Some(File::open(&oldest)?);
            // Of a file with a second name prune takes the name alone.
            let prune = stage.tool("prune").args(["--keep", "1"]).arg(&stage.log);
            prune.finish(b"")?.or_fail("prune")?;
            fs::remove_file(second)?;
            Ok(Some(std::process::id()))
        },
        command: "",
        cure: Cure::People("have it close the file (here: this program does)", |_| {
            *held() = None;
            Ok(())
        }),
    },
];

/// What this process has open to stage it.
fn held() -> std::sync::MutexGuard<'static, Option<File>> {
    static HELD: std::sync::Mutex<Option<File>> = std::sync::Mutex::new(None);
    HELD.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Two old segments; the path of the oldest.
fn rotated(stage: &Stage<'_>) -> Done<PathBuf> {
    stage.log(&["--mode", "0644"], LINES)?;
    for _ in 0..2 {
        stage.tool("rotate").arg(&stage.log).finish(b"")?.or_fail("rotate")?;
        stage.append(LINES)?;
    }
    oldest(stage)
}

fn oldest(stage: &Stage<'_>) -> Done<PathBuf> {
    let first = stage.look()?.segments.into_iter().next();
    first.map(|segment| segment.path).ok_or_else(|| Stop::Failed("no old segment".to_owned()))
}

fn mode(path: PathBuf, bits: u32) -> Done {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(bits))?)
}
