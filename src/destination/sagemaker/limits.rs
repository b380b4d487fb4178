//! What must hold between `[destinations.NAME]` and the rest of mlaction.toml: what SageMaker, or
//! the money, would refuse.

mod container;

use std::time::Duration;

use indexmap::IndexMap;

use super::Mistake;
use super::cost::{Cost, Seconds};
use super::location::{Location, is_s3};
use super::settings::{InputMode, SagemakerSettings, ValidateOn};
use crate::config::duration;
use crate::config::raw::RawConfig;
use crate::registry::plan::RegistryPlan;
use crate::registry::settings::{self, Registry};

pub use container::hyperparameter_sizes;

/// SageMaker's limits (service model of `CreateTrainingJob`; 28 days: `MaxRuntimeInSeconds`).
const MOST_RUNTIME: Duration = Duration::from_secs(28 * 24 * 3600);
const MOST_CHANNELS: usize = 20;
const MOST_IMAGE: usize = 255;

/// `@sha256:` and 64 digits.
const DIGEST: usize = 72;

/// The platform of SageMaker's instances.
const PLATFORM: &str = "linux/amd64";

/// What is held against SageMaker's limits.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The destination's name.
    pub name: &'a str,
    /// Its settings, which are right by themselves.
    pub settings: &'a SagemakerSettings,
    /// The whole file.
    pub raw: &'a RawConfig,
    /// The hyperparameters as the job gets them.
    pub hyperparameters: &'a IndexMap<String, String>,
}

/// Every mistake, in the order of the file's reference page.
#[must_use]
pub fn check(asked: &Asked<'_>) -> Vec<Mistake> {
    let mut limits = Limits {
        asked: *asked,
        mistakes: Vec::new(),
    };
    limits.image();
    limits.channels();
    limits.times();
    limits.hyperparameters();
    for job in limits.jobs() {
        limits.variables(&job);
        limits.words(&job);
    }
    limits.definitions();
    limits.model();
    limits.money();
    limits.mistakes
}

struct Limits<'a> {
    asked: Asked<'a>,
    mistakes: Vec<Mistake>,
}

impl<'a> Limits<'a> {
    fn add(&mut self, place: &[&str], message: impl Into<String>, help: impl Into<String>) {
        let place = place.iter().copied();
        self.mistakes
            .push(Mistake::new(place, message.into()).help(help));
    }

    fn image(&mut self) {
        let Asked { settings, raw, .. } = self.asked;
        let region = &settings.region;
        if raw.image.platform != PLATFORM {
            let message = format!("SageMaker runs {PLATFORM}, not {}", raw.image.platform);
            self.add(
                &["image", "platform"],
                message,
                format!("write `platform = \"{PLATFORM}\"`"),
            );
        }
        match &raw.registry {
            Some(Registry::Ecr { region: other, .. }) if other != region => {
                let message =
                    format!("the image's registry is in {other}, the jobs are in {region}");
                self.add(
                    &["registry", "region"],
                    message,
                    "SageMaker pulls images from the region of its jobs",
                );
            }
            Some(Registry::Ecr { .. }) => {}
            Some(Registry::Oci { .. }) | None => {
                let help = format!("write `[registry]`, `kind = \"ecr\"`, `region = \"{region}\"`");
                self.add(
                    &["registry"],
                    "SageMaker pulls images from Amazon ECR only",
                    help,
                );
            }
        }
        let registry = settings::plan(raw.registry.as_ref(), &raw.project.name);
        let place = registry.ok().as_ref().and_then(RegistryPlan::place);
        if place.is_some_and(|place| place.len() + DIGEST > MOST_IMAGE) {
            let help = format!("host, repository and digest have at most {MOST_IMAGE} characters");
            self.add(
                &["registry", "repository"],
                "the image's name is too long for SageMaker",
                help,
            );
        }
    }

    fn channels(&mut self) {
        let Asked { settings, raw, .. } = self.asked;
        let trained_on = raw.trained_on();
        let held_out = raw
            .validation
            .as_ref()
            .map(|validation| &validation.channels[..]);
        let held_out = held_out.unwrap_or_default();
        for (table, count) in [
            ("training", trained_on.len()),
            ("validation", held_out.len() + 1),
        ] {
            if count > MOST_CHANNELS {
                let message =
                    format!("{count} data channels; SageMaker takes at most {MOST_CHANNELS}");
                self.add(
                    &[table, "channels"],
                    message,
                    "put several folders into one",
                );
            }
        }
        for (name, channel) in &raw.data {
            let at = |key| ["data", name.as_str(), key];
            let lies_in_s3 = is_s3(&channel.path);
            let is_used = |names: &[String]| names.contains(name);
            if !is_used(&trained_on) && !is_used(held_out) {
                continue;
            }
            if lies_in_s3 && let Err(reason) = Location::parse(&channel.path) {
                self.add(&at("path"), reason, "write `s3://BUCKET/PREFIX/`");
            }
            if channel.manifest && !lies_in_s3 {
                let message = format!("the manifest of `{name}` does not lie in S3");
                self.add(
                    &at("manifest"),
                    message,
                    "a manifest is an object: `path = \"s3://…\"`",
                );
            }
            if channel.input_mode == InputMode::FastFile {
                if channel.manifest {
                    let message = format!("`{name}` is a manifest, which FastFile does not read");
                    self.add(&at("input_mode"), message, "use `File` or `Pipe`");
                } else if lies_in_s3 && !channel.path.ends_with('/') {
                    let message = format!(
                        "`{}` is no folder, and FastFile reads nothing else",
                        channel.path
                    );
                    self.add(&at("path"), message, "end it with `/`");
                }
            }
            if lies_in_s3 && settings.validate_on == ValidateOn::Here && is_used(held_out) {
                let message = format!("`{name}` lies in S3, and validation runs here");
                let help = format!(
                    "set `validate_on = \"job\"` in [destinations.{}]",
                    self.asked.name
                );
                self.add(&at("path"), message, help);
            }
        }
    }

    fn times(&mut self) {
        let Asked {
            settings,
            raw,
            name,
            ..
        } = self.asked;
        // NOTE: a text that is no duration is a mistake of its own.
        let read = |text: &str| duration::parse(text).ok();
        let training = read(&raw.training.max_runtime);
        let validation = raw
            .validation
            .as_ref()
            .and_then(|job| read(&job.max_runtime));
        let on_sagemaker = settings.validate_on == ValidateOn::Job;
        let times = [
            ("training", training),
            ("validation", validation.filter(|_| on_sagemaker)),
        ];
        for (table, time) in times {
            if time.is_some_and(|time| time > MOST_RUNTIME) {
                let message = "a job on SageMaker runs 28 days at most";
                self.add(&[table, "max_runtime"], message, "write `672h` or less");
            }
        }
        let wait = settings.max_wait.as_deref().and_then(read);
        if settings.spot
            && let (Some(wait), Some(run)) = (wait, training)
            && wait < run
        {
            let message = "`max_wait` is shorter than `training.max_runtime`, which it includes";
            let help = format!("write at least `{}`", raw.training.max_runtime);
            self.add(&["destinations", name, "max_wait"], message, help);
        }
    }

    /// Who validates here needs the model here.
    fn model(&mut self) {
        let Asked {
            settings,
            raw,
            name,
            ..
        } = self.asked;
        let is_here = raw.validation.is_some() && settings.validate_on == ValidateOn::Here;
        if !settings.keep_model && is_here {
            let message = "validation here needs the model, which is not brought here";
            let help = "write `validate_on = \"job\"` too, or leave `keep_model` out";
            self.add(&["destinations", name, "keep_model"], message, help);
        }
    }

    fn money(&mut self) {
        let Asked {
            settings,
            raw,
            name,
            ..
        } = self.asked;
        let cost = Cost::new(settings, Seconds::new(settings, raw));
        if let Some((message, help)) = cost.excess() {
            self.add(&["destinations", name, "max_cost"], message, help);
        }
    }
}
