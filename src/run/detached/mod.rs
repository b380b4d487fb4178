//! Runs that nobody waits for: the training job is launched and left, and when it has ended any
//! machine does the rest, once.
//!
//! What is needed for that lies in S3, below the destination's `s3`:
//!
//! ```text
//! runs/PROJECT-HASH/plan.json             the run as it was launched
//! runs/PROJECT-HASH/JOB/collecting.json   who collects the job, and until when
//! runs/PROJECT-HASH/JOB/report.json       the report: written once, if nothing is there
//! ```

pub mod collect;
mod moved;
mod store;

use serde::{Deserialize, Serialize};

use super::job;
use super::measured::Measured;
use super::surroundings::{Cloud, Surroundings};
use super::{prices, unless_interrupted};
use crate::aws::Access;
use crate::context::Context;
use crate::destination::place::DestinationPlan;
use crate::destination::sagemaker::plan::SagemakerPlan;
use crate::destination::watch::Interrupts;
use crate::error::{Error, ExitCode, Result};
use crate::image::engine::Engine;
use crate::plan::Plan;
use crate::record::{Phase, Record};
use crate::registry::{self, ImageRef};
use crate::report::Status;
use crate::run::pull;
use crate::talk::Talk;
use store::Store;

/// Version of the document's form.
const SCHEMA_VERSION: u32 = 1;

/// A run whose training job was launched and left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launched {
    /// Version of this document's form.
    pub schema_version: u32,
    /// The run as it was decided.
    pub plan: Plan,
    /// The image of its jobs.
    pub image: ImageRef,
    /// The tag that the image was made under.
    pub tag: String,
    /// The training job's name and hosts, as they are found.
    #[serde(skip)]
    job: (String, usize),
}

/// Launches the training job of a plan, or finds it, and gives its name.
///
/// # Errors
/// The destination keeps no jobs; whatever stops a run before its first job.
pub async fn detach(
    plan: &Plan,
    context: &Context,
    interrupts: &mut Interrupts,
    talk: &Talk,
) -> Result<String> {
    let looking = prices::looked_up(plan, context, talk);
    let plan = &*unless_interrupted(looking, interrupts).await?;
    let sagemaker = destination(plan)?;
    let mut record = Record::create(plan)?;
    let launched = launch(plan, sagemaker, &record, interrupts, context, talk).await;
    record.enter(match &launched {
        Ok(job) => Phase::Detached { job: job.clone() },
        Err(error) => Phase::Ended {
            reason: error.to_string(),
        },
    })?;
    launched
}

fn destination(plan: &Plan) -> Result<&SagemakerPlan> {
    match &plan.destination {
        DestinationPlan::Sagemaker(sagemaker) => Ok(sagemaker),
        DestinationPlan::Process(_) | DestinationPlan::Docker(_) => {
            let name = plan.destination.name();
            let message = format!("the jobs of `{name}` do not outlive mlaction");
            Err(Error::new(ExitCode::Usage, message)
                .hint("`--detach` needs a destination of SageMaker: `--destination NAME`"))
        }
    }
}

async fn launch(
    plan: &Plan,
    sagemaker: &SagemakerPlan,
    record: &Record,
    interrupts: &mut Interrupts,
    context: &Context,
    talk: &Talk,
) -> Result<String> {
    let mut measured = Measured::default();
    let made = Surroundings::prepare(plan, context, record, &mut measured, interrupts, talk);
    let Some(surroundings) = made.await? else {
        return Err(not_prepared(&measured));
    };
    if let Surroundings::Sagemaker(cloud) = &surroundings {
        // Before the job is there: whoever finds the job must find this.
        Store::new(
            sagemaker,
            &cloud.access.config,
            &plan.project,
            &plan.content_hash,
        )
        .keep(&Launched {
            schema_version: SCHEMA_VERSION,
            plan: plan.clone(),
            image: cloud.image.clone(),
            tag: cloud.tag.clone(),
            job: Default::default(),
        })
        .await?;
    }
    let mut place = surroundings.open(plan, &plan.training, record, None, talk)?;
    match job::launch(&mut place, &plan.training, interrupts).await? {
        true => Ok(place.job().unwrap_or(&plan.training.name).to_owned()),
        false => Err(Error::new(
            ExitCode::Cancelled,
            "cancelled while the job was launched; it was stopped",
        )),
    }
}

fn not_prepared(measured: &Measured) -> Error {
    let code = match measured.failure.as_ref().map(|failure| failure.status) {
        Some(Status::Cancelled) => ExitCode::Cancelled,
        _ => ExitCode::Build,
    };
    let error = Error::new(code, measured.reason());
    let hint = measured.failure.as_ref();
    match hint.and_then(|failure| failure.hint.as_ref()) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

impl Launched {
    /// What the jobs after the training need: the image, in an engine if they run here.
    pub(super) async fn surroundings(
        &self,
        plan: &Plan,
        context: &Context,
        interrupts: &mut Interrupts,
        talk: &Talk,
    ) -> Result<Surroundings> {
        let sagemaker = destination(plan)?;
        let here = match &sagemaker.here {
            Some(_) => {
                let having = self.pulled(plan, context, talk);
                Some(unless_interrupted(having, interrupts).await?)
            }
            None => None,
        };
        let region = &sagemaker.settings.region;
        let access = Access::new(region, plan.aws.as_ref(), &context.env).await;
        Ok(Surroundings::Sagemaker(Box::new(Cloud {
            access,
            image: self.image.clone(),
            tag: self.tag.clone(),
            here,
            launched: Some(self.job.clone()),
        })))
    }

    async fn pulled(
        &self,
        plan: &Plan,
        context: &Context,
        talk: &Talk,
    ) -> Result<(Engine, ImageRef)> {
        let Some(image) = &plan.image else {
            return Err(Error::new(ExitCode::Internal, "the plan has no image"));
        };
        let engine = Engine::connect(&context.env).await?;
        let build = &image.build;
        let (docker, env) = (engine.docker(), &context.env);
        let opening = registry::open(
            &image.registry,
            docker,
            &build.name,
            &build.platform,
            false,
            plan.aws.as_ref(),
            env,
        );
        let registry = opening.await?;
        pull::pull(docker, &self.image, &registry, talk).await?;
        Ok((engine, self.image.clone()))
    }
}
