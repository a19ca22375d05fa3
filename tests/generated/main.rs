//! The pages under man/ and the completions under completions/ are rendered from the command line's
//! definition, and are current. After a change: `MMLOG_BLESS=1 cargo test -p mmlogctl --test generated`.

mod completions;
mod pages;
mod see_also;
mod states;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use mmlogctl::cli;
use mmlogctl::exit::{ENDED, Exit, Found, LISTED, LOOKED, NotRun, RAN, Verdict};
use pages::Page;

type Outcome = Result<(), Box<dyn Error>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn man_pages_are_current() -> Outcome {
    let rendered = man_pages()?;
    compare(&rendered)?;
    for entry in fs::read_dir(root().join("man"))? {
        let name = PathBuf::from("man").join(entry?.file_name());
        let ours = name.to_string_lossy().starts_with("man/mmlogctl");
        assert!(!ours || rendered.contains_key(&name), "{} is of no command", name.display());
    }
    Ok(())
}

#[test]
fn the_page_for_whoever_is_on_call_has_all_states_and_all_findings() -> Outcome {
    let page = "doc/on-call.md";
    let mut text = fs::read_to_string(root().join(page))?;
    for (what, table) in [("states", states::markdown()), ("findings", states::findings())] {
        let (begin, end) = (format!("<!-- {what} -->\n"), format!("<!-- /{what} -->\n"));
        let (before, rest) = text.split_once(&begin).ok_or_else(|| format!("no table of {what}"))?;
        let (_, behind) = rest.split_once(&end).ok_or_else(|| format!("the table of {what} has no end"))?;
        text = format!("{before}{begin}{table}{end}{behind}");
    }
    compare(&BTreeMap::from([(PathBuf::from(page), text.into_bytes())]))
}

#[test]
fn completions_are_current() -> Outcome {
    compare(&rendered_completions())
}

#[test]
fn every_command_has_a_page_with_examples() {
    for command in command().get_subcommands() {
        let page = pages::of(command.get_name());
        assert!(!page.examples.is_empty(), "{}", command.get_name());
    }
}

#[test]
fn a_page_names_every_exit_code() -> Outcome {
    for (path, page) in man_pages()? {
        let page = String::from_utf8(page)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        for (code, meaning) in exit_codes(&name) {
            assert!(page.contains(&meaning.replace('-', "\\-")), "{}: {code}", path.display());
        }
    }
    Ok(())
}

/// These end by signals in ways of their own, which their texts have.
const OTHERWISE: [&str; 4] = ["mmlogctl-append", "mmlogctl-bench", "mmlogctl-drill", "mmlogctl-inspect"];

/// Those of `check` are what monitoring makes of them, those of `grep` what grep(1) has, those of `status` and `ls` what a look can end with, those of `exec` mostly the program's.
fn exit_codes(page: &str) -> Vec<(String, &'static str)> {
    let ended = (ENDED.0.to_owned(), ENDED.1);
    match page {
        "mmlogctl-check" => {
            let verdicts = Verdict::ALL.map(|v| (v.code().to_string(), v.meaning()));
            verdicts.into_iter().chain([ended]).collect()
        }
        "mmlogctl-grep" => {
            let found = Found::ALL.map(|found| (found.code().to_string(), found.meaning()));
            found.into_iter().chain([ended]).collect()
        }
        "mmlogctl-status" | "mmlogctl-ls" => {
            let codes = if page == "mmlogctl-ls" { LISTED } else { LOOKED };
            codes.map(|(code, meaning)| (code.to_owned(), meaning)).into_iter().chain([ended]).collect()
        }
        "mmlogctl-exec" => {
            let ran = RAN.map(|(code, meaning)| (code.to_owned(), meaning));
            let not_run = NotRun::ALL.map(|not_run| (not_run.code().to_string(), not_run.meaning()));
            ran.into_iter().chain(not_run).collect()
        }
        "mmlogctl-ship" | "mmlogctl-receive" => {
            mmlog_ship::cli::EXITS.map(|(code, meaning)| (code.to_string(), meaning)).into()
        }
        _ => {
            let all = Exit::ALL.map(|exit| (exit.code().to_string(), exit.meaning()));
            all.into_iter().chain(Some(ended).filter(|_| !OTHERWISE.contains(&page))).collect()
        }
    }
}

/// Compares with the files at the root of the repository, or writes them when told to.
fn compare(rendered: &BTreeMap<PathBuf, Vec<u8>>) -> Outcome {
    for (name, bytes) in rendered {
        let path = root().join(name);
        if std::env::var_os("MMLOG_BLESS").is_some() {
            fs::write(&path, bytes)?;
        }
        let is = fs::read(&path).unwrap_or_default();
        assert!(is == *bytes, "{} is not current; run the tests once with MMLOG_BLESS=1", name.display());
    }
    Ok(())
}

fn command() -> Command {
    let mut command = cli::command();
    // The program that they start has more to say.
    let ships = mmlog_ship::cli::command();
    for theirs in ships.get_subcommands() {
        command = command.mut_subcommand(theirs.get_name(), |_| theirs.clone());
    }
    command.build();
    command
}

fn rendered_completions() -> BTreeMap<PathBuf, Vec<u8>> {
    let (options, commands) = completions::all(&command());
    let scripts = [
        ("mmlogctl.bash", completions::bash::script(&options, &commands)),
        ("_mmlogctl", completions::zsh::script(&options, &commands)),
        ("mmlogctl.fish", completions::fish::script(&options, &commands)),
    ];
    scripts.into_iter().map(|(name, text)| (Path::new("completions").join(name), text.into_bytes())).collect()
}

fn man_pages() -> Result<BTreeMap<PathBuf, Vec<u8>>, Box<dyn Error>> {
    let tool = command();
    let mut pages = BTreeMap::new();
    for command in tool.get_subcommands().chain([&tool]) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let bytes = man_page(command.clone(), &pages::of(command.get_name()))?;
        pages.insert(name, String::from_utf8(bytes)?);
    }
    let whole = |(name, page): (&String, &String)| {
        let page = page.clone() + &see_also::section(name, &pages);
        (PathBuf::from(format!("man/{name}.1")), page.into_bytes())
    };
    Ok(pages.iter().map(whole).collect())
}

fn man_page(mut command: Command, page: &Page) -> Result<Vec<u8>, Box<dyn Error>> {
    let usage = command.render_usage().to_string();
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let has_commands = command.has_subcommands();
    let groups = groups(&command);
    let man = Man::new(command);
    let mut bytes = Vec::new();
    man.render_name_section(&mut bytes)?;
    paragraphs("SYNOPSIS", &[usage.trim_start_matches("Usage: ")]).to_writer(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    man.render_options_section(&mut bytes)?;
    if has_commands {
        commands(&groups).to_writer(&mut bytes)?;
    }
    exit_status(&name).to_writer(&mut bytes)?;
    if name == "mmlogctl-status" {
        states::section().to_writer(&mut bytes)?;
    }
    files().to_writer(&mut bytes)?;
    if !page.caveats.is_empty() {
        paragraphs("CAVEATS", page.caveats).to_writer(&mut bytes)?;
    }
    examples(page.examples).to_writer(&mut bytes)?;
    Ok(with_title(&name, &String::from_utf8(bytes)?))
}

/// The title line, which gives no date, and one apostrophe preamble in place of one a section.
fn with_title(name: &str, sections: &str) -> Vec<u8> {
    let preamble = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
    let version = env!("CARGO_PKG_VERSION");
    let title = format!("{preamble}.TH {name} 1 \"\" \"mmlog {version}\" \"mmlog manual\"\n");
    (title + &sections.replace(preamble, "")).into_bytes()
}

fn exit_status(name: &str) -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in exit_codes(name) {
        section.control("TP", []).text([bold(code)]);
        section.text([roman(meaning)]);
    }
    if name == "mmlogctl" {
        section.control("PP", []).text([
            bold("mmlogctl check"),
            roman(" has exit codes of its own, those of monitoring: see mmlogctl-check(1). "),
            bold("mmlogctl exec"),
            roman(" has those of the program that it runs: see mmlogctl-exec(1)."),
        ]);
    }
    section
}

/// The groups of help, with the page and the sentence of each command.
type Groups = Vec<(&'static str, Vec<(String, String)>)>;

fn groups(command: &Command) -> Groups {
    if !command.has_subcommands() {
        return Vec::new();
    }
    let of = |name: &&str| {
        let about = command.find_subcommand(name).and_then(Command::get_about);
        (format!("mmlogctl-{name}"), about.map(ToString::to_string).unwrap_or_default())
    };
    cli::GROUPS.iter().map(|(group, names)| (*group, names.iter().map(of).collect())).collect()
}

fn commands(groups: &Groups) -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["COMMANDS"]);
    for (group, commands) in groups {
        section.control("SS", [*group]);
        for (page, about) in commands {
            section.control("TP", []).text([bold(page.clone()), roman("(1)")]).text([roman(about.clone())]);
        }
    }
    section
}

fn files() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["FILES"]);
    for (name, what) in pages::FILES {
        section.control("TP", []).text([bold(*name)]).text([roman(*what)]);
    }
    section
}

fn paragraphs(title: &str, paragraphs: &[&str]) -> Roff {
    let mut section = Roff::new();
    section.control("SH", [title]);
    for (nth, paragraph) in paragraphs.iter().enumerate() {
        if nth > 0 {
            section.control("PP", []);
        }
        section.text([roman(*paragraph)]);
    }
    section
}

fn examples(examples: &[(&str, &str)]) -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXAMPLES"]);
    for (nth, (what, line)) in examples.iter().enumerate() {
        if nth > 0 {
            section.control("PP", []);
        }
        section.text([roman(*what)]);
        section.control("RS", ["4"]).control("EX", []).text([roman(*line)]);
        section.control("EE", []).control("RE", []);
    }
    section
}
