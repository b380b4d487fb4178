//! What a schema cannot say about a configuration: names that refer to each other, files that
//! must exist, limits of the services.

use std::path::{Component, Path};

use indexmap::IndexMap;
use serde_json::value::RawValue;
use toml::{Spanned, Value};

use super::places::Places;
use super::problem::{Problem, did_you_mean, one_of};
use super::raw::{RawConfig, Training};
use crate::destination::sagemaker;
use crate::metrics::log::LogMetrics;
use crate::registry::settings;

/// Collects the problems of one configuration.
#[derive(Debug)]
pub struct Rules<'a> {
    root: &'a Path,
    source: &'a str,
    places: &'a Places,
    problems: Vec<Problem>,
}

impl<'a> Rules<'a> {
    /// Rules for the project in `root`, whose config has this source.
    #[must_use]
    pub fn new(root: &'a Path, source: &'a str, places: &'a Places) -> Self {
        Self {
            root,
            source,
            places,
            problems: Vec::new(),
        }
    }

    /// The problems found, in the file's order.
    #[must_use]
    pub fn finish(mut self) -> Vec<Problem> {
        self.problems
            .sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        self.problems
    }

    /// Applies every rule and gives the hyperparameters, from the table or the file.
    pub fn apply(&mut self, raw: &RawConfig) -> IndexMap<String, String> {
        self.code(raw);
        self.channels(raw);
        self.metrics(raw);
        self.image(raw);
        self.aws(&raw.aws);
        if let Some(deployment) = &raw.deployment {
            self.exists(&["deployment", "app"], &deployment.app);
        }
        self.inside(&["baseline", "path"], &raw.baseline.path);
        let hyperparameters = self.hyperparameters(&raw.training);
        self.destinations(raw, &hyperparameters);
        hyperparameters
    }

    pub(super) fn add(
        &mut self,
        path: &[&str],
        message: impl Into<String>,
        label: &str,
    ) -> &mut Problem {
        let at = self.problems.len();
        self.problems
            .push(Problem::new(message, self.places.value(path), label));
        &mut self.problems[at]
    }

    /// The image's files; a project that writes no table may have no Dockerfile.
    fn image(&mut self, raw: &RawConfig) {
        let image = &raw.image;
        for (key, path) in [
            ("dockerfile", &image.dockerfile),
            ("context", &image.context),
        ] {
            if self.places.value(&["image", key]).is_some() {
                self.exists(&["image", key], path);
            }
        }
        let registry = settings::plan(raw.registry.as_ref(), &raw.project.name);
        for mistake in registry.err().unwrap_or_default() {
            self.add(&["registry", mistake.key], mistake.message, "not possible")
                .help = Some(mistake.help);
        }
    }

    pub(super) fn duration(&mut self, path: &[&str], text: &str) {
        match super::duration::parse(text) {
            Ok(duration) if duration.is_zero() => {
                self.add(
                    path,
                    "a duration of zero leaves no time at all",
                    "must be more than zero",
                );
            }
            Ok(_) => {}
            Err(reason) => {
                self.add(path, reason, "expected a number with a unit");
            }
        }
    }

    fn code(&mut self, raw: &RawConfig) {
        let training = &raw.training;
        self.program(
            &["training", "entry_point"],
            &training.entry_point,
            &training.source,
        );
        self.duration(&["training", "max_runtime"], &training.max_runtime);
        for (index, source) in training.source.iter().enumerate() {
            self.exists(&["training", "source", &index.to_string()], source);
        }
        if let Some(requirements) = &training.requirements {
            self.exists(&["training", "requirements"], requirements);
        }
        if let Some(validation) = &raw.validation {
            let mut source = training.source.clone();
            if source.is_empty() {
                source.push(folder_of(&training.entry_point));
            }
            self.program(
                &["validation", "entry_point"],
                &validation.entry_point,
                &source,
            );
            self.duration(&["validation", "max_runtime"], &validation.max_runtime);
        }
    }

    fn program(&mut self, path: &[&str], program: &str, source: &[String]) {
        if self.exists(path, program)
            && !source.is_empty()
            && !source.iter().any(|dir| is_within(program, dir))
        {
            self.add(
                path,
                format!("`{program}` does not lie in `training.source`"),
                "the job would not find it",
            )
            .help = Some(format!(
                "`training.source` has {}; add the program's folder",
                one_of(source.iter().map(String::as_str))
            ));
        }
    }

    /// Whether a path stays in the project, and an error if it does not.
    fn inside(&mut self, key: &[&str], path: &str) -> bool {
        let fine = !path.is_empty()
            && Path::new(path)
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !fine {
            self.add(
                key,
                format!("`{path}` is not a path inside the project"),
                "leads out of the project",
            )
            .help = Some("write it relative to mlaction.toml, without `..`".to_owned());
        }
        fine
    }

    fn exists(&mut self, key: &[&str], path: &str) -> bool {
        if !self.inside(key, path) {
            return false;
        }
        let there = self.root.join(path).exists();
        if !there {
            self.add(
                key,
                format!("`{path}` does not exist"),
                "no such file or folder",
            );
        }
        there
    }

    fn channels(&mut self, raw: &RawConfig) {
        if raw.data.contains_key("model") && raw.validation.is_some() {
            self.add(
                &["data", "model"],
                "the channel name `model` is taken",
                "validation gets the model's archive by this name",
            );
        }
        let names = || raw.data.keys().map(String::as_str);
        let validation = raw
            .validation
            .as_ref()
            .map(|validation| &validation.channels);
        let lists = [
            (["training", "channels"], raw.training.channels.as_ref()),
            (["validation", "channels"], validation),
        ];
        for (key, channels) in lists {
            for (index, channel) in channels.into_iter().flatten().enumerate() {
                if !raw.data.contains_key(channel) {
                    let help = match did_you_mean(channel, names()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!(
                            "[data] has {}; write a table [data.{channel}]",
                            one_of(names())
                        ),
                    };
                    let path = [key[0], key[1], &index.to_string()];
                    self.add(
                        &path,
                        format!("there is no data channel `{channel}`"),
                        "unknown channel",
                    )
                    .help = Some(help);
                }
            }
        }
        let (Some(training), Some(held_out)) = (&raw.training.channels, validation) else {
            return;
        };
        for (index, channel) in held_out.iter().enumerate() {
            let same = |other: &&String| {
                *other == channel
                    || path_of(raw, other).is_some_and(|p| Some(p) == path_of(raw, channel))
            };
            if let Some(trained_on) = training.iter().find(same) {
                let path = ["validation", "channels", &index.to_string()];
                self.add(&path, format!("`{channel}` is not held out: training gets it too, as `{trained_on}`"), "training sees this data")
                    .help = Some("a model validated on data it was trained on says nothing; name another channel".to_owned());
            }
        }
    }

    fn metrics(&mut self, raw: &RawConfig) {
        if let Err(errors) = LogMetrics::new(&raw.metrics.definitions, &raw.metrics.presets) {
            for error in errors {
                let path = ["metrics", "definitions", &error.index.to_string()];
                let message = error.to_string();
                self.add(&path, message, "this definition").help = error.hint;
            }
        }
        for (metric, gate) in &raw.gates {
            for reason in gate.check() {
                self.add(
                    &["gates", metric],
                    format!("gate on `{metric}`: {reason}"),
                    "this gate",
                );
            }
        }
    }

    fn hyperparameters(&mut self, training: &Training) -> IndexMap<String, String> {
        let key = ["training", "hyperparameters_file"];
        let values: IndexMap<String, String> = match &training.hyperparameters_file {
            Some(_) if !training.hyperparameters.is_empty() => {
                self.add(
                    &key,
                    "hyperparameters come from the table or from a file, not from both",
                    "and there is a table too",
                )
                .help = Some("delete this key, or the table [training.hyperparameters]".to_owned());
                return IndexMap::new();
            }
            Some(file) => {
                if !self.exists(&key, file) {
                    return IndexMap::new();
                }
                match read_json(&self.root.join(file)) {
                    Ok(values) => values,
                    Err(reason) => {
                        self.add(&key, format!("cannot use `{file}`: {reason}"), "this file");
                        return IndexMap::new();
                    }
                }
            }
            None => training
                .hyperparameters
                .iter()
                .map(|(name, value)| (name.clone(), text_of(value, self.source)))
                .collect(),
        };
        self.mistakes(sagemaker::hyperparameter_sizes(&values));
        values
    }
}

fn path_of<'r>(raw: &'r RawConfig, channel: &str) -> Option<&'r str> {
    raw.data
        .get(channel)
        .map(|channel| channel.path.trim_end_matches('/'))
}

/// The folder of a program, `.` when it lies in the project's root.
#[must_use]
pub fn folder_of(program: &str) -> String {
    match Path::new(program).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.display().to_string(),
        _ => ".".to_owned(),
    }
}

fn is_within(path: &str, folder: &str) -> bool {
    let clean = |path: &str| -> std::path::PathBuf {
        Path::new(path)
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect()
    };
    clean(path).starts_with(clean(folder))
}

/// A hyperparameter as the string that the job gets; numbers keep the digits of the file.
fn text_of(value: &Spanned<Value>, source: &str) -> String {
    match value.get_ref() {
        Value::String(text) => text.clone(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Float(_) => {
            let written = source
                .get(value.span())
                .unwrap_or_default()
                .replace('_', "");
            if written.parse::<f64>().is_ok() {
                written
            } else {
                value.get_ref().to_string()
            }
        }
        Value::Integer(number) => number.to_string(),
        Value::Datetime(datetime) => datetime.to_string(),
        nested @ (Value::Array(_) | Value::Table(_)) => {
            serde_json::to_string(nested).unwrap_or_else(|_| nested.to_string())
        }
    }
}

/// One JSON object; strings lose their quotes, everything else is kept as written.
fn read_json(path: &Path) -> Result<IndexMap<String, String>, String> {
    let text = std::fs::read_to_string(path).map_err(|cause| cause.to_string())?;
    let values: IndexMap<String, Box<RawValue>> = serde_json::from_str(&text)
        .map_err(|cause| format!("it is not one JSON object ({cause})"))?;
    Ok(values
        .into_iter()
        .map(|(name, value)| {
            let text = serde_json::from_str::<String>(value.get())
                .unwrap_or_else(|_| value.get().to_owned());
            (name, text)
        })
        .collect())
}
