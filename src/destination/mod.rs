//! Where jobs run: one trait in our words, one watch loop, one implementation per place.

pub mod docker;
mod job_log;
pub mod place;
pub mod process;
pub(crate) mod results;
pub mod sagemaker;
pub mod toolkit;
mod unpack;
pub mod watch;

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::metrics::Number;
use crate::report::jobs::JobInfo;

/// The few verbs that a place to run jobs must know.
///
/// A job is identified by its name, which the plan derives from content: launching a name that
/// exists is an error of the caller, never a second job.
#[expect(
    async_fn_in_trait,
    reason = "the crate is the only user, on a single-threaded runtime"
)]
pub trait Destination {
    /// What one job needs, as the plan decided it.
    type Request;

    /// Starts the job.
    async fn launch(&mut self, request: &Self::Request) -> Result<(), Error>;

    /// Asks for the job's state once.
    async fn poll(&mut self) -> Result<JobState, PollError>;

    /// Log bytes that appeared since the last call; empty when there are none.
    async fn logs(&mut self) -> Result<Vec<u8>, PollError>;

    /// Asks the job to stop. Stopping a job that has ended is fine.
    async fn stop(&mut self, how: Stop) -> Result<(), Error>;

    /// Brings what the job left behind into the run record.
    async fn fetch(&mut self) -> Result<Artifacts, Error>;

    /// What the place says of the jobs that it is paid for, however they ended.
    fn account(&self) -> Vec<JobInfo> {
        Vec::new()
    }
}

/// What a job is doing, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// It runs.
    Running,
    /// It ended by itself, without an error.
    Succeeded,
    /// It ended with an error.
    Failed {
        /// Why, in one sentence.
        reason: String,
    },
    /// There were no machines for it.
    NoCapacity {
        /// Why, in one sentence.
        reason: String,
    },
    /// The place ended it, as its time was over.
    TimedOut {
        /// Which time, in one sentence.
        reason: String,
    },
    /// It was stopped.
    Stopped {
        /// By what, in one sentence.
        reason: String,
    },
}

/// How to stop a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM, and SIGKILL after the grace that the plan gives.
    Graceful,
    /// SIGKILL.
    Now,
}

/// Why a job's state could not be asked for.
#[derive(Debug)]
pub enum PollError {
    /// It may work the next time.
    Transient(String),
    /// It will not work again.
    Permanent(Error),
}

/// What a job left behind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Artifacts {
    /// Folder with the content of `output/data`.
    pub output: Option<PathBuf>,
    /// The packed model, when the job wrote any model files.
    pub model: Option<crate::report::ModelInfo>,
    /// `metrics.json` files that this job wrote, in ascending order of precedence.
    pub metrics: Vec<PathBuf>,
    /// Metrics that the place read by itself, for those that nothing else says.
    pub last_metrics: Vec<(String, Number)>,
    /// What is missing, or is not as it should be.
    pub warnings: Vec<String>,
    /// Where the model is besides, for a job that runs at the same place.
    pub model_at: Option<String>,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// The shortest and longest pause between two polls.
    pub poll: (Duration, Duration),
    /// The job is stopped after this long.
    pub max_runtime: Duration,
    /// A stopped job must have ended after this long, or it is stopped with [`Stop::Now`].
    pub stop_within: Duration,
    /// When nothing but transient errors came for so long, the job is lost.
    pub lost_after: Duration,
}
