//! The plan: every decision of a run as one printable value.
//!
//! Making it reads files of the project and nothing else: no network, no credentials, no
//! Docker, nothing written. `train --dry-run` prints the very value that `train` executes.

pub mod identity;
pub mod image;
pub mod imports;
pub mod inputs;
mod jobs;
mod judging;
#[cfg(test)]
pub(crate) mod sample;
pub mod text;

use std::path::PathBuf;

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::aws::settings::AwsPlan;
use crate::config::raw::{Inconclusive, RawConfig};
use crate::config::{Config, rules};
use crate::context::Context;
use crate::data::known::Known;
use crate::destination::place::{DestinationPlan, Request};
use crate::destination::sagemaker::location::Location;
use crate::error::Result;
use crate::metrics::baseline::Baseline;
use crate::metrics::gate::Gate;
use crate::metrics::log::Definition;
use crate::metrics::preset::Preset;
use crate::registry::plan::RegistryPlan;
use crate::report::DataSource;
use image::ImagePlan;
pub(crate) use jobs::TRAIN;
use jobs::{JobSettings, Jobs};

/// Version of the plan's JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that `mlaction train` will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this document's form.
    pub schema_version: u32,
    /// Version of mlaction that made it.
    pub mlaction: String,
    /// The project's name.
    pub project: String,
    /// The project's folder.
    pub root: PathBuf,
    /// The run's id: project, content hash, attempt.
    pub run: String,
    /// Hash over everything that decides the result; see [`identity`].
    pub content_hash: String,
    /// Which attempt at this content it is, from 1.
    pub attempt: u32,
    /// The finished run that is used instead of training again.
    pub reuse: Option<Reuse>,
    /// When the plan was made (UTC).
    pub created_at: Timestamp,
    /// The Git commit, when there is one.
    pub commit: Option<String>,
    /// Whether tracked files differ from the commit.
    pub dirty: bool,
    /// The code that the jobs get.
    pub code: Code,
    /// The data channels.
    pub data: Vec<DataSource>,
    /// Hyperparameters, as the strings that the job gets.
    pub hyperparameters: IndexMap<String, String>,
    /// The training job.
    pub training: Job,
    /// The validation job.
    pub validation: Option<Job>,
    /// The image, for destinations that run containers.
    pub image: Option<ImagePlan>,
    /// Where the jobs run.
    pub destination: DestinationPlan,
    /// Who asks AWS, for what is published or run there.
    pub aws: Option<AwsPlan>,
    /// How metrics are read from log lines.
    pub metrics: Metrics,
    /// Limits by metric name.
    pub gates: IndexMap<String, Gate>,
    /// The baseline.
    pub baseline: BaselinePlan,
    /// What the report keeps.
    pub report: ReportPlan,
    /// Permissions that the run needs.
    pub permissions: Vec<String>,
    /// What the report has to say besides: whose limits hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A finished run with the same content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reuse {
    /// Its id.
    pub run: String,
    /// When it ended (UTC).
    pub finished_at: Timestamp,
}

/// The code of the jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Files and folders of the project.
    pub sources: Vec<Source>,
    /// Content hash over all of them.
    pub fingerprint: String,
}

/// One file or folder of code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Path in the project.
    pub path: String,
    /// Content hash.
    pub fingerprint: String,
    /// Number of files.
    pub files: u64,
    /// Size in bytes.
    pub bytes: u64,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The job's name, derived from content.
    pub name: String,
    /// What it does in the run: `train` or `validate`.
    pub role: String,
    /// The program.
    pub entry_point: String,
    /// Content hash of the program and the project's modules that it imports.
    pub program: String,
    /// Data channels.
    pub channels: Vec<String>,
    /// The job is stopped after so many seconds.
    pub max_runtime_seconds: u64,
    /// The exact request to the destination.
    pub request: Request,
}

/// How metrics are read from log lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Formats by name.
    pub presets: Vec<Preset>,
    /// Regular expressions.
    pub definitions: Vec<Definition>,
}

/// Which baseline the gates will see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselinePlan {
    /// The file.
    pub path: PathBuf,
    /// Where it lies in S3, in place of the file. It is read when the run starts.
    pub location: Option<Location>,
    /// Whether this run sets it, if it passes.
    pub sets: bool,
    /// Its content, when it is there.
    pub found: Option<Baseline>,
}

/// What the report keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportPlan {
    /// Last log lines.
    pub log_lines: u32,
    /// What an inconclusive gate does.
    pub inconclusive: Inconclusive,
}

/// What the command line decides about a plan.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// Another destination than the config's.
    pub destination: Option<String>,
    /// Another baseline file than the config's.
    pub baseline: Option<PathBuf>,
    /// Train again although a finished run has the same content.
    pub force: bool,
    /// Leave the training job when it is launched.
    pub detach: bool,
    /// Hyperparameters that replace those of the config.
    pub hyperparameters: Vec<(String, String)>,
}

/// A run of this project that the record shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Its id.
    pub run: String,
    /// Its content hash.
    pub content_hash: String,
    /// Its attempt.
    pub attempt: u32,
    /// When it ended with a complete result, if it did.
    pub completed_at: Option<Timestamp>,
}

impl Plan {
    /// Decides everything. Reading the data may take long: `known` tells how far it is.
    ///
    /// # Errors
    /// Unknown destination, missing or unreadable data, unreadable baseline, no interpreter.
    pub fn new(
        config: Config,
        choices: Choices,
        context: &Context,
        past: &[PastRun],
        known: &Known,
    ) -> Result<Self> {
        let Config {
            root,
            raw,
            hyperparameters,
        } = config;
        let Choices {
            destination,
            baseline: baseline_file,
            force,
            detach,
            hyperparameters: overrides,
        } = choices;
        let mut hyperparameters = hyperparameters;
        hyperparameters.extend(overrides);
        let asked = destination.as_deref();
        let destination = inputs::destination(&root, &raw, asked, &hyperparameters, context)?;
        let (trained_on, held_out) = (raw.trained_on(), raw.held_out().to_vec());
        let RawConfig {
            project,
            image,
            registry,
            aws,
            data: channels,
            mut training,
            validation,
            metrics,
            gates,
            baseline,
            report,
            destinations: _,
            deployment: _,
        } = raw;
        let sources = match std::mem::take(&mut training.source) {
            sources if sources.is_empty() => vec![rules::folder_of(&training.entry_point)],
            sources => sources,
        };
        let used = trained_on.iter().chain(&held_out);
        let paths = used.filter_map(|name| Some(channels.get(name)?.path.as_str()));
        let paths = paths.chain(sources.iter().map(String::as_str));
        inputs::stay_in_workspace(
            &root,
            paths.chain(training.requirements.as_deref()),
            context,
        )?;
        let code = inputs::read_code(&root, sources, known)?;
        let data = inputs::read_data(&root, &channels, trained_on.iter().chain(&held_out), known)?;

        let image = match &destination {
            DestinationPlan::Process(_) => None,
            DestinationPlan::Docker(_) | DestinationPlan::Sagemaker(_) => {
                let settings = image::Settings {
                    image,
                    registry,
                    project: &project.name,
                };
                Some(ImagePlan::new(&root, settings, context, known)?)
            }
        };
        let aws = asks_aws(image.as_ref(), &destination)
            .then(|| AwsPlan::new(&aws, &context.env))
            .transpose()?;
        let train = JobSettings::training(&root, training, trained_on, &code)?;
        let validate = validation
            .map(|validation| JobSettings::validation(&root, validation, &code))
            .transpose()?;
        let metrics = Metrics {
            presets: metrics.presets,
            definitions: metrics.definitions,
        };
        let content_hash = identity::content_hash(&identity::Content {
            project: &project.name,
            code: &code.fingerprint,
            data: &data,
            hyperparameters: &hyperparameters,
            training: &train,
            validation: validate.as_ref(),
            surroundings: identity::Surroundings::new(
                &destination,
                image.as_ref(),
                &data,
                &channels,
            ),
            passed: destination.passed(),
            metrics: &metrics,
        });
        let same: Vec<&PastRun> = past
            .iter()
            .filter(|run| run.content_hash == content_hash)
            .collect();
        let tried = same.iter().map(|run| run.attempt).max().unwrap_or(0);
        let (attempt, run) = identity::free_name(&root, &project.name, &content_hash, tried);
        let reuse = same
            .iter()
            .filter(|_| !force)
            .filter_map(|past| {
                Some(Reuse {
                    run: past.run.clone(),
                    finished_at: past.completed_at?,
                })
            })
            .filter(|reuse| crate::record::is_whole(&root, &reuse.run))
            .max_by_key(|reuse| reuse.finished_at);

        let jobs = Jobs {
            root: &root,
            project: &project.name,
            run: &run,
            content_hash: &content_hash,
            code: &code,
            data: &data,
            channels: &channels,
            metrics: &metrics,
            image: image.as_ref(),
            destination: &destination,
            context,
            known,
            force,
            detach,
        };
        let training = jobs.training(train, &hyperparameters)?;
        let validation = validate
            .map(|settings| jobs.validation(settings))
            .transpose()?;

        let is_asked_for = baseline_file.is_some();
        let path = baseline_file.unwrap_or_else(|| root.join(baseline.path));
        let kept = match is_asked_for {
            true => None,
            false => inputs::kept_baseline(&root, &project.name, &destination, context),
        };
        let found = match &kept {
            Some(_) => None,
            None => inputs::load_baseline(&path, is_asked_for)?,
        };
        let (location, sets) = kept.map_or((None, false), |(place, sets)| (Some(place), sets));
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            mlaction: env!("CARGO_PKG_VERSION").to_owned(),
            project: project.name,
            root,
            run,
            content_hash,
            attempt,
            reuse,
            created_at: context.now,
            commit: context.git.as_ref().map(|git| git.commit.clone()),
            dirty: context.git.as_ref().is_some_and(|git| git.dirty),
            code,
            data,
            hyperparameters,
            training,
            validation,
            permissions: permissions(image.as_ref(), &destination),
            image,
            destination,
            aws,
            metrics,
            gates,
            baseline: BaselinePlan {
                path,
                location,
                sets,
                found,
            },
            report: ReportPlan {
                log_lines: report.log_lines,
                inconclusive: report.inconclusive,
            },
            notes: Vec::new(),
        })
    }
}

/// Whether anything is published or run on AWS.
fn asks_aws(image: Option<&ImagePlan>, destination: &DestinationPlan) -> bool {
    matches!(destination, DestinationPlan::Sagemaker(_))
        || image.is_some_and(|image| matches!(image.registry, RegistryPlan::Ecr(_)))
}

/// What must be allowed: to build and publish the image, and to run the jobs.
fn permissions(image: Option<&ImagePlan>, destination: &DestinationPlan) -> Vec<String> {
    match (image, destination) {
        (None, _) => Vec::new(),
        // NOTE: the statements for SageMaker have those for the registry in them.
        (Some(_), DestinationPlan::Sagemaker(plan)) => {
            let engine = std::iter::once(image::ENGINE.to_owned());
            engine.chain(plan.permissions()).collect()
        }
        (Some(image), _) => image.permissions(),
    }
}
