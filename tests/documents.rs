//! What README, doc/ and the manual tell to type works as it stands, and prints what they show. What cannot be run here is in one
//! list, with the reason and what is checked instead; links lead somewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "documents/blocks.rs"]
mod blocks;
#[path = "cli/mod.rs"]
mod cli;
#[path = "documents/links.rs"]
mod links;
#[path = "documents/listed.rs"]
mod listed;
#[path = "documents/programs.rs"]
mod programs;
#[path = "documents/shown.rs"]
mod shown;
#[path = "documents/stage.rs"]
mod stage;

use std::thread;

use blocks::{Block, Step, manual, of_manual, of_markdown, pages};
use listed::{LISTED, Listed, STAND_INS};
use stage::{Stage, lacks};

/// What the examples of a page need beyond the logs that all of them have: the page, a part of the example, the commands.
const NEEDS: &[(&str, &str, &str)] = &[
    ("man/mmlogctl-init.1", "--adopt", "rm -f app.log*; seq 3 > app.log"),
    ("man/mmlogctl-init.1", "init", "rm -f app.log*"),
    (
        "man/mmlogctl-prune.1",
        "--forget",
        "mmlogctl tail --until-now --cursor-file place --hold shipper app.log",
    ),
    ("man/mmlogctl-receive.1", "receive", "mmlogctl ship --until-now app.log --to file:archive 2>tmp/said"),
    ("man/mmlogctl-repair.1", "--rebuild", "rm app.log.mmlog"),
];

#[test]
fn every_command_of_the_pages_works_and_prints_what_they_show() {
    let wrong = of_all(&pages(), of_a_page);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_example_of_the_manual_works() {
    let wrong = of_all(&manual(), of_the_manual);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn everything_in_the_list_is_still_in_a_document_and_checked() {
    let blocks: Vec<Block> = pages()
        .iter()
        .flat_map(|page| of_markdown(page))
        .chain(manual().iter().flat_map(|page| of_manual(page)))
        .filter(|block| !block.is_rust() && block.file().is_none())
        .collect();
    for entry in LISTED {
        let of_it = blocks.iter().filter(|block| block.document == entry.document);
        let mut commands = of_it
            .flat_map(Block::steps)
            .map(|step| step.command)
            .filter(|c| c.contains(entry.holds))
            .peekable();
        assert!(commands.peek().is_some(), "{} has no {:?} any more", entry.document, entry.holds);
        for command in commands {
            let wrong = entry.wrong(&command);
            assert!(wrong.is_none(), "{}: {command}\n({}) {}", entry.document, entry.why, wrong.unwrap());
        }
    }
    for (program, why) in STAND_INS {
        let used = blocks.iter().any(|block| block.text.contains(&format!("| {program} ")));
        assert!(used, "nothing pipes into {program} ({why})");
    }
    for (page, part, _) in NEEDS {
        let used = blocks.iter().any(|block| block.document == *page && block.text.contains(part));
        assert!(used, "{page} has no {part:?} any more");
    }
}

#[test]
fn a_command_that_fails_or_prints_something_else_is_noticed() {
    let stage = Stage::new();
    let wrong = |text: &str| {
        let block = block("console", text);
        stage.perform(&block, &block.steps()).len()
    };
    assert_eq!(wrong("$ echo 1 a\n7 a\n$ false\n$ echo $?\n1"), 0);
    assert_eq!(wrong("$ echo a\nb\n$ true"), 1);
    assert_eq!(wrong("$ false\n$ true"), 1);
    assert_eq!(wrong("$ exit 0\n$ true"), 1);
    assert_eq!(wrong("$ mmlogctl tail -f --none app.log"), 1);
    assert_eq!(wrong("$ true\nunsaid"), 1);
    assert_eq!((wrong("$ seq 12 | wc -l\n12"), wrong("$ seq 12 | wc -l\n13")), (0, 1));
}

fn block(language: &str, text: &str) -> Block {
    let (language, text) = (language.to_owned(), text.to_owned());
    Block { document: "here".to_owned(), line: 1, language, before: String::new(), text }
}

/// What is wrong with the pages, several at a time: most of the time they wait for what follows.
fn of_all(pages: &[String], of: fn(&str) -> Vec<String>) -> Vec<String> {
    thread::scope(|scope| {
        let parts = pages.chunks(pages.len().div_ceil(4));
        let begun: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().flat_map(|page| of(page)).collect::<Vec<_>>()))
            .collect();
        begun.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

/// The blocks of a page run one after the other in the same place, as whoever reads it would do.
fn of_a_page(page: &str) -> Vec<String> {
    let stage = Stage::new();
    let blocks = of_markdown(page);
    let of_one = |block: &Block| match block.file() {
        Some(file) => programs::place(block, &stage.file(file)),
        None => perform(&stage, block, entries(page)),
    };
    let mut wrong: Vec<String> = blocks.iter().filter(|block| !block.is_rust()).flat_map(of_one).collect();
    wrong.extend(programs::unused(&blocks));
    wrong
}

/// Each example of the manual stands for itself.
fn of_the_manual(page: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for mut block in of_manual(page) {
        let stage = Stage::new().with_logs();
        let needs = NEEDS.iter().find(|(of, part, _)| *of == page && block.text.contains(part));
        block.before = needs.map_or_else(String::new, |(_, _, commands)| format!("{commands} >tmp/needs"));
        wrong.extend(perform(&stage, &block, entries(page)));
    }
    wrong
}

fn entries(page: &str) -> Vec<&'static Listed> {
    LISTED.iter().filter(|entry| entry.document == page).collect()
}

/// Runs what is not listed.
fn perform(stage: &Stage, block: &Block, listed: Vec<&Listed>) -> Vec<String> {
    let is_run = |step: &Step| !listed.iter().any(|entry| step.command.contains(entry.holds));
    let steps: Vec<Step> = block.steps().into_iter().filter(is_run).collect();
    if !steps.is_empty() && !["", "sh", "console"].contains(&block.language.as_str()) {
        let what = "is neither commands of a shell nor listed in tests/documents/listed.rs";
        return vec![format!("{}:{}: {what}:\n{}", block.document, block.line, block.text)];
    }
    if let Some(program) = steps.iter().find_map(|step| lacks(&step.command)) {
        cli::skipped(&format!("{}:{}", block.document, block.line), &format!("no {program}"));
        return Vec::new();
    }
    stage.perform(block, &steps)
}
