//! What a job's container gets: hyperparameters, variables, arguments, metric definitions.

use indexmap::IndexMap;

use super::Limits;
use crate::destination::sagemaker::Mistake;
use crate::destination::sagemaker::settings::ValidateOn;

/// SageMaker's limits (service model of `CreateTrainingJob`).
const MOST_HYPERPARAMETERS: usize = 100;
const MOST_HYPERPARAMETER: (usize, usize) = (256, 2500);
const MOST_VARIABLES: usize = 100;
const MOST_VARIABLE: usize = 512;
const MOST_DEFINITIONS: usize = 40;
const MOST_WORDS: usize = 100;
const MOST_WORD: usize = 256;

/// The place of hyperparameters in mlaction.toml.
const HYPERPARAMETERS: [&str; 2] = ["training", "hyperparameters"];

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
pub(super) struct Job<'a> {
    table: &'static str,
    environment: &'a IndexMap<String, String>,
    entrypoint: Option<&'a [String]>,
    arguments: &'a [String],
}

impl<'a> Limits<'a> {
    pub(super) fn jobs(&self) -> Vec<Job<'a>> {
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

    pub(super) fn hyperparameters(&mut self) {
        for (name, value) in self.asked.hyperparameters {
            if name.contains(is_line_end) || value.contains(is_line_end) {
                let message = format!("the hyperparameter `{}` has several lines", short(name));
                let help = "SageMaker takes one line; put the text into a file";
                self.add(&HYPERPARAMETERS, message, help);
            }
        }
    }

    pub(super) fn variables(&mut self, job: &Job<'_>) {
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

    pub(super) fn words(&mut self, job: &Job<'_>) {
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

    pub(super) fn definitions(&mut self) {
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
}

/// What `.` in AWS's patterns does not match.
fn is_line_end(char: char) -> bool {
    matches!(char, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The beginning of a text that may be long.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
