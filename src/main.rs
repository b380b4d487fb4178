//! The binary: parse, run, print the error, exit.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match mlaction::commands::run(mlaction::cli::Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            mlaction::talk::always(&error.render());
            mlaction::talk::annotate("mlaction", &error.to_string());
            ExitCode::from(error.exit_code().code())
        }
    }
}
