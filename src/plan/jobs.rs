//! The jobs of a run: what the config says of them, and their requests.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Serialize;

use super::image::ImagePlan;
use super::{Code, Job, Metrics, identity, inputs};
use crate::aws::s3;
use crate::config::duration;
use crate::config::raw::{Channel, Training, Validation};
use crate::context::Context;
use crate::data::known::Known;
use crate::data::manifest::Manifest;
use crate::destination::docker::plan::DockerPlan;
use crate::destination::place::{DestinationPlan, Request};
use crate::destination::sagemaker::location::Location;
use crate::destination::sagemaker::names::{self, Origin};
use crate::destination::sagemaker::plan::SagemakerPlan;
use crate::destination::sagemaker::request::{self, Kind};
use crate::destination::{docker, process};
use crate::error::{Error, ExitCode, Result};
use crate::report::DataSource;

/// The role of the job that trains, in its name and in what follows it.
pub(crate) const TRAIN: &str = "train";

/// What the config says of a job.
#[derive(Debug, Serialize)]
pub(super) struct JobSettings {
    pub(super) entry_point: String,
    pub(super) program: String,
    pub(super) channels: Vec<String>,
    pub(super) environment: IndexMap<String, String>,
    container: Container,
    max_runtime: u64,
}

/// What a container is started with.
#[derive(Debug, Serialize)]
struct Container {
    entrypoint: Option<Vec<String>>,
    arguments: Vec<String>,
}

impl JobSettings {
    pub(super) fn training(
        root: &Path,
        training: Training,
        channels: Vec<String>,
        code: &Code,
    ) -> Result<Self> {
        let Training {
            entry_point,
            environment,
            container_entrypoint,
            container_arguments,
            max_runtime,
            ..
        } = training;
        let job = Validation {
            entry_point,
            channels,
            environment,
            container_entrypoint,
            container_arguments,
            max_runtime,
        };
        Self::validation(root, job, code)
    }

    pub(super) fn validation(root: &Path, validation: Validation, code: &Code) -> Result<Self> {
        let Validation {
            entry_point,
            channels,
            environment,
            container_arguments,
            container_entrypoint,
            max_runtime,
        } = validation;
        Ok(Self {
            program: inputs::program_hash(root, &entry_point, &environment, code)?,
            entry_point,
            channels,
            environment,
            container: Container {
                entrypoint: container_entrypoint,
                arguments: container_arguments,
            },
            max_runtime: seconds(&max_runtime)?,
        })
    }
}

fn seconds(text: &str) -> Result<u64> {
    duration::parse(text)
        .map(|duration| duration.as_secs().max(1))
        .map_err(|reason| Error::new(ExitCode::Config, reason))
}

/// What the jobs of a run have in common.
#[derive(Debug)]
pub(super) struct Jobs<'a> {
    pub(super) root: &'a Path,
    pub(super) project: &'a str,
    pub(super) run: &'a str,
    pub(super) content_hash: &'a str,
    pub(super) code: &'a Code,
    pub(super) data: &'a [DataSource],
    pub(super) channels: &'a IndexMap<String, Channel>,
    pub(super) metrics: &'a Metrics,
    pub(super) image: Option<&'a ImagePlan>,
    pub(super) destination: &'a DestinationPlan,
    pub(super) context: &'a Context,
    pub(super) known: &'a Known,
    /// Whether a finished job of the same content is not enough.
    pub(super) force: bool,
    /// Whether nobody waits for the training job.
    pub(super) detach: bool,
}

impl Jobs<'_> {
    pub(super) fn training(
        &self,
        settings: JobSettings,
        hyperparameters: &IndexMap<String, String>,
    ) -> Result<Job> {
        self.job(TRAIN, settings, hyperparameters)
    }

    /// The validation job has the model as a channel, and no hyperparameters.
    pub(super) fn validation(&self, settings: JobSettings) -> Result<Job> {
        self.job("validate", settings, &IndexMap::new())
    }

    fn job(
        &self,
        role: &str,
        settings: JobSettings,
        hyperparameters: &IndexMap<String, String>,
    ) -> Result<Job> {
        let name = self.name(role);
        let request = match self.destination {
            DestinationPlan::Process(process) => {
                let sources = self.code.sources.iter().map(|source| source.path.clone());
                Request::Process(process.request(&process::plan::JobSettings {
                    name: &name,
                    base: self.folder().join("work").join(role),
                    entry_point: &settings.entry_point,
                    sources: &sources.collect::<Vec<_>>(),
                    code_fingerprint: &self.code.fingerprint,
                    inputs: self.inputs(role, &settings),
                    hyperparameters,
                    environment: &settings.environment,
                    context: self.context,
                    root: self.root,
                }))
            }
            DestinationPlan::Docker(docker) => {
                self.docker(docker, role, &name, &settings, hyperparameters)
            }
            DestinationPlan::Sagemaker(plan) => match &plan.here {
                Some(docker) if role != TRAIN => {
                    self.docker(docker, role, &name, &settings, hyperparameters)
                }
                _ => self.sagemaker(plan, role, &name, &settings, hyperparameters)?,
            },
        };
        Ok(Job {
            name,
            role: role.to_owned(),
            entry_point: settings.entry_point,
            program: settings.program,
            channels: settings.channels,
            max_runtime_seconds: settings.max_runtime,
            request,
        })
    }

    /// A job's name. On SageMaker it must keep to SageMaker's rules, however long it gets, and is
    /// the first of its content: what was tried is known there, not here.
    fn name(&self, role: &str) -> String {
        match self.destination {
            DestinationPlan::Sagemaker(_) => {
                names::job_name(self.project, self.content_hash, 1, role)
            }
            DestinationPlan::Process(_) | DestinationPlan::Docker(_) => {
                format!("{}-{role}", self.run)
            }
        }
    }

    fn folder(&self) -> PathBuf {
        crate::record::runs_dir(self.root).join(self.run)
    }

    fn sources<'s>(&'s self, settings: &'s JobSettings) -> impl Iterator<Item = &'s DataSource> {
        let names = settings.channels.iter();
        names.filter_map(|name| self.data.iter().find(|source| source.channel == *name))
    }

    /// Data channels of a job on this machine.
    fn inputs(&self, role: &str, settings: &JobSettings) -> IndexMap<String, PathBuf> {
        let data = self.sources(settings).map(|source| {
            let place = inputs::place_of(self.root, &source.path);
            (source.channel.clone(), place)
        });
        let model = self.folder().join(crate::record::MODEL);
        let model = (role != TRAIN).then_some(("model".to_owned(), model));
        data.chain(model).collect()
    }

    fn docker(
        &self,
        docker: &DockerPlan,
        role: &str,
        name: &str,
        settings: &JobSettings,
        hyperparameters: &IndexMap<String, String>,
    ) -> Request {
        Request::Docker(docker.request(&docker::plan::JobSettings {
            name,
            entry_point: &settings.entry_point,
            container_entrypoint: settings.container.entrypoint.as_deref(),
            container_arguments: &settings.container.arguments,
            inputs: self.inputs(role, settings),
            hyperparameters,
            environment: &settings.environment,
            cpus: self.context.cpus,
            gpus: self.context.gpus,
        }))
    }

    fn sagemaker(
        &self,
        plan: &SagemakerPlan,
        role: &str,
        name: &str,
        settings: &JobSettings,
        hyperparameters: &IndexMap<String, String>,
    ) -> Result<Request> {
        let kind = match role {
            TRAIN => Kind::Training,
            _ => Kind::Validation,
        };
        let mut channels: Vec<request::Channel> = self
            .sources(settings)
            .filter_map(|source| self.channel(plan, source).transpose())
            .collect::<Result<_>>()?;
        if kind == Kind::Validation {
            channels.push(request::Channel {
                name: request::MODEL.to_owned(),
                location: request::model_of(&plan.root, &self.name(TRAIN)),
                upload: None,
                input_mode: Default::default(),
                distribution: Default::default(),
                manifest: false,
            });
        }
        let data = self.data.iter();
        let data = identity::combined(data.map(|source| (&*source.channel, &*source.fingerprint)));
        let mut tags = Origin::read(self.root, self.context).tags(&names::Identity {
            project: self.project,
            role,
            content_hash: self.content_hash,
            data: &data,
            detached: self.detach && role == TRAIN,
        });
        tags.extend(plan.settings.tags.clone());
        let place = self.image.and_then(|image| image.registry.place());
        let job = request::JobSettings {
            kind,
            name,
            image: place.as_deref().unwrap_or_default(),
            container_entrypoint: settings.container.entrypoint.as_deref(),
            container_arguments: &settings.container.arguments,
            channels,
            hyperparameters,
            environment: &settings.environment,
            definitions: &self.metrics.definitions,
            max_runtime: settings.max_runtime,
            max_wait: plan.max_wait_seconds,
            keep_alive: plan.keep_alive_seconds,
            checkpoints: &names::checkpoints(self.project, self.content_hash),
            tags,
            takes_finished: !self.force,
        };
        let request = request::Request::new(&plan.settings, &plan.root, job);
        Ok(Request::Sagemaker(request))
    }

    /// Where SageMaker finds a channel: where it lies in S3, or under an address made from its
    /// content.
    fn channel(
        &self,
        plan: &SagemakerPlan,
        source: &DataSource,
    ) -> Result<Option<request::Channel>> {
        let Some(settings) = self.channels.get(&source.channel) else {
            return Ok(None);
        };
        let (location, upload) = match Location::parse(&source.path) {
            Ok(location) => (location, None),
            Err(_) => {
                let place = inputs::place_of(self.root, &source.path);
                let hash = self.hash_of(source, &place)?;
                (
                    plan.root.join(&s3::folder(request::DATA, &hash)),
                    Some(place),
                )
            }
        };
        Ok(Some(request::Channel {
            name: source.channel.clone(),
            location,
            upload,
            input_mode: settings.input_mode,
            distribution: settings.distribution,
            manifest: settings.manifest,
        }))
    }

    /// The content of a channel. What a folder is called does not matter; the name of a single
    /// file is what the job sees.
    fn hash_of(&self, source: &DataSource, place: &Path) -> Result<String> {
        if place.is_dir() {
            return Ok(source.fingerprint.clone());
        }
        let manifest = Manifest::read(place, self.known);
        let manifest = manifest.map_err(|error| inputs::data_error(&error))?;
        Ok(manifest.hash().to_owned())
    }
}
