//! Blocks of commands in pages of Markdown and in EXAMPLES of the manual.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// One block, as it stands.
pub(crate) struct Block {
    /// Where it is, from the root of the repository.
    pub(crate) document: String,
    pub(crate) line: usize,
    pub(crate) language: String,
    /// What a comment above it has done first, unseen by whoever reads the page.
    pub(crate) before: String,
    pub(crate) text: String,
}

/// A command, and what the page says that it prints; nothing where the page does not show it.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) shown: Option<Vec<String>>,
}

impl Block {
    /// Commands of a shell; what is in any other language is one thing that can only be listed.
    pub(crate) fn steps(&self) -> Vec<Step> {
        match self.language.as_str() {
            "console" => transcript(&self.text),
            "" | "sh" => lines(&self.text),
            "crontab" => self.text.lines().map(step).collect(),
            _ => vec![step(&self.text)],
        }
    }

    /// A program in C, C++ or Python names its file behind the language: a block after it compiles or runs that.
    pub(crate) fn file(&self) -> Option<&str> {
        self.language
            .split_once(' ')
            .filter(|(language, _)| ["c", "cpp", "python"].contains(language))
            .map(|(_, file)| file)
    }

    /// Whether a command is about the program in that file: it names the file, or the module that a Python one is.
    pub(crate) fn uses(&self, file: &str) -> bool {
        let module = file.strip_suffix(".py").map(|name| format!("{name}:"));
        self.steps().iter().any(|step| {
            let mut words = step.command.split_whitespace();
            words.any(|word| word == file || module.as_ref().is_some_and(|module| word.starts_with(module)))
        })
    }

    /// A block that rustdoc compiles, and nothing else that begins so: `ignore` would not be compiled.
    pub(crate) fn is_rust(&self) -> bool {
        ["rust", "rust,no_run", "rust,compile_fail"].contains(&self.language.as_str())
    }
}

fn step(command: &str) -> Step {
    Step { command: command.to_owned(), shown: None }
}

/// Each line is a command, unless the one before ends with a backslash.
fn lines(text: &str) -> Vec<Step> {
    let whole = text.replace("\\\n", " ");
    whole.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')).map(step).collect()
}

/// `$ ` and `# ` begin a command, and what follows is its output.
fn transcript(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
            Some(command) => steps.push(step(command)),
            None => {
                let last = steps.last_mut().expect("a transcript begins with a command");
                last.shown.get_or_insert_default().push(line.to_owned());
            }
        }
    }
    steps
}

/// The fenced blocks of a page.
pub(crate) fn of_markdown(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let mut lines = text.lines().enumerate();
    let mut blocks = Vec::new();
    let mut before = String::new();
    while let Some((number, line)) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- before:") {
            let mut rest = comment.to_owned();
            while !rest.ends_with("-->") {
                let (_, line) = lines.next().expect("the comment ends");
                rest = format!("{rest}\n{line}");
            }
            before = rest.trim_end_matches("-->").trim().to_owned();
        } else if let Some(language) = line.trim_start().strip_prefix("```") {
            assert!(line.starts_with('`'), "{document}:{}: a block in a list is not looked at", number + 1);
            let body: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| !line.starts_with("```")).collect();
            blocks.push(Block {
                document: document.to_owned(),
                line: number + 1,
                language: language.trim().to_owned(),
                before: std::mem::take(&mut before),
                text: body.join("\n"),
            });
        }
    }
    blocks
}

/// The examples of a page of the manual, each a block of its own.
pub(crate) fn of_manual(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let examples = text.lines().enumerate().skip_while(|(_, line)| *line != ".SH EXAMPLES").skip(1);
    let mut lines = examples.take_while(|(_, line)| !line.starts_with(".SH "));
    let mut blocks = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line == ".EX" {
            let body: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != ".EE").collect();
            let text = body.join("\n").replace("\\*(Aq", "'").replace("\\-", "-").replace("\\e", "\\");
            let (document, line) = (document.to_owned(), number + 2);
            blocks.push(Block { document, line, language: "sh".to_owned(), before: String::new(), text });
        }
    }
    blocks
}

/// The pages of Markdown that are for whoever uses it.
pub(crate) fn pages() -> Vec<String> {
    let mut pages = files("doc", ".md");
    pages.extend(["README.md", "PERFORMANCE.md", "RELIABILITY.md", "ARCHITECTURE.md"].map(str::to_owned));
    pages
}

/// The pages of the manual that have EXAMPLES.
pub(crate) fn manual() -> Vec<String> {
    files("man", ".1")
}

fn files(directory: &str, end: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(directory)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> =
        names.filter(|name| name.ends_with(end)).map(|name| format!("{directory}/{name}")).collect();
    found.sort();
    found
}
