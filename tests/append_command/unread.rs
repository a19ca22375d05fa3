//! A copy that nobody reads: the writer waits for whoever should, and whoever looks is told.

use std::io::pipe;
use std::process::{Command, Stdio};
use std::time::Duration;

use mmlog::{
    FindingId, Log, Observer, Options, OutputFull, OutputReader, Seat, Severity, State, Status, Thresholds,
    WriterStatus,
};

use super::*;
use crate::cli::Ends;

/// At the second look, which knows who has appended since the first; none before there is a log.
fn status(log: &Path) -> Option<Status> {
    let mut observer = Observer::open(log, &Options::new()).ok()?;
    observer.look().unwrap();
    Some(observer.look().unwrap())
}

#[test]
fn a_writer_that_waits_for_the_reader_of_its_copy_is_named_with_that_reader_and_what_continues_it() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let (theirs, ours) = pipe().unwrap();
    let null = || Stdio::null();
    let sleep = Command::new("sleep").arg("1000").stdin(theirs).stdout(null()).stderr(null()).spawn();
    let reader = Ends(sleep.unwrap());
    let running = append(&log, &["--tee"]).stdin(File::open(source(&scratch)).unwrap()).stdout(ours);
    let running = running.start_unread();
    let full = wait_for("it waits", || status(&log)?.writers.first()?.output_full.clone());
    assert_eq!(full.reader, None, "the library does not look for it");
    let checked = || mmlogctl("check", &log).run();
    assert_eq!(checked().code, 0, "a reader may be slow");

    let stopped = nix::unistd::Pid::from_raw(reader.0.id().cast_signed());
    nix::sys::signal::kill(stopped, Signal::SIGSTOP).unwrap();
    let said = wait_for("it is said", || {
        let said = mmlogctl("status", &log).run().text();
        said.starts_with("WARNING").then_some(said)
    });
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = format!(
        "for its output, which is full, to be read by {} (sleep 1000), which is stopped; ",
        reader.0.id()
    );
    assert!(said.contains(&words), "{said}");
    assert!(said.contains(&format!("writer {} (mmlogctl append", running.pid())), "{said}");
    assert!(said.contains(&format!(" kill -CONT {} ", reader.0.id())), "{said}");
    let warning = checked();
    assert!(warning.code == 1 && warning.text().contains(&words), "{warning:?}");
    let prom = mmlogctl("check", &log).args(["--prom", "-"]).run().text();
    assert!(prom.contains("id=\"writer-stopped\",severity=\"warning\""), "{prom}");
    let screen = mmlogctl("inspect", &log).arg("--once").run().text();
    assert!(screen.lines().any(|line| line.trim() == format!("kill -CONT {}", reader.0.id())), "{screen}");

    drop(reader);
    let ended = running.end();
    assert_eq!(ended.code, 0, "it goes on without the copy: {ended:?}");
    assert_eq!(checked().code, 0);
}

/// More lines than a pipe holds.
fn source(scratch: &Scratch) -> std::path::PathBuf {
    let source = scratch.file("source");
    fs::write(&source, b"0123456789abcde\n".repeat(1 << 16)).unwrap();
    source
}

#[test]
fn a_writer_that_waits_for_input_or_appends_waits_for_nobody() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let mut running = append(&log, &["--tee"]).start();
    running.feed(b"one\n");
    wait_until_it_holds(&log, b"one\n");
    let idle = status(&log).unwrap();
    assert_eq!(idle.writers[0].output_full, None);
    assert!(idle.findings.iter().all(|found| found.id != FindingId::WriterStopped), "{:?}", idle.findings);
    assert_eq!(
        (idle.state, idle.findings.iter().any(|f| f.severity == Severity::Warning)),
        (State::Ok, false)
    );
    running.end();
}

#[test]
fn a_program_whose_output_nobody_takes_is_seen_to_wait_whichever_of_its_threads_writes_it() {
    let scratch = Scratch::new();
    let log = scratch.file("app.log");
    let open = Log::options().open_or_create(&log).unwrap();
    let mut writer = open.writer().unwrap();
    writer.append(b"one\n").unwrap();
    let (theirs, mut ours) = pipe().unwrap();
    let writes = std::thread::spawn(move || ours.write_all(&[b'x'; 1 << 20]));
    let mut observer = Observer::open(&log, &Options::new()).unwrap();
    let full = |observer: &mut Observer| observer.look().unwrap().writers[0].output_full.clone();
    let seen = wait_for("it is seen", || full(&mut observer));
    assert_eq!(seen.reader, None);
    let longer = wait_for("it lasts", || full(&mut observer).filter(|full| full.lasts > seen.lasts));
    assert!(longer.lasts < Duration::from_secs(60), "{longer:?}");
    // Who appends does not wait.
    writer.append(b"two\n").unwrap();
    assert_eq!(full(&mut observer), None);
    drop(theirs);
    assert!(writes.join().unwrap().is_err());
    wait_for("it is over", || full(&mut observer).is_none().then_some(()));
}

#[test]
fn writers_that_wait_for_one_reader_are_one_finding_and_a_slow_reader_has_its_time() {
    let scratch = Scratch::new();
    let here = |pid| Seat { namespace: None, pid: Some(pid), uid: None };
    let log = scratch.file("app.log");
    let open = Log::options().open_or_create(&log).unwrap();
    let _writer = open.writer().unwrap();
    let mut status = status(&log).unwrap();
    let one = status.writers.remove(0);
    let mut said = |lasts: [u64; 2], is_stopped, is_known| {
        let writer = |(pid, seconds)| {
            let reader = Some(OutputReader { pid: 4313, command_line: "less +F".to_owned(), is_stopped });
            let output_full = Some(OutputFull { lasts: Duration::from_secs(seconds), is_known, reader });
            WriterStatus { slot: pid, pid, seat: here(pid), output_full, ..one.clone() }
        };
        status.writers = [18018, 18062].into_iter().zip(lasts).map(writer).collect();
        let mut found = status.diagnose(&Thresholds::default());
        found.retain(|f| f.id == FindingId::WriterStopped);
        assert!(found.len() < 2, "{found:?}");
        found.pop()
    };
    assert_eq!(said([9, 9], false, true), None, "a reader may be slow");
    let both = said([9, 12], true, true).unwrap();
    assert_eq!(
        both.sentence,
        "2 of 2 writers have waited, one of them for 12 s, for their outputs, which are full, to be read by 4313 (less +F), \
         which is stopped: 18018, 18062; their messages wait, in their pipes or in their programs"
    );
    assert_eq!((both.command(), both.pid), (Some("kill -CONT 4313"), Some(4313)));
    assert_eq!((both.severity, both.state), (Severity::Warning, State::Warning));
    let one = said([3, 12], false, false).unwrap();
    assert!(
        one.sentence.contains(
            " has waited for at least 12 s for its output, which is full, to be read by 4313 (less +F); "
        ),
        "{one:?}"
    );
    assert_eq!((one.command(), one.pid), (None, Some(18062)));
}
