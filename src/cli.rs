//! The command line: types and help text, no logic.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Train, validate, gate and report machine-learning models from a Git repository.
#[derive(Debug, Parser)]
#[command(name = "mlaction", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// Work in this folder instead of the current one.
    #[arg(
        short = 'C',
        long = "project",
        global = true,
        value_name = "DIR",
        default_value = "."
    )]
    pub project: PathBuf,
    /// Say nothing but results and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  mlaction check              is mlaction.toml right? all mistakes at once
  mlaction train --dry-run    what would happen, offline, nothing written
  mlaction train              train, validate, gate, report
  mlaction baseline set       take the last run as the baseline";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train, validate, gate and report.
    Train(Train),
    /// The same as `train --dry-run`.
    Plan(Train),
    /// Hold mlaction.toml against everything that can be known offline.
    Check,
    /// Print the JSON Schema of mlaction.toml.
    Schema,
    /// List the runs of this project.
    Runs {
        /// One JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Show the report of a run.
    Report {
        /// The run; the last one when it is left out.
        run: Option<String>,
        /// The face to show.
        #[arg(long, value_enum, default_value_t = Format::Terminal)]
        format: Format,
    },
    /// Print the log of a run, as the jobs wrote it.
    Logs {
        /// The run; the last one when it is left out.
        run: Option<String>,
    },
    /// Set or show the baseline.
    Baseline {
        /// What to do.
        #[command(subcommand)]
        action: BaselineAction,
    },
    /// Print a shell completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page.
    Man,
    /// Run a command that must not outlive mlaction.
    #[command(hide = true)]
    Supervise {
        /// Milliseconds between SIGTERM and SIGKILL.
        #[arg(long)]
        grace: u64,
        /// Where to write how it ended.
        #[arg(long)]
        record: Option<PathBuf>,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

/// Arguments of `train` and `plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mlaction train --dry-run --json\n  mlaction train --set learning_rate=0.01 --force"
)]
pub struct Train {
    /// Print the plan and stop: no network, no credentials, nothing written.
    #[arg(long)]
    pub dry_run: bool,
    /// One JSON document on standard output.
    #[arg(long)]
    pub json: bool,
    /// Train again although a finished run has the same content.
    #[arg(long)]
    pub force: bool,
    /// Another destination than the config's.
    #[arg(long, env = "MLACTION_DESTINATION", value_name = "NAME")]
    pub destination: Option<String>,
    /// Another baseline file than the config's.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Another value for a hyperparameter; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    pub hyperparameters: Vec<(String, String)>,
}

/// What to do with the baseline.
#[derive(Debug, Subcommand)]
pub enum BaselineAction {
    /// Take a run's metrics as the baseline.
    Set {
        /// The run; the last complete one when it is left out.
        run: Option<String>,
    },
    /// Print the baseline.
    Show,
}

/// A face of the report.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// For people at a terminal.
    Terminal,
    /// For a pull request.
    Markdown,
    /// A page for a browser: one file, nothing loaded from elsewhere.
    Html,
    /// For programs.
    Json,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
