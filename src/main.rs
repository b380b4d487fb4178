//! The binary: parse, run, print the error, exit.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match mlaction::commands::run(mlaction::cli::Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            mlaction::talk::failed("mlaction", &error.to_string(), &error.render());
            ExitCode::from(error.exit_code().code())
        }
    }
}
