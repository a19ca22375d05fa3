//! What is in the first three lines, and what follows them.

use mmlog::{Freezer, ProcessState, Waiting, Want};

use super::*;
use crate::who::name;

#[test]
fn cause_and_step_are_in_the_first_three_lines() {
    for (size, _) in &SIZES[1..] {
        let text = text(&model(&stalled(), *size));
        let first: Vec<&str> = text.lines().take(3).collect();
        assert!(
            first.concat().contains("writer 4312 (nginx-log) is stopped") && first.concat().contains("3m12s"),
            "{text}"
        );
        assert!(first.iter().any(|line| line.trim() == "kill -CONT 4312"), "{text}");
    }
}

/// Whatever can be found of a log is told in this order: what and since when, what to paste.
#[test]
fn of_every_finding_the_command_is_in_the_first_three_lines() {
    let mut status = sample::worst();
    (status.path, status.metadata_path) = ("/var/log/app.log".into(), "/var/log/app.log.mmlog".into());
    (status.panic, status.problem) =
        (status.panic.map(|p| mmlog::PanicRecord { reason: "a test".into(), ..p }), None);
    for flaw in &mut status.flaws {
        (flaw.problem, flaw.path) =
            ("a test".to_owned(), "/var/log/app.log.0000000000-0000000000000000000".into());
    }
    status.writers.truncate(2);
    let positions =
        [&mut status.cursor, &mut status.watermark, &mut status.file_size, &mut status.first_kept];
    positions.into_iter().for_each(|position| *position >>= 20);
    status.gate = status.gate.map(|at| at >> 20);
    status.flaws.iter_mut().for_each(|flaw| flaw.positions = 0..1 << 40);
    status.holds.iter_mut().for_each(|hold| hold.name = "a-shipper".to_owned());
    status.durability.error = Some((1 << 40, 5));
    for flight in status.writers.iter_mut().filter_map(|writer| writer.in_flight.as_mut()) {
        (flight.start, flight.end) = (1 << 40, (1 << 40) + 1000);
    }
    status.conclude(&mmlog::Thresholds::default());
    let all = std::mem::take(&mut status.findings);
    assert!(all.len() > 8, "{}", all.len());
    for finding in all.into_iter().filter(|finding| finding.severity < Severity::Info) {
        let Some(command) = finding.command().map(str::to_owned) else { continue };
        status.state = finding.state;
        status.findings = vec![finding];
        for (size, _) in &SIZES[1..] {
            let text = text(&model(&status, *size));
            let first = text.lines().take(3);
            assert!(
                first.into_iter().any(|line| command.starts_with(line.trim()) && line.starts_with("  ")),
                "{command}\n{text}"
            );
        }
    }
}

/// A log with one writer that `web` feeds, and which is as this says.
fn with_writer(change: impl Fn(&mut Status)) -> Model {
    let mut status = stalled();
    (status.path, status.metadata_path) = ("app.log".into(), "app.log.mmlog".into());
    status.writers.truncate(1);
    (status.findings, status.damage, status.flaws) = Default::default();
    (status.holds, status.followers, status.followers_seen) = Default::default();
    status.durability.error = None;
    status.writers[0].command = "mmlogctl".to_owned();
    change(&mut status);
    status.conclude(&mmlog::Thresholds::default());
    let feeder = Some(Feeder { pid: 4000, command_line: "svc1 --port 80".into(), unit: None });
    let who = Who { feeder, ..Who::default() };
    name(&mut status, &[], |_| Some(&who));
    let mut model = Model::new(&[PathBuf::from("app.log")], Access::Operate, LARGE);
    looked(&mut model, 0, 0, Ok(Box::new(status)));
    model
}

/// Whom to call, what is wrong and since when come first; the command; then what the command does, and nothing between.
#[track_caller]
fn begins(model: &Model, said: &[&str], step: &[&str]) {
    let text = text(model);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let first = lines[..2].join(" ").replace("  ", " ");
    assert!(said.iter().all(|words| first.contains(words)), "{said:?}\n{text}");
    assert!(lines[2..].iter().zip(step).all(|(line, part)| line.starts_with(part)), "{step:?}\n{text}");
}

#[test]
fn who_waits_for_a_full_disk_comes_before_the_figures_and_the_command_keeps_its_explanation() {
    let full = |s: &mut Status| {
        let (since, tried) = (SystemTime::now() - Duration::from_secs(3), SystemTime::now());
        (s.limit, s.file.free, s.segments) = (s.cursor, Ok(0), Vec::new());
        s.writers[0].waiting = Some(Waiting {
            want: Want::Space,
            errno: 28,
            len: 4096,
            dropped: None,
            since,
            tried,
            seen: tried,
        });
    };
    begins(
        &with_writer(full),
        &["FULL app.log: no space left, writer 4311 (svc1 --port 80, through mmlogctl) has waited 3 s"],
        &["  mmlogctl prune --punch --keep-bytes 5M app.log", "gives up the oldest 6 MiB of the log"],
    );
}

#[test]
fn who_is_frozen_and_since_when_come_before_the_control_group_and_the_command_keeps_its_explanation() {
    let group = format!("/sys/fs/cgroup/{}n3.service", "a-slice-of-a-slice.slice/".repeat(4));
    let frozen = |s: &mut Status| {
        let thawed_by = (PathBuf::from(&group).join("cgroup.freeze"), "0");
        let writer = &mut s.writers[0];
        (writer.process, writer.in_flight) = (ProcessState::Frozen, None);
        writer.frozen_by = Some(Freezer { group: group.clone().into(), thawed_by });
    };
    let model = with_writer(frozen);
    begins(
        &model,
        &["WARNING app.log: writer 4311 (svc1 --port 80, through mmlogctl) is frozen, for at least 9 s"],
        &["  systemctl thaw n3.service", "thaws it; no signal reaches a frozen process"],
    );
}

/// A writer that was called with many words, and is stopped in the middle of an append.
fn with_long_name(path: &str, size: Size) -> Model {
    let mut status = stalled();
    (status.path, status.metadata_path) = (path.into(), (path.to_owned() + ".mmlog").into());
    (status.holds, status.followers, status.flaws) = Default::default();
    (status.damage, status.findings, status.durability.error) = Default::default();
    status.writers.retain(|writer| writer.pid == 4312);
    status.writers[0].command_line = Some("java -Xmx4096m -jar service.jar --port 80".repeat(4));
    status.conclude(&mmlog::Thresholds::default());
    let mut model = Model::new(&[PathBuf::from(path)], Access::Operate, size);
    looked(&mut model, 0, 0, Ok(Box::new(status)));
    model
}

#[test]
fn what_is_the_case_comes_before_who_it_is() {
    for (size, _) in SIZES {
        let text = text(&with_long_name("/var/log/app.log", size));
        let said: Vec<&str> = text.lines().take(4).map(str::trim).collect();
        let said = said.join(" ");
        for words in
            ["STALLED", "app.log: writer 4312 ", "is stopped with 128 B in flight at", "for at least 3m12s"]
        {
            assert!(said.contains(words), "{size}: {words}: {text}");
        }
        assert_eq!(said.contains("4312 (java"), size != SMALL, "{text}");
    }
}

#[test]
fn a_command_is_whole_or_marked_as_not_being_so() {
    let path = format!("/srv/{}/app.log", "a-directory/".repeat(9));
    let mut model = with_long_name(&path, LARGE);
    let Some(Ok(status)) = &mut model.logs[0].look else { unreachable!() };
    let command = format!("echo 0 > {path}/cgroup.freeze");
    status.findings[0].next_step = format!("`{command}` thaws it");
    status.findings.push(status.findings[0].clone());
    for is_list in [false, true] {
        model.screen = if is_list { crate::inspect::model::Screen::List } else { model.screen };
        for width in 20..=200 {
            model.update(Event::Size(Size::new(width, 30)));
            let text = text(&model);
            // As a shell joins them.
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let shown: Vec<String> = (0..lines.len())
                .filter(|at| lines[*at].starts_with("echo 0"))
                .map(|at| {
                    let goes_on = lines[at..].iter().take_while(|line| line.ends_with(" \\")).count();
                    lines[at..=at + goes_on].join(" ").replace(" \\ ", " ")
                })
                .collect();
            let marks = [super::super::head::COPIED, "... (status prints it)", "...("];
            let is_right = |line: &String| **line == command || marks.iter().any(|mark| line.ends_with(mark));
            assert!(!shown.is_empty() && shown.iter().all(is_right), "{width}: {text}");
        }
    }
}

#[test]
fn a_command_of_several_words_is_whole_where_there_are_rows_for_it() {
    let mut model = model(&stalled(), LARGE);
    let Some(Ok(status)) = &mut model.logs[0].look else { unreachable!() };
    let there = "/var/log/applications/it is";
    let command =
        format!("cp --sparse=always '{there} here'/a.log b.log && mmlogctl repair --rebuild '{there}'/a.log");
    status.findings[0].next_step = format!("`{command}` saves it");
    let text = text(&model);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with("cp ")).unwrap_or(lines.len() - 1);
    assert!(at < 4 && lines[at].ends_with(" \\"), "{text}");
    assert_eq!(format!("{} {}", lines[at].trim_end_matches(" \\"), lines[at + 1]), command, "{text}");
}

#[test]
fn a_filter_that_hides_rows_is_seen_on_the_smallest_screen() {
    let mut model = model(&busy(), SMALL);
    press(&mut model, "/4303\n");
    let text = text(&model);
    assert!(text.lines().last().is_some_and(|foot| foot.starts_with("/4303")), "{text}");
}

#[test]
fn a_note_is_below_the_state_at_every_size_that_has_a_line_for_it() {
    let mut status = stalled();
    let note = mmlog::Finding {
        severity: Severity::Info,
        state: mmlog::State::Ok,
        sentence: "1 hole, the latest of 8 B at 4".to_owned(),
        ..status.findings[0].clone()
    };
    (status.state, status.problem, status.findings) = (mmlog::State::Ok, None, vec![note]);
    for size in [Size::new(40, 12), LARGE, Size::new(120, 40), Size::new(200, 60)] {
        let text = text(&model(&status, size));
        let second = text.lines().nth(1).unwrap_or_default();
        assert!(second.starts_with("note: 1 hole, the latest of 8 B at 4"), "{size}: {text}");
    }
}
