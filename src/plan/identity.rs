//! Deterministic identity: the same inputs give the same hash and the same names.

use std::path::Path;

use indexmap::IndexMap;
use serde::Serialize;

use super::image::ImagePlan;
use super::{JobSettings, Metrics};
use crate::destination::docker::settings::Gpus;
use crate::destination::place::DestinationPlan;
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
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(destination: &'a DestinationPlan, image: Option<&'a ImagePlan>) -> Self {
        match destination {
            DestinationPlan::Process(process) => Self::Process {
                language: &process.environment.language,
                requirements: process.environment.requirements_hash.as_deref(),
            },
            DestinationPlan::Docker(docker) => Self::Container {
                image: image.map_or("", |image| &image.content),
                hosts: docker.hosts,
                gpus: docker.gpus.as_ref(),
                user: docker.user.as_deref(),
            },
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
pub(super) fn free_name(
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
