//! Metrics from log lines: SageMaker's metric definitions and presets for common formats.

use std::fmt;

use fancy_regex::RegexBuilder as FancyBuilder;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::preset::Preset;
use super::{Metric, MetricSet, Number, Series, Source};

/// Points kept of one series; when there are more, every second one is dropped.
const MAX_POINTS: usize = 1024;

/// Names that presets may discover; a log that prints more is broken or hostile.
const MAX_NAMES: usize = 256;

/// How often a pattern with look-around may step back on one piece.
const BACKTRACK_LIMIT: usize = 100_000;

/// SageMaker's limits (`MetricDefinition` in the service model).
const MAX_NAME: usize = 255;
const MAX_REGEX: usize = 500;

/// One metric definition, in SageMaker's syntax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The metric's name.
    pub name: String,
    /// A regular expression whose first group is the value.
    pub regex: String,
}

/// Why a definition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError {
    /// Which definition, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub reason: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric definition `{}`: {}", self.name, self.reason)
    }
}

impl std::error::Error for DefinitionError {}

enum Pattern {
    Plain(regex::Regex),
    /// Look-around and back-references, with a bound on backtracking.
    Fancy(Box<fancy_regex::Regex>),
}

struct Compiled {
    name: String,
    pattern: Pattern,
    series: Recorder,
    not_numbers: u64,
    gave_up: u64,
}

/// Reads metrics from pieces of a log.
pub struct LogMetrics {
    definitions: Vec<Compiled>,
    presets: Vec<Preset>,
    discovered: IndexMap<String, Recorder>,
    too_many: bool,
}

impl fmt::Debug for LogMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogMetrics")
            .field("definitions", &self.definitions.len())
            .field("presets", &self.presets)
            .finish()
    }
}

impl LogMetrics {
    /// Compiles the definitions.
    ///
    /// # Errors
    /// Every definition that cannot be used.
    pub fn new(
        definitions: &[Definition],
        presets: &[Preset],
    ) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Vec::new();
        let mut compiled = Vec::new();
        for (index, definition) in definitions.iter().enumerate() {
            match compile(definition) {
                Ok(pattern) => compiled.push(Compiled {
                    name: definition.name.clone(),
                    pattern,
                    series: Recorder::default(),
                    not_numbers: 0,
                    gave_up: 0,
                }),
                Err((reason, hint)) => errors.push(DefinitionError {
                    index,
                    name: definition.name.clone(),
                    reason,
                    hint,
                }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            definitions: compiled,
            presets: presets.to_vec(),
            discovered: IndexMap::new(),
            too_many: false,
        })
    }

    /// Reads one piece: the first match of each definition, its first group.
    pub fn piece(&mut self, text: &str) {
        for definition in &mut self.definitions {
            let captured = match &definition.pattern {
                Pattern::Plain(regex) => regex
                    .captures(text)
                    .and_then(|found| found.get(1))
                    .map(|group| group.as_str()),
                Pattern::Fancy(regex) => match regex.captures(text) {
                    Ok(found) => found
                        .and_then(|found| found.get(1))
                        .map(|group| group.as_str()),
                    Err(_) => {
                        definition.gave_up += 1;
                        None
                    }
                },
            };
            match captured.map(Number::parse) {
                Some(Some(number)) => definition.series.push(number),
                Some(None) => definition.not_numbers += 1,
                None => {}
            }
        }
        for preset in &self.presets {
            preset.read(text, &mut |name, number| {
                if let Some(series) = self.discovered.get_mut(name) {
                    series.push(number);
                } else if self.discovered.len() < MAX_NAMES {
                    self.discovered
                        .entry(name.to_owned())
                        .or_default()
                        .push(number);
                } else {
                    self.too_many = true;
                }
            });
        }
    }

    /// The metrics, and what is worth a warning. Definitions win over presets.
    #[must_use]
    pub fn finish(self) -> (MetricSet, Vec<String>) {
        let mut set = MetricSet::default();
        let mut warnings = Vec::new();
        if self.too_many {
            warnings.push(format!(
                "the log has more than {MAX_NAMES} metric names; the rest is left out"
            ));
        }
        for (name, series) in self.discovered {
            series.store(name, &mut set);
        }
        for definition in self.definitions {
            let Compiled {
                name,
                pattern: _,
                series,
                not_numbers,
                gave_up,
            } = definition;
            if not_numbers > 0 {
                warnings.push(format!("`{name}`: {not_numbers} matches were not numbers"));
            }
            if gave_up > 0 {
                warnings.push(format!(
                    "`{name}`: the pattern took too long on {gave_up} lines"
                ));
            }
            series.store(name, &mut set);
        }
        (set, warnings)
    }
}

type Refused = (String, Option<String>);

fn compile(definition: &Definition) -> Result<Pattern, Refused> {
    let Definition { name, regex } = definition;
    if name.is_empty() || name.chars().count() > MAX_NAME {
        return Err((format!("a name has 1 to {MAX_NAME} characters"), None));
    }
    if regex.is_empty() || regex.chars().count() > MAX_REGEX {
        return Err((format!("a regex has 1 to {MAX_REGEX} characters"), None));
    }
    let (pattern, groups) = match regex::Regex::new(regex) {
        Ok(plain) => {
            let groups = plain.captures_len();
            (Pattern::Plain(plain), groups)
        }
        Err(plain_error) => match FancyBuilder::new(regex)
            .backtrack_limit(BACKTRACK_LIMIT)
            .build()
        {
            Ok(fancy) => {
                let groups = fancy.captures_len();
                (Pattern::Fancy(Box::new(fancy)), groups)
            }
            Err(_) => {
                let text = plain_error.to_string();
                let reason = text
                    .lines()
                    .last()
                    .unwrap_or("")
                    .trim_start_matches("error: ")
                    .to_owned();
                return Err((format!("the regex is not valid: {reason}"), None));
            }
        },
    };
    if groups < 2 {
        let hint = "put the value in parentheses: `loss=([0-9.]+)`".to_owned();
        return Err(("the regex has no group".to_owned(), Some(hint)));
    }
    Ok(pattern)
}

/// A series in bounded memory: when it is full, every second point goes.
#[derive(Debug, Default)]
struct Recorder {
    points: Vec<(u64, Number)>,
    last: Option<(u64, Number)>,
    count: u64,
    stride: u64,
}

impl Recorder {
    fn push(&mut self, number: Number) {
        self.stride = self.stride.max(1);
        if self.count.is_multiple_of(self.stride) {
            if self.points.len() == MAX_POINTS {
                let mut index = 0;
                self.points.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride *= 2;
            }
            if self.count.is_multiple_of(self.stride) {
                self.points.push((self.count, number.clone()));
            }
        }
        self.last = Some((self.count, number));
        self.count += 1;
    }

    fn store(self, name: String, set: &mut MetricSet) {
        let Some((step, last)) = self.last else {
            return;
        };
        let mut points = self.points;
        if points.last().is_none_or(|(at, _)| *at != step) {
            points.push((step, last.clone()));
        }
        let series = Series {
            steps: points.iter().map(|(step, _)| *step as f64).collect(),
            values: points.into_iter().map(|(_, number)| number).collect(),
            count: self.count,
        };
        set.values.insert(
            name.clone(),
            Metric {
                value: last,
                source: Source::Log,
            },
        );
        if series.count > 1 {
            set.series.insert(name, series);
        } else {
            set.series.shift_remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::pieces::Splitter;

    fn read(log: &[u8], definitions: &[(&str, &str)]) -> (MetricSet, Vec<String>) {
        let definitions: Vec<Definition> = definitions
            .iter()
            .map(|(name, regex)| Definition {
                name: (*name).to_owned(),
                regex: (*regex).to_owned(),
            })
            .collect();
        let mut metrics = LogMetrics::new(&definitions, &[]).unwrap();
        let mut splitter = Splitter::new();
        splitter.push(log, &mut |piece| metrics.piece(piece.text));
        splitter.finish(&mut |piece| metrics.piece(piece.text));
        metrics.finish()
    }

    #[test]
    fn the_last_value_wins_and_every_value_is_in_the_series() {
        let (set, warnings) = read(
            b"loss=0.50\nnothing\nloss=0.40 loss=9\nloss=nan\n",
            &[("loss", r"loss=([0-9.]+|nan)")],
        );
        assert_eq!(set.values["loss"].value.as_str(), "NaN");
        let values: Vec<&str> = set.series["loss"]
            .values
            .iter()
            .map(Number::as_str)
            .collect();
        assert_eq!(values, ["0.50", "0.40", "NaN"]);
        assert!(warnings.is_empty());
    }

    #[test]
    fn lookarounds_work_and_cannot_hang() {
        let (set, _) = read(
            b"val_loss=1 loss=2\n",
            &[("loss", r"(?<!val_)loss=([0-9]+)")],
        );
        assert_eq!(set.values["loss"].value.as_str(), "2");
        let hostile = [b"a".repeat(2000), b"\n".to_vec()].concat();
        let (_, warnings) = read(&hostile, &[("x", r"(a+)(a+)(a+)\1\2\3b")]);
        assert_eq!(warnings, ["`x`: the pattern took too long on 1 lines"]);
    }

    #[test]
    fn all_bad_definitions_are_reported_at_once() {
        let definitions = [
            Definition {
                name: "a".into(),
                regex: "loss=[0-9]+".into(),
            },
            Definition {
                name: "b".into(),
                regex: "loss=(".into(),
            },
            Definition {
                name: String::new(),
                regex: "(x)".into(),
            },
        ];
        let errors = LogMetrics::new(&definitions, &[]).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts[0], "metric definition `a`: the regex has no group");
        assert!(
            texts[1].starts_with("metric definition `b`: the regex is not valid"),
            "{}",
            texts[1]
        );
        assert_eq!(
            texts[2],
            "metric definition ``: a name has 1 to 255 characters"
        );
    }

    #[test]
    fn a_long_series_is_thinned_and_keeps_its_ends() {
        let log: String = (0..10_000).map(|i| format!("loss={i}\n")).collect();
        let (set, _) = read(log.as_bytes(), &[("loss", "loss=([0-9]+)")]);
        let series = &set.series["loss"];
        assert!(series.values.len() <= MAX_POINTS + 1);
        assert_eq!((series.count, series.values[0].as_str()), (10_000, "0"));
        assert_eq!(series.values.last().unwrap().as_str(), "9999");
    }
}
