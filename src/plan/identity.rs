//! Deterministic identity: the same inputs give the same hash and the same names.

use std::path::Path;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Metrics;
use super::image::ImagePlan;
use super::jobs::JobSettings;
use crate::config::raw::Channel;
use crate::destination::docker::settings::Gpus;
use crate::destination::place::DestinationPlan;
use crate::destination::sagemaker::settings::{InstanceGroup, ValidateOn};
use crate::report::DataSource;

/// Everything that decides a run's result. Gates, baseline and report are not in it: they judge
/// a result, and a finished run can be judged again.
#[derive(Debug, Serialize)]
pub(super) struct Content<'a> {
    pub(super) project: &'a str,
    pub(super) code: &'a str,
    pub(super) data: &'a [DataSource],
    pub(super) hyperparameters: &'a IndexMap<String, String>,
    pub(super) training: &'a JobSettings,
    pub(super) validation: Option<&'a JobSettings>,
    pub(super) surroundings: Surroundings<'a>,
    pub(super) passed: &'a [String],
    pub(super) metrics: &'a Metrics,
}

/// What surrounds the code: the libraries, and the hosts of a job.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Surroundings<'a> {
    /// A Python environment.
    Process {
        language: &'a str,
        requirements: Option<&'a str>,
    },
    /// An image.
    Container {
        image: &'a str,
        hosts: u32,
        gpus: Option<&'a Gpus>,
        user: Option<&'a str>,
    },
    /// An image on SageMaker's instances, and what each of them gets of the data.
    Sagemaker {
        image: &'a str,
        instance_types: Vec<&'a str>,
        instance_groups: &'a [InstanceGroup],
        instances: u32,
        network_isolation: bool,
        validate_on: ValidateOn,
        extra: &'a Map<String, Value>,
        channels: Vec<(&'a str, &'a Channel)>,
    },
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(
        destination: &'a DestinationPlan,
        image: Option<&'a ImagePlan>,
        data: &'a [DataSource],
        channels: &'a IndexMap<String, Channel>,
    ) -> Self {
        let image = image.map_or("", |image| image.content.as_str());
        match destination {
            DestinationPlan::Process(process) => Self::Process {
                language: &process.environment.language,
                requirements: process.environment.requirements_hash.as_deref(),
            },
            DestinationPlan::Docker(docker) => Self::Container {
                image,
                hosts: docker.hosts,
                gpus: docker.gpus.as_ref(),
                user: docker.user.as_deref(),
            },
            DestinationPlan::Sagemaker(plan) => {
                let settings = &plan.settings;
                let used = data.iter().map(|source| source.channel.as_str());
                Self::Sagemaker {
                    image,
                    instance_types: settings.types(),
                    instance_groups: &settings.instance_groups,
                    instances: settings.instances,
                    network_isolation: settings.network_isolation,
                    validate_on: settings.validate_on,
                    extra: &settings.extra,
                    channels: used
                        .filter_map(|name| Some((name, channels.get(name)?)))
                        .collect(),
                }
            }
        }
    }
}

/// BLAKE3 over the content as JSON, with the version of this form in front.
pub(super) fn content_hash(content: &Content<'_>) -> String {
    // NOTE: serializing these types cannot fail; an empty text would still give a valid hash.
    let json = serde_json::to_string(content).unwrap_or_default();
    let mut hasher = blake3::Hasher::new_derive_key("mlaction run content v1");
    hasher.update(json.as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// One hash over several named hashes.
pub fn combined<'a>(parts: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("mlaction combined fingerprint v1");
    for (name, hash) in parts {
        hasher
            .update(&(name.len() as u64).to_le_bytes())
            .update(name.as_bytes());
        hasher
            .update(&(hash.len() as u64).to_le_bytes())
            .update(hash.as_bytes());
    }
    format!("b3:{}", hasher.finalize().to_hex())
}

/// The first attempt after those that were tried whose name no folder has, not even a damaged one.
pub(crate) fn free_name(
    root: &Path,
    project: &str,
    content_hash: &str,
    tried: u32,
) -> (u32, String) {
    let runs = crate::record::runs_dir(root);
    (tried + 1..)
        .map(|attempt| (attempt, run_name(project, content_hash, attempt)))
        .find(|(_, run)| !runs.join(run).exists())
        .unwrap_or_else(|| (u32::MAX, run_name(project, content_hash, u32::MAX)))
}

/// `PROJECT-HASH-ATTEMPT`: 10 hexadecimal digits of the hash; fits SageMaker's 63 characters
/// with a role behind it.
fn run_name(project: &str, content_hash: &str, attempt: u32) -> String {
    format!(
        "{project}-{}-{attempt}",
        &content_hash[..10.min(content_hash.len())]
    )
}
