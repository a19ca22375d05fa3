//! Guards the headers: they declare what the library has, by cbindgen's word and the linker's, and nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking")]

mod programs;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use mmlog_capi::codes;
use programs::{STRICT, built, functions, here, is_there, output};

fn checked_in() -> String {
    ["libmmlog.h", "mmlog.h"].map(|header| fs::read_to_string(here("include").join(header)).unwrap()).concat()
}

/// What cbindgen would write, from the functions and what they use.
fn generated() -> String {
    let strings = |names: &[&str]| names.iter().copied().map(String::from).collect::<Vec<_>>();
    let config = cbindgen::Config {
        language: cbindgen::Language::C,
        no_includes: true,
        documentation: false,
        usize_is_size_t: true,
        export: cbindgen::ExportConfig {
            include: strings(&["log_metadata_t", "chunk_info_t", "log_range_t"]),
            ..Default::default()
        },
        ..Default::default()
    };
    let sources = ["ticket", "original", "policy", "calls", "following"];
    let builder = sources.iter().fold(cbindgen::Builder::new().with_config(config), |builder, source| {
        builder.with_src(here(&format!("src/{source}.rs")))
    });
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// Without comments.
fn code(header: &str) -> String {
    let mut parts = header.split("/*");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |code, part| code + " " + part.split_once("*/").unwrap().1)
}

/// Constants, as the preprocessor has them.
fn constants(header: &str) -> BTreeSet<(String, String)> {
    let code = code(header);
    let defined = code.lines().filter_map(|line| line.strip_prefix("#define MMLOG_"));
    defined
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (format!("MMLOG_{name}"), value.trim().to_owned()))
        .collect()
}

/// Types and functions, one word apart.
fn declarations(header: &str) -> BTreeSet<String> {
    let code = code(header);
    let lines =
        code.lines().filter(|line| !line.starts_with('#') && *line != "}" && !line.contains("extern \"C\""));
    let text = lines.collect::<Vec<_>>().join(" ").replace('*', " * ");
    let text = text.replace(['(', ')', ',', '{', '}'], " ").replace("struct ", " ");
    let mut found = BTreeSet::new();
    for declaration in text.split("typedef ").flat_map(|part| part.split(';')) {
        found.insert(declaration.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    found
}

#[test]
fn the_headers_declare_what_cbindgen_finds_in_the_sources() {
    let (ours, theirs) = (declarations(&checked_in()), declarations(&generated()));
    assert!(ours.len() > 60, "{ours:?}");
    assert_eq!(ours, theirs);
}

#[test]
fn constants_and_error_codes_have_the_values_of_the_sources() {
    let codes = codes::ALL.iter().map(|(name, code)| ((*name).to_owned(), code.to_string()));
    let version = ("MMLOG_VERSION".to_owned(), format!("\"{}\"", env!("CARGO_PKG_VERSION")));
    let mut theirs = constants(&generated());
    theirs.extend(codes.chain([version]));
    assert_eq!(constants(&checked_in()), theirs);
}

#[test]
fn the_manual_has_every_function_and_every_error() {
    let page = fs::read_to_string(here("../../man/mmlog.3")).unwrap();
    let header = checked_in();
    let mut functions = 0;
    for line in
        header.lines().filter(|line| line.ends_with(");") && line.starts_with(|c: char| c.is_lowercase()))
    {
        assert!(page.contains(&format!("\n.B \"{line}\"\n")), "{line}");
        functions += 1;
    }
    assert!(functions > 20);
    for (name, _) in codes::ALL {
        assert!(page.contains(&format!("\n{name}\tE")), "{name}");
    }
}

#[test]
fn the_library_exports_the_functions_of_the_headers_and_nothing_else() {
    if !is_there("nm") {
        return;
    }
    let listed = output(Command::new("nm").args(["-D", "--defined-only"]).arg(built("libmmlog_capi.so")));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let exported: BTreeSet<String> =
        listed.lines().map(|line| line.split_whitespace().last().unwrap().to_owned()).collect();
    assert_eq!(exported, functions());
}

#[test]
fn the_library_is_known_by_its_soname_and_stays_loaded() {
    if !is_there("readelf") {
        return;
    }
    let said = output(Command::new("readelf").arg("-d").arg(built("libmmlog_capi.so")));
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("soname: [libmmlog.so.0]"), "{said}");
    assert!(said.contains("NODELETE"), "{said}");
}

#[test]
fn each_header_stands_alone_and_may_come_twice() {
    for (compiler, language, standard) in [
        ("gcc", "c", "-std=c99"),
        ("gcc", "c", "-std=c11"),
        ("g++", "c++", "-std=c++11"),
        ("g++", "c++", "-std=c++20"),
    ] {
        if !is_there(compiler) {
            continue;
        }
        for header in ["libmmlog.h", "mmlog.h"] {
            let mut check = Command::new(compiler);
            check.args(STRICT).args([standard, "-fsyntax-only", "-I"]).arg(here("include"));
            let file = here("include").join(header);
            check.arg("-include").arg(&file).arg("-include").arg(&file).args(["-x", language, "/dev/null"]);
            output(&mut check);
        }
    }
}
