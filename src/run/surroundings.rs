//! What the jobs of a run need before they start: a Python environment, or an image in an engine.

use std::time::Instant;

use indexmap::IndexMap;

use super::image::{self, Stage};
use super::job;
use super::measured::{Failure, Measured};
use super::{unless_interrupted, upload};
use crate::aws::Access;
use crate::config::duration;
use crate::context::Context;
use crate::destination::docker::DockerDestination;
use crate::destination::docker::plan::DockerPlan;
use crate::destination::place::{DestinationPlan, Place, Request};
use crate::destination::process::plan::ProcessPlan;
use crate::destination::process::{ProcessDestination, environment};
use crate::destination::sagemaker::job::{SagemakerDestination, Settings, Way};
use crate::destination::watch::Interrupts;
use crate::error::{Error, ExitCode, Result};
use crate::image::engine::Engine;
use crate::plan::{Job, Plan, TRAIN};
use crate::record::{self, Record};
use crate::registry::ImageRef;
use crate::report::Status;
use crate::talk::Talk;

/// The surroundings of a run's jobs, ready.
#[derive(Debug)]
pub(super) enum Surroundings {
    /// A Python environment on this machine.
    Process,
    /// An image that an engine has.
    Docker(Box<Stage>),
    /// An image in Amazon ECR, data in Amazon S3.
    Sagemaker(Box<Cloud>),
}

/// What jobs on SageMaker need.
#[derive(Debug)]
pub(super) struct Cloud {
    pub(super) access: Access,
    /// The published image.
    pub(super) image: ImageRef,
    /// The tag that it was made under.
    pub(super) tag: String,
    /// The engine that validates here, and the image by the name that it knows.
    pub(super) here: Option<(Engine, ImageRef)>,
    /// The training job and its hosts, if it was launched before.
    pub(super) launched: Option<(String, usize)>,
}

impl Surroundings {
    /// Makes them; without a result, the failure is noted in `measured`.
    pub(super) async fn prepare(
        plan: &Plan,
        context: &Context,
        record: &Record,
        measured: &mut Measured,
        interrupts: &mut Interrupts,
        talk: &Talk,
    ) -> Result<Option<Self>> {
        let mut started = Instant::now();
        let (name, made) = match &plan.destination {
            DestinationPlan::Process(process) => {
                job::take_code(plan, record)?;
                if is_ready(process) {
                    measured.environment = environment::describe(&process.environment);
                    return Ok(Some(Self::Process));
                }
                let made = make_environment(plan, process, context, record, interrupts, talk);
                ("environment", made.await.map(|()| Self::Process))
            }
            DestinationPlan::Docker(docker) => {
                for warning in plan.image.iter().flat_map(|image| &image.warnings) {
                    talk.say(&format!("warning: {warning}"));
                }
                let made = image::ready(plan, Some(docker), context, interrupts, talk);
                (
                    "image",
                    made.await.map(|stage| Self::Docker(Box::new(stage))),
                )
            }
            DestinationPlan::Sagemaker(sagemaker) => {
                for warning in plan.image.iter().flat_map(|image| &image.warnings) {
                    talk.say(&format!("warning: {warning}"));
                }
                let here = sagemaker.here.as_ref();
                match image::ready(plan, here, context, interrupts, talk).await {
                    Err(error) => ("image", Err(error)),
                    Ok(stage) => {
                        measured.phase("image", started.elapsed());
                        started = Instant::now();
                        let region = &sagemaker.settings.region;
                        let access = Access::new(region, plan.aws.as_ref(), &context.env).await;
                        let sending = upload::all(plan, sagemaker, &access.config, context, talk);
                        let sent = unless_interrupted(sending, interrupts).await;
                        let cloud = Cloud {
                            access,
                            image: stage.made.image,
                            tag: stage.made.tag,
                            here: Some((stage.engine, stage.image)),
                            launched: None,
                        };
                        ("data", sent.map(|()| Self::Sagemaker(Box::new(cloud))))
                    }
                }
            }
        };
        measured.phase(name, started.elapsed());
        match made {
            Ok(surroundings) => {
                measured.environment = surroundings.describe(plan);
                Ok(Some(surroundings))
            }
            Err(error) if matches!(error.exit_code(), ExitCode::Build | ExitCode::Cancelled) => {
                measured.failure = Some(Failure {
                    status: match error.exit_code() {
                        ExitCode::Build => Status::BuildFailed,
                        _ => Status::Cancelled,
                    },
                    reason: error.to_string(),
                    hint: error.advice().map(str::to_owned),
                    is_passing: true,
                });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A place for one job.
    pub(super) fn open(
        &self,
        plan: &Plan,
        job: &Job,
        record: &Record,
        model: Option<&str>,
        talk: &Talk,
    ) -> Result<Place> {
        let docker = |engine: &Engine, image: &ImageRef, docker: &DockerPlan| {
            let platform = plan.image.as_ref().map(|image| &*image.build.platform);
            Place::Docker(DockerDestination::new(
                engine.docker(),
                image,
                platform,
                record.folder(),
                docker,
                &job.role,
            ))
        };
        match (self, &plan.destination) {
            (Self::Process, DestinationPlan::Process(process)) => Ok(Place::Process(
                ProcessDestination::new(&job::code_of(record), record.folder(), process),
            )),
            (Self::Docker(stage), DestinationPlan::Docker(settings)) => {
                Ok(docker(&stage.engine, &stage.image, settings))
            }
            (Self::Sagemaker(cloud), DestinationPlan::Sagemaker(sagemaker)) => {
                match (&job.request, &sagemaker.here, &cloud.here) {
                    (Request::Docker(_), Some(here), Some((engine, image))) => {
                        Ok(docker(engine, image, here))
                    }
                    _ => Ok(Place::Sagemaker(Box::new(SagemakerDestination::new(
                        Settings {
                            access: &cloud.access,
                            plan: sagemaker,
                            way: cloud.way(job, model),
                            run: record.folder(),
                            role: &job.role,
                            talk: *talk,
                        },
                    )))),
                }
            }
            _ => Err(Error::new(
                ExitCode::Internal,
                "the plan's destination is of another kind than what was made for it",
            )),
        }
    }

    /// What the report says of them.
    pub(super) fn describe(&self, plan: &Plan) -> IndexMap<String, String> {
        match (self, &plan.destination) {
            (Self::Process, DestinationPlan::Process(process)) => {
                environment::describe(&process.environment)
            }
            (Self::Docker(stage), _) => described(&stage.made.image, &stage.made.tag),
            (Self::Sagemaker(cloud), _) => described(&cloud.image, &cloud.tag),
            _ => IndexMap::new(),
        }
    }
}

impl Cloud {
    /// How a job comes to be: only the one that trains was launched before.
    fn way(&self, job: &Job, model: Option<&str>) -> Way {
        match &self.launched {
            Some((name, hosts)) if job.role == TRAIN => Way::Follow {
                job: name.clone(),
                hosts: *hosts,
            },
            _ => Way::Launch {
                image: self.image.clone(),
                model: model.map(str::to_owned),
            },
        }
    }
}

fn described(image: &ImageRef, tag: &str) -> IndexMap<String, String> {
    IndexMap::from([
        ("image".to_owned(), image.to_string()),
        (record::IMAGE_TAG.to_owned(), tag.to_owned()),
    ])
}

fn is_ready(process: &ProcessPlan) -> bool {
    let folder = process.environment.folder.as_deref();
    folder.is_none_or(environment::is_ready)
}

async fn make_environment(
    plan: &Plan,
    process: &ProcessPlan,
    context: &Context,
    record: &Record,
    interrupts: &mut Interrupts,
    talk: &Talk,
) -> Result<()> {
    let started = Instant::now();
    let step = talk.step("environment");
    let log = record.folder().join(record::LOG);
    let environment = &process.environment;
    let made = environment::ensure(&plan.root, environment, context, &log, interrupts, &step).await;
    step.end(&match &made {
        Ok(()) => format!("ready after {}", duration::display(started.elapsed())),
        Err(error) => error.to_string(),
    });
    made
}
