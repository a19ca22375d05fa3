//! `mmlogctl-ship`: what `mmlogctl ship` and `mmlogctl receive` start. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mmlog_ship::cli::main(std::env::args_os())
}
