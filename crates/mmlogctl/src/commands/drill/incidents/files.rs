//! What outsiders do to the two files.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use mmlog::{FindingId, Log};
use rustix::fs::{Uid, chown};

use super::super::mounts::Mount;
use super::super::role::Role;
use super::super::stage::{Done, Looks, NOBODY, Stage, Stop, directory};
use super::{Cure, Incident, needs_root};

const LINES: &[u8] = b"one line\nand another one\n";
const FROM_A_SCRIPT: &[u8] = b"a line from a script\n";

pub(super) const INCIDENTS: &[Incident] = &[
    Incident {
        name: FindingId::Unreadable.name(),
        finding: FindingId::Unreadable,
        about: "Whoever looks may not read the metadata.",
        needs: "",
        stage: |stage| {
            stage.log(&["--mode", "0644"], LINES)?;
            if rustix::process::geteuid().is_root() {
                stage.looks = Looks::As(NOBODY);
            }
            if stage.says(FindingId::Unreadable)?.is_some() {
                return Err(Stop::Skipped(format!("user {NOBODY} cannot reach {}", stage.dir.display())));
            }
            mode(stage, 0o000)?;
            Ok(None)
        },
        command: "",
        cure: Cure::People("let them read it (here: chmod a+r)", |stage| mode(stage, 0o644)),
    },
    Incident {
        name: FindingId::DataGone.name(),
        finding: FindingId::DataGone,
        about: "Somebody removed the data file.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            fs::remove_file(&stage.log)?;
            Ok(None)
        },
        command: "mmlogctl repair --recreate {log}",
        cure: Cure::Command,
    },
    Incident {
        name: "data-removed",
        finding: FindingId::DataGone,
        about: "Somebody removed the data file while a program was writing to it: only that one has its bytes.",
        needs: "",
        stage: |stage| {
            let pid = in_use(stage, |stage| stage.log.clone())?;
            fs::remove_file(&stage.log)?;
            Ok(Some(pid))
        },
        command: "cp --sparse=always {descriptor} {log}.saved && mmlogctl repair --recreate {log}",
        cure: Cure::CommandThenPeople("look at what is saved", is_saved),
    },
    Incident {
        name: "data-replaced-in-use",
        finding: FindingId::DataReplaced,
        about: "Somebody edited the data file (sed -i) while a program was writing to it: only that one has its bytes.",
        needs: "",
        stage: |stage| {
            let pid = in_use(stage, |stage| stage.log.clone())?;
            edit(stage)?;
            Ok(Some(pid))
        },
        command: "cp --sparse=always {descriptor} {log}.saved && mv -n {log} {log}.other && mmlogctl repair --recreate {log}",
        cure: Cure::CommandThenPeople("look at what is saved", is_saved),
    },
    Incident {
        name: "log-removed",
        finding: FindingId::Unreadable,
        about: "Somebody removed both files while a program was writing to them.",
        needs: "",
        stage: |stage| {
            in_use(stage, |stage| stage.log.clone())?;
            fs::remove_file(&stage.log)?;
            fs::remove_file(stage.metadata())?;
            Ok(None)
        },
        command: "cp --sparse=always {descriptor} {log}.saved && mmlogctl init {log}",
        cure: Cure::CommandThenPeople("look at what is saved", is_saved),
    },
    Incident {
        name: FindingId::FormerLog.name(),
        finding: FindingId::FormerLog,
        about: "Somebody removed both files while a program was writing to them, and the log was made anew.",
        needs: "",
        stage: |stage| {
            let pid = in_use(stage, |stage| stage.log.clone())?;
            fs::remove_file(&stage.log)?;
            fs::remove_file(stage.metadata())?;
            stage.tool("init").arg(&stage.log).finish(b"")?.or_fail("init")?;
            Ok(Some(pid))
        },
        command: "cp --sparse=always {descriptor} {log}.saved",
        cure: Cure::CommandThenPeople(
            "restart the program (here: end it), and look at what is saved",
            |stage| {
                stage.end_actors();
                is_saved(stage)
            },
        ),
    },
    Incident {
        name: "metadata-removed",
        finding: FindingId::Unreadable,
        about: "Somebody removed the metadata while a program was writing: that one goes on, and nobody else can.",
        needs: "",
        stage: |stage| {
            in_use(stage, |stage| stage.metadata())?;
            fs::remove_file(stage.metadata())?;
            Ok(None)
        },
        command: "cp --sparse=always {descriptor} {metadata}",
        cure: Cure::CommandThenPeople(
            "end the program, and make the metadata anew (repair --rebuild)",
            |stage| {
                stage.end_actors();
                stage.tool("repair").args(["--rebuild"]).arg(&stage.log).finish(b"")?.or_fail("repair")?;
                let told = stage.tool("cat").arg(&stage.log).finish(b"")?.or_fail("cat")?;
                match told.stdout.starts_with(LINES) {
                    true => Ok(()),
                    false => Err(Stop::Failed("the log has not what was appended".to_owned())),
                }
            },
        ),
    },
    Incident {
        name: "metadata-moved",
        finding: FindingId::Unreadable,
        about: "Somebody gave the metadata another name while a program was writing.",
        needs: "",
        stage: |stage| {
            in_use(stage, |stage| stage.metadata())?;
            fs::rename(stage.metadata(), stage.dir.join("moved.mmlog.bak"))?;
            Ok(None)
        },
        command: "mv -n {directory}/moved.mmlog.bak {metadata}",
        cure: Cure::Command,
    },
    Incident {
        name: "data-moved",
        finding: FindingId::DataGone,
        about: "Somebody gave the data file another name.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            fs::rename(&stage.log, stage.dir.join("moved.log"))?;
            Ok(None)
        },
        command: "mv -n {directory}/moved.log {log}",
        cure: Cure::Command,
    },
    Incident {
        name: "logrotate",
        finding: FindingId::DataReplaced,
        about: "logrotate moved the data file away and made an empty one in its place.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            fs::rename(&stage.log, stage.dir.join("app.log.1"))?;
            File::create(&stage.log)?;
            Ok(None)
        },
        command: "mv {directory}/app.log.1 {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::DataReplaced.name(),
        finding: FindingId::DataReplaced,
        about: "Somebody renamed another file over the data file, as editors and sed -i do.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            edit(stage)?;
            Ok(None)
        },
        command: "mmlogctl repair --rebuild {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::DataTruncated.name(),
        finding: FindingId::DataTruncated,
        about: "Somebody truncated the data file.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            File::options().write(true).open(&stage.log)?.set_len(9)?;
            Ok(None)
        },
        command: "mmlogctl repair {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::MetadataCopied.name(),
        finding: FindingId::MetadataCopied,
        about: "Both files were copied to another name, as from a backup.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            let (log, metadata) = (stage.log.clone(), stage.metadata());
            stage.log = stage.dir.join("copy.log");
            fs::copy(log, &stage.log)?;
            fs::copy(metadata, stage.metadata())?;
            Ok(None)
        },
        command: "mmlogctl repair --rebuild {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::OverlayView.name(),
        finding: FindingId::OverlayView,
        about: "A container sees the log through an overlay that its writers do not use.",
        needs: "root and the overlay file system",
        stage: |stage| overlay(stage).map(|()| None),
        command: "findmnt",
        cure: Cure::People("use the log where its writers do (here: outside the overlay)", |stage| {
            stage.log = stage.dir.join("lower/app.log");
            Ok(())
        }),
    },
    Incident {
        name: FindingId::OwnersDiffer.name(),
        finding: FindingId::OwnersDiffer,
        about: "The data file was given to another user, and its metadata was not.",
        needs: "root, to give a file away",
        stage: |stage| {
            needs_root("give a file away")?;
            stage.log(&[], LINES)?;
            let given = chown(&stage.log, Some(Uid::from_raw(NOBODY)), None);
            given
                .map(|()| None)
                .map_err(|e| Stop::Skipped(format!("no file can be given to user {NOBODY}: {e}")))
        },
        command: "chown 65534 {metadata}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::Slack.name(),
        finding: FindingId::Slack,
        about: "A program was killed, and the space that it had made ready stands behind the last byte.",
        needs: "",
        stage: |stage| {
            in_use(stage, |stage| stage.log.clone())?;
            stage.end_actors();
            Ok(None)
        },
        command: "mmlogctl trim {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::OutsideBytes.name(),
        finding: FindingId::OutsideBytes,
        about: "Somebody appended to the log with >>, as to any file, while nobody had it open.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            File::options().append(true).open(&stage.log)?.write_all(FROM_A_SCRIPT)?;
            Ok(None)
        },
        command: "mmlogctl trim {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::OutsideCut.name(),
        finding: FindingId::OutsideCut,
        about: "Somebody appended to the log with >> while a program was writing to it.",
        needs: "",
        stage: |stage| {
            let log = Log::options().chunk_size(1 << 20).open_or_create(&stage.log)?;
            let mut writer = log.writer()?;
            writer.append(LINES)?;
            File::options().append(true).open(&stage.log)?.write_all(FROM_A_SCRIPT)?;
            // It needs more space than it has.
            writer.append(&[b"x".repeat(1 << 20), b"\n".to_vec()].concat())?;
            Ok(None)
        },
        command: "mmlogctl repair --accept-loss {log}",
        cure: Cure::Command,
    },
    Incident {
        name: FindingId::OutsideLive.name(),
        finding: FindingId::OutsideLive,
        about: "Somebody appended to the log with >> while a program was writing to it, and the log has not grown since.",
        needs: "",
        stage: |stage| {
            stage.log(&["--chunk-size", "64K"], LINES)?;
            stage.start(Role::Pace, 0)?;
            stage.until("a writer", |stage| {
                Ok(stage.look()?.writers.iter().any(|w| w.messages > 0).then_some(()))
            })?;
            File::options().append(true).open(&stage.log)?.write_all(FROM_A_SCRIPT)?;
            Ok(None)
        },
        command: "tail -c +65537 {log} > {log}.outside-65536",
        cure: Cure::CommandThenPeople("end the program: the next one takes them in", |stage| {
            let mut saved = stage.log.clone().into_os_string();
            saved.push(".outside-65536");
            stage.end_actors();
            stage.append(LINES)?;
            let told = stage.tool("cat").arg(&stage.log).finish(b"")?.or_fail("cat")?;
            let has_it = told.stdout.windows(FROM_A_SCRIPT.len()).any(|bytes| bytes == FROM_A_SCRIPT);
            match fs::read(saved)? == FROM_A_SCRIPT && has_it {
                true => Ok(()),
                false => {
                    Err(Stop::Failed("what was put behind the log is not in it, or not saved".to_owned()))
                }
            }
        }),
    },
    Incident {
        name: FindingId::NameTooLong.name(),
        finding: FindingId::NameTooLong,
        about: "A log that cannot be rotated: its old segments' names would be too long.",
        needs: "",
        stage: |stage| {
            stage.log(&[], LINES)?;
            rename(stage, &"long-".repeat(48)).map(|()| None)
        },
        command: "mv {log} NAME && mv {metadata} NAME.mmlog",
        cure: Cure::People("give both files a shorter name (here: app.log)", |stage| {
            rename(stage, "app.log")
        }),
    },
];

/// Somebody writes, now and then, and has that file open.
fn in_use(stage: &mut Stage<'_>, file: impl Fn(&Stage<'_>) -> PathBuf) -> Done<u32> {
    stage.log(&[], LINES)?;
    let index = stage.start(Role::Pace, 0)?;
    stage
        .until("a writer", |stage| Ok(stage.look()?.writers.iter().any(|w| w.messages > 0).then_some(())))?;
    let pid = stage.actor(index).pid();
    stage.descriptor = Some(descriptor(pid, &file(stage))?);
    Ok(pid)
}

/// As editors do.
fn edit(stage: &Stage<'_>) -> Done {
    let edited = stage.dir.join("edited");
    fs::copy(&stage.log, &edited)?;
    Ok(fs::rename(edited, &stage.log)?)
}

/// The first one by which a process has a file open.
fn descriptor(pid: u32, file: &Path) -> Done<PathBuf> {
    let directory = PathBuf::from(format!("/proc/{pid}/fd"));
    let file = file.canonicalize()?;
    let numbers =
        fs::read_dir(&directory)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    let links = numbers.iter().map(|number| directory.join(number.to_string()));
    let found = links.into_iter().find(|link| fs::read_link(link).is_ok_and(|there| there == file));
    found.ok_or_else(|| Stop::Failed(format!("process {pid} has not {} open", file.display())))
}

/// What the printed command has saved begins with what the log began with.
fn is_saved(stage: &mut Stage<'_>) -> Done {
    let mut name = stage.log.clone().into_os_string();
    name.push(".saved");
    match fs::read(name)?.starts_with(LINES) {
        true => Ok(()),
        false => Err(Stop::Failed("what was saved is not what was appended".to_owned())),
    }
}

/// The two files of a log at rest.
fn rename(stage: &mut Stage<'_>, name: &str) -> Done {
    let (log, metadata) = (stage.log.clone(), stage.metadata());
    stage.log = stage.dir.join(name);
    fs::rename(log, &stage.log)?;
    Ok(fs::rename(metadata, stage.metadata())?)
}

fn mode(stage: &Stage<'_>, bits: u32) -> Done {
    Ok(fs::set_permissions(stage.metadata(), fs::Permissions::from_mode(bits))?)
}

fn overlay(stage: &mut Stage<'_>) -> Done {
    needs_root("mount an overlay")?;
    let place = |name: &str| stage.dir.join(name);
    let (lower, upper, work, merged) = (place("lower"), place("upper"), place("work"), place("merged"));
    [&lower, &upper, &work].into_iter().try_for_each(|dir| directory(dir))?;
    stage.log = lower.join("app.log");
    stage.log(&[], LINES)?;
    let [lower, upper, work] = [lower, upper, work].map(|dir| dir.display().to_string());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    stage.mount(Mount::at(&merged, "overlay", &options)?);
    stage.log = merged.join("app.log");
    Ok(())
}
