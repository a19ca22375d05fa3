//! `mmlogctl ship` and `mmlogctl receive`: what a program of its own does, `mmlogctl-ship`, so that this one needs no sink.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::exit::{Exit, Failure, limited, shown};
use crate::signals;

/// The program.
const NAME: &str = "mmlogctl-ship";

/// Ship a log to another place as it grows, each byte once.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub struct ShipArgs {
    #[command(flatten)]
    words: Words,
}

/// Make logs again of what was shipped.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub struct ReceiveArgs {
    #[command(flatten)]
    words: Words,
}

/// What that program is given as it stands.
#[derive(Args, Debug)]
struct Words {
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<OsString>,
}

/// Becomes the program that ships.
///
/// # Errors
/// When there is none, or it cannot be started.
pub fn ship(args: &ShipArgs) -> Result<Exit, Failure> {
    become_it("ship", &args.words)
}

/// Becomes the program that receives.
///
/// # Errors
/// As [`ship`].
pub fn receive(args: &ReceiveArgs) -> Result<Exit, Failure> {
    become_it("receive", &args.words)
}

fn become_it(command: &str, words: &Words) -> Result<Exit, Failure> {
    let program = program(
        NAME,
        "the package mmlog-ship has it, and it is built from the same source: cargo install --locked --path crates/mmlog-ship",
    )?;
    let e = signals::as_called(|| Command::new(&program).arg(command).args(&words.words).exec());
    Err(Failure::new(Exit::Failed, format!("{}: {}", shown(&program), limited(&e))))
}

/// A program that belongs to this one: beside it, in libexec, or in PATH. `whence` says where it is had.
pub(super) fn program(name: &str, whence: &str) -> Result<PathBuf, Failure> {
    let this = std::env::current_exe().map_err(|e| Failure::new(Exit::Failed, limited(&e)))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = this.parent().into_iter().flat_map(|here| [here.to_owned(), here.join("../libexec/mmlog")]);
    let mut files = beside.chain(std::env::split_paths(&path)).map(|dir| dir.join(name));
    files.find(|file| file.is_file()).ok_or_else(|| {
        let text = format!("{name} is neither beside {} nor in PATH; {whence}", shown(&this));
        Failure::new(Exit::Failed, text)
    })
}
