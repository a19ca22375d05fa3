//! What processes of others have open: in other mount namespaces, deleted, with names and kinds that are meant to deceive.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::cli::skipped;

/// Whether a process has a file open that has that path where it is.
fn has_open(pid: u32, file: &Path) -> bool {
    let Ok(all) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    all.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == file))
}

/// A user that nobody else here is.
const USER: &str = "61234";

fn as_user(tool: Tool) -> Tool {
    tool.through("setpriv", &["--reuid", USER, "--regid", USER, "--clear-groups"])
}

#[test]
fn a_log_in_another_mount_namespace_is_named_and_not_looked_at() {
    let claim = "a log in another mount namespace";
    if !is_root() || !cli::succeeds(Command::new("unshare").args(["-m", "true"])) {
        return skipped(claim, "needs root and unshare(1)");
    }
    let scratch = Scratch::new();
    let (here, there) = (scratch.file("both/app.log"), scratch.file("both/only.log"));
    fs::create_dir(scratch.file("both")).unwrap();
    mmlogctl("append", &here).input(b"of this host\n").run().is_success();
    let tool = env!("CARGO_BIN_EXE_mmlogctl");
    let inside = |log: &Path| {
        let script = format!(
            "mount -t tmpfs none '{}' && '{tool}' init '{log}' && exec '{tool}' append '{log}'",
            scratch.file("both").display(),
            log = log.display()
        );
        let writer = Tool::new("unshare").args(["-m", "sh", "-c", &script]).start();
        wait_for("the other has it open", || has_open(writer.pid(), &metadata_of(log)).then_some(()));
        writer
    };
    let (same, other) = (inside(&here), inside(&there));
    let found = of(&here);
    assert_eq!((found.len(), &found[0]["sight"]), (1, &"elsewhere".into()), "{found:?}");
    assert_eq!((&found[0]["state"], open_by(&found[0])), (&"ELSEWHERE".into(), vec![same.pid()]));
    assert!(found[0].get("cursor").is_none(), "it is not looked at");
    assert_eq!(open_by(&of(&there)[0]), [other.pid()]);
    // The one that is here is another one, which nobody has open.
    let (all, _) = objects(&ls(["--json"]).arg(scratch.file("both")).run());
    let both: Vec<_> = all.iter().filter(|object| object["path"] == here.to_str().unwrap()).collect();
    let cursors: Vec<_> = both.iter().map(|o| (o["sight"].as_str().unwrap(), o["cursor"].as_u64())).collect();
    assert_eq!(cursors, [("here", Some(13)), ("elsewhere", None)]);
    assert_eq!(open_by(both[0]), [] as [u32; 0]);
}

#[test]
fn a_log_without_a_name_is_listed_with_who_has_it() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let evil = scratch.file("e\u{1b}[31mv\nil");
    let sleep = ["/bin/sleep", "/usr/bin/sleep"].map(Path::new).into_iter().find(|path| path.exists());
    symlink(sleep.unwrap(), &evil).unwrap();
    mmlogctl("init", &log).run().is_success();
    let holder = Holder::called(&evil, File::open(metadata_of(&log)).unwrap());
    fs::remove_file(metadata_of(&log)).unwrap();
    let found = of(&log);
    assert_eq!(found.len(), 1, "{found:?}");
    // Nothing is at its path: what becomes of it is known there, as status says it.
    assert_eq!((&found[0]["sight"], &found[0]["state"]), (&"here".into(), &"DAMAGED".into()));
    assert_eq!(found[0]["findings"][0]["pid"], holder.0.id());
    assert_eq!(open_by(&found[0]), [holder.0.id()]);
    // Made anew at the path, it is another one.
    mmlogctl("init", &scratch.file("new.log")).run().is_success();
    fs::rename(metadata_of(&scratch.file("new.log")), metadata_of(&log)).unwrap();
    let found = of(&log);
    assert_eq!(found.len(), 1, "nobody has the new one open");
    assert_eq!((&found[0]["sight"], &found[0]["state"]), (&"deleted".into(), &"DELETED".into()));
    let text = ls([]).run().text();
    let row = text.lines().skip_while(|line| !line.ends_with(log.to_str().unwrap())).take(2);
    let row: Vec<&str> = row.collect();
    assert!(row[0].starts_with("DELETED "), "{text}");
    let who = format!("deleted, and still open by {} (e\\u{{1b}}[31mv il 600)", holder.0.id());
    assert!(row[1].contains(&who), "{row:?}");
}

#[test]
fn what_only_looks_like_a_log_is_none() {
    let scratch = Scratch::new();
    let marked = scratch.file("marked.log.mmlog (deleted)");
    let _marked = Holder::of(File::create(&marked).unwrap());
    let pipe = scratch.file("pipe.log.mmlog");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _pipe = Holder::of(File::options().read(true).write(true).open(&pipe).unwrap());
    let memory =
        nix::sys::memfd::memfd_create(c"memory.log.mmlog", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap();
    let _memory = Holder::of(memory.into());
    let (all, _) = objects(&ls(["--json"]).arg(scratch.path()).run());
    let paths: Vec<&str> = all.iter().map(|object| object["path"].as_str().unwrap()).collect();
    let ours =
        |path: &&&str| ["marked.log", "pipe.log", "memory.log"].iter().any(|name| path.ends_with(name));
    assert_eq!(paths.iter().filter(ours).count(), 0, "{paths:?}");
}

#[test]
fn names_are_escaped() {
    let scratch = Scratch::new();
    let log = scratch.file("a\u{1b}[31m\n7 logs: 7 OK.log");
    let _writer = in_use(&log);
    for ended in [ls([]).run(), ls(["--only-below"]).arg(scratch.path()).run()] {
        let text = ended.text();
        assert!(text.contains("a\\u{1b}[31m\\n7 logs: 7 OK.log"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.lines().any(|line| line.starts_with("7 logs")), "{text}");
    }
    assert_eq!(of(&log).len(), 1, "JSON has the name as it is");
}

#[test]
fn who_may_not_see_all_is_told_and_it_is_no_failure() {
    if !is_root() || !cli::succeeds(Command::new("setpriv").arg("--version")) {
        return skipped("what a user may see", "needs root and setpriv(1)");
    }
    let scratch = Scratch::new();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let _writer = in_use(&scratch.file("app.log"));
    let ended = as_user(ls([])).run();
    let text = ended.text();
    // Who is to make a log is seen by anybody: others beside this test may be at it.
    let is_alone = text.starts_with("no logs: no process that can be seen ") && ended.code == 0;
    let path = scratch.path().display().to_string();
    assert!((is_alone || !text.starts_with("no logs")) && !text.contains(&path), "{ended:?}");
    let said = &ended.stderr;
    assert!(said.contains("could not be looked at and may have more logs open; run as root"), "{said}");
    let (_, summary) = objects(&as_user(ls(["--json"])).run());
    assert!(summary["processes_unseen"].as_u64().unwrap() > 0, "{summary}");
    // Whose directory it may not read, it says.
    let hidden = scratch.file("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o700)).unwrap();
    let ended = as_user(ls(["--only-below"]).arg(scratch.path())).run();
    assert_eq!((ended.code, ended.text().lines().next().unwrap()), (1, "1 log: 1 OK"), "{ended:?}");
    assert!(ended.stderr.contains("hidden: Permission denied"), "{ended:?}");
}
