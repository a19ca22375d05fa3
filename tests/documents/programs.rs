//! Programs of the pages: Rust's are examples of a crate's documentation; those in C, C++ and Python are files, which the commands below
//! them compile or run, and the first two compile as strictly as their compilers know.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::blocks::{Block, of_markdown, pages, root};
use crate::cli;

/// Puts a program where the commands look for it, and says what its compiler minds.
pub(crate) fn place(block: &Block, file: &Path) -> Vec<String> {
    fs::write(file, format!("{}\n", block.text)).unwrap();
    let (compiler, standard) = match block.language.split(' ').next() {
        Some("c") => ("gcc", "-std=gnu11"),
        Some("cpp") => ("g++", "-std=c++17"),
        _ => return Vec::new(),
    };
    let mut compile = Command::new(compiler);
    compile.args(["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread", standard]);
    compile.arg("-I").arg(root().join("crates/mmlog-capi/include")).arg(file);
    let place = format!("{}:{}", block.document, block.line);
    match compile.output() {
        Err(e) => cli::skipped(&place, &format!("no {compiler}: {e}")),
        Ok(done) if !done.status.success() => {
            return vec![format!("{place}: {}", String::from_utf8_lossy(&done.stderr))];
        }
        Ok(_) => {}
    }
    Vec::new()
}

/// Programs that no command below them compiles or runs.
pub(crate) fn unused(blocks: &[Block]) -> Vec<String> {
    let is_unused = |(at, block): (usize, &Block)| {
        let file = block.file()?;
        let is_used = blocks[at..].iter().any(|later| later.file().is_none() && later.uses(file));
        (!is_used).then(|| format!("{}:{}: no command compiles or runs {file}", block.document, block.line))
    };
    blocks.iter().enumerate().filter_map(is_unused).collect()
}

#[test]
fn rust_programs_of_the_pages_are_compiled() {
    let libraries = ["mmlog", "mmlog-logging"]
        .map(|name| fs::read_to_string(root().join(format!("crates/{name}/src/lib.rs"))).unwrap());
    for page in pages() {
        if of_markdown(&page).iter().any(Block::is_rust) {
            assert!(
                libraries
                    .iter()
                    .any(|library| library.contains(&format!("include_str!(\"../../../{page}\")"))),
                "{page}: no test compiles it"
            );
        }
    }
}

#[test]
fn a_program_that_its_compiler_minds_or_nobody_runs_is_noticed() {
    let block = |language: &str, text: &str| Block {
        document: "here".to_owned(),
        line: 1,
        language: language.to_owned(),
        before: String::new(),
        text: text.to_owned(),
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.c");
    let minds = |text: &str| place(&block("c a.c", text), &file).len();
    if cli::succeeds(Command::new("gcc").arg("--version")) {
        assert_eq!(minds("int main(void) { return 0; }"), 0);
        assert_eq!(minds("int main(void) { int unused; return 0; }"), 1);
    }
    let unused = |language: &str, command: &str| unused(&[block(language, ""), block("sh", command)]).len();
    assert_eq!((unused("c a.c", "gcc a.c -o a"), unused("c a.c", "gcc b.c")), (0, 1));
    assert_eq!((unused("python a.py", "python3 a.py"), unused("python a.py", "serve a:b")), (0, 0));
    assert_eq!(unused("python a.py", "true"), 1);
    assert!(!block("rust,ignore", "").is_rust());
}
