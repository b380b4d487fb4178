//! The binary: parse, run, print the error, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    match mlaction::commands::run(mlaction::cli::Cli::of_process()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            mlaction::talk::always(&error.render());
            mlaction::talk::annotate_error(&error);
            ExitCode::from(error.exit_code().code())
        }
    }
}
