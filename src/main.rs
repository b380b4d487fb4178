//! The binary: parse, run, print the error, exit.

use clap::Parser as _;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match mlaction::commands::run(mlaction::cli::Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // NOTE: there is nowhere left to report that standard error is gone.
            let _ = writeln!(std::io::stderr(), "{}", error.render());
            ExitCode::from(error.exit_code().code())
        }
    }
}
