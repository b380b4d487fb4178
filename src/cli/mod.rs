//! The command line: types and help text, no logic.

mod jobs;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use jobs::{Collect, Gc, Jobs, Logs, Place, Stop, Watch};

use crate::metrics::preset::Preset;

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
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: the plan, the installer's output, how long each step took.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  mlaction init my-project    write a complete project that trains as it stands
  mlaction check              is mlaction.toml right? all mistakes at once
  mlaction train --dry-run    what would happen, offline, nothing written
  mlaction train              train, validate, gate, report
  mlaction baseline set       take the last run as the baseline";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a complete ML project: data, training, validation, serving, tests, workflows.
    Init(Init),
    /// Train, validate, gate and report.
    Train(Train),
    /// The same as `train --dry-run`.
    Plan(Train),
    /// Hold mlaction.toml against everything that can be known offline.
    Check,
    /// Print the JSON Schema of a document that mlaction reads or writes.
    Schema {
        /// The document.
        #[arg(value_enum, default_value_t = Document::Config)]
        document: Document,
    },
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
    /// Print the log of a run, or of a job on SageMaker, as the jobs wrote it.
    Logs(Logs),
    /// List the project's jobs on SageMaker, whoever launched them.
    Jobs(Jobs),
    /// Report the jobs that were launched with `train --detach` and have ended: each one once.
    Collect(Collect),
    /// Follow a job on SageMaker to its end. It goes on when you stop following.
    Watch(Watch),
    /// Stop a job on SageMaker.
    Stop(Stop),
    /// Stop the jobs of closed pull requests and of commits that newer ones supersede.
    Gc(Gc),
    /// Try metric definitions and presets on a log, or read a metrics file.
    Metrics(Metrics),
    /// Build or publish the training image.
    Image {
        /// What to do.
        #[command(subcommand)]
        action: ImageAction,
    },
    /// Set or show the baseline.
    Baseline(Baseline),
    /// Write the report of another workflow's run on its pull request, which may be a fork's.
    Post(Post),
    /// Read the comment that started the workflow: `/train` by somebody who may write here.
    Chat,
    /// Print a shell completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page.
    Man,
    /// Be the Action: take the inputs of a step of GitHub Actions.
    #[command(hide = true)]
    Action,
    /// Clean up after a step of GitHub Actions that was killed.
    #[command(hide = true)]
    PostAction(Tell),
    /// Become a command that must not outlive its supervisor.
    #[command(hide = true)]
    Become {
        /// Process id of the supervisor.
        supervisor: u32,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
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

/// Arguments of `init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mlaction init churn-model\n  mlaction init --list\n  mlaction init --adopt .      in a repository that has code already"
)]
pub struct Init {
    /// The project's folder; it is made when it is not there.
    #[arg(default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    /// The project's name; the folder's name when it is left out.
    #[arg(long)]
    pub name: Option<String>,
    /// Where jobs run by default.
    #[arg(long, value_enum, default_value_t = DestinationKind::Process)]
    pub destination: DestinationKind,
    /// Add what is missing to a folder with files in it; nothing is overwritten.
    #[arg(long)]
    pub adopt: bool,
    /// List what would be written, and write nothing.
    #[arg(long)]
    pub list: bool,
}

/// A kind of place where jobs run.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DestinationKind {
    /// A process on this machine: no account, no Docker.
    Process,
    /// Containers of the image, on a Docker Engine.
    Docker,
    /// Jobs of Amazon SageMaker AI: what they need is written as comments, to be filled in.
    Sagemaker,
}

impl DestinationKind {
    /// Its name in mlaction.toml.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Docker => "docker",
            Self::Sagemaker => "sagemaker",
        }
    }
}

/// What to do with the image.
#[derive(Debug, Subcommand)]
pub enum ImageAction {
    /// Build it, unless the engine has it already.
    Build(Image),
    /// Build it if need be, and publish it to the registry, unless it is there already.
    Push(Image),
}

/// Arguments of `image build` and `image push`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mlaction image build --dry-run\n  mlaction image push --json")]
pub struct Image {
    /// Print what would be built and stop: no network, no engine, nothing written.
    #[arg(long)]
    pub dry_run: bool,
    /// One JSON document on standard output.
    #[arg(long)]
    pub json: bool,
    /// Build although the image is there already, and use no build cache.
    #[arg(long)]
    pub force: bool,
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
    /// Leave the training job when it is launched; `mlaction collect` does the rest, anywhere.
    #[arg(long)]
    pub detach: bool,
    /// Another destination than the config's.
    #[arg(long, env = "MLACTION_DESTINATION", value_name = "NAME")]
    pub destination: Option<String>,
    /// Another baseline file than the config's.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Another value for a hyperparameter; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    pub hyperparameters: Vec<(String, String)>,
    /// In a workflow with rights of its own (`pull_request_target`, `issue_comment`,
    /// `workflow_run`): run the code of a fork with them.
    #[arg(long)]
    pub allow_fork_code: bool,
    /// What GitHub is told.
    #[command(flatten)]
    pub tell: Tell,
}

/// What GitHub is told of a run, in a job of GitHub Actions whose environment has a
/// `GITHUB_TOKEN`.
#[derive(Debug, Clone, Args)]
pub struct Tell {
    /// Write no comment on the pull request.
    #[arg(long, help_heading = "In GitHub Actions")]
    pub no_comment: bool,
    /// Make no check on the commit.
    #[arg(long, help_heading = "In GitHub Actions")]
    pub no_check: bool,
    /// Fail when comment or check cannot be written.
    #[arg(long, help_heading = "In GitHub Actions")]
    pub require_report: bool,
    /// The pull request, where the event that started the workflow is none of one.
    #[arg(long, value_name = "NUMBER", help_heading = "In GitHub Actions")]
    pub pull_request: Option<u64>,
}

/// Arguments of `post`.
#[derive(Debug, Args)]
#[command(
    after_help = "For `on: workflow_run`: the pull request is found by the other run's commit, never by what the report says.\n\nExamples:\n  mlaction post --report report/report.json"
)]
pub struct Post {
    /// The report that the other run left: report.json, which may be anybody's.
    #[arg(long, value_name = "FILE")]
    pub report: PathBuf,
    /// What GitHub is told.
    #[command(flatten)]
    pub tell: Tell,
}

/// Arguments of `metrics`.
#[derive(Debug, Args)]
#[command(after_help = METRICS_EXAMPLES)]
pub struct Metrics {
    /// The log, or a metrics file; `-` is standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Read a log format by its name, besides the project's presets; may be repeated.
    #[arg(long = "preset", value_name = "NAME", value_enum)]
    pub presets: Vec<Preset>,
    /// A metric definition as on SageMaker, besides the project's; may be repeated.
    #[arg(long = "definition", value_name = "NAME=REGEX", value_parser = pair)]
    pub definitions: Vec<(String, String)>,
    /// What the input is. Default: a metrics file when its name ends in `.json`, else a log.
    #[arg(long = "as", value_name = "KIND", value_enum)]
    pub kind: Option<MetricsKind>,
    /// One JSON document on standard output.
    #[arg(long)]
    pub json: bool,
}

const METRICS_EXAMPLES: &str = "\
Examples:
  mlaction metrics train.log                       with the project's definitions and presets
  python train.py 2>&1 | mlaction metrics --preset keras
  mlaction metrics train.log --definition 'loss=train_loss=([0-9.]+)'
  mlaction metrics output/data/metrics.json        is the file right?";

/// What `metrics` reads.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MetricsKind {
    /// The output of a job.
    Log,
    /// A metrics file: numbers by name, as JSON.
    File,
}

/// Arguments of `baseline`.
#[derive(Debug, Args)]
pub struct Baseline {
    /// What to do.
    #[command(subcommand)]
    pub action: BaselineAction,
    /// The destination whose baseline it is, where it keeps one. Default: the config's.
    #[arg(long, env = "MLACTION_DESTINATION", value_name = "NAME", global = true)]
    pub destination: Option<String>,
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

/// A document with a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Document {
    /// mlaction.toml
    Config,
    /// report.json
    Report,
    /// baseline.json
    Baseline,
    /// metrics.json
    Metrics,
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

/// The program's name in the Action's image for the step that cleans up. The runner gives that
/// step the arguments of the main step, and no way to tell them apart.
/// <https://github.com/actions/runner/blob/v2.336.0/src/Runner.Worker/Handlers/ContainerActionHandler.cs>
const POST_ACTION: &str = "mlaction-post";

impl Cli {
    /// The command line of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let program = std::env::args_os().next().map(PathBuf::from);
        let name = program.as_ref().and_then(|program| program.file_name());
        if name.is_some_and(|name| name == POST_ACTION) {
            return Self::parse_from(["mlaction", "post-action"]);
        }
        Self::parse()
    }
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
