//! The binary: parse, run, print the error, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = match mlaction::commands::run(mlaction::cli::Cli::of_process()) {
        Ok(code) => code,
        Err(error) => {
            mlaction::talk::always(&error.render());
            mlaction::talk::annotate_error(&error);
            error.exit_code().code()
        }
    };
    mlaction::talk::leave_runner();
    ExitCode::from(code)
}
