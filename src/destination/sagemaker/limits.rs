//! What must hold between `[destinations.NAME]` and the rest of mlaction.toml: what SageMaker, or
//! the money, would refuse.

use std::time::Duration;

use indexmap::IndexMap;

use super::Mistake;
use super::cost::Cost;
use super::location::{Location, is_s3};
use super::settings::{InputMode, SagemakerSettings, ValidateOn};
use crate::config::duration;
use crate::config::raw::RawConfig;
use crate::registry::plan::RegistryPlan;
use crate::registry::settings::{self, Registry};

/// SageMaker's limits (service model of `CreateTrainingJob`; 28 days: `MaxRuntimeInSeconds`).
const MOST_RUNTIME: Duration = Duration::from_secs(28 * 24 * 3600);
const MOST_CHANNELS: usize = 20;
const MOST_HYPERPARAMETERS: usize = 100;
const MOST_HYPERPARAMETER: (usize, usize) = (256, 2500);
const MOST_VARIABLES: usize = 100;
const MOST_VARIABLE: usize = 512;
const MOST_DEFINITIONS: usize = 40;
const MOST_WORDS: usize = 100;
const MOST_WORD: usize = 256;
const MOST_IMAGE: usize = 255;

/// `@sha256:` and 64 digits.
const DIGEST: usize = 72;

/// The platform of SageMaker's instances.
const PLATFORM: &str = "linux/amd64";

/// The place of hyperparameters in mlaction.toml.
const HYPERPARAMETERS: [&str; 2] = ["training", "hyperparameters"];

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
    limits.money();
    limits.mistakes
}

/// Hyperparameters beyond SageMaker's limits, which every destination keeps to.
#[must_use]
pub fn hyperparameter_sizes(values: &IndexMap<String, String>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut add = |message: String| mistakes.push(Mistake::new(HYPERPARAMETERS, message));
    if values.len() > MOST_HYPERPARAMETERS {
        let count = values.len();
        add(format!(
            "{count} hyperparameters; SageMaker takes at most {MOST_HYPERPARAMETERS}"
        ));
    }
    let (most_name, most_value) = MOST_HYPERPARAMETER;
    for (name, value) in values {
        let (name_chars, value_chars) = (name.chars().count(), value.chars().count());
        if name_chars == 0 || name_chars > most_name {
            add(format!(
                "a hyperparameter's name has 1 to {most_name} characters, not {name_chars}"
            ));
        }
        if value_chars > most_value {
            let name = short(name);
            add(format!(
                "`{name}` has {value_chars} characters; SageMaker takes at most {most_value}"
            ));
        }
    }
    mistakes
}

/// What mlaction.toml says of a job that runs on SageMaker.
struct Job<'a> {
    table: &'static str,
    environment: &'a IndexMap<String, String>,
    entrypoint: Option<&'a [String]>,
    arguments: &'a [String],
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

    fn jobs(&self) -> Vec<Job<'a>> {
        let training = &self.asked.raw.training;
        let validation = self.asked.raw.validation.as_ref();
        let validation = validation.filter(|_| self.asked.settings.validate_on == ValidateOn::Job);
        let train = Job {
            table: "training",
            environment: &training.environment,
            entrypoint: training.container_entrypoint.as_deref(),
            arguments: &training.container_arguments,
        };
        let validate = validation.map(|validation| Job {
            table: "validation",
            environment: &validation.environment,
            entrypoint: validation.container_entrypoint.as_deref(),
            arguments: &validation.container_arguments,
        });
        std::iter::once(train).chain(validate).collect()
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

    fn hyperparameters(&mut self) {
        for (name, value) in self.asked.hyperparameters {
            if name.contains(is_line_end) || value.contains(is_line_end) {
                let message = format!("the hyperparameter `{}` has several lines", short(name));
                let help = "SageMaker takes one line; put the text into a file";
                self.add(&HYPERPARAMETERS, message, help);
            }
        }
    }

    fn variables(&mut self, job: &Job<'_>) {
        let place = [job.table, "environment"];
        if job.environment.len() > MOST_VARIABLES {
            let message = format!(
                "{} variables; SageMaker takes at most {MOST_VARIABLES}",
                job.environment.len()
            );
            self.add(&place, message, "leave some out");
        }
        for (name, value) in job.environment {
            if value.chars().count() > MOST_VARIABLE {
                let message = format!(
                    "the variable `{name}` has {} characters",
                    value.chars().count()
                );
                self.add(
                    &place,
                    message,
                    format!("SageMaker takes at most {MOST_VARIABLE}"),
                );
            }
        }
    }

    fn words(&mut self, job: &Job<'_>) {
        let lists = [
            ("container_entrypoint", job.entrypoint.unwrap_or_default()),
            ("container_arguments", job.arguments),
        ];
        for (key, words) in lists {
            let place = [job.table, key];
            if words.len() > MOST_WORDS {
                let message = format!(
                    "`{key}` has {} words; SageMaker takes at most {MOST_WORDS}",
                    words.len()
                );
                self.add(&place, message, "put them into a file");
            }
            let is_bad =
                |word: &&String| word.chars().count() > MOST_WORD || word.contains(is_line_end);
            if let Some(word) = words.iter().find(is_bad) {
                let message = format!(
                    "`{}` in `{key}` is too long, or has several lines",
                    short(word)
                );
                self.add(
                    &place,
                    message,
                    format!("SageMaker takes one line of {MOST_WORD} characters"),
                );
            }
        }
        if job.entrypoint.is_some_and(<[String]>::is_empty) {
            let message = "`container_entrypoint` is empty";
            self.add(
                &[job.table, "container_entrypoint"],
                message,
                "leave it out for the image's own",
            );
        }
        if job.entrypoint.is_none() && job.arguments.is_empty() {
            let message = "SageMaker starts an image's own entry point with `train` at least";
            self.add(
                &[job.table, "container_arguments"],
                message,
                "name an argument, or a `container_entrypoint`",
            );
        }
    }

    fn definitions(&mut self) {
        let definitions = &self.asked.raw.metrics.definitions;
        let place = ["metrics", "definitions"];
        if definitions.len() > MOST_DEFINITIONS {
            let message = format!(
                "{} metric definitions; SageMaker takes at most {MOST_DEFINITIONS}",
                definitions.len()
            );
            self.add(&place, message, "leave some out, or use a preset");
        }
        for definition in definitions
            .iter()
            .filter(|one| one.regex.contains(is_line_end))
        {
            let message = format!("the regex of `{}` has several lines", definition.name);
            self.add(&place, message, "SageMaker reads logs line by line");
        }
    }

    fn money(&mut self) {
        let Asked {
            settings,
            raw,
            name,
            ..
        } = self.asked;
        let cost = Cost::new(settings, raw);
        if let (Some(highest), Some(most)) = (cost.highest, settings.max_cost)
            && highest > most
        {
            let message = format!(
                "the run may cost {}, more than `max_cost` = {most}",
                cost.amount()
            );
            let help = format!(
                "it is {}; shorten `max_runtime`, take fewer or smaller instances, or raise `max_cost`",
                cost.reckoning()
            );
            self.add(&["destinations", name, "max_cost"], message, help);
        }
    }
}

/// What `.` in AWS's patterns does not match.
fn is_line_end(char: char) -> bool {
    matches!(char, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The beginning of a text that may be long.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
