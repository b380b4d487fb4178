//! The binary: parse, run, print the error, exit.

use clap::Parser as _;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match mlaction::commands::run(mlaction::cli::Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let mut err = std::io::stderr().lock();
            // NOTE: there is nowhere left to report that standard error is gone.
            let _ = error.diagnostics().map(|text| writeln!(err, "{text}\n"));
            let _ = writeln!(err, "error: {}", error.message());
            let _ = error.cause().map(|cause| writeln!(err, "  cause: {cause}"));
            let _ = error.advice().map(|hint| writeln!(err, "  hint: {hint}"));
            ExitCode::from(error.exit_code().code())
        }
    }
}
