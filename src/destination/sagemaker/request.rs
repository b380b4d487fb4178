//! The request `CreateTrainingJob` in AWS's own names: what the dry run prints is what is sent.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::extra;
use super::location::Location;
use super::settings::{Distribution, InputMode, SagemakerSettings};
use crate::metrics::log::Definition;
use crate::registry::ImageRef;

/// Where the program finds and leaves its checkpoints.
const CHECKPOINTS: &str = "/opt/ml/checkpoints";

/// What an image's own entry point gets from SageMaker when nothing else is asked for.
const TRAIN: &str = "train";

/// What stands for the image's digest until the image is published.
const UNKNOWN_DIGEST: &str = "sha256:DIGEST";

/// The exact request for one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Data channels that lie here: name → file or folder.
    pub inputs: IndexMap<String, PathBuf>,
    /// Where each of them is uploaded to. The address is made from the content, so what is there
    /// already is right.
    pub uploads: IndexMap<String, Location>,
    /// Instance types to ask for in turn, each with a new attempt, when there is no capacity:
    /// where SageMaker itself does not choose from a list.
    pub alternatives: Vec<String>,
    /// Whether a finished job of the same content is taken, and none launched.
    pub takes_finished: bool,
    /// The request; only the image's digest is missing.
    pub create_training_job: Value,
}

/// One data channel.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Where its data is when the job starts.
    pub location: Location,
    /// The file or folder that is uploaded to there first.
    pub upload: Option<PathBuf>,
    /// How the job reads it.
    pub input_mode: InputMode,
    /// What each instance gets.
    pub distribution: Distribution,
    /// Whether the address is that of a manifest.
    pub manifest: bool,
}

/// What a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Training: on all instances that the config asks for.
    Training,
    /// Validation: on one instance, on demand.
    Validation,
}

/// What a request is made from.
#[derive(Debug)]
pub struct JobSettings<'a> {
    /// What it is for.
    pub kind: Kind,
    /// The job's name.
    pub name: &'a str,
    /// Where the image will be, without its digest.
    pub image: &'a str,
    /// The container's command; the image's own entry point when it is left out.
    pub container_entrypoint: Option<&'a [String]>,
    /// Its arguments.
    pub container_arguments: &'a [String],
    /// Data channels.
    pub channels: Vec<Channel>,
    /// Hyperparameters as strings.
    pub hyperparameters: &'a IndexMap<String, String>,
    /// Environment variables that the config sets.
    pub environment: &'a IndexMap<String, String>,
    /// How metrics are read from log lines.
    pub definitions: &'a [Definition],
    /// The job is stopped after so many seconds.
    pub max_runtime: u64,
    /// With spot instances: it has ended after so many seconds.
    pub max_wait: Option<u64>,
    /// The instances are kept for so many seconds after it.
    pub keep_alive: Option<u64>,
    /// What checkpoints are kept under: the same for every attempt at the same content.
    pub checkpoints: &'a str,
    /// Tags, all of them.
    pub tags: IndexMap<String, String>,
    /// Whether a finished job of the same content is enough.
    pub takes_finished: bool,
}

impl Request {
    /// The request for one job.
    #[must_use]
    pub fn new(settings: &SagemakerSettings, root: &Location, job: JobSettings<'_>) -> Self {
        let mut body = json!({
            "TrainingJobName": job.name,
            "AlgorithmSpecification": algorithm(&job),
            "RoleArn": settings.role,
            "OutputDataConfig": {"S3OutputPath": root.join(OUTPUT).to_string()},
            "ResourceConfig": resources(settings, &job),
            "StoppingCondition": {"MaxRuntimeInSeconds": job.max_runtime},
            "EnableNetworkIsolation": settings.network_isolation,
            "EnableInterContainerTrafficEncryption": settings.encrypt_traffic,
        });
        if let Some(key) = &settings.s3_kms_key {
            body["OutputDataConfig"]["KmsKeyId"] = json!(key);
        }
        for (name, values) in [
            ("HyperParameters", job.hyperparameters),
            ("Environment", job.environment),
        ] {
            if !values.is_empty() {
                body[name] = json!(values);
            }
        }
        if !job.channels.is_empty() {
            body["InputDataConfig"] = job.channels.iter().map(channel).collect();
        }
        if !settings.subnets.is_empty() {
            body["VpcConfig"] = json!({
                "Subnets": settings.subnets,
                "SecurityGroupIds": settings.security_groups,
            });
        }
        if let Some(attempts) = settings.retry_attempts {
            body["RetryStrategy"] = json!({"MaximumRetryAttempts": attempts});
        }
        if job.kind == Kind::Training {
            let wait = job.max_wait.filter(|_| is_spot(settings, job.kind));
            if let Some(wait) = wait {
                body["EnableManagedSpotTraining"] = json!(true);
                body["StoppingCondition"]["MaxWaitTimeInSeconds"] = json!(wait);
            }
            if settings.checkpoints {
                let place = root.join(&format!("checkpoints/{}/", job.checkpoints));
                body["CheckpointConfig"] =
                    json!({"S3Uri": place.to_string(), "LocalPath": CHECKPOINTS});
            }
            extra::merge(&mut body, &settings.extra);
        }
        let tags = job.tags.iter();
        body["Tags"] = tags
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        let uploaded = job.channels.into_iter().filter_map(|channel| {
            let from = channel.upload?;
            Some((
                (channel.name.clone(), from),
                (channel.name, channel.location),
            ))
        });
        let (inputs, uploads) = uploaded.unzip();
        let others = settings.instance_types.iter().skip(1);
        let alternatives = match is_spot(settings, job.kind) {
            true => others.cloned().collect(),
            false => Vec::new(),
        };
        Self {
            inputs,
            uploads,
            alternatives,
            takes_finished: job.takes_finished,
            create_training_job: body,
        }
    }

    /// What is sent: the request with an image that is published, by its digest.
    #[must_use]
    pub fn body(&self, image: &ImageRef) -> Value {
        let mut body = self.create_training_job.clone();
        body["AlgorithmSpecification"]["TrainingImage"] = json!(image.to_string());
        body
    }
}

/// The name of the job that a request asks for.
pub(super) fn name_of(body: &Value) -> &str {
    body["TrainingJobName"].as_str().unwrap_or_default()
}

/// The value of a tag in a request; empty when it is not there.
pub(super) fn tag_of<'b>(body: &'b Value, key: &str) -> &'b str {
    let tags = body["Tags"].as_array();
    let tag = tags.and_then(|tags| tags.iter().find(|tag| tag["Key"] == key));
    tag.and_then(|tag| tag["Value"].as_str())
        .unwrap_or_default()
}

/// How many instances a request asks for.
pub(super) fn instances_of(body: &Value) -> usize {
    let resources = &body["ResourceConfig"];
    let count = |of: &Value| {
        let count = of["InstanceCount"].as_u64().unwrap_or(0);
        usize::try_from(count).unwrap_or(usize::MAX)
    };
    let list = |key: &str| resources[key].as_array();
    match (list("InstanceGroups"), list("InstancePreferences")) {
        (Some(groups), _) => groups.iter().map(count).sum(),
        (None, Some(choices)) => choices.iter().map(count).max().unwrap_or(0),
        (None, None) => count(resources),
    }
}

/// Puts the address of the model that was trained in place of the planned one: it may be that of
/// another attempt.
pub(super) fn set_model(body: &mut Value, model: &str) {
    let channels = body["InputDataConfig"].as_array_mut();
    for channel in channels.into_iter().flatten() {
        if channel["ChannelName"] == MODEL {
            channel["DataSource"]["S3DataSource"]["S3Uri"] = json!(model);
        }
    }
}

/// The address of the model that a request has as a channel.
pub(super) fn model_in(body: &Value) -> Option<&str> {
    let mut channels = body["InputDataConfig"].as_array()?.iter();
    let model = channels.find(|channel| channel["ChannelName"] == MODEL)?;
    model["DataSource"]["S3DataSource"]["S3Uri"].as_str()
}

/// The channel of a validation job that has the model.
pub const MODEL: &str = "model";

/// The folder for data.
pub const DATA: &str = "data";

/// The folder for results: SageMaker puts `JOB/output/model.tar.gz` below it.
pub(super) const OUTPUT: &str = "output";

/// Where a job leaves its model.
#[must_use]
pub fn model_of(root: &Location, job: &str) -> Location {
    root.join(&format!("{OUTPUT}/{job}/output/model.tar.gz"))
}

fn algorithm(job: &JobSettings<'_>) -> Value {
    let mut algorithm = json!({
        "TrainingImage": format!("{}@{UNKNOWN_DIGEST}", job.image),
        "TrainingInputMode": InputMode::File,
    });
    if let Some(entrypoint) = job.container_entrypoint {
        algorithm["ContainerEntrypoint"] = json!(entrypoint);
    }
    let is_usual = job.container_entrypoint.is_none() && *job.container_arguments == [TRAIN];
    if !is_usual && !job.container_arguments.is_empty() {
        algorithm["ContainerArguments"] = json!(job.container_arguments);
    }
    if !job.definitions.is_empty() {
        let definitions = job.definitions.iter();
        algorithm["MetricDefinitions"] = definitions
            .map(|one| json!({"Name": one.name, "Regex": one.regex}))
            .collect();
    }
    algorithm
}

/// Validation is short, and keeps no checkpoints.
fn is_spot(settings: &SagemakerSettings, kind: Kind) -> bool {
    settings.spot && kind == Kind::Training
}

fn resources(settings: &SagemakerSettings, job: &JobSettings<'_>) -> Value {
    let mut resources = Map::new();
    let groups = &settings.instance_groups;
    let types = settings.types();
    let count = match job.kind {
        Kind::Training => settings.instances,
        Kind::Validation => 1,
    };
    if !groups.is_empty() && job.kind == Kind::Training {
        let groups = groups.iter().map(|group| {
            json!({
                "InstanceGroupName": group.name,
                "InstanceType": group.instance_type,
                "InstanceCount": group.instances,
            })
        });
        resources.insert("InstanceGroups".to_owned(), groups.collect());
    } else if settings.instance_types.len() > 1 && !is_spot(settings, job.kind) {
        let types = types
            .iter()
            .map(|kind| json!({"InstanceType": kind, "InstanceCount": count}));
        resources.insert("InstancePreferences".to_owned(), types.collect());
    } else {
        resources.insert("InstanceType".to_owned(), json!(types.first()));
        resources.insert("InstanceCount".to_owned(), json!(count));
    }
    resources.insert("VolumeSizeInGB".to_owned(), json!(settings.volume_gb));
    if let Some(key) = &settings.volume_kms_key {
        resources.insert("VolumeKmsKeyId".to_owned(), json!(key));
    }
    if job.kind == Kind::Training
        && let Some(seconds) = job.keep_alive
    {
        resources.insert("KeepAlivePeriodInSeconds".to_owned(), json!(seconds));
    }
    Value::Object(resources)
}

fn channel(channel: &Channel) -> Value {
    let kind = match channel.manifest {
        true => "ManifestFile",
        false => "S3Prefix",
    };
    json!({
        "ChannelName": channel.name,
        "DataSource": {"S3DataSource": {
            "S3DataType": kind,
            "S3Uri": channel.location.to_string(),
            "S3DataDistributionType": channel.distribution,
        }},
        "InputMode": channel.input_mode,
    })
}
