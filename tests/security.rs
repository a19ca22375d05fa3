//! Guards maintenance that runs as root against whoever owns the directory: no symbolic link, no second name and no
//! directory exchanged under an open log leads it to other files. (logrotate had CVE-2011-1548 and CVE-2016-1247.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

use common::{metadata_of, scene};
use mmlog::repair::{self, Wish};
use mmlog::{Fault, Force, Log, Options, Trust};

fn options() -> Options {
    Log::options().chunk_size(65536)
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("SKIPPED: gives a directory to another user, which needs root");
    }
    root
}

/// A log that was appended to and is open, in a directory of its own.
fn open_log(directory: &Path) -> Log {
    fs::create_dir(directory).unwrap();
    let log = options().open_or_create(directory.join("app.log")).unwrap();
    log.writer().unwrap().append(b"ours\n").unwrap();
    log
}

#[test]
fn a_second_name_in_somebody_elses_directory_is_refused_to_root() {
    if !is_root() {
        return;
    }
    for linked in [true, false] {
        let scene = scene();
        let log = options().open_or_create(&scene.log).unwrap();
        log.writer().unwrap().append(b"ours\n").unwrap();
        log.close().unwrap();
        let target = if linked { scene.log.clone() } else { metadata_of(&scene.log) };
        fs::hard_link(target, scene.dir.path().join("second")).unwrap();
        assert!(options().open(&scene.log).is_ok(), "root's own directory");
        chown(scene.dir.path(), Some(1000), Some(1000)).unwrap();
        let error = options().open(&scene.log).err().unwrap();
        assert!(matches!(error.fault(), Fault::HardLinked { links: 2 }), "{error}");
        let error = repair::examine(&scene.log, &options()).unwrap_err();
        assert!(matches!(error.fault(), Fault::HardLinked { .. }), "{error}");
        let error = mmlog::remove(&scene.log, Force::IfUnused, &Options::new()).unwrap_err();
        assert!(matches!(error.fault(), Fault::HardLinked { .. }), "{error}");
        assert!(options().trust(Trust::AnyPath).open(&scene.log).is_ok(), "the option that the error names");
    }
}

#[test]
fn a_directory_exchanged_under_an_open_log_does_not_lead_it_away() {
    let scene = scene();
    let (here, moved) = (scene.dir.path().join("here"), scene.dir.path().join("moved"));
    let victim = scene.dir.path().join("victim");
    let log = open_log(&here);
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("app.log"), vec![b'v'; 200_000]).unwrap();
    fs::write(victim.join("app.log.mmlog"), b"somebody else's").unwrap();
    fs::rename(&here, &moved).unwrap();
    symlink(&victim, &here).unwrap();

    assert_eq!(log.trim(Duration::from_secs(10)).unwrap().after, 5);
    log.writer().unwrap().append(&vec![b'x'; 100_000]).unwrap();
    log.sync().unwrap();
    log.close().unwrap();
    assert_eq!(fs::metadata(moved.join("app.log")).unwrap().len(), 100_005);
    assert!(fs::read(victim.join("app.log")).unwrap() == vec![b'v'; 200_000]);
    assert_eq!(fs::read(victim.join("app.log.mmlog")).unwrap(), b"somebody else's");
}

#[test]
fn neither_file_may_be_a_symbolic_link() {
    for metadata in [false, true] {
        let scene = scene();
        let victim = scene.dir.path().join("victim");
        fs::write(&victim, b"").unwrap();
        let link = if metadata { metadata_of(&scene.log) } else { scene.log.clone() };
        symlink(&victim, link).unwrap();
        let error = options().open_or_create(&scene.log).err().unwrap();
        let is_told = match error.fault() {
            Fault::Symlink { .. } => !metadata,
            Fault::NoMetadataFile { kind, .. } => metadata && *kind == "symbolic link",
            _ => false,
        };
        assert!(is_told, "{error}");
        assert_eq!(fs::metadata(&victim).unwrap().len(), 0);
    }
}

#[test]
fn what_repair_makes_belongs_to_whom_the_log_belonged() {
    if !is_root() {
        return;
    }
    let scene = scene();
    let log = options().mode(0o640).open_or_create(&scene.log).unwrap();
    log.writer().unwrap().append(b"ours\n").unwrap();
    log.close().unwrap();
    for file in [scene.log.clone(), metadata_of(&scene.log)] {
        chown(file, Some(1000), Some(1001)).unwrap();
    }
    let owned = |path: &Path| {
        let m = fs::metadata(path).unwrap();
        (m.uid(), m.gid(), m.mode() & 0o7777)
    };
    fs::remove_file(&scene.log).unwrap();
    repair::examine(&scene.log, &options()).unwrap().plan(&[Wish::Recreate]).apply().unwrap();
    assert_eq!(owned(&scene.log), (1000, 1001, 0o640), "a data file made anew");
    fs::remove_file(metadata_of(&scene.log)).unwrap();
    fs::write(&scene.log, b"ours\n").unwrap();
    common::until("the lease", || {
        repair::examine(&scene.log, &options()).unwrap().plan(&[Wish::Rebuild]).apply().ok()
    });
    assert_eq!(owned(&metadata_of(&scene.log)), (1000, 1001, 0o640), "metadata made anew");
}
