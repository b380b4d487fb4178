//! The places where jobs can run, as one plan, one request and one destination.

use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::docker::DockerDestination;
use super::docker::plan::{DockerPlan, Request as DockerRequest};
use super::process::ProcessDestination;
use super::process::plan::{ProcessPlan, Request as ProcessRequest};
use super::sagemaker::job::SagemakerDestination;
use super::sagemaker::plan::{GRACE_SECONDS, SagemakerPlan};
use super::sagemaker::request::Request as SagemakerRequest;
use super::sagemaker::settings::OnCancel;
use super::{Artifacts, Destination, JobState, Patience, PollError, Stop};
use crate::error::{Error, ExitCode};
use crate::report::jobs::JobInfo;

/// Where and how the jobs of a run run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DestinationPlan {
    /// Processes on this machine.
    Process(ProcessPlan),
    /// Containers of a Docker Engine.
    Docker(DockerPlan),
    /// Jobs of Amazon SageMaker AI.
    Sagemaker(Box<SagemakerPlan>),
}

impl DestinationPlan {
    /// Its name in mlaction.toml.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Process(plan) => &plan.name,
            Self::Docker(plan) => &plan.name,
            Self::Sagemaker(plan) => &plan.name,
        }
    }

    /// Its kind, as mlaction.toml has it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Process(_) => "process",
            Self::Docker(_) => "docker",
            Self::Sagemaker(_) => "sagemaker",
        }
    }

    /// Seconds between SIGTERM and SIGKILL.
    #[must_use]
    pub fn grace_seconds(&self) -> u64 {
        match self {
            Self::Process(plan) => plan.grace_seconds,
            Self::Docker(plan) => plan.grace_seconds,
            Self::Sagemaker(_) => GRACE_SECONDS,
        }
    }

    /// Whether a job of a kind of request runs on when mlaction is told to stop.
    #[must_use]
    pub fn leaves(&self, request: &Request) -> bool {
        match (self, request) {
            (Self::Sagemaker(plan), Request::Sagemaker(_)) => {
                plan.settings.on_cancel == OnCancel::Leave
            }
            _ => false,
        }
    }

    /// Names of the variables that jobs inherit because the config asks for it.
    #[must_use]
    pub fn passed(&self) -> &[String] {
        match self {
            Self::Process(plan) => &plan.passed,
            Self::Docker(plan) => &plan.passed,
            Self::Sagemaker(_) => &[],
        }
    }
}

/// The exact request for one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Request {
    /// A process.
    Process(ProcessRequest),
    /// A container, or several.
    Docker(DockerRequest),
    /// A job of SageMaker.
    Sagemaker(SagemakerRequest),
}

impl Request {
    /// The job's data channels that lie here: name → file or folder.
    #[must_use]
    pub fn inputs(&self) -> &IndexMap<String, PathBuf> {
        match self {
            Self::Process(request) => &request.inputs,
            Self::Docker(request) => &request.inputs,
            Self::Sagemaker(request) => &request.inputs,
        }
    }
}

/// A place to run one job.
#[derive(Debug)]
pub enum Place {
    /// This machine.
    Process(ProcessDestination),
    /// A Docker Engine.
    Docker(DockerDestination),
    /// Amazon SageMaker AI.
    Sagemaker(Box<SagemakerDestination>),
}

impl Place {
    /// How a job here is watched.
    #[must_use]
    pub fn patience(&self, plan: &DestinationPlan, max_runtime: Duration) -> Patience {
        match self {
            Self::Process(_) | Self::Docker(_) => Patience {
                poll: (Duration::from_millis(10), Duration::from_millis(250)),
                max_runtime,
                stop_within: Duration::from_secs(plan.grace_seconds() + 10),
                lost_after: Duration::from_secs(60),
            },
            Self::Sagemaker(place) => place.patience(),
        }
    }

    /// The name of the job that was launched, where it may differ from the planned one.
    #[must_use]
    pub fn job(&self) -> Option<&str> {
        match self {
            Self::Process(_) | Self::Docker(_) => None,
            Self::Sagemaker(place) => place.name.as_deref(),
        }
    }

    /// A job whose launch nobody waits for any more is stopped, if it lives on by itself.
    ///
    /// # Errors
    /// It may be there, and cannot be stopped.
    pub async fn withdraw(&mut self) -> Result<(), Error> {
        match self {
            // NOTE: they take back what they began when they are dropped.
            Self::Process(_) | Self::Docker(_) => Ok(()),
            Self::Sagemaker(place) => place.stop(Stop::Now).await,
        }
    }

    /// What somebody must know who does not wait until a job's launch is taken back.
    #[must_use]
    pub fn unsure(&self) -> Error {
        match self {
            Self::Process(_) | Self::Docker(_) => {
                Error::new(ExitCode::Cancelled, "cancelled before the job was launched")
            }
            Self::Sagemaker(place) => place.unsure(),
        }
    }
}

impl Destination for Place {
    type Request = Request;

    async fn launch(&mut self, request: &Request) -> Result<(), Error> {
        match (self, request) {
            (Self::Process(place), Request::Process(request)) => place.launch(request).await,
            (Self::Docker(place), Request::Docker(request)) => place.launch(request).await,
            (Self::Sagemaker(place), Request::Sagemaker(request)) => place.launch(request).await,
            _ => {
                let mixed = "the plan's request is for another kind of destination";
                Err(Error::new(ExitCode::Internal, mixed))
            }
        }
    }

    async fn poll(&mut self) -> Result<JobState, PollError> {
        match self {
            Self::Process(place) => place.poll().await,
            Self::Docker(place) => place.poll().await,
            Self::Sagemaker(place) => place.poll().await,
        }
    }

    async fn logs(&mut self) -> Result<Vec<u8>, PollError> {
        match self {
            Self::Process(place) => place.logs().await,
            Self::Docker(place) => place.logs().await,
            Self::Sagemaker(place) => place.logs().await,
        }
    }

    async fn stop(&mut self, how: Stop) -> Result<(), Error> {
        match self {
            Self::Process(place) => place.stop(how).await,
            Self::Docker(place) => place.stop(how).await,
            Self::Sagemaker(place) => place.stop(how).await,
        }
    }

    async fn fetch(&mut self) -> Result<Artifacts, Error> {
        match self {
            Self::Process(place) => place.fetch().await,
            Self::Docker(place) => place.fetch().await,
            Self::Sagemaker(place) => place.fetch().await,
        }
    }

    fn account(&self) -> Vec<JobInfo> {
        match self {
            Self::Process(place) => place.account(),
            Self::Docker(place) => place.account(),
            Self::Sagemaker(place) => place.account(),
        }
    }
}
