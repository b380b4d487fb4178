//! The places where jobs can run, as one plan, one request and one destination.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::docker::DockerDestination;
use super::docker::plan::{DockerPlan, Request as DockerRequest};
use super::process::ProcessDestination;
use super::process::plan::{ProcessPlan, Request as ProcessRequest};
use super::sagemaker::plan::{GRACE_SECONDS, SagemakerPlan};
use super::sagemaker::request::Request as SagemakerRequest;
use super::{Artifacts, Destination, JobState, PollError, Stop};
use crate::error::{Error, ExitCode};

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
}

impl Place {
    /// Whether jobs can be launched where a plan wants them.
    ///
    /// # Errors
    /// They cannot: the plan can be looked at, and no more.
    pub fn can_launch(plan: &DestinationPlan) -> Result<(), Error> {
        match plan {
            DestinationPlan::Process(_) | DestinationPlan::Docker(_) => Ok(()),
            DestinationPlan::Sagemaker(plan) => Err(Self::lacks_launch(plan)),
        }
    }

    /// What is missing between a plan for SageMaker and a job there.
    pub(crate) fn lacks_launch(plan: &SagemakerPlan) -> Error {
        let message = format!(
            "jobs cannot be launched at the destination `{}` yet",
            plan.name
        );
        Error::new(ExitCode::Usage, message)
            .because("this version plans SageMaker's jobs, but neither uploads data nor calls CreateTrainingJob")
            .hint("`mlaction plan --json` has the whole request; `--destination docker` trains in the same image")
    }
}

impl Destination for Place {
    type Request = Request;

    async fn launch(&mut self, request: &Request) -> Result<(), Error> {
        match (self, request) {
            (Self::Process(place), Request::Process(request)) => place.launch(request).await,
            (Self::Docker(place), Request::Docker(request)) => place.launch(request).await,
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
        }
    }

    async fn logs(&mut self) -> Result<Vec<u8>, PollError> {
        match self {
            Self::Process(place) => place.logs().await,
            Self::Docker(place) => place.logs().await,
        }
    }

    async fn stop(&mut self, how: Stop) -> Result<(), Error> {
        match self {
            Self::Process(place) => place.stop(how).await,
            Self::Docker(place) => place.stop(how).await,
        }
    }

    async fn fetch(&mut self) -> Result<Artifacts, Error> {
        match self {
            Self::Process(place) => place.fetch().await,
            Self::Docker(place) => place.fetch().await,
        }
    }
}
