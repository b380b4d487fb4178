//! Arguments of the commands for jobs that run elsewhere.

use clap::Args;

use super::Tell;

/// Where jobs are.
#[derive(Debug, Args)]
pub struct Place {
    /// The destination. Default: the config's, or the only one of SageMaker.
    #[arg(long, env = "MLACTION_DESTINATION", value_name = "NAME")]
    pub destination: Option<String>,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mlaction logs                        the last run on this machine\n  mlaction logs latest --tail 50       the newest job on SageMaker\n  mlaction logs 5a33cd1 --follow       the job of a commit, as it goes on"
)]
pub struct Logs {
    /// A run; or a job on SageMaker: its name, a commit, or `latest`. Default: the last run.
    #[arg(value_name = "RUN|JOB")]
    pub run: Option<String>,
    /// Go on until the run or the job ends.
    #[arg(short, long)]
    pub follow: bool,
    /// Only so many lines from the end.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// Where the job is.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `jobs`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mlaction jobs --running\n  mlaction jobs --pull-request 12 --json"
)]
pub struct Jobs {
    /// Those that run, only.
    #[arg(long)]
    pub running: bool,
    /// Those of one pull request, only.
    #[arg(long, value_name = "NUMBER")]
    pub pull_request: Option<u64>,
    /// At most so many, the newest ones.
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub limit: u16,
    /// One JSON document.
    #[arg(long)]
    pub json: bool,
    /// Where the jobs are.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mlaction watch              the newest job\n  mlaction watch 5a33cd1      the job of a commit"
)]
pub struct Watch {
    /// The job: its name, a commit, or `latest`.
    #[arg(default_value = "latest")]
    pub job: String,
    /// No log; one JSON document at the end.
    #[arg(long)]
    pub json: bool,
    /// Where the job is.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `gc`.
#[derive(Debug, Args)]
#[command(
    after_help = "A workflow that starts when a pull request is closed knows which one it is.\n\nExamples:\n  mlaction gc --dry-run\n  mlaction gc --closed 12"
)]
pub struct Gc {
    /// A pull request that is closed; may be repeated.
    #[arg(long, value_name = "NUMBER")]
    pub closed: Vec<u64>,
    /// Show them, and stop nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// One JSON document.
    #[arg(long)]
    pub json: bool,
    /// Where the jobs are.
    #[command(flatten)]
    pub place: Place,
}

/// Arguments of `collect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mlaction collect                       all that have ended\n  mlaction collect 5a33cd1 --wait        that of a commit, when it ends"
)]
pub struct Collect {
    /// The job: its name, a commit, or `latest`. Default: all that were detached.
    pub job: Option<String>,
    /// Wait for those that run.
    #[arg(long)]
    pub wait: bool,
    /// One JSON document with all reports.
    #[arg(long)]
    pub json: bool,
    /// Where the jobs are.
    #[command(flatten)]
    pub place: Place,
    /// What GitHub is told.
    #[command(flatten)]
    pub tell: Tell,
}

/// Arguments of `stop`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mlaction stop latest\n  mlaction stop churn-5a33cd1e8b-1-train"
)]
pub struct Stop {
    /// The job: its name, a commit, or `latest`.
    pub job: String,
    /// One JSON document.
    #[arg(long)]
    pub json: bool,
    /// Where the job is.
    #[command(flatten)]
    pub place: Place,
}
