//! What the path leads to, and how it is written.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::cli::{COMMANDS, Scratch, is_root, metadata_of, mmlogctl, mounted, skipped, when_out_of_use};
use crate::{CONTENT, is_readable, refused};

#[test]
fn a_directory_is_not_a_log() {
    let scratch = Scratch::new();
    refused(&COMMANDS, scratch.path(), 1, &["not a regular file (directory); name a plain file"]);
}

#[test]
fn a_fifo_is_not_a_log_and_never_blocks() {
    let scratch = Scratch::new();
    let fifo = scratch.file("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    refused(&COMMANDS, &fifo, 1, &["not a regular file (FIFO); name a plain file"]);
    assert!(!metadata_of(&fifo).exists());
}

#[test]
fn what_is_no_file_in_the_metadatas_place_is_refused_by_its_name_and_never_blocks() {
    type Put = fn(&Path);
    let all: [(&str, Put); 5] = [
        ("FIFO", |path| mkfifo(path, Mode::S_IRWXU).unwrap()),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("socket", |path| drop(UnixListener::bind(path).unwrap())),
        ("symbolic link", |path| symlink(path.with_extension("kept"), path).unwrap()),
        ("device", |path| {
            let numbers = nix::sys::stat::makedev(1, 3);
            nix::sys::stat::mknod(path, nix::sys::stat::SFlag::S_IFCHR, Mode::S_IRWXU, numbers).unwrap();
        }),
    ];
    for (kind, put) in all {
        if kind == "device" && !is_root() {
            return skipped("a device in the metadata's place", "needs root");
        }
        let scratch = Scratch::new();
        let log = scratch.log(CONTENT);
        let metadata = metadata_of(&log);
        fs::rename(&metadata, metadata.with_extension("kept")).unwrap();
        put(&metadata);
        let said = format!("not a log's metadata: {} is a {kind}; move it away and put ", metadata.display());
        let step = format!("`mmlogctl repair --rebuild {}`", log.display());
        let commands: [&[&str]; 14] = [
            &["init"],
            &["init", "--adopt"],
            &["append"],
            &["append", "--sync=always"],
            &["cat"],
            &["tail"],
            &["status"],
            &["segments"],
            &["rotate"],
            &["trim"],
            &["repair"],
            &["repair", "--rebuild"],
            &["rm"],
            &["rm", "--all", "--force"],
        ];
        for command in commands {
            let ended = mmlogctl(command[0], &log).args(&command[1..]).input(b"x\n").run();
            ended.is_refused(1, &log, &[&said, &step]);
        }
        fs::rename(&metadata, scratch.file("other")).unwrap();
        mmlogctl("repair", &log).arg("--rebuild").run().is_success();
        mmlogctl("cat", &log).run().printed(CONTENT);
    }
}

#[test]
fn a_socket_is_not_a_log() {
    let scratch = Scratch::new();
    let socket = scratch.file("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    refused(&COMMANDS, &socket, 1, &["not a regular file (socket); name a plain file"]);
}

#[test]
fn a_device_is_not_a_log() {
    refused(&COMMANDS, Path::new("/dev/null"), 1, &["not a regular file (device); name a plain file"]);
}

#[test]
fn nothing_in_proc_is_a_log() {
    for path in ["/proc/self/cmdline", "/proc/version", "/proc/no-such-file"].map(Path::new) {
        let words = ["on procfs, where shared memory and locks are not coherent; use a local file system"];
        refused(&["init", "append", "cat", "tail", "status", "trim"], path, 1, &words);
        refused(&["rm"], path, 1, &[]);
    }
}

#[test]
fn incoherent_file_systems_are_refused_by_name() {
    refused(&["init", "append"], Path::new("/sys/kernel/log"), 1, &["on sysfs", "use a local file system"]);
    let scratch = Scratch::new();
    let Some(place) = mounted(&scratch, "hugetlbfs", "size=0") else {
        return skipped("hugetlbfs is refused", "mounting it needs root");
    };
    refused(&["init", "append"], &place.join("log"), 1, &["on hugetlbfs", "use a local file system"]);
    assert_eq!(fs::read_dir(place).unwrap().count(), 0, "nothing is left there");
}

#[test]
fn a_symbolic_link_is_refused_and_the_option_that_allows_it_named() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let link = scratch.file("link");
    symlink(&log, &link).unwrap();
    refused(&COMMANDS, &link, 1, &["a symbolic link to ", "; name that file, or use --trust-path"]);
    assert!(!metadata_of(&link).exists());
    mmlogctl("cat", &link).arg("--trust-path").run().printed(CONTENT);
    mmlogctl("append", &link).arg("--trust-path").input(b"four\n").run().is_success();
    is_readable(&log, &[CONTENT, b"four\n"].concat());
}

#[test]
fn a_link_that_leads_nowhere_is_refused() {
    let scratch = Scratch::new();
    let link = scratch.file("link");
    symlink(scratch.file("nothing"), &link).unwrap();
    refused(&COMMANDS, &link, 1, &["a symbolic link"]);
    assert!(!scratch.file("nothing").exists());
}

#[test]
fn metadata_behind_a_symbolic_link_is_refused() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    fs::rename(metadata_of(&log), scratch.file("elsewhere")).unwrap();
    symlink(scratch.file("elsewhere"), metadata_of(&log)).unwrap();
    refused(&COMMANDS, &log, 1, &[]);
}

#[test]
fn a_directory_that_everybody_writes_to_is_refused_without_a_sticky_bit() {
    let scratch = Scratch::new();
    let log = scratch.log(CONTENT);
    let mode = |mode| fs::set_permissions(scratch.path(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o777);
    let directory = format!("directory {} is writable by everybody", scratch.path().display());
    refused(&COMMANDS, &log, 1, &[&directory, "; chmod o-w it, or use --trust-path"]);
    mmlogctl("cat", &log).arg("--trust-path").run().printed(CONTENT);
    mode(0o1777);
    is_readable(&log, CONTENT);
}

#[test]
fn a_missing_directory_is_said() {
    let scratch = Scratch::new();
    refused(&COMMANDS, &scratch.file("no/such/log"), 1, &["directory", "No such file or directory"]);
}

#[test]
fn a_log_that_does_not_exist_is_made_by_init_and_append_only() {
    let scratch = Scratch::new();
    let log = scratch.file("log");
    let others = ["cat", "tail", "status", "trim", "rm"];
    let step = format!("no such log; `mmlogctl ls {}` lists those that are there", scratch.path().display());
    refused(&others, &log, 1, &[&step]);
    for command in ["rm", "repair"] {
        let said = mmlogctl(command, &log).run().stderr;
        assert!(said.contains(&step) && !said.contains("init"), "{said}");
    }
    mmlogctl("append", &log).run().is_success();
    is_readable(&log, b"");
}

#[test]
fn a_newline_in_the_name_stays_on_the_line() {
    let scratch = Scratch::new();
    let (name, shown) = ("a\nmmlogctl: all is well\x1b[2J", "a\\nmmlogctl: all is well\\u{1b}[2J");
    let ended = mmlogctl("cat", &scratch.file(name)).run();
    ended.is_refused(1, &scratch.file(shown), &["no such log"]);
    let log = scratch.file(name);
    mmlogctl("append", &log).input(CONTENT).run().is_success();
    is_readable(&log, CONTENT);
    let status = mmlogctl("status", &log).run().text();
    assert!(
        status.lines().next().unwrap().ends_with(&shown[..10]) || status.contains("a\\nmmlogctl"),
        "{status}"
    );
}

#[test]
fn a_name_that_is_not_utf8_works_everywhere() {
    let scratch = Scratch::new();
    let log = scratch.path().join(OsStr::from_bytes(b"caf\xe9\xff.log"));
    mmlogctl("init", &log).run().is_success();
    mmlogctl("append", &log).input(CONTENT).run().is_success();
    is_readable(&log, CONTENT);
    mmlogctl("trim", &log).run().printed(b"");
    assert!(mmlogctl("status", &log).run().text().starts_with("OK  "));
    let json = mmlogctl("status", &log).arg("--json").run();
    let status: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(status["cursor"], CONTENT.len());
    mmlogctl("tail", &log)
        .arg("-v")
        .run()
        .printed(&[b"==> ", log.as_os_str().as_bytes(), b" <==\n", CONTENT].concat());
    when_out_of_use(|| mmlogctl("rm", &log).run()).printed(b"");
    assert!(!log.exists() && !metadata_of(&log).exists());
}

#[test]
fn an_empty_path_is_a_usage_error() {
    for command in COMMANDS {
        assert_eq!(mmlogctl(command, Path::new("")).run().code, 2, "{command}");
    }
}
